# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""From an empty window to a finished first backup, with the keyboard alone; and all that can be
entered wrongly is explained beside its field."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fixtures import wait_until
from fixtures.agent import Agent
from fixtures.app import Application
from fixtures.ceph_rgw import CephRgw
from fixtures.checks import keys, write_files

pytest_plugins = ["fixtures.app_fixtures"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_files(
        tmp_path / "Pictures",
        {"one.jpg": os.urandom(50_000), "two.jpg": os.urandom(50_000),
         ".cache/thumbnail": os.urandom(30_000)},
    )  # fmt: skip


def tab_to(app: Application, name: str, limit: int = 40) -> None:
    """With the Tab key, as often as it takes."""
    for _ in range(limit):
        if name in app.focused_name():
            return
        app.tab()
    raise AssertionError(f"“{name}” is not reached by Tab: {app.tabbed}\n{app.dump()}")


def fill(app: Application, name: str, text: str) -> None:
    tab_to(app, name)
    app.key("Control+a")
    app.type(text)


def begin(app: Application, agent: Agent) -> None:
    agent.start()
    app.start()
    app.wait_for("Keep Your Folders Safe")
    app.key("Control+n")
    app.wait_for("Folders")


def choose_folder(app: Application, folder: Path) -> None:
    fill(app, "Add a folder by its path", str(folder))
    app.key("Return")
    app.wait_for(name=folder.name)


def fill_storage(app: Application, endpoint: str, bucket: str, key: str, secret: str) -> None:
    fill(app, "Server address", endpoint)
    fill(app, "Bucket", bucket)
    fill(app, "Folder in the bucket", "laptop")
    fill(app, "Access key", key)
    fill(app, "Secret key", secret)


def key_items(agent: Agent) -> list[Any]:
    return [row for row in agent.keyring.items() if "plan" in row[1]]


def test_first_backup_by_keyboard(
    app: Application, app_agent: Agent, folder: Path, s3: Any, bucket: str, rgw: CephRgw
) -> None:
    before = len(key_items(app_agent))
    begin(app, app_agent)
    choose_folder(app, folder)
    app.wait_for_text("3 files, 127 KiB to keep")
    app.wait_for_text("Saves 29 KiB")
    tab_to(app, "Caches and thumbnails")
    app.key("Space")
    app.wait_for_text("2 files, 98 KiB to keep")
    app.look("setup-folders")

    app.key("Alt+n")
    app.wait_for("Where to?")
    tab_to(app, "Provider")
    app.key("Space")
    app.choose("Ceph Object Gateway")
    fill_storage(app, rgw.endpoint, bucket, rgw.access_key, rgw.secret_key)
    app.key("Alt+t")
    app.wait_for_text("Everything works.")
    app.wait_for_text("Files can be stored")
    app.look("setup-storage")

    app.key("Alt+n")
    app.wait_for("How fast?")
    app.wait_for_text("The first backup sends 98 KiB as fast as the line allows")
    app.key("Alt+l")
    app.wait_for_text("in less than a minute at 256 KiB/s")
    app.look("setup-schedule")

    app.key("Alt+n")
    app.wait_for("Is this right?")
    app.wait_for_text("Every day at 12:30")
    app.look("setup-review")
    fill(app, "Name of the plan", "Photos")
    app.key("Alt+c")
    app.wait_for_text("Backed up just now", timeout=40)
    app.look("setup-done")
    assert [key for key in keys(s3, bucket) if key.endswith(".jpg")] == [
        "laptop/Pictures/one.jpg", "laptop/Pictures/two.jpg"
    ]  # fmt: skip
    (file,) = app_agent.plans_folder.glob("*.json")
    plan = json.loads(file.read_text())
    assert plan["name"] == "Photos" and plan["upload-limit"] == "256K"
    # The keys for the test are forgotten, those of the plan are there.
    wait_until(lambda: len(key_items(app_agent)) == before + 2, 10, "the keys of the test to go")
