# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""What another tool does to the headers of an object, and not to its bytes, is undone: the time in
the listing shows it."""

from __future__ import annotations

import os
import re
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from fixtures import wait_until
from fixtures.checks import body_bytes, metadata, operations, write_files
from fixtures.fault_proxy import FaultProxy, Headers, ReplaceReply, Reply, Rule
from fixtures.trees import MIB

pytest_plugins = ["fixtures.mirror_fixtures"]

Mirror = Callable[..., Any]

LIST_ONLY = {"list": 1}
IN_PARTS = {"list": 1, "head": 3, "multipart": 2, "part": 1}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = write_files(
        tmp_path / "folder",
        {"a": "apple", "b": "banana", "empty": "", "sub/c": "cherry", "large": os.urandom(9 * MIB)},
    )
    (folder / "link").symlink_to("a")
    return folder


def query(state_dir: Path, sql: str, *values: Any) -> list[Any]:
    (path,) = state_dir.rglob("catalogue/*.db")
    with closing(sqlite3.connect(path)) as database, database:
        return database.execute(sql, values).fetchall()


def age(state_dir: Path, *names: str) -> None:
    """As if these objects had been stored an hour ago: what is done to them now is seen by that."""
    for name in names:
        sql = "UPDATE object SET stored = stored - 3600 WHERE key = ? AND stored > 3600 RETURNING 1"
        assert query(state_dir, sql, name.encode()) == [(1,)]


def recorded(state_dir: Path) -> dict[str, int]:
    return {key.decode(): stored for key, stored in query(state_dir, "SELECT key, stored FROM object")}


def listed(s3: Any, bucket: str) -> dict[str, int]:
    objects = s3.list_objects_v2(Bucket=bucket)["Contents"]
    return {entry["Key"]: int(entry["LastModified"].timestamp()) for entry in objects}


def rewrite(s3: Any, bucket: str, key: str, **said: str) -> None:
    """As `aws s3 cp --metadata-directive REPLACE` does, onto itself; without words, as it was."""
    before = s3.head_object(Bucket=bucket, Key=key)
    s3.copy_object(Bucket=bucket, Key=key, CopySource=f"{bucket}/{key}", MetadataDirective="REPLACE",
                   ContentType=before["ContentType"], Metadata=before["Metadata"] | said)  # fmt: skip
    assert s3.head_object(Bucket=bucket, Key=key)["ETag"] == before["ETag"]


# -- what is seen -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mode", "uid", "mtime", "xattr", "hardlink"])
@pytest.mark.parametrize("key", ["a", "empty", "large"])
def test_headers_are_put_right(
    mirror: Mirror, state_dir: Path, s3: Any, bucket: str, proxy: FaultProxy, key: str, name: str
) -> None:
    before = metadata(s3, bucket, key)
    age(state_dir, key)
    rewrite(s3, bucket, key, **{name: "33060"})
    mirror()
    # A large one is copied in a part, and made sure of before and after it.
    assert operations(proxy) == (IN_PARTS if key == "large" else {"list": 1, "head": 1, "copy": 1})
    assert body_bytes(proxy) == 0
    assert {**metadata(s3, bucket, key), "atime": ""} == {**before, "atime": ""}
    mirror()
    assert operations(proxy) == LIST_ONLY


@pytest.mark.parametrize("key", ["sub/", "link"])
def test_what_is_no_file_is_written_again(
    mirror: Mirror, state_dir: Path, s3: Any, bucket: str, proxy: FaultProxy, key: str
) -> None:
    before = metadata(s3, bucket, key)
    age(state_dir, key)
    rewrite(s3, bucket, key, uid="77")
    mirror()
    assert operations(proxy) == {"list": 1, "head": 1, "put": 1}
    assert metadata(s3, bucket, key)["uid"] == before["uid"]
    mirror()
    assert operations(proxy) == LIST_ONLY


def test_all_headers_are_lost(
    mirror: Mirror, state_dir: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    before = metadata(s3, bucket, "a")
    age(state_dir, "a")
    s3.copy_object(Bucket=bucket, Key="a", CopySource=f"{bucket}/a", MetadataDirective="REPLACE",
                   Metadata={"other": "tool"})  # fmt: skip
    mirror()
    assert operations(proxy) == {"list": 1, "head": 1, "copy": 1}
    assert metadata(s3, bucket, "a")["mtime"] == before["mtime"]
    assert "other" not in metadata(s3, bucket, "a")


def test_chmod_on_the_mounted_bucket(
    mirror: Mirror, folder: Path, state_dir: Path, s3: Any, bucket: str, proxy: FaultProxy, s3fs_mount: Any
) -> None:
    age(state_dir, "a")
    with s3fs_mount(bucket) as mount:
        (mount / "a").chmod(0o604)
    assert metadata(s3, bucket, "a")["mode"] == str(0o100604)
    mirror()
    assert operations(proxy) == {"list": 1, "head": 1, "copy": 1}
    assert metadata(s3, bucket, "a")["mode"] == str((folder / "a").stat().st_mode)
    mirror()
    assert operations(proxy) == LIST_ONLY


def test_checksum_sees_headers_too(
    mirror: Mirror, state_dir: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    age(state_dir, "a", "b", "large")
    rewrite(s3, bucket, "a", mode="33060")
    rewrite(s3, bucket, "b")
    rewrite(s3, bucket, "large", mode="33060")
    mirror("--checksum")
    assert operations(proxy) == {**IN_PARTS, "head": 5, "copy": 1}
    mirror("--checksum")
    assert operations(proxy) == LIST_ONLY


def test_changed_on_both_sides(
    mirror: Mirror, folder: Path, state_dir: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    """A copy is due for the file: nothing has to be asked first."""
    age(state_dir, "a")
    rewrite(s3, bucket, "a", mode="33060")
    (folder / "a").chmod(0o600)
    mirror()
    assert operations(proxy) == {"list": 1, "copy": 1}
    assert metadata(s3, bucket, "a")["mode"] == str(0o100600)


def test_dry_run_says_so(
    mirror: Mirror, state_dir: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    age(state_dir, "a")
    rewrite(s3, bucket, "a", mode="33060")
    assert re.search(r"metadata\s+a$", mirror("--dry-run", "-v").stdout, re.MULTILINE)
    assert metadata(s3, bucket, "a")["mode"] == "33060"
    mirror()
    assert operations(proxy)["copy"] == 1
    assert metadata(s3, bucket, "a")["mode"] != "33060"


def test_job_that_ends_before_the_copy(
    mirror: Mirror, ctl: Any, folder: Path, state_dir: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    age(state_dir, "a")
    rewrite(s3, bucket, "a", mode="33060")
    proxy.rules.append(Rule(lambda r: r.method == "PUT", Reply(403, {}, b""), times=None))
    mirror(check=4)
    proxy.rules.clear()
    mirror()
    assert operations(proxy)["copy"] == 1
    assert metadata(s3, bucket, "a")["mode"] != "33060"


# -- what is not done again ---------------------------------------------------------------------


def test_looked_at_once(
    mirror: Mirror, state_dir: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    """Written again with the same headers: nothing is to be done, and the next run knows that."""
    age(state_dir, "a", "large", "sub/", "link")
    for key in ("a", "large", "sub/", "link"):
        rewrite(s3, bucket, key)
    before = s3.list_objects_v2(Bucket=bucket)["Contents"]
    mirror()
    assert operations(proxy) == {"list": 1, "head": 4}
    mirror()
    assert operations(proxy) == LIST_ONLY
    assert s3.list_objects_v2(Bucket=bucket)["Contents"] == before


def test_times_are_those_of_the_server(
    mirror: Mirror, ctl: Any, folder: Path, state_dir: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    """Whatever way an object was written, it is not taken for touched by the next run."""

    def check() -> None:
        theirs = listed(s3, bucket)
        ours = recorded(state_dir)
        assert ours.keys() == theirs.keys()
        # Which of the server's times was heard last is chance; the comparison allows for ten seconds.
        early = {key for key in theirs if not theirs[key] - 10 <= ours[key] <= theirs[key] + 60}
        assert early == set()
        mirror()
        assert operations(proxy) == LIST_ONLY
        assert recorded(state_dir) == ours

    check()
    (folder / "a").chmod(0o600)  # metadata
    (folder / "b").rename(folder / "renamed")  # rename
    (folder / "copied").write_text("cherry")  # copy
    (folder / "named").hardlink_to(folder / "sub" / "c")  # link
    with open(folder / "large", "r+b") as file:  # delta
        file.write(b"changed")
    (folder / "new").mkdir()  # put
    mirror()
    assert {"copy", "put", "part"} <= operations(proxy).keys()
    check()


@pytest.mark.parametrize("version", ["older", "deaf"])
def test_time_that_was_not_recorded_is_taken_from_the_listing(
    mirror: Mirror, state_dir: Path, s3: Any, bucket: str, proxy: FaultProxy, version: str
) -> None:
    """By a version that did not do so, or as the server did not say what time it was."""
    if version == "older":
        query(state_dir, "ALTER TABLE object DROP COLUMN stored")
        query(state_dir, "PRAGMA user_version = 4")
    else:
        query(state_dir, "UPDATE object SET stored = 0")

    def is_taken() -> bool:
        assert "set aside" not in mirror().stderr
        assert operations(proxy) == LIST_ONLY
        return recorded(state_dir) == listed(s3, bucket)

    # What was stored just now might still be stored again within the same second.
    wait_until(is_taken, 30, "the times of the listing in the catalogue")
    assert query(state_dir, "PRAGMA user_version") == [(5,)]
    age(state_dir, "a")
    rewrite(s3, bucket, "a", mode="33060")
    mirror()
    assert operations(proxy) == {"list": 1, "head": 1, "copy": 1}


def test_server_that_says_no_time(
    ctl: Any, folder: Path, state_dir: Path, bucket: str, proxy: FaultProxy
) -> None:
    def say(status: int, headers: Headers, content: bytes) -> tuple[int, Headers, bytes]:
        return status, {k: v for k, v in headers.items() if k.lower() != "date"}, content

    proxy.rules.append(Rule(lambda r: True, ReplaceReply(say), times=None))
    for expected in (None, LIST_ONLY, LIST_ONLY):
        proxy.reset()
        ctl("mirror", f"{folder}/", f"s3://{bucket}", check=0, endpoint=proxy)
        assert expected is None or operations(proxy) == expected
    assert all(0 <= stored <= time.time() + 60 for stored in recorded(state_dir).values())


@pytest.mark.parametrize("said", ["9999-12-31T23:59:59.000Z", "1950-01-01T00:00:00.000Z", "0001-01-01T00:00:00Z",
                                  "99999-01-01T00:00:00Z", "nonsense", "", None])  # fmt: skip
@pytest.mark.parametrize("is_known", [True, False])
def test_times_that_cannot_be(
    mirror: Mirror, state_dir: Path, proxy: FaultProxy, said: str | None, is_known: bool
) -> None:
    def say(status: int, headers: Headers, content: bytes) -> tuple[int, Headers, bytes]:
        new = f"<LastModified>{said}</LastModified>" if said is not None else ""
        return status, headers, re.sub(rb"<LastModified>.*?</LastModified>", new.encode(), content)

    if not is_known:
        query(state_dir, "UPDATE object SET stored = 0")
    before = recorded(state_dir)
    rule = Rule(lambda r: "list-type" in r.params, ReplaceReply(say), times=None)
    proxy.rules.append(rule)
    for _ in range(2):
        mirror()
        assert operations(proxy) == LIST_ONLY
    assert rule.hits == 2
    assert recorded(state_dir) == before


@pytest.mark.parametrize("ahead", [0, 8])
def test_server_that_always_tells_the_present(
    mirror: Mirror, state_dir: Path, proxy: FaultProxy, ahead: int
) -> None:
    """Each object is looked at once, and then no more."""

    def say(status: int, headers: Headers, content: bytes) -> tuple[int, Headers, bytes]:
        now = datetime.now(timezone.utc) + timedelta(seconds=ahead)
        new = f"<LastModified>{now:%Y-%m-%dT%H:%M:%S.000Z}</LastModified>"
        return status, headers, re.sub(rb"<LastModified>.*?</LastModified>", new.encode(), content)

    names = list(recorded(state_dir))
    age(state_dir, *names)
    proxy.rules.append(Rule(lambda r: "list-type" in r.params, ReplaceReply(say), times=None))
    mirror()
    assert operations(proxy) == {"list": 1, "head": len(names)}
    for _ in range(2):
        mirror()
        assert operations(proxy) == LIST_ONLY
    assert set(recorded(state_dir).values()) == {0}


# -- what cannot be looked at -------------------------------------------------------------------


@pytest.mark.parametrize("option", ["--delete", "--checksum"])
def test_key_that_may_not_read(
    mirror: Mirror, state_dir: Path, s3: Any, bucket: str, proxy: FaultProxy, option: str
) -> None:
    """It cannot be told what was done: that is said, and nothing is sent for it again and again."""
    age(state_dir, "a")
    rewrite(s3, bucket, "a", mode="33060")
    proxy.rules.append(Rule(lambda r: r.method == "HEAD", Reply(403), times=None))
    result = mirror(option)
    assert operations(proxy) == {"list": 1, "head": 1}
    assert "written again in the bucket by somebody else" in result.stderr + result.stdout
    result = mirror(option)
    assert operations(proxy) == LIST_ONLY
    assert "written again in the bucket by somebody else" not in result.stderr + result.stdout


@pytest.mark.parametrize("option", ["--delete", "--checksum"])
@pytest.mark.parametrize("key", ["a", "large"])
def test_object_that_is_gone_meanwhile(
    mirror: Mirror, folder: Path, state_dir: Path, s3: Any, bucket: str, proxy: FaultProxy, key: str, option: str
) -> None:
    age(state_dir, key)
    rewrite(s3, bucket, key, mode="33060")
    proxy.rules.append(Rule(lambda r: r.method == "HEAD", Reply(404)))
    mirror(option)
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == (folder / key).read_bytes()
    assert metadata(s3, bucket, key)["mode"] != "33060"
    assert operations(proxy)["put" if key == "a" else "part"] > 0


def test_proof_of_the_bytes_is_gone(
    mirror: Mirror, ctl: Any, folder: Path, state_dir: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    """Nobody has read back what somebody else has written."""
    ctl("verify", f"{folder}/", f"s3://{bucket}", check=0, endpoint=proxy)
    proved = query(state_dir, "SELECT count(*) FROM proof WHERE proved > 0")[0][0]
    assert proved > 1
    age(state_dir, "a")
    rewrite(s3, bucket, "a")
    mirror()
    assert query(state_dir, "SELECT count(*) FROM proof WHERE proved > 0") == [(proved - 1,)]
    assert query(state_dir, "SELECT count(*) FROM proof WHERE key = ?", b"a") == [(0,)]
