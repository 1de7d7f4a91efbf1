# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""What goes wrong between us and the server, and what servers say wrongly, leaves no wrong object.

A real server stands behind the proxy, so that what is left afterwards is what a user would find.
"""

from __future__ import annotations

import html
import os
import re
import secrets
import signal
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import remove_bucket

from fixtures import PATIENCE, wait_until
from fixtures.checks import (
    body,
    keys,
    metadata,
    operation,
    operations,
    rsync_changes,
    sent_keys,
    the_sentence,
    unfinished_uploads,
    write_files,
)
from fixtures.fault_proxy import (
    Action,
    CloseOnReuse,
    CutReply,
    FaultProxy,
    Hang,
    HangAfterReplyBytes,
    Headers,
    Refuse,
    ReplaceReply,
    Reply,
    Request,
    ResetAfterReplyBytes,
    ResetAfterRequestBytes,
    Rule,
    without,
)
from fixtures.trees import MIB, make_tree


def error(code: str) -> bytes:
    return f"<Error><Code>{code}</Code><Message>by force</Message></Error>".encode()


def contents(s3: Any, bucket: str) -> dict[str, bytes]:
    return {key: body(s3, bucket, key) for key in keys(s3, bucket)}


def files_of(folder: Path) -> dict[str, bytes]:
    """As contents() has to show them."""
    return {
        f"{path.relative_to(folder)}/" if path.is_dir() else f"{path.relative_to(folder)}": (
            b"" if path.is_dir() else path.read_bytes()
        )
        for path in folder.rglob("*")
    }


# -- the empty PUT ------------------------------------------------------------------------------


@pytest.mark.parametrize("jobs", [1, 4])
def test_server_that_closes_at_the_second_request(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str, proxy: FaultProxy, jobs: int
) -> None:
    """An HTTP library that repeats such a request by itself, with its body gone, stores nothing in
    the file's place and takes it for a success."""
    files = {f"file{i}": os.urandom(1000 + i) for i in range(12)}
    folder = write_files(tmp_path / "folder", files)
    rule = Rule(lambda r: operation(r) == "put", CloseOnReuse(), times=None)
    proxy.rules.append(rule)
    ctl("mirror", f"--jobs={jobs}", f"{folder}/", f"s3://{bucket}", check=0, endpoint=proxy)
    assert rule.hits >= 12 // jobs - 1
    assert contents(s3, bucket) == files
    # Not for a moment was there an empty one.
    assert {r.body_length for r in proxy.requests if r.method == "PUT"} == {
        len(content) for content in files.values()
    }


