# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""docs/formats.md says of plans, the history and the agent's memory what the program does."""

from __future__ import annotations

import configparser
import json
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import TOP
from fixtures.agent import NAME, Agent
from fixtures.checks import write_files

ID = "1f0e2d3c-0000-4000-8000-000000000000"

# All that a plan needs; what else there is has a default.
LEAST: dict[str, Any] = {
    "version": 1,
    "id": ID,
    "name": "Photos",
    "sources": [{"path": "/home/user/Pictures"}],
    "destination": {"bucket": "my-backup"},
}

# Another good value for each that can be anything.
OTHERS: dict[str, Any] = {
    "id": "0c5b1f44-2f0d-4d9b-8c35-6f0e1d3a8a35",
    "name": "Fotos",
    "sources": [{"path": "/a", "as": "b"}, {"path": "/c", "as": "d"}],
    "sources[].path": "/home/user/Bilder",
    "sources[].as": "Bilder/Rest",
    "exclude": ["*.tmp", "/cache/"],
    "destination.provider": "other",
    "destination.endpoint": "https://s3.example.org",
    "destination.region": "eu-central-1",
    "destination.bucket": "other-backup",
    "destination.prefix": "laptop",
    "destination.storage-class": "STANDARD_IA",
    "destination.allow-http": True,
    "schedule": "@weekly Tue 03:15",
    "upload-limit": "256K",
    "timetable": "08:00,512K 19:00,10M",
    "enabled": False,
}


def section(title: str) -> str:
    text = (TOP / "docs/formats.md").read_text()
    return text.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def table(title: str, header: str) -> list[list[str]]:
    """The cells of the table in the section that begins with this cell; "" repeats the one above."""
    rows: list[list[str]] = []
    lines = section(title).splitlines()
    (start,) = [
        i for i, line in enumerate(lines)
        if line.startswith(f"| {header} |") and lines[i + 1].startswith("|---")
    ]  # fmt: skip
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        rows.append([cells[0] or rows[-1][0], *cells[1:]])
    assert rows
    return rows


def words(cell: str) -> list[str]:
    """Those of one or more pieces of code; where a word has blanks in it, each is a piece."""
    pieces = re.findall(r"`([^`]*)`", cell)
    return pieces if any(piece.startswith("keep ") for piece in pieces) else " ".join(pieces).split()


MEMBERS = [
    (words(member)[0], kind, default)
    for member, kind, default, _ in table("Plan files", "member")
]
NAMES = [member for member, *_ in MEMBERS]


# -- members of a plan ----------------------------------------------------------------------------


def holder(plan: dict[str, Any], member: str) -> tuple[dict[str, Any], str]:
    """The object that has the member, and its name there."""
    *way, last = member.split(".")
    for step in way:
        plan = plan["sources"][0] if step == "sources[]" else plan.setdefault(step, {})
    return plan, last


def changed(member: str, value: Any) -> dict[str, Any]:
    plan = json.loads(json.dumps(LEAST))
    inner, name = holder(plan, member)
    inner[name] = value
    return plan


