# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""Of a changed large file only the changed parts are sent, and the object is right all the same."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from conftest import Ctl, Result, remove_bucket
from fixtures import wait_until
from fixtures.ceph_rgw import CephRgw
from fixtures.checks import (
    body_bytes,
    key_of,
    metadata,
    operations,
    rsync_changes,
    sent_keys,
    unfinished_uploads,
)
from fixtures.fault_proxy import FaultProxy, Headers, ReplaceReply, Rule, without
from fixtures.large_files import (
    After,
    OneByOne,
    begins_upload,
    completes_upload,
    file_hash,
    flip_byte,
    is_copy,
    is_part_copy,
    is_sent_part,
    object_hash,
    overwrite,
    random_bytes,
    refusal,
    sent_part_bytes,
    write_random,
)
from fixtures.trees import MIB

KIB = 1 << 10

# The smallest part that S3 takes, and what heads and XML may cost.
ONE_PART = 5.5 * MIB


@dataclass
class Mirror:
    """A folder whose first run is done. A call is one more; the proxy knows what it alone sent."""

    ctl: Ctl
    folder: Path
    bucket: str
    proxy: FaultProxy

    def __call__(self, *options: str, check: int = 0) -> Result:
        self.proxy.reset()
        return self.ctl(
            "mirror", *options, f"{self.folder}/", f"s3://{self.bucket}",
            check=check, endpoint=self.proxy,
        )  # fmt: skip

    def __truediv__(self, name: str) -> Path:
        return self.folder / name


def is_right(s3: Any, mirror: Mirror, name: str) -> bool:
    """Bytes and headers."""
    status = (mirror / name).stat()
    headers = metadata(s3, mirror.bucket, name)
    mtime = f"{status.st_mtime_ns // 10**9}.{status.st_mtime_ns % 10**9:09}"
    assert headers["mtime"] == mtime, name
    assert headers["mode"] == str(status.st_mode), name
    assert (headers["uid"], headers["gid"]) == (str(status.st_uid), str(status.st_gid)), name
    return object_hash(s3, mirror.bucket, name) == file_hash(mirror / name)


def free_memory(rgw: CephRgw) -> None:
    """The server keeps replaced parts for two hours, in memory here, unless it is told."""
    rgw.admin("gc", "process", "--include-all")


# -- half a gibibyte ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def big(rgw: CephRgw, s3: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mirror]:
    """One file of 512 MiB, uploaded once. Each test changes it once more and mirrors it."""
    home, folder = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("folder")
    bucket = f"keepsake-test-{secrets.token_hex(4)}"
    s3.create_bucket(Bucket=bucket)
    ctl = Ctl(rgw, home)
    with FaultProxy(rgw.endpoint, grain=256 * KIB) as proxy:
        mirror = Mirror(ctl, folder, bucket, proxy)
        write_random(folder / "big", 512 * MIB)
        mirror()
        yield mirror
    ctl.end()
    (folder / "big").unlink()
    remove_bucket(s3, bucket)
    free_memory(rgw)


@pytest.fixture
def sends(
    rgw: CephRgw, s3: Any, big: Mirror, record_property: Any
) -> Iterator[Callable[[float, int], None]]:
    """sends(bytes, requests): mirrors it; at most so much goes up, and the object is right."""

    def run(most_bytes: float, most_requests: int) -> None:
        result = big()
        record_property("bytes sent", big.proxy.bytes_up)
        record_property("requests", len(big.proxy.requests))
        requests = "\n".join(map(str, big.proxy.requests))
        assert big.proxy.bytes_up <= most_bytes, requests
        assert len(big.proxy.requests) <= most_requests, requests
        assert "Done: 1 sent" in result.stdout
        assert is_right(s3, big, "big")
        assert unfinished_uploads(s3, big.bucket) == []

    yield run
    free_memory(rgw)


def test_one_byte_in_the_middle(big: Mirror, sends: Any) -> None:
    flip_byte(big / "big", 256 * MIB)
    sends(5.5 * MIB, 8)


