#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""Counts test cases: tally.py FILE…, each Meson's testlog.json or a JUnit report (.xml) of pytest.

Prints "PASSED FAILED SKIPPED" as three numbers. A file that is not there counts nothing.
"""

from __future__ import annotations

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


def count_junit(report: Path) -> Counter[str]:
    total: Counter[str] = Counter()
    for case in ElementTree.parse(report).iter("testcase"):
        tags = {child.tag for child in case}
        bad = tags & {"failure", "error"}
        total["failed" if bad else "skipped" if "skipped" in tags else "passed"] += 1
    return total


def main() -> None:
    total: Counter[str] = Counter()
    for path in map(Path, sys.argv[1:]):
        if path.exists():
            total += count_junit(path) if path.suffix == ".xml" else count_meson(path)
    print(total["passed"], total["failed"], total["skipped"])


if __name__ == "__main__":
    main()
