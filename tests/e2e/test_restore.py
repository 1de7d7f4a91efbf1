# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""What was mirrored comes back as it was, and nothing is ever written outside of the target."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig

from fixtures import wait_until
from fixtures.archive import Archive
from fixtures.checks import body, metadata, operations, rsync_changes, sent_keys, the_sentence, write_files
from fixtures.clocks import next_second
from fixtures.fault_proxy import FaultProxy, Hang, ReplaceReply, Rule
from fixtures.large_files import After, refusal
from fixtures.trees import MIB, differences, make_tree, read_tree

IN_ONE_PIECE = TransferConfig(multipart_threshold=1024 * MIB)

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
    assert operations(proxy) == {"list": 1, "head": 1 + len(read_tree(photos))}
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
    assert oct((back / "cat").stat().st_mode) == "0o100644"


# -- folders ------------------------------------------------------------------------------------


def modes(folder: Path) -> dict[str, str]:
    paths = [path for path in folder.rglob("*") if path.is_dir()]
    return {str(path.relative_to(folder)): oct(path.stat().st_mode & 0o7777) for path in paths}


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
    assert oct(back.stat().st_mode & 0o777) == "0o700"
    assert set(modes(back).values()) == {"0o700"}

    # What is known by then holds after Ctrl-C; what is not known stays private.
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 6
    assert oct(back.stat().st_mode & 0o777) == "0o750"
    expected = {"open": "0o755", "open/secret": "0o700", "shared": "0o775", "closed": "0o555",
                "without": "0o750", "without/object": "0o750"}  # fmt: skip
    assert modes(back) == expected

    # And the next run goes on in them.
    proxy.rules.clear()
    ctl(*arguments, check=0, endpoint=proxy)
    assert modes(back) == expected
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
    process.communicate(timeout=60)
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
    process.communicate(timeout=60)
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
    result = ctl("restore", f"s3://{bucket}/p", tmp_path / "back", "--retrieve-wait", "1s")
    assert "--retrieve" in the_sentence(result, 1)


# -- objects of other tools ---------------------------------------------------------------------


def test_objects_without_our_headers(ctl: Any, tmp_path: Path, s3: Any, bucket: str) -> None:
    for key in ("plain", "folder/inside", "folder/deeper/inside"):
        s3.put_object(Bucket=bucket, Key=f"p/{key}", Body=key.encode())
    s3.put_object(Bucket=bucket, Key="p/empty/", Body=b"")
    back = tmp_path / "back"
    back.mkdir()
    ctl("restore", f"s3://{bucket}/p", back, check=0)
    assert {
        os.fsdecode(path): (entry.kind, oct(entry.mode), entry.uid)
        for path, entry in read_tree(back).items()
    } == {
        "plain": ("file", "0o644", os.geteuid()),
        "folder": ("directory", "0o755", os.geteuid()),
        "folder/inside": ("file", "0o644", os.geteuid()),
        "folder/deeper": ("directory", "0o755", os.geteuid()),
        "folder/deeper/inside": ("file", "0o644", os.geteuid()),
        "empty": ("directory", "0o755", os.geteuid()),
    }
    stored = s3.head_object(Bucket=bucket, Key="p/plain")["LastModified"]
    assert (back / "plain").stat().st_mtime == stored.timestamp()
    assert (back / "folder/deeper/inside").read_text() == "folder/deeper/inside"


@pytest.mark.parametrize(
    "headers",
    [
        {"mode": "99999999999"},
        {"mode": "-1"},
        {"mode": "0x1ff"},
        {"mode": str(0o200644)},  # no type of file
        {"mode": str(0o777777)},
        {"mode": "nan", "mtime": "1e300"},
        {"mode": str(stat.S_IFDIR | 0o755)},  # but the key has no slash
        {"mtime": "1e400"},
        {"mtime": "9" * 30},
        {"mtime": "nan", "mode": "33188", "uid": "0", "gid": "0"},
        {"uid": "-5", "gid": "99999999999999999999"},
        {"uid": str(2**32), "gid": str(2**32 - 1)},
        {"xattr": "%7B%22user.a%22%3A%22not base64!%22"},
        {"xattr": "%7B%22trusted.a%22%3A%22MQ%3D%3D%22%7D"},
        {"rdev": "1:3"},
    ],
    ids=lambda headers: ",".join(f"{k}={v:.12}" for k, v in headers.items()),
)
def test_absurd_headers_count_as_not_said(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str, headers: dict[str, str]
) -> None:
    s3.put_object(Bucket=bucket, Key="p/file", Body=b"content", Metadata=headers)
    stored = s3.head_object(Bucket=bucket, Key="p/file")["LastModified"]
    ctl("restore", f"s3://{bucket}/p", tmp_path / "back", check=0)
    file = tmp_path / "back/file"
    assert file.read_bytes() == b"content"
    status = file.lstat()
    assert oct(status.st_mode) == "0o100644"
    assert (status.st_uid, status.st_gid) == (os.geteuid(), os.getegid())
    assert status.st_mtime == stored.timestamp()
    assert os.listxattr(file) == []


