# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""What happens while a mirror runs, or between two runs, and must cost nobody a file."""

from __future__ import annotations

import mmap
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import Ctl, Result
from fixtures import wait_until
from fixtures.ceph_rgw import CephRgw
from fixtures.checks import (
    body,
    body_bytes,
    keys,
    metadata,
    operations,
    unfinished_uploads,
    write_files,
)
from fixtures.fault_proxy import FaultProxy, Request, ResetAfterReplyBytes, Rule
from fixtures.guard import coarse_file_system, mounted
from fixtures.large_files import (
    After,
    WhenDone,
    begins_upload,
    file_hash,
    flip_byte,
    is_copy,
    is_part_copy,
    is_sent_part,
    object_hash,
    refusal,
    write_random,
)
from fixtures.trees import MIB


@pytest.fixture
def proxy(rgw: CephRgw) -> Iterator[FaultProxy]:
    with FaultProxy(rgw.endpoint, grain=256 * 1024) as fault_proxy:
        yield fault_proxy


class Mirror:
    """A call makes one more run; the proxy knows what it alone sent."""

    def __init__(self, ctl: Ctl, folder: Path, bucket: str, proxy: FaultProxy):
        self.ctl = ctl
        self.folder = folder
        self.bucket = bucket
        self.proxy = proxy

    @property
    def arguments(self) -> list[str]:
        return ["mirror", f"{self.folder}/", f"s3://{self.bucket}/p"]

    def __call__(self, *options: str, **more: Any) -> Result:
        self.proxy.reset()
        return self.ctl(*self.arguments, *options, endpoint=self.proxy, **more)

    def __truediv__(self, name: str) -> Path:
        return self.folder / name

    def refuse(
        self, match: Callable[[Request], bool], status: int = 400, code: str = "InvalidArgument"
    ) -> Rule:
        rule = Rule(match, refusal(status, code), times=None)
        self.proxy.rules.append(rule)
        return rule

    def at_first(self, match: Callable[[Request], bool], function: Callable[[], object]) -> Rule:
        """Calls it before the first such request is passed on."""
        rule = Rule(match, After(lambda _: function()))
        self.proxy.rules.append(rule)
        return rule


@pytest.fixture
def mirror(ctl: Ctl, tmp_path: Path, bucket: str, proxy: FaultProxy) -> Mirror:
    folder = tmp_path / "folder"
    folder.mkdir()
    return Mirror(ctl, folder, bucket, proxy)


def puts(key: str) -> Callable[[Request], bool]:
    return lambda r: r.method == "PUT" and r.key == f"p/{key}" and not is_copy(r)


def files_of(s3: Any, bucket: str) -> list[str]:
    return [key for key in keys(s3, bucket) if not key.endswith("/")]


# -- deletions that would take the last copy ----------------------------------------------------


def test_folder_renamed_again_while_it_is_copied(mirror: Mirror, s3: Any) -> None:
    """Few of the copies come about; the old names stay until the files are stored under new ones."""
    for i in range(300):
        write_files(mirror.folder, {f"A/{i:04}": f"picture {i}"})
    mirror("--delete", check=0)
    (mirror / "A").rename(mirror / "B")
    rule = mirror.at_first(is_copy, lambda: (mirror / "B").rename(mirror / "C"))
    result = mirror("--delete", "--jobs=2")
    assert rule.hits == 1
    assert "stay under their old names" in result.stderr
    bodies = {body(s3, mirror.bucket, key) for key in files_of(s3, mirror.bucket)}
    assert len(bodies) == 300
    mirror("--delete", check=0)
    assert files_of(s3, mirror.bucket) == [f"p/C/{i:04}" for i in range(300)]


