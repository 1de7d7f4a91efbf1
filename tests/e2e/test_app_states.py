# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""Whatever is in the way is said in words, with the one button that helps."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from fixtures import wait_until
from fixtures.agent import Agent, text_of, without_inotify
from fixtures.app import Application, add_plan
from fixtures.checks import keys, write_files
from fixtures.system_bus import SystemBus

pytest_plugins = ["fixtures.app_fixtures"]

DAY = 24 * 3600


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_files(tmp_path / "Pictures", {"one": "1", "two": "2"})


def test_keyring_locked(app: Application, app_agent: Agent, folder: Path, bucket: str) -> None:
    app_agent.add_plan("Photos", folder, bucket, schedule="@daily 12:30")
    app_agent.keyring.lock()
    app_agent.start()
    app.start()
    app.wait_for_text("The keyring is locked")
    app.look("state-keyring-locked")
    app_agent.keyring.answer("dismiss")
    app.press("Unlock Keyring…")
    app.wait_for("The keyring is still locked")
    app.picture("state-keyring-dismissed")
    app_agent.keyring.answer("ok")
    app.press("Unlock Keyring…")
    app.wait_for_text("Backed up just now", timeout=30)


def test_agent_not_running(
    app: Application, app_agent: Agent, folder: Path, bucket: str
) -> None:
    app_agent.start()
    add_plan(app_agent, "Photos", folder, bucket)
    app.start()
    app.wait_for_text("Photos")
    app_agent.kill()
    app.wait_for("Backups Are Not Running")
    app.look("state-agent-stopped")
    assert not app_agent.is_running()  # it ended for a reason, and somebody is to know
    app.press("Start Backups")
    app.wait_for_text("Photos")


def test_agent_cannot_start(app: Application, app_agent: Agent) -> None:
    app_agent.bus.add_service("io.github.keepsake_backup.Keepsake.Agent", "/bin/false")
    app.start()
    app.wait_for("Backups Are Not Running")
    app.press("Show Details")
    app.wait_for("Technical details")
    app.look("state-agent-broken")


def test_offline(
    app: Application, app_agent: Agent, machine: SystemBus, folder: Path, tmp_path: Path, bucket: str
) -> None:
    """What helps is the program of the desktop that has to do with networks."""
    app_agent.environment["KEEPSAKE_TEST_LOOPBACK_IS_REMOTE"] = "1"
    programs = app_agent.bus.data_home / "applications"
    write_files(programs, {"nm-connection-editor.desktop": "[Desktop Entry]\nType=Application\n"
                           f"Name=Networks\nExec=touch {tmp_path}/settings\n"})  # fmt: skip
    app_agent.start()
    machine.set_network("none")
    wait_until(lambda: app_agent.get("Conditions") == ["offline"], 10, "being offline")
    add_plan(app_agent, "Photos", folder, bucket, schedule="@daily 12:30")
    app.start()
    app.wait_for_text("Waiting: there is no network connection")
    app.wait_for_text("You are offline.")
    app.look("state-offline")
    app.press("Network Settings")
    wait_until((tmp_path / "settings").exists, 10, "the network settings")
    machine.set_network("full")
    app.wait_for_none(part="You are offline.")
    app.wait_for_text("Backed up just now", timeout=30)


def test_job_waits(
    app: Application, app_agent: Agent, machine: SystemBus, tmp_path: Path, bucket: str
) -> None:
    """One that has begun; it goes on by itself, or when somebody asks for it."""
    app_agent.environment["KEEPSAKE_TEST_LOOPBACK_IS_REMOTE"] = "1"
    files = {f"{i:03}": os.urandom(40_000) for i in range(100)}
    folder = write_files(tmp_path / "Pictures", files)
    app_agent.start()
    plan = add_plan(app_agent, "Photos", folder, bucket, schedule="@daily 12:30",
                    conditions={"metered": "wait"}, **{"upload-limit": "128K"})  # fmt: skip
    plan.wait_for_job().wait_for_state("transferring")
    machine.set_metered(True)
    app.start()
    app.wait_for_text("Waiting for a network that is not metered")
    app.wait_for_none(part="Backing up")
    app.look("state-job-waits")
    app.show_plan(plan)
    app.look("state-job-waits-plan")
    machine.set_metered(False)
    app.wait_for_text("Backing up")
    app.wait_for_none(name="Back Up Now")
    machine.set_metered(True)
    app.press("Back Up Now")
    app.wait_for_text("Backing up")
    assert plan.job.get("Trigger") == "manual" and app_agent.get("Conditions") == ["metered"]
    plan.job.call("Cancel")


