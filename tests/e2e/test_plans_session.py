# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""keepsakectl in a desktop session: keys in a real keyring, and an agent that is asked."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fixtures import PATIENCE, wait_until
from fixtures.agent import NAME, Agent
from fixtures.checks import keys, the_sentence, write_files
from fixtures.keyring import Keyring
from fixtures.session_bus import SessionBus
from test_plans import Terminal

NO_KEYS = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_files(tmp_path / "Pictures", {"a": "1", "b": "22", "sub/c": "333"})


class Session:
    """keepsakectl as a program of the session: its folders, its bus, and no keys at all."""

    def __init__(self, ctl: Any, bus: SessionBus):
        self.ctl = ctl
        self.bus = bus

    @property
    def env(self) -> dict[str, str | None]:
        return {**self.bus.env, **NO_KEYS}

    def __call__(self, *args: Any, **more: Any) -> Any:
        return self.ctl(*args, env=self.env | more.pop("env", {}), **more)

    def popen(self, *args: Any, **more: Any) -> Any:
        return self.ctl.popen(*args, env=self.env, **more)

    def terminal(self, *args: Any) -> Terminal:
        return Terminal(self.ctl, *args, env=self.env)


@pytest.fixture
def here(ctl: Any, session_bus: SessionBus) -> Session:
    return Session(ctl, session_bus)


@pytest.fixture
def add(here: Session, folder: Path, bucket: str) -> Callable[..., str]:
    def set_up(*options: Any, name: str = "Photos") -> str:
        return here("plan", "add", name, folder, f"s3://{bucket}/laptop", "--schedule", "manual",
                    "--verify", "off", *options, check=0).stdout.strip()  # fmt: skip

    return set_up


# -- credentials --------------------------------------------------------------------------------


def stored(keyring: Keyring, plan_id: str) -> dict[str, str]:
    kinds = ("s3-access-key", "s3-secret", "session-token")
    found = {kind: keyring.lookup(plan=plan_id, kind=kind).strip() for kind in kinds}
    return {kind: value for kind, value in found.items() if value}


@pytest.mark.parametrize(
    ("text", "token"),
    [
        ("AKIA:se/cr+et=", None),
        ("AKIA:se/cr+et=\n", None),
        ("AKIA:se/cr+et=:to+ken\n", "to+ken"),
        ("AKIA\nse/cr+et=\n", None),
        ("  AKIA \r\n\r\nse/cr+et=\r\nto+ken\r\n", "to+ken"),
    ],
)
def test_credentials_from_standard_input(
    here: Session,
    add: Callable[..., str],
    unlocked_keyring: Keyring,
    text: str,
    token: str | None,
) -> None:
    plan_id = add()
    result = here("credentials", "set", "Photos", input=text, check=0)
    assert result.stdout == "The keys of “Photos” are in the keyring.\n" and result.stderr == ""
    expected = {"s3-access-key": "AKIA", "s3-secret": "se/cr+et="}
    assert stored(unlocked_keyring, plan_id) == expected | (
        {"session-token": token} if token else {}
    )


@pytest.mark.parametrize(
    "text",
    ["", "\n", "hushhush", ":hushhush", "AKIA:", "AK IA:hushhush", "A:hushhush:B:C", "A\nhushhush\nB\nC",
     "AKIA:hush\x01hush", "AKIA:hushhush\udcff", pytest.param("A" * 20000, id="too long")],
)  # fmt: skip
def test_credentials_that_are_none(
    here: Session, add: Callable[..., str], unlocked_keyring: Keyring, text: str
) -> None:
    plan_id = add()
    sentence = the_sentence(here("credentials", "set", "Photos", input=text), 1)
    assert "hush" not in sentence and "AAAA" not in sentence
    assert stored(unlocked_keyring, plan_id) == {}


def test_credentials_never_from_the_command_line(
    here: Session, add: Callable[..., str], unlocked_keyring: Keyring
) -> None:
    plan_id = add()
    for words in (["AKIA:hushhush"], ["AKIA", "hushhush"]):
        sentence = the_sentence(here("credentials", "set", "Photos", *words), 1)
        assert "not taken from the command line" in sentence and "hush" not in sentence
    assert stored(unlocked_keyring, plan_id) == {}