def test_file_renamed_over_another_that_cannot_be_stored(mirror: Mirror, s3: Any) -> None:
    write_files(mirror.folder, {"final": "old text", "draft": "the only new text"})
    mirror("--delete", check=0)
    (mirror / "draft").rename(mirror / "final")
    rule = mirror.refuse(puts("final"))
    result = mirror("--delete", check=3)
    assert rule.hits > 0
    assert "1 files could not be stored" in result.stderr
    assert files_of(s3, mirror.bucket) == ["p/draft", "p/final"]
    mirror.proxy.rules.clear()
    mirror("--delete", check=0)
    assert files_of(s3, mirror.bucket) == ["p/final"]
    assert body(s3, mirror.bucket, "p/final") == b"the only new text"


def test_busy_file_does_not_hold_deletions_for_ever(mirror: Mirror, s3: Any) -> None:
    """Some version of this very file is under its name."""
    write_files(mirror.folder, {"log": "one", "old": "x"})
    mirror("--delete", check=0)
    (mirror / "old").unlink()
    with open(mirror / "log", "a") as log:
        log.write("two")
    mirror.refuse(puts("log"))
    mirror("--delete", check=2)
    assert files_of(s3, mirror.bucket) == ["p/log"]


def test_file_that_is_back_before_its_deletion(mirror: Mirror, s3: Any) -> None:
    write_files(mirror.folder, {"a": "1", "b": "2", "d/e": "3"})
    mirror("--delete", check=0)
    (mirror / "a").unlink()
    shutil.rmtree(mirror / "d")
    write_files(mirror.folder, {"c": "new"})
    rule = mirror.at_first(puts("c"), lambda: write_files(mirror.folder, {"a": "1", "d/e": "3"}))
    mirror("--delete", check=0)
    assert rule.hits == 1
    assert files_of(s3, mirror.bucket) == ["p/a", "p/b", "p/c", "p/d/e"]


def test_folder_that_became_a_file(mirror: Mirror, s3: Any) -> None:
    """A bucket can hold both, a file system cannot: without --delete that is said."""
    write_files(mirror.folder, {"note/x": "old", "other": "o"})
    mirror(check=0)
    shutil.rmtree(mirror / "note")
    (mirror / "other").unlink()
    write_files(mirror.folder, {"note": "the present file", "other/y": "new"})
    result = mirror(check=2)
    for name in ("note", "other"):
        assert f"failed   {mirror / name}: The bucket still holds what had this name" in result.stderr
    assert mirror(check=2).stderr == result.stderr
    mirror("--delete", check=0)
    assert files_of(s3, mirror.bucket) == ["p/note", "p/other/y"]


# -- bytes that are not those of the file -------------------------------------------------------


@pytest.fixture
def coarse(tmp_path: Path) -> Iterator[Path]:
    with coarse_file_system(tmp_path / "coarse") as folder:
        yield folder


@pytest.mark.parametrize("size", [9, 9 * MIB], ids=["small", "large"])
def test_nothing_is_sent_in_the_tick_of_a_change(
    ctl: Ctl, coarse: Path, s3: Any, bucket: str, proxy: FaultProxy, size: int
) -> None:
    """Another change in the same second would not show: neither to a job that goes on with a half
    upload, nor to one that has nothing but the headers to go by."""
    folder = coarse / "folder"
    folder.mkdir()
    mirror = Mirror(ctl, folder, bucket, proxy)
    (folder / "file").write_bytes(os.urandom(size))
    # However slowly the program has begun: the change is new when the server answers.
    late = Rule(
        lambda r: not r.key, WhenDone(lambda _: (folder / "file").write_bytes(os.urandom(size)))
    )
    proxy.rules.append(late)
    wall_clock = time.time() - time.monotonic()
    mirror(check=0)
    assert late.hits == 1
    changed = (folder / "file").stat().st_ctime
    sent = [r for r in proxy.requests if r.key == "p/file"]
    assert min(r.started for r in sent) + wall_clock > changed + 1
    assert float(metadata(s3, bucket, "p/file")["ctime"]) == changed


