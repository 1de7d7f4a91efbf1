# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""Jobs that are killed, one after another, while the folder changes; and sources that go away.

KEEPSAKE_TEST_CRASHES says how often the job is killed, KEEPSAKE_TEST_SEED with which luck.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import Ctl, Result
from fixtures import PATIENCE, wait_until
from fixtures.ceph_rgw import CephRgw
from fixtures.checks import (
    body,
    deleted_keys,
    etags,
    keys,
    metadata,
    open_catalogue,
    operation,
    unfinished_uploads,
    write_files,
)
from fixtures.fault_proxy import FaultProxy, Reply, Request, Rule
from fixtures.large_files import (
    After,
    WhenDone,
    begins_upload,
    completes_upload,
    flip_byte,
    is_copy,
    is_part_copy,
    is_sent_part,
    random_bytes,
    write_random,
)
from fixtures.processes import under_strace
from fixtures.trees import MIB

CRASHES = int(os.environ.get("KEEPSAKE_TEST_CRASHES", "10"))
SEED = int(os.environ.get("KEEPSAKE_TEST_SEED", "8"))


@pytest.fixture
def proxy(rgw: CephRgw) -> Iterator[FaultProxy]:
    with FaultProxy(rgw.endpoint, grain=1 << 20) as fault_proxy:
        yield fault_proxy


def contents(folder: Path) -> dict[str, Path]:
    """The keys that a bucket equal to the folder has, and what each stands for."""
    found = {"p/": folder}
    for path in folder.rglob("*"):
        name = f"p/{path.relative_to(folder)}"
        found[f"{name}/" if path.is_dir() else name] = path
    return found


def time_of(nanoseconds: int) -> str:
    """As it is in an object's metadata."""
    return f"{nanoseconds // 10**9}.{nanoseconds % 10**9:09}"


def check_bucket(s3: Any, bucket: str, folder: Path) -> None:
    """It is equal to the folder."""
    expected = contents(folder)
    assert keys(s3, bucket) == sorted(expected)
    for key, path in expected.items():
        if path.is_file():
            assert body(s3, bucket, key) == path.read_bytes(), key
        stored, info = metadata(s3, bucket, key), path.stat()
        assert (stored["mode"], stored["mtime"]) == (
            str(info.st_mode), time_of(info.st_mtime_ns)), key  # fmt: skip


def wait_for_server(proxy: FaultProxy) -> None:
    """Until it has done all that it was asked, whoever asked is no more."""
    wait_until(lambda: all(r.ended for r in list(proxy.requests)), 30, "the last request to end")


class Changes:
    """What somebody does to a folder, by chance, also while a job runs. Some files stay."""

    def __init__(self, folder: Path, chance: random.Random):
        self.folder, self.chance = folder, chance
        self.number = 0
        self.lock = threading.Lock()
        self.left_alone = {path for path in folder.iterdir() if path.is_file()}
        self.there: set[str] = set()
        self.gone: set[str] = set()

    def begin_watching(self) -> None:
        with self.lock:
            self.there, self.gone = set(contents(self.folder)), set()

    def there_all_the_time(self) -> set[str]:
        """The keys of all that was there since begin_watching() without a break."""
        with self.lock:
            return self.there - self.gone

    def one(self) -> None:
        with self.lock:
            self.number += 1
            self.change(self.number)

    def take_away(self, path: Path) -> None:
        self.gone.add(f"p/{path.relative_to(self.folder)}")

    def change(self, number: int) -> None:
        files = sorted({p for p in self.folder.rglob("*") if p.is_file()} - self.left_alone)
        path = self.chance.choice(files)
        what = self.chance.randrange(7)
        if what == 0 or len(files) < 20:
            folder = self.folder / f"folder {self.chance.randrange(4)}"
            folder.mkdir(exist_ok=True)
            (folder / f"new {number}").write_bytes(
                self.chance.randbytes(self.chance.randrange(5000))
            )
        elif what == 1:
            self.take_away(path)
            path.unlink()
        elif what == 2:
            self.take_away(path)
            path.rename(path.with_name(f"renamed {number}"))
        elif what == 3:
            path.chmod(self.chance.choice([0o600, 0o640, 0o755]))
        elif what == 4 and path.stat().st_size > 0:
            flip_byte(path, self.chance.randrange(path.stat().st_size))
        elif what == 5:
            write_random(self.folder / "large", 9 * MIB, f"large {number}")
        else:
            path.write_bytes(self.chance.randbytes(self.chance.randrange(3000)))


