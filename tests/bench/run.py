# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""Keepsake beside what people would use instead: the same work, the same server, in one run.

    ./dev bench [--quick] [--continue] [--seconds N] [CASE…]     # measures, then writes the page
    ./dev bench --page                             # writes it from what was measured

Results are kept after each measurement; --continue goes on with the first case that is not complete.
A run of some CASEs replaces those. The page is docs/performance.md; that of --quick, whose figures
say nothing, is build/bench/quick/performance.md.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import re
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import faithful, measure, report  # noqa: E402
from bench.counting import CountingProxy  # noqa: E402
from bench.tools import Keepsake, Place, Tool, all_tools, unmount  # noqa: E402
from bench.work import QUICK, Case, Content, Sizes, Step, cases, content  # noqa: E402
from conftest import BINARY, TOP, empty_bucket, s3_client, short_folder  # noqa: E402
from fixtures import clean_environment, stop_in_good_order  # noqa: E402
from fixtures.ceph_rgw import DAEMONS, CephRgw  # noqa: E402
from fixtures.fault_proxy import FaultProxy  # noqa: E402
from fixtures.line_meter import Flow, LineMeter  # noqa: E402

Result = dict[str, Any]

# What Keepsake may take for a step: the next steps of the others may need what it has stored.
OUR_SECONDS = 1800