def test_credentials_are_asked_for(
    here: Session, add: Callable[..., str], unlocked_keyring: Keyring
) -> None:
    plan_id = add()
    terminal = here.terminal("credentials", "set", "Photos")
    terminal.wait_for("Access key: ")
    terminal.type("AKIAME\n")
    terminal.wait_for("Secret key (is not shown): ")
    terminal.type("hushhush\n")
    terminal.wait_for("are in the keyring")
    assert terminal.end() == 0
    assert "AKIAME" in terminal.said and "hush" not in terminal.said
    assert stored(unlocked_keyring, plan_id) == {"s3-access-key": "AKIAME", "s3-secret": "hushhush"}


def test_credentials_are_not_given(
    here: Session, add: Callable[..., str], unlocked_keyring: Keyring
) -> None:
    plan_id = add()
    terminal = here.terminal("credentials", "set", "Photos")
    terminal.wait_for("Access key: ")
    terminal.type("AKIAME\n")
    terminal.wait_for("not shown): ")
    assert not echoes(terminal.fd)
    terminal.process.send_signal(signal.SIGINT)
    wait_until(lambda: terminal.process.poll() is not None, 10, "the end")
    assert echoes(terminal.fd), "the terminal is left without echo"
    assert terminal.end() == 6
    assert stored(unlocked_keyring, plan_id) == {}


def echoes(fd: int) -> bool:
    import termios

    return bool(termios.tcgetattr(fd)[3] & termios.ECHO)


def test_credentials_from_files(
    here: Session,
    add: Callable[..., str],
    unlocked_keyring: Keyring,
    tmp_path: Path,
    bucket: str,
) -> None:
    plan_id = add()
    passwd = tmp_path / "passwd"
    passwd.write_text(f"GENERAL:one\n{bucket}:SPECIAL:two\n")
    passwd.chmod(0o644)
    command = ["credentials", "set", "Photos", "--from-passwd-file", passwd]
    assert "chmod 600" in the_sentence(here(*command), 4)
    passwd.chmod(0o600)
    here(*command, check=0)
    assert stored(unlocked_keyring, plan_id) == {"s3-access-key": "SPECIAL", "s3-secret": "two"}

    aws = tmp_path / "aws"
    aws.write_text("[x]\naws_access_key_id = A\naws_secret_access_key = b\naws_session_token = c\n")
    env = {"AWS_SHARED_CREDENTIALS_FILE": str(aws)}
    here("credentials", "set", "Photos", "--from-profile", "x", env=env, check=0)
    assert stored(unlocked_keyring, plan_id) == {
        "s3-access-key": "A", "s3-secret": "b", "session-token": "c",
    }  # fmt: skip
    result = here("credentials", "set", "Photos", "--from-profile", "y", env=env)
    assert "profile “y”" in the_sentence(result, 4)


def test_credentials_check_and_clear(
    here: Session, add: Callable[..., str], keyring: Keyring
) -> None:
    plan_id = add()

    def check(status: str, code: int) -> None:
        (line,) = here("credentials", "check", "Photos", "--json", check=code).json
        assert line["status"] == status and line["id"] == plan_id
        text = here("credentials", "check", "Photos", check=code).stdout
        assert text.endswith(".\n") and "hush" not in text

    check("unavailable", 4)
    result = here("credentials", "set", "Photos", input="AKIA:hushhush")
    assert "run --foreground takes keys from" in the_sentence(result, 1)
    keyring.start()
    check("missing", 4)
    here("credentials", "set", "Photos", input="AKIA:hushhush", check=0)
    check("found", 0)
    keyring.lock()
    check("locked", 4)
    keyring.answer("dismiss")
    assert the_sentence(here("credentials", "clear", "Photos"), 4)
    keyring.unlock()
    check("found", 0)
    here("credentials", "clear", "Photos", check=0)
    check("missing", 4)
    here("credentials", "clear", "Photos", check=0)


def test_remove_takes_the_keys_along(
    here: Session, add: Callable[..., str], keyring: Keyring
) -> None:
    keyring.start()
    plan_id = add()
    other_id = add(name="Other")
    for name in ("Photos", "Other"):
        here("credentials", "set", name, input="AKIA:hushhush", check=0)
    keyring.lock()
    keyring.answer("dismiss")
    sentence = the_sentence(here("plan", "remove", "Photos", "--yes"), 4)
    assert sentence.startswith("Nothing was removed")
    here("plan", "show", "Photos", check=0)
    keyring.unlock()
    here("plan", "remove", "Photos", "--yes", check=0)
    assert stored(keyring, plan_id) == {} and len(stored(keyring, other_id)) == 2


