/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-plan"

#include "config.h"

#include "kp-keyring.h"

#include "kp-error.h"

#include <libsecret/secret.h>
#include <string.h>

#define ATTRIBUTE_PLAN "plan"
#define ATTRIBUTE_KIND "kind"

typedef enum
{
  ITEM_ACCESS_KEY,
  ITEM_SECRET,
  ITEM_SESSION_TOKEN,
} ItemKind;

#define N_ITEM_KINDS (ITEM_SESSION_TOKEN + 1)

static const struct
{
  const char *name;  /* the attribute; what is stored depends on it */
  const char *label; /* for whoever looks into the keyring */
} kinds[N_ITEM_KINDS] = {
  [ITEM_ACCESS_KEY] = { "s3-access-key", "access key" },
  [ITEM_SECRET] = { "s3-secret", "secret key" },
  [ITEM_SESSION_TOKEN] = { "session-token", "session token" },
};

/* A keyring that has not been unlocked since it was started knows its items by hashes of their
 * attributes, and gnome-keyring then says that each has the generic schema: the name must not have
 * to match. */
static const SecretSchema schema = {
  KP_APPLICATION_ID ".Plan",
  SECRET_SCHEMA_DONT_MATCH_NAME,
  { { ATTRIBUTE_PLAN, SECRET_SCHEMA_ATTRIBUTE_STRING },
    { ATTRIBUTE_KIND, SECRET_SCHEMA_ATTRIBUTE_STRING },
    { NULL, SECRET_SCHEMA_ATTRIBUTE_STRING } },
};

/**
 * kp_keyring_status_name:
 *
 * Returns: the status as scripts see it ("unavailable"), never translated
 */
const char *
kp_keyring_status_name (KpKeyringStatus status)
{
  static const char *const names[]
      = { "found", "missing", "locked", "dismissed", "unavailable", "failed" };

  return names[status];
}

/* Whether an error is one of those that end with a %G_DBUS_ERROR_FAILED, which stands for none. */
static gboolean
is_one_of (const GError *error, const GDBusError *codes)
{
  for (; *codes != G_DBUS_ERROR_FAILED; codes++)
    if (g_error_matches (error, G_DBUS_ERROR, (int) *codes))
      return TRUE;
  return FALSE;
}

/* No bus, nobody on it who keeps secrets, nobody who could be started, or no answer. */
static gboolean
is_unavailable (const GError *error)
{
  static const GDBusError codes[] = {
    G_DBUS_ERROR_SERVICE_UNKNOWN,
    G_DBUS_ERROR_NAME_HAS_NO_OWNER,
    G_DBUS_ERROR_NO_REPLY,
    G_DBUS_ERROR_NO_SERVER,
    G_DBUS_ERROR_TIMEOUT,
    G_DBUS_ERROR_TIMED_OUT,
    G_DBUS_ERROR_DISCONNECTED,
    G_DBUS_ERROR_SPAWN_EXEC_FAILED,
    G_DBUS_ERROR_SPAWN_FORK_FAILED,
    G_DBUS_ERROR_SPAWN_CHILD_EXITED,
    G_DBUS_ERROR_SPAWN_CHILD_SIGNALED,
    G_DBUS_ERROR_SPAWN_FAILED,
    G_DBUS_ERROR_SPAWN_SERVICE_NOT_FOUND,
    G_DBUS_ERROR_FAILED,
  };

  return is_one_of (error, codes)
         || (error->domain == G_IO_ERROR && error->code != G_IO_ERROR_CANCELLED
             && error->code != G_IO_ERROR_DBUS_ERROR);
}

/* libsecret keeps its session with the keyring for the life of the process, and knows nothing of a
 * keyring that has been started anew. Returns whether to try again with another session. */
static gboolean
forget_old_session (const GError *error)
{
  static const GDBusError codes[]
      = { G_DBUS_ERROR_SERVICE_UNKNOWN, G_DBUS_ERROR_NAME_HAS_NO_OWNER, G_DBUS_ERROR_FAILED };

  /* "NoSession" and whatever else has no code of its own. */
  if (!is_one_of (error, codes) && !g_error_matches (error, G_IO_ERROR, G_IO_ERROR_DBUS_ERROR))
    return FALSE;
  secret_service_disconnect ();
  return TRUE;
}

