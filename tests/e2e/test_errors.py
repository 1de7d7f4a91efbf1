# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""Each fault gives one sentence that names cause and remedy, and its exit status; no secret leaks.

1: usage, or a fault of this computer. 4: keys, permission, clock. 5: network or server.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import no_preloading
from fixtures import PATIENCE, free_port, wait_until
from fixtures.checks import body, keys, operations, the_sentence, write_files
from fixtures.clocks import at_another_time
from fixtures.fault_proxy import FaultProxy, Reply, Rule
from fixtures.s3_request import s3_request
from fixtures.tls_front import TlsFront

Run = Callable[..., Any]


@pytest.fixture
def run(ctl: Any, rgw: Any) -> Run:
    """As ctl; and whatever it says, it says no secret."""

    def checked(*args: Any, env: dict[str, str | None] | None = None, **more: Any) -> Any:
        result = ctl(*args, env=env, **more)
        secrets = [rgw.secret_key, (env or {}).get("AWS_SECRET_ACCESS_KEY")]
        for secret in filter(None, secrets):
            assert secret not in result.stdout + result.stderr, "it tells the secret key"
        return result

    return checked


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_files(tmp_path / "folder", {"a": "1", "b": "22", "sub/c": "333"})


@pytest.fixture
def mirror(run: Run, folder: Path, bucket: str) -> Run:
    """Mirrors the folder to the bucket, with these options."""
    return lambda *options, **more: run("mirror", *options, f"{folder}/", f"s3://{bucket}", **more)


# -- keys ---------------------------------------------------------------------------------------


def test_unknown_access_key(mirror: Run, rgw: Any, s3: Any, bucket: str) -> None:
    sentence = the_sentence(mirror(env={"AWS_ACCESS_KEY_ID": "NOBODYSKEY"}), 4)
    assert sentence.startswith(
        f"{rgw.endpoint} does not know the access key “NOBODYSKEY”; check the access key and the "
        "endpoint [403 InvalidAccessKeyId"
    )
    assert keys(s3, bucket) == []


def test_wrong_secret_key(mirror: Run, rgw: Any, s3: Any, bucket: str) -> None:
    secret = "not-the-right-secret-at-all"
    sentence = the_sentence(mirror(env={"AWS_SECRET_ACCESS_KEY": secret}), 4)
    assert sentence.startswith(
        f"The secret key does not belong to the access key “{rgw.access_key}” at {rgw.endpoint}; "
        "enter the secret key again [403 SignatureDoesNotMatch"
    )
    assert keys(s3, bucket) == []


@pytest.mark.parametrize("command", ["ls", "probe", "verify", "restore"])
def test_wrong_secret_key_in_other_commands(
    run: Run, folder: Path, tmp_path: Path, bucket: str, command: str
) -> None:
    before = [folder] if command == "verify" else []
    after = [tmp_path / "back"] if command == "restore" else []
    wrong = {"AWS_SECRET_ACCESS_KEY": "not-the-right-secret-at-all"}
    result = run(command, *before, f"s3://{bucket}", *after, env=wrong)
    assert the_sentence(result, 4).startswith("The secret key does not belong to the access key")
    if command == "probe":
        reach, sign_in = (line.split() for line in result.stdout.splitlines())
        assert (reach[:2], sign_in[:2]) == (["reach", "yes"], ["sign-in", "no"])
    else:
        assert result.stdout == ""


def test_debug_messages_hold_no_secret(mirror: Run) -> None:
    for secret in (None, "not-the-right-secret-at-all"):
        env = {"AWS_SECRET_ACCESS_KEY": secret} if secret else {}
        mirror("--verbose", env={"G_MESSAGES_DEBUG": "all", **env})


def test_no_keys_at_all(mirror: Run) -> None:
    nothing = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}
    assert the_sentence(mirror(env=nothing), 4) == (
        "There are no keys: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or use --profile NAME "
        "or --passwd-file FILE"
    )


# -- files with keys ----------------------------------------------------------------------------

NO_KEYS = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}


@pytest.fixture
def passwd(tmp_path: Path, rgw: Any) -> Path:
    file = tmp_path / "passwd-s3fs"
    file.write_text(f"{rgw.access_key}:{rgw.secret_key}\n")
    file.chmod(0o600)
    return file


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_passwd_file(mirror: Run, passwd: Path, s3: Any, bucket: str, mode: int) -> None:
    passwd.chmod(mode)
    mirror("--passwd-file", passwd, env=NO_KEYS, check=0)
    assert keys(s3, bucket) == ["a", "b", "sub/", "sub/c"]


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_passwd_file_that_others_may_read(mirror: Run, passwd: Path, mode: int) -> None:
    passwd.chmod(mode)
    sentence = the_sentence(mirror("--passwd-file", passwd, env=NO_KEYS), 4)
    assert sentence == (
        f"Others may read the credentials file “{passwd}” (mode {mode:o}); "
        f"run: chmod 600 '{passwd}'"
    )


