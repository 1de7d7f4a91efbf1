# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""Keepsake in Flatpak's sandbox, with the real portals. flatpak/test builds and installs it first."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import TOP
from fixtures import PATIENCE, wait_until
from fixtures.agent import NAME as AGENT_NAME
from fixtures.agent import ROOT, Agent, Plan
from fixtures.app import NAME, Application
from fixtures.ceph_rgw import CephRgw
from fixtures.checks import keys, write_files
from fixtures.desktop import Desktop
from fixtures.keyring import Keyring
from fixtures.sandbox_portals import SandboxPortals
from fixtures.session_bus import SessionBus, answer_may_be_lost
from fixtures.status_notifier import Tray
from fixtures.system_bus import SystemBus

ID = "io.github.keepsake_backup.Keepsake"
MANIFEST = TOP / f"flatpak/{ID}.yml"
USER_DIR = os.environ.get("FLATPAK_USER_DIR", "")

if not USER_DIR:
    pytest.skip("flatpak/test installs what is tried here", allow_module_level=True)


# What the sandbox lets through, as Flatpak writes it down. Whoever widens it does so here, too.
PERMISSIONS = {
    ("Context", "shared"): {"network", "ipc"},
    # What may fall back to X11 has its socket, and uses it without Wayland alone.
    ("Context", "sockets"): {"wayland", "fallback-x11", "x11"},
    ("Context", "devices"): {"dri"},
    ("Context", "filesystems"): {"host:ro", "~/.var/app:ro"},
    ("Session Bus Policy", "org.kde.StatusNotifierWatcher"): {"talk"},
    ("System Bus Policy", "org.freedesktop.UPower"): {"talk"},
}


def test_permissions_are_explained() -> None:
    """Each line of the manifest has a comment above it, which may be for up to three."""
    text = MANIFEST.read_text().partition("finish-args:\n")[2].partition("\n\n")[0]
    explained = 0
    for line in text.splitlines():
        if line.strip().startswith("#"):
            explained = 3
            continue
        explained -= 1
        assert line.startswith("  - --") and explained >= 0, line


