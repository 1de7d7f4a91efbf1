# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""Keepsake as people have it: installed below a prefix, started by the desktop, and taken away."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from conftest import SANITIZER, TOP, outlived_by_bucket, short_folder
from fixtures import PATIENCE, wait_until
from fixtures.agent import NAME as AGENT_NAME
from fixtures.agent import Agent
from fixtures.app import BUILD, NAME, Application
from fixtures.ceph_rgw import CephRgw
from fixtures.checks import keys, write_files
from fixtures.desktop import Desktop
from fixtures.keyring import Keyring
from fixtures.session_bus import SessionBus

ID = "io.github.keepsake_backup.Keepsake"

# All that "meson install" puts down, and what may run it.
PROGRAMS = {"bin/keepsake", "bin/keepsakectl", "libexec/keepsake-agent"}
FILES = PROGRAMS | {
    "lib/systemd/user/keepsake-run@.service",
    "lib/systemd/user/keepsake-run@.timer",
    f"share/applications/{ID}.desktop",
    "share/bash-completion/completions/keepsakectl",
    f"share/dbus-1/services/{ID}.Agent.service",
    f"share/dbus-1/services/{ID}.service",
    "share/fish/vendor_completions.d/keepsakectl.fish",
    f"share/glib-2.0/schemas/{ID}.gschema.xml",
    f"share/icons/hicolor/scalable/apps/{ID}.svg",
    *(f"share/icons/hicolor/symbolic/apps/{ID}-{state}symbolic.svg"
      for state in ("", "attention-", "idle-", "paused-", "running-")),
    "share/keepsake/gschemas.compiled",
    *(f"share/locale/{language}/LC_MESSAGES/keepsake.mo" for language in ("de", "fr", "zh_CN")),
    *(f"share/man/man1/{program}.1" for program in ("keepsake", "keepsake-agent", "keepsakectl")),
    f"share/metainfo/{ID}.metainfo.xml",
    "share/zsh/site-functions/_keepsakectl",
}  # fmt: skip


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


