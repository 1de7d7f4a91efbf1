# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""nginx in front of the S3 server, that counts what passes through it.

The fault proxy counts, too, but is written in Python: with two processors it would be what is
measured. nginx needs some 30 µs for a request, and holds back no body in either direction.
"""

from __future__ import annotations

import http.client
import os
import subprocess
import urllib.parse
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from fixtures import accepts_connections, clean_environment, free_port, wait_until
from fixtures.checks import operation
from fixtures.fault_proxy import Request
from fixtures.large_files import is_part_copy

# Host and path reach the server as the client signed them, as in tls_front.
CONF = """\
{user}
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/error.log warn;
daemon off;
events {{ worker_connections 1024; }}
http {{
  log_format requests escape=json
    '$request_method $status $request_length $bytes_sent $connection_requests '
    '$request_uri $http_x_amz_copy_source';
  access_log {directory}/access.log requests;
  client_body_temp_path {directory}/tmp-body;
  proxy_temp_path {directory}/tmp-proxy;
  fastcgi_temp_path {directory}/tmp-fastcgi;
  uwsgi_temp_path {directory}/tmp-uwsgi;
  scgi_temp_path {directory}/tmp-scgi;
  large_client_header_buffers 8 32k;
  client_body_buffer_size 256k;
  client_max_body_size 0;
  keepalive_requests 1000000;
  keepalive_timeout 600;
  upstream s3 {{ server {upstream}; keepalive 128; keepalive_requests 1000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=512;
    location / {{
      proxy_pass http://s3;
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header Connection "";
      proxy_request_buffering off;
      proxy_buffering off;
      proxy_buffers 4 256k;
      proxy_buffer_size 256k;
      proxy_read_timeout 600;
    }}
  }}
}}
"""


class Count:
    """Sums of requests."""

    def __init__(self, requests: Iterable[Request] = ()):
        self.kinds: Counter[str] = Counter()
        self.up = 0
        self.down = 0
        self.connections = 0
        self.refused: Counter[int] = Counter()  # by status, 404s included
        for request in requests:
            self.add(request)

    def add(self, request: Request) -> None:
        self.kinds["copy" if is_part_copy(request) else operation(request)] += 1
        self.up += request.bytes_up
        self.down += request.bytes_down
        self.connections += request.ordinal == 1
        if request.status is None or request.status >= 300:
            self.refused[request.status or 0] += 1


class CountingProxy:
    """`count()` tells what has passed since it was called last."""

    def __init__(self, directory: str | Path, upstream: str):
        self.directory = Path(directory).resolve()
        self._upstream = urllib.parse.urlsplit(upstream).netloc
        self._port = 0
        self._nginx: subprocess.Popen[bytes] | None = None
        self._read = 0
        self._marks = 0

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> CountingProxy:
        self.directory.mkdir(parents=True, exist_ok=True)
        self._port = free_port()
        conf, errors = self.directory / "nginx.conf", self.directory / "error.log"
        conf.write_text(
            CONF.format(
                # The workers of root's nginx would be another user, who may not read our folder.
                user="user root;" if os.geteuid() == 0 else "",
                directory=self.directory, upstream=self._upstream, port=self._port,
            )
        )  # fmt: skip
        self._nginx = subprocess.Popen(
            ["nginx", "-p", str(self.directory), "-e", str(errors), "-c", str(conf)],
            env=clean_environment(), stdin=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            wait_until(self._is_up, 15, "nginx")
        except BaseException as error:
            error.add_note(errors.read_text() if errors.exists() else "")
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._nginx is not None:
            self._nginx.terminate()
            try:
                self._nginx.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self._nginx.kill()
                self._nginx.wait(timeout=10)
            self._nginx = None

    def _is_up(self) -> bool:
        assert self._nginx is not None
        if self._nginx.poll() is not None:
            raise RuntimeError(f"nginx ended with status {self._nginx.returncode}")
        return accepts_connections(self._port)

    def count(self) -> Count:
        """nginx writes a request down when it is over, and in that order: once it has one of our own,
        it has all that came before."""
        mark = self._mark()
        lines: list[str] = []

        def has_mark() -> bool:
            with open(self.directory / "access.log", encoding="utf-8") as log:
                log.seek(self._read)
                text = log.read()
            end = text.rfind("\n") + 1
            self._read += len(text[:end].encode())
            lines.extend(text[:end].splitlines())
            return any(mark in line for line in lines)

        wait_until(has_mark, 10, "the log of nginx")
        return Count(_parse(line) for line in lines if "/keepsake-bench-mark" not in line)

    def _mark(self) -> str:
        self._marks += 1
        mark = f"/keepsake-bench-mark-{self._marks}?"
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        connection.request("GET", mark)
        connection.getresponse().read()
        connection.close()
        return mark


def _parse(line: str) -> Request:
    method, status, up, down, ordinal, target, source = line.split(" ", 6)
    path, _, query = target.partition("?")
    headers = {"x-amz-copy-source": source} if source else {}
    request = Request(method, path, query, headers, int(ordinal))
    request.status = int(status)
    request.bytes_up, request.bytes_down = int(up), int(down)
    return request
