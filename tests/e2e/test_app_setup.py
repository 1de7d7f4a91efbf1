# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""From an empty window to a finished first backup, with the keyboard alone; and all that can be
entered wrongly is explained beside its field."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fixtures import free_port, wait_until
from fixtures.agent import Agent, Plan
from fixtures.app import (
    Application, add_plan, begin_setup, choose_folder, choose_provider, fill_storage, stalled
)  # fmt: skip
from fixtures.ceph_rgw import CephRgw
from fixtures.checks import keys, rsync_changes, write_files
from fixtures.impatience import Impatience
from fixtures.status_notifier import Tray
from fixtures.system_bus import SystemBus

ID = "io.github.keepsake_backup.Keepsake"

pytest_plugins = ["fixtures.app_fixtures"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_files(
        tmp_path / "Pictures",
        {"one.jpg": os.urandom(50_000), "two.jpg": os.urandom(50_000),
         ".cache/thumbnail": os.urandom(30_000)},
    )  # fmt: skip


def key_items(agent: Agent) -> list[Any]:
    return [row for row in agent.keyring.items() if "plan" in row[1]]


def test_whole_journey_by_keyboard(
    app: Application, app_agent: Agent, folder: Path, tmp_path: Path, s3: Any, bucket: str, rgw: CephRgw
) -> None:
    """… then a change is backed up from the tray, and all comes back into another folder."""
    before = len(key_items(app_agent))
    begin_setup(app, app_agent)
    app_agent.manager("SetAutostart", "(ba{sv})", False, {})
    choose_folder(app, folder)
    app.wait_for_text("3 files, 127 KiB to keep")
    app.wait_for_text("Saves 29 KiB")
    app.tab_to("Caches and thumbnails")
    app.key("Space")
    app.wait_for_text("2 files, 98 KiB to keep")
    app.look("setup-folders")

    app.key("Alt+n")
    app.wait_for("Where to?")
    fill_storage(app, rgw.endpoint, bucket, rgw.access_key, rgw.secret_key)
    app.key("Alt+t")
    app.wait_for_text("Everything works.")
    app.wait_for_text("Files can be stored")
    app.look("setup-storage")

    app.key("Alt+n")
    app.wait_for("How fast?")
    app.wait_for_text("The first backup sends 98 KiB as fast as the line allows")
    app.key("Alt+l")
    app.wait_for_text("in less than a minute at 256 KiB/s")
    app.look("setup-schedule")

    app.key("Alt+n")
    app.wait_for("Is this right?")
    app.wait_for_text("Every day at 12:30")
    app.look("setup-review")
    app.fill("Name of the plan", "Photos")
    app.key("Alt+c")
    app.wait_for_text("Backed up just now", timeout=40)
    app.look("setup-done")
    assert [key for key in keys(s3, bucket) if key.endswith(".jpg")] == [
        "laptop/Pictures/one.jpg", "laptop/Pictures/two.jpg"
    ]  # fmt: skip
    (file,) = app_agent.plans_folder.glob("*.json")
    plan = json.loads(file.read_text())
    assert plan["name"] == "Photos" and plan["upload-limit"] == "256K"
    # Else nothing would begin after the next login.
    wait_until(lambda: app_agent.get("Autostart"), 10, "the start at login")
    # The keys for the test are forgotten, those of the plan are there.
    wait_until(lambda: len(key_items(app_agent)) == before + 2, 10, "the keys of the test to go")

    # A change, and the tray.
    (folder / "one.jpg").write_bytes(os.urandom(60_000))
    (folder / "three.jpg").write_bytes(os.urandom(70_000))
    Tray(app.bus).wait_for_item(ID).menu_entry("Back Up Photos Now").click()
    wait_until(lambda: "laptop/Pictures/three.jpg" in keys(s3, bucket), 20, "the backup of the tray")
    app.wait_for_text("Backed up just now")

    # Back, into another folder.
    app.tab_to("Photos: ")
    app.key("Return")
    app.wait_for("Plan Menu")
    app.tab_to("Restore Files…")
    app.key("Return")
    app.wait_for("All Folders")
    app.wait_for("Pictures")
    app.tab_to("Restore Everything…")  # it slides in when the list is there
    app.key("Return")
    app.wait_for("Where to?")
    app.fill("Folder", str(tmp_path / "back"))
    app.key("Alt+r")
    app.wait_for("Restored", timeout=30)
    times = folder.stat()
    shutil.rmtree(folder / ".cache")  # which was left out
    os.utime(folder, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert rsync_changes(folder, tmp_path / "back/Pictures") == []
    app.key("Alt+d")
    app.wait_for_text("Restored 4 files")


def secret_of(agent: Agent, plan_id: str) -> str:
    return agent.keyring.lookup(plan=plan_id, kind="s3-secret")


def edit(app: Application, app_agent: Agent, folder: Path, bucket: str, **members: Any) -> Plan:
    """A plan, and the first page to change it."""
    app_agent.start()
    plan = add_plan(app_agent, "Photos", folder, bucket, **members)
    app.start()
    app.show_plan(plan)
    app.press("Edit…")
    app.wait_for("Step 1 of 4")
    return plan


def go_on(app: Application, step: int) -> None:
    app.key("Alt+n")
    app.wait_for(f"Step {step} of 4")


def begin_edit(
    app: Application, app_agent: Agent, folder: Path, bucket: str, **members: Any
) -> Plan:
    """A plan, and the page to change it where all that is left is "Save"."""
    plan = edit(app, app_agent, folder, bucket, **members)
    for step in (2, 3, 4):
        go_on(app, step)
    return plan


def test_edit_after_the_agent_came_back(
    app: Application, app_agent: Agent, folder: Path, bucket: str
) -> None:
    plan = begin_edit(app, app_agent, folder, bucket)
    app_agent.kill()
    app_agent.start()
    app.set_text("Name of the plan", "Pictures")
    wait_until(lambda: app_agent.is_running(), 10, "the agent")
    app.key("Alt+s")
    app.wait_for_text("Saved; it holds from the next backup on")
    assert json.loads(plan.file.read_text())["name"] == "Pictures"


@pytest.fixture(params=[False, True], ids=["at-once", "slides"])
def slides(app: Application, request: pytest.FixtureRequest) -> Iterator[None]:
    """Whether pages do when they change."""
    keyfile = app.bus.config_home / "glib-2.0/settings/keyfile"

    def animate(word: str) -> None:
        text = re.sub(r"enable-animations=\w+", f"enable-animations={word}", keyfile.read_text())
        keyfile.write_text(text)

    animate(str(request.param).lower())
    yield
    animate("false")


@pytest.mark.usefixtures("slides")
@pytest.mark.parametrize("how", ["saved", "cancelled", "removed"])
def test_page_of_a_plan_that_went_during_an_edit(
    app: Application, app_agent: Agent, folder: Path, bucket: str, how: str
) -> None:
    """The agent came back, or somebody removed the plan: the page that was opened before the edit
    has buttons that do nothing, and is not shown again."""
    plan = begin_edit(app, app_agent, folder, bucket)
    if how == "removed":
        plan.call("Remove", "(a{sv})", {})
        wait_until(lambda: not plan.file.exists(), 10, "the plan to go")
    else:
        app_agent.kill()
        app_agent.start()
        wait_until(lambda: app_agent.is_running(), 10, "the agent")
    if how == "saved":
        app.wait_for_none(part="is not running")
        app.key("Alt+s")
        app.wait_for_text("Saved; it holds from the next backup on")
    else:
        for step in (3, 2, 1):
            app.key("Alt+b")
            app.wait_for(f"Step {step} of 4")
        app.press("Cancel")
    app.wait_for("Main Menu")
    app.wait_for_none("Plan Menu")
    if how == "removed":
        app.wait_for("Keep Your Folders Safe")
    else:
        app.press("Back Up Now")
        app.wait_for_text("Backed up just now", timeout=40)


def test_edit_of_a_plan_that_names_no_provider(
    app: Application, app_agent: Agent, folder: Path, bucket: str, rgw: CephRgw
) -> None:
    """As those have none that were made by command: it is found by the address, and not Amazon."""
    destination = {"endpoint": rgw.endpoint, "region": "default", "bucket": bucket, "prefix": "p"}
    plan = begin_edit(app, app_agent, folder, bucket, destination=destination)
    app.set_text("Name of the plan", "Pictures")
    app.key("Alt+s")
    app.wait_for_text("Saved; it holds from the next backup on")
    after = json.loads(plan.file.read_text())["destination"]
    assert (after["provider"], after["endpoint"]) == ("other", rgw.endpoint)


def test_edit_of_a_plan_that_somebody_else_changed(
    app: Application, app_agent: Agent, folder: Path, bucket: str
) -> None:
    plan = begin_edit(app, app_agent, folder, bucket)
    plan.edit(exclude=["*.tmp"])
    app.set_text("Name of the plan", "Pictures")
    app.key("Alt+s")
    app.wait_for_text("was changed by somebody else meanwhile; open it again")
    app.look("edit-conflict")
    found = json.loads(plan.file.read_text())
    assert (found["name"], found["exclude"]) == ("Photos", ["*.tmp"])


def save(app: Application, plan: Plan) -> dict[str, Any]:
    app.key("Alt+s")
    app.wait_for("Restore Files…")
    return json.loads(plan.file.read_text())


def test_folder_that_was_only_typed(
    app: Application, app_agent: Agent, folder: Path, tmp_path: Path, bucket: str
) -> None:
    """Beside another one nobody would see that it is not in the plan."""
    other = write_files(tmp_path / "Films", {"film": "1"})
    plan = edit(app, app_agent, folder, bucket)
    app.fill("Add a folder by its path", str(other))
    app.key("Alt+n")
    app.wait_for("Films")
    assert app.find_all("Step 1 of 4")
    for step in (2, 3, 4):
        go_on(app, step)
    found = save(app, plan)
    assert [source["path"] for source in found["sources"]] == [str(folder), str(other)]


def test_time_that_was_only_typed(
    app: Application, app_agent: Agent, folder: Path, bucket: str
) -> None:
    plan = edit(app, app_agent, folder, bucket, schedule="@daily 12:30")
    for step in (2, 3):
        go_on(app, step)
    app.fill("Hour", "18")
    go_on(app, 4)
    app.wait_for_text("Every day at 18:30")
    assert save(app, plan)["schedule"] == "@daily 18:30"


def test_timetable_that_is_none(
    app: Application, app_agent: Agent, folder: Path, bucket: str
) -> None:
    plan = edit(app, app_agent, folder, bucket, schedule="30 12 * * *")
    for step in (2, 3):
        go_on(app, step)
    fields = "Five fields of crontab: minute, hour, day, month, weekday"
    for text in ("0 3 * *", ""):
        app.set_text(fields, text)
        app.key("Alt+n")
        app.wait_for_text("This is not a timetable.")
        assert app.find_all("Step 3 of 4")
        app.look("setup-timetable")
        app.wait_for_none(part="This is not a timetable.")
    app.set_text(fields, "0 3 * * 1")
    go_on(app, 4)
    assert save(app, plan)["schedule"] == "0 3 * * 1"


def test_what_has_no_row_stays(
    app: Application, app_agent: Agent, folder: Path, bucket: str
) -> None:
    """How long a plan waits after a change. One that is switched off can be switched on."""
    plan = edit(app, app_agent, folder, bucket, schedule="@watch 30m", enabled=False)
    for step in (2, 3):
        go_on(app, step)
    app.look("setup-switched-off")
    app.tab_to("Switched on")
    app.key("Space")
    go_on(app, 4)
    found = save(app, plan)
    assert (found["schedule"], found["enabled"]) == ("@watch 30m", True)
    wait_until(lambda: plan.jobs(), 20, "the first backup")
    app.press("Edit…")
    app.wait_for("Step 1 of 4")
    for step in (2, 3):
        go_on(app, step)
    assert not app.find_all("Switched on")


def is_sensitive(app: Application, button: str) -> bool:
    return "sensitive" in app.wait_for(button, role="button").states


def test_back_is_one_step(app: Application, app_agent: Agent, folder: Path, bucket: str) -> None:
    """Whatever one goes back with. The mouse's button would leave all steps at once, so it does
    nothing here."""
    begin_edit(app, app_agent, folder, bucket)
    app.screen.resize(app._window(), 760, 700)
    for step in (3, 2):
        app.screen.click(8, 380, 400)
        app.key("Alt+Left")
        app.wait_for(f"Step {step} of 4")
    app.press("Back")
    app.wait_for("Step 1 of 4")
    app.key("Alt+Left")
    app.wait_for("Plan Menu")
    app.wait_for_none("Step 1 of 4")
    app.screen.click(8, 380, 400)
    app.wait_for_none("Plan Menu")


def test_going_back_while_it_saves(
    app: Application, app_agent: Agent, folder: Path, bucket: str
) -> None:
    """The answer may be that it was not saved, which has to be seen."""
    plan = begin_edit(app, app_agent, folder, bucket)
    plan.edit(exclude=["*.tmp"])
    app.set_text("Name of the plan", "Pictures")
    with stalled(app_agent):
        app.key("Alt+s")
        wait_until(lambda: not is_sensitive(app, "Save"), 10, "the page to save")
        app.key("Alt+Left")
        app.screen.click(8, 380, 400)
        # The answer must not come before them: keys are heard one after the other.
        path = app.focus_path()
        app.key("Tab")
        wait_until(lambda: app.focus_path() != path, 10, "the keys to be heard")
    app.wait_for_text("was changed by somebody else meanwhile; open it again")
    assert app.find_all("Step 4 of 4")
    app.key("Alt+Left")
    app.wait_for("Step 3 of 4")


def fill_setup(app: Application, folder: Path, bucket: str, rgw: CephRgw) -> None:
    """All four steps, so that only "Create" is left."""
    choose_folder(app, folder)
    app.key("Alt+n")
    app.wait_for("Where to?")
    fill_storage(app, rgw.endpoint, bucket, rgw.access_key, rgw.secret_key)
    for step in (3, 4):
        app.key("Alt+n")
        app.wait_for(f"Step {step} of 4", timeout=30)
    app.set_text("Name of the plan", "Photos")


def test_agent_does_not_answer_when_a_plan_is_saved(
    app: Application, app_agent: Agent, folder: Path, bucket: str, rgw: CephRgw,
    impatience: Impatience,
) -> None:  # fmt: skip
    """What it does late is whole: a new plan has its keys, and one that was to be changed has the
    keys that belong to it."""
    app.environment |= impatience.environment
    begin_setup(app, app_agent)
    fill_setup(app, folder, bucket, rgw)
    with stalled(app_agent), impatience.of_calls():
        app.key("Alt+c")
        app.wait_for_text("It may do this yet", timeout=40)
        app.look("setup-no-answer")
    app.wait_for_none(part="does not answer. What you see", timeout=20)
    (file,) = wait_until(lambda: list(app_agent.plans_folder.glob("*.json")), 10, "the plan")
    assert secret_of(app_agent, file.stem) == rgw.secret_key
    app.key("Alt+c")  # once more, and it is the same plan
    app.wait_for_text("Backed up just now", timeout=40)
    assert list(app_agent.plans_folder.glob("*.json")) == [file]

    app.show_plan(Plan(app_agent, json.loads(file.read_text())))
    app.press("Edit…")
    app.wait_for("Step 1 of 4")
    app.key("Alt+n")
    app.wait_for("Step 2 of 4")
    name, secret = f"OTHER{bucket[-8:].upper()}", os.urandom(16).hex()
    rgw.admin("key", "create", "--uid=keepsake", "--key-type=s3", f"--access-key={name}",
              f"--secret-key={secret}")  # fmt: skip
    app.set_text("Access key", name)
    app.set_text("Secret key", secret)
    for step in (3, 4):
        app.key("Alt+n")
        app.wait_for(f"Step {step} of 4", timeout=30)
    with stalled(app_agent), impatience.of_calls():
        app.key("Alt+s")
        app.wait_for_text("It may do this yet", timeout=40)
        assert secret_of(app_agent, file.stem) == rgw.secret_key
    app.wait_for_none(part="does not answer. What you see", timeout=20)
    app.key("Alt+s")
    app.wait_for_text("Saved; it holds from the next backup on")  # the old ones were good, too
    assert secret_of(app_agent, file.stem) == secret


@pytest.mark.parametrize("metered", [True, False])
def test_new_plan_waits_for_what_it_was_told_to(
    app: Application, app_agent: Agent, machine: SystemBus, folder: Path, s3: Any, bucket: str,
    rgw: CephRgw, metered: bool
) -> None:  # fmt: skip
    """Also with its first backup, which is due at once."""
    app_agent.environment["KEEPSAKE_TEST_LOOPBACK_IS_REMOTE"] = "1"
    machine.set_metered(metered)
    begin_setup(app, app_agent)
    wait_until(lambda: app_agent.get("Conditions") == ["metered"] * metered, 10, "the network")
    fill_setup(app, folder, bucket, rgw)
    app.key("Alt+c")
    if metered:
        app.wait_for_text("Plan created")
        app.wait_for_text("Waiting: on a metered network")
        app.look("setup-done-metered")
        (file,) = app_agent.plans_folder.glob("*.json")
        plan = Plan(app_agent, json.loads(file.read_text()))
        assert plan.get("State") == "held" and plan.jobs() == [] and keys(s3, bucket) == []
        machine.set_metered(False)
    app.wait_for_text("Backed up just now", timeout=40)


@pytest.mark.parametrize("schedule", ["manual", "@daily 12:30"])
def test_other_keys_are_tried_at_once(
    app: Application, app_agent: Agent, folder: Path, bucket: str, rgw: CephRgw, schedule: str
) -> None:
    """Where those before were refused: by itself the plan would try again at its next hour."""
    app_agent.start()
    plan_id = app_agent.make_plan("Photos", folder, bucket)["id"]
    app_agent.store_keys(plan_id, secret="wrong")
    plan = add_plan(app_agent, "Photos", folder, bucket, keys=False, id=plan_id, schedule=schedule)
    if schedule == "manual":
        plan.run()
    app.start()
    app.wait_for_text("The storage refused the keys", timeout=30)
    app.press("Enter Keys…")
    app.wait_for("Step 2 of 4")
    app.set_text("Access key", rgw.access_key)
    app.set_text("Secret key", rgw.secret_key)
    for step in (3, 4):
        app.key("Alt+n")
        app.wait_for(f"Step {step} of 4", timeout=30)
    app.key("Alt+s")
    app.wait_for_text("Saved; a backup begins")
    app.wait_for_text("Backed up just now", timeout=30)


@pytest.mark.parametrize("schedule", ["manual", "@daily 12:30"])
def test_start_at_login_comes_with_the_first_schedule(
    app: Application, app_agent: Agent, folder: Path, tmp_path: Path, bucket: str, rgw: CephRgw,
    schedule: str,
) -> None:  # fmt: skip
    """Where there is one already, whoever has switched it off is left alone."""
    begin_setup(app, app_agent)
    app_agent.manager("SetAutostart", "(ba{sv})", False, {})
    add_plan(app_agent, "Papers", write_files(tmp_path / "Papers", {"a": "1"}), bucket, schedule=schedule)
    fill_setup(app, folder, bucket, rgw)
    app.key("Alt+c")
    app.wait_for_text("Plan created")
    if schedule == "manual":
        app.wait_for_text("Keepsake starts at login from now on")
    app.wait_for_text("Backed up just now", timeout=40)
    assert app_agent.get("Autostart") == (schedule == "manual")
    app_agent.manager("SetAutostart", "(ba{sv})", False, {})


def test_place_of_another_plan(
    app: Application, app_agent: Agent, folder: Path, tmp_path: Path, bucket: str, rgw: CephRgw
) -> None:
    """Another folder of the same name would replace what is there: said before anything is stored."""
    disk = write_files(tmp_path / "disk/Pictures", {"three.jpg": os.urandom(1000)})
    app_agent.start()
    add_plan(app_agent, "Laptop", folder, bucket)
    app.start()
    app.wait_for("Laptop")
    app.key("Control+n")
    app.wait_for("Folders")
    choose_folder(app, disk)
    app.key("Alt+n")
    app.wait_for("Where to?")
    fill_storage(app, rgw.endpoint, bucket, rgw.access_key, rgw.secret_key)
    app.key("Alt+n")
    app.wait_for_text("“Laptop” already stores another folder under this name here")
    app.look("setup-place-taken")
    assert app.find_all("Step 2 of 4")
    app.set_text("Folder in the bucket", "disk")
    app.key("Alt+n")
    app.wait_for("Step 3 of 4", timeout=30)


def test_wrong_entries(
    app: Application, app_agent: Agent, folder: Path, s3: Any, bucket: str, rgw: CephRgw
) -> None:
    """A folder that is not there, a server that does not answer, wrong keys, a bucket that is not
    there or may only be read: explained beside the field, and nothing of it stays anywhere."""
    before = len(key_items(app_agent))
    begin_setup(app, app_agent)
    app.key("Alt+n")
    app.wait_for("Add at least one folder.")
    app.set_text("Add a folder by its path", str(folder / "gone"))
    app.key("Alt+n")
    app.wait_for_text("There is no folder “")
    app.look("setup-missing-folder")
    app.set_text("Add a folder by its path", str(folder))
    app.key("Alt+n")
    app.wait_for(folder.name)
    app.key("Alt+n")
    app.wait_for("Where to?")
    choose_provider(app)

    def test(error: str, **fields: str) -> None:
        for name, text in fields.items():
            app.set_text(name.replace("_", " "), text)
        app.key("Alt+t")
        app.wait_for_text(error, timeout=40)
        app.wait_for_text("This does not work yet.")
        assert app.find_all("Step 2 of 4")

    secret = {"Access_key": rgw.access_key, "Secret_key": rgw.secret_key}
    app.key("Alt+t")
    app.wait_for("Enter the address of the server.")
    app.set_text("Server address", rgw.endpoint)
    app.key("Alt+t")
    app.wait_for("Enter the name of a bucket.")
    app.set_text("Bucket", bucket)
    app.key("Alt+t")
    app.wait_for_text("Enter both keys.")
    test("The server cannot be reached.", Server_address=f"http://127.0.0.1:{free_port()}", **secret)
    app.look("setup-unreachable")
    test("The storage does not accept these keys.", Server_address=rgw.endpoint, Secret_key="wrong")
    app.look("setup-wrong-keys")
    test("There is no bucket “", Bucket="keepsake-no-such-bucket", **secret)
    deny = {"Effect": "Deny", "Principal": "*", "Action": ["s3:PutObject", "s3:DeleteObject"],
            "Resource": [f"arn:aws:s3:::{bucket}/*"]}  # fmt: skip
    policy = {"Version": "2012-10-17", "Statement": [deny]}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    test("These keys may only read the bucket", Bucket=bucket)
    app.look("setup-read-only")
    s3.delete_bucket_policy(Bucket=bucket)
    app.press("Details")
    app.wait_for("Technical details")
    app.picture("setup-details")
    app.key("Escape")
    app.wait_for_none("Technical details")
    app.press("Back")
    app.press("Cancel")
    app.wait_for("Keep Your Folders Safe")
    assert list(app_agent.plans_folder.iterdir()) == [] and keys(s3, bucket) == []
    wait_until(lambda: len(key_items(app_agent)) == before, 10, "the keys of the tests to go")


def test_keep_versions(
    app: Application, app_agent: Agent, folder: Path, s3: Any, bucket: str, rgw: CephRgw
) -> None:
    """Offered beside what the test found, and done after a look at the rule."""
    begin_setup(app, app_agent)
    choose_folder(app, folder)
    app.key("Alt+n")
    app.wait_for("Where to?")
    fill_storage(app, rgw.endpoint, bucket, rgw.access_key, rgw.secret_key)
    app.key("Alt+t")
    app.wait_for("Old versions of files are not kept", timeout=40)
    app.press("Keep Them…")
    app.wait_for("Keep Old Versions?")
    app.press("What is set at the storage")
    app.wait_for("Rule of the bucket's lifecycle")
    app.picture_of_screen("setup-versions")
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
    app.press("Keep Versions")
    app.wait_for("Old versions of files are kept", timeout=40)
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    rule = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"][0]
    assert rule["NoncurrentVersionExpiration"]["NoncurrentDays"] == 90
    assert rule["Filter"]["Prefix"] == "laptop/"


def test_field_is_corrected_during_the_test(
    app: Application, app_agent: Agent, folder: Path, bucket: str, rgw: CephRgw
) -> None:
    """The button “Next” tests, and waits no longer when what it tests is no longer what is there."""
    begin_setup(app, app_agent)
    choose_folder(app, folder)
    app.key("Alt+n")
    app.wait_for("Where to?")
    fill_storage(app, rgw.endpoint, f"{bucket}x", rgw.access_key, rgw.secret_key)
    with stalled(app_agent):
        app.key("Alt+n")
        app.wait_for("Testing…")
        assert not is_sensitive(app, "Next")
        app.set_text("Bucket", bucket)
        app.wait_for_none("Testing…")
        assert is_sensitive(app, "Next")
    app.key("Alt+n")
    app.wait_for("Step 3 of 4", timeout=30)


@pytest.mark.parametrize("how", ["edited", "keyring-locked"])
def test_versions_are_agreed_to_for_one_bucket(
    app: Application, app_agent: Agent, folder: Path, s3: Any, bucket: str, rgw: CephRgw, how: str
) -> None:
    """The test that was to switch them on does not come so far, and the next one is of another
    bucket: there they would cost money that nobody was asked about."""
    other = f"{bucket}-other"
    s3.create_bucket(Bucket=other)
    begin_setup(app, app_agent)
    choose_folder(app, folder)
    app.key("Alt+n")
    app.wait_for("Where to?")
    fill_storage(app, rgw.endpoint, bucket, rgw.access_key, rgw.secret_key)
    app.key("Alt+t")
    app.wait_for("Old versions of files are not kept", timeout=40)
    app.press("Keep Them…")
    app.wait_for("Keep Old Versions?")
    if how == "edited":
        with app_agent.keyring.frozen():
            app.press("Keep Versions")
            app.wait_for("Testing…")
            app.set_text("Bucket", other)
            app.wait_for_none("Testing…")
    else:
        app_agent.keyring.lock()
        app_agent.keyring.answer("dismiss")
        app.press("Keep Versions")
        app.wait_for_text("The keyring is locked, and was not unlocked.")
        app_agent.keyring.unlock()
        app.set_text("Bucket", other)
    app.wait_for_none("Keep Old Versions?")
    app.key("Alt+t")
    app.wait_for_text("Everything works.", timeout=40)
    app.wait_for("Old versions of files are not kept")
    for name in (bucket, other):
        assert "Status" not in s3.get_bucket_versioning(Bucket=name)
    s3.delete_bucket(Bucket=other)


def entry(app: Application, name: str) -> str:
    """GTK 4.8 does not take -1 for the end of an entry."""
    return app.wait_for(name, role="text box").call("Text.GetText", "(ii)", 0, 1000)[0]


def add_plan_at(agent: Agent, folder: Path, provider: str, region: str, endpoint: str, bucket: str) -> Plan:
    """It backs up when it is asked to, which nobody does."""
    agent.start()
    place = {"provider": provider, "endpoint": endpoint, "region": region, "bucket": bucket, "prefix": ""}
    return add_plan(agent, "Photos", folder, bucket, destination=place)


def open_storage(app: Application, plan: Plan) -> None:
    app.start()
    app.show_plan(plan)
    app.press("Edit…")
    app.wait_for("Step 1 of 4")
    app.key("Alt+n")
    app.wait_for("Step 2 of 4")


@pytest.mark.parametrize(
    ("provider", "region", "field", "before", "endpoint"),
    [
        ("r2", "auto", "Account ID", "0123abcd", "https://{}.r2.cloudflarestorage.com"),
        ("aws", "eu-west-1", "Region", "eu-west-1", "https://s3.{}.amazonaws.com"),
    ],
)
def test_address_follows_what_it_is_made_of(
    app: Application, app_agent: Agent, folder: Path, provider: str, region: str, field: str,
    before: str, endpoint: str,
) -> None:  # fmt: skip
    """Also that of a plan that was there, and when another field was changed before."""
    plan = add_plan_at(app_agent, folder, provider, region, endpoint.format(before), "photos-of-mine")
    open_storage(app, plan)
    assert (entry(app, field), entry(app, "Server address")) == (before, endpoint.format(before))
    app.set_text("Bucket", "photos-of-yours")
    app.set_text(field, "eu-north-1")
    wait_until(lambda: entry(app, "Server address") == endpoint.format("eu-north-1"), 5, "the address")
    app.set_text("Server address", "https://s3.example.invalid")
    app.set_text(field, "eu-west-3")
    assert entry(app, "Server address") == "https://s3.example.invalid"


def test_address_of_one_s_own(
    app: Application, app_agent: Agent, folder: Path, bucket: str, rgw: CephRgw
) -> None:
    """It has no account in it, so none has to be made up before the keys can be changed."""
    plan = add_plan_at(app_agent, folder, "r2", "auto", rgw.endpoint, bucket)
    open_storage(app, plan)
    assert (entry(app, "Account ID"), entry(app, "Server address")) == ("", rgw.endpoint)
    app.set_text("Region", "default")
    app.set_text("Access key", rgw.access_key)
    app.set_text("Secret key", rgw.secret_key)
    app.key("Alt+n")
    app.wait_for("Step 3 of 4", timeout=30)
