# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""The agent on its bus: jobs by hand, pause, kills, edits, and callers who are wrong."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from gi.repository import GLib

from conftest import TOP
from fixtures import wait_until
from fixtures.agent import INTERFACE, NAME, ROOT, Agent, Job, Plan, raises, without_inotify
from fixtures.checks import body, keys, unfinished_uploads, write_files
from fixtures.fault_proxy import FaultProxy, Hang, Headers, ReplaceReply, Rule
from fixtures.impatience import Impatience
from fixtures.recorder import Recorder, Recorders
from fixtures.trees import MIB


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_files(tmp_path / "Pictures", {"one": "1", "two": "2"})


@pytest.fixture
def slow_folder(tmp_path: Path) -> Path:
    """Takes some seconds at 300K."""
    return write_files(tmp_path / "Slow", {str(i): os.urandom(40_000) for i in range(30)})


SLOW = {"upload-limit": "300K"}


def s(text: str) -> GLib.Variant:
    return GLib.Variant("s", text)


@pytest.fixture
def started(agent: Agent) -> Agent:
    agent.keyring.start()
    agent.start("2026-03-01 13:00")
    return agent


def add(agent: Agent, *args: Any, **members: Any) -> Plan:
    """While the agent runs."""
    plan = agent.add_plan(*args, **members)
    wait_until(lambda: f"{ROOT}/{plan.path}" in agent.objects(), 10, "the plan on the bus")
    return plan


# -- by hand --------------------------------------------------------------------------------------


def test_run(started: Agent, folder: Path, s3: Any, bucket: str) -> None:
    plan = add(started, "Photos", folder, bucket)
    assert plan.get("State") == "idle"
    job = plan.run()
    result = job.wait()
    assert (result["put"], result["failed"], result["reason"]) == (3, 0, "")
    assert (job.get("Kind"), job.get("Trigger"), job.get("Plan")) == (
        "backup", "manual", f"{ROOT}/{plan.path}"
    )  # fmt: skip
    assert job.get("Progress")["bytes-done"] == 2
    assert body(s3, bucket, "photos/Pictures/one") == b"1"
    started.settle()
    assert (plan.get("State"), plan.get("Job"), plan.get("LastResult")) == ("idle", "/", "finished")
    (entry,) = plan.jobs()
    assert (entry["trigger"], entry["state"], entry["put"]) == ("manual", "finished", 3)
    # The next job takes the place of the last on the bus.
    second = plan.run()
    second.wait()
    started.settle()
    jobs = [path for path in started.objects() if "/Job/" in path]
    assert jobs == [second.full_path]


def test_restore_and_verify(
    started: Agent, folder: Path, bucket: str, tmp_path: Path
) -> None:
    plan = add(started, "Photos", folder, bucket)
    plan.run().wait()
    started.settle()
    target = tmp_path / "back"
    target.mkdir()
    options = {"overwrite": s("older"), "retrieve": s("bulk"), "exclude": GLib.Variant("as", ["*.tmp"])}
    (path,) = plan.call("Restore", "(ayaya{sv})", b"Pictures", os.fsencode(target), options)
    result = Job(started, path).wait()
    assert (result["failed"], (target / "one").read_text()) == (0, "1")
    started.settle()
    assert plan.run(kind=GLib.Variant("s", "verify")).wait()["unchanged"] == 2
    started.settle()
    assert plan.get("LastVerified") > 0
    (folder / "one").write_text("I")
    os.utime(folder / "one", (1, 1))
    assert [job["kind"] for job in plan.jobs()] == ["verify", "restore", "backup"]


def test_files_that_fail_are_named(
    started: Agent, folder: Path, bucket: str
) -> None:
    long = "x" * 250
    write_files(folder, {f"{long}/{long}/{long}/{long}/{long}": "too long"})
    plan = add(started, "Photos", folder, bucket)
    job = plan.run()
    assert job.wait()["failed"] == 1
    (failure,) = job.call("GetFailures")[0]
    assert bytes(failure[0]).startswith(os.fsencode(folder))
    assert failure[1] == "name-too-long"
    started.settle()
    assert plan.call("GetFailures", "(xa{sv})", plan.jobs()[0]["id"], {})[0] == [failure]
    assert plan.get("LastReason") == "failed"
    assert plan.get("LastComplete") == 0 < plan.get("LastSuccess")
    assert started.get("State") == "attention"


