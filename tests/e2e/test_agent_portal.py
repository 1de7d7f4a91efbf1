# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""The agent in a sandbox: what it asks of the portals, and that it asks nobody else."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fixtures import wait_until
from fixtures.agent import ROOT, Agent, Plan, raises
from fixtures.checks import write_files
from fixtures.fault_proxy import Refuse, Rule
from fixtures.portal import BACKGROUND, INHIBIT, NOTIFICATION, REQUEST, Portal
from fixtures.recorder import Message, Recorder
from fixtures.session_bus import SessionBus
from fixtures.system_bus import LOGIND, SystemBus


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_files(tmp_path / "Pictures", {"one": "1", "two": "2"})


@pytest.fixture
def slow_folder(tmp_path: Path) -> Path:
    return write_files(tmp_path / "Slow", {str(i): os.urandom(40_000) for i in range(60)})


@pytest.fixture
def portal(session_bus: SessionBus) -> Portal:
    return Portal(session_bus)


@pytest.fixture
def recorder(session_bus: SessionBus) -> Iterator[Recorder]:
    with Recorder(session_bus) as recorder:
        yield recorder


@pytest.fixture
def started(agent: Agent, recorder: Recorder) -> Agent:
    agent.environment["KEEPSAKE_TEST_SANDBOX"] = "1"
    agent.keyring.start()
    agent.start("2026-03-01 13:00")
    return agent


def add(agent: Agent, *args: Any, **members: Any) -> Plan:
    plan = agent.add_plan(*args, **members)
    wait_until(lambda: f"{ROOT}/{plan.path}" in agent.objects(), 10, "the plan on the bus")
    return plan


def calls(recorder: Recorder, interface: str, member: str) -> list[Message]:
    return recorder.messages(kind="call", interface=interface, member=member)


def asked(recorder: Recorder) -> list[bool]:
    """What each request for the background said of autostart; a KeyError where it said nothing."""
    requests = calls(recorder, BACKGROUND, "RequestBackground")
    for request in requests:
        options = request.body[1]
        assert Path(options["commandline"][0]).name == "keepsake-agent"
        assert options["commandline"][1:] == ["--autostart"]
        assert options["dbus-activatable"] is False and options["reason"]
    return [request.body[1]["autostart"] for request in requests]


def test_background(portal: Portal, started: Agent, recorder: Recorder) -> None:
    """A request without "autostart" would switch it off, and without any the agent is killed."""
    assert asked(recorder) == [False]
    started.manager("SetAutostart", "(ba{sv})", True, {})
    assert started.get("Autostart")
    assert asked(recorder) == [False, True]
    started.kill()
    started.start()
    assert asked(recorder) == [False, True, True]
    wait_until(lambda: started.get("Autostart"), 10, "the answer")
    started.manager("SetAutostart", "(ba{sv})", False, {})
    assert not started.get("Autostart")
    assert asked(recorder) == [False, True, True, False]


@pytest.mark.parametrize("response", [1, 2])
def test_background_refused(
    portal: Portal, started: Agent, recorder: Recorder, response: int
) -> None:
    portal.answer(response)
    with raises("Failed"):
        started.manager("SetAutostart", "(ba{sv})", True, {})
    assert not started.get("Autostart")


def test_without_portals(started: Agent, folder: Path, bucket: str) -> None:
    """Then nothing is seen, and all is backed up."""
    plan = add(started, "Photos", folder, bucket)
    assert plan.run().wait()["failed"] == 0
    with raises("Failed"):
        started.manager("SetAutostart", "(ba{sv})", True, {})


def test_notifications(
    portal: Portal, started: Agent, recorder: Recorder, folder: Path, bucket: str, proxy: Any
) -> None:
    rule = Rule(lambda r: True, Refuse(), times=None)
    proxy.rules.append(rule)
    plan = add(started, "Photos", folder, bucket, schedule="@daily 12:30", endpoint=proxy.endpoint)
    call = recorder.wait_for(interface=NOTIFICATION, member="AddNotification", timeout=30)
    (name, shown) = call.body
    assert name == plan.id
    assert shown["title"] == "“Photos” failed" and shown["priority"] == "urgent"
    assert "127.0.0.1" in shown["body"]
    assert [(button["action"], button["label"]) for button in shown["buttons"]] == [
        ("run", "Back Up Now"), ("details", "Details")
    ]  # fmt: skip

    # One that an agent has left is answered by the next.
    started.kill()
    proxy.rules.remove(rule)
    started.start()
    portal.click(plan.id, "run")
    wait_until(lambda: plan.get("LastResult") == "finished", 20, "the run")
    assert plan.jobs()[0]["trigger"] == "manual"
    portal.click("not-a-plan", "run")
    portal.click(plan.id, "explode")
    assert recorder.messages(interface="org.freedesktop.Notifications") == []