def test_stores_through_a_mapping(mirror: Mirror, s3: Any) -> None:
    """Times change when a page becomes dirty, not with each store."""
    path = mirror / "mapped"
    path.write_bytes(bytes(64 * 1024))
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[0] = 1
        mirror()
        mapped[0] = 2
        mapped[4096 * 7] = 3
    os.sync()
    mirror(check=0)
    assert object_hash(s3, mirror.bucket, "p/mapped") == file_hash(path)


def test_link_does_not_take_old_bytes(mirror: Mirror, s3: Any) -> None:
    """The first name could not be sent, and size and mtime are those of before."""
    write_files(mirror.folder, {"a": "first bytes"})
    os.link(mirror / "a", mirror / "b")
    mirror(check=0)
    before = (mirror / "a").stat()
    (mirror / "a").write_text("other bytes")
    os.utime(mirror / "a", ns=(before.st_atime_ns, before.st_mtime_ns))
    mirror.refuse(puts("a"))
    mirror(check=2)
    mirror.proxy.rules.clear()
    mirror(check=0)
    for name in ("a", "b"):
        assert body(s3, mirror.bucket, f"p/{name}") == b"other bytes", name


# -- one bad thing among many good ones ---------------------------------------------------------


@pytest.mark.parametrize(("status", "code"), [(400, "InvalidArgument"), (403, "AccessDenied")])
def test_names_that_the_server_refuses(mirror: Mirror, s3: Any, status: int, code: str) -> None:
    """The good files behind them are stored. (One that is stored shows that it is not the key.)"""
    count = 40 if status == 400 else 8
    write_files(mirror.folder, {f"bad{i}": f"bad {i}" for i in range(count)})
    write_files(mirror.folder, {f"good{i}": f"good {i}" for i in range(30)})
    mirror.refuse(lambda r: r.method == "PUT" and r.key.startswith("p/bad"), status, code)
    result = mirror(check=2)
    assert result.stderr.count("failed ") == count
    assert files_of(s3, mirror.bucket) == sorted(f"p/good{i}" for i in range(30))


def test_key_that_may_not_copy(mirror: Mirror, s3: Any) -> None:
    """It may write and not read: files are sent instead."""
    write_files(mirror.folder, {"a": "apple", "b": "berry"})
    write_random(mirror / "large", 12 * MIB)
    mirror("--delete", check=0)
    (mirror / "a").rename(mirror / "c")
    flip_byte(mirror / "large", 100)
    rules = [mirror.refuse(match, 403, "AccessDenied") for match in (is_copy, is_part_copy)]
    mirror("--delete", check=0)
    assert all(rule.hits for rule in rules)
    assert files_of(s3, mirror.bucket) == ["p/b", "p/c", "p/large"]
    assert object_hash(s3, mirror.bucket, "p/large") == file_hash(mirror / "large")
    assert unfinished_uploads(s3, mirror.bucket) == []


def test_archived_objects_are_not_copied(mirror: Mirror, s3: Any) -> None:
    write_files(mirror.folder, {"a": "apple"})
    write_random(mirror / "large", 12 * MIB)
    mirror("--delete", check=0)
    (mirror / "a").rename(mirror / "b")
    flip_byte(mirror / "large", 100)
    for match in (is_copy, is_part_copy):
        mirror.refuse(match, 403, "ObjectNotInActiveTierError")
    result = mirror("--delete", check=0)
    assert "is sent as a whole: what was to be copied is in an archive" in result.stderr
    assert body(s3, mirror.bucket, "p/b") == b"apple"
    assert object_hash(s3, mirror.bucket, "p/large") == file_hash(mirror / "large")


def test_storage_class_that_cannot_be_written(mirror: Mirror, s3: Any, cold_class: str) -> None:
    """As a lifecycle rule gives some: what is made of the object is in the default class."""
    write_random(mirror / "large", 12 * MIB)
    write_files(mirror.folder, {"small": "s"})
    mirror("--storage-class", cold_class, check=0)
    flip_byte(mirror / "large", 100)
    (mirror / "small").chmod(0o600)
    rule = mirror.refuse(lambda r: r.headers.get("x-amz-storage-class") == cold_class)
    mirror(check=0)
    assert rule.hits >= 2
    assert object_hash(s3, mirror.bucket, "p/large") == file_hash(mirror / "large")
    assert metadata(s3, mirror.bucket, "p/small")["mode"] == str(0o100600)