def test_passwd_file_with_a_line_for_each_bucket(
    mirror: Run, passwd: Path, rgw: Any, bucket: str
) -> None:
    passwd.write_text(
        "# comment\nWRONG:wrong\nother-bucket:OTHER:wrong\n"
        f"{bucket}:{rgw.access_key}:{rgw.secret_key}\n"
    )
    mirror("--passwd-file", passwd, env=NO_KEYS, check=0)


def test_passwd_file_in_the_home_folder(mirror: Run, passwd: Path, ctl: Any) -> None:
    passwd.rename(ctl.home / ".passwd-s3fs")
    mirror(env=NO_KEYS, check=0)


@pytest.mark.parametrize("content", ["", "no colon\n", "other:A:B\n", "\0\0\0", "\udcff\n"])
def test_passwd_file_without_keys(mirror: Run, passwd: Path, content: str) -> None:
    passwd.write_bytes(os.fsencode(content))
    assert f"“{passwd}”" in the_sentence(mirror("--passwd-file", passwd, env=NO_KEYS), 4)


def test_passwd_file_that_is_missing(mirror: Run, tmp_path: Path) -> None:
    sentence = the_sentence(mirror("--passwd-file", tmp_path / "nothing"), 4)
    assert sentence.startswith(f"Cannot read the credentials file “{tmp_path}/nothing”: No such")


@pytest.fixture
def aws_files(ctl: Any, rgw: Any) -> Path:
    """~/.aws with two profiles, as the AWS command line writes them."""
    folder = write_files(
        ctl.home / ".aws",
        {
            "credentials": "; keys\n[default]\naws_access_key_id = WRONG\n"
            "aws_secret_access_key = wrong\n\n"
            f"[home]\naws_access_key_id={rgw.access_key}\naws_secret_access_key={rgw.secret_key}\n",
            "config": "[default]\nregion = us-east-1\n\n[profile home]\nregion = somewhere-3\n"
            f"endpoint_url = {rgw.endpoint}\ns3 =\n    addressing_style = path\n",
        },
    )
    return folder


def test_broken_profile_file_does_not_tell_the_secret(mirror: Run, aws_files: Path) -> None:
    """The line without "=" may hold it."""
    (aws_files / "credentials").write_text("[default]\naws_secret_access_key not-to-be-told\n")
    result = mirror(env=NO_KEYS)
    assert the_sentence(result, 4).startswith(f"Cannot understand “{aws_files}/credentials”: each ")
    assert "not-to-be-told" not in result.stderr


def test_broken_profile_file_that_nobody_needs(mirror: Run, aws_files: Path) -> None:
    """Keys, region and endpoint are in the environment."""
    for name in ("credentials", "config"):
        (aws_files / name).write_text("[default]\nnonsense\n")
    mirror(check=0)


@pytest.mark.parametrize(
    "option",
    ["--endpoint-url=http://u:not-to-be-told@127.0.0.1", "--endpoint-url=u:not-to-be-told@x"],
)
def test_password_in_the_endpoint_is_not_repeated(mirror: Run, option: str) -> None:
    result = mirror(option)
    assert the_sentence(result, 1).startswith("An endpoint holds no user name or password; leave")
    assert "not-to-be-told" not in result.stderr


NO_SETTINGS = {**NO_KEYS, "AWS_ENDPOINT_URL": None, "AWS_REGION": None}


@pytest.mark.parametrize("how", ["option", "environment"])
def test_profile_gives_keys_endpoint_and_region(
    mirror: Run, aws_files: Path, proxy: FaultProxy, s3: Any, bucket: str, how: str
) -> None:
    config = aws_files / "config"
    config.write_text(config.read_text().replace(mirror_endpoint(config), proxy.endpoint))
    if how == "option":
        # Named keys win over those of the environment.
        wrong = {"AWS_ACCESS_KEY_ID": "WRONG", "AWS_SECRET_ACCESS_KEY": "wrong"}
        mirror("--profile", "home", env={**NO_SETTINGS, **wrong}, check=0)
    else:
        mirror(env={**NO_SETTINGS, "AWS_PROFILE": "home"}, check=0)
    assert keys(s3, bucket) == ["a", "b", "sub/", "sub/c"]
    assert proxy.requests
    assert all("/somewhere-3/s3/" in r.headers["authorization"] for r in proxy.requests)


def mirror_endpoint(config: Path) -> str:
    return config.read_text().split("endpoint_url = ")[1].split()[0]


def test_options_win_over_profile(
    mirror: Run, aws_files: Path, rgw: Any, proxy: FaultProxy
) -> None:
    config = aws_files / "config"
    config.write_text(config.read_text().replace(rgw.endpoint, "http://127.0.0.1:1"))
    mirror(
        "--profile=home", "--endpoint-url", proxy.endpoint, "--region=else-1", env=NO_SETTINGS,
        check=0,
    )  # fmt: skip
    assert all("/else-1/s3/" in r.headers["authorization"] for r in proxy.requests)


