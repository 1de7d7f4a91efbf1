# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""The fixtures do what they say: a test that leans on a broken one proves nothing."""

from __future__ import annotations

import contextlib
import http.client
import io
import os
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import botocore.exceptions
import pytest

from fixtures import clean_environment, free_port, wait_until
from fixtures.ceph_rgw import CephRgw
from fixtures.fault_proxy import (
    CloseOnReuse,
    CutReply,
    Delay,
    FaultProxy,
    Hang,
    HangAfterReplyBytes,
    Refuse,
    ReplaceReply,
    Reply,
    ResetAfterReplyBytes,
    ResetAfterRequestBytes,
    ResetWithinReply,
    Rule,
)
from fixtures.pictures import make_pictures
from fixtures.s3_request import s3_request, signed_headers
from fixtures.tls_front import TlsFront
from fixtures.trees import CONTROL_NAMES, differences, make_tree, read_tree

MIB = 1 << 20


def put(proxy: FaultProxy, rgw: CephRgw, bucket: str, key: str, body: bytes) -> int:
    return s3_request(
        proxy.endpoint, rgw.access_key, rgw.secret_key, "PUT", f"/{bucket}/{key}", body=body
    ).status


def get(proxy: FaultProxy, rgw: CephRgw, bucket: str, key: str) -> bytes:
    return s3_request(
        proxy.endpoint, rgw.access_key, rgw.secret_key, "GET", f"/{bucket}/{key}", timeout=5
    ).body


def keys(s3: Any, bucket: str) -> list[str]:
    return [row["Key"] for row in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]


# -- the S3 server ------------------------------------------------------------------------------


def test_server_speaks_s3(rgw: CephRgw, s3: Any, bucket: str) -> None:
    assert len(rgw.secret_key) >= 30
    s3.put_object(Bucket=bucket, Key="a b+c", Body=b"content", Metadata={"mode": "33188"})
    s3.upload_fileobj(io.BytesIO(bytes(12 * MIB)), bucket, "large")  # multipart, by boto3's default
    assert keys(s3, bucket) == ["a b+c", "large"]
    reply = s3.get_object(Bucket=bucket, Key="a b+c")
    assert reply["Body"].read() == b"content"
    assert reply["Metadata"] == {"mode": "33188"}
    assert s3.head_object(Bucket=bucket, Key="large")["ETag"].endswith('-2"')


def test_second_user_is_kept_out(rgw: CephRgw, bucket: str) -> None:
    user = rgw.make_user("stranger")
    reply = s3_request(
        rgw.endpoint, user.access_key, user.secret_key, "PUT", f"/{bucket}/x", body=b"x"
    )
    assert (reply.status, b"AccessDenied" in reply.body) == (403, True)


def test_gateway_goes_and_comes_back(rgw: CephRgw, s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="kept", Body=b"kept")
    rgw.stop_gateway()
    try:
        with pytest.raises(ConnectionRefusedError):
            rgw.request("GET", f"/{bucket}/kept")
    finally:
        rgw.start_gateway()
    assert rgw.request("GET", f"/{bucket}/kept").body == b"kept"


def test_signature_of_the_published_example() -> None:
    """AWS, "Signature Calculations for the Authorization Header", example PUT Object."""
    headers = signed_headers(
        "PUT", "examplebucket.s3.amazonaws.com", "/test%24file.text", "",
        {"date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"},
        b"Welcome to Amazon S3.",
        "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        region="us-east-1", now=1369353600,
    )  # fmt: skip
    assert headers["authorization"].endswith(
        "Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"
    )


# -- the fault proxy, when it is not asked to break anything ------------------------------------


