# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""What the agent does as time passes. The clock is moved, nothing is waited for."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gi.repository import GLib

from conftest import short_folder
from fixtures import wait_until
from fixtures.agent import Agent, Job, Plan, moment, raises, text_of
from fixtures.checks import keys, write_files
from fixtures.session_bus import SessionBus
from fixtures.system_bus import SystemBus


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_files(tmp_path / "Pictures", {"one": "1", "two": "2"})


def started(plan: Any) -> list[str]:
    """The days and hours at which its backups began, oldest first."""
    return [text_of(job["started"]) for job in reversed(plan.jobs())]


def reasons(plan: Any) -> list[tuple[str, str, int]]:
    return [(s["reason"], text_of(s["from"]), s["count"]) for s in reversed(plan.skips())]


def add_job(agent: Agent, plan: Plan, kind: str, state: str) -> None:
    """Of which only the history knows."""
    with contextlib.closing(sqlite3.connect(agent.state / "history.sqlite")) as history, history:
        now = int(agent.environment["KEEPSAKE_TEST_CLOCK"] or 0)
        history.execute(
            "INSERT INTO job (plan, kind, trigger, started, ended, state)"
            " VALUES (?, ?, 'scheduled', ?, ?, ?)",
            (plan.id, kind, now, now + 1, state),
        )


def test_ten_days(agent: Agent, system_bus: SystemBus, folder: Path, s3: Any, bucket: str) -> None:
    """Daily at 12:30; asleep on days 3 to 5, metered on day 7 until evening, keyring locked on
    day 8."""
    agent.environment["KEEPSAKE_TEST_LOOPBACK_IS_REMOTE"] = "1"
    agent.keyring.start()
    plan = agent.add_plan("Photos", folder, bucket, schedule="@daily 12:30")
    agent.start("2026-03-01 09:00")
    # The first run of a new plan is at once.
    assert started(plan) == ["2026-03-01 09:00"]
    assert sorted(keys(s3, bucket)) == [
        "photos/Pictures/", "photos/Pictures/one", "photos/Pictures/two"
    ]  # fmt: skip

    agent.set_time("2026-03-01 12:29")
    assert len(plan.jobs()) == 1
    agent.set_time("2026-03-01 12:40")
    agent.set_time("2026-03-02 12:40")
    assert started(plan)[1:] == ["2026-03-01 12:40", "2026-03-02 12:40"]
    assert plan.skips() == []

    # Asleep, from the evening of the second to the morning of the sixth.
    agent.set_time("2026-03-06 08:00")
    assert started(plan)[3:] == ["2026-03-06 08:00"]
    assert plan.jobs()[0]["trigger"] == "catch-up"
    assert reasons(plan) == [("not-running", "2026-03-06 08:00", 3)]
    agent.set_time("2026-03-06 12:40")
    assert started(plan)[4:] == ["2026-03-06 12:40"]
    assert plan.jobs()[0]["trigger"] == "scheduled"

    # On a phone's network until the evening.
    agent.set_time("2026-03-07 10:00")
    system_bus.set_metered(True)
    wait_until(lambda: agent.get("Conditions") == ["metered"], 10, "the condition")
    agent.set_time("2026-03-07 12:40")
    agent.set_time("2026-03-07 15:00")
    assert (plan.get("State"), plan.get("HeldBy")) == ("held", "metered")
    assert "metered" in plan.get("HeldMessage")
    assert len(plan.jobs()) == 5
    agent.set_time("2026-03-07 19:00")
    system_bus.set_metered(False)
    wait_until(lambda: agent.get("Conditions") == [], 10, "no condition")
    agent.settle()
    assert started(plan)[5:] == ["2026-03-07 19:00"]
    assert reasons(plan)[1:] == [("metered", "2026-03-07 12:40", 1)]

    # Locked until it is unlocked.
    agent.set_time("2026-03-08 09:00")
    agent.keyring.lock()
    agent.set_time("2026-03-08 12:40")
    assert (plan.get("State"), plan.get("HeldBy")) == ("held", "keyring-locked")
    assert agent.get("State") == "attention"
    agent.set_time("2026-03-08 18:00")
    assert len(plan.jobs()) == 6
    agent.keyring.unlock()  # which it tells nobody
    agent.set_time("2026-03-08 18:02")
    assert started(plan)[6:] == ["2026-03-08 18:02"]
    assert reasons(plan)[2:] == [("keyring-locked", "2026-03-08 12:40", 1)]

    agent.set_time("2026-03-09 12:40")
    agent.set_time("2026-03-10 12:40")
    assert started(plan)[7:] == ["2026-03-09 12:40", "2026-03-10 12:40"]
    assert [job["state"] for job in plan.jobs()] == ["finished"] * 9
    assert len(plan.skips()) == 3
    assert plan.get("State") == "idle"
    assert agent.get("State") == "idle"


def test_missed_while_the_agent_was_not_there(agent: Agent, folder: Path, bucket: str) -> None:
    agent.keyring.start()
    plan = agent.add_plan("Photos", folder, bucket, schedule="@daily 12:30")
    agent.start("2026-03-01 13:00")
    agent.stop()
    agent.start("2026-03-03 08:00")
    assert started(plan) == ["2026-03-01 13:00", "2026-03-03 08:00"]
    assert reasons(plan) == [("not-running", "2026-03-03 08:00", 1)]


