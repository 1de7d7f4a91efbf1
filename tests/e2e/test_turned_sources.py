# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""Sources that were a folder and are a file, or the reverse: what was stored of them goes under the
guard, or is told in each run."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from fixtures.checks import keys, write_files
from fixtures.guard import TMPFS, held_back, mounted

FOLDER = {"x/a": "1", "x/sub/b": "22"}
FOLDER_KEYS = ["p/x/", "p/x/a", "p/x/sub/", "p/x/sub/b"]
# A file, a folder, and the keys that each has in the bucket.
TURNS = pytest.mark.parametrize(
    ("before", "after", "old_keys", "new_keys"),
    [(FOLDER, {"x": "a file"}, FOLDER_KEYS, ["p/x"]), ({"x": "a file"}, FOLDER, ["p/x"], FOLDER_KEYS)],
    ids=["folder to file", "file to folder"],
)


def turn(path: Path, files: dict[str, str]) -> None:
    """Puts the files in the place of what was there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    write_files(path.parent, files)


@TURNS
@pytest.mark.parametrize("options", [["--delete"], ["--delete", "--keep-deleted=30"]], ids=["delete", "keep"])
def test_source_of_another_kind(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str, options: list[str],
    before: dict[str, str], after: dict[str, str], old_keys: list[str], new_keys: list[str],
) -> None:  # fmt: skip
    """What the source was before goes like any other file that is gone, and nothing beside it."""
    source = write_files(tmp_path, before) / "x"
    arguments = ["mirror", *options, source, f"s3://{bucket}/p"]
    strangers = ["p/x-y/z", "p/x.y", "p/xy"]
    for key in strangers:
        s3.put_object(Bucket=bucket, Key=key)
    ctl(*arguments, check=0)
    turn(source, after)
    result = ctl(*arguments, "--dry-run", check=0)
    assert f", {len(old_keys)} deleted, " in result.stdout
    result = ctl(*arguments, check=0)
    assert f", {len(old_keys)} deleted, " in result.stdout
    assert keys(s3, bucket, "p/") == sorted(new_keys + strangers)
    kept = [key.split("/deleted/")[1] for key in keys(s3, bucket, "p.keepsake-kept/")]
    assert kept == ([key.removeprefix("p/") for key in old_keys] if len(options) > 1 else [])
    last = ctl(*arguments, "-v", check=0).stdout
    # When it is gone it is not looked for any more. What is kept is looked through.
    lists = 1 if options == ["--delete"] else 2
    assert ", 0 deleted, " in last and f"\n{lists} requests (list {lists})" in last, last


@TURNS
@pytest.mark.parametrize("has_catalogue", [True, False], ids=["", "without catalogue"])
def test_source_of_another_kind_where_nothing_is_deleted(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str, state_dir: Path, has_catalogue: bool,
    before: dict[str, str], after: dict[str, str], old_keys: list[str], new_keys: list[str],
) -> None:  # fmt: skip
    """Each run says so, as it does below a source."""
    source = write_files(tmp_path, before) / "x"
    arguments = ["mirror", source, f"s3://{bucket}/p"]
    ctl(*arguments, check=0)
    turn(source, after)
    if not has_catalogue:
        shutil.rmtree(state_dir)
    for _ in range(2):
        result = ctl(*arguments, check=2)
        assert f"{source}: The bucket still holds what had this name before" in result.stderr
        assert ", 1 failed" in result.stdout
    assert keys(s3, bucket) == sorted(old_keys + new_keys)
    if not has_catalogue:  # they may be somebody else's
        said = held_back(ctl(*arguments, "--delete"), len(old_keys))
        assert "are not remembered to have been stored by this computer" in said
        assert keys(s3, bucket) == sorted(old_keys + new_keys)
    consent = f"--max-delete={len(old_keys)}"
    ctl(*arguments, "--delete", *([] if has_catalogue else [consent]), check=0)
    assert keys(s3, bucket) == new_keys


def test_file_that_is_an_empty_folder(ctl: Any, tmp_path: Path, s3: Any, bucket: str) -> None:
    """As one who mounts a file makes where it is missing."""
    source = write_files(tmp_path, {"x": "a file"}) / "x"
    arguments = ["mirror", "--delete", source, f"s3://{bucket}/p"]
    ctl(*arguments, check=0)
    turn(source, {})
    source.mkdir()
    for _ in range(2):
        assert f"“{source}” is empty" in held_back(ctl(*arguments), 1)
    assert keys(s3, bucket) == ["p/x", "p/x/"]


def test_file_that_was_an_empty_folder_without_catalogue(
    ctl: Any, tmp_path: Path, bucket: str, state_dir: Path
) -> None:
    source = tmp_path / "x"
    source.mkdir()
    arguments = ["mirror", source, f"s3://{bucket}/p"]
    ctl(*arguments, check=0)
    source.rmdir()
    source.write_text("a file")
    shutil.rmtree(state_dir)
    for _ in range(3):
        assert "The bucket still holds what had this name before" in ctl(*arguments, check=2).stderr


def test_source_of_another_kind_keeps_what_is_excluded(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str
) -> None:
    source = write_files(tmp_path, FOLDER) / "x"
    ctl("mirror", source, f"s3://{bucket}/p", check=0)
    turn(source, {"x": "a file"})
    ctl("mirror", "--delete", "--exclude=x/sub", source, f"s3://{bucket}/p", check=0)
    assert keys(s3, bucket) == ["p/x", "p/x/sub/", "p/x/sub/b"]


@pytest.mark.parametrize("has_catalogue", [True, False])
def test_folder_of_many_files_that_is_a_file(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str, state_dir: Path, has_catalogue: bool
) -> None:
    """It may be what lies there while a disk is not mounted."""
    source = write_files(tmp_path, {f"x/{i}": "x" for i in range(10)}) / "x"
    arguments = ["mirror", "--delete", source, f"s3://{bucket}/p"]
    ctl(*arguments, check=0)
    turn(source, {"x": "a file"})
    if not has_catalogue:
        shutil.rmtree(state_dir)
    for _ in range(2):
        result = ctl(*arguments)
        assert f"{source}: The bucket still holds what had this name before" in result.stderr
        assert held_back(result, 11) == (
            f"“{source}” is a file and was a folder before; is its disk mounted? If all 11 objects of "
            "the folder are meant to be deleted, say --max-delete 11"
        )
    assert len(keys(s3, bucket)) == 12
    ctl(*arguments, "--max-delete=11", check=0)
    assert keys(s3, bucket) == ["p/x"]


@pytest.mark.parametrize("where", ["source", "folder in the source"])
def test_folder_on_a_disk_that_is_a_file_without_it(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str, where: str
) -> None:
    """However little the disk holds."""
    source = tmp_path / "above" / "x"
    source.mkdir(parents=True)
    disk = source.parent if where == "source" else source / "disk"
    disk.mkdir(exist_ok=True)
    arguments = ["mirror", "--delete", "--all-file-systems", source, f"s3://{bucket}/p"]
    with mounted(*TMPFS, disk):
        write_files(source, {"disk/a": "1"})
        ctl(*arguments, check=0)
        before = keys(s3, bucket)
    turn(source, {"x": "a file"})
    disk = source if where == "source" else disk
    assert f"“{disk}” is on another file system than before" in held_back(ctl(*arguments), 3)
    assert keys(s3, bucket) == sorted([*before, "p/x"])
    ctl(*arguments, "--accept-new-file-system", check=0)
    assert keys(s3, bucket) == ["p/x"]


def test_file_on_top_of_a_disk_that_is_a_folder(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str
) -> None:
    """It was no place where a disk is mounted: its folder is."""
    disk = tmp_path / "disk"
    disk.mkdir()
    source = disk / "x"
    arguments = ["mirror", source, f"s3://{bucket}/p"]
    with mounted(*TMPFS, disk):
        write_files(disk, {"x": "a file"})
        ctl(*arguments, check=0)
        # As an older version recorded it; and the number of a device is another after a reboot.
        (catalogue,) = ctl.state_dir.rglob("*.db")
        with contextlib.closing(sqlite3.connect(catalogue)) as database, database:
            database.execute("UPDATE root SET is_mount_point = 1, dev = dev + 1")
        for _ in range(2):
            assert ctl(*arguments, check=0).stderr == ""
        turn(source, FOLDER)
        result = ctl(*arguments, check=2)
        assert "A disk was mounted here before" not in result.stderr
        ctl(*arguments, "--delete", check=0)
    assert keys(s3, bucket) == FOLDER_KEYS
