# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""The commands that only look: verify, ls and probe."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from fixtures import PATIENCE
from fixtures.checks import (
    body,
    etags,
    keys,
    metadata,
    operations,
    the_sentence,
    unfinished_uploads,
    write_files,
)
from fixtures.fault_proxy import FaultProxy, Headers, ReplaceReply, Reply, Rule
from fixtures.large_files import After, refusal
from fixtures.trees import MIB, make_tree, read_tree

# -- verify -------------------------------------------------------------------------------------


@pytest.fixture
def folder(ctl: Any, tmp_path: Path, bucket: str) -> Path:
    """Mirrored as s3://bucket/p."""
    folder = write_files(
        tmp_path / "folder",
        {"same": "1", "lost": "22", "edited": "333", "rotten": "4444", "sub/same": "5", "empty": "",
         "large": os.urandom(9 * MIB)},
    )  # fmt: skip
    (folder / "link").symlink_to("same")
    ctl("mirror", f"{folder}/", f"s3://{bucket}/p", check=0)
    return folder


def let_it_rot(s3: Any, bucket: str, key: str) -> None:
    """Other bytes under the same size and headers."""
    content = bytearray(body(s3, bucket, key))
    content[-1] ^= 1
    s3.put_object(Bucket=bucket, Key=key, Body=bytes(content), Metadata=metadata(s3, bucket, key))


