/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-agent"

#include "kp-clock.h"

#include <errno.h>
#include <glib-unix.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

/* The longest that the timer is set for; then it is set again. A kernel may count seconds in 32
 * bits. */
#define LONGEST (365 * G_GINT64_CONSTANT (86400))

struct _KpClock
{
  GObject parent_instance;

  gboolean is_test;
  gint64 test_time; /* atomic by its lock: jobs ask from their threads */
  GMutex lock;

  gint64 alarm;  /* G_MAXINT64: none */
  gint64 asleep; /* how long the computer has slept since it was started, in seconds */
  int fd;        /* of the timer, or -1 */
  GSource *source;
};

enum
{
  SIGNAL_RESUMED,
  SIGNAL_ALARM,
  SIGNAL_JUMPED,
  N_SIGNALS,
};

static guint signals[N_SIGNALS];

G_DEFINE_FINAL_TYPE (KpClock, kp_clock, G_TYPE_OBJECT)

static gboolean timer_cb (int fd, GIOCondition condition, void *data);

/* (Re)starts the timer. Without an alarm it is set far away, as it also tells when the clock is
 * set. */
static void
arm (KpClock *self)
{
  gint64 now = kp_clock_get_now (self);
  struct itimerspec when
      = { .it_value = { .tv_sec = (time_t) CLAMP (self->alarm, 1, now + LONGEST) } };

  if (timerfd_settime (self->fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &when, NULL) != 0
      && errno != ECANCELED)
    g_warning ("Cannot set the timer: %s", g_strerror (errno));
}

/* One of the two clocks goes on while the computer sleeps (clock_gettime(2)). */
static gint64
read_asleep (void)
{
  struct timespec with_sleep;
  struct timespec without;

  if (clock_gettime (CLOCK_BOOTTIME, &with_sleep) != 0
      || clock_gettime (CLOCK_MONOTONIC, &without) != 0)
    return 0;
  return (gint64) with_sleep.tv_sec - (gint64) without.tv_sec
         - (with_sleep.tv_nsec < without.tv_nsec ? 1 : 0);
}

/* @asleep: of the computer, since it was started */
static void
tell_of_sleep (KpClock *self, gint64 asleep)
{
  /* The two are not read at the same moment. */
  gboolean has_slept = asleep > self->asleep + 1;

  self->asleep = MAX (asleep, self->asleep);
  if (has_slept)
    g_signal_emit (self, signals[SIGNAL_RESUMED], 0);
}

static gboolean
timer_cb (int fd, GIOCondition condition, void *data)
{
  KpClock *self = data;
  guint64 expirations;

  tell_of_sleep (self, read_asleep ());
  if (read (fd, &expirations, sizeof expirations) == (ssize_t) sizeof expirations)
    {
      if (self->alarm > kp_clock_get_now (self))
        arm (self);
      else
        {
          self->alarm = G_MAXINT64;
          g_signal_emit (self, signals[SIGNAL_ALARM], 0);
        }
    }
  else if (errno == ECANCELED)
    {
      arm (self);
      g_signal_emit (self, signals[SIGNAL_JUMPED], 0);
    }
  return G_SOURCE_CONTINUE;
}

/* A test's alarm goes off in the main loop, as a real one does. */
static gboolean
test_alarm_cb (void *data)
{
  KpClock *self = data;

  g_clear_pointer (&self->source, g_source_unref);
  if (self->alarm <= kp_clock_get_now (self))
    {
      self->alarm = G_MAXINT64;
      g_signal_emit (self, signals[SIGNAL_ALARM], 0);
    }
  return G_SOURCE_REMOVE;
}

static void
check_test_alarm (KpClock *self)
{
  if (self->source != NULL || self->alarm > kp_clock_get_now (self))
    return;
  self->source = g_idle_source_new ();
  g_source_set_priority (self->source, G_PRIORITY_DEFAULT);
  g_source_set_callback (self->source, test_alarm_cb, self, NULL);
  g_source_attach (self->source, NULL);
}

