# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""Limits as the line sees them: measured by the proxy, byte by byte, heads included."""

from __future__ import annotations

import datetime
import math
import os
import re
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from fixtures import PATIENCE, wait_until
from fixtures.checks import (
    body,
    keys,
    operations,
    rsync_changes,
    sent_keys,
    write_files,
)
from fixtures.fault_proxy import FaultProxy, Hang, Reply, Rule
from fixtures.line_meter import Flow, LineMeter, Timeline
from fixtures.trees import MIB

KIB = 1024
Intervals = Sequence[tuple[float, float]]


def assert_not_above(
    meter: LineMeter, limit: int, since: float = 0, until: float = math.inf
) -> None:
    """Over any ten seconds by no more than 3 %, over any one by no more than a tenth."""
    flow = Flow([event for event in meter.timeline if since < event[0] < until])
    for length, most in ((10, 1.03), (1, 1.1)):
        for start, speed in flow.windows(length):
            late = meter.stopped(start, start + length) / length
            assert speed <= limit * (most + late), f"{length} s had {speed / limit:.1%} of the limit"


class TooSlow(AssertionError):
    pass


def assert_not_below(
    timeline: Timeline, limit: int, tolerance: float, pauses: Intervals = ()
) -> None:
    """Over no ten seconds, less the pauses in them, by more than the tolerance."""
    windows = list(Flow(timeline).windows(10))
    assert len(windows) > 20, "too short to say anything"
    for start, speed in windows:
        paused = sum(max(0, min(b, start + 10) - max(a, start)) for a, b in pauses) / 10
        if speed < limit * (1 - tolerance - paused):
            raise TooSlow(f"ten seconds had {speed / limit:.1%} of the limit, paused {paused:.1%}")


def in_one_of_three_tries(measure: Callable[[str], None]) -> None:
    """For lower bounds only: the program is stopped for a while now and then as well, and a server
    that is stopped keeps it waiting."""
    for attempt in ("first", "second"):
        try:
            return measure(attempt)
        except TooSlow as error:
            print(attempt, error)
    measure("third")