def test_one_kibibyte_at_the_front(big: Mirror, sends: Any) -> None:
    old = big / "big"
    with open(big.folder.with_name("new"), "wb") as new, open(old, "rb") as file:
        new.write(random_bytes(KIB, "front"))
        shutil.copyfileobj(file, new, 8 * MIB)
    os.rename(new.name, old)
    sends(11 * MIB, 8)


def test_one_mebibyte_at_the_end(big: Mirror, sends: Any) -> None:
    with open(big / "big", "ab") as file:
        file.write(random_bytes(MIB, "end"))
    (big / "big").chmod(0o640)
    sends(7 * MIB, 8)


def test_after_all_that_s3fs_and_rsync_find_no_difference(
    big: Mirror, s3fs_mount: Any
) -> None:
    big()
    assert operations(big.proxy) == {"list": 1}
    with s3fs_mount(big.bucket) as mount:  # the root of a bucket has no time
        assert rsync_changes(big.folder, mount, options="-ainO") == []


# -- smaller files ------------------------------------------------------------------------------


@pytest.fixture
def proxy(rgw: CephRgw) -> Iterator[FaultProxy]:
    with FaultProxy(rgw.endpoint, grain=256 * KIB) as fault_proxy:
        yield fault_proxy


@pytest.fixture
def mirror(ctl: Ctl, tmp_path: Path, bucket: str, proxy: FaultProxy) -> Mirror:
    folder = tmp_path / "folder"
    folder.mkdir()
    write_random(folder / "large", 24 * MIB)
    mirror = Mirror(ctl, folder, bucket, proxy)
    mirror()
    return mirror


def test_changed_copy_under_a_new_name(mirror: Mirror, s3: Any) -> None:
    shutil.copy(mirror / "large", mirror / "newer")
    flip_byte(mirror / "newer", 12 * MIB)
    mirror()
    assert mirror.proxy.bytes_up <= ONE_PART
    assert sent_keys(mirror.proxy, "put") == []
    assert is_right(s3, mirror, "newer")
    assert is_right(s3, mirror, "large")
    # What is inside of it is known from now on.
    flip_byte(mirror / "newer", 2 * MIB)
    mirror()
    assert mirror.proxy.bytes_up <= ONE_PART
    assert is_right(s3, mirror, "newer")


@pytest.fixture
def longer(mirror: Mirror) -> Mirror:
    write_random(mirror / "large", 64 * MIB, "longer")
    mirror()
    return mirror


def test_moved_block(longer: Mirror, s3: Any) -> None:
    """Three seams: where it was, and both of its ends where it is now."""
    with open(longer / "large", "r+b") as file:
        file.seek(8 * MIB)
        moved, between = file.read(12 * MIB), file.read(24 * MIB)
        file.seek(8 * MIB)
        file.write(between)
        file.write(moved)
    longer()
    assert longer.proxy.bytes_up <= 3 * ONE_PART
    assert is_right(s3, longer, "large")


def test_cut_off_end(longer: Mirror, s3: Any) -> None:
    os.truncate(longer / "large", 50 * MIB + 12_345)
    longer()
    assert longer.proxy.bytes_up <= ONE_PART
    assert is_right(s3, longer, "large")


def test_two_changes_far_apart(longer: Mirror, s3: Any) -> None:
    flip_byte(longer / "large", 0)
    flip_byte(longer / "large", 40 * MIB)
    longer()
    assert longer.proxy.bytes_up <= 2 * ONE_PART
    assert len(longer.proxy.requests) <= 12
    assert is_right(s3, longer, "large")


def test_pieces_of_several_files(mirror: Mirror, s3: Any) -> None:
    """A file put together from others, as archives and disk images are."""
    write_random(mirror / "other", 16 * MIB)
    mirror()
    pieces = [(mirror / name).read_bytes() for name in ("other", "large")]
    (mirror / "joined").write_bytes(b"a head" + pieces[0] + b"a middle" + pieces[1])
    mirror()
    assert mirror.proxy.bytes_up <= 2 * ONE_PART
    assert is_right(s3, mirror, "joined")