def deletes(request: Request) -> bool:
    return request.method == "POST" and "delete" in request.params


def choose_moment(
    chance: random.Random, started: list[Any]
) -> tuple[dict[str, str | None], list[Rule]]:
    """When the one that was started is killed: at a commit, before a request is passed on, or when
    it is about to delete something or has just done it, which comes last in a run."""

    def kill(_: Request) -> None:
        wait_until(lambda: started)
        started[0].kill()

    what = chance.randrange(3)
    if what == 0:
        return {"KEEPSAKE_CRASH_AT": f"{chance.choice(['', '+'])}{chance.randrange(1, 16)}"}, []
    if what == 1:
        number, seen = chance.randrange(16), itertools.count()
        return {}, [Rule(lambda _: next(seen) == number, After(kill))]
    return {}, [Rule(deletes, chance.choice([After, WhenDone])(kill))]


def test_killed_while_the_folder_changes(
    ctl: Ctl, tmp_path: Path, s3: Any, bucket: str, proxy: FaultProxy, record_property: Any
) -> None:
    """At a request, or at a commit of the catalogue. At the end all is there. Of what had its file
    during a whole run, nothing was away after it, and nobody had asked to delete it: so it was not
    away for a while either."""
    chance = random.Random(SEED)
    folder = write_files(tmp_path / "folder", {f"stays {i}": f"always {i}" for i in range(5)})
    changes = Changes(folder, chance)
    write_files(folder, {f"folder 0/{i:02}": str(i) for i in range(30)})
    arguments = ["mirror", "--delete", "--jobs=4", f"{folder}/", f"s3://{bucket}/p"]
    ctl(*arguments, check=0, endpoint=proxy)
    there = set(keys(s3, bucket))
    killed = runs = deleted = 0
    while killed < CRASHES:
        runs += 1
        assert runs <= 4 * CRASHES, f"of {runs} runs, only {killed} were killed"
        for _ in range(chance.randrange(1, 6)):
            changes.one()
        changes.begin_watching()
        proxy.reset()
        started: list[Any] = []
        env, kill = choose_moment(chance, started)
        meanwhile = Rule(lambda r: r.method in ("PUT", "POST"), After(lambda _: changes.one()), 3)
        proxy.rules = [*kill, meanwhile]
        started.append(ctl.popen(*arguments, env=env, endpoint=proxy))
        (process,) = started
        _, stderr = process.communicate(timeout=60 * PATIENCE)
        proxy.rules = []
        wait_for_server(proxy)
        assert process.returncode in (-signal.SIGKILL, 0, 2, 3), stderr
        killed += process.returncode == -signal.SIGKILL
        stayed = changes.there_all_the_time()
        asked = deleted_keys(proxy)
        assert asked & stayed == set(), f"run {runs} would delete what is there"
        before, there = there, set(keys(s3, bucket))
        assert (before & stayed) - there == set(), f"run {runs} lost what is there"
        deleted += len(asked)
    record_property("killed", f"{killed} of {runs}")
    assert deleted > 0
    ctl(*arguments, "--max-delete=1000", check=0, endpoint=proxy)
    check_bucket(s3, bucket, folder)
    assert unfinished_uploads(s3, bucket) == []
    proxy.reset()
    ctl(*arguments, check=0, endpoint=proxy)
    assert all(r.method in ("GET", "HEAD") for r in proxy.requests), proxy.requests


# -- at each commit of the catalogue --------------------------------------------------------------

MOST_COMMITS = 80  # that a run of these tests has


def kill_at_each_commit(run: Callable[[str], Result]) -> None:
    """Calls run(at) for the commit after the one before, until there is none any more: first to
    kill before it, then behind it."""
    for sign in ("", "+"):
        killed = 0
        while (result := run(f"{sign}{killed + 1}")).returncode == -signal.SIGKILL:
            killed += 1
            assert killed < MOST_COMMITS, "the run has no end"
        assert killed > 2, f"it was never killed: {result}"