# -- up -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "rate"), [("256K", 256 * KIB), ("2M", 2 * MIB)])
def test_upload_limit(
    ctl: Any, rgw: Any, tmp_path: Path, s3: Any, bucket: str, text: str, rate: int
) -> None:
    """Within 3 % over any ten seconds, and no second above 110 %: with large files and small ones,
    whose heads are half of what is sent; over one connection and, at the same time, over eight."""
    total = int(rate * 11.2)
    folder = write_files(tmp_path / "folder", {f"small{i}": os.urandom(700) for i in range(100)})
    for i in range(5):
        write_files(folder, {f"large{i}": os.urandom((total - 100 * 1500) // 5)})

    def measure(attempt: str) -> None:
        with FaultProxy(rgw.endpoint) as one, FaultProxy(rgw.endpoint) as eight:
            with LineMeter(one) as meter_one, LineMeter(eight) as meter_eight:
                running = [
                    ctl.popen(
                        "mirror", f"--upload-limit={text}", f"--jobs={jobs}", f"{folder}/",
                        f"s3://{bucket}/{attempt}/{jobs}", endpoint=proxy,
                    )
                    for jobs, proxy in ((1, one), (8, eight))
                ]  # fmt: skip
                for process in running:
                    assert (process.communicate(timeout=60 * PATIENCE)[1], process.returncode) == ("", 0)
        assert len(keys(s3, bucket, attempt)) == 2 * 106
        connections = [p.count(predicate=lambda r: r.ordinal == 1) for p in (one, eight)]
        assert connections[0] <= 2 and connections[1] >= 8
        for meter in (meter_one, meter_eight):
            assert_not_above(meter, rate)
        # Who has one connection sends nothing while the server thinks.
        thought = [(r.sent, r.ended) for r in one.requests]
        assert_not_below(meter_one.timeline, rate, 0.03, thought + meter_one.stops)
        assert_not_below(meter_eight.timeline, rate, 0.03, meter_eight.stops)

    in_one_of_three_tries(measure)


def signed_at(request: Any) -> float:
    stamp = datetime.datetime.strptime(request.headers["x-amz-date"], "%Y%m%dT%H%M%SZ")
    return stamp.replace(tzinfo=datetime.timezone.utc).timestamp()


def test_signatures_stay_young(
    ctl: Any, tmp_path: Path, bucket: str, proxy: FaultProxy
) -> None:
    """64 requests wait for a line that is busy with the heads of others for seconds. Each is signed
    when its first byte may go, not when it begins to wait: servers refuse signatures that are older
    than 15 minutes."""
    folder = write_files(tmp_path / "folder", {f"{i}": "" for i in range(64)})
    wall_clock = time.time() - time.monotonic()
    ctl(
        "mirror", "--upload-limit=8K", "--jobs=64", f"{folder}/", f"s3://{bucket}",
        check=0, endpoint=proxy,
    )  # fmt: skip
    puts = [r for r in proxy.requests if r.method == "PUT"]
    assert max(r.started for r in puts) - proxy.requests[0].ended > 4, "nobody had to wait"
    assert proxy.count("PUT", lambda r: r.ordinal == 1) > 32, "not at the same time"
    # Its date has no fractions of a second, and the head's last bytes come after its first.
    ages = [wall_clock + r.started - signed_at(r) for r in puts]
    assert max(ages) < 1 + PATIENCE, f"{max(ages):.1f} s old when the head came"


def test_limit_can_be_taken_off_while_it_runs(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    """kill -USR2."""
    limit = 64 * KIB
    content = os.urandom(4 * MIB)  # a minute's worth
    folder = write_files(tmp_path / "folder", {"large": content})
    with LineMeter(proxy) as meter:
        process = ctl.popen(
            "mirror", "--upload-limit=64K", f"{folder}/", f"s3://{bucket}", endpoint=proxy
        )
        wait_until(lambda: proxy.bytes_up > 2 * limit, 20, "two seconds' worth of bytes")
        off = time.monotonic()
        process.send_signal(signal.SIGUSR2)
        _, stderr = process.communicate(timeout=20 * PATIENCE)
    assert process.returncode == 0
    assert stderr == "note     The limits are off until the next SIGUSR2.\n"
    assert body(s3, bucket, "large") == content

    flow = Flow(meter.timeline)
    assert flow.between(0, off) < 3.5 * limit
    assert flow.fastest(0.1) > 20 * limit
    assert_not_above(meter, limit, until=off)


def test_limit_can_be_put_on_again(
    ctl: Any, tmp_path: Path, bucket: str, proxy: FaultProxy
) -> None:
    limit = 64 * KIB
    folder = write_files(tmp_path / "folder", {"large": bytes(64 * MIB)})
    process = ctl.popen(
        "mirror", "--upload-limit=64K", f"{folder}/", f"s3://{bucket}", endpoint=proxy
    )
    wait_until(lambda: proxy.bytes_up > limit // 2, 20, "the first bytes")
    for note in ("The limits are off until the next SIGUSR2.", "The limits are on again."):
        process.send_signal(signal.SIGUSR2)
        assert process.stderr.readline() == f"note     {note}\n"
    with LineMeter(proxy) as meter:

        def bytes_since(start: float) -> int:
            return Flow(list(meter.timeline)).between(start, math.inf)

        # What is in the sockets still comes through, also after the server has stopped for a moment.
        wait_until(lambda: 0 < bytes_since(time.monotonic() - 2) < 2.5 * limit, 30, "the limit")
        on = time.monotonic()
        wait_until(lambda: bytes_since(on) > 2 * limit, 20, "two seconds more")
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20 * PATIENCE)
    assert_not_above(meter, limit, since=on)


def hours_from_now(hours: int) -> str:
    return f"{datetime.datetime.now() + datetime.timedelta(hours=hours):%H:%M}"


def test_timetable_says_what_holds_now(
    ctl: Any, tmp_path: Path, bucket: str, proxy: FaultProxy
) -> None:
    folder = write_files(tmp_path / "folder", {"file": os.urandom(384 * KIB)})
    for now, later, seconds in (("off", "16K", (0, 1)), ("128K", "off", (2.7, 4))):
        proxy.reset()
        table = f"{hours_from_now(-2)},{now} {hours_from_now(2)},{later}"
        ctl(
            "mirror", "--upload-limit", table, f"{folder}/", f"s3://{bucket}/{now}",
            check=0, endpoint=proxy, timeout=20,
        )  # fmt: skip
        took = proxy.timeline[-1][0] - proxy.timeline[0][0]
        assert seconds[0] <= took <= seconds[1] * PATIENCE, table


# -- down ---------------------------------------------------------------------------------------


def test_download_limit(
    ctl: Any, tmp_path: Path, bucket: str, proxy: FaultProxy
) -> None:
    """The proxy sees what goes into the socket, which holds some bytes back: many small files, so
    that it never holds many, and a wider tolerance."""
    rate = 512 * KIB
    count = int(rate * 11.5) // (64 * KIB)
    folder = write_files(
        tmp_path / "folder", {f"{i}": os.urandom(63 * KIB) for i in range(count)}
    )
    ctl("mirror", f"{folder}/", f"s3://{bucket}/p", check=0)

    def measure(attempt: str) -> None:
        proxy.reset()
        ctl(
            "restore", "--download-limit=512K", "--jobs=2", f"s3://{bucket}/p", tmp_path / attempt,
            check=0, endpoint=proxy,
        )  # fmt: skip
        assert rsync_changes(folder, tmp_path / attempt, "-ainc") == []
        fastest = Flow(proxy.timeline_down).fastest(10)
        assert 0 < fastest <= rate * 1.1, f"it had {fastest / rate:.1%}"
        assert_not_below(proxy.timeline_down, rate, 0.1)

    in_one_of_three_tries(measure)


# -- Ctrl-C -------------------------------------------------------------------------------------

STOPPED = (
    "keepsakectl: Stopped. What was finished is safe; the same command goes on from there.\n"
)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_mirror_goes_on_later(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str, proxy: FaultProxy, number: signal.Signals
) -> None:
    files = {f"{i:02}": os.urandom(20 * KIB) for i in range(40)}
    folder = write_files(tmp_path / "folder", files)
    arguments = ["mirror", "--delete", f"{folder}/", f"s3://{bucket}"]
    process = ctl.popen(*arguments, "--upload-limit=128K", "--jobs=4", endpoint=proxy)
    wait_until(lambda: proxy.count("PUT", lambda r: r.status == 200) >= 5, 20, "five files")
    process.send_signal(number)
    started = time.monotonic()
    _, stderr = process.communicate(timeout=20 * PATIENCE)
    assert time.monotonic() - started < 5 * PATIENCE
    assert (process.returncode, stderr) == (6, STOPPED)
    wait_until(lambda: all(r.ended for r in list(proxy.requests)), 30, "what the server has got")
    stored = keys(s3, bucket)
    assert 5 <= len(stored) < 40

    proxy.reset()
    ctl(*arguments, check=0, endpoint=proxy)
    assert set(sent_keys(proxy, "put")) == set(files) - set(stored)
    # What was on its way when it stopped may have arrived without our knowing.
    assert operations(proxy)["head"] <= 4
    assert {key: body(s3, bucket, key) for key in keys(s3, bucket)} == files


def test_interrupted_large_file_goes_on_later(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    content = os.urandom(20 * MIB)
    folder = write_files(tmp_path / "folder", {"large": content})
    arguments = ["mirror", f"{folder}/", f"s3://{bucket}"]
    process = ctl.popen(*arguments, "--upload-limit=256K", endpoint=proxy)
    wait_until(lambda: proxy.bytes_up > 100 * KIB, 20, "a part to be under way")
    process.send_signal(signal.SIGINT)
    started = time.monotonic()
    _, stderr = process.communicate(timeout=20 * PATIENCE)
    assert time.monotonic() - started < 5 * PATIENCE
    assert (process.returncode, stderr) == (6, STOPPED)
    assert keys(s3, bucket) == []
    ctl(*arguments, check=0, endpoint=proxy)
    assert body(s3, bucket, "large") == content


@pytest.mark.parametrize("where", ["listing", "waiting"])
def test_interrupted_while_the_server_is_silent(
    ctl: Any, tmp_path: Path, bucket: str, proxy: FaultProxy, where: str
) -> None:
    """A server that hangs, and one that asks for a long pause."""
    action = Hang(60) if where == "listing" else Reply(503, {"Retry-After": "100"})
    rule = Rule(lambda r: True, action, times=None)
    proxy.rules.append(rule)
    folder = write_files(tmp_path / "folder", {"file": "x"})
    process = ctl.popen("mirror", f"{folder}/", f"s3://{bucket}", endpoint=proxy)
    wait_until(lambda: proxy.requests and (where == "listing" or proxy.requests[0].ended), 10)
    process.send_signal(signal.SIGINT)
    started = time.monotonic()
    _, stderr = process.communicate(timeout=20 * PATIENCE)
    assert time.monotonic() - started < 5 * PATIENCE
    assert (process.returncode, stderr) == (6, STOPPED)


def test_interrupted_restore_leaves_nothing_half_written(
    ctl: Any, tmp_path: Path, bucket: str, proxy: FaultProxy
) -> None:
    folder = write_files(
        tmp_path / "folder",
        {**{f"{i:02}": os.urandom(20 * KIB) for i in range(40)}, "large": os.urandom(9 * MIB)},
    )
    ctl("mirror", f"{folder}/", f"s3://{bucket}/p", check=0)
    back = tmp_path / "back"
    arguments = ["restore", f"s3://{bucket}/p", back]
    process = ctl.popen(*arguments, "--download-limit=256K", endpoint=proxy)
    wait_until(lambda: back.exists() and len(os.listdir(back)) >= 3, 30, "three files")
    process.send_signal(signal.SIGINT)
    started = time.monotonic()
    _, stderr = process.communicate(timeout=20 * PATIENCE)
    assert time.monotonic() - started < 5 * PATIENCE
    assert (process.returncode, stderr) == (6, STOPPED)
    there = os.listdir(back)
    assert 3 <= len(there) < 41
    for name in there:
        assert (back / name).read_bytes() == (folder / name).read_bytes()
    ctl(*arguments, check=0)
    assert rsync_changes(folder, back, "-aXin") == []


# -- progress -----------------------------------------------------------------------------------


def test_progress_lines_in_json(
    ctl: Any, tmp_path: Path, bucket: str, proxy: FaultProxy
) -> None:
    folder = write_files(tmp_path / "folder", {f"{i}": os.urandom(64 * KIB) for i in range(6)})
    result = ctl(
        "mirror", "--json", "--upload-limit=128K", f"{folder}/", f"s3://{bucket}",
        check=0, endpoint=proxy,
    )  # fmt: skip
    phases = [row["phase"] for row in result.json if row["type"] == "phase"]
    assert phases == ["scanning", "comparing", "transferring", "finished"]
    progress = [row for row in result.json if row["type"] == "progress"]
    assert len(progress) >= 2
    done = [row["bytes_done"] for row in progress]
    assert done == sorted(done) and done[0] < 6 * 64 * KIB
    assert {row["bytes_total"] for row in progress} == {6 * 64 * KIB}


def test_progress_line_on_a_terminal(
    ctl: Any, tmp_path: Path, bucket: str, proxy: FaultProxy
) -> None:
    """Phase, bytes, rate, time left; never "0 s left"; gone at the end."""
    folder = write_files(tmp_path / "folder", {f"{i}": os.urandom(64 * KIB) for i in range(8)})
    master, slave = os.openpty()
    process = ctl.popen(
        "mirror", "--upload-limit=128K", f"{folder}/", f"s3://{bucket}", endpoint=proxy,
        stderr=slave,
    )  # fmt: skip
    os.close(slave)
    seen = b""
    while True:
        try:
            data = os.read(master, 4096)
        except OSError:  # the other end is closed
            break
        if not data:
            break
        seen += data
    os.close(master)
    process.communicate(timeout=20 * PATIENCE)
    assert process.returncode == 0
    lines = [line.strip() for line in seen.decode().split("\r\x1b[K") if line.strip()]
    shape = r"\d+ %  [\d.]+ \S*B of 512 KiB .*\(\d+ of 8 files\)"
    transfers = [line for line in lines if re.fullmatch(shape, line)]
    assert len(transfers) >= 5, lines
    assert any(re.search(r" 12\d(\.\d)? KiB/s|128 KiB/s", line) for line in transfers), transfers
    assert any(" left" in line for line in transfers)
    assert not any(re.search(r"\b0 s left", line) for line in transfers)
    assert seen.endswith(b"\r\x1b[K")
