# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""The keys of a plan in a real keyring: gnome-keyring on a session bus of each test's own.

Its prompts go to the prompter that comes with gnome-keyring for tests, which answers as it is told.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import gi
import pytest

gi.require_version("Gio", "2.0")
from gi.repository import Gio, GLib  # noqa: E402

from conftest import SANITIZER, short_folder  # noqa: E402
from fixtures import PATIENCE, clean_environment, wait_until  # noqa: E402

TOP = Path(__file__).resolve().parents[2]
PROBE = TOP / os.environ.get("BUILD", "build") / "tests/unit/plan/keyring-probe"
PASSWORD = "correct horse"
PLAN = "6f0e1d3a-8a35-4a0e-9f0c-3d5b6f0e1d3a"
KEYS = "AKIAEXAMPLE:wJalrXUtnFEMI/K7MDENG"
LOCKED = "locked The keyring that holds the keys is locked; unlock it"
MISSING = "missing The keyring has no keys for this plan; enter them"
DISMISSED = "dismissed The keyring that holds the keys is locked; unlock it"

NOT_UNLOCKED = "keyring-locked The keyring was not unlocked"

# No folder with services: nothing starts that the test did not start.
BUS_CONFIG = """\
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path={folder}/bus</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"""

# libgcr's prompter for tests, without its GObject introspection, which is a package of its own.
PROMPTER = """\
import ctypes, sys
gcr = ctypes.CDLL("libgcr-base-3.so.1")
gcr.gcr_mock_prompter_start.restype = ctypes.c_char_p
print(gcr.gcr_mock_prompter_start().decode(), flush=True)
for line in sys.stdin:
    if line.startswith("ok "):
        gcr.gcr_mock_prompter_expect_password_ok(line[3:-1].encode(), None)
    else:
        gcr.gcr_mock_prompter_expect_password_cancel()
    print("expecting", flush=True)
"""