@pytest.mark.parametrize("change", ["chmod", "touch"])
def test_new_metadata_only(mirror: Mirror, s3: Any, change: str) -> None:
    """The server copies; and what is inside of the file stays known."""
    if change == "chmod":
        (mirror / "large").chmod(0o600)
    else:
        os.utime(mirror / "large", ns=(0, 1_500_000_000_000_000_001))
    result = mirror()
    assert body_bytes(mirror.proxy) == 0
    assert sum(map(is_part_copy, mirror.proxy.requests)) == 1
    assert len(mirror.proxy.requests) <= 6  # list, look, begin, copy, look, end
    assert "Sent 0 B for 24 MiB of changed files" in result.stdout
    assert is_right(s3, mirror, "large")

    flip_byte(mirror / "large", 12 * MIB)
    mirror()
    assert mirror.proxy.bytes_up <= ONE_PART
    assert is_right(s3, mirror, "large")


def test_new_content_and_new_metadata_at_once(mirror: Mirror, s3: Any) -> None:
    flip_byte(mirror / "large", 12 * MIB)
    (mirror / "large").chmod(0o4711)
    os.utime(mirror / "large", ns=(0, 1_500_000_000_000_000_001))
    os.setxattr(mirror / "large", "user.tag", b"red")
    mirror()
    assert mirror.proxy.bytes_up <= ONE_PART
    assert metadata(s3, mirror.bucket, "large")["xattr"] == "%7B%22user.tag%22%3A%22cmVk%22%7D"
    assert is_right(s3, mirror, "large")


def test_headers_of_a_delta_are_those_of_a_whole_upload(
    mirror: Mirror, s3: Any
) -> None:
    """All that a PUT would say has to be said when the upload begins."""
    (mirror / "picture.jpg").write_bytes(random_bytes(16 * MIB, "picture"))
    mirror()
    whole = s3.head_object(Bucket=mirror.bucket, Key="picture.jpg")
    flip_byte(mirror / "picture.jpg", 8 * MIB)
    mirror()
    delta = s3.head_object(Bucket=mirror.bucket, Key="picture.jpg")
    assert mirror.proxy.bytes_up <= ONE_PART
    assert delta["ContentType"] == whole["ContentType"] == "image/jpeg"
    assert delta["Metadata"].keys() == whole["Metadata"].keys()


def test_small_grown_large_and_large_grown_small(mirror: Mirror, s3: Any) -> None:
    (mirror / "grows").write_bytes(b"small")
    mirror()
    shutil.copy(mirror / "large", mirror / "grows")
    flip_byte(mirror / "grows", 0)
    os.truncate(mirror / "large", 1000)
    mirror()
    assert is_right(s3, mirror, "grows")
    assert is_right(s3, mirror, "large")


def test_change_during_the_run(mirror: Mirror, s3: Any) -> None:
    """The plan of parts was made for other bytes: none of it may be used."""
    flip_byte(mirror / "large", 12 * MIB)
    rule = Rule(is_sent_part, After(lambda _: flip_byte(mirror / "large", 3 * MIB)))
    mirror.proxy.rules.append(rule)
    mirror()
    assert rule.hits == 1
    assert is_right(s3, mirror, "large")
    assert unfinished_uploads(s3, mirror.bucket) == []


def test_change_after_the_comparison(mirror: Mirror, s3: Any) -> None:
    """Between the plan and the first part."""
    flip_byte(mirror / "large", 12 * MIB)
    rule = Rule(begins_upload, After(lambda _: flip_byte(mirror / "large", 23 * MIB)))
    mirror.proxy.rules.append(rule)
    mirror()
    assert rule.hits == 1
    assert is_right(s3, mirror, "large")
    mirror()
    assert operations(mirror.proxy) == {"list": 1}


def test_result_says_what_was_saved(mirror: Mirror) -> None:
    flip_byte(mirror / "large", 12 * MIB)
    result = mirror()
    assert "Done: 1 sent (5.0 MiB), 0 copied by the server" in result.stdout
    assert "Sent 5.0 MiB for 24 MiB of changed files" in result.stdout
    flip_byte(mirror / "large", 12 * MIB)
    last = mirror("--json").json[-1]
    sent = sent_part_bytes(mirror.proxy)
    assert (last["delta"], last["bytes_sent"], last["bytes_saved"]) == (1, sent, 24 * MIB - sent)


