# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""Back in time: the tree as it was, from the versions that the bucket keeps."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from conftest import Ctl, remove_bucket
from fixtures.ceph_rgw import CephRgw
from fixtures.checks import the_sentence, write_files
from fixtures.clocks import next_second
from fixtures.fault_proxy import FaultProxy, ReplaceReply, Rule
from fixtures.impatience import Impatience
from fixtures.large_files import After, refusal
from fixtures.trees import MIB, differences, read_tree


@pytest.fixture
def versioned(s3: Any, bucket: str) -> str:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    return bucket


def utc_second() -> str:
    return datetime.fromtimestamp(next_second(), timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class History:
    """Real runs, with a copy of what each of them stored."""

    ctl: Any
    folder: Path
    copies: Path
    address: str
    options: tuple[str, ...] = ()
    moments: list[tuple[str, Path]] = field(default_factory=list)

    def run(self, *changes: Callable[[Path], Any]) -> None:
        for change in changes:
            change(self.folder)
        self.ctl("mirror", "--delete", "--max-delete", "1000", f"{self.folder}/", self.address,
                 *self.options, check=0)  # fmt: skip
        copy = self.copies / str(len(self.moments))
        shutil.copytree(self.folder, copy, symlinks=True)
        self.moments.append((utc_second(), copy))


def rename(old: str, new: str) -> Callable[[Path], Any]:
    return lambda folder: (folder / old).rename(folder / new)


def write(**files: bytes | str) -> Callable[[Path], Any]:
    return lambda folder: write_files(folder, {k.replace("__", "/"): v for k, v in files.items()})


def one_byte(name: str) -> Callable[[Path], Any]:
    def change(folder: Path) -> None:
        with open(folder / name, "r+b") as file:
            file.seek(7 * MIB)
            file.write(b"!")

    return change


def make_history(ctl: Any, tmp_path: Path, address: str, *options: str) -> History:
    folder = write_files(
        tmp_path / "folder",
        {"a": "1", "b": "bb", "photos/one": "1", "photos/two": "22", "old/gone": "x",
         "large": os.urandom(20 * MIB), "blank name": "&", "ümläut+%": "ü"},
    )  # fmt: skip
    (folder / "link").symlink_to("a")
    history = History(ctl, folder, tmp_path / "copies", address, options)
    history.copies.mkdir()
    history.run()
    history.run(one_byte("large"), write(a="2", c="new"))
    history.run(rename("photos", "pictures"), lambda f: shutil.rmtree(f / "old"))
    history.run(
        lambda f: (f / "a").unlink(),
        lambda f: (f / "link").unlink(),
        lambda f: (f / "b").chmod(0o600),
        one_byte("large"),
        write(pictures__three="333"),
    )
    history.run(write(a="again", old__gone="back"), rename("pictures", "photos"))
    return history


@pytest.fixture(scope="module")
def history(rgw: CephRgw, s3: Any, tmp_path_factory: Any) -> Iterator[History]:
    """In a bucket with versions, for all who only read it: each of its moments takes seconds."""
    place = tmp_path_factory.mktemp("history")
    (place / "home").mkdir()
    ctl = Ctl(rgw, place / "home")
    bucket = f"keepsake-test-{secrets.token_hex(4)}"
    s3.create_bucket(Bucket=bucket)
    try:
        set_versioning(s3, bucket, "Enabled")
        history = make_history(ctl, place, f"s3://{bucket}/p")
        history.run(write(**{"a b": "neighbour"}))
        yield history
    finally:
        ctl.end()
        remove_bucket(s3, bucket)


def restored(ctl: Any, address: str, moment: str, target: Path, *options: str) -> Path:
    ctl("restore", address, target, "--at", moment, *options, check=0)
    return target


def test_tree_of_each_moment(history: History, ctl: Any, tmp_path: Path) -> None:
    address = history.address
    for number, (moment, copy) in enumerate(history.moments):
        back = restored(history.ctl, address, moment, tmp_path / f"back{number}")
        assert differences(read_tree(copy), read_tree(back)) == [], moment

    # Nothing of that needs the catalogue, which `ctl` does not have, or the mirror's own prefix.
    moment, copy = history.moments[2]
    back = restored(ctl, f"{address}/pictures", moment, tmp_path / "part")
    assert differences(read_tree(copy / "pictures"), read_tree(back)) == []
    back = restored(ctl, f"{address}/pictures/two", moment, tmp_path / "file")
    assert (back / "two").read_text() == "22"
    for number, (moment, copy) in enumerate(history.moments):
        back = restored(ctl, address, moment, tmp_path / f"again{number}")
        assert differences(read_tree(copy), read_tree(back)) == [], moment


@pytest.mark.parametrize("prefix", ["/p", "/a/b", ""], ids=["prefix", "deeper", "root"])
def test_tree_of_each_moment_without_versions(
    ctl: Any, tmp_path: Path, bucket: str, state_dir: Path, prefix: str
) -> None:
    """From what the mirror kept when it deleted and replaced."""
    address = f"s3://{bucket}{prefix}"
    history = make_history(ctl, tmp_path, address, "--keep-deleted", "30d")
    shutil.rmtree(state_dir)
    for number, (moment, copy) in enumerate(history.moments):
        back = restored(ctl, address, moment, tmp_path / f"back{number}")
        wrong = differences(read_tree(copy), read_tree(back))
        shown = {n.rstrip("/") for n in
                 ctl("ls", address, "--at", moment, check=0).stdout.splitlines()}  # fmt: skip
        if number < 2:
            # A file's ctime does not tell when its folder got the name that it has later.
            wrong = [line for line in wrong if "'pictures" not in line]
            shown.discard("pictures")
        assert wrong == [], moment
        assert shown == set(os.listdir(copy))
    moment, copy = history.moments[0]
    back = restored(ctl, f"{address}/photos", moment, tmp_path / "part")
    assert differences(read_tree(copy / "photos"), read_tree(back)) == []
    rows = ctl("versions", "--json", f"{address}/a", check=0).json
    assert [row["size"] for row in rows] == [5, 1, 1]
    assert [bool(row.get("kept_as")) for row in rows] == [False, True, True]


def test_listing_of_each_moment(history: History) -> None:
    ctl, address = history.ctl, history.address
    for moment, copy in history.moments:
        shown = ctl("ls", address, "--at", moment, check=0).stdout.splitlines()
        there = [f"{p.name}/" if p.is_dir() and not p.is_symlink() else p.name
                 for p in copy.iterdir()]  # fmt: skip
        assert sorted(shown) == sorted(there)
    moment = history.moments[0][0]
    shown = ctl("ls", "-R", f"{address}/photos", "--at", moment, check=0).stdout.splitlines()
    assert shown == ["one", "two"]
    assert ctl("ls", f"{address}/old/gone", "--at", moment, check=0).stdout == "gone\n"
    rows = ctl("ls", "--json", f"{address}/a", "--at", history.moments[1][0], check=0).json
    assert rows[0]["size"] == 1 and rows[0]["stored"] <= history.moments[1][0]
    result = ctl("ls", f"{address}/c", "--at", moment)
    assert "There was nothing at" in the_sentence(result, 5)


def test_versions_of_a_file(history: History) -> None:
    ctl, address = history.ctl, history.address
    rows = ctl("versions", "--json", f"{address}/a", check=0).json
    assert [(row["size"], row["is_deletion"]) for row in rows] == [
        (5, False), (0, True), (1, False), (1, False)
    ]  # fmt: skip
    assert "until" not in rows[0]
    assert [row["until"] for row in rows[1:]] == [row["stored"] for row in rows[:-1]]
    text = ctl("versions", f"{address}/a", check=0).stdout.splitlines()
    assert len(text) == 4 and "now" in text[0] and "deleted" in text[1]
    assert "There is no file" in the_sentence(ctl("versions", f"{address}/never"), 5)


def test_pages_of_versions(ctl: Any, tmp_path: Path, s3: Any, versioned: str) -> None:
    """More than a page, of many keys and of one."""
    for i in range(3):
        for key in range(60):
            s3.put_object(Bucket=versioned, Key=f"p/{key:03}", Body=f"{key}-{i}".encode())
    moment = utc_second()
    for i in range(1100):
        s3.put_object(Bucket=versioned, Key="p/020", Body=f"later {i}".encode())
    s3.delete_object(Bucket=versioned, Key="p/010")
    back = restored(ctl, f"s3://{versioned}/p", moment, tmp_path / "back")
    assert sorted(os.listdir(back)) == [f"{key:03}" for key in range(60)]
    assert all((back / f"{key:03}").read_text() == f"{key}-2" for key in range(60))


def test_bucket_that_keeps_no_past(ctl: Any, tmp_path: Path, bucket: str) -> None:
    folder = write_files(tmp_path / "folder", {"a": "1"})
    ctl("mirror", f"{folder}/", f"s3://{bucket}/p", check=0)
    moment = utc_second()
    for command in ("restore", f"s3://{bucket}/p", tmp_path / "back"), ("ls", f"s3://{bucket}/p"):
        result = ctl(*command, "--at", moment)
        assert "This bucket keeps no old versions" in the_sentence(result, 5)
    assert not (tmp_path / "back").exists() or os.listdir(tmp_path / "back") == []


def set_versioning(s3: Any, bucket: str, status: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})