@pytest.mark.parametrize("condition", ["offline", "metered", "battery", "power-saver"])
def test_conditions(
    agent: Agent, system_bus: SystemBus, folder: Path, bucket: str, condition: str
) -> None:
    agent.environment["KEEPSAKE_TEST_LOOPBACK_IS_REMOTE"] = "1"
    agent.keyring.start()
    change = {
        "offline": lambda on: system_bus.set_network("none" if on else "full"),
        "metered": system_bus.set_metered,
        "battery": system_bus.set_on_battery,
        "power-saver": system_bus.set_power_saver,
    }[condition]
    plan = agent.add_plan("Photos", folder, bucket, schedule="@daily 12:30")
    agent.start("2026-03-01 13:00")
    change(True)
    wait_until(lambda: agent.get("Conditions") == [condition], 10, "the condition")
    agent.set_time("2026-03-02 12:40")
    assert (plan.get("State"), plan.get("HeldBy")) == ("held", condition)
    assert plan.get("DueSince") == moment("2026-03-02 12:30")
    assert [s["reason"] for s in plan.skips()] == [condition]
    # By hand it runs on a metered line and on battery.
    if condition != "offline":
        assert plan.run().wait()["reason"] == ""
        agent.settle()
        agent.set_time("2026-03-03 13:00")
    done = len(plan.jobs())
    change(False)
    wait_until(lambda: len(plan.jobs()) == done + 1, 10, "the run")


@pytest.mark.parametrize("member", ["metered", "battery"])
def test_plan_that_does_not_mind(
    agent: Agent, system_bus: SystemBus, folder: Path, bucket: str, member: str
) -> None:
    agent.environment["KEEPSAKE_TEST_LOOPBACK_IS_REMOTE"] = "1"
    agent.keyring.start()
    system_bus.set_metered(member == "metered")
    system_bus.set_on_battery(member == "battery")
    plan = agent.add_plan("Photos", folder, bucket, schedule="@daily 12:30",
                          conditions={member: "run"})  # fmt: skip
    agent.start("2026-03-01 13:00")
    wait_until(lambda: len(plan.jobs()) == 1, 10, "the run")


def begin_and_wait(
    agent: Agent, system_bus: SystemBus, tmp_path: Path, bucket: str
) -> tuple[Plan, Job]:
    """A job that the agent has begun, and that waits for a network that is not metered."""
    agent.environment["KEEPSAKE_TEST_LOOPBACK_IS_REMOTE"] = "1"
    folder = write_files(tmp_path / "Slow", {str(i): os.urandom(40_000) for i in range(30)})
    plan = agent.add_plan("Slow", folder, bucket, schedule="@daily", **{"upload-limit": "150K"})
    agent.environment["KEEPSAKE_TEST_CLOCK"] = str(moment("2026-03-01 13:00"))
    agent.bus.add_service(
        "io.github.keepsake_backup.Keepsake.Agent", agent.binary, env=agent.environment
    )
    job = plan.wait_for_job()
    job.wait_for_state("transferring")
    system_bus.set_metered(True)
    job.wait_for_state("waiting")
    return plan, job


def test_running_job_waits_for_its_conditions(
    agent: Agent, system_bus: SystemBus, tmp_path: Path, bucket: str
) -> None:
    agent.keyring.start()
    plan, job = begin_and_wait(agent, system_bus, tmp_path, bucket)
    assert "metered" in job.get("Waiting")
    system_bus.set_metered(False)
    result = job.wait()
    assert (result["failed"], result["reason"], result["put"]) == (0, "", 31)
    assert plan.get("LastResult") == "finished"


def look(agent: Agent) -> None:
    """Lets it look at its jobs once more; when this returns it has."""
    agent.manager("SetUploadLimit", "(xa{sv})", -1, {})
    agent.get("State")


def test_waiting_job_goes_by_the_conditions_of_today(
    agent: Agent, system_bus: SystemBus, tmp_path: Path, bucket: str
) -> None:
    agent.keyring.start()
    plan, job = begin_and_wait(agent, system_bus, tmp_path, bucket)
    plan.edit(conditions={"metered": "run", "battery": "wait"})
    job.wait_for_state("transferring")
    plan.edit(conditions={"metered": "wait", "battery": "wait"})
    job.wait_for_state("waiting")
    assert "metered" in job.get("Waiting")
    # Those of another destination are not for this job.
    plan.members["destination"]["prefix"] = "elsewhere"
    plan.members["conditions"]["metered"] = "run"
    plan.write()
    wait_until(lambda: "elsewhere" in plan.get("Plan"), 10, "the plan as it is now")
    look(agent)
    assert job.state == "waiting"
    system_bus.set_metered(False)
    assert job.wait()["put"] == 31


def test_switched_off_while_its_job_waits(
    agent: Agent, system_bus: SystemBus, tmp_path: Path, bucket: str
) -> None:
    agent.keyring.start()
    plan, job = begin_and_wait(agent, system_bus, tmp_path, bucket)
    plan.edit(enabled=False)
    job.wait_for_state("cancelled")
    system_bus.set_metered(False)
    agent.settle()
    assert (plan.get("State"), [job["state"] for job in plan.jobs()]) == ("disabled", ["cancelled"])


def test_switched_off_while_its_job_is_paused(
    agent: Agent, system_bus: SystemBus, tmp_path: Path, bucket: str
) -> None:
    agent.keyring.start()
    plan, job = begin_and_wait(agent, system_bus, tmp_path, bucket)
    system_bus.set_metered(False)
    job.wait_for_state("transferring")
    agent.manager("Pause", "(ta{sv})", 0, {})
    job.wait_for_state("paused")
    plan.edit(enabled=False)
    job.wait_for_state("cancelled")


@pytest.mark.parametrize("way", ["goes on", "has to wait"])
def test_switched_off_while_its_job_moves(
    agent: Agent, system_bus: SystemBus, tmp_path: Path, bucket: str, way: str
) -> None:
    """What is under way comes to its end, but it does not wait for that."""
    agent.keyring.start()
    plan, job = begin_and_wait(agent, system_bus, tmp_path, bucket)
    system_bus.set_metered(False)
    job.wait_for_state("transferring")
    plan.edit(enabled=False)
    look(agent)
    assert job.state == "transferring"
    if way == "has to wait":
        system_bus.set_metered(True)
    else:
        agent.manager("SetUploadLimit", "(xa{sv})", 0, {})
    assert job.wait_for_state("finished", "cancelled") == (
        "cancelled" if way == "has to wait" else "finished"
    )


