# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""Files come back: found by folder or name, into another folder, and nothing of yours is touched."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from conftest import Ctl
from fixtures.agent import Agent, Plan
from fixtures.app import Application, add_plan
from fixtures.archive import Archive
from fixtures.checks import rsync_changes, write_files
from fixtures.clocks import next_second
from fixtures.fault_proxy import FaultProxy
from fixtures.pictures import run_magick

pytest_plugins = ["fixtures.app_fixtures"]

DAY_NS = 24 * 3600 * 10**9


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    run_magick("-size", "640x400", "gradient:#99c1f1-#f9f06b", tmp_path / "beach.png")
    picture = (tmp_path / "beach.png").read_bytes()
    return write_files(
        tmp_path / "Pictures",
        {"summer/beach.png": picture, "summer/notes.txt": "sand", "winter/snow.txt": "cold",
         "שלום עולם.txt": "right to left", "top.txt": "top"},
    )  # fmt: skip


@pytest.fixture
def plan(app_agent: Agent, folder: Path, bucket: str) -> Plan:
    app_agent.start()
    plan = add_plan(app_agent, "Photos", folder, bucket)
    assert plan.run().wait()["failed"] == 0
    return plan


def open_restore(app: Application, plan: Plan) -> None:
    app.start()
    app.show_plan(plan)
    app.activate_widget_action("Restore Files…")
    app.wait_for("All Folders")


def open_entry(app: Application, name: str) -> None:
    app.select(name)
    app.key("Return")


def test_into_another_folder(
    app: Application, app_agent: Agent, plan: Plan, folder: Path, tmp_path: Path
) -> None:
    open_restore(app, plan)
    open_entry(app, "Pictures")
    app.wait_for("summer")
    app.wait_for("שלום עולם.txt")
    app.look("restore-browse")
    app.press("Restore This Folder…")
    app.wait_for("Where to?")
    app.set_text("Folder", str(tmp_path / "back"))
    app.look("restore-options")
    app.press("Restore")
    app.wait_for("Restored")
    app.look("restore-report")
    assert rsync_changes(folder, tmp_path / "back/Pictures") == []
    app.press("Done")
    app.wait_for_text("Restored 8 files")


def test_keys_alone(app: Application, app_agent: Agent, tmp_path: Path, bucket: str) -> None:
    """Who opens a folder is at its first row, and not at one by chance."""
    names = [f"{year}/{month}/{day}" for year in "abc" for month in "defg" for day in "hijkl"]
    folder = write_files(tmp_path / "Pictures", {name: "" for name in names})
    app_agent.start()
    plan = add_plan(app_agent, "Photos", folder, bucket)
    assert plan.run().wait()["failed"] == 0
    open_restore(app, plan)
    open_entry(app, "Pictures")
    app.wait_for_focus("a")
    open_entry(app, "c")
    app.wait_for_focus("d")
    open_entry(app, "g")
    app.wait_for_focus("h")


def test_back_from_the_options(app: Application, plan: Plan) -> None:
    """To what is restored, where something else can be chosen, and from there to the plan."""
    open_restore(app, plan)
    open_entry(app, "Pictures")
    app.wait_for("summer")
    app.press("Restore This Folder…")
    app.wait_for("Where to?")
    app.screen.click(8, 380, 400)
    app.key("Alt+Left")
    app.wait_for("summer")
    app.wait_for_none("Where to?")
    app.press("Restore This Folder…")
    app.wait_for("Where to?")
    app.press("Back")
    app.wait_for("summer")
    app.key("Alt+Left")
    app.wait_for("Plan Menu")