class Session:
    """A bus, a prompter, and a keyring that is unlocked once start_keyring() returns."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack):
        self.folder = folder
        self._stack = stack
        self.env = clean_environment(
            HOME=str(folder),
            XDG_DATA_HOME=str(folder / "data"),
            XDG_RUNTIME_DIR=str(folder / "run"),
            DBUS_SESSION_BUS_ADDRESS=f"unix:path={folder}/bus",
            **SANITIZER,
        )
        (folder / "run").mkdir(mode=0o700)
        (folder / "bus.conf").write_text(BUS_CONFIG.format(folder=folder))
        self.popen("dbus-daemon", f"--config-file={folder}/bus.conf", "--nofork", "--nopidfile")
        wait_until((folder / "bus").exists, what="the bus")
        flags = Gio.DBusConnectionFlags
        self.bus = Gio.DBusConnection.new_for_address_sync(
            self.env["DBUS_SESSION_BUS_ADDRESS"],
            flags.AUTHENTICATION_CLIENT | flags.MESSAGE_BUS_CONNECTION,
            None,
            None,
        )
        self.prompter = self.popen(sys.executable, "-s", "-c", PROMPTER)
        self.prompter_name = self.read_line(self.prompter)
        self.keyring: subprocess.Popen[str] | None = None

    def popen(self, *args: str | Path, **env: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            args,
            env={**self.env, **env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if "gnome" in str(args[0]) else None,
            text=True,
        )
        self._stack.callback(self.end, process)
        return process

    @staticmethod
    def end(process: subprocess.Popen[str]) -> None:
        with process:
            process.kill()

    @staticmethod
    def read_line(process: subprocess.Popen[str]) -> str:
        assert process.stdout is not None
        return process.stdout.readline().rstrip("\n")

    @staticmethod
    def write_line(process: subprocess.Popen[str], text: str) -> None:
        assert process.stdin is not None
        process.stdin.write(text + "\n")
        process.stdin.flush()

    def start_keyring(self) -> None:
        self.keyring = self.popen(
            "gnome-keyring-daemon",
            "--foreground",
            "--unlock",
            "--components=secrets",
            GNOME_KEYRING_TEST_PROMPTER=self.prompter_name,
        )
        assert self.keyring.stdin is not None
        self.keyring.stdin.write(PASSWORD)
        self.keyring.stdin.close()
        self.keyring.stdin = None
        wait_until(self.has_default_collection, what="the keyring")

    def stop_keyring(self) -> None:
        assert self.keyring is not None
        self.end(self.keyring)
        wait_until(lambda: not self.has_keyring(), what="the keyring to go")

    def call(self, name: str, path: str, method: str, *args: GLib.Variant) -> tuple:
        interface, _, member = method.rpartition(".")
        parameters = GLib.Variant.new_tuple(*args)
        reply = self.bus.call_sync(
            name, path, interface, member, parameters, None, Gio.DBusCallFlags.NO_AUTO_START,
            int(10_000 * PATIENCE), None,
        )  # fmt: skip
        return reply.unpack()

    def has_keyring(self) -> bool:
        name = GLib.Variant("s", "org.freedesktop.secrets")
        dbus = "org.freedesktop.DBus"
        return self.call(dbus, "/org/freedesktop/DBus", f"{dbus}.NameHasOwner", name)[0]

    def service(self, method: str, *args: GLib.Variant) -> tuple:
        return self.call(
            "org.freedesktop.secrets",
            "/org/freedesktop/secrets",
            f"org.freedesktop.Secret.Service.{method}",
            *args,
        )

    def default_collection(self) -> str:
        return self.service("ReadAlias", GLib.Variant("s", "default"))[0]

    def has_default_collection(self) -> bool:
        return self.has_keyring() and self.default_collection() != "/"

    def lock(self) -> None:
        locked, _ = self.service("Lock", GLib.Variant("ao", [self.default_collection()]))
        assert locked == [self.default_collection()]

    def answer(self, text: str) -> None:
        """How the next prompt will be answered: "ok PASSWORD" or "cancel"."""
        self.write_line(self.prompter, text)
        assert self.read_line(self.prompter) == "expecting"

    def probe(self, *args: str, stdin: str = "", **env: str) -> str:
        run = subprocess.run(
            [PROBE, *args],
            env={**self.env, **env},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60 * PATIENCE,
        )
        assert run.stderr == ""
        assert run.returncode in (0, 1)
        assert (run.returncode == 1) == (args[0] in ("store", "clear") and run.stdout != "")
        return run.stdout.rstrip("\n")

    def items(self) -> dict[str, tuple[str, dict[str, str]]]:
        """Label and attributes of all items, by kind."""
        found = {}
        for paths in self.service("SearchItems", GLib.Variant("a{ss}", {})):
            for path in paths:
                get = "org.freedesktop.DBus.Properties.GetAll"
                interface = GLib.Variant("s", "org.freedesktop.Secret.Item")
                properties = self.call("org.freedesktop.secrets", path, get, interface)[0]
                kind = properties["Attributes"]["kind"]
                found[kind] = (properties["Label"], properties["Attributes"])
        return found


@pytest.fixture
def bus() -> Iterator[Session]:
    with short_folder("keyring") as folder, contextlib.ExitStack() as stack:
        yield Session(folder, stack)


@pytest.fixture
def session(bus: Session) -> Session:
    bus.start_keyring()
    return bus


def test_store_and_clear(session: Session) -> None:
    assert session.probe("lookup", PLAN) == MISSING
    assert session.probe("unlock", PLAN) == MISSING
    assert session.probe("store", PLAN, "Photos", stdin=KEYS) == ""
    assert session.probe("lookup", PLAN) == f"found {KEYS}"
    assert session.probe("async", PLAN) == f"found {KEYS}"
    assert session.probe("unlock", PLAN) == f"found {KEYS}"
    assert session.probe("lookup", PLAN.replace("6", "7")) == MISSING

    # Temporary keys, and then others without a token, in their place.
    assert session.probe("store", PLAN, "Photos", stdin="A:S:T") == ""
    assert session.probe("lookup", PLAN) == "found A:S:T"
    assert len(session.items()) == 3
    assert session.probe("store", PLAN, "Photos", stdin="A2:S2") == ""
    assert session.probe("lookup", PLAN) == "found A2:S2"
    assert len(session.items()) == 2

    assert session.probe("store", "another", "Music", stdin="A3:S3") == ""
    assert session.probe("clear", PLAN) == ""
    assert session.probe("lookup", PLAN) == MISSING
    assert session.probe("clear", PLAN) == ""
    assert session.probe("lookup", "another") == "found A3:S3"


def test_what_is_not_encrypted(session: Session) -> None:
    """Attributes and labels hold neither key, and nothing of them is to be seen on the bus."""
    monitor = session.popen("dbus-monitor", "--binary")
    monitor_output = session.folder / "monitor"
    wait_until(lambda: is_monitored(session), what="the monitor")

    assert session.probe("store", PLAN, "Photos", stdin=f"{KEYS}:tOkEn") == ""
    assert session.probe("lookup", PLAN) == f"found {KEYS}:tOkEn"
    schema = "io.github.keepsake_backup.Keepsake.Plan"
    assert session.items() == {
        kind: (
            f"Keepsake, {label} of “Photos”",
            {"plan": PLAN, "kind": kind, "xdg:schema": schema},
        )
        for kind, label in (
            ("s3-access-key", "access key"),
            ("s3-secret", "secret key"),
            ("session-token", "session token"),
        )
    }

    monitor.terminate()
    assert monitor.stdout is not None
    monitor_output.write_bytes(monitor.stdout.buffer.read())
    files = [monitor_output, *(session.folder / "data").rglob("*")]
    written = b"".join(file.read_bytes() for file in files if file.is_file())
    assert PLAN.encode() in monitor_output.read_bytes()
    for secret in (*KEYS.encode().split(b":"), b"tOkEn"):
        assert secret not in written


def is_monitored(session: Session) -> bool:
    """Whether dbus-monitor has become one: it then loses its unique name."""
    names = session.call("org.freedesktop.DBus", "/", "org.freedesktop.DBus.ListNames")[0]
    return len([name for name in names if name.startswith(":")]) == 3


def test_locked(session: Session) -> None:
    assert session.probe("store", PLAN, "Photos", stdin=KEYS) == ""
    session.lock()
    # No answer is prepared: a prompt would be dismissed, and not called locked.
    assert session.probe("lookup", PLAN) == LOCKED
    assert session.probe("async", PLAN) == LOCKED
    assert session.probe("lookup", "another") == MISSING

    session.answer("cancel")
    assert session.probe("unlock", PLAN) == DISMISSED
    assert session.probe("lookup", PLAN) == LOCKED
    session.answer(f"ok {PASSWORD}")
    assert session.probe("unlock", PLAN) == f"found {KEYS}"
    assert session.probe("lookup", PLAN) == f"found {KEYS}"


def test_store_and_clear_locked(session: Session) -> None:
    assert session.probe("store", PLAN, "Photos", stdin=KEYS) == ""
    session.lock()
    session.answer("cancel")
    assert session.probe("store", PLAN, "Photos", stdin="A:S") == NOT_UNLOCKED
    session.answer("cancel")
    assert session.probe("clear", PLAN) == NOT_UNLOCKED
    session.answer(f"ok {PASSWORD}")
    assert session.probe("unlock", PLAN) == f"found {KEYS}"

    session.lock()
    session.answer(f"ok {PASSWORD}")
    assert session.probe("store", PLAN, "Photos", stdin="A:S") == ""
    session.lock()
    session.answer(f"ok {PASSWORD}")
    assert session.probe("clear", PLAN) == ""
    assert session.probe("lookup", PLAN) == MISSING


def test_half_of_the_keys(session: Session) -> None:
    assert session.probe("store", PLAN, "Photos", stdin=KEYS) == ""
    for kind in ("s3-secret", "s3-access-key"):
        subprocess.run(
            ["secret-tool", "clear", "plan", PLAN, "kind", kind], env=session.env, check=True
        )
        assert session.probe("lookup", PLAN) == MISSING
        assert session.probe("store", PLAN, "Photos", stdin=KEYS) == ""
    assert session.probe("lookup", PLAN) == f"found {KEYS}"


def test_no_keyring(bus: Session) -> None:
    for how in ("lookup", "unlock", "async"):
        assert bus.probe(how, PLAN).startswith("unavailable There is no keyring in this session")
    assert bus.probe("store", PLAN, "Photos", stdin=KEYS).startswith("failed There is no keyring")
    assert bus.probe("clear", PLAN).startswith("failed There is no keyring")

    for address in (f"unix:path={bus.folder}/nobody", "nonsense"):
        answer = bus.probe("lookup", PLAN, DBUS_SESSION_BUS_ADDRESS=address)
        assert answer.startswith("unavailable There is no keyring in this session")


def test_keyring_comes_and_goes(bus: Session) -> None:
    """An agent that runs for weeks sees the keyring start, lock, end and start again."""
    agent = bus.popen(PROBE, "lookup", *(6 * [PLAN]))
    assert bus.read_line(agent).startswith("unavailable ")

    def look() -> str:
        bus.write_line(agent, "again")
        return bus.read_line(agent)

    bus.start_keyring()
    assert bus.probe("store", PLAN, "Photos", stdin=KEYS) == ""
    assert look() == f"found {KEYS}"
    bus.lock()
    assert look() == LOCKED
    bus.stop_keyring()
    assert look().startswith("unavailable ")
    bus.start_keyring()
    assert look() == f"found {KEYS}"
    assert look() == f"found {KEYS}"
