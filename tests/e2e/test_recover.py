# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""The page that says how to get files back without Keepsake: what it says works."""

from __future__ import annotations

import html.parser
import os
import re
import shlex
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from conftest import REGION, no_thread_sanitizer
from fixtures import clean_environment
from fixtures.ceph_rgw import CephRgw
from fixtures.checks import rsync_changes, the_sentence, write_files
from fixtures.trees import MIB


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = write_files(
        tmp_path / "My Pictures & “more”",
        {"one": "1", "sub/it's <two>": "22", "sub/sub/drei €": "333", "large": os.urandom(9 * MIB),
         "empty": ""},
    )  # fmt: skip
    for path in sorted(folder.rglob("*"), reverse=True):
        os.utime(path, (1_700_000_000, 1_700_000_000))
    return folder


@pytest.fixture
def plan(ctl: Any, folder: Path, bucket: str) -> str:
    """Its name; it has been run."""
    ctl("plan", "add", "Photos", folder, f"s3://{bucket}/lap top", check=0)
    ctl("run", "Photos", "--foreground", check=0)
    return "Photos"


def commands_under(page: str, heading: str) -> str:
    """The indented lines of a section."""
    section = re.split(r"^-+$", page.split(f"\n{heading}\n")[1], flags=re.M)[1]
    return "\n".join(line[4:] for line in section.splitlines() if line.startswith("    "))


def follow(page: str, heading: str, where: Path, rgw: CephRgw, search: Path) -> Path:
    """Does what the page says, as somebody would who has the keys. Returns the new folder."""
    where.mkdir()
    keys = commands_under(page, "What you need")
    script = f"set -e\n{keys}\n{commands_under(page, heading)}\n"
    subprocess.run(
        ["bash", "-c", script], input=f"{rgw.access_key}\n{rgw.secret_key}\n", cwd=where, text=True,
        env=clean_environment(HOME=str(where), PATH=f"{search}:{os.environ['PATH']}"),
        check=True, timeout=120,
    )  # fmt: skip
    return where / "restored"


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*") if path.is_file() and not path.is_symlink()
    }  # fmt: skip


@no_thread_sanitizer
@pytest.mark.parametrize(
    "heading",
    ["With Keepsake, on any computer", "With rclone", "With s3cmd", "With s3fs, as a folder"],
)
def test_what_it_says_works(
    ctl: Any, plan: str, folder: Path, rgw: CephRgw, tmp_path: Path, heading: str
) -> None:
    page = ctl("recover", plan, check=0).stdout
    restored = follow(page, heading, tmp_path / "elsewhere", rgw, ctl.binary.parent)
    assert contents(restored / folder.name) == contents(folder)
    if "s3cmd" not in heading:  # which says that it does not
        for name in ("one", "sub/it's <two>", "large"):
            assert int((restored / folder.name / name).stat().st_mtime) == 1_700_000_000, name
    if "s3fs" in heading or "Keepsake" in heading:
        assert rsync_changes(folder, restored / folder.name) == []


def test_says_where_the_files_are(
    ctl: Any, plan: str, folder: Path, rgw: CephRgw, bucket: str
) -> None:
    page = ctl("recover", plan, check=0).stdout
    for label, value in {
        "Plan": "Photos", "Endpoint": rgw.endpoint, "Region": REGION, "Bucket": bucket,
        "Prefix": "lap top",
    }.items():  # fmt: skip
        assert re.search(rf"^{label} +{re.escape(value)}$", page, re.M), label
    assert re.search("^Addresses +path style", page, re.M)
    assert f"{folder}  s3://{bucket}/lap top/{folder.name}" in page
    for line in page.splitlines():
        assert len(line) <= 80 or line.startswith("    ") or "s3://" in line, line


def test_has_no_secret(ctl: Any, plan: str, rgw: CephRgw) -> None:
    for option in ([], ["--html"]):
        page = ctl("recover", plan, *option, check=0).stdout
        assert rgw.access_key not in page and rgw.secret_key not in page


class Judge(html.parser.HTMLParser):
    """Whether all that is opened is closed, and nothing is fetched from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        assert not {name for name, _ in attributes} & {"src", "href", "onload"}, tag
        assert tag not in ("script", "link", "img")
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.text += data


def test_page_to_print(
    ctl: Any, plan: str, folder: Path, bucket: str, tmp_path: Path
) -> None:
    path = tmp_path / "page.html"
    assert ctl("recover", plan, "--html", "-o", path, check=0).stdout == ""
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    judge = Judge()
    judge.feed(path.read_text())
    assert judge.open == []
    assert str(folder) in judge.text
    assert "@media print" in path.read_text() and "url(" not in path.read_text()
    # The same commands as on the plain page.
    plain = ctl("recover", plan, check=0).stdout
    assert commands_under(plain, "With rclone") in judge.text


def test_of_an_address(ctl: Any, bucket: str, rgw: CephRgw) -> None:
    """No keys are needed to ask."""
    page = ctl(
        "recover", f"s3://{bucket}/p'q", env={"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None},
        check=0,
    ).stdout  # fmt: skip
    assert "Which folder is where" not in page
    assert shlex.quote(f"s3://{bucket}/p'q/") in page or "p'\\''q" in page
    page = ctl("recover", "s3://my-bucket/p", "--provider", "aws", "--region", "eu-central-1",
               endpoint="https://s3.eu-central-1.amazonaws.com", check=0).stdout  # fmt: skip
    assert "virtual host style" in page and "addressing_style" not in page
    assert "--host-bucket='%(bucket)s.s3.eu-central-1.amazonaws.com'" in page


def test_wrong_use(ctl: Any, tmp_path: Path, bucket: str) -> None:
    assert "Usage" in the_sentence(ctl("recover"), 1)
    assert "nothing" in the_sentence(ctl("recover", "nothing"), 1)
    result = ctl("recover", f"s3://{bucket}", "-o", tmp_path / "no/page")
    assert f"Cannot write the page to “{tmp_path}/no/page”" in the_sentence(result, 1)
