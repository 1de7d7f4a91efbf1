# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""What is notified of is what somebody chose, with Xfce's notification daemon as the judge."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from gi.repository import GLib

from fixtures import wait_until
from fixtures.agent import ROOT, Agent, Plan
from fixtures.app import add_plan
from fixtures.checks import keys, write_files
from fixtures.desktop import Desktop
from fixtures.fault_proxy import Exchange, FaultProxy, Refuse, Reply, Rule
from fixtures.large_files import WhenDone
from fixtures.system_bus import SystemBus

GOES_WELL = "“Photos” is done"
FAILS = "“Photos” failed"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_files(tmp_path / "Pictures", {"one": "1", "two": "2"})


def start(agent: Agent, desktop: Desktop, **chosen: str) -> None:
    """With these settings, as GSettings writes them."""
    keyfile = desktop.bus.config_home / "glib-2.0/settings/keyfile"
    keyfile.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"{name.replace('_', '-')}={value}" for name, value in chosen.items()]
    before = keyfile.read_text() if keyfile.exists() else ""
    section = "[io/github/keepsake_backup/Keepsake]"
    keyfile.write_text("\n".join([before, section, *lines, ""]))
    agent.keyring.start()
    agent.start("2026-03-01 13:00")


def refuse(proxy: FaultProxy) -> None:
    proxy.rules.append(Rule(lambda r: True, Refuse(), times=None))


def told(desktop: Desktop) -> list[tuple[str, str]]:
    return [
        (n.summary, n.body) for n in desktop.notifications.all if n.summary in (GOES_WELL, FAILS)
    ]


@pytest.mark.parametrize(
    ("choice", "which"),
    [
        ("never", []),
        ("asked", ["by hand", "nothing new"]),
        ("changes", ["by hand", "on schedule"]),
        ("always", ["by hand", "nothing new", "on schedule"]),
    ],
)
def test_when_all_goes_well(
    agent: Agent, desktop: Desktop, folder: Path, bucket: str, proxy: FaultProxy, choice: str,
    which: list[str],
) -> None:  # fmt: skip
    start(agent, desktop, notify_finished=f"'{choice}'")
    plan = add_plan(agent, "Photos", folder, bucket, schedule="manual", endpoint=proxy.endpoint)
    bodies = {
        "by hand": "3 files, 2 B", "nothing new": "Nothing had changed",
        "on schedule": "2 files, 3 B",
    }  # fmt: skip
    expected: list[tuple[str, str]] = []

    def expect(name: str) -> None:
        if name in which:
            expected.append((GOES_WELL, bodies[name]))
        wait_until(lambda: len(told(desktop)) >= len(expected), 15, name)

    for name in ("by hand", "nothing new"):
        plan.run().wait()
        agent.settle()
        expect(name)
    plan.edit(schedule="@daily 12:30")
    agent.settle()
    (folder / "three").write_text("333")
    agent.set_time("2026-03-02 13:00")
    assert plan.jobs()[0]["put"] == 2
    expect("on schedule")
    # Whatever was to be told came before this.
    refuse(proxy)
    plan.run().wait()
    wait_until(lambda: told(desktop)[-1:] and told(desktop)[-1][0] == FAILS, 15, "the failure")
    assert told(desktop)[:-1] == expected


def test_no_problems(
    agent: Agent, desktop: Desktop, folder: Path, bucket: str, proxy: FaultProxy
) -> None:
    """Nor what waits for somebody. The agent still shows them."""
    start(agent, desktop, notify_problems="false")
    refuse(proxy)
    plan = add_plan(agent, "Photos", folder, bucket, schedule="manual", endpoint=proxy.endpoint)
    plan.run().wait()
    agent.settle()
    agent.add_plan("Locked", folder, bucket, keys=False, schedule="@daily 12:30")
    wait_until(lambda: agent.get("State") == "attention", 15, "attention")
    (agent.plans_folder / "broken.json").write_text("{")
    wait_until(lambda: agent.get("Problems"), 10, "the problem")
    proxy.rules.clear()
    plan.run().wait()
    desktop.notifications.wait_for(summary=GOES_WELL)
    assert {n.summary for n in desktop.notifications.all} <= {GOES_WELL, "Backing up “Photos”"}


