# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""What a killed job has sent is not sent again, and what it left behind is cleared away."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from conftest import Ctl, Result
from fixtures import PATIENCE, wait_until
from fixtures.ceph_rgw import CephRgw
from fixtures.checks import (
    keys,
    open_catalogue,
    operations,
    recorded_parts,
    unfinished_uploads,
    write_files,
)
from fixtures.fault_proxy import Action, FaultProxy, Hang, ReplaceReply, Request, Rule
from fixtures.guard import mounted
from fixtures.impatience import Impatience
from fixtures.large_files import (
    WhenDone,
    begins_upload,
    completes_upload,
    differing_files,
    file_hash,
    flip_byte,
    is_part_copy,
    is_sent_part,
    object_hash,
    random_bytes,
    refusal,
    sent_part_bytes,
    write_random,
)
from fixtures.trees import MIB

PART = 8 * MIB
IN_FLIGHT = 4 * PART  # file contents in memory at once


@pytest.fixture
def proxy(rgw: CephRgw) -> Iterator[FaultProxy]:
    with FaultProxy(rgw.endpoint, grain=256 * 1024) as fault_proxy:
        yield fault_proxy


@dataclass
class Job:
    ctl: Ctl
    folder: Path
    bucket: str
    proxy: FaultProxy
    options: list[str] = field(default_factory=lambda: ["--delete"])

    @property
    def arguments(self) -> list[str]:
        return ["mirror", *self.options, f"{self.folder}/", f"s3://{self.bucket}"]

    def run(self, *options: str, check: int = 0, **more: Any) -> Result:
        self.proxy.reset()
        return self.ctl(*self.arguments, *options, check=check, endpoint=self.proxy, **more)

    def start(self, *options: str) -> Any:
        self.proxy.reset()
        return self.ctl.popen(*self.arguments, *options, endpoint=self.proxy)

    def catalogue(self) -> contextlib.AbstractContextManager[sqlite3.Connection]:
        return open_catalogue(self.ctl.state_dir)

    def recorded_parts(self) -> int:
        return recorded_parts(self.ctl.state_dir)

    def __truediv__(self, name: str) -> Path:
        return self.folder / name


@pytest.fixture
def job(ctl: Ctl, tmp_path: Path, bucket: str, proxy: FaultProxy) -> Job:
    folder = tmp_path / "folder"
    folder.mkdir()
    return Job(ctl, folder, bucket, proxy)


# -- over and over ------------------------------------------------------------------------------

FILES = 20
FILE = 20 * MIB
KILLS = 20


class Fuse(list[tuple[float, int]]):
    """The proxy's record of what comes in, which kills a process when so much has come."""

    def __init__(self) -> None:
        super().__init__()
        self.left = 0
        self.pid = 0

    def append(self, item: tuple[float, int]) -> None:
        super().append(item)
        self.left -= item[1]
        if self.left < 0 and self.pid:
            pid, self.pid = self.pid, 0
            os.kill(pid, signal.SIGKILL)


@dataclass
class Account:
    """Each part of each upload, over all runs."""

    confirmed: set[tuple[str, str, str]] = field(default_factory=set)
    confirmed_bytes: int = 0
    begun: dict[tuple[str, str], int] = field(default_factory=dict)  # key and number: bytes

    def add(self, requests: list[Request]) -> int:
        """Takes down one run. Gives how many bytes of it had been sent before."""
        repeated = 0
        for request in filter(is_sent_part, requests):
            number = request.params["partNumber"]
            part = (request.key, request.params["uploadId"], number)
            assert part not in self.confirmed, f"the server had {part}"
            before = self.begun.get((request.key, number), 0)
            repeated += min(before, request.body_length)
            self.begun[request.key, number] = max(before, request.body_length)
        for request in filter(is_sent_part, requests):
            if request.status == 200:
                part = (request.key, request.params["uploadId"], request.params["partNumber"])
                self.confirmed.add(part)
                self.confirmed_bytes += request.body_length
        return repeated


