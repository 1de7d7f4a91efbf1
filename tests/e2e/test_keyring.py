# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""The keys of a plan in a real keyring: gnome-keyring on a session bus of each test's own."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from conftest import SANITIZER
from fixtures import PATIENCE
from fixtures.keyring import Keyring
from fixtures.recorder import Recorder
from fixtures.session_bus import SessionBus

TOP = Path(__file__).resolve().parents[2]
PROBE = TOP / os.environ.get("BUILD", "build") / "tests/unit/plan/keyring-probe"
PLAN = "6f0e1d3a-8a35-4a0e-9f0c-3d5b6f0e1d3a"
KEYS = "AKIAEXAMPLE:wJalrXUtnFEMI/K7MDENG"
LOCKED = "locked The keyring that holds the keys is locked; unlock it"
MISSING = "missing The keyring has no keys for this plan; enter them"
DISMISSED = "dismissed The keyring that holds the keys is locked; unlock it"

NOT_UNLOCKED = "keyring-locked The keyring was not unlocked"


class Probe:
    """Runs keyring-probe in the session."""

    def __init__(self, bus: SessionBus):
        self.bus = bus

    def __call__(self, *args: str, stdin: str = "", **env: str) -> str:
        run = subprocess.run(
            [PROBE, *args],
            env={**self.bus.env, **SANITIZER, **env},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60 * PATIENCE,
        )
        assert run.stderr == ""
        assert run.returncode in (0, 1)
        assert (run.returncode == 1) == (args[0] in ("store", "clear") and run.stdout != "")
        return run.stdout.rstrip("\n")

    def start(self, *args: str) -> subprocess.Popen[Any]:
        return self.bus.popen(
            PROBE, *args, env=SANITIZER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )


@pytest.fixture
def probe(session_bus: SessionBus) -> Probe:
    return Probe(session_bus)


def test_store_and_clear(probe: Probe, keyring: Keyring) -> None:
    keyring.start()
    assert probe("lookup", PLAN) == MISSING
    assert probe("unlock", PLAN) == MISSING
    assert probe("store", PLAN, "Photos", stdin=KEYS) == ""
    assert probe("lookup", PLAN) == f"found {KEYS}"
    assert probe("async", PLAN) == f"found {KEYS}"
    assert probe("unlock", PLAN) == f"found {KEYS}"
    assert probe("lookup", PLAN.replace("6", "7")) == MISSING

    # Temporary keys, and then others without a token, in their place.
    assert probe("store", PLAN, "Photos", stdin="A:S:T") == ""
    assert probe("lookup", PLAN) == "found A:S:T"
    assert len(keyring.items()) == 3
    assert probe("store", PLAN, "Photos", stdin="A2:S2") == ""
    assert probe("lookup", PLAN) == "found A2:S2"
    assert len(keyring.items()) == 2

    assert probe("store", "another", "Music", stdin="A3:S3") == ""
    assert probe("clear", PLAN) == ""
    assert probe("lookup", PLAN) == MISSING
    assert probe("clear", PLAN) == ""
    assert probe("lookup", "another") == "found A3:S3"


def test_what_is_not_encrypted(
    probe: Probe, keyring: Keyring, session_bus: SessionBus
) -> None:
    """Attributes and labels hold neither key, and nothing of them is to be seen on the bus."""
    keyring.start()
    with Recorder(session_bus) as recorder:
        assert probe("store", PLAN, "Photos", stdin=f"{KEYS}:tOkEnTOKEN") == ""
        assert probe("lookup", PLAN) == f"found {KEYS}:tOkEnTOKEN"
        schema = "io.github.keepsake_backup.Keepsake.Plan"
        assert sorted(keyring.items()) == [
            (
                f"Keepsake, {label} of “Photos”",
                {"plan": PLAN, "kind": kind, "xdg:schema": schema},
            )
            for kind, label in (
                ("s3-access-key", "access key"),
                ("s3-secret", "secret key"),
                ("session-token", "session token"),
            )
        ]
        assert recorder.find(PLAN) != []
        for secret in (*KEYS.split(":"), "tOkEnTOKEN"):
            assert recorder.find(secret) == []
            written = [path for path in session_bus.folder.rglob("*") if path.is_file()]
            assert not any(secret.encode() in path.read_bytes() for path in written)