@pytest.mark.parametrize("status", ["Enabled", "Suspended", "forbidden", "unknown"])
def test_one_file_of_a_moment(
    ctl: Any, tmp_path: Path, s3: Any, versioned: str, proxy: FaultProxy, status: str
) -> None:
    """Below the file's name there is nothing; that does not mean that there is no past."""
    folder = write_files(tmp_path / "folder", {"a": "1"})
    address = f"s3://{versioned}/p"
    ctl("mirror", f"{folder}/", address, check=0)
    moment = utc_second()
    write_files(folder, {"a": "now"})
    ctl("mirror", f"{folder}/", address, check=0)
    if status == "Suspended":
        set_versioning(s3, versioned, status)
    refusals = {"forbidden": refusal(403, "AccessDenied"), "unknown": refusal(501, "NotImplemented")}
    if status in refusals:
        proxy.rules.append(Rule(lambda r: "versioning" in r.query, refusals[status], times=None))
    where = [f"{address}/a", "--at", moment]
    ctl("restore", where[0], tmp_path / "back", *where[1:], check=0, endpoint=proxy)
    ctl("restore", address, tmp_path / "part", "--path", "a", *where[1:], check=0, endpoint=proxy)
    assert (tmp_path / "back/a").read_text() == "1" == (tmp_path / "part/a").read_text()
    assert "a\n" in ctl("ls", *where, check=0, endpoint=proxy).stdout


