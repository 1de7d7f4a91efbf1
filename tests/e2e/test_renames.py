# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""What the bucket has under another name, or with other headers, the server copies: nothing is sent."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import Ctl, Result
from fixtures import PATIENCE
from fixtures.ceph_rgw import CephRgw
from fixtures.checks import (
    body,
    body_bytes,
    keys,
    metadata,
    operation,
    operations,
    rsync_changes,
    sent_keys,
    unfinished_uploads,
    write_files,
)
from fixtures.fault_proxy import FaultProxy, Reply, Request, Rule
from fixtures.large_files import (
    After,
    OneByOne,
    WhenDone,
    completes_upload,
    differing_files,
    flip_byte,
    is_copy,
    is_part_copy,
    random_bytes,
    refusal,
    write_random,
)
from fixtures.trees import MIB


@pytest.fixture
def proxy(rgw: CephRgw) -> Iterator[FaultProxy]:
    with FaultProxy(rgw.endpoint, grain=256 * 1024) as fault_proxy:
        yield fault_proxy


class Mirror:
    """A call makes one more run with --delete; the proxy knows what it alone sent."""

    def __init__(self, ctl: Ctl, folder: Path, bucket: str, proxy: FaultProxy):
        self.ctl = ctl
        self.folder = folder
        self.bucket = bucket
        self.proxy = proxy

    def __call__(self, *options: str, check: int = 0) -> Result:
        self.proxy.reset()
        options = options or ("--delete",)
        arguments = ["mirror", *options, f"{self.folder}/", f"s3://{self.bucket}"]
        return self.ctl(*arguments, check=check, endpoint=self.proxy)

    def __truediv__(self, name: str) -> Path:
        return self.folder / name


@pytest.fixture
def mirror(ctl: Ctl, tmp_path: Path, bucket: str, proxy: FaultProxy) -> Mirror:
    folder = tmp_path / "folder"
    folder.mkdir()
    return Mirror(ctl, folder, bucket, proxy)


@pytest.fixture
def few(mirror: Mirror) -> Mirror:
    """Two small files and two large ones, all known."""
    write_files(mirror.folder, {"a": "apple", "b": "berry"})
    write_random(mirror / "large", 12 * MIB)
    write_random(mirror / "other", 12 * MIB)
    mirror()
    return mirror


@pytest.fixture
def many(mirror: Mirror) -> Mirror:
    """A thousand small files in one folder, all known, and three beside it."""
    for i in range(1000):
        write_files(mirror.folder, {f"photos/{i:04}": f"picture {i}"})
    write_files(mirror.folder, {"x": "1", "y": "2", "z/z": "3"})
    mirror()
    return mirror


def is_server_copy(request: Request) -> bool:
    """As a whole, or of a part: large objects are copied in parts where a copy of the whole could
    not be proved, or taken back."""
    return is_copy(request) or is_part_copy(request)


def most_at_once(requests: list[Request]) -> int:
    events = sorted([(r.started, 1) for r in requests] + [(r.ended, -1) for r in requests])
    return max(itertools.accumulate(change for _, change in events))


def has_all(s3: Any, mirror: Mirror) -> bool:
    """Every file by its bytes, and nothing else."""
    there = {key for key in keys(s3, mirror.bucket) if not key.endswith("/")}
    here = {str(p.relative_to(mirror.folder)) for p in mirror.folder.rglob("*") if p.is_file()}
    return there == here and differing_files(s3, mirror.bucket, mirror.folder) == []


# -- many ---------------------------------------------------------------------------------------


