# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""The fixtures for agent and desktop do what they say."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from gi.repository import Gio, GLib

from fixtures import wait_until
from fixtures.desktop import WATCHER, Desktop, Screenshot
from fixtures.keyring import Keyring
from fixtures.recorder import Recorder, Recorders
from fixtures.session_bus import SessionBus
from fixtures.status_notifier import ITEM, MENU, WATCHER_PATH, Tray
from fixtures.system_bus import LOGIND, NETWORK_MANAGER, UPOWER, SystemBus, path_of

RED = (222, 17, 34)
BLUE = (17, 34, 222)
ECHO = "io.github.keepsake_backup.Echo"

# Owns the name, answers a call with its own environment, and ends when it is told.
ECHO_SERVICE = f"""
import os, sys
from gi.repository import Gio, GLib
xml = '<node><interface name="{ECHO}"><method name="Environment">'
xml += '<arg direction="out" type="a{{ss}}"/></method></interface></node>'
def call(bus, sender, path, interface, method, arguments, invocation):
    invocation.return_value(GLib.Variant("(a{{ss}})", (dict(os.environ),)))
bus = Gio.bus_get_sync(Gio.BusType.SESSION)
bus.register_object("/", Gio.DBusNodeInfo.new_for_xml(xml).interfaces[0], call, None, None)
Gio.bus_own_name_on_connection(bus, "{ECHO}", 0, None, None)
print("started", file=sys.stderr, flush=True)
GLib.MainLoop().run()
"""

ITEM_XML = f"""
<node>
  <interface name="{ITEM}">
    <property name="Category" type="s" access="read"/>
    <property name="Id" type="s" access="read"/>
    <property name="Title" type="s" access="read"/>
    <property name="Status" type="s" access="read"/>
    <property name="IconName" type="s" access="read"/>
    <property name="IconPixmap" type="a(iiay)" access="read"/>
    <property name="ToolTip" type="(sa(iiay)ss)" access="read"/>
    <property name="ItemIsMenu" type="b" access="read"/>
    <property name="Menu" type="o" access="read"/>
    <method name="Activate"><arg type="i" direction="in"/><arg type="i" direction="in"/></method>
    <signal name="NewIcon"/>
    <signal name="NewToolTip"/>
    <signal name="NewStatus"><arg type="s"/></signal>
  </interface>
  <interface name="{MENU}">
    <property name="Version" type="u" access="read"/>
    <property name="Status" type="s" access="read"/>
    <property name="TextDirection" type="s" access="read"/>
    <property name="IconThemePath" type="as" access="read"/>
    <method name="GetLayout">
      <arg type="i" direction="in"/><arg type="i" direction="in"/><arg type="as" direction="in"/>
      <arg type="u" direction="out"/><arg type="(ia{{sv}}av)" direction="out"/>
    </method>
    <method name="GetGroupProperties">
      <arg type="ai" direction="in"/><arg type="as" direction="in"/>
      <arg type="a(ia{{sv}})" direction="out"/>
    </method>
    <method name="Event">
      <arg type="i" direction="in"/><arg type="s" direction="in"/><arg type="v" direction="in"/>
      <arg type="u" direction="in"/>
    </method>
    <method name="AboutToShow">
      <arg type="i" direction="in"/><arg type="b" direction="out"/>
    </method>
    <signal name="LayoutUpdated"><arg type="u"/><arg type="i"/></signal>
  </interface>
</node>
"""

ENTRIES = {
    1: {"label": GLib.Variant("s", "_Back Up"), "children-display": GLib.Variant("s", "submenu")},
    2: {"label": GLib.Variant("s", "Photos")},
    3: {"type": GLib.Variant("s", "separator")},
    4: {"label": GLib.Variant("s", "_Quit")},
    5: {"label": GLib.Variant("s", "Paused"), "enabled": GLib.Variant("b", False)},
}


