# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""The page that is made of the results, and its picture."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import chart
from fixtures.trees import MIB

OURS = "Keepsake"
BEGIN = "<!-- what ./dev bench has measured -->"
END = "<!-- end of what ./dev bench has measured -->"
KIB = 1024
LIMIT = 256 * KIB

Result = dict[str, Any]

# What is compared: key, word, and how a value is written.
MEASURES = [("wall", "time"), ("cpu", "CPU"), ("rss", "memory"), ("requests", "requests"), ("up", "sent")]


@dataclass
class Row:
    """One step of one case."""

    case: str
    case_title: str
    step: str
    title: str
    kind: str
    tools: dict[str, Result]

    @property
    def name(self) -> str:
        return f"{self.case_title}: {self.title}"

    def ours(self) -> Result | None:
        """If it has done what the step is about."""
        found = self.tools.get(OURS, {})
        return found if self.is_done(found) else None

    def peers(self) -> dict[str, Result]:
        """Those that have done what the step is about."""
        return {
            name: result
            for name, result in self.tools.items()
            if name != OURS and self.is_done(result)
        }

    def is_done(self, result: Result) -> bool:
        if "wall" not in result or result["status"] != 0:
            return False
        matters = {"chmod": "mode", "touch": "time"}.get(self.step, "bytes")
        wrong = ("missing", "too many", "bytes", "restore ends", matters)
        return not any(word in fault for fault in result["faults"] for word in wrong)

    def is_whole(self, result: Result) -> bool:
        """It is done, with all that changed: where files go or come, the time of their folder does."""
        return self.is_done(result) and not (
            self.step in ("rename", "delete") and any("folders" in fault for fault in result["faults"])
        )

    def best(self, measure: str, among: list[str] | None = None) -> tuple[str, float] | None:
        values = [
            (value(result, measure), name)
            for name, result in self.peers().items()
            if among is None or name in among
        ]
        return min(values)[::-1] if values else None

    def ratio(self, measure: str) -> tuple[float, str] | None:
        """Ours as a multiple of the best peer's."""
        ours, best = self.ours(), self.best(measure)
        if ours is None or best is None or best[1] <= 0 or value(ours, measure) <= 0:
            return None
        return value(ours, measure) / best[1], best[0]


def rows(data: dict[str, Any]) -> Iterator[Row]:
    for case, found in data["cases"].items():
        for step, about in found["steps"].items():
            yield Row(case, found["title"], step, about["title"], about["kind"], about["tools"])


def value(result: Result, measure: str) -> float:
    return sum(result["kinds"].values()) if measure == "requests" else result[measure]


# -- words --------------------------------------------------------------------------------------


def seconds(number: float) -> str:
    return f"{number:.2f} s" if number < 10 else f"{number:.1f} s" if number < 100 else f"{number:.0f} s"


def size(number: float) -> str:
    for unit, factor in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if number >= factor:
            return f"{number / factor:.3g} {unit}" if number < 1000 * factor else (
                f"{number / factor:,.0f} {unit}")  # fmt: skip
    return f"{number:.0f} B"


def times(ratio: float) -> str:
    return f"{ratio:.0f}" if ratio >= 10 else f"{ratio:.1f}" if ratio >= 1.95 else f"{ratio:.2f}"


def kinds(result: Result) -> str:
    found = sorted(result["kinds"].items(), key=lambda pair: -pair[1])
    total = f"{sum(count for _, count in found):,}"
    if len(found) < 2:
        return f"{total} {found[0][0]}" if found else total
    return f"{total}: " + ", ".join(f"{count:,} {kind}" for kind, count in found)


def fidelity(result: Result) -> str:
    if result["status"]:
        return result["reason"]
    if result.get("helped"):
        return ""  # most of it is Keepsake's work
    return "yes" if not result["faults"] else "no: " + "; ".join(result["faults"])


