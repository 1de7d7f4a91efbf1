# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""Whatever is in the way is said in words, with the one button that helps."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from fixtures import wait_until
from fixtures.agent import Agent, text_of
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