def members_of(plan: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in plan.items():
        yield prefix + name
        if isinstance(value, dict):
            yield from members_of(value, f"{prefix}{name}.")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            yield from members_of(value[0], f"{prefix}{name}[].")


@pytest.fixture
def file(ctl: Any) -> Path:
    folder = ctl.home / "config/keepsake/plans"
    folder.mkdir(parents=True, mode=0o700)
    return folder / "this.json"


@pytest.fixture
def written(ctl: Any, file: Path) -> Any:
    """What is written of the plan that was read from this text."""

    def write(plan: Any) -> dict[str, Any]:
        file.write_text(json.dumps(plan))
        return json.loads(ctl("plan", "export", plan["name"], check=0).stdout)

    return write


@pytest.fixture
def complaint(ctl: Any, file: Path) -> Any:
    def write(text: Any) -> str:
        file.write_text(text if isinstance(text, str) else json.dumps(text))
        before = file.read_bytes()
        result = ctl("plan", "list")
        assert file.read_bytes() == before, "it changes no file that is wrong"
        assert "this.json: " in result.stderr, result
        return re.sub(r"^line \d+: (?=[\w.\[\]-]+: )", "", result.stderr.partition("this.json: ")[2])

    return write


def test_no_member_is_forgotten(written: Any) -> None:
    plan = changed("destination.allow-http", True)
    assert sorted(members_of(written(plan))) == sorted(NAMES)
    kinds = {kind for _, kind, _ in MEMBERS}
    assert {kind for kind in kinds if "`" not in kind} == {
        "text", "whole number", "true or false", "object", "list of texts", "list of objects"
    }  # fmt: skip


@pytest.mark.parametrize("member, default", [(name, default) for name, _, default in MEMBERS])
def test_left_out(written: Any, complaint: Any, member: str, default: str) -> None:
    if default == "refused":
        plan = json.loads(json.dumps(LEAST))
        inner, name = holder(plan, member)
        del inner[name]
        if member == "sources":
            assert complaint(plan).startswith("sources: there is none; write ")
        else:
            said = complaint(plan).replace("sources[0]", "sources[]")
            assert said.startswith(f"{member}: is missing; write ")
        return
    inner, name = holder(written(LEAST), member)
    if default == "the last part of `path`":
        assert inner[name] == "Pictures"
    elif default == "as its members":
        assert set(inner[name]) == {n.split(".")[1] for n in NAMES if n.startswith("conditions.")}
    else:
        assert inner.get(name, False) == json.loads(default.strip("`"))


@pytest.mark.parametrize("member, kind", [(name, kind) for name, kind, _ in MEMBERS])
def test_type(written: Any, complaint: Any, member: str, kind: str) -> None:
    wrong = {"whole number": "1", "text": 7, "true or false": "yes", "object": [], "list of texts": "",
             "list of objects": {}}.get(kind, 7)  # fmt: skip
    said = complaint(changed(member, wrong)).replace("sources[0]", "sources[]")
    assert said.startswith(f"{member}: is not "), said
    if "`" in kind:
        for word in words(kind):
            inner, name = holder(written(changed(member, word)), member)
            assert inner[name] == word
        said = complaint(changed(member, "perhaps"))
        assert said.startswith(f"{member}: “perhaps” is not known; write ")
        assert [word for word in re.findall(r'"([^"]*)"', said)] == words(kind)
    elif member not in ("version", "destination", "conditions"):
        if member == "timetable":
            plan = changed("upload-limit", "off") | {"timetable": OTHERS[member]}
        elif member == "destination.provider":
            plan = changed("destination.endpoint", "https://s3.example.org")
            plan["destination"]["provider"] = OTHERS[member]
        else:
            plan = changed(member, OTHERS[member])
        inner, name = holder(written(plan), member)
        assert inner[name] == OTHERS[member]


def test_every_member_that_can_be_anything_is_tried() -> None:
    free = {name for name, kind, _ in MEMBERS if "`" not in kind}
    assert free - {"version", "destination", "conditions"} == set(OTHERS)


def test_what_is_not_known_is_kept(ctl: Any, written: Any, file: Path) -> None:
    plan = changed("from-tomorrow", {"a": [1, None]})
    for inner in (plan["sources"][0], plan["destination"], plan.setdefault("conditions", {})):
        inner["x-mine"] = "yes"
    file.write_text(json.dumps(plan))
    ctl("plan", "edit", "Photos", "--exclude", "*.tmp", check=0)
    kept = json.loads(file.read_text())
    assert kept["exclude"] == ["*.tmp"] and kept["from-tomorrow"] == {"a": [1, None]}
    assert [kept["sources"][0]["x-mine"], kept["destination"]["x-mine"],
            kept["conditions"]["x-mine"]] == ["yes"] * 3  # fmt: skip
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["this.json"]


@pytest.mark.parametrize("example", [words(row[0]) for row in table("Plan files", "`schedule`")])
def test_schedules(written: Any, example: list[str]) -> None:
    text = " ".join(example)
    for schedule in {text.replace("[", "").replace("]", ""), re.sub(r" ?\[[^]]*\]", "", text)}:
        read = written(changed("schedule", schedule))["schedule"]
        assert read.startswith(schedule.split()[0])
        if "[" in text:  # what stands in brackets is what is meant without
            assert read == text.replace("[", "").replace("]", "")


@pytest.mark.parametrize(
    "text, said",
    [
        ('{\n "version": 1,\n "id" 7\n}', "line 3: "),
        ("[" * 40 + "]" * 40, "line 1: the brackets are nested too deeply"),
        (json.dumps(LEAST) + "\n{}", "line 2: the plan has ended before"),
        ("", "is empty"),
        ("[1]", "is not an object"),
        (json.dumps(changed("version", 2)), "version: the plan was written by a newer Keepsake"),
        (json.dumps(changed("version", 0)), "version: there was no such format"),
        (json.dumps(changed("id", "7")), "id: “7” is not an identifier"),
        (json.dumps(changed("name", "a\nb")), "name: holds a line break"),
        (json.dumps(changed("sources", [])), "sources: there is none"),
        (json.dumps(changed("sources[].path", "a")), "sources[0].path: “a” is not an absolute"),
        (json.dumps(changed("sources[].as", "/a")), "sources[0].as: “/a” cannot be a name"),
        (
            json.dumps(changed("sources", [{"path": "/a", "as": ""}, {"path": "/b"}])),
            "sources[1].as: “b” and “” (of sources[0]) would overwrite each other",
        ),
        (json.dumps(changed("exclude", [""])), "exclude[0]: is empty"),
        (json.dumps(changed("destination.bucket", "a/b")), "destination.bucket: “a/b” is not the"),
        (
            json.dumps(changed("destination.endpoint", "http://example.org")),
            "destination.endpoint: “http://example.org” is not encrypted",
        ),
        (json.dumps(changed("destination.region", "eu/1")), "destination.region: “eu/1” cannot be"),
        (json.dumps(changed("destination.provider", "me")), "destination.provider: “me” is not"),
        (json.dumps(changed("destination.storage-class", "a b")), "destination.storage-class: "),
        (json.dumps(changed("schedule", "@weekly 25:00")), "schedule: "),
        (json.dumps(changed("upload-limit", "fast")), "upload-limit: "),
        (json.dumps(changed("timetable", "fast")), "timetable: "),
    ],
)
def test_what_is_refused(complaint: Any, text: str, said: str) -> None:
    assert complaint(text).startswith(said)


# -- the history ------------------------------------------------------------------------------------


def test_history(agent: Agent, tmp_path: Path, bucket: str) -> None:
    folder = write_files(tmp_path / "Pictures", {"one": "1"})
    agent.keyring.start()
    agent.add_plan("Photos", folder, bucket, schedule="@daily 12:30")
    agent.start("2026-03-01 13:00")
    agent.stop()
    rows = table("The history", "table")
    documented: dict[str, list[str]] = {}
    for name, columns, _ in rows:
        documented.setdefault(words(name)[0], []).extend(words(columns))
    with sqlite3.connect(agent.state / "history.sqlite") as history:
        tables = [
            name for (name,) in history.execute("SELECT name FROM sqlite_schema WHERE type='table'")
            if not name.startswith("sqlite_")
        ]  # fmt: skip
        assert documented == {
            name: [row[1] for row in history.execute(f"PRAGMA table_info({name})")]
            for name in tables
        }
        (application_id,) = history.execute("PRAGMA application_id").fetchone()
        (version,) = history.execute("PRAGMA user_version").fetchone()
    text = section("The history")
    assert re.search(rf"application_id` is {application_id} ", text)
    assert f"`user_version` is {version};" in text
    assert (agent.state / "history.sqlite.lock").exists()


def test_words_of_the_history() -> None:
    rows = {words(columns)[-1]: words(meaning) for _, columns, meaning in
            table("The history", "table")[:6]}  # fmt: skip
    source = (TOP / "src/plan/kp-history-queries.c").read_text()
    for column in ("kind", "trigger", "state"):
        (names,) = re.findall(rf"const {column}_names\[\]\s*= {{ ([^}}]*), NULL }}", source)
        assert rows[column] == re.findall(r'"([^"]*)"', names)

    # The reasons are those by which a plan is held, but for those that are not worth a record.
    (held,) = re.findall(r"<!-- HeldBy: (.*?)-->",
                         (TOP / f"src/dbus/{NAME}.xml").read_text(), re.DOTALL)  # fmt: skip
    (reasons,) = [words(meaning) for _, columns, meaning in table("The history", "table")
                  if "offline" in meaning]  # fmt: skip
    expected = set(re.findall(r'"([^"]+)"', held)) - {"another-job", "waking-up"}
    assert set(reasons) == expected | {"not-running"}


def test_memory_of_the_agent(agent: Agent, tmp_path: Path, bucket: str) -> None:
    documented: dict[str, set[str]] = {}
    for group, key, _ in table("What the agent remembers", "group"):
        documented.setdefault(group, set()).update(words(key))
    source = "".join(path.read_text() for path in (TOP / "src/agent").glob("*.c"))
    names = dict(re.findall(r'#define (KEY_\w+) "([^"]+)"', source))
    used: dict[str, set[str]] = {}
    for whose, key in re.findall(
        r"kp_agent_state_[gs]et \([^,]*,\s*((?:[^,()]|\([^()]*\))*),\s*(\"[^\"]*\"|KEY_\w+)", source
    ):
        group = "`agent`" if whose.strip() == "NULL" else "a plan's id"
        used.setdefault(group, set()).add(names.get(key, key.strip('"')))
    assert documented == used

    folder = write_files(tmp_path / "Pictures", {"one": "1"})
    agent.keyring.start()
    plan = agent.add_plan("Photos", folder, bucket, schedule="@daily 12:30")
    agent.start("2026-03-01 13:00")
    agent.stop()
    memory = configparser.ConfigParser()
    memory.read(agent.state / "agent.ini")
    assert set(memory["agent"]) <= documented["`agent`"]
    assert {"first-seen"} <= set(memory[plan.id]) <= documented["a plan's id"]