def test_nothing_of_a_moment(
    ctl: Any, tmp_path: Path, s3: Any, versioned: str, proxy: FaultProxy
) -> None:
    """Whether that is for want of a past, the bucket knows; or nobody does."""
    where = [f"s3://{versioned}/none", "--at", utc_second()]
    none = f"There was nothing at “s3://{versioned}/none” at that time"
    for status in "Enabled", "Suspended":
        set_versioning(s3, versioned, status)
        assert none in the_sentence(ctl("restore", *where[:1], tmp_path, *where[1:]), 5)
        assert none in the_sentence(ctl("ls", *where), 5)
    proxy.rules.append(
        Rule(lambda r: "versioning" in r.query, refusal(403, "AccessDenied"), times=None)
    )
    unknown = "Whether this bucket keeps old versions cannot be found out: "
    for command in ["restore", *where[:1], tmp_path / "back", *where[1:]], ["ls", *where]:
        result = ctl(*command, endpoint=proxy)
        assert unknown in the_sentence(result, result.returncode)
        assert result.returncode != 0


def test_past_of_a_bucket_that_has_stopped_to_keep_it(
    ctl: Any, tmp_path: Path, s3: Any, versioned: str
) -> None:
    set_versioning(s3, versioned, "Suspended")
    folder = write_files(tmp_path / "folder", {"a": "1"})
    ctl("mirror", f"{folder}/", f"s3://{versioned}/p", check=0)
    back = restored(ctl, f"s3://{versioned}/p", utc_second(), tmp_path / "back")
    assert (back / "a").read_text() == "1"