def test_renamed_folder(many: Mirror, s3: Any, s3fs_mount: Any) -> None:
    (many / "photos").rename(many / "pictures")
    result = many()
    assert body_bytes(many.proxy) == 0
    assert sent_keys(many.proxy, "put") == ["pictures/"]
    assert operations(many.proxy) == {"list": 2, "copy": 1000, "put": 1, "delete": 2}
    assert most_at_once(list(filter(is_copy, many.proxy.requests))) > 1
    assert "1000 copied by the server, 1001 deleted" in result.stdout
    assert keys(s3, many.bucket, "photos") == []
    assert len(keys(s3, many.bucket, "pictures/")) == 1001
    for name in ("0000", "0456", "0999"):
        assert body(s3, many.bucket, f"pictures/{name}") == f"picture {int(name)}".encode()
    with s3fs_mount(many.bucket) as mount:
        assert rsync_changes(many / "pictures", mount / "pictures") == []
    many()
    assert operations(many.proxy) == {"list": 2}


def test_renamed_folder_with_changes_in_it(mirror: Mirror, s3: Any) -> None:
    write_files(mirror.folder, {f"photos/{i}": f"picture {i}" for i in range(30)})
    mirror()
    (mirror / "photos").rename(mirror / "pictures")
    write_files(mirror.folder, {"pictures/7": "another picture", "pictures/new": "a new one"})
    (mirror / "pictures/8").unlink()
    (mirror / "pictures/9").chmod(0o600)
    mirror()
    assert body_bytes(mirror.proxy) == len("another picture") + len("a new one")
    assert operations(mirror.proxy)["copy"] == 28
    assert has_all(s3, mirror)
    assert metadata(s3, mirror.bucket, "pictures/9")["mode"] == str(0o100600)


def test_without_delete_the_old_names_stay(few: Mirror, s3: Any) -> None:
    (few / "a").rename(few / "z")
    (few / "large").rename(few / "zarge")
    few("--verbose")
    assert body_bytes(few.proxy) == 0
    assert {"a", "z", "large", "zarge"} <= set(keys(s3, few.bucket))
    few()
    assert has_all(s3, few)


def test_300_files_with_new_metadata(many: Mirror, s3: Any) -> None:
    """Of touched ones only reading proves that nothing else is new."""
    changes = {
        "chmod": lambda i, path: path.chmod(0o600),
        "touch": lambda i, path: os.utime(path, ns=(0, 1_500_000_000_000_000_000 + i)),
    }
    for change in changes:
        for i in range(300):
            changes[change](i, many / f"photos/{i:04}")
        result = many()
        assert operations(many.proxy) == {"list": 2, "copy": 300}, change
        assert body_bytes(many.proxy) == 0
        assert "300 copied by the server" in result.stdout
    for i in (0, 299):
        headers = metadata(s3, many.bucket, f"photos/{i:04}")
        assert body(s3, many.bucket, f"photos/{i:04}") == f"picture {i}".encode()
        assert headers["mode"] == str(0o100600)
        assert headers["mtime"] == f"1500000000.{i:09}"
    many()
    assert operations(many.proxy) == {"list": 2}


# -- one ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a", "large"])
def test_renamed_file(few: Mirror, s3: Any, name: str) -> None:
    (few / name).rename(few / "new name")
    result = few("--delete", "--json").json
    assert body_bytes(few.proxy) == 0
    assert sum(map(is_server_copy, few.proxy.requests)) == 1
    assert [(r["action"], r["key"]) for r in result if r["type"] == "action"] == [
        ("rename", "new name"), ("delete", name)
    ]  # fmt: skip
    assert has_all(s3, few)
    mtime = (few / "new name").stat().st_mtime_ns
    written = metadata(s3, few.bucket, "new name")["mtime"]
    assert written == f"{mtime // 10**9}.{mtime % 10**9:09}"


@pytest.mark.parametrize("name", ["a", "large"])
def test_copied_file(few: Mirror, s3: Any, name: str) -> None:
    shutil.copy2(few / name, few / "copy")
    few()
    assert body_bytes(few.proxy) == 0
    # Of a large one the source is looked at before and after, and it has a beginning and an end.
    in_parts = {"list": 1, "head": 2, "multipart": 2, "part": 1}
    assert operations(few.proxy) == (in_parts if name == "large" else {"list": 1, "copy": 1})
    assert has_all(s3, few)
    mtime = (few / "copy").stat().st_mtime_ns
    assert metadata(s3, few.bucket, "copy")["mtime"] == f"{mtime // 10**9}.{mtime % 10**9:09}"


