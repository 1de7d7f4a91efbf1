# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""Verifications of a plan: what they find, what is sent again for it, and what they come to."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from fixtures.checks import body, metadata, sent_keys, write_files
from fixtures.fault_proxy import FaultProxy, Headers, ReplaceReply, Rule
from fixtures.trees import MIB, read_tree

PREFIX = "laptop/Pictures"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = write_files(
        tmp_path / "Pictures",
        {"good": "1", "flipped": "2" * 1000, "cut": "3" * 1000, "lost": "4", "replaced": "5" * 100,
         "sub/deep": "6", "empty": "", "large": os.urandom(9 * MIB)},
    )  # fmt: skip
    (folder / "link").symlink_to("good")
    return folder


@pytest.fixture
def run(ctl: Any, folder: Path, bucket: str) -> Callable[..., Any]:
    """run(*options): the plan "Photos", in this process. It has been run once."""
    ctl("plan", "add", "Photos", folder, f"s3://{bucket}/laptop", check=0)

    def foreground(*options: Any, check: int = 0) -> Any:
        return ctl("run", "Photos", "--foreground", "--json", *options, check=check)

    foreground()
    return foreground


def rehearse(run: Callable[..., Any], *options: Any, check: int = 0) -> Any:
    return run("--verify", *options, check=check)


def catalogue_of(state_dir: Path) -> Path:
    (path,) = state_dir.rglob("catalogue/*.db")
    return path


def query(path: Path, sql: str, *values: Any) -> list[Any]:
    with closing(sqlite3.connect(path)) as database, database:
        return database.execute(sql, values).fetchall()


def put_behind_our_back(s3: Any, bucket: str, name: str, content: bytes) -> None:
    """Other bytes with the same headers, so that a listing looks plausible."""
    key = f"{PREFIX}/{name}"
    s3.put_object(Bucket=bucket, Key=key, Body=content, Metadata=metadata(s3, bucket, key))


