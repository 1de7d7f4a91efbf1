# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""Files that others write while they are read: reported and tried again, never stored as a mixture."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fixtures import PATIENCE, clean_environment, wait_until
from fixtures.ceph_rgw import CephRgw
from fixtures.checks import body, keys, unfinished_uploads
from fixtures.fault_proxy import Delay, FaultProxy, Rule
from fixtures.large_files import (
    After,
    begins_upload,
    file_hash,
    is_sent_part,
    object_hash,
    write_random,
)
from fixtures.trees import MIB

BLOCK = 4096
SIZE = 12 * MIB

# Writes version after version of a file, each block full of its version's number, until its input
# closes. How: in place, after a truncation, or beside it and renamed. The pause is between versions.
WRITER = """
import os, select, sys
path, how, size, pause = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
version = 0
while not select.select([sys.stdin], [], [], pause)[0]:
    version += 1
    block = b"%015d\\n" % version * 256
    name = path + ".new" if how == "renamed" else path
    flags = os.O_WRONLY | os.O_CREAT | (0 if how == "in place" else os.O_TRUNC)
    file = os.open(name, flags, 0o644)
    for offset in range(0, size, len(block)):
        os.pwrite(file, block, offset)
    os.close(file)
    if how == "renamed":
        os.rename(name, path)
    if version == 1:
        print("ready", flush=True)
"""


@contextlib.contextmanager
def writer(path: Path, how: str, size: int, pause: float = 0) -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, path, how, str(size), str(pause)],
        env=clean_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout.readline() == "ready\n"
        yield
        assert process.poll() is None
    finally:
        process.stdin.close()
        process.wait(timeout=30 * PATIENCE)
        process.stdout.close()


def versions(content: bytes) -> list[int]:
    """The numbers in it, in the order in which they stand there."""
    assert len(content) % BLOCK == 0
    found: list[int] = []
    for start in range(0, len(content), BLOCK):
        number = int(content[start : start + 16])
        assert content[start : start + BLOCK] == b"%015d\n" % number * 256, "half a block"
        if not found or found[-1] != number:
            found.append(number)
    return found


@pytest.fixture
def proxy(rgw: CephRgw) -> Iterator[FaultProxy]:
    with FaultProxy(rgw.endpoint, grain=256 * 1024) as fault_proxy:
        yield fault_proxy


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "quiet").write_text("never changes")
    return folder


@pytest.mark.parametrize("pause", [0, 0.4], ids=["always", "now and then"])
@pytest.mark.parametrize("size", [SIZE, MIB], ids=["large", "small"])
@pytest.mark.parametrize("how", ["in place", "truncated", "renamed"])
def test_rewritten_during_the_job(
    ctl: Any, folder: Path, s3: Any, bucket: str, proxy: FaultProxy,
    how: str, size: int, pause: float,
) -> None:  # fmt: skip
    path = folder / "busy"
    arguments = ["mirror", f"{folder}/", f"s3://{bucket}", "--exclude=*.new", "--json"]
    last = 0
    with writer(path, how, size, pause):
        for _ in range(3):
            result = ctl(*arguments, endpoint=proxy)
            failed = [row for row in result.json if row["type"] == "failed"]
            if result.returncode == 2:
                (failure,) = failed
                assert failure["path"] == str(path)
                assert failure["error"] == "changed-while-reading", failure
            else:
                assert (result.returncode, failed) == (0, []), result
            if "busy" in keys(s3, bucket):
                content = body(s3, bucket, "busy")
                found = versions(content)
                # Written from the front, the file itself may have been half new for a while.
                held = how == "in place" and len(found) == 2 and found[0] == found[1] + 1
                assert len(found) <= 1 or held, f"a mixture of versions {found}"
                # Cut off, it was for a moment shorter; else never.
                assert len(content) == size or how == "truncated"
                assert not found or found[0] >= last, "an older version came back"
                last = max([last, *found])
            assert body(s3, bucket, "quiet") == b"never changes"
            assert unfinished_uploads(s3, bucket) == []
    ctl(*arguments, endpoint=proxy, check=0)
    assert body(s3, bucket, "busy") == path.read_bytes()
    assert len(versions(path.read_bytes())) == 1


