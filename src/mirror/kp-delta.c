/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-delta.h"

#include <string.h>

/* The problem: an object is a row of runs that can be copied and runs that must be sent. Every part
 * but the last must have at least M bytes. So a copied run shorter than M has to be sent with its
 * neighbours, and what is sent, where it is shorter than M, has to borrow bytes from the copied
 * runs beside it, which then must still have M bytes.
 *
 * The solution goes through the runs from left to right and keeps for each way to get there: the
 * bytes sent so far, the length of the open stretch that is sent (up to M, as more makes no
 * difference), and how much of it the copied run to its left could still lend (up to M). A way that
 * is worse than another in all three is dropped. Borrowing from the left costs the same as from the
 * right and cannot hurt what follows, so it always comes first. Where fewer than MAX_WAYS remain,
 * as in all but contrived files, the outcome is the cheapest there is; otherwise the cheapest ways
 * are kept, and what they cost is never more than to send everything. */
#define MAX_WAYS 64

typedef struct
{
  guint64 length;
  int source; /* -1: must be sent */
  guint64 source_offset;
} Run;

typedef struct
{
  guint64 cost;    /* bytes sent so far */
  guint64 open;    /* length of the stretch being sent that ends here, up to M */
  guint64 loan;    /* what the copied run to its left may still lend, up to M */
  gboolean copied; /* whether the last run was copied; then open is 0 */
  guint parent;    /* the way to the run before, in the level above */
  guint64 left;    /* lent by this copied run to the stretch before it, from its start */
  guint64 borrow;  /* of the copied run before the closed stretch, from its end */
} Way;

static GArray *
make_runs (const KpPiece *pieces, gsize n_pieces)
{
  GArray *runs = g_array_new (FALSE, FALSE, sizeof (Run));

  for (gsize i = 0; i < n_pieces; i++)
    {
      Run run = { pieces[i].length, pieces[i].source, pieces[i].source_offset };
      Run *last = runs->len > 0 ? &g_array_index (runs, Run, runs->len - 1) : NULL;

      if (run.length == 0)
        continue;
      if (last != NULL && last->source == run.source
          && (run.source < 0 || last->source_offset + last->length == run.source_offset))
        last->length += run.length;
      else
        g_array_append_val (runs, run);
    }
  return runs;
}

static gboolean
is_worse (const Way *a, const Way *b)
{
  return a->copied == b->copied && a->cost >= b->cost && a->open <= b->open && a->loan <= b->loan;
}

static void
add_way (GArray *ways, const Way *way)
{
  for (guint i = 0; i < ways->len; i++)
    if (is_worse (way, &g_array_index (ways, Way, i)))
      return;
  for (guint i = ways->len; i-- > 0;)
    if (is_worse (&g_array_index (ways, Way, i), way))
      g_array_remove_index_fast (ways, i);
  g_array_append_vals (ways, way, 1);
}

static int
compare_costs (const void *a, const void *b)
{
  guint64 x = ((const Way *) a)->cost;
  guint64 y = ((const Way *) b)->cost;

  return x < y ? -1 : x > y;
}

/* The run is sent. */
static void
send_run (GArray *ways, const Way *from, guint parent, const Run *run, guint64 min_part)
{
  Way way = { .cost = from->cost + run->length,
              .open = MIN (from->open + run->length, min_part),
              .loan = from->loan,
              .parent = parent };

  add_way (ways, &way);
}

/* The run is copied, but for what it lends. */
static void
copy_run (GArray *ways,
          const Way *from,
          guint parent,
          const Run *run,
          gboolean is_last,
          guint64 min_part)
{
  guint64 needed = !from->copied && from->open > 0 ? min_part - from->open : 0;
  guint64 borrow = MIN (needed, from->loan);
  guint64 left = needed - borrow;
  /* A last part may be short, but not empty. */
  guint64 keep = is_last ? 1 : min_part;

  if (run->length < keep + left)
    return;
  Way way = { .cost = from->cost + needed,
              .loan = is_last ? 0 : MIN (run->length - min_part - left, min_part),
              .copied = TRUE,
              .parent = parent,
              .left = left,
              .borrow = borrow };
  add_way (ways, &way);
}

static GArray *
next_level (GArray *from, const Run *run, gboolean is_last, guint64 min_part)
{
  GArray *ways = g_array_new (FALSE, FALSE, sizeof (Way));

  for (guint i = 0; i < from->len; i++)
    {
      const Way *way = &g_array_index (from, Way, i);
      send_run (ways, way, i, run, min_part);
      if (run->source >= 0)
        copy_run (ways, way, i, run, is_last, min_part);
    }
  if (ways->len > MAX_WAYS)
    {
      g_array_sort (ways, compare_costs);
      g_array_set_size (ways, MAX_WAYS);
    }
  return ways;
}

/* The ways to the end, level by level; the first level is the start. */
static GPtrArray *
find_ways (GArray *runs, guint64 min_part)
{
  GPtrArray *levels = g_ptr_array_new_with_free_func ((GDestroyNotify) g_array_unref);
  GArray *start = g_array_new (FALSE, FALSE, sizeof (Way));
  Way nothing = { .copied = TRUE };

  g_array_append_val (start, nothing);
  g_ptr_array_add (levels, start);
  for (guint i = 0; i < runs->len; i++)
    g_ptr_array_add (levels,
                     next_level (g_ptr_array_index (levels, i), &g_array_index (runs, Run, i),
                                 i == runs->len - 1, min_part));
  return levels;
}