def test_profile_that_is_not_there(mirror: Run, aws_files: Path) -> None:
    sentence = the_sentence(mirror("--profile", "work"), 4)
    assert sentence == f"There are no keys for the profile “work” in “{aws_files}/credentials”"


def test_session_token_is_sent_and_signed(
    mirror: Run, proxy: FaultProxy, bucket: str
) -> None:
    mirror(env={"AWS_SESSION_TOKEN": "a-token-of-nobody"}, endpoint=proxy)
    first = proxy.requests[0].headers
    assert first["x-amz-security-token"] == "a-token-of-nobody"
    assert "x-amz-security-token" in first["authorization"].split("SignedHeaders=")[1].split(",")[0]


# -- bucket and permission ----------------------------------------------------------------------


def test_no_such_bucket(run: Run, folder: Path, rgw: Any) -> None:
    sentence = the_sentence(run("mirror", folder, "s3://keepsake-no-such-bucket/p"), 5)
    assert sentence.startswith(
        f"There is no bucket “keepsake-no-such-bucket” at {rgw.endpoint}; check the name, or "
        "create it there first [404 NoSuchBucket"
    )


def allow(s3: Any, bucket: str, *denied: str) -> None:
    """Anything but `denied` on the objects."""
    deny = {"Effect": "Deny", "Principal": "*", "Action": [f"s3:{action}" for action in denied],
            "Resource": f"arn:aws:s3:::{bucket}/*"}  # fmt: skip
    policy = {"Version": "2012-10-17", "Statement": [deny]}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))


def test_bucket_of_somebody_else(mirror: Run, rgw: Any, bucket: str) -> None:
    stranger = rgw.make_user(f"stranger-of-{bucket}")
    keys_of_stranger = {
        "AWS_ACCESS_KEY_ID": stranger.access_key, "AWS_SECRET_ACCESS_KEY": stranger.secret_key,
    }  # fmt: skip
    sentence = the_sentence(mirror(env=keys_of_stranger), 4)
    assert sentence.startswith(
        f"The access key “{stranger.access_key}” may not list the bucket in “{bucket}”; ask"
    )


def test_read_only_bucket(mirror: Run, rgw: Any, s3: Any, bucket: str) -> None:
    allow(s3, bucket, "PutObject")
    assert the_sentence(mirror(), 4).startswith(
        f"The access key “{rgw.access_key}” may not write objects in “{bucket}”; ask the bucket's "
        "owner for that permission [403 AccessDenied"
    )


def test_read_only_bucket_for_a_large_file(
    mirror: Run, folder: Path, s3: Any, bucket: str
) -> None:
    write_files(folder, {"large": bytes(9 << 20)})
    for name in ("a", "b", "sub/c"):
        (folder / name).unlink()
    (folder / "sub").rmdir()
    allow(s3, bucket, "PutObject")
    assert "may not write objects" in the_sentence(mirror(), 4)


def test_nothing_may_be_deleted(mirror: Run, folder: Path, s3: Any, bucket: str) -> None:
    mirror(check=0)
    (folder / "a").unlink()
    allow(s3, bucket, "DeleteObject")
    result = mirror("--delete")
    assert result.returncode in (2, 4), result
    assert len(result.stderr.splitlines()) == 1 and "AccessDenied" in result.stderr
    assert "a" in keys(s3, bucket)
    assert "1 deleted" not in result.stdout


def test_nothing_may_be_read(run: Run, mirror: Run, tmp_path: Path, s3: Any, bucket: str) -> None:
    mirror(check=0)
    allow(s3, bucket, "GetObject")
    result = run("restore", f"s3://{bucket}", tmp_path / "back")
    assert "may not read objects" in the_sentence(result, 4)
    assert [path for path in (tmp_path / "back").rglob("*") if path.is_file()] == []


def test_quota_exceeded(mirror: Run, run: Run, folder: Path, rgw: Any, make_s3: Any) -> None:
    """A real one, of a user who may store two objects."""
    poor = rgw.make_user("poor")
    rgw.admin("quota", "set", "--quota-scope=user", "--uid=poor", "--max-objects=2")
    rgw.admin("quota", "enable", "--quota-scope=user", "--uid=poor")

    def put(path: str) -> int:
        return s3_request(
            rgw.endpoint, poor.access_key, poor.secret_key, "PUT", path, body=b""
        ).status

    put("/keepsake-poor")
    assert [put(f"/keepsake-poor/{i}") for i in range(3)] == [200, 200, 403]
    keys_of_poor = {
        "AWS_ACCESS_KEY_ID": poor.access_key, "AWS_SECRET_ACCESS_KEY": poor.secret_key,
    }  # fmt: skip
    sentence = the_sentence(run("mirror", folder, "s3://keepsake-poor", env=keys_of_poor), 5)
    assert sentence.startswith(
        f"The storage at {rgw.endpoint} is full; free some, or raise the quota [403 QuotaExceeded"
    )


