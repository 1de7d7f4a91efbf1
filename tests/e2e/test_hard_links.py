# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""Names of one file are one file again after a restore, and nothing else ever becomes one."""

from __future__ import annotations

import os
import shutil
import sqlite3
import struct
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from fixtures import wait_until
from fixtures.checks import open_catalogue, rsync_changes, write_files
from fixtures.clocks import next_second
from fixtures.fault_proxy import FaultProxy, Request, Rule
from fixtures.large_files import WhenDone, is_copy, is_part_copy, is_sent_part, refusal
from fixtures.processes import under_strace
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
        catalogue.execute("ALTER TABLE object DROP COLUMN stored")
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


def test_catalogue_that_is_half_of_one_version(
    ctl: Any, folder: Path, s3: Any, bucket: str, where: str
) -> None:
    """It says that it is of a version, and has not the tables of it: it is made anew."""
    ctl("mirror", f"{folder}/", where, check=0)
    (path,) = ctl.state_dir.rglob("catalogue/*.db")
    with closing(sqlite3.connect(path)) as catalogue, catalogue:
        catalogue.execute("PRAGMA user_version = 3")
    assert "set aside" in ctl("mirror", f"{folder}/", where, check=0).stderr
    assert stored(s3, bucket, "a") == stored(s3, bucket, "c") != None  # noqa: E711
    assert "set aside" not in ctl("mirror", f"{folder}/", where, check=0).stderr


def is_sent(request: Request) -> bool:
    return request.method == "PUT" and "x-amz-copy-source" not in request.headers


@pytest.mark.parametrize("code", [(403, "InvalidObjectState"), (501, "NotImplemented")])
def test_names_are_not_worth_the_bytes(
    ctl: Any, folder: Path, s3: Any, bucket: str, where: str, proxy: FaultProxy, code: Any
) -> None:
    """Where an object cannot be copied onto itself it stays as it is, that is said, and not tried
    again."""
    command = ("mirror", f"{folder}/", where)
    ctl(*command, check=0)
    os.link(folder / "plain", folder / "plain too")
    proxy.rules.append(Rule(is_copy, refusal(*code), times=None))
    result = ctl(*command, "--verbose", endpoint=proxy, check=0)
    assert [r.key for r in proxy.requests if is_sent(r)] == ["p/", "p/plain too"]
    assert "\nmetadata" not in result.stdout and ", 0 copied by the server" in result.stdout
    assert "The bucket could not be told of which other names" in result.stderr
    assert stored(s3, bucket, "plain") is None
    proxy.reset()
    assert ctl(*command, endpoint=proxy, check=0).stderr == ""
    assert {request.method for request in proxy.requests} == {"GET"}


@pytest.mark.parametrize("code", [(412, "PreconditionFailed"), (403, "AccessDenied")])
def test_what_may_be_otherwise_tomorrow(
    ctl: Any, folder: Path, s3: Any, bucket: str, where: str, proxy: FaultProxy, code: Any
) -> None:
    """An object that was replaced in the bucket meanwhile, or a key that may not read, is no reason to
    leave it as it is."""
    command = ("mirror", f"{folder}/", where)
    ctl(*command, check=0)
    os.link(folder / "plain", folder / "plain too")
    proxy.rules.append(Rule(lambda r: is_copy(r) and r.key == "p/plain", refusal(*code), times=None))
    result = ctl(*command, endpoint=proxy, check=0)
    assert "p/plain" in [r.key for r in proxy.requests if is_sent(r)]
    assert "could not be told" not in result.stderr
    assert stored(s3, bucket, "plain") != None  # noqa: E711


def test_large_file_whose_names_cannot_be_told(
    ctl: Any, folder: Path, s3: Any, bucket: str, where: str, proxy: FaultProxy
) -> None:
    """One that is copied in parts: the upload is ended, and nothing is sent."""
    command = ("mirror", "--exclude", "/twin", f"{folder}/", where)
    ctl(*command, check=0)
    proxy.rules.append(
        Rule(lambda r: r.key == "p/large" and is_copy(r), refusal(501, "NotImplemented"), times=None))
    proxy.rules.append(Rule(is_part_copy, refusal(501, "NotImplemented"), times=None))
    ctl("mirror", f"{folder}/", where, endpoint=proxy, check=0)
    sent = {r.key for r in proxy.requests if is_sent_part(r)}
    assert sent <= {"p/twin"}
    assert s3.list_multipart_uploads(Bucket=bucket).get("Uploads") is None
    assert stored(s3, bucket, "large") is None


def test_names_beside_many_attributes(
    ctl: Any, folder: Path, tmp_path: Path, s3: Any, bucket: str, where: str
) -> None:
    """Where both do not fit, the attributes are stored, and what is not is said."""
    for length in range(1450, 1300, -24):  # the note takes more than what one step leaves free
        os.setxattr(folder / "a", "user.comment", b"x" * length)
        result = ctl("mirror", f"{folder}/", where)
        if result.returncode == 0:
            break
    assert "xattr" in s3.head_object(Bucket=bucket, Key="p/a")["Metadata"]
    assert stored(s3, bucket, "a") is None
    assert "there is no room to say which other names (hard links) a file has: 3 files" in result.stderr