def test_remove_with_objects_and_a_locked_keyring(
    here: Session, add: Callable[..., str], unlocked_keyring: Keyring, rgw: Any, s3: Any, bucket: str
) -> None:
    """What is deleted is said to be, though the plan stays."""
    plan_id = add()
    here("credentials", "set", "Photos", input=f"{rgw.access_key}:{rgw.secret_key}", check=0)
    here("run", "Photos", "--foreground", check=0)
    assert keys(s3, bucket) != []
    unlocked_keyring.lock()
    unlocked_keyring.answer("dismiss")
    right = {"AWS_ACCESS_KEY_ID": rgw.access_key, "AWS_SECRET_ACCESS_KEY": rgw.secret_key}
    remove = ("plan", "remove", "Photos", "--delete-objects", "--yes")
    refused = here(*remove, env=right)
    assert refused.returncode == 4 and keys(s3, bucket) == []
    sentence = refused.stderr.splitlines()[-1]
    assert "The objects are deleted, but the plan stays" in sentence
    assert "Nothing was removed" not in refused.stderr
    here("plan", "show", "Photos", check=0)
    unlocked_keyring.unlock()
    here(*remove, check=0)
    assert stored(unlocked_keyring, plan_id) == {}
    assert "Photos" not in here("plan", "list", check=0).stdout


def test_foreground_takes_keys_from_the_keyring(
    here: Session, add: Callable[..., str], unlocked_keyring: Keyring, rgw: Any
) -> None:
    add()
    keys_of_rgw = f"{rgw.access_key}:{rgw.secret_key}"
    assert "There are no keys" in the_sentence(here("run", "Photos", "--foreground"), 4)
    here("credentials", "set", "Photos", input=keys_of_rgw, check=0)
    here("run", "Photos", "--foreground", check=0)
    # The keyring goes before the environment.
    wrong = {"AWS_ACCESS_KEY_ID": "NOBODY", "AWS_SECRET_ACCESS_KEY": "nothing"}
    here("run", "Photos", "--foreground", env=wrong, check=0)
    unlocked_keyring.lock()
    assert "is locked" in the_sentence(here("run", "Photos", "--foreground"), 4)
    right = {"AWS_ACCESS_KEY_ID": rgw.access_key, "AWS_SECRET_ACCESS_KEY": rgw.secret_key}
    here("run", "Photos", "--foreground", env=right, check=0)


def test_secret_is_in_the_keyring_and_nowhere_else(
    here: Session, add: Callable[..., str], unlocked_keyring: Keyring, rgw: Any, folder: Path
) -> None:
    (folder / "large").write_bytes(os.urandom(1024 * 1024))
    add("--upload-limit", "128K")
    result = here("credentials", "set", "Photos", input=f"{rgw.access_key}:{rgw.secret_key}\n",
                  env={"G_MESSAGES_DEBUG": "all"}, check=0)  # fmt: skip
    said = result.stdout + result.stderr
    process = here.popen("run", "Photos", "--foreground", "--json")
    line = process.stdout.readline()
    for name in ("cmdline", "environ"):
        assert rgw.secret_key.encode() not in Path(f"/proc/{process.pid}/{name}").read_bytes()
    stdout, stderr = process.communicate(timeout=60 * PATIENCE)
    assert process.returncode == 0
    assert rgw.secret_key not in said + line + stdout + stderr
    for root in (here.bus.config_home, here.bus.state_home, here.bus.cache_home, here.bus.home):
        for path in root.rglob("*"):
            assert not path.is_file() or rgw.secret_key.encode() not in path.read_bytes(), path


# -- addresses of a plan ------------------------------------------------------------------------

NO_SERVER = {"AWS_ENDPOINT_URL": None, "AWS_REGION": None}
NO_KEYS_SAID = (
    "There are no keys: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or use --profile NAME or "
    "--passwd-file FILE"
)