@pytest.mark.parametrize("wanted", [False, True])
def test_overdue(
    agent: Agent, desktop: Desktop, folder: Path, bucket: str, wanted: bool
) -> None:
    start(agent, desktop, notify_overdue=str(wanted).lower())
    plan = add_plan(agent, "Photos", folder, bucket, schedule="@daily 12:30")
    agent.settle()
    away = folder.rename(folder.with_name("elsewhere"))
    for day in (2, 3, 4):
        agent.set_time(f"2026-03-0{day} 13:30")
    assert plan.get("Overdue")
    if wanted:
        desktop.notifications.wait_for(summary="“Photos” is overdue")
    away.rename(folder)
    other: Plan = add_plan(agent, "Other", folder, bucket, schedule="manual")
    other.run().wait()
    desktop.notifications.wait_for(summary="“Other” is done")
    assert any("overdue" in n.summary for n in desktop.notifications.all) == wanted


@pytest.mark.parametrize("is_there", [True, False])
@pytest.mark.parametrize("schedule", ["@daily 12:30", "@watch 5m"])
def test_overdue_after_days_without_the_computer(
    agent: Agent, desktop: Desktop, folder: Path, bucket: str, schedule: str, is_there: bool
) -> None:
    """What is about to begin is no alarm; what is held then is."""
    start(agent, desktop)
    plan = add_plan(agent, "Photos", folder, bucket, schedule=schedule)
    agent.settle()
    agent.stop()
    if not is_there:
        folder.rename(folder.with_name("elsewhere"))
    agent.arguments = ["--autostart"]
    agent.start("2026-03-09 09:00")
    wait_until(lambda: plan.get("HeldBy") == "waking-up", 10, "the start")
    assert plan.get("Overdue")
    for minute in ("03", "10", "12"):
        agent.set_time(f"2026-03-09 09:{minute}")
    if not is_there:
        shown = desktop.notifications.wait_for(summary="“Photos” is overdue")
        assert shown.body.startswith("The last backup was on 03/01/26 13:00. ")
    assert len(plan.jobs()) == 1 + is_there
    assert any("overdue" in n.summary for n in desktop.notifications.all) != is_there


def test_overdue_while_its_job_waits(
    agent: Agent, desktop: Desktop, system_bus: SystemBus, tmp_path: Path, bucket: str
) -> None:
    """It was begun in time, and lies there; whoever sees that can let it go on."""
    folder = write_files(tmp_path / "Slow", {str(i): os.urandom(40_000) for i in range(30)})
    agent.environment["KEEPSAKE_TEST_LOOPBACK_IS_REMOTE"] = "1"
    start(agent, desktop)
    plan = agent.add_plan("Photos", folder, bucket, schedule="@daily 12:30",
                          **{"upload-limit": "300K"})  # fmt: skip
    wait_until(lambda: agent.objects().get(f"{ROOT}/{plan.path}"), 10, "the plan")
    job = plan.wait_for_job()
    job.wait_for_state("transferring")
    system_bus.set_metered(True)
    job.wait_for_state("waiting")
    agent.set_time("2026-03-06 13:00", settle=False)
    shown = desktop.notifications.wait_for(summary="“Photos” is overdue")
    assert shown.body.startswith("There has been no backup yet. Waiting for a network")
    assert "Back Up Now" in shown.actions.values()
    desktop.accessibility.wait_for(name="Back Up Now", role="push button").press()
    agent.settle()
    assert agent.get("Conditions") == ["metered"]
    assert [job["trigger"] for job in plan.jobs()] == ["manual", "scheduled"]
    assert plan.get("LastResult") == "finished"


def overdue(desktop: Desktop) -> list[str]:
    return [n.summary for n in desktop.notifications.all if "overdue" in n.summary]


