/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "config.h"

#include "kp-ctl.h"
#include "kp-process.h"

#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const struct
{
  const char *name;
  KpExit (*run) (char **arguments);
  const char *summary;
} commands[] = {
  { "mirror", kp_ctl_mirror, "make a bucket hold what folders hold" },
  { "restore", kp_ctl_restore, "bring files back" },
  { "ls", kp_ctl_ls, "list what a bucket holds" },
  { "versions", kp_ctl_versions, "list the versions of a file that can be restored" },
  { "verify", kp_ctl_verify, "compare objects with files, byte for byte" },
  { "recover", kp_ctl_recover, "say how to get the files back without Keepsake" },
  { "probe", kp_ctl_probe, "find out what a server can do, and say it in words" },
  { "plan", kp_ctl_plan, "set up plans: add, list, show, edit, remove, export, import" },
  { "run", kp_ctl_run, "run a plan now" },
  { "status", kp_ctl_status, "say how all plans stand" },
  { "history", kp_ctl_history, "say what became of a plan, job by job" },
  { "pause", kp_ctl_pause, "hold all jobs for a while" },
  { "resume", kp_ctl_resume, "let them go on" },
  { "limit", kp_ctl_limit, "limit the upload of whatever runs" },
  { "autostart", kp_ctl_autostart, "start the agent that begins what is due, at each login" },
  { "credentials", kp_ctl_credentials, "keep the keys of a plan in the keyring" },
};

static KpExit exit_code = KP_EXIT_DONE;

static void
print_help (FILE *file)
{
  fputs ("Usage: keepsakectl COMMAND [OPTION…]\n\n"
         "Keeps folders safe in Amazon S3 and every S3-compatible store.\n\n"
         "Commands:\n",
         file);
  for (gsize i = 0; i < G_N_ELEMENTS (commands); i++)
    fprintf (file, "  %-12s %s\n", commands[i].name, commands[i].summary);
  fputs (
      "\n"
      "Options:\n"
      "  -h, --help   say this; after a command, what it does and with which options\n"
      "  --version    say which version this is\n"
      "\n"
      "keepsakectl COMMAND --help explains each of them. To begin with:\n\n"
      "  export AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=…\n"
      "  keepsakectl probe s3://my-bucket\n"
      "  keepsakectl mirror ~/Pictures s3://my-bucket/laptop\n"
      "  keepsakectl restore s3://my-bucket/laptop/Pictures ~/Restored\n"
      "\n"
      "Or have it done without being asked:\n\n"
      "  keepsakectl plan add Photos ~/Pictures s3://my-bucket/laptop --schedule '@daily 12:30'\n"
      "  keepsakectl credentials set Photos\n"
      "  keepsakectl run Photos\n"
      "  keepsakectl autostart on\n"
      "  keepsakectl status\n",
      file);
}

/* --help of a command ends the process by itself, so that this has to be its last act. */
static void
close_output (void)
{
  int reason = kp_ctl_output_close ();

  if (reason == 0)
    return;
  /* Who closes the pipe has read enough. */
  if (reason > 0 && reason != EPIPE)
    g_printerr ("keepsakectl: Cannot write the output: %s\n", g_strerror (reason));
  else if (reason < 0)
    g_printerr ("keepsakectl: Cannot write the output\n");
  _exit (exit_code != KP_EXIT_DONE ? (int) exit_code : KP_EXIT_USAGE);
}

int
main (int argc, char **argv)
{
  /* The standard output is for programs, whatever is logged. */
  g_log_writer_default_set_use_stderr (TRUE);
  kp_process_prepare ();
  /* A locale that is not installed leaves us with the plain one. */
  if (setlocale (LC_ALL, "") == NULL)
    g_debug ("The locale is not installed");
  if (atexit (close_output) != 0)
    g_error ("Cannot register what is to be done at the end");

  if (argc < 2)
    {
      print_help (stderr);
      return exit_code = KP_EXIT_USAGE;
    }
  if (g_str_equal (argv[1], "--help") || g_str_equal (argv[1], "-h")
      || g_str_equal (argv[1], "help"))
    {
      print_help (stdout);
      return KP_EXIT_DONE;
    }
  if (g_str_equal (argv[1], "--version"))
    {
      puts ("keepsakectl " KP_VERSION);
      return KP_EXIT_DONE;
    }
  for (gsize i = 0; i < G_N_ELEMENTS (commands); i++)
    if (g_str_equal (argv[1], commands[i].name))
      {
        g_autofree char *name = g_strconcat ("keepsakectl ", commands[i].name, NULL);
        g_set_prgname (name);
        /* GLib takes options out of the array, and frees them; it needs one of its own. */
        g_auto (GStrv) arguments = g_strdupv (argv + 1);
        kp_ctl_output_expect_json (arguments);
        exit_code = commands[i].run (arguments);
        return (int) exit_code;
      }
  g_printerr ("keepsakectl: There is no command “%s”; see keepsakectl --help\n", argv[1]);
  return exit_code = KP_EXIT_USAGE;
}
