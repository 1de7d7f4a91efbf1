# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""Each operation of the client, and each fault that can come over it.

A command that ends with 0 has left no difference: the bucket is read back. Any other has said what
failed, and the same command afterwards ends with 0 and leaves none. What happened and how long it
took goes to fault-matrix.json in the build directory; ./dev matrix makes the tables of
docs/reliability.md of that.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from conftest import TOP, Ctl, Result, remove_bucket
from fixtures import PATIENCE, wait_until
from fixtures.ceph_rgw import CephRgw
from fixtures.checks import keys, metadata, recorded_parts, unfinished_uploads, write_files
from fixtures.clocks import next_second
from fixtures.fault_matrix import (
    ARCHIVED,
    BEGIN,
    END,
    ERASING,
    FAULTS,
    HOWS,
    LARGE,
    NEVER,
    OPERATIONS,
    PAST,
    QUERIES,
    READING,
    SENDERS,
    TRICKLE,
    VERSIONS,
    WRITING,
    Fault,
    SamePage,
    error,
    operation_of,
)
from fixtures.fault_proxy import (
    Action,
    CloseOnReuse,
    Delay,
    Exchange,
    FaultProxy,
    Hang,
    HangWithinReply,
    ReplaceReply,
    Reply,
    Request,
    ResetAfterRequestBytes,
    ResetWithinReply,
    Rule,
    Slowly,
)
from fixtures.large_files import (
    WhenDone,
    begins_upload,
    file_hash,
    flip_byte,
    is_sent_part,
    object_hash,
    refusal,
    write_random,
)
from fixtures.trees import MIB

BUILD = TOP / os.environ.get("BUILD", "build")
TWO_PARTS = 8 * MIB + 100
WITHOUT_HARM = (Delay, ReplaceReply, SamePage, Slowly)  # the client has a whole reply
BOUND = 150  # seconds for one command, whatever happens to it

Entry = list[Any]  # how, seconds


# -- what is done under faults ------------------------------------------------------------------


class Work:
    """A command that asks for `operations`, in a place of its own, and what must be true after it."""

    operations: list[str] = []
    # Whose request the fault comes over, where there are several at the same time and not the same
    # comes of it for each.
    aims: dict[str, str] = {}

    def __init__(self, rgw: CephRgw, s3: Any, place: Path, proxy: FaultProxy):
        self.s3, self.place, self.proxy = s3, place, proxy
        (place / "home").mkdir(parents=True)
        self.ctl = Ctl(rgw, place / "home")
        self.bucket = f"keepsake-matrix-{secrets.token_hex(4)}"

    def prepare(self) -> None:
        self.s3.create_bucket(Bucket=self.bucket)

    def arguments(self) -> list[Any]:
        raise NotImplementedError

    def check(self) -> None:
        """After a command that exits with 0."""
        raise NotImplementedError

    def check_again(self) -> None:
        """After a command without faults, and a check: by another one."""

    def run(self, timeout: int) -> Result:
        self.proxy.wait_until_open()  # the command before may have given up sooner
        self.proxy.reset()
        return self.ctl(
            *self.arguments(), f"--timeout={timeout}", endpoint=self.proxy, timeout=BOUND
        )

    def end(self) -> None:
        self.ctl.end()
        remove_bucket(self.s3, self.bucket)