def check_catalogue(job: Job, s3: Any) -> None:
    """It says no more than the bucket holds, but for an upload that was just completed."""
    with job.catalogue() as database:
        uploads = dict(database.execute("SELECT key, upload_id FROM upload"))
        parts = database.execute("SELECT key, number, etag FROM upload_part").fetchall()
        objects = dict(database.execute("SELECT key, etag FROM object"))
        insides = database.execute(
            "SELECT key, etag, sum(length), count(*) FROM chunked JOIN chunk ON object = id"
            " GROUP BY id"
        ).fetchall()
    assert {key for key, _, _ in parts} <= uploads.keys()
    assert not uploads.keys() & objects.keys()
    listed = s3.list_objects_v2(Bucket=job.bucket).get("Contents", [])
    there = {row["Key"].encode(): row["ETag"].strip('"') for row in listed}
    sizes = {row["Key"].encode(): row["Size"] for row in listed}
    assert objects.items() <= there.items()
    for key, etag, size, count in insides:
        assert (there.get(key), sizes.get(key)) == (etag, size) and count > 1
    for key, upload_id in uploads.items():
        if key in there:
            continue
        reply = s3.list_parts(Bucket=job.bucket, Key=key.decode(), UploadId=upload_id)
        held = {row["PartNumber"] - 1: row["ETag"].strip('"') for row in reply.get("Parts", [])}
        assert {number: etag for k, number, etag in parts if k == key}.items() <= held.items()


