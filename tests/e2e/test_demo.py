# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""The first thing that anybody sees of Keepsake: ./dev demo."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from conftest import BINARY, TOP, no_thread_sanitizer
from fixtures import PATIENCE
from fixtures.checks import write_files
from fixtures.trees import MIB

DEMO = TOP / "tests/demo/demo.py"


def commands() -> Iterator[bytes]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has ended since
            yield path.read_bytes()


@no_thread_sanitizer
def test_demo(tmp_path: Path) -> None:
    """Told in numbers, compared byte for byte, and nothing is left: no process, no file."""
    folder = write_files(
        tmp_path / "Pictures", {f"summer/{i}.jpg": os.urandom(MIB // 2) for i in range(6)}
    )
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    pictures = BINARY.parents[2] / "demo"
    shutil.rmtree(pictures, ignore_errors=True)
    done = subprocess.run(
        [sys.executable, "-s", DEMO, folder],
        env={**os.environ, "KEEPSAKECTL": str(BINARY), "TMPDIR": str(temporary)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=180 * PATIENCE,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "Nothing differs" in done.stdout
    table = re.findall(r"(?m)^(\S.*?) +[\d.]+ +(\d+) +([\d.]+) MiB +([\d.]+) MiB$", done.stdout)
    assert [row[0] for row in table] == ["first mirror", "mirror after a change", "ls", "restore"]
    sent = [float(row[2]) for row in table]
    assert 3 < sent[0] < 3.1 and 0.5 <= sent[1] < 0.6 and sent[2] < 0.1
    assert 3 < float(table[3][3]) < 3.1

    # On the desktop: what keyring, tray and notification said, and how it looked.
    assert re.search(r"keyring: .*s3-secret", done.stdout)
    assert re.search(r"The tray says: .*\d\d? ?%", done.stdout)
    assert re.search(r"A notification says: “Photos” is done: .*\d", done.stdout)
    for name in ("1-running.png", "2-done.png"):
        assert (pictures / name).stat().st_size > 10_000
    assert (pictures / "1-running.png").read_bytes() != (pictures / "2-done.png").read_bytes()

    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    assert list(temporary.iterdir()) == []
    assert [command for command in commands() if os.fsencode(temporary) in command] == []