static void
kp_clock_finalize (GObject *object)
{
  KpClock *self = KP_CLOCK (object);

  if (self->source != NULL)
    {
      g_source_destroy (self->source);
      g_source_unref (self->source);
    }
  if (self->fd >= 0)
    close (self->fd);
  g_mutex_clear (&self->lock);
  G_OBJECT_CLASS (kp_clock_parent_class)->finalize (object);
}

static void
kp_clock_class_init (KpClockClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = kp_clock_finalize;
  signals[SIGNAL_RESUMED] = g_signal_new ("resumed", KP_TYPE_CLOCK, G_SIGNAL_RUN_LAST, 0, NULL,
                                          NULL, NULL, G_TYPE_NONE, 0);
  signals[SIGNAL_ALARM] = g_signal_new ("alarm", KP_TYPE_CLOCK, G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                                        NULL, G_TYPE_NONE, 0);
  signals[SIGNAL_JUMPED] = g_signal_new ("jumped", KP_TYPE_CLOCK, G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                                         NULL, G_TYPE_NONE, 0);
}

static void
kp_clock_init (KpClock *self)
{
  g_mutex_init (&self->lock);
  self->alarm = G_MAXINT64;
  self->fd = -1;
}

KpClock *
kp_clock_new (void)
{
  KpClock *self = g_object_new (KP_TYPE_CLOCK, NULL);

  self->asleep = read_asleep ();
  self->fd = timerfd_create (CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
  if (self->fd < 0)
    {
      g_critical ("There is no timer: %s", g_strerror (errno));
      return self;
    }
  self->source = g_unix_fd_source_new (self->fd, G_IO_IN);
  g_source_set_callback (self->source, G_SOURCE_FUNC (timer_cb), self, NULL);
  g_source_attach (self->source, NULL);
  arm (self);
  return self;
}

/**
 * kp_clock_new_for_test:
 * @unix_seconds: what it shows until kp_clock_set_time() moves it
 */
KpClock *
kp_clock_new_for_test (gint64 unix_seconds)
{
  KpClock *self = g_object_new (KP_TYPE_CLOCK, NULL);

  self->is_test = TRUE;
  self->test_time = unix_seconds;
  return self;
}

/**
 * kp_clock_get_now:
 *
 * Returns: seconds since 1970 UTC. From any thread
 */
gint64
kp_clock_get_now (KpClock *self)
{
  if (!self->is_test)
    return g_get_real_time () / G_USEC_PER_SEC;
  g_mutex_lock (&self->lock);
  gint64 now = self->test_time;
  g_mutex_unlock (&self->lock);
  return now;
}

/**
 * kp_clock_set_alarm:
 * @unix_seconds: when to emit "alarm", once; %G_MAXINT64 for never. What is past is now
 */
void
kp_clock_set_alarm (KpClock *self, gint64 unix_seconds)
{
  self->alarm = unix_seconds;
  if (self->is_test)
    check_test_alarm (self);
  else if (self->fd >= 0)
    arm (self);
}

gint64
kp_clock_get_alarm (KpClock *self)
{
  return self->alarm;
}

static void
move_test_time (KpClock *self, gint64 unix_seconds)
{
  g_mutex_lock (&self->lock);
  self->test_time = unix_seconds;
  g_mutex_unlock (&self->lock);
}

/**
 * kp_clock_set_time:
 *
 * Moves a test's clock, and only that.
 */
void
kp_clock_set_time (KpClock *self, gint64 unix_seconds)
{
  g_return_if_fail (self->is_test);

  move_test_time (self, unix_seconds);
  check_test_alarm (self);
}

/**
 * kp_clock_sleep:
 *
 * Moves a test's clock as if the computer had slept for @seconds, and only that.
 */
void
kp_clock_sleep (KpClock *self, gint64 seconds)
{
  g_return_if_fail (self->is_test);

  move_test_time (self, kp_clock_get_now (self) + seconds);
  tell_of_sleep (self, self->asleep + seconds);
  check_test_alarm (self);
}