# -- region -------------------------------------------------------------------------------------

WRONG_REGION = (
    b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>AuthorizationHeaderMalformed</Code>'
    b"<Message>The authorization header is malformed; the region is wrong</Message>%s</Error>"
)


def lives_elsewhere(request: Any) -> bool:
    return "/eu-test-1/s3/" not in request.headers["authorization"]


def test_wrong_region_is_followed_once(
    mirror: Run, proxy: FaultProxy, s3: Any, bucket: str
) -> None:
    refusal = Reply(400, {}, WRONG_REGION % b"<Region>eu-test-1</Region>")
    rule = Rule(lives_elsewhere, refusal, times=None)
    proxy.rules.append(rule)
    result = mirror(endpoint=proxy, check=0)
    assert result.stderr.splitlines() == [
        f"note     The bucket “{bucket}” is in the region eu-test-1, not default; going on there. "
        "Write --region eu-test-1 to save a request."
    ]
    assert rule.hits == 1, "not remembered"
    assert keys(s3, bucket) == ["a", "b", "sub/", "sub/c"]

    proxy.reset()
    assert mirror("--region=eu-test-1", endpoint=proxy, check=0).stderr == ""
    assert rule.hits == 1
    assert operations(proxy) == {"list": 1}, "the catalogue is another one in the other region"


def test_wrong_region_of_a_server_that_does_not_say_which(
    mirror: Run, proxy: FaultProxy, bucket: str
) -> None:
    rule = Rule(lives_elsewhere, Reply(400, {}, WRONG_REGION % b""), times=None)
    proxy.rules.append(rule)
    sentence = the_sentence(mirror(endpoint=proxy), 5)
    assert sentence.startswith(
        f"{proxy.endpoint} is not the right address or region for the bucket “{bucket}”; check "
        "--endpoint-url and --region [400 AuthorizationHeaderMalformed"
    )
    assert rule.hits == 1


def test_regions_that_point_at_each_other(
    mirror: Run, proxy: FaultProxy, bucket: str
) -> None:
    """No ping-pong without end."""

    def refuse(region: bytes, unless: str) -> Rule:
        reply = Reply(400, {}, WRONG_REGION % (b"<Region>" + region + b"</Region>"))
        return Rule(lambda r: unless not in r.headers["authorization"], reply, times=None)

    proxy.rules += [refuse(b"one-1", "/one-1/"), refuse(b"two-2", "/two-2/")]
    result = mirror(endpoint=proxy, check=5)
    assert len(proxy.requests) == 2
    note, sentence = result.stderr.splitlines()
    assert note.startswith(f"note     The bucket “{bucket}” is in the region one-1, not default;")
    assert "is in the region two-2, not one-1; use --region two-2 [400" in sentence


@pytest.mark.parametrize(
    ("code", "provider"),
    [("SecondLevelDomainForbidden", "alibaba"), ("PathStyleDomainForbidden", "tencent")],
)
def test_server_that_wants_the_bucket_in_the_host_name(
    mirror: Run, proxy: FaultProxy, code: str, provider: str
) -> None:
    """It has nothing to do with permissions, though the status says so; and what is advised helps."""
    refusal = f"<Error><Code>{code}</Code><Message>By force</Message></Error>".encode()
    by_path = Rule(lambda r: r.headers["host"].startswith("localhost"), Reply(403, {}, refusal),
                   times=None)  # fmt: skip
    proxy.rules.append(by_path)
    endpoint = f"http://localhost:{proxy.port}"
    sentence = the_sentence(mirror(endpoint=endpoint), 1)
    assert sentence.startswith(f"{endpoint} wants the bucket in the host name; choose the provider")
    assert f"(--provider {provider}) [403 {code}" in sentence
    mirror(f"--provider={provider}", endpoint=endpoint, check=0)
    assert by_path.hits == 1


# -- clock --------------------------------------------------------------------------------------


@no_preloading
@pytest.mark.parametrize(("offset", "where"), [("+20m", "ahead of"), ("-20m", "behind")])
def test_clock_that_is_wrong_by_20_minutes(
    mirror: Run, proxy: FaultProxy, s3: Any, bucket: str, offset: str, where: str
) -> None:
    result = mirror(env=at_another_time(offset), endpoint=proxy, check=0)
    (line,) = result.stderr.splitlines()
    assert line.startswith("note     This computer's clock is ")
    assert f" {where} the server's; going on with the server's time. Set the clock" in line
    said = {"19 min 58 s", "19 min 59 s", "20 min 0 s", "20 min 1 s", "20 min 2 s"}
    assert any(time in line for time in said)
    assert keys(s3, bucket) == ["a", "b", "sub/", "sub/c"]
    assert [r.status for r in proxy.requests].count(403) == 1, "not remembered"


