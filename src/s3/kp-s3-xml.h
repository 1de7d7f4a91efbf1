/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* S3's XML replies, read with GMarkup.
 *
 * All of them have one shape: a root, fields directly below it, and records (Contents, Part, Error
 * …) that hold fields of their own. Anything deeper is passed over; what is nested too deeply, has
 * too many elements, is cut off or not XML is an error. */

#include <glib.h>

G_BEGIN_DECLS

typedef struct _KpS3Xml KpS3Xml;
typedef struct _KpS3Record KpS3Record;

KpS3Xml *kp_s3_xml_parse (GBytes *document, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void kp_s3_xml_free (KpS3Xml *xml);

char *kp_s3_xml_display (const char *text);

const char *kp_s3_xml_get_root (KpS3Xml *xml);
const char *kp_s3_xml_get (KpS3Xml *xml, const char *field);
guint kp_s3_xml_get_n_records (KpS3Xml *xml);
const KpS3Record *kp_s3_xml_get_record (KpS3Xml *xml, guint index);
const char *kp_s3_record_get_name (const KpS3Record *record);
const char *kp_s3_record_get (const KpS3Record *record, const char *field);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (KpS3Xml, kp_s3_xml_free)

G_END_DECLS
