# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""What a program took: time, processor and memory, with all that it started."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# Seconds between two looks at the memory: more often at first, as many programs end soon.
BEAT = 0.05
FIRST_BEAT = 0.005


@dataclass
class Cost:
    wall: float = 0
    cpu: float = 0  # user and system
    rss: int = 0  # bytes; the largest of its processes
    status: int = 0
    output: str = ""  # the end of it


class GaveUp(Exception):
    """The program took longer than it may, and was stopped."""

    def __init__(self, cost: Cost):
        super().__init__()
        self.cost = cost  # until then


class Program:
    """A process in a session of its own, so that all that it starts can be ended with it."""

    def __init__(
        self, args: Sequence[str | Path], env: dict[str, str], log: Path, cwd: Path | None = None
    ):
        self._log = log
        self._rss = 0
        self._cost: Cost | None = None
        self._start = time.monotonic()
        with open(log, "wb") as output:
            self._process = subprocess.Popen(
                args, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True,
            )  # fmt: skip
        self.pid = self._process.pid
        self._pidfd = os.pidfd_open(self.pid)

    def wait(self, seconds: float) -> Cost:
        """What it cost, when it is over. GaveUp when it was not over by then; it is ended first."""
        if self._cost is not None:
            return self._cost
        deadline = time.monotonic() + seconds
        beat = FIRST_BEAT
        while not select.select([self._pidfd], [], [], beat)[0]:
            self._weigh()
            beat = min(BEAT, beat * 1.1)
            if time.monotonic() > deadline:
                raise GaveUp(self.kill())
        return self._reap()

    def is_over(self) -> bool:
        return self._cost is not None or bool(select.select([self._pidfd], [], [], 0)[0])

    def kill(self) -> Cost:
        if self._cost is not None:
            return self._cost
        # What it has started and not waited for is not in its own figures.
        below = cpu_seconds(family(self.pid)[1:])
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        return self._reap(below)

    def _reap(self, below: float = 0) -> Cost:
        wall = time.monotonic() - self._start
        # Of its own children, too, as far as it has waited for them.
        _, status, usage = os.wait4(self.pid, 0)
        os.close(self._pidfd)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        output = self._log.read_text("utf-8", "replace")[-3000:]
        self._cost = Cost(
            wall, usage.ru_utime + usage.ru_stime + below, self._rss, self._process.returncode, output
        )
        return self._cost

    def _weigh(self) -> None:
        """Not ru_maxrss: it begins with the size of whoever started the program."""
        for pid in family(self.pid):
            with contextlib.suppress(OSError):
                status = Path(f"/proc/{pid}/status").read_text()
                if found := re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE):
                    self._rss = max(self._rss, int(found[1]) * 1024)

    def weigh(self) -> None:
        self._weigh()


def family(pid: int) -> list[int]:
    """The process and all below it."""
    found = [pid]
    for parent in found:
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{parent}/task"):
                children = Path(f"/proc/{parent}/task/{task}/children").read_text()
                found += map(int, children.split())
    return found


def machine_seconds() -> tuple[float, float]:
    """What all processors together have been busy so far, and idle."""
    fields = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    idle = fields[3] + fields[4]
    ticks = os.sysconf("SC_CLK_TCK")
    return (sum(fields) - idle) / ticks, idle / ticks


def cpu_seconds(pids: Sequence[int]) -> float:
    """What these processes have used so far."""
    ticks = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")
