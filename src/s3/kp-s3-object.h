/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* What is said about an object: the headers it is written with, and what HEAD, GET and listings
 * tell of it. Plain data. */

#include "kp-s3-sign.h"

#include <libsoup/soup.h>

G_BEGIN_DECLS

/* Headers of an object to be written: x-amz-meta-*, Content-Type, storage class. */
typedef struct _KpS3HeaderList KpS3HeaderList;

KpS3HeaderList *kp_s3_header_list_new (void);
void kp_s3_header_list_free (KpS3HeaderList *list);
void kp_s3_header_list_add (KpS3HeaderList *list, const char *name, const char *value);
guint kp_s3_header_list_get_length (KpS3HeaderList *list);
const KpS3Header *kp_s3_header_list_get (KpS3HeaderList *list, guint index);
gboolean kp_s3_header_list_has (KpS3HeaderList *list, const char *name);

/* The largest object of any store: Amazon's 50 TB. */
#define KP_S3_MAX_OBJECT_SIZE (G_GUINT64_CONSTANT (50) << 40)

/* The largest part of an upload. Source: "Amazon S3 multipart upload limits"; nobody takes more. */
#define KP_S3_MAX_PART_SIZE (G_GUINT64_CONSTANT (5) << 30)

/* An object as HEAD or GET describes it. */
typedef struct
{
  guint64 size;
  char *etag;           /* without quotes; "" where the server sends none */
  gboolean is_md5_etag; /* the ETag has the form of an MD5, and nothing says that it is none */
  gint64 last_modified; /* Unix seconds; 0 where unknown */
  char *content_type;   /* or NULL */
  char *storage_class;  /* or NULL: STANDARD */
  char *version_id;     /* or NULL */
  GHashTable *metadata; /* "mtime" → value, for x-amz-meta-mtime */
} KpS3Object;

KpS3Object *kp_s3_object_new_from_headers (SoupMessageHeaders *headers);
void kp_s3_object_free (KpS3Object *object);
const char *kp_s3_object_get_metadata (const KpS3Object *object, const char *name);
gboolean kp_s3_object_has_metadata_of (const KpS3Object *object, KpS3HeaderList *headers);
char *kp_s3_etag_normalise (const char *etag);
gboolean kp_s3_etag_is_md5 (const char *etag, SoupMessageHeaders *headers);

/* One entry of a listing. */
typedef struct
{
  char *key; /* bytes; not always UTF-8 */
  guint64 size;
  char *etag;
  gint64 last_modified; /* Unix seconds */
  gint64 modified_us;   /* the same in microseconds; many servers round them to seconds */
  char *storage_class;  /* or NULL */
  char *version_id;     /* or NULL: not a listing of versions */
  gboolean is_latest;
  gboolean is_prefix;        /* a common prefix, not an object */
  gboolean is_delete_marker; /* listing of versions only */
} KpS3Entry;

KpS3Entry *kp_s3_entry_new (void);
void kp_s3_entry_free (KpS3Entry *entry);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (KpS3HeaderList, kp_s3_header_list_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KpS3Object, kp_s3_object_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KpS3Entry, kp_s3_entry_free)

G_END_DECLS