@pytest.mark.parametrize("size", [1000, 12 * MIB], ids=["small", "large"])
def test_new_owner_and_attributes_only(mirror: Mirror, s3: Any, size: int) -> None:
    """Headers can only be replaced all together: those that did not change have to be kept."""
    path = write_random(mirror / "picture.jpg", size)
    mirror()
    before = s3.head_object(Bucket=mirror.bucket, Key="picture.jpg")
    os.setxattr(path, "user.tag", b"red")
    if os.geteuid() == 0:
        os.chown(path, 1234, 4321)
    mirror()
    after = s3.head_object(Bucket=mirror.bucket, Key="picture.jpg")
    assert body_bytes(mirror.proxy) == 0
    assert sum(map(is_server_copy, mirror.proxy.requests)) == 1
    assert after["Metadata"]["xattr"] == "%7B%22user.tag%22%3A%22cmVk%22%7D"
    if os.geteuid() == 0:
        assert (after["Metadata"]["uid"], after["Metadata"]["gid"]) == ("1234", "4321")
    assert after["ContentType"] == before["ContentType"] == "image/jpeg"
    assert after["Metadata"]["mtime"] == before["Metadata"]["mtime"]
    assert has_all(s3, mirror)
    mirror()
    assert operations(mirror.proxy) == {"list": 1}


def test_large_file_that_was_renamed_is_still_known_inside(few: Mirror, s3: Any) -> None:
    (few / "large").rename(few / "new name")
    few()
    flip_byte(few / "new name", 6 * MIB)
    few()
    assert few.proxy.bytes_up < 6 * MIB
    assert has_all(s3, few)


def test_large_file_renamed_and_changed_at_once(few: Mirror, s3: Any) -> None:
    (few / "large").rename(few / "new name")
    flip_byte(few / "new name", 6 * MIB)
    few()
    assert few.proxy.bytes_up < 6 * MIB
    assert has_all(s3, few)


def test_several_copies_of_one_renamed_file(few: Mirror, s3: Any) -> None:
    for name in ("a", "large"):
        shutil.copy2(few / name, few / f"{name} 2")
        shutil.copy2(few / name, few / f"{name} 3")
        (few / name).unlink()
    few()
    assert body_bytes(few.proxy) == 0
    assert has_all(s3, few)


def test_new_file_with_the_bytes_of_one_that_changes(few: Mirror, s3: Any) -> None:
    """As editors keep the version before: the old object is copied before it is overwritten."""
    for name in ("a", "large"):
        (few / name).rename(few / f"{name}~")
        write_random(few / name, (few / f"{name}~").stat().st_size, "edited")
    few()
    assert body_bytes(few.proxy) == 5 + 12 * MIB
    assert has_all(s3, few)


def test_equal_bytes_are_proved_by_reading(few: Mirror, s3: Any) -> None:
    """Size, time and even the inode of a file that is gone: not enough."""
    before = (few / "a").stat()
    (few / "a").rename(few / "z")
    (few / "z").write_text("grape")
    os.utime(few / "z", ns=(before.st_atime_ns, before.st_mtime_ns))
    few()
    assert body_bytes(few.proxy) == len("grape")
    assert has_all(s3, few)