static void
add_part (GArray *parts, guint64 offset, guint64 length, int source, guint64 source_offset)
{
  KpPart part = { offset, length, source, source_offset };

  g_array_append_val (parts, part);
}

/* Cuts a stretch into as many equal parts as fit the usual size: each is at least as long as that,
 * or the stretch is one part. */
static void
add_parts (GArray *parts,
           guint64 offset,
           guint64 length,
           int source,
           guint64 source_offset,
           const KpDeltaLimits *limits)
{
  guint64 n = source >= 0 ? (length + limits->max_copy - 1) / limits->max_copy
                          : MAX (length / limits->upload_part, 1);

  for (guint64 i = 0; i < n; i++)
    {
      guint64 start = length / n * i;
      guint64 end = i == n - 1 ? length : length / n * (i + 1);
      add_part (parts, offset + start, end - start, source, source_offset + start);
    }
}

/* Writes the cheapest way down as parts. */
static GArray *
make_parts (GArray *runs, GPtrArray *levels, const KpDeltaLimits *limits)
{
  GArray *parts = g_array_new (FALSE, FALSE, sizeof (KpPart));
  g_autofree const Way **path = g_new (const Way *, runs->len + 1);
  GArray *last = g_ptr_array_index (levels, runs->len);
  guint best = 0;
  guint64 run_start = 0;
  guint64 sent_from = 0; /* where what is not yet in a part begins */

  for (guint i = 1; i < last->len; i++)
    if (g_array_index (last, Way, i).cost < g_array_index (last, Way, best).cost)
      best = i;
  for (guint i = runs->len; i > 0; i--)
    {
      path[i] = &g_array_index ((GArray *) g_ptr_array_index (levels, i), Way, best);
      best = path[i]->parent;
    }

  for (guint i = 1; i <= runs->len; i++)
    {
      const Run *run = &g_array_index (runs, Run, i - 1);

      if (path[i]->copied)
        {
          guint64 copy_start = run_start + path[i]->left;
          guint64 copy_end = run_start + run->length;
          /* What the next copied run's stretch borrows from this one. */
          for (guint j = i + 1; j <= runs->len; j++)
            if (path[j]->copied)
              {
                copy_end -= path[j]->borrow;
                break;
              }
          if (copy_start > sent_from)
            add_parts (parts, sent_from, copy_start - sent_from, -1, 0, limits);
          add_parts (parts, copy_start, copy_end - copy_start, run->source,
                     run->source_offset + path[i]->left, limits);
          sent_from = copy_end;
        }
      run_start += run->length;
    }
  if (run_start > sent_from)
    add_parts (parts, sent_from, run_start - sent_from, -1, 0, limits);
  return parts;
}

/**
 * kp_delta_plan:
 * @pieces: the new object from its start to its end
 * @limits: the provider's
 *
 * Returns: (transfer full) (element-type KpPart): the parts, in order: together the whole object,
 * each within @limits, and with as few bytes to send as those allow. Where they would be too many,
 * the shortest copies are given up.
 */
GArray *
kp_delta_plan (const KpPiece *pieces, gsize n_pieces, const KpDeltaLimits *limits)
{
  g_autoptr (GArray) runs = make_runs (pieces, n_pieces);
  guint64 size = 0;

  for (guint i = 0; i < runs->len; i++)
    size += g_array_index (runs, Run, i).length;
  if (size == 0)
    return g_array_new (FALSE, FALSE, sizeof (KpPart));

  for (guint64 min_part = limits->min_part; min_part < MAX (size, limits->min_part + 1);
       min_part *= 2)
    {
      KpDeltaLimits wider = *limits;
      wider.min_part = min_part;
      wider.upload_part = MAX (limits->upload_part, min_part);
      g_autoptr (GPtrArray) levels = find_ways (runs, min_part);
      g_autoptr (GArray) parts = make_parts (runs, levels, &wider);
      if (parts->len <= limits->max_parts)
        return g_steal_pointer (&parts);
    }
  return kp_delta_plan_whole (size, limits);
}

/**
 * kp_delta_plan_whole:
 * @size: bytes, at least 1
 *
 * Returns: (transfer full) (element-type KpPart): parts that send everything; all but the last are
 *   equally long, as some providers want it
 */
GArray *
kp_delta_plan_whole (guint64 size, const KpDeltaLimits *limits)
{
  GArray *parts = g_array_new (FALSE, FALSE, sizeof (KpPart));
  guint64 needed = (size + limits->max_parts - 1) / limits->max_parts;
  guint64 length = MAX (limits->upload_part, (needed + 0xFFFFF) / 0x100000 * 0x100000);

  for (guint64 offset = 0; offset < size; offset += length)
    add_part (parts, offset, MIN (length, size - offset), -1, 0);
  return parts;
}

/**
 * kp_delta_bytes_to_send:
 *
 * Returns: bytes of the parts that are not copied
 */
guint64
kp_delta_bytes_to_send (GArray *parts)
{
  guint64 bytes = 0;

  for (guint i = 0; i < parts->len; i++)
    if (g_array_index (parts, KpPart, i).source < 0)
      bytes += g_array_index (parts, KpPart, i).length;
  return bytes;
}