def in_short(result: Result) -> str:
    if "wall" not in result:
        return result["reason"] + (f": {kinds(result)}" if "cpu" in result else "")
    text = (
        f"{seconds(result['wall'])}, CPU {seconds(result['cpu'])}, {size(result['rss'])}, "
        f"{kinds(result)}, {size(result['up'])} sent, server {seconds(result['server_cpu'])}, "
        f"faithful: {fidelity(result)}"
    )
    if "mean" in result:
        text += f"; {limit_words(result)}"
    return f"{text} ({result['reason']})" if "reason" in result else text


def limit_words(result: Result) -> str:
    return (
        f"mean {result['mean'] / KIB:.1f} KiB/s, worst second {result['second'] / KIB:.0f} KiB, "
        f"worst tenth {result['tenth'] / KIB:.0f} KiB"
    )


# -- tables -------------------------------------------------------------------------------------


def table(head: list[str], body: list[list[str]]) -> list[str]:
    return [
        "| " + " | ".join(head) + " |",
        "|" + "---|" * len(head),
        *("| " + " | ".join(cells) + " |" for cells in body),
        "",
    ]


def ratio_table(all_rows: list[Row], titles: dict[str, str]) -> list[str]:
    body = []
    for row in all_rows:
        if row.kind == "limit" or row.ours() is None:
            continue
        cells = [row.name]
        for measure, _ in MEASURES:
            found = row.ratio(measure)
            if found is None:
                cells.append("—")
                continue
            text = f"{times(found[0])} {titles[found[1]]}"
            cells.append(f"**{text}**" if found[0] > 1.05 else text)
        body.append(cells)
    return table(["", *(word for _, word in MEASURES)], body)


def case_tables(all_rows: list[Row], titles: dict[str, str]) -> Iterator[str]:
    case = ""
    for row in all_rows:
        if row.kind == "limit":
            continue
        if row.case != case:
            case = row.case
            yield from ["", f"### {row.case_title}", ""]
            yield from table(
                ["", "", "time", "CPU", "memory", "requests", "connections", "sent", "received",
                 "faithful"], []
            )[:2]
        for number, (name, title) in enumerate(titles.items()):
            result = row.tools.get(name)
            if result is None:
                continue
            first = [row.title if number == 0 else "", title]
            yield "| " + " | ".join(first + _cells(result)) + " |"


def _cells(result: Result) -> list[str]:
    if "cpu" not in result:
        return [result["reason"], *[""] * 7]
    mark = " ¹" if result.get("helped") else ""
    is_over = "wall" in result
    return [
        (seconds(result["wall"]) if is_over else result["reason"]) + mark, seconds(result["cpu"]),
        size(result["rss"]) if result["rss"] else "over too soon", kinds(result),
        f"{result['connections']:,}",
        size(result["up"]), size(result["down"]), fidelity(result) if is_over else "",
    ]  # fmt: skip


def limit_table(all_rows: list[Row], titles: dict[str, str]) -> list[str]:
    body = []
    for row in all_rows:
        for name, title in titles.items():
            result = row.tools.get(name)
            if row.kind != "limit" or result is None:
                continue
            title = "s3fs + rsync, s3fs in trickle" if name == "recipe" else title
            if "mean" in result:
                body.append([
                    title, f"{result['mean'] / KIB:.1f} KiB/s", f"{result['second'] / KIB:.0f} KiB",
                    f"{result['tenth'] / KIB:.0f} KiB",
                ])  # fmt: skip
            else:
                body.append([title, result["reason"], "", ""])
    return table(["", "mean", "worst second", "worst tenth of a second"], body)


# -- what was to be true ------------------------------------------------------------------------


