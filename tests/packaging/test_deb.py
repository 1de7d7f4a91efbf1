# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""The Debian packages in a Debian that knows nothing of Keepsake. "./dev deb test" makes them first."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import AGENT, TOP, short_folder
from fixtures import PATIENCE, wait_until
from fixtures.ceph_rgw import CephRgw
from fixtures.checks import keys, write_files
from fixtures.debian_root import DebianRoot, why_not
from fixtures.desktop import Desktop
from fixtures.session_bus import SessionBus

PACKAGES = sorted((AGENT.parents[2] / "deb").glob("*.deb"))
OURS = ("keepsake", "keepsakectl")


@pytest.fixture(scope="module")
def debian() -> Iterator[DebianRoot]:
    if reason := why_not():
        pytest.skip(reason)
    packages = [path for path in PACKAGES if path.name.split("_")[0] in OURS]
    assert len(packages) == 2, f"run ./dev deb: {PACKAGES}"
    with short_folder("debian") as folder:
        with DebianRoot(folder / "root", copies=packages) as root:
            yield root


def install(debian: DebianRoot, package: str) -> None:
    (path,) = (debian.folder / "srv").glob(f"{package}_*.deb")
    debian.run("apt-get", "install", "--yes", "--no-install-recommends", f"/srv/{path.name}")


def test_command_line(debian: DebianRoot, rgw: CephRgw, s3: object, bucket: str) -> None:
    """By itself, without a desktop."""
    install(debian, "keepsakectl")
    assert "libgtk" not in debian.run("dpkg-query", "-W", "-f", "${Package}\n")
    write_files(debian.folder / "srv/data", {"one": "1", "two": "2"})
    keys_of = {
        "AWS_ACCESS_KEY_ID": rgw.access_key, "AWS_SECRET_ACCESS_KEY": rgw.secret_key,
        "AWS_ENDPOINT_URL": rgw.endpoint, "AWS_REGION": "default",
    }  # fmt: skip
    debian.run("keepsakectl", "mirror", "/srv/data", f"s3://{bucket}/server", env=keys_of)
    assert len(keys(s3, bucket)) == 3
    debian.run("keepsakectl", "restore", f"s3://{bucket}/server/data", "/srv/restored", env=keys_of)
    assert (debian.folder / "srv/restored/two").read_text() == "2"


def test_desktop(debian: DebianRoot, tmp_path: Path) -> None:
    """The bus of a session finds the agent, and the window opens on a screen."""
    install(debian, "keepsake")
    # What starts the agent.
    debian.run("dbus-run-session", "--", "sh", "-c", "keepsakectl pause && keepsakectl resume")
    status = debian.run("dbus-run-session", "--", "keepsakectl", "status")
    assert "keepsakectl plan add" in status
    version = debian.run("/usr/libexec/keepsake-agent", "--version").strip()
    assert version == debian.run("keepsakectl", "--version").strip().replace("keepsakectl", "keepsake-agent")
    assert "keepsakectl" in debian.run("bash", "-c", "cat /usr/share/bash-completion/completions/keepsakectl")

    with short_folder("session") as folder, SessionBus(folder) as bus, Desktop(bus) as desktop:
        window = debian.popen(
            "dbus-run-session", "--", "keepsake",
            env={"DISPLAY": desktop.display, "GSK_RENDERER": "cairo", "GDK_BACKEND": "x11",
                 "GTK_A11Y": "none"},
        )  # fmt: skip

        def has_window() -> bool:
            assert window.poll() is None
            return "\"Keepsake\": (\"" in bus.run("xwininfo", "-root", "-tree")

        wait_until(has_window, 30, "the window")
        desktop.screenshot(AGENT.parents[2] / "screenshots-deb.png")
        window.terminate()
        window.wait(10 * PATIENCE)


def test_removal(debian: DebianRoot) -> None:
    """Nothing stays, and nothing was changed that belongs to others."""
    assert debian.run("dpkg", "--verify", *OURS) == ""
    debian.run("apt-get", "purge", "--yes", *OURS)
    assert [path for path in debian.files() if "keepsake" in path.lower() and "srv/" not in path] == []