def test_names_of_a_moment_without_versions(
    ctl: Any, folder: Path, tmp_path: Path, s3: Any, bucket: str, where: str
) -> None:
    """What is written again for its names alone was there before, too."""
    command = ("mirror", "--delete", "--keep-deleted", "30d", f"{folder}/", where)
    ctl(*command, check=0)
    shutil.copytree(folder, tmp_path / "then")
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(next_second()))
    os.link(folder / "plain", folder / "plain too")
    (folder / "c").unlink()
    (folder / "folder/b").unlink()
    ctl(*command, check=0)
    assert stored(s3, bucket, "plain") != None  # noqa: E711
    ctl("restore", where, tmp_path / "back", "--at", moment, check=0)
    assert rsync_changes(tmp_path / "then", tmp_path / "back", "-rlptgoinc") == []
    assert groups(tmp_path / "back") == ALL


def test_what_could_not_be_seen_is_not_gone(
    nobody: Any, s3: Any, bucket: str, where: str
) -> None:
    folder = write_files(nobody.home / "private", {"a": "1", "folder/": ""})
    os.link(folder / "a", folder / "folder/b")
    if nobody.user is not None:
        for path in (folder, folder / "folder", folder / "a"):
            os.chown(path, nobody.user, nobody.user)
    nobody("mirror", f"{folder}/", where, check=0)
    said = stored(s3, bucket, "a")
    assert said is not None
    (folder / "folder").chmod(0)
    nobody("mirror", f"{folder}/", where, check=2)
    assert stored(s3, bucket, "a") == said


def test_upload_of_before_the_other_name(
    ctl: Any, folder: Path, s3: Any, bucket: str, where: str, proxy: FaultProxy
) -> None:
    """An upload that began when nothing was to be said of other names is not gone on with."""
    job = ctl.popen("mirror", "--exclude", "/twin", f"{folder}/", where, endpoint=proxy)
    proxy.rules.append(
        Rule(lambda r: is_sent_part(r) and r.params["partNumber"] == "3", WhenDone(lambda _: job.kill()), times=None)
    )
    job.wait()
    proxy.reset()
    ctl("mirror", f"{folder}/", where, endpoint=proxy, check=0)
    assert stored(s3, bucket, "large") == stored(s3, bucket, "twin") != None  # noqa: E711


# -- files that were there before ---------------------------------------------------------------


@pytest.fixture
def back(ctl: Any, folder: Path, tmp_path: Path, where: str) -> Path:
    """The same files, each of its own."""
    ctl("mirror", f"{folder}/", where, check=0)
    shutil.copytree(folder, tmp_path / "back")
    assert groups(tmp_path / "back") == set()
    return tmp_path / "back"


def test_files_of_before_are_joined(ctl: Any, back: Path, where: str) -> None:
    result = ctl("restore", where, back, check=0)
    assert groups(back) == ALL
    assert "hard links" not in result.stderr


@pytest.mark.parametrize("name", ["a", "c", "folder/b"])
def test_file_that_somebody_writes_to(
    ctl: Any, folder: Path, back: Path, where: str, name: str
) -> None:
    others = {"a", "c", "folder/b"} - {name}
    with (back / name).open("r+b") as file:
        result = ctl("restore", where, back, check=0)
        file.write(b"more")
    assert (back / name).read_bytes()[:4] == b"more"
    for other in others:
        assert (back / other).read_bytes() == (folder / "a").read_bytes()
    assert (back / name).stat().st_nlink == 1
    assert f"“{name}” was another name of a file" in result.stderr


def test_file_that_others_may_read(ctl: Any, back: Path, where: str) -> None:
    """No backup has an access list, so that the file with one stays as it is."""
    # linux/posix_acl_xattr.h: version 2; user::rw-, user:1:r--, group::r--, mask::r--, other::r--
    entries = ((1, 6, -1), (2, 4, 1), (4, 4, -1), (16, 4, -1), (32, 4, -1))
    access = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)
    os.setxattr(back / "c", "system.posix_acl_access", access)
    assert (back / "c").stat().st_mode == (back / "a").stat().st_mode, "else that alone parts them"
    ctl("restore", where, back, check=0)
    assert os.getxattr(back / "c", "system.posix_acl_access") == access
    assert groups(back) == {frozenset({"a", "folder/b"}), frozenset({"large", "twin"})}


def test_first_name_has_another_elsewhere(ctl: Any, back: Path, tmp_path: Path, where: str) -> None:
    os.link(back / "a", tmp_path / "mine")
    result = ctl("restore", where, back, check=0)
    assert groups(back) == {frozenset({"c", "folder/b"}), frozenset({"large", "twin"})}
    assert (back / "a").stat().st_ino == (tmp_path / "mine").stat().st_ino
    assert (back / "a").stat().st_nlink == 2
    assert "“a” was another name of a file (a hard link), and is a file of its own now" in result.stderr
    assert "1 files were names of others" in result.stderr


