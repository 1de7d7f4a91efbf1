# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""A secret key is in the keyring, in memory, and nowhere else, whatever command is run.

Looked for in: arguments and environment of every program that is started, all that is said with all
logs on, all messages on the bus, and all files. The keyring hands it over encrypted, for the session
of one connection (the Secret Service's "dh-ietf1024-…"), so that its messages need no exception.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conftest import BINARY
from fixtures import wait_until
from fixtures.agent import NAME, SCHEMA, Agent
from fixtures.checks import write_files
from fixtures.fault_proxy import FaultProxy
from fixtures.impatience import Impatience
from fixtures.keyring import Keyring
from fixtures.recorder import Recorder
from fixtures.secret_key import (
    SECRET,
    WITH_CORES,
    allow_cores,
    check_files,
    check_memory,
    check_no_core,
    check_traces,
    find,
    in_memory,
    locked_memory,
    trace,
    with_cores,
)
from test_docs import SECTIONS_OF
from test_plans_session import Session, add, folder, here, there  # noqa: F401


class Traced:
    """Runs commands under strace, with all logs on; keeps what they said."""

    def __init__(self, session: Session, folder: Path):
        self.session, self.folder = session, folder
        self.commands: set[str] = set()
        self.said: list[str] = []
        self.started = 0
        session.ctl.binary = trace(BINARY, folder)

    def __call__(self, *args: Any, own: tuple[str, ...] = ("--verbose",), **more: Any) -> Any:
        self.commands.add(str(args[0]))
        env = {"G_MESSAGES_DEBUG": "all", "SOUP_DEBUG": "all", **more.pop("env", {})}
        result = self.session(*args, *own, env=env, **more)
        self.said.append(result.stdout + result.stderr)
        return result

    def check(self, in_environment: bool = False) -> None:
        """`in_environment`: of the program itself, by whoever started it."""
        for text in self.said:
            assert not find(os.fsencode(text)), text
        self.started += check_traces(self.folder, in_environment)
        self.said.clear()


@pytest.fixture
def traced(here: Session, tmp_path: Path) -> Traced:  # noqa: F811
    return Traced(here, tmp_path / "traces")


@pytest.mark.parametrize("source", ["environment", "file", "profile"])
def test_commands_without_plans(
    traced: Traced, tmp_path: Path, bucket: str, folder: Path, access_key: str,  # noqa: F811
    impatience: Impatience, source: str,
) -> None:  # fmt: skip
    options, env = [], {}
    file = Path(traced.session.env["HOME"]) / ".aws/credentials"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)
    if source == "environment":
        env = {"AWS_ACCESS_KEY_ID": access_key, "AWS_SECRET_ACCESS_KEY": SECRET}
    elif source == "file":
        file.write_text(f"{access_key}:{SECRET}\n")
        options = [f"--passwd-file={file}"]
    else:
        file.write_text(f"[p]\naws_access_key_id={access_key}\naws_secret_access_key={SECRET}\n")
        options = ["--profile=p"]
    address = f"s3://{bucket}/p"
    with Recorder(traced.session.bus) as recorder:
        traced("mirror", f"{folder}/", address, *options, env=env, check=0)
        traced("ls", address, *options, env=env, check=0)
        traced("versions", f"{address}/a", *options, env=env, check=0)
        traced("verify", f"{folder}/", address, *options, env=env, check=0)
        traced("restore", address, tmp_path / "back", *options, env=env, check=0)
        traced("probe", address, *options, env=env, check=0)
        # Wrong keys, and a server that is not there.
        wrong = {**env, **impatience.environment, "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
        assert traced("ls", address, *options, env=wrong).returncode == 5
        other = {"AWS_ACCESS_KEY_ID": "NOBODY", "AWS_SECRET_ACCESS_KEY": SECRET}
        if source == "environment":
            assert traced("ls", address, env=other).returncode == 4
        assert recorder.find(SECRET) == []
    traced.check(in_environment=source == "environment")
    file.unlink()
    check_files(tmp_path, traced.session.bus.folder)


def test_commands_with_plans(
    there: Session, traced: Traced, agent: Agent, tmp_path: Path, access_key: str,  # noqa: F811
    bucket: str,
) -> None:  # fmt: skip
    """The keys come from the standard input, once, and are in the keyring from then on."""
    quiet: dict[str, Any] = {"own": ()}
    agent.environment["G_MESSAGES_DEBUG"] = "all"
    there.bus.add_service(NAME, agent.binary, env=agent.environment)
    with Recorder(there.bus) as recorder:
        traced("credentials", "set", "Photos", input=f"{access_key}:{SECRET}\n", check=0, **quiet)
        traced("plan", "list", check=0, **quiet)
        traced("plan", "show", "Photos", check=0, **quiet)
        traced("plan", "edit", "Photos", env={"EDITOR": "true", "VISUAL": "true"}, **quiet)
        traced("plan", "edit", "Photos", "--upload-limit=10M", check=0, **quiet)
        exported = traced("plan", "export", "Photos", check=0, **quiet).stdout
        (tmp_path / "plan.json").write_text(exported)
        traced("plan", "import", tmp_path / "plan.json", "--name=Import", check=0, **quiet)
        traced("credentials", "set", "Import", input=f"{access_key}:{SECRET}\n", check=0, **quiet)
        traced("credentials", "check", "Photos", check=0, **quiet)
        traced("run", "Photos", "--foreground", check=0, **quiet)
        traced("run", "Photos", check=0, **quiet)  # by the agent, which the bus starts
        traced("ls", f"s3://{bucket}/laptop", env={"AWS_ENDPOINT_URL": None}, check=0)
        traced("status", check=0, **quiet)
        traced("history", "Photos", check=0, **quiet)
        traced("recover", "Photos", **quiet)
        traced("pause", "1h", check=0, **quiet)
        traced("resume", check=0, **quiet)
        traced("limit", "1M", check=0, **quiet)
        traced("autostart", "on", check=0, **quiet)
        assert recorder.messages(interface="org.freedesktop.Secret.Service", member="OpenSession")
        assert recorder.find(SECRET) == []
        assert agent.keyring.lookup(kind="s3-secret") == SECRET
        everywhere = (tmp_path, there.bus.folder, there.ctl.home)
        check_files(*everywhere)
        traced("credentials", "clear", "Photos", check=0, **quiet)
        traced("plan", "remove", "Photos", "--yes", check=0, **quiet)
        assert recorder.find(access_key) == [], "nor is the access key anybody's business"
    traced.check()
    assert traced.started > len(traced.commands), "it saw no program that another started"
    check_files(*everywhere)
    assert "DEBUG" in agent.log, "it did not say all that it could"
    assert not find(agent.log.encode())


def test_plan_is_added_where_keys_are_in_the_environment(
    traced: Traced, tmp_path: Path, bucket: str, folder: Path, access_key: str  # noqa: F811
) -> None:
    """It does not take them along."""
    env = {"AWS_ACCESS_KEY_ID": access_key, "AWS_SECRET_ACCESS_KEY": SECRET}
    with Recorder(traced.session.bus) as recorder:
        traced("plan", "add", "Photos", folder, f"s3://{bucket}/p", env=env, own=(), check=0)
        traced("plan", "show", "Photos", env=env, own=(), check=0)
        assert recorder.find(SECRET) == []
    traced.check(in_environment=True)
    check_files(tmp_path, traced.session.bus.folder)


def test_all_commands_are_tried() -> None:
    """Above, those of `plan` and `credentials` too; test_docs knows that its list is whole."""
    tried = set()
    calls = re.compile(r'traced\("([a-z]+)"(?:, "([a-z]+)")?')
    for first, second in calls.findall(Path(__file__).read_text()):
        tried.add(f"{first} {second}" if first in ("plan", "credentials") else first)
    assert tried == set(SECTIONS_OF)


@WITH_CORES
def test_memory(ctl: Any, tmp_path: Path, bucket: str, proxy: FaultProxy) -> None:
    """No core is written, and some memory is locked: the keys are in it."""
    source = write_files(tmp_path / "folder", {"large": os.urandom(300_000)})
    process = ctl.popen(
        "mirror", "--upload-limit=64K", source, f"s3://{bucket}", endpoint=proxy,
        preexec_fn=allow_cores,
    )  # fmt: skip
    wait_until(lambda: proxy.bytes_up > 10_000, 20, "the job to send")
    check_no_core(process.pid)
    locked = locked_memory(process.pid)
    process.kill()
    assert locked > 0


@WITH_CORES
def test_memory_of_the_agent(
    agent: Agent, unlocked_keyring: Keyring, tmp_path: Path, bucket: str, access_key: str,
    proxy: FaultProxy,
) -> None:  # fmt: skip
    """During a job and behind it, when it has given its keys back."""
    folder = write_files(tmp_path / "Pictures", {"large": os.urandom(300_000)})
    plan = agent.add_plan("Photos", folder, bucket, keys=False, endpoint=proxy.endpoint,
                          **{"upload-limit": "32K"})  # fmt: skip
    for kind, value in (("s3-access-key", access_key), ("s3-secret", SECRET)):
        unlocked_keyring.store(kind, value, **{"xdg:schema": SCHEMA}, plan=plan.id, kind=kind)
    agent.binary = with_cores(agent.binary, tmp_path)
    agent.start()
    job = plan.run()
    wait_until(lambda: proxy.bytes_up > 10_000, 20, "the job to send")
    check_no_core(agent.pid)
    assert in_memory(agent.pid), "it has no key, or cannot be looked into"
    check_memory(agent.pid)
    agent.manager("SetUploadLimit", "(xa{sv})", 0, {})
    assert job.wait() and job.state == "finished"
    wait_until(lambda: not in_memory(agent.pid), 10, "the key to be forgotten")
    assert locked_memory(agent.pid) > 0
