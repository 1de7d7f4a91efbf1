# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""What a mirror holds is what the folder holds: judged by s3fs, rsync, rclone, s3cmd and boto3."""

from __future__ import annotations

import base64
import json
import os
import re
import stat
import subprocess
import urllib.parse
from pathlib import Path
from typing import Any

import pytest

from fixtures import clean_environment
from fixtures.checks import (
    body,
    etags,
    key_of,
    keys,
    metadata,
    operations,
    rsync_changes,
    rows,
    the_sentence,
    unfinished_uploads,
    write_files,
)
from fixtures.fault_proxy import Delay, FaultProxy, Rule
from fixtures.trees import CONTROL_NAMES, MIB, make_tree, read_tree

# What s3fs 1.90 cannot show; all of it is looked at in other ways below. It also shows a link count
# of 1 for every file, which "rsync -a" does not ask for.
BEYOND_S3FS = [
    "/control/",  # a listing without url encoding is no XML then: each folder reads as an error
    "/private use/\ue0a5",  # use_wtf8 takes these code points in a name for its own escapes
    "/private use/a\ue000b\ue0ffc",
    "/special/block device",  # it has no header for a device's number
    "/special/character device",
    "/times/1955",  # up to the first second of 1970 it shows the time of the upload
    "/times/1969",
    "/times/1970",
    "/times/directory of 1965",
]  # fmt: skip


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The whole hard folder."""
    return make_tree(tmp_path / "tree").root


@pytest.fixture
def mirrored(ctl: Any, tree: Path, bucket: str) -> Path:
    ctl("mirror", "--delete", f"{tree}/", f"s3://{bucket}/p", check=0)
    return tree


# -- other programs -----------------------------------------------------------------------------


def test_s3fs_and_rsync_find_no_difference(mirrored: Path, bucket: str, s3fs_mount: Any) -> None:
    with s3fs_mount(bucket) as mount:
        assert rsync_changes(mirrored, mount / "p", exclude=BEYOND_S3FS) == []


def test_s3fs_opens_names_with_control_characters(
    mirrored: Path, bucket: str, s3fs_mount: Any
) -> None:
    """It cannot list them, but by their names it finds them."""
    with s3fs_mount(bucket) as mount:
        for folder, name in CONTROL_NAMES.items():
            here, there = (top / "control" / folder / name for top in (mirrored, mount / "p"))
            assert there.read_bytes() == here.read_bytes()
            want, have = here.stat(), there.stat()
            assert (have.st_mode, have.st_mtime_ns) == (want.st_mode, want.st_mtime_ns)


def test_s3fs_reads_the_extended_attributes(
    mirrored: Path, bucket: str, s3fs_mount: Any
) -> None:
    with s3fs_mount(bucket, options="use_xattr") as mount:
        for name in ("file", "directory", "many"):
            here, there = mirrored / "xattrs" / name, mount / "p/xattrs" / name
            assert os.listxattr(here)
            assert sorted(os.listxattr(there)) == sorted(os.listxattr(here))
            for attribute in os.listxattr(here):
                assert os.getxattr(there, attribute) == os.getxattr(here, attribute), attribute


def test_rclone_finds_no_difference(
    mirrored: Path, bucket: str, rclone_env: dict[str, str]
) -> None:
    """From here to there, as rclone sees our symlinks and devices there as further files."""
    done = subprocess.run(
        ["rclone", "check", "--download", "--one-way", "--skip-links",
         # Each control character otherwise costs it 45 s of listing again and again.
         "--low-level-retries=1", "--no-unicode-normalization",
         # Names that are no UTF-8, and the code points that stand for them, it spells its own way.
         "--exclude=/raw names/**", "--exclude=/private use/**",
         mirrored, f"rgw:{bucket}/p"],
        env=rclone_env, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "0 differences found" in done.stderr
    compared = int(re.search(r"(\d+) matching files", done.stderr)[1])
    regular = [path for path, entry in read_tree(mirrored).items() if entry.kind == "file"]
    left_out = [path for path in regular if path.startswith((b"raw names/", b"private use/"))]
    assert compared == len(regular) - len(left_out) > 100


def test_listers_see_the_same_keys(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str, s3cmd_config: Path, rclone_env: dict[str, str]
) -> None:
    # s3cmd, too, asks for listings that are no XML where there are control characters.
    tree = make_tree(tmp_path / "tree", control_names=False).root
    ctl("mirror", f"{tree}/", f"s3://{bucket}/p", check=0)

    here = {"p/"} | {
        "p/" + key_of(path) + ("/" if entry.kind == "directory" else "")
        for path, entry in read_tree(tree).items()
    }
    assert set(keys(s3, bucket)) == here
    listed = subprocess.run(
        ["s3cmd", f"--config={s3cmd_config}", "ls", "-r", f"s3://{bucket}"],
        env=clean_environment(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    address = f"s3://{bucket}/"
    assert {line.split(address, 1)[1] for line in listed.stdout.splitlines()} == here
    ours = ctl("ls", "-R", "--json", f"s3://{bucket}", check=0).json
    plain = {key for key in here if key.isascii() and "\\" not in key}
    assert {row["name"] for row in ours} >= plain
    assert len(ours) == len(here)


# -- headers ------------------------------------------------------------------------------------


def decimal_time(nanoseconds: int) -> str:
    sign = "-" if nanoseconds < 0 else ""
    return f"{sign}{abs(nanoseconds) // 10**9}.{abs(nanoseconds) % 10**9:09}"


def expected_metadata(path: bytes) -> dict[str, str]:
    """All but atime, which reading changes, and xattr."""
    status = os.lstat(path)
    headers = {
        "mode": str(status.st_mode),
        "uid": str(status.st_uid),
        "gid": str(status.st_gid),
        "mtime": decimal_time(status.st_mtime_ns),
        "ctime": decimal_time(status.st_ctime_ns),
    }
    if stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
        headers["rdev"] = f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
    return headers


def decoded_xattr(value: str | None) -> dict[str, bytes]:
    members = json.loads(urllib.parse.unquote(value)) if value else {}
    return {name: base64.b64decode(text) for name, text in members.items()}


def test_every_file_has_its_headers(mirrored: Path, s3: Any, bucket: str) -> None:
    entries = read_tree(mirrored)
    names: dict[int, list[str | None]] = {}
    for path, entry in entries.items():
        key = "p/" + key_of(path) + ("/" if entry.kind == "directory" else "")
        found = s3.head_object(Bucket=bucket, Key=key)
        headers = found["Metadata"]
        assert re.fullmatch(r"-?\d+\.\d{9}", headers.pop("atime")), key
        assert decoded_xattr(headers.pop("xattr", None)) == dict(entry.xattrs), key
        if entry.kind == "file":
            inode = os.lstat(os.fsencode(mirrored) + b"/" + path).st_ino
            names.setdefault(inode, []).append(headers.pop("hardlink", None))
        assert headers == expected_metadata(os.fsencode(mirrored) + b"/" + path), key
        length = len(os.fsencode(entry.content)) if entry.kind == "symlink" else entry.size
        assert found["ContentLength"] == length, key
        if entry.kind == "directory":
            assert found["ContentType"] == "application/x-directory", key
        elif entry.kind != "file":
            assert found["ContentType"] == "application/octet-stream", key
    assert len(entries) == len(keys(s3, bucket)) - 1
    # Each file that has several names is one of its own.
    assert all(said == [None] for said in names.values() if len(said) == 1)
    linked = [set(said) for said in names.values() if len(said) > 1]
    assert linked and all(len(said) == 1 for said in linked)
    assert None not in set.union(*linked) and len(set.union(*linked)) == len(linked)


def test_headers_to_the_letter(mirrored: Path, s3: Any, bucket: str) -> None:
    for key, name, value in [
        ("plain.txt", "mode", "33188"),
        ("modes/4755", "mode", "35309"),
        ("modes/7777", "mode", "36863"),
        ("modes/directory 1777/", "mode", "17407"),
        ("symlinks/relative", "mode", "41471"),
        ("special/fifo", "mode", "4512"),
        ("special/socket", "mode", "49568"),
        ("times/1 ns", "mtime", "1600000000.000000001"),
        ("times/0", "mtime", "1600000000.000000000"),
        ("times/1970", "mtime", "0.000000000"),
        ("times/1969", "mtime", "-0.000000001"),
        ("times/1955", "mtime", "-449999999.750000000"),
        ("times/2106", "mtime", "4294967301.000000000"),
    ]:
        assert metadata(s3, bucket, f"p/{key}")[name] == value, (key, name)
    if os.geteuid() == 0:
        owner = metadata(s3, bucket, "p/owners/large numbers")
        assert (owner["uid"], owner["gid"]) == ("4000000000", "3999999999")
        assert metadata(s3, bucket, "p/special/character device")["rdev"] == "1:3"
        assert metadata(s3, bucket, "p/special/block device")["rdev"] == "7:200"
    assert body(s3, bucket, "p/symlinks/absolute") == b"/etc/hostname"
    assert "rdev" not in metadata(s3, bucket, "p/plain.txt")
    assert "xattr" not in metadata(s3, bucket, "p/plain.txt")
    assert s3.head_object(Bucket=bucket, Key="p/plain.txt")["ContentType"] == "text/plain"


def test_xattrs_are_written_as_s3fs_writes_them(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str
) -> None:
    folder = write_files(tmp_path / "folder", {"file": "x"})
    os.setxattr(folder / "file", "user.a", b"1")
    ctl("mirror", f"{folder}/", f"s3://{bucket}", check=0)
    assert metadata(s3, bucket, "file")["xattr"] == "%7B%22user.a%22%3A%22MQ%3D%3D%22%7D"


def test_root_has_an_object_below_a_prefix_only(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str
) -> None:
    folder = write_files(tmp_path / "folder", {"file": "x"})
    folder.chmod(0o750)
    os.utime(folder, ns=(5, 1_234_567_890_000_000_007))
    ctl("mirror", f"{folder}/", f"s3://{bucket}/deep/prefix", check=0)
    assert keys(s3, bucket) == ["deep/prefix/", "deep/prefix/file"]
    root = metadata(s3, bucket, "deep/prefix/")
    assert (root["mode"], root["mtime"]) == (str(0o40750), "1234567890.000000007")

    ctl("mirror", f"{folder}/", f"s3://{bucket}", check=0)
    assert keys(s3, bucket) == ["deep/prefix/", "deep/prefix/file", "file"]


def test_storage_class_goes_with_every_object(
    ctl: Any, tmp_path: Path, bucket: str, proxy: FaultProxy
) -> None:
    folder = write_files(tmp_path / "folder", {"small": "x", "large": bytes(9 * MIB)})
    os.link(folder / "small", folder / "another name")
    ctl("mirror", folder, f"s3://{bucket}", "--storage-class", "STANDARD", check=0, endpoint=proxy)
    creating = [
        r for r in proxy.requests
        if r.method in ("PUT", "POST") and "uploadId" not in r.params
    ]  # fmt: skip
    assert operations(proxy)["copy"] == 1 and "uploads" in "".join(r.query for r in creating)
    assert {r.headers.get("x-amz-storage-class") for r in creating} == {"STANDARD"}


# -- contents -----------------------------------------------------------------------------------


def test_hard_links_are_sent_once(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    content = os.urandom(300_000)
    folder = write_files(tmp_path / "folder", {"one": content, "other/": ""})
    os.link(folder / "one", folder / "other/two")
    os.link(folder / "one", folder / "three")
    ctl("mirror", f"{folder}/", f"s3://{bucket}/p", check=0, endpoint=proxy)
    assert sum(r.body_length for r in proxy.requests) == len(content)
    assert operations(proxy)["copy"] == 2
    for key in ("one", "other/two", "three"):
        assert body(s3, bucket, f"p/{key}") == content
        assert metadata(s3, bucket, f"p/{key}")["mode"] == "33188"


def test_sparse_file_arrives_whole(ctl: Any, tmp_path: Path, s3: Any, bucket: str) -> None:
    folder = write_files(tmp_path / "folder", {"sparse": b"start"})
    with open(folder / "sparse", "r+b") as file:
        file.seek(10 * MIB)
        file.write(b"middle")
        file.truncate(12 * MIB + 1)
    assert (folder / "sparse").stat().st_blocks * 512 < MIB
    ctl("mirror", f"{folder}/", f"s3://{bucket}", check=0)
    assert body(s3, bucket, "sparse") == (folder / "sparse").read_bytes()


@pytest.mark.parametrize("size", [8 * MIB, 8 * MIB + 1, 17 * MIB])
def test_large_file_arrives_whole(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str, size: int
) -> None:
    content = os.urandom(MIB) * (size // MIB) + b"x" * (size % MIB)
    folder = write_files(tmp_path / "folder", {"large": content})
    ctl("mirror", f"{folder}/", f"s3://{bucket}", check=0)
    assert body(s3, bucket, "large") == content
    assert unfinished_uploads(s3, bucket) == []


def test_file_that_changes_once_while_it_is_sent(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    folder = write_files(tmp_path / "folder", {"large": os.urandom(20 * MIB)})

    def append(request: Any) -> bool:
        if not grow.hits and "partNumber" in request.params:
            with open(folder / "large", "ab") as file:
                file.write(b"one line more\n")
            return True
        return False

    grow = Rule(append, Delay(0))
    proxy.rules.append(grow)
    ctl("mirror", f"{folder}/", f"s3://{bucket}", "--jobs=1", check=0, endpoint=proxy)
    assert grow.hits == 1
    assert body(s3, bucket, "large") == (folder / "large").read_bytes()
    assert unfinished_uploads(s3, bucket) == []


def test_file_that_never_stands_still(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    """It is named with the reason; the rest goes on; the next run gets it."""
    folder = write_files(tmp_path / "folder", {"log": os.urandom(9 * MIB), "quiet": "x"})

    def append(request: Any) -> bool:
        if "partNumber" in request.params:
            with open(folder / "log", "ab") as file:
                file.write(b"one line more\n")
        return False

    proxy.rules.append(Rule(append, Delay(0), times=None))
    result = ctl("mirror", f"{folder}/", f"s3://{bucket}", "--jobs=1", check=2, endpoint=proxy)
    assert f"failed   {folder}/log: The file changed while it was read" in result.stderr
    assert keys(s3, bucket) == ["quiet"]
    assert unfinished_uploads(s3, bucket) == []

    ctl("mirror", f"{folder}/", f"s3://{bucket}", check=0)
    assert body(s3, bucket, "log") == (folder / "log").read_bytes()


# -- what cannot be stored ----------------------------------------------------------------------


def test_name_that_is_too_long_costs_no_other(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str
) -> None:
    tree = make_tree(tmp_path / "tree", large=False).root  # its longest path has 990 bytes
    longest = max(read_tree(tree), key=len)
    prefix = "p" * 34
    result = ctl("mirror", f"{tree}/", f"s3://{bucket}/{prefix}", check=2)
    failures = [line for line in result.stderr.splitlines() if line.startswith("failed")]
    assert len(failures) == 1
    assert os.fsdecode(longest) in failures[0]
    assert "1025 bytes as a key, 1024 are allowed" in failures[0]
    assert len(keys(s3, bucket)) == len(read_tree(tree))  # the root has one too
    # One byte less, and it fits.
    ctl("mirror", f"{tree}/", f"s3://{bucket}/{prefix[1:]}", check=0)
    assert f"{prefix[1:]}/{os.fsdecode(longest)}" in keys(s3, bucket)


def test_xattrs_that_do_not_fit_are_named_and_the_contents_stored(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str
) -> None:
    folder = write_files(tmp_path / "folder", {"file": "content"})
    os.setxattr(folder / "file", "user.long", os.urandom(2000))
    result = ctl("mirror", f"{folder}/", f"s3://{bucket}", check=2)
    assert f"failed   {folder}/file: The contents are safe, but the extended attr" in result.stderr
    assert body(s3, bucket, "file") == b"content"
    assert "xattr" not in metadata(s3, bucket, "file")


# -- sources ------------------------------------------------------------------------------------


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    return write_files(
        tmp_path / "sources",
        {"music/song": "la", "photos/cat": "meow", "photos/2026/dog": "wuff", "note.txt": "hm",
         "else/photos/other": "x"},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["photos"], ["photos/", "photos/2026/", "photos/2026/dog", "photos/cat"]),
        (["photos/"], ["", "2026/", "2026/dog", "cat"]),
        (["photos/."], ["", "2026/", "2026/dog", "cat"]),
        (["note.txt"], ["note.txt"]),
        (["music", "photos/2026"], ["2026/", "2026/dog", "music/", "music/song"]),
        (["music", "photos/2026/"], ["", "dog", "music/", "music/song"]),
        (["music", "note.txt"], ["music/", "music/song", "note.txt"]),
    ],
    ids=" ".join,
)
def test_where_sources_go(
    ctl: Any, sources: Path, s3: Any, bucket: str, arguments: list[str], expected: list[str]
) -> None:
    for _ in range(2):  # the second run agrees with the first, deletions included
        ctl("mirror", "--delete", *arguments, f"s3://{bucket}/p", check=0, cwd=sources)
        assert keys(s3, bucket) == [f"p/{key}" for key in expected]


def test_deletions_stay_within_the_sources(
    ctl: Any, sources: Path, s3: Any, bucket: str
) -> None:
    """What lies beside them in the bucket is not theirs, however alike its name."""
    others = ["p/music2", "p/music2/x", "p/note.txt2", "p/other", "q"]
    for key in [*others, "p/music/gone"]:
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    ctl("mirror", "--delete", "music", "note.txt", f"s3://{bucket}/p", check=0, cwd=sources)
    assert keys(s3, bucket) == sorted([*others, "p/music/", "p/music/song", "p/note.txt"])


def test_two_sources_of_one_name_are_refused(
    ctl: Any, sources: Path, s3: Any, bucket: str
) -> None:
    result = ctl("mirror", "photos", "else/photos", f"s3://{bucket}/p", cwd=sources)
    sentence = the_sentence(result, 1)
    assert f"“{sources}/photos” and “{sources}/else/photos” would both be stored as" in sentence
    assert keys(s3, bucket) == []


def test_sources_that_meet_in_the_bucket(
    ctl: Any, sources: Path, s3: Any, bucket: str
) -> None:
    """else/photos/cat and photos/cat both belong at p/photos/cat. Whether that is refused or one of
    them is stored: it does not go unsaid."""
    write_files(sources, {"else/photos/cat": "another cat"})
    result = ctl("mirror", "else/", "photos", f"s3://{bucket}/p", cwd=sources)
    assert result.returncode in (1, 2), result
    assert "photos" in result.stderr


def test_sources_within_each_other(ctl: Any, sources: Path, s3: Any, bucket: str) -> None:
    """The same files twice are no contradiction."""
    for _ in range(2):
        ctl("mirror", "--delete", ".", "photos", f"s3://{bucket}/p", check=0, cwd=sources)
        assert body(s3, bucket, "p/photos/cat") == b"meow"
        assert len(keys(s3, bucket)) == 1 + len(read_tree(sources))


def test_missing_source(ctl: Any, sources: Path, s3: Any, bucket: str) -> None:
    result = ctl("mirror", "nothing", f"s3://{bucket}/p", cwd=sources)
    assert the_sentence(result, 1) == f"Cannot open “{sources}/nothing”: No such file or directory"
    assert keys(s3, bucket) == []


def test_one_missing_source_of_two(ctl: Any, sources: Path, s3: Any, bucket: str) -> None:
    result = ctl("mirror", "nothing", "music", f"s3://{bucket}/p", check=2, cwd=sources)
    line = f"failed   {sources}/nothing: Cannot open “{sources}/nothing”: No such file or directory"
    assert result.stderr.splitlines() == [line]
    assert keys(s3, bucket) == ["p/music/", "p/music/song"]


def test_other_file_systems_are_left_out_unless_asked_for(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str
) -> None:
    folder = write_files(tmp_path / "folder", {"file": "x", "mounted/": ""})
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", folder / "mounted"], capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"cannot mount: {os.fsdecode(mounted.stderr).strip()}")
    try:
        write_files(folder, {"mounted/inside": "y"})
        result = ctl("mirror", f"{folder}/", f"s3://{bucket}", check=0)
        assert f"note     “{folder}/mounted” is another file system" in result.stderr
        assert keys(s3, bucket) == ["file", "mounted/"]
        ctl("mirror", "--all-file-systems", f"{folder}/", f"s3://{bucket}", check=0)
        assert keys(s3, bucket) == ["file", "mounted/", "mounted/inside"]
        # Left out again, it is out of sight, not gone.
        ctl("mirror", "--delete", f"{folder}/", f"s3://{bucket}", check=0)
        assert keys(s3, bucket) == ["file", "mounted/", "mounted/inside"]
    finally:
        subprocess.run(["umount", folder / "mounted"], check=True)


# -- excludes, --dry-run ------------------------------------------------------------------------


def test_excludes_keep_files_out_and_objects_in(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str
) -> None:
    folder = write_files(
        tmp_path / "folder",
        {"keep": "1", "a.tmp": "2", "cache/x": "3", "deep/cache/y": "4", "deep/keep.tmp": "5"},
    )
    for key in ("old.tmp", "cache/old", "gone"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    (tmp_path / "patterns").write_text("# a comment\n/cache/\n")
    ctl(
        "mirror", "--delete", "--include=keep.tmp", "--exclude=*.tmp",
        f"--exclude-from={tmp_path}/patterns", f"{folder}/", f"s3://{bucket}", check=0,
    )  # fmt: skip
    assert keys(s3, bucket) == [
        "cache/old", "deep/", "deep/cache/", "deep/cache/y", "deep/keep.tmp", "keep", "old.tmp",
    ]  # fmt: skip


def test_dry_run_changes_nothing_and_says_what_would_happen(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    folder = write_files(
        tmp_path / "folder", {"same": "1", "changed": "22", "gone": "3", "touched": "4"}
    )
    address = f"s3://{bucket}/p"
    ctl("mirror", "--delete", f"{folder}/", address, check=0, endpoint=proxy)
    proxy.reset()
    write_files(folder, {"changed": "four", "new": "5"})
    os.utime(folder / "touched")
    (folder / "gone").unlink()
    before = rows(s3, bucket)

    result = ctl("mirror", "--delete", "-n", f"{folder}/", address, check=0, endpoint=proxy)
    actions, _, summary = result.stdout.partition("Would be: ")
    assert sorted(line.split(None, 1) for line in actions.splitlines()) == [
        ["delete", "p/gone"], ["metadata", "p/touched"], ["put", "p/"], ["put", "p/changed"],
        ["put", "p/new"],
    ]  # fmt: skip
    assert summary.startswith("3 sent (5 B), 1 copied by the server, 1 deleted, 1 unchanged, ")
    assert operations(proxy) == {"list": 1}
    assert rows(s3, bucket) == before

    # It left no wrong ideas behind either.
    ctl("mirror", "--delete", f"{folder}/", address, check=0, endpoint=proxy)
    assert keys(s3, bucket) == ["p/", "p/changed", "p/new", "p/same", "p/touched"]
    assert body(s3, bucket, "p/changed") == b"four"


def test_dry_run_of_a_first_run_leaves_the_bucket_empty(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str
) -> None:
    folder = write_files(tmp_path / "folder", {"large": bytes(9 * MIB), "small": "x"})
    result = ctl("mirror", "--dry-run", "--json", f"{folder}/", f"s3://{bucket}", check=0)
    assert [row["key"] for row in result.json if row["type"] == "action"] == ["large", "small"]
    assert result.json[-1]["type"] == "result" and result.json[-1]["dry_run"] is True
    assert result.json[-1]["bytes_sent"] == 9 * MIB + 1
    assert etags(s3, bucket) == {} and unfinished_uploads(s3, bucket) == []