def test_locked(probe: Probe, keyring: Keyring) -> None:
    keyring.start()
    assert probe("store", PLAN, "Photos", stdin=KEYS) == ""
    keyring.lock()
    # No answer is prepared: a prompt would be dismissed, and not called locked.
    assert probe("lookup", PLAN) == LOCKED
    assert probe("async", PLAN) == LOCKED
    assert probe("lookup", "another") == MISSING

    keyring.answer("dismiss")
    assert probe("unlock", PLAN) == DISMISSED
    assert probe("lookup", PLAN) == LOCKED
    keyring.answer("ok")
    assert probe("unlock", PLAN) == f"found {KEYS}"
    assert probe("lookup", PLAN) == f"found {KEYS}"


def test_store_and_clear_locked(probe: Probe, keyring: Keyring) -> None:
    keyring.start()
    assert probe("store", PLAN, "Photos", stdin=KEYS) == ""
    keyring.lock()
    keyring.answer("dismiss")
    assert probe("store", PLAN, "Photos", stdin="A:S") == NOT_UNLOCKED
    keyring.answer("dismiss")
    assert probe("clear", PLAN) == NOT_UNLOCKED
    keyring.answer("ok")
    assert probe("unlock", PLAN) == f"found {KEYS}"

    keyring.lock()
    keyring.answer("ok")
    assert probe("store", PLAN, "Photos", stdin="A:S") == ""
    keyring.lock()
    keyring.answer("ok")
    assert probe("clear", PLAN) == ""
    assert probe("lookup", PLAN) == MISSING


def test_half_of_the_keys(probe: Probe, keyring: Keyring) -> None:
    keyring.start()
    assert probe("store", PLAN, "Photos", stdin=KEYS) == ""
    for kind in ("s3-secret", "s3-access-key"):
        keyring.clear(plan=PLAN, kind=kind)
        assert probe("lookup", PLAN) == MISSING
        assert probe("store", PLAN, "Photos", stdin=KEYS) == ""
    assert probe("lookup", PLAN) == f"found {KEYS}"


def test_locked_at_login(probe: Probe, keyring: Keyring) -> None:
    """After an automatic login nobody has entered a password; a locked keyring knows its items by
    hashes of their attributes alone."""
    keyring.start()
    assert probe("store", PLAN, "Photos", stdin=KEYS) == ""
    keyring.stop()
    keyring.start(locked=True)
    assert probe("lookup", PLAN) == LOCKED
    assert probe("async", PLAN) == LOCKED
    assert probe("lookup", "another") == MISSING
    keyring.answer("dismiss")
    assert probe("unlock", PLAN) == DISMISSED
    keyring.unlock()
    assert probe("lookup", PLAN) == f"found {KEYS}"


def test_no_keyring(probe: Probe, session_bus: SessionBus) -> None:
    for how in ("lookup", "unlock", "async"):
        assert probe(how, PLAN).startswith("unavailable There is no keyring in this session")
    assert probe("store", PLAN, "Photos", stdin=KEYS).startswith("failed There is no keyring")
    assert probe("clear", PLAN).startswith("failed There is no keyring")

    for address in (f"unix:path={session_bus.folder}/nobody", "nonsense"):
        answer = probe("lookup", PLAN, DBUS_SESSION_BUS_ADDRESS=address)
        assert answer.startswith("unavailable There is no keyring in this session")


def test_keyring_comes_and_goes(probe: Probe, keyring: Keyring) -> None:
    """An agent that runs for weeks sees the keyring start, lock, end and start again."""
    agent = probe.start("lookup", *(6 * [PLAN]))
    assert agent.stdin is not None and agent.stdout is not None
    assert agent.stdout.readline().startswith("unavailable ")

    def look() -> str:
        agent.stdin.write("again\n")
        agent.stdin.flush()
        return agent.stdout.readline().rstrip("\n")

    keyring.start()
    assert probe("store", PLAN, "Photos", stdin=KEYS) == ""
    assert look() == f"found {KEYS}"
    keyring.lock()
    assert look() == LOCKED
    keyring.stop()
    assert look().startswith("unavailable ")
    keyring.start()
    assert look() == f"found {KEYS}"
    assert look() == f"found {KEYS}"
