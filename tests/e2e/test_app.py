# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""The window shows how things are, and what can be done about it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from gi.repository import GLib

from fixtures import wait_until
from fixtures.agent import ROOT, Agent, Plan
from fixtures.app import Application
from fixtures.checks import write_files

pytest_plugins = ["fixtures.app_fixtures"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_files(tmp_path / "Pictures", {"one": "1", "two": "2"})


@pytest.fixture
def slow_folder(tmp_path: Path) -> Path:
    return write_files(tmp_path / "Slow", {f"{i}.jpg": os.urandom(40_000) for i in range(60)})


def add(agent: Agent, *args: Any, **members: Any) -> Plan:
    plan = agent.add_plan(*args, **members)
    wait_until(lambda: f"{ROOT}/{plan.path}" in agent.objects(), 10, "the plan on the bus")
    return plan


def test_empty(app: Application, app_agent: Agent) -> None:
    app_agent.start()
    app.start()
    app.wait_for("Keep Your Folders Safe")
    app.look("empty")


def test_backup(app: Application, app_agent: Agent, slow_folder: Path, bucket: str) -> None:
    app_agent.start()
    plan = add(app_agent, "Photos", slow_folder, bucket, **{"upload-limit": "300K"})
    app.start()
    app.wait_for("Photos")
    app.look("no-backup-yet")
    app.press("Back Up Now")
    app.wait_for_text("Backing up…")
    app.wait_for_text(" left")
    app.look("running")
    app.activate("show-plan", GLib.Variant("s", plan.id))
    app.wait_for("Pause")
    app.look("plan-running")
    plan.job.wait()
    app.wait_for_text("Backed up")
    app.look("plan-done")