class ColouredItem:
    """A tray icon of one colour, with a menu, that registers with every tray that appears. Its
    callbacks run in a thread of its own."""

    def __init__(self, bus: SessionBus, colour: tuple[int, int, int]):
        self.colour = colour
        self.title = "a coloured square"
        self.events: list[Any] = []
        self.connection = bus.connect()
        self._context = GLib.MainContext()
        self._loop = GLib.MainLoop.new(self._context, False)
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self._ready.wait(10)

    def close(self) -> None:
        if self.connection.is_closed():
            return
        self._loop.quit()
        self._thread.join(10)
        self.connection.close_sync(None)

    def show(self, colour: tuple[int, int, int], title: str) -> None:
        self.colour, self.title = colour, title
        for signal_name in ("NewIcon", "NewToolTip"):
            self.connection.emit_signal(None, "/StatusNotifierItem", ITEM, signal_name, None)

    def _run(self) -> None:
        self._context.push_thread_default()
        item, menu = Gio.DBusNodeInfo.new_for_xml(ITEM_XML).interfaces
        self.connection.register_object("/StatusNotifierItem", item, self._call, self._get, None)
        self.connection.register_object("/Menu", menu, self._call, self._get, None)
        Gio.bus_watch_name_on_connection(
            self.connection, WATCHER, Gio.BusNameWatcherFlags.NONE, self._register, None
        )
        self._ready.set()
        self._loop.run()
        self._context.pop_thread_default()

    def _register(self, connection: Gio.DBusConnection, name: str, owner: str) -> None:
        connection.call(
            name, WATCHER_PATH, WATCHER, "RegisterStatusNotifierItem",
            GLib.Variant("(s)", (connection.get_unique_name(),)), None, 0, 5000, None, None,
        )  # fmt: skip

    def _get(self, connection: Any, sender: str, path: str, interface: str, name: str) -> Any:
        pixels = bytes([255, *self.colour]) * (22 * 22)
        return {
            "Category": GLib.Variant("s", "ApplicationStatus"),
            "Id": GLib.Variant("s", "coloured-item"),
            "Title": GLib.Variant("s", self.title),
            "Status": GLib.Variant("s", "normal" if interface == MENU else "Active"),
            "IconName": GLib.Variant("s", ""),
            "IconPixmap": GLib.Variant("a(iiay)", [(22, 22, pixels)]),
            "ToolTip": GLib.Variant("(sa(iiay)ss)", ("", [], self.title, "<b>42</b> %")),
            "ItemIsMenu": GLib.Variant("b", False),
            "Menu": GLib.Variant("o", "/Menu"),
            "Version": GLib.Variant("u", 3),
            "TextDirection": GLib.Variant("s", "ltr"),
            "IconThemePath": GLib.Variant("as", []),
        }[name]

    def _call(
        self, connection: Any, sender: str, path: str, interface: str, method: str,
        arguments: GLib.Variant, invocation: Gio.DBusMethodInvocation,
    ) -> None:  # fmt: skip
        result = None
        if method == "GetLayout":
            photos = GLib.Variant("(ia{sv}av)", (2, ENTRIES[2], []))
            children = [(1, [photos]), (3, []), (4, []), (5, [])]
            layout = [GLib.Variant("(ia{sv}av)", (n, ENTRIES[n], below)) for n, below in children]
            root = (0, {"children-display": GLib.Variant("s", "submenu")}, layout)
            result = GLib.Variant("(u(ia{sv}av))", (1, root))
        elif method == "GetGroupProperties":
            rows = [(n, ENTRIES[n]) for n in arguments.unpack()[0] if n in ENTRIES]
            result = GLib.Variant("(a(ia{sv}))", (rows,))
        elif method == "AboutToShow":
            result = GLib.Variant("(b)", (False,))
        elif method == "Event":
            self.events.append(arguments.unpack()[:2])
        else:
            self.events.append((method, *arguments.unpack()))
        invocation.return_value(result)