def connections(agent: Agent) -> int:
    """How many the agent has open to the server now."""
    port = f":{int(agent.rgw.endpoint.rpartition(':')[2]):04X}"
    established = {
        fields[9]
        for fields in map(str.split, Path("/proc/net/tcp").read_text().splitlines()[1:])
        if fields[2].endswith(port) and fields[3] == "01"
    }
    ours = set()
    for fd in Path(f"/proc/{agent.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # it may be closed meanwhile
            ours.add(os.readlink(fd).removeprefix("socket:[").removesuffix("]"))
    return len(established & ours)


def test_pause_resume_cancel(started: Agent, tmp_path: Path, s3: Any, bucket: str) -> None:
    # More than there are workers: one that has nothing to do keeps its connection.
    folder = write_files(tmp_path / "Many", {str(i): os.urandom(8_000) for i in range(200)})
    plan = add(started, "Many", folder, bucket, **SLOW)
    job = plan.run()
    job.wait_for_state("transferring")
    wait_until(lambda: connections(started) > 0, 20, "a connection")
    job.call("Pause")
    assert job.state == plan.get("State") == "paused"

    def settled() -> bool:
        before = keys(s3, bucket)
        return before == keys(s3, bucket) == keys(s3, bucket)

    wait_until(settled, 20, "the requests under way to end")
    wait_until(lambda: connections(started) == 0, 20, "the connections to be closed")
    held = keys(s3, bucket)
    assert len(held) < 201
    with raises("Busy"):
        plan.run()
    job.call("Resume")
    job.wait_for_state("transferring")
    with raises("Conflict"):
        job.call("Resume")
    job.call("Cancel")
    job.wait()
    assert job.state == "cancelled"
    with raises("Conflict"):
        job.call("Cancel")
    started.settle()
    assert plan.jobs()[0]["state"] == "cancelled"
    assert len(held) <= len(keys(s3, bucket)) < 201
    started.manager("SetUploadLimit", "(xa{sv})", 0, {})
    assert plan.run().wait()["failed"] == 0
    assert len(keys(s3, bucket)) == 201


def test_pause_of_all_holds_what_runs(started: Agent, slow_folder: Path, bucket: str) -> None:
    plan = add(started, "Slow", slow_folder, bucket, **SLOW)
    job = plan.run()
    job.wait_for_state("transferring")
    started.manager("Pause", "(ta{sv})", 0, {})
    assert job.state == "paused"
    assert started.get("State") == "paused"
    started.manager("Resume")
    assert job.wait()["failed"] == 0


def test_resume_of_all_resumes_what_was_paused_alone(
    started: Agent, slow_folder: Path, bucket: str
) -> None:
    """The tray offers one "Resume Backups", whatever was paused."""
    plan = add(started, "Slow", slow_folder, bucket, **SLOW)
    job = plan.run()
    job.wait_for_state("transferring")
    job.call("Pause")
    assert started.get("State") == "paused"
    started.manager("Resume")
    assert job.wait()["failed"] == 0


def test_run_without_what_it_needs(started: Agent, folder: Path, bucket: str) -> None:
    plan = add(started, "Photos", folder, bucket, keys=False)
    with raises("BadCredentials"):
        plan.run()
    with raises("BadCredentials"):
        plan.call("Restore", "(ayaya{sv})", b"", b"/tmp/x", {})
    with raises("BadCredentials"):
        plan.call("UnlockKeyring")
    started.store_keys(plan.id)
    folder.rename(folder.with_name("elsewhere"))
    with raises("SourceMissing"):
        plan.run()


def test_progress_is_told_at_most_ten_times_a_second(
    started: Agent, slow_folder: Path, bucket: str
) -> None:
    plan = add(started, "Slow", slow_folder, bucket, **SLOW)
    with Recorder(started.bus) as recorder:
        begin = time.monotonic()
        job = plan.run()
        job.wait()
        seconds = time.monotonic() - begin
        told = recorder.messages(
            kind="signal", member="PropertiesChanged", path=job.full_path
        )  # fmt: skip
    assert 5 <= len(told) <= 10 * seconds + 5  # some for the states


def test_limit_changes_while_it_runs(started: Agent, tmp_path: Path, bucket: str) -> None:
    folder = write_files(tmp_path / "Big", {str(i): os.urandom(100_000) for i in range(50)})
    plan = add(started, "Big", folder, bucket, **{"upload-limit": "20K"})
    job = plan.run()
    job.wait_for_state("transferring")
    progress = wait_until(
        lambda: p if (p := job.get("Progress"))["left"] > 0 else None, 10, "an estimate"
    )
    assert progress["left"] > 100  # 5 MB at 20 KB/s
    started.manager("SetUploadLimit", "(xa{sv})", 0, {})
    assert job.wait()["failed"] == 0
    assert started.get("UploadLimit") == 0
    started.manager("SetUploadLimit", "(xa{sv})", -1, {})
    assert started.get("UploadLimit") == -1


def test_limit_for_what_runs_now(started: Agent, tmp_path: Path, bucket: str) -> None:
    """When it has ended, what was set before holds again."""
    folder = write_files(tmp_path / "Big", {str(i): os.urandom(100_000) for i in range(50)})
    plan = add(started, "Big", folder, bucket)
    started.manager("SetUploadLimit", "(xa{sv})", 20 * 1024, {})
    job = plan.run()
    job.wait_for_state("transferring")
    started.manager("SetUploadLimit", "(xa{sv})", 0, {"until-idle": GLib.Variant("b", True)})
    assert started.get("UploadLimit") == 0
    assert job.wait()["failed"] == 0
    wait_until(lambda: started.get("UploadLimit") == 20 * 1024, 10, "the limit of before")


# -- order ----------------------------------------------------------------------------------------


def test_new_destination_while_a_job_of_the_old_one_waits(
    agent: Agent, slow_folder: Path, folder: Path, s3: Any, bucket: str
) -> None:
    """The job goes where it was to go when somebody asked for it; the plan is due at once."""
    agent.keyring.start()
    agent.start("2026-03-01 13:00")
    slow = agent.add_plan("Slow", slow_folder, bucket, **{"upload-limit": "100K"})
    plan = agent.add_plan("Plan", folder, bucket, schedule="@monthly")
    both = {f"{ROOT}/{slow.path}", f"{ROOT}/{plan.path}"}
    wait_until(lambda: both <= set(agent.objects()), 10, "the plans")
    wait_until(lambda: plan.get("LastSuccess") > 0, 30, "the first backup")
    slow.run()
    job = plan.run()
    assert job.state == "queued"
    plan.members["destination"]["prefix"] = "elsewhere"
    plan.write()
    wait_until(lambda: "elsewhere" in plan.get("Plan"), 10, "the plan as it is now")
    before = keys(s3, bucket, "elsewhere/")
    agent.manager("SetUploadLimit", "(xa{sv})", 0, {})  # it has waited for long enough
    agent.settle()
    assert before == [] and keys(s3, bucket, "elsewhere/") != []
    assert len(plan.jobs()) == 3


def test_one_after_the_other_and_by_hand_first(
    agent: Agent, slow_folder: Path, folder: Path, bucket: str
) -> None:
    agent.keyring.start()
    agent.start("2026-03-01 13:00")
    plans = [
        agent.add_plan(name, slow_folder, bucket, schedule="@daily 12:30", **{"upload-limit": "100K"})
        for name in ("First", "Second")
    ]
    by_hand = agent.add_plan("Hand", folder, bucket)
    everywhere = [*plans, by_hand]
    wait_until(
        lambda: all(f"{ROOT}/{plan.path}" in agent.objects() for plan in everywhere), 10, "plans"
    )
    running = wait_until(
        lambda: next((plan for plan in plans if plan.get("State") == "running"), None), 10, "one"
    )
    (waiting,) = [plan for plan in plans if plan is not running]
    assert waiting.get("HeldBy") == "another-job"
    job = by_hand.run()
    assert job.state == by_hand.get("State") == "queued"
    assert running.job.state not in ("queued", "finished")
    agent.manager("SetUploadLimit", "(xa{sv})", 0, {})  # they have waited for long enough
    agent.settle()
    order = sorted((plan.jobs()[0]["id"], plan.members["name"]) for plan in everywhere)
    assert [name for _, name in order] == [
        running.members["name"], "Hand", waiting.members["name"]
    ]  # fmt: skip
    assert [plan.jobs()[0]["state"] for plan in everywhere] == ["finished"] * 3
    assert waiting.skips() == []


def test_cancelled_in_the_queue(
    started: Agent, slow_folder: Path, folder: Path, bucket: str
) -> None:
    slow = add(started, "Slow", slow_folder, bucket, **SLOW)
    other = add(started, "Other", folder, bucket)
    first = slow.run()
    first.wait_for_state("transferring")
    queued = other.run()
    queued.call("Cancel")
    assert queued.state == "cancelled"
    other.wait_for("State", "idle")
    assert other.jobs() == []
    first.call("Cancel")
    started.settle()


def test_edit_takes_effect_at_the_next_run(
    started: Agent, slow_folder: Path, s3: Any, bucket: str
) -> None:
    plan = add(started, "Slow", slow_folder, bucket, **SLOW)
    job = plan.run()
    job.wait_for_state("transferring")
    (slow_folder / "new.tmp").write_text("left out by the next run")
    plan.edit(exclude=["1*", "*.tmp"], **{"upload-limit": "off"})
    assert job.wait()["put"] == 31
    started.settle()
    (slow_folder / "2").write_text("changed")
    assert plan.run().wait()["put"] == 2  # and the folder, whose time changed
    assert "slow/Slow/new.tmp" not in keys(s3, bucket)


def test_edit_a_moment_before_the_run(
    started: Agent, tmp_path: Path, s3: Any, bucket: str
) -> None:
    """The agent waits a while before it looks at a file that was changed; who asks for a job does not."""
    folder = write_files(tmp_path / "Papers", {"letter": "1", "secret": "2"})
    plan = add(started, "Papers", folder, bucket)
    plan.members["exclude"] = ["secret"]
    plan.write()
    assert started.manager("FindPlan", "(sa{sv})", plan.id, {}) == (f"{ROOT}/{plan.path}",)
    plan.run().wait()
    assert keys(s3, bucket) == ["papers/Papers/", "papers/Papers/letter"]


def test_change_of_a_plan_that_somebody_else_changed(
    started: Agent, slow_folder: Path, bucket: str
) -> None:
    """By a file, while it was open in the window."""
    plan = add(started, "Slow", slow_folder, bucket)
    before = plan.get("Plan")
    plan.members["exclude"] = ["*.tmp"]
    plan.write()
    mine = json.dumps(json.loads(before) | {"name": "Mine"})

    def update(before: str) -> None:
        plan.call("Update", "(sa{sv})", mine, {"before": GLib.Variant("s", before)})

    with raises("Conflict"):
        update(before)
    assert json.loads(plan.file.read_text())["exclude"] == ["*.tmp"]
    update(json.dumps(plan.members))
    assert json.loads(plan.file.read_text())["name"] == "Mine"
    update(before)  # once more: it is what was wanted
    for options in ({}, {"before": GLib.Variant("s", mine)}):
        plan.file.write_text("{ by hand")
        with raises("Conflict"):
            plan.call("Update", "(sa{sv})", before, options)
        assert plan.file.read_text() == "{ by hand"


def test_plan_removed_while_its_job_runs(started: Agent, slow_folder: Path, bucket: str) -> None:
    """By the file: the job ends. By the bus: it is refused."""
    plan = add(started, "Slow", slow_folder, bucket, **SLOW)
    job = plan.run()
    job.wait_for_state("transferring")
    with raises("Busy"):
        plan.call("Remove")
    plan.file.unlink()
    wait_until(lambda: f"{ROOT}/{plan.path}" not in started.objects(), 10, "the plan to go")
    started.settle()
    assert started.get("State") == "idle"


# -- a process that ends ----------------------------------------------------------------------------


def test_killed_during_a_job(agent: Agent, tmp_path: Path, s3: Any, bucket: str) -> None:
    """Started again by whoever calls, it goes on where it was, and says what happened."""
    content = os.urandom(80 * MIB)  # ten parts, two more than connections at first
    folder = write_files(tmp_path / "Films", {"film": content})
    agent.keyring.start()
    agent.start("2026-03-01 13:00")
    plan = add(agent, "Films", folder, bucket, schedule="@daily 12:30", **{"upload-limit": "20M"})
    job = plan.wait_for_job()
    wait_until(lambda: job.get("Progress")["bytes-done"] >= 8 * MIB, 30, "the first part")
    agent.kill()
    assert unfinished_uploads(s3, bucket) == ["films/Films/film"]
    agent.bus.call(NAME, ROOT, "org.freedesktop.DBus.Peer.Ping")
    agent.settle()
    second, first = plan.jobs()
    assert (first["state"], second["state"]) == ("interrupted", "finished")
    assert second["trigger"] == "catch-up"
    assert 0 < second["bytes-sent"] <= 72 * MIB
    assert body(s3, bucket, "films/Films/film") == content
    assert unfinished_uploads(s3, bucket) == []


def test_end_of_the_session(agent: Agent, slow_folder: Path, s3: Any, bucket: str) -> None:
    agent.keyring.start()
    agent.start("2026-03-01 13:00")
    plan = add(agent, "Slow", slow_folder, bucket, schedule="@daily 12:30", **SLOW)
    plan.wait_for_job().wait_for_state("transferring")
    agent.stop()
    assert "CRITICAL" not in agent.log
    agent.start()
    second, first = plan.jobs()
    assert (first["state"], second["state"]) == ("interrupted", "finished")
    assert "its process was ended" in first["message"]
    assert len(keys(s3, bucket)) == 31


def test_end_of_the_session_before_its_turn(
    agent: Agent, slow_folder: Path, folder: Path, bucket: str
) -> None:
    """What somebody asked for and got not is told."""
    agent.keyring.start()
    agent.start("2026-03-01 13:00")
    slow = add(agent, "Slow", slow_folder, bucket, **SLOW)
    quick = add(agent, "Quick", folder, bucket)
    slow.run().wait_for_state("transferring")
    assert quick.run().state == "queued"
    agent.stop()
    agent.start()
    ((reason, message),) = [(skip["reason"], skip["message"]) for skip in quick.skips()]
    assert reason == "not-running" and "before the job could begin" in message
    assert quick.jobs() == [] == slow.skips()


def test_end_while_a_job_hangs(
    agent: Agent, s3: Any, bucket: str, proxy: FaultProxy, s3fs_mount: Any, impatience: Impatience
) -> None:
    """In a network mount whose server is gone: neither it nor its process can be ended, and others
    can go on without them."""
    for i in range(30):
        s3.put_object(Bucket=bucket, Key=f"there/{i}", Body=os.urandom(40_000))
    gone = Rule(lambda r: r.method == "GET" and r.key.startswith("there/2"), Hang(600), times=None)
    proxy.rules.append(gone)
    agent.environment |= impatience.environment
    agent.keyring.start()
    agent.start("2026-03-01 13:00")
    with s3fs_mount(bucket, prefix="there", options=f"url={proxy.endpoint}") as folder:
        try:
            plan = add(agent, "Share", folder, bucket, schedule="@daily 12:30")
            job = plan.wait_for_job()
            wait_until(lambda: gone.hits and job.get("Progress")["bytes-done"], 30, "some files")
            connection = agent.bus.owner(NAME)
            process = os.pidfd_open(agent.pid)
            os.kill(agent.pid, signal.SIGTERM)
            agent.bus.wait_for_no_owner(NAME, timeout=60)
            assert f"A job of plan {plan.id} does not end" in agent.log
            wait_until(lambda: not agent.bus.has_owner(connection), 10, "the end of its connection")
            assert select.select([process], [], [], 0)[0] == [], "no thread of it hangs"
        finally:
            # The server is there again.
            proxy.stop()
            proxy.rules.clear()
            proxy.start()
        assert select.select([process], [], [], 60)[0], "the process stays"
        os.close(process)
        agent.start()
        second, first = plan.jobs()
        assert (first["state"], second["state"]) == ("interrupted", "finished")
        assert (second["trigger"], second["failed"]) == ("catch-up", 0)
        assert second["put"] < 30  # the rest
        assert len([key for key in keys(s3, bucket, "share/") if not key.endswith("/")]) == 30


def test_system_that_tells_no_changes(agent: Agent, folder: Path, tmp_path: Path, bucket: str) -> None:
    """Other programs may have taken all of inotify: then plans run, and edits by hand are not
    noticed, which is said."""
    agent.binary = without_inotify(agent.binary, tmp_path)
    agent.keyring.start()
    plan = agent.add_plan("Photos", folder, bucket, schedule="@daily 12:30")
    watched = agent.add_plan("Watched", folder, bucket, schedule="@watch")
    agent.start("2026-03-01 13:00")
    assert plan.jobs()[0]["state"] == watched.jobs()[0]["state"] == "finished"
    assert watched.get("WatchNote")
    ((path, reason),) = agent.get("Problems")
    assert bytes(path) == os.fsencode(agent.plans_folder) and "Cannot notice changes" in reason
    text = json.dumps(plan.members | {"name": "Fotos"})
    plan.call("Update", "(sa{sv})", text, {})
    assert plan.get("Name") == "Fotos"


def test_second_agent_goes_away(started: Agent) -> None:
    pid = started.pid
    process = started.bus.popen(started.binary, env=started.environment)
    assert process.wait(20) == 0
    assert "runs already" in started.bus.processes.log(process)
    assert started.pid == pid


def test_without_a_bus(agent: Agent) -> None:
    result = subprocess.run(
        [agent.binary], env={"HOME": str(agent.bus.home), "DBUS_SESSION_BUS_ADDRESS": "unix:path=/no"},
        capture_output=True, text=True, timeout=20,
    )  # fmt: skip
    assert result.returncode == 1
    assert "run --foreground" in result.stderr


# -- plans ------------------------------------------------------------------------------------------


def test_plans_over_the_bus(started: Agent, folder: Path, bucket: str) -> None:
    text = started.make_plan("Photos", folder, bucket)
    (path,) = started.manager("AddPlan", "(sa{sv})", json.dumps(text), {})
    plan = Plan(started, text)
    assert path == f"{ROOT}/{plan.path}"
    assert oct(plan.file.stat().st_mode & 0o777) == "0o600"
    assert started.manager("FindPlan", "(sa{sv})", "Photos", {}) == (path,)
    assert started.manager("FindPlan", "(sa{sv})", "pho", {}) == (path,)
    with raises("NotFound"):
        started.manager("FindPlan", "(sa{sv})", "Videos", {})
    with raises("Conflict"):
        started.manager("AddPlan", "(sa{sv})", json.dumps(text), {})
    with raises("Usage"):
        started.manager("AddPlan", "(sa{sv})", json.dumps(text | {"schedule": "often"}), {})
    with raises("Usage"):
        plan.call("Update", "(sa{sv})", "{", {})
    plan.call("Update", "(sa{sv})", json.dumps(text | {"name": "Pictures"}), {})
    plan.wait_for("Name", "Pictures")
    with raises("BadCredentials"):
        plan.call("UnlockKeyring")
    started.store_keys(plan.id)
    plan.call("UnlockKeyring")
    plan.call("Remove")
    wait_until(lambda: path not in started.objects(), 10, "the plan to go")
    assert not plan.file.exists()
    keys_of_plan = {"plan": plan.id, "kind": "s3-secret"}
    wait_until(lambda: not started.keyring.lookup(**keys_of_plan), 10, "the keys to go")


def test_file_that_is_no_plan(started: Agent, folder: Path, bucket: str) -> None:
    plan = add(started, "Photos", folder, bucket)
    broken = started.plans_folder / "broken.json"
    broken.write_text('{ "version": 1,')
    (problem,) = wait_until(lambda: started.get("Problems"), 10, "the problem")
    assert bytes(problem[0]) == os.fsencode(broken)
    assert "line" in problem[1].lower()
    assert plan.run().wait()["failed"] == 0
    broken.unlink()
    wait_until(lambda: not started.get("Problems"), 10, "the problem to be over")


def test_keyring_locked_by_hand(started: Agent, folder: Path, bucket: str) -> None:
    plan = add(started, "Photos", folder, bucket)
    started.keyring.lock()
    with raises("KeyringLocked"):
        plan.run()
    started.keyring.answer("dismiss")
    with raises("KeyringLocked"):
        plan.call("UnlockKeyring")
    started.keyring.answer("ok")
    plan.call("UnlockKeyring")
    assert plan.run().wait()["failed"] == 0


def test_unlocking_lets_due_plans_run(started: Agent, folder: Path, bucket: str) -> None:
    started.keyring.lock()
    plan_text = started.make_plan("Photos", folder, bucket, schedule="@daily 12:30")
    started.keyring.unlock()
    started.store_keys(plan_text["id"])
    started.keyring.lock()
    plan = Plan(started, plan_text)
    plan.write()
    wait_until(lambda: f"{ROOT}/{plan.path}" in started.objects(), 10, "the plan")
    plan.wait_for("HeldBy", "keyring-locked")
    started.keyring.answer("ok")
    plan.call("UnlockKeyring")
    wait_until(lambda: plan.get("LastSuccess") > 0, 20, "the run")


def test_keyring_comes_and_goes(started: Agent, folder: Path, bucket: str) -> None:
    plan = add(started, "Photos", folder, bucket)
    started.keyring.stop()
    with raises("Failed"):
        plan.run()
    started.keyring.start()
    assert plan.run().wait()["failed"] == 0


# -- questions --------------------------------------------------------------------------------------


def test_browse_and_fetch(started: Agent, folder: Path, bucket: str) -> None:
    strange = os.fsdecode(b"\xff name")
    write_files(folder, {"deep/er/Three": "3", strange: "!", "empty/": ""})
    plan = add(started, "Photos", folder, bucket)
    plan.run().wait()

    def entries(where: bytes, **options: Any) -> tuple[list[tuple[bytes, str, int]], bool]:
        found, complete = plan.call("List", "(aya{sv})", where, options)
        return [(bytes(path), kind, size) for path, kind, size, _ in found], complete

    assert entries(b"") == ([(b"Pictures", "folder", 0)], True)
    assert entries(b"Pictures") == ([
        (b"Pictures/deep", "folder", 0), (b"Pictures/empty", "folder", 0),
        (b"Pictures/one", "file", 1), (b"Pictures/two", "file", 1),
        (b"Pictures/\xff name", "file", 1),
    ], True)  # fmt: skip
    assert entries(b"Pictures/deep/er") == ([(b"Pictures/deep/er/Three", "file", 1)], True)
    assert entries(b"Pictures/none") == ([], True)
    every = {"recursive": GLib.Variant("b", True)}
    assert len(entries(b"", **every)[0]) == 8
    assert entries(b"", **every, match=s("tHrEe"))[0] == [(b"Pictures/deep/er/Three", "file", 1)]
    assert entries(b"Pictures", limit=GLib.Variant("u", 2)) == (entries(b"Pictures")[0][:2], False)

    reply, fds = started.bus.connection.call_with_unix_fd_list_sync(
        NAME, f"{ROOT}/{plan.path}", f"{INTERFACE}.Plan", "Fetch",
        GLib.Variant("(aya{sv})", (b"Pictures/\xff name", {})), None, 0, 10_000, None, None,
    )  # fmt: skip
    with os.fdopen(fds.get(reply.unpack()[0]), "rb") as file:
        assert file.read() == b"!"


def test_fetch_of_what_no_memory_holds(
    started: Agent, folder: Path, bucket: str, proxy: FaultProxy
) -> None:
    """Whatever the caller allows, and the server says."""
    plan = add(started, "Photos", folder, bucket, endpoint=proxy.endpoint)
    plan.run().wait()
    pid = started.pid

    def enlarge(status: int, headers: Headers, content: bytes) -> tuple[int, Headers, bytes]:
        return status, headers | {"content-length": str(1 << 42)}, content

    proxy.rules.append(
        Rule(lambda r: r.method == "HEAD" and r.key.endswith("/one"), ReplaceReply(enlarge))
    )
    with raises("Usage"):
        plan.call("Fetch", "(aya{sv})", b"Pictures/one", {"limit": GLib.Variant("t", 1 << 63)})
    assert started.pid == pid


def test_fetch_of_half_a_file(
    started: Agent, folder: Path, bucket: str, proxy: FaultProxy
) -> None:
    write_files(folder, {"one": "more than that"})
    plan = add(started, "Photos", folder, bucket, endpoint=proxy.endpoint)
    plan.run().wait()

    def halve(status: int, headers: Headers, content: bytes) -> tuple[int, Headers, bytes]:
        return status, headers | {"content-range": "bytes 0-3/14"}, content[:4]

    rule = Rule(lambda r: r.method == "GET" and r.key.endswith("/one"), ReplaceReply(halve))
    proxy.rules.append(rule)
    with raises("Corrupt"):
        plan.call("Fetch", "(aya{sv})", b"Pictures/one", {})
    assert rule.hits == 1
    plan.call("Fetch", "(aya{sv})", b"Pictures/one", {})


def test_measure(started: Agent, folder: Path, bucket: str) -> None:
    write_files(folder, {"cache/a": "12345", "cache/b/c": "1", "x.tmp": "123", "keep/cache.txt": ""})
    text = json.dumps(started.make_plan("P", folder, bucket, exclude=["*.tmp", "cache/"]))
    assert started.manager("Measure", "(sa{sv})", text, {}) == (3, 2, 3, 9)
    anchored = json.dumps(started.make_plan("P", folder, bucket, exclude=["/Pictures/cache/b"]))
    assert started.manager("Measure", "(sa{sv})", anchored, {}) == (5, 10, 1, 1)


def test_probe(started: Agent, folder: Path, s3: Any, bucket: str) -> None:
    text = started.make_plan("Photos", folder, bucket)
    started.store_keys(text["id"])
    (results,) = started.manager("Probe", "(sa{sv})", json.dumps(text), {})
    assert [(what, works) for what, works, _, _ in results] == [
        *[(what, True) for what in ("reach", "sign-in", "list", "write", "read", "metadata",
                                    "parts", "part-copy", "delete")],
        ("versions", False), ("clock", True),
    ]  # fmt: skip
    assert keys(s3, bucket) == [] == unfinished_uploads(s3, bucket)
    text["destination"]["bucket"] = "there-is-none"
    (results,) = started.manager("Probe", "(sa{sv})", json.dumps(text), {})
    what, works, sentence, reason = results[-1]
    assert (what, works, reason) == ("list", False, "no-such-bucket")
    assert "there-is-none" in sentence


def test_probe_leaves_no_versions(started: Agent, folder: Path, s3: Any, bucket: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    text = started.make_plan("Photos", folder, bucket)
    started.store_keys(text["id"])
    (results,) = started.manager("Probe", "(sa{sv})", json.dumps(text), {})
    assert dict((what, works) for what, works, _, _ in results)["versions"]
    left = s3.list_object_versions(Bucket=bucket)
    assert left.get("Versions", []) == [] == left.get("DeleteMarkers", [])


# -- callers who are wrong ----------------------------------------------------------------------------


# Whose folder is not there, and for which the keyring has no keys.
PLAN = json.dumps({
    "version": 1, "id": "1f0e2d3c-0000-4000-8000-000000000000", "name": "Nothing",
    "kind": "mirror", "sources": [{"path": "/nowhere/at all", "as": ""}],
    "destination": {"endpoint": "http://127.0.0.1:9", "bucket": "bucket"}, "schedule": "manual",
})  # fmt: skip

WRONG: list[tuple[str, str, str, tuple[Any, ...], str]] = [
    ("Manager", "AddPlan", "(sa{sv})", ("", {}), "Usage"),
    ("Manager", "AddPlan", "(sa{sv})", ("[1]", {}), "Usage"),
    ("Manager", "AddPlan", "(sa{sv})", ("{}", {}), "Usage"),
    ("Manager", "AddPlan", "(sa{sv})", ("{}", {"loud": s("")}), "Usage"),
    ("Manager", "FindPlan", "(sa{sv})", ("", {}), "NotFound"),
    ("Manager", "FindPlan", "(sa{sv})", ("x", {"a": s("")}), "Usage"),
    ("Manager", "Pause", "(ta{sv})", (1, {"until-tomorrow": s("yes")}), "Usage"),
    ("Manager", "Resume", "(a{sv})", ({"now": s("yes")},), "Usage"),
    ("Manager", "SetUploadLimit", "(xa{sv})", (-2, {}), "Usage"),
    ("Manager", "SetUploadLimit", "(xa{sv})", (1, {"x": s("")}), "Usage"),
    ("Manager", "SetUploadLimit", "(xa{sv})", (1, {"until-idle": s("")}), "Usage"),
    ("Manager", "SetAutostart", "(ba{sv})", (True, {"x": s("")}), "Usage"),
    ("Manager", "Probe", "(sa{sv})", ("{}", {}), "Usage"),
    ("Manager", "Probe", "(sa{sv})", (PLAN, {"prompt": s("")}), "Usage"),
    ("Manager", "Probe", "(sa{sv})", (PLAN, {}), "BadCredentials"),
    ("Manager", "EnableVersioning", "(sua{sv})", ("{}", 7, {}), "Usage"),
    ("Manager", "EnableVersioning", "(sua{sv})", (PLAN, 0, {}), "Usage"),
    ("Manager", "EnableVersioning", "(sua{sv})", (PLAN, 7, {}), "BadCredentials"),
    ("Manager", "Measure", "(sa{sv})", ("{}", {}), "Usage"),
    ("Manager", "Measure", "(sa{sv})", (PLAN, {}), "SourceMissing"),
    ("Manager", "Quit", "(a{sv})", ({"x": s("")},), "Usage"),
    ("Plan", "Run", "(a{sv})", ({"kind": s("copy")},), "Usage"),
    ("Plan", "Run", "(a{sv})", ({"kind": GLib.Variant("i", 1)},), "Usage"),
    ("Plan", "Run", "(a{sv})", ({"sample": GLib.Variant("d", 0)},), "Usage"),
    ("Plan", "Run", "(a{sv})", ({"sample": GLib.Variant("d", float("nan"))},), "Usage"),
    ("Plan", "Run", "(a{sv})", ({"max-delete": GLib.Variant("i", 5)},), "Usage"),
    ("Plan", "Restore", "(ayaya{sv})", (b"", b"relative", {}), "Usage"),
    ("Plan", "Restore", "(ayaya{sv})", (b"a\0b", b"/tmp", {}), "Usage"),
    ("Plan", "Restore", "(ayaya{sv})", (b"", b"/tmp", {"overwrite": s("maybe")}), "Usage"),
    ("Plan", "Restore", "(ayaya{sv})", (b"", b"/tmp", {"retrieve": s("soon")}), "Usage"),
    ("Plan", "Restore", "(ayaya{sv})", (b"", b"/tmp", {"kind": s("link")}), "Usage"),
    *[
        ("Plan", method, signature, (*arguments, {"at": GLib.Variant("x", at)}), "Usage")
        for method, signature, arguments in (
            ("Restore", "(ayaya{sv})", (b"Pictures", b"/dev/null/not/a/folder")),
            ("List", "(aya{sv})", (b"",)),
            ("Browse", "(aya{sv})", (b"",)),
            ("Fetch", "(aya{sv})", (b"Pictures/one",)),
        )
        for at in (-1, -(1 << 63), (1 << 63) - 1)
    ],
    ("Plan", "ListVersions", "(aya{sv})", (b"a\0b", {}), "Usage"),
    ("Plan", "ListVersions", "(aya{sv})", (b"a", {"x": s("")}), "Usage"),
    ("Plan", "Update", "(sa{sv})", ("{}", {}), "Usage"),
    ("Plan", "Update", "(sa{sv})", ("\x01", {}), "Usage"),
    ("Plan", "Remove", "(a{sv})", ({"objects": s("")},), "Usage"),
    ("Plan", "Remove", "(a{sv})", ({"max-delete": GLib.Variant("t", 5)},), "Usage"),
    ("Plan", "MeasureStored", "(a{sv})", ({"x": s("")},), "Usage"),
    ("Plan", "UnlockKeyring", "(a{sv})", ({"x": s("")},), "Usage"),
    ("Plan", "List", "(aya{sv})", (b"a\0b", {}), "Usage"),
    ("Plan", "List", "(aya{sv})", (b"", {"limit": s("")}), "Usage"),
    ("Plan", "Browse", "(aya{sv})", (b"a\0b", {}), "Usage"),
    ("Plan", "Browse", "(aya{sv})", (b"", {"at": s("")}), "Usage"),
    ("Plan", "Fetch", "(aya{sv})", (b"none", {}), "NotFound"),
    ("Plan", "Fetch", "(aya{sv})", (b"photos", {"limit": s("")}), "Usage"),
    ("Plan", "Fetch", "(aya{sv})", (b"Pictures/one", {"limit": GLib.Variant("t", 0)}), "Usage"),
    ("Plan", "GetHistory", "(a{sv})", ({"limit": s("all")},), "Usage"),
    ("Plan", "GetFailures", "(xa{sv})", (999, {}), "NotFound"),
    ("Plan", "GetFailures", "(xa{sv})", (1, {"x": s("")}), "Usage"),
    ("Job", "Pause", "(a{sv})", ({"x": s("")},), "Usage"),
    ("Job", "Pause", "(a{sv})", ({},), "Conflict"),
    ("Job", "Resume", "(a{sv})", ({},), "Conflict"),
    ("Job", "Cancel", "(a{sv})", ({},), "Conflict"),
    ("Job", "GetFailures", "(a{sv})", ({"limit": s("")},), "Usage"),
]


def test_wrong_calls(started: Agent, folder: Path, bucket: str) -> None:
    plan = add(started, "Photos", folder, bucket)
    job = plan.run()
    job.wait()
    started.settle()
    paths = {"Manager": "Manager", "Plan": plan.path, "Job": job.path}
    pid = started.pid
    before = plan.file.read_bytes()
    for interface, method, signature, arguments, error in WRONG:
        with raises(error):
            started.call(paths[interface], f"{interface}.{method}", signature, *arguments)
    # Arguments of other types, and objects that are not there, are for the bus to refuse.
    for path, method, signature, arguments in [
        ("Manager", "Manager.Pause", "(s)", ("long",)),
        (plan.path, "Plan.Run", "()", ()),
        ("Plan/none", "Plan.Run", "(a{sv})", ({},)),
        ("Job/999", "Job.Cancel", "(a{sv})", ({},)),
        ("Manager", "Manager.Explode", "()", ()),
    ]:
        with pytest.raises(GLib.Error, match="org.freedesktop.DBus.Error"):
            started.call(path, method, signature, *arguments)
    assert started.pid == pid
    assert plan.file.read_bytes() == before
    assert started.get("State") == "idle"
    assert plan.run().wait()["failed"] == 0


def test_every_method_is_called_wrongly_above() -> None:
    """Whoever adds a method adds what happens when it is called wrongly."""
    xml = ElementTree.parse(TOP / f"src/dbus/{NAME}.xml")
    methods = {
        (interface.get("name", "").removeprefix(f"{INTERFACE}."), method.get("name"))
        for interface in xml.iter("interface")
        for method in interface.iter("method")
    }
    assert {(interface, method) for interface, method, *_ in WRONG} == {
        (interface, method) for interface, method in methods if interface != "Testing"
    }


# -- secrets ------------------------------------------------------------------------------------------


def test_secret_is_in_the_keyring_and_nowhere_else(
    agent: Agent, recorders: Recorders, folder: Path, bucket: str
) -> None:
    secret = agent.rgw.secret_key
    agent.keyring.start()
    plan = agent.add_plan("Photos", folder, bucket, schedule="@daily 12:30")
    agent.start("2026-03-01 13:00")
    assert plan.jobs()[0]["state"] == "finished"
    plan.run().wait()
    agent.settle()
    encoded = secret.encode()
    process = Path(f"/proc/{agent.pid}")
    assert encoded not in (process / "cmdline").read_bytes()
    assert encoded not in (process / "environ").read_bytes()
    assert secret not in agent.log
    folders = [agent.bus.config_home, agent.bus.state_home, agent.bus.cache_home, agent.bus.home,
               agent.bus.runtime_dir]  # fmt: skip
    files = [path for top in folders for path in top.rglob("*") if path.is_file()]
    assert any(path.name == "history.sqlite" for path in files)
    for path in files:
        assert encoded not in path.read_bytes(), path
    # The keyring hands it out encrypted for this one session.
    assert recorders.messages(interface="org.freedesktop.Secret.Item", member="GetSecret") or (
        recorders.messages(interface="org.freedesktop.Secret.Service")
    )
    assert recorders.find(secret) == []
    assert agent.keyring.lookup(plan=plan.id, kind="s3-secret") == secret

