# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""A plan that is removed with what the storage holds of it: by command and by the agent."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from gi.repository import Gio, GLib

from fixtures import wait_until
from fixtures.agent import INTERFACE, NAME, ROOT, Agent, Job, Plan, raises
from fixtures.app import add_plan
from fixtures.checks import (
    keys,
    open_catalogue,
    operation,
    put_many,
    the_sentence,
    unfinished_uploads,
    write_files,
)
from fixtures.fault_proxy import Delay, FaultProxy, Hang, Reply, Request, Rule
from fixtures.large_files import WhenDone
from fixtures.terminal import Terminal

YES = GLib.Variant("b", True)


def count(n: int) -> GLib.Variant:
    return GLib.Variant("t", n)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_files(tmp_path / "Pictures", {"a": "1", "b": "22", "sub/c": "333"})


# -- by command ---------------------------------------------------------------------------------


@pytest.fixture
def photos(ctl: Any, folder: Path, s3: Any, bucket: str) -> str:
    """A plan that keeps what it deletes, and did; returns its id."""
    added = ctl("plan", "add", "Photos", folder, f"s3://{bucket}/laptop", "--delete",
                "--keep-deleted", "30d", check=0)  # fmt: skip
    ctl("run", "Photos", "--foreground", check=0)
    (folder / "b").unlink()
    (folder / "a").write_text("one")
    ctl("run", "Photos", "--foreground", "--max-delete", "9", check=0)
    assert len(keys(s3, bucket, "laptop.keepsake-kept/")) == 3
    return added.stdout.strip()


def others(s3: Any, bucket: str) -> list[str]:
    """Objects that look like the plan's and are not."""
    made = [
        "laptop", "laptop/Pictures2/x", "laptop/Picturesque", "laptop/Other/y", "laptop2/Pictures/z",
        "laptop.keepsake-kept/notes", "laptop.keepsake-kept/2026-01-02T03:04:05Z/deleted/Other/w",
        "Pictures/a",
    ]  # fmt: skip
    for key in made:
        s3.put_object(Bucket=bucket, Key=key, Body=b"theirs")
    return sorted(made)


def test_only_what_is_ours_goes(
    ctl: Any, photos: str, folder: Path, s3: Any, bucket: str
) -> None:
    theirs = others(s3, bucket)
    for key in ("laptop/Pictures/big", "laptop/Picturesque"):
        s3.create_multipart_upload(Bucket=bucket, Key=key)
    stored = len(keys(s3, bucket)) - len(theirs)
    assert stored == 4 + 3

    refused = ctl("plan", "remove", "Photos", "--delete-objects")
    assert f"delete {stored} objects" in the_sentence(refused, 1)
    assert len(keys(s3, bucket)) == stored + len(theirs)

    done = ctl("plan", "remove", "Photos", "--delete-objects", "--yes", "--json", check=0)
    result, removed = (line for line in done.json if line["type"] in ("result", "removed"))
    assert (result["deleted"], result["failed"], result["spared"]) == (stored, 0, 0)
    assert removed["id"] == photos
    assert keys(s3, bucket) == theirs
    assert unfinished_uploads(s3, bucket) == ["laptop/Picturesque"]
    assert ctl("plan", "list", check=0).stdout == ""
    assert (folder / "sub/c").read_text() == "333"


def test_what_another_plan_covers_stays(
    ctl: Any, photos: str, folder: Path, s3: Any, bucket: str
) -> None:
    """One of the same folder, and one of the whole bucket from another address."""
    before = keys(s3, bucket)
    ctl("plan", "add", "Again", folder, f"s3://{bucket}/laptop", check=0)
    done = ctl("plan", "remove", "Photos", "--delete-objects", "--yes", check=0)
    assert "0 objects deleted" in done.stdout and "7 objects stay" in done.stderr
    assert keys(s3, bucket) == before

    sub = ctl("plan", "add", "Part", f"{folder}/sub", f"s3://{bucket}/laptop/Pictures", check=0)
    part = sub.stdout.strip()
    done = ctl("plan", "remove", "Again", "--delete-objects", "--yes", "--json", check=0)
    (result,) = (line for line in done.json if line["type"] == "result")
    assert result["spared"] == 2
    assert keys(s3, bucket) == ["laptop/Pictures/sub/", "laptop/Pictures/sub/c"]

    # Whoever covers the rest may be in a file that nobody can read.
    unreadable = ctl.home / "config/keepsake/plans/11111111-2222-3333-4444-555555555555.json"
    unreadable.write_text("{")
    refused = ctl("plan", "remove", part, "--delete-objects", "--yes")
    assert "cannot be read" in the_sentence(refused, 3)
    assert len(keys(s3, bucket)) == 2


