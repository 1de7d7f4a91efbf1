# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""What was mirrored comes back as it was."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fixtures import PATIENCE, wait_until
from fixtures.archive import Archive
from fixtures.checks import (
    metadata, operations, rsync_changes, sent_keys, the_sentence, write_files,
)
from fixtures.clocks import next_second
from fixtures.fault_proxy import FaultProxy, Hang, Rule
from fixtures.large_files import After, refusal
from fixtures.trees import MIB, differences, make_tree, read_tree

# -- there and back -----------------------------------------------------------------------------


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return make_tree(tmp_path / "tree").root


def test_whole_tree_comes_back(ctl: Any, tree: Path, tmp_path: Path, bucket: str) -> None:
    ctl("mirror", "--delete", f"{tree}/", f"s3://{bucket}/p", check=0)
    result = ctl("restore", f"s3://{bucket}/p", tmp_path / "back", check=0)
    assert rsync_changes(tree, tmp_path / "back", "-aHXin") == []
    assert differences(read_tree(tree), read_tree(tmp_path / "back")) == []
    assert result.stderr == ""
    assert f"Done: {len(read_tree(tree)) + 1} restored" in result.stdout


def test_tree_comes_back_from_the_root_of_a_bucket(
    ctl: Any, tree: Path, tmp_path: Path, bucket: str
) -> None:
    ctl("mirror", tree, f"s3://{bucket}", check=0)
    ctl("restore", f"s3://{bucket}", tmp_path / "back", check=0)
    assert rsync_changes(tree, tmp_path / "back/tree", "-aXin") == []


