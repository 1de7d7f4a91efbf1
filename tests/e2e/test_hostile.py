# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""A server, or whoever writes to the bucket, that means harm: replies without end, documents that
grow in memory, objects that say absurd things. Each ends in a sentence, and needs little memory.

Keys that lead out of the target, and symbolic links, are in test_restore_foreign; listings that
repeat themselves, and sizes that no object has, in test_transport.
"""

from __future__ import annotations

import os
import re
import signal
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from fixtures import PATIENCE, wait_until
from fixtures.checks import operation, run_and_weigh, the_sentence, write_files
from fixtures.fault_proxy import FaultProxy, Flood, Headers, ReplaceReply, Reply, Rule
from fixtures.impatience import Impatience
from fixtures.trees import MIB, read_tree

# A sanitizer needs more for itself than the program.
A_LITTLE = 100 * MIB * (20 if {"ASAN_OPTIONS", "TSAN_OPTIONS"} & os.environ.keys() else 1)

# -- replies without end ------------------------------------------------------------------------

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
LISTING = b"<ListBucketResult><IsTruncated>false</IsTruncated>"
ENTRIES = b"<Contents><Key>a</Key></Contents>" * 2000
MANY = 1 << 16


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


TOO_LONG = "The server's reply is longer than the 8388608 bytes it may have"
NO_ANSWER = "breaks off, or does not answer as a server does; check the network and the endpoint ["

# What is sent first, what again and again, and what is said of it.
FLOODS = {
    "a status line": (b"HTTP/1.1 200 ", b"x" * MANY, NO_ANSWER),
    "no answer at all": (b"", b"x" * MANY, NO_ANSWER),
    "one header": (OK + b"x-amz-meta-xattr: ", b"x" * MANY, NO_ANSWER),
    "headers": (OK, b"x-amz-meta-a: b\r\n" * 4000, NO_ANSWER),
    "a header of many lines": (OK + b"x-amz-meta-a: b\r\n", b" c\r\n" * 8000, NO_ANSWER),
    "replies to come": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 2000, "Next to nothing came in 2 s"),
    "a body of absurd length": (OK + b"Content-Length: %d\r\n\r\n" % 2**60 + LISTING, ENTRIES, TOO_LONG),
    "a body of no length": (OK + b"\r\n" + LISTING, ENTRIES, TOO_LONG),
    "chunks": (CHUNKED + chunk(LISTING), chunk(ENTRIES), TOO_LONG),
    "the size of a chunk": (CHUNKED, b"0" * MANY, NO_ANSWER),
    "a packed body": (OK + b"Content-Encoding: gzip\r\n\r\n", bytes(MANY), TOO_LONG),
    "an error": (
        b"HTTP/1.1 403 Forbidden\r\n\r\n<Error><Code>", b"x" * MANY,
        "The server's reply is longer than the 1048576 bytes it may have",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FLOODS)
def test_listing_that_is_a_flood(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str, proxy: FaultProxy, name: str
) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"1")
    head, piece, sentence = FLOODS[name]
    flood = Flood(head, piece)
    proxy.rules.append(Rule(lambda r: operation(r) == "list", flood, times=None))
    text, memory = run_and_weigh(
        ctl, tmp_path / "log", "restore", "--timeout=1", f"s3://{bucket}", tmp_path / "back",
        check=5, endpoint=proxy,
    )  # fmt: skip
    assert text.startswith("keepsakectl: ") and sentence in text
    assert text.count("\n") == 1 and len(text) < 1000
    assert memory < A_LITTLE
    assert flood.sent and max(flood.sent) < 1 << 29
    assert os.listdir(tmp_path / "back") == []


def test_words_that_steer_a_terminal(ctl: Any, s3: Any, bucket: str, proxy: FaultProxy) -> None:
    for body in (b"1", b"2"):
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        s3.put_object(Bucket=bucket, Key="p/a", Body=body)

    def steer(status: int, headers: Any, body: bytes) -> Any:
        word = b"<StorageClass>&#27;]0;x&#7;&#31;</StorageClass>"
        return status, headers, re.sub(b"<StorageClass>STANDARD</StorageClass>", word, body)

    rule = Rule(lambda r: not r.key, ReplaceReply(steer), times=None)
    proxy.rules.append(rule)
    for command, what in (("versions", "p/a"), ("ls", "p")):
        for json in ([], ["--json"]):
            result = ctl(command, *json, f"s3://{bucket}/{what}", check=0, endpoint=proxy)
            assert not set("\x1b\x07\x1f") & set(result.stdout + result.stderr)
            if json:
                assert {row["storage_class"] for row in result.json} == {"\\033]0;x\\007\\037"}
    assert rule.hits > 0


def test_trailers_without_end(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    """Behind the last chunk nothing is waited for."""
    whole = chunk(LISTING + b"<Contents><Key>a</Key></Contents></ListBucketResult>")
    flood = Flood(CHUNKED + whole + b"0\r\n", b"x-amz-checksum: b\r\n" * 4000)
    proxy.rules.append(Rule(lambda r: operation(r) == "list", flood, times=None))
    assert ctl("ls", f"s3://{bucket}", check=0, endpoint=proxy).stdout == "a\n"
    # The client need not wait for its end.
    wait_until(lambda: len(flood.sent) == 1, 10, "the end of the flood")


def test_object_that_is_a_flood(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str, proxy: FaultProxy, impatience: Impatience
) -> None:
    """It says that it is larger than listed, or nothing. And so does the reply to what is stored."""
    s3.put_object(Bucket=bucket, Key="p/small", Body=b"1")
    s3.put_object(Bucket=bucket, Key="p/good", Body=b"good")
    folder = write_files(tmp_path / "folder", {"file": "content"})
    down = Flood(OK + b'ETag: "a"\r\n\r\n', bytes(MANY))
    up = Flood(OK + b'ETag: "a"\r\n\r\n', bytes(MANY))
    proxy.rules += [
        Rule(lambda r: operation(r) == "get" and r.key == "p/small", down, times=None),
        Rule(lambda r: operation(r) == "put", up, times=None),
    ]
    with ThreadPoolExecutor() as pool:  # each is tried eight times, with pauses
        restore = pool.submit(
            run_and_weigh, ctl, tmp_path / "restore.log", "restore", f"s3://{bucket}/p",
            tmp_path / "back", check=2, endpoint=proxy, env=impatience.environment,
        )  # fmt: skip
        mirror = pool.submit(
            run_and_weigh, ctl, tmp_path / "mirror.log", "mirror", f"{folder}/", f"s3://{bucket}/q",
            check=2, endpoint=proxy, env=impatience.environment,
        )  # fmt: skip
        restored, restore_memory = restore.result()
        mirrored, mirror_memory = mirror.result()
    assert "failed   p/small: The server's reply is longer than the 1 bytes it may have" in restored
    assert f"failed   {folder}/file: The server's reply is longer than the 1048576 bytes " in mirrored
    assert max(restore_memory, mirror_memory) < A_LITTLE
    # The folder has an object of its own.
    wait_until(lambda: len(down.sent) == len(up.sent) / 2 == 8, 10, "the end of the last floods")
    assert max(down.sent + up.sent) < 64 * MIB
    assert read_tree(tmp_path / "back").keys() == {b"good"}


def test_listing_of_ever_more_keys(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    """That a bucket is as large as that cannot be ruled out: it is on the disk, and can be stopped."""
    pages = iter(range(10**9))

    def page(status: int, headers: Headers, content: bytes) -> Any:
        n = next(pages)
        entries = "".join(
            f"<Contents><Key>{n:09}/{i:03}</Key><Size>1</Size></Contents>" for i in range(1000)
        )
        more = f"<IsTruncated>true</IsTruncated><NextContinuationToken>{n}</NextContinuationToken>"
        return 200, {}, f"<ListBucketResult>{more}{entries}</ListBucketResult>".encode()

    rule = Rule(lambda r: operation(r) == "list", ReplaceReply(page), times=None)
    proxy.rules.append(rule)
    process = ctl.popen("restore", f"s3://{bucket}", tmp_path / "back", endpoint=proxy)
    wait_until(lambda: rule.hits > 200, 60, "two hundred pages")
    status = Path(f"/proc/{process.pid}/status").read_text()
    assert int(status.split("VmHWM:")[1].split()[0]) * 1024 < A_LITTLE
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20 * PATIENCE)
    assert process.returncode == 6
    assert os.listdir(tmp_path / "back") == []


def test_more_bytes_than_can_be_added_up(
    ctl: Any, tmp_path: Path, bucket: str, proxy: FaultProxy
) -> None:
    """2^63 and more, of objects that each might be."""
    pages = iter(range(9))

    def page(status: int, headers: Headers, content: bytes) -> Any:
        n = next(pages)
        entries = "".join(
            f"<Contents><Key>{n}/{i:05}</Key><Size>{50 << 40}</Size></Contents>" for i in range(20000)
        )
        more = "" if n == 8 else "<IsTruncated>true</IsTruncated>"
        token = f"<NextContinuationToken>{n}</NextContinuationToken>"
        return 200, {}, f"<ListBucketResult>{more}{token}{entries}</ListBucketResult>".encode()

    proxy.rules.append(Rule(lambda r: operation(r) == "list", ReplaceReply(page), times=None))
    result = ctl("restore", f"s3://{bucket}", tmp_path / "back", endpoint=proxy)
    assert next(pages, None) is None
    assert the_sentence(result, 1).startswith("The files need 8.0 EiB, and the disk of “")


def test_harmful_keys_need_no_room(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    """They are not written, so that they are said to be large holds nothing else up."""
    s3.put_object(Bucket=bucket, Key="p/good", Body=b"good")
    s3.put_object(Bucket=bucket, Key="p/x/y/up", Body=b"1234567")

    def page(status: int, headers: Headers, content: bytes) -> Any:
        content = content.replace(b"x/y/up", b"../../up").replace(b"x%2Fy%2Fup", b"../../up")
        return status, headers, content.replace(b"<Size>7<", b"<Size>%d<" % (40 << 40))

    rule = Rule(lambda r: operation(r) == "list", ReplaceReply(page), times=None)
    proxy.rules.append(rule)
    result = ctl("restore", f"s3://{bucket}/p", tmp_path / "back", check=2, endpoint=proxy)
    assert "failed   p/../../up: " in result.stderr
    assert read_tree(tmp_path / "back").keys() == {b"good"}


# -- documents ----------------------------------------------------------------------------------

FULL = 8 * MIB - 1000
DOCUMENTS = {
    "elements": (b"<a><b/></a>", "The document has more than 200000 elements"),
    "depth": (b"<a>", "The document is nested too deeply"),
    "text": (b"&amp;", "The server answered a listing with a document “R”"),
    "attributes": (b"a='' ", "The server's reply is not the XML it should be"),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_document_that_grows_in_memory(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str, proxy: FaultProxy, name: str
) -> None:
    piece, sentence = DOCUMENTS[name]
    filler = piece * (FULL // len(piece))
    document = b"<R " + filler + b"/>" if name == "attributes" else b"<R>" + filler + b"</R>"
    proxy.rules.append(Rule(lambda r: operation(r) == "list", Reply(200, {}, document), times=None))
    text, memory = run_and_weigh(
        ctl, tmp_path / "log", "restore", f"s3://{bucket}", tmp_path / "back",
        check=5, endpoint=proxy,
    )  # fmt: skip
    assert text.startswith("keepsakectl: ") and sentence in text
    assert memory < A_LITTLE


# -- objects ------------------------------------------------------------------------------------

LINK = {"mode": str(stat.S_IFLNK | 0o777)}


@pytest.mark.parametrize(
    "target", [b"", b"etc\0/passwd", b"x" * MIB], ids=["empty", "NUL", "a mebibyte"]
)
def test_symlink_that_can_be_none(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str, target: bytes
) -> None:
    """Of the second one, a link to "etc" would have been made."""
    s3.put_object(Bucket=bucket, Key="p/link", Body=target, Metadata=LINK)
    s3.put_object(Bucket=bucket, Key="p/good", Body=b"good")
    back = write_files(tmp_path / "back", {"link": "stays"})
    result = ctl("restore", "--overwrite=always", f"s3://{bucket}/p", back, check=2)
    said = f"failed   p/link: The object says that it is a symbolic link, but its {len(target)} bytes"
    assert said in result.stderr
    assert read_tree(back).keys() == {b"good", b"link"}
    assert (back / "link").read_text() == "stays"


def test_folder_with_bytes(ctl: Any, tmp_path: Path, s3: Any, bucket: str) -> None:
    """They are not lost in silence; and the folder gets its metadata all the same."""
    mode = {"mode": str(stat.S_IFDIR | 0o750), "mtime": "1.000000000"}
    s3.put_object(Bucket=bucket, Key="p/odd/", Body=b"bytes", Metadata=mode)
    s3.put_object(Bucket=bucket, Key="p/odd/inside", Body=b"content")
    result = ctl("restore", f"s3://{bucket}/p", tmp_path / "back", check=2)
    assert "failed   p/odd/: The folder was made, but the object has 5 bytes, too" in result.stderr
    assert (tmp_path / "back/odd/inside").read_text() == "content"
    assert (tmp_path / "back/odd").stat().st_mtime == 1


def test_no_setuid_of_others(nobody: Any, s3: Any, bucket: str) -> None:
    """What ran as root does not run as whoever restored it."""
    for name, mode in ("setuid", 0o104755), ("setgid", 0o102755), ("both", 0o106777):
        headers = {"mode": str(mode), "uid": "0", "gid": "0"}
        s3.put_object(Bucket=bucket, Key=f"p/{name}", Body=b"#!", Metadata=headers)
    nobody("restore", f"s3://{bucket}/p", nobody.home / "back", check=0)
    for name, mode in ("setuid", 0o755), ("setgid", 0o755), ("both", 0o777):
        assert oct((nobody.home / "back" / name).stat().st_mode) == oct(0o100000 | mode)


def test_attributes_that_no_disk_holds(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    """60 kB of them, where S3 allows 2: the bytes come back, and what is missing is said. (More than
    64 KiB of headers are no reply at all.)"""
    s3.put_object(Bucket=bucket, Key="p/file", Body=b"content")
    names = {"user.a": "QUFB" * 15000, "security.selinux": "MQ==", "": "MQ==", "user.": "MQ=="}
    text = "{" + ",".join(f'"{name}":"{value}"' for name, value in names.items()) + "}"

    def with_attributes(status: int, headers: Headers, content: bytes) -> Any:
        return status, headers | {"x-amz-meta-xattr": text}, content

    proxy.rules.append(Rule(lambda r: r.key == "p/file", ReplaceReply(with_attributes), times=None))
    result = ctl("restore", f"s3://{bucket}/p", tmp_path / "back", check=2, endpoint=proxy)
    assert "failed   p/file: The contents are there, but the extended attribute “user." in result.stderr
    assert (tmp_path / "back/file").read_bytes() == b"content"
    assert all(name.startswith("user.") for name in os.listxattr(tmp_path / "back/file"))


@pytest.mark.parametrize(
    "identity",
    ["../../etc/passwd", "/etc/passwd", "0", "-1-", "x" * 1500, "1-1e300", "%00", "'; DROP TABLE object"],
    ids=lambda text: text[:16],
)
def test_hard_link_that_says_nonsense(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str, identity: str
) -> None:
    """It is a name for one file among those of the bucket, and no more than that: what is not equal
    stays apart, and what is no file is never one."""
    same = {"hardlink": identity, "mtime": "1.000000000", "mode": "33188"}
    for key, content in ("a", b"one"), ("b", b"two"), ("c", b"one"), ("d/e", b"one"):
        s3.put_object(Bucket=bucket, Key=f"p/{key}", Body=content, Metadata=same)
    s3.put_object(Bucket=bucket, Key="p/link", Body=b"a", Metadata=same | LINK)
    s3.put_object(Bucket=bucket, Key="p/folder/", Metadata=same | {"mode": "16877"})
    back = tmp_path / "back"
    ctl("restore", f"s3://{bucket}/p", back, check=0)
    assert [(back / n).read_bytes() for n in "abc"] == [b"one", b"two", b"one"]
    inodes = {name: (back / name).lstat().st_ino for name in ("a", "b", "c", "d/e", "link")}
    assert inodes["a"] == inodes["c"] == inodes["d/e"]
    assert len(set(inodes.values())) == 3
    assert (back / "a").stat().st_nlink == 3


def test_names_that_steer_a_terminal(ctl: Any, tmp_path: Path, s3: Any, bucket: str) -> None:
    """Nothing that is printed has a control character, whatever the bucket's keys are."""
    for key in ("p/\x1b[2J\x1b]0;title\x07", "p/a\rb", "p/../\x1b[31m", "p/\u009b31m"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"1")
    for command in ["ls", "-R"], ["ls", "-l"], ["restore", "-n", "-v"], ["restore", "-v"]:
        target = [tmp_path / "back"] if command[0] == "restore" else []
        result = ctl(*command, f"s3://{bucket}/p", *target)
        printed = (result.stdout + result.stderr).replace("\n", "")
        assert "2J" in printed, result
        assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in printed), result
