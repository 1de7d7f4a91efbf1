# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""A secret key that is typed into the window: it goes into the keyring and nowhere else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fixtures import wait_until
from fixtures.agent import Agent
from fixtures.app import NAME, Application, begin_setup, choose_folder, fill_storage
from fixtures.ceph_rgw import CephRgw
from fixtures.checks import write_files
from fixtures.recorder import Recorder
from fixtures.secret_key import (
    SECRET,
    WITH_CORES,
    check_files,
    check_memory,
    check_no_core,
    check_traces,
    find,
    in_memory,
    trace,
    with_cores,
)

pytest_plugins = ["fixtures.app_fixtures"]

LOUD = {"G_MESSAGES_DEBUG": "all", "SOUP_DEBUG": "all"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_files(tmp_path / "Pictures", {"one.jpg": os.urandom(50_000)})


@WITH_CORES
def test_key_that_is_typed(
    app: Application, app_agent: Agent, folder: Path, tmp_path: Path, bucket: str, rgw: CephRgw,
    access_key: str,
) -> None:  # fmt: skip
    """First it is tested, and does not fit the bucket; then it does, and a plan is made with it."""
    starts = tmp_path / "starts"
    app.binary = with_cores(trace(app.binary, starts, "-D"), tmp_path)
    app_agent.binary = with_cores(app_agent.binary, tmp_path)
    app.environment |= LOUD
    app_agent.environment |= LOUD
    agent_log = len(app_agent.log)
    with Recorder(app.bus) as recorder:
        begin_setup(app, app_agent)
        pid = app.bus.pid_of(NAME)
        choose_folder(app, folder)
        app.key("Alt+n")
        app.wait_for("Where to?")
        fill_storage(app, rgw.endpoint, f"{bucket}-gone", access_key, SECRET)
        app.key("Alt+t")
        app.wait_for_text("There is no bucket", timeout=30)
        app.fill("Bucket", bucket)
        app.key("Alt+t")
        app.wait_for_text("Everything works.", timeout=30)
        assert in_memory(pid), "it is not where it was typed, or cannot be looked for"
        check_memory(pid)
        for step in (3, 4):
            app.key("Alt+n")
            app.wait_for(f"Step {step} of 4", timeout=30)
        app.fill("Name of the plan", "Photos")
        app.key("Alt+c")
        app.wait_for_text("Backed up just now", timeout=40)
        assert recorder.messages(interface="org.freedesktop.Secret.Service", member="OpenSession")
        assert recorder.find(SECRET) == []
    (file,) = app_agent.plans_folder.glob("*.json")
    assert app_agent.keyring.lookup(plan=file.stem, kind="s3-secret") == SECRET
    for process in (pid, app_agent.pid):
        check_no_core(process)
        for name in ("cmdline", "environ"):
            assert not find(Path(f"/proc/{process}/{name}").read_bytes())
        wait_until(lambda: not in_memory(process), 10, "the key to be forgotten")
    check_traces(starts)
    check_files(tmp_path, app.bus.folder)
    for log in (app.log, app_agent.log[agent_log:]):
        assert "DEBUG" in log, "it did not say all that it could"
        assert not find(log.encode())