def test_proxy_passes_on_and_records(
    make_s3: Any, s3: Any, rgw: CephRgw, proxy: FaultProxy, bucket: str
) -> None:
    client = make_s3(proxy.endpoint)
    body = os.urandom(3 * MIB)
    key = "x y/+%&?=~*'(ü)//\u202e"
    client.put_object(Bucket=bucket, Key=key, Body=body)  # with Expect: 100-continue
    assert client.get_object(Bucket=bucket, Key=key)["Body"].read() == body
    assert client.head_object(Bucket=bucket, Key=key)["ContentLength"] == len(body)
    client.delete_object(Bucket=bucket, Key=key)  # 204
    with pytest.raises(botocore.exceptions.ClientError, match="404"):
        client.head_object(Bucket=bucket, Key=key)
    assert keys(client, bucket) == []

    put_request, get_request, head_request = proxy.requests[:3]
    assert [r.status for r in proxy.requests] == [200, 200, 200, 204, 404, 200]
    assert put_request.headers["expect"] == "100-continue"
    assert put_request.headers["host"] == f"127.0.0.1:{proxy.port}"
    assert (put_request.key, put_request.body_length) == (key, len(body))
    assert len(body) < put_request.bytes_up < len(body) + 2000
    assert len(body) < get_request.bytes_down < len(body) + 2000
    assert 0 < head_request.bytes_down < 2000
    assert proxy.requests[-1].params["list-type"] == "2"
    assert proxy.count("HEAD") == 2
    assert proxy.count(predicate=lambda r: r.status == 404) == 1
    assert sum(r.bytes_up for r in proxy.requests) == proxy.bytes_up
    assert sum(r.bytes_down for r in proxy.requests) == proxy.bytes_down
    assert max(size for _, size in proxy.timeline) <= 4096
    times = [moment for moment, _ in proxy.timeline]
    assert times == sorted(times)
    wait_until(lambda: all(r.ended for r in proxy.requests), 5, "the last request's end")
    assert all(r.started <= r.ended for r in proxy.requests)
    proxy.reset()
    assert (proxy.requests, proxy.bytes_up, proxy.bytes_down) == ([], 0, 0)


def test_proxy_keeps_connections(rgw: CephRgw, proxy: FaultProxy, bucket: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port)
    for _ in range(3):
        connection.request("GET", f"/{bucket}")
        assert connection.getresponse().read()
    connection.close()
    assert [r.ordinal for r in proxy.requests] == [1, 2, 3]


def test_proxy_takes_a_chunked_body(rgw: CephRgw, proxy: FaultProxy, bucket: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port)
    connection.request("PUT", f"/{bucket}/x", iter([b"abc", b"defg"]), encode_chunked=True)
    assert connection.getresponse().status in (403, 411)
    connection.close()
    assert proxy.requests[0].body_length == 7


def test_proxy_serves_many_at_once(rgw: CephRgw, proxy: FaultProxy, bucket: str) -> None:
    """64 connections held open together, and several hundred requests a second."""
    proxy.rules.append(Rule(lambda r: r.ordinal == 1, Delay(0.2), times=64))

    def work(_: int) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=30)
        try:
            for _ in range(10):
                connection.request("GET", f"/{bucket}")
                connection.getresponse().read()
        finally:
            connection.close()
        return 10

    started = time.monotonic()
    with ThreadPoolExecutor(64) as pool:
        assert sum(pool.map(work, range(64))) == 640
    took = time.monotonic() - started
    assert len(proxy.requests) == 640
    assert took < 64 * 0.2, "one after the other"


def test_proxy_delay_is_travel_not_bandwidth(rgw: CephRgw, bucket: str) -> None:
    body = bytes(16 * MIB)
    with FaultProxy(rgw.endpoint, delay=0.1) as far:
        started = time.monotonic()
        assert put(far, rgw, bucket, "x", body) == 200
        took = time.monotonic() - started
        # handshake, request and reply: two round trips of 0.2 s
        assert 0.4 <= took < 10  # with a delay for each piece: 25
        assert get(far, rgw, bucket, "x") == body

        connection = http.client.HTTPConnection("127.0.0.1", far.port)
        times = []
        for _ in range(3):
            started = time.monotonic()
            connection.request("GET", f"/{bucket}")
            connection.getresponse().read()
            times.append(time.monotonic() - started)
        connection.close()
        assert times[0] >= 0.4
        assert all(t >= 0.2 for t in times[1:])