@pytest.fixture
def kept(
    here: Session, add: Callable[..., str], unlocked_keyring: Keyring, rgw: Any, folder: Path
) -> Callable[..., str]:
    """A plan that has run, with keys in the keyring and nowhere else; and kept() sets up more."""

    def set_up(*options: Any, name: str) -> str:
        plan_id = add(*options, name=name)
        here("credentials", "set", name, input=f"{rgw.access_key}:{rgw.secret_key}", check=0)
        return plan_id

    set_up(name="Photos")
    here("run", "Photos", "--foreground", check=0)
    return set_up


def test_address_of_a_plan(
    here: Session, kept: Callable[..., str], rgw: Any, bucket: str, folder: Path, tmp_path: Path
) -> None:
    """What README has one type after the first backup: no key, and no server either."""

    def ask(*args: Any, status: int = 0, **env: str | None) -> Any:
        return here(*args, env=NO_SERVER | env, check=status)

    place = f"s3://{bucket}/laptop"
    ask("restore", place, tmp_path / "all")
    assert (tmp_path / "all/Pictures/sub/c").read_text() == "333"
    said = ask("restore", f"{place}/Pictures/a", tmp_path / "one", "-v", G_MESSAGES_DEBUG="all")
    assert (tmp_path / "one/a").read_text() == "1"
    assert rgw.secret_key not in said.stdout + said.stderr and "“Photos”" in said.stderr
    assert "laptop/\n" in ask("ls", f"s3://{bucket}").stdout
    ask("versions", f"{place}/Pictures/b")
    assert "Done: 3 equal" in ask("verify", folder, place).stdout
    ask("probe", place)
    ask("mirror", folder, place, "--dry-run")
    ask("ls", place, "--region", "default")
    # Said by somebody, and right.
    ask("ls", place, "--endpoint-url", f"{rgw.endpoint}/")
    ask("ls", place, AWS_ENDPOINT_URL=rgw.endpoint)

    for other in (f"{place}2", f"s3://{bucket}/lap", f"s3://{bucket}2/laptop"):
        assert the_sentence(ask("ls", other, status=4), 4) == NO_KEYS_SAID

    # What was deleted lies beside it.
    ask("plan", "edit", "Photos", "--delete", "--keep-deleted", "30d")
    (folder / "a").unlink()
    ask("run", "Photos", "--foreground")
    ask("restore", f"{place}.keepsake-kept", tmp_path / "deleted")
    assert [path.read_text() for path in (tmp_path / "deleted").rglob("a")] == ["1"]


def test_keys_of_a_plan_go_to_its_server_alone(
    here: Session, kept: Callable[..., str], rgw: Any, bucket: str, proxy: Any, tmp_path: Path
) -> None:
    """Whoever else is named gets not even a signature."""
    config = tmp_path / "aws-config"
    config.write_text(f"[default]\nendpoint_url = {proxy.endpoint}\n")
    port = rgw.endpoint.rpartition(":")[2]
    for options, env in (
        (["--endpoint-url", proxy.endpoint], {}),
        (["--endpoint-url", proxy.endpoint, "--allow-http", "--provider", "ceph"], {}),
        (["--endpoint-url", f"{rgw.endpoint}/path"], {}),
        (["--endpoint-url", f"http://localhost:{port}"], {}),
        (["--endpoint-url", f"https://127.0.0.1:{port}"], {}),
        ([], {"AWS_ENDPOINT_URL": proxy.endpoint}),
        ([], {"AWS_ENDPOINT_URL_S3": proxy.endpoint}),
        ([], {"AWS_CONFIG_FILE": str(config)}),
    ):
        result = here("ls", f"s3://{bucket}/laptop", *options, env=NO_SERVER | env)
        assert the_sentence(result, 4) == NO_KEYS_SAID, options
    assert proxy.requests == []


