# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""What the Tab key offers after "keepsakectl", in each shell."""

from __future__ import annotations

import os
import pty
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import BINARY, TOP
from fixtures import PATIENCE, clean_environment, wait_until
from fixtures.checks import write_files

COMPLETIONS = TOP / "data/completions"

Offer = Callable[[str], list[str]]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """With two plans and some files."""
    home = tmp_path / "home"
    write_files(home, {"Pictures/one": "1", "patterns.txt": ""})
    program = home / "bin/keepsakectl"
    program.parent.mkdir()
    program.symlink_to(BINARY)
    for name in ("Photos", 'The "big" disk'):
        subprocess.run([BINARY, "plan", "add", name, home / "Pictures", "s3://bucket/laptop"],
                       env=environment(home), check=True, stdout=subprocess.DEVNULL)  # fmt: skip
    return home


def environment(home: Path) -> dict[str, str]:
    clean = clean_environment(HOME=str(home), TERM="dumb")
    return clean | {"PATH": f"{home}/bin:{clean['PATH']}"}


BASH = r"""
source "$1"
line=$2
read -ra COMP_WORDS <<<"$line"
[[ $line != *' ' ]] || COMP_WORDS+=('')
COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 ))
# As readline cuts words at "=".
if [[ ${COMP_WORDS[COMP_CWORD]} == --*=* ]]; then
  word=${COMP_WORDS[COMP_CWORD]}
  COMP_WORDS=("${COMP_WORDS[@]:0:COMP_CWORD}" "${word%%=*}" = "${word#*=}")
  COMP_CWORD=$(( COMP_CWORD + 2 ))
fi
compopt () { :; }
_keepsakectl
printf '%s\n' "${COMPREPLY[@]}"
"""


def offered_by_bash(home: Path) -> Offer:
    assert "_keepsakectl" in subprocess.run(
        ["bash", "--norc", "-c", f"source {COMPLETIONS}/keepsakectl.bash; complete -p keepsakectl"],
        env=environment(home), capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip

    def offer(line: str) -> list[str]:
        done = subprocess.run(
            ["bash", "--norc", "-c", BASH, "bash", COMPLETIONS / "keepsakectl.bash", line],
            env=environment(home), cwd=home, capture_output=True, text=True, timeout=60 * PATIENCE,
        )  # fmt: skip
        assert done.stderr == ""
        return done.stdout.replace("\\", "").split("\n")

    return offer


def rows_of_fish(home: Path, line: str) -> dict[str, str]:
    """What is offered, each with what is said of it."""
    done = subprocess.run(
        ["fish", "--no-config", "-c", f"source {COMPLETIONS}/keepsakectl.fish; complete -C $argv[1]",
         line], env=environment(home), cwd=home, capture_output=True, text=True,
        timeout=60 * PATIENCE,
    )  # fmt: skip
    assert done.stderr == ""
    return {name: words for name, _, words in (row.partition("\t") for row in done.stdout.split("\n"))}


def offered_by_fish(home: Path) -> Offer:
    return lambda line: list(rows_of_fish(home, line))


# Its completion works in an interactive shell alone: each offer is added to a file.
ZSH = r"""
fpath=({completions} $fpath)
autoload -Uz compinit
compinit -u -D
offers () {{ print -rl -- "$@" >>{home}/offers }}
compadd () {{
  local -a __seen
  builtin compadd -O __seen "$@"
  offers $__seen
  builtin compadd "$@"
}}
done-it () {{ print >>{home}/offers-end; BUFFER=""; zle reset-prompt }}
zle -N done-it
bindkey '^X' done-it
print ready >{home}/offers-end
"""


def offered_by_zsh(home: Path) -> Offer:
    (home / ".zshrc").write_text(ZSH.format(completions=COMPLETIONS, home=home))

    def offer(line: str) -> list[str]:
        found, end = home / "offers", home / "offers-end"
        for path in (found, end):
            path.unlink(missing_ok=True)
        child, terminal = pty.fork()
        if child == 0:
            os.chdir(home)
            os.execvpe("zsh", ["zsh", "-d", "-i"], environment(home))
        try:
            os.set_blocking(terminal, False)

            def has(text: str) -> bool:
                try:
                    while os.read(terminal, 65536):
                        pass
                except BlockingIOError:
                    pass
                return end.exists() and end.read_text() == text

            wait_until(lambda: has("ready\n"), 20, "the shell")
            os.write(terminal, line.encode() + b"\t\x18")
            wait_until(lambda: has("ready\n\n"), 20, "the offer")
        finally:
            os.close(terminal)
            os.waitpid(child, 0)
        return found.read_text().split("\n") if found.exists() else []

    return offer


@pytest.mark.parametrize(
    ("shell", "offered_by"),
    [("bash", offered_by_bash), ("zsh", offered_by_zsh), ("fish", offered_by_fish)],
)
def test_completion(shell: str, offered_by: Callable[[Path], Offer], home: Path) -> None:
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    offer = offered_by(home)

    commands = offer("keepsakectl ")
    assert {"mirror", "restore", "verify", "plan", "credentials", "status"} <= set(commands)
    assert "mirror" in offer("keepsakectl mi")
    assert {"add", "list", "show", "edit", "remove", "export", "import"} <= set(offer("keepsakectl plan "))
    assert "mirror" not in offer("keepsakectl plan ")

    assert "--version" in offer("keepsakectl --")
    options = offer("keepsakectl mirror --")
    assert {"--delete", "--dry-run", "--upload-limit", "--exclude-from"} <= set(options)
    assert "--schedule" not in options
    assert "--schedule" in offer("keepsakectl plan add --sch")

    plans = offer("keepsakectl run ")
    assert {"Photos", 'The "big" disk'} <= set(plans)
    assert "Photos" in offer("keepsakectl credentials set Ph")
    assert "Pictures" in [name.rstrip("/") for name in offer("keepsakectl mirror Pic")]
    assert "patterns.txt" in offer("keepsakectl mirror --exclude-from pat")
    assert [name for name in offer("keepsakectl mirror --exclude-from=pat") if name.endswith("patterns.txt")]
    limits = offer("keepsakectl mirror --upload-limit ")
    assert "Pictures" not in [name.rstrip("/") for name in limits]
    assert "Pictures" in [name.rstrip("/") for name in offer("keepsakectl plan edit --add-source Pic")]
    assert "patterns.txt" in offer("keepsakectl recover -o pat")

    # First a plan, then a file.
    assert "Photos" in offer("keepsakectl plan export ")
    assert "patterns.txt" in offer("keepsakectl plan export Photos pat")
    assert "Photos" in offer("keepsakectl recover ")


@pytest.mark.skipif(not shutil.which("fish"), reason="fish is not installed")
def test_fish_says_what_is_offered(home: Path) -> None:
    """In the words of --help, all of them."""
    for group in ((), ("plan",), ("credentials",)):
        listed = subprocess.run([BINARY, *group, "--help"], capture_output=True, text=True,
                                env=environment(home), check=True).stdout  # fmt: skip
        told = re.findall(r"^  ([a-z]+) (?:.*  )?\s*(\S.*)$",
                          listed.partition("Commands:\n")[2].partition("\n\n")[0], re.MULTILINE)  # fmt: skip
        assert len(told) >= 3 and " " in told[0][1]
        offered = rows_of_fish(home, " ".join(("keepsakectl", *group, "")))
        assert {name: offered.get(name) for name, _ in told} == dict(told)
    assert rows_of_fish(home, "keepsakectl mirror --dry")["--dry-run"] == "Only say what would be done"