def test_overdue(app: Application, app_agent: Agent, folder: Path, bucket: str) -> None:
    now = int(time.time())
    plan = app_agent.add_plan("Photos", folder, bucket, schedule="@daily 12:30")
    app_agent.start(text_of(now - 6 * DAY))
    assert plan.get("LastResult") == "finished"
    folder.rename(folder.with_name("elsewhere"))
    app_agent.set_time(text_of(now))
    assert plan.get("Overdue")
    app.start()
    app.wait_for_text("Overdue: the last backup was on ")
    app.wait_for_text("A folder is not there")
    app.look("state-overdue")
    app.press("Edit Plan…")
    app.wait_for("Step 1 of 4")
    app.press("Cancel")
    app.show_plan(plan)
    app.picture("state-overdue-plan")
    app.press("Show Details")  # as the engine puts it
    app.wait_for("Technical details")
    assert "cannot be found" in app.find_all("Technical details")[0].text


def test_delete_guard(
    app: Application, app_agent: Agent, tmp_path: Path, s3: Any, bucket: str
) -> None:
    files = {f"{i:03}.txt": str(i) for i in range(130)}
    folder = write_files(tmp_path / "Notes", files)
    app_agent.start()
    plan = add_plan(app_agent, "Notes", folder, bucket, delete="mirror")
    plan.run().wait()
    for number in range(110):
        (folder / f"{number:03}.txt").unlink()
    plan.run().wait()
    app.start()
    app.wait_for_text("110 deletions need your consent")
    app.look("state-delete-guard")
    app.press("Review Deletions…")
    app.wait_for("Delete 110 Files from the Backup?")
    app.picture("consent")
    app.key("Return")  # keeps them
    app.wait_for_none("Delete 110 Files from the Backup?")
    assert len(keys(s3, bucket)) == 131
    app.press("Review Deletions…")
    app.press("Delete from Backup")
    app.wait_for_text("Backed up just now", timeout=30)
    assert len(keys(s3, bucket)) == 21


def test_consent_is_for_the_number_that_was_read(
    app: Application, app_agent: Agent, tmp_path: Path, s3: Any, bucket: str
) -> None:
    """More files go while somebody thinks about it: they are asked about, too."""
    folder = write_files(tmp_path / "Notes", {f"{i:03}.txt": str(i) for i in range(130)})
    app_agent.start()
    plan = add_plan(app_agent, "Notes", folder, bucket, delete="mirror")
    plan.run().wait()
    for number in range(110):
        (folder / f"{number:03}.txt").unlink()
    plan.run().wait()
    app.start()
    app.press("Review Deletions…")
    app.wait_for("Delete 110 Files from the Backup?")
    for number in range(110, 115):
        (folder / f"{number:03}.txt").unlink()
    plan.run().wait()
    wait_until(lambda: plan.get("DeletionsHeld") == 115, 10, "the new number")
    app.wait_for_text("115 deletions need your consent")
    app.press("Delete from Backup")
    app.wait_for("Delete 115 Files from the Backup?")
    assert plan.get("Job") == "/" and len(keys(s3, bucket)) == 131
    app.press("Delete from Backup")
    app.wait_for_text("Backed up just now", timeout=30)
    assert len(keys(s3, bucket)) == 16


def test_wrong_keys(app: Application, app_agent: Agent, folder: Path, bucket: str) -> None:
    app_agent.start()
    plan = app_agent.make_plan("Photos", folder, bucket)
    app_agent.store_keys(plan["id"], secret="wrong")
    plan = add_plan(app_agent, "Photos", folder, bucket, keys=False, id=plan["id"])
    plan.run().wait()
    app.start()
    app.wait_for_text("The storage refused the keys")
    app.look("state-wrong-keys")
    app.press("Enter Keys…")
    app.wait_for("Step 2 of 4")
    app.set_text("Access key", app_agent.rgw.access_key)
    app.set_text("Secret key", app_agent.rgw.secret_key)
    app.key("Alt+n")  # tests first
    app.wait_for("Step 3 of 4", timeout=30)
    app.key("Alt+n")
    app.wait_for("Step 4 of 4")
    app.key("Alt+s")
    app.wait_for_text("Backed up just now", timeout=30)


def test_problems(app: Application, app_agent: Agent, tmp_path: Path, bucket: str) -> None:
    """A path that S3 cannot hold."""
    deep = "/".join("long-name-" * 20 for _ in range(6))
    folder = write_files(tmp_path / "Pictures", {"one": "1", deep: "2"})
    app_agent.start()
    plan = add_plan(app_agent, "Photos", folder, bucket)
    plan.run().wait()
    app.start()
    app.wait_for_text("but not all files")
    app.look("state-problems")
    app.press("Show Problems")
    app.wait_for("Plan Menu")
    app.wait_for("Its path is too long for the storage. Use shorter names.")
    app.look("state-problems-plan")
    app.press("Copy List")
    app.wait_for("Copied")