def flip(s3: Any, bucket: str, name: str) -> None:
    content = bytearray(body(s3, bucket, f"{PREFIX}/{name}"))
    content[len(content) // 2] ^= 1
    put_behind_our_back(s3, bucket, name, bytes(content))


def rot(s3: Any, bucket: str, state_dir: Path, name: str) -> None:
    """As a disk does it: not even the ETag tells."""
    key = f"{PREFIX}/{name}"
    flip(s3, bucket, name)
    etag = s3.head_object(Bucket=bucket, Key=key)["ETag"].strip('"')
    path = catalogue_of(state_dir)
    query(path, "UPDATE object SET etag = ? WHERE key = ?", etag, key.encode())
    query(path, "UPDATE chunked SET etag = ? WHERE key = ?", etag, key.encode())


def failures(result: Any) -> dict[str, str]:
    return {row["path"]: row["error"] for row in result.json if row["type"] == "failed"}


def coverage(result: Any) -> tuple[int, int]:
    found = result.json[-1]["coverage"]
    return found["objects_proved"], found["objects"]


def sent(result: Any) -> set[str]:
    return {row["key"].removeprefix(f"{PREFIX}/") for row in result.json if row["type"] == "action"}


def test_what_is_wrong_is_found_named_and_sent_again(
    run: Callable[..., Any], ctl: Any, folder: Path, s3: Any, bucket: str, state_dir: Path
) -> None:
    before = read_tree(folder)
    flip(s3, bucket, "flipped")
    put_behind_our_back(s3, bucket, "cut", b"3" * 500)
    s3.delete_object(Bucket=bucket, Key=f"{PREFIX}/lost")
    s3.put_object(Bucket=bucket, Key=f"{PREFIX}/replaced", Body=b"somebody's own")
    rot(s3, bucket, state_dir, "sub/deep")
    rot(s3, bucket, state_dir, "large")
    result = rehearse(run, check=2)
    assert failures(result) == {
        f"{folder}/flipped": "corrupt", f"{folder}/cut": "corrupt", f"{folder}/lost": "not-found",
        f"{folder}/replaced": "corrupt", f"{folder}/sub/deep": "corrupt",
        f"{folder}/large": "corrupt",
    }  # fmt: skip
    assert coverage(result) == (3, 9)

    status = ctl("status", "--check", check=2).stdout
    assert "found something wrong: 6 files could not be proved: “" in status
    assert f"{folder}/" in status and " and 3 more" in status
    assert "Proved since they were stored: 3 of 9 files" in status
    (row,) = [r for r in ctl("status", "--json", check=0).json if r["type"] == "status"]
    assert (row["verify_result"], row["verify_failed"], row["needs_attention"]) == (
        "finished", 6, True,
    )  # fmt: skip

    # One that does not go to its end says nothing of that.
    history = state_dir / "keepsake/history.sqlite"
    (job,) = query(history, "SELECT max(id) + 1 FROM job")
    query(
        history, "INSERT INTO job (id, plan, kind, trigger, started, ended, state)"
        " SELECT ?, plan, 'verify', 'manual', started, ended, 'cancelled' FROM job LIMIT 1", *job,
    )  # fmt: skip
    status = ctl("status", "--check", check=2).stdout
    assert "found something wrong: 6 files could not be proved: “" in status
    query(history, "DELETE FROM job WHERE id = ?", *job)

    damaged = {"flipped", "cut", "lost", "replaced", "sub/deep", "large"}
    result = run("--verbose")
    assert result.json[-1]["put"] + result.json[-1]["copied"] == len(damaged)
    assert sent(result) == damaged
    for name in ("flipped", "cut", "lost", "replaced", "sub/deep", "large"):
        assert body(s3, bucket, f"{PREFIX}/{name}") == (folder / name).read_bytes(), name
    assert read_tree(folder) == before
    assert "A backup went well since" in ctl("status", "--check", check=0).stdout
    assert coverage(rehearse(run)) == (9, 9)
    assert "found something wrong" not in ctl("status", "--check", check=0).stdout


def test_what_no_backup_can_mend_is_not_called_mended(
    run: Callable[..., Any], ctl: Any, folder: Path, s3: Any, bucket: str
) -> None:
    """The file is no longer here to be sent again."""
    good = body(s3, bucket, f"{PREFIX}/flipped")
    flip(s3, bucket, "flipped")
    flip(s3, bucket, "large")
    (folder / "flipped").unlink()
    assert len(failures(rehearse(run, check=2))) == 2
    run()
    status = ctl("status", "--check", check=2).stdout
    assert "found something wrong" in status and "A backup went well since" not in status

    put_behind_our_back(s3, bucket, "flipped", good)
    rehearse(run)
    ctl("status", "--check", check=0)


@pytest.mark.parametrize("is_here", [True, False])
def test_damage_and_deletions_that_are_held_back(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str, is_here: bool
) -> None:
    """To be asked about the deletions leaves no alarm for what was sent again, and takes none from what
    could not be."""
    folder = write_files(tmp_path / "many", {f"{i:03}": str(i) for i in range(160)})
    ctl("plan", "add", "Many", f"{folder}/", f"s3://{bucket}/{PREFIX}", "--delete", check=0)
    run = ["run", "Many", "--foreground", "--json"]
    ctl(*run, check=0)
    flip(s3, bucket, "000")
    flip(s3, bucket, "159")
    assert failures(ctl(*run, "--verify", check=2)).keys() == {f"{folder}/000", f"{folder}/159"}
    for number in range(1 if is_here else 0, 130):
        (folder / f"{number:03}").unlink()
    ctl(*run, check=3)
    job = ctl("history", "Many", "--json", check=0).json[0]
    assert job["reason"] == ("delete-guard" if is_here else "corrupt")
    assert "Nothing was deleted" in job["message"]
    status = ctl("status", check=0).stdout
    assert ("A backup went well since" in status) == is_here


def test_known_damage_is_named_until_it_is_proved_to_be_good(
    run: Callable[..., Any], ctl: Any, folder: Path, s3: Any, bucket: str
) -> None:
    """Also by a verification that has no time for it, or cannot read it. It comes first."""
    good = {name: body(s3, bucket, f"{PREFIX}/{name}") for name in ("flipped", "sub/deep")}
    for name in good:
        flip(s3, bucket, name)
        (folder / name).unlink()
    known = {f"{folder}/{name}": "corrupt" for name in good}
    assert failures(rehearse(run, check=2)) == known
    write_files(folder, {f"new{i}": str(i) for i in range(9)})
    run()
    result = rehearse(run, "--max-files", "2", check=2)
    assert failures(result) == known
    assert (result.json[-1]["failed"], result.json[-1]["equal"]) == (2, 1)
    result = ctl("verify", folder, f"s3://{bucket}/laptop", "--sample", "1%", "--json", check=2)
    assert {path for path, error in failures(result).items() if error == "corrupt"} == set(known)
    assert result.json[-1]["damaged"] == 2
    ctl("status", "--check", check=2)

    for name, content in good.items():
        put_behind_our_back(s3, bucket, name, content)
    assert rehearse(run, "--max-files", "4").json[-1]["equal"] == 4
    ctl("status", "--check", check=0)


def test_damage_that_nobody_mends_leaves_time_for_the_rest(
    run: Callable[..., Any], folder: Path, s3: Any, bucket: str
) -> None:
    flip(s3, bucket, "large")
    (folder / "large").rename(folder.parent / "gone")
    assert failures(rehearse(run, check=2)) == {f"{folder}/large": "corrupt"}
    (folder / "other").write_bytes(os.urandom(9 * MIB))
    run()
    seen = [rehearse(run, "--max-bytes", "4M", check=2) for _ in range(6)]
    assert coverage(seen[-1]) == (9, 10)
    assert all(failures(result) == {f"{folder}/large": "corrupt"} for result in seen)
    assert max(result.json[-1]["bytes"] for result in seen) < 6 * MIB


def test_good_object_takes_no_harm_from_what_was_said_of_the_one_before(
    run: Callable[..., Any], folder: Path, s3: Any, bucket: str, state_dir: Path
) -> None:
    """Damaged, put back by somebody, and then the disk here has damaged the file."""
    flip(s3, bucket, "good")
    rehearse(run, check=2)
    put_behind_our_back(s3, bucket, "good", b"1")
    path = folder / "good"
    path.write_text("x")
    status = path.stat()
    query(
        catalogue_of(state_dir), "UPDATE object SET mtime = ?, ctime = ? WHERE key = ?",
        status.st_mtime_ns, status.st_ctime_ns, f"{PREFIX}/good".encode(),
    )  # fmt: skip
    assert failures(rehearse(run, check=2)) == {f"{folder}/good": "conflict"}
    run()
    assert body(s3, bucket, f"{PREFIX}/good") == b"1"


def test_bad_version_is_kept_where_the_bucket_keeps_versions(
    run: Callable[..., Any], folder: Path, s3: Any, bucket: str, state_dir: Path
) -> None:
    """Who wants to know what happened to the file still can."""
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    bad = {}
    for name in ("flipped", "large"):
        rot(s3, bucket, state_dir, name)
        found = s3.get_object(Bucket=bucket, Key=f"{PREFIX}/{name}")
        bad[name] = (found["VersionId"], found["Body"].read())
        assert bad[name][1] != (folder / name).read_bytes()
    assert set(failures(rehearse(run, check=2))) == {f"{folder}/{name}" for name in bad}
    assert sent(run("--verbose")) == set(bad)

    for name, (version, content) in bad.items():
        key = f"{PREFIX}/{name}"
        listed = s3.list_object_versions(Bucket=bucket, Prefix=key)
        assert "DeleteMarkers" not in listed
        latest = {row["VersionId"]: row["IsLatest"] for row in listed["Versions"]}
        assert latest[version] is False and list(latest.values()).count(True) == 1
        old = s3.get_object(Bucket=bucket, Key=key, VersionId=version)
        assert old["Body"].read() == content
        assert body(s3, bucket, key) == (folder / name).read_bytes()


def test_damaged_object_that_is_not_remembered_is_sent_again(
    ctl: Any, tmp_path: Path, bucket: str, proxy: FaultProxy, state_dir: Path
) -> None:
    """Its record was lost with the power, and its ETag is still that of the good bytes."""
    folder = write_files(tmp_path / "folder", {"a": "1" * 1000, "b": "2"})
    mirror = ["mirror", "--delete", f"{folder}/", f"s3://{bucket}/p"]
    ctl(*mirror, endpoint=proxy, check=0)
    query(catalogue_of(state_dir), "DELETE FROM object WHERE key = ?", b"p/a")

    def rot(status: int, headers: Headers, content: bytes) -> tuple[int, Headers, bytes]:
        return status, headers, b"0" + content[1:]

    proxy.rules.append(Rule(lambda r: r.method == "GET" and r.key == "p/a", ReplaceReply(rot), times=None))
    for _ in range(2):
        ctl("verify", f"{folder}/", f"s3://{bucket}/p", endpoint=proxy, check=2)
    proxy.rules.clear()
    proxy.reset()
    ctl(*mirror, endpoint=proxy, check=0)
    assert sent_keys(proxy, "put") == ["p/a"]
    # What is gone leaves no mark.
    query(catalogue_of(state_dir), "INSERT INTO damaged VALUES (?)", b"p/a")
    (folder / "a").unlink()
    ctl(*mirror, endpoint=proxy, check=0)
    assert query(catalogue_of(state_dir), "SELECT * FROM damaged") == []


def test_what_is_damaged_is_not_copied_from(
    run: Callable[..., Any], folder: Path, s3: Any, bucket: str, state_dir: Path
) -> None:
    """Neither a small file nor a chunk of a large one that has its bytes, or had."""
    rot(s3, bucket, state_dir, "flipped")
    rot(s3, bucket, state_dir, "large")
    rehearse(run, check=2)
    (folder / "copy").write_bytes((folder / "flipped").read_bytes())
    (folder / "large").rename(folder / "moved")
    with (folder / "moved").open("ab") as file:
        file.write(b"more")
    run()
    assert body(s3, bucket, f"{PREFIX}/copy") == (folder / "flipped").read_bytes()
    assert body(s3, bucket, f"{PREFIX}/moved") == (folder / "moved").read_bytes()


def test_damaged_file_that_was_changed_is_sent_whole(
    run: Callable[..., Any], folder: Path, s3: Any, bucket: str, state_dir: Path
) -> None:
    rot(s3, bucket, state_dir, "large")
    rehearse(run, check=2)
    with (folder / "large").open("ab") as file:
        file.write(b"more")
    assert run().json[-1]["bytes_sent"] > 9 * MIB
    assert body(s3, bucket, f"{PREFIX}/large") == (folder / "large").read_bytes()


def test_failed_verification_is_not_forgotten_after_many_backups(
    run: Callable[..., Any], ctl: Any, state_dir: Path
) -> None:
    history = state_dir / "keepsake/history.sqlite"
    add = (
        "INSERT INTO job (plan, kind, trigger, started, ended, state)"
        " SELECT plan, ?, 'scheduled', started, ended, ? FROM job WHERE id = 1"
    )
    query(history, add, "verify", "failed")
    for _ in range(201):
        query(history, add, "backup", "finished")
    assert "The last verification, begun" in ctl("status", "--check", check=2).stdout
    query(history, add, "verify", "finished")
    ctl("status", "--check", check=0)


def test_bounded_ones_come_to_everything(
    run: Callable[..., Any], folder: Path, bucket: str, proxy: FaultProxy
) -> None:
    assert coverage(rehearse(run, "--max-files", "2")) == (2, 9)
    assert coverage(rehearse(run, "--max-files", "2")) == (4, 9)
    assert coverage(rehearse(run, "--max-files", "4")) == (8, 9)
    result = rehearse(run, "--max-files", "4")
    assert coverage(result) == (9, 9)
    assert result.json[-1]["equal"] == 4


def test_bound_of_bytes(run: Callable[..., Any], folder: Path) -> None:
    """Small files fit beside each other; the large one is read in pieces, each time one. What was
    proved stays so while it is read again."""
    seen = [rehearse(run, "--max-bytes", "4M").json[-1] for _ in range(9)]
    assert all(row["bytes"] <= 4 * MIB + 2107 for row in seen)
    assert [row["coverage"]["objects_proved"] for row in seen[4:]] == [9] * 5


def test_pieces_find_what_is_in_them(
    run: Callable[..., Any], folder: Path, s3: Any, bucket: str, state_dir: Path
) -> None:
    """A bit near the end of a large file is found by the piece that covers it."""
    for path in folder.iterdir():
        if path.name != "large" and not path.is_dir():
            path.unlink()
    (folder / "sub/deep").unlink()
    query(catalogue_of(state_dir), "DELETE FROM object WHERE CAST (key AS TEXT) NOT LIKE '%/large'")
    content = bytearray((folder / "large").read_bytes())
    content[-5] ^= 1
    put_behind_our_back(s3, bucket, "large", bytes(content))
    first = rehearse(run, "--max-bytes", "4M")
    assert "goes on from there" in first.stdout and first.json[-1]["equal"] == 0
    rehearse(run, "--max-bytes", "4M")
    last = rehearse(run, "--max-bytes", "4M", check=2)
    assert failures(last) == {f"{folder}/large": "corrupt"}
    assert first.json[-1]["bytes"] <= 5 * MIB


def test_pieces_of_two_objects_prove_neither(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    """Replaced between listing and reading, by one whose rest is equal."""
    folder = write_files(tmp_path / "folder", {"large": os.urandom(9 * MIB)})
    ctl("plan", "add", "Photos", f"{folder}/", f"s3://{bucket}/p", endpoint=proxy, check=0)
    ctl("run", "Photos", "--foreground", check=0)
    verify = ["run", "Photos", "--foreground", "--json", "--verify", "--max-bytes", "5M"]
    assert "goes on from there" in ctl(*verify, check=0).stdout
    content = bytearray(body(s3, bucket, "p/large"))
    content[0] ^= 1

    def replace(status: int, headers: Headers, listing: bytes) -> tuple[int, Headers, bytes]:
        headers_of_it = metadata(s3, bucket, "p/large")
        s3.put_object(Bucket=bucket, Key="p/large", Body=bytes(content), Metadata=headers_of_it)
        return status, headers, listing

    listing = Rule(lambda r: r.method == "GET" and r.key == "", ReplaceReply(replace))
    proxy.rules.append(listing)
    result = ctl(*verify, check=0)
    assert listing.hits == 1
    assert (coverage(result), result.json[-1]["equal"]) == ((0, 1), 0)
    assert failures(ctl(*verify, check=2)) == {f"{folder}/large": "corrupt"}


def test_changed_and_vanished_files_are_proved_by_what_was_recorded(
    run: Callable[..., Any], folder: Path, s3: Any, bucket: str
) -> None:
    (folder / "good").write_text("another")
    (folder / "flipped").unlink()
    (folder / "large").write_bytes(b"small by now")
    (folder / "new").write_text("not stored yet")
    result = rehearse(run)
    assert coverage(result) == (9, 9) and result.json[-1]["equal"] == 9
    flip(s3, bucket, "flipped")
    flip(s3, bucket, "large")
    assert failures(rehearse(run, check=2)) == {
        f"{folder}/flipped": "corrupt", f"{folder}/large": "corrupt",
    }  # fmt: skip


def test_file_that_this_disk_has_damaged_is_not_stored_over_the_good_one(
    run: Callable[..., Any], folder: Path, s3: Any, bucket: str, state_dir: Path
) -> None:
    """As if the file had rotten here: other bytes, and nothing that says when."""
    path = folder / "good"
    path.write_text("x")
    status = path.stat()
    query(
        catalogue_of(state_dir), "UPDATE object SET mtime = ?, ctime = ? WHERE key = ?",
        status.st_mtime_ns, status.st_ctime_ns, f"{PREFIX}/good".encode(),
    )  # fmt: skip
    result = rehearse(run, check=2)
    assert failures(result) == {f"{folder}/good": "conflict"}
    assert "this disk may be failing" in result.stdout
    run()
    assert body(s3, bucket, f"{PREFIX}/good") == b"1"


def test_file_that_changes_while_it_is_compared_proves_nothing(
    run: Callable[..., Any], ctl: Any, folder: Path, bucket: str, proxy: FaultProxy, state_dir: Path
) -> None:
    query(catalogue_of(state_dir), "UPDATE object SET sha256 = NULL")
    (plan,) = (ctl.home / "config/keepsake/plans").glob("*.json")
    proxied = ctl("plan", "edit", "Photos", "--endpoint-url", proxy.endpoint)
    assert proxied.returncode == 0, proxied.stderr

    def touch(status: int, headers: Headers, content: bytes) -> tuple[int, Headers, bytes]:
        os.utime(folder / "good")
        return status, headers, content

    reading = Rule(lambda r: r.method == "GET" and r.path.endswith("/good"), ReplaceReply(touch))
    proxy.rules.append(reading)
    # Another spelling of the destination has a catalogue of its own.
    moved = catalogue_of(state_dir)
    ctl("run", "Photos", "--foreground", check=0)
    for path in state_dir.rglob("catalogue/*.db"):
        if path != moved:
            query(path, "UPDATE object SET sha256 = NULL")
    result = rehearse(run)
    assert reading.hits == 1
    assert coverage(result) == (8, 9)


def test_catalogue_of_the_version_before_keeps_what_it_knows(
    run: Callable[..., Any], folder: Path, state_dir: Path
) -> None:
    path = catalogue_of(state_dir)
    query(path, "DROP TABLE proof")
    query(path, "DROP TABLE damaged")
    query(path, "ALTER TABLE object DROP COLUMN hard_link")
    query(path, "ALTER TABLE object DROP COLUMN stored")
    query(path, "PRAGMA user_version = 2")
    known = query(path, "SELECT count(*) FROM object"), query(path, "SELECT count(*) FROM chunk")
    assert "set aside" not in run().stdout
    assert known == (
        query(path, "SELECT count(*) FROM object"), query(path, "SELECT count(*) FROM chunk"),
    )  # fmt: skip
    assert query(path, "PRAGMA user_version") == [(5,)]
    assert coverage(rehearse(run)) == (9, 9)


def test_what_is_stored_anew_is_no_longer_proved(run: Callable[..., Any], folder: Path) -> None:
    assert coverage(rehearse(run)) == (9, 9)
    (folder / "good").write_text("another")
    (folder / "more").write_text("more")
    run()
    assert coverage(rehearse(run, "--max-files", "1")) == (9, 10)
    assert coverage(rehearse(run, "--max-files", "1")) == (10, 10)


def test_objects_that_somebody_has_deleted_with_their_files_are_told_once(
    run: Callable[..., Any], folder: Path, s3: Any, bucket: str
) -> None:
    (folder / "good").unlink()
    s3.delete_object(Bucket=bucket, Key=f"{PREFIX}/good")
    result = rehearse(run)
    assert "Of 1 files that are no longer here" in result.stdout
    assert coverage(result) == (8, 8)
    assert "no longer here" not in rehearse(run).stdout


def test_damage_is_not_hidden_by_all_else_that_fails(
    run: Callable[..., Any], ctl: Any, folder: Path, s3: Any, bucket: str
) -> None:
    """More files that no key can name than are kept, and met before anything is compared."""
    for name in ("flipped", "large"):
        flip(s3, bucket, name)
    deep = folder.joinpath(*["x" * 250] * 4)
    write_files(deep, {f"{i:0100}": "" for i in range(1005)})
    damaged = {f"{folder}/flipped", f"{folder}/large"}
    found = failures(rehearse(run, check=2))
    assert len(found) == 1007
    assert {path for path, error in found.items() if error == "corrupt"} == damaged
    job = ctl("history", "Photos", "--json", check=0).json[0]
    assert (job["reason"], job["failed"]) == ("corrupt", 1007)
    assert "1007 files could not be proved" in job["message"]
    assert all(f"“{path}”" in job["message"] for path in damaged)
    kept = ctl("history", "Photos", f"--failures={job['id']}", "--limit=1000", "--json", check=0).json
    assert len(kept) == 1000
    assert {row["path"] for row in kept if row["error"] == "corrupt"} == damaged


def test_history_has_the_coverage(run: Callable[..., Any], ctl: Any) -> None:
    rehearse(run, "--max-files", "3")
    job = ctl("history", "Photos", "--json", check=0).json[0]
    assert (job["coverage"]["objects_proved"], job["coverage"]["objects"]) == (3, 9)
    assert "Proved since they were stored: 3 of 9 files" in ctl("history", "Photos").stdout


def test_without_a_plan(ctl: Any, run: Callable[..., Any], folder: Path, bucket: str) -> None:
    result = ctl("verify", folder, f"s3://{bucket}/laptop", check=0)
    assert "Proved since they were stored: 9 of 9 files" in result.stdout
    assert "oldest proof is of a moment ago" in result.stdout


def test_does_not_read_what_a_backup_is_replacing(
    run: Callable[..., Any], ctl: Any, folder: Path, bucket: str, state_dir: Path
) -> None:
    """One destination, one job."""
    import fcntl

    with open(f"{catalogue_of(state_dir)}.lock", "r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = ctl("run", "Photos", "--foreground", "--verify")
        assert result.returncode == 1 and "Another job is already working" in result.stderr
        result = ctl("verify", folder, f"s3://{bucket}/laptop", check=0)
        assert "What is found is not recorded" in result.stderr
        assert "Proved since" not in result.stdout