class Bench:
    """`folder` keeps the results, and the work while it is done."""

    def __init__(self, folder: Path, server: CephRgw, proxy: CountingProxy, tools: list[Tool]):
        self.folder = folder
        self.server = server
        self.proxy = proxy
        self.tools = tools
        self.line: FaultProxy | CountingProxy = proxy
        self.s3 = s3_client(server)
        self.results = Results(folder / "results.json")

    def case(self, number: int, case: Case, sizes: Sizes) -> None:
        with self._line(case) as self.line:
            self._steps(number, case, sizes)

    def _steps(self, offset: int, case: Case, sizes: Sizes) -> None:
        """Each with all tools; the one that begins is another in each step, and in each case."""
        source = self.folder / "work" / case.name
        tools = [tool for tool in self.tools if not tool.cases or case.name in tool.cases]
        self._clear()
        say(f"{case.title}: making them")
        case.fill(source)
        places = {tool.name: self._place(tool, case, source, sizes) for tool in tools}
        buckets = [place.bucket for place in places.values()]
        ours = next(places[tool.name] for tool in tools if isinstance(tool, Keepsake))
        # What nobody changes need not be there for each of them.
        shared = ours if all(step.change is None for step in case.steps) else None
        self.results.begin(case)
        ready: dict[str, str] = {}  # why a tool cannot go on, or nothing
        before = Content({}, {})
        for number, step in enumerate(case.steps):
            if step.change is not None:
                step.change(source)
            # Neither is any tool the first to read it, nor has one to write out what is new: Keepsake
            # does, before it takes a file that was changed within the last minute for settled.
            os.sync()
            wanted = content(source)
            first = (offset + number) % len(tools)
            order = tools[first:] + tools[:first]
            if any(place is not ours and place.bucket == ours.bucket for place in places.values()):
                # s3cmd deletes the objects of folders there, which it does not know.
                order.sort(key=lambda tool: not isinstance(tool, Keepsake))
            for tool in order:
                place = places[tool.name]
                result = self._measure(tool, step, place, before, wanted, ready)
                if "wall" not in result and ready.get(tool.name, "stopped") != "stopped":
                    places[tool.name], ready[tool.name] = self._help(tool, place, shared)
                self.results.add(case, step, tool, result)
                say(f"  {step.title}: {tool.title}: {report.in_short(result)}")
            before = wanted
            # What was replaced is in the server's memory until it is collected, and that has an end.
            self.server.admin("gc", "process", "--include-all")
        if sum(file.size for file in before.files.values()) > 100 << 20:
            # The server has all of it in its memory. To empty the others takes longer than is worth it.
            for bucket in buckets:
                empty_bucket(self.s3, bucket)
            self.server.admin("gc", "process", "--include-all")
        self._clear()

    def _clear(self) -> None:
        """Also what a run that was killed has left mounted."""
        work = self.folder / "work"
        for home in work.glob("home-*"):
            unmount(home / "mount")
        if work.exists():
            shutil.rmtree(work)

    def _place(self, tool: Tool, case: Case, source: Path, sizes: Sizes) -> Place:
        home = self.folder / "work" / f"home-{tool.name}"
        home.mkdir(parents=True)
        bucket = f"{tool.name.lower()}-{case.name}-{secrets.token_hex(3)}"
        self.server.create_bucket(bucket)
        return Place(
            source, home, self.line.endpoint, bucket, self.server.access_key,
            self.server.secret_key, OUR_SECONDS if isinstance(tool, Keepsake) else sizes.seconds,
        )  # fmt: skip

    def _measure(
        self, tool: Tool, step: Step, place: Place, before: Content, wanted: Content,
        ready: dict[str, str],
    ) -> Result:  # fmt: skip
        if missing := tool.missing():
            return {"reason": f"not installed: {missing}"}
        if ready.get(tool.name) == "stopped":
            return {"reason": "its run before was stopped"}
        result: Result = {}
        self.proxy.count()
        server_cpu = self._server_cpu()
        try:
            if tool.name not in ready:
                ready[tool.name] = "stopped"
                tool.prepare(place)
                ready[tool.name] = ""
                self.proxy.count()
                server_cpu = self._server_cpu()
            busy, idle = measure.machine_seconds()
            with self._meter(step, result):
                cost = tool.run(place, step)
            after = measure.machine_seconds()
            result["busy"] = (after[0] - busy) / max(0.01, sum(after) - busy - idle)
            result |= {"wall": cost.wall, "cpu": cost.cpu, "rss": cost.rss, "status": cost.status}
            if cost.status != 0:
                result["reason"] = f"ended with {cost.status}: {last_line(cost.output)}"
        except (OSError, RuntimeError, AssertionError, subprocess.SubprocessError) as error:
            # One that cannot be used at all is named; the others are measured.
            return {"reason": f"failed: {error or type(error).__name__}"}
        except measure.GaveUp as end:
            result |= {
                "cpu": end.cost.cpu, "rss": end.cost.rss, "status": 0,
                "reason": f"gave up after {place.seconds:g} s",
            }  # fmt: skip
        result["server_cpu"] = self._server_cpu() - server_cpu
        count = self.proxy.count()
        result |= {
            "kinds": dict(count.kinds), "up": count.up, "down": count.down,
            "connections": count.connections, "refused": dict(count.refused),
        }  # fmt: skip
        if ready[tool.name] == "helped":
            result["helped"] = True
        if "wall" in result:
            try:
                result["faults"] = faithful.faults(tool, place, step, self.s3, before, wanted)
            except (OSError, subprocess.SubprocessError, measure.GaveUp) as error:
                result["faults"] = [f"its restore ends with {type(error).__name__}"]
        shutil.rmtree(place.target, ignore_errors=True)
        return result

    def _server_cpu(self) -> float:
        return measure.cpu_seconds([self.server._pid(name) or 0 for name in DAEMONS])

    @contextlib.contextmanager
    def _line(self, case: Case) -> Iterator[FaultProxy | CountingProxy]:
        """What the tools connect to. It is one for the whole case, as Keepsake takes another address
        for another destination."""
        if not case.delay and all(step.kind != "limit" for step in case.steps):
            yield self.proxy
            return
        with FaultProxy(self.proxy.endpoint, delay=case.delay, grain=65536) as line:
            yield line

    @contextlib.contextmanager
    def _meter(self, step: Step, result: Result) -> Iterator[None]:
        if step.kind != "limit":
            yield
            return
        assert isinstance(self.line, FaultProxy)
        with LineMeter(self.line) as meter:
            yield
        flow = Flow(meter.timeline)
        duration = flow.times[-1] - flow.times[0]
        mean = (flow.sums[-1] - flow.sums[1]) / duration
        result |= {
            "mean": mean,
            # Both ends are seen up to a beat late.
            "uncertain": mean * 2 * LineMeter.BEAT / duration,
            "second": fastest(meter, flow, 1),
            "tenth": fastest(meter, flow, 0.1) / 10,
        }

    def _help(self, tool: Tool, place: Place, shared: Place | None) -> tuple[Place, str]:
        """Has Keepsake put the rest there for a tool that was stopped, so that its next steps can be
        measured: its objects are as s3fs writes them, which rclone and s3cmd read, too. Or shows it
        those of Keepsake itself, where they are `shared`."""
        (keepsake,) = (other for other in self.tools if isinstance(other, Keepsake))
        if not tool.ordinary or tool is keepsake:
            return place, "stopped"
        if shared:
            return replace(place, bucket=shared.bucket), "helped"
        home = place.home / "help"
        home.mkdir(exist_ok=True)
        helper = replace(place, home=home, endpoint=self.server.endpoint, seconds=OUR_SECONDS)
        with contextlib.suppress(measure.GaveUp):
            if keepsake.run(helper, Step("help", "")).status == 0:
                return place, "helped"
        return place, "stopped"


