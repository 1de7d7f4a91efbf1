# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""What Keepsake may cost, counted: requests, bytes, system calls, instructions. Never in seconds,
which ./dev bench measures; that it does is tested here, too."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import xml.etree.ElementTree
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench import report, work
from bench.tools import all_tools
from conftest import BINARY, IS_SANITIZED, TOP
from fixtures import PATIENCE, clean_environment
from fixtures.checks import operations
from fixtures.fault_proxy import FaultProxy
from fixtures.processes import under_strace
from fixtures.trees import MIB

KIB = 1024
BUILD = BINARY.parent.parent.parent
SOME = 20  # files that a change is about
FILES = 120

sanitized = pytest.mark.skipif(
    IS_SANITIZED, reason="a sanitizer takes time, system calls and instructions of its own"
)

# -- requests and bytes -------------------------------------------------------------------------

# The change, the requests that the run after it may make, and the bytes that each of so many files
# may cost beside: heads, and names in a list.
SMALL_CHANGES: list[tuple[str, Callable[[Path], object], dict[str, int], int]] = [
    ("nothing", lambda folder: None, {"list": 1}, 0),
    ("modes", lambda folder: work.change_modes(folder, SOME), {"list": 1, "copy": SOME}, SOME),
    ("times", lambda folder: work.change_times(folder, SOME), {"list": 1, "copy": SOME}, SOME),
    # The folder's own time has changed, too.
    ("deleted", lambda folder: work.delete(folder, SOME), {"list": 1, "put": 1, "delete": 1}, 1),
    # The folder above has another time; the new one is an object of its own.
    ("renamed", work.rename_a_folder,
     {"list": 1, "copy": FILES // 3, "put": 2, "delete": 1}, FILES // 3 + 2),
]  # fmt: skip


def test_requests_and_bytes_of_small_files(
    ctl: Any, tmp_path: Path, bucket: str, proxy: FaultProxy
) -> None:
    """One request for each file that is new or changed, one listing, and no bytes but the heads."""
    folder = tmp_path / "folder"
    work.fill_small(folder, FILES)
    arguments = ["mirror", "--delete", f"{folder}/", f"s3://{bucket}/p"]
    ctl(*arguments, check=0, endpoint=proxy)
    assert operations(proxy) == {"list": 1, "put": FILES + 4}
    content = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert content < proxy.bytes_up < content + (FILES + 5) * KIB
    for name, change, requests, heads in SMALL_CHANGES:
        change(folder)
        proxy.reset()
        ctl(*arguments, check=0, endpoint=proxy)
        assert operations(proxy) == requests, name
        assert proxy.bytes_up < heads * KIB + 100 * SOME + 2 * KIB, name


@pytest.mark.parametrize(
    ("change", "most", "requests"),
    [
        (lambda folder: None, 0.01, {"list": 1}),
        (work.change_one_byte, 5.3, {"list": 1, "head": 2, "multipart": 2, "part": 3}),
        (work.insert_in_front, 5.3, {"list": 1, "head": 2, "multipart": 2, "part": 2, "put": 1}),
        (work.append, 2.6, {"list": 1, "head": 2, "multipart": 2, "part": 2}),
    ],
    ids=["nothing", "byte", "insert", "append"],
)
def test_bytes_of_a_large_file(
    ctl: Any, tmp_path: Path, bucket: str, proxy: FaultProxy, change: Any, most: float,
    requests: dict[str, int],
) -> None:  # fmt: skip
    """A change costs what the smallest part has, or at the end the last chunk with it (MiB); and no
    more requests than that takes, for each of the parts."""
    folder = tmp_path / "folder"
    work.fill_large(folder, 24 * MIB)
    arguments = ["mirror", f"{folder}/", f"s3://{bucket}/p"]
    ctl(*arguments, check=0, endpoint=proxy)
    assert operations(proxy) == {"list": 1, "put": 1, "multipart": 2, "part": 3}
    assert proxy.bytes_up < 24 * MIB + 16 * KIB
    change(folder)
    proxy.reset()
    ctl(*arguments, check=0, endpoint=proxy)
    assert operations(proxy) == requests
    assert proxy.bytes_up < most * MIB


# -- system calls -------------------------------------------------------------------------------


def system_calls(ctl: Any, log: Path, *arguments: Any) -> Counter[str]:
    """How often each was made, in all threads."""
    binary = ctl.binary
    ctl.binary = under_strace(binary, log.with_suffix(".sh"), "-o", log)
    try:
        ctl(*arguments, check=0)
    finally:
        ctl.binary = binary
    # "… resumed" is the second half of one that is there already.
    calls = re.findall(r"^\d+ +(\w+)\(", log.read_text("utf-8", "replace"), re.MULTILINE)
    return Counter(calls)


def for_a_thousand_more(
    ctl: Any, tmp_path: Path, bucket: str, few: int, *options: str, stored_before: bool
) -> dict[str, int]:
    """How many more system calls a run makes that has 1,000 files more than `few`."""
    if not shutil.which("strace"):
        pytest.skip("there is no strace here")
    counts = []
    for files in (few, few + 1000):
        folder = tmp_path / f"{files}"
        work.fill_tiny(folder, files)
        arguments = ["mirror", *options, f"{folder}/", f"s3://{bucket}/{files}"]
        if stored_before:
            ctl(*arguments, check=0)
        counts.append(system_calls(ctl, tmp_path / f"trace-{files}", *arguments))
    less, more = counts
    return {name: more[name] - less[name] for name in more}


@sanitized
def test_system_calls_of_unchanged_files(ctl: Any, tmp_path: Path, bucket: str) -> None:
    """One look at each, from the folder that is open: neither opened, nor its path followed."""
    more = for_a_thousand_more(ctl, tmp_path, bucket, 100, stored_before=True)
    assert 1000 <= more["newfstatat"] <= 1010, more
    # Of locks, waits and memory there may be some, by chance; the catalogue is read by the page.
    by_chance = {"newfstatat", "futex", "poll", "recvfrom", "mprotect", "mmap", "munmap", "madvise",
                 "brk", "read", "restart_syscall", "pread64"}  # fmt: skip
    rest = {name: count for name, count in more.items() if name not in by_chance and count > 20}
    assert not rest, rest
    assert sum(more[name] for name in by_chance - {"newfstatat"} if name in more) < 500, more


# For a thousand files that are stored. What is exact is so for each of them; of the rest it is the most:
# it depends on which thread is the first.
EXACT = {
    "openat2": 1000,  # below the folder, and nowhere else
    "newfstatat": 3000,  # by the scan, and before and after it is read
    "flistxattr": 1000,
    "sendto": 2000,  # head and body …
    "setsockopt": 2000,  # … in one packet: what is sent is held back from the first to the last
}
AT_MOST = {
    "futex": 10_000,  # wake-ups and locks
    "recvfrom": 5000, "poll": 2000, "fcntl": 4000, "close": 1200,
    "pwrite64": 5000, "pread64": 2000, "sync_file_range": 1000,
    "fdatasync": 20, "fsync": 20,  # not once for each file
}  # fmt: skip


@sanitized
def test_system_calls_of_stored_files(ctl: Any, tmp_path: Path, bucket: str) -> None:
    """Each is opened once, by its folder; its request is one packet; what is recorded of all of them is
    written to the disk a few times."""
    more = for_a_thousand_more(ctl, tmp_path, bucket, 200, "--jobs=4", stored_before=False)
    for name, count in EXACT.items():
        # Connections, and what a start needs, differ between the two runs.
        assert abs(more[name] - count) <= 20, more
    for name, count in AT_MOST.items():
        assert more.get(name, 0) <= count, more
    rest = {name: n for name, n in more.items() if n > 200 and name not in {*EXACT, *AT_MOST}}
    assert not rest, rest


# -- instructions -------------------------------------------------------------------------------


def instructions(tmp_path: Path, *command: str | Path, env: dict[str, str] | None = None) -> int:
    """How many it takes, in all threads."""
    if not shutil.which("valgrind"):
        pytest.skip("there is no valgrind here")
    done = subprocess.run(
        ["valgrind", "--tool=callgrind", f"--callgrind-out-file={tmp_path}/callgrind", *command],
        env=env or clean_environment(), capture_output=True, text=True, timeout=120 * PATIENCE,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = re.search(r"Collected : (\d+)", done.stderr)
    assert found, done.stderr
    return int(found[1])


# How much work is counted, in MiB or requests, and what a byte or a request may cost in a build with
# and without optimization: a tenth more than it did when this was written. A valgrind has a processor of
# its own, so that libcrypto does the same everywhere.
INSTRUCTIONS = {
    "chunker": (4, {"optimized": 5.37, "plain": 15.7}),
    "signer": (50, {"optimized": 56_500, "plain": 60_000}),
}


def build_kind() -> str:
    options = json.loads((BUILD / "meson-info/intro-buildoptions.json").read_text())
    (level,) = (option["value"] for option in options if option["name"] == "optimization")
    return "plain" if level == "0" else "optimized"


@sanitized
@pytest.mark.parametrize("what", INSTRUCTIONS)
def test_instructions(tmp_path: Path, what: str) -> None:
    """Of the chunker for a byte, of the signer for a request."""
    probe = BUILD / "tests/bench/bench-instructions"
    n, limits = INSTRUCTIONS[what]
    once, more = (instructions(tmp_path, probe, what, str(count)) for count in (1, 1 + n))
    unit = MIB if what == "chunker" else 1
    assert (more - once) / n / unit < limits[build_kind()]


# What a run may cost for each file that has not changed, the same way.
UNCHANGED = {"optimized": 72_300, "plain": 75_500}


@sanitized
def test_instructions_of_unchanged_files(ctl: Any, tmp_path: Path, bucket: str) -> None:
    """Half of them are for its entry in the listing, which is read once."""
    counts = []
    for files in (100, 1100):
        folder = tmp_path / f"{files}"
        work.fill_tiny(folder, files)
        arguments = ["mirror", f"{folder}/", f"s3://{bucket}/{files}"]
        ctl(*arguments, check=0)
        environment = ctl.environment(None, None)
        counts.append(instructions(tmp_path, ctl.binary, *arguments, env=environment))
    less, more = counts
    assert (more - less) / 1000 < UNCHANGED[build_kind()]


# -- the comparison itself ----------------------------------------------------------------------


@sanitized
def test_bench_writes_a_page_with_all_tools(tmp_path: Path) -> None:
    """Two cases, one through the proxy that counts, one with the meter of the limit; every tool is in
    each table, with figures or with the reason why it has none."""
    done = subprocess.run(
        ["/usr/bin/python3", "-s", TOP / "tests/bench/run.py", "--quick", "--seconds=5",
         "pictures", "limit"],
        env=clean_environment(HOME=str(tmp_path), KEEPSAKECTL=str(BINARY), BUILD=str(tmp_path)),
        capture_output=True, text=True, timeout=240 * PATIENCE,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    folder = tmp_path / "bench/quick"
    page = (folder / "performance.md").read_text()
    titles = [tool.title for tool in all_tools(BINARY) if not tool.cases]
    cases = json.loads((folder / "results.json").read_text())["cases"]
    steps = cases["pictures"]["steps"]
    assert list(steps) == ["first", "none", "restore"]
    for title in titles:
        rows = [line for line in page.splitlines() if line.split("|")[2:3] == [f" {title} "]]
        assert len(rows) == len(steps), f"{title}: {rows}"
    for name, step in steps.items():
        for tool in ("Keepsake", "rclone", "s3cmd", "restic"):
            result = step["tools"][tool]
            faults = [] if tool in ("Keepsake", "restic") else ["3 folders not kept"]
            assert (result["status"], result["faults"]) == (0, faults), f"{name}: {tool}: {result}"
            assert result["cpu"] > 0 and result["rss"] > 0 and sum(result["kinds"].values()) > 0
        # A machine without FUSE has no s3fs, and on a slow one it is given up on.
        recipe = step["tools"]["recipe"]
        assert "reason" in recipe or recipe["faults"] == [], recipe
    limit = cases["limit"]["steps"]["limit"]["tools"]["Keepsake"]
    # That it is held is for test_limits, which runs alone: this shows that it was set and measured.
    assert 128 * KIB < limit["mean"] < 512 * KIB, limit
    for word in ("machine", "Ceph RGW", "What Keepsake is worse at", "performance.svg"):
        assert word in page
    picture = xml.etree.ElementTree.parse(folder / "performance.svg")
    assert "Keepsake" in "".join(picture.getroot().itertext())


@pytest.mark.parametrize(("step", "faults", "is_done", "is_whole"), [
    ("delete", [], True, True),
    ("delete", ["4 folders not kept"], True, False),
    ("rename", ["2 folders not kept"], True, False),
    ("none", ["4 folders not kept"], True, True),
    ("chmod", ["4 folders not kept", "3 with another time of 60"], True, True),
    ("chmod", ["3 with another mode of 60"], False, False),
    ("touch", ["3 with another time of 60"], False, False),
    ("first", ["1 missing"], False, False),
])  # fmt: skip
def test_who_has_done_a_step(step: str, faults: list[str], is_done: bool, is_whole: bool) -> None:
    """Only those are compared; of who was left out of the bytes sent, the page says what is missing."""
    names = {"Keepsake": 20, "s3cmd": 10, "recipe": 1000}
    tools: dict[str, Any] = {
        name: {"wall": 1.0, "status": 0, "faults": [], "up": up} for name, up in names.items()
    }
    tools["s3cmd"]["faults"] = faults
    row = report.Row("", "", step, "a step", "backup", tools)
    assert row.peers().keys() == {"recipe", *(["s3cmd"] if is_done else [])}
    claims = report.Claims([row], {name: name for name in names}, ["recipe", "s3cmd"])
    claims._change(row)
    _, verdict, figures = claims.lines[0]
    assert (verdict == "holds") is not is_whole
    assert (f"; s3cmd 10 B, with {', '.join(faults)}" in figures) is not is_whole