def test_keys_of_a_plan_whose_server_is_the_providers(
    here: Session, unlocked_keyring: Keyring, folder: Path
) -> None:
    """Where a plan names no server by its address, a provider or a region decides which it is.

    A limit that is none ends the command behind the question of keys, before anything is sent.
    """
    here("plan", "add", "P", folder, "s3://bucket/laptop", "--region", "eu-central-1",
         env=NO_SERVER, check=0)  # fmt: skip
    here("credentials", "set", "P", input="AKIA:hushhush", check=0)
    with_keys, without = "“nonsense” is not a rate", NO_KEYS_SAID
    amazon = "https://s3.{}.amazonaws.com"
    for options, env, sentence in (
        ([], {}, with_keys),
        ([], {"AWS_REGION": "us-east-1"}, with_keys),
        (["--region", "eu-central-1"], {}, with_keys),
        (["--provider", "aws"], {}, with_keys),
        (["--endpoint-url", amazon.format("eu-central-1")], {}, with_keys),
        (["--region", "us-east-1"], {}, without),
        (["--provider", "wasabi"], {}, without),
        (["--provider", "wasabi", "--region", "eu-central-1"], {}, without),
        (["--endpoint-url", amazon.format("us-east-1")], {}, without),
        (["--endpoint-url", "https://s3.example.org"], {}, without),
    ):
        result = here("ls", "s3://bucket/laptop", "--upload-limit", "nonsense", *options,
                      env=NO_SERVER | env)  # fmt: skip
        assert the_sentence(result, 1 if sentence == with_keys else 4).startswith(sentence), options


def test_keys_that_are_given_go_before_those_of_a_plan(
    here: Session, kept: Callable[..., str], bucket: str, tmp_path: Path
) -> None:
    place = f"s3://{bucket}/laptop"
    wrong = {"AWS_ACCESS_KEY_ID": "NOBODY", "AWS_SECRET_ACCESS_KEY": "nothing"}
    assert "There are no keys" not in the_sentence(here("ls", place, env=wrong), 4)
    passwd = tmp_path / "passwd"
    passwd.write_text("NOBODY:nothing\n")
    passwd.chmod(0o600)
    assert "There are no keys" not in the_sentence(here("ls", place, "--passwd-file", passwd), 4)
    assert "profile “x”" in the_sentence(here("ls", place, "--profile", "x"), 4)
    assert "nothing/here" in the_sentence(here("ls", place, "--passwd-file", "/nothing/here"), 4)
    here("ls", place, check=0)


def test_address_of_several_plans(
    here: Session, kept: Callable[..., str], rgw: Any, bucket: str, proxy: Any
) -> None:
    """The one that fits best, and its server; a choice between two is the user's."""
    keys_of_rgw = f"{rgw.access_key}:{rgw.secret_key}"
    kept("--endpoint-url", proxy.endpoint, name="Deep")
    here("plan", "edit", "Deep", "--destination", f"s3://{bucket}/laptop/deep", check=0)

    def seen(address: str, *options: str, status: int = 0) -> int:
        proxy.reset()
        here("ls", address, *options, env=NO_SERVER | {"AWS_REGION": "elsewhere"}, check=status)
        # Whose server it is, his region.
        assert all("/default/s3/" in request.headers["authorization"] for request in proxy.requests)
        return len(proxy.requests)

    place = f"s3://{bucket}/laptop"
    assert seen(place) == 0
    assert seen(f"{place}/Pictures") == 0
    assert seen(f"{place}/deeper", status=5) == 0
    assert seen(f"{place}/deep/Pictures", status=5) > 0
    assert seen(f"{place}/deep", status=5) > 0
    sentence = the_sentence(here("ls", f"s3://{bucket}", env=NO_SERVER), 4)
    assert "“Deep”" in sentence and "“Photos”" in sentence and "--endpoint-url" in sentence
    assert seen(f"s3://{bucket}", "--endpoint-url", proxy.endpoint) > 0

    # Of one server, any keys that there are.
    kept(name="Again")
    for name in ("Photos", "Again"):
        here("credentials", "clear", name, check=0)
        assert seen(place) == 0
        here("credentials", "set", name, input=keys_of_rgw, check=0)
    for name in ("Photos", "Again"):
        here("credentials", "clear", name, check=0)
    assert seen(place, status=4) == 0


