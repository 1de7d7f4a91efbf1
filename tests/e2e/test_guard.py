# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""The delete guard: what looks like a loss here must not become one in the bucket.

Held back means: exit status 3, the reason in one line, and every object still there.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from conftest import no_preloading
from fixtures import wait_until
from fixtures.checks import body, keys, operations, write_files
from fixtures.clocks import at_another_time
from fixtures.fault_matrix import error
from fixtures.fault_proxy import FaultProxy, Refuse, Reply, Rule
from fixtures.guard import TMPFS, coarse_file_system, held_back, mounted
from fixtures.impatience import Impatience
from fixtures.large_files import After
from fixtures.trees import MIB

Mirror = Callable[..., Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_files(tmp_path / "folder", {"a": "1", "b": "22", "sub/c": "333"})


@pytest.fixture
def mirror(ctl: Any, bucket: str) -> Mirror:
    """mirror(folder, options…): the folder's contents to s3://bucket/p, deletions included."""

    def run(folder: Path, *options: str, **more: Any) -> Any:
        return ctl("mirror", "--delete", *options, f"{folder}/", f"s3://{bucket}/p", **more)

    return run


# -- disks that are not there -------------------------------------------------------------------


@pytest.mark.parametrize("below", [{}, {"a": "an old copy"}], ids=["nothing", "something"])
def test_disk_that_is_not_mounted(
    mirror: Mirror, tmp_path: Path, s3: Any, bucket: str, below: dict[str, str]
) -> None:
    """Whether its mount point is empty or holds other things."""
    disk = write_files(tmp_path / "disk", {"./": "", **below})
    with mounted(*TMPFS, disk):
        write_files(disk, {"a": "1", "b": "22", "sub/c": "333"})
        mirror(disk, check=0)
    gone = 3 if below else 4
    reason = held_back(mirror(disk), gone)
    assert f"“{disk}” is on another file system than before; is its disk mounted?" in reason
    assert keys(s3, bucket) == ["p/", "p/a", "p/b", "p/sub/", "p/sub/c"]
    # The doubt stays until it is settled.
    held_back(mirror(disk), gone)
    assert keys(s3, bucket) == ["p/", "p/a", "p/b", "p/sub/", "p/sub/c"]


def test_disk_that_is_not_mounted_where_nothing_is_deleted(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str
) -> None:
    """It is no success either."""
    disk = write_files(tmp_path / "disk", {"./": ""})
    arguments = ["mirror", f"{disk}/", f"s3://{bucket}/p"]
    with mounted(*TMPFS, disk):
        write_files(disk, {"a": "1"})
        ctl(*arguments, check=0)
    for _ in range(2):
        result = ctl(*arguments, check=2)
        assert f"failed   {disk}: A disk was mounted here before" in result.stderr
    ctl(*arguments, "--accept-new-file-system", check=0)
    ctl(*arguments, check=0)
    assert keys(s3, bucket) == ["p/", "p/a"]


@pytest.mark.parametrize("others", [0, 1])
def test_disk_that_was_mounted_later_and_is_not_any_more(
    ctl: Any, tmp_path: Path, bucket: str, others: int
) -> None:
    """What the first run saw was only the place where it is mounted."""
    disk = write_files(tmp_path / "disk", {"README": "nothing is mounted"})
    sources = [disk, write_files(tmp_path / "other", {"b": "2"})][: 1 + others]
    arguments = ["mirror", *sources, f"s3://{bucket}/p"]
    ctl(*arguments, check=0)
    with mounted(*TMPFS, disk):
        write_files(disk, {"a": "1"})
        for _ in range(2):
            assert ctl(*arguments, check=0).stderr == ""
    for _ in range(2):
        result = ctl(*arguments, check=2)
        assert f"failed   {disk}: A disk was mounted here before" in result.stderr
    ctl(*arguments, "--accept-new-file-system", check=0)
    assert ctl(*arguments, check=0).stderr == ""


def test_bind_mount_that_is_not_there(
    mirror: Mirror, tmp_path: Path, folder: Path, s3: Any, bucket: str
) -> None:
    """One file system all along; only the place is empty."""
    place = tmp_path / "place"
    place.mkdir()
    with mounted("--bind", folder, place):
        mirror(place, check=0)
    reason = held_back(mirror(place), 4)
    assert "is its disk mounted?" in reason
    assert keys(s3, bucket) == ["p/", "p/a", "p/b", "p/sub/", "p/sub/c"]


@pytest.mark.parametrize("kind", ["disk", "memory"])
def test_disk_in_a_folder_of_a_plan(ctl: Any, tmp_path: Path, s3: Any, bucket: str, kind: str) -> None:
    """It is not entered, and nobody reads what a job has noticed: so it is missed until the plan says
    what is meant. What is no disk of this computer is not."""
    folder = write_files(tmp_path / "Pictures", {"a": "1", "disk/": ""})
    disk = folder / "disk"
    image = tmp_path / "image"
    with open(image, "wb") as file:
        file.truncate(4 * MIB)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    ctl("plan", "add", "Photos", folder, f"s3://{bucket}/p", check=0)
    run = ["run", "Photos", "--foreground"]
    with mounted(*(["-o", "loop", image] if kind == "disk" else TMPFS), disk):
        write_files(disk, {"b": "2"})
        result = ctl(*run)
        missed = f"{disk}: Not backed up, as it is another disk or volume"
        is_missed = kind == "disk"
        assert (result.returncode, missed in result.stderr) == (2 * is_missed, is_missed), result
        assert keys(s3, bucket) == ["p/Pictures/", "p/Pictures/a", "p/Pictures/disk/"]
        ctl("plan", "edit", "Photos", "--add-exclude=/Pictures/disk", check=0)
        ctl(*run, check=0)
        # A source of its own, by another name.
        (tmp_path / "Disk").symlink_to(disk)
        ctl("plan", "edit", "Photos", "--remove-exclude=/Pictures/disk",
            f"--add-source={tmp_path / 'Disk'}", check=0)  # fmt: skip
        ctl(*run, check=0)
        assert "p/Disk/b" in keys(s3, bucket)


def test_disk_that_comes_back(mirror: Mirror, tmp_path: Path, s3: Any, bucket: str) -> None:
    disk = write_files(tmp_path / "disk", {"./": ""})
    image = tmp_path / "image"
    with open(image, "wb") as file:
        file.truncate(4 * MIB)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    with mounted("-o", "loop", image, disk):
        shutil.rmtree(disk / "lost+found")
        write_files(disk, {"a": "1", "b": "22"})
        mirror(disk, check=0)
    held_back(mirror(disk), 2)
    with mounted("-o", "loop", image, disk):
        (disk / "a").unlink()
        mirror(disk, check=0)
    assert keys(s3, bucket) == ["p/", "p/b"]


def test_source_that_moved_to_another_disk(
    mirror: Mirror, tmp_path: Path, s3: Any, bucket: str
) -> None:
    disk = write_files(tmp_path / "disk", {"a": "1", "b": "22"})
    mirror(disk, check=0)
    with mounted(*TMPFS, disk):
        write_files(disk, {"a": "1"})
        reason = held_back(mirror(disk), 1)
        assert "say --accept-new-file-system once" in reason
        assert keys(s3, bucket) == ["p/", "p/a", "p/b"]
        mirror(disk, "--accept-new-file-system", check=0)
        assert keys(s3, bucket) == ["p/", "p/a"]
        # Once is enough.
        (disk / "a").unlink()
        write_files(disk, {"c": "3"})
        mirror(disk, check=0)
        assert keys(s3, bucket) == ["p/", "p/c"]


def test_disk_that_was_not_mounted_after_a_stopped_first_run(
    ctl: Any, mirror: Mirror, tmp_path: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    """A first backup may take weeks; where its source was is known from the first moment."""
    disk = write_files(tmp_path / "disk", {"README": "not mounted"})
    with mounted("-t", "tmpfs", "none", disk):
        write_files(disk, {f"{i:02}": os.urandom(50_000) for i in range(40)})
        process = ctl.popen(
            "mirror", f"{disk}/", f"s3://{bucket}/p", "--upload-limit=300K", "--jobs=2",
            endpoint=proxy,
        )  # fmt: skip
        wait_until(lambda: proxy.count("PUT", lambda r: r.status == 200) >= 10, 60, "ten files")
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 6
    before = len(keys(s3, bucket))
    result = mirror(disk, check=3, endpoint=proxy)
    assert f"“{disk}” is on another file system than before" in result.stderr
    assert len(keys(s3, bucket)) > before


def test_disk_below_a_source(mirror: Mirror, tmp_path: Path, s3: Any, bucket: str) -> None:
    """Mounted in one of its folders, and taken in."""
    folder = write_files(tmp_path / "folder", {"a": "1", "b": "2", "sub/disk/./": ""})
    disk = folder / "sub/disk"
    every = "--all-file-systems"
    with mounted(*TMPFS, disk):
        write_files(disk, {"x": "1", "y": "2"})
        mirror(folder, every, check=0)
        (disk / "y").unlink()
        mirror(folder, every, check=0)
    stored = ["p/", "p/a", "p/b", "p/sub/", "p/sub/disk/", "p/sub/disk/x"]
    assert keys(s3, bucket) == stored
    # Whether it is to be entered or not, and whatever else is gone.
    (folder / "b").unlink()
    for options in ([every], []):
        reason = held_back(mirror(folder, *options), 2)
        assert f"“{disk}” is on another file system than before" in reason
        assert keys(s3, bucket) == stored
    mirror(folder, every, "--accept-new-file-system", check=0)
    assert keys(s3, bucket) == ["p/", "p/a", "p/sub/", "p/sub/disk/"]
    # Once is enough.
    (folder / "a").unlink()
    write_files(folder, {"c": "3"})
    mirror(folder, every, check=0)
    assert keys(s3, bucket) == ["p/", "p/c", "p/sub/", "p/sub/disk/"]


def test_disk_that_is_mounted_over_files(mirror: Mirror, folder: Path, s3: Any, bucket: str) -> None:
    """They are out of sight, and not gone."""
    mirror(folder, check=0)
    with mounted(*TMPFS, folder / "sub"):
        (folder / "a").unlink()
        mirror(folder, check=0)
    assert keys(s3, bucket) == ["p/", "p/b", "p/sub/", "p/sub/c"]


def test_disk_below_a_source_without_a_catalogue(
    mirror: Mirror, tmp_path: Path, state_dir: Path, s3: Any, bucket: str
) -> None:
    """Nothing tells any more that it was one; an empty folder that has objects is enough to ask."""
    folder = write_files(tmp_path / "folder", {"a": "1", "disk/x": "2"})
    mirror(folder, check=0)
    shutil.rmtree(state_dir)
    (folder / "disk/x").unlink()
    for _ in range(2):
        reason = held_back(mirror(folder), 1)
        assert f"“{folder}/disk” is empty and was not before" in reason
    assert "p/disk/x" in keys(s3, bucket)
    mirror(folder, "--accept-new-file-system", check=0)
    assert "p/disk/x" not in keys(s3, bucket)


def test_many_deletions_without_a_catalogue(
    mirror: Mirror, tmp_path: Path, state_dir: Path, s3: Any, bucket: str
) -> None:
    folder = write_files(tmp_path / "folder", {f"{i:02}": "x" for i in range(20)})
    mirror(folder, check=0)
    shutil.rmtree(state_dir)
    for i in range(11):
        (folder / f"{i:02}").unlink()
    for _ in range(2):
        reason = held_back(mirror(folder), 11)
        assert f"nothing is remembered of “{folder}”" in reason
    mirror(folder, "--max-delete=11", check=0)
    assert len(keys(s3, bucket)) == 10


def test_files_and_catalogue_of_an_older_time(
    mirror: Mirror, tmp_path: Path, state_dir: Path, s3: Any, bucket: str
) -> None:
    """A computer that was set back: what was stored since is in the bucket alone."""
    folder = write_files(tmp_path / "folder", {f"{i:03}": "x" for i in range(200)})
    mirror(folder, check=0)
    shutil.copytree(state_dir, tmp_path / "snapshot")
    new = {f"new {i:02}": "y" for i in range(11)}
    write_files(folder, new)
    mirror(folder, check=0)
    before = keys(s3, bucket)
    shutil.rmtree(state_dir)
    shutil.copytree(tmp_path / "snapshot", state_dir)
    for name in new:
        (folder / name).unlink()
    for _ in range(2):
        reason = held_back(mirror(folder), 11)
        assert reason == (
            f"11 of the objects of “{folder}” that would be deleted are not remembered to have been "
            "stored by this computer. If its files are of an older time than the backup, restore "
            "what is missing first; if that is meant, say --max-delete 11"
        )
    assert keys(s3, bucket) == before
    mirror(folder, "--max-delete=11", check=0)
    assert len(keys(s3, bucket)) == 201


@pytest.mark.parametrize("fault", [Reply(403, {}, error("AccessDenied")), Refuse()], ids=["403", "none"])
def test_deletion_that_failed_is_remembered(
    ctl: Any, mirror: Mirror, tmp_path: Path, s3: Any, bucket: str, proxy: FaultProxy, fault: Any,
    impatience: Impatience,
) -> None:  # fmt: skip
    """Of these objects no row is left, and yet they are no strange ones."""
    folder = write_files(tmp_path / "folder", {f"{i:03}": "x" for i in range(100)})
    mirror(folder, endpoint=proxy, check=0)
    remove(folder, 20)
    proxy.rules.append(Rule(lambda r: r.method == "POST" and "delete" in r.query, fault, times=None))
    for _ in range(2):
        result = mirror(folder, endpoint=proxy, env=impatience.environment)
        assert result.returncode in (4, 5)
    assert len(keys(s3, bucket)) == 101
    proxy.rules.clear()
    # Another source of the same destination does not forget it.
    other = write_files(tmp_path / "other", {"x": "x"})
    ctl("mirror", "--delete", other, f"s3://{bucket}/p", endpoint=proxy, check=0)
    mirror(folder, endpoint=proxy, check=0)
    assert len(keys(s3, bucket)) == 81


@no_preloading
@pytest.mark.parametrize("where", ["folder", "folder that is gone", "name of a folder"])
def test_file_that_is_moved_during_the_scan(
    mirror: Mirror, tmp_path: Path, s3: Any, bucket: str, where: str
) -> None:
    """It may be seen under neither name. For a program whose clock is late all was just moved."""
    folder = write_files(tmp_path / "folder", {"a/1": "1", "b/2": "2", "b/3": "3"})
    mirror(folder, check=0)
    before = keys(s3, bucket)
    os.rename(folder / "b/2", tmp_path / "away")
    if where != "folder":
        shutil.rmtree(folder / "b")
    if where == "name of a folder":
        (folder / "b").write_text("")
    late = {**at_another_time("-60s"), "NO_FAKE_STAT": "1"}
    result = mirror(folder, env=late, check=0)
    n = 1 if where == "folder" else 3
    assert f"{n} objects stay until the next run" in result.stderr and ", 0 deleted, " in result.stdout
    assert set(before) <= set(keys(s3, bucket))
    # Some folders change all the time: what is still nowhere in the next run was not moved.
    result = mirror(folder, env=late, check=0)
    assert "until the next run" not in result.stderr
    assert len(keys(s3, bucket)) == len(before) - n + (where == "name of a folder")


@no_preloading
def test_file_that_is_moved_during_the_scan_of_whole_seconds(
    mirror: Mirror, tmp_path: Path, s3: Any, bucket: str
) -> None:
    """The time of its folder is that of before the scan began."""
    with coarse_file_system(tmp_path / "coarse") as disk:
        folder = write_files(disk / "folder", {"a/1": "1", "b/2": "2"})
        mirror(folder, check=0)
        (folder / "b/2").unlink()
        seconds = (folder / "b").stat().st_ctime
        assert seconds == int(seconds)
        # The program begins within the second, however busy the computer is.
        within = {**at_another_time(f"@{datetime.fromtimestamp(seconds)}"), "NO_FAKE_STAT": "1"}
        result = mirror(folder, env=within, check=0)
        assert "1 objects stay until the next run" in result.stderr
        assert "p/b/2" in keys(s3, bucket)
        mirror(folder, check=0)
        assert "p/b/2" not in keys(s3, bucket)


@no_preloading
def test_file_that_was_moved_during_the_scan_and_is_back(
    mirror: Mirror, tmp_path: Path, s3: Any, bucket: str
) -> None:
    """That it was gone once is forgotten: the next time it may be on the move again."""
    folder = write_files(tmp_path / "folder", {"a/1": "1", "b/2": "2"})
    mirror(folder, check=0)
    late = {**at_another_time("-60s"), "NO_FAKE_STAT": "1"}
    for _ in range(2):
        os.rename(folder / "b/2", tmp_path / "away")
        assert "1 objects stay until" in mirror(folder, env=late, check=0).stderr
        os.rename(tmp_path / "away", folder / "b/2")
        mirror(folder, env=late, check=0)
    assert "p/b/2" in keys(s3, bucket)


def move_after(key: str, proxy: FaultProxy, path: Path, target: Path) -> Rule:
    """The file is there when the folders are looked through, and gone when it is to be sent: with
    --jobs=1 after the object, if no other file has the size of either, which would be looked at. Its
    new folder was looked through already."""
    rule = Rule(lambda r: r.method == "PUT" and r.key == key, After(lambda _: path.rename(target)))
    proxy.rules.append(rule)
    return rule


def test_file_that_is_moved_before_it_is_sent(
    mirror: Mirror, tmp_path: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    """It was renamed and changed before: what was deleted under its old name would be all of it."""
    folder = write_files(tmp_path / "folder", {"a/old": "a", "b/": "", "c/": "", "d/name": "same"})
    options: dict[str, Any] = {"endpoint": proxy, "check": 0}
    mirror(folder, **options)
    (folder / "a/old").unlink()
    (folder / "d/name").rename(folder / "d/other")
    write_files(folder, {"1": "the first", "b/new": "a and more"})
    rule = move_after("p/1", proxy, folder / "b/new", folder / "c/new")
    result = mirror(folder, "--jobs=1", **options)
    assert rule.hits == 1 and "“p/b/new” was deleted before it could be read" in result.stderr
    assert "1 objects stay until the next run, as files were moved or deleted before" in result.stderr
    there = ["p/", "p/1", "p/a/", "p/b/", "p/c/", "p/d/", "p/d/other"]
    assert keys(s3, bucket) == sorted([*there, "p/a/old"])

    # What is still nowhere goes, whatever is moved meanwhile; what is gone only now waits its turn.
    (folder / "d/other").unlink()
    write_files(folder, {"2": "the second one", "b/new": "another file"})
    rule = move_after("p/2", proxy, folder / "b/new", folder / "a/new")
    result = mirror(folder, "--jobs=1", **options)
    assert rule.hits == 1 and "1 objects stay until the next run" in result.stderr
    assert keys(s3, bucket) == sorted([*there, "p/2", "p/c/new"])
    assert body(s3, bucket, "p/c/new") == b"a and more"
    mirror(folder, **options)
    assert keys(s3, bucket) == sorted([*there[:-1], "p/2", "p/a/new", "p/c/new"])


def test_file_that_is_moved_before_it_is_sent_again(
    mirror: Mirror, tmp_path: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    """Of this one the bucket has a version, so nothing has to wait."""
    folder = write_files(tmp_path / "folder", {"a/old": "a", "b/new": "b", "c/": ""})
    options: dict[str, Any] = {"endpoint": proxy, "check": 0}
    mirror(folder, **options)
    (folder / "a/old").unlink()
    write_files(folder, {"1": "the first", "b/new": "b and more"})
    rule = move_after("p/1", proxy, folder / "b/new", folder / "c/new")
    result = mirror(folder, "--jobs=1", **options)
    assert rule.hits == 1 and "was deleted before it could be read" in result.stderr
    assert "until the next run" not in result.stderr
    assert keys(s3, bucket) == ["p/", "p/1", "p/a/", "p/b/", "p/b/new", "p/c/"]


def test_source_inside_another_that_is_empty(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str
) -> None:
    """What the other one has below the same prefix does not make it less empty."""
    one = write_files(tmp_path / "one", {f"d/{i}": "x" for i in range(20)})
    two = write_files(tmp_path / "two", {"x": "x"})
    arguments = ["mirror", "--delete", f"{one}/", two, f"s3://{bucket}/p"]
    ctl(*arguments, check=0)
    shutil.rmtree(one / "d")
    reason = held_back(ctl(*arguments), 21)
    assert f"“{one}” is empty and was not before" in reason
    assert len(keys(s3, bucket, "p/d/")) == 21


def test_most_of_a_small_source(ctl: Any, tmp_path: Path, s3: Any, bucket: str) -> None:
    """A quarter of all is much more than this source ever had."""
    one = write_files(tmp_path / "one", {f"{i:03}": "x" for i in range(500)})
    two = write_files(tmp_path / "two", {f"{i:03}": "y" for i in range(101)})
    arguments = ["mirror", "--delete", one, two, f"s3://{bucket}/p"]
    ctl(*arguments, check=0)
    shutil.rmtree(two)
    write_files(two, {".placeholder": ""})
    reason = held_back(ctl(*arguments), 101)
    assert f"101 of the 102 objects of “{two}” would be deleted" in reason
    ctl(*arguments, "--max-delete=101", check=0)
    assert keys(s3, bucket, "p/two/") == ["p/two/", "p/two/.placeholder"]


def test_most_of_a_source_inside_another(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str
) -> None:
    """Its objects are its own, and not of the one in which it lies in the bucket."""
    one = write_files(tmp_path / "one", {f"{i:03}": "x" for i in range(500)})
    two = write_files(tmp_path / "two", {f"{i:03}": "y" for i in range(101)})
    arguments = ["mirror", "--delete", f"{one}/", two, f"s3://{bucket}/p"]
    ctl(*arguments, check=0)
    shutil.rmtree(two)
    write_files(two, {".placeholder": ""})
    reason = held_back(ctl(*arguments), 101)
    assert f"101 of the 102 objects of “{two}” would be deleted" in reason


def test_one_missing_source_of_two(
    ctl: Any, folder: Path, tmp_path: Path, s3: Any, bucket: str
) -> None:
    other = write_files(tmp_path / "other", {"x": "1", "y": "2"})
    arguments = ["mirror", "--delete", folder, other, f"s3://{bucket}/p"]
    ctl(*arguments, check=0)
    before = keys(s3, bucket)
    (folder / "a").unlink()
    other.rename(tmp_path / "elsewhere")
    result = ctl(*arguments)
    assert held_back(result, 1) == "a source folder is missing; is its disk connected?"
    assert f"failed   {other}: Cannot open “{other}”: No such file" in result.stderr
    assert keys(s3, bucket) == before


# -- empty sources ------------------------------------------------------------------------------


@pytest.mark.parametrize("catalogue", ["kept", "lost"])
def test_empty_source(
    mirror: Mirror, folder: Path, state_dir: Path, s3: Any, bucket: str, catalogue: str
) -> None:
    mirror(folder, check=0)
    before = keys(s3, bucket)
    shutil.rmtree(folder)
    folder.mkdir()
    if catalogue == "lost":
        shutil.rmtree(state_dir)
    assert held_back(mirror(folder), 4) == (
        f"“{folder}” is empty and was not before; is its disk mounted?"
    )
    assert keys(s3, bucket) == before
    write_files(folder, {"a": "1", "new": "4"})
    mirror(folder, check=0)
    assert keys(s3, bucket) == ["p/", "p/a", "p/new"]


def test_one_empty_source_of_two(
    ctl: Any, folder: Path, tmp_path: Path, s3: Any, bucket: str
) -> None:
    other = write_files(tmp_path / "other", {"x": "1", "y": "2"})
    arguments = ["mirror", "--delete", folder, other, f"s3://{bucket}/p"]
    ctl(*arguments, check=0)
    (folder / "a").unlink()
    for name in "xy":
        (other / name).unlink()
    assert held_back(ctl(*arguments), 3) == (
        f"“{other}” is empty and was not before; is its disk mounted?"
    )
    assert {"p/folder/a", "p/other/x", "p/other/y"} < set(keys(s3, bucket))


def test_empty_source_of_an_empty_mirror(
    mirror: Mirror, tmp_path: Path, s3: Any, bucket: str
) -> None:
    """Nothing to lose, nothing to ask."""
    empty = tmp_path / "empty"
    empty.mkdir()
    mirror(empty, check=0)
    mirror(empty, check=0)
    assert keys(s3, bucket) == ["p/"]


# -- what could not be read or stored -----------------------------------------------------------


@pytest.fixture
def private(nobody: Any) -> Path:
    """A folder of a user for whom modes mean something."""
    files = {"a": "1", "b": "22", "sub/c": "333", "sub/d": "4"}
    folder = write_files(nobody.home / "folder", files)
    if nobody.user is not None:
        for path in [folder, *folder.rglob("*")]:
            os.chown(path, nobody.user, nobody.user)
    return folder


@pytest.mark.parametrize(("mode", "unreadable"), [(0o000, 1), (0o300, 1), (0o600, 2)])
def test_unreadable_folder(
    nobody: Any, private: Path, s3: Any, bucket: str, mode: int, unreadable: int
) -> None:
    """Closed altogether; names cannot be read; names can be read and nothing else (600: each of
    the two files in it fails for itself)."""
    arguments = ["mirror", "--delete", f"{private}/", f"s3://{bucket}/p"]
    nobody(*arguments, check=0)
    before = keys(s3, bucket)
    (private / "a").unlink()
    (private / "sub").chmod(mode)
    result = nobody(*arguments)
    # Two objects of "sub" are out of sight, "a" is gone.
    reason = held_back(result, 3)
    assert reason.startswith(f"{unreadable} files or folders could not be read, so what is missing")
    failed = [line for line in result.stderr.splitlines() if line.startswith("failed   ")]
    assert len(failed) == unreadable
    assert all(line.startswith(f"failed   {private}/sub") for line in failed)
    assert "Permission denied" in failed[0]
    assert keys(s3, bucket) == before

    (private / "sub").chmod(0o755)
    nobody(*arguments, check=0)
    assert keys(s3, bucket) == ["p/", "p/b", "p/sub/", "p/sub/c", "p/sub/d"]


def test_unreadable_file(nobody: Any, private: Path, s3: Any, bucket: str) -> None:
    """Its old object stays, as does all else; what can be read is stored."""
    arguments = ["mirror", "--delete", f"{private}/", f"s3://{bucket}/p"]
    nobody(*arguments, check=0)
    (private / "a").unlink()
    write_files(private, {"new": "5"})
    (private / "b").write_text("changed")
    (private / "b").chmod(0)
    result = nobody(*arguments)
    assert held_back(result, 1).startswith("1 files or folders could not be read")
    assert f"failed   {private}/b: Cannot read: Permission denied" in result.stderr
    assert keys(s3, bucket) == ["p/", "p/a", "p/b", "p/new", "p/sub/", "p/sub/c", "p/sub/d"]
    assert body(s3, bucket, "p/b") == b"22"


def test_unreadable_without_anything_to_delete(
    nobody: Any, private: Path, s3: Any, bucket: str
) -> None:
    (private / "b").chmod(0)
    nobody("mirror", "--delete", f"{private}/", f"s3://{bucket}/p", check=2)
    assert keys(s3, bucket) == ["p/", "p/a", "p/sub/", "p/sub/c", "p/sub/d"]


def test_unreadable_source(nobody: Any, private: Path, s3: Any, bucket: str) -> None:
    arguments = ["mirror", "--delete", f"{private}/", f"s3://{bucket}/p"]
    nobody(*arguments, check=0)
    before = keys(s3, bucket)
    private.chmod(0)
    result = nobody(*arguments)
    assert result.returncode == 1
    assert result.stderr == f"keepsakectl: Cannot open “{private}”: Permission denied\n"
    assert keys(s3, bucket) == before


def test_failed_upload_holds_deletions_back(
    mirror: Mirror, folder: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    """A renamed file whose new name was refused: the old object is its only copy."""
    mirror(folder, check=0, endpoint=proxy)
    (folder / "a").rename(folder / "renamed")
    refused = Reply(400, {}, b"<Error><Code>InvalidArgument</Code></Error>")
    proxy.rules.append(Rule(lambda r: r.key == "p/renamed", refused, times=None))
    result = mirror(folder, endpoint=proxy)
    assert held_back(result, 1).startswith("1 files could not be stored, and what would be deleted")
    assert f"failed   {folder}/renamed: " in result.stderr
    assert keys(s3, bucket) == ["p/", "p/a", "p/b", "p/sub/", "p/sub/c"]

    proxy.rules.clear()
    mirror(folder, check=0, endpoint=proxy)
    assert keys(s3, bucket) == ["p/", "p/b", "p/renamed", "p/sub/", "p/sub/c"]
    assert body(s3, bucket, "p/renamed") == b"1"


def test_name_that_is_too_long_holds_deletions_back(
    ctl: Any, folder: Path, s3: Any, bucket: str
) -> None:
    """A file moved to where its key is too long: the old object is its only copy."""
    address = f"s3://{bucket}/" + "p" * 900
    ctl("mirror", "--delete", f"{folder}/", address, check=0)
    before = keys(s3, bucket)
    (folder / "a").rename(folder / ("n" * 200))
    result = ctl("mirror", "--delete", f"{folder}/", address)
    assert held_back(result, 1).startswith("1 files could not be stored")
    assert keys(s3, bucket) == before


def test_job_that_ends_early_deletes_nothing(
    mirror: Mirror, folder: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    mirror(folder, check=0, endpoint=proxy)
    (folder / "a").unlink()
    write_files(folder, {"new": "4"})
    denied = Reply(403, {}, b"<Error><Code>AccessDenied</Code></Error>")
    proxy.rules.append(Rule(lambda r: r.method == "PUT", denied, times=None))
    mirror(folder, check=4, endpoint=proxy)
    assert operations(proxy)["delete"] == 0
    assert "p/a" in keys(s3, bucket)


# -- too many at once ---------------------------------------------------------------------------


@pytest.fixture
def many(mirror: Mirror, tmp_path: Path) -> Path:
    """250 files, mirrored: with the root 251 objects."""
    folder = write_files(tmp_path / "many", {f"{i:03}": str(i) for i in range(250)})
    mirror(folder, check=0)
    return folder


def remove(folder: Path, count: int) -> None:
    for name in sorted(os.listdir(folder))[:count]:
        (folder / name).unlink()


def test_most_files_gone(mirror: Mirror, many: Path, s3: Any, bucket: str) -> None:
    before = keys(s3, bucket)
    remove(many, 150)
    write_files(many, {"new": "stored nevertheless"})
    assert held_back(mirror(many), 150) == (
        "150 of 251 objects would be deleted, more than 25 %; "
        "if that is meant, say --max-delete 150"
    )
    assert keys(s3, bucket) == sorted([*before, "p/new"])

    held = held_back(mirror(many, "--max-delete", "149"), 150)
    assert held == "150 objects would be deleted, more than the 149 allowed by --max-delete"
    assert keys(s3, bucket) == sorted([*before, "p/new"])

    result = mirror(many, "--max-delete", "150", check=0)
    assert ", 150 deleted, " in result.stdout
    assert keys(s3, bucket) == ["p/", *(f"p/{i:03}" for i in range(150, 250)), "p/new"]


@pytest.mark.parametrize(("count", "is_too_many"), [(100, False), (101, True)])
def test_how_many_are_too_many(
    mirror: Mirror, many: Path, s3: Any, bucket: str, count: int, is_too_many: bool
) -> None:
    remove(many, count)
    if is_too_many:
        held_back(mirror(many), count)
        assert len(keys(s3, bucket)) == 251
    else:
        mirror(many, check=0)
        assert len(keys(s3, bucket)) == 251 - count


def test_many_of_very_many_are_not_too_many(
    mirror: Mirror, tmp_path: Path, s3: Any, bucket: str
) -> None:
    folder = write_files(tmp_path / "many", {f"{i:03}": "" for i in range(600)})
    mirror(folder, check=0)
    remove(folder, 140)  # more than a hundred, less than a quarter
    mirror(folder, check=0)
    assert len(keys(s3, bucket)) == 461


def test_max_delete_guards_few_objects_too(
    mirror: Mirror, folder: Path, s3: Any, bucket: str
) -> None:
    mirror(folder, check=0)
    (folder / "a").unlink()
    held_back(mirror(folder, "--max-delete=0"), 1)
    assert "p/a" in keys(s3, bucket)


def test_guard_in_json(mirror: Mirror, many: Path) -> None:
    remove(many, 150)
    result = mirror(many, "--json")
    end = result.json[-1]
    assert (result.returncode, end["exit_code"], end["deletions_held"], end["deleted"]) == (
        3, 3, 150, 0,
    )  # fmt: skip
    assert end["guard_reason"].startswith("150 of 251 objects would be deleted")


def test_dry_run_tells_of_the_guard(
    mirror: Mirror, many: Path, s3: Any, bucket: str
) -> None:
    remove(many, 150)
    held_back(mirror(many, "--dry-run"), 150)
    result = mirror(many, "--dry-run", "--max-delete=150", check=0)
    assert result.stdout.count("delete   p/") == 150
    assert len(keys(s3, bucket)) == 251


# -- nothing goes unasked -----------------------------------------------------------------------


def test_without_delete_nothing_is_deleted(
    ctl: Any, mirror: Mirror, folder: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    mirror(folder, check=0)
    before = keys(s3, bucket)
    shutil.rmtree(folder)
    folder.mkdir()
    for options in ([], ["--max-delete=1000"], ["--accept-new-file-system"], ["--checksum"]):
        ctl("mirror", *options, f"{folder}/", f"s3://{bucket}/p", check=0, endpoint=proxy)
    assert keys(s3, bucket) == before
    assert operations(proxy)["delete"] == 0


def test_only_what_is_gone_goes(mirror: Mirror, folder: Path, s3: Any, bucket: str) -> None:
    """Neighbours whose keys start alike, names that XML cannot hold, folders, a page of them."""
    odd = {"a&b": "", "a<b": "", "a\rb": "", "a\x01b": "", "a'\"b": "", "ünï": "", "a b+c%41": ""}
    write_files(folder, {**odd, "dir/": "", "dir/x": "", "dir.": "", "di": ""})
    mirror(folder, check=0)
    for name in odd:
        (folder / name).unlink()
    shutil.rmtree(folder / "dir")
    result = mirror(folder, check=0)
    assert f", {len(odd) + 2} deleted, " in result.stdout
    assert keys(s3, bucket) == ["p/", "p/a", "p/b", "p/di", "p/dir.", "p/sub/", "p/sub/c"]


def test_more_deletions_than_one_request_holds(
    mirror: Mirror, tmp_path: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    folder = write_files(tmp_path / "many", {f"{i:04}": "" for i in range(1300)})
    mirror(folder, check=0, endpoint=proxy)
    remove(folder, 1200)
    proxy.reset()
    mirror(folder, "--max-delete=1200", check=0, endpoint=proxy)
    assert operations(proxy)["delete"] == 2
    assert keys(s3, bucket) == ["p/", *(f"p/{i:04}" for i in range(1200, 1300))]