def test_failure_is_told_again_when_the_clock_was_set_back(
    portal: Portal, agent: Agent, recorder: Recorder, folder: Path, bucket: str, proxy: Any
) -> None:
    """A wrong clock must not silence a year of failures."""
    proxy.rules.append(Rule(lambda r: True, Refuse(), times=None))
    agent.environment["KEEPSAKE_TEST_SANDBOX"] = "1"
    agent.keyring.start()
    plan = agent.add_plan("Photos", folder, bucket, schedule="@daily 12:30",
                          endpoint=proxy.endpoint)  # fmt: skip
    agent.start("2030-03-01 13:00")
    assert len(calls(recorder, NOTIFICATION, "AddNotification")) == 1
    agent.set_time("2026-03-01 13:00")
    assert [job["state"] for job in plan.jobs()] == ["failed", "failed"]
    wait_until(
        lambda: len(calls(recorder, NOTIFICATION, "AddNotification")) == 2, 10, "the second"
    )


def test_progress(
    portal: Portal, started: Agent, recorder: Recorder, slow_folder: Path, tmp_path: Path, bucket: str
) -> None:
    """The portal cannot show it: of a long job it is told that it runs, of a short one its end."""
    folder = write_files(tmp_path / "Pictures", {str(i): os.urandom(40_000) for i in range(15)})
    add(started, "Photos", folder, bucket, **{"upload-limit": "150K"}).run().wait()
    slow = add(started, "Slow", slow_folder, bucket, **{"upload-limit": "100K"}).run()

    def titles() -> list[str]:
        return [call.body[1]["title"] for call in calls(recorder, NOTIFICATION, "AddNotification")]

    wait_until(lambda: "Backing up “Slow”" in titles(), 20, "that it runs")
    started.manager("SetUploadLimit", "(xa{sv})", 0, {})
    slow.wait()
    wait_until(lambda: "“Slow” is done" in titles(), 10, "the end of the long one")
    assert titles() == ["“Photos” is done", "Backing up “Slow”", "“Slow” is done"]


def test_overdue_offers_what_helps(
    portal: Portal, started: Agent, recorder: Recorder, folder: Path, bucket: str
) -> None:
    plan = started.add_plan("Photos", folder, bucket, schedule="@daily 12:30")
    wait_until(lambda: started.objects().get(f"{ROOT}/{plan.path}"), 10, "the plan")
    started.settle()
    started.keyring.lock()
    for time in ("03-02 13:00", "03-04 13:30"):
        started.set_time(f"2026-{time}")
    assert plan.get("Overdue")

    def shown() -> list[tuple[str, list[str]]]:
        return [(n.body[1]["title"], [button["label"] for button in n.body[1]["buttons"]])
                for n in calls(recorder, NOTIFICATION, "AddNotification")]  # fmt: skip

    wait_until(lambda: shown()[-1:] == [("“Photos” is overdue", ["Unlock Keyring", "Details"])], 10,
               "the alarm")  # fmt: skip


def test_no_suspend_while_somebody_waits(
    portal: Portal, system_bus: SystemBus, started: Agent, recorder: Recorder, slow_folder: Path,
    bucket: str,
) -> None:  # fmt: skip
    plan = add(started, "Photos", slow_folder, bucket, **{"upload-limit": "600K"})
    job = plan.run()
    call = recorder.wait_for(kind="call", interface=INHIBIT, member="Inhibit", timeout=20)
    assert call.body[1] == 4 and call.body[2]["reason"]
    started.manager("SetUploadLimit", "(xa{sv})", 0, {})
    job.wait()
    closed = recorder.wait_for(kind="call", interface=REQUEST, member="Close", timeout=20)
    assert closed.path == recorder.reply_to(call).body[0]
    assert len(calls(recorder, INHIBIT, "Inhibit")) == 1
    # What the sandbox does not let through is not tried.
    assert system_bus.inhibitors() == []
    assert LOGIND in system_bus.ask_bus("ListNames")[0]


def test_status(
    portal: Portal, started: Agent, recorder: Recorder, slow_folder: Path, bucket: str
) -> None:
    plan = add(started, "Photos", slow_folder, bucket, **{"upload-limit": "600K"})
    plan.run().wait()
    started.settle()
    said = [call.body[0]["message"] for call in calls(recorder, BACKGROUND, "SetStatus")]
    assert said[0] == said[-1] == "Waiting for the next backup"
    progress = said[1:-1]
    assert len(progress) >= 3
    assert all(text.startswith("Backing up “Photos”: ") for text in progress)
    percents = [int(text.rpartition(": ")[2].rstrip("%")) for text in progress]
    assert percents == sorted(set(percents)), "each is told once"
    assert all(len(text) <= 96 and "\n" not in text for text in said)