def test_address_of_a_plan_without_keys(
    here: Session, kept: Callable[..., str], unlocked_keyring: Keyring, bucket: str
) -> None:
    ask = ("ls", f"s3://{bucket}/laptop")
    unlocked_keyring.lock()
    unlocked_keyring.answer("ok")
    sentence = the_sentence(here(*ask, env=NO_SERVER), 4)
    assert sentence == f"{NO_KEYS_SAID}, or unlock the keyring, which has those of “Photos”"
    assert unlocked_keyring.is_locked() and not unlocked_keyring.has_prompted()
    unlocked_keyring.unlock()
    here("credentials", "clear", "Photos", check=0)
    sentence = the_sentence(here(*ask, env=NO_SERVER), 4)
    assert sentence.startswith(f"{NO_KEYS_SAID}, or ") and "keepsakectl credentials set" in sentence

    # A server has no keyring, and perhaps no bus.
    unlocked_keyring.stop()
    no_bus = {"DBUS_SESSION_BUS_ADDRESS": None, "XDG_RUNTIME_DIR": None, "DISPLAY": None}
    for env in ({}, no_bus):
        begun = time.monotonic()
        assert the_sentence(here(*ask, env=NO_SERVER | env), 4) == NO_KEYS_SAID
        assert time.monotonic() - begun < 5 * PATIENCE


# -- with the agent -----------------------------------------------------------------------------


@pytest.fixture
def there(here: Session, add: Callable[..., str], agent: Agent, rgw: Any) -> Session:
    """A plan with its keys, and an agent that can be started."""
    agent.keyring.start()
    add()
    here("credentials", "set", "Photos", input=f"{rgw.access_key}:{rgw.secret_key}", check=0)
    agent.bus.add_service(NAME, agent.binary, env=agent.environment)
    return here


def slow_down(there: Session, folder: Path, limit: str = "64K") -> None:
    write_files(folder, {f"slow/{i}": os.urandom(40_000) for i in range(30)})
    there("plan", "edit", "Photos", "--upload-limit", limit, check=0)


def wait_for_state(there: Session, state: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        status = there("status", "--json", check=0).json[0]
        return status if status["state"] == state else None

    return wait_until(look, 20, f"the plan to be {state}")


def test_agent_runs_a_plan(
    there: Session, agent: Agent, s3: Any, bucket: str, folder: Path
) -> None:
    assert not agent.is_running()
    result = there("run", "Photos", check=0)
    assert result.stdout.startswith("Done: 5 sent (6 B), 0 copied") and result.stderr == ""
    assert len(keys(s3, bucket, "laptop/Pictures/")) == 5
    assert agent.is_running(), "it was activated"
    (folder / "a").write_text("new")
    lines = there("run", "Photos", "--json", check=0).json
    assert lines[-1]["type"] == "result" and lines[-1]["put"] == 1
    assert lines[-1]["exit_code"] == 0
    jobs = there("history", "Photos", "--json", check=0).json
    assert [job["put"] for job in jobs] == [1, 5] and jobs[0]["trigger"] == "manual"
    assert there("run", "Photos", "--verify", check=0).stdout.startswith("Done: 3 equal")


def test_agent_knows_a_plan_at_once(
    there: Session, agent: Agent, add: Callable[..., str], rgw: Any
) -> None:
    there("run", "Photos", check=0)
    add(name="New")
    there("credentials", "set", "New", input=f"{rgw.access_key}:{rgw.secret_key}", check=0)
    there("run", "New", check=0)


def test_agent_shows_progress(there: Session, folder: Path) -> None:
    slow_down(there, folder, "300K")
    lines = there("run", "Photos", "--json", check=0).json
    progress = [line for line in lines if line["type"] == "progress"]
    assert progress and progress[-1]["bytes_total"] > 1_000_000
    phases = [line["phase"] for line in lines if line["type"] == "phase"]
    assert "transferring" in phases

    write_files(folder, {f"slow/{i}": os.urandom(40_000) for i in range(30)})
    terminal = there.terminal("run", "Photos")
    terminal.wait_for(" files)")
    terminal.wait_for("Done: ")
    assert terminal.end() == 0 and " % " in terminal.said and "left" in terminal.said


def test_agent_status_while_it_runs(there: Session, folder: Path, agent: Agent) -> None:
    slow_down(there, folder)
    result = there("run", "Photos", "--detach", check=0)
    assert result.stdout == "Begun; keepsakectl status says how it goes.\n"
    status = wait_for_state(there, "running")
    assert status["last_success"] == 0
    wait_until(lambda: " % , " in (text := there("status", check=0).stdout) or " %, " in text,
               20, "progress in the status")  # fmt: skip
    assert the_sentence(there("run", "Photos"), 1)  # Busy
    assert "runs" in the_sentence(there("plan", "remove", "Photos", "--yes"), 1)
    there("limit", "off", check=0)
    wait_for_state(there, "idle")
    assert there("status", "--json", check=0).json[0]["last_success"] > 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_agent_cancels(there: Session, folder: Path, agent: Agent, number: int) -> None:
    slow_down(there, folder)
    process = there.popen("run", "Photos", "--json")
    for line in process.stdout:
        if json.loads(line).get("phase") == "transferring":
            break
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60 * PATIENCE)
    assert process.returncode == 6 and "Stopped" in stderr
    assert there("history", "Photos", "--json", check=0).json[0]["state"] == "cancelled"


