# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""A second run sends what changed and nothing else, whoever changed it and wherever."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fixtures.checks import (
    body,
    body_bytes,
    etags,
    keys,
    metadata,
    operations,
    rows,
    rsync_changes,
    sent_keys,
    write_files,
)
from fixtures.fault_proxy import FaultProxy
from fixtures.trees import MIB, make_tree

pytest_plugins = ["fixtures.mirror_fixtures"]

Mirror = Callable[..., Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_files(
        tmp_path / "folder",
        {"a": "apple", "b": "banana", "sub/c": "cherry", "large": os.urandom(9 * MIB)},
    )


# -- nothing changed ----------------------------------------------------------------------------


def test_unchanged_hard_tree_costs_one_listing(
    ctl: Any, tmp_path: Path, bucket: str, proxy: FaultProxy
) -> None:
    tree = make_tree(tmp_path / "tree").root
    arguments = ["mirror", "--delete", f"{tree}/", f"s3://{bucket}/p"]
    ctl(*arguments, check=0, endpoint=proxy)
    for _ in range(2):
        proxy.reset()
        result = ctl(*arguments, check=0, endpoint=proxy)
        assert operations(proxy) == {"list": 1}
        assert "Done: 0 sent (0 B), 0 copied by the server, 0 deleted, " in result.stdout


def test_unchanged_2500_files_cost_three_listings(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    folder = write_files(tmp_path / "many", {f"{i % 7}/{i}": str(i) for i in range(2500)})
    arguments = ["mirror", "--delete", f"{folder}/", f"s3://{bucket}/p"]
    ctl(*arguments, check=0, endpoint=proxy)
    assert len(keys(s3, bucket)) == 2500 + 7 + 1
    proxy.reset()
    result = ctl(*arguments, check=0, endpoint=proxy)
    assert operations(proxy) == {"list": 3}
    assert "2508 unchanged, 0 failed" in result.stdout


def test_checksum_reads_all_and_sends_nothing(mirror: Mirror, proxy: FaultProxy) -> None:
    mirror("--checksum")
    assert operations(proxy) == {"list": 1}


# -- something changed here ---------------------------------------------------------------------


def test_touch_sends_headers_only(
    mirror: Mirror, folder: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    os.utime(folder / "large", ns=(0, 1_500_000_000_000_000_001))
    os.utime(folder / "a", ns=(0, 1_500_000_000_000_000_002))
    mirror()
    assert body_bytes(proxy) == 0
    # The large one is put together of parts that the server copies: see the body bytes above.
    assert sent_keys(proxy, "copy") == ["a"]
    assert metadata(s3, bucket, "large")["mtime"] == "1500000000.000000001"
    assert metadata(s3, bucket, "a")["mtime"] == "1500000000.000000002"
    assert body(s3, bucket, "large") == (folder / "large").read_bytes()
    mirror()
    assert operations(proxy) == {"list": 1}


def test_chmod_sends_headers_only(
    mirror: Mirror, folder: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    (folder / "a").chmod(0o4711)
    (folder / "sub").chmod(0o2750)
    mirror()
    assert operations(proxy) == {"list": 1, "copy": 1, "put": 1}  # a folder has no body to save
    assert body_bytes(proxy) == 0
    assert metadata(s3, bucket, "a")["mode"] == str(0o104711)
    assert metadata(s3, bucket, "sub/")["mode"] == str(0o42750)
    assert body(s3, bucket, "a") == b"apple"


def test_new_attribute_sends_headers_only(
    mirror: Mirror, folder: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    os.setxattr(folder / "a", "user.tag", b"red")
    mirror()
    assert operations(proxy) == {"list": 1, "copy": 1}
    assert metadata(s3, bucket, "a")["xattr"] == "%7B%22user.tag%22%3A%22cmVk%22%7D"
    os.removexattr(folder / "a", "user.tag")
    mirror()
    assert operations(proxy) == {"list": 1, "copy": 1}
    assert "xattr" not in metadata(s3, bucket, "a")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_new_owner_sends_headers_only(
    mirror: Mirror, folder: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    os.chown(folder / "a", 1000, 1001)
    mirror()
    assert operations(proxy) == {"list": 1, "copy": 1}
    assert metadata(s3, bucket, "a")["gid"] == "1001"


def test_other_bytes_under_the_same_size_and_time(
    mirror: Mirror, folder: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    before = (folder / "a").stat().st_mtime_ns
    (folder / "a").write_text("grape")
    os.utime(folder / "a", ns=(before, before))
    mirror()
    assert operations(proxy) == {"list": 1, "put": 1}
    assert body(s3, bucket, "a") == b"grape"


def test_rewritten_with_the_same_bytes(
    mirror: Mirror, folder: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    """A new inode with the old content: the new time goes, the bytes do not."""
    content = (folder / "large").read_bytes()
    (folder / "copy").write_bytes(content)
    (folder / "copy").rename(folder / "large")
    mirror()
    # A large object is put together of parts that the server copies.
    assert body_bytes(proxy) == 0
    mtime = (folder / "large").stat().st_mtime_ns
    assert metadata(s3, bucket, "large")["mtime"] == f"{mtime // 10**9}.{mtime % 10**9:09}"


def test_growth_and_shrinking(
    mirror: Mirror, folder: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    with open(folder / "a", "ab") as file:
        file.write(b" pie")
    mirror()
    assert body(s3, bucket, "a") == b"apple pie"
    assert body_bytes(proxy) == len("apple pie")
    with open(folder / "a", "ab") as file:  # from one part to two
        file.truncate(8 * MIB + 1)
    mirror()
    assert body(s3, bucket, "a") == b"apple pie".ljust(8 * MIB + 1, b"\0")
    (folder / "a").write_bytes(b"")
    mirror()
    assert body(s3, bucket, "a") == b""
    assert operations(proxy) == {"list": 1, "put": 1}


def test_rename(mirror: Mirror, folder: Path, s3: Any, bucket: str, proxy: FaultProxy) -> None:
    (folder / "a").rename(folder / "sub/z")
    mirror()
    assert keys(s3, bucket) == ["b", "large", "sub/", "sub/c", "sub/z"]
    assert body(s3, bucket, "sub/z") == b"apple"
    assert (sent_keys(proxy, "copy"), sent_keys(proxy, "put")) == (["sub/z"], ["sub/"])
    assert body_bytes(proxy) == 0


def test_other_kinds_of_file_take_a_name(
    mirror: Mirror, folder: Path, s3: Any, bucket: str
) -> None:
    """File to folder, folder to file, file to symlink: no trace of the old kind is left."""
    (folder / "a").unlink()
    write_files(folder, {"a/inside": "1"})
    (folder / "sub/c").unlink()
    (folder / "sub").rmdir()
    (folder / "sub").write_text("a file now")
    (folder / "b").unlink()
    (folder / "b").symlink_to("banana")
    mirror()
    assert keys(s3, bucket) == ["a/", "a/inside", "b", "large", "sub"]
    assert body(s3, bucket, "sub") == b"a file now"
    # The same body as before, but a link.
    assert body(s3, bucket, "b") == b"banana"
    assert metadata(s3, bucket, "b")["mode"] == "41471"


def test_symlink_to_another_target_of_the_same_length(
    mirror: Mirror, folder: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    (folder / "link").symlink_to("aaa")
    mirror()
    old = (folder / "link").lstat().st_mtime_ns
    (folder / "link").unlink()
    (folder / "link").symlink_to("bbb")
    os.utime(folder / "link", ns=(old, old), follow_symlinks=False)
    mirror()
    assert body(s3, bucket, "link") == b"bbb"


def test_new_hard_link_sends_no_bytes(
    mirror: Mirror, folder: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    os.link(folder / "large", folder / "zarge")
    mirror()
    assert body_bytes(proxy) == 0
    assert body(s3, bucket, "zarge") == (folder / "large").read_bytes()


def test_hard_link_that_comes_first_in_order_sends_no_bytes(
    mirror: Mirror, folder: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    os.link(folder / "large", folder / "aaa")
    mirror()
    assert body_bytes(proxy) == 0
    assert body(s3, bucket, "aaa") == (folder / "large").read_bytes()


def test_changed_hard_link_changes_under_each_name(
    mirror: Mirror, folder: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    os.link(folder / "b", folder / "z")
    mirror()
    with open(folder / "z", "r+b") as file:
        file.write(b"B")
    mirror()
    assert body(s3, bucket, "b") == body(s3, bucket, "z") == b"Banana"
    assert body_bytes(proxy) == len("banana")


def test_checksum_finds_what_all_times_hide(
    mirror: Mirror, ctl: Any, folder: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    """As after a fault of the disk: the catalogue is made to believe that it knows this ctime."""
    (folder / "a").write_text("grape")
    now = (folder / "a").stat()
    (catalogue,) = ctl.state_dir.rglob("*.db")
    with sqlite3.connect(catalogue) as database:
        changed = database.execute(
            "UPDATE object SET mtime = ?, ctime = ? WHERE key = ?",
            (now.st_mtime_ns, now.st_ctime_ns, b"a"),
        )
        assert changed.rowcount == 1
    database.close()
    mirror()
    assert body(s3, bucket, "a") == b"apple", "the test's own trick does not work any more"
    mirror("--checksum")
    assert body(s3, bucket, "a") == b"grape"
    assert operations(proxy) == {"list": 1, "put": 1}


# -- something changed there --------------------------------------------------------------------


def test_deleted_object_comes_back(
    mirror: Mirror, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    before = etags(s3, bucket)
    s3.delete_object(Bucket=bucket, Key="sub/c")
    s3.delete_object(Bucket=bucket, Key="sub/")
    mirror()
    assert etags(s3, bucket) == before
    assert sent_keys(proxy, "put") == ["sub/", "sub/c"]


def test_overwritten_object_of_the_same_size_is_repaired(
    mirror: Mirror, s3: Any, bucket: str
) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"APPLE")
    mirror()
    assert body(s3, bucket, "a") == b"apple"
    assert metadata(s3, bucket, "a")["mode"] == "33188"


@pytest.mark.parametrize("option", ["--delete", "--checksum"], ids=["plain", "checksum"])
def test_overwritten_object_that_kept_its_headers_is_repaired(
    mirror: Mirror, s3: Any, bucket: str, option: str
) -> None:
    """Only the ETag tells; the ctime in the headers must not talk us out of it."""
    s3.put_object(Bucket=bucket, Key="a", Body=b"APPLE", Metadata=metadata(s3, bucket, "a"))
    mirror(option)
    assert body(s3, bucket, "a") == b"apple"


def test_overwritten_large_object_is_repaired(
    mirror: Mirror, folder: Path, s3: Any, bucket: str
) -> None:
    content = bytearray((folder / "large").read_bytes())
    content[5_000_000] ^= 1
    s3.put_object(
        Bucket=bucket, Key="large", Body=bytes(content), Metadata=metadata(s3, bucket, "large")
    )
    mirror()
    assert body(s3, bucket, "large") == (folder / "large").read_bytes()


def test_copied_object_costs_a_look_only(
    mirror: Mirror, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    """Another tool stored the same bytes with the same headers in another way: another ETag."""
    content = body(s3, bucket, "large")
    before = etags(s3, bucket)["large"]
    s3.put_object(Bucket=bucket, Key="large", Body=content, Metadata=metadata(s3, bucket, "large"))
    assert etags(s3, bucket)["large"] != before  # one piece instead of two
    mirror()
    assert body(s3, bucket, "large") == content
    assert operations(proxy)["head"] == 1
    mirror()
    assert operations(proxy) == {"list": 1}


def test_objects_of_others_go_with_delete_only(
    mirror: Mirror, ctl: Any, folder: Path, s3: Any, bucket: str
) -> None:
    before = keys(s3, bucket)
    s3.put_object(Bucket=bucket, Key="not ours", Body=b"x")
    ctl("mirror", f"{folder}/", f"s3://{bucket}", check=0)
    assert keys(s3, bucket) == sorted([*before, "not ours"])
    mirror()
    assert keys(s3, bucket) == before


# -- the catalogue ------------------------------------------------------------------------------


def forget(state_dir: Path) -> None:
    files = [path for path in state_dir.rglob("*.db*") if path.is_file()]
    assert files
    for path in files:
        path.unlink()


def test_lost_catalogue_costs_heads_only(
    mirror: Mirror, state_dir: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    before = rows(s3, bucket)
    forget(state_dir)
    mirror()
    assert operations(proxy) == {"list": 1, "head": len(before)}
    assert rows(s3, bucket) == before
    mirror()
    assert operations(proxy) == {"list": 1}


def test_lost_catalogue_of_the_hard_tree_costs_heads_only(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str, state_dir: Path, proxy: FaultProxy
) -> None:
    tree = make_tree(tmp_path / "tree").root
    arguments = ["mirror", "--delete", f"{tree}/", f"s3://{bucket}/p"]
    ctl(*arguments, check=0, endpoint=proxy)
    forget(state_dir)
    proxy.reset()
    ctl(*arguments, check=0, endpoint=proxy)
    found = operations(proxy)
    assert (found["put"], found["part"], found["copy"]) == (0, 0, 0)
    assert found["head"] == len(keys(s3, bucket))


def test_changes_are_found_without_a_catalogue(
    mirror: Mirror, folder: Path, state_dir: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    before = (folder / "a").stat().st_mtime_ns
    (folder / "a").write_text("grape")
    os.utime(folder / "a", ns=(before, before))
    (folder / "b").chmod(0o600)
    forget(state_dir)
    mirror()
    assert body(s3, bucket, "a") == b"grape"
    assert metadata(s3, bucket, "b")["mode"] == "33152"
    assert operations(proxy) == {"list": 1, "head": 5, "put": 1, "copy": 1}


def test_what_the_recipe_has_stored_is_adopted(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str, proxy: FaultProxy, s3fs_mount: Any
) -> None:
    """README.md says so: by s3fs and rsync, in one piece; in parts it is sent again."""
    folder = write_files(tmp_path / "Pictures", {"one": "1", "sub/two": os.urandom(100_000), "sub/empty": "",
                                                 "parts": os.urandom(30 * MIB)})  # fmt: skip
    (folder / "link").symlink_to("one")
    (folder / "one").chmod(0o640)
    with s3fs_mount(bucket, options="multipart_size=10") as mount:
        subprocess.run(["rsync", "-a", "--delete", folder, f"{mount}/"], check=True)
    assert "-" in s3.head_object(Bucket=bucket, Key="Pictures/parts")["ETag"]
    ctl("restore", f"s3://{bucket}/Pictures", tmp_path / "back", check=0)
    assert rsync_changes(folder, tmp_path / "back", "-ainc") == []
    before = etags(s3, bucket)
    ctl("mirror", "--delete", folder, f"s3://{bucket}", check=0, endpoint=proxy)
    sent = {request.key for request in proxy.requests if request.method == "PUT" and request.body_length}
    assert sent - {"Pictures/link"} == {"Pictures/parts"}
    after = etags(s3, bucket)
    assert [key for key in before if after[key] != before[key] and key != "Pictures/link"] == ["Pictures/parts"]
    with s3fs_mount(bucket) as mount:
        assert rsync_changes(folder, mount / "Pictures") == []
    proxy.reset()
    ctl("mirror", "--delete", folder, f"s3://{bucket}", check=0, endpoint=proxy)
    assert {request.method for request in proxy.requests} == {"GET"}


def test_mirror_of_another_machine_is_adopted(
    mirror: Mirror, ctl: Any, folder: Path, tmp_path: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    """The files were copied with their times: other inodes, other ctimes, the same bytes."""
    before = rows(s3, bucket)
    twin = tmp_path / "twin"
    shutil.copytree(folder, twin)
    proxy.reset()
    ctl(
        "mirror", f"{twin}/", f"s3://{bucket}", check=0, endpoint=proxy,
        env={"XDG_STATE_HOME": str(tmp_path / "other state")},
    )  # fmt: skip
    assert operations(proxy) == {"list": 1, "head": len(before)}
    assert rows(s3, bucket) == before
