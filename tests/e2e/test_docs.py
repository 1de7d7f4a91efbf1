# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""What the documents say is so: links lead somewhere, and commands have the options they name."""

from __future__ import annotations

import re
import shlex
import subprocess

import pytest

from conftest import BINARY, TOP
from fixtures import clean_environment

DOCUMENTS = sorted([TOP / "README.md", *(TOP / "docs").glob("*.md")])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links(document: object) -> None:
    text = document.read_text()
    for link in re.findall(r"\]\(([^)]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE)
            assert anchor in [re.sub(r"[^\w-]", "", h.lower().replace(" ", "-")) for h in headings]


def options_of(*command: str) -> str:
    for option in ("--help-all", "--help"):
        done = subprocess.run([BINARY, *command, option], env=clean_environment(HOME="/nonexistent"),
                              capture_output=True, text=True)  # fmt: skip
        if done.returncode == 0:
            return done.stdout
    raise AssertionError(f"keepsakectl {' '.join(command)} is no command")


def test_commands() -> None:
    commands = set()
    for document in DOCUMENTS:
        commands |= set(re.findall(r"(?:^    |`)(keepsakectl [a-z][^\n`#]*)", document.read_text(), re.MULTILINE))
    assert len(commands) >= 8
    for command in commands:
        words = shlex.split(command)[1:]
        length = 2 if words[0] in ("plan", "credentials") and len(words) > 1 else 1
        offered = options_of(*words[:length])
        for word in words:
            if re.fullmatch(r"--?[a-z][a-z-]*", word):
                assert re.search(rf"(^|[\s,]){word}\b", offered), f"{word} of {command}"


def test_screenshots_are_described_as_they_are() -> None:
    """Their sizes in the metainfo, which software centres make room for."""
    metainfo = (TOP / "data/io.github.keepsake_backup.Keepsake.metainfo.xml.in").read_text()
    images = re.findall(r'width="(\d+)" height="(\d+)">[^<]*/main/(docs/[^<]*\.png)<', metainfo)
    assert len(images) == 3
    for width, height, path in images:
        head = (TOP / path).read_bytes()[:24]
        assert (int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")) == (
            int(width), int(height))  # fmt: skip
        assert (TOP / path).stat().st_size < 100_000