@pytest.fixture
def make_item(desktop: Desktop) -> Iterator[Callable[[tuple[int, int, int]], ColouredItem]]:
    items = []

    def make(colour: tuple[int, int, int]) -> ColouredItem:
        items.append(ColouredItem(desktop.bus, colour))
        return items[-1]

    yield make
    for item in items:
        item.close()


def notify(bus: SessionBus, summary: str, replaces_id: int = 0, **hints: GLib.Variant) -> int:
    return bus.call(
        "org.freedesktop.Notifications", "/org/freedesktop/Notifications",
        "org.freedesktop.Notifications.Notify", "(susssasa{sv}i)",
        "Keepsake", replaces_id, "", summary, "the body", ["now", "Back Up Now"], hints, 0,
    )[0]  # fmt: skip


# -- session bus --------------------------------------------------------------------------------


def test_service_is_activated_with_its_environment(session_bus: SessionBus) -> None:
    session_bus.set_environment(FOR_ALL="all's well")
    session_bus.add_service(
        ECHO, sys.executable, "-s", "-c", ECHO_SERVICE,
        env={"FOR_IT": "a 'quoted' $word", "TMPDIR": None},
    )  # fmt: skip
    assert not session_bus.has_owner(ECHO)
    seen = session_bus.call(ECHO, "/", f"{ECHO}.Environment")[0]
    assert (seen["FOR_IT"], seen["FOR_ALL"]) == ("a 'quoted' $word", "all's well")
    assert seen["HOME"] == str(session_bus.home)
    assert "TMPDIR" not in seen
    for name in seen:
        assert not name.startswith(("AWS_", "SSL_", "PYTHON"))
    assert session_bus.service_log(ECHO) == "started\n"

    # Killed, it is activated again.
    first = session_bus.pid_of(ECHO)
    os.kill(first, signal.SIGKILL)
    session_bus.wait_for_no_owner(ECHO)
    session_bus.call(ECHO, "/", f"{ECHO}.Environment")
    assert session_bus.pid_of(ECHO) != first
    session_bus.remove_service(ECHO)
    os.kill(session_bus.pid_of(ECHO), signal.SIGKILL)
    session_bus.wait_for_no_owner(ECHO)
    with pytest.raises(GLib.Error, match="ServiceUnknown"):
        session_bus.call(ECHO, "/", f"{ECHO}.Environment")


def test_nothing_survives(tmp_path_factory: pytest.TempPathFactory) -> None:
    with SessionBus(tmp_path_factory.mktemp("s")) as bus:
        # One that the bus started, one that has left its parent and does not want to go.
        bus.add_service(ECHO, sys.executable, "-s", "-c", ECHO_SERVICE)
        bus.call(ECHO, "/", f"{ECHO}.Environment")
        bus.run("setsid", "--fork", "sh", "-c", "trap '' TERM; sleep 600 >/dev/null 2>&1 &",
                stdout=None, stderr=None)  # fmt: skip
        assert len(bus.processes.survivors()) == 3
        pids = [*bus.processes.survivors()]
    assert not any(is_alive(pid) for pid in pids)