class Mirror(Work):
    """A run that sends, copies, goes on with, ends and deletes."""

    operations = WRITING
    aims = {
        "HeadObject": "p/looked at", "CreateMultipartUpload": "p/begun", "UploadPart": "p/begun",
        "CompleteMultipartUpload": "p/begun",
    }  # fmt: skip

    @property
    def folder(self) -> Path:
        return self.place / "folder"

    def arguments(self) -> list[Any]:
        return ["mirror", "--delete", "--jobs=4", f"{self.folder}/", f"s3://{self.bucket}/p"]

    def prepare(self) -> None:
        super().prepare()
        same = {f"same/with a name to fill pages {i:02}": str(i) for i in range(30)}
        write_files(self.folder, {
            "gone": "1", "go\taway": "1", "touched": "2", "looked at": "3", "folder/": "", **same,
        })  # fmt: skip
        write_random(self.folder / "changed", 12 * MIB)
        self.ctl(*self.arguments(), check=0, endpoint=self.proxy)
        for name in ("half", "stale", "begun"):
            write_random(self.folder / name, TWO_PARTS)
        self.kill_on_the_way()
        for name in ("gone", "go\taway", "stale"):
            (self.folder / name).unlink()
        os.utime(self.folder / "touched", (1, 1))
        self.s3.put_object(Bucket=self.bucket, Key="p/looked at", Body=b"?")
        flip_byte(self.folder / "changed", 100)
        write_files(self.folder, {"new": os.urandom(50_000)})

    def kill_on_the_way(self) -> None:
        """With two uploads half done, and one begun of which nobody knows."""

        def kill(_: Request) -> None:
            wait_until(lambda: recorded_parts(self.ctl.state_dir) == 2, 30, "two parts")
            process.kill()
            process.wait()

        begun = Rule(lambda r: begins_upload(r) and r.key == "p/begun", WhenDone(kill))
        self.proxy.rules = [
            begun,
            Rule(lambda r: is_sent_part(r) and r.params["partNumber"] != "1", Hang(60), None),
        ]
        process = self.ctl.popen(*self.arguments(), endpoint=self.proxy)
        process.wait(timeout=60 * PATIENCE)
        assert begun.hits == 1
        self.proxy.rules = []
        assert len(unfinished_uploads(self.s3, self.bucket)) == 3

    def check(self) -> None:
        expected = {"p/": self.folder}
        for path in self.folder.rglob("*"):
            name = f"p/{path.relative_to(self.folder)}"
            expected[f"{name}/" if path.is_dir() else name] = path
        assert keys(self.s3, self.bucket) == sorted(expected)
        for key, path in expected.items():
            if path.is_file():
                assert object_hash(self.s3, self.bucket, key) == file_hash(path), key
            status = path.stat()
            said = metadata(self.s3, self.bucket, key)
            assert said["mode"] == str(status.st_mode), key
            seconds, rest = divmod(status.st_mtime_ns, 10**9)
            assert said["mtime"] == f"{seconds}.{rest:09}", key

    def check_again(self) -> None:
        """What it had noted down was true."""
        self.run(20)
        asked = {operation_of(request) for request in self.proxy.requests}
        assert asked <= {"ListObjectsV2", "HeadObject"}, asked
        assert unfinished_uploads(self.s3, self.bucket) == []


class Restore(Work):
    """From a server that knows only the first version of listing."""

    operations = READING
    without_v2 = Reply(501, {}, error("NotImplemented"))

    @property
    def target(self) -> Path:
        return self.place / "target"

    def prepare(self) -> None:
        super().prepare()
        names = [f"small, with a name to fill pages {i:02}" for i in range(24)]
        self.files = {name: os.urandom(20_000) for name in names}
        self.files[LARGE] = os.urandom(TWO_PARTS + 20_000)  # either range may come first
        for name, content in self.files.items():
            self.s3.put_object(Bucket=self.bucket, Key=f"p/{name}", Body=content)
        self.proxy.rules = [Rule(lambda r: "list-type" in r.params, self.without_v2, times=None)]

    def arguments(self) -> list[Any]:
        return ["restore", "--jobs=4", f"s3://{self.bucket}/p", self.target]

    def check(self) -> None:
        found = {path.name: path.read_bytes() for path in self.target.iterdir()}
        assert {n: hashlib.md5(c).digest() for n, c in found.items()} == {
            n: hashlib.md5(c).digest() for n, c in self.files.items()
        }


class Past(Restore):
    """The bucket's state of before, from its versions."""

    operations = PAST

    def prepare(self) -> None:
        Work.prepare(self)
        enabled = {"Status": "Enabled"}
        self.s3.put_bucket_versioning(Bucket=self.bucket, VersioningConfiguration=enabled)
        self.files = {f"with a name to fill pages {i:02}": os.urandom(20_000) for i in range(12)}
        self.files["empty"] = b""  # is only asked about
        for name, content in self.files.items():
            self.s3.put_object(Bucket=self.bucket, Key=f"p/{name}", Body=content)
        self.moment = next_second()
        for name in list(self.files)[:6]:
            self.s3.put_object(Bucket=self.bucket, Key=f"p/{name}", Body=b"later")
        self.s3.put_object(Bucket=self.bucket, Key="p/later", Body=b"later")
        self.s3.delete_object(Bucket=self.bucket, Key=f"p/{list(self.files)[7]}")

    def arguments(self) -> list[Any]:
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.moment))
        return [*super().arguments(), f"--at={at}"]