def test_fifo_with_a_body_does_not_lose_it_in_silence(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str
) -> None:
    mode = str(stat.S_IFIFO | 0o644)
    s3.put_object(Bucket=bucket, Key="p/odd", Body=b"content", Metadata={"mode": mode})
    s3.put_object(Bucket=bucket, Key="p/good", Body=b"good")
    result = ctl("restore", f"s3://{bucket}/p", tmp_path / "back")
    assert (tmp_path / "back/good").read_bytes() == b"good"
    odd = tmp_path / "back/odd"
    has_content = odd.is_file() and odd.read_bytes() == b"content"
    is_named = result.returncode == 2 and "failed   p/odd: " in result.stderr
    assert has_content or is_named, result


def test_second_key_of_one_name(ctl: Any, tmp_path: Path, s3: Any, bucket: str) -> None:
    """U+E0C3 U+E0A9 stand for the bytes of "é", which nobody has to write so."""
    s3.put_object(Bucket=bucket, Key="p/é", Body=b"one")
    s3.put_object(Bucket=bucket, Key="p/\ue0c3\ue0a9", Body=b"two")
    result = ctl("restore", f"s3://{bucket}/p", tmp_path / "back", check=2)
    assert "failed   p/\ue0c3\ue0a9: The key is not the one" in result.stderr
    assert read_tree(tmp_path / "back").keys() == {"é".encode()}
    assert (tmp_path / "back/é").read_bytes() == b"one"


# -- keys that mean harm ------------------------------------------------------------------------

HARMFUL = [
    "p/../up",
    "p/../../etc/x",
    "p/a/../../up",
    "p//abs",
    "p//tmp/abs",
    "p/a//b",
    "p/./x",
    "p/..",
    "p/.",
    "p/a/..",
    "p/../",
    "p/nul\ue000",
    "p/nul\ue000/x",
    "p/sl\ue02fash",
    "p/\ue02e\ue02e/up",
    "p/\ue02e\ue02e\ue02fup",
]