def test_versions_that_came_too_late(ctl: Any, tmp_path: Path, s3: Any, bucket: str) -> None:
    """What was stored before has the version "null", and it is the one to fetch."""
    folder = write_files(tmp_path / "folder", {"a": "old", "b": "same"})
    ctl("mirror", f"{folder}/", f"s3://{bucket}/p", check=0)
    moment = utc_second()
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    write_files(folder, {"a": "new"})
    ctl("mirror", f"{folder}/", f"s3://{bucket}/p", check=0)
    back = restored(ctl, f"s3://{bucket}/p", moment, tmp_path / "back")
    assert {p.name: p.read_text() for p in back.iterdir()} == {"a": "old", "b": "same"}


def test_server_without_listing_of_versions(
    ctl: Any, tmp_path: Path, bucket: str, proxy: FaultProxy
) -> None:
    folder = write_files(tmp_path / "folder", {"a": "1"})
    ctl("mirror", f"{folder}/", f"s3://{bucket}/p", check=0)
    moment = utc_second()
    proxy.rules.append(
        Rule(lambda r: "versions" in r.query or "versioning" in r.query,
             refusal(501, "NotImplemented"), times=None)
    )  # fmt: skip
    result = ctl("restore", f"s3://{bucket}/p", tmp_path / "back", "--at", moment, endpoint=proxy)
    assert "This bucket keeps no old versions" in the_sentence(result, 5)


HOUR = 3600


def put_kept(s3: Any, bucket: str, hours_ago: float, what: str, content: str, ctime: float) -> None:
    """What the run of so many hours ago kept, of a file whose ctime was so many hours ago."""
    run = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - hours_ago * HOUR))
    metadata = {"ctime": f"{time.time() - ctime * HOUR:.9f}", "mtime": "1500000000", "mode": "33188"}
    s3.put_object(Bucket=bucket, Key=f"p.keepsake-kept/{run}/{what}", Body=content.encode(),
                  Metadata=metadata)  # fmt: skip


def hours_ago(hours: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - hours * HOUR))


@pytest.mark.parametrize("end", ["replaced", "deleted"])
def test_moment_within_a_run(ctl: Any, tmp_path: Path, s3: Any, bucket: str, end: str) -> None:
    """The run of ten hours ago came late to the file: what it stored was written while it ran."""
    put_kept(s3, bucket, 10, "replaced/file", "first", ctime=20)
    put_kept(s3, bucket, 1, f"{end}/file", "second", ctime=9.2)
    put_kept(s3, bucket, 1, f"{end}/new", "second", ctime=9.2)
    s3.put_object(Bucket=bucket, Key="p/other", Body=b"today")
    if end == "replaced":
        for name in "file", "new":
            s3.put_object(Bucket=bucket, Key=f"p/{name}", Body=b"today")
    for hours, expected in (4, {"file": "second", "new": "second"}), (9.6, {"file": "first"}):
        back = restored(ctl, f"s3://{bucket}/p", hours_ago(hours), tmp_path / f"back{hours}")
        assert {path.name: path.read_text() for path in back.iterdir()} == expected
        shown = ctl("ls", f"s3://{bucket}/p", "--at", hours_ago(hours), check=0).stdout.split()
        assert shown == sorted(expected)
    for command in ["restore", f"s3://{bucket}/p", tmp_path / "none"], ["ls", f"s3://{bucket}/p"]:
        result = ctl(*command, "--at", hours_ago(30), check=5)
        assert "There was nothing at" in result.stderr.splitlines()[-1]
    back = restored(ctl, f"s3://{bucket}/p/file", hours_ago(9.6), tmp_path / "one")
    assert (back / "file").read_text() == "first"


@pytest.mark.parametrize("what", ["replaced", "deleted"])
def test_clock_that_was_ahead(ctl: Any, tmp_path: Path, s3: Any, bucket: str, what: str) -> None:
    """Nothing is kept before it was written: that ctime does not say when the file came."""
    for name, ctime in ("wrong", -48), ("later", 2), ("before", 9):
        put_kept(s3, bucket, 1, f"{what}/{name}", name, ctime)
    s3.put_object(Bucket=bucket, Key="p/wrong", Body=b"today")
    back = restored(ctl, f"s3://{bucket}/p", hours_ago(4), tmp_path / "back")
    assert {path.name: path.read_text() for path in back.iterdir()} == {
        "wrong": "wrong", "before": "before"
    }  # fmt: skip