def test_a_failure_leaves_the_plan(
    ctl: Any, photos: str, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    before = keys(s3, bucket)
    ctl("plan", "edit", "Photos", "--endpoint-url", proxy.endpoint, check=0)
    denied = b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"
    proxy.rules.append(Rule(lambda r: operation(r) == "delete", Reply(403, {}, denied)))
    failed = ctl("plan", "remove", "Photos", "--delete-objects", "--yes")
    assert failed.returncode == 4, failed
    assert keys(s3, bucket) == before
    assert "Photos" in ctl("plan", "list", check=0).stdout
    newest = ctl("history", "Photos", "--json", check=0).json[0]
    assert (newest["kind"], newest["state"]) == ("erase", "failed")
    ctl("plan", "remove", "Photos", "--delete-objects", "--yes", check=0)
    assert keys(s3, bucket) == []


def test_killed_behind_a_deletion(
    ctl: Any, folder: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    """The plan is still there, and knows that its objects are not."""
    ctl("plan", "add", "Photos", folder, f"s3://{bucket}/laptop", check=0, endpoint=proxy)
    ctl("run", "Photos", "--foreground", check=0, endpoint=proxy)
    started: list[Any] = []

    def kill(_: Request) -> None:
        wait_until(lambda: started)
        started[0].kill()

    proxy.rules.append(Rule(lambda r: operation(r) == "delete", WhenDone(kill)))
    started.append(ctl.popen("plan", "remove", "Photos", "--delete-objects", "--yes", endpoint=proxy))
    assert started[0].wait(60) == -signal.SIGKILL
    assert keys(s3, bucket) == []
    with open_catalogue(ctl.state_dir) as database:
        assert database.execute("SELECT key FROM object").fetchall() == []
    assert "Photos" in ctl("plan", "list", check=0).stdout
    ctl("run", "Photos", "--foreground", check=0, endpoint=proxy)
    assert len(keys(s3, bucket)) == 5


def test_old_versions_stay(ctl: Any, folder: Path, s3: Any, bucket: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    ctl("plan", "add", "Photos", folder, f"s3://{bucket}/laptop", check=0)
    ctl("run", "Photos", "--foreground", check=0)
    done = ctl("plan", "remove", "Photos", "--delete-objects", "--yes", check=0)
    assert "keeps old versions" in done.stderr
    assert keys(s3, bucket) == []
    listed = s3.list_object_versions(Bucket=bucket)
    assert len(listed["Versions"]) == len(listed["DeleteMarkers"]) == 5


def test_plans_are_looked_at_again_after_the_question(
    ctl: Any, photos: str, folder: Path, s3: Any, bucket: str
) -> None:
    """Somebody thinks about it; meanwhile another plan covers the same objects, and then this one is
    changed."""
    before = keys(s3, bucket)
    question = Terminal(ctl, "plan", "remove", "Photos", "--delete-objects")
    question.wait_for("for good")
    question.wait_for("Type the plan's name")
    ctl("plan", "add", "Again", folder, f"s3://{bucket}/laptop", check=0)
    ctl("plan", "edit", "Photos", "--schedule", "manual", check=0)
    question.type("Photos\n")
    assert question.end() == 3 and "changed or removed meanwhile" in question.said
    ctl("plan", "remove", "Again", "--yes", check=0)

    question = Terminal(ctl, "plan", "remove", "Photos", "--delete-objects")
    question.wait_for("Type the plan's name")
    ctl("plan", "add", "Again", folder, f"s3://{bucket}/laptop", check=0)
    question.type("Photos\n")
    assert question.end() == 0, question.said
    assert keys(s3, bucket) == before


def test_a_page_may_hold_more_than_a_request(
    ctl: Any, folder: Path, bucket: str, proxy: FaultProxy
) -> None:
    """As on servers that do not mind how much was asked for."""
    rows = "".join(f"<Contents><Key>laptop/Pictures/{i:04}</Key><Size>1</Size></Contents>"
                   for i in range(2500))  # fmt: skip
    page = f"<ListBucketResult><IsTruncated>false</IsTruncated>{rows}</ListBucketResult>"
    ctl("plan", "add", "Photos", folder, f"s3://{bucket}/laptop",
        "--endpoint-url", proxy.endpoint, check=0)  # fmt: skip
    proxy.rules.append(
        Rule(lambda r: r.params.get("prefix") == "laptop/Pictures/" and "uploads" not in r.params,
             Reply(200, {"Content-Type": "application/xml"}, page.encode()), times=None)
    )  # fmt: skip
    done = ctl("plan", "remove", "Photos", "--delete-objects", "--yes", "--json", check=0)
    (result,) = (line for line in done.json if line["type"] == "result")
    assert (result["deleted"], result["failed"]) == (2500, 0)
    assert proxy.count("POST", lambda r: operation(r) == "delete") == 3


# -- by the agent -------------------------------------------------------------------------------


@pytest.fixture
def stored(agent: Agent, folder: Path, bucket: str) -> Plan:
    """Backed up."""
    agent.keyring.start()
    agent.start("2026-03-01 13:00")
    plan = add_plan(agent, "Photos", folder, bucket)
    plan.run().wait()
    agent.settle()
    return plan


def is_gone(plan: Plan) -> bool:
    return not plan.file.exists() and plan.path not in str(plan.agent.objects())


def test_agent_counts_and_deletes(agent: Agent, stored: Plan, s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="elsewhere", Body=b"theirs")
    (facts,) = stored.call("MeasureStored")
    assert facts == {"objects": 5, "bytes": 6, "spared": 0, "keeps-versions": False,
                     "tells-versions": True}  # fmt: skip
    with raises("Usage"):
        stored.call("Remove", "(a{sv})", {"max-delete": count(5)})
    stored.call("Remove", "(a{sv})", {"delete-objects": YES, "max-delete": count(5)})
    wait_until(lambda: is_gone(stored), 30, "the plan to go")
    assert keys(s3, bucket) == ["elsewhere"]
    # The keys are no longer in the keyring either.
    wait_until(lambda: not agent.keyring.lookup(plan=stored.id), 10, "the keys to go")


def test_counting_ends_with_who_asked(
    agent: Agent, folder: Path, bucket: str, proxy: FaultProxy
) -> None:
    """Or when the same is asked for once more."""
    agent.keyring.start()
    agent.start("2026-03-01 13:00")
    plan = add_plan(agent, "Photos", folder, bucket, endpoint=proxy.endpoint)
    rule = Rule(lambda r: operation(r) == "list", Hang(600), times=2)
    proxy.rules.append(rule)

    def ask(connection: Any) -> None:
        message = Gio.DBusMessage.new_method_call(
            NAME, f"{ROOT}/{plan.path}", f"{INTERFACE}.Plan", "MeasureStored"
        )
        message.set_body(GLib.Variant("(a{sv})", ({},)))
        connection.send_message(message, Gio.DBusSendMessageFlags.NONE)
        connection.flush_sync(None)

    first, second = agent.bus.connect(), agent.bus.connect()
    ask(first)
    wait_until(lambda: rule.hits == 1, 20, "the first listing")
    (listing,) = [r for r in list(proxy.requests) if r.action is rule.action]
    assert listing.ended is None
    first.close_sync(None)
    wait_until(lambda: listing.ended, 20, "its end")

    ask(second)
    wait_until(lambda: rule.hits == 2, 20, "the second listing")
    (_, listing) = [r for r in list(proxy.requests) if r.action is rule.action]
    assert listing.ended is None
    ask(second)
    wait_until(lambda: listing.ended, 20, "its end")
    second.close_sync(None)


def test_agent_deletes_no_more_than_was_told(
    agent: Agent, stored: Plan, s3: Any, bucket: str
) -> None:
    s3.put_object(Bucket=bucket, Key="photos/Pictures/new", Body=b"since")
    stored.call("Remove", "(a{sv})", {"delete-objects": YES, "max-delete": count(5)})
    agent.settle()
    newest = stored.jobs()[0]
    assert (newest["kind"], newest["state"], newest["reason"]) == ("erase", "failed", "delete-guard")
    assert len(keys(s3, bucket)) == 6
    assert stored.get("LastResult") == "finished"  # of backups


def test_agent_can_be_stopped(
    agent: Agent, folder: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    agent.keyring.start()
    agent.start("2026-03-01 13:00")
    plan = add_plan(agent, "Photos", folder, bucket, endpoint=proxy.endpoint)
    plan.run().wait()
    agent.settle()
    before = keys(s3, bucket)
    proxy.rules.append(Rule(lambda r: operation(r) == "delete", Hang(600), times=None))
    plan.call("Remove", "(a{sv})", {"delete-objects": YES})
    job = plan.job
    assert job is not None and job.get("Kind") == "erase"
    wait_until(lambda: job.get("Progress")["files-total"] == len(before), 20, "the count")
    with raises("Busy"):
        plan.call("Remove")
    job.call("Cancel")
    assert job.wait_for_state("cancelled") == "cancelled"
    agent.settle()
    assert keys(s3, bucket) == before and plan.file.exists()
    proxy.rules.clear()
    plan.call("Remove", "(a{sv})", {"delete-objects": YES})
    wait_until(lambda: is_gone(plan), 30, "the plan to go")
    assert keys(s3, bucket) == []


def stop_half_way(plan: Plan, s3: Any, bucket: str, proxy: FaultProxy) -> Job:
    """A deletion of two pages that hangs when the first is gone."""
    put_many(s3, bucket, 1100)
    before = len(keys(s3, bucket))
    proxy.rules.append(Rule(lambda r: operation(r) == "delete", Delay(0)))
    proxy.rules.append(Rule(lambda r: operation(r) == "delete", Hang(600), times=None))
    plan.call("Remove", "(a{sv})", {"delete-objects": YES, "max-delete": count(before)})
    job = plan.wait_for_job()
    wait_until(lambda: len(keys(s3, bucket)) == before - 1000, 60, "the first page to go")
    wait_until(lambda: proxy.rules[-1].hits, 20, "the second to be asked for")
    return job


def test_agent_says_what_a_stopped_deletion_took(
    agent: Agent, folder: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    agent.keyring.start()
    agent.start("2026-03-01 13:00")
    plan = add_plan(agent, "Photos", folder, bucket, endpoint=proxy.endpoint, verify="weekly")
    plan.run().wait()
    agent.settle()
    assert plan.get("Erased") == {} and agent.get("State") == "idle"
    job = stop_half_way(plan, s3, bucket, proxy)
    job.call("Cancel")
    assert job.wait()["message"] == "Stopped before its end. Of 1105 objects, 1000 were deleted"
    agent.settle()
    erased = plan.get("Erased")
    assert (erased["objects"], erased["complete"]) == (1000, False)
    assert agent.get("State") == "attention"
    newest = plan.jobs()[0]
    assert (newest["state"], newest["deleted"], newest["unchanged"]) == ("cancelled", 1000, 105)
    # Nobody wants to be told that what was deleted is missing.
    agent.set_time("2026-03-11 13:00")
    assert plan.jobs()[0]["kind"] == "erase"
    proxy.rules.clear()
    plan.run().wait()
    agent.settle()
    assert plan.get("Erased") == {} and agent.get("State") == "idle"


def test_agent_is_killed_while_it_deletes(
    agent: Agent, folder: Path, s3: Any, bucket: str, proxy: FaultProxy
) -> None:
    """What nobody lived to write down is known all the same; the next deletion takes the rest."""
    agent.keyring.start()
    agent.start("2026-03-01 13:00")
    plan = add_plan(agent, "Photos", folder, bucket, endpoint=proxy.endpoint)
    plan.run().wait()
    agent.settle()
    stop_half_way(plan, s3, bucket, proxy)
    agent.kill()
    agent.start("2026-03-01 14:00")
    assert plan.jobs()[0]["state"] == "interrupted"
    erased = plan.get("Erased")
    assert (erased["objects"], erased["complete"]) == (0, False)
    assert agent.get("State") == "attention"
    proxy.rules.clear()
    plan.call("Remove", "(a{sv})", {"delete-objects": YES})
    wait_until(lambda: is_gone(plan), 60, "the plan to go")
    assert keys(s3, bucket) == []


def test_agent_refuses_while_a_plan_cannot_be_read(agent: Agent, stored: Plan) -> None:
    broken = stored.file.with_name("11111111-2222-3333-4444-555555555555.json")
    broken.write_text("{")
    wait_until(lambda: agent.get("Problems"), 15, "the problem to be seen")
    with raises("DeleteGuard"):
        stored.call("Remove", "(a{sv})", {"delete-objects": YES})


def test_agent_spares_a_plan_that_came_meanwhile(
    agent: Agent, stored: Plan, folder: Path, s3: Any, bucket: str, tmp_path: Path
) -> None:
    """The deletion waits for its turn; by then somebody else covers the same objects."""
    slow = write_files(tmp_path / "Slow", {str(i): os.urandom(40_000) for i in range(30)})
    other = add_plan(agent, "Slow", slow, bucket, **{"upload-limit": "100K"})
    running = other.run()
    stored.call("Remove", "(a{sv})", {"delete-objects": YES, "max-delete": count(5)})
    job = stored.job
    assert job is not None and job.state == "queued"
    destination = stored.members["destination"]
    add_plan(agent, "Again", folder, bucket, destination=destination)
    running.call("Cancel")
    wait_until(lambda: is_gone(stored), 30, "the plan to go")
    assert len(keys(s3, bucket, "photos/Pictures/")) == 5
