# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""A long listing is made in several ranges at once, and nothing falls between them."""

from __future__ import annotations

import ctypes
import math
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import Ctl, Result
from fixtures import wait_until
from fixtures.ceph_rgw import CephRgw
from fixtures.checks import body, keys, metadata, operations, sent_keys, write_files
from fixtures.fault_proxy import FaultProxy, Rule
from fixtures.large_files import After, refusal
from fixtures.trees import MIB

FILES = 12_100  # in three ranges: a range has 4,000 keys or more
PAGE = 1000


class Mirror:
    """Tiny files under "p/", all known. A call is one more run, which the proxy counts."""

    def __init__(self, ctl: Ctl, folder: Path, bucket: str, proxy: FaultProxy):
        self.ctl = ctl
        self.folder = folder
        self.bucket = bucket
        self.proxy = proxy

    def __call__(self, *options: str, check: int = 0) -> Result:
        self.proxy.reset()
        arguments = ["mirror", *options, f"{self.folder}/", f"s3://{self.bucket}/p"]
        return self.ctl(*arguments, check=check, endpoint=self.proxy, timeout=300)

    def ranges(self) -> list[str]:
        """Where the ranges of the last run began, but for the first."""
        lists = [r.params for r in self.proxy.requests if "list-type" in r.params]
        return sorted(
            p["start-after"] for p in lists if "start-after" in p and "continuation-token" not in p
        )

    def edges(self) -> list[str]:
        """The keys where a mistake would show: the ends of the whole, of each range and page."""
        here = sorted(f"p/{p.relative_to(self.folder)}" for p in self.folder.rglob("*/*"))
        edges = {here[0], here[-1]}
        for start in self.ranges():
            place = here.index(start)
            edges |= set(here[place - 1 : place + 2])
            edges |= set(here[place + PAGE - 1 : place + PAGE + 2])
        edges |= set(here[PAGE - 3 : PAGE + 2])
        return sorted(edges)


@pytest.fixture(scope="module")
def mirror(rgw: CephRgw, s3: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mirror]:
    folder, home = tmp_path_factory.mktemp("folder"), tmp_path_factory.mktemp("home")
    for i in range(FILES):
        if i % 500 == 0:
            (folder / f"{i // 500:02}").mkdir()
        (folder / f"{i // 500:02}/{i % 500:03}").write_text(str(i))
    bucket = f"keepsake-test-{secrets.token_hex(4)}"
    s3.create_bucket(Bucket=bucket)
    ctl = Ctl(rgw, home)
    with FaultProxy(rgw.endpoint) as proxy:
        all_files = Mirror(ctl, folder, bucket, proxy)
        all_files()
        all_files()  # the first run knew of no ranges
        yield all_files
    ctl.end()  # to empty the bucket would take as long as the tests; it goes with the server


def n_objects() -> int:
    return FILES + math.ceil(FILES / 500) + 1


def test_ranges_together_cost_no_more_than_their_ends(mirror: Mirror) -> None:
    result = mirror("--delete")
    assert f"{n_objects()} unchanged, 0 failed" in result.stdout
    starts = mirror.ranges()
    assert len(starts) == 2
    pages = math.ceil(n_objects() / PAGE)
    found = operations(mirror.proxy)
    assert set(found) == {"list"}
    assert found["list"] <= pages + len(starts) + 1
    assert mirror.proxy.bytes_down < 10 * MIB


def test_ranges_have_the_same_number_of_keys(mirror: Mirror, s3: Any) -> None:
    mirror("--delete")
    here = keys(s3, mirror.bucket, "p/")
    length = n_objects() // 3 + 1
    assert mirror.ranges() == [here[length - 1], here[2 * length - 1]]


def test_deleted_objects_are_missed_at_every_edge(mirror: Mirror, s3: Any) -> None:
    mirror("--delete")
    edges = mirror.edges()
    assert len(edges) > 15
    for key in edges:
        s3.delete_object(Bucket=mirror.bucket, Key=key)
    mirror("--delete")
    assert sent_keys(mirror.proxy, "put") == edges
    assert len(keys(s3, mirror.bucket)) == n_objects()