def test_switched_off_while_a_job_by_hand_waits(
    agent: Agent, system_bus: SystemBus, tmp_path: Path, bucket: str
) -> None:
    """A plan that is switched off runs when somebody asks for it."""
    agent.environment["KEEPSAKE_TEST_LOOPBACK_IS_REMOTE"] = "1"
    agent.keyring.start()
    folder = write_files(tmp_path / "Slow", {str(i): os.urandom(40_000) for i in range(30)})
    plan = agent.add_plan("Slow", folder, bucket, **{"upload-limit": "150K"})
    agent.start("2026-03-01 13:00")
    job = plan.run()
    job.wait_for_state("transferring")
    system_bus.set_network("none")
    job.wait_for_state("waiting")
    plan.edit(enabled=False)
    look(agent)
    assert job.state == "waiting"
    system_bus.set_network("full")
    assert job.wait()["put"] == 31


@pytest.fixture
def other(agent: Agent, folder: Path, bucket: str) -> Plan:
    agent.keyring.start()
    return agent.add_plan("Photos", folder, bucket)


@pytest.fixture
def waiting(
    agent: Agent, system_bus: SystemBus, tmp_path: Path, other: Plan, bucket: str
) -> Plan:
    """Its job was begun by the agent and waits for a network that is not metered."""
    plan, _ = begin_and_wait(agent, system_bus, tmp_path, bucket)
    return plan


def test_waiting_job_makes_way_for_somebody(
    agent: Agent, system_bus: SystemBus, waiting: Plan, other: Plan
) -> None:
    assert other.run().wait()["put"] == 3
    agent.settle()
    assert (waiting.get("State"), waiting.get("HeldBy")) == ("held", "metered")
    (job,) = waiting.jobs()
    assert (job["state"], job["reason"], job["failed"]) == ("interrupted", "another-job", 0)
    assert job["message"].startswith("Interrupted while it waited")
    # It is still wanted, and goes on from there.
    system_bus.set_metered(False)
    wait_until(lambda: waiting.get("LastResult") == "finished", 20, "the rest")
    last = waiting.jobs()[0]
    assert last["trigger"] == "catch-up" and last["put"] + job["put"] >= 31


def test_waiting_job_does_not_make_way_for_one_that_would_wait(
    agent: Agent, system_bus: SystemBus, waiting: Plan, other: Plan
) -> None:
    system_bus.set_network("none")
    wait_until(lambda: "offline" in agent.get("Conditions"), 10, "the condition")
    queued = other.run()
    agent.manager("SetUploadLimit", "(xa{sv})", -1, {})  # lets it look at all once more
    wait_until(lambda: "no network" in waiting.job.get("Waiting"), 10, "the reason")
    queued.call("Cancel")
    system_bus.set_metered(False)
    system_bus.set_network("full")
    agent.settle()
    assert [(job["state"], job["put"]) for job in waiting.jobs()] == [("finished", 31)]


def test_waiting_job_makes_way_for_its_own_plan(
    agent: Agent, system_bus: SystemBus, waiting: Plan
) -> None:
    result = waiting.run().wait()
    last, first = waiting.jobs()
    assert (first["state"], first["reason"]) == ("interrupted", "another-job")
    assert (last["trigger"], last["state"]) == ("manual", "finished")
    assert result["failed"] == 0 and result["put"] + first["put"] >= 31
    agent.settle()
    assert len(waiting.jobs()) == 2  # it is no longer due


@pytest.mark.parametrize("kind", ["files", "backup"])
def test_files_are_fetched_while_backups_are_paused(
    agent: Agent, system_bus: SystemBus, waiting: Plan, tmp_path: Path, kind: str
) -> None:
    system_bus.set_metered(False)
    waiting.job.wait_for_state("transferring")
    agent.manager("Pause", "(ta{sv})", 0, {})
    waiting.job.wait_for_state("paused")
    if kind == "backup":
        assert waiting.run().wait()["failed"] == 0
        assert len(waiting.jobs()) == 2
        return
    target = tmp_path / "again"
    path, to = os.fsencode("Slow"), os.fsencode(target)
    (job,) = waiting.call("Restore", "(ayaya{sv})", path, to, {})
    assert Job(agent, job).wait()["failed"] == 0
    assert target.is_dir()
    assert [job["state"] for job in waiting.jobs()] == ["finished", "interrupted"]
    agent.settle()
    assert (waiting.get("State"), waiting.get("HeldBy")) == ("held", "paused")
    agent.manager("Resume")
    wait_until(lambda: waiting.get("LastResult") == "finished", 20, "the rest")


def test_waiting_job_does_not_make_way_for_its_own_plan_offline(
    agent: Agent, system_bus: SystemBus, waiting: Plan
) -> None:
    """Why nothing begins is said."""
    system_bus.set_network("none")
    wait_until(lambda: "offline" in agent.get("Conditions"), 10, "the condition")
    with raises("Offline"):
        waiting.run()
    system_bus.set_metered(False)
    system_bus.set_network("full")
    agent.settle()
    assert [job["state"] for job in waiting.jobs()] == ["finished"]


def test_running_job_does_not_make_way(
    agent: Agent, system_bus: SystemBus, waiting: Plan
) -> None:
    system_bus.set_metered(False)
    waiting.job.wait_for_state("transferring")
    with raises("Busy"):
        waiting.run()
    waiting.job.call("Pause")
    waiting.job.wait_for_state("paused")
    with raises("Busy"):
        waiting.run()
    waiting.job.call("Resume")
    assert waiting.job.wait()["failed"] == 0
    assert [job["state"] for job in waiting.jobs()] == ["finished"]


