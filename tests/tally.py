#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""Counts test cases: tally.py FILE…, each Meson's testlog.json or a JUnit report (.xml) of pytest.

Prints "PASSED FAILED SKIPPED" as three numbers. A file that is not there counts nothing. Of a case that
is in more than one report the latest counts.

tally.py --failed FILE… prints which of pytest's cases failed, one a line, as its arguments.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path

TAP_LINE = re.compile(r"^(not ok|ok)\b[^#\n]*(?:#\s*(skip|todo))?", re.IGNORECASE | re.MULTILINE)


def count_meson(log: Path) -> Counter[str]:
    """Each case that a program reports in TAP; and its death, where no case tells of it."""
    total: Counter[str] = Counter()
    for line in log.read_text("utf-8", "replace").splitlines():
        test = json.loads(line)
        cases: Counter[str] = Counter()
        for verdict, directive in TAP_LINE.findall(test.get("stdout", "")):
            if directive.lower() == "skip":
                cases["skipped"] += 1
            else:
                good = verdict.lower() == "ok" or directive.lower() == "todo"
                cases["passed" if good else "failed"] += 1
        if test["result"] not in ("OK", "SKIP", "EXPECTEDFAIL"):
            cases["failed"] = max(cases["failed"], 1)
        elif not cases:
            cases["skipped" if test["result"] == "SKIP" else "passed"] += 1
        total += cases
    return total


def read_junit(reports: list[Path]) -> dict[str, str]:
    """The verdict of each case."""
    verdicts: dict[str, str] = {}
    for report in sorted(reports, key=lambda path: path.stat().st_mtime_ns):
        cases: dict[str, str] = {}
        for case in ElementTree.parse(report).iter("testcase"):
            tags = {child.tag for child in case}
            bad = tags & {"failure", "error"}
            name = f"tests/{case.get('file')}::{case.get('name')}"
            # A fixture that fails at its end may be a case of its own, with the same name.
            if cases.get(name) != "failed":
                cases[name] = "failed" if bad else "skipped" if "skipped" in tags else "passed"
        verdicts |= cases
    return verdicts


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--failed", action="store_true")
    parser.add_argument("file", nargs="+", type=Path)
    options = parser.parse_args()
    files = [path for path in options.file if path.exists()]
    verdicts = read_junit([path for path in files if path.suffix == ".xml"])
    if options.failed:
        for name, verdict in verdicts.items():
            if verdict == "failed":
                print(name)
        return
    total = Counter(verdicts.values())
    for path in files:
        if path.suffix != ".xml":
            total += count_meson(path)
    print(total["passed"], total["failed"], total["skipped"])


if __name__ == "__main__":
    main()
