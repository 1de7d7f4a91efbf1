/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-mirror"

#include "kp-filter.h"

#include "kp-error.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* A pattern with wildcards is compiled once, because it is matched once for every file. */
typedef enum
{
  TOKEN_BYTE,  /* this byte */
  TOKEN_ANY,   /* "?": any byte but a slash */
  TOKEN_CLASS, /* "[...]": any byte of a class */
  TOKEN_STAR,  /* "*": any bytes but slashes */
  TOKEN_DEEP,  /* "**": any bytes */
} TokenType;

typedef struct
{
  TokenType type;
  guint8 byte; /* of TOKEN_BYTE */
  guint set;   /* of TOKEN_CLASS: which of the rule's classes */
} Token;

/* The bytes of a class, one bit each. */
typedef struct
{
  guint32 bits[8];
} ByteClass;

/* Which part of a path a rule looks at. */
typedef enum
{
  SCOPE_NAME,       /* the last component */
  SCOPE_TAIL,       /* the last components, as many as the pattern has */
  SCOPE_WHOLE,      /* all of it */
  SCOPE_ANY_SUBPATH /* what begins at any component and goes to the end */
} Scope;

typedef enum
{
  MATCH_LITERAL, /* no wildcards */
  MATCH_SUFFIX,  /* "*" and then no wildcards, SCOPE_NAME: by far the commonest */
  MATCH_TOKENS,
  MATCH_NEVER, /* malformed: an unfinished class, nothing behind a backslash */
} MatchType;

typedef struct
{
  gboolean excludes;
  gboolean directories_only; /* "dir/" */
  gboolean adds_slash;       /* "dir/" + three stars: a directory is matched as "dir/" */
  Scope scope;
  MatchType match;
  guint n_components; /* of SCOPE_TAIL */
  char *literal;      /* (owned): of MATCH_LITERAL and MATCH_SUFFIX */
  gsize literal_length;
  GArray *tokens;  /* (owned) (element-type Token): of MATCH_TOKENS */
  GArray *classes; /* (owned) (element-type ByteClass) */
} Rule;

struct _KpFilter
{
  GPtrArray *rules; /* (element-type Rule) */
};

G_DEFINE_BOXED_TYPE (KpFilter, kp_filter, kp_filter_ref, kp_filter_unref)

static void
rule_free (Rule *rule)
{
  g_free (rule->literal);
  g_clear_pointer (&rule->tokens, g_array_unref);
  g_clear_pointer (&rule->classes, g_array_unref);
  g_free (rule);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Rule, rule_free)

/* --- compiling -------------------------------------------------------------------------------- */

static void
class_add (ByteClass *set, guint8 byte)
{
  set->bits[byte / 32] |= 1u << byte % 32;
}

static gboolean
class_has (const ByteClass *set, guint8 byte)
{
  return (set->bits[byte / 32] >> byte % 32 & 1) != 0;
}

static void
class_add_range (ByteClass *set, guint8 first, guint8 last)
{
  for (int byte = first; byte <= last; byte++)
    class_add (set, (guint8) byte);
}