def hold_back(proxy: FaultProxy, method: str = "PUT") -> threading.Semaphore:
    """The answer to each of these requests comes when somebody releases it."""
    held = threading.Semaphore(0)
    rule = Rule(lambda r: r.method == method, WhenDone(lambda _: held.acquire(timeout=600)), None)
    proxy.rules.append(rule)
    return held


def test_overdue_while_its_job_stands_still(
    agent: Agent, desktop: Desktop, folder: Path, bucket: str, proxy: FaultProxy
) -> None:
    """A disk or a share that does not answer, which nothing ends: that is told when nothing has moved
    for three hours that the computer was awake, and not while it may still get on."""
    start(agent, desktop)
    held = hold_back(proxy)
    plan = agent.add_plan("Photos", folder, bucket, schedule="@daily 12:30",
                          endpoint=proxy.endpoint)  # fmt: skip
    wait_until(lambda: agent.objects().get(f"{ROOT}/{plan.path}"), 10, "the plan")
    job = plan.wait_for_job()
    wait_until(lambda: job.get("Progress")["bytes-moved"] == 2, 20, "all that will move")
    for clock in ("13:00", "15:50"):
        agent.set_time(f"2026-03-06 {clock}", settle=False)
        wait_until(lambda: plan.get("Overdue"), 10, "that it is too late")
        assert not overdue(desktop)
    agent.call("Testing", "Testing.Sleep", "(x)", 3600)
    wait_until(lambda: agent.get("State") != "", 10, "an answer")
    assert not overdue(desktop)
    agent.set_time("2026-03-06 19:55", settle=False)
    shown = desktop.notifications.wait_for(summary="“Photos” is overdue")
    assert shown.body.endswith("Its job does not get on; a disk or a network share may not answer")
    held.release(10)
    agent.settle()
    assert plan.get("LastResult") == "finished"


def test_overdue_while_its_job_compares(
    agent: Agent, desktop: Desktop, tmp_path: Path, bucket: str, proxy: FaultProxy
) -> None:
    """To look at many objects, or to read many files, may take days, and is no standstill."""
    folder = write_files(tmp_path / "Pictures", {f"{i:02}": "1" for i in range(9)})
    start(agent, desktop)
    plan = add_plan(agent, "Photos", folder, bucket, schedule="@daily 12:30", endpoint=proxy.endpoint)
    agent.settle()
    agent.stop()
    for path in (agent.state / "catalogue").iterdir():
        path.unlink()
    held = hold_back(proxy, "HEAD")
    agent.start("2026-03-09 09:00", settle=False)
    wait_until(lambda: proxy.count("HEAD") >= 4, 20, "some of them")
    for hour in range(10, 24, 2):
        agent.set_time(f"2026-03-09 {hour}:30", settle=False)
        agent.manager("SetUploadLimit", "(xa{sv})", 0, {})  # it looks at everything
        assert plan.get("Overdue") and not overdue(desktop)
        held.release()
        time.sleep(0.5)  # it shows in no property
    agent.manager("SetUploadLimit", "(xa{sv})", 0, {})
    agent.set_time("2026-03-10 03:30", settle=False)
    desktop.notifications.wait_for(summary="“Photos” is overdue")
    held.release(100)
    agent.settle()


