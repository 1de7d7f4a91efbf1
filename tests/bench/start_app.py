# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""What the application costs until its window is drawn: processor time, user and system.

    ninja -C build tests/bench/hello-window
    /usr/bin/python3 tests/bench/start_app.py [TIMES]     # 10 if left out

The agent runs and has three plans. The first start only warms the disk cache up. The time is read
when the window is there and the process has come to rest, so it is an upper bound. In turns with it
a window with a label and nothing else is started: that much any application of these libraries
costs here.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from conftest import AGENT, BINARY, short_folder  # noqa: E402
from fixtures import wait_until  # noqa: E402
from fixtures.agent import Agent  # noqa: E402
from fixtures.ceph_rgw import CephRgw  # noqa: E402
from fixtures.desktop import Desktop  # noqa: E402
from fixtures.keyring import Keyring  # noqa: E402
from fixtures.session_bus import SessionBus  # noqa: E402

BUILD = BINARY.parent.parent.parent
PREFIX = "io.github.keepsake_backup"
HELLO = BUILD / "tests/bench/hello-window"
ENVIRONMENT = {"GSETTINGS_SCHEMA_DIR": str(BUILD / "data"), "GSK_RENDERER": "cairo",
               "GDK_BACKEND": "x11"}  # fmt: skip


def cpu_ms(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return 10 * (int(fields[11]) + int(fields[12]))


def start_once(bus: SessionBus, program: Path, name: str) -> int:
    process = bus.popen(program, env=ENVIRONMENT)
    wait_until(lambda: "keepsake" in bus.run("xprop", "-root", "_NET_CLIENT_LIST_STACKING").lower()
               or "# 0x" in bus.run("xprop", "-root", "_NET_CLIENT_LIST"), 20)  # fmt: skip
    rested, spent = 0, -1
    while rested < 10:  # a second in which nothing was spent
        time.sleep(0.1)
        now = cpu_ms(process.pid)
        rested, spent = (rested + 1, now) if now == spent else (0, now)
    bus.processes.stop(process)
    bus.wait_for_no_owner(name)
    return spent


def show(what: str, spent: list[int]) -> None:
    print(f"{what}: median {statistics.median(spent):g} ms, from {min(spent)} to {max(spent)} ms")


def main() -> None:
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    with short_folder("session") as folder, SessionBus(folder) as bus, Desktop(bus):
        agent = Agent(bus, Keyring(bus), CephRgw(folder / "none"), AGENT)
        for name in ("Documents", "Photos", "Music"):
            agent.add_plan(name, folder, "bucket", keys=False, endpoint="http://127.0.0.1:9")
        agent.start()
        programs = {"Keepsake": BUILD / "src/app/keepsake"}
        if HELLO.exists():
            programs["Hello"] = HELLO
        spent: dict[str, list[int]] = {name: [] for name in programs}
        for turn in range(times + 1):
            for name, program in programs.items():
                cost = start_once(bus, program, f"{PREFIX}.{name}")
                if turn > 0:
                    spent[name].append(cost)
    for name, costs in spent.items():
        show(name, costs)


if __name__ == "__main__":
    main()