@pytest.mark.parametrize("size", [1000, 20 * MIB], ids=["small", "large"])
@pytest.mark.parametrize("here", [False, True])
def test_object_that_changes_after_the_listing(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str, proxy: FaultProxy, size: int, here: bool
) -> None:
    """What has the same size now is of another moment all the same."""
    folder = write_files(tmp_path / "folder", {"a": "1", "file": os.urandom(size)})
    address = f"s3://{bucket}/p"
    arguments = ("mirror", "--delete", "--max-delete=100", "--keep-deleted=30d", f"{folder}/", address)
    ctl(*arguments, check=0)
    (folder / "a").unlink()
    ctl(*arguments, check=0)
    moment = utc_second()

    def replace(_: Any) -> None:
        s3.put_object(Bucket=bucket, Key="p/file", Body=os.urandom(size))

    rule = Rule(lambda r: r.key == "p/file", After(replace))
    proxy.rules.append(rule)
    back = write_files(tmp_path / "back", {"file": "older"} if here else {"other": ""})
    if here:
        os.utime(back / "file", (0, 0))
    result = ctl("restore", address, back, "--at", moment, check=2, endpoint=proxy)
    assert rule.hits == 1
    assert result.stderr.startswith("failed   p/file: ") and "changed in the bucket" in result.stderr
    assert ((back / "file").read_text() == "older") if here else not (back / "file").exists()


@pytest.mark.parametrize("when", [
    "tomorrow", "soon", "2199-01-01", "yesterday 25:00", "1969-12-31", "1970-01-01T00:00:00Z",
])
def test_times_that_make_no_sense(ctl: Any, tmp_path: Path, bucket: str, when: str) -> None:
    result = ctl("restore", f"s3://{bucket}/p", tmp_path / "back", "--at", when)
    assert when in the_sentence(result, 1)
    assert when in the_sentence(ctl("ls", f"s3://{bucket}/p", "--at", when), 1)


# -- a part of it, and what would come ------------------------------------------------------------


@pytest.fixture
def photos(ctl: Any, tmp_path: Path, bucket: str) -> str:
    folder = write_files(
        tmp_path / "folder",
        {"2025/a.jpg": "a", "2025/a.tmp": "t", "2026/b.jpg": "b", "2026/deep/c.jpg": "c",
         "notes.txt": "n", "notes.txt.old": "o"},
    )  # fmt: skip
    ctl("mirror", f"{folder}/", f"s3://{bucket}/p", check=0)
    return f"s3://{bucket}/p"