def test_verify_of_what_is_equal(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    tree = make_tree(tmp_path / "tree").root
    ctl("mirror", f"{tree}/", f"s3://{bucket}/p", check=0)
    before = etags(s3, bucket)
    result = ctl("verify", f"{tree}/", f"s3://{bucket}/p", check=0, endpoint=proxy)
    compared = [e for e in read_tree(tree).values() if e.kind in ("file", "symlink")]
    assert result.stdout.startswith(f"Done: {len(compared)} equal (")
    assert ", 0 missing, 0 changed since, 0 damaged, 0 failed" in result.stdout
    assert set(operations(proxy)) == {"list", "head", "get"}
    assert proxy.bytes_down > sum(entry.size for entry in compared)  # it really read them
    assert etags(s3, bucket) == before


def test_verify_tells_differences_apart(ctl: Any, folder: Path, s3: Any, bucket: str) -> None:
    s3.delete_object(Bucket=bucket, Key="p/lost")
    (folder / "edited").write_text("three")
    for key in ("p/rotten", "p/large"):
        let_it_rot(s3, bucket, key)
    result = ctl("verify", f"{folder}/", f"s3://{bucket}/p", check=2)
    damaged = (
        "The bytes in the bucket differ from what was stored; the next backup sends the file again"
    )
    assert sorted(result.stderr.splitlines()) == [
        f"failed   {folder}/edited: The file was changed since it was stored; mirror again",
        f"failed   {folder}/large: {damaged}",
        f"failed   {folder}/lost: It is not in the bucket; mirror again",
        f"failed   {folder}/rotten: {damaged}",
    ]
    assert re.fullmatch(
        r"Done: 4 equal \(.*\), 1 missing, 1 changed since, 2 damaged, 0 failed\n"
        r"Proved since they were stored: 5 of 8 files, .* of 9.0 MiB\n", result.stdout,
    )  # fmt: skip


def test_verify_without_a_catalogue(
    ctl: Any, folder: Path, s3: Any, bucket: str, state_dir: Path
) -> None:
    """On another computer, say: the files are all there is to compare with."""
    for path in state_dir.rglob("*.db*"):
        path.unlink()
    (folder / "edited").write_text("three")
    let_it_rot(s3, bucket, "p/rotten")
    result = ctl("verify", f"{folder}/", f"s3://{bucket}/p", check=2)
    assert sorted(result.stderr.splitlines()) == [
        f"failed   {folder}/edited: The file was changed since it was stored; mirror again",
        f"failed   {folder}/rotten: The bytes in the bucket differ from the file, though size and "
        "time are the same; mirror with --checksum to send it again",
    ]
    assert re.fullmatch(
        r"Done: 6 equal \(.*\), 0 missing, 1 changed since, 1 damaged, 0 failed\n", result.stdout
    )
    assert not list(state_dir.rglob("*.db"))


def to_another_link(folder: Path) -> None:
    (folder / "link").unlink()
    (folder / "link").symlink_to("lost")  # as long as before


def to_a_file(folder: Path) -> None:
    (folder / "link").unlink()
    (folder / "link").write_text("same")  # the very bytes that the link's object has


def to_a_pipe(folder: Path) -> None:
    (folder / "link").unlink()
    os.mkfifo(folder / "link")


def to_something(folder: Path) -> None:
    (folder / "empty").write_text("no longer")


@pytest.mark.parametrize("change", [to_another_link, to_a_file, to_a_pipe, to_something])
def test_verify_names_what_has_no_record(
    ctl: Any, tmp_path: Path, bucket: str, state_dir: Path, change: Any
) -> None:
    """What is not a file with a SHA-256 changes, too."""
    folder = write_files(tmp_path / "folder", {"same": "1", "lost": "22", "empty": ""})
    (folder / "link").symlink_to("same")
    command = (f"{folder}/", f"s3://{bucket}/p")
    ctl("mirror", *command, check=0)
    for path in state_dir.rglob("*.db*"):
        path.unlink()
    ctl("mirror", *command, check=0)  # takes over what is there
    ctl("verify", *command, check=0)
    change(folder)
    result = ctl("verify", *command, check=2)
    name = "empty" if change == to_something else "link"
    sentence = "The file was changed since it was stored; mirror again"
    assert result.stderr == f"failed   {folder}/{name}: {sentence}\n"
    assert ", 1 changed since, 0 damaged, 0 failed" in result.stdout


def test_verify_of_what_is_replaced_meanwhile(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    """By one that begins as the file does, and has its size and time."""
    folder = write_files(tmp_path / "folder", {"file": "0123456789"})
    headers = {"mtime": "1500000000", "mode": "33188"}
    os.utime(folder / "file", (1_500_000_000, 1_500_000_000))
    for key, content in ("p/", b""), ("p/file", b"012345"):
        s3.put_object(Bucket=bucket, Key=key, Body=content, Metadata=headers)

    def replace(_: Any) -> None:
        s3.put_object(Bucket=bucket, Key="p/file", Body=b"012345....", Metadata=headers)

    rule = Rule(lambda r: r.method == "HEAD" and r.key == "p/file", After(replace))
    proxy.rules.append(rule)
    command = ("verify", f"{folder}/", f"s3://{bucket}/p")
    result = ctl(*command, check=2, endpoint=proxy)
    assert rule.hits == 1
    assert "file: The object changed in the bucket during the verification" in result.stderr
    assert "file: The bytes in the bucket differ" in ctl(*command, check=2).stderr


def test_verify_in_json(ctl: Any, folder: Path, s3: Any, bucket: str) -> None:
    s3.delete_object(Bucket=bucket, Key="p/lost")
    (folder / "edited").write_text("three")
    let_it_rot(s3, bucket, "p/rotten")
    result = ctl("verify", "--json", f"{folder}/", f"s3://{bucket}/p", check=2)
    failed = {row["path"]: row["error"] for row in result.json if row["type"] == "failed"}
    assert failed == {
        f"{folder}/lost": "not-found",
        f"{folder}/edited": "conflict",
        f"{folder}/rotten": "corrupt",
    }
    end = result.json[-1]
    assert end.pop("bytes") > 9 * MIB
    assert end.pop("coverage")["objects_proved"] == 6
    assert end == {
        "type": "result", "exit_code": 2, "equal": 5, "missing": 1, "changed": 1, "damaged": 1,
        "failed": 0,
    }  # fmt: skip


def test_what_verify_advises_helps(ctl: Any, folder: Path, s3: Any, bucket: str) -> None:
    s3.delete_object(Bucket=bucket, Key="p/lost")
    (folder / "edited").write_text("three")
    for key in ("p/rotten", "p/large"):
        let_it_rot(s3, bucket, key)
    ctl("verify", f"{folder}/", f"s3://{bucket}/p", check=2)
    ctl("mirror", f"{folder}/", f"s3://{bucket}/p", check=0)
    ctl("verify", f"{folder}/", f"s3://{bucket}/p", check=0)


def test_verify_names_what_could_not_be_restored(
    ctl: Any, folder: Path, tmp_path: Path, s3: Any, bucket: str
) -> None:
    """A file that was a folder before: without --delete the bucket has both, a disk cannot."""
    for key in ("p/same/old", "p/link/", "p/same.txt"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"old")
    s3.put_object(Bucket=bucket, Key="p/sub", Body=b"a file before it was a folder")
    result = ctl("verify", "--json", f"{folder}/", f"s3://{bucket}/p", check=2)
    failed = [row for row in result.json if row["type"] == "failed"]
    assert sorted(row["path"] for row in failed) == ["p/link", "p/same", "p/sub"]
    assert {row["error"] for row in failed} == {"conflict"}
    assert "a file and a folder of this name" in failed[0]["message"]
    equal = [row["key"] for row in result.json if row.get("action") == "equal"]
    assert "p/same" not in equal and "p/sub/same" in equal
    assert result.json[-1]["failed"] == 3


def test_listing_of_verify_is_as_patient_as_others(
    ctl: Any, folder: Path, bucket: str, proxy: FaultProxy
) -> None:
    """Few attempts are for finding out that nothing is there; the first page has been."""

    def cut(status: int, headers: Headers, body: bytes) -> tuple[int, Headers, bytes]:
        more = b"<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>"
        return status, headers, body.replace(b"<IsTruncated>false</IsTruncated>", more)

    end = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"
    failing = Rule(lambda r: "continuation-token" in r.params, refusal(500, "InternalError"), 4)
    proxy.rules += [
        failing,
        Rule(lambda r: "continuation-token" in r.params, Reply(200, {}, end)),
        Rule(lambda r: "list-type" in r.params, ReplaceReply(cut)),
    ]
    ctl("verify", f"{folder}/", f"s3://{bucket}/p", check=0, endpoint=proxy)
    assert failing.hits == 4
    assert operations(proxy)["list"] == 6


def test_damaged_symlink(ctl: Any, folder: Path, s3: Any, bucket: str) -> None:
    let_it_rot(s3, bucket, "p/link")
    result = ctl("verify", f"{folder}/", f"s3://{bucket}/p", check=2)
    assert f"failed   {folder}/link: The bytes in the bucket differ" in result.stderr
    assert "1 damaged" in result.stdout


def test_verify_leaves_out_what_mirror_leaves_out(
    ctl: Any, folder: Path, s3: Any, bucket: str
) -> None:
    s3.delete_object(Bucket=bucket, Key="p/lost")
    result = ctl("verify", "--exclude=lost", f"{folder}/", f"s3://{bucket}/p", check=0)
    assert "Done: 7 equal" in result.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="root makes the file that nobody else can read")
def test_verify_names_what_cannot_be_read(nobody: Any, bucket: str) -> None:
    folder = write_files(nobody.home / "folder", {"open": "1", "closed": "2"})
    nobody("mirror", f"{folder}/", f"s3://{bucket}/p", check=0)
    (folder / "closed").chmod(0)
    result = nobody("verify", f"{folder}/", f"s3://{bucket}/p", check=2)
    assert f"failed   {folder}/closed: Cannot read" in result.stderr
    assert "Done: 1 equal" in result.stdout and ", 1 failed" in result.stdout


def test_sample_reads_a_share(
    ctl: Any, tmp_path: Path, bucket: str, proxy: FaultProxy
) -> None:
    folder = write_files(tmp_path / "many", {str(i): "x" for i in range(400)})
    ctl("mirror", f"{folder}/", f"s3://{bucket}/p", check=0)
    result = ctl(
        "verify", "--sample", "25%", f"{folder}/", f"s3://{bucket}/p", check=0, endpoint=proxy
    )
    assert "Done: 100 equal" in result.stdout and operations(proxy)["get"] == 100
    result = ctl("verify", "--sample=100", f"{folder}/", f"s3://{bucket}/p", check=0)
    assert "Done: 400 equal" in result.stdout


def test_samples_come_to_all(ctl: Any, tmp_path: Path, bucket: str) -> None:
    """No file is read again before each was, unlike with a share that chance chooses."""
    folder = write_files(tmp_path / "many", {str(i): "x" for i in range(40)})
    ctl("mirror", f"{folder}/", f"s3://{bucket}/p", check=0)
    for proved in (10, 20, 30, 40):
        result = ctl("verify", "--sample", "25%", f"{folder}/", f"s3://{bucket}/p", check=0)
        assert f"Proved since they were stored: {proved} of 40 files" in result.stdout


def test_sample_still_misses_nothing_that_is_missing(
    ctl: Any, folder: Path, s3: Any, bucket: str
) -> None:
    s3.delete_object(Bucket=bucket, Key="p/lost")
    result = ctl("verify", "--sample=0.001%", f"{folder}/", f"s3://{bucket}/p", check=2)
    assert f"failed   {folder}/lost: It is not in the bucket" in result.stderr


def test_verify_without_a_source(ctl: Any, tmp_path: Path, bucket: str) -> None:
    result = ctl("verify", tmp_path / "nothing", f"s3://{bucket}/p")
    assert f"Cannot open “{tmp_path}/nothing”" in the_sentence(result, 1)


# -- ls -----------------------------------------------------------------------------------------


@pytest.fixture
def shelf(s3: Any, bucket: str) -> str:
    for key, content in {
        "p/": "", "p/cat.jpg": "x" * 2048, "p/2026/": "", "p/2026/dog": "wuff",
        "p/2026/may/cow": "m", "p/a\nb": "", "p/\ue0e9t\ue0e9": "latin-1", "pp/other": "",
    }.items():  # fmt: skip
        s3.put_object(Bucket=bucket, Key=key, Body=content.encode())
    return f"s3://{bucket}/p"


def test_ls(ctl: Any, shelf: str) -> None:
    for address in (shelf, f"{shelf}/"):
        result = ctl("ls", address, check=0)
        assert result.stdout.splitlines() == ["2026/", "a\\012b", "cat.jpg", "\\351t\\351"]
        assert result.stderr == ""


def test_ls_of_the_bucket(ctl: Any, shelf: str) -> None:
    assert ctl("ls", shelf.removesuffix("/p"), check=0).stdout == "p/\npp/\n"


def test_ls_recursive(ctl: Any, shelf: str) -> None:
    assert ctl("ls", "-R", shelf, check=0).stdout.splitlines() == [
        "2026/", "2026/dog", "2026/may/cow", "a\\012b", "cat.jpg", "\\351t\\351",
    ]  # fmt: skip


def test_ls_long(ctl: Any, shelf: str, s3: Any, bucket: str) -> None:
    stored = s3.head_object(Bucket=bucket, Key="p/cat.jpg")["LastModified"]
    lines = ctl("ls", "-l", shelf, check=0).stdout.splitlines()
    assert [line.split(None, 1) for line in lines if line.endswith("2026/")] == [["-", "2026/"]]
    (cat,) = [line for line in lines if line.endswith("cat.jpg")]
    assert cat.strip() == f"2.0 KiB  {stored:%Y-%m-%d %H:%M:%S}  cat.jpg"


def test_ls_in_json(ctl: Any, shelf: str, s3: Any, bucket: str) -> None:
    head = s3.head_object(Bucket=bucket, Key="p/cat.jpg")
    listed = {row["name"]: row for row in ctl("ls", "--json", shelf, check=0).json}
    assert set(listed) == {"2026/", "a\\012b", "cat.jpg", "\\351t\\351"}
    cat = listed["cat.jpg"]
    assert (cat["type"], cat["key"], cat["size"], cat["is_folder"]) == (
        "entry", "p/cat.jpg", 2048, False,
    )  # fmt: skip
    assert cat["etag"] == head["ETag"].strip('"')
    assert cat["stored"] == f"{head['LastModified']:%Y-%m-%dT%H:%M:%SZ}"
    assert listed["2026/"]["is_folder"] is True


def test_ls_of_one_object(ctl: Any, shelf: str) -> None:
    assert ctl("ls", f"{shelf}/2026/dog", check=0).stdout == "dog\n"
    assert ctl("ls", "-l", f"{shelf}/cat.jpg", check=0).stdout.strip().startswith("2.0 KiB  20")


def test_ls_of_an_empty_folder(ctl: Any, shelf: str, s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="p/empty/")
    assert ctl("ls", f"{shelf}/empty", check=0).stdout == ""


def test_ls_of_nothing(ctl: Any, shelf: str) -> None:
    result = ctl("ls", f"{shelf}/nothing")
    assert result.returncode in (1, 5)
    assert "“p/nothing” does not exist" in the_sentence(result, result.returncode)
    assert result.stdout == ""


def test_ls_of_an_empty_bucket(ctl: Any, bucket: str) -> None:
    result = ctl("ls", f"s3://{bucket}", check=0)
    assert (result.stdout, result.stderr) == ("", "")


def test_ls_of_more_than_a_page(ctl: Any, rgw: Any, tmp_path: Path, bucket: str) -> None:
    folder = write_files(tmp_path / "many", {f"{i:04}": "" for i in range(1050)})
    ctl("mirror", f"{folder}/", f"s3://{bucket}/p", check=0)
    names = ctl("ls", f"s3://{bucket}/p", check=0).stdout.splitlines()
    assert names == [f"{i:04}" for i in range(1050)]
    # Who has read enough waits for no other page.
    with FaultProxy(rgw.endpoint) as proxy:
        reader, writer = os.pipe()
        os.close(reader)
        process = ctl.popen("ls", f"s3://{bucket}/p", stdout=writer, endpoint=proxy)
        os.close(writer)
        _, stderr = process.communicate(timeout=60 * PATIENCE)
        assert (stderr, process.returncode, len(proxy.requests)) == ("", 1, 1)


# -- probe --------------------------------------------------------------------------------------


def test_probe_says_what_works_and_leaves_nothing(
    ctl: Any, s3: Any, bucket: str, rgw: Any
) -> None:
    s3.put_object(Bucket=bucket, Key="p/mine", Body=b"stays")
    result = ctl("probe", f"s3://{bucket}/p", check=0)
    lines, offer = result.stdout.split("\n\n")
    lines = lines.splitlines()
    assert "--enable-versioning" in offer and "--keep-deleted" in offer
    assert [line.split(None, 2) for line in lines] == [
        ["reach", "yes", rgw.endpoint],
        ["sign-in", "yes"],
        ["list", "yes", "ListObjectsV2"],
        ["write", "yes"],
        ["read", "yes"],
        ["metadata", "yes"],
        ["parts", "yes"],
        ["part-copy", "yes"],
        ["delete", "yes"],
        ["versions", "no", "what is overwritten or deleted is gone"],
        ["clock", "yes"],
    ]  # fmt: skip
    assert result.stderr == ""
    assert keys(s3, bucket) == ["p/mine"]
    assert unfinished_uploads(s3, bucket) == []


def test_probe_sees_versions(ctl: Any, s3: Any, bucket: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    result = ctl("probe", "--json", f"s3://{bucket}", check=0)
    works = {row["what"]: row["works"] for row in result.json}
    assert works == dict.fromkeys(
        ["reach", "sign-in", "list", "write", "read", "metadata", "parts", "part-copy", "delete",
         "versions", "clock"], True,
    )  # fmt: skip
    rows = s3.list_object_versions(Bucket=bucket)
    assert "Versions" not in rows and "DeleteMarkers" not in rows


def test_probe_where_versions_may_not_be_deleted(ctl: Any, s3: Any, bucket: str) -> None:
    """As keys for a backup may be; deleting an object is allowed, and that is all it takes."""
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:DeleteObjectVersion",
            "Resource": f"arn:aws:s3:::{bucket}/*"}  # fmt: skip
    policy = {"Version": "2012-10-17", "Statement": [deny]}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    result = ctl("probe", f"s3://{bucket}/p")
    s3.delete_bucket_policy(Bucket=bucket)
    assert result.returncode == 0, result
    (line,) = (line for line in result.stdout.splitlines() if line.startswith("delete"))
    assert line.split(None, 2) == [
        "delete", "yes", "what this test wrote stays as old versions, which may not be deleted",
    ]  # fmt: skip
    assert keys(s3, bucket) == []


def test_probe_where_nothing_may_be_deleted(ctl: Any, s3: Any, bucket: str) -> None:
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:DeleteObject",
            "Resource": f"arn:aws:s3:::{bucket}/*"}  # fmt: skip
    policy = {"Version": "2012-10-17", "Statement": [deny]}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    result = ctl("probe", f"s3://{bucket}/p")
    assert "may not delete objects" in the_sentence(result, 4)
    assert result.stdout.splitlines()[-1].split()[:2] == ["delete", "no"]


def test_probe_where_nothing_may_be_written(ctl: Any, s3: Any, bucket: str) -> None:
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject",
            "Resource": f"arn:aws:s3:::{bucket}/*"}  # fmt: skip
    policy = {"Version": "2012-10-17", "Statement": [deny]}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    result = ctl("probe", f"s3://{bucket}")
    assert "may not write objects" in the_sentence(result, 4)
    *_, listed, written = result.stdout.splitlines()
    assert listed.split() == ["list", "yes", "ListObjectsV2"]
    assert written.split()[:2] == ["write", "no"]


@pytest.mark.parametrize("command", ["ls", "probe", "restore"])
def test_looking_needs_no_catalogue(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str, state_dir: Path, command: str
) -> None:
    s3.put_object(Bucket=bucket, Key="x", Body=b"x")
    more = [tmp_path / "back"] if command == "restore" else []
    ctl(command, f"s3://{bucket}", *more, check=0)
    assert not state_dir.exists()