def run(*args: str | Path, **more: object) -> str:
    done = subprocess.run(
        args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=300 * PATIENCE, **more,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_destdir(tmp_path: Path) -> None:
    """Every file is known, and belongs to whoever packs it, without a trace of where it was built."""
    run("meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", tmp_path)
    prefix = tmp_path / "usr/local"
    metainfo = (prefix / f"share/metainfo/{ID}.metainfo.xml").read_text()
    news = (TOP / "NEWS").read_text()
    releases = metainfo[metainfo.index("<releases>") :]
    assert re.findall(r'<release version="(\S+)"', releases) == re.findall(r"^Keepsake (\S+) ", news)
    assert releases.count("<li>") == news.count("\n * ") > 0
    assert files_below(tmp_path) == {f"usr/local/{file}" for file in FILES}
    for file in FILES:
        mode = stat.S_IMODE((prefix / file).stat().st_mode)
        assert mode == (0o755 if file in PROGRAMS else 0o644), f"{file}: {mode:o}"
        if not file.endswith((".mo", ".compiled")) and file not in PROGRAMS:
            text = (prefix / file).read_text()
            assert str(tmp_path) not in text and str(TOP) not in text, file
            assert not re.search(r"@[a-z]+dir@", text), file


# -- below a prefix, in a desktop ---------------------------------------------------------------


@dataclass
class Installed:
    prefix: Path
    build: Path

    def __truediv__(self, name: str) -> Path:
        return self.prefix / name


@pytest.fixture(scope="module")
def installed() -> Iterator[Installed]:
    """Built for it, without what only debug builds have. One for all: that takes half a minute."""
    with short_folder("prefix") as folder:
        where = Installed(folder / "prefix", folder / "build")
        # What no package has when it is built: the variables of a developer.
        env = {k: v for k, v in os.environ.items() if k not in ("CFLAGS", "LDFLAGS", "DESTDIR")}
        run("meson", "setup", where.build, TOP, f"--prefix={where.prefix}", "-Dbuildtype=plain",
            env=env)  # fmt: skip
        run("meson", "install", "-C", where.build, env=env)
        yield where


@pytest.fixture
def session(installed: Installed, request: pytest.FixtureRequest) -> Iterator[SessionBus]:
    """One that finds the prefix, and has what a desktop brings with it."""
    outlived_by_bucket(request)
    variables = {name: value for name, value in SANITIZER.items() if name != "LD_PRELOAD"}
    with short_folder("session") as folder, SessionBus(folder, **variables) as bus:
        bus.set_environment(
            XDG_DATA_DIRS=f"{installed.prefix}/share:/usr/share",
            PATH=f"{installed.prefix}/bin:{bus.env['PATH']}",
            TZ="UTC",
        )
        for service in (installed / "share/dbus-1/services").iterdir():
            shutil.copy(service, bus.services)
        bus.ask_bus("ReloadConfig")
        yield bus


@pytest.fixture
def agent(session: SessionBus, rgw: CephRgw, installed: Installed) -> Iterator[Agent]:
    """For its plans: it is started by the bus."""
    keyring = Keyring(session)
    keyring.start()
    yield Agent(session, keyring, rgw, installed / "libexec/keepsake-agent")


@pytest.fixture
def app(session: SessionBus, installed: Installed) -> Iterator[Application]:
    with Desktop(session) as desktop:
        application = Application(desktop, installed / "bin/keepsake", BUILD / "screenshots")
        yield application
        application.end()


# As a launcher does it, with GLib's reading of the file.
LAUNCH = """
import sys
from gi.repository import Gio, GLib
entry = Gio.DesktopAppInfo.new(sys.argv[1])
assert entry.get_boolean("DBusActivatable") and entry.get_icon().to_string() == sys.argv[1][:-8]
loop = GLib.MainLoop()
if len(sys.argv) > 2:
    assert sys.argv[2] in entry.list_actions()
    entry.launch_action(sys.argv[2], None)
    # The bus forgets the calls of those who leave before it has started what they called.
    Gio.bus_watch_name(Gio.BusType.SESSION, sys.argv[1][:-8], 0, lambda *_: loop.quit(), None)
else:
    entry.launch_uris_async([], None, None, lambda *_: loop.quit())
loop.run()
"""


# The icons that the launcher, the window and the tray name, where a program looks for them.
FIND_ICONS = """
import gi, sys
gi.require_version("Gtk", "4.0")
from gi.repository import Gdk, Gtk
Gtk.init()
theme = Gtk.IconTheme.get_for_display(Gdk.Display.get_default())
for state in ("", "-symbolic", *(f"-{s}-symbolic" for s in ("idle", "running", "paused", "attention"))):
    name = "io.github.keepsake_backup.Keepsake" + state
    found = theme.lookup_icon(name, None, 16, 1, Gtk.TextDirection.LTR, 0).get_file().get_path()
    assert found.startswith(sys.argv[1]), found
"""


def launch(app: Application, action: str = "") -> None:
    app.bus.run("/usr/bin/python3", "-s", "-c", LAUNCH, f"{ID}.desktop", *([action] if action else []))


def windows(app: Application) -> list[str]:
    stack = app.bus.run("xprop", "-root", "_NET_CLIENT_LIST").partition("#")[2]
    names = [app.bus.run("xprop", "-id", window.strip(), "WM_CLASS") for window in
             stack.split(",") if window.strip()]  # fmt: skip
    return [name for name in names if "keepsake" in name.lower()]


@contextlib.contextmanager
def no_new_window(app: Application) -> Iterator[None]:
    """However short it is there: the list of windows is written down each time that it changes."""
    before = windows_there(app)
    log = app.bus.folder / "windows"
    with log.open("w") as file:
        watch = subprocess.Popen(["xprop", "-root", "-spy", "_NET_CLIENT_LIST"], env=app.bus.env, stdout=file)
    try:
        wait_until(lambda: "_NET_CLIENT_LIST" in log.read_text(), 20, "xprop")
        yield
    finally:
        watch.kill()
        watch.wait()
    assert set(re.findall("0x[0-9a-f]+", log.read_text())) <= before


def windows_there(app: Application) -> set[str]:
    return set(re.findall("0x[0-9a-f]+", app.bus.run("xprop", "-root", "_NET_CLIENT_LIST")))


def test_launcher(app: Application, agent: Agent, installed: Installed) -> None:
    """It opens the window by activation, this starts the agent in the same way, and the window
    speaks the user's language."""
    app.bus.set_environment(LANGUAGE="de")
    assert "Name[de]=" in (installed / f"share/applications/{ID}.desktop").read_text()
    launch(app)
    app.wait_for_window()
    agent.bus.wait_for_owner(AGENT_NAME)
    app.wait_for("Sicherung einrichten …")
    for name, program in ((NAME, "bin/keepsake"), (AGENT_NAME, "libexec/keepsake-agent")):
        assert os.readlink(f"/proc/{agent.bus.pid_of(name)}/exe") == str(installed / program)
    assert len(windows(app)) == 1
    app.bus.run("/usr/bin/python3", "-s", "-c", FIND_ICONS, str(installed.prefix))
    program = agent.bus.pid_of(NAME)
    launch(app)  # shows the one that is there
    assert (len(windows(app)), agent.bus.pid_of(NAME)) == (1, program)
    app.quit()


@pytest.mark.parametrize("program", sorted(PROGRAMS))
def test_version(installed: Installed, program: str) -> None:
    """Without a display and without a bus."""
    version = re.search(r"^  version: '([^']+)'", (TOP / "meson.build").read_text(), re.MULTILINE)
    assert version is not None
    said = run(installed / program, "--version", env={"PATH": os.environ["PATH"], **SANITIZER})
    assert said == f"{Path(program).name} {version[1]}\n"


def test_caches(installed: Installed) -> None:
    """Where the desktop has caches, they know of us after the installation; none is made."""
    icons, schemas = installed / "share/icons/hicolor", installed / "share/glib-2.0/schemas"
    caches = [icons / "icon-theme.cache", schemas / "gschemas.compiled"]
    try:
        for cache in caches:
            cache.touch()
        (icons / "index.theme").write_text("[Icon Theme]\nName=Hicolor\nDirectories=scalable/apps\n")
        run("meson", "install", "-C", installed.build, "--no-rebuild")
        assert [cache for cache in caches if ID.encode() not in cache.read_bytes()] == []
    finally:
        for path in (*caches, icons / "index.theme"):
            path.unlink()
    run("meson", "install", "-C", installed.build, "--no-rebuild")
    assert [cache for cache in caches if cache.exists()] == []


def test_action_without_window(
    app: Application, agent: Agent, tmp_path: Path, s3: object, bucket: str
) -> None:
    folder = write_files(tmp_path / "Pictures", {"one": "1", "two": "2"})
    plan = agent.add_plan("Photos", folder, bucket)
    with no_new_window(app):
        launch(app, "back-up-now")
        wait_until(lambda: len(keys(s3, bucket)) == 3, 30, "the objects")
        wait_until(lambda: plan.get("LastResult") == "finished", 20, "the end of the backup")
        assert plan.jobs()[0]["trigger"] == "manual"
        app.bus.wait_for_no_owner(NAME)  # nothing is left for it to do

        launch(app, "pause")
        wait_until(lambda: agent.get("PausedUntil") == -1, 20, "the pause")
        app.bus.wait_for_no_owner(NAME)


def test_autostart(app: Application, agent: Agent, installed: Installed) -> None:
    """Toggled in the preferences, it starts the agent in the next session, and then not any more."""
    started = app.bus.folder / "started"
    runner = (
        "dex --autostart --environment XFCE --search-paths \"$XDG_CONFIG_HOME/autostart\" && "
        "for i in $(seq $TRIES); do "
        "gdbus call --session --dest org.freedesktop.DBus --object-path /org/freedesktop/DBus "
        f"--method org.freedesktop.DBus.GetConnectionUnixProcessID {AGENT_NAME} >{started} && "
        "exit; sleep 0.1; done; exit 3"
    )  # fmt: skip

    def begin_session(tries: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["dbus-run-session", "--", "sh", "-c", runner], env=app.bus.env | {"TRIES": str(tries)},
            capture_output=True, text=True, timeout=120 * PATIENCE,
        )  # fmt: skip

    launch(app)
    app.wait_for_window()
    app.activate("preferences")
    app.wait_for("Start at login", role="switch")
    if not agent.get("Autostart"):
        app.press("Start at login", role="switch")
    wait_until(lambda: agent.get("Autostart"), 10, "the switch")
    entry = app.bus.config_home / f"autostart/{ID}.Agent.desktop"
    assert f'Exec="{installed.prefix}/libexec/keepsake-agent" --autostart' in entry.read_text()
    done = begin_session(300)
    assert done.returncode == 0 and "uint32" in started.read_text(), done.stderr

    app.press("Start at login", role="switch")
    wait_until(lambda: not agent.get("Autostart"), 10, "the switch")
    assert not entry.exists()
    assert begin_session(10).returncode == 3
    app.quit()


def test_uninstall(installed: Installed, agent: Agent, tmp_path: Path) -> None:
    """The last test here: what is left belongs to the user."""
    assert files_below(installed.prefix) == FILES, "nothing came in addition"
    plan = agent.add_plan("Photos", write_files(tmp_path / "Pictures", {"one": "1"}), "a-bucket")
    homes = [agent.bus.home, agent.bus.config_home]
    before = [files_below(home) for home in homes]
    assert str(plan.file.relative_to(agent.bus.config_home)) in before[1]
    # The caches are everybody's, and are told by hand, as the README says. There is nobody else here.
    icons, schemas = installed / "share/icons/hicolor", installed / "share/glib-2.0/schemas"
    run("gtk-update-icon-cache", "-q", "-t", "-f", icons)
    run("glib-compile-schemas", schemas)
    caches = {"share/icons/hicolor/icon-theme.cache", "share/glib-2.0/schemas/gschemas.compiled"}
    run("ninja", "-C", installed.build, "uninstall")
    assert files_below(installed.prefix) == caches
    run("sh", TOP / "data/refresh-caches.sh", installed / "share")
    assert files_below(installed.prefix) == set()
    assert [files_below(home) for home in homes] == before