@pytest.mark.parametrize(
    ("gets_on", "is_asked_for"), [(True, False), (False, False), (False, True)]
)
def test_overdue_while_it_waits_its_turn(
    agent: Agent, desktop: Desktop, tmp_path: Path, bucket: str, proxy: FaultProxy, gets_on: bool,
    is_asked_for: bool,
) -> None:  # fmt: skip
    """Behind the job of another plan, as after some days without the computer: that is no alarm, but
    where that job stands still, or has taken a day. Also for who has asked for it by hand."""
    start(agent, desktop)
    plans = [
        add_plan(agent, name, write_files(tmp_path / name, {"old": "1"}), bucket,
                 schedule="@daily 12:30", endpoint=proxy.endpoint)
        for name in ("Photos", "Music")
    ]  # fmt: skip
    agent.settle()
    agent.stop()
    for plan in plans:
        write_files(tmp_path / plan.members["name"], {f"{i:02}": "2" for i in range(13)})
    held = hold_back(proxy)
    agent.start("2026-03-09 09:00", settle=False)
    waiting = wait_until(
        lambda: [plan for plan in plans if plan.get("HeldBy") == "another-job"], 20, "one of them"
    )[0]
    (first,) = set(plans) - {waiting}
    job = first.wait_for_job()
    wait_until(lambda: job.get("Progress")["bytes-moved"] == 13, 20, "all that moves by itself")
    if is_asked_for:
        waiting.run()
    for step in range(12 if gets_on else 2):
        clock = datetime(2026, 3, 9, 9, 50) + timedelta(hours=2 * step, minutes=-step)
        agent.set_time(f"{clock:%Y-%m-%d %H:%M}", settle=False)
        wait_until(lambda: waiting.get("Overdue"), 10, "that it is too late")
        agent.manager("SetUploadLimit", "(xa{sv})", 0, {})  # it looks at everything
        assert not overdue(desktop)
        if gets_on:
            held.release()
            wait_until(lambda: job.get("Progress")["files-done"] == step + 1, 10, "some progress")
    agent.set_time("2026-03-10 09:10" if gets_on else "2026-03-09 12:55", settle=False)
    shown = desktop.notifications.wait_for(summary=f"“{waiting.members['name']}” is overdue")
    assert shown.body.endswith("Waiting for another job to end")
    held.release(100)
    agent.settle()
    assert {plan.get("LastResult") for plan in plans} == {"finished"}


def test_deletion_of_a_backup(
    agent: Agent, desktop: Desktop, folder: Path, s3: Any, bucket: str
) -> None:
    """How it ended is told also when the plan is no longer there to tell."""
    start(agent, desktop)
    plan = add_plan(agent, "Photos", folder, bucket, schedule="manual")
    plan.run().wait()
    agent.settle()
    delete = {"delete-objects": GLib.Variant("b", True), "max-delete": GLib.Variant("t", 3)}
    s3.put_object(Bucket=bucket, Key="photos/Pictures/new", Body=b"")
    plan.call("Remove", "(a{sv})", delete)
    shown = desktop.notifications.wait_for(summary="The backup of “Photos” is not all deleted")
    assert "there are 4 objects now" in shown.body and shown.hints["urgency"] == 2
    s3.delete_object(Bucket=bucket, Key="photos/Pictures/new")
    agent.settle()
    plan.call("Remove", "(a{sv})", delete)
    shown = desktop.notifications.wait_for(summary="“Photos” and its backup are deleted")
    assert shown.body == "3 objects, 2 B" and not plan.file.exists()
    agent.settle()
    visible = [shown.summary]
    wait_until(lambda: [n.summary for n in desktop.notifications.visible] == visible, 10, "no other")


def test_what_is_left_of_a_deleted_backup_is_told(
    agent: Agent, desktop: Desktop, folder: Path, bucket: str, proxy: FaultProxy
) -> None:
    """Nobody can ask the plan any more."""
    start(agent, desktop)
    plan = add_plan(agent, "Photos", folder, bucket, schedule="manual", endpoint=proxy.endpoint)
    plan.run().wait()
    agent.settle()
    denied = b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"
    proxy.rules.append(Rule(lambda r: "uploads" in r.params, Reply(403, {}, denied), times=None))
    plan.call("Remove", "(a{sv})", {"delete-objects": GLib.Variant("b", True)})
    shown = desktop.notifications.wait_for(summary="“Photos” and its backup are deleted")
    assert shown.body.startswith("3 objects, 2 B. Whether unfinished uploads take up storage")


