# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""What every end-to-end test can ask for: a real S3 server, faults, TLS, and the program itself."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

# Nothing of the machine's own S3 set-up reaches a test, boto3 included.
for variable in list(os.environ):
    if variable.startswith("AWS_") or variable.lower().endswith("_proxy"):
        del os.environ[variable]
os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull

import boto3  # noqa: E402
import botocore.config  # noqa: E402
import botocore.exceptions  # noqa: E402

from fixtures import PATIENCE, clean_environment, stop_in_good_order, wait_until  # noqa: E402
from fixtures.ceph_rgw import CephRgw  # noqa: E402
from fixtures.fault_proxy import FaultProxy  # noqa: E402
from fixtures.impatience import Impatience  # noqa: E402
from fixtures.tls_front import TlsFront  # noqa: E402

pytest_plugins = ["fixtures.desktop_fixtures"]

REGION = "default"  # what a Ceph gateway calls its own
NOBODY = 65534
TOP = Path(__file__).resolve().parent.parent
BINARY = Path(os.environ.get("KEEPSAKECTL") or TOP / "build/src/ctl/keepsakectl").absolute()
AGENT = BINARY.parent.parent / "agent/keepsake-agent"

# What ./dev asan and ./dev tsan say to the program passes into its clean environment.
SANITIZER = {
    name.removeprefix("KEEPSAKECTL_"): value
    for name, value in os.environ.items()
    if name in ("ASAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS", "UBSAN_OPTIONS", "KEEPSAKECTL_LD_PRELOAD")
}
if "LD_PRELOAD" in SANITIZER:
    # Memory that GLib hands from thread to thread by itself looks like a race for it.
    SANITIZER["G_SLICE"] = "always-malloc"
IS_SANITIZED = "ASAN_OPTIONS" in SANITIZER or "LD_PRELOAD" in SANITIZER
# They want to be the first library that is loaded, and no other may be preloaded.
# Whoever starts our programs by their names alone does not preload what the thread sanitizer needs.
no_thread_sanitizer = pytest.mark.skipif(
    "LD_PRELOAD" in SANITIZER, reason="the thread sanitizer needs a preloaded library"
)
no_preloading = pytest.mark.skipif(IS_SANITIZED, reason="a sanitizer is preloaded")


def pytest_report_header() -> str:
    return f"keepsakectl: {BINARY}"


def pytest_configure() -> None:
    stop_in_good_order()


@contextlib.contextmanager
def short_folder(name: str) -> Iterator[Path]:
    """Not tmp_path: sockets live in it, and their paths may have 107 bytes."""
    with tempfile.TemporaryDirectory(prefix=f"keepsake-{name}-", ignore_cleanup_errors=True) as d:
        yield Path(d)


# -- servers ------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def rgw() -> Iterator[CephRgw]:
    """The S3 server, one for the whole run. Not being able to start it is an error, not a skip."""
    with short_folder("rgw") as folder, CephRgw(folder) as server:
        yield server


@pytest.fixture(scope="session")
def tls(rgw: CephRgw) -> Iterator[TlsFront]:
    """The same server over HTTPS; `tls.ca_file` is what a client must trust."""
    with short_folder("tls") as folder, TlsFront(folder, rgw.endpoint) as front:
        yield front


@pytest.fixture
def proxy(rgw: CephRgw) -> Iterator[FaultProxy]:
    with FaultProxy(rgw.endpoint) as fault_proxy:
        yield fault_proxy


@pytest.fixture(scope="session")
def impatience() -> Iterator[Impatience]:
    with short_folder("impatience") as folder:
        yield Impatience(folder, can_preload=not IS_SANITIZED)


def s3_client(rgw: CephRgw, endpoint: str = "", verify: Any = None) -> Any:
    """A boto3 client that tries once and addresses by path."""
    return boto3.client(
        "s3",
        endpoint_url=endpoint or rgw.endpoint,
        aws_access_key_id=rgw.access_key,
        aws_secret_access_key=rgw.secret_key,
        region_name=REGION,
        verify=verify,
        config=botocore.config.Config(
            signature_version="s3v4",
            s3={"addressing_style": "path"},
            retries={"total_max_attempts": 1},
            read_timeout=60,
        ),
    )