def test_agent_that_dies(there: Session, folder: Path, agent: Agent) -> None:
    slow_down(there, folder)
    process = there.popen("run", "Photos", "--json")
    for line in process.stdout:
        if json.loads(line).get("phase") == "transferring":
            break
    agent.bus.remove_service(NAME)  # or it would be started again for whoever asks
    agent.kill()
    _, stderr = process.communicate(timeout=60 * PATIENCE)
    assert process.returncode == 1 and "The agent ended while the job ran" in stderr
    assert "was cut off" in there("status", "--check", check=2).stdout


@pytest.mark.parametrize(
    ("secret", "members", "status"),
    [("wrong", [], 4), (None, ["--destination", "s3://there-is-no-such-bucket-here"], 5)],
)
def test_agent_says_why_a_job_failed(
    there: Session, rgw: Any, secret: str | None, members: list[str], status: int
) -> None:
    there("credentials", "set", "Photos", input=f"{rgw.access_key}:{secret or rgw.secret_key}",
          check=0)  # fmt: skip
    if members:
        there("plan", "edit", "Photos", *members, check=0)
    sentence = the_sentence(there("run", "Photos"), status)
    assert sentence == there("history", "Photos", "--json", check=0).json[0]["message"]


def test_agent_names_files_that_failed(there: Session, folder: Path) -> None:
    deep = folder / ("x" * 250) / ("y" * 250) / ("z" * 250) / ("0" * 250)
    deep.mkdir(parents=True)
    (deep / ("1" * 100)).write_text("too long a name for a key")
    result = there("run", "Photos", check=2)
    assert result.stderr.startswith("failed   ") and "1" * 100 in result.stderr


def test_agent_and_the_delete_guard(there: Session, folder: Path) -> None:
    write_files(folder, {f"many/{i}": "x" for i in range(150)})
    there("plan", "edit", "Photos", "--delete", check=0)
    there("run", "Photos", check=0)
    for file in (folder / "many").iterdir():
        file.unlink()
    assert "Nothing was deleted (150 objects" in there("run", "Photos", check=3).stderr
    assert "150 deleted" in there("run", "Photos", "--max-delete", "150", check=0).stdout


def test_agent_without_keys(there: Session, agent: Agent) -> None:
    there("credentials", "clear", "Photos", check=0)
    sentence = the_sentence(there("run", "Photos"), 4)
    assert sentence.endswith("keepsakectl credentials set asks for them")


def test_agent_with_a_locked_keyring(there: Session, agent: Agent) -> None:
    agent.keyring.lock()
    assert "is locked" in the_sentence(there("run", "Photos"), 4)
    assert agent.keyring.is_locked()
    for answer, said, status in (("dismiss", "is locked", 4), ("ok", "Done: 5 sent", 0)):
        agent.keyring.answer(answer)  # as somebody is at the terminal, the desktop asks
        terminal = there.terminal("run", "Photos")
        terminal.wait_for(said)
        assert terminal.end() == status


def test_no_agent_at_all(there: Session, agent: Agent) -> None:
    agent.bus.remove_service(NAME)
    sentence = the_sentence(there("run", "Photos"), 1)
    assert sentence.startswith("The agent (keepsake-agent) does not run and cannot be started")
    assert sentence.endswith("add --foreground to run the plan without an agent")
    for command in (["pause"], ["resume"], ["limit", "1M"], ["autostart"]):
        assert "cannot be started" in the_sentence(there(*command), 1)
    assert "The agent does not run" in there("status", check=0).stdout


def test_status_starts_no_agent(there: Session, agent: Agent) -> None:
    for command in ("status", "history"):
        there(command, *(["Photos"] if command == "history" else []), check=0)
    assert not agent.is_running()


