# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""The work that all tools get: folders that are always the same, and what is done to them.

A case is a folder and the steps that are taken with it, one after the other. Every tool does a step
before the folder is changed for the next, so all of them see the same files.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fixtures.large_files import BLOCK, flip_byte, random_bytes, write_random
from fixtures.trees import MIB

# Times are set, as the moment of the making would differ; all in the past, as nothing is to wait for.
EPOCH = 1_600_000_000


@dataclass(frozen=True)
class Sizes:
    """How much of everything; `limit` in bytes, `seconds` that a tool may take for one step."""

    small: int = 3000
    pictures: int = 200
    picture: tuple[int, int] = (1_000_000, 8_000_000)
    large: int = 512 * MIB
    tiny: int = 100_000
    some: int = 300
    far: int = 3000
    limit: int = 6 * MIB
    seconds: int = 300


# As much as shows that everything works, in a minute. The figures say nothing.
QUICK = Sizes(
    small=45, pictures=3, picture=(200_000, 400_000), large=24 * MIB, tiny=150, some=6, far=6,
    limit=MIB // 2, seconds=15,
)  # fmt: skip


@dataclass(frozen=True)
class Step:
    """`change` makes the folder of the step before into that of this one."""

    name: str
    title: str
    change: Callable[[Path], object] | None = None
    kind: str = "backup"  # or "restore", "limit"


@dataclass(frozen=True)
class Case:
    name: str
    title: str
    fill: Callable[[Path], object]
    steps: Sequence[Step]
    delay: float = 0  # seconds each way


# -- folders ------------------------------------------------------------------------------------


def fill_small(folder: Path, count: int) -> None:
    """Three folders of files of 0.5 to 40 KB."""
    chance = random.Random("small")
    for number in range(count):
        size = chance.randint(500, 40_000)
        _put(folder / f"{'abc'[number * 3 // count]}/{number:04}.dat", random_bytes(size, f"s{number}"))
    _date(folder)


def fill_pictures(folder: Path, count: int, between: tuple[int, int]) -> None:
    chance = random.Random("pictures")
    for number in range(count):
        data = random_bytes(chance.randint(*between), f"p{number}")
        path = folder / f"{2020 + number % 4}/IMG_{number:04}.jpg"
        _put(path, data)
        if number % 3 == 0:
            path.chmod(0o600)  # not what any program makes of a file that it knows no mode of
    _date(folder)


def fill_large(folder: Path, size: int) -> None:
    folder.mkdir(parents=True)
    write_random(folder / "disk.img", size)
    _date(folder)


def fill_tiny(folder: Path, count: int) -> None:
    """A hundred folders of files of 100 to 300 bytes."""
    chance = random.Random("tiny")
    for number in range(count):
        _put(folder / f"{number % 100:02}/{number:06}", chance.randbytes(chance.randint(100, 300)))
    _date(folder)


def _put(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except FileNotFoundError:
        path.parent.mkdir(parents=True)
        path.write_bytes(data)


def _date(folder: Path) -> None:
    for number, path in enumerate(sorted([folder, *folder.rglob("*")], reverse=True)):
        os.utime(path, (EPOCH + number, EPOCH + number))


# -- changes ------------------------------------------------------------------------------------


def the_large_file(folder: Path) -> Path:
    return folder / "disk.img"


def change_one_byte(folder: Path) -> None:
    path = the_large_file(folder)
    flip_byte(path, path.stat().st_size // 2)


def insert_in_front(folder: Path) -> None:
    """1 KiB. The file is written anew, as an editor would do it."""
    path = the_large_file(folder)
    other = path.with_name("new")
    with open(path, "rb") as old, open(other, "wb") as new:
        new.write(random_bytes(1024, "in front"))
        shutil.copyfileobj(old, new, BLOCK)
    other.replace(path)


def append(folder: Path) -> None:
    with open(the_large_file(folder), "ab") as file:
        file.write(random_bytes(MIB, "appended"))


def rename_a_folder(folder: Path) -> None:
    (folder / "c").rename(folder / "c renamed")


def change_modes(folder: Path, count: int) -> None:
    for path in _some(folder, "a", 0, count):
        path.chmod(0o600)


def change_times(folder: Path, count: int) -> None:
    for path in _some(folder, "a", count, count):
        os.utime(path, (EPOCH + 10**6, EPOCH + 10**6))


def delete(folder: Path, count: int) -> None:
    for path in _some(folder, "b", 0, count):
        path.unlink()


def _some(folder: Path, where: str, start: int, count: int) -> list[Path]:
    found = sorted((folder / where).iterdir())[start : start + count]
    assert len(found) == count, "the set is too small for the change"
    return found


# -- cases --------------------------------------------------------------------------------------

FIRST = Step("first", "first run")
NONE = Step("none", "nothing changed")


def cases(sizes: Sizes) -> list[Case]:
    """In the order in which they are measured."""
    some = sizes.some
    return [
        Case(
            "small", f"{sizes.small:,} small files of 0.5–40 KB",
            lambda folder: fill_small(folder, sizes.small),
            [
                FIRST, NONE,
                Step("rename", f"a folder of {sizes.small // 3:,} renamed", rename_a_folder),
                Step("chmod", f"modes of {some:,} changed", lambda f: change_modes(f, some)),
                Step("touch", f"times of {some:,} changed", lambda f: change_times(f, some)),
                Step("delete", f"{some:,} deleted", lambda f: delete(f, some)),
            ],
        ),
        Case(
            "pictures",
            "{:,} pictures of {:g}–{:g} MB".format(
                sizes.pictures, *(size / 1e6 for size in sizes.picture)),
            lambda folder: fill_pictures(folder, sizes.pictures, sizes.picture),
            [FIRST, NONE, Step("restore", "all restored", kind="restore")],
        ),
        Case(
            "large", f"one file of {sizes.large // MIB:,} MiB",
            lambda folder: fill_large(folder, sizes.large),
            [
                FIRST, NONE,
                Step("byte", "one byte in the middle changed", change_one_byte),
                Step("insert", "1 KiB inserted at the front", insert_in_front),
                Step("append", "1 MiB appended", append),
            ],
        ),
        Case(
            "limit", f"{sizes.limit / MIB:g} MiB at 256 KiB/s",
            lambda folder: fill_pictures(folder, 3, (sizes.limit // 3, sizes.limit // 3)),
            [Step("limit", "how well the limit is kept", kind="limit")],
        ),
        Case(
            "far", f"{sizes.far:,} small files, 25 ms each way",
            lambda folder: fill_small(folder, sizes.far), [FIRST, NONE], delay=0.025,
        ),
        Case(
            "tiny", f"{sizes.tiny:,} files of 100–300 bytes",
            lambda folder: fill_tiny(folder, sizes.tiny), [FIRST, NONE],
        ),
    ]  # fmt: skip


# -- what the folder holds ----------------------------------------------------------------------


@dataclass(frozen=True)
class File:
    size: int
    md5: str
    mode: int
    mtime: int  # whole seconds: what every tool can keep


@dataclass(frozen=True)
class Content:
    files: dict[str, File]
    folders: dict[str, tuple[int, int]]  # mode and mtime of those that it has


def content(folder: Path) -> Content:
    found = Content({}, {})
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder))
        status = path.stat()
        mode, mtime = status.st_mode & 0o7777, int(status.st_mtime)
        if path.is_dir():
            found.folders[name] = mode, mtime
        elif path.is_file():
            with open(path, "rb") as file:
                md5 = hashlib.file_digest(file, "md5").hexdigest()
            found.files[name] = File(status.st_size, md5, mode, mtime)
    return found
