/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

/* "credentials": the keys of a plan, on their way into the keyring. They come from a terminal that
 * does not show them, from standard input or from a file, never from the command line, and what
 * held them is wiped. */

#include "kp-ctl-plans.h"

#include "kp-error.h"
#include "kp-keyring.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define MAX_KEYS 16384

static const char help[]
    = "Usage: keepsakectl credentials COMMAND PLAN\n"
      "\n"
      "Keeps the keys of a plan in the keyring of this session.\n"
      "\n"
      "Commands:\n"
      "  set PLAN     ask for them, or read them from standard input\n"
      "  clear PLAN   forget them\n"
      "  check PLAN   say whether they are there\n"
      "\n"
      "keepsakectl credentials COMMAND --help explains each of them. A server without a keyring\n"
      "needs none: keepsakectl run --foreground takes keys as keepsakectl mirror does.\n";

static const char set_examples[]
    = "Examples:\n"
      "    keepsakectl credentials set Photos\n"
      "    keepsakectl credentials set Photos <keys.txt\n"
      "    keepsakectl credentials set Photos --from-profile default\n"
      "    keepsakectl credentials set Photos --from-passwd-file ~/.passwd-s3fs\n"
      "\n"
      "On a terminal it asks. Otherwise it reads ACCESS:SECRET or ACCESS:SECRET:TOKEN, or two or "
      "three\n"
      "lines with these. They are never taken from the command line, which others can see.";

/* --- input ---------------------------------------------------------------------------------- */

/* What was typed or read. Never longer than this, so that nothing is ever moved and left behind. */
typedef struct
{
  char text[MAX_KEYS + 1];
  gsize length;
} Input;

static void
input_clear (Input *input)
{
  explicit_bzero (input, sizeof *input);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Input, input_clear)

static volatile sig_atomic_t interrupted;

static void
interrupted_cb (int number)
{
  interrupted = 1;
}

/* Waits for a line while nothing but a signal of @mask may come between. */
static gboolean
wait_for_line (const sigset_t *mask, GError **error)
{
  struct pollfd fd = { .fd = STDIN_FILENO, .events = POLLIN };

  while (!interrupted && ppoll (&fd, 1, NULL, mask) < 0)
    if (errno != EINTR)
      break;
  if (!interrupted)
    return TRUE;
  g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "Nothing was entered");
  return FALSE;
}

/* Reads up to the end of the input, or of the line. */
static gboolean
read_input (Input *input, gboolean one_line, GError **error)
{
  while (input->length < MAX_KEYS)
    {
      gssize n = read (STDIN_FILENO, input->text + input->length,
                       one_line ? 1 : MAX_KEYS - input->length);
      if (n < 0 && errno == EINTR)
        continue;
      if (n < 0)
        {
          g_set_error (error, KP_ERROR, KP_ERROR_USAGE, "Cannot read the keys: %s",
                       g_strerror (errno));
          return FALSE;
        }
      if (n == 0)
        break;
      input->length += (gsize) n;
      if (one_line && input->text[input->length - 1] == '\n')
        break;
    }
  input->text[input->length] = '\0';
  if (input->length < MAX_KEYS)
    return TRUE;
  g_set_error_literal (error, KP_ERROR, KP_ERROR_USAGE, "That is too long to be keys");
  return FALSE;
}

/* The terminal comes back as it was, also when the user thinks better of it. */
static gboolean
ask (const char *question, gboolean hidden, Input *input, GError **error)
{
  static const int numbers[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP };
  struct sigaction old[G_N_ELEMENTS (numbers)];
  struct sigaction action = { .sa_handler = interrupted_cb };
  struct termios before;
  struct termios during;
  sigset_t blocked;
  sigset_t mask;

  if (tcgetattr (STDIN_FILENO, &before) != 0)
    {
      g_set_error (error, KP_ERROR, KP_ERROR_FAILED, "Cannot use the terminal: %s",
                   g_strerror (errno));
      return FALSE;
    }
  /* A signal between two looks at the flag would be one that nobody hears. */
  interrupted = 0;
  sigemptyset (&blocked);
  for (gsize i = 0; i < G_N_ELEMENTS (numbers); i++)
    {
      sigaddset (&blocked, numbers[i]);
      sigaction (numbers[i], &action, &old[i]);
    }
  sigprocmask (SIG_BLOCK, &blocked, &mask);
  during = before;
  if (hidden)
    during.c_lflag &= ~(tcflag_t) ECHO;
  tcsetattr (STDIN_FILENO, TCSAFLUSH, &during);
  fprintf (stderr, "%s: ", question);
  fflush (stderr);

  gboolean ok = wait_for_line (&mask, error) && read_input (input, TRUE, error);

  tcsetattr (STDIN_FILENO, TCSAFLUSH, &before);
  sigprocmask (SIG_SETMASK, &mask, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (numbers); i++)
    sigaction (numbers[i], &old[i], NULL);
  if (hidden || !ok)
    fputc ('\n', stderr);
  return ok;
}