def test_killed_at_each_commit_with_deletions_held(
    ctl: Ctl, tmp_path: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    """Too many would go: whenever the job is killed, nothing does, nor is asked to."""
    folder = write_files(tmp_path / "folder", {f"{i:03}": str(i) for i in range(150)})
    arguments = ["mirror", "--delete", f"{folder}/", f"s3://{bucket}/p"]
    ctl(*arguments, check=0, endpoint=proxy)
    before = keys(s3, bucket)
    for i in range(120):
        (folder / f"{i:03}").unlink()

    def run(at: str) -> Result:
        (folder / "149").write_text(at)
        result = ctl(*arguments, env={"KEEPSAKE_CRASH_AT": at}, endpoint=proxy)
        assert result.returncode in (3, -signal.SIGKILL), result
        wait_for_server(proxy)
        assert deleted_keys(proxy) == set()
        assert keys(s3, bucket) == before
        return result

    kill_at_each_commit(run)
    assert body(s3, bucket, "p/149") == (folder / "149").read_bytes()


TABLES = 10


def test_killed_while_the_catalogue_is_made(
    ctl: Ctl, tmp_path: Path, s3: Any, bucket: str
) -> None:
    """Each of its tables is a commit of its own. What there is of it is gone on with."""
    folder = write_files(tmp_path / "folder", {"a": "1"})
    arguments = ["mirror", f"{folder}/", f"s3://{bucket}/p"]
    seen = []
    while TABLES not in seen:
        assert len(seen) < MOST_COMMITS
        shutil.rmtree(ctl.state_dir, ignore_errors=True)
        result = ctl(*arguments, env={"KEEPSAKE_CRASH_AT": f"+{len(seen) + 1}"})
        assert result.returncode == -signal.SIGKILL, result
        with open_catalogue(ctl.state_dir) as database:
            count = "SELECT count(*) FROM sqlite_master WHERE type = 'table'"
            seen.append(database.execute(count).fetchone()[0])
        assert ctl(*arguments, check=0).stderr == ""
        assert list(ctl.state_dir.rglob("*set-aside*")) == []
    assert sorted(set(seen)) == list(range(TABLES + 1))
    check_bucket(s3, bucket, folder)


def send_in_parts(folder: Path, number: int) -> None:
    """A new file, and the one before is gone."""
    for path in folder.glob("new *"):
        path.unlink()
    write_random(folder / f"new {number}", 8 * MIB + 1)


def change_large(folder: Path, number: int) -> None:
    flip_byte(folder / "large", number)


def move_touch_and_delete(folder: Path, number: int) -> None:
    for path in folder.glob("deleted *"):
        path.unlink()
    write_files(folder, {f"deleted {number}": "", "changed": str(number)})
    (path,) = folder.glob("moved *")
    path.rename(folder / f"moved {number}")
    (folder / "touched").chmod(0o600 if number % 2 else 0o640)


def wrong_rows(state_dir: Path, s3: Any, bucket: str) -> set[str]:
    """The keys of which the catalogue says something that is not so."""
    with open_catalogue(state_dir) as database:
        known = database.execute("SELECT key, etag, mode, mtime FROM object").fetchall()
        uploads = database.execute(
            "SELECT key FROM upload UNION SELECT key FROM beginning"
        ).fetchall()
    unknown = set(unfinished_uploads(s3, bucket)) - {key.decode() for (key,) in uploads}
    assert unknown == set(), "there are uploads that it knows nothing of"
    there = etags(s3, bucket)
    wrong = set()
    for key, etag, mode, mtime in known:
        name = key.decode()
        stored = metadata(s3, bucket, name) if there.get(name) == f'"{etag}"' else {}
        if (stored.get("mode"), stored.get("mtime")) != (str(mode), time_of(mtime)):
            wrong.add(name)
    return wrong


def moves(request: Request) -> bool:
    return is_copy(request) and request.key.startswith("p/moved")


def touches(request: Request) -> bool:
    return is_copy(request) and request.key == "p/touched"


def is_writing(request: Request) -> bool:
    return operation(request) in ("put", "copy") or completes_upload(request)


@pytest.mark.parametrize(
    ("work", "proofs"),
    [
        (send_in_parts, [begins_upload, is_sent_part, completes_upload, deletes]),
        (change_large, [is_part_copy, is_sent_part, completes_upload]),
        (move_touch_and_delete, [moves, touches, deletes]),
    ],
    ids=["upload in parts", "delta", "copies and deletions"],
)
def test_killed_at_each_commit(
    ctl: Ctl, tmp_path: Path, s3: Any, bucket: str, proxy: FaultProxy,
    work: Callable[[Path, int], None], proofs: list[Callable[[Request], bool]],
    record_property: Any,
) -> None:  # fmt: skip
    """After each kill, all that has a file is there, and the catalogue is wrong of nothing but what
    was just being written. What a killed run has left to do comes to what the next one has."""
    folder = write_files(tmp_path / "folder", {"changed": "", "moved 0": "m", "touched": "t"})
    if work is change_large:
        write_random(folder / "large", 12 * MIB)
    arguments = ["mirror", "--delete", f"{folder}/", f"s3://{bucket}/p"]
    ctl(*arguments, check=0, endpoint=proxy)
    wrong = wrong_rows(ctl.state_dir, s3, bucket)
    assert wrong == set()
    there = set(keys(s3, bucket))
    requests: list[Request] = []

    def run(at: str) -> Result:
        nonlocal there, wrong
        work(folder, len(runs) + 1)
        runs.append(at)
        proxy.reset()
        result = ctl(*arguments, env={"KEEPSAKE_CRASH_AT": at}, endpoint=proxy)
        assert result.returncode in (0, -signal.SIGKILL), result
        wait_for_server(proxy)
        requests.extend(proxy.requests)
        asked, stayed = deleted_keys(proxy), set(contents(folder))
        assert asked & stayed == set()
        before, there = there, set(keys(s3, bucket))
        assert (before & stayed) - there == set()
        wrong_before, wrong = wrong, wrong_rows(ctl.state_dir, s3, bucket)
        written = {r.key for r in proxy.requests if is_writing(r)}
        assert wrong - wrong_before <= written
        if result.returncode == 0:
            check_bucket(s3, bucket, folder)
            assert wrong == set()
            assert unfinished_uploads(s3, bucket) == []
        return result

    runs: list[str] = []
    kill_at_each_commit(run)
    record_property("runs", len(runs))
    for happened in proofs:
        assert any(map(happened, requests)), happened.__name__


def test_killed_while_the_chunks_of_a_deleted_file_are_forgotten(
    ctl: Ctl, tmp_path: Path, s3: Any, bucket: str
) -> None:
    """They become nobody else's: what is copied from the file that comes next is its own."""
    folder = write_files(tmp_path / "folder", {"stays": "1"})
    arguments = ["mirror", "--delete", f"{folder}/", f"s3://{bucket}/p"]
    bytes_of_first = random_bytes(16 * MIB, "first")
    (folder / "first").write_bytes(bytes_of_first)
    ctl(*arguments, check=0)
    (folder / "first").unlink()
    ctl(*arguments, check=0)
    state = tmp_path / "state of then"
    shutil.copytree(ctl.state_dir, state)

    def run(at: str) -> Result:
        for name in ("second", "third"):
            (folder / name).unlink(missing_ok=True)
        s3.delete_object(Bucket=bucket, Key="p/second")
        s3.delete_object(Bucket=bucket, Key="p/third")
        shutil.rmtree(ctl.state_dir)
        shutil.copytree(state, ctl.state_dir)
        result = ctl(*arguments, env={"KEEPSAKE_CRASH_AT": at})
        assert result.returncode in (0, -signal.SIGKILL), result
        # One that holds the first elsewhere, and one that much of the first could be copied for.
        (folder / "second").write_bytes(random_bytes(3 * MIB, "second") + bytes_of_first)
        ctl(*arguments, check=0)
        middle = 10 * MIB
        (folder / "third").write_bytes(
            bytes_of_first[:middle] + b"something in between" + bytes_of_first[middle:]
        )
        ctl(*arguments, check=0)
        assert ctl(*arguments, check=0).stderr == ""
        check_bucket(s3, bucket, folder)
        return result

    kill_at_each_commit(run)


def test_killed_between_a_deletion_and_its_reply(
    ctl: Ctl, tmp_path: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    """What was deleted on purpose is never taken for a loss, not even before the next run."""
    folder = write_files(tmp_path / "folder", {"stays": "1", "goes": "2"})
    where = f"s3://{bucket}/p"
    arguments = ["mirror", "--delete", f"{folder}/", where]
    ctl(*arguments, check=0, endpoint=proxy)
    (folder / "goes").unlink()
    started: list[Any] = []

    def kill(_: Request) -> None:
        wait_until(lambda: started)
        started[0].kill()

    proxy.rules = [Rule(deletes, WhenDone(kill))]
    started.append(ctl.popen(*arguments, endpoint=proxy))
    assert started[0].wait(60) == -signal.SIGKILL
    wait_for_server(proxy)
    proxy.rules = []
    assert keys(s3, bucket) == ["p/", "p/stays"]
    assert wrong_rows(ctl.state_dir, s3, bucket) == set()
    restored = ctl("restore", where, tmp_path / "back", check=0, endpoint=proxy)
    assert restored.stderr == ""
    ctl("verify", f"{folder}/", where, check=0, endpoint=proxy)
    # What somebody else deletes is still told.
    s3.delete_object(Bucket=bucket, Key="p/stays")
    less = ctl("restore", where, tmp_path / "less", check=2, endpoint=proxy)
    assert "p/stays" in less.stderr and "no longer in the bucket" in less.stderr


def test_deletion_that_is_refused_is_not_forgotten(
    ctl: Ctl, tmp_path: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    folder = write_files(tmp_path / "folder", {"stays": "1", "denied": "2"})
    arguments = ["mirror", "--delete", f"{folder}/", f"s3://{bucket}/p"]
    ctl(*arguments, check=0, endpoint=proxy)
    (folder / "denied").unlink()
    error = "<Error><Key>p/denied</Key><Code>AccessDenied</Code></Error>"
    denial = f"<DeleteResult>{error}</DeleteResult>".encode()
    proxy.rules = [Rule(deletes, Reply(200, body=denial))]
    result = ctl(*arguments, check=2, endpoint=proxy)
    assert "p/denied" in result.stderr
    proxy.rules = []
    assert keys(s3, bucket) == ["p/", "p/denied", "p/stays"]
    with open_catalogue(ctl.state_dir) as database:
        known = [key.decode() for (key,) in database.execute("SELECT key FROM object")]
    assert sorted(known) == ["p/", "p/denied", "p/stays"]
    assert wrong_rows(ctl.state_dir, s3, bucket) == set()
    ctl(*arguments, check=0, endpoint=proxy)
    assert keys(s3, bucket) == ["p/", "p/stays"]


def test_a_deletion_is_durable_before_it_is_asked_for(
    ctl: Ctl, tmp_path: Path, bucket: str
) -> None:
    """Of what a power cut leaves, only the order of what is written to the disk tells."""
    folder = write_files(tmp_path / "folder", {"stays": "1", "goes": "2"})
    arguments = ["mirror", "--delete", f"{folder}/", f"s3://{bucket}/p"]
    ctl(*arguments, check=0)
    (folder / "goes").unlink()
    log = tmp_path / "trace"
    calls = "trace=pwrite64,fsync,fdatasync,sendto,sendmsg"
    ctl.binary = under_strace(
        ctl.binary, tmp_path / "traced", "-y", "-s", "200", "-e", calls, "-o", log
    )
    ctl(*arguments, check=0)
    events = []
    for line in log.read_text("utf-8", "replace").splitlines():
        if "POST /" in line and "delete" in line:
            events.append("asked")
        elif ".db-wal>" in line:
            events.append("written" if "pwrite64(" in line else "synced")
    before = events[: events.index("asked")]
    assert "written" in before and before[-1] == "synced"


def test_an_upload_is_durable_before_it_is_begun(ctl: Ctl, tmp_path: Path, bucket: str) -> None:
    """Nobody else knows of it: its parts would lie there, and be paid for, for ever."""
    folder = write_files(tmp_path / "folder", {"large": os.urandom(20 * MIB)})
    log = tmp_path / "trace"
    calls = "trace=pwrite64,fsync,fdatasync,sendto,sendmsg"
    ctl.binary = under_strace(
        ctl.binary, tmp_path / "traced", "-y", "-s", "200", "-e", calls, "-o", log
    )
    ctl("mirror", "--jobs=1", f"{folder}/", f"s3://{bucket}/p", check=0)
    events = []
    for line in log.read_text("utf-8", "replace").splitlines():
        if "POST /" in line and "uploads" in line:
            events.append("begun")
        elif "PUT /" in line and "partNumber" in line:
            events.append("sent")
        elif ".db-wal>" in line:
            events.append("written" if "pwrite64(" in line else "synced")
    begun, sent = events.index("begun"), events.index("sent")
    for what in events[:begun], events[begun:sent]:
        last = len(what) - what[::-1].index("written")
        assert "synced" in what[last:], events


# -- sources that go away -----------------------------------------------------------------------


@contextlib.contextmanager
def mounted(folder: Path) -> Iterator[None]:
    """A file system in memory, which may be gone at the end."""
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "none", folder], capture_output=True, text=True
    )
    if done.returncode != 0:
        pytest.skip(f"cannot mount: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], capture_output=True)


def test_file_system_that_disappears(
    ctl: Ctl, tmp_path: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    """Between the scan and the sending: nothing is deleted, then or the next time."""
    disk = tmp_path / "disk"
    arguments = ["mirror", "--delete", f"{disk}/", f"s3://{bucket}/p"]
    with mounted(disk):
        write_files(disk, {f"{i:02}": f"file {i}" for i in range(40)})
        ctl(*arguments, check=0, endpoint=proxy)
        before = keys(s3, bucket)
        write_files(disk, {f"new {i:02}": f"new {i}" for i in range(20)})
        gone = Rule(
            lambda r: r.method == "PUT",
            After(lambda _: subprocess.run(["umount", "-l", disk], check=True)),
        )
        proxy.rules.append(gone)
        first = ctl(*arguments, endpoint=proxy)
        assert gone.hits == 1 and first.returncode in (0, 2, 3), first
        assert set(before) <= set(keys(s3, bucket))
        second = ctl(*arguments, check=3, endpoint=proxy)
        assert "is its disk mounted?" in second.stderr
        assert set(before) <= set(keys(s3, bucket))


def test_folder_that_vanishes(
    ctl: Ctl, tmp_path: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    """What it held and was not sent yet is told; the next run has no more of it."""
    folder = write_files(
        tmp_path / "folder", {"a": "1", **{f"sub/{i:02}": str(i) for i in range(40)}}
    )
    arguments = ["mirror", "--delete", "--jobs=1", f"{folder}/", f"s3://{bucket}/p"]
    away = Rule(
        lambda r: r.method == "PUT", After(lambda _: (folder / "sub").rename(tmp_path / "away"))
    )
    proxy.rules.append(away)
    result = ctl(*arguments, endpoint=proxy)
    assert away.hits == 1 and result.returncode in (0, 2, 3), result
    ctl(*arguments, "--max-delete=1000", check=0, endpoint=proxy)
    check_bucket(s3, bucket, folder)


@pytest.mark.parametrize("size", [0, 5, 9 * MIB], ids=["empty", "small", "larger"])
def test_file_cut_while_it_is_read(
    ctl: Ctl, tmp_path: Path, s3: Any, bucket: str, proxy: FaultProxy, size: int
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    write_random(folder / "large", 20 * MIB)
    arguments = ["mirror", "--jobs=1", f"{folder}/", f"s3://{bucket}/p"]
    cut = Rule(is_sent_part, After(lambda _: os.truncate(folder / "large", size)))
    proxy.rules.append(cut)
    result = ctl(*arguments, endpoint=proxy)
    assert cut.hits == 1 and result.returncode in (0, 2), result
    if result.returncode == 0:
        check_bucket(s3, bucket, folder)
    ctl(*arguments, check=0, endpoint=proxy)
    check_bucket(s3, bucket, folder)
    assert unfinished_uploads(s3, bucket) == []


def test_file_that_cannot_be_read_holds_deletions(nobody: Ctl, s3: Any, bucket: str) -> None:
    folder = write_files(nobody.home / "folder", {"a": "1", "b": "2", "c": "3"})
    for path in (folder, *folder.iterdir()):
        os.chown(path, os.stat(nobody.home).st_uid, os.stat(nobody.home).st_gid)
    arguments = ["mirror", "--delete", f"{folder}/", f"s3://{bucket}/p"]
    nobody(*arguments, check=0)
    (folder / "a").write_text("changed")
    (folder / "a").chmod(0)
    (folder / "b").unlink()
    result = nobody(*arguments, check=3)
    assert f"{folder}/a" in result.stderr and "could not be read" in result.stderr
    assert keys(s3, bucket) == ["p/", "p/a", "p/b", "p/c"]
    (folder / "a").chmod(0o644)
    nobody(*arguments, check=0)
    check_bucket(s3, bucket, folder)
