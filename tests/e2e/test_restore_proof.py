# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""What a killed restore leaves, and what is recorded: no byte is taken for good unseen."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig

from fixtures import wait_until
from fixtures.checks import body, keys, metadata, rsync_changes, write_files
from fixtures.clocks import next_second
from fixtures.fault_proxy import FaultProxy, Hang, ReplaceReply, Rule
from fixtures.large_files import refusal
from fixtures.trees import MIB

IN_ONE_PIECE = TransferConfig(multipart_threshold=1024 * MIB)

# -- what a killed one leaves -------------------------------------------------------------------


def test_kill_leaves_nothing_behind(
    ctl: Any, tmp_path: Path, bucket: str, proxy: FaultProxy
) -> None:
    folder = write_files(tmp_path / "folder", {"sub/large": os.urandom(20 * MIB)})
    ctl("mirror", f"{folder}/", f"s3://{bucket}/p", check=0)
    rule = Rule(
        lambda r: r.method == "GET" and r.headers.get("range", "").startswith(f"bytes={16 * MIB}-"),
        Hang(60), times=None,
    )  # fmt: skip
    proxy.rules.append(rule)
    back = tmp_path / "back"
    process = ctl.popen("restore", f"s3://{bucket}/p", back, endpoint=proxy)
    wait_until(lambda: rule.hits > 0, 20, "the last range")
    process.kill()
    process.wait()
    assert os.listdir(back / "sub") == []

    # As one left on a file system that has no files without a name.
    write_files(back, {"sub/.keepsake-0badcafe": "half", "sub/.keepsake-notes": "mine"})
    ctl("restore", f"s3://{bucket}/p", back, check=0)
    assert sorted(os.listdir(back / "sub")) == [".keepsake-notes", "large"]


def parts(folder: Path) -> list[str]:
    return [name for name in os.listdir(folder) if name.startswith(".keepsake-part-")]