@pytest.mark.parametrize("size", [1000, 12 * MIB], ids=["small", "large"])
def test_names_that_look_encoded(mirror: Mirror, s3: Any, size: int) -> None:
    """A server that decoded "100%41" once too often would copy "100A". Ceph 16 does, of parts: from
    such names nothing is copied in parts, so that their content is sent."""
    for name in ("100A", "100%41", "a+b", "a b", "a%2Bb"):
        write_random(mirror / name, size)
    mirror()
    for name in ("100%41", "a+b", "a b", "a%2Bb"):
        (mirror / name).rename(mirror / f"new {name}")
    mirror()
    ambiguous = ["new 100%41", "new a%2Bb"] if size > MIB else []
    sent = [r.key for r in mirror.proxy.requests if r.method == "PUT" and r.body_length > 0]
    assert sorted(set(sent)) == ambiguous
    assert body_bytes(mirror.proxy) == len(ambiguous) * size
    assert has_all(s3, mirror)


# -- round and round ----------------------------------------------------------------------------


def first_overwritten(names: list[str]) -> Rule:
    """The first name is overwritten before the others are copied: the worst order there is."""

    def matches(request: Request) -> bool:
        if request.key == names[0]:
            return is_copy(request) or completes_upload(request)
        return is_server_copy(request)

    order = OneByOne(names)
    return Rule(lambda r: order.fits(r) and matches(r), order, times=None)


@pytest.mark.parametrize("names", [("a", "b"), ("large", "other")], ids=["small", "large"])
def test_swapped_names(few: Mirror, s3: Any, names: tuple[str, str]) -> None:
    """If each is copied from the other, the second copy must not be of the first."""
    one, two = names
    (few / one).rename(few / "t")
    (few / two).rename(few / one)
    (few / "t").rename(few / two)
    few.proxy.rules.append(first_overwritten([one, two]))
    few()
    assert has_all(s3, few)
    few()
    assert operations(few.proxy) == {"list": 1}


@pytest.mark.parametrize("size", [1000, 12 * MIB], ids=["small", "large"])
def test_rotated_logs(mirror: Mirror, s3: Any, size: int) -> None:
    """log becomes log.1, that log.2, and so on: each is copied from a name that is overwritten."""
    names = ["log", "log.1", "log.2", "log.3"]
    for name in names[:-1]:
        write_random(mirror / name, size)
    mirror()
    for old, new in reversed(list(zip(names, names[1:]))):
        (mirror / old).rename(mirror / new)
    write_random(mirror / "log", size, "today's")
    mirror.proxy.rules.append(first_overwritten(names[1:]))
    mirror()
    assert differing_files(s3, mirror.bucket, mirror.folder) == []
    assert has_all(s3, mirror)


def test_file_takes_the_name_of_one_that_is_renamed(few: Mirror, s3: Any) -> None:
    """a to c, b to a."""
    (few / "a").rename(few / "c")
    (few / "b").rename(few / "a")
    (few / "large").rename(few / "zarge")
    (few / "other").rename(few / "large")
    few.proxy.rules.append(first_overwritten(["large", "zarge"]))
    few()
    assert has_all(s3, few)
    assert body_bytes(few.proxy) == len("berry")  # nothing is copied over a whole object


# -- hard links ---------------------------------------------------------------------------------


def test_renamed_folder_with_hard_links(mirror: Mirror, s3: Any) -> None:
    write_files(mirror.folder, {"old/a": "apple", "old/b": "berry"})
    write_random(mirror / "old/large", 12 * MIB)
    os.link(mirror / "old/a", mirror / "old/a 2")
    os.link(mirror / "old/large", mirror / "old/large 2")
    mirror()
    (mirror / "old").rename(mirror / "new")
    mirror()
    assert has_all(s3, mirror)
    assert body_bytes(mirror.proxy) == 0


def test_hard_link_becomes_a_file_of_its_own(mirror: Mirror, s3: Any) -> None:
    write_files(mirror.folder, {"a": "apple"})
    os.link(mirror / "a", mirror / "b")
    mirror()
    (mirror / "b").unlink()
    (mirror / "b").write_text("berry")
    mirror()
    assert has_all(s3, mirror)
    (mirror / "b").unlink()
    os.link(mirror / "a", mirror / "b")
    mirror()
    assert has_all(s3, mirror)