def test_server_that_never_likes_the_clock(mirror: Run, proxy: FaultProxy) -> None:
    refusal = b"<Error><Code>RequestTimeTooSkewed</Code><Message>Far too late</Message></Error>"
    rule = Rule(lambda r: True, Reply(403, {}, refusal), times=None)
    proxy.rules.append(rule)
    sentence = the_sentence(mirror(endpoint=proxy), 4)
    assert sentence.startswith(
        f"{proxy.endpoint} says that this computer's clock is wrong, and setting it by the "
        "server's did not help; set the clock [403 RequestTimeTooSkewed"
    )
    assert rule.hits <= 2


# -- network ------------------------------------------------------------------------------------


def test_closed_port(mirror: Run) -> None:
    endpoint = f"http://127.0.0.1:{free_port()}"
    sentence = the_sentence(mirror(endpoint=endpoint, timeout=15), 5)
    assert sentence.startswith(f"Cannot reach {endpoint}; check the network and the endpoint [")


def test_name_that_does_not_resolve(mirror: Run) -> None:
    """A label of 64 letters: no resolver has to ask anybody."""
    endpoint = f"https://{'a' * 64}.example"
    sentence = the_sentence(mirror(endpoint=endpoint, timeout=15), 5)
    assert sentence.startswith(f"Cannot reach {endpoint}; check the network and the endpoint [")


def test_server_of_another_kind(mirror: Run, proxy: FaultProxy) -> None:
    """A router's log-in page, say."""
    page = b"<html><head><title>Welcome</title></head><body>Log in<br></body></html>"
    proxy.rules.append(Rule(lambda r: True, Reply(200, {}, page), times=None))
    sentence = the_sentence(mirror(endpoint=proxy, timeout=30), 5)
    assert proxy.endpoint in sentence and "endpoint" in sentence.replace(proxy.endpoint, "")


def test_server_that_only_fails(mirror: Run, proxy: FaultProxy) -> None:
    rule = Rule(lambda r: True, Reply(500), times=None)
    proxy.rules.append(rule)
    sentence = the_sentence(mirror(endpoint=proxy, timeout=30), 5)
    assert sentence == f"{proxy.endpoint} cannot list the bucket at the moment [500]"
    assert 2 <= rule.hits <= 6


# -- encryption ---------------------------------------------------------------------------------


def test_certificate_that_nobody_vouches_for(
    mirror: Run, tls: TlsFront, s3: Any, bucket: str
) -> None:
    before = tls.access_log.read_text()
    sentence = the_sentence(mirror(endpoint=tls), 5)
    assert sentence.startswith(
        f"The certificate of {tls.endpoint} is not trusted; if it is your own server, name its CA "
        "with --ca-bundle FILE ["
    )
    assert tls.access_log.read_text() == before
    assert keys(s3, bucket) == []


@pytest.mark.parametrize("how", ["option", "environment"])
def test_own_authority(mirror: Run, tls: TlsFront, s3: Any, bucket: str, how: str) -> None:
    if how == "option":
        result = mirror("--ca-bundle", tls.ca_file, endpoint=tls, check=0)
    else:
        result = mirror(env={"AWS_CA_BUNDLE": str(tls.ca_file)}, endpoint=tls, check=0)
    assert result.stderr == ""
    assert body(s3, bucket, "sub/c") == b"333"


def test_certificate_for_another_name(mirror: Run, rgw: Any, tmp_path: Path) -> None:
    with TlsFront(tmp_path / "tls", rgw.endpoint, names=["DNS:elsewhere.example"]) as front:
        result = mirror("--ca-bundle", front.ca_file, endpoint=front)
    assert the_sentence(result, 5).startswith(f"The certificate of {front.endpoint} is not trusted")


@pytest.mark.parametrize("content", [None, "no certificate\n"], ids=["missing", "nonsense"])
def test_unusable_ca_bundle(
    mirror: Run, tls: TlsFront, tmp_path: Path, content: str | None
) -> None:
    """A fault of this computer, not of the network."""
    bundle = tmp_path / "bundle.pem"
    if content is not None:
        bundle.write_text(content)
    sentence = the_sentence(mirror("--ca-bundle", bundle, endpoint=tls), 1)
    assert sentence.startswith(f"Cannot use the CA bundle “{bundle}”: ")


@pytest.mark.parametrize("host", ["s3.example.org", "127.0.0.1.example.org", "10.0.0.1:9000"])
def test_plain_http_to_elsewhere(mirror: Run, host: str) -> None:
    sentence = the_sentence(mirror(endpoint=f"http://{host}"), 1)
    assert sentence == (
        f"The endpoint “http://{host}” is not encrypted: everybody on the way could read your "
        "files. Use https://, or --allow-http if you know this network"
    )


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_plain_http_to_this_computer(mirror: Run, host: str) -> None:
    endpoint = f"http://{host}:{free_port()}"
    assert the_sentence(mirror(endpoint=endpoint), 5).startswith(f"Cannot reach {endpoint}; ")