def test_proxy_stops_and_comes_back(rgw: CephRgw, proxy: FaultProxy, bucket: str) -> None:
    idle = http.client.HTTPConnection("127.0.0.1", proxy.port)
    idle.request("GET", f"/{bucket}")
    idle.getresponse().read()
    proxy.stop()
    assert idle.sock.recv(1) == b""
    idle.close()
    with pytest.raises(ConnectionRefusedError):
        put(proxy, rgw, bucket, "x", b"x")
    proxy.start()
    assert put(proxy, rgw, bucket, "x", b"x") == 200


# -- each fault ---------------------------------------------------------------------------------


def is_put(request: Any) -> bool:
    return request.method == "PUT"


def is_get(request: Any) -> bool:
    return request.method == "GET"


def test_rules_match_count_and_run_out(rgw: CephRgw, proxy: FaultProxy, bucket: str) -> None:
    rule = Rule(lambda r: r.key == "bad", Reply(500), times=2)
    proxy.rules.append(rule)
    assert put(proxy, rgw, bucket, "good", b"x") == 200
    assert [put(proxy, rgw, bucket, "bad", b"x") for _ in range(3)] == [500, 500, 200]
    assert rule.hits == 2
    assert [r.action for r in proxy.requests] == [None, rule.action, rule.action, None]


@pytest.mark.parametrize("n", [0, 1000, MIB])
def test_reset_after_request_bytes(
    rgw: CephRgw, s3: Any, proxy: FaultProxy, bucket: str, n: int
) -> None:
    proxy.rules.append(Rule(is_put, ResetAfterRequestBytes(n)))
    with pytest.raises(ConnectionError):
        put(proxy, rgw, bucket, "x", os.urandom(8 * MIB))
    wait_until(lambda: proxy.requests[0].ended)
    assert n <= proxy.requests[0].body_length <= n + 4096
    assert proxy.requests[0].status is None
    assert keys(s3, bucket) == []
    assert put(proxy, rgw, bucket, "x", b"again") == 200


def test_reset_before_the_reply(rgw: CephRgw, s3: Any, proxy: FaultProxy, bucket: str) -> None:
    proxy.rules.append(Rule(is_put, ResetAfterReplyBytes(0)))
    with pytest.raises(ConnectionResetError):
        put(proxy, rgw, bucket, "x", b"x")
    assert keys(s3, bucket) == ["x"]  # done nevertheless
    assert (proxy.requests[0].status, proxy.bytes_down) == (None, 0)


def test_reset_within_the_reply(rgw: CephRgw, s3: Any, proxy: FaultProxy, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="x", Body=bytes(MIB))
    proxy.rules.append(Rule(is_get, ResetAfterReplyBytes(100_000)))
    with pytest.raises(ConnectionResetError):
        get(proxy, rgw, bucket, "x")
    assert proxy.bytes_down == 100_000


@pytest.mark.parametrize(("size", "broken_off"), [(MIB, 1000), (1000, None)])
def test_reset_within_the_replys_body(
    rgw: CephRgw, s3: Any, proxy: FaultProxy, bucket: str, size: int, broken_off: int | None
) -> None:
    """Counted behind the head; and of a body that has no more, that is told."""
    s3.put_object(Bucket=bucket, Key="x", Body=bytes(size))
    proxy.rules.append(Rule(is_get, ResetWithinReply(1000)))
    with contextlib.suppress(ConnectionResetError):  # of the shorter body all may be there
        get(proxy, rgw, bucket, "x")
    wait_until(lambda: proxy.requests[0].ended)
    request = proxy.requests[0]
    assert (request.status, request.broken_off) == (200, broken_off)
    assert request.bytes_down > 1100  # the head, too