def test_all_are_one_and_have_another_elsewhere(
    ctl: Any, folder: Path, tmp_path: Path, where: str
) -> None:
    """Then there is nothing to do, and nothing to say."""
    ctl("mirror", f"{folder}/", where, check=0)
    os.link(folder / "a", tmp_path / "mine")
    assert ctl("restore", where, folder, check=0).stderr == ""
    assert groups(folder) == ALL


def test_two_pairs_become_one(ctl: Any, folder: Path, tmp_path: Path, where: str) -> None:
    os.link(folder / "a", folder / "d")
    ctl("mirror", f"{folder}/", where, check=0)
    for name in ("c", "d"):
        (folder / name).unlink()
    shutil.copy2(folder / "a", folder / "c")
    os.link(folder / "c", folder / "d")
    result = ctl("restore", where, folder, check=0)
    assert groups(folder) == {frozenset({"a", "folder/b", "c", "d"}), frozenset({"large", "twin"})}
    assert "hard link" not in result.stderr


@pytest.fixture
def injected(ctl: Any, tmp_path: Path) -> Any:
    """injected("renameat2:error=EINVAL"): from now on it runs with this done to its system calls."""

    def inject(what: str) -> None:
        options = ["-o", tmp_path / "calls", "-e", f"inject={what}"]
        ctl.binary = under_strace(ctl.binary, tmp_path / "injected", *options)

    return inject


@pytest.mark.parametrize("exists", [False, True])
def test_disk_that_cannot_exchange(
    ctl: Any, folder: Path, back: Path, tmp_path: Path, where: str, injected: Any, exists: bool
) -> None:
    """As NFS: what the restore has written is replaced, what was there before is left alone."""
    injected("renameat2:error=EINVAL")
    target = back if exists else tmp_path / "new"
    result = ctl("restore", where, target, check=0)
    assert "EINVAL" in (tmp_path / "calls").read_text()
    assert groups(target) == (set() if exists else ALL)
    assert ("3 files were names of others" in result.stderr) == exists
    assert rsync_changes(folder, target, "-ainc") == []
    assert not list(target.rglob(".keepsake-*"))


def test_somebody_begins_to_write(
    ctl: Any, folder: Path, back: Path, tmp_path: Path, where: str, injected: Any
) -> None:
    """When the files were compared already: they change their names back."""
    injected("renameat2:delay_enter=5000000:when=1")
    restore = ctl.popen("restore", where, back)
    there: list[Path] = []
    wait_until(lambda: there.extend(back.rglob(".keepsake-*")) or there, 60, "the first link")
    inode = there[0].stat().st_ino
    names = {"a", "c", "folder/b"}
    first = [name for name in sorted(names) if (back / name).stat().st_ino == inode]
    names = names - set(first) if first else {"large", "twin"}
    for name in sorted(names):
        with (back / name).open("r+b") as file:  # waits until it may
            file.write(b"more")
    assert restore.wait(60) == 0
    for name in names:
        assert (back / name).read_bytes()[:4] == b"more"
    assert not list(back.rglob(".keepsake-*"))


def test_stopped_while_links_are_made(
    ctl: Any, folder: Path, tmp_path: Path, where: str, injected: Any
) -> None:
    """The folders are finished all the same, and the next restore goes on."""
    os.utime(folder / "folder", ns=(10**18, 10**18))
    (folder / "folder").chmod(0o750)
    ctl("mirror", f"{folder}/", where, check=0)
    plain = ctl.binary
    injected("renameat2:signal=SIGINT:when=1")
    ctl("restore", where, tmp_path / "back", check=6)
    state = (tmp_path / "back/folder").stat()
    assert (state.st_mode & 0o7777, state.st_mtime_ns) == (0o750, 10**18)
    assert not list((tmp_path / "back").rglob(".keepsake-*"))
    ctl.binary = plain
    ctl("restore", where, tmp_path / "back", check=0)
    assert groups(tmp_path / "back") == ALL
    assert rsync_changes(folder, tmp_path / "back", "-aincH") == []


def test_times_of_access_stay(ctl: Any, folder: Path, tmp_path: Path, s3: Any, bucket: str, where: str) -> None:
    """To look whether files are equal is not to use them."""
    for name in ("a", "large"):
        os.utime(folder / name, ns=(10**18, 2 * 10**18))
    ctl("mirror", f"{folder}/", where, check=0)
    ctl("restore", where, tmp_path / "back", check=0)
    assert groups(tmp_path / "back") == ALL
    for name in ("a", "folder/b", "large", "twin"):
        said = s3.head_object(Bucket=bucket, Key=f"p/{name}")["Metadata"]["atime"]
        assert said == "1000000000.000000000"
        assert (tmp_path / "back" / name).stat().st_atime_ns == (folder / name).stat().st_atime_ns == 10**18