class Results:
    """A file that is whole at every moment."""

    def __init__(self, path: Path):
        self.path = path
        self.data: dict[str, Any] = {"cases": {}}
        with contextlib.suppress(FileNotFoundError):
            self.data = json.loads(path.read_text())

    def clear(self, **about: Any) -> None:
        self.data = {"cases": {}}
        self.describe(**about)

    def describe(self, **about: Any) -> None:
        self.data |= about
        self._save()

    def begin(self, case: Case) -> None:
        self.data["cases"][case.name] = {
            "title": case.title,
            "complete": False,
            "run": self.data["run"],
            "about": {
                "date": self.data["date"], "commit": self.data["commit"],
                "seconds": self.data["sizes"]["seconds"],
            },
            "steps": {step.name: {"title": step.title, "kind": step.kind, "tools": {}}
                      for step in case.steps},
        }  # fmt: skip
        self._save()

    def add(self, case: Case, step: Step, tool: Tool, result: Result) -> None:
        self.data["cases"][case.name]["steps"][step.name]["tools"][tool.name] = result
        self._save()

    def end(self, case: Case) -> None:
        self.data["cases"][case.name]["complete"] = True
        self._save()

    def is_complete(self, case: Case) -> bool:
        return self.data["cases"].get(case.name, {}).get("complete", False)

    def _save(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(self.data, indent=1))
        new.replace(self.path)


# -- about the machine --------------------------------------------------------------------------


def about(tools: list[Tool], sizes: Sizes) -> dict[str, Any]:
    cpu = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = re.search(r"^MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text(), re.MULTILINE)
    release = platform.freedesktop_os_release()
    ceph = subprocess.run(
        ["ceph", "--version"], env=clean_environment(), text=True, capture_output=True, timeout=20
    ).stdout.split()
    commit = subprocess.run(
        ["git", "-C", TOP, "rev-parse", "--short", "HEAD"], env=clean_environment(), text=True,
        capture_output=True, timeout=20,
    ).stdout.strip()  # fmt: skip
    return {
        "run": secrets.token_hex(4),
        "commit": commit or "unknown",
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{os.cpu_count()} processors ({cpu[1] if cpu else platform.machine()}), "
                   f"{int(memory[1]) / 2**20 if memory else 0:.0f} GiB of memory",
        "system": f"{release['PRETTY_NAME']}, Linux {platform.release().partition('-')[0]}",
        "server": f"Ceph RGW {ceph[2] if len(ceph) > 2 else ''}",
        "versions": {tool.name: tool.version() for tool in tools if not tool.missing()},
        "titles": {tool.name: tool.title for tool in tools},
        "sizes": asdict(sizes),
    }  # fmt: skip


def fastest(meter: LineMeter, flow: Flow, length: float) -> float:
    """Of the windows in which the meter was not stopped itself: others tell nothing."""
    return max(
        (speed for start, speed in flow.windows(length) if not meter.stopped(start, start + length)),
        default=flow.fastest(length),
    )


def last_line(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1][:160] if lines else "no message"


def say(text: str) -> None:
    print(text, flush=True)


def run(folder: Path, sizes: Sizes, names: list[str], go_on: bool) -> None:
    tools = all_tools(BINARY)
    wanted = [case for case in cases(sizes) if not names or case.name in names]
    with (
        short_folder("rgw") as rgw_folder, CephRgw(rgw_folder) as server,
        short_folder("count") as nginx, CountingProxy(nginx, server.endpoint) as proxy,
    ):  # fmt: skip
        bench = Bench(folder, server, proxy, tools)
        if go_on or names:
            bench.results.describe(**about(tools, sizes))
        else:
            bench.results.clear(**about(tools, sizes))
        for number, case in enumerate(wanted):
            if not (go_on and bench.results.is_complete(case)):
                bench.case(number, case, sizes)
                bench.results.end(case)


def main() -> int:
    stop_in_good_order()
    known = [case.name for case in cases(QUICK)]
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that all works")
    parser.add_argument("--continue", dest="go_on", action="store_true", help="leave out what is done")
    parser.add_argument("--page", action="store_true", help="measure nothing, write the page")
    parser.add_argument("--seconds", type=int, metavar="N", help="that a tool may take for a step")
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(known))
    options = parser.parse_args()
    if unknown := set(options.cases) - set(known):
        parser.error(f"no case {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    build = Path(os.environ.get("BUILD") or TOP / "build")
    folder = build / "bench" / ("quick" if options.quick else "full")
    sizes = QUICK if options.quick else Sizes()
    if options.seconds:
        sizes = replace(sizes, seconds=options.seconds)
    if not options.page:
        run(folder, sizes, options.cases, options.go_on)
    data = Results(folder / "results.json").data
    if not data["cases"]:
        parser.error("nothing has been measured yet")
    page = report.write(data, folder if options.quick else TOP / "docs")
    say(f"{page} is written.")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("dev bench: stopped; --continue goes on with the case that was measured")