def test_hang(rgw: CephRgw, s3: Any, proxy: FaultProxy, bucket: str) -> None:
    proxy.rules.append(Rule(is_put, Hang(0.5)))
    started = time.monotonic()
    with pytest.raises(http.client.RemoteDisconnected):
        put(proxy, rgw, bucket, "x", bytes(MIB))
    assert time.monotonic() - started >= 0.5
    assert proxy.requests[0].body_length == MIB
    assert keys(s3, bucket) == []


def test_hang_ends_when_the_client_gives_up(rgw: CephRgw, proxy: FaultProxy, bucket: str) -> None:
    proxy.rules.append(Rule(is_get, Hang(60)))
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=0.3)
    connection.request("GET", f"/{bucket}")
    with pytest.raises(TimeoutError):
        connection.getresponse()
    connection.close()
    wait_until(lambda: proxy.requests and proxy.requests[0].ended, 5, "the hang to end")


def test_hang_within_the_reply(rgw: CephRgw, s3: Any, proxy: FaultProxy, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="x", Body=bytes(MIB))
    proxy.rules.append(Rule(is_get, HangAfterReplyBytes(100_000, 0.3)))
    started = time.monotonic()
    with pytest.raises(http.client.IncompleteRead):
        get(proxy, rgw, bucket, "x")
    assert time.monotonic() - started >= 0.3


def test_reply_in_the_servers_place(
    rgw: CephRgw, s3: Any, proxy: FaultProxy, bucket: str, make_s3: Any
) -> None:
    body = b"<Error><Code>SlowDown</Code></Error>"
    proxy.rules.append(Rule(is_put, Reply(503, {"Retry-After": "1"}, body)))
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        make_s3(proxy.endpoint).put_object(Bucket=bucket, Key="x", Body=bytes(MIB))
    assert caught.value.response["Error"]["Code"] == "SlowDown"
    assert caught.value.response["ResponseMetadata"]["HTTPHeaders"]["retry-after"] == "1"
    assert keys(s3, bucket) == []


def test_early_reply_leaves_the_body_unread(rgw: CephRgw, proxy: FaultProxy, bucket: str) -> None:
    proxy.rules.append(Rule(is_put, Reply(403, early=True)))
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as client:
        client.sendall(f"PUT /{bucket}/x HTTP/1.1\r\nContent-Length: 100\r\n\r\n".encode())
        assert client.recv(4096).startswith(b"HTTP/1.1 403 ")
        assert client.recv(4096) == b""
    assert proxy.requests[0].body_length == 0


def test_close_on_reuse(rgw: CephRgw, s3: Any, proxy: FaultProxy, bucket: str) -> None:
    rule = Rule(lambda r: True, CloseOnReuse())
    proxy.rules.append(rule)
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port)
    connection.request("GET", f"/{bucket}")
    connection.getresponse().read()
    assert rule.hits == 0
    with pytest.raises(http.client.RemoteDisconnected):
        connection.request("PUT", f"/{bucket}/x", bytes(MIB))
        connection.getresponse()
    connection.close()
    assert (rule.hits, proxy.requests[1].body_length) == (1, MIB)
    assert put(proxy, rgw, bucket, "x", b"a connection of its own") == 200


def test_cut_reply(rgw: CephRgw, s3: Any, proxy: FaultProxy, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="x", Body=b"0123456789")
    proxy.rules.append(Rule(is_get, CutReply(4)))
    with pytest.raises(http.client.IncompleteRead) as caught:
        get(proxy, rgw, bucket, "x")
    assert (caught.value.partial, caught.value.expected) == (b"0123", 6)