def test_file_that_is_no_plan(
    app: Application, app_agent: Agent, folder: Path, bucket: str
) -> None:
    """Its plan is not among the others, or not as the file has it."""
    app_agent.start()
    add_plan(app_agent, "Photos", folder, bucket)
    app.start()
    app.wait_for_text("Photos")
    assert not app.has_text("cannot be read")
    broken = app_agent.plans_folder / "broken.json"
    broken.write_text('{ "version": 1,')
    app.wait_for("The file of a plan cannot be read. Its folders may not be backed up.")
    app.look("state-no-plan")
    app.press("Show Details")
    app.wait_for("Problems")
    app.look("state-no-plan-details")
    details = app.find_all("Technical details")[0].text
    assert str(broken) in details and "broken.json: line" in details.splitlines()[1]
    app.key("Escape")
    app.wait_for_none("Problems")

    app_agent.manager("Pause", "(ta{sv})", 0, {})
    app.wait_for("Backups are paused.")
    app.look("state-no-plan-paused")
    app.press("Resume Backups")
    app.wait_for_none("Backups are paused.")
    assert app.has_text("cannot be read")

    new = app_agent.make_plan("Notes", folder, bucket)
    broken.write_text(json.dumps(new))
    app.wait_for_none(part="cannot be read")
    app.wait_for_text("Notes")


def test_nothing_but_files_that_are_no_plans(app: Application, app_agent: Agent) -> None:
    """It does not look as if there had never been a plan."""
    for name in ("one.json", "two.json"):
        (app_agent.plans_folder / name).write_text("{")
    app_agent.start()
    app.start()
    app.wait_for("Keep Your Folders Safe")
    app.wait_for("The files of 2 plans cannot be read. Their folders may not be backed up.")
    app.look("state-no-plans")


def test_damaged_history(app: Application, app_agent: Agent, folder: Path, bucket: str) -> None:
    """A new one begins, and so nothing else tells that there was another."""
    app_agent.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    (app_agent.state / "history.sqlite").write_bytes(b"x" * 10_000)
    app_agent.add_plan("Photos", folder, bucket)
    app_agent.start()
    app.start()
    app.wait_for("The record of past backups is damaged or cannot be read.")
    app.look("state-history")
    app.press("Show Details")
    app.wait_for("Technical details")
    assert "is set aside" in app.find_all("Technical details")[0].text
    app.key("Escape")
    app.wait_for_none("Technical details")


def test_changes_cannot_be_seen(
    app: Application, app_agent: Agent, folder: Path, tmp_path: Path, bucket: str
) -> None:
    app_agent.binary = without_inotify(app_agent.binary, tmp_path)
    plan = app_agent.add_plan("Photos", folder, bucket, schedule="@watch")
    app_agent.start()
    app.start()
    app.wait_for_text("it does not notice")
    app.press("Show Details")
    app.wait_for("Technical details")
    assert "Cannot notice changes" in app.find_all("Technical details")[0].text
    app.key("Escape")
    app.wait_for_none("Technical details")
    app.show_plan(plan)
    app.wait_for_text("For now once an hour: ")
    app.select("Schedule")
    app.look("state-watch-note")


def test_paused(app: Application, app_agent: Agent, folder: Path, bucket: str) -> None:
    app_agent.start()
    add_plan(app_agent, "Photos", folder, bucket)
    app.start()
    app.wait_for_text("Photos")
    app.key("F10")
    app.press("Pause Backups")
    app.wait_for("Backups are paused.")
    app.look("state-paused")
    app.press("Resume Backups")
    app.wait_for_none("Backups are paused.")
    assert app_agent.get("PausedUntil") == 0


def test_restore_cannot_read(
    app: Application, app_agent: Agent, folder: Path, bucket: str
) -> None:
    """The page of the restore has its own words and buttons for that."""
    app_agent.start()
    plan = add_plan(app_agent, "Photos", folder, bucket)
    plan.run().wait()
    app_agent.keyring.lock()
    app.start()
    app.show_plan(plan)
    app.activate_widget_action("Restore Files…")
    app.wait_for("The Backup Cannot Be Read Now")
    app.look("state-restore-locked")
    app_agent.keyring.answer("ok")
    app.press("Unlock Keyring…")
    app.wait_for("Pictures")
