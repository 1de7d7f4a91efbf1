# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""The programs that are measured, each as its manual says it is used.

None is tuned, Keepsake neither, but for one rclone beside the other; what differs from the defaults
says so where it is done.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.measure import Cost, GaveUp, Program
from bench.work import Step
from fixtures import clean_environment, wait_until

REGION = "default"  # what a Ceph gateway calls its own
PREFIX = "backup"
KIB_PER_SECOND = 256


@dataclass(frozen=True)
class Place:
    """Where a tool works in one case."""

    source: Path
    home: Path  # its own, empty at first
    endpoint: str
    bucket: str
    access_key: str
    secret_key: str
    seconds: float

    @property
    def target(self) -> Path:
        """Where it restores to."""
        return self.home / "restored"

    def environment(self, **more: str) -> dict[str, str]:
        return clean_environment(
            HOME=str(self.home),
            AWS_ACCESS_KEY_ID=self.access_key,
            AWS_SECRET_ACCESS_KEY=self.secret_key,
            **more,
        )

    def run(self, args: Sequence[str | Path], env: dict[str, str], cwd: Path | None = None) -> Cost:
        return Program(args, env, self.home / "log", cwd).wait(self.seconds)


class Tool:
    name = ""
    title = ""
    programs: Sequence[str] = ()
    # Its objects are files that any S3 program can read.
    ordinary = True
    # The cases that it is measured in; all of them where there is none.
    cases: Sequence[str] = ()

    def missing(self) -> str:
        """The programs that are not here."""
        path = clean_environment()["PATH"]
        return ", ".join(name for name in self.programs if not shutil.which(name, path=path))

    def version(self) -> str:
        return ", ".join(_version(name) for name in self.programs)

    def prepare(self, place: Place) -> None:
        """What is done once for a destination, and not measured."""

    def run(self, place: Place, step: Step) -> Cost:
        """May raise GaveUp."""
        raise NotImplementedError


def _version(program: str) -> str:
    """The first number with a point that it says when it is asked for its version."""
    for option in ("--version", "version", "-V"):
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            done = subprocess.run(
                [program, option], env=clean_environment(HOME="/nonexistent"), text=True,
                stdin=subprocess.DEVNULL, capture_output=True, timeout=20,
            )  # fmt: skip
            if found := re.search(r"\d+(\.\d+)+", done.stdout + done.stderr):
                return f"{Path(program).name} {found[0]}"
    return Path(program).name


class Keepsake(Tool):
    name = title = "Keepsake"

    def __init__(self, binary: Path):
        self.programs = [str(binary)]
        self._binary = binary

    def version(self) -> str:
        return super().version().replace("keepsakectl", "Keepsake")

    def run(self, place: Place, step: Step) -> Cost:
        address = f"s3://{place.bucket}/{PREFIX}"
        args: list[str | Path]
        if step.kind == "restore":
            args = ["restore", address, place.target]
        else:
            args = ["mirror", "--delete", f"{place.source}/", address]
        if step.kind == "limit":
            args.insert(1, f"--upload-limit={KIB_PER_SECOND}K")
        if step.name == "rename":
            # A third of all names goes: what the delete guard asks about.
            args.insert(1, "--max-delete=100000")
        env = place.environment(
            XDG_STATE_HOME=str(place.home / "state"), XDG_CONFIG_HOME=str(place.home / "config"),
            AWS_ENDPOINT_URL=place.endpoint, AWS_REGION=REGION,
        )  # fmt: skip
        return place.run([self._binary, *args], env)


class Recipe(Tool):
    """The bucket is mounted for the run and no longer, as a nightly job would do it."""

    name = "recipe"
    title = "s3fs + rsync"
    programs = ["s3fs", "rsync", "trickle", "fusermount3"]

    def version(self) -> str:
        return ", ".join(_version(name) for name in self.programs[:3])

    def run(self, place: Place, step: Step) -> Cost:
        passwd = place.home / "passwd"
        if not passwd.exists():
            passwd.touch(mode=0o600)
            passwd.write_text(f"{place.access_key}:{place.secret_key}\n")
        mount = place.home / "mount"
        mount.mkdir(exist_ok=True)
        options = f"url={place.endpoint},use_path_request_style,use_wtf8,passwd_file={passwd}"
        # rsync sends nothing itself: it is s3fs that has to be slowed down.
        slowly = ["trickle", "-s", "-u", str(KIB_PER_SECOND)] if step.kind == "limit" else []
        start = time.monotonic()
        s3fs = Program(
            [*slowly, "s3fs", place.bucket, mount, "-f", "-o", options],
            clean_environment(HOME=str(place.home)), place.home / "s3fs.log",
        )  # fmt: skip
        try:
            wait_until(lambda: mount.is_mount() or s3fs.is_over(), 30, "s3fs")
            if s3fs.is_over():
                return s3fs.wait(0)
            rsync = self._rsync(place, step, mount)
            with contextlib.suppress(OSError):
                s3fs.weigh()
            subprocess.run(["fusermount3", "-u", mount], timeout=60, capture_output=True)
            cost = s3fs.wait(max(10, start + place.seconds - time.monotonic()))
        except GaveUp as end:
            with contextlib.suppress(OSError):
                s3fs.weigh()
            raise GaveUp(self._together(start, s3fs.kill(), end.cost)) from None
        finally:
            # Where it was stopped; else this finds nothing.
            s3fs.kill()
            unmount(mount)
        return self._together(start, cost, rsync)

    @staticmethod
    def _together(start: float, s3fs: Cost, rsync: Cost) -> Cost:
        return Cost(
            time.monotonic() - start, s3fs.cpu + rsync.cpu, max(s3fs.rss, rsync.rss),
            rsync.status or s3fs.status, rsync.output or s3fs.output,
        )  # fmt: skip

    def _rsync(self, place: Place, step: Step, mount: Path) -> Cost:
        here, there = f"{place.source}/", f"{mount}/{PREFIX}/"
        args = ["-a", there, f"{place.target}/"] if step.kind == "restore" else ["-a", "--delete",
                                                                                here, there]
        return place.run(["rsync", *args], clean_environment(HOME=str(place.home)))


