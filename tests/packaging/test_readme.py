# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""The two commands of README.md in a Debian 12 that has git, the certificate authorities and
nothing else, as root and as a user with sudo. "./dev readme [demo|test]" runs them: a demo takes
about a quarter of an hour, most of it to fetch packages, and all tests take longer."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator

import pytest

from conftest import TOP, short_folder
from fixtures import clean_environment
from fixtures.debian_root import DebianRoot, why_not

# A machine that does other things meanwhile is given more time.
PATIENT = {name: value for name, value in os.environ.items() if name == "KEEPSAKE_TEST_PATIENCE"}
# What a command says at its end when all is well. There are over two thousand tests.
WELL_DONE = {
    "demo": re.compile("Nothing differs"),
    "test": re.compile(r"^[2-9]\d{3,} passed, 0 failed, \d+ skipped$", re.MULTILINE),
}
WANTED = os.environ.get("KEEPSAKE_README", "").split()

if not WANTED:
    pytest.skip("./dev readme runs these", allow_module_level=True)


@pytest.fixture(params=["root", "somebody"])
def user(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def debian(user: str) -> Iterator[DebianRoot]:
    if reason := why_not():
        pytest.skip(reason)
    with short_folder("readme") as folder:
        packages = ["git"] if user == "root" else ["git", "sudo"]
        with DebianRoot(folder / "root", packages=packages) as root:
            if user != "root":
                root.run("useradd", "--create-home", "--shell", "/bin/bash", user)
                (root.folder / "etc/sudoers.d/somebody").write_text(f"{user} ALL=(ALL) NOPASSWD: ALL\n")
            yield root


def test_commands(debian: DebianRoot, user: str) -> None:
    commands = re.findall(r"^    \./dev (\w+)$", (TOP / "README.md").read_text(), re.MULTILINE)
    assert commands == ["demo", "test"]
    home = "/root" if user == "root" else f"/home/{user}"
    # A copy of this repository, as it was committed.
    subprocess.run(
        ["git", "clone", "--quiet", f"file://{TOP}", f"{debian.folder}{home}/keepsake"],
        env=clean_environment(), check=True,
    )  # fmt: skip
    debian.run("chown", "-R", f"{user}:{user}", f"{home}/keepsake")
    assert set(WANTED) <= set(commands)
    for command in commands:
        if command in WANTED:
            output = debian.run(
                "sh", "-c", f"cd && cd keepsake && ./dev {command}", user=user,
                env={"HOME": home, "USER": user, **PATIENT}, timeout=7200,
            )  # fmt: skip
            assert WELL_DONE[command].search(output), output[-6000:]
    left = debian.run("git", "-C", f"{home}/keepsake", "status", "--porcelain", "--ignored", user=user,
                      env={"HOME": home})  # fmt: skip
    assert left.split() == ["!!", "build/"]