/* Adds the members of [:name:]; those of the C locale, as the bytes have no encoding. */
static gboolean
class_add_named (ByteClass *set, const char *name, gsize length)
{
  static const struct
  {
    const char *name;
    const char *members; /* pairs of first and last */
  } named[] = {
    { "alnum", "09AZaz" },   { "alpha", "AZaz" },
    { "blank", "  \t\t" },   { "cntrl", "\1\37\177\177" },
    { "digit", "09" },       { "graph", "!~" },
    { "lower", "az" },       { "print", " ~" },
    { "punct", "!/:@[`{~" }, { "space", "  \t\r" },
    { "upper", "AZ" },       { "xdigit", "09AFaf" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (named); i++)
    if (strlen (named[i].name) == length && memcmp (named[i].name, name, length) == 0)
      {
        for (const char *p = named[i].members; *p != '\0'; p += 2)
          class_add_range (set, (guint8) p[0], (guint8) p[1]);
        return TRUE;
      }
  return FALSE;
}

/* Reads one member of a class at *@text, a backslash escaping the next byte. Returns -1 at the end
 * of the pattern. */
static int
read_member (const char **text)
{
  if (**text == '\\')
    (*text)++;
  if (**text == '\0')
    return -1;
  return (guint8) * (*text)++;
}

/* Reads a class; *@text stands behind "[" and is left behind "]". Returns FALSE if it is malformed.
 *
 * A "]" that comes first is a member, and so is a "-" that comes first, last or after a range. */
static gboolean
read_class (const char **text, ByteClass *set)
{
  const char *p = *text;
  gboolean negated = *p == '!' || *p == '^';
  int previous = -1; /* where a range could begin */

  memset (set, 0, sizeof *set);
  if (negated)
    p++;

  do
    {
      if (p[0] == '[' && p[1] == ':')
        {
          const char *name = p + 2;
          const char *end = strchr (name, ']');

          if (end == NULL)
            return FALSE;
          if (end > name && end[-1] == ':')
            {
              if (!class_add_named (set, name, (gsize) (end - 1 - name)))
                return FALSE;
              previous = -1;
              p = end + 1;
              continue;
            }
        }
      if (p[0] == '-' && previous >= 0 && p[1] != '\0' && p[1] != ']')
        {
          p++;
          int last = read_member (&p);
          if (last < 0)
            return FALSE;
          class_add_range (set, (guint8) previous, (guint8) last);
          previous = -1;
          continue;
        }
      previous = read_member (&p);
      if (previous < 0)
        return FALSE;
      class_add (set, (guint8) previous);
    }
  while (*p != ']');

  if (negated)
    for (gsize i = 0; i < G_N_ELEMENTS (set->bits); i++)
      set->bits[i] = ~set->bits[i];
  set->bits['/' / 32] &= ~(1u << '/' % 32);
  *text = p + 1;
  return TRUE;
}

static gboolean
compile_tokens (Rule *rule, const char *pattern)
{
  const char *p = pattern;

  rule->tokens = g_array_new (FALSE, FALSE, sizeof (Token));
  rule->classes = g_array_new (FALSE, FALSE, sizeof (ByteClass));
  while (*p != '\0')
    {
      Token token = { .type = TOKEN_BYTE };
      ByteClass set;

      switch (*p)
        {
        case '*':
          token.type = p[1] == '*' ? TOKEN_DEEP : TOKEN_STAR;
          p += strspn (p, "*");
          break;
        case '?':
          token.type = TOKEN_ANY;
          p++;
          break;
        case '[':
          p++;
          if (!read_class (&p, &set))
            return FALSE;
          token.type = TOKEN_CLASS;
          token.set = rule->classes->len;
          g_array_append_val (rule->classes, set);
          break;
        case '\\':
          p++;
          if (*p == '\0')
            return FALSE;
          G_GNUC_FALLTHROUGH;
        default:
          token.byte = (guint8) *p++;
          break;
        }
      g_array_append_val (rule->tokens, token);
    }
  return TRUE;
}

/* A leading "**" + "/" matches at every component, the first included, although no slash stands
 * before that one. (rsync prepends a slash to the path for such patterns.) */
static void
compile_deep_prefix (Rule *rule)
{
  const Token *tokens = (const Token *) (const void *) rule->tokens->data;

  if (rule->tokens->len >= 2 && tokens[0].type == TOKEN_DEEP && tokens[1].type == TOKEN_BYTE
      && tokens[1].byte == '/')
    {
      g_array_remove_range (rule->tokens, 0, 2);
      rule->scope = SCOPE_ANY_SUBPATH;
    }
}

static guint
count_slashes (const char *text)
{
  guint n = 0;

  for (; *text != '\0'; text++)
    n += *text == '/';
  return n;
}

static gboolean
has_wildcards (const char *text)
{
  return strpbrk (text, "*?[") != NULL;
}

/* @pattern is not empty. What each part of it means stands in rsync(1). */
static Rule *
rule_new (const char *text, gboolean excludes)
{
  g_autofree char *owned = g_strdup (text);
  const char *pattern = owned;
  gsize length = strlen (owned);
  Rule *rule = g_new0 (Rule, 1);

  rule->excludes = excludes;
  if (length > 1 && owned[length - 1] == '/')
    {
      rule->directories_only = TRUE;
      owned[--length] = '\0';
    }

  guint n_slashes = count_slashes (pattern);
  gboolean deep = strstr (pattern, "**") != NULL;
  gboolean deep_prefix = g_str_has_prefix (pattern, "**");
  gboolean wild = has_wildcards (pattern);

  rule->adds_slash = g_str_has_suffix (pattern, "***");
  if (*pattern == '/')
    {
      pattern++;
      rule->scope = SCOPE_WHOLE;
    }
  else if (deep)
    {
      rule->scope = deep_prefix ? SCOPE_WHOLE : SCOPE_ANY_SUBPATH;
    }
  else if (n_slashes > 0)
    {
      rule->scope = SCOPE_TAIL;
      rule->n_components = n_slashes + 1;
    }
  else
    {
      rule->scope = SCOPE_NAME;
    }

  if (!wild)
    rule->match = MATCH_LITERAL;
  else if (rule->scope == SCOPE_NAME && *pattern == '*' && !has_wildcards (pattern + 1)
           && strchr (pattern, '\\') == NULL)
    rule->match = MATCH_SUFFIX;
  else
    rule->match = compile_tokens (rule, pattern) ? MATCH_TOKENS : MATCH_NEVER;
  if (rule->match == MATCH_TOKENS && deep_prefix)
    compile_deep_prefix (rule);

  if (rule->match == MATCH_LITERAL || rule->match == MATCH_SUFFIX)
    {
      rule->literal = g_strdup (rule->match == MATCH_SUFFIX ? pattern + 1 : pattern);
      rule->literal_length = strlen (rule->literal);
    }
  return rule;
}

/* --- matching --------------------------------------------------------------------------------- */

static gboolean
token_matches (const Rule *rule, const Token *token, guint8 byte)
{
  if (token->type == TOKEN_BYTE)
    return byte == token->byte;
  if (token->type == TOKEN_CLASS)
    return class_has (&g_array_index (rule->classes, ByteClass, token->set), byte);
  return byte != '/';
}

/* Matches all of @text, or with @any_subpath what begins at any of its components.
 *
 * No recursion, and no pattern is slow: where the match fails, only the last wildcard before that
 * is made to swallow one byte more. To try an earlier wildcard as well would find nothing, since
 * everything between the two has been found as early as possible; the one exception is a "*" that
 * would have to swallow a slash, which leaves it to the last "**" before it. */
static gboolean
match_tokens (const Rule *rule, const char *text, gsize length, gboolean any_subpath)
{
  const Token *tokens = (const Token *) (const void *) rule->tokens->data;
  const guint n_tokens = rule->tokens->len;
  const guint none = G_MAXUINT;
  guint token = 0, after_star = none, after_deep = none;
  gsize at = 0, star_end = 0, deep_end = 0, subpath = 0;

  for (;;)
    {
      if (token == n_tokens)
        {
          if (at == length)
            return TRUE;
        }
      else if (tokens[token].type == TOKEN_STAR)
        {
          after_star = ++token;
          star_end = at;
          continue;
        }
      else if (tokens[token].type == TOKEN_DEEP)
        {
          after_deep = ++token;
          deep_end = at;
          after_star = none;
          continue;
        }
      else if (at == length)
        {
          return FALSE; /* and the more a wildcard swallows, the less is left */
        }
      else if (token_matches (rule, &tokens[token], (guint8) text[at]))
        {
          token++;
          at++;
          continue;
        }

      if (after_star != none && star_end < length && text[star_end] != '/')
        {
          token = after_star;
          at = ++star_end;
        }
      else if (after_deep != none)
        {
          if (deep_end == length)
            return FALSE;
          token = after_deep;
          at = ++deep_end;
          after_star = none;
        }
      else
        {
          const char *slash = any_subpath ? memchr (text + subpath, '/', length - subpath) : NULL;
          if (slash == NULL)
            return FALSE;
          token = 0;
          at = subpath = (gsize) (slash + 1 - text);
          after_star = none;
        }
    }
}

/* Where the last @n components of @path begin; NULL if it has fewer. */
static const char *
find_tail (const char *path, gsize length, guint n)
{
  const char *p = path + length;

  for (; p > path; p--)
    if (p[-1] == '/' && --n == 0)
      return p;
  return n == 1 ? path : NULL;
}

/* A path, taken apart once for all rules. */
typedef struct
{
  const char *path;
  gsize length;
  const char *name; /* the last component */
  gsize name_length;
  gboolean is_directory;
} Entry;

static gboolean
match_literal (const Rule *rule, const Entry *entry)
{
  gsize length = rule->literal_length;

  switch (rule->scope)
    {
    case SCOPE_NAME:
      return length == entry->name_length && memcmp (entry->name, rule->literal, length) == 0;
    case SCOPE_WHOLE:
      return length == entry->length && memcmp (entry->path, rule->literal, length) == 0;
    case SCOPE_TAIL:
      if (length > entry->length
          || memcmp (entry->path + entry->length - length, rule->literal, length) != 0)
        return FALSE;
      return length == entry->length || entry->path[entry->length - length - 1] == '/';
    case SCOPE_ANY_SUBPATH:
    default:
      g_assert_not_reached ();
    }
}

static gboolean
match_wild (const Rule *rule, const Entry *entry)
{
  const char *text = entry->path;
  gsize length = entry->length;
  g_autofree char *with_slash = NULL;

  if (rule->scope == SCOPE_NAME)
    {
      text = entry->name;
      length = entry->name_length;
    }
  else if (rule->scope == SCOPE_TAIL)
    {
      text = find_tail (entry->path, entry->length, rule->n_components);
      if (text == NULL)
        return FALSE;
      length -= (gsize) (text - entry->path);
    }
  else if (rule->adds_slash && entry->is_directory)
    {
      with_slash = g_malloc (length + 1);
      memcpy (with_slash, text, length);
      with_slash[length++] = '/';
      text = with_slash;
    }
  return match_tokens (rule, text, length, rule->scope == SCOPE_ANY_SUBPATH);
}

static gboolean
rule_matches (const Rule *rule, const Entry *entry)
{
  if (rule->directories_only && !entry->is_directory)
    return FALSE;

  switch (rule->match)
    {
    case MATCH_LITERAL:
      return match_literal (rule, entry);
    case MATCH_SUFFIX:
      return rule->literal_length <= entry->name_length
             && memcmp (entry->name + entry->name_length - rule->literal_length, rule->literal,
                        rule->literal_length)
                    == 0;
    case MATCH_TOKENS:
      return match_wild (rule, entry);
    case MATCH_NEVER:
    default:
      return FALSE;
    }
}

/* --- the filter ------------------------------------------------------------------------------- */

/**
 * kp_filter_new:
 *
 * Returns: (transfer full): a filter without rules, which keeps everything
 */
KpFilter *
kp_filter_new (void)
{
  KpFilter *self = g_atomic_rc_box_new0 (KpFilter);
  self->rules = g_ptr_array_new_with_free_func ((GDestroyNotify) rule_free);
  return self;
}

/**
 * kp_filter_ref:
 *
 * Returns: (transfer full): @self
 */
KpFilter *
kp_filter_ref (KpFilter *self)
{
  return g_atomic_rc_box_acquire (self);
}

static void
filter_clear (gpointer data)
{
  KpFilter *self = data;
  g_ptr_array_unref (self->rules);
}

/**
 * kp_filter_unref:
 * @self: (transfer full)
 */
void
kp_filter_unref (KpFilter *self)
{
  g_atomic_rc_box_release_full (self, filter_clear);
}

static gboolean
add_rule (KpFilter *self, const char *text, gboolean excludes, GError **error)
{
  if (strcmp (text, "!") == 0)
    {
      g_ptr_array_set_size (self->rules, 0);
      return TRUE;
    }
  if ((text[0] == '-' || text[0] == '+') && text[1] == ' ')
    {
      excludes = text[0] == '-';
      text += 2;
      if (*text == '\0')
        {
          g_set_error (error, KP_ERROR, KP_ERROR_USAGE, "The rule “%s” has no pattern",
                       excludes ? "- " : "+ ");
          return FALSE;
        }
    }
  if (*text != '\0')
    g_ptr_array_add (self->rules, rule_new (text, excludes));
  return TRUE;
}

/**
 * kp_filter_add_exclude:
 * @pattern: as for rsync --exclude; with "+ " before it an include, "!" forgets all rules so far,
 *   and an empty one is ignored
 * @error: %KP_ERROR_USAGE
 */
gboolean
kp_filter_add_exclude (KpFilter *self, const char *pattern, GError **error)
{
  return add_rule (self, pattern, TRUE, error);
}

/**
 * kp_filter_add_include:
 * @pattern: as for rsync --include
 * @error: %KP_ERROR_USAGE
 */
gboolean
kp_filter_add_include (KpFilter *self, const char *pattern, GError **error)
{
  return add_rule (self, pattern, FALSE, error);
}

/* All of a file, or of standard input. */
static GString *
read_file (const char *path, GError **error)
{
  gboolean is_stdin = strcmp (path, "-") == 0;
  g_autoptr (GString) content = g_string_new (NULL);
  int fd = is_stdin ? STDIN_FILENO : open (path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
  int saved_errno = errno;

  if (fd >= 0)
    {
      char buffer[8192];
      ssize_t n;

      while ((n = TEMP_FAILURE_RETRY (read (fd, buffer, sizeof buffer))) > 0)
        g_string_append_len (content, buffer, n);
      saved_errno = n < 0 ? errno : 0;
      if (!is_stdin)
        close (fd); /* nothing was written: it cannot fail to our loss */
      if (n == 0)
        return g_steal_pointer (&content);
    }

  g_set_error (error, KP_ERROR, KP_ERROR_USAGE, "Cannot read the patterns in “%s”: %s",
               is_stdin ? "standard input" : path, g_strerror (saved_errno));
  return NULL;
}

/**
 * kp_filter_add_file:
 * @path: a file of patterns, one per line; "-" is standard input
 * @is_exclude: what a line without "+ " or "- " is
 * @error: %KP_ERROR_USAGE, also when the file cannot be read
 *
 * As rsync --exclude-from and --include-from: empty lines are ignored, and lines that begin with
 * ";" or "#". Blanks belong to the pattern. A line ends with CR, LF or both.
 */
gboolean
kp_filter_add_file (KpFilter *self, const char *path, gboolean is_exclude, GError **error)
{
  g_autoptr (GString) content = read_file (path, error);
  if (content == NULL)
    return FALSE;

  const char *end = content->str + content->len;
  for (const char *line = content->str; line < end;)
    {
      const char *line_end = line;
      while (line_end < end && *line_end != '\n' && *line_end != '\r')
        line_end++;

      g_autofree char *text = g_strndup (line, (gsize) (line_end - line));
      if (*text != ';' && *text != '#' && !add_rule (self, text, is_exclude, error))
        {
          g_prefix_error (error, "In “%s”: ", path);
          return FALSE;
        }
      line = line_end + 1;
    }
  return TRUE;
}

/**
 * kp_filter_is_empty:
 *
 * Returns: whether there is no rule, so that nothing is excluded
 */
gboolean
kp_filter_is_empty (KpFilter *self)
{
  return self->rules->len == 0;
}

static gboolean
excludes_entry (KpFilter *self, const Entry *entry)
{
  for (guint i = 0; i < self->rules->len; i++)
    {
      const Rule *rule = g_ptr_array_index (self->rules, i);
      if (rule_matches (rule, entry))
        return rule->excludes;
    }
  return FALSE;
}

static gboolean
excludes_path (KpFilter *self, const char *path, gsize length, gboolean is_directory)
{
  const char *slash = memrchr (path, '/', length);
  const char *name = slash != NULL ? slash + 1 : path;
  Entry entry = { .path = path,
                  .length = length,
                  .name = name,
                  .name_length = length - (gsize) (name - path),
                  .is_directory = is_directory };

  return excludes_entry (self, &entry);
}

/**
 * kp_filter_excludes:
 * @relative_path: relative to the root of the transfer, without a slash at either end
 * @is_directory: whether it is a directory; a symbolic link to one is not
 *
 * Asks about this entry alone, for those who walk a tree and do not enter excluded directories.
 */
gboolean
kp_filter_excludes (KpFilter *self, const char *relative_path, gboolean is_directory)
{
  return excludes_path (self, relative_path, strlen (relative_path), is_directory);
}

/**
 * kp_filter_excludes_tree:
 * @relative_path: relative to the root of the transfer, without a slash at either end
 * @is_directory: whether it is a directory
 *
 * Returns: whether the entry or one of the directories above it is excluded
 */
gboolean
kp_filter_excludes_tree (KpFilter *self, const char *relative_path, gboolean is_directory)
{
  if (kp_filter_is_empty (self))
    return FALSE;

  for (const char *p = relative_path; (p = strchr (p, '/')) != NULL; p++)
    if (excludes_path (self, relative_path, (gsize) (p - relative_path), TRUE))
      return TRUE;
  return kp_filter_excludes (self, relative_path, is_directory);
}