@pytest.fixture(scope="session")
def make_s3(rgw: CephRgw) -> Callable[..., Any]:
    """make_s3(endpoint, verify=ca_file): a client that goes another way to the server."""
    return lambda endpoint="", verify=None: s3_client(rgw, endpoint, verify)


@pytest.fixture(scope="session")
def s3(rgw: CephRgw) -> Any:
    return s3_client(rgw)


@pytest.fixture
def bucket(s3: Any) -> Iterator[str]:
    """The name of an empty bucket of this test alone."""
    name = f"keepsake-test-{secrets.token_hex(4)}"
    s3.create_bucket(Bucket=name)
    yield name
    remove_bucket(s3, name)


@pytest.fixture(scope="session")
def cold_class(rgw: CephRgw) -> str:
    """A storage class that the server did not have before."""
    placement = ["placement", "add", "--placement-id=default-placement"]
    name = "STANDARD_IA"
    rgw.admin("zonegroup", *placement, "--rgw-zonegroup=default", f"--storage-class={name}")
    rgw.admin("zone", *placement, "--rgw-zone=default", f"--storage-class={name}",
              "--data-pool=default.rgw.buckets.data")  # fmt: skip
    rgw.restart_gateway()
    wait_until(lambda: rgw._answers("/"), 60, "the S3 gateway")
    return name


def outlived_by_bucket(request: pytest.FixtureRequest) -> None:
    """For a fixture with programs that may store something until it ends. What begins first ends last."""
    if "bucket" in request.fixturenames:
        request.getfixturevalue("bucket")


def remove_bucket(s3: Any, name: str) -> None:
    """What was sent by somebody who was killed may end at the server a moment later."""

    def is_gone() -> bool:
        try:
            empty_bucket(s3, name)
            s3.delete_bucket(Bucket=name)
        except botocore.exceptions.ClientError as error:
            if error.response["Error"]["Code"] not in ("BucketNotEmpty", "NoSuchUpload"):
                raise
            return False
        return True

    wait_until(is_gone, 15, "the bucket to be gone")


def empty_bucket(s3: Any, name: str) -> None:
    for page in s3.get_paginator("list_multipart_uploads").paginate(Bucket=name):
        for upload in page.get("Uploads", []):
            s3.abort_multipart_upload(Bucket=name, Key=upload["Key"], UploadId=upload["UploadId"])
    # Not page by page: what is deleted may be what the next page goes on behind.
    for _ in range(100):
        page = s3.list_object_versions(Bucket=name)
        objects = [
            {"Key": row["Key"], "VersionId": row["VersionId"]}
            for row in page.get("Versions", []) + page.get("DeleteMarkers", [])
        ]
        if not objects:
            return
        try:
            s3.delete_objects(Bucket=name, Delete={"Objects": objects, "Quiet": True})
        except botocore.exceptions.ClientError:
            # One key with a control character makes the request's XML unreadable to the server.
            for row in objects:
                s3.delete_object(Bucket=name, **row)


# -- the program --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Result:
    """How a run of the program ended. Text keeps bytes that are not UTF-8 as surrogates."""

    args: list[str]
    returncode: int
    stdout: str
    stderr: str

    @property
    def json(self) -> list[Any]:
        """What --json printed: one object a line."""
        return [json.loads(line) for line in self.stdout.splitlines() if line]

    def __str__(self) -> str:
        return (
            f"keepsakectl {' '.join(self.args)}\nexited {self.returncode}\n"
            f"--- stdout\n{self.stdout[-6000:]}\n--- stderr\n{self.stderr[-6000:]}"
        )