def read_all(folder: Path) -> dict[str, tuple[str, int]]:
    return {path.name: (path.read_text(), path.stat().st_mtime_ns) for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("choice", "replaced"),
    [("Keep", []), ("Replace if older", ["older"]), ("Replace all", ["older", "newer"])],
)
def test_in_place(
    app: Application, app_agent: Agent, tmp_path: Path, bucket: str, choice: str, replaced: list[str]
) -> None:
    """What is gone comes back, and of what is there each choice replaces what it says."""
    names = ["older", "newer", "gone", "same"]
    folder = write_files(tmp_path / "Letters", {name: "as it was stored" for name in names})
    now = time.time_ns()
    for path in folder.iterdir():
        os.utime(path, ns=(now - 2 * DAY_NS, now - 2 * DAY_NS))
    app_agent.start()
    plan = add_plan(app_agent, "Letters", folder, bucket)
    assert plan.run().wait()["failed"] == 0
    stored = read_all(folder)
    write_files(folder, {"older": "rewritten", "newer": "rewritten since", "mine": "never stored"})
    os.utime(folder / "older", ns=(now - 3 * DAY_NS, now - 3 * DAY_NS))
    (folder / "gone").unlink()
    here = read_all(folder)

    open_restore(app, plan)
    open_entry(app, "Letters")
    app.wait_for("newer")
    app.press("Restore This Folder…")
    app.wait_for("Where to?")
    app.activate_widget_action("To where it was")
    app.activate_widget_action("Files that are there already")
    app.choose(choice)
    app.look(f"restore-in-place-{choice.split()[-1].lower()}")
    app.press("Restore")
    app.wait_for("Restored")
    back = {name: stored[name] for name in ["gone", *replaced]}
    assert read_all(folder) == here | back


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_file_and_folder_of_one_name(
    app: Application, app_agent: Agent, tmp_path: Path, bucket: str, kind: str
) -> None:
    """The bucket has both, as nothing is deleted there: what comes is the row that was chosen."""
    folder = write_files(tmp_path / "Documents", {"notes": "the file", "todo.txt": "mine"})
    app_agent.start()
    plan = add_plan(app_agent, "Documents", folder, bucket)
    assert plan.run().wait()["failed"] == 0
    (folder / "notes").unlink()
    write_files(folder, {"notes/todo.txt": "from the folder"})
    plan.run().wait()
    shutil.rmtree(folder / "notes")
    os.utime(folder / "todo.txt", (0, 0))
    mode = folder.stat().st_mode

    open_restore(app, plan)
    if kind == "file":
        app.key("Control+f")
        app.type("notes")
        app.wait_for("Found")
        app.select("Documents/notes")
        app.key("Down")  # folders come first
        app.press("Restore “Documents/notes”…")
    else:
        open_entry(app, "Documents")
        open_entry(app, "notes")
        app.wait_for("todo.txt")
        app.press("Restore This Folder…")
    app.wait_for("Where to?")
    app.activate_widget_action("To where it was")
    app.activate_widget_action("Files that are there already")
    app.choose("Replace all")
    app.press("Restore")
    app.wait_for("Restored")
    assert (folder / "todo.txt").read_text() == "mine"
    assert folder.stat().st_mode == mode
    if kind == "file":
        assert (folder / "notes").read_text() == "the file"
    else:
        assert (folder / "notes/todo.txt").read_text() == "from the folder"


def test_search_and_preview(app: Application, plan: Plan, folder: Path, tmp_path: Path) -> None:
    open_restore(app, plan)
    app.key("Control+f")
    app.type("beach")
    app.wait_for("Found")
    app.wait_for("Pictures/summer/beach.png")
    # Nothing is chosen, and all that was there before is not meant.
    app.wait_for_none(part="Restore Everything")
    app.select("Pictures/summer/beach.png")
    app.key("Space")
    app.wait_for("Pictures/summer/beach.png", role="image")
    app.look("restore-search")
    app.press("Restore “Pictures/summer/beach.png”…")
    app.set_text("Folder", str(tmp_path / "back"))
    app.press("Restore")
    app.wait_for("Restored")
    beach = folder / "summer/beach.png"
    assert (tmp_path / "back/beach.png").read_bytes() == beach.read_bytes()


def test_archived_files_are_requested(
    app: Application, app_agent: Agent, folder: Path, bucket: str, proxy: FaultProxy, tmp_path: Path
) -> None:
    """The report says so and offers it, with what it costs in time; the rest is there by then."""
    app_agent.start()
    plan = add_plan(app_agent, "Photos", folder, bucket, endpoint=proxy.endpoint)
    assert plan.run().wait()["failed"] == 0
    archive = Archive(proxy, "notes.txt", "snow.txt")
    open_restore(app, plan)
    open_entry(app, "Pictures")
    app.wait_for("summer")
    app.press("Restore This Folder…")
    app.wait_for("Where to?")
    app.set_text("Folder", str(tmp_path / "back"))
    app.press("Restore")
    app.wait_for("Not Everything Was Restored")
    app.wait_for_text("2 of them lie in an archive and have to be requested first.")
    app.look("restore-archived")
    assert archive.requests == []
    app.press("Request Them…")
    app.wait_for("Request Files from the Archive?")
    app.wait_for_text("In 3 to 5 hours, or 12 from a deep archive")
    app.look("restore-request")
    app.press("Request Files")
    app.wait_for("Requested from the Archive", timeout=30)
    app.wait_for_text("2 were requested from the archive.")
    app.wait_for_text("In 3 to 5 hours, or 12 from a deep archive")
    app.look("restore-requested")
    assert plan.get("Job") == "/"  # nothing waits for it, and nothing is held up
    assert "2 files lie in an archive and were asked for" in plan.jobs()[0]["message"]
    assert len(archive.requests) == 2
    assert sorted(changes(rsync_changes(folder, tmp_path / "back/Pictures"))) == [
        "summer/notes.txt", "winter/snow.txt"
    ]  # fmt: skip

    # What was requested is there by now.
    archive.open()
    app.press("Done")
    app.activate_widget_action("Restore Files…")
    open_entry(app, "Pictures")
    app.wait_for("summer")
    app.press("Restore This Folder…")
    app.wait_for("Where to?")
    app.set_text("Folder", str(tmp_path / "back"))
    app.press("Restore")
    app.wait_for("Restored")
    assert app.find_all("Request Them…") == []
    assert rsync_changes(folder, tmp_path / "back/Pictures") == []