@dataclass
class Fetch(Action):
    """What an archive says to the first whole request for an object, and to the next ones."""

    is_asked: bool = False

    def run(self, exchange: Exchange) -> bool:
        exchange.discard_body()
        answer = refusal(409, "RestoreAlreadyInProgress") if self.is_asked else Reply(202)
        self.is_asked = True
        exchange.send_reply(answer.status, answer.headers, answer.body)
        return exchange.keep_alive


class Archived(Restore):
    """An object out of an archive, which no server of ours has: a second proxy, behind that with
    the faults, is one. It has the object there as soon as it was asked for."""

    operations = ARCHIVED

    def prepare(self) -> None:
        Work.prepare(self)
        self.files = {"cold": os.urandom(5000), "near": b"n"}
        for name, content in self.files.items():
            self.s3.put_object(Bucket=self.bucket, Key=f"p/{name}", Body=content)
        self.fetch = Fetch()
        self.archive = FaultProxy("http://{}:{}".format(*self.proxy.upstream)).start()
        self.archive.rules = [
            Rule(lambda r: "restore" in r.params, self.fetch, None),
            Rule(
                lambda r: r.method == "GET" and r.key == "p/cold" and not self.fetch.is_asked,
                refusal(403, "InvalidObjectState"),
                None,
            ),
        ]
        self.proxy.upstream = ("127.0.0.1", self.archive.port)

    def arguments(self) -> list[Any]:
        return [*super().arguments(), "--retrieve=standard", "--retrieve-wait=1s"]

    def check(self) -> None:
        super().check()
        assert self.fetch.is_asked

    def end(self) -> None:
        super().end()
        self.archive.stop()


class Erase(Work):
    """A look at what a server can do. It leaves no version of what it writes in a bucket that keeps
    them; under names of its own each time, so that a later one cannot take away what stays."""

    operations = ERASING

    def prepare(self) -> None:
        super().prepare()
        enabled = {"Status": "Enabled"}
        self.s3.put_bucket_versioning(Bucket=self.bucket, VersioningConfiguration=enabled)

    def arguments(self) -> list[Any]:
        return ["probe", f"s3://{self.bucket}/p"]

    def check(self) -> None:
        written = {r.key for r in self.proxy.requests if r.method in ("PUT", "POST")}
        assert len(written) == 3
        page = self.s3.list_object_versions(Bucket=self.bucket)
        left = {row["Key"] for row in page.get("Versions", []) + page.get("DeleteMarkers", [])}
        left |= set(unfinished_uploads(self.s3, self.bucket))
        assert not written & left


class Versions(Work):
    """Has a bucket keep versions in which somebody else has a rule."""

    operations = VERSIONS
    theirs = {
        "ID": "theirs", "Filter": {"Prefix": "logs/"}, "Status": "Enabled",
        "Expiration": {"Days": 7},
    }  # fmt: skip

    def prepare(self) -> None:
        super().prepare()
        self.s3.put_bucket_lifecycle_configuration(
            Bucket=self.bucket, LifecycleConfiguration={"Rules": [self.theirs]}
        )

    def arguments(self) -> list[Any]:
        return ["probe", "--enable-versioning=30d", f"s3://{self.bucket}/p"]

    def check(self) -> None:
        rules = self.s3.get_bucket_lifecycle_configuration(Bucket=self.bucket)["Rules"]
        days = {r["ID"]: r.get("NoncurrentVersionExpiration", {}) for r in rules}
        assert len(days) == 2 and days.pop("theirs") == {}
        assert list(days.values()) == [{"NoncurrentDays": 30}]
        assert self.s3.get_bucket_versioning(Bucket=self.bucket)["Status"] == "Enabled"