def test_changes_at_every_attempt(
    ctl: Any, folder: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    """Three times, then it is left to the next run; the object from before stays as it is."""
    write_random(folder / "busy", SIZE)
    arguments = ["mirror", f"{folder}/", f"s3://{bucket}"]
    ctl(*arguments, check=0, endpoint=proxy)
    before = object_hash(s3, bucket, "busy")
    write_random(folder / "busy", SIZE, "other bytes")

    def append(_: Any) -> None:
        with open(folder / "busy", "ab") as file:
            file.write(b"x")

    rule = Rule(is_sent_part, After(append), times=None)
    proxy.rules.append(rule)
    result = ctl(*arguments, check=2, endpoint=proxy)
    assert "busy: The file changed while it was read, 3 times; the next run tries again" in (
        result.stderr
    )
    assert object_hash(s3, bucket, "busy") == before
    assert unfinished_uploads(s3, bucket) == []
    proxy.rules.remove(rule)
    ctl(*arguments, check=0, endpoint=proxy)
    assert object_hash(s3, bucket, "busy") == file_hash(folder / "busy")


def test_what_is_known_of_a_file_is_what_was_sent(
    ctl: Any, folder: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    """Writing through a mapping leaves no trace in the times for a while. So the bytes may not be
    read twice, once to send them and once to remember their hashes: the next run would believe that
    the object holds what it does not, whatever happens to the file after."""
    path = write_random(folder / "mapped", SIZE)
    arguments = ["mirror", f"{folder}/", f"s3://{bucket}"]
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), 0) as mapping:
        mapping[0] ^= 1  # the page is dirty: this changed the times, the next write will not
        before = path.stat()

        def write(_: Any) -> None:
            mapping[0] ^= 1

        rule = Rule(lambda r: is_sent_part(r) and r.params["partNumber"] == "2", After(write))
        proxy.rules.append(rule)
        ctl(*arguments, "--jobs=1", check=0, endpoint=proxy)
        assert rule.hits == 1
        if path.stat().st_ctime_ns != before.st_ctime_ns:
            pytest.skip("the kernel wrote the page back in the meantime")
    os.utime(path)
    ctl(*arguments, check=0, endpoint=proxy)
    assert object_hash(s3, bucket, "mapped") == file_hash(path)


def test_what_a_delta_sends_is_what_it_was_planned_by(
    ctl: Any, folder: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    """The chunks were found when comparing. A part with other bytes would be in the object, and the
    chunks in the catalogue."""
    path = write_random(folder / "mapped", 2 * SIZE)
    arguments = ["mirror", f"{folder}/", f"s3://{bucket}"]
    ctl(*arguments, check=0, endpoint=proxy)
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), 0) as mapping:
        mapping[SIZE] ^= 1
        before = path.stat()

        def write(_: Any) -> None:
            mapping[SIZE + 1] ^= 1

        rule = Rule(begins_upload, After(write))
        proxy.rules.append(rule)
        ctl(*arguments, check=0, endpoint=proxy)
        assert rule.hits == 1
        mapping[SIZE + 1] ^= 1
        if path.stat().st_ctime_ns != before.st_ctime_ns:
            pytest.skip("the kernel wrote the page back in the meantime")
    os.utime(path)
    ctl(*arguments, check=0, endpoint=proxy)
    assert object_hash(s3, bucket, "mapped") == file_hash(path)


IN_CLOSE_NOWRITE = 0x10


def test_changes_within_one_tick_of_the_clock(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    """Most kernels set times by a clock that ticks every few milliseconds. A file that is written,
    read by us, and written again within one tick looks unchanged ever after, if what counts is how
    long the change lies back when the sending is over, and not when the bytes were read."""
    folder = tmp_path / "ramfs"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "ramfs", "none", folder], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"cannot mount: {done.stderr.strip()}")
    libc = ctypes.CDLL(None, use_errno=True)
    watch = libc.inotify_init1(os.O_NONBLOCK)
    arguments = ["mirror", f"{folder}/", f"s3://{bucket}"]
    proxy.rules.append(Rule(lambda r: r.method == "PUT", Delay(0.03), times=None))
    try:
        files = {}
        for i in range(40):
            path = folder / f"{i}"
            path.write_bytes(b"%016d" % 0)
            assert libc.inotify_add_watch(watch, os.fsencode(path), IN_CLOSE_NOWRITE) >= 0
            files[path] = os.open(path, os.O_WRONLY)
        process = ctl.popen(*arguments, "--jobs=1", endpoint=proxy)
        # All are written all the time, until one of them has been read: then once more, and never
        # again.
        busy = list(files)
        version = 0
        while busy and process.poll() is None:
            version += 1
            for path in busy:
                os.pwrite(files[path], b"%016d" % version, 0)
            with contextlib.suppress(BlockingIOError):
                events = os.read(watch, 4096)
                for start in range(0, len(events), 16):
                    path = folder / f"{int.from_bytes(events[start : start + 4], 'little') - 1}"
                    if path in busy:
                        busy.remove(path)
                        os.pwrite(files[path], b"%016d" % (version + 1), 0)
        process.communicate(timeout=60 * PATIENCE)
        assert process.returncode in (0, 2)
        proxy.rules.clear()
        ctl(*arguments, check=0, endpoint=proxy)
        here = {path.name: path.read_bytes() for path in files}
        assert {name: body(s3, bucket, name) for name in here} == here
    finally:
        for file in files.values():
            os.close(file)
        os.close(watch)
        wait_until(lambda: subprocess.run(["umount", folder]).returncode == 0, 10, "umount")
