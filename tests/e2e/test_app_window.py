# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""The window comes and goes, the agent stalls and dies, texts are as long as they like: what is seen
is true, and never frozen."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from gi.repository import GLib

from fixtures import wait_until
from fixtures.agent import Agent, Plan
from fixtures.app import BUILD, Application, add_plan, stalled
from fixtures.checks import keys, write_files
from fixtures.notifications import Notifications

pytest_plugins = ["fixtures.app_fixtures"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_files(tmp_path / "Pictures", {"one": "1", "two": "2"})


@pytest.fixture
def slow_folder(tmp_path: Path) -> Path:
    return write_files(tmp_path / "Slow", {f"{i}.jpg": os.urandom(40_000) for i in range(100)})


def test_closing_leaves_the_job(
    app: Application, app_agent: Agent, slow_folder: Path, bucket: str
) -> None:
    """Opened again, the window shows its true progress at once; and it says once that backups go on."""
    notifications = Notifications(app.bus)  # the desktop's has all that the tests before did
    app_agent.start()
    plan = add_plan(app_agent, "Photos", slow_folder, bucket, **{"upload-limit": "64K"})
    app.start()
    app.press("Back Up Now")
    app.wait_for_text(" left")
    job = plan.wait_for_job()
    wait_until(lambda: job.get("Progress")["files-done"] > 3, 20, "some files")
    app.key("Control+w")
    app.wait_for_no_window()
    notifications.wait_for(summary="Backups go on without this window")
    done = job.get("Progress")["files-done"]
    assert job.state == "transferring"

    app.start()
    text = app.wait_for(part=" of 101 files").name
    assert int(text.split()[0]) >= done
    assert app.wait_for("Progress", role="progress bar").value > 0
    assert app_agent.get("State") == "running"
    told = len(notifications.all)
    app.key("Control+q")
    app.wait_for_no_window()
    assert app_agent.is_running() and job.state == "transferring"
    new = notifications.all[told:]
    assert [n for n in new if n.summary == "Backups go on without this window"] == []
    app_agent.manager("SetUploadLimit", "(xa{sv})", 0, {})
    assert job.wait()["failed"] == 0
    notifications.recorder.stop()


def test_agent_killed_during_a_job(
    app: Application, app_agent: Agent, slow_folder: Path, bucket: str
) -> None:
    app_agent.start()
    plan = add_plan(app_agent, "Photos", slow_folder, bucket, **{"upload-limit": "300K"})
    app.start()
    app.show_plan(plan)
    plan.run()
    app.wait_for_text(" left")
    app_agent.kill()
    app.wait_for("Backups Are Not Running")
    app.press("Start Backups")
    app.show_plan(plan)
    app.wait_for("Interrupted: the computer or the program ended")
    app_agent.manager("SetUploadLimit", "(xa{sv})", 0, {})
    back_up(plan)
    app.wait_for_text("Backed up just now", timeout=30)


def back_up(plan: Plan) -> None:
    """Unless the agent does it by itself already. Not in the window, where the button may be one for
    a moment that is over."""
    try:
        plan.run()
    except GLib.GError as error:
        assert "Error.Busy" in str(error), error


def is_alive(app: Application) -> None:
    """Sooner than a call to the agent gives up, which is after 25 seconds."""
    app.key("Control+comma")
    app.wait_for("In the Background", timeout=20)
    app.key("Escape")
    app.wait_for_none("In the Background", timeout=20)


def test_agent_stalled(app: Application, app_agent: Agent, folder: Path, bucket: str) -> None:
    """A window that is open stays alive, and says that what it shows may be old; one that is opened
    is there, and says that it waits."""
    app_agent.start()
    plan = add_plan(app_agent, "Photos", folder, bucket)
    app.start()
    app.wait_for_text("Photos")
    with stalled(app_agent):
        app.press("Back Up Now")  # is not answered
        is_alive(app)
        app.wait_for_text("does not answer", timeout=20)
        app.look("state-agent-stalled")
        is_alive(app)
    app.wait_for_none(part="does not answer")
    app.wait_for_text("Backed up just now")
    app.show_plan(plan)
    app.wait_for("Restore Files…")
    with stalled(app_agent):
        app.wait_for_text("does not answer", timeout=20)
        app.look("state-agent-stalled-plan")
        app.activate_widget_action("Restore Files…")
        app.wait_for("All Folders")
        app.wait_for_text("does not answer", timeout=20)
        app.look("state-agent-stalled-restore")
    app.wait_for_none(part="does not answer")
    app.key("Control+w")
    app.wait_for_no_window()
    with stalled(app_agent):
        app.start()
        is_alive(app)
        app.wait_for_text("does not answer", timeout=20)
    app.wait_for_text("Photos")


def test_stalled_agent_is_restarted(
    app: Application, app_agent: Agent, slow_folder: Path, s3: Any, bucket: str
) -> None:
    """By the button that stands beside the news; what it had begun goes on."""
    app_agent.start()
    plan = add_plan(app_agent, "Photos", slow_folder, bucket, **{"upload-limit": "300K"})
    app.start()
    app.press("Back Up Now")
    app.wait_for_text(" left")
    pid = app_agent.pid
    os.kill(pid, signal.SIGSTOP)
    app.wait_for_text("does not answer", timeout=20)
    app.press("Restart It")
    app.wait_for_none(part="does not answer", timeout=20)
    wait_until(lambda: app_agent.is_running() and app_agent.pid != pid, 20, "another agent")
    app_agent.manager("SetUploadLimit", "(xa{sv})", 0, {})
    back_up(plan)
    app.wait_for_text("Backed up just now", timeout=30)
    assert len(keys(s3, bucket)) == 101


def test_stalled_agent_that_cannot_be_ended(
    app: Application, app_agent: Agent, folder: Path, bucket: str, tmp_path: Path
) -> None:
    """Somebody else's program is left alone, and the button says so. When the agent ends later, for
    a reason of its own, nobody has asked any more for it to be started again."""
    app_agent.binary = Path(shutil.copy(app_agent.binary, tmp_path / "something-else"))
    app_agent.start()
    add_plan(app_agent, "Photos", folder, bucket)
    app.start()
    app.wait_for_text("Photos")
    with stalled(app_agent):
        app.wait_for_text("What you see may be old", timeout=20)
        app.press("Restart It")
        app.wait_for_text("could not be restarted. Log out and in again.")
        app.look("state-agent-cannot-be-ended")
        app.press("Try Again")
        app.wait_for_text("could not be restarted. Log out and in again.")
    app.wait_for_none(part="does not answer", timeout=20)
    app_agent.kill()
    app.wait_for("Backups Are Not Running")
    assert not app_agent.is_running()


def test_windows_of_its_own(app: Application, app_agent: Agent) -> None:
    """Preferences, keyboard shortcuts, about; each by its key or menu, each closed by Escape."""
    app_agent.start()
    app.start()
    app.wait_for("Keep Your Folders Safe")
    app.key("Control+comma")
    app.wait_for("What New Plans Begin With")
    app.look("preferences")
    keyfile = app.bus.config_home / "glib-2.0/settings/keyfile"
    app.press("When something fails or needs me", role="switch")
    wait_until(lambda: "notify-problems=false" in keyfile.read_text(), 10, "the switch's setting")
    app.activate_widget_action("When all goes well")
    app.choose("Always")
    wait_until(lambda: "notify-finished='always'" in keyfile.read_text(), 10, "what was chosen")
    before = app_agent.get("Autostart")
    app.press("Start at login", role="switch")
    wait_until(lambda: app_agent.get("Autostart") != before, 10, "autostart")
    app.press("Start at login", role="switch")
    wait_until(lambda: app_agent.get("Autostart") == before, 10, "autostart as before")
    app.key("Escape")
    app.wait_for_none("What New Plans Begin With")
    app.key("F1")
    app.wait_for("Set up a new plan")
    app.look("shortcuts")
    app.key("Escape")
    app.wait_for_none("Set up a new plan")
    app.key("F10")
    app.press("About Keepsake")
    app.wait_for("About", role="window")
    app.look("about")


def test_without_a_window(app: Application, app_agent: Agent, folder: Path, bucket: str) -> None:
    """The launcher's "Back Up Now" and "Pause Backups" do that, and open no window."""
    app_agent.start()
    off = add_plan(app_agent, "Films", folder, bucket, enabled=False)
    plan = add_plan(app_agent, "Photos", folder, bucket)
    app.install()
    app.activate("back-up-now")
    wait_until(lambda: plan.get("LastResult") == "finished", 20, "the backup")
    assert off.jobs() == []
    app.activate("pause")
    wait_until(lambda: app_agent.get("PausedUntil") == -1, 10, "the pause")
    app.activate("resume")
    wait_until(lambda: app_agent.get("PausedUntil") == 0, 10, "no pause")
    assert app._frames() == []


LONG = "A plan whose name somebody did not want to end, and so it goes on " * 4
HEBREW = "תמונות משפחה וחגים"


def fail_last_job(agent: Agent, plan: Plan, message: str) -> None:
    """Of an agent that is stopped: its history says so."""
    with sqlite3.connect(agent.state / "history.sqlite") as history:
        history.execute(
            "UPDATE job SET state = 'failed', reason = 'server', message = ? WHERE plan = ?",
            (message, plan.id),
        )


def test_texts_of_any_length(
    app: Application, app_agent: Agent, folder: Path, bucket: str
) -> None:
    """200 characters of a name, text that goes right to left, and an error message of 100 KB."""
    app_agent.start()
    long_plan = add_plan(app_agent, LONG[:200], folder, bucket)
    add_plan(app_agent, HEBREW, folder, bucket)
    long_plan.run().wait()
    app_agent.stop()
    message = "The server said: " + "all kinds of things that nobody reads, " * 2700
    fail_last_job(app_agent, long_plan, message)
    app.start()
    app.wait_for_text("The last backup failed")
    app.wait_for_text(HEBREW)
    assert not app.has_text("The server said: ")  # which is a click away
    app.look("long-texts")
    app.show_plan(long_plan)
    app.look("long-texts-plan")
    app.press("Show Details")
    app.wait_for("Technical details")
    app.picture("long-texts-details")
    text = app.find_all("Technical details")[0].text
    assert text.startswith("The server said: ")
    assert max(map(len, text.splitlines())) <= 1000  # one line of 100 KB takes seconds to lay out
    app.key("Escape")
    app.wait_for_none("Technical details")
    is_alive(app)


def test_details_are_copied(
    app: Application, app_agent: Agent, folder: Path, bucket: str
) -> None:
    """All of them, however long: somebody wants to send them to somebody who can help."""
    app_agent.start()
    plan = add_plan(app_agent, "Photos", folder, bucket)
    plan.run().wait()
    app_agent.stop()
    lines = [f"{number}: “{HEBREW}” could not be read" for number in range(2000)]
    message = "\n".join(["Some files could not be read:", *lines, "and so on, " * 1000])
    fail_last_job(app_agent, plan, message)
    app.start()
    app.show_plan(plan)
    app.press("Show Details")
    app.wait_for("Technical details")
    app.press("Copy")
    app.wait_for_none("Technical details")
    assert app.desktop.read_clipboard() == message


def test_right_to_left(app: Application, app_agent: Agent, folder: Path, bucket: str) -> None:
    """The whole window, as for those who read so."""
    app_agent.start()
    plan = add_plan(app_agent, HEBREW, folder, bucket)
    plan.run().wait()
    app.environment["KEEPSAKE_TEST_RIGHT_TO_LEFT"] = "1"
    app.start()
    app.wait_for_text(HEBREW)
    app.look("right-to-left")
    app.show_plan(plan)
    app.look("right-to-left-plan")


@pytest.mark.parametrize(
    "language, overview, schedule",
    [
        ("de", "Gesichert gerade eben", "Die nächste ist "),
        ("fr", "Sauvegardé à l’instant", "Prochaine sauvegarde : "),
        ("zh_CN", "刚刚已备份", "下次备份："),
    ],
)
def test_languages(
    app: Application, app_agent: Agent, folder: Path, bucket: str,
    language: str, overview: str, schedule: str,
) -> None:  # fmt: skip
    app_agent.start()
    plan = add_plan(app_agent, "Photos", folder, bucket, schedule="@daily 12:30")
    wait_until(lambda: plan.get("LastResult") == "finished", 20, "the backup")
    app.environment |= {"LANGUAGE": language, "KEEPSAKE_TEST_LOCALE_DIR": str(BUILD / "po")}
    app.start()
    app.wait_for_text(overview)
    app.wait_for_text(schedule)
    app.picture(f"language-{language}")
    app.activate("new-plan")
    app.wait_for("Keepsake", role="window")
    app.look(f"language-{language}-setup")


def test_page_opened_while_another_one_slides(
    app: Application, app_agent: Agent, folder: Path, bucket: str
) -> None:
    """Somebody is fast, and the window has animations: the first page is not there yet."""
    keyfile = app.bus.config_home / "glib-2.0/settings/keyfile"
    keyfile.write_text(keyfile.read_text().replace("enable-animations=false", "enable-animations=true"))
    app_agent.start()
    plans = [add_plan(app_agent, name, folder, bucket) for name in ("Photos", "Music", "Papers")]
    app.start()
    app.wait_for("Papers")
    for plan in (*plans, *plans):
        app.activate("show-plan", GLib.Variant("s", plan.id))
    app.wait_for("Plan Menu")
    app.wait_for_text("Papers")
    app.key("Alt+Left")
    app.wait_for("Music")
    assert "CRITICAL" not in app.log