/* Puts into our words what libsecret says; its messages name no secrets. */
static KpKeyringStatus
set_error_from (const GError *cause, GError **error)
{
  if (kp_error_is (cause, KP_ERROR_NOT_FOUND)
      || g_error_matches (cause, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    {
      g_propagate_error (error, g_error_copy (cause));
      return cause->domain == KP_ERROR ? KP_KEYRING_MISSING : KP_KEYRING_FAILED;
    }
  if (g_error_matches (cause, SECRET_ERROR, SECRET_ERROR_IS_LOCKED))
    {
      g_set_error_literal (error, KP_ERROR, KP_ERROR_KEYRING_LOCKED, cause->message);
      return KP_KEYRING_LOCKED;
    }
  if (is_unavailable (cause))
    {
      g_set_error (error, KP_ERROR, KP_ERROR_FAILED,
                   "There is no keyring in this session, or it does not answer: %s",
                   cause->message);
      return KP_KEYRING_UNAVAILABLE;
    }
  g_set_error (error, KP_ERROR, KP_ERROR_FAILED, "The keyring cannot be used: %s", cause->message);
  return KP_KEYRING_FAILED;
}

/* What libsecret does not call an error. */
static void
set_locked (const char *message, GError **error)
{
  g_set_error_literal (error, SECRET_ERROR, SECRET_ERROR_IS_LOCKED, message);
}

static void
free_items (GList *items)
{
  g_list_free_full (items, g_object_unref);
}

typedef GList ItemList;
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ItemList, free_items)

/* The items of a plan: of one kind, or all where @kind is NULL. */
static GList *
search (const char *plan_id,
        const char *kind,
        SecretSearchFlags flags,
        GCancellable *cancellable,
        GError **error)
{
  flags |= SECRET_SEARCH_ALL;
  return secret_password_search_sync (&schema, flags, cancellable, error, ATTRIBUTE_PLAN, plan_id,
                                      kind != NULL ? ATTRIBUTE_KIND : NULL, kind, NULL);
}

/* Somebody may have copied the item into another keyring: the latest counts. */
static SecretRetrievable *
latest (GList *items)
{
  SecretRetrievable *found = NULL;

  for (GList *l = items; l != NULL; l = l->next)
    if (found == NULL
        || secret_retrievable_get_modified (l->data) > secret_retrievable_get_modified (found))
      found = l->data;
  return found;
}

/* The value of the item of a kind. NULL without an error where there is none. The search asks for
 * the kind, as an item that is locked may not tell its own. */
static SecretValue *
read_item (const char *plan_id,
           ItemKind kind,
           SecretSearchFlags flags,
           GCancellable *cancellable,
           GError **error)
{
  g_autoptr (GError) local_error = NULL;
  g_autoptr (ItemList) items = search (plan_id, kinds[kind].name, flags, cancellable, &local_error);
  SecretRetrievable *item = latest (items);

  if (local_error != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&local_error));
      return NULL;
    }
  if (item == NULL)
    return NULL;
  g_autoptr (SecretValue) value
      = secret_retrievable_retrieve_secret_sync (item, cancellable, &local_error);
  if (value != NULL && secret_value_get_text (value) != NULL)
    return g_steal_pointer (&value);
  if (local_error == NULL || g_error_matches (local_error, SECRET_ERROR, SECRET_ERROR_IS_LOCKED))
    set_locked ("The keyring that holds the keys is locked; unlock it", error);
  else
    g_propagate_error (error, g_steal_pointer (&local_error));
  return NULL;
}

/* A lookup of libsecret's own would prompt, and could not tell a prompt that was dismissed from
 * keys that are not there. A search never fails for a lock: it finds what is locked, too. */