class Claims:
    """Each sentence with "holds" or "does not hold", and the figures that say so."""

    def __init__(self, all_rows: list[Row], titles: dict[str, str], ordinary: list[str]):
        self.rows = {(row.case, row.step): row for row in all_rows}
        self.titles = titles
        self.ordinary = ordinary
        self.lines: list[list[str]] = []

    def _add(self, what: str, holds: bool | None, why: str) -> None:
        verdict = "not measured" if holds is None else "holds" if holds else "**does not hold**"
        self.lines.append([what, verdict, why])

    def _against(self, case: str, step: str, name: str, measure: str) -> float | None:
        """How many times ours the tool has; of one that was stopped, at least."""
        row = self.rows.get((case, step))
        ours = row.ours() if row else None
        theirs = row.tools.get(name, {}) if row else {}
        if ours is None:
            return None
        stopped = re.fullmatch(r"gave up after (\d+) s", theirs.get("reason", ""))
        if stopped and measure == "wall":
            return float(stopped[1]) / value(ours, measure)
        done = stopped or (row is not None and row.is_done(theirs))
        return value(theirs, measure) / value(ours, measure) if done else None

    def all(self) -> list[list[str]]:
        self._tiny()
        for case, words, least in (
            ("small", "small files at once: CPU, a quarter of rclone's", {"cpu": 4.0}),
            ("small", "small files at once: no slower than rclone", {"wall": 1.0}),
            ("far", "small files, 25 ms each way: five times as fast as rclone", {"wall": 5.0}),
        ):
            ((measure, wanted),) = least.items()
            found = self._against(case, "first", "rclone", measure)
            stopped = "wall" not in self.rows[case, "first"].tools["rclone"] if found else False
            least_word = "at least " if stopped else ""
            self._add(words, None if found is None else found >= wanted,
                      f"rclone has {least_word}{times(found)} times as much" if found else "")
        for case, words in (("pictures", "pictures"), ("large", "the large file")):
            self._cpu_of_first(case, words)
        for row in self.rows.values():
            if row.kind == "backup" and row.step not in ("first", "none"):
                self._change(row)
        self._limit()
        return self.lines

    def _tiny(self) -> None:
        row = self.rows.get(("tiny", "none"))
        ours = row.ours() if row else None
        others = row.tools.items() if row else ()
        # Also those that were stopped: they have used so much until then.
        used = sorted(
            (result["cpu"], name) for name, result in others
            if name != OURS and "cpu" in result and result["status"] == 0)  # fmt: skip
        what = "nothing changed among very many files: less CPU than any"
        if ours is None or not used:
            self._add(what, None, "")
            return
        cpu, name = used[0]
        self._add(what, ours["cpu"] < cpu,
                  f"{seconds(ours['cpu'])} and {size(ours['rss'])}; {self.titles[name]}, the next, "
                  f"{seconds(cpu)}")  # fmt: skip

    def _cpu_of_first(self, case: str, words: str) -> None:
        row = self.rows.get((case, "first"))
        ours, best = (row.ours(), row.best("cpu")) if row else (None, None)
        what = f"{words}: less CPU per GiB than any"
        if ours is None or best is None:
            self._add(what, None, "")
            return
        gib = ours["up"] / (1 << 30)
        self._add(what, ours["cpu"] < best[1],
                  f"{seconds(ours['cpu'] / gib)}; {self.titles[best[0]]} {seconds(best[1] / gib)}")
        share = ours["server_cpu"] / (ours["server_cpu"] + ours["cpu"])
        self._add(f"{words}: limited by the server", share > 0.5 and ours["busy"] >= 0.9,
                  f"of the CPU time of both the server took {share:.0%}, and the processors were "
                  f"{ours['busy']:.0%} busy")  # fmt: skip

    def _change(self, row: Row) -> None:
        whole = [name for name in self.ordinary if row.is_whole(row.tools.get(name, {}))]
        ours, best = row.ours(), row.best("up", whole)
        what = f"{row.title}: fewer bytes sent than any with ordinary objects that did it"
        if ours is None or best is None:
            self._add(what, None, "none of them has done it" if ours else "")
        else:
            self._add(what, ours["up"] < best[1],
                      f"{size(ours['up'])}; {self.titles[best[0]]} {size(best[1])}{self._undone(row)}")
        restic = row.tools.get("restic", {})
        what = f"{row.title}: at most 1.1 times restic's bytes and 5 MiB"
        if ours is None or not row.is_done(restic):
            self._add(what, None, "")
        else:
            self._add(what, ours["up"] <= 1.1 * restic["up"] + 5 * MIB,
                      f"{size(ours['up'])}; restic {size(restic['up'])}")  # fmt: skip

    def _undone(self, row: Row) -> str:
        """Who has sent less than Keepsake, and left something undone."""
        ours = row.tools[OURS]["up"]
        found = [
            f"; {self.titles[name]} {size(result['up'])}, with {', '.join(result['faults'])}"
            for name, result in row.tools.items()
            if name in self.ordinary and "wall" in result and result["up"] < ours
            and not row.is_whole(result)
        ]  # fmt: skip
        return "".join(found)

    def _limit(self) -> None:
        row = self.rows.get(("limit", "limit"))
        ours = row.tools.get(OURS, {}) if row else {}
        wanted = "limit: mean within 1 %, worst second within 5 %, worst tenth under 40 KiB"
        if row is None or "mean" not in ours:
            self._add(wanted, None, "")
            return
        self._add(
            wanted,
            abs(ours["mean"] / LIMIT - 1) <= 0.01 and ours["second"] <= 1.05 * LIMIT
            and ours["tenth"] < 40 * KIB,
            limit_words(ours),
        )  # fmt: skip
        others = [row.tools[name] for name in ("recipe", "rclone") if "mean" in row.tools.get(name, {})]
        closer = all(
            abs(ours["mean"] - LIMIT) <= abs(other["mean"] - LIMIT) + ours["uncertain"]
            and ours["second"] <= other["second"] and ours["tenth"] <= other["tenth"]
            for other in others
        )  # fmt: skip
        self._add("limit: kept more closely than by trickle and rclone, of means as far as the meter can tell",
                  closer if len(others) == 2 else None,
                  f"it tells means by {ours['uncertain'] / KIB:.2f} KiB/s; the table below")  # fmt: skip


