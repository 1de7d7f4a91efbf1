# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""The first two days with Keepsake, without a pointer: from an empty window to a finished backup; on
the next day a file is changed and backed up from the tray, and what it was yesterday comes back."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from conftest import no_preloading
from fixtures import wait_until
from fixtures.agent import Agent
from fixtures.app import Application, choose_folder, fill_storage
from fixtures.ceph_rgw import CephRgw
from fixtures.checks import body, rsync_changes, write_files
from fixtures.clocks import at_another_time
from fixtures.status_notifier import Tray

ID = "io.github.keepsake_backup.Keepsake"
DAY = 24 * 3600

pytest_plugins = ["fixtures.app_fixtures"]


@contextlib.contextmanager
def a_day_ago(app: Application, agent: Agent, rgw: CephRgw) -> Iterator[None]:
    """For the window and the agent that are started in here, and for the storage: its own clock is
    what the versions have their times from, and nothing that could be said to our programs changes
    that. When it is over, what was stored in here is from yesterday, and no program is left that
    thinks otherwise."""
    # The times of files are what they are.
    clock = at_another_time("-1d") | {"NO_FAKE_STAT": "1"}
    agent.environment |= clock
    app.environment |= clock
    try:
        rgw.restart_gateway(clock)
        yield
        app.key("Control+q")
        app.wait_for_no_window()
        agent.stop()
    finally:
        agent.environment |= dict.fromkeys(clock)
        app.environment |= dict.fromkeys(clock)
        rgw.restart_gateway()
        wait_until(lambda: rgw._answers("/"), 60, "the S3 gateway")


def set_up(app: Application, folder: Path, bucket: str, rgw: CephRgw) -> None:
    app.wait_for("Keep Your Folders Safe")
    app.tab_to("Set Up a Backup…")
    app.key("Return")
    app.wait_for("Step 1 of 4")
    choose_folder(app, folder)
    app.key("Alt+n")
    app.wait_for("Step 2 of 4")
    fill_storage(app, rgw.endpoint, bucket, rgw.access_key, rgw.secret_key)
    app.key("Alt+t")
    app.wait_for("Old versions of files are not kept", timeout=40)
    app.key("Alt+k")
    app.wait_for("Keep Old Versions?")
    app.key("Alt+k")
    app.wait_for("Old versions of files are kept", timeout=40)
    app.wait_for("The clock of this computer is right")
    app.key("Alt+n")
    app.wait_for("Step 3 of 4")
    # By a schedule it may be due again, as soon as the next day begins.
    app.tab_to("Back up")
    app.key("Space")
    app.choose("Only when I ask for it")
    app.key("Alt+n")
    app.wait_for("Step 4 of 4")
    app.fill("Name of the plan", "Photos")
    app.key("Alt+c")
    app.wait_for_text("Backed up just now", timeout=40)


def show_day(app: Application, day: str) -> None:
    """All of the backup, as it was at the end of that day."""
    app.tab_to("Photos: ")
    app.key("Return")
    app.wait_for("Plan Menu")
    app.tab_to("Restore Files…")
    app.key("Return")
    app.wait_for("All Folders")
    app.wait_for("Pictures")
    app.tab_to("As it is now")
    app.key("Return")
    app.wait_for("Day and time")
    app.fill("Day and time", day)
    app.key("Return")
    app.wait_for(part="As it was ")
    app.wait_for("Pictures")


@no_preloading
def test_yesterday_comes_back(
    app: Application, app_agent: Agent, tmp_path: Path, s3: Any, bucket: str, rgw: CephRgw
) -> None:
    folder = write_files(
        tmp_path / "Pictures",
        {"beach.jpg": os.urandom(60_000), "snow.jpg": os.urandom(50_000), "letters/one.txt": "Dear"},
    )
    long_ago = time.time() - 3 * DAY
    for path in [*folder.rglob("*"), folder]:
        os.utime(path, (long_ago, long_ago))
    old = shutil.copytree(folder, tmp_path / "old")

    with a_day_ago(app, app_agent, rgw):
        app_agent.start()
        app.start()
        set_up(app, folder, bucket, rgw)
        day = time.strftime("%Y-%m-%d", time.gmtime(time.time() - DAY))

    app_agent.start()
    app.start()
    app.wait_for_text("Photos: ")
    assert not app.has_text("Backed up just now")
    new = os.urandom(70_000)
    write_files(folder, {"beach.jpg": new, "letters/two.txt": "Dear friend"})
    Tray(app.bus).wait_for_item(ID).menu_entry("Back Up Photos Now").click()
    app.wait_for_text("Backed up just now", timeout=40)
    assert body(s3, bucket, "laptop/Pictures/beach.jpg") == new
    versions = s3.list_object_versions(Bucket=bucket, Prefix="laptop/Pictures/beach.jpg")["Versions"]
    today, yesterday = (version["LastModified"] for version in versions)
    assert today - yesterday >= timedelta(days=1)

    show_day(app, day)
    app.look("restore-yesterday")
    app.tab_to("Restore Everything…")
    app.key("Return")
    app.wait_for("Where to?")
    app.wait_for(part="As it was ")
    app.fill("Folder", str(tmp_path / "back"))
    app.key("Alt+r")
    app.wait_for("Restored", timeout=30)
    back = tmp_path / "back/Pictures"
    assert (back / "beach.jpg").read_bytes() == (old / "beach.jpg").read_bytes()
    assert rsync_changes(old, back, "-cain") == []
    assert (folder / "beach.jpg").read_bytes() == new
    app.key("Alt+d")
    app.wait_for_text("Restored 5 files")