static KpS3Credentials *
lookup_once (const char *plan_id, gboolean may_prompt, GCancellable *cancellable, GError **error)
{
  g_autoptr (SecretValue) access_key = NULL;
  g_autoptr (SecretValue) secret = NULL;
  g_autoptr (SecretValue) token = NULL;
  g_autoptr (GError) local_error = NULL;

  SecretSearchFlags flags = may_prompt ? SECRET_SEARCH_UNLOCK : SECRET_SEARCH_NONE;

  access_key = read_item (plan_id, ITEM_ACCESS_KEY, flags, cancellable, &local_error);
  if (local_error == NULL)
    secret = read_item (plan_id, ITEM_SECRET, flags, cancellable, &local_error);
  if (local_error == NULL)
    token = read_item (plan_id, ITEM_SESSION_TOKEN, flags, cancellable, &local_error);

  /* A prompt that is taken away says nothing of it. */
  if (g_cancellable_set_error_if_cancelled (cancellable, error))
    return NULL;
  if (local_error != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&local_error));
      return NULL;
    }
  if (access_key == NULL || secret == NULL)
    {
      g_set_error_literal (error, KP_ERROR, KP_ERROR_NOT_FOUND,
                           "The keyring has no keys for this plan; enter them");
      return NULL;
    }
  return kp_s3_credentials_new (secret_value_get_text (access_key), secret_value_get_text (secret),
                                token != NULL ? secret_value_get_text (token) : NULL);
}

/**
 * kp_keyring_lookup:
 * @plan_id: of the plan
 * @may_prompt: whether the user may be asked to unlock the keyring
 * @credentials: (out) (transfer full) (nullable): the keys; %NULL unless found
 * @error: set unless the keys are found: %KP_ERROR_NOT_FOUND, %KP_ERROR_KEYRING_LOCKED (dismissed
 *   too), %KP_ERROR_FAILED, or %G_IO_ERROR_CANCELLED
 */
KpKeyringStatus
kp_keyring_lookup (const char *plan_id,
                   gboolean may_prompt,
                   KpS3Credentials **credentials,
                   GCancellable *cancellable,
                   GError **error)
{
  g_autoptr (GError) cause = NULL;

  g_return_val_if_fail (plan_id != NULL, KP_KEYRING_FAILED);

  *credentials = lookup_once (plan_id, may_prompt, cancellable, &cause);
  if (cause != NULL && forget_old_session (cause))
    {
      g_clear_error (&cause);
      *credentials = lookup_once (plan_id, may_prompt, cancellable, &cause);
    }
  if (cause == NULL)
    return KP_KEYRING_FOUND;

  KpKeyringStatus status = set_error_from (cause, error);
  return status == KP_KEYRING_LOCKED && may_prompt ? KP_KEYRING_DISMISSED : status;
}

/* --- in a thread ---------------------------------------------------------------------------- */

typedef struct
{
  char *plan_id;
  gboolean may_prompt;
  KpKeyringStatus status;
  KpS3Credentials *credentials;
  GError *error;
} Lookup;

static void
lookup_free (gpointer data)
{
  Lookup *lookup = data;

  g_free (lookup->plan_id);
  g_clear_pointer (&lookup->credentials, kp_s3_credentials_unref);
  g_clear_error (&lookup->error);
  g_free (lookup);
}

static gpointer
lookup_thread (gpointer data)
{
  g_autoptr (GTask) task = data;
  Lookup *lookup = g_task_get_task_data (task);

  lookup->status = kp_keyring_lookup (lookup->plan_id, lookup->may_prompt, &lookup->credentials,
                                      g_task_get_cancellable (task), &lookup->error);
  g_task_return_boolean (task, TRUE);
  return NULL;
}

/**
 * kp_keyring_lookup_async:
 *
 * kp_keyring_lookup() in a thread of its own, as a prompt may stay open all day.
 */
