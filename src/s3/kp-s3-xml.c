/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-s3-xml.h"

#include "kp-error.h"
#include "kp-name.h"

#include <string.h>

#define MAX_DEPTH 16

/* A page has 1,000 records by Amazon's reference, and twenty times as many where somebody thinks
 * otherwise; each has about ten elements. Eight MiB of empty elements would become 200 MiB here,
 * and several pages come at once. */
#define MAX_ELEMENTS 200000

/* Characters of what a server said that are worth reading. */
#define DISPLAY_MAX 300

typedef struct
{
  const char *name;
  const char *value;
} Field;

struct _KpS3Record
{
  const char *name; /* in chunk */
  GArray *fields;   /* of Field, in chunk */
};

struct _KpS3Xml
{
  GStringChunk *chunk; /* owns every string */
  const char *root;
  GArray *fields;     /* of Field: directly below the root */
  GPtrArray *records; /* of KpS3Record, owned */

  /* While parsing. */
  guint depth;
  guint n_elements;
  const char *name; /* of the innermost open element, when it may hold text */
  KpS3Record *record;
  GString *text;
};

static void
record_free (void *data)
{
  KpS3Record *record = data;

  g_array_unref (record->fields);
  g_free (record);
}

static const char *
find_field (GArray *fields, const char *name)
{
  for (guint i = 0; i < fields->len; i++)
    {
      const Field *field = &g_array_index (fields, Field, i);
      if (strcmp (field->name, name) == 0)
        return field->value;
    }
  return NULL;
}

static void
start_element (GMarkupParseContext *context,
               const char *element,
               const char **attribute_names,
               const char **attribute_values,
               void *data,
               GError **error)
{
  KpS3Xml *xml = data;

  if (++xml->depth > MAX_DEPTH)
    {
      g_set_error_literal (error, KP_ERROR, KP_ERROR_SERVER, "The document is nested too deeply");
      return;
    }
  if (++xml->n_elements > MAX_ELEMENTS)
    {
      g_set_error (error, KP_ERROR, KP_ERROR_SERVER, "The document has more than %d elements",
                   MAX_ELEMENTS);
      return;
    }
  if (xml->depth == 1 && xml->root != NULL)
    {
      g_set_error_literal (error, KP_ERROR, KP_ERROR_SERVER,
                           "There is a second document behind it");
      return;
    }
  if (xml->depth == 1)
    xml->root = g_string_chunk_insert_const (xml->chunk, element);
  else if (xml->depth == 2)
    xml->name = g_string_chunk_insert_const (xml->chunk, element);
  else if (xml->depth == 3)
    {
      if (xml->record == NULL)
        {
          xml->record = g_new0 (KpS3Record, 1);
          xml->record->name = xml->name;
          xml->record->fields = g_array_sized_new (FALSE, FALSE, sizeof (Field), 8);
          g_ptr_array_add (xml->records, xml->record);
        }
      xml->name = g_string_chunk_insert_const (xml->chunk, element);
    }
  g_string_truncate (xml->text, 0);
}

static void
end_element (GMarkupParseContext *context, const char *element, void *data, GError **error)
{
  KpS3Xml *xml = data;
  GArray *fields = NULL;

  if (xml->depth == 2 && xml->record == NULL)
    fields = xml->fields;
  else if (xml->depth == 3)
    fields = xml->record->fields;

  if (fields != NULL)
    {
      Field field = { g_string_chunk_insert_const (xml->chunk, element),
                      g_string_chunk_insert (xml->chunk, xml->text->str) };
      g_array_append_val (fields, field);
    }
  if (xml->depth == 2)
    xml->record = NULL;
  g_string_truncate (xml->text, 0);
  xml->depth--;
}

static void
take_text (GMarkupParseContext *context, const char *text, gsize length, void *data, GError **error)
{
  KpS3Xml *xml = data;

  if (xml->depth == 2 || xml->depth == 3)
    g_string_append_len (xml->text, text, (gssize) length);
}

/**
 * kp_s3_xml_display:
 * @text: what a server said
 *
 * Returns: (transfer full): @text for a message: no more than some words of it, in one line, and
 *   nothing that steers a terminal
 */
char *
kp_s3_xml_display (const char *text)
{
  g_autofree char *valid = g_utf8_make_valid (text, -1);

  if (g_utf8_strlen (valid, -1) <= DISPLAY_MAX)
    return kp_name_display (valid);
  g_autofree char *start = g_utf8_substring (valid, 0, DISPLAY_MAX);
  g_autofree char *shown = kp_name_display (start);
  return g_strconcat (shown, "…", NULL);
}

/**
 * kp_s3_xml_parse:
 * @document: a whole reply
 * @error: %KP_ERROR_SERVER when @document is not one closed XML document: a chunked reply that was
 *   cut short looks complete to libsoup, and only the missing end tag tells
 */
KpS3Xml *
kp_s3_xml_parse (GBytes *document, GError **error)
{
  static const GMarkupParser parser
      = { .start_element = start_element, .end_element = end_element, .text = take_text };
  g_autoptr (GError) local_error = NULL;
  gsize length;
  const char *data = g_bytes_get_data (document, &length);

  g_autoptr (KpS3Xml) xml = g_new0 (KpS3Xml, 1);
  xml->chunk = g_string_chunk_new (4096);
  xml->fields = g_array_new (FALSE, FALSE, sizeof (Field));
  xml->records = g_ptr_array_new_with_free_func (record_free);
  xml->text = g_string_new (NULL);

  g_autoptr (GMarkupParseContext) context
      = g_markup_parse_context_new (&parser, G_MARKUP_TREAT_CDATA_AS_TEXT, xml, NULL);
  /* GMarkup takes text as far as its first NUL. */
  if (length == 0 || memchr (data, '\0', length) != NULL
      || !g_markup_parse_context_parse (context, data, (gssize) length, &local_error)
      || !g_markup_parse_context_end_parse (context, &local_error) || xml->root == NULL)
    {
      g_autofree char *cause = kp_s3_xml_display (local_error != NULL ? local_error->message : "");
      g_set_error (error, KP_ERROR, KP_ERROR_SERVER,
                   "The server's reply is not the XML it should be%s%s", *cause != '\0' ? ": " : "",
                   cause);
      return NULL;
    }
  return g_steal_pointer (&xml);
}

void
kp_s3_xml_free (KpS3Xml *xml)
{
  g_string_chunk_free (xml->chunk);
  g_array_unref (xml->fields);
  g_ptr_array_unref (xml->records);
  g_string_free (xml->text, TRUE);
  g_free (xml);
}

/**
 * kp_s3_xml_get_root:
 *
 * Returns: the name of the root element
 */
const char *
kp_s3_xml_get_root (KpS3Xml *xml)
{
  return xml->root;
}

/**
 * kp_s3_xml_get:
 *
 * Returns: (nullable): the text of the first element named @field directly below the root
 */
const char *
kp_s3_xml_get (KpS3Xml *xml, const char *field)
{
  return find_field (xml->fields, field);
}

guint
kp_s3_xml_get_n_records (KpS3Xml *xml)
{
  return xml->records->len;
}

const KpS3Record *
kp_s3_xml_get_record (KpS3Xml *xml, guint index)
{
  return g_ptr_array_index (xml->records, index);
}

const char *
kp_s3_record_get_name (const KpS3Record *record)
{
  return record->name;
}

/**
 * kp_s3_record_get:
 *
 * Returns: (nullable): the text of the first element named @field in @record
 */
const char *
kp_s3_record_get (const KpS3Record *record, const char *field)
{
  return find_field (record->fields, field);
}