def test_holes_come_back_as_holes(ctl: Any, tmp_path: Path, bucket: str) -> None:
    folder = write_files(tmp_path / "folder", {"small": b"", "large": b""})
    for name, size in ("small", 4 * MIB), ("large", 40 * MIB):
        with open(folder / name, "r+b") as file:
            file.seek(size // 2)
            file.write(b"an island")
            file.truncate(size)
    ctl("mirror", f"{folder}/", f"s3://{bucket}/p", check=0)
    ctl("restore", f"s3://{bucket}/p", tmp_path / "back", check=0)
    assert rsync_changes(folder, tmp_path / "back", "-ainc") == []
    for name in ("small", "large"):
        assert (tmp_path / "back" / name).stat().st_blocks * 512 <= 65536


def test_any_machine_with_the_key_can_restore(
    ctl: Any, tree: Path, tmp_path: Path, bucket: str
) -> None:
    ctl("mirror", f"{tree}/", f"s3://{bucket}/p", check=0)
    elsewhere = {"HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "nothing")}
    ctl("restore", f"s3://{bucket}/p", tmp_path / "back", check=0, env=elsewhere)
    assert rsync_changes(tree, tmp_path / "back", "-aXin") == []
    assert not (tmp_path / "nothing").exists()


def test_read_only_folders_come_back_for_everybody(nobody: Any, bucket: str) -> None:
    """A folder gets its mode when all that lies in it is there; root would not notice."""
    folder = write_files(nobody.home / "folder", {"a/b/file": "x", "a/b/none/": ""})
    (folder / "a/b/file").chmod(0o400)
    (folder / "a/b").chmod(0o555)
    (folder / "a").chmod(0o500)
    if nobody.user is not None:
        for path in [folder, *folder.rglob("*")]:
            os.chown(path, nobody.user, nobody.user)
    nobody("mirror", f"{folder}/", f"s3://{bucket}/p", check=0)
    nobody("restore", f"s3://{bucket}/p", nobody.home / "back", check=0)
    assert rsync_changes(folder, nobody.home / "back", "-aXin") == []


# -- parts of it --------------------------------------------------------------------------------


@pytest.fixture
def photos(ctl: Any, tmp_path: Path, bucket: str, proxy: FaultProxy) -> Path:
    """Mirrored below s3://bucket/p; what goes through the proxy is counted from here on."""
    folder = write_files(
        tmp_path / "photos",
        {"cat": "meow", "2026/dog": "wuff", "2026/may/cow": "moo", "2026-old/x": "x", "empty/": "",
         "none": ""},
    )  # fmt: skip
    (folder / "2026").chmod(0o750)
    for path in folder.rglob("*"):
        os.utime(path, ns=(0, 1_500_000_000_123_456_789))
    ctl("mirror", f"{folder}/", f"s3://{bucket}/p", check=0)
    return folder


def test_one_folder(ctl: Any, photos: Path, tmp_path: Path, bucket: str) -> None:
    ctl("restore", f"s3://{bucket}/p/2026", tmp_path / "back", check=0)
    assert rsync_changes(photos / "2026", tmp_path / "back", "-aXin") == []
    assert sorted(read_tree(tmp_path / "back")) == [b"dog", b"may", b"may/cow"]


@pytest.mark.parametrize("path", ["cat", "2026/may/cow", "none"])
def test_one_file(ctl: Any, photos: Path, tmp_path: Path, bucket: str, path: str) -> None:
    ctl("restore", f"s3://{bucket}/p/{path}", tmp_path / "back", check=0)
    name = Path(path).name
    assert os.listdir(tmp_path / "back") == [name]
    assert (tmp_path / "back" / name).read_bytes() == (photos / path).read_bytes()
    assert (tmp_path / "back" / name).stat().st_mtime_ns == 1_500_000_000_123_456_789


def test_nothing_there(ctl: Any, photos: Path, tmp_path: Path, bucket: str) -> None:
    result = ctl("restore", f"s3://{bucket}/p/cats", tmp_path / "back")
    assert result.returncode in (1, 5)
    sentence = the_sentence(result, result.returncode)
    assert sentence == (
        f"There is nothing at “s3://{bucket}/p/cats”; keepsakectl ls shows what there is"
    )


def test_target_that_is_a_file(ctl: Any, photos: Path, tmp_path: Path, bucket: str) -> None:
    sentence = the_sentence(ctl("restore", f"s3://{bucket}/p", photos / "cat"), 1)
    assert f"“{photos}/cat”" in sentence
    assert (photos / "cat").read_text() == "meow"


# -- over what is there -------------------------------------------------------------------------


def test_second_restore_fetches_nothing(
    ctl: Any, photos: Path, tmp_path: Path, bucket: str, proxy: FaultProxy
) -> None:
    ctl("restore", f"s3://{bucket}/p", tmp_path / "back", check=0)
    result = ctl("restore", f"s3://{bucket}/p", tmp_path / "back", check=0, endpoint=proxy)
    # The folder itself, what lies in it, and whether there is a file of its name.
    assert operations(proxy) == {"list": 1, "head": 1 + len(read_tree(photos)) + 1}
    assert " restored (0 B), 5 were there already" in result.stdout
    assert rsync_changes(photos, tmp_path / "back", "-aXin") == []


def test_second_restore_of_the_hard_tree_fetches_nothing(
    ctl: Any, tree: Path, tmp_path: Path, bucket: str, proxy: FaultProxy
) -> None:
    ctl("mirror", f"{tree}/", f"s3://{bucket}/p", check=0)
    ctl("restore", f"s3://{bucket}/p", tmp_path / "back", check=0)
    before = inodes(tmp_path / "back")
    ctl("restore", f"s3://{bucket}/p", tmp_path / "back", check=0, endpoint=proxy)
    assert sent_keys(proxy, "get") == []
    assert inodes(tmp_path / "back") == before, "made anew"


def inodes(folder: Path) -> dict[bytes, int]:
    root = os.fsencode(folder)
    return {path: os.lstat(os.path.join(root, path)).st_ino for path in read_tree(folder)}


NEWER, OLDER = 1_600_000_000, 1_400_000_000  # than the mirrored files


@pytest.mark.parametrize(
    ("options", "newer", "older"),
    [
        ([], "local", "meow"),
        (["--overwrite", "older"], "local", "meow"),
        (["--overwrite", "never"], "local", "local"),
        (["--overwrite", "always"], "wuff", "meow"),
    ],
    ids=["default", "older", "never", "always"],
)
def test_overwrite(
    ctl: Any, photos: Path, tmp_path: Path, bucket: str, options: list[str], newer: str, older: str
) -> None:
    back = write_files(tmp_path / "back", {"2026/dog": "local", "cat": "local", "mine": "stays"})
    os.utime(back / "2026/dog", (NEWER, NEWER))
    os.utime(back / "cat", (OLDER, OLDER))
    result = ctl("restore", *options, f"s3://{bucket}/p", back, check=0)
    assert (back / "2026/dog").read_text() == newer
    assert (back / "cat").read_text() == older
    assert (back / "mine").read_text() == "stays"
    assert (back / "2026/may/cow").read_text() == "moo"
    kept = [newer, older].count("local")
    assert f"{kept} kept as they are" in result.stdout


def test_other_bytes_of_the_same_size_and_another_time(
    ctl: Any, photos: Path, tmp_path: Path, bucket: str
) -> None:
    back = write_files(tmp_path / "back", {"cat": "MEOW"})
    os.utime(back / "cat", (OLDER, OLDER))
    ctl("restore", f"s3://{bucket}/p", back, check=0)
    assert (back / "cat").read_text() == "meow"


def test_what_stands_in_the_way_is_named(
    ctl: Any, photos: Path, tmp_path: Path, bucket: str
) -> None:
    back = write_files(tmp_path / "back", {"2026": "a file", "cat/inside": "a folder"})
    result = ctl("restore", "--overwrite", "always", f"s3://{bucket}/p", back, check=2)
    for key in ("p/2026/", "p/2026/dog", "p/2026/may/cow", "p/cat"):
        assert f"failed   {key}: " in result.stderr, key
    assert (back / "2026").read_text() == "a file"
    assert (back / "cat/inside").read_text() == "a folder"
    assert (back / "2026-old/x").read_text() == "x"
    assert not list(back.rglob(".keepsake-*"))


# A file that was a folder before, or will be one: without --delete the bucket has both.
BOTH = {"p/note": b"a file", "p/note.txt": b"other", "p/note/": b"", "p/note/x": b"inside",
        "p/z/deep": b"a file", "p/z/deep/er/y": b"inside"}  # fmt: skip
HIDDEN = ["p/note", "p/z/deep"]


@pytest.fixture
def both(s3: Any, bucket: str) -> str:
    for key, content in BOTH.items():
        s3.put_object(Bucket=bucket, Key=key, Body=content)
    return bucket


@pytest.mark.parametrize("jobs", ["--jobs=1", "--jobs=8"])
@pytest.mark.parametrize("overwrite", ["never", "older", "always"])
def test_file_and_folder_of_one_name(
    ctl: Any, tmp_path: Path, both: str, overwrite: str, jobs: str
) -> None:
    """What the restore itself has just made is no newer file of the user's: nothing is "kept"."""
    back = tmp_path / "back"
    result = ctl(
        "restore", "--json", jobs, "--overwrite", overwrite, f"s3://{both}/p", back, check=2
    )
    failed = [row for row in result.json if row["type"] == "failed"]
    assert [(row["path"], row["error"]) for row in failed] == [(k, "conflict") for k in HIDDEN]
    assert "a file and a folder of this name" in failed[0]["message"]
    assert result.json[-1]["kept"] == 0
    assert (back / "note/x").read_bytes() == b"inside"
    assert (back / "note.txt").read_bytes() == b"other"
    assert (back / "z/deep/er/y").read_bytes() == b"inside"


@pytest.mark.parametrize(
    ("where", "options", "hidden"),
    [
        ("p/note", [], ["p/note"]),
        ("p", ["--path=note"], ["p/note"]),
        ("p", ["--path=note", "--path=z/deep", "--path=z"], HIDDEN),
        ("p", ["--path=z", "--path=note", "--path=note", "--path=note.txt"], HIDDEN),
        ("p", ["--path=note/"], []),
        ("p", ["--path=note.txt"], []),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)  # fmt: skip
@pytest.mark.parametrize("when", ["now", "then"])
def test_file_that_a_folder_hides_is_named(
    ctl: Any, tmp_path: Path, s3: Any, both: str, when: str,
    where: str, options: list[str], hidden: list[str],
) -> None:  # fmt: skip
    """Whoever asks for the one by its name gets the folder, and is told so."""
    if when == "then":
        options = [*options, "--at=now"]
        s3.put_bucket_versioning(Bucket=both, VersioningConfiguration={"Status": "Enabled"})
        next_second()
    result = ctl(
        "restore", "--json", *options, f"s3://{both}/{where}", tmp_path / "back",
        check=2 if hidden else 0,
    )  # fmt: skip
    failed = [row for row in result.json if row["type"] == "failed"]
    assert [(row["path"], row["error"]) for row in failed] == [(k, "conflict") for k in hidden]
    assert all("a file and a folder of this name" in row["message"] for row in failed)
    assert result.json[-1]["failed"] == len(hidden)


def test_key_that_may_be_used_below_its_folder_alone(
    ctl: Any, photos: Path, tmp_path: Path, bucket: str, proxy: FaultProxy
) -> None:
    rule = Rule(lambda r: r.key == "p", refusal(403, "AccessDenied"), times=None)
    proxy.rules.append(rule)
    ctl("restore", f"s3://{bucket}/p", tmp_path / "back", check=0, endpoint=proxy)
    assert rule.hits == 1
    assert rsync_changes(photos, tmp_path / "back", "-aXin") == []


@pytest.mark.parametrize("jobs", ["--jobs=1", "--jobs=8"])
def test_file_and_empty_folder_of_one_name(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str, jobs: str
) -> None:
    """Whichever comes first, the other is named."""
    s3.put_object(Bucket=bucket, Key="p/note", Body=b"a file")
    s3.put_object(Bucket=bucket, Key="p/note/")
    result = ctl("restore", "--json", jobs, f"s3://{bucket}/p", tmp_path / "back", check=2)
    (failed,) = [row for row in result.json if row["type"] == "failed"]
    assert failed["error"] == "conflict"
    is_file = (tmp_path / "back/note").is_file()
    assert failed["path"] == ("p/note/" if is_file else "p/note")


@pytest.mark.parametrize("content", [b"a file", b""], ids=["bytes", "empty"])
def test_file_that_an_empty_folder_hides_is_named(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str, content: bytes
) -> None:
    s3.put_object(Bucket=bucket, Key="p/note", Body=content)
    s3.put_object(Bucket=bucket, Key="p/note/")
    back = tmp_path / "back"
    result = ctl("restore", "--json", "--path=note", f"s3://{bucket}/p", back, check=2)
    (failed,) = [row for row in result.json if row["type"] == "failed"]
    assert (failed["path"], failed["error"]) == ("p/note", "conflict")
    assert "a file and a folder of this name" in failed["message"]
    assert (back / "note").is_dir()


def test_restore_that_was_killed_in_a_folder_of_a_group(
    ctl: Any, photos: Path, tmp_path: Path, bucket: str, proxy: FaultProxy
) -> None:
    """There each new folder gets a bit more in its mode, and is to be known again all the same."""
    group = tmp_path / "group"
    group.mkdir()
    group.chmod(0o2775)
    back = group / "back"
    hang = Rule(lambda r: r.method == "GET" and r.key == "p/2026/dog", Hang(600), times=None)
    proxy.rules.append(hang)
    arguments = ["restore", "--overwrite=never", f"s3://{bucket}/p", back]
    process = ctl.popen(*arguments, endpoint=proxy)
    wait_until(lambda: hang.hits and (back / "2026").is_dir(), 20, "a folder that is not finished")
    process.kill()
    process.wait()
    proxy.rules.clear()
    assert oct((back / "2026").stat().st_mode & 0o7777) == "0o3700"
    ctl(*arguments, check=0)
    assert oct((back / "2026").stat().st_mode & 0o777) == "0o750"
    assert (back / "2026").stat().st_mode & stat.S_ISVTX == 0


@pytest.mark.parametrize("overwrite", ["never", "older", "always"])
def test_folder_in_a_files_place_is_not_kept_in_silence(
    ctl: Any, photos: Path, tmp_path: Path, bucket: str, overwrite: str
) -> None:
    back = write_files(tmp_path / "back", {"cat/inside": "a folder"})
    result = ctl("restore", "--overwrite", overwrite, f"s3://{bucket}/p", back, check=2)
    assert "failed   p/cat: In the target there is a folder of this name" in result.stderr
    assert (back / "cat/inside").read_text() == "a folder"


def test_file_that_appears_under_a_name_meanwhile(
    ctl: Any, photos: Path, tmp_path: Path, bucket: str, proxy: FaultProxy
) -> None:
    """As "Cat" and "cat" would do on a disk to which they are one."""
    back = tmp_path / "back"
    proxy.rules.append(
        Rule(lambda r: r.key == "p/cat", After(lambda _: (back / "cat").write_text("first")))
    )
    arguments = ["restore", "--overwrite", "always", f"s3://{bucket}/p", back]
    result = ctl(*arguments, check=2, endpoint=proxy)
    assert "failed   p/cat: Something was put under this name" in result.stderr
    assert (back / "cat").read_text() == "first"
    ctl(*arguments, check=0)
    assert (back / "cat").read_text() == "meow"


def write_in_place(mine: Path, back: Path) -> None:
    with open(back / "film", "r+") as file:
        file.write("newer")


def move_there(mine: Path, back: Path) -> None:
    """As a program does that writes beside it; or a user, with a file of long ago."""
    mine.rename(back / "film")


@pytest.fixture
def film(ctl: Any, tmp_path: Path, bucket: str, proxy: FaultProxy) -> Path:
    """Comes in several ranges; below s3://bucket/p."""
    folder = write_files(tmp_path / "films", {"film": os.urandom(20 * MIB), "trailer": "short"})
    for path in folder.iterdir():
        os.utime(path, ns=(0, 1_500_000_000_123_456_789))
    ctl("mirror", f"{folder}/", f"s3://{bucket}/p", check=0)
    return folder / "film"


def is_range(request: Any) -> bool:
    return request.method == "GET" and request.key == "p/film"


@pytest.mark.parametrize(
    ("overwrite", "before", "change"),
    [
        ("older", {"film": "older"}, write_in_place),
        ("older", {"film": "older"}, move_there),
        ("older", {}, move_there),
        ("never", {}, move_there),
        ("always", {"film": "older"}, write_in_place),
        ("always", {"film": "older"}, move_there),
    ],
)
def test_file_that_changes_while_its_object_is_fetched(
    ctl: Any, film: Path, tmp_path: Path, bucket: str, proxy: FaultProxy,
    overwrite: str, before: dict[str, str], change: Any,
) -> None:  # fmt: skip
    mine = write_files(tmp_path / "mine", {"old": "newer"}) / "old"
    back = write_files(tmp_path / "back", before)
    for path in [mine, *(back / name for name in before)]:
        os.utime(path, (OLDER, OLDER))
    rule = Rule(is_range, After(lambda _: change(mine, back)))
    proxy.rules.append(rule)
    replaced = overwrite == "always"
    result = ctl(
        "restore", "--json", "--overwrite", overwrite, f"s3://{bucket}/p", back,
        check=0 if replaced else 2, endpoint=proxy,
    )  # fmt: skip
    assert rule.hits == 1
    failed = [(row["path"], row["error"]) for row in result.json if row["type"] == "failed"]
    assert failed == ([] if replaced else [("p/film", "conflict")])
    assert (back / "film").read_bytes() == (film.read_bytes() if replaced else b"newer")
    assert sorted(os.listdir(back)) == ["film", "trailer"]


def test_file_that_goes_away_while_its_object_is_fetched(
    ctl: Any, film: Path, tmp_path: Path, bucket: str, proxy: FaultProxy
) -> None:
    back = write_files(tmp_path / "back", {"film": "older"})
    os.utime(back / "film", (OLDER, OLDER))
    proxy.rules.append(Rule(is_range, After(lambda _: (back / "film").unlink())))
    ctl("restore", f"s3://{bucket}/p", back, check=0, endpoint=proxy)
    assert (back / "film").read_bytes() == film.read_bytes()


def test_what_the_restore_does_itself_is_no_change(
    ctl: Any, film: Path, tmp_path: Path, bucket: str, proxy: FaultProxy
) -> None:
    """The older file loses its other name while the large one is fetched."""
    back = write_files(tmp_path / "back", {"film": "older"})
    os.utime(back / "film", (OLDER, OLDER))
    (back / "trailer").hardlink_to(back / "film")

    def wait_for_the_other(_: Any) -> None:
        wait_until(lambda: (back / "trailer").read_text() == "short", 20, "the other name")

    proxy.rules.append(Rule(is_range, After(wait_for_the_other)))
    ctl("restore", f"s3://{bucket}/p", back, check=0, endpoint=proxy)
    assert (back / "film").read_bytes() == film.read_bytes()


@pytest.mark.parametrize(
    ("overwrite", "content"), [("never", "MEOW"), ("older", "MEOW"), ("always", "meow")]
)
def test_other_bytes_of_the_same_size_and_time(
    ctl: Any, photos: Path, tmp_path: Path, bucket: str, overwrite: str, content: str
) -> None:
    """Always is always; for the others it is the same file, but for its mode."""
    back = write_files(tmp_path / "back", {"cat": "MEOW"})
    os.utime(back / "cat", ns=(0, 1_500_000_000_123_456_789))
    (back / "cat").chmod(0o600)
    ctl("restore", "--overwrite", overwrite, f"s3://{bucket}/p", back, check=0)
    assert (back / "cat").read_text() == content
    assert oct((back / "cat").stat().st_mode) == ("0o100600" if overwrite == "never" else "0o100644")


def test_never_leaves_alone_what_exists(
    ctl: Any, photos: Path, tmp_path: Path, bucket: str
) -> None:
    """Folders, too, and the target itself; what is gone comes back into them."""
    back = tmp_path / "back"
    ctl("restore", f"s3://{bucket}/p", back, check=0)
    (back / "2026/dog").unlink()
    shutil.rmtree(back / "empty")
    os.setxattr(back / "2026/may/cow", "user.mine", b"1")
    for path, mode in {"": 0o711, "2026": 0o2770, "2026/may": 0o500, "cat": 0o640, "none": 0o4700}.items():
        (back / path).chmod(mode)
    times = ["", "2026", "2026/may", "2026/may/cow", "2026-old", "cat", "none"]
    for path in times:
        if path != "cat":  # which keeps the time that it was stored with
            os.utime(back / path, (OLDER, OLDER))

    def states() -> dict[str, tuple[int, int, int]]:
        found = {path: (back / path).stat() for path in times}
        return {path: (st.st_mode, st.st_ino, st.st_mtime_ns) for path, st in found.items()}

    before = states()
    for dry in ["-n"], [], []:
        result = ctl("restore", "--overwrite=never", *dry, f"s3://{bucket}/p", back, check=0)
        assert states() == before
        assert ("Would be: 2 restored (" if dry else "Done: ") in result.stdout
    assert (back / "2026/dog").read_text() == "wuff" and os.listdir(back / "empty") == []
    assert oct((back / "empty").stat().st_mode) == "0o40755"
    assert (back / "empty").stat().st_mtime_ns == 1_500_000_000_123_456_789
    assert os.listxattr(back / "2026/may/cow") == ["user.mine"]
    ctl("restore", f"s3://{bucket}/p", back, check=0)
    assert oct((back / "2026").stat().st_mode) == "0o40750"


# -- folders ------------------------------------------------------------------------------------


def modes(folder: Path) -> dict[str, str]:
    paths = [path for path in folder.rglob("*") if path.is_dir()]
    return {str(path.relative_to(folder)): oct(path.stat().st_mode & 0o7777) for path in paths}


UNFINISHED = "0o1700"
FOLDERS = {"open/": 0o755, "open/secret/": 0o700, "shared/": 0o775, "closed/": 0o555}


def test_nobody_looks_into_a_folder_before_its_mode_is_known(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    for key, mode in FOLDERS.items():
        metadata = {"mode": str(stat.S_IFDIR | mode), "mtime": "1500000000"}
        s3.put_object(Bucket=bucket, Key=f"p/{key}", Metadata=metadata)
        s3.put_object(Bucket=bucket, Key=f"p/{key}file", Body=b"content")
    s3.put_object(Bucket=bucket, Key="p/without/object/file", Body=b"content")
    s3.put_object(Bucket=bucket, Key="p/zz", Body=b"hangs")
    proxy.rules += [
        Rule(lambda r: r.key == "p/zz", Hang(60), times=None),
        Rule(lambda r: r.key == "p/open/secret/", Hang(60), times=None),
    ]
    back = tmp_path / "back"
    arguments = ["restore", "--jobs=4", "--verbose", f"s3://{bucket}/p", back]
    told = tmp_path / "told"
    with open(told, "w") as file:
        process = ctl.popen(*arguments, endpoint=proxy, umask=0o027, stdout=file)
    # Five files, and the folders but for the one that hangs.
    wait_until(lambda: told.read_text().count("restored ") == 5 + 3, 20, "all that does not hang")
    assert oct(back.stat().st_mode & 0o7777) == UNFINISHED
    assert set(modes(back).values()) == {UNFINISHED}

    # What is known by then holds after Ctrl-C; what is not known stays private.
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20 * PATIENCE)
    assert process.returncode == 6
    assert oct(back.stat().st_mode & 0o777) == "0o750"
    expected = {"open": "0o755", "open/secret": UNFINISHED, "shared": "0o775", "closed": "0o555",
                "without": "0o750", "without/object": "0o750"}  # fmt: skip
    assert modes(back) == expected

    # And the next run goes on in them, also where what exists stays.
    proxy.rules.clear()
    ctl(*arguments, "--overwrite=never", check=0, endpoint=proxy)
    assert modes(back) == expected | {"open/secret": "0o700"}
    assert (back / "closed").stat().st_mtime == 1500000000


def test_restore_into_read_only_folders(nobody: Any, s3: Any, bucket: str) -> None:
    """Of a restore before: they are writable for as long as it takes, and then as they were."""
    for key, mode in ("p/a/", 0o500), ("p/a/b/", 0o555), ("p/a/c/", 0o600), ("p/a/d/", 0):
        metadata = {"mode": str(stat.S_IFDIR | mode), "mtime": "1500000000.123456789"}
        s3.put_object(Bucket=bucket, Key=key, Metadata=metadata)
    for content in (b"old", b"new"):
        for folder in "bcd":
            metadata = {"mode": str(stat.S_IFREG | 0o400), "mtime": f"{len(content)}.5"}
            s3.put_object(Bucket=bucket, Key=f"p/a/{folder}/x", Body=content, Metadata=metadata)
        back = nobody.home / "back"
        result = nobody(
            "restore", "--overwrite", "always", f"s3://{bucket}/p", back, check=0
        )
        assert result.stderr == ""
        assert oct((back / "a").stat().st_mode) == "0o40500"
        (back / "a").chmod(0o700)
        for folder, mode in {"b": "0o40555", "c": "0o40600", "d": "0o40000"}.items():
            status = (back / "a" / folder).stat()
            assert oct(status.st_mode) == mode
            assert status.st_mtime_ns == 1_500_000_000_123_456_789
            (back / "a" / folder).chmod(0o700)
            assert (back / "a" / folder / "x").read_bytes() == content
            (back / "a" / folder).chmod(int(mode, 8) & 0o777)
        (back / "a").chmod(0o500)
    for folder in ("a", "a/b", "a/c", "a/d"):
        (back / folder).chmod(0o700)


# -- what cannot be set -------------------------------------------------------------------------


def test_bytes_stay_where_metadata_cannot_be_set(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str
) -> None:
    """No file system takes an attribute of that name, as some take none."""
    headers = {"mode": str(stat.S_IFREG | 0o600), "mtime": "1500000000.5", "xattr": XATTR_BAD}
    s3.put_object(Bucket=bucket, Key="p/file", Body=b"content", Metadata=headers)
    for _ in range(2):  # it is told each time
        result = ctl("restore", f"s3://{bucket}/p", tmp_path / "back", check=2)
        assert result.stderr.startswith(
            "failed   p/file: The contents are there, but the extended attribute “user.” cannot"
        )
        file = tmp_path / "back/file"
        assert file.read_bytes() == b"content"
        assert oct(file.stat().st_mode) == "0o100600"
        assert file.stat().st_mtime == 1500000000.5
        assert os.listdir(tmp_path / "back") == ["file"]


XATTR_BAD = "%7B%22user.%22%3A%22MQ%3D%3D%22%7D"


def test_owner_that_does_not_exist_here(ctl: Any, tmp_path: Path, s3: Any, bucket: str) -> None:
    """As in a container, whose root has only some of the users."""
    inside = ["unshare", "--user", "--map-root-user"]
    if subprocess.run([*inside, "true"], capture_output=True).returncode != 0:
        pytest.skip("no user namespaces here")
    headers = {"mode": str(stat.S_IFREG | 0o4755), "mtime": "1500000000", "uid": "12", "gid": "34"}
    s3.put_object(Bucket=bucket, Key="p/file", Body=b"content", Metadata=headers)
    done = subprocess.run(
        [*inside, ctl.binary, "restore", f"s3://{bucket}/p", tmp_path / "back"],
        env=ctl.environment(None, None), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2, done
    assert done.stderr == (
        "failed   p/file: The contents are there, but the owner (12:34) cannot be set: Invalid "
        "argument\n"
    )
    assert (tmp_path / "back/file").read_bytes() == b"content"
    assert oct((tmp_path / "back/file").stat().st_mode) == "0o100755", "runs as somebody else"


def test_read_only_file_with_attributes_is_left_alone(nobody: Any, bucket: str) -> None:
    """Whose owner has to take leave to write before an attribute is set: nothing is, the second time."""
    folder = write_files(nobody.home / "folder", {"file": "content"})
    os.setxattr(folder / "file", "user.a", b"1")
    (folder / "file").chmod(0o400)
    for path in (folder, folder / "file"):
        if nobody.user is not None:
            os.chown(path, nobody.user, nobody.user)
    nobody("mirror", f"{folder}/", f"s3://{bucket}/p", check=0)
    arguments = ["restore", f"s3://{bucket}/p", nobody.home / "back"]
    nobody(*arguments, check=0)
    before = (nobody.home / "back/file").stat()
    assert os.getxattr(nobody.home / "back/file", "user.a") == b"1"
    again = nobody(*arguments, check=0)
    assert ", 1 were there already" in again.stdout  # beside the folder
    assert (nobody.home / "back/file").stat().st_ctime_ns == before.st_ctime_ns


def test_files_of_others_for_somebody_who_is_not_root(nobody: Any, s3: Any, bucket: str) -> None:
    """As rsync -a: told once, and no failure."""
    if nobody.user is None:
        pytest.skip("only root can be somebody else")
    for i in range(3):
        headers = {"mode": str(stat.S_IFREG | 0o640), "uid": "12", "gid": "34", "mtime": "1"}
        s3.put_object(Bucket=bucket, Key=f"p/{i}", Body=b"content", Metadata=headers)
    result = nobody("restore", f"s3://{bucket}/p", nobody.home / "back", check=0)
    assert len(result.stderr.splitlines()) == 1
    assert "Only root can give files to other users and groups" in result.stderr
    for i in range(3):
        status = (nobody.home / f"back/{i}").stat()
        assert (oct(status.st_mode), status.st_uid) == ("0o100640", nobody.user)


def test_times_of_other_centuries(
    ctl: Any, tmp_path: Path, bucket: str, proxy: FaultProxy
) -> None:
    """ext4 ends in 2446."""
    folder = write_files(tmp_path / "folder", {"then": "1", "long ago": "2", "sub/": ""})
    then = 13_583_203_200 * 10**9 + 123_456_789  # in June 2400
    os.utime(folder / "long ago", ns=(-1, -2_000_000_000_123_456_789))
    os.utime(folder / "sub", ns=(then, then))
    os.utime(folder / "then", ns=(then, then))
    if (folder / "then").stat().st_mtime_ns != then:
        pytest.skip("the file system has no such times")
    ctl("mirror", f"{folder}/", f"s3://{bucket}/p", check=0, endpoint=proxy)
    proxy.reset()
    ctl("mirror", f"{folder}/", f"s3://{bucket}/p", check=0, endpoint=proxy)
    assert operations(proxy) == {"list": 1}
    ctl("restore", f"s3://{bucket}/p", tmp_path / "back", check=0)
    for name in ("then", "long ago", "sub"):
        assert (tmp_path / "back" / name).stat().st_mtime_ns == (folder / name).stat().st_mtime_ns
    result = ctl("restore", f"s3://{bucket}/p", tmp_path / "back", check=0)
    assert "2 were there already" in result.stdout


# -- archives -----------------------------------------------------------------------------------


@pytest.fixture
def partly_archived(ctl: Any, tmp_path: Path, bucket: str) -> Path:
    folder = write_files(
        tmp_path / "folder",
        {"near": "n", "cold": "c", "sub/cold": "c2", "large-cold": os.urandom(70 * MIB)},
    )  # fmt: skip
    ctl("mirror", f"{folder}/", f"s3://{bucket}/p", check=0)
    return folder


def test_archived_files_are_named(
    ctl: Any, tmp_path: Path, bucket: str, partly_archived: Path, proxy: FaultProxy
) -> None:
    archive = Archive(proxy, "cold")
    back = tmp_path / "back"
    result = ctl("restore", f"s3://{bucket}/p", back, endpoint=proxy, check=2)
    assert "3 files lie in an archive" in result.stderr and "--retrieve standard" in result.stderr
    assert archive.requests == []
    assert sorted(os.listdir(back)) == ["near", "sub"] and os.listdir(back / "sub") == []

    result = ctl("restore", f"s3://{bucket}/p", back, "--retrieve", "bulk", endpoint=proxy, check=2)
    assert result.stderr.count("and was asked for: that takes 5 to 12 hours") == 3
    assert len(archive.requests) == 3
    archive.open()
    ctl("restore", f"s3://{bucket}/p", back, endpoint=proxy, check=0)
    assert rsync_changes(partly_archived, back, "-ainc") == []


def test_archived_files_are_waited_for(
    ctl: Any, tmp_path: Path, bucket: str, partly_archived: Path, proxy: FaultProxy
) -> None:
    archive = Archive(proxy, "cold")
    back = tmp_path / "back"
    process = ctl.popen("restore", f"s3://{bucket}/p", back, "--retrieve", "standard",
                        "--retrieve-wait", "1s", endpoint=proxy)  # fmt: skip
    wait_until(lambda: len(archive.requests) == 3, 30, "all of them to be asked for")
    looks = archive.closed.hits
    wait_until(lambda: archive.closed.hits > looks + 3, 30, "another look")
    assert len(archive.requests) == 3
    archive.open()
    process.communicate(timeout=60 * PATIENCE)
    assert process.returncode == 0
    assert rsync_changes(partly_archived, back, "-ainc") == []


def test_waiting_for_an_archive_can_be_stopped(
    ctl: Any, tmp_path: Path, bucket: str, partly_archived: Path, proxy: FaultProxy
) -> None:
    archive = Archive(proxy, "cold")
    process = ctl.popen("restore", f"s3://{bucket}/p", tmp_path / "back", "--retrieve", "standard",
                        "--retrieve-wait", "1h", endpoint=proxy)  # fmt: skip
    wait_until(lambda: len(archive.requests) == 3, 30, "all of them to be asked for")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60 * PATIENCE)
    assert process.returncode == 6


def test_archive_that_cannot_be_asked(
    ctl: Any, tmp_path: Path, bucket: str, partly_archived: Path, proxy: FaultProxy
) -> None:
    Archive(proxy, "sub/cold")
    proxy.rules.insert(0, Rule(lambda r: "restore" in r.query, refusal(403, "AccessDenied"),
                               times=None))  # fmt: skip
    result = ctl("restore", f"s3://{bucket}/p", tmp_path / "back", "--retrieve", "standard",
                 "--retrieve-wait", "1s", endpoint=proxy, check=2)  # fmt: skip
    assert "lies in an archive, and cannot be asked for" in result.stderr
    assert "may not have objects brought out of the archive" in result.stderr
    result = ctl("restore", f"s3://{bucket}/p", tmp_path / "back", "--retrieve-wait", "1s")
    assert "--retrieve" in the_sentence(result, 1)


# -- a full disk --------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """1 MiB, mounted; skips where that is not allowed."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", folder], capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"cannot mount: {os.fsdecode(mounted.stderr).strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("size", [200_000, 10 * MIB], ids=["small files", "one large file"])
def test_full_disk(
    ctl: Any, tmp_path: Path, bucket: str, small_disk: Path, size: int
) -> None:
    count = 10 if size < MIB else 1
    folder = write_files(tmp_path / "folder", {f"file{i}": os.urandom(size) for i in range(count)})
    ctl("mirror", f"{folder}/", f"s3://{bucket}/p", check=0)
    result = ctl("restore", f"s3://{bucket}/p", small_disk)
    assert "The files need " in the_sentence(result, 1) and os.listdir(small_disk) == []
    result = ctl("restore", f"s3://{bucket}/p", small_disk, "--no-space-check")
    assert the_sentence(result, 1).startswith("The disk of the target folder is full; free some sp")
    # What is there is whole, and there is nothing else.
    for name in os.listdir(small_disk):
        assert (small_disk / name).read_bytes() == (folder / name).read_bytes()
    assert len(os.listdir(small_disk)) in (range(1, 6) if count > 1 else [0])


def test_disk_that_is_large_enough_for_what_is_left(
    ctl: Any, tmp_path: Path, bucket: str, small_disk: Path
) -> None:
    """What is there already, or stays in the bucket, needs no room."""
    folder = write_files(tmp_path / "folder", {f"file{i}": os.urandom(400_000) for i in range(5)})
    ctl("mirror", f"{folder}/", f"s3://{bucket}/p", check=0)
    address = f"s3://{bucket}/p"
    ctl("restore", address, small_disk, "--path", "file1", check=0)
    ctl("restore", address, small_disk, "--exclude", "file[2-4]", check=0)
    ctl("restore", address, small_disk, "--exclude", "file[2-4]", check=0)
    assert sorted(os.listdir(small_disk)) == ["file0", "file1"]