def is_alive(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


# -- system bus ---------------------------------------------------------------------------------


def test_battery_and_sleep(system_bus: SystemBus, session_bus: SessionBus) -> None:
    assert session_bus.env["DBUS_SYSTEM_BUS_ADDRESS"] == system_bus.address

    def on_battery() -> bool:
        return system_bus.get(UPOWER, path_of(UPOWER), UPOWER, "OnBattery")

    with Recorder(system_bus) as recorder:
        assert not on_battery()
        system_bus.set_on_battery(True)
        assert on_battery()
        changed = recorder.wait_for(kind="signal", member="PropertiesChanged")
        assert changed.body == (UPOWER, {"OnBattery": True}, [])

        manager = f"{LOGIND}.Manager"
        system_bus.prepare_for_sleep(True)
        system_bus.prepare_for_sleep(False)
        seen = recorder.messages(interface=manager, member="PrepareForSleep")
        assert [message.body for message in seen] == [(True,), (False,)]

    script = "from gi.repository import Gio, GLib; import sys\n"
    script += "bus = Gio.bus_get_sync(Gio.BusType.SYSTEM)\n"
    script += "kept = bus.call_with_unix_fd_list_sync("
    script += f"'{LOGIND}', '{path_of(LOGIND)}', '{manager}',"
    script += " 'Inhibit', GLib.Variant('(ssss)', ('sleep', 'Keepsake', 'why', 'block')),"
    script += " None, 0, 5000, None, None); sys.stdin.read()"
    holder = session_bus.popen(sys.executable, "-s", "-c", script, stdin=subprocess.PIPE)
    held = [("sleep", "Keepsake", "why", "block")]
    wait_until(lambda: system_bus.inhibitors() == held, 10, "the inhibitor")
    session_bus.processes.stop(holder)
    wait_until(lambda: system_bus.inhibitors() == [], 10, "the inhibitor to go")

    system_bus.stop_service("upower")
    assert not system_bus.has_owner(UPOWER)


def test_network_as_a_program_sees_it(system_bus: SystemBus, session_bus: SessionBus) -> None:
    """GLib's own network and power profile monitors; and what a test left behind is gone."""
    assert system_bus.has_owner(UPOWER)
    program = session_bus.popen(
        sys.executable, "-s", "-u", "-c", """
from gi.repository import Gio, GLib
network, power = Gio.NetworkMonitor.get_default(), Gio.PowerProfileMonitor.dup_default()
def show(*_):
    print(network.get_network_available(), network.get_network_metered(),
          network.get_connectivity().value_nick, power.get_power_saver_enabled())
for monitor in (network, power):
    monitor.connect("notify", show)
show()
GLib.MainLoop().run()
""")  # fmt: skip

    def last_line() -> str:
        return session_bus.processes.log(program).rpartition("\n")[0].rpartition("\n")[2]

    def wait_for(line: str) -> None:
        try:
            wait_until(lambda: last_line() == line, 10, line)
        except TimeoutError as error:
            error.add_note(session_bus.processes.log(program))
            raise

    wait_for("True False full False")
    system_bus.set_metered(True)
    wait_for("True True full False")
    system_bus.set_network("none")
    wait_for("False False local False")  # GLib's words for offline
    system_bus.set_network("portal")
    wait_for("True False portal False")  # it looks at metered for the whole Internet only
    system_bus.set_network("full")
    wait_for("True True full False")
    system_bus.set_metered(False)
    system_bus.set_power_saver(True)
    wait_for("True False full True")
    assert system_bus.get(NETWORK_MANAGER, path_of(NETWORK_MANAGER), NETWORK_MANAGER, "State") == 70


# -- keyring ------------------------------------------------------------------------------------


def test_keyring_states(keyring: Keyring) -> None:
    assert not keyring.is_running()
    keyring.start()
    keyring.store("a label", "the secret", plan="1")
    ((label, attributes),) = keyring.items()
    # Once it has read its file again, it names the kind of each, too.
    assert (label, attributes.pop("plan")) == ("a label", "1") and set(attributes) <= {"xdg:schema"}
    assert keyring.lookup(plan="1") == "the secret"
    assert keyring.lookup(plan="2") == ""
    assert keyring.files() and not any(b"the secret" in content for content in keyring.files())

    keyring.lock()
    keyring.answer("dismiss")
    assert keyring.lookup(plan="1") == ""
    assert keyring.has_prompted() and keyring.is_locked()
    keyring.answer("ok", "wrong")
    keyring.answer("ok")
    assert keyring.lookup(plan="1") == "the secret"
    assert keyring.has_prompted() and not keyring.is_locked()

    keyring.stop()
    assert not keyring.is_running()
    keyring.start(locked=True)
    assert keyring.lookup(plan="1") == "" and keyring.is_locked()
    keyring.unlock()
    assert keyring.lookup(plan="1") == "the secret"
    with pytest.raises(AssertionError, match="wrong password"):
        keyring.lock()
        keyring.unlock("wrong")


def test_locked_keyring(locked_keyring: Keyring) -> None:
    assert locked_keyring.is_locked()
    assert locked_keyring.items() == []


# -- recorder -----------------------------------------------------------------------------------


def test_recorders_find_a_secret(
    recorders: Recorders, session_bus: SessionBus, system_bus: SystemBus, unlocked_keyring: Keyring
) -> None:
    # gnome-keyring's clients encrypt it on its way.
    unlocked_keyring.store("a label", "wJalrXUtnFEMI", plan="1")
    assert unlocked_keyring.lookup(plan="1") == "wJalrXUtnFEMI"
    assert recorders.messages(kind="call", member="SearchItems")
    assert recorders.find("wJalrXUtnFEMI") == []
    assert len(recorders.find("a label")) >= 1

    for bus in (session_bus, system_bus):
        with pytest.raises(GLib.Error):
            bus.call("org.freedesktop.DBus", "/", "org.example.No.Such", "(sv)", "n", GLib.Variant(
                "ay", b"before wJalrXUtnFEMI"))  # fmt: skip
    assert [message.member for message in recorders.find("wJalrXUtnFEMI")] == ["Such"] * 2

    for veiled in ("x77aGFsclhVdG5GRU1Jbb", "776861 6C72587574".replace(" ", "")):
        with pytest.raises(GLib.Error):
            session_bus.call("org.freedesktop.DBus", "/", "org.example.No.Veil", "(s)", veiled)
    veils = [message for message in recorders.find("whalrXut") if message.member == "Veil"]
    assert len(veils) == 1  # in hex, in capitals
    assert len(recorders.find(b"halrXUtnFEMI")) >= 1  # in base64


# -- desktop ------------------------------------------------------------------------------------


def test_tray_shows_an_item(
    desktop: Desktop, tray: Tray, make_item: Callable[..., ColouredItem], tmp_path: Path
) -> None:
    assert tray.items == []
    square = make_item(RED)
    item = tray.wait_for_item("coloured-item")
    assert item.name == square.connection.get_unique_name()
    assert (item.tooltip.title, item.tooltip.text) == ("a coloured square", "<b>42</b> %")
    picture = desktop.wait_for_colour(RED, tmp_path / "screen.png")
    assert (picture.width, picture.height) == (desktop.width, desktop.height)
    left, top, right, bottom = picture.find(RED) or (0, 0, 0, 0)
    assert (right - left, bottom - top) == (22, 22)
    assert left > desktop.width - 100 and bottom <= 32  # at the right end of the panel

    square.show(BLUE, "another")
    item.wait_for("Title", "another")
    picture = desktop.wait_for_colour(BLUE, tmp_path / "screen.png")
    assert not picture.find(RED)

    desktop.click(left + 11, top + 11)
    wait_until(lambda: square.events, 10, "the click")
    assert [event[0] for event in square.events] == ["Activate"]

    square.close()
    tray.wait_for_no_items()


def test_menu(desktop: Desktop, tray: Tray, make_item: Callable[..., ColouredItem]) -> None:
    square = make_item(RED)
    item = tray.wait_for_item("coloured-item")
    assert str(item.menu()).splitlines() == [
        "", "  Back Up", "    Photos", "  ----", "  Quit", "  Paused (disabled)"
    ]  # fmt: skip
    item.menu_entry("Back Up", "Photos").click()
    item.wait_for_menu_entry("Quit").click()
    assert square.events == [(2, "clicked"), (4, "clicked")]
    with pytest.raises(AssertionError):
        item.menu_entry("Paused").click()
    with pytest.raises(AssertionError, match="0 entries “Nowhere” in"):
        item.menu_entry("Nowhere")
    with pytest.raises(TimeoutError):
        item.wait_for_menu_entry("Nowhere", timeout=0.1)
    item.activate()
    assert square.events[-1] == ("Activate", 0, 0)


def test_panel_comes_and_goes(
    desktop: Desktop, tray: Tray, make_item: Callable[..., ColouredItem], tmp_path: Path
) -> None:
    make_item(RED)
    tray.wait_for_item("coloured-item")
    owner = desktop.bus.owner(WATCHER)
    desktop.stop_panel()
    assert desktop.bus.owner(WATCHER) == "" and tray.items == []
    desktop.start_panel()
    assert desktop.bus.owner(WATCHER) not in ("", owner)
    tray.wait_for_item("coloured-item")
    desktop.wait_for_colour(RED, tmp_path / "screen.png")


def test_notifications(desktop: Desktop) -> None:
    bus, shown = desktop.bus, desktop.notifications
    number = notify(bus, "Backing up", value=GLib.Variant("i", 42))
    first = shown.wait_for(summary="Backing up")
    assert (first.id, first.replaces_id, first.hints) == (number, 0, {"value": 42})
    assert (first.body, first.actions) == ("the body", {"now": "Back Up Now"})
    bar = desktop.accessibility.wait_for(role="progress bar")
    wait_until(lambda: bar.value == pytest.approx(0.42), 10, "the bar at 42 %")

    assert notify(bus, "Backing up", number, value=GLib.Variant("i", 43)) == number
    wait_until(lambda: bar.value == pytest.approx(0.43), 10, "the bar at 43 %")
    assert [n.replaces_id for n in shown.all] == [0, number]
    assert [n.hints for n in shown.visible] == [{"value": 43}]

    failed = notify(bus, "Backup failed", urgency=GLib.Variant("y", 2))
    desktop.accessibility.wait_for(role="label", name="the body")
    button = desktop.accessibility.wait_for(role="push button", name="Back Up Now")
    desktop.click(*button.centre)
    wait_until(lambda: shown.invoked, 10, "the action")
    assert shown.invoked == [(failed, "now")]
    wait_until(lambda: shown.closed, 10, "the notification to close")
    assert [n.id for n in shown.visible] == [number]


GTK4_PROGRAM = """
import gi
gi.require_version("Adw", "1")
from gi.repository import Adw, Gtk
def activate(application):
    window = Adw.ApplicationWindow(application=application, title="A window")
    button = Gtk.Button(label="Press me")
    button.connect("clicked", lambda button: button.set_label("Pressed"))
    window.set_content(button)
    window.fullscreen()
    print("dark" if Adw.StyleManager.get_default().get_dark() else "light", flush=True)
    window.present()
application = Adw.Application(application_id="io.github.keepsake_backup.Window")
application.connect("activate", activate)
application.run()
"""


@pytest.mark.parametrize(
    "desktop", [{"width": 360, "dark": True}, {}], ids=["narrow-dark", "wide"], indirect=True
)
def test_program_with_gtk_4(desktop: Desktop, tmp_path: Path) -> None:
    def is_right(x: int, y: int) -> Callable[[Screenshot], bool]:
        darkest, brightest = (20, 100) if desktop.dark else (200, 255)  # nothing there is 0
        return lambda picture: darkest <= max(picture.pixel(x, y)) <= brightest

    picture = desktop.wait_for_picture(tmp_path / "screen.png", is_right(5, 5), "the panel")
    assert picture.width == desktop.width == (360 if desktop.dark else 1024)

    program = desktop.bus.popen(sys.executable, "-s", "-c", GTK4_PROGRAM)
    button = desktop.accessibility.wait_for(role="button", name="Press me")
    assert button.is_showing
    button.press()
    desktop.accessibility.wait_for(role="button", name="Pressed")
    assert desktop.bus.processes.log(program) == ("dark\n" if desktop.dark else "light\n")
    desktop.wait_for_picture(tmp_path / "screen.png", is_right(50, 300), "the window")