def files(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_selected_paths(ctl: Any, tmp_path: Path, photos: str) -> None:
    back = tmp_path / "back"
    ctl("restore", photos, back, "--path", "2026/deep/", "--path", "notes.txt", check=0)
    assert files(back) == ["2026/deep/c.jpg", "notes.txt"]
    result = ctl("restore", photos, back, "--path", "2027")
    assert "2027" in the_sentence(result, 5)


@pytest.mark.parametrize("when", ["now", "then"])
@pytest.mark.parametrize(
    "paths",
    [["2026", "2026/deep/"], ["2026/deep", "2026"], ["2026", "2026/b.jpg", "2026/deep/c.jpg"],
     ["2026/b.jpg", "2026", "2026"], ["2026/none", "2026", "2026/none/"]],
    ids=" ".join,
)  # fmt: skip
def test_overlapping_paths(
    ctl: Any, tmp_path: Path, versioned: str, photos: str, s3: Any, paths: list[str], when: str
) -> None:
    """As a list may hold them that somebody has put together: all of it comes, once."""
    s3.put_object(Bucket=versioned, Key="p/2026/none/")
    options = [option for path in paths for option in ("--path", path)]
    if when == "then":
        options += ["--at", utc_second()]
        s3.delete_object(Bucket=versioned, Key="p/2026/b.jpg")
    result = ctl("restore", photos, tmp_path / "back", *options, check=0)
    assert files(tmp_path / "back") == ["2026/b.jpg", "2026/deep/c.jpg"]
    assert (tmp_path / "back/2026/none").is_dir()
    assert "Done: 5 restored" in result.stdout


def test_patterns(ctl: Any, tmp_path: Path, photos: str) -> None:
    back = tmp_path / "back"
    result = ctl("restore", photos, back, "--exclude", "*.tmp", "--exclude", "/2026/", check=0)
    assert files(back) == ["2025/a.jpg", "notes.txt", "notes.txt.old"]
    assert not (back / "2026").exists()
    assert "5 restored" in result.stdout


def test_dry_run(ctl: Any, tmp_path: Path, photos: str) -> None:
    back = tmp_path / "back"
    result = ctl("restore", photos, back, "-n", "-v", "--path", "2026", check=0)
    assert not back.exists()
    assert "2026/deep/c.jpg" in result.stdout and "Would be: 4 restored (2 B" in result.stdout

    write_files(back, {"2026/b.jpg": "mine"})
    result = ctl("restore", photos, back, "-n", "--path", "2026", check=0)
    assert "Would be: 2 restored (1 B)" in result.stdout and "1 kept as they are" in result.stdout
    assert files(back) == ["2026/b.jpg"]
    ctl("restore", photos, back, "--path", "2026", check=0)
    result = ctl("restore", photos, back, "-n", "--path", "2026", "--overwrite", "always", check=0)
    assert (back / "2026/b.jpg").read_text() == "mine"
    assert "2 restored (2 B" in result.stdout


# -- having a bucket keep versions --------------------------------------------------------------


def rules(s3: Any, bucket: str) -> list[dict[str, Any]]:
    rows = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    return sorted(rows, key=lambda row: row["ID"])


def test_probe_offers_versions(ctl: Any, s3: Any, bucket: str) -> None:
    assert "--enable-versioning" in ctl("probe", f"s3://{bucket}/p", check=0).stdout
    others = {"ID": "others", "Status": "Enabled", "Filter": {"Prefix": "logs & more/"},
              "Expiration": {"Days": 7}}  # fmt: skip
    s3.put_bucket_lifecycle_configuration(
        Bucket=bucket, LifecycleConfiguration={"Rules": [others]}
    )
    before = rules(s3, bucket)
    shown = ctl("probe", f"s3://{bucket}/p", "--enable-versioning", "90d", "-n", check=0).stdout
    assert "<NoncurrentDays>90</NoncurrentDays>" in shown and "<Prefix>p/</Prefix>" in shown
    assert rules(s3, bucket) == before
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)

    for days in ("90d", "30d"):  # the second takes the place of the first
        ctl("probe", f"s3://{bucket}/p", "--enable-versioning", days, check=0)
    ctl("probe", f"s3://{bucket}/q", "--enable-versioning", "7d", check=0)
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    after = rules(s3, bucket)
    assert [row for row in after if row["ID"] == "others"] == before
    ours = {row["Filter"]["Prefix"]: row for row in after if row["ID"] != "others"}
    assert {k: v["NoncurrentVersionExpiration"]["NoncurrentDays"] for k, v in ours.items()} == {
        "p/": 30, "q/": 7
    }  # fmt: skip
    assert ours["p/"]["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] == 30
    assert "--enable-versioning" not in ctl("probe", f"s3://{bucket}/p", check=0).stdout


def test_no_versions_without_an_end(ctl: Any, s3: Any, bucket: str, proxy: FaultProxy) -> None:
    """Where there are no rules to be had, nothing is switched on."""
    proxy.rules.append(Rule(lambda r: "lifecycle" in r.query, refusal(501, "NotImplemented"),
                            times=None))  # fmt: skip
    result = ctl("probe", f"s3://{bucket}/p", "--enable-versioning", "90d", endpoint=proxy)
    assert "nothing was switched on" in the_sentence(result, 5)
    proxy.rules[0] = Rule(lambda r: "lifecycle" in r.query and r.method == "PUT",
                          refusal(403, "AccessDenied"), times=None)  # fmt: skip
    result = ctl("probe", f"s3://{bucket}/p", "--enable-versioning", "90d", endpoint=proxy)
    assert "may not see and change the bucket's settings" in the_sentence(result, 4)
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
    result = ctl("probe", f"s3://{bucket}/p", "--enable-versioning", "1h")
    assert "1h" in the_sentence(result, 1)


def test_rules_of_others_in_another_form(
    ctl: Any, s3: Any, bucket: str, proxy: FaultProxy, impatience: Impatience
) -> None:
    """What cannot be added to is left alone."""
    others = {"ID": "others", "Status": "Enabled", "Filter": {"Prefix": "logs/"},
              "Expiration": {"Days": 7}}  # fmt: skip
    s3.put_bucket_lifecycle_configuration(
        Bucket=bucket, LifecycleConfiguration={"Rules": [others]}
    )
    for change, check in ((b'<Rule xmlns="http://s3.amazonaws.com/doc/2006-03-01/">', 0),
                          (b"<s3:Rule>", 5)):  # fmt: skip
        proxy.rules[:] = [
            Rule(lambda r: r.method == "GET" and "lifecycle" in r.query,
                 ReplaceReply(lambda status, headers, content, change=change:
                              (status, headers, content.replace(b"<Rule>", change))), times=None)
        ]  # fmt: skip
        ctl("probe", f"s3://{bucket}/p", "--enable-versioning", "90d", endpoint=proxy, check=check,
            env=impatience.environment)  # fmt: skip
        assert "others" in [row["ID"] for row in rules(s3, bucket)]


# -- what is no longer kept -----------------------------------------------------------------------


def test_older_than_versions_are_kept(ctl: Any, tmp_path: Path, s3: Any, bucket: str) -> None:
    ctl("probe", f"s3://{bucket}/p", "--enable-versioning", "7d", check=0)
    folder = write_files(tmp_path / "folder", {"a": "1"})
    ctl("mirror", f"{folder}/", f"s3://{bucket}/p", check=0)
    for command in ("ls", f"s3://{bucket}/p"), ("restore", f"s3://{bucket}/p", tmp_path / "back"):
        result = ctl(*command, "--at", "8 days ago", check=None)
        assert "files may be missing" in result.stderr
    assert "missing" not in ctl("ls", f"s3://{bucket}/p", "--at", "now", check=0).stderr


def test_older_than_the_mirror_keeps(ctl: Any, tmp_path: Path, bucket: str) -> None:
    folder = write_files(tmp_path / "folder", {"a": "1", "b": "2"})
    arguments = ("--delete", f"{folder}/", f"s3://{bucket}/p")
    ctl("mirror", *arguments, check=0)
    moment = utc_second()
    write_files(folder, {"a": "later"})
    ctl("mirror", *arguments, check=0)  # not kept
    (folder / "b").unlink()
    ctl("mirror", "--keep-deleted", "30d", *arguments, check=0)
    for command in ("ls", f"s3://{bucket}/p"), ("restore", f"s3://{bucket}/p", tmp_path / "back"):
        assert "files may be missing" in ctl(*command, "--at", moment, check=0).stderr
    for where in [f"s3://{bucket}/p/b"], [f"s3://{bucket}/p", "--path=b", "--path=b"]:
        result = ctl("restore", *where, tmp_path / "part", "--at", moment, check=0)
        assert result.stderr.count("files may be missing") == 1


@pytest.mark.parametrize("contents", [False, True], ids=["named", "contents"])
def test_what_others_keep_is_not_ones_own_past(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str, contents: bool
) -> None:
    """Two plans share a prefix, and one of them keeps; what it never had to keep is complete."""
    address = f"s3://{bucket}/p"
    documents = write_files(tmp_path / "Documents", {"a": "1", "gone": "x", "still/b": "2"})
    pictures = write_files(tmp_path / "Pictures", {"cat": "meow", "dog": "wuff"})
    arguments = (f"{documents}/" if contents else documents, address)
    ctl("mirror", *arguments, check=0)
    ctl("mirror", pictures, address, check=0)
    (documents / "gone").unlink()
    ctl("mirror", "--delete", "--max-delete=100", "--keep-deleted=30d", *arguments,
        *(["--exclude=/Pictures"] if contents else []), check=0)  # fmt: skip
    moment = utc_second()
    write_files(pictures, {"cat": "MEOW"})
    ctl("mirror", pictures, address, check=0)  # not kept

    below = "" if contents else "/Documents"
    for path, missing in ((below, False), (f"{below}/still", False), (f"{below}/still/b", False),
                          ("/Pictures", not contents), ("/Pictures/dog", not contents)):  # fmt: skip
        for command in ["ls"], ["restore"]:
            target = [tmp_path / f"back{path.replace('/', '-')}"] if command == ["restore"] else []
            result = ctl(*command, f"{address}{path}", *target, "--at", moment)
            assert ("files may be missing" in result.stderr) == missing, (command, path)
