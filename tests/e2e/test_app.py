# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""A plan from its card to its page: backed up, limited, changed, deleted and brought back."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from fixtures import wait_until
from fixtures.agent import Agent, Job, Plan
from fixtures.app import Application, add_plan
from fixtures.checks import body, etags, keys, operation, put_many, sent_keys, write_files
from fixtures.fault_proxy import Delay, FaultProxy, Hang, Rule
from fixtures.large_files import After

pytest_plugins = ["fixtures.app_fixtures"]

KIB = 1024


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_files(tmp_path / "Pictures", {"one": "1", "two": "2"})


@pytest.fixture
def slow_folder(tmp_path: Path) -> Path:
    return write_files(tmp_path / "Slow", {f"{i}.jpg": os.urandom(40_000) for i in range(60)})


def test_empty(app: Application, app_agent: Agent) -> None:
    app_agent.start()
    app.start()
    app.wait_for("Keep Your Folders Safe")
    app.look("empty")


def test_backup(app: Application, app_agent: Agent, slow_folder: Path, bucket: str) -> None:
    app_agent.start()
    plan = add_plan(app_agent, "Photos", slow_folder, bucket, **{"upload-limit": "64K"})
    app.start()
    app.wait_for("Photos")
    app.look("no-backup-yet")
    app.press("Back Up Now")
    app.wait_for_text("Backing up…")
    app.wait_for_text(" left")
    app.look("running")
    app.show_plan(plan)
    app.wait_for_text("Slow/")  # the file that is sent
    app.press("Pause")
    assert plan.job is not None
    plan.job.wait_for_state("paused")
    app.wait_for("Paused")
    app.look("plan-paused")
    app.press("Resume")
    assert plan.job.wait_for_state("transferring")
    app.look("plan-running")
    app.press("Limit the upload", role="switch")  # off
    wait_until(lambda: app_agent.get("UploadLimit") == 0, 10, "no limit")
    app.wait_for_text("Backed up")
    app.wait_for_text("Backed up 61 files")
    app.look("plan-done")


def begin_endless_backup(
    app: Application, agent: Agent, tmp_path: Path, bucket: str, proxy: FaultProxy
) -> tuple[Plan, Job, threading.Event]:
    """At its limit it would take 20 minutes, and however fast it is, it waits for the event before its
    end. The plan's page is shown."""
    folder = write_files(tmp_path / "Slow", {f"{i}.jpg": os.urandom(400_000) for i in range(100)})
    may_end = threading.Event()
    proxy.rules.append(Rule(lambda r: r.key.endswith("/99.jpg"), After(lambda _: may_end.wait(300)), None))
    agent.start()
    plan = add_plan(agent, "Photos", folder, bucket, endpoint=proxy.endpoint, **{"upload-limit": "32K"})
    app.start()
    app.show_plan(plan)
    job = plan.run()
    assert job.wait_for_state("transferring", "finished", "failed") == "transferring"
    app.wait_for("32 KiB/s")
    return plan, job, may_end


def test_limit_is_moved(
    app: Application, app_agent: Agent, tmp_path: Path, bucket: str, proxy: FaultProxy
) -> None:
    """By the keys of the slider, while a backup runs: the agent follows each step, and so does what is
    sent. The plan's own limit is for the next time."""
    plan, job, may_end = begin_endless_backup(app, app_agent, tmp_path, bucket, proxy)
    app.tab_to("Upload limit")
    # Four double it. As fast as keys can be, there and back: no step is lost on the way.
    for key in [*(["Right"] * 8 + ["Left"] * 8) * 10, *["Right"] * 4]:
        app.key(key)
    app.wait_for("64 KiB/s")
    wait_until(lambda: app_agent.get("UploadLimit") == 64 * KIB, 10, "the new limit")
    assert job.state == "transferring"
    app.look("plan-limited")
    app.key("End")
    wait_until(lambda: app_agent.get("UploadLimit") == 128 * 1024 * KIB, 10, "the highest limit")
    may_end.set()
    result = job.wait()
    assert result["failed"] == 0 and result["put"] == 101
    app.wait_for_text("Backed up just now")
    wait_until(lambda: app_agent.get("UploadLimit") == -1, 10, "the limit to be the plan's again")
    assert json.loads(plan.file.read_text())["upload-limit"] == "32K"