# -- other tools, weak servers ------------------------------------------------------------------


AS_A_WHOLE = "is sent as a whole: what was to be copied changed in the bucket."


@pytest.mark.parametrize("what", ["replaced", "deleted"])
@pytest.mark.parametrize("name", ["a", "large"])
def test_source_that_changes_before_the_copy(few: Mirror, s3: Any, name: str, what: str) -> None:
    def interfere(_: Any) -> None:
        if what == "replaced":
            data = random_bytes((few / "new name").stat().st_size, "another tool")
            s3.put_object(Bucket=few.bucket, Key=name, Body=data)
        else:
            s3.delete_object(Bucket=few.bucket, Key=name)

    (few / name).rename(few / "new name")
    rule = Rule(is_server_copy, After(interfere))
    few.proxy.rules.append(rule)
    result = few()
    assert rule.hits == 1
    assert has_all(s3, few)
    assert unfinished_uploads(s3, few.bucket) == []
    assert body_bytes(few.proxy) == (few / "new name").stat().st_size
    said = [f"note     “new name” {AS_A_WHOLE}"] if name == "large" else []
    assert result.stderr.splitlines() == said


@pytest.mark.parametrize("name", ["a", "large"])
def test_object_that_is_replaced_before_its_headers_are(few: Mirror, s3: Any, name: str) -> None:
    """Another tool's bytes under our headers would pass for the file's ever after."""

    def interfere(_: Any) -> None:
        data = random_bytes((few / name).stat().st_size, "another tool")
        s3.put_object(Bucket=few.bucket, Key=name, Body=data)

    (few / name).chmod(0o600)
    rule = Rule(is_server_copy, After(interfere))
    few.proxy.rules.append(rule)
    result = few()
    assert rule.hits == 1
    assert has_all(s3, few)
    assert metadata(s3, few.bucket, name)["mode"] == str(0o100600)
    said = [f"note     “{name}” {AS_A_WHOLE}"] if name == "large" else []
    assert result.stderr.splitlines() == said


@pytest.mark.parametrize("change", ["rename", "chmod"])
@pytest.mark.parametrize("name", ["a", "large"])
def test_killed_between_a_wrong_copy_and_its_proof(
    few: Mirror, s3: Any, name: str, change: str
) -> None:
    """Then another tool's bytes have the headers that we wrote: the next run may not believe them."""
    key = "new name" if change == "rename" else name
    processes: list[Any] = []

    def kill(_: Any) -> None:
        processes[0].kill()
        processes[0].wait()

    if change == "rename":
        (few / name).rename(few / key)
    else:
        (few / name).chmod(0o600)
    data = random_bytes((few / key).stat().st_size, "another tool")

    class ReplaceCopyKill(WhenDone):
        def run(self, exchange: Any) -> bool:
            s3.put_object(Bucket=few.bucket, Key=name, Body=data)
            return super().run(exchange)

    rule = Rule(is_server_copy, ReplaceCopyKill(kill))
    few.proxy.rules.append(rule)
    arguments = ["mirror", "--delete", f"{few.folder}/", f"s3://{few.bucket}"]
    processes.append(few.ctl.popen(*arguments, endpoint=few.proxy))
    processes[0].wait(timeout=30 * PATIENCE)
    assert rule.hits == 1
    few()
    assert has_all(s3, few)
    few()
    assert operations(few.proxy) == {"list": 1}


@pytest.mark.parametrize("name", ["a", "large"])
def test_file_that_changes_before_it_is_copied(few: Mirror, s3: Any, name: str) -> None:
    """After the comparison, before its turn: the object must not say more than it holds."""
    (few / name).rename(few / "new name")
    shutil.copy2(few / "b", few / "0 first")
    rule = Rule(is_copy, After(lambda _: flip_byte(few / "new name", 3)))
    few.proxy.rules.append(rule)
    few("--delete", "--jobs=1")
    assert rule.hits == 1
    assert has_all(s3, few)