def test_overwritten_objects_are_seen_at_every_edge(mirror: Mirror, s3: Any) -> None:
    mirror("--delete")
    edges = mirror.edges()
    for key in edges:
        size = len((mirror.folder / key.removeprefix("p/")).read_bytes())
        s3.put_object(Bucket=mirror.bucket, Key=key, Body=b"x" * size)
    mirror("--delete")
    assert sent_keys(mirror.proxy, "put") == edges
    for key in edges:
        local = (mirror.folder / key.removeprefix("p/")).read_bytes()
        assert body(s3, mirror.bucket, key) == local
        assert metadata(s3, mirror.bucket, key)["mode"] == "33188"


def test_objects_of_others_are_seen_at_every_edge(mirror: Mirror, s3: Any) -> None:
    mirror("--delete")
    starts = mirror.ranges()
    theirs = ["p/ before all", "p/zzz after all", "p/\U0010ffff after all"]
    for start in starts:
        theirs += [f"{start} behind it", f"{start[:-1]}{chr(ord(start[-1]) - 1)} before it"]
    outside = ["o", "p", "p.", "p0", "q"]  # none of these is below p/
    for key in theirs + outside:
        s3.put_object(Bucket=mirror.bucket, Key=key, Body=b"theirs")
    mirror()
    assert len(keys(s3, mirror.bucket, "p/")) == n_objects() + len(theirs)
    result = mirror("--delete")
    assert f", {len(theirs)} deleted, {n_objects()} unchanged" in result.stdout
    there = keys(s3, mirror.bucket)
    assert not set(theirs) & set(there)
    assert set(outside) <= set(there)
    for key in outside:
        s3.delete_object(Bucket=mirror.bucket, Key=key)


def test_ranges_that_lost_their_edges(mirror: Mirror, s3: Any) -> None:
    """The key where a range ends is gone, here and there, and so is much beside it."""
    mirror("--delete")
    starts = mirror.ranges()
    gone = []
    for start in starts:
        path = mirror.folder / start.removeprefix("p/")
        gone += [start, f"p/{path.parent.name}/{int(path.name) ^ 1:03}"]
    for key in gone:
        (mirror.folder / key.removeprefix("p/")).unlink()
        s3.delete_object(Bucket=mirror.bucket, Key=key)
    result = mirror("--delete")
    assert mirror.ranges() == starts  # still known from before
    assert sent_keys(mirror.proxy, "put") == sorted({f"{key[:-3]}" for key in gone})  # folders
    assert f"{n_objects() - len(gone) - len(starts)} unchanged, 0 failed" in result.stdout
    for key in gone:
        (mirror.folder / key.removeprefix("p/")).write_text("again")
    mirror("--delete")
    assert set(gone) <= set(sent_keys(mirror.proxy, "put"))
    mirror("--delete")
    assert set(operations(mirror.proxy)) == {"list"}


def test_one_range_that_fails_fails_the_run(mirror: Mirror, s3: Any) -> None:
    """Without that range its files would look new, and its objects gone."""
    mirror("--delete")
    start = mirror.ranges()[1]
    rule = Rule(
        lambda r: r.params.get("start-after") == start, refusal(403, "AccessDenied"), times=None
    )
    mirror.proxy.rules.append(rule)
    before = keys(s3, mirror.bucket)
    mirror("--delete", check=4)
    mirror.proxy.rules.remove(rule)
    assert rule.hits >= 1
    assert set(operations(mirror.proxy)) == {"list"}
    assert keys(s3, mirror.bucket) == before


IN_OPEN = 0x20


def test_the_folder_is_read_while_the_server_lists(
    ctl: Ctl, tmp_path: Path, bucket: str, proxy: FaultProxy
) -> None:
    """The listing is held back until the last folder has been opened."""
    folder = write_files(tmp_path / "folder", {"a/a": "1", "z/z": "2"})
    libc = ctypes.CDLL(None, use_errno=True)
    watch = libc.inotify_init1(os.O_NONBLOCK)
    assert libc.inotify_add_watch(watch, os.fsencode(folder / "z"), IN_OPEN) >= 0

    def is_opened() -> bool:
        try:
            return bool(os.read(watch, 4096))
        except BlockingIOError:
            return False

    rule = Rule(
        lambda r: "list-type" in r.params, After(lambda _: wait_until(is_opened, 20, "the scan"))
    )
    proxy.rules.append(rule)
    try:
        ctl("mirror", f"{folder}/", f"s3://{bucket}", check=0, endpoint=proxy)
    finally:
        os.close(watch)
    assert rule.hits == 1
    assert operations(proxy) == {"list": 1, "put": 4}