WORKS = [Mirror, Restore, Past, Archived, Erase, Versions]


# -- under a fault ------------------------------------------------------------------------------


def has_body_for(action: Action, request: Request) -> bool:
    """Some of an operation's requests are too short for what is to happen within their body."""
    length = int(request.headers.get("content-length", "1"))
    if isinstance(action, ResetAfterRequestBytes):
        return action.n == 0 or length > action.n
    is_long = request.method != "PUT" or length > 4 * MIB
    return is_long or not isinstance(action, Slowly)


def make_rules(
    fault: Fault, operations: list[str], aims: dict[str, str]
) -> dict[str, list[Rule]]:
    """For each operation: the last one is the fault."""
    rules: dict[str, list[Rule]] = {}
    for name in operations:
        action = fault.make(name)
        if action is None:
            continue

        def is_it(request: Request, name: str = name, action: Action = action) -> bool:
            is_aim = aims.get(name, request.key) == request.key
            return operation_of(request) == name and is_aim and has_body_for(action, request)

        for_ever = fault.for_good or isinstance(action, SamePage)
        rules[name] = [Rule(is_it, action, None if for_ever else 1)]
        if isinstance(action, CloseOnReuse):
            # One that is the first of its connection has to be the second of one, which stays open
            # only if the length of the reply is known; that to HEAD has none of itself.
            def is_first(request: Request, is_it: Any = is_it, rule: Rule = rules[name][0]) -> bool:
                return request.ordinal == 1 and rule.hits == 0 and is_it(request)

            rules[name].insert(0, Rule(is_first, Reply(500, {"Content-Length": "0"}), None))
    return rules


def is_repeated(request: Request, later: Request) -> bool:
    def identity(r: Request) -> Any:
        return operation_of(r), r.path, sorted(r.params.items()), r.headers.get("range")

    # What is to go, and has gone before the reply was lost, is not found again; and an archive may
    # be at it already.
    good = later.status in (200, 202, 204, 206) or (
        (later.method, later.status) in (("DELETE", 404), ("POST", 409))
    )
    return later.started > request.started and good and identity(later) == identity(request)


def what_happened(
    request: Request, requests: list[Request], result: Result, ended: float, alone: bool
) -> Entry:
    """`alone`: no other fault came over this command, so it is this one that it fails for."""
    repeated = [r for r in requests if is_repeated(request, r) and r.ended is not None]
    helped = result.returncode == 0 or not alone
    # A list of what is left is asked for again when something was deleted, in the same words.
    is_whole = isinstance(request.action, (Delay, ReplaceReply)) and operation_of(request) in ERASING
    if repeated and helped and not is_whole and not isinstance(request.action, SamePage):
        return ["again", min(r.ended for r in repeated) - request.started]
    if result.returncode != 0:
        return [f"exit {result.returncode}", ended - request.started]
    if isinstance(request.action, WITHOUT_HARM):
        return ["on", (request.ended or ended) - request.started]
    return ["other way", ended - request.started]


def is_told(stderr: str, endpoint: str, bucket: str, folder: Path, failed: list[Request]) -> bool:
    """What failed is named, as a word of its own: the server, the bucket, the object (or prefix) of
    a failed request, or the file that belongs to it. Or it is a listing that makes no sense."""
    keys = {request.key or request.params.get("prefix", "") for request in failed} - {""}
    files = {str(folder / key.removeprefix("p/")) for key in keys}
    words = "|".join(map(re.escape, {endpoint, bucket, *keys, *files}))
    told = re.compile(rf"(?<![\w/.-])(?:{words})(?![\w/-])|The server's listing ")
    return any(
        told.search(line)
        for line in stderr.splitlines()
        if line.startswith(("failed ", "keepsakectl: "))
    )