def worse(all_rows: list[Row], titles: dict[str, str]) -> list[str]:
    """What Keepsake needs more of than the best peer, by what it is, the worst first."""
    lines = []
    for measure, word in MEASURES:
        found = []
        for row in all_rows:
            ratio = row.ratio(measure) if row.kind != "limit" else None
            if ratio is not None and ratio[0] > 1.05:
                found.append((ratio[0], f"{row.name} ({times(ratio[0])} times {titles[ratio[1]]})"))
        if found:
            texts = [text for _, text in sorted(found, key=lambda pair: -pair[0])]
            lines.append(f"- **{word}**: " + "; ".join(texts))
    return lines or ["- nothing of this"]


# -- the page -----------------------------------------------------------------------------------

INTRODUCTION = """\
## Keepsake beside what people would use instead

Written by `./dev bench`, which does all of it in one run: every step is done by one tool after the
other, on the same files, against the same server, before the files are changed for the next step.

| | |
|---|---|
| date | {date} |
| machine | {machine} |
| system | {system} |
| server | {server} on the same machine, everything in its memory |
| tools | {versions} |
| program and measurement | of commit {commit} |

All requests go through the same nginx, which counts them and holds nothing back; before it stands, where
there is a delay or a limit, a proxy of the tests, which holds each way up for that long, or notes when
what was sent. Tool, nginx and server share the processors, and other work on the machine shows in the times
and a little in the CPU: only what was measured in one run can be compared. All files have been read before
and are in the page cache; what is new is on the disk.
CPU is user and system time of the tool and of all that it starts (s3fs with rsync); memory the largest
of its processes; bytes include the heads. A tool has {limit} seconds for a step, Keepsake half an hour,
as others may go on with what it has stored; of one that was stopped the figures are those until then.
*Faithful* says whether the bytes of all objects are those of the files, and whether mode and time of up to
60 objects and of up to 60 folders are; of restic, whether what it restores is. rclone and s3cmd store no
folders, and are compared with all the same; only where bytes are compared of those that have done a step,
the time of a folder whose files go is a part of it.

The tools are those of Debian 12, used as their manuals say, without tuning: rclone with `--metadata`, and
where a folder was renamed with `--track-renames`; Keepsake there with `--max-delete`, as it would ask before
a third of all names goes; rsync without `--inplace`, s3cmd without `--cache-file`. s3fs is mounted for each
run, as in a nightly job. How many connections there are is each tool's own choice, but for a second rclone
that is told to use 64 where there are many small files.
"""