static gboolean
is_key (const char *text)
{
  for (const char *p = text; *p != '\0'; p++)
    if (!g_ascii_isgraph (*p))
      return FALSE;
  return *text != '\0';
}

/* Says what is wrong with them, never what they are. */
static KpS3Credentials *
make_credentials (const char *access_key, const char *secret, const char *token, GError **error)
{
  const char *what = NULL;

  if (access_key == NULL || !is_key (access_key))
    what = "access key";
  else if (secret == NULL || !is_key (secret))
    what = "secret key";
  else if (token != NULL && !is_key (token))
    what = "session token";
  if (what == NULL)
    return kp_s3_credentials_new (access_key, secret, token);
  g_set_error (error, KP_ERROR, KP_ERROR_USAGE,
               "The %s is missing, or holds a blank or another character that no key has; write "
               "ACCESS:SECRET, or each in a line of its own",
               what);
  return NULL;
}

/* Takes the text apart in place. */
static KpS3Credentials *
parse_input (Input *input, GError **error)
{
  char *parts[3] = { NULL, NULL, NULL };
  const char *separators = "\r\n";
  char *rest = input->text;
  gsize n = 0;

  g_strstrip (rest);
  if (strpbrk (rest, "\r\n") == NULL)
    separators = ":";
  for (char *part; (part = strsep (&rest, separators)) != NULL;)
    {
      g_strstrip (part);
      if (*part == '\0' && *separators != ':')
        continue;
      if (n == G_N_ELEMENTS (parts))
        {
          g_set_error_literal (
              error, KP_ERROR, KP_ERROR_USAGE,
              "These are more than access key, secret key and session token; write "
              "ACCESS:SECRET, or each in a line of its own");
          return NULL;
        }
      parts[n++] = part;
    }
  return make_credentials (parts[0], parts[1], parts[2], error);
}

static KpS3Credentials *
ask_for_keys (GError **error)
{
  g_auto (Input) access_key = { .length = 0 };
  g_auto (Input) secret = { .length = 0 };

  if (!ask ("Access key", FALSE, &access_key, error)
      || !ask ("Secret key (is not shown)", TRUE, &secret, error))
    return NULL;
  return make_credentials (g_strstrip (access_key.text), g_strstrip (secret.text), NULL, error);
}

static KpS3Credentials *
read_keys (GError **error)
{
  g_auto (Input) input = { .length = 0 };

  return read_input (&input, FALSE, error) ? parse_input (&input, error) : NULL;
}

/* --- the commands --------------------------------------------------------------------------- */

static KpS3Credentials *
find_keys (KpPlan *plan, const char *profile, const char *passwd_file, GError **error)
{
  g_autoptr (GError) local_error = NULL;

  if (profile == NULL && passwd_file == NULL)
    return isatty (STDIN_FILENO) ? ask_for_keys (error) : read_keys (error);
  KpS3Credentials *credentials
      = kp_ctl_find_credentials (profile, passwd_file, kp_plan_get_bucket (plan), &local_error);
  if (credentials == NULL)
    g_set_error_literal (error, KP_ERROR, KP_ERROR_BAD_CREDENTIALS, local_error->message);
  return credentials;
}

static void
report (KpPlan *plan, gboolean json, const char *status, const char *sentence)
{
  KpCtlOptions options = { .json = json };
  g_autoptr (KpCtlOutput) output = kp_ctl_output_new (&options, NULL, FALSE);

  if (json)
    kp_ctl_output_json (output, "credentials", "id", "s", kp_plan_get_id (plan), "name", "s",
                        kp_plan_get_name (plan), "status", "s", status, NULL);
  else
    kp_ctl_output_line (output, "%s", sentence);
}

/* Whatever follows PLAN may be a key: it is not repeated. */
static KpPlan *
take_plan (char **arguments, GError **error)
{
  unsigned n = g_strv_length (arguments);

  if (n == 2)
    return kp_ctl_load_plan (arguments[1], error);
  if (n < 2)
    g_set_error (error, KP_ERROR, KP_ERROR_USAGE, "Usage: %s PLAN; see %s --help", g_get_prgname (),
                 g_get_prgname ());
  else
    g_set_error (error, KP_ERROR, KP_ERROR_USAGE,
                 "Only the name of a plan is expected. Keys are not taken from the command line, "
                 "where others can see them; if that was one, make a new one");
  return NULL;
}