def changes(lines: list[str]) -> list[str]:
    """The files among what rsync would do."""
    return [line.split(" ", 1)[1] for line in lines if line.startswith(">f")]


def show_moment(app: Application, now: str, moment: str) -> None:
    app.press(now)
    app.wait_for("Day and time")
    app.set_text("Day and time", moment)
    app.press("Show")


def test_as_it_was(
    app: Application, app_agent: Agent, folder: Path, bucket: str, s3: Any, tmp_path: Path
) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    app_agent.start()
    plan = add_plan(app_agent, "Photos", folder, bucket)
    assert plan.run().wait()["failed"] == 0
    kept = tmp_path / "kept"
    shutil.copytree(folder, kept, symlinks=True)
    moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(next_second()))
    (folder / "summer/notes.txt").write_text("rewritten since")
    (folder / "winter/snow.txt").rename(folder / "winter/ice.txt")
    assert plan.run().wait()["failed"] == 0

    open_restore(app, plan)
    app.press("As it is now")
    app.wait_for("Day and time")
    app.picture_of_screen("restore-moment")
    app.set_text("Day and time", "the day after tomorrow")
    app.press("Show")
    app.wait_for_text("Write a time in the past")
    app.set_text("Day and time", moment)
    app.press("Show")
    app.wait_for_text("As it was")
    open_entry(app, "Pictures")
    app.wait_for("winter")
    open_entry(app, "winter")
    app.wait_for("snow.txt")
    app.look("restore-past")
    app.key("Alt+Up")
    app.wait_for("summer")
    app.press("Restore This Folder…")
    app.wait_for("Where to?")
    app.set_text("Folder", str(tmp_path / "back"))
    app.look("restore-past-options")
    app.press("Restore")
    app.wait_for("Restored")
    assert rsync_changes(kept, tmp_path / "back/Pictures") == []


def test_past_with_a_gap(app: Application, app_agent: Agent, folder: Path, bucket: str) -> None:
    """In a bucket without versions: what was deleted before the plan began to keep it is nowhere."""
    app_agent.start()
    plan = add_plan(app_agent, "Photos", folder, bucket, delete="keep 30 days")
    assert plan.run().wait()["failed"] == 0
    (folder / "winter/snow.txt").unlink()
    assert plan.run().wait()["kept"] > 0
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(next_second()))
    open_restore(app, plan)
    show_moment(app, "As it is now", "yesterday 18:00")
    app.wait_for_text("Files may be missing here")
    app.wait_for_text("Nothing is kept of that time.")
    app.look("restore-gap")
    button = app.wait_for(part="As it was")
    show_moment(app, button.name, since)
    app.wait_for_none(part="Files may be missing here")
    app.wait_for("Pictures")


def test_there_is_no_past(app: Application, plan: Plan) -> None:
    open_restore(app, plan)
    show_moment(app, "As it is now", "yesterday 18:00")
    app.wait_for("There Is No Past to Show")
    app.look("restore-no-past")


def test_ten_thousand_files(app: Application, app_agent: Agent, ctl: Ctl, s3: Any) -> None:
    """In one folder. The bucket goes with the server: emptying it takes longer than the test."""
    bucket = "keepsake-many"
    s3.create_bucket(Bucket=bucket)
    names = {f"Pictures/many/{number:05}.jpg": "" for number in range(10_001)}
    folder = write_files(ctl.home / "Many", names)
    ctl("mirror", f"{folder}/", f"s3://{bucket}/photos", "--jobs", "32", check=0, timeout=240)
    app_agent.start()
    plan = add_plan(app_agent, "Photos", folder / "Pictures", bucket)
    open_restore(app, plan)
    open_entry(app, "Pictures")
    app.wait_for("many")
    open_entry(app, "many")
    app.wait_for("00000.jpg", timeout=30)
    app.wait_for_text("are shown. Search for a name to find the others.")
    app.key("End")
    app.wait_for("09999.jpg")
    app.look("restore-many")
    app_agent.keyring.lock()
    app.key("Control+f")
    app.type("x")
    app.wait_for("The Backup Cannot Be Read Now")
    app.wait_for_none(part="are shown. Search for a name")