def test_storage_class_is_kept_when_a_copy_has_to_be_sent(
    mirror: Mirror, s3: Any, cold_class: str
) -> None:
    write_files(mirror.folder, {"small": "s"})
    mirror("--storage-class", cold_class, check=0)
    (mirror / "small").chmod(0o600)
    mirror.refuse(is_copy, 501, "NotImplemented")
    mirror(check=0)
    sent = [r for r in mirror.proxy.requests if puts("small")(r)]
    assert [r.headers.get("x-amz-storage-class") for r in sent] == [cold_class]


# -- jobs that were stopped ---------------------------------------------------------------------


def test_what_was_compared_is_not_compared_again(mirror: Mirror, ctl: Ctl) -> None:
    """Without a catalogue each object is asked for; a job that is killed meanwhile need not have
    done so for nothing."""
    write_files(mirror.folder, {f"{i:03}": str(i) for i in range(400)})
    mirror(check=0)
    shutil.rmtree(ctl.state_dir)
    mirror.proxy.reset()
    process = ctl.popen(*mirror.arguments, "--jobs=2", endpoint=mirror.proxy)

    def slowly(request: Request) -> None:
        if request.key == "p/380":
            process.kill()
        time.sleep(0.005)  # so that there is a moment to record what was found

    rule = Rule(lambda r: r.method == "HEAD", After(slowly), times=None)
    mirror.proxy.rules.append(rule)
    assert process.wait(60) == -9
    mirror.proxy.rules.clear()
    mirror(check=0)
    assert 0 < operations(mirror.proxy)["head"] < 350


def test_lost_catalogue_costs_no_bytes_later(mirror: Mirror, s3: Any, ctl: Ctl) -> None:
    """What the next rename or change of a file needs to know is found again."""
    write_random(mirror / "large", 30 * MIB)
    write_files(mirror.folder, {"small": "small" * 100})
    mirror("--delete", check=0)
    shutil.rmtree(ctl.state_dir)
    mirror("--delete", check=0)
    assert set(operations(mirror.proxy)) <= {"list", "head"}
    flip_byte(mirror / "large", 15 * MIB)
    (mirror / "small").rename(mirror / "renamed")
    mirror("--delete", check=0)
    assert [r.key for r in mirror.proxy.requests if is_copy(r)] == ["p/renamed"]
    assert body_bytes(mirror.proxy) < 6 * MIB
    assert object_hash(s3, mirror.bucket, "p/large") == file_hash(mirror / "large")


@pytest.mark.parametrize("end", ["", "/"], ids=["beside another", "inside another"])
def test_half_upload_of_a_source_that_is_not_there(
    ctl: Ctl, tmp_path: Path, s3: Any, bucket: str, proxy: FaultProxy, end: str
) -> None:
    one, two = tmp_path / "one", f"{write_files(tmp_path / 'two', {'x': 'x'})}{end}"
    one.mkdir()
    write_random(one / "large", 56 * MIB)
    process = ctl.popen(
        "mirror", one, two, f"s3://{bucket}/p", "--upload-limit=8M", endpoint=proxy
    )
    wait_until(lambda: proxy.count("PUT", lambda r: is_sent_part(r) and r.status == 200) > 1, 60)
    process.kill()
    process.wait(10)
    assert len(unfinished_uploads(s3, bucket)) == 1
    if not end:
        ctl("mirror", two, f"s3://{bucket}/p", check=0, endpoint=proxy)
    away = one.rename(tmp_path / "away")
    ctl("mirror", one, two, f"s3://{bucket}/p", check=2, endpoint=proxy)
    assert len(unfinished_uploads(s3, bucket)) == 1
    away.rename(one)
    proxy.reset()
    ctl("mirror", one, two, f"s3://{bucket}/p", check=0, endpoint=proxy)
    assert body_bytes(proxy) < 48 * MIB
    assert unfinished_uploads(s3, bucket) == []


