#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""Puts the releases of NEWS into the metainfo file.

    make-metainfo.py TEMPLATE NEWS OUTPUT [--for-old-appstream]

NEWS has a line "Keepsake VERSION, YYYY-MM-DD" for each release, or "(unreleased)" for a date, then
paragraphs, and points that begin with " * ". The versions of AppStream before 1.0 know the
developer under another name, and nothing of the new one.
"""

import datetime
import os
import re
import sys
import time
from xml.sax.saxutils import escape

HEADLINE = re.compile(r"Keepsake (\S+)(?:, (\d{4}-\d\d-\d\d)| \(unreleased\))")


def today() -> str:
    """As reproducible builds want it."""
    seconds = int(os.environ.get("SOURCE_DATE_EPOCH") or time.time())
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%d")


def describe(lines: list[str]) -> list[str]:
    """What stands below a headline, as AppStream's paragraphs and lists."""
    blocks: list[tuple[str, str]] = []
    fresh = True
    for line in lines:
        text = line.strip()
        if text.startswith("* "):
            blocks.append(("li", text[2:]))
        elif text and fresh:
            blocks.append(("p", text))
        elif text:
            blocks[-1] = (blocks[-1][0], f"{blocks[-1][1]} {text}")
        fresh = not text
    result = []
    for index, (tag, text) in enumerate(blocks):
        before = blocks[index - 1][0] if index else ""
        after = blocks[index + 1][0] if index + 1 < len(blocks) else ""
        if tag == "li" and before != "li":
            result.append("<ul>")
        result.append(f"<{tag}>{escape(text)}</{tag}>")
        if tag == "li" and after != "li":
            result.append("</ul>")
    return result


def releases(news: str) -> str:
    parts: list[tuple[str, str, list[str]]] = []
    for line in news.splitlines():
        if headline := HEADLINE.fullmatch(line.strip()):
            parts.append((headline[1], headline[2] or "", []))
        elif parts:
            parts[-1][2].append(line)
    if not parts:
        sys.exit("make-metainfo.py: NEWS has no line “Keepsake VERSION, YYYY-MM-DD”")
    result = []
    for version, date, lines in parts:
        kind = "stable" if date else "development"
        result += [
            f'    <release version="{version}" date="{date or today()}" type="{kind}">',
            '      <description translate="no">',
            *(f"        {line}" for line in describe(lines)),
            "      </description>",
            "    </release>",
        ]
    return "\n".join(result)


def main() -> None:
    template, news, output, *options = sys.argv[1:]
    with open(template, encoding="utf-8") as file:
        text = file.read()
    with open(news, encoding="utf-8") as file:
        before, place, after = text.partition("    <!-- the releases of NEWS -->")
        if not place:
            sys.exit(f"make-metainfo.py: {template} has no place for the releases of NEWS")
        text = before + releases(file.read()) + after
    if options:
        text = re.sub(r"<developer id=.*?>\s*<name>(.*?)</name>\s*</developer>",
                      r"<developer_name>\1</developer_name>", text)  # fmt: skip
    with open(output, "w", encoding="utf-8") as file:
        file.write(text)


main()
