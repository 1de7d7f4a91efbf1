# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""What the agent costs while nothing is due: memory and wake-ups, with the real clock.

    /usr/bin/python3 tests/bench/idle_agent.py [SECONDS]      # 300 if left out

A session with a tray, a keyring and a plan that was backed up and is due tomorrow. A wake-up is a
thread that slept and runs again: a voluntary context switch, of all threads.
"""

from __future__ import annotations

import sys
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from conftest import AGENT, s3_client, short_folder  # noqa: E402
from fixtures import wait_until  # noqa: E402
from fixtures.agent import Agent  # noqa: E402
from fixtures.ceph_rgw import CephRgw  # noqa: E402
from fixtures.desktop import Desktop  # noqa: E402
from fixtures.keyring import Keyring  # noqa: E402
from fixtures.session_bus import SessionBus  # noqa: E402


def switches(pid: int) -> dict[str, int]:
    """Voluntary context switches by thread: its number and name."""
    found = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        for line in (task / "status").read_text().splitlines():
            if line.startswith("voluntary_ctxt_switches"):
                found[f"{task.name} {(task / 'comm').read_text().strip()}"] = int(line.split()[1])
    return found


def memory(pid: int) -> dict[str, int]:
    """In KiB. Private is what nobody else has mapped; the rest are libraries that are shared."""
    wanted = {"Rss": 0, "Pss": 0, "Private_Clean": 0, "Private_Dirty": 0}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name in wanted:
            wanted[name] = int(rest.split()[0])
    return wanted


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def main() -> None:
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    with (
        short_folder("rgw") as rgw_folder, CephRgw(rgw_folder) as rgw,
        short_folder("session") as folder, SessionBus(folder) as bus, Desktop(bus),
    ):  # fmt: skip
        agent = Agent(bus, Keyring(bus), rgw, AGENT)
        agent.keyring.start()
        s3_client(rgw).create_bucket(Bucket="idle")
        pictures = folder / "Pictures"
        pictures.mkdir()
        (pictures / "one").write_text("1")
        # Twelve hours away, whenever this is run.
        due = datetime.now(timezone.utc) + timedelta(hours=12)
        plan = agent.add_plan("Photos", pictures, "idle", schedule=f"@daily {due:%H:%M}")
        agent.start()
        wait_until(lambda: plan.get("LastSuccess") > 0 and plan.get("State") == "idle", 60, "a run")
        pid = agent.pid
        time.sleep(10)
        before, cpu_before, start = switches(pid), cpu_seconds(pid), time.monotonic()
        time.sleep(seconds)
        minutes = (time.monotonic() - start) / 60
        by_thread = {name: n - before.get(name, 0) for name, n in switches(pid).items()}
        woken = sum(by_thread.values())
        cpu = cpu_seconds(pid) - cpu_before
        sizes = memory(pid)
        print(f"{minutes:.1f} minutes: {woken} wake-ups ({woken / minutes:.2f} a minute), "
              f"{cpu:.2f} s of CPU")  # fmt: skip
        for name, n in sorted(by_thread.items()):
            print(f"    {n:4} {name}")
        print(f"RSS {sizes['Rss'] / 1024:.1f} MiB, of which private "
              f"{(sizes['Private_Clean'] + sizes['Private_Dirty']) / 1024:.1f} MiB, "
              f"PSS {sizes['Pss'] / 1024:.1f} MiB")  # fmt: skip


if __name__ == "__main__":
    main()