def run_once(work: Work, fault: Fault, rules: dict[str, list[Rule]]) -> dict[str, Entry]:
    """One command: what it made of the faults that it met, by operation."""
    before = {name: of_it[-1].hits for name, of_it in rules.items()}
    result = work.run(fault.timeout)
    ended = time.monotonic()
    assert result.returncode in (0, 2, 3, 4, 5), f"{fault.name}: {result}"
    if result.returncode == 0:
        work.check()
    else:
        actions = {id(of_it[-1].action) for of_it in rules.values()}
        failed = [r for r in work.proxy.requests if id(r.action) in actions]
        told = (work.proxy.endpoint, work.bucket, work.place / "folder", failed)
        assert is_told(result.stderr, *told), f"{fault.name}: {result}"
    requests = list(work.proxy.requests)
    assert {operation_of(request) for request in requests} <= set(OPERATIONS)
    found = {}
    met = {name: of_it[-1] for name, of_it in rules.items() if of_it[-1].hits > before[name]}
    for name, rule in met.items():
        request = next(r for r in requests if r.action is rule.action)
        if isinstance(rule.action, (ResetWithinReply, HangWithinReply)):
            assert request.broken_off == rule.action.n, f"{fault.name}: {name} has less"
        found[name] = what_happened(request, requests, result, ended, len(met) == 1)
        if isinstance(rule.action, SamePage):
            rule.times = 0
    return found


def come_over(work: Work, fault: Fault, operations: list[str]) -> dict[str, Entry]:
    """Runs the command until the fault has come over each of the operations."""
    rules = make_rules(fault, operations, work.aims)
    basis = list(work.proxy.rules)
    found: dict[str, Entry] = {}
    work.proxy.rules = basis + [rule for of_it in rules.values() for rule in of_it]
    for _ in range(len(operations) + 1):
        news = run_once(work, fault, rules)
        found |= news
        if len(found) == len(rules) or not news or fault.for_good:
            break
    missing = rules.keys() - found.keys()
    assert not missing, f"{fault.name} did not come over {missing}"

    work.proxy.rules = basis
    result = work.run(20)
    assert result.returncode == 0, f"after {fault.name}: {result}"
    work.check()
    work.check_again()
    return found


Case = tuple[Fault, type[Work], tuple[str, ...]]


def all_cases() -> Iterator[Case]:
    for fault in FAULTS:
        for kind in WORKS:
            operations = [name for name in kind.operations if fault.make(name) is not None]
            if fault.apart or fault.for_good:
                yield from ((fault, kind, (name,)) for name in operations)
            elif operations:
                yield fault, kind, tuple(operations)


def name_of(case: Case) -> str:
    fault, kind, operations = case
    return f"{fault.name}-{operations[0] if len(operations) == 1 else kind.__name__}"


CASES = {name_of(case): case for case in all_cases()}


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest, rgw: CephRgw, s3: Any, tmp_path_factory: Any
) -> Iterator[dict[str, Future[dict[str, Entry]]]]:
    """All that were asked for, several at a time: most of the time they wait."""
    folder = tmp_path_factory.mktemp("matrix")

    def carry_out(case: Case) -> dict[str, Entry]:
        fault, kind, operations = case
        place = folder / secrets.token_hex(4)
        slow = fault.name == TRICKLE
        grain, window = (64 << 10, 64 << 10) if slow else (1 << 20, None)
        with FaultProxy(rgw.endpoint, grain=grain, window=window) as proxy:
            work = kind(rgw, s3, place, proxy)
            try:
                work.prepare()
                return come_over(work, fault, list(operations))
            finally:
                work.end()

    chosen = [
        item.callspec.params["name"]
        for item in request.session.items
        if item.path == request.path and item.originalname == test_fault.__name__
    ]
    # Those that wait longest come first.
    chosen.sort(key=lambda name: not (CASES[name][0].for_good or CASES[name][0].name == TRICKLE))
    with ThreadPoolExecutor(16) as pool:
        futures = {name: pool.submit(carry_out, CASES[name]) for name in chosen}
        yield futures
        for future in futures.values():
            future.cancel()


@pytest.mark.parametrize("name", CASES)
def test_fault(outcomes: dict[str, Future[dict[str, Entry]]], name: str) -> None:
    fault, _, operations = CASES[name]
    found = outcomes[name].result()
    assert found.keys() == set(operations)
    if fault.must_be:
        assert {how for how, _ in found.values()} == {fault.must_be}