def test_dry_run_tells_the_bytes_and_sends_none(mirror: Mirror, s3: Any) -> None:
    flip_byte(mirror / "large", 12 * MIB)
    before = s3.head_object(Bucket=mirror.bucket, Key="large")["ETag"]
    text = mirror("--dry-run").stdout
    assert "delta    large\n" in text
    assert "Would be: 1 sent (5.0 MiB)" in text
    json = mirror("--dry-run", "--json").json
    assert operations(mirror.proxy) == {"list": 1}
    (action,) = [row for row in json if row["type"] == "action"]
    assert s3.head_object(Bucket=mirror.bucket, Key="large")["ETag"] == before
    assert unfinished_uploads(s3, mirror.bucket) == []
    mirror()
    assert action == {
        "type": "action", "action": "delta", "key": "large", "bytes": sent_part_bytes(mirror.proxy)
    }  # fmt: skip


def test_storage_class_is_kept(mirror: Mirror, cold_class: str, s3: Any) -> None:
    """Of what was once stored in another class, whichever way it changes."""
    (mirror / "small").write_text("small")
    shutil.copy(mirror / "large", mirror / "cold")
    flip_byte(mirror / "cold", 0)
    mirror("--storage-class", cold_class)

    def classes() -> dict[str, str]:
        listed = s3.list_objects_v2(Bucket=mirror.bucket)["Contents"]
        return {row["Key"]: row["StorageClass"] for row in listed}

    assert classes() == {"large": "STANDARD", "cold": cold_class, "small": cold_class}
    flip_byte(mirror / "cold", 12 * MIB)
    (mirror / "small").chmod(0o600)
    mirror()
    assert mirror.proxy.bytes_up <= ONE_PART
    assert classes() == {"large": "STANDARD", "cold": cold_class, "small": cold_class}
    (mirror / "cold").chmod(0o600)
    mirror()
    assert classes()["cold"] == cold_class
    (mirror / "cold").rename(mirror / "colder")
    mirror()
    assert classes()["colder"] == cold_class


# -- several at once ----------------------------------------------------------------------------


class UntilReplaced(After):
    """Holds a request until "large" is another object; not for long where that waits for it."""

    def __init__(self, proxy: FaultProxy):
        def is_replaced() -> bool:
            return any(
                r.key == "large" and (completes_upload(r) or is_copy(r)) and r.ended is not None
                for r in list(proxy.requests)
            )

        def wait(_: Any) -> None:
            with contextlib.suppress(TimeoutError):
                wait_until(is_replaced, 1)

        super().__init__(wait)


def test_original_and_copy_both_change(mirror: Mirror, s3: Any) -> None:
    """The copy is made of the original's object, which is replaced in the same run."""
    shutil.copy(mirror / "large", mirror / "newer")
    flip_byte(mirror / "newer", 12 * MIB)
    flip_byte(mirror / "large", 2 * MIB)
    rule = Rule(lambda r: is_part_copy(r) and r.key == "newer", UntilReplaced(mirror.proxy))
    mirror.proxy.rules.append(rule)
    result = mirror()
    assert is_right(s3, mirror, "newer")
    assert is_right(s3, mirror, "large")
    assert "changed in the bucket" not in result.stderr
    assert mirror.proxy.bytes_up <= 2 * ONE_PART


def test_changed_copy_of_a_file_with_new_metadata(mirror: Mirror, s3: Any) -> None:
    """Its object is copied onto itself in the same run: another ETag, but the same bytes."""
    shutil.copy(mirror / "large", mirror / "newer")
    flip_byte(mirror / "newer", 12 * MIB)
    (mirror / "large").chmod(0o600)
    rule = Rule(lambda r: is_part_copy(r) and r.key == "newer", UntilReplaced(mirror.proxy))
    mirror.proxy.rules.append(rule)
    result = mirror()
    assert is_right(s3, mirror, "newer")
    assert is_right(s3, mirror, "large")
    assert "changed in the bucket" not in result.stderr
    assert mirror.proxy.bytes_up <= ONE_PART