def test_server_that_closes_at_the_second_part(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    content = os.urandom(20 * MIB)
    folder = write_files(tmp_path / "folder", {"large": content})
    rule = Rule(lambda r: r.method in ("PUT", "POST"), CloseOnReuse(), times=None)
    proxy.rules.append(rule)
    ctl("mirror", "--jobs=1", f"{folder}/", f"s3://{bucket}", check=0, endpoint=proxy)
    assert rule.hits >= 2
    assert body(s3, bucket, "large") == content
    assert unfinished_uploads(s3, bucket) == []


# -- faults that pass ---------------------------------------------------------------------------

# The server may have done what was asked: a request without a body has nothing left to lose when the
# connection is reset "within" it.
LOST_REPLY = ["reset within the request", "reset before the reply", "reset within the reply"]
FAULTS: dict[str, Action] = {
    "500": Reply(500),
    "500 InternalError": Reply(500, {}, error("InternalError")),
    "503 SlowDown": Reply(503, {}, error("SlowDown")),
    "early 503": Reply(503, early=True),
    "429": Reply(429),
    "400 RequestTimeout": Reply(400, {}, error("RequestTimeout")),
    "closed": Refuse(),
    "reset within the request": ResetAfterRequestBytes(100),
    "reset before the reply": ResetAfterReplyBytes(0),
    "reset within the reply": ResetAfterReplyBytes(40),
}

KINDS: dict[str, Callable[[Request], bool]] = {
    "list": lambda r: operation(r) == "list",
    "head": lambda r: operation(r) == "head",
    "put": lambda r: operation(r) == "put",
    "copy": lambda r: operation(r) == "copy",
    "create": lambda r: operation(r) == "multipart" and "uploads" in r.params,
    "part": lambda r: operation(r) == "part",
    "complete": lambda r: r.method == "POST" and "uploadId" in r.params,
    "delete": lambda r: operation(r) == "delete",
}


@pytest.fixture
def prepared(ctl: Any, tmp_path: Path, s3: Any, bucket: str, proxy: FaultProxy) -> Path:
    """A folder whose next mirror run makes a request of each kind."""
    folder = write_files(
        tmp_path / "folder",
        {"gone": "1", "touched": "2", "looked at": "3", "folder/": "", "same": "4"},
    )  # fmt: skip
    ctl("mirror", "--delete", f"{folder}/", f"s3://{bucket}", check=0, endpoint=proxy)
    (folder / "gone").unlink()
    os.utime(folder / "touched", (1, 1))
    s3.put_object(Bucket=bucket, Key="looked at", Body=b"?")
    write_files(folder, {"new": os.urandom(50_000), "large": os.urandom(9 * MIB)})
    proxy.reset()
    return folder


@pytest.mark.parametrize("fault", FAULTS)
def test_each_request_survives(
    ctl: Any, prepared: Path, s3: Any, bucket: str, proxy: FaultProxy, fault: str
) -> None:
    rules = {kind: Rule(matches, FAULTS[fault]) for kind, matches in KINDS.items()}
    if fault == "400 RequestTimeout":
        del rules["head"]  # whose reply has no room for the code
    proxy.rules += rules.values()
    result = ctl("mirror", "--delete", f"{prepared}/", f"s3://{bucket}", check=0, endpoint=proxy)
    assert {kind: rule.hits for kind, rule in rules.items()} == dict.fromkeys(rules, 1)
    assert contents(s3, bucket) == files_of(prepared)
    assert metadata(s3, bucket, "touched")["mtime"] == "1.000000000"
    assert result.stderr == ""
    if fault not in LOST_REPLY:  # an upload of which nobody knows the id cannot be ended
        assert unfinished_uploads(s3, bucket) == []
    # And what it noted down is true.
    proxy.reset()
    ctl("mirror", "--delete", f"{prepared}/", f"s3://{bucket}", check=0, endpoint=proxy)
    assert set(operations(proxy)) <= {"list", "head"}
    assert operations(proxy)["head"] <= 1


def cut_in_half(status: int, headers: dict[str, str], content: bytes) -> Any:
    return status, headers, content[: len(content) // 2]


def nothing_but_blanks(status: int, headers: dict[str, str], content: bytes) -> Any:
    return status, headers, b" \n \n"


def blanks_first(status: int, headers: dict[str, str], content: bytes) -> Any:
    """As S3 keeps a connection awake while it puts the parts together."""
    declaration, mark, rest = content.partition(b"?>")
    return status, headers, declaration + mark + b"\n \n \n" + rest


@pytest.mark.parametrize(
    ("kind", "action"),
    [
        ("complete", Reply(200, {}, error("InternalError"))),
        ("complete", Reply(200, {}, error("SomethingNew"))),
        ("complete", Reply(200, {}, b"\n\n" + error("InternalError"))),
        ("complete", ReplaceReply(nothing_but_blanks)),
        ("complete", ReplaceReply(cut_in_half)),
        ("complete", ReplaceReply(blanks_first)),
        ("complete", CutReply(50, chunked=True)),
        ("copy", Reply(200, {}, error("InternalError"))),
        ("copy", ReplaceReply(cut_in_half)),
        ("copy", CutReply(50, chunked=True)),
        ("create", Reply(200, {}, error("InternalError"))),
        ("delete", Reply(200, {}, error("InternalError"))),
        ("list", Reply(200, {}, error("InternalError"))),
        ("list", CutReply(200)),
        ("list", CutReply(200, chunked=True)),
        ("list", CutReply(0, chunked=True)),
        ("list", ReplaceReply(cut_in_half)),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_success_that_is_none(
    ctl: Any, prepared: Path, s3: Any, bucket: str, proxy: FaultProxy, kind: str, action: Action
) -> None:
    """Status 200, but the document says something else, or ends too early."""
    rule = Rule(KINDS[kind], action)
    proxy.rules.append(rule)
    ctl("mirror", "--delete", f"{prepared}/", f"s3://{bucket}", check=0, endpoint=proxy)
    assert rule.hits == 1
    assert contents(s3, bucket) == files_of(prepared)
    assert metadata(s3, bucket, "touched")["mtime"] == "1.000000000"
    assert unfinished_uploads(s3, bucket) == []
    assert operations(proxy)["part"] == 2, "the large file was sent twice"


def test_put_that_is_swallowed(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    """Something on the way takes the body and says that all is well, without an ETag."""
    files = {"changed": "1", "stays": "2"}
    folder = write_files(tmp_path / "folder", files)
    arguments = ["mirror", f"{folder}/", f"s3://{bucket}"]
    ctl(*arguments, check=0, endpoint=proxy)
    # Of the old object under its name, the size tells nothing; of an empty one, none does.
    write_files(folder, {"changed": "3", "new": "4", "empty": ""})
    rule = Rule(KINDS["put"], Reply(200), times=None)
    proxy.rules.append(rule)
    result = ctl(*arguments, check=2, endpoint=proxy)
    assert rule.hits == 3
    for name in ("changed", "new", "empty"):
        said = rf"failed .*/{name}: .* says that it has stored “{name}”, .*, and does not have it"
        assert re.search(said, result.stderr)
    proxy.rules.clear()
    ctl(*arguments, check=0, endpoint=proxy)
    assert contents(s3, bucket) == files_of(folder)


def test_server_that_says_no_etag(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    """Each object is asked for it once, and is known from then on."""

    def without_etag(status: int, headers: Headers, content: bytes) -> tuple[int, Headers, bytes]:
        return status, without(headers, "etag"), content

    folder = write_files(tmp_path / "folder", {"a": "1", "b": "", "sub/c": "3" * 5000})
    rule = Rule(KINDS["put"], ReplaceReply(without_etag), times=None)
    proxy.rules.append(rule)
    ctl("mirror", f"{folder}/", f"s3://{bucket}", check=0, endpoint=proxy)
    assert operations(proxy)["head"] == rule.hits == len(keys(s3, bucket))
    assert contents(s3, bucket) == files_of(folder)
    proxy.reset()
    ctl("mirror", f"{folder}/", f"s3://{bucket}", check=0, endpoint=proxy)
    assert operations(proxy) == {"list": 1}


def test_deletion_that_another_document_answers(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    """It says nothing of what was deleted; the next run does it."""
    folder = write_files(tmp_path / "folder", {"goes": "1", "stays": "2"})
    arguments = ["mirror", "--delete", f"{folder}/", f"s3://{bucket}"]
    ctl(*arguments, check=0, endpoint=proxy)
    (folder / "goes").unlink()
    rule = Rule(KINDS["delete"], Reply(200, {}, b"<html><body>Welcome</body></html>"))
    proxy.rules.append(rule)
    sentence = the_sentence(ctl(*arguments, endpoint=proxy), 5)
    assert "answered a deletion with a document “html”" in sentence
    assert rule.hits == 1
    assert "goes" in keys(s3, bucket)
    ctl(*arguments, check=0, endpoint=proxy)
    assert contents(s3, bucket) == files_of(folder)


def test_hard_link_whose_copy_fails_inside_a_success(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    folder = write_files(tmp_path / "folder", {"one": b"content"})
    os.link(folder / "one", folder / "two")
    rule = Rule(KINDS["copy"], Reply(200, {}, error("InternalError")), times=2)
    proxy.rules.append(rule)
    ctl("mirror", f"{folder}/", f"s3://{bucket}", check=0, endpoint=proxy)
    assert rule.hits == 2
    assert contents(s3, bucket) == {"one": b"content", "two": b"content"}


def test_server_that_cannot_copy(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    """Then the bytes are sent."""
    folder = write_files(tmp_path / "folder", {"one": b"content"})
    os.link(folder / "one", folder / "two")
    rule = Rule(KINDS["copy"], Reply(501, {}, error("NotImplemented")), times=None)
    proxy.rules.append(rule)
    ctl("mirror", f"{folder}/", f"s3://{bucket}", check=0, endpoint=proxy)
    os.utime(folder / "one", (1, 1))
    ctl("mirror", f"{folder}/", f"s3://{bucket}", check=0, endpoint=proxy)
    assert rule.hits >= 2
    assert contents(s3, bucket) == {"one": b"content", "two": b"content"}
    assert metadata(s3, bucket, "one")["mtime"] == "1.000000000"
    assert metadata(s3, bucket, "two")["mtime"] == "1.000000000"


def test_retry_after_is_kept(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    folder = write_files(tmp_path / "folder", {"file": "content"})
    rule = Rule(KINDS["put"], Reply(503, {"Retry-After": "2"}, error("SlowDown")))
    proxy.rules.append(rule)
    ctl("mirror", f"{folder}/", f"s3://{bucket}", check=0, endpoint=proxy)
    first, second = [r for r in proxy.requests if r.method == "PUT"]
    # The client may have the reply before the proxy can note its end.
    assert 2 <= second.started - first.started < 2 + 2 * PATIENCE
    assert body(s3, bucket, "file") == b"content"


def test_server_that_hangs(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    """Each kind of request once, before the reply and within it."""
    files = {"a": b"1", "b": b"22", "c": b"333", "large": os.urandom(9 * MIB)}
    folder = write_files(tmp_path / "folder", files)
    rules = [
        Rule(lambda r: operation(r) == "list", Hang(60)),
        Rule(lambda r: operation(r) == "put", Hang(60)),
        Rule(lambda r: operation(r) == "part", Hang(60)),
        Rule(lambda r: operation(r) == "get", HangAfterReplyBytes(500, 60)),
    ]
    proxy.rules += rules
    arguments = [f"{folder}/", f"s3://{bucket}"]
    ctl("mirror", "--timeout=1", *arguments, check=0, endpoint=proxy, timeout=30)
    assert contents(s3, bucket) == files
    ctl(
        "restore", "--timeout=1", f"s3://{bucket}", tmp_path / "back", check=0, endpoint=proxy,
        timeout=30,
    )  # fmt: skip
    assert files_of(tmp_path / "back") == files
    assert [rule.hits for rule in rules] == [1, 1, 1, 1]


def test_server_that_hangs_for_good(
    ctl: Any, tmp_path: Path, bucket: str, proxy: FaultProxy
) -> None:
    proxy.rules.append(Rule(lambda r: True, Hang(60), times=None))
    folder = write_files(tmp_path / "folder", {"a": "1"})
    result = ctl(
        "mirror", "--timeout=1", f"{folder}/", f"s3://{bucket}", endpoint=proxy, timeout=30
    )
    assert the_sentence(result, 5).startswith(f"Cannot reach {proxy.endpoint}; check the network")


def test_file_that_the_server_refuses(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    """It is named with what the server said, once; the rest goes on; the next run gets it."""
    folder = write_files(tmp_path / "folder", {"bad": "x", "good": "y", "large": bytes(9 * MIB)})
    proxy.rules += [
        Rule(lambda r: r.key == "bad", Reply(400, {}, error("InvalidArgument")), times=None),
        Rule(KINDS["part"], Reply(400, {}, error("InvalidArgument")), times=None),
    ]
    result = ctl("mirror", f"{folder}/", f"s3://{bucket}", check=2, endpoint=proxy)
    failed = sorted(result.stderr.splitlines())
    assert [line.split(":")[0] for line in failed] == [
        f"failed   {folder}/bad", f"failed   {folder}/large",
    ]  # fmt: skip
    assert all("[400 InvalidArgument: by force]" in line for line in failed)
    assert sent_keys(proxy, "put") == ["bad", "good"], "asked again, though it cannot help"
    assert keys(s3, bucket) == ["good"]
    assert unfinished_uploads(s3, bucket) == []

    proxy.rules.clear()
    ctl("mirror", f"{folder}/", f"s3://{bucket}", check=0, endpoint=proxy)
    assert contents(s3, bucket) == files_of(folder)


@pytest.fixture
def locked_bucket(s3: Any) -> Iterator[str]:
    """One that lets no version be deleted for a day."""
    name = f"keepsake-locked-{secrets.token_hex(4)}"
    s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    retention = {"Mode": "GOVERNANCE", "Days": 1}
    rule = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": retention}}
    s3.put_object_lock_configuration(Bucket=name, ObjectLockConfiguration=rule)
    yield name
    page = s3.list_object_versions(Bucket=name)
    for row in page.get("Versions", []) + page.get("DeleteMarkers", []):
        s3.delete_object(Bucket=name, Key=row["Key"], VersionId=row["VersionId"],
                         BypassGovernanceRetention=True)  # fmt: skip
    remove_bucket(s3, name)


def without_md5(request: Request) -> bool:
    is_stored = request.method == "PUT" and bool(request.key)
    copied = "x-amz-copy-source" in request.headers
    return is_stored and not copied and "content-md5" not in request.headers


def test_object_lock(
    ctl: Any, tmp_path: Path, s3: Any, locked_bucket: str, proxy: FaultProxy
) -> None:
    """The server keeps each version for a day, and asks for MD5s as Amazon and Backblaze do then:
    that costs a request or two of each run. What is deleted becomes an old version."""
    address = f"s3://{locked_bucket}/p"
    message = (
        "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with "
        "Object Lock parameters"
    )
    refusal = f"<Error><Code>InvalidRequest</Code><Message>{message}</Message></Error>"
    rule = Rule(without_md5, Reply(400, {}, refusal.encode()), times=None)
    proxy.rules.append(rule)
    probed = ctl("probe", address, endpoint=proxy, check=0)
    (deletion,) = (line for line in probed.stdout.splitlines() if line.startswith("delete"))
    assert deletion.split(None, 2) == [
        "delete", "yes", "what this test wrote stays as old versions, which may not be deleted",
    ]  # fmt: skip
    assert rule.hits == 1

    folder = write_files(
        tmp_path / "folder", {"large": os.urandom(9 * MIB), "empty": "", "gone": "1"}
    )
    write_files(folder, {f"small-{i}": str(i) for i in range(20)})
    command = ("mirror", "--jobs=4", "--delete", f"{folder}/", address)
    result = ctl(*command, check=0, endpoint=proxy)
    assert result.stderr == ""
    assert 1 < rule.hits <= 1 + 4, "not remembered"
    assert {key.removeprefix("p/"): body(s3, locked_bucket, key) for key in
            keys(s3, locked_bucket) if key != "p/"} == files_of(folder)  # fmt: skip

    (folder / "gone").unlink()
    ctl("plan", "add", "Locked", f"{folder}/", address, "--delete", check=0, endpoint=proxy)
    ctl("run", "Locked", "--foreground", check=0, endpoint=proxy)
    assert "p/gone" not in keys(s3, locked_bucket)
    removed = ctl("plan", "remove", "Locked", "--delete-objects", "--yes", check=0, endpoint=proxy)
    assert "The bucket keeps old versions: what was deleted stays there" in removed.stderr
    assert keys(s3, locked_bucket) == []


def test_object_that_cannot_be_looked_at_costs_no_other(
    ctl: Any, prepared: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    proxy.rules.append(Rule(KINDS["head"], Reply(400), times=None))
    result = ctl("mirror", f"{prepared}/", f"s3://{bucket}", endpoint=proxy)
    expected = files_of(prepared)
    found = contents(s3, bucket)
    assert (found["new"], found["large"]) == (expected["new"], expected["large"])
    assert result.returncode == 2, result
    assert f"failed   {prepared}/looked at: " in result.stderr


def listing_of(folder: Path) -> bytes:
    """Of a bucket with other objects of these names."""
    contents = "".join(
        f"<Contents><Key>{path.name}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
        f'<ETag>"{"0" * 32}"</ETag><Size>{path.stat().st_size}</Size>'
        "<StorageClass>STANDARD</StorageClass></Contents>"
        for path in sorted(folder.iterdir())
    )
    return (
        "<ListBucketResult><Name>b</Name><IsTruncated>false</IsTruncated>"
        f"{contents}</ListBucketResult>".encode()
    )


def test_temporary_keys_that_have_expired(
    ctl: Any, tmp_path: Path, bucket: str, proxy: FaultProxy
) -> None:
    """While objects are looked at: the answers to that have no words. It is said once, and of the
    keys; not of each file that it could not be looked at."""
    folder = write_files(tmp_path / "folder", {f"file-{i:02}": "x" for i in range(40)})
    proxy.rules += [
        Rule(KINDS["list"], Reply(200, {}, listing_of(folder)), times=None),
        Rule(KINDS["head"], Reply(400), times=None),
        Rule(lambda r: r.method == "GET", Reply(400, {}, error("ExpiredToken")), times=None),
    ]
    result = ctl("mirror", "--jobs=2", f"{folder}/", f"s3://{bucket}", endpoint=proxy,
                 env={"AWS_SESSION_TOKEN": "a-token"})  # fmt: skip
    assert the_sentence(result, 4).startswith(
        f"The temporary keys for {proxy.endpoint} have expired; get new ones [400 ExpiredToken"
    )
    assert 2 <= proxy.count("HEAD") <= 10


def test_permission_that_goes_away_in_the_middle(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    """One file that is denied is one that failed; ten in a row end the job, whatever is left. What
    was stored is recorded."""
    names = [f"{i:02}" for i in range(30)]
    folder = write_files(tmp_path / "folder", {name: f"file {name}" for name in names})
    denied = Reply(403, {}, error("AccessDenied"))
    proxy.rules.append(Rule(lambda r: r.method == "PUT" and r.key >= "07", denied, times=None))
    result = ctl("mirror", "--jobs=1", f"{folder}/", f"s3://{bucket}", endpoint=proxy, check=4)
    *failed, sentence = result.stderr.splitlines()
    assert len(failed) == 9 and all("may not write objects" in line for line in failed)
    assert sentence.startswith("keepsakectl: ") and "may not write objects" in sentence
    assert keys(s3, bucket) == names[:7]
    assert sent_keys(proxy, "put")[-1] < "20"
    proxy.rules.clear()
    proxy.reset()
    ctl("mirror", f"{folder}/", f"s3://{bucket}", check=0, endpoint=proxy)
    assert sent_keys(proxy, "put") == names[7:]
    assert operations(proxy)["head"] == 0


# -- restore ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "action",
    [
        Reply(500),
        Reply(503, {}, error("SlowDown")),
        Refuse(),
        ResetAfterReplyBytes(0),
        ResetAfterReplyBytes(1000),
        CutReply(500),
        CutReply(500, chunked=True),
        CutReply(0),
    ],
    ids=repr,
)
def test_restore_survives(
    ctl: Any, tmp_path: Path, bucket: str, proxy: FaultProxy, action: Action
) -> None:
    folder = write_files(
        tmp_path / "folder", {"small": os.urandom(100_000), "large": os.urandom(20 * MIB)}
    )
    ctl("mirror", f"{folder}/", f"s3://{bucket}/p", check=0)
    rules = [
        Rule(lambda r: operation(r) == "get" and r.key == "p/small", action),
        Rule(lambda r: operation(r) == "get" and r.key == "p/large", action, times=2),
    ]
    proxy.rules += rules
    ctl("restore", f"s3://{bucket}/p", tmp_path / "back", check=0, endpoint=proxy)
    assert [rule.hits for rule in rules] == [1, 2]
    assert rsync_changes(folder, tmp_path / "back", "-ainc") == []
    assert sorted(os.listdir(tmp_path / "back")) == ["large", "small"]


def flip_a_bit(status: int, headers: dict[str, str], content: bytes) -> Any:
    return status, headers, content[:-1] + bytes([content[-1] ^ 1])


def test_bytes_that_changed_on_the_way_are_not_restored(
    ctl: Any, tmp_path: Path, bucket: str, proxy: FaultProxy
) -> None:
    """Where the ETag is known to be an MD5, it proves the bytes."""
    folder = write_files(tmp_path / "folder", {"bad": "content", "good": "content"})
    ctl("mirror", f"{folder}/", f"s3://{bucket}", check=0)
    is_bad = Rule(lambda r: r.key == "bad", ReplaceReply(flip_a_bit), times=None)
    proxy.rules.append(is_bad)
    result = ctl(
        "restore", "--provider=ceph", f"s3://{bucket}", tmp_path / "back", check=2, endpoint=proxy
    )
    assert "failed   bad: The bytes that the server sent are not those that were" in result.stderr
    assert os.listdir(tmp_path / "back") == ["good"]


@pytest.mark.parametrize("recorded", [False, True], ids=["nothing but the key", "recorded"])
def test_bytes_that_changed_once_are_fetched_again(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str, proxy: FaultProxy, recorded: bool
) -> None:
    """A large object that was stored in one piece has an MD5, and one in parts has what was recorded
    of it; so has one whose ETag is none."""
    files = {"small": os.urandom(1000), "large": os.urandom(20 * MIB)}
    if recorded:
        folder = write_files(tmp_path / "folder", files)
        ctl("mirror", f"{folder}/", f"s3://{bucket}", check=0, endpoint=proxy)
    else:
        for key, content in files.items():
            s3.put_object(Bucket=bucket, Key=key, Body=content)
    rules = [
        Rule(lambda r, key=key: operation(r) == "get" and r.key == key, ReplaceReply(flip_a_bit))
        for key in files
    ]
    proxy.rules += rules
    ctl("restore", f"s3://{bucket}", tmp_path / "back", check=0, endpoint=proxy)
    assert [rule.hits for rule in rules] == [1, 1]
    assert files_of(tmp_path / "back") == files


def test_large_object_that_changed_on_the_way_is_not_restored(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    s3.put_object(Bucket=bucket, Key="large", Body=os.urandom(20 * MIB))
    proxy.rules.append(
        Rule(lambda r: operation(r) == "get", ReplaceReply(flip_a_bit), times=None)
    )
    result = ctl(
        "restore", "--provider=ceph", f"s3://{bucket}", tmp_path / "back", check=2, endpoint=proxy
    )
    assert "failed   large: The bytes that the server sent are not those that were" in result.stderr
    assert os.listdir(tmp_path / "back") == []


def other_etag(status: int, headers: dict[str, str], content: bytes) -> Any:
    return status, headers | {"ETag": '"00112233445566778899aabbccddeeff"'}, content


def with_key_of_its_own(status: int, headers: dict[str, str], content: bytes) -> Any:
    status, headers, content = other_etag(status, headers, content)
    return status, headers | {"x-amz-server-side-encryption": "aws:kms"}, content


def test_etags_that_are_no_md5s(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    """They look like MD5s. Of an unknown server, what comes twice the same is right."""
    files = {f"file{i}": os.urandom(1000 + i) for i in range(5)}
    for key, content in files.items():
        s3.put_object(Bucket=bucket, Key=key, Body=content)
    proxy.rules.append(
        Rule(lambda r: operation(r) in ("get", "head"), ReplaceReply(other_etag), times=None)
    )
    result = ctl("restore", "--jobs=1", f"s3://{bucket}", tmp_path / "back", check=0, endpoint=proxy)
    assert files_of(tmp_path / "back") == files
    assert len(result.stderr.splitlines()) == 1 and "does not say the MD5s" in result.stderr
    assert operations(proxy)["get"] == len(files) + 3  # three tell


def test_objects_encrypted_with_keys_of_their_own(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    """Amazon says so, and their ETags are no MD5s."""
    s3.put_object(Bucket=bucket, Key="file", Body=b"content")
    proxy.rules.append(
        Rule(lambda r: operation(r) == "get", ReplaceReply(with_key_of_its_own), times=None)
    )
    result = ctl(
        "restore", "--provider=aws", f"s3://{bucket}", tmp_path / "back", check=0, endpoint=proxy
    )
    assert files_of(tmp_path / "back") == {"file": b"content"}
    assert result.stderr == "" and operations(proxy)["get"] == 1


def test_object_replaced_between_two_ranges(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    """A server that does not know If-Match would give one half of each."""
    s3.put_object(Bucket=bucket, Key="large", Body=os.urandom(20 * MIB))
    is_last = Rule(
        lambda r: operation(r) == "get" and not r.headers["range"].startswith("bytes=0-"),
        ReplaceReply(other_etag),
    )
    proxy.rules.append(is_last)
    result = ctl("restore", f"s3://{bucket}", tmp_path / "back", check=2, endpoint=proxy)
    assert is_last.hits == 1
    assert "failed   large: “large” was changed in the bucket while it was read" in result.stderr
    assert os.listdir(tmp_path / "back") == []


def test_archived_object_costs_no_other(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    s3.put_object(Bucket=bucket, Key="p/cold", Body=b"content")
    s3.put_object(Bucket=bucket, Key="p/warm", Body=b"content")
    proxy.rules.append(
        Rule(lambda r: r.key == "p/cold", Reply(403, {}, error("InvalidObjectState")), times=None)
    )
    result = ctl("restore", f"s3://{bucket}/p", tmp_path / "back", check=2, endpoint=proxy)
    assert "failed   p/cold: “p/cold” is archived; request its retrieval first" in result.stderr
    assert files_of(tmp_path / "back") == {"warm": b"content"}
    assert operations(proxy)["get"] == 2, "asked again, though it cannot help"


# -- listings -----------------------------------------------------------------------------------


def without_url_encoding(status: int, headers: dict[str, str], content: bytes) -> Any:
    """As a server answers that does not know encoding-type."""

    def decode(match: re.Match[str]) -> str:
        text = urllib.parse.unquote(html.unescape(match[2]), errors="strict")
        return match[1] + html.escape(text) + match[3]

    text = content.decode().replace("<EncodingType>url</EncodingType>", "")
    text = re.sub(r"(<(?:Key|Prefix|Delimiter|StartAfter)>)([^<]*)(</)", decode, text)
    return status, headers, text.encode()


def test_server_that_ignores_the_encoding(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    tree = make_tree(tmp_path / "tree", large=False, control_names=False).root
    arguments = ["mirror", "--delete", f"{tree}/", f"s3://{bucket}/a+b c%2F"]
    ctl(*arguments, check=0, endpoint=proxy)
    before = keys(s3, bucket)
    rule = Rule(KINDS["list"], ReplaceReply(without_url_encoding), times=None)
    proxy.rules.append(rule)
    proxy.reset()
    ctl(*arguments, check=0, endpoint=proxy)
    assert rule.hits == 1
    assert operations(proxy) == {"list": 1}
    assert keys(s3, bucket) == before
    ctl("restore", f"s3://{bucket}/a+b c%2F", tmp_path / "back", check=0, endpoint=proxy)
    assert rsync_changes(tree, tmp_path / "back", "-aXin") == []


def replace_in_listing(old: bytes, new: bytes) -> Any:
    def function(status: int, headers: dict[str, str], content: bytes) -> Any:
        text, count = re.subn(old, new, content)
        assert count == 1
        return status, headers, text

    return function


@pytest.mark.parametrize("command", ["ls", "restore", "mirror"])
@pytest.mark.parametrize(
    ("key", "fault"),
    [
        ("x", "does not begin as was asked for"),
        ("photos-of-may/cat", "does not begin as was asked for"),
        ("photos/cat%00/2026", "goes on behind a NUL"),
        ("photos/caf%E9", "is not valid UTF-8"),
        ("", "is empty"),
    ],
)
def test_listing_with_a_key_that_makes_no_sense(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str, proxy: FaultProxy,
    command: str, key: str, fault: str,
) -> None:  # fmt: skip
    """As many bytes are cut off each key as were asked for; one that is shortened is another one."""
    folder = write_files(tmp_path / "folder", {"mine": "1"})
    for name in ("photos/cat", "photos/dog"):
        s3.put_object(Bucket=bucket, Key=name, Body=b"1")
    listing = replace_in_listing(b"<Key>photos(/|%2F)dog</Key>", f"<Key>{key}</Key>".encode())
    rule = Rule(KINDS["list"], ReplaceReply(listing), times=None)
    proxy.rules.append(rule)
    arguments = {
        "ls": ["ls", f"s3://{bucket}/photos"],
        "restore": ["restore", f"s3://{bucket}/photos", tmp_path / "back"],
        "mirror": ["mirror", "--delete", f"{folder}/", f"s3://{bucket}/photos"],
    }
    sentence = the_sentence(ctl(*arguments[command], endpoint=proxy), 5)
    assert sentence.startswith("The server's listing makes no sense: the key “")
    assert sentence.endswith(fault)
    assert rule.hits == 1
    assert keys(s3, bucket) == ["photos/cat", "photos/dog"]


@pytest.mark.parametrize("size", [2**62, 60 << 40])
def test_object_of_absurd_size(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str, proxy: FaultProxy, size: int
) -> None:
    s3.put_object(Bucket=bucket, Key="huge", Body=b"7 bytes")
    s3.put_object(Bucket=bucket, Key="small", Body=b"content.")
    listing = replace_in_listing(b"<Size>7</Size>", f"<Size>{size}</Size>".encode())
    proxy.rules.append(Rule(KINDS["list"], ReplaceReply(listing), times=None))
    result = ctl("restore", f"s3://{bucket}", tmp_path / "back", check=2, endpoint=proxy, timeout=20)
    assert "failed   huge: The server says that it has more bytes than any obj" in result.stderr
    assert files_of(tmp_path / "back") == {"small": b"content."}


def test_object_as_large_as_can_be(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    """It has seven million ranges, but not all of them at once; and it can be stopped."""
    s3.put_object(Bucket=bucket, Key="huge", Body=bytes(7))
    size = 15 << 40  # ext4 has no larger files
    listing = replace_in_listing(b"<Size>7</Size>", f"<Size>{size}</Size>".encode())

    def head(status: int, headers: dict[str, str], content: bytes) -> Any:
        return status, headers | {"Content-Length": str(size)}, content

    def zeros(status: int, headers: dict[str, str], content: bytes) -> Any:
        return 206, headers, bytes(8 * MIB)

    proxy.rules += [
        Rule(KINDS["list"], ReplaceReply(listing), times=None),
        Rule(lambda r: operation(r) == "head", ReplaceReply(head), times=None),
        Rule(lambda r: operation(r) == "get", ReplaceReply(zeros), times=None),
    ]
    process = ctl.popen("restore", "--jobs=2", "--no-space-check", f"s3://{bucket}",
                        tmp_path / "back", endpoint=proxy)  # fmt: skip
    wait_until(lambda: operations(proxy)["get"] >= 4, 20, "the first ranges")
    status = Path(f"/proc/{process.pid}/status").read_text()
    assert int(status.split("VmRSS:")[1].split()[0]) < 200_000  # KiB
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20 * PATIENCE)
    assert process.returncode == 6
    # What came waits for the next restore, and is no file of this name.
    (left,) = os.listdir(tmp_path / "back")
    assert left.startswith(".keepsake-part-")


def test_object_that_is_not_as_long_as_listed(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    """It was replaced since; the next restore gets it."""
    # Of the empty one, Ceph has no range: 416.
    for key, size in ("empty", 0), ("small", 7), ("large", 9 * MIB):
        s3.put_object(Bucket=bucket, Key=key, Body=bytes(size))

    def longer(status: int, headers: dict[str, str], content: bytes) -> Any:
        text = re.sub(rb"<Size>(\d+)<", lambda m: b"<Size>%d<" % (int(m[1]) + 1), content)
        return status, headers, text

    proxy.rules.append(Rule(KINDS["list"], ReplaceReply(longer)))
    result = ctl("restore", f"s3://{bucket}", tmp_path / "back", check=2, endpoint=proxy)
    for key in ("empty", "small", "large"):
        assert f"failed   {key}: " in result.stderr
    assert result.stderr.count("changed in the bucket") == 3
    assert os.listdir(tmp_path / "back") == []
    ctl("restore", f"s3://{bucket}", tmp_path / "back", check=0, endpoint=proxy)
    assert {len(content) for content in files_of(tmp_path / "back").values()} == {0, 7, 9 * MIB}


@pytest.fixture
def many_folders(tmp_path: Path) -> Path:
    """2,200 objects: three pages, and in short form two."""
    return write_files(tmp_path / "many", {f"{i:04}/x": str(i) for i in range(1100)})


def test_server_without_the_second_version_of_listing(
    ctl: Any, many_folders: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    not_known = Reply(501, {}, error("NotImplemented"))
    rule = Rule(lambda r: "list-type" in r.params, not_known, times=None)
    proxy.rules.append(rule)
    arguments = ["mirror", "--delete", f"{many_folders}/", f"s3://{bucket}/p"]
    ctl(*arguments, check=0, endpoint=proxy)
    assert len(keys(s3, bucket)) == 2201
    proxy.reset()
    ctl(*arguments, check=0, endpoint=proxy)
    assert operations(proxy) == {"list": 4}  # one is refused
    assert rule.hits == 2, "not remembered"
    names = ctl("ls", f"s3://{bucket}/p", check=0, endpoint=proxy).stdout.splitlines()
    assert names == [f"{i:04}/" for i in range(1100)]


def test_server_that_answers_with_the_first_version(
    ctl: Any, rgw: Any, many_folders: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    """It does not know list-type, and so takes no notice of it."""
    arguments = ["mirror", "--delete", f"{many_folders}/", f"s3://{bucket}/p"]
    ctl(*arguments, check=0, endpoint=proxy)

    def first_version(status: int, headers: dict[str, str], content: bytes) -> Any:
        reply = rgw.request("GET", f"/{bucket}", {"prefix": "p/", "encoding-type": "url"})
        assert b"NextContinuationToken" not in reply.body
        return reply.status, headers, reply.body

    rule = Rule(lambda r: "list-type" in r.params, ReplaceReply(first_version), times=None)
    proxy.rules.append(rule)
    proxy.reset()
    ctl(*arguments, check=0, endpoint=proxy)
    assert rule.hits == 1
    assert operations(proxy) == {"list": 3}
    assert len(keys(s3, bucket)) == 2201


class Repeater:
    """Gives the first page again, whatever is asked for."""

    def __init__(self) -> None:
        self.first = b""

    def __call__(self, status: int, headers: dict[str, str], content: bytes) -> Any:
        self.first = self.first or content
        return status, headers, self.first


class EmptyPage(Repeater):
    """The same without a key. One empty page, with a new token, may be; here the token is the same
    again."""

    def __call__(self, status: int, headers: dict[str, str], content: bytes) -> Any:
        what = rb"<Contents>.*</Contents>|<NextMarker>.*</NextMarker>"
        return super().__call__(status, headers, re.sub(what, b"", content, flags=re.DOTALL))


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("nonsense", [Repeater, EmptyPage], ids=["repeats", "empty"])
def test_listing_without_end(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str, proxy: FaultProxy, version: int, nonsense: Any
) -> None:
    """It ends with an error, and nothing is deleted on its word."""
    folder = write_files(tmp_path / "many", {f"{i:04}": "" for i in range(1100)})
    ctl("mirror", f"{folder}/", f"s3://{bucket}", check=0, endpoint=proxy)
    before = keys(s3, bucket)
    for name in range(0, 60):
        (folder / f"{name:04}").unlink()
    if version == 1:
        not_known = Reply(501, {}, error("NotImplemented"))
        proxy.rules.append(Rule(lambda r: "list-type" in r.params, not_known, times=None))
    rule = Rule(KINDS["list"], ReplaceReply(nonsense()), times=None)
    proxy.rules.append(rule)
    proxy.reset()
    result = ctl("mirror", "--delete", f"{folder}/", f"s3://{bucket}", endpoint=proxy, timeout=30)
    assert the_sentence(result, 5).startswith("The server's listing ")
    assert rule.hits <= 2
    assert set(operations(proxy)) == {"list"}
    assert keys(s3, bucket) == before


# -- virtual-host style -------------------------------------------------------------------------


def test_bucket_in_the_host_name(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    """http://BUCKET.localhost/KEY; Amazon's profile asks for it, and the gateway can do it too."""
    tree = make_tree(tmp_path / "tree", large=False).root
    write_files(tree, {"large": os.urandom(9 * MIB)})
    endpoint = f"http://localhost:{proxy.port}"
    arguments = ["mirror", "--delete", "--provider=aws", f"{tree}/", f"s3://{bucket}/p"]
    ctl(*arguments, check=0, endpoint=endpoint)
    (tree / "plain.txt").unlink()
    os.utime(tree / "large", (1, 1))
    ctl(*arguments, check=0, endpoint=endpoint)
    back = tmp_path / "back"
    ctl("restore", "--provider=aws", f"s3://{bucket}/p", back, check=0, endpoint=endpoint)
    assert rsync_changes(tree, back, "-aXin") == []
    assert {r.headers["host"] for r in proxy.requests} == {f"{bucket}.localhost:{proxy.port}"}
    assert {r.path.split("/")[1] for r in proxy.requests} == {"", "p"}
    assert {"PUT", "GET", "HEAD", "POST"} == {r.method for r in proxy.requests}
    assert "p/plain.txt" not in keys(s3, bucket)


def test_address_without_a_name_is_asked_by_path(
    ctl: Any, tmp_path: Path, bucket: str, proxy: FaultProxy
) -> None:
    folder = write_files(tmp_path / "folder", {"file": "x"})
    ctl("mirror", "--provider=aws", folder, f"s3://{bucket}", check=0, endpoint=proxy)
    assert {r.path.split("/")[1] for r in proxy.requests} == {bucket}
