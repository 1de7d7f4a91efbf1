# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""The pictures that people see first, in README.md and in software centres. They are left in
build/screenshots/for-people; "./dev screenshots" puts them into docs/screenshots."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from fixtures import wait_until
from fixtures.agent import Agent, text_of
from fixtures.app import Application, add_plan
from fixtures.checks import write_files
from fixtures.pictures import run_magick

pytest_plugins = ["fixtures.app_fixtures"]

WIDTH, HEIGHT, FRAME = 800, 600, 5  # FRAME: what GTK draws around a window without a compositor
HOUR = 3600


def finish(window: Path, picture: Path) -> None:
    """Round corners and a shadow, as a desktop with a compositor draws them."""
    run_magick(
        window, "-shave", f"{FRAME}x{FRAME}", "+repage", "-alpha", "set",
        "(", "-size", f"{WIDTH}x{HEIGHT}", "xc:none", "-fill", "white",
        "-draw", f"roundrectangle 0,0,{WIDTH - 1},{HEIGHT - 1},12,12", ")",
        "-compose", "DstIn", "-composite", "-compose", "Over",
        "(", "+clone", "-background", "#000000", "-shadow", "40x12+0+6", ")", "+swap",
        "-background", "none", "-layers", "merge", "+repage",
        "-gravity", "center", "-extent", f"{WIDTH + 80}x{HEIGHT + 60}",
        "-strip", "-depth", "8", "-define", "png:compression-level=9", picture,
    )  # fmt: skip


def show(app: Application, name: str) -> None:
    app.screen.resize(app._window(), WIDTH + 2 * FRAME, HEIGHT + 2 * FRAME)
    app.picture(f"for-people-{name}", settle=0.6)
    folder = app.pictures / "for-people"
    folder.mkdir(exist_ok=True)
    finish(app.pictures / f"for-people-{name}.png", folder / f"{name}.png")


@pytest.fixture
def font(app: Application) -> None:
    """GNOME's own."""
    settings = app.bus.config_home / "gtk-4.0/settings.ini"
    settings.parent.mkdir(exist_ok=True)
    settings.write_text("[Settings]\ngtk-font-name=Cantarell 11\n")
    yield
    settings.unlink()


def photographs() -> dict[str, bytes]:
    names = ("Garden", "Mountains", "Sea")
    return {f"{name}/IMG_{number}.jpg": os.urandom(300_000)
            for name in names for number in range(2001, 2061)}  # fmt: skip


def test_screenshots(
    app: Application, app_agent: Agent, font: None, tmp_path: Path, bucket: str
) -> None:
    now = int(time.time())
    letters = {f"{year}/{name}.odt": "text" * 4000 for year in (2024, 2025, 2026)
               for name in ("Contract", "Insurance", "Taxes")}  # fmt: skip
    documents = app_agent.add_plan(
        "Documents", write_files(tmp_path / "Documents", letters), bucket, schedule="@hourly"
    )  # fmt: skip
    app_agent.start(text_of(now - 30 * HOUR))
    for hours, friend in (26, "Anna"), (3, "Ben"):
        app_agent.set_time(text_of(now - hours * HOUR))
        (tmp_path / f"Documents/2026/Letter to {friend}.odt").write_text("Dear" * 9000)
    app_agent.set_time(text_of(now - HOUR // 2))
    app_agent.set_time(text_of(now))
    add_plan(app_agent, "Music", write_files(tmp_path / "Music", {"a.ogg": "1"}), bucket,
             schedule="@weekly Sun 18:00")  # fmt: skip
    app_agent.settle()
    photos = add_plan(app_agent, "Photos", write_files(tmp_path / "Photos", photographs()), bucket,
                      schedule="manual", **{"upload-limit": "1M"})  # fmt: skip
    app.start()
    app.wait_for("Photos")
    job = photos.run()
    wait_until(lambda: job.get("Progress")["files-done"] > 30, 60, "half of the photographs")
    app.wait_for_text(" left")
    show(app, "overview")
    app.show_plan(photos)
    app_agent.manager("SetUploadLimit", "(xa{sv})", 256 * 1024, {})
    app.wait_for_text("Photos/")
    wait_until(lambda: job.get("Progress")["rate"] < 300_000, 30, "the new limit to show")
    show(app, "plan")
    assert job.state == "transferring"
    app_agent.manager("SetUploadLimit", "(xa{sv})", 0, {})
    job.wait()
    app.key("Alt+Left")
    app.show_plan(documents)
    app.activate_widget_action("Restore Files…")
    app.wait_for("All Folders")
    app.select("Documents")
    app.key("Return")
    app.wait_for("2026")
    app.select("2026")
    app.key("Return")
    app.wait_for("Taxes.odt")
    show(app, "restore")
