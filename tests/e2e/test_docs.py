# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""What the documents say is so: links lead somewhere, and commands have the options they name."""

from __future__ import annotations

import re
import shlex
import subprocess

import pytest
from gi.repository import GLib

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


def test_names_of_files() -> None:
    """A room's file, with or without an ending, and a test's."""
    text = "\n".join(document.read_text() for document in DOCUMENTS)
    rooms = {path.name for path in (TOP / "src").iterdir() if path.is_dir()}
    files = set(re.findall(rf"`((?:{'|'.join(rooms)})/[\w./-]*)`", text))
    assert len(files) > 40
    assert {file for file in files if not list((TOP / "src").glob(f"{file}*"))} == set()
    tests = set(re.findall(r"`(test_\w+?)(?:\.py)?`", text))
    assert len(tests) > 15
    there = {path.stem for path in (TOP / "tests").rglob("test_*.py")}
    assert tests - there == set()


def options_of(*command: str) -> str:
    done = subprocess.run([BINARY, *command, "--help"], env=clean_environment(HOME="/nonexistent"),
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 0, f"keepsakectl {' '.join(command)} is no command"
    return done.stdout


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
                assert re.search(rf"(^|[\s,]){word}(?![\w-])", offered), f"{word} of {command}"


def test_commands_of_dev() -> None:
    """Those that its list and the documents name are there."""
    text = (TOP / "dev").read_text()
    there = set(re.search(r"^  ([a-z|]+)\) \"cmd_", text, re.MULTILINE)[1].split("|"))
    listed = text.partition("cmd_help () {")[2]
    named = set(re.findall(r"^  ([a-z]+) +[\[a-z(A-Z]", listed.partition("\nEND")[0], re.MULTILINE))
    for document in DOCUMENTS:
        named |= set(re.findall(r"\./dev ([a-z]+)", document.read_text()))
    assert {"demo", "matrix", "test"} <= named and named - there == set()


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


# -- man pages ------------------------------------------------------------------------------------

SECTIONS_OF = {
    "mirror": ["WITHOUT PLANS", "OF MIRROR"],
    "restore": ["WITHOUT PLANS", "OF RESTORE"],
    "verify": ["WITHOUT PLANS", "OF VERIFY"],
    "ls": ["WITHOUT PLANS", "OF LS"],
    "versions": ["WITHOUT PLANS"],
    "probe": ["WITHOUT PLANS", "OF PROBE"],
    "recover": ["OF RECOVER"],
    "run": ["OF RUN"],
    "status": ["PLANS"],
    "history": ["OF HISTORY"],
    "pause": ["PLANS"],
    "resume": ["PLANS"],
    "limit": ["PLANS"],
    "autostart": ["PLANS"],
    "plan add": ["OF PLAN ADD AND PLAN EDIT"],
    "plan edit": ["OF PLAN ADD AND PLAN EDIT"],
    "plan list": ["PLANS"],
    "plan show": ["PLANS"],
    "plan remove": ["PLANS"],
    "plan export": ["PLANS"],
    "plan import": ["PLANS"],
    "credentials set": ["OF CREDENTIALS SET"],
    "credentials clear": ["PLANS"],
    "credentials check": ["PLANS"],
}
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")
OFFERED = re.compile(r"^  (?:-., )?(--(?!help)[a-z][a-z0-9-]*)", re.MULTILINE)  # in --help


def sections(program: str) -> dict[str, str]:
    """Of its man page, by their titles, without the dashes and quotes of roff."""
    text = (TOP / f"data/{program}.1").read_text().replace(r"\-", "-")
    text = re.sub(r"\\f[BIRP]", "", text)
    parts = re.split(r"^\.SH (.*)\n", text, flags=re.MULTILINE)
    return {title.replace("OPTIONS OF THE COMMANDS ", "").replace("OPTIONS ", ""): body
            for title, body in zip(parts[1::2], parts[2::2], strict=True)}  # fmt: skip


def commands_of(program: str) -> set[str]:
    help_text = options_of(*program.split()[1:])
    listed = help_text.partition("Commands:\n")[2].partition("\n\n")[0]
    return set(re.findall(r"^  ([a-z]+) ", listed, re.MULTILINE))


def test_options_without_a_command() -> None:
    told = set(OPTION.findall(sections("keepsakectl")["OF ALL COMMANDS"])) - {"--help", "--json"}
    assert set(OFFERED.findall(options_of())) == told == {"--version"}


def test_every_command_is_in_the_man_page() -> None:
    commands = commands_of("keepsakectl")
    for group in ("plan", "credentials"):
        commands |= {f"{group} {word}" for word in commands_of(f"keepsakectl {group}")} - {group}
        commands.discard(group)
    assert commands == set(SECTIONS_OF)


@pytest.mark.parametrize("command", SECTIONS_OF)
def test_man_page_has_the_options(command: str) -> None:
    """All that the command offers, and its own part nothing that it does not."""
    offered = set(OFFERED.findall(options_of(*command.split())))
    pages = sections("keepsakectl")
    told = {name: set(OPTION.findall(pages[name])) for name in SECTIONS_OF[command]}
    assert offered - set().union(*told.values()) - {"--json"} == set()
    own = SECTIONS_OF[command][-1]
    if own == f"OF {command.upper()}":
        assert told[own] - offered == set()


def test_sample_is_the_same_everywhere() -> None:
    """What was not looked at for the longest time, as test_samples_come_to_all shows."""
    told = {re.search(r"--sample=N% +(.*)", options_of(command))[1] for command in ("verify", "run")}
    assert told == {"Only a share of the files: those not looked at for the longest time"}
    pages = sections("keepsakectl")
    for section in ("OF VERIFY", "OF RUN"):
        assert "not looked at for the longest time" in pages[section].replace("\n", " ")


def test_commands_without_json() -> None:
    """The man page and the document of formats name them."""
    without = {command for command in SECTIONS_OF if "--json" not in OFFERED.findall(options_of(*command.split()))}
    for text in (sections("keepsakectl")["OF ALL COMMANDS"].replace("\n.BR ", " ").replace('"', ""),
                 (TOP / "docs/formats.md").read_text().replace("`", "")):  # fmt: skip
        named = re.search(r"\bbut\s+([a-z ]+?)\s+and\s+([a-z ]+?)\s*,\s+which\s+writes\s+JSON", text)
        assert named and set(named.groups()) == without


def test_man_pages_of_the_others() -> None:
    for program, folder, of_glib in (
        ("keepsake", "app", {"--gapplication-service"}), ("keepsake-agent", "agent", set()),
    ):  # fmt: skip
        done = subprocess.run(
            [BINARY.parents[1] / folder / program, "--help"], capture_output=True, text=True,
            env=clean_environment(HOME="/nonexistent"),
        )  # fmt: skip
        offered = set(OFFERED.findall(done.stdout))
        assert set(OPTION.findall(sections(program)["OPTIONS"])) - {"--help-all"} == offered | of_glib


def test_man_pages_name_what_is_kept() -> None:
    """What is notified of is chosen in the window, and read by the agent."""
    keys = re.findall(r'<key name="([^"]*)', next((TOP / "data").glob("*.gschema.xml")).read_text())
    choices = {key for key in keys if key.startswith("notify-")}
    assert len(choices) == 3
    for program in ("keepsake", "keepsake-agent"):
        assert choices <= set(re.findall(r"[\w-]+", sections(program)["FILES"])), program
    assert "$XDG_STATE_HOME/keepsake/agent.ini" in sections("keepsake-agent")["FILES"]


def test_parameters_of_actions_can_be_typed() -> None:
    """The shell takes one pair of quotes away, and gapplication needs another."""
    text = sections("keepsake")["ACTIONS"].replace(r"\(aq", "'").replace(r"\(dq", '"')
    (parameter,) = shlex.split(re.search(r'^\.BI show-plan " (.*)"$', text, re.MULTILINE)[1])
    assert GLib.Variant.parse(None, parameter, None, None).get_type_string() == "s"