def unmount(folder: Path) -> None:
    """Whatever state it is in; to ask whether something is mounted fails where its s3fs is dead."""
    subprocess.run(["fusermount3", "-uz", folder], timeout=60, capture_output=True)


class Rclone(Tool):
    name = title = "rclone"
    programs = ["rclone"]
    options: Sequence[str] = ()

    def run(self, place: Place, step: Step) -> Cost:
        config = place.home / "rclone.conf"
        config.touch()
        remote = f"there:{place.bucket}/{PREFIX}"
        args: list[str | Path]
        if step.kind == "restore":
            args = ["copy", remote, place.target]
        else:
            args = ["sync", place.source, remote]
        args += ["--metadata", *self.options]
        if step.kind == "limit":
            args.append(f"--bwlimit={KIB_PER_SECOND}k")
        if step.name == "rename":
            # Without this option it would send all of it again.
            args.append("--track-renames")
        env = place.environment(
            RCLONE_CONFIG=str(config),
            RCLONE_CONFIG_THERE_TYPE="s3",
            RCLONE_CONFIG_THERE_PROVIDER="Ceph",
            RCLONE_CONFIG_THERE_ENDPOINT=place.endpoint,
            RCLONE_CONFIG_THERE_REGION=REGION,
            RCLONE_CONFIG_THERE_ENV_AUTH="true",
        )
        return place.run(["rclone", *args], env)


class WideRclone(Rclone):
    """With as many connections as Keepsake may use, where that matters most."""

    name = "rclone64"
    title = "rclone, 64 at once"
    options = ("--transfers=64", "--checkers=64")
    cases = ("small", "far")


class S3cmd(Tool):
    name = title = "s3cmd"
    programs = ["s3cmd"]

    def run(self, place: Place, step: Step) -> Cost:
        host = place.endpoint.removeprefix("http://")
        config = place.home / "s3cmd.conf"
        config.touch(mode=0o600)
        config.write_text(
            "[default]\n"
            f"access_key = {place.access_key}\nsecret_key = {place.secret_key}\n"
            f"host_base = {host}\nhost_bucket = {host}\n"
            f"use_https = False\nbucket_location = {REGION}\n"
        )
        args = [f"--config={config}", "--no-progress", "--quiet", "sync"]
        there = f"s3://{place.bucket}/{PREFIX}/"
        if step.kind == "restore":
            place.target.mkdir()
            args += [there, f"{place.target}/"]
        else:
            args += ["--delete-removed", f"{place.source}/", there]
        if step.kind == "limit":
            args.append(f"--limit-rate={KIB_PER_SECOND}k")
        return place.run(["s3cmd", *args], clean_environment(HOME=str(place.home)))


class Restic(Tool):
    name = title = "restic"
    programs = ["restic"]
    ordinary = False

    def _environment(self, place: Place) -> dict[str, str]:
        return place.environment(
            RESTIC_REPOSITORY=f"s3:{place.endpoint}/{place.bucket}/{PREFIX}",
            RESTIC_PASSWORD="correct horse battery staple",
            RESTIC_CACHE_DIR=str(place.home / "cache"),
            AWS_DEFAULT_REGION=REGION,
        )

    def prepare(self, place: Place) -> None:
        cost = place.run(["restic", "init"], self._environment(place))
        if cost.status != 0:
            raise RuntimeError(f"restic init: {cost.output}")

    def run(self, place: Place, step: Step) -> Cost:
        args: list[str | Path]
        if step.kind == "restore":
            args = ["restore", "latest", "--target", place.target]
        else:
            args = ["backup", "."]
        if step.kind == "limit":
            args.append(f"--limit-upload={KIB_PER_SECOND}")
        return place.run(["restic", *args], self._environment(place), cwd=place.source)


def all_tools(binary: Path) -> list[Tool]:
    return [Keepsake(binary), Recipe(), Rclone(), WideRclone(), S3cmd(), Restic()]