def test_limit_is_switched_off(
    app: Application, app_agent: Agent, tmp_path: Path, bucket: str, proxy: FaultProxy
) -> None:
    _, job, may_end = begin_endless_backup(app, app_agent, tmp_path, bucket, proxy)
    app.tab_to("Limit the upload")
    app.key("Space")
    wait_until(lambda: app_agent.get("UploadLimit") == 0, 10, "no limit")
    app.wait_for("As fast as the line allows")
    may_end.set()
    assert job.wait()["failed"] == 0


def test_cancel(
    app: Application, app_agent: Agent, slow_folder: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    """What was stored until then stays, and is not sent again."""
    app_agent.start()
    plan = add_plan(app_agent, "Photos", slow_folder, bucket, endpoint=proxy.endpoint)
    proxy.rules.append(Rule(lambda r: operation(r) == "put", Delay(0), times=20))
    proxy.rules.append(Rule(lambda r: operation(r) == "put", Hang(600), times=None))
    app.start()
    app.show_plan(plan)
    app.press("Back Up Now")
    job = plan.wait_for_job()
    wait_until(lambda: job.get("Progress")["files-done"] == 20, 30, "some files")
    app.press("Cancel Job")
    job.wait()
    assert job.state == "cancelled"
    app.wait_for("The backup was cancelled")
    app.wait_for("Backup cancelled")
    app.look("plan-cancelled")
    assert plan.jobs()[0]["state"] == "cancelled" and plan.get("LastSuccess") == 0
    stored = etags(s3, bucket)
    assert len(stored) == 20

    proxy.rules.clear()
    proxy.requests.clear()
    app.press("Back Up Now")
    app.wait_for_text("Backed up just now")
    app.wait_for_text("Backed up 41 files")
    assert etags(s3, bucket).items() >= stored.items()
    assert not stored.keys() & set(sent_keys(proxy, "put"))
    for path in slow_folder.iterdir():
        assert body(s3, bucket, f"photos/Slow/{path.name}") == path.read_bytes()


def test_verify(app: Application, app_agent: Agent, folder: Path, bucket: str) -> None:
    app_agent.start()
    plan = add_plan(app_agent, "Photos", folder, bucket)
    plan.run().wait()
    app.start()
    app.show_plan(plan)
    app.wait_for_text("Never: nothing has been read back")
    app.press("Verify Now")
    app.wait_for_none(part="Never: nothing has been read back")
    app.wait_for_text("Verified 2 files")


def test_edit(app: Application, app_agent: Agent, folder: Path, bucket: str) -> None:
    """What is not touched stays, and a change of the schedule needs no test of the storage."""
    app_agent.start()
    exclude = ["*.tmp", "VirtualBox VMs/"]
    plan = add_plan(app_agent, "Photos", folder, bucket, exclude=exclude, schedule="@weekly Fri 08:00")
    app.start()
    app.show_plan(plan)
    app.wait_for_text("Every Friday at 08:00")
    app.press("Edit…")
    app.wait_for("Step 1 of 4")
    app.key("Alt+n")
    app.wait_for("Step 2 of 4")
    app.picture("edit-storage")
    app.key("Alt+n")
    app.wait_for("Step 3 of 4")
    app.wait_for_none("Keep deleted and replaced files", role="switch")
    app.press("Delete what I deleted", role="switch")
    app.wait_for("Keep deleted and replaced files", role="switch")
    app.select("Days to keep them")
    app.key("Return")  # from the row to its number
    app.key("Control+a")
    app.type("45")
    app.picture("edit-schedule-keep")
    app.key("Alt+n")
    app.wait_for_text("kept for 45 days")
    app.press("Back")
    app.press("Keep deleted and replaced files", role="switch")
    app.key("Alt+n")
    app.wait_for_text("Are deleted from the backup too")
    app.wait_for_none(part="kept for")
    app.press("Back")
    app.press("Keep deleted and replaced files", role="switch")
    app.key("Alt+n")
    app.wait_for_text("kept for 45 days")
    app.set_text("Name of the plan", "Pictures")
    app.key("Alt+s")
    app.wait_for_text("Saved; it holds from the next backup on")
    app.wait_for("Pictures", role="label")
    changed = plan.members | {"name": "Pictures", "delete": "keep 45 days"}
    saved = json.loads(plan.file.read_text())
    assert {name: saved[name] for name in changed if name != "destination"} == {
        name: value for name, value in changed.items() if name != "destination"
    }
    assert saved["destination"] | plan.members["destination"] == saved["destination"]


def open_deletion(app: Application, plan: Plan) -> None:
    app.show_plan(plan)
    app.press("Plan Menu", role="button")
    app.wait_for("Delete Plan…")
    app.press("Delete Plan…")
    app.wait_for_text("Delete “Photos”?")


def choose_objects(app: Application, n: int) -> None:
    """Once they are counted. GTK 4.8 offers check buttons to keys alone."""
    wait_until(lambda: any(app.has_text(f"{text} objects, ") for text in (n, f"{n:,}")), 15)
    app.key("Alt+b")
    wait_until(
        lambda: any("checked" in check.states for check in app.find_all(role="checkbox")), 5,
        "the check mark",
    )  # fmt: skip


def test_delete_and_undo(
    app: Application, app_agent: Agent, folder: Path, s3: Any, bucket: str
) -> None:
    app_agent.start()
    plan = add_plan(app_agent, "Photos", folder, bucket)
    plan.run().wait()
    stored = keys(s3, bucket)
    app.start()
    open_deletion(app, plan)
    app.press("Cancel")
    app.wait_for_none("Delete “Photos”?")
    for undo in (True, False):
        open_deletion(app, plan)
        app.press("Delete Plan", role="button")
        app.wait_for_text("“Photos” deleted. Its files stay in the storage.")
        app.wait_for("Keep Your Folders Safe")
        assert plan.file.exists()
        if undo:
            app.press("Undo")
            app.wait_for_text("Photos: ")
        else:
            app.look("undo")
    app.key("Control+w")  # nobody can undo it now
    app.wait_for_no_window()
    wait_until(lambda: not plan.file.exists(), 10, "the plan to go")
    assert keys(s3, bucket) == stored


def test_delete_with_objects(
    app: Application, app_agent: Agent, folder: Path, s3: Any, bucket: str
) -> None:
    """Asked twice, with the numbers; stopped at first, and then not."""
    app_agent.start()
    plan = add_plan(app_agent, "Photos", folder, bucket)
    plan.run().wait()
    stored = keys(s3, bucket)
    app.start()
    for stop in (True, False):
        open_deletion(app, plan)
        choose_objects(app, len(stored))
        if stop:
            app.look("delete")
        app.press("Delete Plan", role="button")
        app.wait_for_text("Delete the Backup of “Photos” for Good?")
        app.wait_for_text(f"{len(stored)} objects, ")
        if stop:
            app.look("delete-for-good")
            app.press("Keep It", role="button")
            app.wait_for_none("Delete the Backup of “Photos” for Good?")
            assert plan.get("Job") == "/" and keys(s3, bucket) == stored
    app.press("Delete for Good", role="button")
    app.wait_for_text("“Photos” and its backup are deleted.")
    app.wait_for("Keep Your Folders Safe")
    assert not plan.file.exists() and keys(s3, bucket) == []


def test_deletion_is_stopped(
    app: Application, app_agent: Agent, folder: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    """It is a job like others: seen on the plan's page, and cancelled there."""
    app_agent.start()
    plan = add_plan(app_agent, "Photos", folder, bucket, endpoint=proxy.endpoint)
    plan.run().wait()
    stored = keys(s3, bucket)
    proxy.rules.append(Rule(lambda r: operation(r) == "delete", Hang(600), times=None))
    app.start()
    open_deletion(app, plan)
    choose_objects(app, len(stored))
    app.press("Delete Plan", role="button")
    app.wait_for_text("Delete the Backup of “Photos” for Good?")
    app.press("Delete for Good", role="button")
    app.wait_for_text("Deleting what is stored")
    app.wait_for_text(f"0 of {len(stored)} objects deleted")
    app.look("deleting")
    app.press("Cancel Job")
    app.wait_for_text("Deletion cancelled")
    app.wait_for("Back Up Now")
    assert plan.jobs()[0]["kind"] == "erase" and plan.file.exists()
    assert keys(s3, bucket) == stored
    # The plan goes without its objects then, and nobody says otherwise.
    open_deletion(app, plan)
    app.press("Delete Plan", role="button")
    app.wait_for("Keep Your Folders Safe")
    app.wait_for_none(part="“Photos” deleted.", timeout=30)
    wait_until(lambda: not plan.file.exists(), 10, "the plan to go")
    add_plan(app_agent, "Notes", folder, bucket)
    app.wait_for_text("Notes")  # what the agent has said before is known, too
    assert not app.has_text("its backup are deleted")
    assert keys(s3, bucket) == stored


def test_deletion_is_stopped_half_way(
    app: Application, app_agent: Agent, folder: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    """No green sign over a backup of which a page is gone; going on takes the rest."""
    app_agent.start()
    plan = add_plan(app_agent, "Photos", folder, bucket, endpoint=proxy.endpoint)
    plan.run().wait()
    put_many(s3, bucket, 1100)
    n = len(keys(s3, bucket))
    proxy.rules.append(Rule(lambda r: operation(r) == "delete", Delay(0)))
    proxy.rules.append(Rule(lambda r: operation(r) == "delete", Hang(600), times=None))
    app.start()
    for stop in (True, False):
        open_deletion(app, plan)
        choose_objects(app, n if stop else n - 1000)
        app.press("Delete Plan", role="button")
        app.wait_for_text("Delete the Backup of “Photos” for Good?")
        app.press("Delete for Good", role="button")
        if stop:
            wait_until(lambda: len(keys(s3, bucket)) == n - 1000, 60, "the first page to go")
            app.wait_for(part="Pictures/many/00")
            assert not app.has_text("photos/Pictures/many")
            app.press("Cancel Job")
            app.wait_for("Its backup is deleted in part")
            app.wait_for_text("objects are gone. Back up again")
            app.wait_for("Deletion cancelled")
            app.wait_for_text("1000 deleted")
            app.look("deleted-in-part-plan")
            app.press("Back")
            app.wait_for_text("Its backup is deleted in part")
            app.wait_for_none(part="Backed up")
            app.look("deleted-in-part")
            proxy.rules.clear()
    app.wait_for("Keep Your Folders Safe", timeout=60)
    assert not plan.file.exists() and keys(s3, bucket) == []


def test_delete_where_versions_stay(
    app: Application, app_agent: Agent, folder: Path, s3: Any, bucket: str
) -> None:
    """Then it is not for good, and nobody says so."""
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    app_agent.start()
    plan = add_plan(app_agent, "Photos", folder, bucket)
    plan.run().wait()
    app.start()
    open_deletion(app, plan)
    choose_objects(app, len(keys(s3, bucket)))
    app.press("Delete Plan", role="button")
    app.wait_for("Delete the Backup of “Photos”?")
    app.wait_for_text("The bucket keeps old versions.")
    app.wait_for_text("A computer that backs up the same folders to the same place")
    assert not app.has_text("for Good") and not app.has_text("cannot be brought back")
    app.look("delete-versions")
    app.press("Delete Backup", role="button")
    app.wait_for_text("“Photos” and its backup are deleted.")


def test_delete_with_a_locked_keyring(
    app: Application, app_agent: Agent, folder: Path, s3: Any, bucket: str
) -> None:
    app_agent.start()
    plan = add_plan(app_agent, "Photos", folder, bucket)
    plan.run().wait()
    app_agent.keyring.lock()
    app.start()
    open_deletion(app, plan)
    app.wait_for_text("could not be counted. The keyring is locked")
    app.look("delete-locked")
    app_agent.keyring.answer("ok")
    app.press("Unlock Keyring…")
    choose_objects(app, len(keys(s3, bucket)))
    app.wait_for_none("Unlock Keyring…")


def test_delete_beside_a_plan_that_cannot_be_read(
    app: Application, app_agent: Agent, folder: Path, bucket: str
) -> None:
    """Said before anybody has answered two questions."""
    app_agent.start()
    plan = add_plan(app_agent, "Photos", folder, bucket)
    plan.run().wait()
    plan.file.with_name("11111111-2222-3333-4444-555555555555.json").write_text("{")
    wait_until(lambda: app_agent.get("Problems"), 15, "the problem to be seen")
    app.start()
    open_deletion(app, plan)
    app.wait_for_text("There is a plan that cannot be read")
    (check,) = app.find_all("Also delete the backup in the bucket", role="checkbox")
    assert "sensitive" not in check.states


def test_delete_when_nothing_can_be_counted(
    app: Application, app_agent: Agent, folder: Path, bucket: str
) -> None:
    """Then the plan can go, and the objects cannot."""
    app_agent.start()
    plan = add_plan(app_agent, "Photos", folder, bucket, keys=False)
    app.start()
    open_deletion(app, plan)
    app.wait_for_text("What is stored could not be counted. ")
    (check,) = app.find_all("Also delete the backup in the bucket", role="checkbox")
    assert "sensitive" not in check.states
    app.look("delete-not-counted")