def test_cut_chunked_reply(rgw: CephRgw, s3: Any, proxy: FaultProxy, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="x", Body=b"0123456789")
    proxy.rules.append(Rule(is_get, CutReply(4, chunked=True)))
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as client:
        path = s3.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "x"})
        target = path.removeprefix(rgw.endpoint)
        host = rgw.endpoint.removeprefix("http://")
        client.sendall(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        reply = b""
        while data := client.recv(4096):
            reply += data
    head, _, body = reply.partition(b"\r\n\r\n")
    assert b"transfer-encoding: chunked" in head.lower()
    assert b"content-length" not in head.lower()
    assert body == b"4\r\n0123\r\n"  # and no last chunk


def test_delay(rgw: CephRgw, proxy: FaultProxy, bucket: str) -> None:
    proxy.rules.append(Rule(is_put, Delay(0.3)))
    started = time.monotonic()
    assert put(proxy, rgw, bucket, "x", b"x") == 200
    assert time.monotonic() - started >= 0.3


def test_replace_reply(
    rgw: CephRgw, s3: Any, proxy: FaultProxy, bucket: str, make_s3: Any
) -> None:
    s3.put_object(Bucket=bucket, Key="x", Body=b"true")
    client = make_s3(proxy.endpoint)
    proxy.rules.append(
        Rule(is_get, ReplaceReply(lambda s, h, b: (s, {**h, "x-amz-meta-a": "b"}, b"not " + b)))
    )
    reply = client.get_object(Bucket=bucket, Key="x")
    assert reply["Body"].read() == b"not true"
    assert reply["Metadata"] == {"a": "b"}
    other_etag = ReplaceReply(lambda s, h, b: (s, {**h, "ETag": '"1"'}, b))
    proxy.rules.append(Rule(lambda r: r.method == "HEAD", other_etag))
    reply = client.head_object(Bucket=bucket, Key="x")
    assert (reply["ETag"], reply["ContentLength"]) == ('"1"', 4)


def test_refuse(rgw: CephRgw, s3: Any, proxy: FaultProxy, bucket: str) -> None:
    proxy.rules.append(Rule(is_put, Refuse(), times=None))
    for _ in range(2):
        with pytest.raises((ConnectionError, http.client.RemoteDisconnected)):
            put(proxy, rgw, bucket, "x", bytes(MIB))
    assert keys(s3, bucket) == []


def test_server_that_is_not_there(bucket: str) -> None:
    with FaultProxy(f"http://127.0.0.1:{free_port()}") as proxy:
        with pytest.raises(http.client.RemoteDisconnected):
            s3_request(proxy.endpoint, "a", "b", "GET", f"/{bucket}")


# -- TLS ----------------------------------------------------------------------------------------


def test_tls_with_its_authority(tls: TlsFront, s3: Any, make_s3: Any, bucket: str) -> None:
    client = make_s3(tls.endpoint, verify=str(tls.ca_file))
    body = os.urandom(6 * MIB)
    client.put_object(Bucket=bucket, Key="a//b+c%20ü", Body=body)
    assert s3.get_object(Bucket=bucket, Key="a//b+c%20ü")["Body"].read() == body
    wait_until(lambda: "PUT 200 " in tls.access_log.read_text(), 5, "the access log")


def test_tls_without_its_authority(tls: TlsFront, make_s3: Any) -> None:
    with pytest.raises(botocore.exceptions.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
        make_s3(tls.endpoint).list_buckets()


def test_tls_for_another_name(rgw: CephRgw, make_s3: Any, tmp_path: Path) -> None:
    with TlsFront(tmp_path, rgw.endpoint, names=["DNS:elsewhere.example"]) as front:
        with pytest.raises(botocore.exceptions.SSLError, match="'127.0.0.1' doesn't match"):
            make_s3(front.endpoint, verify=str(front.ca_file)).list_buckets()


# -- folders and pictures -----------------------------------------------------------------------


def test_tree_is_the_same_for_the_same_seed(tmp_path: Path) -> None:
    first = make_tree(tmp_path / "1", large=False)
    second = make_tree(tmp_path / "2", large=False, sparse=False, odd_names=False)
    one, two = read_tree(first.root), read_tree(second.root)
    assert set(two) < set(one)
    shared = {path: entry for path, entry in one.items() if path in two}
    assert differences(shared, two) == []
    assert max(map(len, one)) == 990
    if os.geteuid() == 0:
        assert first.skipped == []
        kinds = {entry.kind for entry in one.values()}
        assert len(kinds) == 7


def test_differences_are_seen(tmp_path: Path) -> None:
    root = make_tree(tmp_path / "tree", large=False, unreadable=False, owners=False).root
    before = read_tree(root)
    (root / "plain.txt").chmod(0o600)
    (root / "sizes/one byte").unlink()
    (root / "new").touch()
    os.utime(root / "sizes/empty", ns=(0, 0))
    os.setxattr(root / "xattrs/file", "user.binary", b"other")
    lines = "\n".join(differences(before, read_tree(root)))
    for words in (
        "'plain.txt': mode is 384", "'sizes/one byte' is missing", "'new' should not be there",
        "'sizes/empty': mtime_ns is 0", "'xattrs/file': xattrs is",
    ):  # fmt: skip
        assert words in lines


def test_pictures(tmp_path: Path) -> None:
    pictures = make_pictures(tmp_path, count=2, size=200_000)
    assert len({picture.read_bytes() for picture in pictures}) == 2
    for picture in pictures:
        assert picture.read_bytes().startswith(b"\xff\xd8\xff")
        assert 160_000 < picture.stat().st_size < 240_000


# -- judges -------------------------------------------------------------------------------------


def test_s3fs_shows_an_object(s3: Any, bucket: str, s3fs_mount: Any) -> None:
    s3.put_object(
        Bucket=bucket, Key="p/file \ue0e9", Body=b"content",
        Metadata={"mode": "33206", "uid": "1", "gid": "2", "mtime": "1234567890.123456789"},
    )  # fmt: skip
    with s3fs_mount(bucket) as folder:
        assert os.listdir(os.fsencode(folder / "p")) == [b"file \xe9"]
        file = os.fsencode(folder) + b"/p/file \xe9"
        status = os.stat(file)
        assert (status.st_mode, status.st_uid, status.st_gid) == (33206, 1, 2)
        assert status.st_mtime_ns == 1234567890123456789
        with open(file, "rb") as content:
            assert content.read() == b"content"
    assert not folder.is_mount()
    with s3fs_mount(bucket, prefix="p") as folder:
        assert os.listdir(os.fsencode(folder)) == [b"file \xe9"]


def test_control_names_blind_s3fs_in_their_own_folders_only(
    s3: Any, bucket: str, s3fs_mount: Any
) -> None:
    for folder, name in CONTROL_NAMES.items():
        s3.put_object(Bucket=bucket, Key=f"control/{folder}/")
        s3.put_object(Bucket=bucket, Key=f"control/{folder}/{name}", Body=b"x")
    with s3fs_mount(bucket) as mount:
        assert sorted(os.listdir(mount / "control")) == sorted(CONTROL_NAMES)
        with pytest.raises(OSError, match="Input/output error"):
            os.listdir(mount / "control/one")


def test_rclone_and_s3cmd_see_an_object(
    s3: Any, bucket: str, rclone_env: dict[str, str], s3cmd_config: Path
) -> None:
    s3.put_object(Bucket=bucket, Key="a file", Body=b"content")
    listing = subprocess.run(
        ["rclone", "lsf", f"rgw:{bucket}"], env=rclone_env, capture_output=True, text=True
    )
    assert (listing.stdout, listing.stderr) == ("a file\n", "")
    listing = subprocess.run(
        ["s3cmd", f"--config={s3cmd_config}", "ls", f"s3://{bucket}"],
        env=clean_environment(), capture_output=True, text=True,
    )  # fmt: skip
    assert f"s3://{bucket}/a file" in listing.stdout, listing.stderr
