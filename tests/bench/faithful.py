# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""Whether what a tool has stored, or restored, is what was in the folder."""

from __future__ import annotations

import hashlib
import random
import shutil
from dataclasses import replace
from typing import Any

from bench.tools import PREFIX, Place, Tool
from bench.work import Content, Step, content
from fixtures.checks import rows
from fixtures.large_files import BLOCK

LOOKED_AT = 60  # objects whose metadata are read


def faults(
    tool: Tool, place: Place, step: Step, s3: Any, before: Content, wanted: Content
) -> list[str]:
    """What is wrong, in a few words each; nothing where all is as it should be. `wanted` is what the
    folder holds, `before` what it held before the step's change: of what has changed more is looked
    at."""
    if step.kind == "restore":
        return compare(wanted, content(place.target))
    if tool.ordinary:
        return _objects(wanted, before, s3, place.bucket)
    # What only the tool itself can read, it has to restore.
    target = place.home / "proof"
    proof = replace(place, home=target)
    target.mkdir()
    shutil.copytree(place.home / "cache", target / "cache")
    cost = tool.run(proof, Step("proof", "", kind="restore"))
    found = [f"its restore ends with {cost.status}"] if cost.status else []
    found += compare(wanted, content(proof.target))
    shutil.rmtree(target)
    return found


def compare(wanted: Content, found: Content) -> list[str]:
    names = wanted.files.keys() & found.files.keys()
    both = [(wanted.files[name], found.files[name]) for name in names]
    return _words(
        missing=len(wanted.files.keys() - found.files.keys()),
        extra=len(found.files.keys() - wanted.files.keys()),
        bytes=sum((a.size, a.md5) != (b.size, b.md5) for a, b in both),
        modes=sum(a.mode != b.mode for a, b in both),
        times=sum(a.mtime != b.mtime for a, b in both),
        folders=sum(found.folders.get(name) != kept for name, kept in wanted.folders.items()),
    )


def _words(missing: int, extra: int, bytes: int, modes: int, times: int, folders: int) -> list[str]:
    counts = {
        "missing": missing, "too many": extra, "with other bytes": bytes, "with another mode": modes,
        "with another time": times, "folders not kept": folders,
    }  # fmt: skip
    return [f"{count:,} {what}" for what, count in counts.items() if count]


def _objects(wanted: Content, before: Content, s3: Any, bucket: str) -> list[str]:
    listed = {key.removeprefix(f"{PREFIX}/"): row for key, row in rows(s3, bucket).items()}
    stored = {name for name in listed if not name.endswith("/")} - {""}
    both = sorted(wanted.files.keys() & stored)
    # An ETag is the MD5 of what was sent in one piece.
    other = [
        name for name in both
        if listed[name]["ETag"].strip('"') != wanted.files[name].md5
        and ("-" not in listed[name]["ETag"] or _md5(s3, bucket, name) != wanted.files[name].md5)
    ]  # fmt: skip
    changed = [name for name in both if before.files.get(name) != wanted.files[name]]
    sample = set(_some(changed, LOOKED_AT // 2)) | set(_some(both, LOOKED_AT // 2))
    said = {name: _metadata(s3, bucket, name) for name in sample}
    folders = _some(sorted(wanted.folders), LOOKED_AT)
    lost = [
        name for name in folders
        if f"{name}/" not in listed or _metadata(s3, bucket, f"{name}/") != wanted.folders[name]
    ]  # fmt: skip
    return [
        f"{words} of {len(sample):,}" if " mode" in words or " time" in words else words
        for words in _words(
            missing=len(wanted.files.keys() - stored),
            extra=len(stored - wanted.files.keys()),
            bytes=len(other),
            modes=sum(said[name][0] != wanted.files[name].mode for name in sample),
            times=sum(said[name][1] != wanted.files[name].mtime for name in sample),
            folders=len(lost),
        )
    ]


def _some(names: list[str], count: int) -> list[str]:
    return random.Random("sample").sample(names, min(count, len(names)))


def _md5(s3: Any, bucket: str, name: str) -> str:
    digest = hashlib.md5()
    for piece in s3.get_object(Bucket=bucket, Key=f"{PREFIX}/{name}")["Body"].iter_chunks(BLOCK):
        digest.update(piece)
    return digest.hexdigest()


def _metadata(s3: Any, bucket: str, name: str) -> tuple[int | None, int | None]:
    """Mode and time as the object carries them, in the words of s3fs, rclone or s3cmd."""
    metadata = s3.head_object(Bucket=bucket, Key=f"{PREFIX}/{name}")["Metadata"]
    if attributes := metadata.get("s3cmd-attrs"):
        metadata = dict(pair.split(":", 1) for pair in attributes.split("/"))
    mode = None
    if text := metadata.get("mode"):
        # rclone writes it with octal digits: 100644, which is none as a number.
        mode = int(text, 8 if int(text) > 0o177777 else 10) & 0o7777
    mtime = int(float(metadata["mtime"])) if "mtime" in metadata else None
    return mode, mtime
