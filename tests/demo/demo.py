#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""Shows a backup, a change, a second backup and a restore, against a private S3 server, and then the
same on a desktop (desktop.py).

    demo.py [FOLDER]      FOLDER is only read: the demo works on a copy of it

Everything is in a temporary folder and on loopback, and is gone at the end.
"""

from __future__ import annotations

import math
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from desktop import show_desktop  # noqa: E402
from fixtures import clean_environment, stop_in_good_order
from fixtures.ceph_rgw import CephRgw
from fixtures.fault_proxy import FaultProxy
from fixtures.pictures import make_pictures, run_magick

MIB = 1 << 20
LARGEST = 1 << 30  # the server keeps everything in memory
DESTINATION = "s3://demo/pictures"
TOP = Path(__file__).resolve().parent.parent.parent
BINARY = Path(os.environ.get("KEEPSAKECTL") or TOP / "build/src/ctl/keepsakectl")
BUILD = BINARY.absolute().parent.parent.parent

BOLD, DIM, GREEN, RED, PLAIN = (
    ("\033[1m", "\033[2m", "\033[32m", "\033[31m", "\033[0m")
    if sys.stdout.isatty() and "NO_COLOR" not in os.environ
    else ("",) * 5
)


class Failure(Exception):
    pass


def heading(text: str) -> None:
    print(f"\n{BOLD}{text}{PLAIN}", flush=True)


def note(text: str) -> None:
    print(f"{DIM}{text}{PLAIN}", flush=True)


@dataclass
class Row:
    what: str
    seconds: float
    requests: int
    sent: int
    received: int


class Demo:
    def __init__(self, folder: Path, server: CephRgw, proxy: FaultProxy):
        self.folder = folder
        self.rows: list[Row] = []
        self.proxy = proxy
        # A terminal's size and kind, so that the progress line can draw itself.
        terminal = {k: os.environ[k] for k in ("TERM", "COLUMNS", "LINES") if k in os.environ}
        self.environment = clean_environment(
            HOME=str(folder / "home"),
            XDG_STATE_HOME=str(folder / "home/state"),
            AWS_ACCESS_KEY_ID=server.access_key,
            AWS_SECRET_ACCESS_KEY=server.secret_key,
            AWS_ENDPOINT_URL=proxy.endpoint,
            AWS_REGION="default",
            **terminal,
        )

    def keepsakectl(self, what: str, *args: str) -> None:
        """Shows the command, runs it on the terminal and counts what went over the wire."""
        print(f"{GREEN}$ keepsakectl {shlex.join(args)}{PLAIN}", flush=True)
        self.proxy.reset()
        started = time.monotonic()
        status = subprocess.run(
            [BINARY, *args], cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL
        ).returncode
        took = time.monotonic() - started
        proxy = self.proxy
        self.rows.append(Row(what, took, len(proxy.requests), proxy.bytes_up, proxy.bytes_down))
        if status != 0:
            raise Failure(f"keepsakectl {args[0]} ended with status {status}")

    def compare(self, one: str, other: str) -> None:
        command = ["rsync", "-ainc", "--delete", f"{one}/", f"{other}/"]
        print(f"{GREEN}$ {shlex.join(command)}{PLAIN}", flush=True)
        done = subprocess.run(
            command, cwd=self.folder, env=clean_environment(), capture_output=True, text=True
        )
        if done.stdout or done.returncode != 0:
            raise Failure(f"The restored folder differs:\n{done.stdout}{done.stderr}")
        print("Nothing differs: names, contents, modes, owners and times are the same.")

    def table(self) -> None:
        print(f"{DIM}{'':24}{'seconds':>9}{'requests':>10}{'sent':>12}{'received':>12}{PLAIN}")
        for row in self.rows:
            sent, received = f"{row.sent / MIB:.2f} MiB", f"{row.received / MIB:.2f} MiB"
            print(f"{row.what:24}{row.seconds:9.1f}{row.requests:10}{sent:>12}{received:>12}")


def weigh(folder: Path) -> tuple[int, int]:
    """Files and bytes below `folder`."""
    sizes = [
        os.lstat(os.path.join(where, name)).st_size
        for where, _, names in os.walk(folder)
        for name in names
    ]
    return len(sizes), sum(sizes)


def copy_folder(source: Path, target: Path) -> None:
    if not source.is_dir():
        raise Failure(f"{source} is not a folder")
    size = weigh(source)[1]
    if size > LARGEST:
        raise Failure(
            f"{source} holds {size / MIB:.0f} MiB; the demo's server keeps everything in memory "
            f"and takes up to {LARGEST // MIB} MiB"
        )
    command = ["cp", "-a", "--reflink=auto", "--", source, target]
    if subprocess.run(command, env=clean_environment()).returncode != 0:
        raise Failure(f"{source} could not be copied")


def change_one(pictures: Path, generated: bool) -> None:
    files = [
        path for path in sorted(pictures.rglob("*")) if path.is_file() and not path.is_symlink()
    ]
    if not files:
        raise Failure("there is no file to change")
    file = max(files, key=lambda path: path.stat().st_size)
    name = file.relative_to(pictures)
    if generated:
        run_magick(file, "-flip", file)
        note(f"{name} has been turned upside down.")
    else:
        with open(file, "ab") as end:
            end.write(b"\n")
        note(f"One byte has been added to {name}, in the copy.")


def limit_for(size: int) -> int:
    """MiB a second: 2, or what brings a large folder through in half a minute."""
    return max(2, math.ceil(size / MIB / 30))


def show(folder: Path, given: Path | None) -> None:
    pictures = folder / "Pictures"
    heading("Getting ready")
    with ThreadPoolExecutor(1) as pool:
        if given:
            note(f"{given} is only read: this works on a copy of it.")
            copying = pool.submit(copy_folder, given, pictures)
        else:
            note("Making twelve pictures.")
            copying = pool.submit(make_pictures, pictures)
        note("Starting an S3 server (Ceph) of its own on 127.0.0.1, everything in memory.")
        with CephRgw(folder / "server") as server, FaultProxy(server.endpoint) as proxy:
            try:
                copying.result()
                server.create_bucket("demo")
                tell(Demo(folder, server, proxy), pictures, generated=given is None)
                heading("7. The same on a desktop")
                show_desktop(folder / "desktop", BUILD, server, pictures, note)
            finally:
                # A second Ctrl-C must not leave a server behind.
                signal.signal(signal.SIGINT, signal.SIG_IGN)


def tell(demo: Demo, pictures: Path, generated: bool) -> None:
    count, size = weigh(pictures)
    limit = limit_for(size)
    where = DESTINATION
    mirror = ["mirror", "Pictures/", where, "--upload-limit", f"{limit}M", "-v"]
    (demo.folder / "home").mkdir()

    heading(f"1. Back up {count} files, {size / MIB:.1f} MiB, at no more than {limit} MiB/s")
    note(f"That takes about {size / MIB / limit:.0f} seconds.")
    demo.keepsakectl("first mirror", *mirror)

    heading("2. Change one file and back up again: only that one is sent")
    change_one(pictures, generated)
    demo.keepsakectl("mirror after a change", *mirror)

    heading("3. Look at what the bucket holds: ordinary objects, for any S3 tool")
    demo.keepsakectl("ls", "ls", where, "-l")

    heading("4. Restore to another folder")
    demo.keepsakectl("restore", "restore", where, "Restored")

    heading("5. Compare the two folders, byte for byte")
    demo.compare("Pictures", "Restored")

    heading("6. What went over the wire, counted in front of the server")
    demo.table()


def main() -> int:
    stop_in_good_order()
    given = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else None
    if not BINARY.exists():
        print(f"{BINARY} is not built; run ./dev build", file=sys.stderr)
        return 1
    try:
        with tempfile.TemporaryDirectory(prefix="keepsake-demo-") as folder:
            show(Path(folder), given)
    except Failure as failure:
        print(f"\n{RED}{failure}{PLAIN}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped; everything the demo made is gone.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