def test_copies_are_pinned_where_the_provider_can(few: Mirror, s3: Any) -> None:
    etags = {n: s3.head_object(Bucket=few.bucket, Key=n)["ETag"] for n in ("a", "large")}
    for name in etags:
        (few / name).rename(few / f"{name} 2")
    few("--delete", "--provider=minio")
    copies = [r for r in few.proxy.requests if is_copy(r)]
    pins = {r.key.removesuffix(" 2"): r.headers["x-amz-copy-source-if-match"] for r in copies}
    assert pins == etags
    assert operations(few.proxy)["head"] == 0
    assert has_all(s3, few)


def test_pin_that_does_not_hold(few: Mirror, s3: Any) -> None:
    for name in ("a", "large"):
        (few / name).rename(few / f"{name} 2")
    rule = Rule(is_copy, refusal(412, "PreconditionFailed"), times=None)
    few.proxy.rules.append(rule)
    few("--delete", "--provider=minio")
    assert rule.hits == 2
    assert has_all(s3, few)


@pytest.mark.parametrize("name", ["a", "large"])
def test_server_that_does_not_copy(few: Mirror, s3: Any, name: str) -> None:
    """The files are sent instead."""
    (few / name).rename(few / "new name")
    (few / "b").chmod(0o600)
    shutil.copy2(few / "other", few / "other 2")
    rule = Rule(is_server_copy, refusal(501, "NotImplemented"), times=None)
    few.proxy.rules.append(rule)
    few()
    assert rule.hits >= 3
    assert has_all(s3, few)
    assert metadata(s3, few.bucket, "b")["mode"] == str(0o100600)
    few()
    assert operations(few.proxy) == {"list": 1}


@pytest.mark.parametrize("name", ["a", "large"])
def test_server_that_refuses_every_copy(few: Mirror, s3: Any, name: str) -> None:
    """As some do that know the operation, but not for this source."""
    (few / name).rename(few / "new name")
    rule = Rule(is_server_copy, refusal(400, "InvalidRequest"), times=None)
    few.proxy.rules.append(rule)
    few()
    assert rule.hits == 1
    assert has_all(s3, few)
    assert unfinished_uploads(s3, few.bucket) == []


def test_copy_that_fails_once(few: Mirror, s3: Any) -> None:
    (few / "a").rename(few / "z")
    rule = Rule(is_copy, refusal(200, "InternalError"))
    few.proxy.rules.append(rule)
    few()
    assert rule.hits == 1
    assert body_bytes(few.proxy) == 0
    assert has_all(s3, few)


def test_files_that_cannot_be_sent_after_all_keep_their_old_objects(
    few: Mirror, s3: Any
) -> None:
    """A rename whose copy fails for good must not cost the only object that there is."""
    (few / "a").rename(few / "z")
    denied = Rule(lambda r: r.method == "PUT" and r.key == "z", refusal(400, "InvalidArgument"), None)
    few.proxy.rules.append(denied)
    few("--delete", check=3)
    assert denied.hits >= 1
    assert body(s3, few.bucket, "a") == b"apple"


def test_file_that_is_swallowed_after_all_keeps_its_old_object(few: Mirror, s3: Any) -> None:
    """What is sent instead of a copy is told to be stored, and is not."""
    (few / "a").rename(few / "z")
    swallowed = Rule(lambda r: operation(r) == "put" and r.key == "z", Reply(200), None)
    few.proxy.rules += [Rule(is_copy, refusal(501, "NotImplemented"), None), swallowed]
    few("--delete", check=3)
    assert swallowed.hits == 1
    assert body(s3, few.bucket, "a") == b"apple"
    few.proxy.rules.clear()
    few()
    assert has_all(s3, few)
