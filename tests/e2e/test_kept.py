# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""--keep-deleted: what a run deletes or replaces is kept beside the mirror first, and swept when its
time is over."""

from __future__ import annotations

import email.utils
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from conftest import Ctl, Result, no_preloading
from fixtures.ceph_rgw import CephRgw
from fixtures.checks import (
    body,
    body_bytes,
    keys,
    operations,
    unfinished_uploads,
    write_files,
)
from fixtures.clocks import at_another_time
from fixtures.fault_proxy import Action, Exchange, FaultProxy, ReplaceReply, Reply, Request, Rule
from fixtures.impatience import Impatience
from fixtures.large_files import (
    flip_byte,
    is_copy,
    is_part_copy,
    refusal,
    write_random,
)
from fixtures.trees import MIB

DAY = 24 * 60 * 60
NAME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)/(deleted|replaced)/(.*)", re.DOTALL)


def run_name(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


@dataclass(frozen=True)
class Object:
    """All that a copy has to take over."""

    body: bytes
    metadata: tuple[tuple[str, str], ...]
    content_type: str


class Mirror:
    """A call makes one more run that keeps; the proxy knows what it alone sent."""

    def __init__(
        self, ctl: Ctl, s3: Any, folder: Path, bucket: str, prefix: str, proxy: FaultProxy
    ):
        self.ctl = ctl
        self.s3 = s3
        self.folder = folder
        self.bucket = bucket
        self.own = f"{prefix}/" if prefix else ""
        self.kept_prefix = f"{prefix}.keepsake-kept/"
        self.proxy = proxy
        self.arguments = [f"{folder}/", f"s3://{bucket}/{prefix}"]

    def __call__(
        self, *options: str, keep: str = "30d", check: int = 0, **more: Any
    ) -> Result:
        self.proxy.reset()
        options = ("mirror", "--delete", "--keep-deleted", keep, *options)
        return self.ctl(*options, *self.arguments, check=check, endpoint=self.proxy, **more)

    def __truediv__(self, name: str) -> Path:
        return self.folder / name

    def object(self, key: str) -> Object:
        got = self.s3.get_object(Bucket=self.bucket, Key=key)
        headers = tuple(sorted(got["Metadata"].items()))
        return Object(got["Body"].read(), headers, got["ContentType"])

    @property
    def mirrored(self) -> dict[str, Object]:
        found = keys(self.s3, self.bucket, self.own)
        return {
            key.removeprefix(self.own): self.object(key)
            for key in found
            if not key.startswith(self.kept_prefix)
        }

    @property
    def kept_keys(self) -> list[str]:
        return keys(self.s3, self.bucket, self.kept_prefix)

    @property
    def kept(self) -> dict[str, Object]:
        """By "deleted/KEY"; each in one run only."""
        found = {}
        for key in self.kept_keys:
            match = NAME.fullmatch(key.removeprefix(self.kept_prefix))
            assert match is not None, key
            name = f"{match[2]}/{match[3]}"
            assert name not in found
            found[name] = self.object(key)
        return found

    @property
    def runs(self) -> list[str]:
        return sorted({key.removeprefix(self.kept_prefix)[:20] for key in self.kept_keys})

    def put(self, key: str, content: str = "x") -> str:
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=content.encode())
        return key

    def put_all(self, names: Iterable[str]) -> None:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(self.put, names))


@pytest.fixture
def proxy(rgw: CephRgw) -> Iterator[FaultProxy]:
    with FaultProxy(rgw.endpoint, grain=256 * 1024) as fault_proxy:
        yield fault_proxy


@pytest.fixture(params=["p/laptop", ""], ids=["prefix", "root"])
def anywhere(
    request: Any, ctl: Ctl, s3: Any, tmp_path: Path, bucket: str, proxy: FaultProxy
) -> Mirror:
    folder = write_files(tmp_path / "folder", {"./": ""})
    return Mirror(ctl, s3, folder, bucket, request.param, proxy)


@pytest.fixture
def mirror(ctl: Ctl, s3: Any, tmp_path: Path, bucket: str, proxy: FaultProxy) -> Mirror:
    folder = write_files(tmp_path / "folder", {"./": ""})
    return Mirror(ctl, s3, folder, bucket, "p", proxy)


@pytest.fixture
def few(mirror: Mirror) -> Mirror:
    write_files(mirror.folder, {"a": "apple", "b": "berry", "sub/c": "cherry"})
    mirror()
    return mirror


def result_of(result: Result) -> dict[str, Any]:
    return result.json[-1]


def actions_of(result: Result) -> list[tuple[str, str]]:
    return [(line["action"], line["key"]) for line in result.json if line["type"] == "action"]


def is_keeping(request: Request) -> bool:
    return is_copy(request) and ".keepsake-kept/" in request.key


def is_deletion(request: Request) -> bool:
    return request.method == "POST" and "delete" in request.params


# -- what is kept -------------------------------------------------------------------------------


def test_folder_deleted_by_mistake(anywhere: Mirror) -> None:
    write_files(anywhere.folder, {"stays": "1", "sub/ü %+&": "2", "sub/deep/b": "3" * 5000})
    (anywhere / "sub/link").symlink_to("deep/b")
    (anywhere / "sub/ü %+&").chmod(0o640)
    os.setxattr(anywhere / "sub/deep/b", "user.colour", b"red")
    write_random(anywhere / "sub/large", 12 * MIB)
    anywhere()
    assert anywhere.kept == {}, "new objects are not kept"
    before = anywhere.mirrored
    shutil.rmtree(anywhere / "sub")
    said = anywhere("--json")

    gone = {name for name in before if name.startswith("sub/")}
    assert len(gone) == 6
    kept = anywhere.kept
    assert {name for name in kept if name.startswith("deleted/")} == {f"deleted/{n}" for n in gone}
    assert all(kept[f"deleted/{name}"] == before[name] for name in gone)
    assert gone & set(anywhere.mirrored) == set()
    result = result_of(said)
    assert (result["deleted"], result["kept"]) == (6, len(kept))
    assert body_bytes(anywhere.proxy) == 0
    for name in gone:
        key = anywhere.own + name
        assert actions_of(said).index(("keep", key)) < actions_of(said).index(("delete", key))

    anywhere("--json")
    assert anywhere.kept == kept, "nothing is kept twice"


def change_small(mirror: Mirror) -> None:
    write_files(mirror.folder, {"a": "another apple"})


def change_large(mirror: Mirror) -> None:
    flip_byte(mirror / "large", 9 * MIB)


def change_metadata(mirror: Mirror) -> None:
    (mirror / "a").chmod(0o600)


def change_large_metadata(mirror: Mirror) -> None:
    (mirror / "large").chmod(0o600)


def change_all(mirror: Mirror) -> None:
    write_random(mirror / "large", 12 * MIB, "others")


def change_to_equal(mirror: Mirror) -> None:
    shutil.copyfile(mirror / "b", mirror / "a")


def change_to_other_name(mirror: Mirror) -> None:
    (mirror / "a").unlink()
    os.link(mirror / "b", mirror / "a")


def change_in_bucket(mirror: Mirror) -> None:
    mirror.put("p/a", "what another tool wrote")


@pytest.mark.parametrize(
    "change, name",
    [
        (change_small, "a"),
        (change_metadata, "a"),
        (change_to_equal, "a"),
        (change_to_other_name, "a"),
        (change_in_bucket, "a"),
        (change_large, "large"),
        (change_large_metadata, "large"),
        (change_all, "large"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_replaced(mirror: Mirror, change: Any, name: str) -> None:
    write_files(mirror.folder, {"a": "apple", "b": "berry"})
    write_random(mirror / "large", 12 * MIB)
    mirror()
    before = mirror.mirrored
    change(mirror)
    if change is change_in_bucket:
        before = mirror.mirrored
    result = result_of(mirror("--json"))
    after = mirror.mirrored
    assert after[name].body == (mirror / name).read_bytes()
    assert after[name] != before[name]
    changed = {n for n in before if after[n] != before[n]}
    assert mirror.kept == {f"replaced/{n}": before[n] for n in changed}
    assert (result["kept"], result["deleted"]) == (len(changed), 0)
    mirror()
    assert operations(mirror.proxy) == {"list": 2}


@pytest.mark.parametrize("name", ["a", "large"])
def test_renamed_over_another(mirror: Mirror, name: str) -> None:
    write_files(mirror.folder, {"a": "apple", "other": "berry"})
    write_random(mirror / "large", 12 * MIB)
    mirror()
    before = mirror.mirrored
    (mirror / name).rename(mirror / "other")
    mirror()
    kept = mirror.kept
    assert kept.pop("replaced/", None) in (None, before[""])
    assert kept == {f"deleted/{name}": before[name], "replaced/other": before["other"]}
    assert mirror.mirrored["other"].body == before[name].body


def test_file_that_became_a_folder(few: Mirror) -> None:
    before = few.mirrored
    (few / "a").unlink()
    write_files(few.folder, {"a/inside": "1"})
    shutil.rmtree(few / "sub")
    write_files(few.folder, {"sub": "a file"})
    few()
    kept = few.kept
    gone = ["a", "sub/", "sub/c"]
    assert {n for n in kept if n.startswith("deleted/")} == {f"deleted/{n}" for n in gone}
    assert all(kept[f"deleted/{n}"] == before[n] for n in gone)
    assert {"a/", "a/inside", "sub"} <= set(few.mirrored)


def test_storage_class_stays(mirror: Mirror, s3: Any, cold_class: str) -> None:
    write_files(mirror.folder, {"a": "apple", "b": "berry"})
    mirror("--storage-class", cold_class)
    (mirror / "a").unlink()
    mirror()
    (key,) = [key for key in mirror.kept_keys if key.endswith("/deleted/a")]
    assert s3.head_object(Bucket=mirror.bucket, Key=key)["StorageClass"] == cold_class


def test_each_run_has_a_time_of_its_own(few: Mirror) -> None:
    """Of two in one second, and where a clock was set back; one that is far ahead is not followed."""
    now = time.time()
    later = run_name(now + 5000)
    few.put(f"{few.kept_prefix}{later}/deleted/earlier")
    few.put(f"{few.kept_prefix}{run_name(now + 30 * DAY)}/deleted/from a wrong clock")
    for content in "1", "2", "3":
        write_files(few.folder, {"a": f"apple {content}"})
        few()
    runs = [run for run in few.runs if run <= run_name(now + 2 * DAY)]
    assert len(runs) == 4 and runs[0] == later
    bodies = [
        body(few.s3, few.bucket, f"{few.kept_prefix}{run}/replaced/a") for run in runs[1:]
    ]
    assert bodies == [b"apple", b"apple 1", b"apple 2"]


def test_time_is_that_of_the_run(few: Mirror) -> None:
    start = int(time.time())
    (few / "a").unlink()
    few()
    assert run_name(start) <= few.runs[0] <= run_name(time.time() + 1)


# -- what it costs ------------------------------------------------------------------------------


def test_requests(few: Mirror) -> None:
    few()
    assert operations(few.proxy) == {"list": 2}, "one for the mirror, one for the sweep"
    write_files(few.folder, {"new": "1", "newer/new": "2"})
    few()
    (keeping,) = filter(is_keeping, few.proxy.requests)
    assert keeping.key.endswith("/replaced/"), "of all that is new only the folder was there before"
    assert operations(few.proxy) == {"list": 3, "put": 4, "copy": 1}
    write_files(few.folder, {"a": "1", "b": "2", "sub/c": "3"})
    few()
    assert operations(few.proxy) == {"list": 3, "put": 3, "copy": 3}
    (few / "a").unlink()
    (few / "b").unlink()
    few()
    assert operations(few.proxy) == {"list": 3, "copy": 3, "put": 1, "delete": 1}


def test_without_the_option_nothing_is_kept_or_swept(few: Mirror) -> None:
    old = few.put(f"{few.kept_prefix}{run_name(0)}/deleted/x")
    (few / "a").unlink()
    few.proxy.reset()
    few.ctl("mirror", "--delete", *few.arguments, check=0, endpoint=few.proxy)
    assert few.kept_keys == [old]
    assert not any(map(is_keeping, few.proxy.requests))


def test_dry_run(few: Mirror) -> None:
    before = few.mirrored
    old = few.put(f"{few.kept_prefix}{run_name(0)}/deleted/x")
    (few / "a").unlink()
    write_files(few.folder, {"b": "2", "new": "1"})
    os.utime(few.folder, (1, 1))
    said = few("--dry-run", "--json")
    assert ("keep", "p/a") in actions_of(said) and ("keep", "p/b") in actions_of(said)
    assert ("keep", "p/new") not in actions_of(said)
    assert few.kept_keys == [old] and few.mirrored == before


# -- what goes wrong ----------------------------------------------------------------------------


def test_guard_still_stops(few: Mirror) -> None:
    write_files(few.folder, {f"many/{i}": str(i) for i in range(150)})
    few()
    before = few.mirrored
    shutil.rmtree(few / "many")
    old = few.put(f"{few.kept_prefix}{run_name(0)}/deleted/x")
    kept = set(few.kept_keys)
    result = few(check=3)
    assert "Nothing was deleted (151 objects" in result.stderr
    assert set(before) == set(few.mirrored)
    assert not any("/deleted/many" in key for key in few.kept_keys)
    assert kept <= set(few.kept_keys) and old in few.kept_keys, "and nothing is swept"
    few("--max-delete", "151")
    assert sum("/deleted/many/" in key for key in few.kept_keys) == 151
    assert old not in few.kept_keys


class Kill(Action):
    """The request never gets through, and nobody is there to hear that."""

    process: subprocess.Popen[str]

    def run(self, exchange: Exchange) -> bool:
        self.process.kill()
        self.process.wait()
        return False


def start_and_kill(mirror: Mirror, match: Any, **more: Any) -> None:
    """Kills the run in the moment of its first request of that kind."""
    kill = Kill()
    rule = Rule(match, kill)
    mirror.proxy.reset()
    mirror.proxy.rules.append(rule)
    command = ["mirror", "--delete", "--keep-deleted", "30d", *mirror.arguments]
    kill.process = mirror.ctl.popen(*command, endpoint=mirror.proxy, **more)
    assert kill.process.wait(60) == -signal.SIGKILL
    mirror.proxy.rules.clear()
    assert rule.hits == 1


def test_killed_between_copy_and_deletion(few: Mirror) -> None:
    before = few.mirrored
    (few / "a").unlink()
    (few / "sub/c").unlink()
    start_and_kill(few, is_deletion)
    assert few.mirrored["a"] == before["a"] and few.mirrored["sub/c"] == before["sub/c"]
    assert sum("/deleted/" in key for key in few.kept_keys) == 2

    few()
    assert "a" not in few.mirrored
    copies = [key for key in few.kept_keys if key.endswith("/deleted/a")]
    assert len(copies) == 2 and all(few.object(key) == before["a"] for key in copies)


def test_killed_between_copy_and_put(few: Mirror) -> None:
    before = few.mirrored
    write_files(few.folder, {"a": "another apple"})
    start_and_kill(few, lambda r: r.method == "PUT" and r.key == "p/a" and not is_copy(r))
    assert few.mirrored == before
    few()
    assert few.mirrored["a"].body == b"another apple"
    copies = [key for key in few.kept_keys if key.endswith("/replaced/a")]
    assert len(copies) == 2 and all(few.object(key) == before["a"] for key in copies)


@pytest.mark.parametrize("code", ["InternalError", "PreconditionFailed", "AccessDenied"])
def test_copy_that_only_looks_like_a_success(
    few: Mirror, impatience: Impatience, code: str
) -> None:
    """Status 200, and an error in the body."""
    before = few.mirrored
    (few / "a").unlink()
    write_files(few.folder, {"b": "another berry"})
    few.proxy.reset()
    rule = Rule(is_keeping, refusal(200, code), times=None)
    few.proxy.rules.append(rule)
    result = few_again(few, check=4 if code == "AccessDenied" else 2, env=impatience.environment)
    few.proxy.rules.clear()
    assert rule.hits >= 2
    assert few.mirrored == before
    assert few.kept_keys == []
    if code == "AccessDenied":  # of all that was tried
        assert "could not be kept below “p.keepsake-kept/”: The access key" in result.stderr
    else:
        failed = {line["path"]: line for line in result.json if line["type"] == "failed"}
        assert set(failed) == {"p/a", str(few / "b"), str(few.folder)}
        assert all("could not be kept" in line["message"] for line in failed.values())

    few()
    kept = few.kept
    assert kept["deleted/a"] == before["a"] and kept["replaced/b"] == before["b"]
    assert "a" not in few.mirrored and few.mirrored["b"].body == b"another berry"


def few_again(mirror: Mirror, check: int, **more: Any) -> Result:
    """One more run, with the rules that are there."""
    command = ["mirror", "--delete", "--keep-deleted", "30d", "--json", *mirror.arguments]
    return mirror.ctl(*command, check=check, endpoint=mirror.proxy, **more)


@pytest.fixture
def other_profile(tmp_path: Path) -> Callable[..., dict[str, str | None]]:
    """The program takes the server for another one: the first profile has the second text for the
    first."""

    def make(old: str, new: str) -> dict[str, str | None]:
        source = Path(__file__).parents[2] / "src/s3/kp-s3-providers.ini"
        profiles = tmp_path / "providers.ini"
        profiles.write_text(source.read_text().replace(old, new, 1))
        resource = "/io/github/keepsake_backup/Keepsake/s3/kp-s3-providers.ini"
        return {"G_RESOURCE_OVERLAYS": f"{resource}={profiles}"}

    return make


def test_deletion_whose_copy_fails(few: Mirror) -> None:
    before = few.mirrored
    (few / "a").unlink()
    (few / "sub/c").unlink()
    os.utime(few.folder, (1, 1))
    few.proxy.reset()
    few.proxy.rules.append(
        Rule(lambda r: is_keeping(r) and r.key.endswith("a"), refusal(400, "InvalidRequest"), None)
    )
    result = few_again(few, check=2)
    (failed,) = [line for line in result.json if line["type"] == "failed"]
    assert failed["path"] == "p/a"
    assert failed["message"].startswith(
        "Not deleted in the bucket, as it could not be kept first below “p.keepsake-kept/”: "
    )
    assert few.mirrored["a"] == before["a"] and "sub/c" not in few.mirrored
    assert "deleted/sub/c" in few.kept and "deleted/a" not in few.kept


NOT_FOUND = {
    "no such key": refusal(404, "NoSuchKey"),
    "a page": Reply(404, {"Content-Type": "text/html"}, b"<html>not here</html>"),
}


@pytest.mark.parametrize("answer", NOT_FOUND)
def test_copy_is_not_found_of_what_is_there(few: Mirror, answer: str) -> None:
    """As a gateway says that knows no copies, or a replica that lags: neither deleted nor replaced."""
    before = few.mirrored
    (few / "a").unlink()
    (few / "sub/c").write_text("another")
    few.proxy.reset()
    few.proxy.rules.append(Rule(is_keeping, NOT_FOUND[answer], None))
    result = few_again(few, check=2)
    failed = {row["path"]: row["message"] for row in result.json if row["type"] == "failed"}
    assert {"p/a", str(few / "sub/c")} <= set(failed)
    assert all("is not there to be copied, but it is" in text for text in failed.values()), failed
    assert few.mirrored["a"] == before["a"] and few.mirrored["sub/c"] == before["sub/c"]


class Faster(Action):
    """Somebody else writes the object just before the copy of it. The server honours what a copy is
    pinned to, as Amazon's and others do, and Ceph's does not."""

    def __init__(self, mirror: Mirror, key: str):
        self.mirror = mirror
        self.key = key

    def run(self, exchange: Exchange) -> bool:
        self.mirror.put(self.key, "newer")
        etag = self.mirror.s3.head_object(Bucket=self.mirror.bucket, Key=self.key)["ETag"]
        if exchange.request.headers.get("x-amz-copy-source-if-match", etag) != etag:
            return refusal(412, "PreconditionFailed").run(exchange)
        return exchange.forward()


@pytest.mark.parametrize("pinned", [False, True], ids=["proved", "pinned"])
@pytest.mark.parametrize("name", ["a", "large"])
@pytest.mark.parametrize("change", ["delete", "replace"])
def test_somebody_else_is_faster(
    few: Mirror, other_profile: Any, pinned: bool, name: str, change: str
) -> None:
    """The object is not the one any more that was judged: it is neither deleted nor replaced, and
    what was copied of it is taken back. Some servers can be told which one to copy."""
    write_random(few / "large", 12 * MIB)
    few()
    kept = set(few.kept_keys)
    if change == "delete":
        (few / name).unlink()
    else:
        (few / name).chmod(0o600)
    few.proxy.reset()
    few.proxy.rules.append(
        Rule(
            lambda r: is_keeping(r) and r.key.endswith(f"/{name}"), Faster(few, f"p/{name}")
        )
    )
    env = other_profile("copy-if-match=no", "copy-if-match=yes") if pinned else {}
    result = few_again(few, check=2, env=env)
    copies = [r for r in few.proxy.requests if is_keeping(r) and r.key.endswith(f"/{name}")]
    assert [("x-amz-copy-source-if-match" in r.headers) for r in copies] == [pinned]
    (failed,) = [line for line in result.json if line["type"] == "failed"]
    assert failed["error"] == "conflict"
    assert failed["path"] == (f"p/{name}" if change == "delete" else str(few / name))
    assert few.mirrored[name].body == b"newer"
    assert not any(key.endswith(f"/{name}") for key in set(few.kept_keys) - kept)


@pytest.mark.parametrize("is_there", [True, False])
def test_listing_that_leaves_an_object_out(few: Mirror, is_there: bool) -> None:
    """What it would have been replaced by is no reason to lose it."""
    before = few.mirrored["a"]
    left_out = []

    def leave_out(status: int, headers: Any, body: bytes) -> Any:
        shorter, n = re.subn(rb"<Contents>\s*<Key>p(/|%2F)a</Key>.*?</Contents>", b"", body)
        left_out.append(n)
        return status, headers, shorter

    if not is_there:
        few.s3.delete_object(Bucket=few.bucket, Key="p/a")
    few.proxy.rules.append(
        Rule(lambda r: r.params.get("prefix") == "p/" and not r.key, ReplaceReply(leave_out))
    )
    (few / "a").write_text("another apple")
    few()
    assert left_out == [1 if is_there else 0]
    assert few.mirrored["a"].body == b"another apple"
    assert few.kept == ({"replaced/a": before} if is_there else {})


def test_name_that_has_no_room(few: Mirror) -> None:
    """The kept key is longer than the key: what is new is stored all the same, and what is gone
    stays where it is."""
    folder = "/".join(["d" * 200] * 4)
    name = f"{folder}/{'f' * 190}"
    write_files(few.folder, {name: "1"})
    few()
    write_files(few.folder, {name: "22"})
    result = few("--json")
    (notice,) = [line["message"] for line in result.json if line["type"] == "notice"]
    assert f"p/{name}" in notice and "could not be kept" in notice
    assert few.mirrored[name].body == b"22"

    (few / name).unlink()
    result = few("--json", check=2)
    (failed,) = [line for line in result.json if line["type"] == "failed"]
    assert failed["path"] == f"p/{name}" and failed["error"] == "name-too-long"
    assert few.mirrored[name].body == b"22"


def test_archived(few: Mirror) -> None:
    before = few.mirrored
    write_files(few.folder, {"a": "another apple"})
    (few / "b").unlink()
    few.proxy.reset()
    few.proxy.rules.append(Rule(is_keeping, refusal(403, "InvalidObjectState"), None))
    result = few_again(few, check=2)
    notices = [line["message"] for line in result.json if line["type"] == "notice"]
    assert any("“p/a” was replaced and could not be kept" in text for text in notices)
    failed = [line["path"] for line in result.json if line["type"] == "failed"]
    assert failed == ["p/b"]
    assert few.mirrored["a"].body == b"another apple" and few.mirrored["b"] == before["b"]


# -- very large objects -------------------------------------------------------------------------


@pytest.fixture
def small_copies(other_profile: Any) -> dict[str, str | None]:
    """One copy may have 6 MiB, instead of 5 GiB."""
    return other_profile("max-copy=5G", "max-copy=6M")


def test_in_parts(mirror: Mirror, small_copies: dict[str, str | None]) -> None:
    write_random(mirror / "large", 20 * MIB)
    write_random(mirror / "other", 20 * MIB)
    os.setxattr(mirror / "large", "user.colour", b"red")
    mirror()
    before = mirror.mirrored
    (mirror / "large").unlink()
    flip_byte(mirror / "other", 9 * MIB)
    mirror(env=small_copies)
    into_kept = [r for r in mirror.proxy.requests if is_part_copy(r) and "kept/" in r.key]
    assert len(into_kept) >= 8
    kept = mirror.kept
    assert kept["deleted/large"] == before["large"] and kept["replaced/other"] == before["other"]
    assert unfinished_uploads(mirror.s3, mirror.bucket) == []


@pytest.mark.parametrize("what", ["deleted", "replaced"])
def test_killed_in_parts(mirror: Mirror, small_copies: dict[str, str | None], what: str) -> None:
    write_random(mirror / "large", 20 * MIB)
    write_files(mirror.folder, {"a": "1"})
    mirror()
    before = mirror.mirrored
    if what == "deleted":
        (mirror / "large").unlink()
    else:
        (mirror / "large").chmod(0o600)
    start_and_kill(
        mirror,
        lambda r: is_part_copy(r) and "kept/" in r.key and r.params["partNumber"] == "2",
        env=small_copies,
    )
    assert any("kept/" in key for key in unfinished_uploads(mirror.s3, mirror.bucket))
    assert mirror.mirrored["large"] == before["large"]
    mirror(env=small_copies)
    assert unfinished_uploads(mirror.s3, mirror.bucket) == [], "nobody pays for it for ever"
    assert mirror.kept[f"{what}/large"] == before["large"]


# -- the sweep ----------------------------------------------------------------------------------


def test_sweep(few: Mirror) -> None:
    now = time.time()
    prefix = few.kept_prefix
    over = [
        few.put(f"{prefix}{run_name(now - days * DAY - 60)}/{what}/{name}")
        for days in (7, 8, 400, 10000)
        for what in ("deleted", "replaced")
        for name in ("x", "sub/y", "sub/")
    ]
    young = [
        few.put(f"{prefix}{run_name(now - days * DAY + 600)}/{what}/x")
        for days in (7, 6, 0)
        for what in ("deleted", "replaced")
    ]
    old = run_name(now - 400 * DAY)
    foreign = [
        few.put(key)
        for key in (
            f"{prefix}README",
            f"{prefix}0000-00-00T00:00:00Z/deleted/x",
            f"{prefix}{old}",
            f"{prefix}{old}/x",
            f"{prefix}{old}/other/x",
            f"{prefix}{old[:-1]}/deleted/x",
            f"{prefix}{old} /deleted/x",
            f".keepsake-kept/{old}/deleted/x",
            f"p2.keepsake-kept/{old}/deleted/x",
            f"p.keepsake-keptx/{old}/deleted/x",
            f"{old}/deleted/x",
        )
    ]
    result = few("--json", keep="7d")
    left = set(keys(few.s3, few.bucket)) - {f"p/{name}" for name in few.mirrored}
    assert left == set(young) | set(foreign)
    assert result_of(result)["swept"] == len(over)
    assert operations(few.proxy) == {"list": 2, "delete": 1}


def test_sweep_of_many(few: Mirror, s3: Any) -> None:
    """More than one page, and not farther than needed."""
    old, young = run_name(0), run_name(time.time())
    few.put_all(
        f"{few.kept_prefix}{run}/deleted/{i:04}" for run in (old, young) for i in range(1010)
    )
    few()
    assert operations(few.proxy) == {"list": 3, "delete": 2}
    assert len(few.kept_keys) == 1010 and few.runs == [young]


def test_sweep_of_a_large_page(few: Mirror) -> None:
    """A page may hold more than one request can delete."""
    names = [f"{few.kept_prefix}{run_name(0)}/deleted/{i:04}" for i in range(2001)]
    entries = "".join(f"<Contents><Key>{name}</Key></Contents>" for name in names)
    page = f"<ListBucketResult>{entries}</ListBucketResult>".encode()
    few.put(names[0])
    few.put(names[-1])
    rule = Rule(lambda r: r.params.get("prefix") == few.kept_prefix, Reply(200, {}, page))
    few.proxy.rules.append(rule)
    result = few("--json")
    assert rule.hits == 1
    assert [r.body.count(b"<Key>") for r in few.proxy.requests if is_deletion(r)] == [1000, 1000, 1]
    assert result_of(result)["swept"] == 2001
    assert few.kept_keys == []


@no_preloading
def test_clock_that_is_ahead(few: Mirror) -> None:
    """By more than anything was to be kept: neither clock alone ends it."""
    (few / "a").unlink()
    few()
    kept = few.kept_keys
    assert kept != []
    result = few(env=at_another_time("+40d"))
    assert "Nothing that was kept is deleted today" in result.stderr
    assert few.kept_keys == kept
    write_files(few.folder, {"b": "2"})
    few(env=at_another_time("+40d"))
    assert all(run <= run_name(time.time() + 5) for run in few.runs), "named by the server's clock"


@pytest.mark.parametrize(
    "fault",
    [refusal(403, "AccessDenied"), refusal(400, "Odd"), Reply(200, {}, b"<html/>")],
    ids=["denied", "odd", "another document"],
)
@pytest.mark.parametrize("which", ["list", "delete"])
def test_sweep_that_fails(few: Mirror, fault: Reply, which: str) -> None:
    old = few.put(f"{few.kept_prefix}{run_name(0)}/deleted/x")

    def match(r: Request) -> bool:
        return is_deletion(r) if which == "delete" else r.params.get("prefix") == few.kept_prefix

    few.proxy.reset()
    rule = Rule(match, fault, times=None)
    few.proxy.rules.append(rule)
    result = few_again(few, check=0)
    assert rule.hits >= 1
    (notice,) = [line["message"] for line in result.json if line["type"] == "notice"]
    assert "is not all deleted yet" in notice
    few.proxy.rules.clear()
    assert old in few.kept_keys
    few()
    assert few.kept_keys == []


# -- the root of a bucket -----------------------------------------------------------------------


@pytest.fixture
def root(ctl: Ctl, s3: Any, tmp_path: Path, bucket: str, proxy: FaultProxy) -> Mirror:
    folder = write_files(tmp_path / "folder", {"a": "apple", "b": "berry", "-first": "1"})
    mirror = Mirror(ctl, s3, folder, bucket, "", proxy)
    mirror()
    (mirror / "a").unlink()
    mirror()
    return mirror


def test_root_does_not_see_what_it_keeps(root: Mirror, tmp_path: Path) -> None:
    assert list(root.kept) == ["deleted/a"]
    foreign = root.put(".keepsake-kept/README")
    kept = set(root.kept_keys)
    result = result_of(root("--json"))
    assert (result["deleted"], result["kept"], result["unchanged"]) == (0, 0, 2)
    root.ctl("mirror", "--delete", *root.arguments, check=0)
    assert set(root.kept_keys) == kept and foreign in kept

    shutil.rmtree(root.ctl.state_dir)  # a computer that knows nothing
    root.ctl("mirror", "--delete", *root.arguments, check=0)
    assert set(root.kept_keys) == kept

    listed = root.ctl("ls", f"s3://{root.bucket}", check=0).stdout.split()
    assert listed == ["-first", "b"]
    listed = root.ctl("ls", "-R", f"s3://{root.bucket}", check=0).stdout.split()
    assert listed == ["-first", "b"]
    root.ctl("verify", *root.arguments, check=0)
    root.ctl("restore", f"s3://{root.bucket}", tmp_path / "restored", check=0)
    assert sorted(os.listdir(tmp_path / "restored")) == ["-first", "b"]

    # By its own address it can be looked at and given back with no more than this.
    run = f"s3://{root.bucket}/.keepsake-kept/{root.runs[0]}/deleted"
    assert root.ctl("ls", run, check=0).stdout.split() == ["a"]
    root.ctl("restore", run, tmp_path / "back", check=0)
    assert (tmp_path / "back/a").read_text() == "apple"


def test_root_leaps_over_what_it_keeps(root: Mirror) -> None:
    (run,) = root.runs
    root.put_all(f".keepsake-kept/{run}/replaced/{i:04}" for i in range(2100))
    root()
    assert operations(root.proxy) == {"list": 3}, "not all pages: two of the mirror, one to sweep"
    assert len(root.kept_keys) == 2101


def test_root_leaves_alone_what_others_keep(few: Mirror, tmp_path: Path) -> None:
    (few / "a").unlink()
    few()
    kept = few.kept_keys
    assert kept
    folder = write_files(tmp_path / "other", {"z": "1"})
    result = few.ctl("mirror", "--delete", "--max-delete=100", f"{folder}/", f"s3://{few.bucket}", check=0)
    assert ", 0 deleted, " not in result.stdout
    assert keys(few.s3, few.bucket) == sorted(["z", *kept])


def test_own_file_of_that_name(root: Mirror) -> None:
    write_files(root.folder, {".keepsake-kept/mine": "1", "sub/.keepsake-kept/mine": "2"})
    kept = set(root.kept_keys)
    result = root("--json", check=2)
    (failed,) = [line for line in result.json if line["type"] == "failed"]
    assert failed["path"] == str(root / ".keepsake-kept") and failed["error"] == "bad-name"
    assert set(root.kept_keys) == kept
    assert "sub/.keepsake-kept/mine" in root.mirrored

    result = root.ctl(
        "mirror", root / ".keepsake-kept", f"s3://{root.bucket}", check=1, endpoint=root.proxy
    )
    assert "where deleted and replaced files are kept" in result.stderr
    assert set(root.kept_keys) == kept


def test_own_file_of_that_name_below_a_prefix(few: Mirror) -> None:
    write_files(few.folder, {".keepsake-kept/mine": "1"})
    few()
    assert few.mirrored[".keepsake-kept/mine"].body == b"1"


# -- where it is not needed ---------------------------------------------------------------------


def test_bucket_that_keeps_versions(few: Mirror) -> None:
    few.s3.put_bucket_versioning(
        Bucket=few.bucket, VersioningConfiguration={"Status": "Enabled"}
    )
    (few / "a").unlink()
    write_files(few.folder, {"b": "2"})
    result = few("--json")
    notices = [line["message"] for line in result.json if line["type"] == "notice"]
    (notice,) = notices
    assert "keeps old versions by itself" in notice
    assert "deleted/a" in few.kept
    assert [line for line in few("--json").json if line["type"] == "notice"] == []

    probed = few.ctl("probe", f"s3://{few.bucket}", check=0).stdout
    (line,) = [line for line in probed.splitlines() if line.startswith("versions")]
    assert "--keep-deleted is not needed" in line


# -- how it is asked for ------------------------------------------------------------------------


@pytest.mark.parametrize("days", ["0d", "3651d", "x", "30 weeks", "-1", "1.5d", ""])
def test_wrong_number_of_days(ctl: Ctl, tmp_path: Path, days: str) -> None:
    result = ctl("mirror", "--delete", f"--keep-deleted={days}", tmp_path, "s3://bucket", check=1)
    assert f"“{days}” is no number of days to keep what is deleted" in result.stderr


def test_alone_it_makes_no_sense(ctl: Ctl, tmp_path: Path) -> None:
    result = ctl("mirror", "--keep-deleted", "30d", tmp_path, "s3://bucket", check=1)
    assert "give both" in result.stderr


def test_plan(few: Mirror, tmp_path: Path) -> None:
    ctl = few.ctl
    address = f"s3://{few.bucket}/q"
    ctl("plan", "add", "Work", f"{few.folder}/", address, "--delete", "keep 7 days", check=0)

    def delete() -> str:
        return ctl("plan", "show", "Work", "--json", check=0).json[0]["plan"]["delete"]

    assert delete() == "keep 7 days"
    for options, expected in [
        (["--delete"], "mirror"),
        (["--delete", "--keep-deleted", "1d"], "keep 1 day"),
        (["--name", "Work"], "keep 1 day"),
        (["--no-delete"], "never"),
        (["--delete", "keep 3650 days"], "keep 3650 days"),
    ]:
        ctl("plan", "edit", "Work", *options, check=0)
        assert delete() == expected, options
    wrong = ctl("plan", "edit", "Work", "--delete", "keep x days", check=1)
    assert "“x days” is no number of days" in wrong.stderr
    wrong = ctl("plan", "edit", "Work", "--keep-deleted", "3d", check=1)
    assert "give both" in wrong.stderr
    assert "for 3650 days" in ctl("plan", "show", "Work", check=0).stdout

    ctl("run", "Work", "--foreground", check=0)
    (few / "sub/c").unlink()
    result = result_of(ctl("run", "Work", "--foreground", "--json", check=0))
    kept = keys(few.s3, few.bucket, "q.keepsake-kept/")
    assert len(kept) == result["kept"] == 2  # the folder's own times changed
    assert body(few.s3, few.bucket, kept[0]) == b"cherry"
    assert keys(few.s3, few.bucket, "q/sub/") == ["q/sub/"]


# -- how long it is kept ----------------------------------------------------------------------------


def test_long_run_keeps_what_it_deletes(few: Mirror) -> None:
    """It began to transfer two days ago, and what it deletes is to be kept for a day."""

    def long_ago(status: int, headers: dict[str, str], content: bytes) -> Any:
        others = {name: value for name, value in headers.items() if name.lower() != "date"}
        date = email.utils.formatdate(time.time() - 2 * 86400, usegmt=True)
        return status, others | {"Date": date}, content

    (few / "a").unlink()
    few.proxy.reset()
    few.proxy.rules.append(Rule(lambda r: r.method == "GET", ReplaceReply(long_ago), times=1))
    options = ("mirror", "--delete", "--keep-deleted", "1d", "--json")
    result = result_of(few.ctl(*options, *few.arguments, endpoint=few.proxy, check=0))
    assert result["deleted"] == 1 and result["kept"] >= 1 and result["swept"] == 0
    assert few.kept["deleted/a"].body == b"apple"


def test_sweep_leaves_other_sources_alone(ctl: Ctl, s3: Any, tmp_path: Path, bucket: str) -> None:
    """Two plans share a prefix, and one keeps for longer."""
    two = write_files(tmp_path / "two", {"c": "3"})
    run = run_name(time.time() - 5 * 86400)
    for source in ("one", "two", "twofold"):
        s3.put_object(Bucket=bucket, Key=f"p.keepsake-kept/{run}/deleted/{source}/gone", Body=b"x")
    ctl("mirror", "--delete", "--keep-deleted", "1d", two, f"s3://{bucket}/p", check=0)
    assert keys(s3, bucket, "p.keepsake-kept/") == [
        f"p.keepsake-kept/{run}/deleted/one/gone", f"p.keepsake-kept/{run}/deleted/twofold/gone"
    ]  # fmt: skip


def test_value_behind_a_switch_is_not_passed_over(few: Mirror, ctl: Ctl) -> None:
    """It would have been a mirror that deletes, and keeps nothing."""
    result = ctl("mirror", "--delete=keep 30 days", *few.arguments, check=1)
    assert "--keep-deleted" in result.stderr
    for words in (["--delete=keep 7 days"], ["--delete", "keep 7 days"]):
        ctl("plan", "add", "Fruit", *few.arguments, *words, check=0)
        shown = ctl("plan", "show", "Fruit", "--json", check=0).json[0]
        assert shown["plan"]["delete"] == "keep 7 days"
        ctl("plan", "remove", "Fruit", "--yes", check=0)