def test_permissions() -> None:
    done = subprocess.run(
        ["flatpak", "--user", "info", "--show-permissions", ID], capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    parser = configparser.RawConfigParser(delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(done.stdout)
    granted = {(section, key): set(filter(None, value.split(";")))
               for section in parser.sections() for key, value in parser[section].items()}  # fmt: skip
    assert {key: value for key, value in granted.items() if value} == PERMISSIONS


def test_icons() -> None:
    """Each that the window names is in the theme of the runtime: some come and go."""
    named = {
        name
        for path in (TOP / "src/app").iterdir()
        if path.suffix in (".c", ".ui")
        for name in re.findall(r"[\">]((?:[a-z]+-)+symbolic)[\"<]", path.read_text())
    }
    runtime = Path(USER_DIR, "runtime/org.gnome.Platform")
    there = {path.stem for path in runtime.glob("*/*/active/files/share/icons/Adwaita/**/*.svg")}
    assert len(named) > 10 and named - there == set()


def test_metainfo() -> None:
    """As AppStream 1.x judges it, which knows more than that of Debian 12."""
    (files,) = Path(USER_DIR, f"app/{ID}").glob("*/*/active/files")
    # Older builders rename it to "appdata".
    (path,) = [*files.glob("share/metainfo/*.xml"), *files.glob("share/appdata/*.xml")]
    assert "<developer id=" in path.read_text()
    done = subprocess.run(
        ["flatpak", "--user", "run", "--command=appstreamcli", ID, "validate", "--strict", "--no-net",
         f"/app/{path.relative_to(files)}"], capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_languages() -> None:
    """They come with the bundle."""
    (files,) = Path(USER_DIR, f"app/{ID}").glob("*/*/active/files")
    there = {path.parts[-3] for path in files.glob("share/locale/*/LC_MESSAGES/keepsake.mo")
             if path.exists()}  # fmt: skip
    languages = (TOP / "po/LINGUAS").read_text().split("\n")
    assert there == {line for line in languages if line and not line.startswith("#")}


# -- a session ----------------------------------------------------------------------------------


class Sandbox:
    def __init__(self, bus: SessionBus, rgw: CephRgw):
        self.bus, self.rgw = bus, rgw
        self.data = bus.home / f".var/app/{ID}/data"
        self.config = bus.home / f".var/app/{ID}/config"

    def __call__(
        self, *args: str | Path, check: int = 0, options: tuple[str, ...] = (), stdin: str = ""
    ) -> str:
        """keepsakectl, inside."""
        done = subprocess.run(
            ["flatpak", "run", *options, "--command=keepsakectl", ID, *args], env=self.bus.env,
            input=stdin, capture_output=True, text=True, timeout=120 * PATIENCE,
        )  # fmt: skip
        output = done.stdout + done.stderr
        assert done.returncode == check, f"{args}: {done.returncode}\n{output}"
        return output

    @property
    def keys(self) -> tuple[str, ...]:
        return (f"--env=AWS_ACCESS_KEY_ID={self.rgw.access_key}",
                f"--env=AWS_SECRET_ACCESS_KEY={self.rgw.secret_key}",
                f"--env=AWS_ENDPOINT_URL={self.rgw.endpoint}", "--env=AWS_REGION=default")  # fmt: skip


@pytest.fixture
def bus(machine: SystemBus) -> Iterator[SessionBus]:
    machine.reset()
    # Not below /tmp, which the sandbox has of its own.
    with tempfile.TemporaryDirectory(prefix="keepsake-", dir="/home") as name, SessionBus(
        Path(name)
    ) as bus:
        bus.set_environment(FLATPAK_USER_DIR=USER_DIR, DBUS_SYSTEM_BUS_ADDRESS=machine.address)
        yield bus


@pytest.fixture
def sandbox(bus: SessionBus, rgw: CephRgw) -> Sandbox:
    return Sandbox(bus, rgw)


@pytest.fixture
def pictures(bus: SessionBus) -> Path:
    return write_files(bus.home / "Pictures", {"one": "1", "summer/two": "2"})


def test_without_a_session(sandbox: Sandbox, pictures: Path, s3: object, bucket: str) -> None:
    """The command line alone: what is read, and where may be written."""
    where = f"s3://{bucket}/laptop"
    sandbox("mirror", pictures, where, options=sandbox.keys)
    assert len(keys(s3, bucket)) == 4
    restored = sandbox.bus.home / "Restored"
    restored.mkdir()
    refused = sandbox("restore", f"{where}/Pictures", restored, check=2, options=sandbox.keys)
    assert "Read-only file system" in refused and list(restored.iterdir()) == []
    # What only has the name of a folder of the computer.
    hidden = sandbox("mirror", "/etc", where, check=1, options=sandbox.keys)
    assert "“/etc” of this computer cannot be seen from the sandbox" in hidden
    hidden = sandbox("restore", f"{where}/Pictures", "/tmp/Restored", check=1, options=sandbox.keys)
    assert "“/tmp/Restored” of this computer cannot be reached from the sandbox" in hidden
    assert len(keys(s3, bucket)) == 4
    # Asked for, it is granted.
    sandbox("restore", f"{where}/Pictures", restored,
            options=(f"--filesystem={restored}", *sandbox.keys))  # fmt: skip
    done = subprocess.run(["rsync", "-ainc", "--delete", f"{pictures}/", f"{restored}/"],
                          capture_output=True, text=True, check=True)  # fmt: skip
    assert done.stdout == ""
    # Without a question, into what is its own.
    sandbox("restore", f"{where}/Pictures", sandbox.data / "Restored", options=sandbox.keys)
    assert (sandbox.data / "Restored/summer/two").read_text() == "2"


def test_restore_into_a_chosen_folder(
    sandbox: Sandbox, pictures: Path, s3: object, bucket: str
) -> None:
    """Somebody chooses a folder in the dialog of the portal, and it appears in the sandbox, to be
    written, by way of FUSE."""
    bus = sandbox.bus
    portals = SandboxPortals(bus)
    where = f"s3://{bucket}/laptop"
    os.utime(pictures / "one", ns=(10**18, 10**18 + 123_456_789))
    (pictures / "summer/two").chmod(0o640)
    sandbox("mirror", pictures, where, options=sandbox.keys)
    chosen = bus.home / "Chosen"
    chosen.mkdir()
    sandbox("restore", f"{where}/Pictures", portals.grant(chosen, ID), options=sandbox.keys)
    done = subprocess.run(["rsync", "-ainc", "--delete", f"{pictures}/", f"{chosen}/"],
                          capture_output=True, text=True, check=True)  # fmt: skip
    assert done.stdout == ""


@pytest.fixture
def desktop(bus: SessionBus) -> Iterator[Desktop]:
    with Desktop(bus) as desktop:
        for service in Path(USER_DIR, "exports/share/dbus-1/services").glob("*.service"):
            shutil.copy(service, bus.services)
        bus.ask_bus("ReloadConfig")
        yield desktop


def restore_into_a_folder_of_the_dialog(program: Application, plan: Plan) -> None:
    """The dialog is the portal's and sees all; what is chosen there may be written, by way of FUSE."""
    home = program.bus.home
    chosen = home / "Chosen"
    chosen.mkdir()
    program.show_plan(plan)
    program.activate_widget_action("Restore Files…")
    program.wait_for("All Folders")
    program.select("Pictures")
    program.key("Return")
    program.wait_for("summer")
    program.press("Restore This Folder…")
    program.wait_for("Where to?")
    program.press("Choose a Folder…")
    dialog = {"application": "xdg-desktop-portal-gtk", "name": "Restore into a Folder"}
    program.desktop.accessibility.wait_for(timeout=20, **dialog)
    wait_until(lambda: program.screen.active_window()[1] == dialog["name"], 10, "the dialog's focus")
    program.type(str(chosen))
    program.key("Return")
    program.desktop.accessibility.wait_for_none(timeout=20, **dialog)
    (folder,) = program.find_all("Folder", "text box")
    wait_until(lambda: folder.text.endswith("/Chosen"), 10, "the folder that was chosen")
    # In a session of its own, the documents are elsewhere outside of the sandbox than inside.
    document = Path(folder.text).relative_to(program.bus.runtime_dir / "doc")
    program.set_text("Folder", f"/run/flatpak/doc/{document}")
    program.press("Restore")
    program.wait_for("Restored")
    done = subprocess.run(["rsync", "-ainc", "--delete", f"{home}/Pictures/", f"{chosen}/Pictures/"],
                          capture_output=True, text=True, check=True)  # fmt: skip
    assert done.stdout == ""
    program.press("Done")


def test_in_a_desktop(
    desktop: Desktop, sandbox: Sandbox, machine: SystemBus, pictures: Path, rgw: CephRgw,
    s3: object, bucket: str,
) -> None:  # fmt: skip
    bus = sandbox.bus
    keyring = Keyring(bus)
    keyring.start()
    portals = SandboxPortals(bus)
    agent = Agent(bus, keyring, rgw, Path("/app/libexec/keepsake-agent"))

    # Keys are in a file that the Secret portal has the key of, and nowhere else.
    identity = sandbox("plan", "add", "Photos", pictures, f"s3://{bucket}/laptop", "--schedule",
                       "manual", "--endpoint-url", rgw.endpoint, "--region", "default").strip()  # fmt: skip
    sandbox("credentials", "set", "Photos", stdin=f"{rgw.access_key}:{rgw.secret_key}\n")
    secrets = (sandbox.data / "keyrings/default.keyring").read_bytes()
    assert secrets and rgw.secret_key.encode() not in secrets
    assert keyring.service("SearchItems", "(a{ss})", {"kind": "s3-secret"}) == ([], [])
    assert keyring.service("SearchItems", "(a{ss})", {"app_id": ID})[0] != []

    # The bus starts the agent in a sandbox of its own. Through the portal it hears what the network
    # costs; that of Debian 12 does not tell of changes, so this looks at a start.
    machine.set_metered(True)
    wait_until(lambda: agent.get("Conditions") == ["metered"], 10, "the metered network")
    with answer_may_be_lost():
        agent.manager("Quit")
    bus.wait_for_no_owner(AGENT_NAME)
    machine.set_metered(False)

    # It runs the plan, and what it has to say goes through the portal.
    sandbox("run", "Photos")
    desktop.notifications.wait_for(ever=True, summary="“Photos” is done", timeout=20)
    assert agent.get("Conditions") == []
    assert len(keys(s3, bucket)) == 4
    info = Path(f"/proc/{agent.pid}/root/.flatpak-info").read_text()
    assert f"name={ID}" in info
    path = f"Plan/{identity.replace('-', '_')}"
    assert f"{ROOT}/{path}" in agent.objects()

    # Its icon is in the tray, by the name that Flatpak exports.
    item = Tray(bus).wait_for_item()
    assert item.get("IconName").startswith(ID)

    # It hears of the battery, which is the system's.
    machine.set_on_battery(True)
    wait_until(lambda: agent.get("Conditions") == ["battery"], 10, "the battery")
    machine.set_on_battery(False)

    # It asked to run in the background at each start, without a word about autostart by mistake; and
    # what is to start at login is a sandbox.
    wait_until(lambda: len(portals.autostart()) == 2, 10, "the requests of two starts")
    agent.manager("SetAutostart", "(ba{sv})", True, {})
    assert agent.get("Autostart")
    app, enabled, command = portals.autostart()[-1]
    assert (app, enabled) == (ID, True)
    assert command[:2] == ["flatpak", "run"] and command[-2:] == [ID, "--autostart"]
    assert "--command=/app/libexec/keepsake-agent" in command
    assert [enabled for _, enabled, _ in portals.autostart()] == [False, False, True]
    agent.manager("SetAutostart", "(ba{sv})", False, {})
    assert portals.autostart()[-1][1] is False

    # The window: activated, in a sandbox, showing how things are.
    program = Application(desktop, Path("/app/bin/keepsake"), Path(USER_DIR).parent)
    program.activate()
    program.wait_for("Photos", timeout=30)
    program.wait_for_text("Backed up just now")
    assert f"name={ID}" in Path(f"/proc/{bus.pid_of(NAME)}/root/.flatpak-info").read_text()
    desktop.screenshot(Path(USER_DIR).parent / "screenshot.png")
    restore_into_a_folder_of_the_dialog(program, Plan(agent, {"id": identity, "name": "Photos"}))
    program.quit()

    # It ends as anywhere.
    with answer_may_be_lost():
        agent.manager("Quit")
    bus.wait_for_no_owner(AGENT_NAME)