def test_upload_that_was_begun_and_not_heard_of(mirror: Mirror, s3: Any) -> None:
    write_random(mirror / "large", 9 * MIB)
    rule = Rule(begins_upload, ResetAfterReplyBytes(0))
    mirror.proxy.rules.append(rule)
    mirror(check=0)
    assert rule.hits == 1
    assert unfinished_uploads(s3, mirror.bucket) == []


def test_half_upload_that_cannot_be_ended(mirror: Mirror, s3: Any, ctl: Ctl) -> None:
    """It is said, and costs nothing but the storage."""
    write_random(mirror / "large", 24 * MIB)
    process = ctl.popen(*mirror.arguments, "--upload-limit=8M", endpoint=mirror.proxy)
    wait_until(lambda: any(is_sent_part(r) for r in list(mirror.proxy.requests)), 60)
    process.kill()
    process.wait(10)
    (mirror / "large").unlink()
    write_files(mirror.folder, {"x": "x"})
    rule = mirror.refuse(lambda r: r.method == "DELETE" and "uploadId" in r.params, 403, "AccessDenied")
    result = mirror(check=0)
    assert rule.hits == 1
    assert "An unfinished upload of “p/large” could not be ended" in result.stderr
    mirror.proxy.rules.clear()
    mirror(check=0)
    assert unfinished_uploads(s3, mirror.bucket) == []


# -- too large ----------------------------------------------------------------------------------

PIB = 1 << 50


@pytest.fixture
def boundless(ctl: Ctl, tmp_path: Path, bucket: str, proxy: FaultProxy) -> Iterator[Mirror]:
    """In a file system that takes sparse files of any size."""
    folder = tmp_path / "memory"
    folder.mkdir()
    with mounted("-t", "tmpfs", "none", folder):
        yield Mirror(ctl, folder, bucket, proxy)


def is_told_to_be_too_large(path: Path, result: Result) -> bool:
    return (
        f"failed   {path}: The file is too large: it has 1.0 PiB, and the storage takes no object "
        "of more than 49 TiB\n" in result.stderr
    )


def test_file_that_is_larger_than_any_object(boundless: Mirror, s3: Any) -> None:
    """It is not even read, and stands in nobody's way."""
    write_files(boundless.folder, {"a": "1", "z": "2"})
    with open(boundless / "core", "wb") as file:
        file.truncate(PIB)
    result = boundless(check=2, timeout=30)
    assert is_told_to_be_too_large(boundless / "core", result)
    assert files_of(s3, boundless.bucket) == ["p/a", "p/z"]
    # Nor is it where a part of it could be in the bucket.
    write_random(boundless / "large", 9 * MIB)
    boundless(check=2, timeout=30)
    result = boundless("--checksum", check=2, timeout=30)
    assert is_told_to_be_too_large(boundless / "core", result)
    assert files_of(s3, boundless.bucket) == ["p/a", "p/large", "p/z"]
    # It may be the only copy of what is gone.
    (boundless / "a").unlink()
    held = boundless("--delete", check=3, timeout=30)
    assert "1 files could not be stored, and what would be deleted" in held.stderr
    (boundless / "core").unlink()
    boundless("--delete", check=0)
    assert files_of(s3, boundless.bucket) == ["p/large", "p/z"]