static KpExit
set (char **arguments)
{
  g_autofree char *profile = NULL;
  g_autofree char *passwd_file = NULL;
  gboolean json = FALSE;
  const GOptionEntry entries[] = {
    { "from-profile", 0, 0, G_OPTION_ARG_STRING, &profile,
      "Take those of a profile in ~/.aws/credentials", "NAME" },
    { "from-passwd-file", 0, 0, G_OPTION_ARG_FILENAME, &passwd_file,
      "Take those of a file as for s3fs", "FILE" },
    { "json", 0, 0, G_OPTION_ARG_NONE, &json, "Print a JSON object", NULL },
    { NULL },
  };
  g_autoptr (GOptionContext) context = kp_ctl_context_new (
      entries, "PLAN", "Puts the keys of a plan into the keyring.", set_examples);
  g_autoptr (GError) error = NULL;

  if (!kp_ctl_parse (context, &arguments, &error))
    return kp_ctl_fail (error);
  g_autoptr (KpPlan) plan = take_plan (arguments, &error);
  if (plan == NULL)
    return kp_ctl_fail (error);
  if (profile != NULL && passwd_file != NULL)
    return kp_ctl_usage ("PLAN [--from-profile NAME|--from-passwd-file FILE]");

  g_autoptr (KpS3Credentials) credentials = find_keys (plan, profile, passwd_file, &error);
  if (credentials == NULL)
    return kp_ctl_fail (error);
  if (!kp_keyring_store (kp_plan_get_id (plan), kp_plan_get_name (plan), credentials, NULL, &error))
    {
      if (kp_error_is (error, KP_ERROR_FAILED))
        kp_ctl_add_remedy (&error,
                           "without a keyring, keepsakectl run --foreground takes keys from "
                           "the environment, --profile or --passwd-file");
      return kp_ctl_fail (error);
    }
  g_autofree char *sentence
      = g_strdup_printf ("The keys of “%s” are in the keyring.", kp_plan_get_name (plan));
  report (plan, json, kp_keyring_status_name (KP_KEYRING_FOUND), sentence);
  return KP_EXIT_DONE;
}

static KpExit
clear (char **arguments)
{
  gboolean json = FALSE;
  const GOptionEntry entries[] = {
    { "json", 0, 0, G_OPTION_ARG_NONE, &json, "Print a JSON object", NULL },
    { NULL },
  };
  g_autoptr (GOptionContext) context
      = kp_ctl_context_new (entries, "PLAN", "Takes the keys of a plan out of the keyring.",
                            "Example:\n    keepsakectl credentials clear Photos");
  g_autoptr (GError) error = NULL;

  if (!kp_ctl_parse (context, &arguments, &error))
    return kp_ctl_fail (error);
  g_autoptr (KpPlan) plan = take_plan (arguments, &error);
  if (plan == NULL || !kp_keyring_clear (kp_plan_get_id (plan), NULL, &error))
    return kp_ctl_fail (error);
  g_autofree char *sentence
      = g_strdup_printf ("The keyring has no keys of “%s”.", kp_plan_get_name (plan));
  report (plan, json, kp_keyring_status_name (KP_KEYRING_MISSING), sentence);
  return KP_EXIT_DONE;
}

static char *
describe_status (KpPlan *plan, KpKeyringStatus status)
{
  const char *name = kp_plan_get_name (plan);

  switch (status)
    {
    case KP_KEYRING_FOUND:
      return g_strdup_printf ("The keys of “%s” are in the keyring.", name);
    case KP_KEYRING_MISSING:
      return g_strdup_printf ("There are no keys of “%s” in the keyring; keepsakectl credentials "
                              "set puts them there.",
                              name);
    case KP_KEYRING_LOCKED:
    case KP_KEYRING_DISMISSED:
      return g_strdup_printf ("The keyring with the keys of “%s” is locked; unlock it.", name);
    case KP_KEYRING_UNAVAILABLE:
      return g_strdup ("No keyring runs in this session.");
    case KP_KEYRING_FAILED:
    default:
      return g_strdup ("The keyring cannot be used.");
    }
}

static KpExit
check (char **arguments)
{
  gboolean json = FALSE;
  const GOptionEntry entries[] = {
    { "json", 0, 0, G_OPTION_ARG_NONE, &json, "Print a JSON object", NULL },
    { NULL },
  };
  g_autoptr (GOptionContext) context = kp_ctl_context_new (
      entries, "PLAN", "Says whether the keyring has the keys of a plan. Asks nobody to unlock it.",
      "Example:\n    keepsakectl credentials check Photos\n\nExit code 0 if they are there, else "
      "4.");
  g_autoptr (KpS3Credentials) credentials = NULL;
  g_autoptr (GError) reason = NULL;
  g_autoptr (GError) error = NULL;

  if (!kp_ctl_parse (context, &arguments, &error))
    return kp_ctl_fail (error);
  g_autoptr (KpPlan) plan = take_plan (arguments, &error);
  if (plan == NULL)
    return kp_ctl_fail (error);
  KpKeyringStatus status
      = kp_keyring_lookup (kp_plan_get_id (plan), FALSE, &credentials, NULL, &reason);
  g_autofree char *sentence = describe_status (plan, status);
  report (plan, json, kp_keyring_status_name (status), sentence);
  return status == KP_KEYRING_FOUND ? KP_EXIT_DONE : KP_EXIT_PERMISSION;
}

KpExit
kp_ctl_credentials (char **arguments)
{
  static const char *const names[] = { "set", "clear", "check", NULL };
  static KpExit (*const functions[]) (char **arguments) = { set, clear, check };

  return kp_ctl_dispatch (arguments, "credentials", help, names, functions);
}