def test_two_files_that_swap_their_changed_contents(mirror: Mirror, s3: Any) -> None:
    """Each is made of the other's object, and both are replaced."""
    write_random(mirror / "other", 24 * MIB)
    mirror()
    (mirror / "large").rename(mirror / "x")
    (mirror / "other").rename(mirror / "large")
    (mirror / "x").rename(mirror / "other")
    flip_byte(mirror / "large", 12 * MIB)
    flip_byte(mirror / "other", 12 * MIB)
    order = OneByOne(["large", "other"])
    mirror.proxy.rules.append(Rule(completes_upload, order, times=None))
    mirror()
    assert is_right(s3, mirror, "large")
    assert is_right(s3, mirror, "other")


# -- other tools --------------------------------------------------------------------------------


def replace_object(s3: Any, mirror: Mirror, key: str = "large") -> None:
    """Another tool's bytes, of the same length and with the same headers."""
    data = random_bytes(24 * MIB, "another tool")
    s3.put_object(
        Bucket=mirror.bucket, Key=key, Body=data, Metadata=metadata(s3, mirror.bucket, key)
    )


def test_no_delta_against_the_object_of_another_tool(mirror: Mirror, s3: Any) -> None:
    replace_object(s3, mirror)
    flip_byte(mirror / "large", 12 * MIB)
    mirror()
    assert sent_part_bytes(mirror.proxy) == 24 * MIB
    assert is_right(s3, mirror, "large")
    flip_byte(mirror / "large", 12 * MIB)
    mirror()
    assert mirror.proxy.bytes_up <= ONE_PART
    assert is_right(s3, mirror, "large")


def test_no_delta_against_an_object_that_is_gone(mirror: Mirror, s3: Any) -> None:
    s3.delete_object(Bucket=mirror.bucket, Key="large")
    flip_byte(mirror / "large", 12 * MIB)
    mirror()
    assert sent_part_bytes(mirror.proxy) == 24 * MIB
    assert is_right(s3, mirror, "large")


def test_without_the_catalogue_the_content_is_right(mirror: Mirror, s3: Any) -> None:
    for path in mirror.ctl.state_dir.rglob("*.db*"):
        path.unlink()
    flip_byte(mirror / "large", 12 * MIB)
    mirror()
    assert is_right(s3, mirror, "large")
    flip_byte(mirror / "large", 3 * MIB)
    mirror()
    assert mirror.proxy.bytes_up <= ONE_PART
    assert is_right(s3, mirror, "large")


def query(mirror: Mirror, sql: str, *values: Any) -> list[Any]:
    (catalogue,) = mirror.ctl.state_dir.rglob("*.db")
    with contextlib.closing(sqlite3.connect(catalogue)) as database, database:
        return database.execute(sql, values).fetchall()


def test_chunks_of_another_object_are_not_believed(mirror: Mirror, s3: Any) -> None:
    """They are kept with the ETag that they were found for."""
    query(mirror, "UPDATE chunked SET etag = ?", 32 * "0")
    flip_byte(mirror / "large", 12 * MIB)
    mirror()
    assert sent_part_bytes(mirror.proxy) == 24 * MIB
    assert is_right(s3, mirror, "large")


def test_chunks_that_nobody_has_of_an_older_catalogue_are_forgotten(mirror: Mirror, s3: Any) -> None:
    """A kill could leave them, and they became those of the next object that got their number."""
    query(mirror, "UPDATE chunked SET id = id + 1")
    query(mirror, "ALTER TABLE object DROP COLUMN stored")
    query(mirror, "PRAGMA user_version = 4")
    flip_byte(mirror / "large", 12 * MIB)
    mirror()
    assert is_right(s3, mirror, "large")
    flip_byte(mirror / "large", 3 * MIB)
    mirror()
    assert mirror.proxy.bytes_up <= ONE_PART
    assert is_right(s3, mirror, "large")