class Ctl:
    """Runs keepsakectl with a home, a state and an environment of its own.

    `endpoint` is a URL or anything that has one (`proxy`, `tls`). In `env` None removes a variable.
    `user` is a number; only root can run it as somebody else.
    """

    def __init__(self, rgw: CephRgw, home: Path, user: int | None = None):
        self.home = home
        self.binary = BINARY
        self.user = user
        self.state_dir = home / "state"
        self._rgw = rgw
        self._running: list[subprocess.Popen[str]] = []

    def environment(self, env: dict[str, str | None] | None, endpoint: Any) -> dict[str, str]:
        variables: dict[str, str | None] = {
            **clean_environment(
                HOME=str(self.home),
                XDG_CONFIG_HOME=str(self.home / "config"),
                XDG_STATE_HOME=str(self.state_dir),
                AWS_ACCESS_KEY_ID=self._rgw.access_key,
                AWS_SECRET_ACCESS_KEY=self._rgw.secret_key,
                AWS_ENDPOINT_URL=getattr(endpoint, "endpoint", endpoint) or self._rgw.endpoint,
                AWS_REGION=REGION,
            ),
            **SANITIZER,
            **(env or {}),
        }
        if variables.get("ASAN_OPTIONS") and str(variables["AWS_ENDPOINT_URL"]).startswith("https:"):
            # The leak sanitizer itself crashes where TLS was loaded: "Tracer caught signal 11".
            variables["ASAN_OPTIONS"] = f"{variables['ASAN_OPTIONS']}:detect_leaks=0"
        return {name: value for name, value in variables.items() if value is not None}

    def __call__(
        self,
        *args: str | bytes | Path,
        check: int | None = None,
        env: dict[str, str | None] | None = None,
        timeout: float = 120,
        endpoint: Any = None,
        cwd: Path | None = None,
        input: str = "",
    ) -> Result:
        """Runs it to its end; `check` is the exit status that it must have."""
        process = self.popen(*args, env=env, endpoint=endpoint, cwd=cwd, stdin=subprocess.PIPE)
        in_time = True
        try:
            stdout, stderr = process.communicate(input, timeout * PATIENCE)
        except subprocess.TimeoutExpired:
            in_time = False
            process.kill()
            stdout, stderr = process.communicate()
        self._running.remove(process)
        result = Result([os.fsdecode(a) for a in args], process.returncode, stdout, stderr)
        assert in_time, f"not done after {timeout:g} s: {result}"
        assert check in (None, result.returncode), f"should have exited {check}: {result}"
        return result

    def popen(
        self,
        *args: str | bytes | Path,
        env: dict[str, str | None] | None = None,
        endpoint: Any = None,
        stdin: Any = subprocess.DEVNULL,
        **more: Any,
    ) -> subprocess.Popen[str]:
        """Starts it with stdout and stderr in pipes; what still runs after the test is killed."""
        if not self.binary.exists():
            pytest.fail(f"{self.binary} is not built; run ./dev build")
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
        if self.user is not None:
            options |= {"user": self.user, "group": self.user, "extra_groups": []}
        process = subprocess.Popen(
            [self.binary, *args],
            env=self.environment(env, endpoint),
            stdin=stdin,
            encoding="utf-8",
            errors="surrogateescape",
            **options,
        )
        self._running.append(process)
        return process

    def end(self) -> None:
        for process in self._running:
            process.kill()
            with process:  # closes its pipes and waits
                pass


@pytest.fixture
def ctl(rgw: CephRgw, tmp_path: Path) -> Iterator[Ctl]:
    home = tmp_path / "home"
    home.mkdir()
    program = Ctl(rgw, home)
    yield program
    program.end()


@pytest.fixture
def nobody(rgw: CephRgw) -> Iterator[Ctl]:
    """The program as a user who is not root, and for whom modes mean something.

    Its home has no private folder above it, as tmp_path has: what it works on belongs in there.
    """
    with short_folder("nobody") as folder:
        folder.chmod(0o755)
        home = folder / "home"
        home.mkdir()
        program = Ctl(rgw, home)
        if os.geteuid() == 0:
            program.user = NOBODY
            os.chown(home, NOBODY, NOBODY)
            program.binary = folder / BINARY.name  # the build may be where only root can go
            shutil.copy(BINARY, program.binary)
        yield program
        program.end()