# -- the catalogue ------------------------------------------------------------------------------


@contextlib.contextmanager
def mounted(folder: Path, options: str) -> Iterator[None]:
    folder.mkdir(exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "none", folder], capture_output=True, text=True
    )
    if done.returncode != 0:
        pytest.skip(f"cannot mount: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("size", ["4k", "16k", "64k", "256k"])
def test_full_disk_for_the_catalogue(
    mirror: Run, folder: Path, tmp_path: Path, s3: Any, bucket: str, size: str
) -> None:
    write_files(folder, {f"many/{i:04}": "x" for i in range(2000)})
    with mounted(tmp_path / "disk", f"size={size}"):
        full = {"XDG_STATE_HOME": str(tmp_path / "disk")}
        sentence = the_sentence(mirror(env=full), 1)
    assert str(tmp_path / "disk") in sentence
    assert "full" in sentence or "No space left on device" in sentence
    # With room it goes on.
    mirror(check=0)
    assert len(keys(s3, bucket)) == 2000 + 5


def test_read_only_disk_for_the_catalogue(
    mirror: Run, tmp_path: Path, s3: Any, bucket: str
) -> None:
    with mounted(tmp_path / "disk", "ro"):
        sentence = the_sentence(mirror(env={"XDG_STATE_HOME": str(tmp_path / "disk")}), 1)
    assert sentence == (
        f"Cannot create the folder “{tmp_path}/disk/keepsake/catalogue”: Read-only file system"
    )
    assert keys(s3, bucket) == []


def test_disk_that_became_read_only(mirror: Run, tmp_path: Path) -> None:
    state = {"XDG_STATE_HOME": str(tmp_path / "disk")}
    with mounted(tmp_path / "disk", "size=8m"):
        mirror(env=state, check=0)
        subprocess.run(["mount", "-o", "remount,ro", tmp_path / "disk"], check=True)
        sentence = the_sentence(mirror(env=state), 1)
    assert str(tmp_path / "disk") in sentence and "ead-only" in sentence


@pytest.mark.parametrize("name", ["state", "state/keepsake", "state/keepsake/catalogue"])
def test_file_in_the_place_of_a_folder(mirror: Run, ctl: Any, name: str) -> None:
    path = ctl.home / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("a file")
    sentence = the_sentence(mirror(), 1)
    assert sentence.startswith(f"Cannot create the folder “{ctl.state_dir}/keepsake/catalogue”: ")


@pytest.mark.parametrize(
    "damage",
    [
        lambda old: b"no database at all, but long enough to be looked at " * 100,
        lambda old: old[:4096] + os.urandom(len(old) - 4096),
        lambda old: old[: len(old) // 2],
    ],
    ids=["garbage", "pages", "cut"],
)
def test_damaged_catalogue(
    mirror: Run, folder: Path, state_dir: Path, s3: Any, bucket: str, damage: Any
) -> None:
    write_files(folder, {f"many/{i:03}": "x" for i in range(300)})
    mirror(check=0)
    (catalogue,) = state_dir.rglob("*.db")
    catalogue.write_bytes(damage(catalogue.read_bytes()))
    (folder / "a").write_text("changed")
    result = mirror(check=0)
    assert f"is set aside as “{catalogue}.set-aside-" in result.stderr
    assert len(list(catalogue.parent.glob("*.set-aside-*"))) >= 1
    assert body(s3, bucket, "a") == b"changed"
    assert "set aside" not in mirror(check=0).stderr


@pytest.mark.parametrize("version", [1, 99], ids=["older", "newer"])
def test_catalogue_of_another_version(mirror: Run, state_dir: Path, version: int) -> None:
    mirror(check=0)
    (catalogue,) = state_dir.rglob("*.db")
    with contextlib.closing(sqlite3.connect(catalogue)) as database:
        database.execute(f"PRAGMA user_version = {version}")
        database.commit()
    assert f"is set aside as “{catalogue}.set-aside-" in mirror(check=0).stderr
    assert "set aside" not in mirror(check=0).stderr


def test_catalogue_is_for_its_owner_only(mirror: Run, state_dir: Path) -> None:
    mirror(check=0)
    (catalogue,) = state_dir.rglob("*.db")
    assert oct(catalogue.parent.stat().st_mode & 0o077) == "0o0"


# -- two at once --------------------------------------------------------------------------------


def test_second_job_on_one_destination(
    mirror: Run, ctl: Any, folder: Path, tmp_path: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    write_files(folder, {"large": os.urandom(600_000)})
    arguments = [f"{folder}/", f"s3://{bucket}"]
    first = ctl.popen("mirror", "--upload-limit=64K", *arguments, endpoint=proxy)
    wait_until(lambda: proxy.bytes_up > 20_000, 20, "the first job to send")
    sentence = the_sentence(mirror(endpoint=proxy, timeout=10), 1)
    assert sentence == (
        f"Another job is already working on this destination (process {first.pid}); wait until it "
        "has ended"
    )
    # Another destination is nobody's business.
    ctl("mirror", f"{folder}/sub", f"s3://{bucket}/elsewhere", check=0, endpoint=proxy)
    stdout, stderr = first.communicate(timeout=60 * PATIENCE)
    assert (first.returncode, stderr) == (0, "")
    assert len(body(s3, bucket, "large")) == 600_000
    mirror(endpoint=proxy, check=0)


def test_lock_of_a_killed_job_holds_nobody_up(
    mirror: Run, ctl: Any, folder: Path, bucket: str, proxy: FaultProxy
) -> None:
    write_files(folder, {"large": os.urandom(300_000)})
    first = ctl.popen(
        "mirror", "--upload-limit=64K", f"{folder}/", f"s3://{bucket}", endpoint=proxy
    )
    wait_until(lambda: proxy.bytes_up > 20_000, 20, "the first job to send")
    first.kill()
    first.wait()
    mirror(endpoint=proxy, check=0)


# -- usage --------------------------------------------------------------------------------------

USAGE = [
    ("frobnicate", "There is no command “frobnicate”; see keepsakectl --help"),
    ("mirror", "Usage: keepsakectl mirror SOURCE… s3://BUCKET/PREFIX; see keepsakectl mirror --he"),
    ("mirror {folder}", "Usage: keepsakectl mirror SOURCE… s3://BUCKET/PREFIX; see"),
    ("mirror s3://{bucket}", "Usage: keepsakectl mirror SOURCE… s3://BUCKET/PREFIX; see"),
    ("mirror {folder} {folder}", "“{folder}” is not an S3 address; write s3://BUCKET/PREFIX"),
    ("mirror {folder} S3://{bucket}", "“S3://{bucket}” is not an S3 address; write s3://"),
    ("mirror {folder} s3://", "“” in “s3://” cannot be the name of a bucket"),
    ("mirror {folder} s3://ab", "“ab” in “s3://ab” cannot be the name of a bucket (3 to 63 lett"),
    ("mirror {folder} s3://a_b?c/d", "“a_b?c” in “s3://a_b?c/d” cannot be the name of a bucket"),
    ("mirror {folder} s3://../etc", "“..” in “s3://../etc” cannot be the name of a bucket"),
    ("mirror {folder} s3://{bucket}/a//b", "The prefix in “s3://{bucket}/a//b” has an empty"),
    ("mirror {folder} s3://{bucket}/../b", "The prefix in “s3://{bucket}/../b” has an empty"),
    ("mirror --frob {folder} s3://{bucket}", "Unknown option --frob; see keepsakectl mirror --he"),
    ("mirror --upload-limit=much {folder} s3://{bucket}", "“much”"),
    ("mirror --upload-limit=-5 {folder} s3://{bucket}", "“-5”"),
    ("mirror --upload-limit=25:00,1M {folder} s3://{bucket}", "25:00"),
    ("mirror --download-limit=1X {folder} s3://{bucket}", "“1X”"),
    ("mirror --max-delete=many {folder} s3://{bucket}", "“many” is not a number of objects"),
    ("mirror --max-delete=-1 {folder} s3://{bucket}", "“-1” is not a number of objects"),
    ("mirror --jobs=x {folder} s3://{bucket}", "see keepsakectl mirror --help"),
    ("mirror --jobs=-1 {folder} s3://{bucket}", "Usage: keepsakectl mirror SOURCE…"),
    ("mirror --exclude-from={folder}/no {folder} s3://{bucket}", "{folder}/no"),
    ("mirror --provider=cloud {folder} s3://{bucket}", "There is no provider profile “cloud”; lea"),
    ("mirror --provider=r2 {folder} s3://{bucket}", "Cloudflare R2 needs --endpoint-url with the"),
    ("mirror --endpoint-url=ftp://x {folder} s3://{bucket}", "“ftp://x” is not an endpoint; write"),
    ("mirror --endpoint-url=https:// {folder} s3://{bucket}", "“https://” is not an endpoint"),
    ("mirror --region=a/b {folder} s3://{bucket}", "“a/b” cannot be the name of a region; write f"),
    ("restore", "Usage: keepsakectl restore s3://BUCKET/PREFIX TARGET; see keepsakectl restore"),
    ("restore s3://{bucket}", "Usage: keepsakectl restore s3://BUCKET/PREFIX TARGET; see"),
    ("restore s3://{bucket} a b", "Usage: keepsakectl restore s3://BUCKET/PREFIX TARGET; see"),
    ("restore {folder} s3://{bucket}", "“{folder}” is not an S3 address"),
    ("restore --overwrite=sometimes s3://{bucket} x", "“sometimes” is no answer to --overwrite;"),
    ("restore --jobs=-1 s3://{bucket} x", "Usage: keepsakectl restore"),
    ("ls", "Usage: keepsakectl ls s3://BUCKET/PREFIX; see keepsakectl ls --help"),
    ("ls s3://{bucket} s3://{bucket}", "Usage: keepsakectl ls s3://BUCKET/PREFIX; see"),
    ("ls {bucket}", "“{bucket}” is not an S3 address; write s3://BUCKET/PREFIX"),
    ("verify {folder}", "Usage: keepsakectl verify SOURCE… s3://BUCKET/PREFIX; see keepsakectl"),
    ("ls --timeout=86401 s3://{bucket}", "up to 86400, which is a day, not 86401"),
    ("ls --timeout=-1 s3://{bucket}", "up to 86400, which is a day, not -1"),
    ("verify --sample=none {folder} s3://{bucket}", "“none” is no share; write for example 5%"),
    ("verify --sample=0 {folder} s3://{bucket}", "“0” is no share; write for example 5%"),
    ("verify --sample=101% {folder} s3://{bucket}", "“101%” is no share; write for example 5%"),
    ("verify --sample=5% s3://{bucket}", "Usage: keepsakectl verify SOURCE…"),
    ("probe", "Usage: keepsakectl probe s3://BUCKET; see keepsakectl probe --help"),
    ("probe nothing", "“nothing” is not an S3 address; write s3://BUCKET/PREFIX"),
]


@pytest.mark.parametrize(("line", "sentence"), USAGE, ids=[line for line, _ in USAGE])
def test_usage(ctl: Any, folder: Path, line: str, sentence: str) -> None:
    """Said before anything is sent: the endpoint is a closed port."""
    names = {"folder": str(folder), "bucket": "a-bucket"}
    arguments = [word.format(**names) for word in line.split()]
    named_here = any("--provider" in word or "--endpoint" in word for word in arguments)
    env = {"AWS_ENDPOINT_URL": None} if named_here else {}
    result = ctl(*arguments, env=env, endpoint=f"http://127.0.0.1:{free_port()}", cwd=folder)
    assert sentence.format(**names) in the_sentence(result, 1)
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "name", "code"),
    [
        (["mirror", "{here}", "s3://no-such-bucket"], "no-such-bucket", 5),
        (["restore", "s3://no-such-bucket/p", "{here}/back"], "no-such-bucket", 5),
        (["ls", "s3://no-such-bucket"], "no-such-bucket", 5),
        (["mirror", "{here}/missing", "s3://no-such-bucket"], "source-missing", 1),
        (["mirror", "{here}"], "usage", 1),
        (["plan", "show", "Nothing"], "usage", 1),
    ],
)
def test_end_in_json(
    ctl: Any, tmp_path: Path, arguments: list[str], name: str, code: int
) -> None:
    """A script need not read sentences."""
    words = [word.format(here=tmp_path) for word in arguments]
    sentence = the_sentence(ctl(*words), code)
    result = ctl(*words, "--json")
    assert the_sentence(result, code) == sentence
    assert result.json[-1] == {
        "type": "error", "error": name, "message": sentence, "exit_code": code,
    }  # fmt: skip


COMMANDS = [
    "mirror", "restore", "ls", "verify", "probe", "versions", "recover", "plan add", "plan list",
    "plan show", "plan edit", "plan remove", "plan export", "plan import", "run", "status", "history",
    "pause", "resume", "limit", "autostart", "credentials set", "credentials clear", "credentials check",
]  # fmt: skip


def test_switch_with_a_value(ctl: Any) -> None:
    """“--delete-objects=no” must not delete them. All switches that a command has."""
    found = set()
    for command in COMMANDS:
        text = ctl(*command.split(), "--help", check=0).stdout
        for name, value in re.findall(r"^  (?:-., )?--([\w-]+)(=?)", text, re.MULTILINE):
            if name in ("help", "help-all"):
                continue
            result = ctl(*command.split(), f"--{name}=no")
            said = f"“--{name}=no” is not known; --{name} has no value" in result.stderr
            assert said is not bool(value), f"{command}: {result}"
            if said:
                assert result.returncode == 1 and result.stdout == ""
                found.add(name)
    assert found >= {"delete-objects", "dry-run", "accept-new-file-system", "allow-http", "json"}


def test_no_command(ctl: Any) -> None:
    result = ctl(check=1)
    assert result.stderr.startswith("Usage: keepsakectl COMMAND [OPTION…]\n")
    assert result.stdout == ""


@pytest.mark.parametrize("command", ["", "mirror", "restore", "ls", "verify", "probe"])
def test_help_teaches_by_example(ctl: Any, command: str) -> None:
    result = ctl(*filter(None, [command, "--help"]), check=0)
    assert f"  keepsakectl {command or 'mirror'} " in result.stdout
    assert result.stderr == ""