def test_results_are_written(outcomes: dict[str, Future[dict[str, Entry]]]) -> None:
    """For ./dev matrix; nothing is written where a case failed or was left out."""
    with contextlib.suppress(Exception):
        results: dict[str, dict[str, Entry]] = {fault.name: {} for fault in FAULTS}
        for name, (fault, _, _) in CASES.items():
            results[fault.name] |= outcomes[name].result()
        (BUILD / "fault-matrix.json").write_text(json.dumps(results, indent=1, ensure_ascii=False))
        return
    pytest.skip("not all of the matrix was run")


@pytest.mark.parametrize(("stderr", "tells"), [
    ("keepsakectl: Cannot reach http://127.0.0.1:80; check the network", True),
    ("keepsakectl: Cannot reach http://127.0.0.1:8080; check the network", False),
    ("keepsakectl: There is no bucket “bucket-1”", True),
    ("keepsakectl: There is no bucket “bucket-12”", False),
    ("failed   /tmp/x/folder/some file: It went wrong", True),
    ("failed   p/some file: It went wrong", True),
    ("failed   /tmp/x/folder/some: It went wrong", False),
    ("failed   p/some file2: It went wrong", False),
    ("failed   /tmp/x/home/p/some file: It went wrong", False),
    ("note     “p/some file” is sent as a whole: it went wrong", False),
    ("keepsakectl: The server's listing repeats itself", True),
    ("keepsakectl: The listing went wrong at /tmp/p/x", False),
])  # fmt: skip
def test_what_counts_as_told(stderr: str, tells: bool) -> None:
    failed = [Request("GET", "/bucket-1/p/some%20file", "", {}, 1)]
    told = ("http://127.0.0.1:80", "bucket-1", Path("/tmp/x/folder"), failed)
    assert is_told(f"{stderr}\n", *told) is tells


def test_all_operations_are_in_it() -> None:
    """What src/s3 can send, by its source."""
    senders: list[str] = []
    queries: set[str] = set()
    for file in (TOP / "src").rglob("*.c"):
        function = ""
        for line in file.read_text().splitlines():
            if definition := re.match(r"(\w+) \(", line):
                function = definition[1]
            elif "kp_s3_request_new (" in line:
                senders.append(f"{file.name} {function}")
            queries |= set(re.findall(r'(?:_add_query \(\w+|put_document \(\w+), "([^"]+)"', line))
    assert sorted(senders) == sorted(SENDERS), "each operation has a place in the matrix"
    assert queries == QUERIES
    assert {name for names in SENDERS.values() for name in names} == set(OPERATIONS)


def test_document_has_all_of_it(outcomes: dict[str, Future[dict[str, Entry]]]) -> None:
    """The tables of docs/reliability.md: each fault, each operation, and what cannot happen. Of all
    that was run, nothing failed that does not fail there. In which way it ended well may differ: on a
    busy machine another request meets the fault."""
    text = (TOP / "docs/reliability.md").read_text()
    found: dict[tuple[str, str], str] = {}
    names: list[str] = []
    for line in text.partition(BEGIN)[2].partition(END)[0].splitlines():
        first, *cells = [word.strip() for word in line.strip().strip("|").split("|")]
        if line.startswith("| |"):
            names = cells
        elif line.startswith("| "):
            found |= {(first, name): cell for name, cell in zip(names, cells, strict=True)}
    happened = {
        (CASES[case][0].name, name): how
        for case, future in outcomes.items()
        if future.exception() is None
        for name, (how, _) in future.result().items()
    }
    changed = []
    for fault in FAULTS:
        for name in OPERATIONS:
            cell = found.pop((fault.name, name), NEVER)
            assert (cell == NEVER) == (fault.make(name) is None), (fault.name, name, cell)
            assert cell == NEVER or cell.startswith((*HOWS, "exit ")), cell
            said = cell.rpartition(" ")[0]
            how = happened.get((fault.name, name), said)
            worse = how.startswith("exit ") and how != said
            if worse and not {said, how} <= fault.by_chance:
                changed.append(f"{fault.name}, {name}: {how}, and the document says {said}")
    assert not found, f"of no fault or operation: {found}"
    assert not changed, "see what changed, and run ./dev matrix"