@pytest.fixture
def state_dir(ctl: Ctl) -> Path:
    """Where the program keeps its catalogues (XDG_STATE_HOME)."""
    return ctl.state_dir


# -- judges -------------------------------------------------------------------------------------


@pytest.fixture
def s3fs_mount(rgw: CephRgw, tmp_path: Path) -> Callable[..., AbstractContextManager[Path]]:
    """with s3fs_mount(bucket, prefix="", options="") as folder: the bucket as s3fs shows it."""

    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("this user may not use FUSE here")

    @contextlib.contextmanager
    def mount(bucket: str, prefix: str = "", options: str = "") -> Iterator[Path]:
        folder = Path(tempfile.mkdtemp(prefix="s3fs-", dir=tmp_path))
        passwd = folder.with_suffix(".passwd")
        passwd.touch(mode=0o600)
        passwd.write_text(f"{rgw.access_key}:{rgw.secret_key}\n")
        all_options = f"use_wtf8,url={rgw.endpoint},use_path_request_style,passwd_file={passwd}"
        what = f"{bucket}:/{prefix.strip('/')}" if prefix else bucket
        with open(folder.with_suffix(".log"), "w+") as log:
            process = subprocess.Popen(
                ["s3fs", what, folder, "-f", "-o", ",".join(filter(None, (all_options, options)))],
                env=clean_environment(HOME=str(tmp_path)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            try:
                wait_until(lambda: folder.is_mount() or process.poll() is not None, 30, "s3fs")
                if process.poll() is not None:
                    log.seek(0)
                    pytest.fail(f"s3fs ended with status {process.returncode}:\n{log.read()}")
                yield folder
            finally:
                unmount(folder, process)

    return mount


def unmount(folder: Path, process: subprocess.Popen[bytes]) -> None:
    """Who looks at the folder may hang for as long as the server of its files does, and cannot be
    ended; only the end of the server ends that."""
    for flag in ("-u", "-uz"):
        if f" {folder} " not in Path("/proc/self/mountinfo").read_text():
            break
        helper = subprocess.Popen(
            ["fusermount3", flag, folder], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            helper.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            helper.wait(timeout=30)
    try:
        process.wait(timeout=15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(timeout=15)


@pytest.fixture
def rclone_env(rgw: CephRgw, tmp_path: Path) -> dict[str, str]:
    """Environment in which rclone knows the server as "rgw:"."""
    (tmp_path / "rclone.conf").touch()
    return clean_environment(
        HOME=str(tmp_path),
        RCLONE_CONFIG=str(tmp_path / "rclone.conf"),
        RCLONE_CONFIG_RGW_TYPE="s3",
        RCLONE_CONFIG_RGW_PROVIDER="Ceph",
        RCLONE_CONFIG_RGW_ENDPOINT=rgw.endpoint,
        RCLONE_CONFIG_RGW_REGION=REGION,
        RCLONE_CONFIG_RGW_ACCESS_KEY_ID=rgw.access_key,
        RCLONE_CONFIG_RGW_SECRET_ACCESS_KEY=rgw.secret_key,
    )


@pytest.fixture
def s3cmd_config(rgw: CephRgw, tmp_path: Path) -> Path:
    """For s3cmd --config=…"""
    host = rgw.endpoint.removeprefix("http://")
    path = tmp_path / "s3cmd.conf"
    path.touch(mode=0o600)
    path.write_text(
        "[default]\n"
        f"access_key = {rgw.access_key}\nsecret_key = {rgw.secret_key}\n"
        f"host_base = {host}\nhost_bucket = {host}\n"
        f"use_https = False\nbucket_location = {REGION}\n"
    )
    return path