def test_chunks_that_nobody_has_are_in_nobodys_way(mirror: Mirror, s3: Any) -> None:
    """Also of a catalogue of today."""
    query(mirror, "DELETE FROM chunked")
    write_random(mirror / "another", 9 * MIB, "another")
    mirror()
    flip_byte(mirror / "another", 3 * MIB)
    mirror()
    assert is_right(s3, mirror, "another")
    sql = "SELECT sum (length) FROM chunk JOIN chunked ON id = object WHERE key = ?"
    assert query(mirror, sql, b"another") == [(9 * MIB,)]


MOMENTS = {
    "look before": lambda r: r.method == "HEAD",
    "begin": begins_upload,
    "copy": is_part_copy,
    "end": completes_upload,
}


@pytest.mark.parametrize("what", ["replaced", "deleted"])
@pytest.mark.parametrize("moment", MOMENTS)
def test_object_that_changes_between_listing_and_copy(
    mirror: Mirror, s3: Any, moment: str, what: str
) -> None:
    def interfere(_: Any) -> None:
        if what == "replaced":
            replace_object(s3, mirror)
        else:
            s3.delete_object(Bucket=mirror.bucket, Key="large")

    flip_byte(mirror / "large", 12 * MIB)
    rule = Rule(MOMENTS[moment], After(interfere))
    mirror.proxy.rules.append(rule)
    result = mirror()
    assert rule.hits == 1
    assert is_right(s3, mirror, "large")
    assert unfinished_uploads(s3, mirror.bucket) == []
    if moment != "end":  # all that was to be copied had been copied
        assert sent_part_bytes(mirror.proxy) >= 24 * MIB
        assert result.stderr.splitlines() == [
            "note     “large” is sent as a whole: what was to be copied changed in the bucket."
        ]
    mirror()
    assert operations(mirror.proxy) == {"list": 1}


def test_copies_are_pinned_where_the_provider_can(mirror: Mirror, s3: Any) -> None:
    """No look before and after then: the server compares the ETag itself."""
    etag = s3.head_object(Bucket=mirror.bucket, Key="large")["ETag"]
    flip_byte(mirror / "large", 12 * MIB)
    mirror("--provider=minio")
    copies = [r for r in mirror.proxy.requests if is_part_copy(r)]
    assert len(copies) == 2
    assert {r.headers["x-amz-copy-source-if-match"] for r in copies} == {etag}
    assert operations(mirror.proxy)["head"] == 0
    assert is_right(s3, mirror, "large")


def test_pin_that_does_not_hold(mirror: Mirror, s3: Any) -> None:
    flip_byte(mirror / "large", 12 * MIB)
    rule = Rule(is_part_copy, refusal(412, "PreconditionFailed"), times=None)
    mirror.proxy.rules.append(rule)
    result = mirror("--provider=minio")
    assert rule.hits >= 1
    assert "sent as a whole: what was to be copied changed in the bucket" in result.stderr
    assert is_right(s3, mirror, "large")


# -- servers that cannot ------------------------------------------------------------------------


def test_server_without_part_copy(mirror: Mirror, s3: Any) -> None:
    """Whole uploads, said once and not for each file; the run is a success."""
    names = ["large", "two", "three"]
    for name in names[1:]:
        write_random(mirror / name, 16 * MIB)
    mirror()
    for name in names:
        flip_byte(mirror / name, 9 * MIB)
    rule = Rule(is_part_copy, refusal(501, "NotImplemented"), times=None)
    mirror.proxy.rules.append(rule)
    result = mirror("--json").json
    assert rule.hits >= 1
    notices = [row["message"] for row in result if row["type"] == "notice"]
    assert len(notices) == 1
    assert notices[0].startswith("The server does not copy parts of objects")
    for name in names:
        assert is_right(s3, mirror, name)
    assert sent_part_bytes(mirror.proxy) >= 56 * MIB
    assert (result[-1]["put"], result[-1]["delta"], result[-1]["failed"]) == (3, 0, 0)
    assert unfinished_uploads(s3, mirror.bucket) == []