void
kp_keyring_lookup_async (const char *plan_id,
                         gboolean may_prompt,
                         GCancellable *cancellable,
                         GAsyncReadyCallback callback,
                         void *user_data)
{
  GTask *task = g_task_new (NULL, cancellable, callback, user_data);
  Lookup *lookup = g_new0 (Lookup, 1);

  g_return_if_fail (plan_id != NULL);

  lookup->plan_id = g_strdup (plan_id);
  lookup->may_prompt = may_prompt;
  g_task_set_source_tag (task, kp_keyring_lookup_async);
  g_task_set_task_data (task, lookup, lookup_free);
  /* The lookup says so itself, once it has ended. */
  g_task_set_check_cancellable (task, FALSE);
  g_thread_unref (g_thread_new ("keepsake-keyring", lookup_thread, task));
}

/**
 * kp_keyring_lookup_finish:
 *
 * As kp_keyring_lookup().
 */
KpKeyringStatus
kp_keyring_lookup_finish (GAsyncResult *result, KpS3Credentials **credentials, GError **error)
{
  g_return_val_if_fail (g_task_is_valid (result, NULL), KP_KEYRING_FAILED);

  Lookup *lookup = g_task_get_task_data (G_TASK (result));
  *credentials = g_steal_pointer (&lookup->credentials);
  if (lookup->error != NULL)
    g_propagate_error (error, g_steal_pointer (&lookup->error));
  return lookup->status;
}

/* --- storing -------------------------------------------------------------------------------- */

static gboolean
store_item (const char *plan_id,
            const char *plan_name,
            ItemKind kind,
            const char *value,
            GCancellable *cancellable,
            GError **error)
{
  g_autofree char *label = g_strdup_printf ("Keepsake, %s of “%s”", kinds[kind].label, plan_name);
  g_autoptr (GError) local_error = NULL;

  if (secret_password_store_sync (&schema, SECRET_COLLECTION_DEFAULT, label, value, cancellable,
                                  &local_error, ATTRIBUTE_PLAN, plan_id, ATTRIBUTE_KIND,
                                  kinds[kind].name, NULL))
    return TRUE;
  /* So a prompt ends that was dismissed: one to unlock the keyring, or to make the first one. */
  if (local_error == NULL || g_error_matches (local_error, SECRET_ERROR, SECRET_ERROR_IS_LOCKED)
      || g_error_matches (local_error, G_DBUS_ERROR, G_DBUS_ERROR_UNKNOWN_METHOD)
      || g_error_matches (local_error, G_DBUS_ERROR, G_DBUS_ERROR_UNKNOWN_OBJECT))
    set_locked ("The keyring was not unlocked", error);
  else
    g_propagate_error (error, g_steal_pointer (&local_error));
  return FALSE;
}

/* The access key comes last: without it, what is there does not count as keys. */
static gboolean
store_once (const char *plan_id,
            const char *plan_name,
            KpS3Credentials *credentials,
            GCancellable *cancellable,
            GError **error)
{
  const char *access_key = kp_s3_credentials_get_access_key (credentials);
  const char *secret = kp_s3_credentials_get_secret_key (credentials);
  const char *token = kp_s3_credentials_get_session_token (credentials);
  g_autoptr (GError) local_error = NULL;

  if (!store_item (plan_id, plan_name, ITEM_SECRET, secret, cancellable, error))
    return FALSE;
  if (token != NULL
      && !store_item (plan_id, plan_name, ITEM_SESSION_TOKEN, token, cancellable, error))
    return FALSE;
  if (token == NULL)
    secret_password_clear_sync (&schema, cancellable, &local_error, ATTRIBUTE_PLAN, plan_id,
                                ATTRIBUTE_KIND, kinds[ITEM_SESSION_TOKEN].name, NULL);
  if (local_error != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&local_error));
      return FALSE;
    }
  return store_item (plan_id, plan_name, ITEM_ACCESS_KEY, access_key, cancellable, error);
}

/**
 * kp_keyring_store:
 * @plan_id: of the plan
 * @plan_name: for the labels of the items
 * @credentials: the keys, which replace those that are there
 * @error: %KP_ERROR_KEYRING_LOCKED when the user did not unlock it; %KP_ERROR_FAILED;
 *   %G_IO_ERROR_CANCELLED
 *
 * May ask the user to unlock the keyring.
 */
