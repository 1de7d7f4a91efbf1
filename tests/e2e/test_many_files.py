# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""Very many files: neither memory nor requests grow with them beyond what is promised."""

from __future__ import annotations

import os
import re
import resource
import time
from pathlib import Path
from typing import Any

import pytest

from conftest import IS_SANITIZED
from fixtures.checks import keys, operations, rsync_changes, run_and_weigh, write_files
from fixtures.fault_proxy import FaultProxy


def fill(folder: Path, folders: int, files: int) -> Path:
    for i in range(folders):
        os.makedirs(folder / f"{i:03}")
        for j in range(files):
            with open(f"{folder}/{i:03}/{j:04}", "wb") as file:
                file.write(b"%d" % j)
    return folder


def test_100000_files(
    ctl: Any, tmp_path: Path, s3: Any, record_property: Any
) -> None:
    """Under 60 MB in the first run, in the next and in a restore, which goes through all of them and
    fetches a fifth; about one listing for each thousand finds that nothing changed. What comes back
    is what was there."""
    folder = fill(tmp_path / "many", 100, 1000)
    bucket = "keepsake-test-100000"  # not emptied afterwards: that would take as long again
    s3.create_bucket(Bucket=bucket)
    arguments = ["mirror", "--delete", "-v", f"{folder}/", f"s3://{bucket}/p"]

    first, first_memory = run_and_weigh(ctl, tmp_path / "log", *arguments)
    assert "\nDone: 100101 sent" in first
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    second, second_memory = run_and_weigh(ctl, tmp_path / "log", *arguments)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Measured, not judged.
    record_property("user seconds without changes", after.ru_utime - before.ru_utime)
    record_property("system seconds without changes", after.ru_stime - before.ru_stime)
    record_property("memory of both runs", (first_memory, second_memory))
    started = time.monotonic()
    back = tmp_path / "back"
    pattern = "/0[2-9]?"
    restored, restore_memory = run_and_weigh(
        ctl, tmp_path / "log", "restore", f"--exclude={pattern}", f"s3://{bucket}/p", back
    )
    record_property("seconds of the restore", time.monotonic() - started)
    record_property("memory of the restore", restore_memory)
    assert restored.startswith("Done: 20021 restored"), restored[-2000:]
    assert rsync_changes(folder, back, "-ainc", [pattern]) == []
    assert "Done: 0 sent (0 B), 0 copied by the server, 0 deleted, 100101 unchanged" in second
    requests = re.search(r"^(\d+) requests \(list \1\), 0 of them repeated", second, re.MULTILINE)
    assert requests and 101 <= int(requests[1]) <= 110, second
    if IS_SANITIZED:
        return  # a sanitizer needs memory of its own
    assert 10**6 < first_memory < 60 * 10**6
    assert 10**6 < second_memory < 60 * 10**6
    assert 10**6 < restore_memory < 60 * 10**6


def test_many_small_files_over_a_long_line(
    ctl: Any, rgw: Any, tmp_path: Path, s3: Any, bucket: str
) -> None:
    """25 ms each way: one after the other, 3,000 files would wait 150 s for the line, with sixteen at
    a time a sixteenth of it. How many at a time is found out, not told."""
    folder = fill(tmp_path / "many", 3, 1000)
    with FaultProxy(rgw.endpoint, delay=0.025, grain=65536) as line:
        ctl("mirror", f"{folder}/", f"s3://{bucket}/p", check=0, endpoint=line)
        connections = line.count(predicate=lambda r: r.ordinal == 1)
        one_after_the_other = max(r.ordinal for r in line.requests)
    assert len(keys(s3, bucket)) == 3004
    assert connections > 16
    assert one_after_the_other < 2 * 3004 / 16


@pytest.mark.parametrize("jobs", [1, 3])
def test_jobs_says_how_many_at_a_time(
    ctl: Any, tmp_path: Path, bucket: str, proxy: FaultProxy, jobs: int
) -> None:
    folder = write_files(tmp_path / "folder", {f"{i}": "x" for i in range(60)})
    ctl("mirror", f"--jobs={jobs}", f"{folder}/", f"s3://{bucket}", check=0, endpoint=proxy)
    puts = [r for r in proxy.requests if r.method == "PUT"]
    assert len(puts) == 60
    events = sorted([(r.started, 1) for r in puts] + [(r.ended, -1) for r in puts])
    at_once = most = 0
    for _, change in events:
        at_once += change
        most = max(most, at_once)
    # A request ends for the proxy a moment after the client has the reply.
    assert most <= jobs + 1
    assert operations(proxy)["put"] == 60
    assert proxy.count("PUT", lambda r: r.ordinal == 1) == jobs