NOTES = """\
¹ A run before was stopped, and Keepsake has put the rest there, as s3fs writes objects; or, where nothing
is changed later, the tool looks at Keepsake's own bucket.
"""


def runs(data: dict[str, Any]) -> list[str]:
    """Says so where not all cases come from one run: figures of two are not to be compared."""
    found: dict[str, list[dict[str, Any]]] = {}
    for case in data["cases"].values():
        found.setdefault(case["run"], []).append(case)
    if len(found) < 2:
        return []
    apart = sorted(found.values(), key=len)[:-1]
    return ["In runs of their own were measured: "
            + "; ".join(f"{case['title']} ({case['about']['date']}, {case['about']['seconds']} seconds for "
                        f"a step, commit {case['about']['commit']})" for cases in apart for case in cases)
            + ".", ""]  # fmt: skip


def page(data: dict[str, Any]) -> str:
    titles: dict[str, str] = data["titles"]
    all_rows = list(rows(data))
    ordinary = [name for name in titles if name not in (OURS, "restic")]
    missing = [title for name, title in titles.items() if name not in data["versions"]]
    versions = ", ".join(dict.fromkeys(data["versions"].values()))
    versions += f"; not installed: {', '.join(missing)}" if missing else ""
    lines = [
        INTRODUCTION.format(**{
            **data, "versions": versions, "limit": data["sizes"]["seconds"],
        }),
        *runs(data),
        "![How many times as much as Keepsake the others need](performance.svg)", "",
        "### What was to be true", "",
        *table(["", "", ""], Claims(all_rows, titles, ordinary).all()),
        "### What Keepsake is worse at", "",
        "By more than a twentieth, beside the best tool of each line:", "",
        *worse(all_rows, titles), "",
        "### Keepsake as a multiple of the best of the others", "",
        "Less than 1 is better; the name is that of the best. Who has not done what a step is about is",
        "left out of it.", "",
        *ratio_table(all_rows, titles),
        "### The limit", "",
        f"Sent by the line, heads included, at 256 KiB/s; a tenth of a second is {LIMIT / KIB / 10:.1f} KiB.", "",
        *limit_table(all_rows, titles),
        *case_tables(all_rows, titles), "",
        NOTES,
    ]  # fmt: skip
    return "\n".join(lines)


def write(data: dict[str, Any], folder: Path) -> Path:
    """Into performance.md and performance.svg; what else stands in the page stays."""
    path = folder / "performance.md"
    text = path.read_text() if path.exists() else f"# Performance\n\n{BEGIN}\n{END}\n"
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise SystemExit(f"{path}: it should have one line “{BEGIN}” and one “{END}”")
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    path.write_text(f"{before}{BEGIN}\n{page(data)}{END}{after}")
    (folder / "performance.svg").write_text(draw(data))
    return path


def draw(data: dict[str, Any]) -> str:
    found = []
    for row in rows(data):
        ours = row.ours()
        if row.kind == "limit" or ours is None:
            continue
        dots = {
            measure: {
                name: math.log2(value(result, measure) / value(ours, measure))
                for name, result in row.peers().items()
                if value(result, measure) > 0 and value(ours, measure) > 0
            }
            for measure in chart.PANELS
        }
        found.append((row.case_title, row.title, dots))
    return chart.draw(found, {n: t for n, t in data["titles"].items() if n != OURS}, data["date"])