@pytest.mark.parametrize("when", ["before the run", "during the run"])
def test_file_that_grows_beyond_any_object(boundless: Mirror, s3: Any, when: str) -> None:
    """What was stored of it stays."""
    write_files(boundless.folder, {"a": "1", "b": "2", "z": "3"})
    boundless(check=0)
    write_files(boundless.folder, {"a": "11", "z": "33"})
    if when == "during the run":
        boundless.at_first(puts("a"), lambda: os.truncate(boundless / "z", PIB))
    else:
        os.truncate(boundless / "z", PIB)
    result = boundless("--jobs=1", check=2, timeout=30)
    assert is_told_to_be_too_large(boundless / "z", result)
    assert body(s3, boundless.bucket, "p/a") == b"11" and body(s3, boundless.bucket, "p/z") == b"3"
    # That is no reason to hold deletions back.
    (boundless / "b").unlink()
    boundless("--delete", check=2, timeout=30)
    assert files_of(s3, boundless.bucket) == ["p/a", "p/z"]


# -- what is left out ---------------------------------------------------------------------------


def test_own_records_are_left_out(mirror: Mirror, s3: Any, ctl: Ctl) -> None:
    """They change while the job runs, and are of no use to anybody else."""
    write_files(mirror.folder, {"a": "1", "state/other": "2"})
    state = {"XDG_STATE_HOME": str(mirror / "state")}
    for _ in range(2):
        mirror("--delete", check=0, env=state)
    assert (mirror / "state/keepsake").is_dir()
    assert keys(s3, mirror.bucket) == ["p/", "p/a", "p/state/", "p/state/other"]
    assert operations(mirror.proxy) == {"list": 1}
    result = ctl("verify", f"{mirror.folder}/", f"s3://{mirror.bucket}/p", check=0, env=state)
    assert result.stdout.startswith("Done: 2 equal (2 B compared), 0 missing, ")


def test_attributes_that_do_not_fit_are_told_each_time(mirror: Mirror, s3: Any) -> None:
    write_files(mirror.folder, {"a": "1"})
    os.setxattr(mirror / "a", "user.long", b"x" * 3000)
    results = [mirror(check=2) for _ in range(3)]
    assert "extended attributes do not fit" in results[0].stderr
    assert {result.stderr for result in results} == {results[0].stderr}
    (mirror / "a").touch()
    assert mirror(check=2).stderr == results[0].stderr
    os.removexattr(mirror / "a", "user.long")
    assert mirror(check=0).stderr == ""
    assert mirror(check=0).stderr == ""


@pytest.mark.parametrize("command", [["mirror", ""], ["mirror", "folder", ""], ["verify", ""]])
def test_empty_arguments(ctl: Ctl, tmp_path: Path, s3: Any, bucket: str, command: Any) -> None:
    """A variable that is not set is not the present folder."""
    write_files(tmp_path / "folder", {"a": "1"})
    result = ctl(*command, f"s3://{bucket}/p", check=1, cwd=tmp_path)
    assert "An argument is empty" in result.stderr
    assert keys(s3, bucket) == []


def test_large_file_renamed_where_no_parts_are_copied(mirror: Mirror, s3: Any) -> None:
    """Google copies objects of any size and no parts of them."""
    write_random(mirror / "large", 9 * MIB)
    mirror("--delete", "--provider=gcs", check=0)
    (mirror / "large").rename(mirror / "renamed")
    mirror("--delete", "--provider=gcs", check=0)
    assert body_bytes(mirror.proxy) == 0
    assert operations(mirror.proxy)["head"] == 2  # before and behind the copy
    assert files_of(s3, mirror.bucket) == ["p/renamed"]
    assert object_hash(s3, mirror.bucket, "p/renamed") == file_hash(mirror / "renamed")


def test_parts_that_have_to_be_equal(mirror: Mirror, s3: Any) -> None:
    """Cloudflare wants all parts of an upload equally long: no delta is tried."""
    write_random(mirror / "a", 30 * MIB)
    mirror("--provider=r2", check=0)
    flip_byte(mirror / "a", 15 * MIB)
    result = mirror("--provider=r2", check=0)
    assert result.stderr == ""
    assert body_bytes(mirror.proxy) == 30 * MIB
    sizes = [r.body_length for r in mirror.proxy.requests if is_sent_part(r)]
    assert len(set(sizes[:-1])) == 1
    assert object_hash(s3, mirror.bucket, "p/a") == file_hash(mirror / "a")
