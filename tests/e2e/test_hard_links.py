# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""Names of one file are one file again after a restore, and nothing else ever becomes one."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from fixtures.checks import open_catalogue, rsync_changes, write_files
from fixtures.clocks import next_second
from fixtures.fault_proxy import FaultProxy
from fixtures.trees import MIB

NAME = "hardlink"  # behind x-amz-meta-


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """a, folder/b and c are one file; large and twin another, sent in parts; alone is one of two
    names, the other of which lies elsewhere."""
    folder = write_files(tmp_path / "data/folder", {
        "a": os.urandom(MIB), "folder/": "", "large": os.urandom(20 * MIB), "alone": "1", "plain": "2",
    })  # fmt: skip
    os.link(folder / "a", folder / "folder/b")
    os.link(folder / "a", folder / "c")
    os.link(folder / "large", folder / "twin")
    os.link(folder / "alone", tmp_path / "elsewhere")
    return folder


@pytest.fixture
def where(bucket: str) -> str:
    return f"s3://{bucket}/p"


def stored(s3: Any, bucket: str, name: str) -> str | None:
    return s3.head_object(Bucket=bucket, Key=f"p/{name}")["Metadata"].get(NAME)


def groups(folder: Path) -> set[frozenset[str]]:
    """Names that are one file."""
    found: dict[int, set[str]] = {}
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            found.setdefault(path.stat().st_ino, set()).add(str(path.relative_to(folder)))
    return {frozenset(names) for names in found.values() if len(names) > 1}


ALL = {frozenset({"a", "folder/b", "c"}), frozenset({"large", "twin"})}


def test_round_trip(ctl: Any, folder: Path, tmp_path: Path, s3: Any, bucket: str, where: str) -> None:
    ctl("mirror", f"{folder}/", where, check=0)
    assert stored(s3, bucket, "a") == stored(s3, bucket, "folder/b") == stored(s3, bucket, "c") != None  # noqa: E711
    assert stored(s3, bucket, "large") == stored(s3, bucket, "twin") != stored(s3, bucket, "a")
    # Of that the backup has no other name.
    assert stored(s3, bucket, "alone") is stored(s3, bucket, "plain") is None
    for with_catalogue in (True, False):
        if not with_catalogue:
            shutil.rmtree(ctl.state_dir)
        back = tmp_path / f"back-{with_catalogue}"
        ctl("restore", where, back, check=0)
        assert groups(back) == ALL
        assert rsync_changes(folder, back, "-aincH") == []
        assert not list(back.rglob(".keepsake-*"))
        # Once more: all is there.
        again = ctl("restore", where, back, "--json", check=0)
        assert groups(back) == ALL and '"unchanged":7,"kept":0,"failed":0' in again.stdout


def test_names_come_and_go(
    ctl: Any, folder: Path, tmp_path: Path, s3: Any, bucket: str, where: str, proxy: FaultProxy
) -> None:
    """A change of names sends no bytes, and no change asks for nothing."""
    ctl("mirror", "--delete", f"{folder}/", where, endpoint=proxy, check=0)
    proxy.reset()
    ctl("mirror", "--delete", f"{folder}/", where, endpoint=proxy, check=0)
    assert [r.path for r in proxy.requests if r.method != "GET"] == []
    with open_catalogue(ctl.state_dir) as catalogue:  # what it did not know it would look at each time
        (known,) = catalogue.execute("SELECT count(hard_link) FROM object").fetchone()
    assert known == 5

    os.link(folder / "plain", folder / "plain too")
    (folder / "twin").unlink()
    own = (folder / "c").read_bytes()
    times = (folder / "c").stat()
    (folder / "c").unlink()
    (folder / "c").write_bytes(own)
    os.utime(folder / "c", ns=(times.st_atime_ns, times.st_mtime_ns))
    proxy.reset()
    ctl("mirror", "--delete", f"{folder}/", where, endpoint=proxy, check=0)
    assert proxy.bytes_up < 100_000
    assert stored(s3, bucket, "plain") == stored(s3, bucket, "plain too") != None  # noqa: E711
    assert stored(s3, bucket, "c") is stored(s3, bucket, "large") is None

    ctl("restore", where, tmp_path / "back", check=0)
    assert groups(tmp_path / "back") == {frozenset({"a", "folder/b"}), frozenset({"plain", "plain too"})}
    assert rsync_changes(folder, tmp_path / "back", "-aincH") == []