def test_killed_over_and_over(job: Job, s3: Any, rgw: CephRgw, record_property: Any) -> None:
    """At moments that bytes on the wire decide, so that they are spread over the whole work."""
    for i in range(FILES):
        write_random(job / f"{i:02}", FILE)
    fuse = Fuse()
    job.proxy.timeline = fuse
    chance = random.Random(20)
    account = Account()
    most = 0
    for attempt in range(KILLS):
        process = job.start()
        left = FILES * FILE - account.confirmed_bytes
        fuse.left = chance.randrange(left // (KILLS - attempt + 1))  # so that some is left to all
        fuse.pid = process.pid
        process.communicate(timeout=60 * PATIENCE)
        assert process.returncode == -signal.SIGKILL, "it ended before it was killed"
        wait_until(lambda: all(r.ended is not None for r in job.proxy.requests))
        repeated = account.add(job.proxy.requests)
        assert repeated <= IN_FLIGHT, f"run {attempt} sent {repeated} bytes once more"
        most = max(most, repeated)
        check_catalogue(job, s3)
    job.run()
    assert account.add(job.proxy.requests) <= IN_FLIGHT
    record_property("bytes sent once more by a run, at most", most)
    assert differing_files(s3, job.bucket, job.folder) == []
    assert len(keys(s3, job.bucket)) == FILES
    assert unfinished_uploads(s3, job.bucket) == []
    assert "20 equal" in job.ctl("verify", f"{job.folder}/", f"s3://{job.bucket}", check=0).stdout
    check_catalogue(job, s3)
    job.run()
    assert operations(job.proxy) == {"list": 1}
    rgw.admin("gc", "process", "--include-all")


# -- once ---------------------------------------------------------------------------------------

SIZE = 4 * PART + 1000  # five parts


def stop_half_way(job: Job, number: signal.Signals = signal.SIGKILL) -> tuple[Any, str]:
    """Ends a job when the server has three parts of "large", and gives the upload's id."""
    late = Rule(lambda r: is_sent_part(r) and int(r.params["partNumber"]) > 3, Hang(60), None)
    job.proxy.rules.append(late)
    process = job.start()
    wait_until(lambda: job.recorded_parts() == 3, 30, "three parts")
    process.send_signal(number)
    _, stderr = process.communicate(timeout=30 * PATIENCE)
    job.proxy.rules.remove(late)
    upload_id = next(r.params["uploadId"] for r in job.proxy.requests if is_sent_part(r))
    return Result(job.arguments, process.returncode, "", stderr), upload_id


@pytest.fixture
def large(job: Job) -> Job:
    """A folder with one file that was never mirrored."""
    write_random(job / "large", SIZE)
    return job


def is_right(s3: Any, job: Job) -> bool:
    return (
        differing_files(s3, job.bucket, job.folder) == []
        and unfinished_uploads(s3, job.bucket) == []
    )


def test_the_rest_is_sent(large: Job, s3: Any) -> None:
    _, upload_id = stop_half_way(large)
    assert keys(s3, large.bucket) == []
    result = large.run()
    parts = [r for r in large.proxy.requests if is_sent_part(r)]
    assert sorted(r.params["partNumber"] for r in parts) == ["4", "5"]
    assert {r.params["uploadId"] for r in parts} == {upload_id}
    assert not any(map(begins_upload, large.proxy.requests))
    assert "Done: 1 sent (8.0 MiB)" in result.stdout
    assert is_right(s3, large)
    headers = s3.head_object(Bucket=large.bucket, Key="large")["Metadata"]
    mtime = (large / "large").stat().st_mtime_ns
    assert headers["mtime"] == f"{mtime // 10**9}.{mtime % 10**9:09}"
    # What is inside of it is known, too.
    flip_byte(large / "large", PART)
    large.run()
    assert large.proxy.bytes_up < 6 * MIB
    assert is_right(s3, large)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_in_good_order(large: Job, s3: Any, number: signal.Signals) -> None:
    result, _ = stop_half_way(large, number)
    assert result.returncode == 6
    assert result.stderr == (
        "keepsakectl: Stopped. What was finished is safe; the same command goes on from there.\n"
    )
    assert unfinished_uploads(s3, large.bucket) == ["large"]
    large.run()
    assert sent_part_bytes(large.proxy) == SIZE - 3 * PART
    assert is_right(s3, large)


def replaced(path: Path) -> None:
    """The same bytes in another file."""
    shutil.copy2(path, path.with_name("new"))
    path.with_name("new").rename(path)


CHANGES: dict[str, Callable[[Path], object]] = {
    "a byte that was sent": lambda path: flip_byte(path, 5),
    "a byte that was not": lambda path: flip_byte(path, SIZE - 5),
    "longer": lambda path: os.truncate(path, SIZE + PART),
    "shorter": lambda path: os.truncate(path, SIZE - PART),
    "small": lambda path: os.truncate(path, 1000),
    "mode": lambda path: path.chmod(0o600),
    "time": lambda path: os.utime(path, ns=(0, 1_500_000_000_000_000_001)),
    "replaced": replaced,
    "empty": lambda path: os.truncate(path, 0),
}


@pytest.mark.parametrize("change", CHANGES)
def test_file_that_changes_meanwhile(large: Job, s3: Any, change: str) -> None:
    """No mixture, and nothing left of the old upload."""
    _, upload_id = stop_half_way(large)
    CHANGES[change](large / "large")
    large.run()
    used = {r.params["uploadId"] for r in large.proxy.requests if is_sent_part(r)}
    assert upload_id not in used
    assert differing_files(s3, large.bucket, large.folder) == []
    assert unfinished_uploads(s3, large.bucket) == []
    mode = s3.head_object(Bucket=large.bucket, Key="large")["Metadata"]["mode"]
    assert mode == str((large / "large").stat().st_mode)


def test_upload_that_cannot_be_ended_is_told_of(large: Job, s3: Any) -> None:
    """The file is more important, but somebody pays for what lies there."""
    stop_half_way(large)
    flip_byte(large / "large", 5)
    ends = Rule(lambda r: r.method == "DELETE", refusal(403, "AccessDenied"), times=None)
    large.proxy.rules.append(ends)
    result = large.run()
    assert ends.hits > 0 and differing_files(s3, large.bucket, large.folder) == []
    assert "An unfinished upload of “large” could not be ended and goes on taking up" in result.stderr


def test_file_that_is_gone(large: Job, s3: Any) -> None:
    stop_half_way(large)
    (large / "large").unlink()
    (large / "other").write_text("so that the folder is not empty")
    large.run()
    assert unfinished_uploads(s3, large.bucket) == []
    assert keys(s3, large.bucket) == ["other"]


def test_file_that_was_renamed(large: Job, s3: Any) -> None:
    stop_half_way(large)
    (large / "large").rename(large / "new name")
    large.run()
    assert is_right(s3, large)
    assert keys(s3, large.bucket) == ["new name"]


def test_uploads_of_others_are_left_alone(large: Job, s3: Any) -> None:
    """Under the same prefix, even under the same key."""
    stop_half_way(large)
    theirs = {
        s3.create_multipart_upload(Bucket=large.bucket, Key=key)["UploadId"]
        for key in ("large", "other")
    }
    large.run()
    flip_byte(large / "large", 5)
    large.run()
    (large / "large").rename(large / "new name")
    large.run()
    assert keys(s3, large.bucket) == ["new name"]
    left = s3.list_multipart_uploads(Bucket=large.bucket)["Uploads"]
    assert {row["UploadId"] for row in left} == theirs


def test_upload_that_somebody_ended(large: Job, s3: Any) -> None:
    _, upload_id = stop_half_way(large)
    s3.abort_multipart_upload(Bucket=large.bucket, Key="large", UploadId=upload_id)
    large.run()
    assert sent_part_bytes(large.proxy) == SIZE
    assert is_right(s3, large)


def test_upload_that_somebody_ends_during_the_run(large: Job, s3: Any) -> None:
    def end(request: Request) -> None:
        s3.abort_multipart_upload(
            Bucket=large.bucket, Key="large", UploadId=request.params["uploadId"]
        )

    rule = Rule(lambda r: is_sent_part(r) and r.params["partNumber"] == "3", WhenDone(end))
    large.proxy.rules.append(rule)
    large.run("--jobs=1")  # Ceph 16 does not get over an end with parts on their way
    assert rule.hits == 1
    assert is_right(s3, large)


@pytest.mark.parametrize("data", [random_bytes(PART, "else"), b"short"], ids=["bytes", "length"])
def test_part_that_is_not_what_it_was(large: Job, s3: Any, data: bytes) -> None:
    _, upload_id = stop_half_way(large)
    s3.upload_part(
        Bucket=large.bucket, Key="large", UploadId=upload_id, PartNumber=2, Body=data
    )
    large.run()
    assert sent_part_bytes(large.proxy) == SIZE - 2 * PART
    assert is_right(s3, large)


def test_part_that_the_server_lost(large: Job, s3: Any) -> None:
    """What it does not list it does not have, whatever we noted."""
    _, upload_id = stop_half_way(large)

    def without_part_1(status: int, headers: Any, content: bytes) -> Any:
        start = content.index(b"<Part>")
        return status, headers, content[:start] + content[content.index(b"</Part>") + 7 :]

    rule = Rule(lambda r: r.method == "GET" and "uploadId" in r.params, ReplaceReply(without_part_1))
    large.proxy.rules.append(rule)
    large.run()
    assert rule.hits == 1
    sent = sorted(r.params["partNumber"] for r in large.proxy.requests if is_sent_part(r))
    assert sent == ["1", "4", "5"]
    assert is_right(s3, large)


def check_only_the_rest(job: Job, upload_id: str) -> None:
    parts = [r for r in job.proxy.requests if is_sent_part(r)]
    assert sorted(r.params["partNumber"] for r in parts) == ["4", "5"]
    assert {r.params["uploadId"] for r in parts} == {upload_id}


def lists_parts(request: Request) -> bool:
    return request.method == "GET" and "uploadId" in request.params


def ends_upload(request: Request) -> bool:
    return request.method == "DELETE" and "uploadId" in request.params


def of_others(status: int, headers: Any, _: bytes) -> Any:
    part = b"<Part><PartNumber>10001</PartNumber><Size>5</Size></Part>"
    return status, headers, b"<ListPartsResult>%b</ListPartsResult>" % part


NEVER_LISTED: dict[str, Action] = {
    "403": refusal(403, "AccessDenied"),
    "501": refusal(501, "NotImplemented"),
    "400": refusal(400, "InvalidArgument"),
    "nonsense": ReplaceReply(of_others),
}


@pytest.mark.parametrize("answer", NEVER_LISTED)
def test_parts_that_cannot_be_listed(large: Job, s3: Any, answer: str) -> None:
    """It would be the same in each run: the file is sent as if nothing had been sent of it."""
    _, upload_id = stop_half_way(large)
    rule = Rule(lists_parts, NEVER_LISTED[answer], times=None)
    large.proxy.rules.append(rule)
    large.run()
    assert rule.hits > 0
    used = {r.params["uploadId"] for r in large.proxy.requests if is_sent_part(r)}
    assert upload_id not in used and sent_part_bytes(large.proxy) == SIZE
    assert is_right(s3, large)
    large.run()
    assert operations(large.proxy) == {"list": 1}


def test_parts_that_cannot_be_listed_of_an_upload_that_cannot_be_ended(large: Job, s3: Any) -> None:
    stop_half_way(large)
    large.proxy.rules = [
        Rule(what, refusal(403, "AccessDenied"), times=None) for what in (lists_parts, ends_upload)
    ]
    result = large.run()
    assert differing_files(s3, large.bucket, large.folder) == []
    assert "An unfinished upload of “large” could not be ended and goes on taking up" in result.stderr


# A key that may do nothing today; one that is unknown; a server that is not well.
LISTED_LATER: dict[str, tuple[Callable[[Request], bool], Action, int]] = {
    "denied": (lambda r: r.key == "large", refusal(403, "AccessDenied"), 4),
    "unknown": (lists_parts, refusal(403, "InvalidAccessKeyId"), 4),
    "500": (lists_parts, refusal(500, "InternalError"), 2),
}


@pytest.mark.parametrize("answer", LISTED_LATER)
def test_parts_that_are_listed_later(
    large: Job, s3: Any, answer: str, impatience: Impatience
) -> None:
    _, upload_id = stop_half_way(large)
    match, action, status = LISTED_LATER[answer]
    rule = Rule(match, action, times=None)
    large.proxy.rules.append(rule)
    large.run(check=status, env=impatience.environment)
    assert rule.hits > 0 and sent_part_bytes(large.proxy) == 0
    large.proxy.rules.clear()
    large.run()
    check_only_the_rest(large, upload_id)
    assert is_right(s3, large)


def test_part_whose_confirmation_was_not_noted(large: Job, s3: Any) -> None:
    """As when the kill comes between the server's answer and our commit: its MD5 proves it."""
    _, upload_id = stop_half_way(large)
    (path,) = large.ctl.state_dir.rglob("*.db")
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        assert database.execute("DELETE FROM upload_part WHERE number < 2").rowcount == 2
    large.run()
    assert sent_part_bytes(large.proxy) == SIZE - 3 * PART
    assert is_right(s3, large)


def test_killed_when_all_was_done_but_not_noted(large: Job, s3: Any) -> None:
    processes: list[Any] = []
    kill = WhenDone(lambda _: (processes[0].kill(), processes[0].wait()))
    rule = Rule(completes_upload, kill)
    large.proxy.rules.append(rule)
    processes.append(large.start())
    processes[0].wait(timeout=30 * PATIENCE)
    wait_until(lambda: rule.hits == 1)
    before = s3.head_object(Bucket=large.bucket, Key="large")["ETag"]
    large.run()
    assert sent_part_bytes(large.proxy) == 0
    assert s3.head_object(Bucket=large.bucket, Key="large")["ETag"] == before
    assert is_right(s3, large)
    with large.catalogue() as database:
        assert database.execute("SELECT count(*) FROM upload").fetchone() == (0,)
        assert database.execute("SELECT count(*) FROM upload_part").fetchone() == (0,)
    large.run()
    assert operations(large.proxy) == {"list": 1}


def test_killed_before_it_knew_the_upload(large: Job, s3: Any) -> None:
    """The server has begun it, the answer is lost: nobody else will ever clear it away."""
    processes: list[Any] = []
    kill = WhenDone(lambda _: (processes[0].kill(), processes[0].wait()))
    rule = Rule(begins_upload, kill)
    large.proxy.rules.append(rule)
    processes.append(large.start())
    processes[0].wait(timeout=30 * PATIENCE)
    wait_until(lambda: rule.hits == 1)
    large.run()
    assert is_right(s3, large)


def test_uploads_of_others_from_the_moment_of_a_kill(large: Job, s3: Any) -> None:
    """A job that was killed before it knew its upload leaves one without a part. Where another's
    could be taken for it, neither is ended."""
    theirs: list[str] = []

    def kill(_: Request) -> None:
        processes[0].kill()
        processes[0].wait()
        for key in ("large", "large 2"):
            reply = s3.create_multipart_upload(Bucket=large.bucket, Key=key)
            theirs.append(reply["UploadId"])
            s3.upload_part(Bucket=large.bucket, Key=key, UploadId=theirs[-1], PartNumber=1,
                           Body=b"theirs")  # fmt: skip

    def uploads() -> set[str]:
        listed = s3.list_multipart_uploads(Bucket=large.bucket).get("Uploads", [])
        return {row["UploadId"] for row in listed}

    processes: list[Any] = []
    rule = Rule(begins_upload, WhenDone(kill))
    large.proxy.rules.append(rule)
    processes.append(large.start())
    processes[0].wait(timeout=30 * PATIENCE)
    wait_until(lambda: len(uploads()) == 3)
    assert rule.hits == 1
    large.run()
    assert differing_files(s3, large.bucket, large.folder) == []
    assert uploads() == set(theirs)

    flip_byte(large / "large", 5)
    processes.clear()
    rule.hits = 0
    processes.append(large.start())
    processes[0].wait(timeout=30 * PATIENCE)
    wait_until(lambda: len(uploads()) == 5)
    empty = s3.create_multipart_upload(Bucket=large.bucket, Key="large")["UploadId"]
    large.run()
    assert differing_files(s3, large.bucket, large.folder) == []
    assert len(uploads()) == 6 and {*theirs, empty} < uploads()


def test_without_the_catalogue_it_starts_again(large: Job, s3: Any) -> None:
    """Nobody can tell then whose upload it was."""
    stop_half_way(large)
    for path in large.ctl.state_dir.rglob("*.db*"):
        path.unlink()
    large.run()
    assert differing_files(s3, large.bucket, large.folder) == []
    assert unfinished_uploads(s3, large.bucket) == ["large"]


# -- out of sight -------------------------------------------------------------------------------


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk with a large file, to be mounted somewhere."""
    folder = tmp_path / "disk"
    folder.mkdir()
    with mounted("-t", "tmpfs", "none", folder):
        write_random(folder / "large", SIZE)
        yield folder


@pytest.mark.parametrize("options", [[], ["--delete"]], ids=["", "delete"])
@pytest.mark.parametrize("place", ["", "sub/disk"], ids=["source", "below"])
def test_disk_that_is_away(
    job: Job, s3: Any, disk: Path, place: str, options: list[str]
) -> None:
    """For as many runs as it may be."""
    job.options = ["--all-file-systems", *options]
    where = job / place
    where.mkdir(parents=True, exist_ok=True)
    with mounted("--bind", disk, where):
        _, upload_id = stop_half_way(job)
    for _ in range(2):
        job.run(check=0 if place else 2)
        assert not any(map(ends_upload, job.proxy.requests))
    with mounted("--bind", disk, where):
        job.run()
        check_only_the_rest(job, upload_id)
        assert is_right(s3, job)


def test_disk_that_is_not_entered(job: Job, s3: Any, disk: Path) -> None:
    (job / "sub").mkdir()
    with mounted("--bind", disk, job / "sub"):
        job.options = ["--delete", "--all-file-systems"]
        _, upload_id = stop_half_way(job)
        job.options = ["--delete"]
        job.run()
        job.options = ["--delete", "--all-file-systems"]
        job.run()
        check_only_the_rest(job, upload_id)
        assert is_right(s3, job)


@pytest.mark.parametrize("why", ["accepted", "gone from the disk"])
def test_disk_that_nobody_waits_for(job: Job, s3: Any, disk: Path, why: str) -> None:
    job.options = ["--delete", "--all-file-systems"]
    (job / "sub").mkdir()
    with mounted("--bind", disk, job / "sub"):
        stop_half_way(job)
    assert unfinished_uploads(s3, job.bucket) == ["sub/large"]
    if why == "accepted":
        job.run("--accept-new-file-system")
    else:
        (disk / "large").unlink()
        with mounted("--bind", disk, job / "sub"):
            job.run()
    assert unfinished_uploads(s3, job.bucket) == []


def test_folder_that_cannot_be_read(nobody: Ctl, bucket: str, s3: Any, proxy: FaultProxy) -> None:
    job = Job(nobody, nobody.home / "folder", bucket, proxy)
    write_files(job.folder, {"a": "1", "sub/b": "2"})
    write_random(job / "sub/large", SIZE)
    for path in [job.folder, *job.folder.rglob("*")]:
        os.chown(path, nobody.user or -1, -1)
    _, upload_id = stop_half_way(job)
    (job / "sub").chmod(0)
    job.run(check=3)  # "b" may be gone, or not
    assert unfinished_uploads(s3, job.bucket) == ["sub/large"]
    (job / "sub").chmod(0o755)
    job.run()
    check_only_the_rest(job, upload_id)
    assert is_right(s3, job)


def test_file_that_cannot_be_compared(large: Job, s3: Any) -> None:
    """Somebody else stored something under its name, and today nobody can say what."""
    _, upload_id = stop_half_way(large)
    s3.put_object(Bucket=large.bucket, Key="large", Body=random_bytes(SIZE, "theirs"))
    looks = Rule(lambda r: r.method == "HEAD", refusal(501, "NotImplemented"), times=None)
    large.proxy.rules.append(looks)
    large.run(check=2)
    assert looks.hits == 1 and unfinished_uploads(s3, large.bucket) == ["large"]
    large.proxy.rules.clear()
    large.run()
    check_only_the_rest(large, upload_id)
    assert is_right(s3, large)


# -- changed files ------------------------------------------------------------------------------


@pytest.fixture
def changed(large: Job) -> Job:
    """The file is known; then two bytes change, so that two parts are sent and the rest copied."""
    large.run()
    flip_byte(large / "large", PART)
    flip_byte(large / "large", 3 * PART)
    return large


def stop_delta(job: Job) -> None:
    """Kills it when all but the last sent part is done."""
    late = Rule(lambda r: is_sent_part(r) and int(r.params["partNumber"]) > 2, Hang(60), None)
    job.proxy.rules.append(late)
    process = job.start()

    def is_stuck() -> bool:
        others = [r for r in list(job.proxy.requests) if "partNumber" in r.params]
        done = [r for r in others if r.status == 200]
        return late.hits == 1 and len(done) >= 4 and job.recorded_parts() == len(done)

    wait_until(is_stuck, 30, "all parts but one")
    process.kill()
    process.wait()
    job.proxy.rules.remove(late)


def test_killed_delta_goes_on(changed: Job, s3: Any) -> None:
    stop_delta(changed)
    changed.run()
    parts = [r for r in changed.proxy.requests if "partNumber" in r.params]
    assert [is_sent_part(r) for r in parts] == [True], "\n".join(map(str, parts))
    assert is_right(s3, changed)


def test_killed_delta_whose_parts_are_listed_later(
    changed: Job, s3: Any, impatience: Impatience
) -> None:
    """That the server is not well is no reason to send all of it."""
    stop_delta(changed)
    changed.proxy.rules.append(Rule(lists_parts, refusal(500, "InternalError"), times=None))
    changed.run(check=2, env=impatience.environment)
    assert sent_part_bytes(changed.proxy) == 0
    changed.proxy.rules.clear()
    changed.run()
    parts = [r for r in changed.proxy.requests if "partNumber" in r.params]
    assert [is_sent_part(r) for r in parts] == [True], "\n".join(map(str, parts))
    assert is_right(s3, changed)


def test_killed_delta_whose_file_changes_again(changed: Job, s3: Any) -> None:
    stop_delta(changed)
    flip_byte(changed / "large", 2 * PART)
    changed.run()
    assert is_right(s3, changed)
    assert sent_part_bytes(changed.proxy) < 17 * MIB


@pytest.mark.parametrize("what", ["replaced", "deleted"])
def test_killed_delta_whose_object_changes(changed: Job, s3: Any, what: str) -> None:
    """Its copied parts are good, but nobody can know that."""
    stop_delta(changed)
    if what == "replaced":
        s3.put_object(Bucket=changed.bucket, Key="large", Body=random_bytes(SIZE, "another tool"))
    else:
        s3.delete_object(Bucket=changed.bucket, Key="large")
    changed.run()
    assert object_hash(s3, changed.bucket, "large") == file_hash(changed / "large")
    assert is_right(s3, changed)


def test_killed_delta_on_a_server_that_stops_copying(changed: Job, s3: Any) -> None:
    stop_delta(changed)
    flip_byte(changed / "large", 2 * PART)
    rule = Rule(is_part_copy, refusal(501, "NotImplemented"), times=None)
    changed.proxy.rules.append(rule)
    changed.run()
    assert rule.hits >= 1
    assert is_right(s3, changed)


def test_shared_bytes_do_not_cost_what_was_sent(job: Job, s3: Any) -> None:
    """An upload that is nearly done goes on, even if meanwhile a part of the file could be copied:
    a new plan would send more than the rest of the old one."""
    write_random(job / "large", SIZE)
    shared = (job / "large").read_bytes()[: 6 * MIB]
    stop_half_way(job)
    (job / "another").write_bytes(shared + random_bytes(6 * MIB, "another"))
    late = Rule(lambda r: is_sent_part(r) and r.key == "large", Hang(60), None)
    job.proxy.rules.append(late)
    process = job.start()

    def knows_another() -> bool:
        with contextlib.suppress(ValueError, sqlite3.Error), job.catalogue() as database:
            return database.execute("SELECT count(*) FROM chunked").fetchone() == (1,)
        return False  # it was copied in the middle of a commit

    wait_until(knows_another, 30, "the other file")
    process.kill()
    process.wait()
    job.proxy.rules.remove(late)
    job.run()
    assert is_right(s3, job)
    assert sent_part_bytes(job.proxy) <= SIZE - 3 * PART