gboolean
kp_keyring_store (const char *plan_id,
                  const char *plan_name,
                  KpS3Credentials *credentials,
                  GCancellable *cancellable,
                  GError **error)
{
  g_autoptr (GError) cause = NULL;

  g_return_val_if_fail (plan_id != NULL && plan_name != NULL, FALSE);

  gboolean ok = store_once (plan_id, plan_name, credentials, cancellable, &cause);
  if (!ok && forget_old_session (cause))
    {
      g_clear_error (&cause);
      ok = store_once (plan_id, plan_name, credentials, cancellable, &cause);
    }
  if (!ok)
    set_error_from (cause, error);
  return ok;
}

/* Clearing leaves alone what is locked, and says nothing of it; only a search unlocks. */
static gboolean
clear_once (const char *plan_id, GCancellable *cancellable, GError **error)
{
  g_autoptr (GError) local_error = NULL;
  g_autoptr (ItemList) items
      = search (plan_id, NULL, SECRET_SEARCH_UNLOCK, cancellable, &local_error);
  g_autoptr (ItemList) left = NULL;

  if (local_error == NULL && items != NULL)
    secret_password_clear_sync (&schema, cancellable, &local_error, ATTRIBUTE_PLAN, plan_id, NULL);
  if (local_error == NULL && items != NULL)
    left = search (plan_id, NULL, SECRET_SEARCH_NONE, cancellable, &local_error);
  if (local_error == NULL && left != NULL)
    set_locked ("The keyring was not unlocked", &local_error);
  if (local_error == NULL)
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&local_error));
  return FALSE;
}

/**
 * kp_keyring_clear:
 * @error: as for kp_keyring_store()
 *
 * Forgets the keys of a plan, if there are any. May ask the user to unlock the keyring.
 */
gboolean
kp_keyring_clear (const char *plan_id, GCancellable *cancellable, GError **error)
{
  g_autoptr (GError) cause = NULL;

  g_return_val_if_fail (plan_id != NULL, FALSE);

  gboolean ok = clear_once (plan_id, cancellable, &cause);
  if (!ok && forget_old_session (cause))
    {
      g_clear_error (&cause);
      ok = clear_once (plan_id, cancellable, &cause);
    }
  if (!ok)
    set_error_from (cause, error);
  return ok;
}

/* --- import --------------------------------------------------------------------------------- */

/* "[profile NAME]" and "[NAME]", or NULL for a line that is no heading. */
static char *
parse_heading (const char *line)
{
  const char *end = *line == '[' ? strchr (line, ']') : NULL;

  if (end == NULL)
    return NULL;
  g_autofree char *name = g_strstrip (g_strndup (line + 1, (gsize) (end - line - 1)));
  if (g_str_has_prefix (name, "profile "))
    return g_strstrip (g_strdup (name + strlen ("profile ")));
  return g_steal_pointer (&name);
}

/**
 * kp_keyring_list_aws_profiles:
 * @credentials_file: usually ~/.aws/credentials
 *
 * Returns: (transfer full): the profiles that have keys, in the order of the file; empty where
 * there is no such file. kp_s3_credentials_from_profile() reads the keys.
 */
GStrv
kp_keyring_list_aws_profiles (const char *credentials_file)
{
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();
  g_autofree char *profile = NULL;
  char *text = NULL;
  gsize length = 0;

  if (!g_file_get_contents (credentials_file, &text, &length, NULL) || text == NULL)
    return g_strv_builder_end (builder);
  for (char *line = text, *next = NULL; line != NULL; line = next)
    {
      next = strchr (line, '\n');
      if (next != NULL)
        *next++ = '\0';
      line += strspn (line, " \t");

      char *heading = parse_heading (line);
      if (heading != NULL)
        {
          g_free (profile);
          profile = heading;
        }
      else if (profile != NULL && g_str_has_prefix (line, "aws_access_key_id")
               && g_utf8_validate (profile, -1, NULL))
        {
          g_strv_builder_add (builder, profile);
          g_clear_pointer (&profile, g_free);
        }
    }
  explicit_bzero (text, length); /* the secrets are in it, too */
  g_free (text);
  return g_strv_builder_end (builder);
}
