# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""A picture of ratios: a line for each step, a mark for each tool, on scales where each step to the
right is four times as much."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape

PANELS = {"wall": "time", "cpu": "CPU", "up": "bytes sent"}

# Told apart without colours, too.
MARKS = {
    "recipe": ("#c01c28", "square"), "rclone": ("#1a5fb4", "circle"),
    "rclone64": ("#1a5fb4", "ring"), "s3cmd": ("#986a44", "triangle"), "restic": ("#613583", "diamond"),
}  # fmt: skip

INK, PALE, RULE, OURS = "#241f31", "#5e5c64", "#deddda", "#26a269"
LINE, GAP, LEFT, WIDTH, TOP = 24, 36, 262, 216, 92
APART = 3.2  # of two tools in one line, up and down, so that neither hides the other
LOW, HIGH = -4.0, 8.0  # log2 of what the scales show: a sixteenth to 256 times

Dots = Mapping[str, Mapping[str, float]]


def draw(rows: Sequence[tuple[str, str, Dots]], titles: Mapping[str, str], date: str) -> str:
    """`rows` have the title of their case, their own, and for each panel the log2 of the ratios."""
    placed = list(_placed(rows))
    bottom = placed[-1][0] + LINE if placed else TOP
    width, height = LEFT + len(PANELS) * (WIDTH + GAP) + 12, bottom + 44
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        "<!-- SPDX-License-Identifier: GPL-3.0-or-later",
        "     SPDX-FileCopyrightText: The Keepsake authors -->",
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
        "  <title>How many times as much as Keepsake the others need</title>",
        f'  <rect width="{width}" height="{height}" rx="12" fill="#ffffff"/>',
        _text(18, 30, "How many times as much as Keepsake the others need", 17, INK, weight="bold"),
        *_legend(18, 54, titles),
    ]
    for number, (panel, title) in enumerate(PANELS.items()):
        left = LEFT + number * (WIDTH + GAP)
        lines += _scale(left, bottom, title)
        for y, row in placed:
            if row is not None:
                lines += _marks(left, y, row[2].get(panel, {}))
    lines += _labels(placed)
    lines.append(_text(width - 18, height - 14, f"measured on {date}; right of the green line Keepsake "
                       "needs less", 11, PALE, "end"))  # fmt: skip
    return "\n".join([*lines, "</svg>", ""])


def _placed(
    rows: Sequence[tuple[str, str, Dots]],
) -> Iterator[tuple[int, tuple[str, str, Dots] | None]]:
    """Each row with the y of its middle; None above the first of a case."""
    y, case = TOP + 24, ""
    for row in rows:
        if row[0] != case:
            y += 8 if case else 0
            case = row[0]
            yield y, None
            y += LINE
        yield y, row
        y += LINE


def _labels(placed: Sequence[tuple[int, tuple[str, str, Dots] | None]]) -> Iterator[str]:
    for number, (y, row) in enumerate(placed):
        if row is not None:
            yield _text(LEFT - 16, y + 4, row[1], 12, INK, "end")
            continue
        following = placed[number + 1][1]
        assert following is not None
        yield _text(18, y + 4, following[0], 12, INK, weight="bold")


def _x(left: int, log: float) -> float:
    return left + (min(max(log, LOW), HIGH) - LOW) / (HIGH - LOW) * WIDTH


def _scale(left: int, bottom: int, title: str) -> Iterator[str]:
    yield _text(left + WIDTH / 2, TOP - 14, title, 13, INK, "middle", "bold")
    for log in range(int(LOW), int(HIGH) + 1, 2):
        x = _x(left, log)
        label = f"{2**log}" if log >= 0 else f"1/{2**-log}"
        stroke = f'stroke="{OURS}" stroke-width="2"' if log == 0 else f'stroke="{RULE}"'
        yield f'  <path d="M {x:.1f} {TOP + 10} V {bottom - 6}" {stroke}/>'
        yield _text(x, TOP + 4, label, 10, OURS if log == 0 else PALE, "middle")


def _marks(left: int, y: int, logs: Mapping[str, float]) -> Iterator[str]:
    places = {name: APART * (number - (len(MARKS) - 1) / 2) for number, name in enumerate(MARKS)}
    for name, log in logs.items():
        yield _mark(name, _x(left, log), y + places[name])
    # What lies beyond the scale is written: of several, the one that is farthest.
    for outermost, limit, side, anchor in ((max, HIGH, -9, "end"), (min, LOW, 9, "start")):
        if not logs:
            continue
        name = outermost(logs, key=lambda tool: logs[tool])
        log = logs[name]
        if outermost(log, limit) == limit:
            continue
        ratio = f"{2**log:,.0f}" if log > 0 else f"1/{2**-log:,.0f}"
        yield _text(_x(left, log) + side, y + 4, ratio, 10, MARKS[name][0], anchor)


def _mark(name: str, x: float, y: float) -> str:
    colour, shape = MARKS[name]
    paths = {
        "square": f"M {x - 4:.1f} {y - 4:.1f} h 8 v 8 h -8 Z",
        "triangle": f"M {x:.1f} {y - 5:.1f} l 5 9 h -10 Z",
        "diamond": f"M {x:.1f} {y - 5.5:.1f} l 5.5 5.5 l -5.5 5.5 l -5.5 -5.5 Z",
    }
    style = f'fill="{colour}" fill-opacity="0.85" stroke="#ffffff" stroke-width="0.8"'
    if shape == "circle":
        return f'  <circle cx="{x:.1f}" cy="{y:.1f}" r="4.6" {style}/>'
    if shape == "ring":
        return (
            f'  <circle cx="{x:.1f}" cy="{y:.1f}" r="3.8" fill="#ffffff" stroke="{colour}" '
            'stroke-width="1.8"/>'
        )
    return f'  <path d="{paths[shape]}" {style}/>'


def _legend(x: float, y: float, titles: Mapping[str, str]) -> Iterator[str]:
    for name, title in titles.items():
        yield _mark(name, x + 5, y - 4)
        yield _text(x + 16, y, title, 12, INK)
        x += 36 + 7 * len(title)
    yield f'  <path d="M {x + 4:.1f} {y - 10} V {y + 3}" stroke="{OURS}" stroke-width="2"/>'
    yield _text(x + 14, y, "Keepsake", 12, INK)


def _text(
    x: float, y: float, text: str, size: int, colour: str, anchor: str = "start", weight: str = ""
) -> str:
    more = f' text-anchor="{anchor}"' if anchor != "start" else ""
    more += f' font-weight="{weight}"' if weight else ""
    return (
        f'  <text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}"{more}>'
        f"{escape(text)}</text>"
    )