def test_a_plan_that_cannot_be_removed_with_its_backup(
    agent: Agent, desktop: Desktop, folder: Path, s3: Any, bucket: str
) -> None:
    """It says so, and does not store everything once more."""
    start(agent, desktop)
    plan = add_plan(agent, "Photos", folder, bucket, schedule="@daily 12:30")
    agent.settle()
    if subprocess.run(["chattr", "+i", plan.file]).returncode != 0:
        pytest.skip("no file can be made undeletable here")
    try:
        plan.call("Remove", "(a{sv})", {"delete-objects": GLib.Variant("b", True)})
        desktop.notifications.wait_for(summary="The backup of “Photos” is deleted, but not the plan")
    finally:
        subprocess.run(["chattr", "-i", plan.file], check=True)
    assert plan.get("Erased")["complete"] and agent.get("State") == "attention"
    agent.set_time("2026-03-04 13:00")
    assert plan.jobs()[0]["kind"] == "erase" and keys(s3, bucket) == []
    plan.run().wait()
    assert plan.get("Erased") == {} and len(keys(s3, bucket)) == 3


# -- failures that stay -------------------------------------------------------------------------


def stays(agent: Agent, desktop: Desktop, folder: Path, bucket: str, summary: str) -> bool:
    """Also when something else was told since."""
    agent.settle()
    add_plan(agent, "Other", folder, bucket, schedule="manual").run().wait()
    desktop.notifications.wait_for(summary="“Other” is done")
    return summary in [n.summary for n in desktop.notifications.visible]


def test_failure_after_a_locked_keyring(
    agent: Agent, desktop: Desktop, folder: Path, bucket: str
) -> None:
    """It is not taken back with what was said before it."""
    start(agent, desktop)
    text = agent.make_plan("Photos", folder, bucket, schedule="@daily 12:30")
    agent.store_keys(text["id"], secret="wrong")
    agent.keyring.lock()
    Plan(agent, text).write()
    desktop.notifications.wait_for(summary="“Photos” cannot be backed up")
    agent.keyring.answer("ok")
    desktop.accessibility.wait_for(name="Unlock Keyring", role="push button").press()
    desktop.notifications.wait_for(summary=FAILS, timeout=30, ever=True)
    assert stays(agent, desktop, folder, bucket, FAILS)


class Late(Reply):
    def run(self, exchange: Exchange) -> bool:
        exchange.hang(5)
        return super().run(exchange)


def test_failure_is_not_hidden_by_its_retry(
    agent: Agent, desktop: Desktop, folder: Path, bucket: str, proxy: FaultProxy
) -> None:
    """Nor by its progress, which is told of jobs that take a while."""
    start(agent, desktop)
    denied = Late(403, {}, b"<Error><Code>InvalidAccessKeyId</Code></Error>")
    proxy.rules.append(Rule(lambda r: r.method == "PUT" and r.key.endswith("/two"), denied, None))
    plan = add_plan(agent, "Photos", folder, bucket, schedule="@hourly", endpoint=proxy.endpoint)
    desktop.notifications.wait_for(summary=FAILS, timeout=30)
    agent.settle()
    plan.edit(**{"upload-limit": "20K"})
    (folder / "one").write_bytes(os.urandom(120 << 10))
    agent.set_time("2026-03-01 14:30")
    assert [job["state"] for job in plan.jobs()] == ["failed", "failed"]
    assert stays(agent, desktop, folder, bucket, FAILS)
    summaries = [n.summary for n in desktop.notifications.all if "Photos" in n.summary]
    assert summaries[summaries.index(FAILS) :] == [FAILS]


def test_removed_plan_leaves_no_failure(
    agent: Agent, desktop: Desktop, folder: Path, bucket: str, proxy: FaultProxy
) -> None:
    """Its buttons would do nothing."""
    start(agent, desktop)
    refuse(proxy)
    plan = add_plan(agent, "Photos", folder, bucket, schedule="manual", endpoint=proxy.endpoint)
    plan.run().wait()
    desktop.notifications.wait_for(summary=FAILS)
    plan.file.unlink()
    wait_until(lambda: not desktop.notifications.visible, 10, "nothing left")