def test_failed_job_is_tried_again_with_growing_pauses(
    agent: Agent, folder: Path, bucket: str, proxy: Any
) -> None:
    from fixtures.fault_proxy import Refuse, Rule

    agent.keyring.start()
    plan = agent.add_plan("Photos", folder, bucket, schedule="@daily 12:30",
                          endpoint=proxy.endpoint)  # fmt: skip
    rule = Rule(lambda r: True, Refuse(), times=None)
    proxy.rules.append(rule)
    agent.start("2026-03-01 13:00")
    assert [job["state"] for job in plan.jobs()] == ["failed"]
    assert (plan.get("HeldBy"), plan.get("LastReason")) == ("back-off", "offline")
    agent.set_time("2026-03-01 13:04")
    assert len(plan.jobs()) == 1
    agent.set_time("2026-03-01 13:06")
    assert len(plan.jobs()) == 2
    agent.set_time("2026-03-01 13:15")
    assert len(plan.jobs()) == 2
    agent.set_time("2026-03-01 13:17")
    assert len(plan.jobs()) == 3
    proxy.rules.remove(rule)
    agent.set_time("2026-03-01 15:00")
    assert [job["state"] for job in plan.jobs()] == ["finished"] + ["failed"] * 3
    assert plan.get("State") == "idle"
    agent.set_time("2026-03-01 20:00")
    assert len(plan.jobs()) == 4


def test_overdue(agent: Agent, folder: Path, bucket: str) -> None:
    agent.keyring.start()
    plan = agent.add_plan("Photos", folder, bucket, schedule="@daily 12:30")
    agent.start("2026-03-01 13:00")
    folder.rename(folder.with_name("elsewhere"))
    agent.set_time("2026-03-02 13:00")
    assert (plan.get("HeldBy"), plan.get("Overdue")) == ("source-missing", False)
    assert str(folder) in plan.get("HeldMessage")
    agent.set_time("2026-03-04 12:59")
    assert not plan.get("Overdue")
    agent.set_time("2026-03-04 13:05")
    assert plan.get("Overdue")
    assert agent.get("State") == "attention"
    folder.with_name("elsewhere").rename(folder)
    agent.set_time("2026-03-04 13:15")
    assert not plan.get("Overdue")
    assert agent.get("State") == "idle"


@pytest.mark.skipif(os.geteuid() != 0, reason="libmount lets only root name another fstab")
def test_source_that_is_not_mounted(
    agent: Agent, tmp_path: Path, folder: Path, s3: Any, bucket: str
) -> None:
    """The folder is there, and empty: a backup of it would go well and be of nothing."""
    disk = tmp_path / "disk"
    disk.mkdir()
    (tmp_path / "fstab").write_text(f"/dev/none / ext4\n/dev/none2 {disk} ext4 noauto\n")
    agent.environment["LIBMOUNT_FSTAB"] = str(tmp_path / "fstab")
    agent.keyring.start()
    plan = agent.add_plan("Disk", disk, bucket, schedule="@daily 12:30")
    both = agent.make_plan("Both", disk, bucket, schedule="@daily 12:30")
    both["sources"].append({"path": str(folder), "as": "Pictures"})
    agent.store_keys(both["id"])
    both = Plan(agent, both)
    both.write()
    agent.start("2026-03-01 13:00")
    assert (plan.get("HeldBy"), plan.jobs()) == ("source-missing", [])
    assert f"{disk}” cannot be found (nothing is mounted there)" in plan.get("HeldMessage")
    with raises("SourceMissing"):
        plan.run()
    # What is there of another plan is backed up.
    assert both.jobs()[0]["state"] == "finished"
    # As good as mounted: it is not empty.
    (disk / "one").write_text("1")
    agent.set_time("2026-03-01 13:06")
    assert plan.jobs()[0]["state"] == "finished"
    assert "disk/disk/one" in keys(s3, bucket)