def surroundings(place: Path) -> dict[bytes, Any]:
    return {path: vars(entry) for path, entry in read_tree(place).items()}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The target is in the middle of it; nothing else in it may change."""
    return write_files(tmp_path / "place", {"etc/x": "safe", "up": "safe", "in/target/": ""})


def test_harmful_keys_write_nothing_outside(
    ctl: Any, place: Path, s3: Any, bucket: str, s3_raw_put: Any
) -> None:
    for key in HARMFUL:
        s3_raw_put(bucket, key, b"harm")
    s3.put_object(Bucket=bucket, Key="p/good", Body=b"good")
    before = surroundings(place)
    result = ctl("restore", f"s3://{bucket}/p", place / "in/target", check=2)
    for key in HARMFUL:
        assert f"failed   {key}: " in result.stderr, key
    assert result.stdout.startswith("Done: 1 restored (4 B), ")
    assert f", {len(HARMFUL)} failed\n" in result.stdout
    assert (place / "in/target/good").read_bytes() == b"good"
    (place / "in/target/good").unlink()
    # Of "p/a/../../up" not even the folder "a".
    after = surroundings(place)
    for state in (before, after):
        del state[b"in/target"]  # its time
    assert after == before


@pytest.fixture
def s3_raw_put(rgw: Any, s3: Any) -> Any:
    def put(bucket: str, key: str, content: bytes) -> None:
        assert rgw.request("PUT", f"/{bucket}/{key}", body=content).status == 200
        assert s3.list_objects_v2(Bucket=bucket, Prefix=key)["Contents"][0]["Key"] == key

    return put


LINK = {"mode": str(stat.S_IFLNK | 0o777)}


@pytest.mark.parametrize("jobs", ["--jobs=1", "--jobs=8"])
@pytest.mark.parametrize(
    "outside", ["{place}/etc", "../../etc", "/proc/self/cwd", "."], ids=lambda text: text[-8:]
)
def test_nothing_goes_through_a_restored_symlink(
    ctl: Any, place: Path, s3: Any, bucket: str, outside: str, jobs: str
) -> None:
    """The link is one's own right, what lies behind it is not: in the same run and in the next."""
    body = outside.format(place=place).encode()
    s3.put_object(Bucket=bucket, Key="p/link", Body=body, Metadata=LINK)
    target = place / "in/target"
    before = surroundings(place / "etc")
    ctl("restore", jobs, f"s3://{bucket}/p", target, check=0, cwd=place / "etc")
    assert os.readlink(target / "link").encode() == body

    for key in ("p/link/evil", "p/link/x", "p/link/new/", "p/link/new/evil", "p/good"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"harm")
    result = ctl(
        "restore", jobs, "--overwrite", "always", f"s3://{bucket}/p", target, check=2,
        cwd=place / "etc",
    )  # fmt: skip
    for key in ("p/link/evil", "p/link/x", "p/link/new/", "p/link/new/evil"):
        assert f"failed   {key}: " in result.stderr, key
    assert (target / "good").read_bytes() == b"harm"
    assert surroundings(place / "etc") == before
    assert sorted(os.listdir(target)) == ["good", "link"]

    # And all at once into a fresh folder, whichever comes first: the link, or what is called so.
    result = ctl("restore", jobs, f"s3://{bucket}/p", place / "in/other", cwd=place / "etc")
    assert result.returncode == 2 or "1 kept as they are" in result.stdout, result
    assert surroundings(place / "etc") == before
    assert sorted(os.listdir(place)) == ["etc", "in", "up"]


def test_symlink_within_the_target_is_no_way_either(
    ctl: Any, place: Path, s3: Any, bucket: str
) -> None:
    """One file would become another."""
    target = place / "in/target"
    s3.put_object(Bucket=bucket, Key="p/real/deep/file", Body=b"good")
    s3.put_object(Bucket=bucket, Key="p/link", Body=b"real", Metadata=LINK)
    ctl("restore", f"s3://{bucket}/p", target, check=0)
    s3.put_object(Bucket=bucket, Key="p/link/deep/file", Body=b"harm")
    result = ctl("restore", "--overwrite", "always", f"s3://{bucket}/p", target, check=2)
    assert "failed   p/link/deep/file: " in result.stderr
    assert (target / "real/deep/file").read_bytes() == b"good"


def test_folder_object_does_not_reach_through_a_symlink(
    ctl: Any, place: Path, s3: Any, bucket: str
) -> None:
    """Its mode and time are set at the end, when a link may stand in its place."""
    (place / "in/target/link").symlink_to(place / "etc")
    headers = {"mode": str(stat.S_IFDIR | 0o777), "mtime": "1.000000000"}
    s3.put_object(Bucket=bucket, Key="p/link/", Metadata=headers)
    before = (place / "etc").stat()
    result = ctl("restore", f"s3://{bucket}/p", place / "in/target", check=2)
    assert "failed   p/link/: " in result.stderr
    after = (place / "etc").stat()
    assert (after.st_mode, after.st_mtime_ns) == (before.st_mode, before.st_mtime_ns)


def test_symlink_in_a_files_place_is_replaced_not_followed(
    ctl: Any, place: Path, s3: Any, bucket: str
) -> None:
    (place / "in/target/file").symlink_to(place / "up")
    s3.put_object(Bucket=bucket, Key="p/file", Body=b"new")
    ctl("restore", "--overwrite", "always", f"s3://{bucket}/p", place / "in/target", check=0)
    assert (place / "up").read_text() == "safe"
    assert not (place / "in/target/file").is_symlink()
    assert (place / "in/target/file").read_text() == "new"


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
