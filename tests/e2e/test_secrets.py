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
import resource
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import BINARY
from fixtures import wait_until
from fixtures.agent import NAME, Agent
from fixtures.checks import write_files
from fixtures.fault_proxy import FaultProxy
from fixtures.recorder import Recorder, disguises
from test_docs import SECTIONS_OF
from test_plans_session import Session, add, folder, here, there  # noqa: F401

SECRET = "wJal/rXUtn+FEMI/K7=MDENG&bPx%RfiCY"  # with what has to be escaped somewhere


def shapes() -> set[bytes]:
    plain = SECRET.encode()
    quoted = {urllib.parse.quote(SECRET, safe=safe).encode() for safe in ("", "/", "/+=")}
    return {plain, *quoted, *disguises(plain)}


def find(data: bytes) -> list[bytes]:
    return [shape for shape in shapes() if shape in data]


@pytest.fixture
def access_key(rgw: Any) -> Iterator[str]:
    """Keys of the same owner, one of which is hard to hide."""
    name = "KEEPSAKESECRETTEST"
    rgw.admin("key", "create", "--uid=keepsake", "--key-type=s3", f"--access-key={name}",
              f"--secret-key={SECRET}")  # fmt: skip
    yield name
    rgw.admin("key", "rm", "--uid=keepsake", "--key-type=s3", f"--access-key={name}")


class Traced:
    """Runs commands under strace, with all logs on; keeps what they said."""

    def __init__(self, session: Session, folder: Path):
        self.session, self.folder = session, folder
        self.commands: set[str] = set()
        self.said: list[str] = []
        self.started = 0
        folder.mkdir()
        script = folder / "keepsakectl"
        script.write_text(
            f"#!/bin/sh\nexec strace -f -v -s 100000 -e trace=execve,execveat -o {folder}/trace.$$ "
            f'{BINARY} "$@"\n'
        )
        script.chmod(0o755)
        session.ctl.binary = script

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
        traces = list(self.folder.glob("trace.*"))
        assert traces
        for trace in traces:
            lines = [line for line in trace.read_bytes().splitlines() if b"exec" in line]
            self.started += len(lines)
            for line in lines[1:] if in_environment else lines:
                assert not find(line), line
            trace.unlink()
        self.said.clear()


@pytest.fixture
def traced(here: Session, tmp_path: Path) -> Traced:  # noqa: F811
    return Traced(here, tmp_path / "traces")


def check_files(*folders: Path) -> None:
    files = [path for top in folders for path in top.rglob("*") if path.is_file()]
    assert files
    for path in files:
        assert not find(path.read_bytes()), path


@pytest.mark.parametrize("source", ["environment", "file", "profile"])
def test_commands_without_plans(
    traced: Traced, tmp_path: Path, bucket: str, folder: Path, access_key: str,  # noqa: F811
    source: str,
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
        wrong = {**env, "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
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
        traced("status", check=0, **quiet)
        traced("history", "Photos", check=0, **quiet)
        traced("recover", "Photos", **quiet)
        traced("pause", "1h", check=0, **quiet)
        traced("resume", check=0, **quiet)
        traced("limit", "1M", check=0, **quiet)
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


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can allow cores where they are not")
def test_memory(ctl: Any, tmp_path: Path, bucket: str, proxy: FaultProxy) -> None:
    """No core is written, and some memory is locked: the keys are in it."""
    source = write_files(tmp_path / "folder", {"large": os.urandom(300_000)})
    process = ctl.popen(
        "mirror", "--upload-limit=64K", source, f"s3://{bucket}", endpoint=proxy,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (1 << 30, 1 << 30)),
    )  # fmt: skip
    wait_until(lambda: proxy.bytes_up > 10_000, 20, "the job to send")
    limits = Path(f"/proc/{process.pid}/limits").read_text()
    status = Path(f"/proc/{process.pid}/status").read_text()
    process.kill()
    (core,) = [line for line in limits.splitlines() if line.startswith("Max core file size")]
    assert core.split()[4] == "0"
    (locked,) = [line for line in status.splitlines() if line.startswith("VmLck:")]
    assert int(locked.split()[1]) > 0