def test_large_file_goes_on_where_it_was(
    ctl: Any, tmp_path: Path, bucket: str, proxy: FaultProxy
) -> None:
    size = 512 * MIB
    folder = tmp_path / "folder"
    folder.mkdir()
    with open(folder / "large", "wb") as file:
        for _ in range(size // (16 * MIB)):
            file.write(os.urandom(16 * MIB))
    ctl("mirror", f"{folder}/", f"s3://{bucket}/p", check=0)
    back = tmp_path / "back"
    rule = Rule(
        lambda r: r.method == "GET" and r.headers.get("range", "").startswith(f"bytes={256 * MIB}-"),
        Hang(60), times=None,
    )  # fmt: skip
    proxy.rules.append(rule)
    # How many ranges are on the way is what the last assertion counts with.
    process = ctl.popen("restore", "--jobs", "4", f"s3://{bucket}/p", back, endpoint=proxy)
    wait_until(lambda: rule.hits > 0, 120, "half of the file")
    process.kill()
    process.wait()
    assert len(parts(back)) == 1 and not (back / "large").exists()

    proxy.rules.clear()
    before = proxy.bytes_down
    ctl("restore", f"s3://{bucket}/p", back, endpoint=proxy, check=0)
    # What was on the way when it was killed is fetched again.
    assert proxy.bytes_down - before < size - 256 * MIB + 4 * 8 * MIB
    assert os.listdir(back) == ["large"]
    assert rsync_changes(folder, back, "-ainc") == []


def half_a_file(ctl: Any, proxy: FaultProxy, address: str, back: Path) -> None:
    """Kills a restore of 80 MiB behind its first ranges."""
    rule = Rule(
        lambda r: r.method == "GET" and r.headers.get("range", "").startswith(f"bytes={64 * MIB}-"),
        Hang(60), times=None,
    )  # fmt: skip
    proxy.rules.append(rule)
    process = ctl.popen("restore", "--jobs", "4", address, back, endpoint=proxy)
    wait_until(lambda: rule.hits > 0, 60, "the ninth range")
    process.kill()
    process.wait()
    proxy.rules.clear()


def test_half_a_file_is_nobodys_file(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    """A backup of the folder that a restore in place has left half way does not take it."""
    folder = write_files(tmp_path / "folder", {"large": os.urandom(80 * MIB)})
    back = write_files(tmp_path / "back", {"mine": "1", ".keepsake-part-of-mine": "2"})
    ctl("mirror", f"{folder}/", f"s3://{bucket}/p", check=0)
    half_a_file(ctl, proxy, f"s3://{bucket}/p", back)
    assert len(parts(back)) == 2
    ctl("mirror", "--delete", f"{back}/", f"s3://{bucket}/q", check=0)
    assert keys(s3, bucket, "q/") == ["q/", "q/.keepsake-part-of-mine", "q/mine"]


def test_half_a_file_needs_no_room_twice(
    ctl: Any, tmp_path: Path, bucket: str, proxy: FaultProxy
) -> None:
    folder = write_files(tmp_path / "folder", {"large": os.urandom(80 * MIB)})
    ctl("mirror", f"{folder}/", f"s3://{bucket}/p", check=0)
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=100m", "none", disk]
    if subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("cannot mount")
    try:
        half_a_file(ctl, proxy, f"s3://{bucket}/p", disk)
        assert len(parts(disk)) == 1
        ctl("restore", f"s3://{bucket}/p", disk, check=0)
        assert (disk / "large").read_bytes() == (folder / "large").read_bytes()
    finally:
        subprocess.run(["umount", disk], check=True)


def test_half_a_file_of_another_object_is_of_no_use(
    ctl: Any, tmp_path: Path, bucket: str, proxy: FaultProxy
) -> None:
    folder = write_files(tmp_path / "folder", {"large": os.urandom(80 * MIB)})
    back = tmp_path / "back"
    ctl("mirror", f"{folder}/", f"s3://{bucket}/p", check=0)
    half_a_file(ctl, proxy, f"s3://{bucket}/p", back)
    write_files(folder, {"large": os.urandom(80 * MIB)})
    ctl("mirror", f"{folder}/", f"s3://{bucket}/p", check=0)
    ctl("restore", f"s3://{bucket}/p", back, check=0)
    assert (back / "large").read_bytes() == (folder / "large").read_bytes()

    # The rest of the old one waits for a week, and no longer.
    (left,) = parts(back)
    ctl("restore", f"s3://{bucket}/p", back, check=0)
    assert parts(back) == [left]
    long_ago = time.time() - 8 * 24 * 3600
    os.utime(back / left, (long_ago, long_ago))
    ctl("restore", f"s3://{bucket}/p", back, check=0)
    assert parts(back) == []


def test_damaged_half_is_found(ctl: Any, tmp_path: Path, s3: Any, bucket: str,
                               proxy: FaultProxy) -> None:  # fmt: skip
    """Where the ETag is the MD5 of the bytes; nothing wrong gets the file's name."""
    folder = write_files(tmp_path / "folder", {"large": os.urandom(80 * MIB)})
    back = tmp_path / "back"
    s3.upload_file(str(folder / "large"), bucket, "p/large", Config=IN_ONE_PIECE)
    half_a_file(ctl, proxy, f"s3://{bucket}/p", back)
    (left,) = parts(back)
    with open(back / left, "r+b") as file:
        file.write(b"no longer what it was")
    ctl("restore", f"s3://{bucket}/p", back, check=0)
    assert (back / "large").read_bytes() == (folder / "large").read_bytes()
    assert parts(back) == []


# -- what was recorded ---------------------------------------------------------------------------


@pytest.fixture
def recorded(ctl: Any, tmp_path: Path, bucket: str) -> Path:
    folder = write_files(
        tmp_path / "folder",
        {"flipped": "1234", "cut": "12345678", "gone": "g", "other": "mine", "good": "g", "sub/gone": "s",
         "large": os.urandom(20 * MIB)},
    )  # fmt: skip
    # Before anything that is put into the bucket: the server tells that in whole seconds.
    for path in folder.rglob("*"):
        os.utime(path, (10**9, 10**9))
    ctl("mirror", f"{folder}/", f"s3://{bucket}/p", check=0)
    return folder


def spoil(s3: Any, bucket: str) -> None:
    """Behind our back, and with the headers that were there."""

    def replace(key: str, change: Callable[[bytes], bytes]) -> None:
        s3.put_object(Bucket=bucket, Key=key, Body=change(body(s3, bucket, key)),
                      Metadata=metadata(s3, bucket, key))  # fmt: skip

    replace("p/flipped", lambda b: bytes([b[0] ^ 1]) + b[1:])
    replace("p/cut", lambda b: b[:-1])
    replace("p/large", lambda b: b[:-1] + bytes([b[-1] ^ 1]))
    s3.delete_object(Bucket=bucket, Key="p/gone")
    s3.delete_object(Bucket=bucket, Key="p/sub/gone")
    s3.put_object(Bucket=bucket, Key="p/other", Body=b"of somebody else")


def failures(result: Any) -> dict[str, str]:
    return {row["path"]: row["error"] for row in result.json if row["type"] == "failed"}


def test_restore_finds_what_is_not_what_was_stored(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str, recorded: Path
) -> None:
    spoil(s3, bucket)
    back = tmp_path / "back"
    result = ctl("restore", "--json", f"s3://{bucket}/p", back, check=2)
    assert failures(result) == {
        "p/flipped": "corrupt", "p/cut": "corrupt", "p/large": "corrupt", "p/gone": "not-found",
        "p/sub/gone": "not-found",
    }  # fmt: skip
    # Another object is nobody's fault: where there is no file, it is restored.
    assert sorted(os.listdir(back)) == ["good", "other", "sub"]
    notices = [row["message"] for row in result.json if row["type"] == "notice"]
    assert [text for text in notices if "record" in text] == [
        "“p/other” is another file in the bucket than this computer has a record of; it was restored "
        "as it is there"
    ]

    # Nothing bad takes the place of a good file, and of a folder only its own is missed.
    result = ctl("restore", "--json", f"s3://{bucket}/p/sub", tmp_path / "sub", check=2)
    assert failures(result) == {"p/sub/gone": "not-found"}
    before = {path: path.read_bytes() for path in recorded.rglob("*") if path.is_file()}
    (recorded / "cut").write_bytes(b"older, and lost soon")
    os.utime(recorded / "cut", (1, 1))
    before[recorded / "cut"] = b"older, and lost soon"
    result = ctl("restore", "--json", f"s3://{bucket}/p", recorded, check=2)
    assert failures(result) == {
        "p/cut": "corrupt", "p/other": "conflict", "p/gone": "not-found", "p/sub/gone": "not-found"
    }  # fmt: skip
    assert {path: path.read_bytes() for path in recorded.rglob("*") if path.is_file()} == before
    result = ctl("restore", "--json", "--overwrite", "always", f"s3://{bucket}/p", recorded, check=2)
    assert failures(result)["p/flipped"] == "corrupt" and "p/other" not in failures(result)
    before[recorded / "other"] = b"of somebody else"
    assert {path: path.read_bytes() for path in recorded.rglob("*") if path.is_file()} == before


def test_record_that_ends_early_proves_nothing(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str
) -> None:
    """What it does not tell of was not looked at: a restore says so, and a verification reads it."""
    folder = write_files(tmp_path / "folder", {"large": os.urandom(20 * MIB)})
    os.utime(folder / "large", (10**9, 10**9))
    ctl("mirror", f"{folder}/", f"s3://{bucket}/p", check=0)
    (catalogue,) = ctl.state_dir.rglob("*.db")
    with sqlite3.connect(catalogue) as database:
        database.execute("DELETE FROM chunk WHERE offset > ?", (8 * MIB,))
    database.close()
    result = ctl("restore", "--json", f"s3://{bucket}/p", tmp_path / "back", check=0)
    assert [row["message"] for row in result.json if row["type"] == "notice"] == [
        "Of 1 large files the server has no checksum of all bytes: they were checked by their length"
    ]
    (folder / "large").unlink()
    for _ in range(3):
        result = ctl("verify", "--json", f"{folder}/", f"s3://{bucket}/p")
    coverage = result.json[-1]["coverage"]
    assert coverage["objects_proved"] < coverage["objects"], coverage


def test_damaged_half_is_found_by_the_record(
    ctl: Any, tmp_path: Path, bucket: str, proxy: FaultProxy
) -> None:
    folder = write_files(tmp_path / "folder", {"large": os.urandom(80 * MIB)})
    back = tmp_path / "back"
    ctl("mirror", f"{folder}/", f"s3://{bucket}/p", check=0)
    half_a_file(ctl, proxy, f"s3://{bucket}/p", back)
    (left,) = parts(back)
    with open(back / left, "r+b") as file:
        file.write(b"no longer what it was")
    ctl("restore", f"s3://{bucket}/p", back, check=0)
    assert (back / "large").read_bytes() == (folder / "large").read_bytes()


def flipped(status: int, headers: dict[str, str], content: bytes) -> Any:
    return status, headers, content[:-1] + bytes([content[-1] ^ 1])


@pytest.mark.parametrize("overwrite", ["older", "always"])
def test_unproved_bytes_take_no_files_place(
    ctl: Any, tmp_path: Path, bucket: str, state_dir: Path, proxy: FaultProxy, overwrite: str
) -> None:
    """On a machine that has only the key, with a server of which nothing is known."""
    folder = write_files(tmp_path / "folder", {"a": "good bytes", "b": "other bytes"})
    ctl("mirror", f"{folder}/", f"s3://{bucket}/p", check=0)
    shutil.rmtree(state_dir)
    back = write_files(tmp_path / "back", {"a": "older bytes"})
    os.utime(back / "a", (1, 1))
    proxy.rules.append(Rule(lambda r: r.method == "GET" and r.path.endswith("/a"),
                            ReplaceReply(flipped), times=None))  # fmt: skip
    result = ctl("restore", "--jobs=1", "--json", "--overwrite", overwrite, f"s3://{bucket}/p", back,
                 endpoint=proxy, check=2)  # fmt: skip
    assert failures(result) == {"p/a": "corrupt"}
    text = (back / "a").read_bytes()
    # "always" takes what comes; that it is wrong shows when another object has its MD5.
    assert text == (b"older bytes" if overwrite == "older" else b"good byter")
    assert (back / "b").read_text() == "other bytes"


def test_record_holds_for_the_past(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    """The version of that moment is the one that is recorded: then it has to have those bytes."""
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    folder = write_files(tmp_path / "folder", {"large": os.urandom(20 * MIB)})
    ctl("mirror", f"{folder}/", f"s3://{bucket}/p", endpoint=proxy, check=0)
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(next_second()))
    s3.put_object(Bucket=bucket, Key="p/large", Body=b"of somebody else")
    command = ("restore", "--json", f"s3://{bucket}/p", tmp_path / "back", "--at", moment)
    rule = Rule(lambda r: r.method == "GET" and r.key == "p/large", ReplaceReply(flipped), times=None)
    proxy.rules.append(rule)
    assert failures(ctl(*command, endpoint=proxy, check=2)) == {"p/large": "corrupt"}
    assert rule.hits > 0 and not (tmp_path / "back/large").exists()
    proxy.rules.clear()
    ctl(*command, endpoint=proxy, check=0)
    assert (tmp_path / "back/large").read_bytes() == (folder / "large").read_bytes()


def test_record_that_is_out_of_date(
    ctl: Any, tmp_path: Path, bucket: str, state_dir: Path
) -> None:
    """A mirror of a part came before that of all."""
    folder = write_files(tmp_path / "folder", {"a": "1", "sub/c": "3", "sub/d": "4"})
    ctl("mirror", f"{folder}/sub/", f"s3://{bucket}/p/sub", check=0)
    for path in state_dir.rglob("*.db*"):
        os.utime(path, (1, 1))
    ctl("mirror", f"{folder}/", f"s3://{bucket}/p", check=0)
    (folder / "sub/c").unlink()
    ctl("mirror", "--delete", f"{folder}/", f"s3://{bucket}/p", check=0)
    ctl("restore", f"s3://{bucket}/p/sub", tmp_path / "back", check=0)


def test_forbidden_is_not_absent(
    ctl: Any, tmp_path: Path, bucket: str, proxy: FaultProxy
) -> None:
    folder = write_files(tmp_path / "folder", {"a": "1"})
    ctl("mirror", f"{folder}/", f"s3://{bucket}/p", check=0)
    proxy.rules.append(Rule(lambda r: r.method == "HEAD", refusal(403, "AccessDenied"), times=None))
    ctl("restore", f"s3://{bucket}/p/a", tmp_path / "back", endpoint=proxy, check=4)