def test_what_differs_stays_apart(
    ctl: Any, folder: Path, tmp_path: Path, s3: Any, bucket: str, where: str
) -> None:
    """Whatever the bucket says: other bytes, another mode, an attribute."""
    ctl("mirror", f"{folder}/", where, check=0)
    shutil.rmtree(ctl.state_dir)
    said = s3.head_object(Bucket=bucket, Key="p/c")["Metadata"]
    other = os.urandom(MIB)
    s3.put_object(Bucket=bucket, Key="p/c", Body=other, Metadata=said)
    said = s3.head_object(Bucket=bucket, Key="p/twin")["Metadata"]
    said["mode"] = str(0o100600)
    s3.copy_object(Bucket=bucket, Key="p/twin", CopySource=f"{bucket}/p/twin", Metadata=said,
                   MetadataDirective="REPLACE")  # fmt: skip
    back = tmp_path / "back"
    ctl("restore", where, back, check=0)
    assert groups(back) == {frozenset({"a", "folder/b"})}
    assert (back / "c").read_bytes() == other
    assert (back / "a").read_bytes() == (folder / "a").read_bytes()
    assert (back / "twin").stat().st_mode == 0o100600 != (back / "large").stat().st_mode


def test_among_other_files(ctl: Any, folder: Path, tmp_path: Path, where: str) -> None:
    """What stays as it is, is no name of what was restored; and what has a name elsewhere keeps it."""
    ctl("mirror", f"{folder}/", where, check=0)
    back = write_files(tmp_path / "back", {"c": "newer"})
    os.utime(back / "c", ns=(2 * 10**18, 2 * 10**18))
    shutil.copy2(folder / "large", back / "twin")
    os.link(back / "twin", tmp_path / "mine")
    ctl("restore", where, back, check=0)
    assert (back / "c").read_text() == "newer" and (back / "c").stat().st_nlink == 1
    assert (back / "twin").stat().st_ino == (tmp_path / "mine").stat().st_ino
    assert groups(back) == {frozenset({"a", "folder/b"})}


def test_one_of_them(ctl: Any, folder: Path, tmp_path: Path, where: str) -> None:
    ctl("mirror", f"{folder}/", where, check=0)
    ctl("restore", where, tmp_path / "back", "--path", "folder", check=0)
    assert (tmp_path / "back/folder/b").stat().st_nlink == 1
    assert (tmp_path / "back/folder/b").read_bytes() == (folder / "a").read_bytes()
    ctl("restore", where, tmp_path / "dry", "--dry-run", check=0)
    assert not (tmp_path / "dry").exists()


def test_of_a_moment(ctl: Any, folder: Path, tmp_path: Path, s3: Any, bucket: str, where: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    ctl("mirror", "--delete", f"{folder}/", where, check=0)
    moment = next_second()
    for name in ("c", "twin"):
        (folder / name).unlink()
    ctl("mirror", "--delete", f"{folder}/", where, check=0)
    ctl("restore", where, tmp_path / "back", "--at",
        time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment)), check=0)
    assert groups(tmp_path / "back") == ALL


def test_catalogue_of_before(
    ctl: Any, folder: Path, s3: Any, bucket: str, where: str, proxy: FaultProxy
) -> None:
    """One that knows nothing of hard links is gone on with: only of these the metadata is written."""
    ctl("mirror", f"{folder}/", where, endpoint=proxy, check=0)
    expected = stored(s3, bucket, "a")
    (path,) = ctl.state_dir.rglob("catalogue/*.db")
    with closing(sqlite3.connect(path)) as catalogue, catalogue:
        catalogue.execute("ALTER TABLE object DROP COLUMN hard_link")
        catalogue.execute("PRAGMA user_version = 3")
    for name in ("a", "c"):
        said = s3.head_object(Bucket=bucket, Key=f"p/{name}")["Metadata"]
        del said[NAME]
        s3.copy_object(Bucket=bucket, Key=f"p/{name}", CopySource=f"{bucket}/p/{name}", Metadata=said,
                       MetadataDirective="REPLACE")  # fmt: skip
    proxy.reset()
    assert "set aside" not in ctl("mirror", f"{folder}/", where, endpoint=proxy, check=0).stderr
    assert proxy.bytes_up < 100_000
    assert stored(s3, bucket, "a") == stored(s3, bucket, "c") == expected
    proxy.reset()
    ctl("mirror", f"{folder}/", where, endpoint=proxy, check=0)
    assert {request.method for request in proxy.requests} == {"GET"}
