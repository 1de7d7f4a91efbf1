# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""What somebody at the desktop sees of the agent: icon, menu, notifications. Xfce's panel and
notification daemon are the judges."""

from __future__ import annotations

import html
import os
import shlex
import time
from pathlib import Path
from typing import Any

import pytest
from gi.repository import GLib

from fixtures import wait_until
from fixtures.agent import NAME, ROOT, Agent, Plan, moment
from fixtures.checks import keys, write_files
from fixtures.desktop import Desktop
from fixtures.fault_proxy import Refuse, Rule
from fixtures.recorder import Recorder
from fixtures.session_bus import SessionBus
from fixtures.status_notifier import Tray, TrayItem
from fixtures.system_bus import SystemBus

ID = "io.github.keepsake_backup.Keepsake"
APPLICATION = ID


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_files(tmp_path / "Pictures", {"one": "1", "two": "2"})


@pytest.fixture
def slow_folder(tmp_path: Path) -> Path:
    return write_files(tmp_path / "Slow", {str(i): os.urandom(40_000) for i in range(60)})


SLOW = {"upload-limit": "300K"}


def wait_for_icon(item: TrayItem, state: str) -> None:
    item.wait_for("IconName", f"{ID}-{state}-symbolic")


def add(agent: Agent, *args: Any, **members: Any) -> Plan:
    plan = agent.add_plan(*args, **members)
    wait_until(lambda: f"{ROOT}/{plan.path}" in agent.objects(), 10, "the plan on the bus")
    return plan


@pytest.fixture
def started(desktop: Desktop, agent: Agent) -> Agent:
    agent.keyring.start()
    agent.start("2026-03-01 13:00")
    return agent


# -- the tray ---------------------------------------------------------------------------------------


def test_icon_menu_and_state(
    started: Agent, tray: Tray, desktop: Desktop, slow_folder: Path, s3: Any, bucket: str,
    tmp_path: Path,
) -> None:  # fmt: skip
    item = tray.wait_for_item(ID)
    plan = add(started, "Photo_s", slow_folder, bucket, **SLOW)
    assert item.get("Status") == "Active"
    assert item.get("Category") == "SystemServices"
    assert started.get("TrayVisible")
    wait_for_icon(item, "idle")
    assert item.tooltip.text == "No backup yet"
    # It is to be seen on the screen: the colour of the pixels that we send.
    wait_until(
        lambda: desktop.screenshot(tmp_path / "idle.png").find((0x35, 0x84, 0xE4)), 10, "the icon"
    )
    labels = [entry.label for entry in item.menu().children if not entry.is_separator]
    assert labels == [
        "Back Up Photo_s Now", "Pause for an Hour", "Pause until Tomorrow", "Pause until Resumed",
        "Open Keepsake", "Quit",
    ]  # fmt: skip

    item.menu_entry("Back Up Photo_s Now").click()
    job = plan.wait_for_job()
    assert job.get("Trigger") == "manual"
    wait_for_icon(item, "running")
    wait_until(lambda: "%" in item.tooltip.text and "left" in item.tooltip.text, 15, "progress")
    assert item.tooltip.title == "Photo_s"
    assert not item.menu_entry("Back Up Photo_s Now").enabled

    item.menu_entry("Pause for an Hour").click()
    wait_for_icon(item, "paused")
    assert job.state == "paused"
    assert started.get("PausedUntil") == moment("2026-03-01 14:00")
    assert item.menu_entry("Resume Backups").enabled
    item.menu_entry("Resume Backups").click()
    wait_for_icon(item, "running")
    started.manager("SetUploadLimit", "(xa{sv})", 0, {})
    job.wait()
    wait_for_icon(item, "idle")
    assert item.tooltip.text.startswith("Last backup: ")
    assert len(keys(s3, bucket)) == 61


def test_attention(started: Agent, tray: Tray, folder: Path, bucket: str) -> None:
    item = tray.wait_for_item(ID)
    plan = started.add_plan("Photos", folder, bucket, keys=False, schedule="@daily 12:30")
    wait_for_icon(item, "attention")
    assert item.get("Status") == "NeedsAttention"
    assert item.tooltip.title == "Photos"
    assert plan.get("HeldBy") == "keyring-missing"
    started.store_keys(plan.id)
    started.set_time("2026-03-01 13:02")
    wait_for_icon(item, "idle")
    assert item.get("Status") == "Active"


def test_file_that_is_no_plan(
    agent: Agent, desktop: Desktop, tray: Tray, folder: Path, bucket: str
) -> None:
    """Before the agent is there, and while it is; told once, until it is over."""
    broken, newer = (agent.plans_folder / name for name in ("broken.json", "newer.json"))
    broken.write_text('{ "version": 1,')
    agent.keyring.start()
    agent.start("2026-03-01 13:00")
    item = tray.wait_for_item(ID)
    shown = desktop.notifications.wait_for(summary="A backup plan cannot be read")
    assert shown.hints["urgency"] == 2 and "Details" in shown.actions.values()
    assert shown.body.startswith("broken.json: ")
    wait_for_icon(item, "attention")
    assert item.tooltip.title == "A backup plan cannot be read"
    assert item.tooltip.text == html.unescape(shown.body)
    # The file is another one and its fault the same: only the next fault is news.
    broken.write_text('{ "version": 1, ')
    newer.write_text('{ "version": 99 }')
    both = desktop.notifications.wait_for(summary="Some backup plans cannot be read")
    assert [line.partition(":")[0] for line in both.body.splitlines()] == [
        "broken.json", "newer.json"
    ]  # fmt: skip
    broken.unlink()
    alone = desktop.notifications.wait_for(summary="A backup plan cannot be read")
    assert alone.body.startswith("newer.json: ") and "\n" not in alone.body
    assert len(desktop.notifications.all) == 3
    newer.unlink()
    wait_until(lambda: not desktop.notifications.visible, 10, "it to be withdrawn")
    wait_for_icon(item, "idle")
    assert item.tooltip.text == "No backup yet"


def test_panel_restarted(started: Agent, tray: Tray, desktop: Desktop) -> None:
    tray.wait_for_item(ID)
    desktop.restart_panel()
    tray.wait_for_item(ID)
    wait_until(lambda: started.get("TrayVisible"), 10, "the icon")


def test_no_panel(desktop: Desktop, agent: Agent, tray: Tray, folder: Path, bucket: str) -> None:
    """Nothing is missed, and the icon comes when the panel comes."""
    desktop.stop_panel()
    agent.keyring.start()
    plan = agent.add_plan("Photos", folder, bucket, schedule="@daily 12:30")
    agent.start("2026-03-01 13:00")
    assert not agent.get("TrayVisible")
    assert plan.get("LastSuccess") > 0
    assert "WARNING" not in agent.log
    desktop.start_panel()
    tray.wait_for_item(ID)


def test_quit_in_the_menu(started: Agent, tray: Tray) -> None:
    item = tray.wait_for_item(ID)
    item.menu_entry("Quit").click()
    tray.wait_for_no_items()
    wait_until(lambda: not started.is_running(), 10, "the end")


def test_click_opens_the_application(started: Agent, tray: Tray, session_bus: SessionBus) -> None:
    with Recorder(session_bus) as recorder:
        tray.wait_for_item(ID).activate()
        call = recorder.wait_for(interface="org.freedesktop.Application", member="Activate")
        assert call.destination == APPLICATION


def test_progress_in_the_dock(
    started: Agent, session_bus: SessionBus, slow_folder: Path, bucket: str
) -> None:
    with Recorder(session_bus) as recorder:
        plan = add(started, "Photos", slow_folder, bucket, **SLOW)
        plan.run().wait()
        started.settle()
        updates = recorder.messages(interface="com.canonical.Unity.LauncherEntry", member="Update")
        states = [message.body[1] for message in updates]
        assert {message.body[0] for message in updates} == {f"application://{ID}.desktop"}
        assert any(s.get("progress-visible") and 0 < s["progress"] < 1 for s in states)
        assert states[-1]["progress-visible"] is False
        # Nothing is told twice: each signal wakes up all who listen.
        percents = [(s["progress-visible"], int(s["progress"] * 100)) for s in states]
        assert all(a != b for a, b in zip(percents, percents[1:], strict=False))
        recorder.clear()
        started.set_time("2026-03-01 13:30")
        started.settle()
        # The last tooltip may come up to a second after the job.
        told = recorder.messages(kind="signal", sender=started.bus.owner(NAME))
        assert [message for message in told if message.member != "NewToolTip"] == []


# -- notifications ------------------------------------------------------------------------------------


def test_progress_is_one_notification(
    started: Agent, desktop: Desktop, slow_folder: Path, bucket: str
) -> None:
    plan = add(started, "Photos", slow_folder, bucket, **SLOW)
    begin = time.monotonic()
    job = plan.run()
    first = desktop.notifications.wait_for(summary="Backing up “Photos”")
    job.wait()
    last = desktop.notifications.wait_for(summary="“Photos” is done")
    shown = desktop.notifications.all
    assert {n.id for n in shown} == {first.id} == {last.id}
    assert [n.replaces_id for n in shown] == [0] + [first.id] * (len(shown) - 1)
    values = [n.hints["value"] for n in shown if "value" in n.hints]
    assert len(values) >= 3 and values == sorted(values) and 0 <= values[0] < values[-1] <= 100
    assert "value" not in last.hints
    assert {n.hints["urgency"] for n in shown} == {0}
    # Not more than one a second.
    progress = job.get("Progress")
    assert progress["bytes-total"] == 60 * 40_000
    assert len(shown) <= time.monotonic() - begin + 3


def test_quick_run_on_schedule_is_quiet(
    started: Agent, desktop: Desktop, folder: Path, bucket: str
) -> None:
    plan = started.add_plan("Photos", folder, bucket, schedule="@daily 12:30")
    wait_until(lambda: plan.file.exists() and started.objects().get(f"{ROOT}/{plan.path}"), 10)
    started.settle()
    started.set_time("2026-03-02 13:00")
    assert len(plan.jobs()) == 2
    assert desktop.notifications.all == []


def test_failure_stays_and_offers_another_try(
    started: Agent, desktop: Desktop, folder: Path, bucket: str, proxy: Any
) -> None:
    rule = Rule(lambda r: True, Refuse(), times=None)
    proxy.rules.append(rule)
    plan = started.add_plan("Photos", folder, bucket, schedule="@daily 12:30",
                            endpoint=proxy.endpoint)  # fmt: skip
    shown = desktop.notifications.wait_for(summary="“Photos” failed", timeout=30)
    assert shown.hints["urgency"] == 2
    assert set(shown.actions.values()) >= {"Back Up Now", "Details"}
    assert "127.0.0.1" in shown.body
    # Trying again by itself, it does not tell the same again.
    started.set_time("2026-03-01 13:10")
    assert len(plan.jobs()) == 2
    assert [n.summary for n in desktop.notifications.all] == ["“Photos” failed"]
    proxy.rules.remove(rule)
    desktop.accessibility.wait_for(name="Back Up Now", role="push button").press()
    wait_until(lambda: plan.get("LastResult") == "finished", 20, "the run")
    assert plan.jobs()[0]["trigger"] == "manual"


def test_damage_is_an_alarm_that_stays(
    started: Agent, tray: Tray, desktop: Desktop, folder: Path, s3: Any, bucket: str
) -> None:
    plan = started.add_plan("Photos", folder, bucket, schedule="manual", verify="off")
    wait_until(lambda: started.objects().get(f"{ROOT}/{plan.path}"), 10, "the plan")
    plan.run().wait()
    key = "photos/Pictures/one"
    metadata = s3.head_object(Bucket=bucket, Key=key)["Metadata"]
    s3.put_object(Bucket=bucket, Key=key, Body=b"x", Metadata=metadata)
    plan.run(kind=GLib.Variant("s", "verify")).wait()
    shown = desktop.notifications.wait_for(summary="“Photos”: damage was found")
    assert shown.hints["urgency"] == 2
    assert f"“{folder}/one”" in shown.body and "sent again by the next backup" in shown.body
    item = tray.wait_for_item(ID)
    wait_for_icon(item, "attention")
    assert f"{folder}/one" in item.tooltip.text


def test_locked_keyring_offers_to_unlock(
    started: Agent, desktop: Desktop, folder: Path, bucket: str
) -> None:
    text = started.make_plan("Photos", folder, bucket, schedule="@daily 12:30")
    started.store_keys(text["id"])
    started.keyring.lock()
    plan = Plan(started, text)
    plan.write()
    shown = desktop.notifications.wait_for(summary="“Photos” cannot be backed up")
    assert "Unlock Keyring" in shown.actions.values()
    started.keyring.answer("ok")
    desktop.accessibility.wait_for(name="Unlock Keyring", role="push button").press()
    wait_until(lambda: plan.get("LastSuccess") > 0, 20, "the run")
    assert started.keyring.has_prompted()


def test_prompt_that_nobody_answers(
    started: Agent, desktop: Desktop, tray: Tray, folder: Path, bucket: str
) -> None:
    """Whoever asked for a job and went away keeps no other plan from its own."""
    item = tray.wait_for_item(ID)
    add(started, "Asked", folder, bucket)
    due = add(started, "Due", folder, bucket, schedule="@daily 12:30")
    due.wait_for("LastResult", "finished")
    started.settle()
    started.keyring.lock()
    started.keyring.answer("dismiss")
    with started.keyring.nobody_answers(), Recorder(desktop.bus) as recorder:
        item.menu_entry("Back Up Asked Now").click()
        recorder.wait_for(member="BeginPrompting")
        started.set_time("2026-03-02 13:00", settle=False)
        due.wait_for("HeldBy", "keyring-locked")
        started.keyring.unlock()
        started.set_time("2026-03-02 13:02", settle=False)
        wait_until(lambda: len(due.jobs()) == 2, 20, "the job")
    started.settle()
    assert started.keyring.has_prompted()


def test_keys_that_stay_behind_are_told(
    started: Agent, desktop: Desktop, folder: Path, bucket: str
) -> None:
    """The plan is gone; its keys are not, as nobody unlocked the keyring for that."""
    plan = add(started, "Photos", folder, bucket)
    started.keyring.lock()
    started.keyring.answer("dismiss")
    plan.call("Remove")
    assert not plan.file.exists()
    shown = desktop.notifications.wait_for(summary="The keys of “Photos” are still in the keyring")
    assert "keyring" in shown.body and shown.hints["urgency"] == 2
    started.keyring.unlock()
    other = add(started, "Music", folder, bucket)
    other.call("Remove")
    wait_until(lambda: not started.keyring.lookup(plan=other.id, kind="s3-secret"), 10, "no keys")
    titles = [n.summary for n in desktop.notifications.all if "The keys of" in n.summary]
    assert titles == ["The keys of “Photos” are still in the keyring"]


def test_overdue_is_told_once_a_day(
    started: Agent, desktop: Desktop, folder: Path, bucket: str
) -> None:
    plan = started.add_plan("Photos", folder, bucket, schedule="@daily 12:30")
    wait_until(lambda: started.objects().get(f"{ROOT}/{plan.path}"), 10, "the plan")
    started.settle()
    folder.rename(folder.with_name("elsewhere"))
    for time in ("03-02 13:00", "03-03 13:00", "03-04 13:30", "03-04 16:00", "03-04 20:00"):
        started.set_time(f"2026-{time}")

    def told() -> list[str]:
        return [n.body for n in desktop.notifications.all if n.summary == "“Photos” is overdue"]

    wait_until(lambda: len(told()) == 1, 10, "the alarm")
    assert "Sun 13:00" in told()[0]
    started.set_time("2026-03-05 13:40")
    wait_until(lambda: len(told()) == 2, 10, "the second alarm")


def test_daemon_restarted(
    started: Agent, desktop: Desktop, slow_folder: Path, bucket: str
) -> None:
    plan = add(started, "Photos", slow_folder, bucket, **SLOW)
    job = plan.run()
    desktop.notifications.wait_for(summary="Backing up “Photos”")
    desktop.stop_notification_daemon()
    desktop.start_notification_daemon()
    started.manager("SetUploadLimit", "(xa{sv})", 0, {})
    job.wait()
    desktop.notifications.wait_for(summary="“Photos” is done")


# -- suspend, autostart -------------------------------------------------------------------------------


def test_no_suspend_while_somebody_waits(
    agent: Agent, system_bus: SystemBus, slow_folder: Path, bucket: str
) -> None:
    agent.keyring.start()
    agent.start("2026-03-01 13:00")
    plan = add(agent, "Photos", slow_folder, bucket, **SLOW)
    job = plan.run()
    wait_until(lambda: system_bus.inhibitors(), 20, "the lock")
    ((what, _who, why, mode),) = system_bus.inhibitors()
    assert (what, mode) == ("sleep", "block") and why
    agent.manager("SetUploadLimit", "(xa{sv})", 0, {})
    job.wait()
    wait_until(lambda: not system_bus.inhibitors(), 20, "no lock")
    agent.manager("SetUploadLimit", "(xa{sv})", -1, {})  # that of the plan
    # What runs by itself does not keep a laptop awake in the bag.
    (slow_folder / "new").write_bytes(os.urandom(2_400_000))
    plan.edit(schedule="@daily 12:30")
    agent.set_time("2026-03-02 13:00", settle=False)
    scheduled = plan.wait_for_job()
    scheduled.wait_for_state("transferring")
    assert system_bus.inhibitors() == []
    agent.manager("SetUploadLimit", "(xa{sv})", 0, {})
    scheduled.wait()


def test_autostart(agent: Agent) -> None:
    agent.start("2026-03-01 13:00")
    file = agent.bus.config_home / f"autostart/{NAME}.desktop"
    assert not agent.get("Autostart")
    agent.manager("SetAutostart", "(ba{sv})", True, {})
    assert agent.get("Autostart")
    entry = GLib.KeyFile()
    entry.load_from_file(str(file), GLib.KeyFileFlags.NONE)
    command = entry.get_string("Desktop Entry", "Exec")
    program, option = shlex.split(command)
    assert (Path(program).name, option) == ("keepsake-agent", "--autostart")
    agent.kill()
    agent.start()
    assert agent.get("Autostart")
    agent.manager("SetAutostart", "(ba{sv})", False, {})
    assert not agent.get("Autostart")
    assert not file.exists()