def test_mounts_are_heard_of_only_while_one_is_awaited(
    agent: Agent, folder: Path, bucket: str
) -> None:
    """Each change of the table would wake up an agent that has nothing to do."""

    def hears() -> bool:
        links = []
        for fd in Path(f"/proc/{agent.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                links.append(os.readlink(fd))
        return any(link.endswith(("/mountinfo", "/mounts")) for link in links)

    agent.keyring.start()
    plan = agent.add_plan("Photos", folder, bucket, schedule="@daily 12:30")
    agent.start("2026-03-01 13:00")
    assert not hears()
    folder.rename(folder.with_name("elsewhere"))
    agent.set_time("2026-03-02 13:00")
    assert plan.get("HeldBy") == "source-missing"
    assert hears()
    folder.with_name("elsewhere").rename(folder)
    agent.set_time("2026-03-02 13:06")
    assert plan.get("State") == "idle"
    assert not hears()


@pytest.mark.parametrize("missing", ["source-missing", "keyring-locked"])
def test_what_was_missing_is_looked_for_after_a_pause(
    agent: Agent, folder: Path, bucket: str, missing: str
) -> None:
    agent.keyring.start()
    plan = agent.add_plan("Photos", folder, bucket, schedule="@daily 12:30")
    agent.start("2026-03-01 13:00")
    away = folder.with_name("elsewhere")
    if missing == "source-missing":
        folder.rename(away)
    else:
        agent.keyring.lock()
    agent.set_time("2026-03-02 13:00")
    assert plan.get("HeldBy") == missing
    agent.manager("Pause", "(ta{sv})", 0, {})
    agent.settle()
    assert plan.get("HeldBy") == "paused"
    agent.manager("Resume")
    agent.settle()
    assert (plan.get("HeldBy"), len(plan.jobs())) == (missing, 1)
    agent.manager("Pause", "(ta{sv})", 0, {})
    agent.settle()
    if missing == "source-missing":
        away.rename(folder)
    else:
        agent.keyring.unlock()
    agent.manager("Resume")
    agent.settle()
    assert (plan.get("State"), len(plan.jobs())) == ("idle", 2)


@pytest.mark.parametrize("change", ["paused", "switched off", "nothing"])
def test_keyring_that_takes_its_time(
    agent: Agent, folder: Path, bucket: str, change: str
) -> None:
    """What somebody decides meanwhile holds for the plan that waits for it."""
    agent.keyring.start()
    plan = agent.add_plan("Photos", folder, bucket, schedule="@daily 12:30")
    agent.start("2026-03-01 13:00")
    with agent.keyring.frozen():
        agent.set_time("2026-03-02 13:00", settle=False)
        if change == "paused":
            agent.manager("Pause", "(ta{sv})", 0, {})
        elif change == "switched off":
            plan.edit(enabled=False)
    agent.settle()
    assert len(plan.jobs()) == (2 if change == "nothing" else 1)
    assert plan.get("HeldBy") == ("paused" if change == "paused" else "")


def test_wrong_key_waits_for_somebody(agent: Agent, folder: Path, bucket: str) -> None:
    """Trying again would not help, and might lock the account."""
    agent.keyring.start()
    plan = agent.add_plan("Photos", folder, bucket, keys=False, schedule="@daily 12:30")
    agent.store_keys(plan.id, secret="wrong")
    agent.start("2026-03-01 13:00")
    assert plan.get("LastReason") == "bad-credentials"
    agent.set_time("2026-03-01 23:00")
    assert len(plan.jobs()) == 1
    agent.set_time("2026-03-02 13:00")
    assert len(plan.jobs()) == 2


def test_pause(agent: Agent, folder: Path, bucket: str) -> None:
    """For an hour, over a restart; until tomorrow; until resumed."""
    agent.keyring.start()
    plan = agent.add_plan("Photos", folder, bucket, schedule="@hourly")
    agent.start("2026-03-01 12:50")
    agent.manager("Pause", "(ta{sv})", 3600, {})
    assert agent.get("PausedUntil") == moment("2026-03-01 13:50")
    agent.set_time("2026-03-01 13:10")
    assert (plan.get("HeldBy"), agent.get("State")) == ("paused", "paused")
    assert "13:50" in plan.get("HeldMessage")
    agent.kill()
    agent.start()
    assert plan.get("HeldBy") == "paused"
    agent.set_time("2026-03-01 13:51")
    assert (agent.get("PausedUntil"), agent.get("State")) == (0, "idle")
    assert started(plan)[1:] == ["2026-03-01 13:51"]

    agent.manager("Pause", "(ta{sv})", 0, {"until-tomorrow": _boolean(True)})
    assert agent.get("PausedUntil") == moment("2026-03-02 05:00")
    agent.manager("Pause", "(ta{sv})", 0, {})
    assert agent.get("PausedUntil") == -1
    agent.set_time("2026-03-03 12:10")
    assert plan.get("HeldBy") == "paused"
    agent.manager("Resume")
    agent.settle()
    assert started(plan)[2:] == ["2026-03-03 12:10"]


def _boolean(value: bool) -> Any:
    from gi.repository import GLib

    return GLib.Variant("b", value)


def put(path: Path, text: str) -> None:
    """In one step, so that it is told once: the second half could come after the clock was moved."""
    place = Path(tempfile.mkdtemp(dir=path.parent.parent, prefix=".put-"))
    (place / "new").write_text(text)
    (place / "new").rename(path)


def test_watch(agent: Agent, folder: Path, s3: Any, bucket: str) -> None:
    """Some quiet minutes after a change."""
    agent.keyring.start()
    plan = agent.add_plan("Photos", folder, bucket, schedule="@watch 5m")
    agent.start("2026-03-01 13:00")
    agent.set_time("2026-03-01 13:30")
    done = len(plan.jobs())
    agent.set_time("2026-03-01 18:00")
    assert len(plan.jobs()) == done
    put(folder / "three", "3")
    wait_until(lambda: plan.get("NextRun") == moment("2026-03-01 18:05"), 10, "the change")
    agent.set_time("2026-03-01 18:04")
    assert len(plan.jobs()) == done
    agent.set_time("2026-03-01 18:06")
    assert len(plan.jobs()) == done + 1
    assert plan.jobs()[0]["trigger"] == "watch"
    assert "photos/Pictures/three" in keys(s3, bucket)


@pytest.mark.parametrize("is_there", [True, False], ids=["comes back", "comes later"])
@pytest.mark.parametrize("place_stays", [True, False], ids=["place stays", "place goes"])
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_watch_of_a_disk_that_comes(
    agent: Agent, tmp_path: Path, bucket: str, is_there: bool, place_stays: bool
) -> None:
    """Unplugged and plugged in. The folder it is mounted on is made for it, or is the table's."""
    disk = tmp_path / "disk"
    with contextlib.ExitStack() as at_end:
        at_end.callback(lambda: disk.is_mount() and unplug())

        def plug_in() -> None:
            disk.mkdir(exist_ok=True)
            subprocess.run(["mount", "-t", "tmpfs", "none", disk], check=True)
            (disk / "one").write_text("1")

        def unplug() -> None:
            subprocess.run(["umount", disk], check=True)
            if not place_stays:
                disk.rmdir()

        if subprocess.run(["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"]).returncode:
            pytest.skip("nothing can be mounted here")
        (tmp_path / "fstab").write_text(f"/dev/none {disk} ext4 noauto\n" if place_stays else "")
        agent.environment["LIBMOUNT_FSTAB"] = str(tmp_path / "fstab")
        agent.keyring.start()
        plug_in()
        if not is_there:
            unplug()
        plan = agent.add_plan("Disk", disk, bucket, schedule="@watch 5m")
        agent.start("2026-03-01 13:00")
        if is_there:
            agent.set_time("2026-03-01 13:30")
            unplug()
            wait_until(lambda: plan.get("WatchNote"), 10, "the end of the watch")
            agent.set_time("2026-03-01 13:40")
        assert plan.get("HeldBy") == "source-missing"
        done = len(plan.jobs())
        plug_in()
        wait_until(lambda: len(plan.jobs()) == done + 1, 20, "the backup")  # told of by the mount
        agent.settle()
        assert plan.get("WatchNote") == ""
        agent.set_time("2026-03-01 14:00")
        agent.set_time("2026-03-01 18:00")
        assert len(plan.jobs()) == done + 2  # what changed before it was watched
        (disk / "two").write_text("2")
        wait_until(lambda: plan.get("NextRun") == moment("2026-03-01 18:05"), 10, "the change")


def test_verification_follows(agent: Agent, folder: Path, bucket: str) -> None:
    agent.keyring.start()
    plan = agent.add_plan("Photos", folder, bucket, schedule="@daily 12:30", verify="weekly")
    agent.start("2026-03-01 13:00")
    assert [job["kind"] for job in plan.jobs()] == ["verify", "backup"]
    assert plan.get("LastVerified") == moment("2026-03-01 13:00")
    agent.set_time("2026-03-02 13:00")
    assert [job["kind"] for job in plan.jobs()] == ["backup", "verify", "backup"]
    agent.set_time("2026-03-08 13:10")
    assert [job["kind"] for job in plan.jobs()][:2] == ["verify", "backup"]


def test_what_a_verification_finds_is_an_alarm_until_it_is_sent_again(
    agent: Agent, folder: Path, s3: Any, bucket: str
) -> None:
    agent.keyring.start()
    plan = agent.add_plan("Photos", folder, bucket, schedule="@daily 12:30", verify="weekly")
    agent.start("2026-03-01 13:00")
    assert [job["kind"] for job in plan.jobs()] == ["verify", "backup"]
    assert plan.get("VerifyCoverage") == {
        "objects": 2, "objects-proved": 2, "bytes": 2, "bytes-proved": 2,
        "oldest-proof": moment("2026-03-01 13:00"),
    }  # fmt: skip
    assert not plan.get("VerifyProblem") and plan.get("LastVerifyResult") == "finished"

    agent.set_time("2026-03-07 13:00")
    key = "photos/Pictures/one"
    metadata = s3.head_object(Bucket=bucket, Key=key)["Metadata"]
    s3.put_object(Bucket=bucket, Key=key, Body=b"x", Metadata=metadata)
    plan.run(kind=GLib.Variant("s", "verify"), bounded=GLib.Variant("b", True)).wait()
    assert plan.get("VerifyProblem") and plan.get("LastVerifyFailed") == 1
    assert f"“{folder}/one”" in plan.get("LastVerifyMessage")
    assert plan.get("VerifyCoverage")["objects-proved"] == 1
    assert agent.get("State") == "attention"
    assert plan.get("LastVerifyJob") == plan.jobs()[0]["id"]
    assert plan.jobs()[0]["coverage"]["objects-proved"] == 1

    # One that does not go to its end says nothing of that.
    found = plan.get("LastVerifyJob"), plan.get("LastVerifyFailed"), plan.get("LastVerifyMessage")
    for state in ("failed", "cancelled"):
        add_job(agent, plan, "verify", state)
        agent.set_time(f"2026-03-07 13:{10 + len(state)}")
        assert plan.jobs()[0]["state"] == state
        assert plan.get("VerifyProblem") and agent.get("State") == "attention", state
        assert found == (
            plan.get("LastVerifyJob"), plan.get("LastVerifyFailed"), plan.get("LastVerifyMessage"),
        )  # fmt: skip

    # The next backup sends it again, and a verification soon after that looks whether it did.
    agent.set_time("2026-03-08 13:30")
    assert plan.jobs()[0]["kind"] == "verify"
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == b"1"
    assert not plan.get("VerifyProblem")
    assert plan.get("VerifyCoverage")["objects-proved"] == 2
    assert agent.get("State") == "idle"


def test_what_no_backup_can_mend_stays_an_alarm(
    agent: Agent, folder: Path, s3: Any, bucket: str
) -> None:
    """The file is no longer here to be sent again."""
    agent.keyring.start()
    plan = agent.add_plan("Photos", folder, bucket, schedule="@daily 12:30", verify="off")
    agent.start("2026-03-01 13:00")
    (folder / "one").unlink()
    key = "photos/Pictures/one"
    good = s3.get_object(Bucket=bucket, Key=key)
    s3.put_object(Bucket=bucket, Key=key, Body=b"x", Metadata=good["Metadata"])
    plan.run(kind=GLib.Variant("s", "verify")).wait()
    assert plan.get("VerifyProblem")
    agent.set_time("2026-03-02 13:00")
    assert (plan.jobs()[0]["kind"], plan.jobs()[0]["state"]) == ("backup", "finished")
    assert plan.get("LastResult") == "finished" and plan.get("LastMessage") == ""
    assert plan.get("VerifyProblem") and agent.get("State") == "attention"

    # Somebody has put it back.
    s3.put_object(Bucket=bucket, Key=key, Body=b"1", Metadata=good["Metadata"])
    plan.run(kind=GLib.Variant("s", "verify")).wait()
    assert not plan.get("VerifyProblem") and agent.get("State") == "idle"
    plan.run().wait()
    assert plan.jobs()[0].get("reason", "") == plan.get("LastReason") == ""


def test_watch_and_our_own_files(agent: Agent, tmp_path: Path, bucket: str) -> None:
    """What a backup writes on the disk is not the reason for the next one."""
    home = write_files(tmp_path / "home", {"one": "1", ".local/state/other": "2"})
    elsewhere = write_files(tmp_path / "elsewhere", {"one": "1"})
    agent.environment["XDG_STATE_HOME"] = str(home / ".local/state")
    agent.keyring.start()
    plan = agent.add_plan("Home", home, bucket, schedule="@watch 5m")
    other = agent.add_plan("Elsewhere", elsewhere, bucket, schedule="@watch 20m")
    agent.start("2026-03-01 13:00")
    assert (home / ".local/state/keepsake/history.sqlite").exists()
    agent.set_time("2026-03-01 14:00")
    assert len(plan.jobs()) == 1
    put(home / "other", "new")
    plan.wait_for("NextRun", moment("2026-03-01 14:05"))
    agent.set_time("2026-03-01 14:10")
    assert len(plan.jobs()) == 2
    # Two changes of another plan, which are told a second apart: time enough to hear of ours.
    for minute in (11, 12):
        agent.set_time(f"2026-03-01 14:{minute}")
        put(elsewhere / str(minute), "new")
        other.wait_for("NextRun", moment(f"2026-03-01 14:{minute + 20}"))
    assert (plan.get("NextRun"), plan.get("WatchNote")) == (0, "")
    agent.set_time("2026-03-01 14:30")
    assert len(plan.jobs()) == 2


def test_held_new_plan_is_told_once(
    agent: Agent, system_bus: SystemBus, folder: Path, bucket: str
) -> None:
    agent.environment["KEEPSAKE_TEST_LOOPBACK_IS_REMOTE"] = "1"
    agent.keyring.start()
    system_bus.set_metered(True)
    plan = agent.add_plan("Photos", folder, bucket, schedule="@daily 12:30")
    agent.environment["KEEPSAKE_TEST_CLOCK"] = str(moment("2026-03-01 13:00"))
    agent.arguments = ["--autostart"]  # by when it knows of the network
    agent.start("2026-03-01 13:00")
    wait_until(lambda: agent.get("Conditions") == ["metered"], 10, "the condition")
    for time in ("13:05", "14:00", "20:00"):
        agent.set_time(f"2026-03-01 {time}")
    assert plan.get("DueSince") == moment("2026-03-01 13:00")
    assert [(reason, count) for reason, _, count in reasons(plan)] == [("metered", 1)]
    assert plan.jobs() == []


def test_clock_set_back(agent: Agent, folder: Path, bucket: str) -> None:
    """Nothing waits until the year that a wrong clock has shown."""
    agent.keyring.start()
    plan = agent.add_plan("Photos", folder, bucket, schedule="@daily 12:30")
    agent.arguments = ["--autostart"]
    agent.start("2030-01-01 09:00")
    assert plan.get("HeldBy") == "waking-up"
    agent.set_time("2026-03-01 09:00")
    assert plan.jobs() == []
    agent.set_time("2026-03-01 09:03")
    assert started(plan) == ["2026-03-01 09:03"]


def test_system_bus_goes_away(agent: Agent, session_bus: SessionBus, folder: Path, bucket: str) -> None:
    """As when it is upgraded: what it told is not known any more, and all goes on."""
    agent.keyring.start()
    with short_folder("system") as place, SystemBus(place) as system_bus:
        session_bus.set_environment(DBUS_SYSTEM_BUS_ADDRESS=system_bus.address)
        plan = agent.add_plan("Photos", folder, bucket, schedule="@daily 12:30")
        agent.start("2026-03-01 13:00")
        system_bus.set_on_battery(True)
        wait_until(lambda: agent.get("Conditions") == ["battery"], 10, "the condition")
        pid = agent.pid
    wait_until(lambda: agent.get("Conditions") == [], 10, "nothing to be known")
    agent.set_time("2026-03-02 13:00")
    assert agent.pid == pid
    assert len(plan.jobs()) == 2


def test_quiet_after_sleep_that_nobody_tells(agent: Agent, folder: Path, bucket: str) -> None:
    """In a sandbox there is no logind, and elsewhere its word may come after the alarm."""
    agent.keyring.start()
    plan = agent.add_plan("Photos", folder, bucket, schedule="@daily 12:30")
    agent.start("2026-03-01 13:00")
    agent.call("Testing", "Testing.Sleep", "(x)", 86400)
    agent.settle()
    assert (plan.get("HeldBy"), len(plan.jobs())) == ("waking-up", 1)
    agent.set_time("2026-03-02 13:01")
    assert started(plan)[1:] == ["2026-03-02 13:01"]


def test_quiet_after_login(agent: Agent, folder: Path, bucket: str) -> None:
    agent.keyring.start()
    plan = agent.add_plan("Photos", folder, bucket, schedule="@daily 12:30")
    agent.arguments = ["--autostart"]
    agent.start("2026-03-01 13:00")
    assert (plan.get("HeldBy"), plan.jobs()) == ("waking-up", [])
    agent.set_time("2026-03-01 13:03")
    assert started(plan) == ["2026-03-01 13:03"]


def test_quiet_after_resume(
    agent: Agent, system_bus: SystemBus, folder: Path, bucket: str
) -> None:
    """The network that was there before the computer slept is not there yet."""
    agent.keyring.start()
    plan = agent.add_plan("Photos", folder, bucket, schedule="@daily 12:30")
    agent.start("2026-03-01 13:00")
    system_bus.set_on_battery(True)
    wait_until(lambda: agent.get("Conditions") == ["battery"], 10, "the condition")
    agent.set_time("2026-03-02 12:40")
    system_bus.prepare_for_sleep(True)
    system_bus.prepare_for_sleep(False)
    system_bus.set_on_battery(False)
    plan.wait_for("HeldBy", "waking-up")
    assert len(plan.jobs()) == 1
    agent.set_time("2026-03-02 12:41")
    assert started(plan)[1:] == ["2026-03-02 12:41"]


# -- the history ----------------------------------------------------------------------------------


def stop_and_close(agent: Agent) -> Path:
    """Returns the history, when all of it is in one file."""
    agent.stop()
    history = agent.state / "history.sqlite"
    wait_until(lambda: not Path(f"{history}-wal").exists(), 10, "the history to be closed")
    return history


def check_history_problem(agent: Agent, reason: str) -> None:
    ((path, text),) = agent.get("Problems")
    assert bytes(path) == os.fsencode(agent.state / "history.sqlite")
    assert reason in text and reason in agent.log


@pytest.mark.parametrize("beginning", [0, 4096], ids=["header", "pages"])
def test_damaged_history(agent: Agent, folder: Path, s3: Any, bucket: str, beginning: int) -> None:
    """It is no reason to back nothing up: a new one begins."""
    agent.keyring.start()
    plan = agent.add_plan("Photos", folder, bucket, schedule="@daily 12:30")
    agent.start("2026-03-01 13:00")
    history = stop_and_close(agent)
    damaged = history.read_bytes()[:beginning] + b"x" * (history.stat().st_size - beginning)
    history.write_bytes(damaged)

    write_files(folder, {"three": "3"})
    agent.start("2026-03-01 14:00")
    check_history_problem(agent, "was damaged and is set aside")
    (aside,) = agent.state.glob("history.sqlite.set-aside-*")
    assert aside.read_bytes() == damaged
    assert started(plan) == ["2026-03-01 14:00"] and "photos/Pictures/three" in keys(s3, bucket)
    agent.set_time("2026-03-02 13:00")
    assert started(plan)[1:] == ["2026-03-02 13:00"]
    agent.stop()
    agent.start("2026-03-02 14:00")
    assert agent.get("Problems") == [] and len(plan.jobs()) == 2


def test_history_of_a_newer_keepsake(
    agent: Agent, folder: Path, s3: Any, bucket: str
) -> None:
    """It is left alone; what happens meanwhile is known as long as the agent lives."""
    agent.keyring.start()
    plan = agent.add_plan("Photos", folder, bucket, schedule="@daily 12:30")
    agent.start("2026-03-01 13:00")
    history = stop_and_close(agent)
    with contextlib.closing(sqlite3.connect(history)) as newer:
        newer.execute("PRAGMA user_version = 2")
    before = history.read_bytes()

    write_files(folder, {"three": "3"})
    agent.start("2026-03-02 13:00")
    check_history_problem(agent, "was written by a newer Keepsake")
    assert started(plan) == ["2026-03-02 13:00"] and "photos/Pictures/three" in keys(s3, bucket)
    agent.set_time("2026-03-03 13:00")
    assert started(plan) == ["2026-03-02 13:00", "2026-03-03 13:00"]
    assert plan.get("LastSuccess") == moment("2026-03-03 13:00")
    stop_and_close(agent)
    assert history.read_bytes() == before


@contextlib.contextmanager
def small_disk_for_the_history(agent: Agent) -> Iterator[None]:
    """With the catalogues on another one, so that jobs go well."""
    agent.state.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", agent.state]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"cannot mount: {done.stderr.strip()}")
    try:
        catalogues = agent.state.with_name("catalogues")
        catalogues.mkdir()
        (agent.state / "catalogue").symlink_to(catalogues)
        yield
    finally:
        if agent.is_running():
            agent.kill()
        # The kernel may still hold what a killed process had open.
        wait_until(lambda: subprocess.run(["umount", agent.state]).returncode == 0, 10, "the disk")


def test_history_on_a_full_disk(agent: Agent, folder: Path, s3: Any, bucket: str) -> None:
    """What nobody could write down is not done again at once."""
    agent.keyring.start()
    plan = agent.add_plan("Photos", folder, bucket, schedule="@daily 12:30", verify="weekly")

    def unrecorded() -> list[int]:
        return [agent.log.count("will be missing in the history"), plan.get("LastVerified")]

    with small_disk_for_the_history(agent):
        agent.start("2026-03-01 13:00")
        assert sorted(job["kind"] for job in plan.jobs()) == ["backup", "verify"]
        with contextlib.closing(sqlite3.connect(agent.state / "history.sqlite")) as history:
            history.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with contextlib.suppress(OSError), open(agent.state / "full", "wb", buffering=0) as full:
            while True:
                full.write(bytes(512))

        write_files(folder, {"three": "3"})
        agent.set_time("2026-03-02 13:00")
        assert "photos/Pictures/three" in keys(s3, bucket)
        assert unrecorded() == [1, moment("2026-03-01 13:00")]
        assert plan.get("LastSuccess") == moment("2026-03-02 13:00")
        assert (plan.get("State"), plan.get("Overdue")) == ("idle", False)
        # Backup and verification, once each.
        agent.set_time("2026-03-08 13:00")
        assert unrecorded() == [3, moment("2026-03-08 13:00")]
        agent.set_time("2026-03-08 14:00")
        assert unrecorded()[0] == 3

        (agent.state / "full").unlink()
        agent.set_time("2026-03-09 13:00")
        assert started(plan)[2:] == ["2026-03-09 13:00"]
        agent.set_time("2026-03-09 14:00")
        assert len(plan.jobs()) == 3 and unrecorded()[0] == 3
