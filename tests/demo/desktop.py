# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""The part of the demo that has a desktop: a session of its own with keyring, tray, notifications
and the window, on a screen that nobody sees. Pictures of it are left in the build folder."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

from fixtures import wait_until
from fixtures.agent import Agent, Plan
from fixtures.app import Application, add_plan
from fixtures.ceph_rgw import CephRgw
from fixtures.desktop import Desktop
from fixtures.keyring import Keyring
from fixtures.session_bus import SessionBus
from fixtures.status_notifier import Tray

ICONS = Path(__file__).resolve().parents[2] / "data/icons"
SECONDS = 60  # that the backup would take, were its limit not taken off

Say = Callable[[str], None]


def back_up(app: Application, agent: Agent, plan: Plan, say: Say) -> None:
    say("The window is opened, as a launcher does it, and “Back Up Now” pressed.")
    app.activate()
    app.wait_for("Photos")
    app.screen.resize(app._window(), 700, 600)
    app.press("Back Up Now")
    app.wait_for_text(" left")
    job = plan.wait_for_job()
    tray = Tray(app.bus).wait_for_item()
    said = wait_until(lambda: re.search(r".*[1-9]\d* ?%.*", tray.tooltip.text), 30, "the first bytes")
    say(f"The tray says: {said[0]}")
    app.wait_for_none(part=" 0 B of ")
    app.desktop.screenshot(app.pictures / "1-running.png")
    agent.manager("SetUploadLimit", "(xa{sv})", 0, {})
    say("The limit is taken off meanwhile.")
    job.wait()
    shown = app.desktop.notifications.wait_for(summary="“Photos” is done", timeout=30)
    say(f"A notification says: {shown.summary}: {shown.body}")
    app.wait_for_text("Backed up")
    app.desktop.screenshot(app.pictures / "2-done.png")


def open_on_display(app: Application, display: str, say: Say) -> None:
    """For whoever sits before one."""
    say("The window now opens on your display. Close it to end the demo.")
    app.bus.popen(
        app.binary,
        env={**app.environment, "DISPLAY": display, "GSK_RENDERER": None,
             # The home of the session is not that of whoever may use the display.
             "XAUTHORITY": os.environ.get("XAUTHORITY") or str(Path.home() / ".Xauthority")},
    ).wait()  # fmt: skip


def show_desktop(folder: Path, build: Path, server: CephRgw, pictures: Path, say: Say) -> None:
    folder.mkdir()
    # Nothing is installed, and yet the desktop finds our icons.
    (folder / "share").mkdir()
    (folder / "share/icons").symlink_to(ICONS)
    size = sum(path.stat().st_size for path in pictures.rglob("*") if path.is_file())
    display = os.environ.get("DISPLAY", "")
    variables = {"XDG_DATA_DIRS": f"{folder}/share:/usr/share"}
    with SessionBus(folder, **variables) as bus, Desktop(bus, width=960, height=720) as desktop:
        keyring = Keyring(bus)
        keyring.start()
        agent = Agent(bus, keyring, server, build / "src/agent/keepsake-agent")
        agent.start()
        plan = add_plan(agent, "Photos", pictures, "demo", **{"upload-limit": f"{max(size // SECONDS >> 10, 16)}K"})
        say("A plan is set up, and its keys are in the keyring: "
            + ", ".join(sorted(label for label, _ in keyring.items())))  # fmt: skip
        app = Application(desktop, build / "src/app/keepsake", build / "demo")
        app.pictures.mkdir(exist_ok=True)
        app.install()
        try:
            back_up(app, agent, plan, say)
            app.quit()
            say(f"Pictures of all that are in {app.pictures}.")
            if display and sys.stdin.isatty():
                open_on_display(app, display, say)
        finally:
            app.quit()
            app.end()
            if agent.is_running():
                agent.stop()
