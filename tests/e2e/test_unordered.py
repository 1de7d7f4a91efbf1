# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""Servers that list keys in another order than that of their bytes: by walking through folders, as
SeaweedFS does, or by names that are encrypted, as Storj does."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pytest

from fixtures.checks import deleted_keys, keys, operation, operations, rows, sent_keys, write_files
from fixtures.clocks import next_second
from fixtures.fault_proxy import Action, Exchange, FaultProxy, Rule
from fixtures.trees import differences, read_tree

Order = Callable[[str], Any]


def walk(key: str) -> Any:
    """project/ comes before project-old/, in which "-" comes before "/"."""
    return [name.encode() for name in key.split("/")]


def encrypted(key: str) -> Any:
    return [hashlib.sha256(name.encode()).digest() if name else b"" for name in key.split("/")]


@dataclass
class Listing(Action):
    """Answers with what the real server has, in an order of its own, of which the marker or the
    token is a place."""

    s3: Any
    bucket: str
    order: Order
    page: int
    is_cached: bool = False
    cache: dict[str, Any] = field(default_factory=dict)

    def run(self, exchange: Exchange) -> bool:
        exchange.discard_body()
        asked = exchange.request.params
        is_v2 = asked.get("list-type") == "2"
        found = dict(self.items(asked.get("prefix", ""), asked.get("delimiter", "")))
        names = sorted(found, key=self.order)
        if token := asked.get("continuation-token"):
            start = bytes.fromhex(token).decode()
        else:
            start = asked.get("start-after" if is_v2 else "marker", "")
        if start:
            names = [name for name in names if self.order(name) > self.order(start)]
        page, more = names[: self.page], len(names) > self.page
        parts = [f"<IsTruncated>{str(more).lower()}</IsTruncated>"]
        if more and is_v2:
            parts.append(
                f"<NextContinuationToken>{page[-1].encode().hex()}</NextContinuationToken>"
            )
        elif more:
            parts.append(f"<NextMarker>{escape(page[-1])}</NextMarker>")
        parts += [found[name] for name in page]
        text = f"<ListBucketResult>{''.join(parts)}</ListBucketResult>"
        exchange.send_reply(200, {"Content-Type": "application/xml"}, text.encode())
        return exchange.keep_alive

    def items(self, prefix: str, delimiter: str) -> Iterable[tuple[str, str]]:
        if not self.is_cached or not self.cache:
            self.cache = rows(self.s3, self.bucket)
        for key, row in self.cache.items():
            if not key.startswith(prefix):
                continue
            folder, slash, _ = key[len(prefix) :].partition(delimiter or "\0")
            if slash:
                name = f"{prefix}{folder}{slash}"
                yield name, f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>"
            else:
                yield (
                    key,
                    f"<Contents><Key>{escape(key)}</Key><Size>{row['Size']}</Size>"
                    f"<ETag>{escape(row['ETag'])}</ETag><LastModified>"
                    f"{row['LastModified']:%Y-%m-%dT%H:%M:%S.000Z}</LastModified></Contents>",
                )


def is_listing(request: Any) -> bool:
    return operation(request) == "list" and not {"versions", "uploads"} & request.params.keys()


def files_of(n: int) -> dict[str, str]:
    names = [f"{folder}/{i:04}" for folder in ("project", "project-old") for i in range(n)]
    return {name: name for name in [*names, "last", "project.txt"]}


KNOWN = ["--provider", "seaweedfs"]


@pytest.mark.parametrize("prefix", ["p/", ""], ids=["prefix", "root"])
@pytest.mark.parametrize(
    ("order", "options"),
    [(walk, KNOWN), (walk, []), (encrypted, KNOWN), (encrypted, [])],
    ids=["walk-known", "walk-noticed", "encrypted-known", "encrypted-noticed"],
)
def test_all_is_listed(
    ctl: Any,
    s3: Any,
    bucket: str,
    tmp_path: Path,
    proxy: FaultProxy,
    order: Order,
    options: list[str],
    prefix: str,
) -> None:
    folder = write_files(tmp_path / "folder", files_of(150))
    rule = Rule(is_listing, Listing(s3, bucket, order, 100), times=None)
    proxy.rules.append(rule)
    address = f"s3://{bucket}/{prefix}"

    def run(command: str, *arguments: Any) -> Any:
        proxy.reset()
        return ctl(command, *options, *arguments, check=0, endpoint=proxy)

    run("mirror", "--delete", f"{folder}/", address)
    stored = keys(s3, bucket)
    assert len(stored) == 304 + bool(prefix)  # with the folders
    run("mirror", "--delete", f"{folder}/", address)
    assert operations(proxy) == {"list": 4}
    (folder / "project-old/0140").unlink()
    (folder / "project/0003").unlink()
    gone = {f"{prefix}project-old/0140", f"{prefix}project/0003"}
    run("mirror", "--delete", f"{folder}/", address)
    assert deleted_keys(proxy) == gone
    assert set(stored) - set(keys(s3, bucket)) == gone
    assert not [key for key in sent_keys(proxy, "put") if not key.endswith("/")]

    run("restore", address, tmp_path / "back")
    assert differences(read_tree(folder), read_tree(tmp_path / "back")) == []
    listed = run("ls", "-R", address).stdout.splitlines()
    assert sorted(listed) == sorted({k.removeprefix(prefix) for k in keys(s3, bucket)} - {""})
    assert sorted(run("ls", address).stdout.splitlines()) == [
        "last", "project-old/", "project.txt", "project/",
    ]  # fmt: skip
    assert len(run("ls", f"{address}project-old/").stdout.splitlines()) == 149
    run("verify", f"{folder}/", address)
    assert rule.hits > 20