# -- pause, resume, limit -----------------------------------------------------------------------


def test_pause_and_resume(there: Session, agent: Agent) -> None:
    assert there("pause", check=0).stdout == "Paused until keepsakectl resume\n"
    assert agent.get("PausedUntil") == -1
    assert "Paused until keepsakectl resume" in there("status", check=0).stdout
    assert there("resume", check=0).stdout == "Not paused: what is due runs\n"
    assert agent.get("PausedUntil") == 0

    now = time.time()
    assert there("pause", "90m", check=0).stdout.startswith("Paused; goes on to")
    assert now + 5390 < agent.get("PausedUntil") < now + 5460
    (line,) = there("pause", "1h", "--json", check=0).json
    assert line["type"] == "agent" and now + 3590 < line["paused_until"] < now + 3660
    there("pause", "--until-tomorrow", check=0)
    assert agent.get("PausedUntil") > now
    assert there("resume", "--json", check=0).json[0]["paused_until"] == 0
    there("resume", check=0)


def test_autostart(there: Session, folder: Path, agent: Agent) -> None:
    """Who sets up a plan in a terminal is told what begins it."""

    def add(name: str, *options: Any) -> str:
        terminal = there.terminal("plan", "add", name, folder, f"s3://a-bucket/{name}", *options)
        terminal.wait_for("Next: keepsakectl credentials set")
        assert terminal.end() == 0
        return terminal.said

    assert "Nothing begins it yet: keepsakectl autostart on" in add("daily")
    assert "autostart" not in add("manual", "--schedule", "manual") + add("off", "--disable")
    assert not agent.is_running()
    until = "The agent runs until this session ends; it does not start at login\n"
    assert there("autostart", check=0).stdout == until
    assert agent.is_running()
    assert "It begins by itself until this session ends" in add("hourly", "--schedule", "@hourly")
    assert "does not start at login: keepsakectl autostart on" in there("status", check=0).stdout
    for _ in range(2):
        assert there("autostart", "on", check=0).stdout == "The agent runs, and starts at login\n"
        assert agent.get("Autostart")
    assert "autostart" not in add("weekly", "--schedule", "@weekly") + there("status", check=0).stdout
    (line,) = there("autostart", "--json", check=0).json
    assert line == {"type": "agent", "running": True, "autostart": True}
    for words in (["yes"], ["on", "off"]):
        assert "Usage: keepsakectl autostart [on|off]" in there("autostart", *words).stderr
    assert agent.get("Autostart")
    assert there("autostart", "off", check=0).stdout == until
    assert not agent.get("Autostart")


def test_pause_holds_a_job(there: Session, folder: Path, agent: Agent) -> None:
    slow_down(there, folder)
    terminal = there.terminal("run", "Photos")
    terminal.wait_for(" files)")
    there("pause", check=0)
    terminal.wait_for("Paused")
    there("limit", "off", check=0)
    there("resume", check=0)
    terminal.wait_for("Done: ")
    assert terminal.end() == 0


def test_limit(there: Session, agent: Agent) -> None:
    assert there("limit", "256K", check=0).stdout == "Upload: 256 KiB/s\n"
    assert agent.get("UploadLimit") == 256 * 1024
    assert "Upload: 256 KiB/s" in there("status", check=0).stdout
    assert there("limit", "off", check=0).stdout == "Upload: no limit\n"
    assert agent.get("UploadLimit") == 0
    (line,) = there("limit", "plans", "--json", check=0).json
    assert line["upload_limit"] == -1 == agent.get("UploadLimit")


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (["pause", "soon"], "“soon” is not a duration"),
        (["pause", "0"], "A pause of “0” is none"),
        (["pause", "1h", "--until-tomorrow"], "Usage: keepsakectl pause"),
        (["pause", "1h", "2h"], "Usage: keepsakectl pause"),
        (["resume", "now"], "Usage: keepsakectl resume"),
        (["limit"], "Usage: keepsakectl limit"),
        (["limit", "slow"], "“slow” is not a rate"),
        (["limit", "0"], "would never send anything"),
    ],
)
def test_pause_resume_and_limit_refuse(
    there: Session, agent: Agent, command: list[str], sentence: str
) -> None:
    assert sentence in the_sentence(there(*command), 1)
    assert not agent.is_running()
