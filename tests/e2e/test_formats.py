# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""docs/formats.md says of --json what the program prints: scripts are written by it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from conftest import TOP

MEMBER = re.compile(r'"(\w+)",\s*"[suibn]",')


def printed() -> Iterator[tuple[str, set[str]]]:
    """Of each call that prints an object: its type and its members."""
    for path in sorted((TOP / "src/ctl").glob("*.c")):
        for call in re.findall(r"(?m)^ +kp_ctl_output_json \(([^;]*)\);", path.read_text()):
            kind = re.match(r'[^"]*"(\w+)"', call)
            assert kind, f"{path.name}: no type in: {call}"
            yield kind[1], set(MEMBER.findall(call[kind.end() :]))


def documented() -> dict[str, str]:
    """The members' column of the table, by type."""
    text = (TOP / "docs/formats.md").read_text()
    section = re.search(r"^## JSON lines\n(.*?)(^## |\Z)", text, re.S | re.M)
    assert section
    rows: dict[str, str] = {}
    for kind, members in re.findall(r"^\| `(\w+)` \|[^|]*\| (.*) \|$", section[1], re.M):
        rows[kind] = rows.get(kind, "") + members
    del rows["type"]  # the table's head
    return rows


def test_types_of_json_lines() -> None:
    kinds = {kind for kind, _ in printed()}
    assert len(kinds) > 10
    assert kinds == documented().keys()


def test_members_of_json_lines() -> None:
    rows = documented()
    missing = [
        f"{kind}: {member}"
        for kind, members in printed()
        for member in sorted(members)
        if member not in re.findall(r"\w+", rows[kind])
    ]
    assert missing == []
    assert sum(len(members) for _, members in printed()) > 50


def test_temporary_tables() -> None:
    """Nobody can see them in a catalogue; the document names all."""
    made = {
        table
        for path in (TOP / "src/mirror").glob("*.c")
        for table in re.findall(r"CREATE TEMP TABLE (\w+)", path.read_text())
    }
    text = (TOP / "docs/formats.md").read_text()
    sentence = re.search(r"^The tables ([^.]*)\sare temporary", text, re.MULTILINE)
    assert sentence and set(re.findall(r"`(\w+)`", sentence[1])) == made