@pytest.mark.parametrize("options", [KNOWN, []], ids=["known", "noticed"])
def test_no_pieces(
    ctl: Any, s3: Any, bucket: str, tmp_path: Path, proxy: FaultProxy, options: list[str]
) -> None:
    """So many keys are listed in several ranges at once, which have no meaning here."""
    folder = write_files(tmp_path / "folder", files_of(4050))
    arguments = [*options, "--delete", f"{folder}/", f"s3://{bucket}/p"]
    ctl("mirror", *arguments, check=0, endpoint=proxy, timeout=300)
    (folder / "project-old/4049").unlink()
    proxy.reset()
    proxy.rules.append(Rule(is_listing, Listing(s3, bucket, walk, 1000, True), times=None))
    result = ctl("mirror", *arguments, check=0, endpoint=proxy, timeout=300)
    assert ", 1 deleted, " in result.stdout
    assert "head" not in operations(proxy)
    assert deleted_keys(proxy) == {"p/project-old/4049"}
    assert sent_keys(proxy, "put") == ["p/project-old/"]
    starts = [r for r in proxy.requests if "start-after" in r.params]
    assert len(starts) == (0 if options else 1)
    assert operations(proxy)["list"] == 9 + (0 if options else 2)
    assert len(keys(s3, bucket)) == 8104


def run_name(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


@pytest.mark.parametrize("options", [KNOWN, []], ids=["known", "noticed"])
def test_what_is_over_is_swept(
    ctl: Any, s3: Any, bucket: str, tmp_path: Path, proxy: FaultProxy, options: list[str]
) -> None:
    """The names begin with the time, but the oldest need not come first."""
    folder = write_files(tmp_path / "folder", {"a": "1"})
    days = range(1, 60, 2)
    names = {
        day: f"p.keepsake-kept/{run_name(time.time() - day * 24 * 60 * 60)}/deleted/b"
        for day in days
    }
    for name in names.values():
        s3.put_object(Bucket=bucket, Key=name, Body=b"kept")
    proxy.rules.append(Rule(is_listing, Listing(s3, bucket, encrypted, 5), times=None))
    ctl(
        "mirror", *options, "--delete", "--keep-deleted=30d", f"{folder}/", f"s3://{bucket}/p",
        check=0, endpoint=proxy,
    )  # fmt: skip
    kept = keys(s3, bucket, "p.keepsake-kept/")
    assert kept == sorted(name for day, name in names.items() if day < 30)


@pytest.mark.parametrize("order", [walk, encrypted])
def test_what_was_kept_comes_back(
    ctl: Any, s3: Any, bucket: str, tmp_path: Path, proxy: FaultProxy, order: Order
) -> None:
    """Of several that were kept of one file, the first one behind the moment is what was there."""
    folder = write_files(tmp_path / "folder", {"a": "0", "b": "0"})
    address = f"s3://{bucket}/p"
    moments = []
    proxy.rules.append(Rule(is_listing, Listing(s3, bucket, order, 2), times=None))
    for i in range(5):
        write_files(folder, {"a": str(i) * (i + 1)})
        if i == 3:
            (folder / "b").unlink()
        ctl(
            "mirror", *KNOWN, "--delete", "--max-delete=9", "--keep-deleted=30d", f"{folder}/",
            address, check=0, endpoint=proxy,
        )  # fmt: skip
        moments.append(run_name(next_second()))
    for i, moment in enumerate(moments):
        back = tmp_path / f"back{i}"
        ctl("restore", *KNOWN, f"--at={moment}", address, back, check=0, endpoint=proxy)
        assert (back / "a").read_text() == str(i) * (i + 1)
        assert (back / "b").exists() == (i < 3)
    versions = ctl("versions", *KNOWN, f"{address}/a", check=0, endpoint=proxy, env={"TZ": "UTC"})
    assert len(versions.stdout.splitlines()) == 5