def test_provider_that_is_known_not_to_copy_parts(mirror: Mirror, s3: Any) -> None:
    flip_byte(mirror / "large", 12 * MIB)
    result = mirror("--provider=gcs")
    assert not any(map(is_part_copy, mirror.proxy.requests))
    assert result.stderr == ""
    assert is_right(s3, mirror, "large")


def test_server_that_wants_parts_of_one_length(mirror: Mirror, s3: Any) -> None:
    """As R2 does; it says so when all has been sent. Of one that is not known for it."""
    flip_byte(mirror / "large", 12 * MIB)
    rule = Rule(completes_upload, refusal(400, "InvalidPart"))
    mirror.proxy.rules.append(rule)
    mirror()
    assert rule.hits == 1
    sizes = [r.body_length for r in mirror.proxy.requests if is_sent_part(r)]
    assert sorted(sizes)[-3:] == [8 * MIB] * 3
    assert is_right(s3, mirror, "large")
    assert unfinished_uploads(s3, mirror.bucket) == []


def test_server_that_lists_another_etag_than_it_said(mirror: Mirror, s3: Any) -> None:
    """As Riak CS and SeaweedFS do: the next run must not take it for somebody else's object."""

    def listed(status: int, headers: Headers, body: bytes) -> tuple[int, Headers, bytes]:
        other = {**without(headers, "etag"), "ETag": '"00112233445566778899aabbccddeeff-9"'}
        tag = b"<ETag>&quot;00112233445566778899aabbccddeeff-9&quot;</ETag>"
        return status, other, re.sub(rb"<ETag>[^<]*-3[^<]*</ETag>", tag, body)

    def said(status: int, headers: Headers, body: bytes) -> tuple[int, Headers, bytes]:
        return status, headers, re.sub(rb"<ETag>[^<]*</ETag>|<ETag/>", b"<ETag>u-3</ETag>", body)

    mirror.proxy.rules += [
        Rule(completes_upload, ReplaceReply(said), times=None),
        Rule(lambda r: r.method in ("GET", "HEAD"), ReplaceReply(listed), times=None),
    ]
    write_random(mirror / "large", 24 * MIB, "others")
    mirror()
    mirror()
    assert operations(mirror.proxy) == {"list": 1}
    mirror.proxy.rules.clear()
    assert is_right(s3, mirror, "large")


@pytest.mark.parametrize("name", ["ä+ ?&=#;'~", "caf\udce9", "\ue0a5", "a\nb\x7f", " .. "])
def test_names_that_have_to_be_encoded(mirror: Mirror, s3: Any, name: str) -> None:
    """In the header that names the source of a copy they are encoded in a way of their own."""
    (mirror / "large").rename(mirror / name)
    mirror()
    assert body_bytes(mirror.proxy) == 0
    flip_byte(mirror / name, 12 * MIB)
    mirror()
    assert mirror.proxy.bytes_up <= ONE_PART
    assert object_hash(s3, mirror.bucket, key_of(os.fsencode(name))) == file_hash(mirror / name)


def test_server_that_decodes_the_name_of_a_source_twice(mirror: Mirror, s3: Any) -> None:
    """Ceph 16 does, where it copies parts: "100%41" is then "100A", another object."""
    write_random(mirror / "100A", 24 * MIB)
    write_random(mirror / "100%41", 24 * MIB)
    mirror()
    flip_byte(mirror / "100%41", 12 * MIB)
    mirror()
    assert is_right(s3, mirror, "100%41")


def test_copy_that_fails_for_a_while(mirror: Mirror, s3: Any) -> None:
    """A reply of 200 may hold an error; that is no reason to send the whole file."""
    flip_byte(mirror / "large", 12 * MIB)
    rule = Rule(is_part_copy, refusal(200, "InternalError"), times=3)
    mirror.proxy.rules.append(rule)
    mirror()
    assert rule.hits == 3
    assert mirror.proxy.bytes_up <= ONE_PART
    assert is_right(s3, mirror, "large")
