# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""The commands that know plans: plan, run, status, history, credentials, without an agent.

What they ask of an agent is in test_plans_session.py.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from conftest import TOP
from fixtures import PATIENCE, clean_environment, free_port, wait_until
from fixtures.checks import body, keys, the_sentence, write_files
from fixtures.terminal import Terminal

NO_KEYS = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}
DAY = 86400


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_files(tmp_path / "Pictures", {"a": "1", "b": "22", "sub/c": "333"})


@pytest.fixture
def plans(ctl: Any) -> Path:
    return ctl.home / "config/keepsake/plans"


@pytest.fixture
def add(ctl: Any, folder: Path, bucket: str) -> Callable[..., str]:
    """Sets up “Photos”, with these options; returns its id."""

    def set_up(*options: Any, name: str = "Photos") -> str:
        result = ctl("plan", "add", name, folder, f"s3://{bucket}/laptop", *options, check=0)
        assert result.stderr == ""
        return result.stdout.strip()

    return set_up


def read_plan(plans: Path, plan_id: str) -> dict[str, Any]:
    return json.loads((plans / f"{plan_id}.json").read_text())


def jobs_of(ctl: Any, plan: str = "Photos") -> list[dict[str, Any]]:
    return ctl("history", plan, "--json", check=0).json


# -- plan add -----------------------------------------------------------------------------------


def test_add_writes_the_file(
    add: Callable[..., str], plans: Path, folder: Path, bucket: str, rgw: Any
) -> None:
    plan_id = add(
        "--schedule", "@daily 12:30", "--upload-limit", "256K", "--exclude", "*.tmp",
        "--exclude", "/cache/", "--delete", "--storage-class", "STANDARD_IA", "--verify", "weekly",
        "--provider", "ceph", "--on-battery", "run",
    )  # fmt: skip
    assert read_plan(plans, plan_id) == {
        "version": 1, "id": plan_id, "name": "Photos", "kind": "mirror",
        "sources": [{"path": str(folder), "as": "Pictures"}],
        "exclude": ["*.tmp", "/cache/"],
        "destination": {
            "provider": "ceph", "endpoint": rgw.endpoint, "region": "default", "bucket": bucket,
            "prefix": "laptop", "storage-class": "STANDARD_IA",
        },
        "delete": "mirror", "schedule": "@daily 12:30", "upload-limit": "256K", "timetable": "",
        "conditions": {"metered": "wait", "battery": "run"}, "verify": "weekly", "enabled": True,
    }  # fmt: skip
    assert (plans / f"{plan_id}.json").stat().st_mode & 0o777 == 0o600
    assert plans.stat().st_mode & 0o777 == 0o700


def test_add_takes_a_timetable_as_the_limit(
    ctl: Any, add: Callable[..., str], plans: Path, folder: Path, bucket: str
) -> None:
    """The same as mirror takes, as README promises to whoever comes from trickle."""
    plan = read_plan(plans, add("--upload-limit", "08:00,256K 19:00,off"))
    assert (plan["upload-limit"], plan["timetable"]) == ("", "08:00,256K 19:00,off")
    assert " 08:00,256K 19:00,off\n" in ctl("plan", "show", "Photos", check=0).stdout
    ctl("mirror", folder, f"s3://{bucket}/laptop", "--upload-limit", plan["timetable"], check=0)


def test_add_takes_sources_as_rsync_does(
    ctl: Any, plans: Path, folder: Path, bucket: str, tmp_path: Path
) -> None:
    (tmp_path / "two").mkdir()
    result = ctl("plan", "add", "Both", "two", "../" + tmp_path.name + "/Pictures",
                 f"s3://{bucket}", cwd=tmp_path, check=0)  # fmt: skip
    assert read_plan(plans, result.stdout.strip())["sources"] == [
        {"path": str(tmp_path / "two"), "as": "two"},
        {"path": str(folder), "as": "Pictures"},
    ]
    result = ctl("plan", "add", "Contents", f"{folder}/", f"s3://{bucket}/contents", check=0)
    assert read_plan(plans, result.stdout.strip())["sources"] == [{"path": str(folder), "as": ""}]


def test_places_of_other_plans_are_taken(
    ctl: Any, plans: Path, add: Callable[..., str], bucket: str, tmp_path: Path
) -> None:
    """Each run of one would replace and delete what the other stored; but one folder may be in two
    plans."""
    add()
    other = tmp_path / "disk/Pictures"
    other.mkdir(parents=True)
    place = f"s3://{bucket}/laptop"
    sentence = "“Pictures” is where the plan “Photos” stores"
    assert sentence in ctl("plan", "add", "Disk", other, place, check=1).stderr
    ctl("plan", "add", "Disk", "--delete", f"{other.parent}/", place, check=1)
    assert len(list(plans.iterdir())) == 1
    ctl("plan", "add", "Disk", other, f"s3://{bucket}/disk", check=0)
    assert sentence in ctl("plan", "edit", "Disk", "--destination", place, check=1).stderr
    ctl("plan", "add", "Again", tmp_path / "Pictures", place, check=0)
    assert len(list(plans.iterdir())) == 3


def test_add_says_json(ctl: Any, folder: Path, bucket: str) -> None:
    (line,) = ctl("plan", "add", "P", folder, f"s3://{bucket}", "--json", check=0).json
    assert line["type"] == "plan" and line["name"] == "P" and line["id"] == line["plan"]["id"]


def test_add_of_a_folder_that_is_not_there_is_noted(ctl: Any, plans: Path, bucket: str) -> None:
    result = ctl("plan", "add", "P", "/nowhere/at/all", f"s3://{bucket}", check=0)
    assert result.stderr == "note     “/nowhere/at/all” cannot be found now.\n"
    assert len(list(plans.iterdir())) == 1


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--schedule", "@dayly"], "“@dayly” is not known; write"),
        (["--upload-limit", "fast"], "“fast” is not a rate"),
        (["--upload-limit", "0"], "would never send anything"),
        (["--timetable", "08:00"], "08:00"),
        (["--upload-limit", "1M", "--timetable", "08:00,1M"], "make no sense"),
        (["--upload-limit", "08:00,1M", "--timetable", "09:00,1M"], "make no sense"),
        (["--upload-limit", "08:00,fast"], "In the timetable entry “08:00,fast”: "),
        (["--verify", "daily"], "“daily” is no answer to --verify; write one of: off, weekly, mon"),
        (["--on-metered", "perhaps"], "--on-metered; write one of: wait, run"),
        (["--provider", "nobody"], "There is no provider profile “nobody”"),
        (["--endpoint-url", "http://s3.example.org"], "is not encrypted"),
        (["--endpoint-url", "ftp://s3.example.org"], "is not an endpoint"),
        (["--endpoint-url", "https://me:secret@s3.example.org"], "holds no user name or password"),
        (["--storage-class", "A B"], "“A B” cannot be one"),
        (["--region", "a/b"], "“a/b” cannot be the name of a region"),
        (["--exclude", ""], "exclude"),
        (["--nonsense"], "--nonsense; see keepsakectl plan add --help"),
    ],
)
def test_add_refuses(
    ctl: Any, plans: Path, folder: Path, bucket: str, options: list[str], sentence: str
) -> None:
    result = ctl("plan", "add", "P", folder, f"s3://{bucket}", *options)
    assert sentence in the_sentence(result, 1)
    assert not plans.exists() or list(plans.iterdir()) == []


def test_add_refuses_wrong_words(ctl: Any, add: Callable[..., str], folder: Path) -> None:
    add()
    for words, sentence in (
        (["P", folder], "Usage: keepsakectl plan add NAME SOURCE"),
        ([folder, folder, "s3://bucket"], "the name of the plan comes first"),
        (["P", folder, folder], "is not an S3 address"),
        (["P", folder, "s3://b"], "cannot be the name of a bucket"),
        (["P", folder, "s3://bucket/a//b"], "empty"),
        (["", folder, "s3://bucket"], "An argument is empty"),
        (["two\nlines", folder, "s3://bucket"], "in one line"),
        (["P", folder, f"{folder}/", "s3://bucket"], "overwrite each other"),
        (["PHOTOS", folder, "s3://bucket"], "There is a plan “Photos” already"),
    ):
        assert sentence in the_sentence(ctl("plan", "add", *words), 1)


# -- plan list, show, edit ----------------------------------------------------------------------


def test_list_and_show(ctl: Any, add: Callable[..., str], bucket: str, folder: Path) -> None:
    assert "no plans" in ctl("plan", "list", check=0).stderr
    plan_id = add("--upload-limit", "256K", "--exclude", "*.tmp")
    add("--disable", "--schedule", "manual", name="Documents")
    lines = ctl("plan", "list", check=0).stdout.splitlines()
    assert lines == [
        f"Documents  manual          s3://{bucket}/laptop  (switched off)",
        f"Photos     @daily 12:30    s3://{bucket}/laptop",
    ]
    assert [line["name"] for line in ctl("plan", "list", "--json").json] == ["Documents", "Photos"]

    for text in (plan_id, "photos", "ph"):
        shown = ctl("plan", "show", text, check=0).stdout
        for part in (plan_id, str(folder), "256 KiB/s", "*.tmp", f"s3://{bucket}/laptop"):
            assert part in shown
    (line,) = ctl("plan", "show", "ph", "--json", check=0).json
    assert line["plan"]["upload-limit"] == "256K"


def test_a_broken_file_hides_no_other(ctl: Any, add: Callable[..., str], plans: Path) -> None:
    add()
    (plans / "broken.json").write_text('{ "version": 1,\n "id": }')
    result = ctl("plan", "list", check=2)
    assert result.stdout.startswith("Photos") and "broken.json: line 2" in result.stderr
    assert "broken.json: line 2" in the_sentence(ctl("plan", "show", "gone"), 1)
    assert [line["type"] for line in ctl("plan", "list", "--json").json] == ["plan", "problem"]


def test_unknown_and_ambiguous_names(ctl: Any, add: Callable[..., str]) -> None:
    add(name="Photos one")
    add(name="Photos two")
    for command in (["plan", "show"], ["plan", "edit"], ["plan", "export"], ["history"], ["run"],
                    ["credentials", "check"]):  # fmt: skip
        sentence = the_sentence(ctl(*command, "Nothing"), 1)
        assert sentence == "There is no plan “Nothing”; keepsakectl plan list shows all"
        assert "Photos one" in the_sentence(ctl(*command, "photos"), 1)


def test_edit_changes_what_is_named(ctl: Any, add: Callable[..., str], plans: Path) -> None:
    plan_id = add("--exclude", "a", "--exclude", "b", "--upload-limit", "1M")
    file = plans / f"{plan_id}.json"
    before = json.loads(file.read_text()) | {"of-the-future": {"x": 1}}
    file.write_text(json.dumps(before))

    def edited(*options: Any) -> dict[str, Any]:
        result = ctl("plan", "edit", "Photos", *options, check=0)
        assert result.stdout == "" and result.stderr == ""
        return json.loads(file.read_text())

    before |= {"schedule": "@hourly"}
    assert edited("--schedule", "@hourly") == before
    before |= {"upload-limit": "1M", "timetable": "08:00,512K"}
    assert edited("--timetable", "08:00,512K") == before
    before |= {"upload-limit": "off", "timetable": ""}
    assert edited("--upload-limit", "off") == before
    before |= {"timetable": "08:00,256K 19:00,off"}
    assert edited("--upload-limit", "08:00,256K 19:00,off") == before
    before |= {"timetable": "256K:2M"}
    assert edited("--upload-limit", "256K:2M", "--timetable", "") == before
    before |= {"upload-limit": "512K", "timetable": ""}
    assert edited("--upload-limit", "512K", "--timetable", "") == before
    before |= {"exclude": ["b", "c"]}
    assert edited("--remove-exclude", "a", "--add-exclude", "c") == before
    before |= {"exclude": ["d"]}
    assert edited("--exclude", "d") == before
    before |= {"delete": "mirror", "enabled": False, "verify": "off"}
    assert edited("--delete", "--disable", "--verify", "off") == before
    before |= {"delete": "never", "enabled": True}
    assert edited("--no-delete", "--enable") == before
    before["destination"] |= {"bucket": "another", "prefix": "x/y", "region": "nowhere"}
    assert edited("--destination", "s3://another/x/y/", "--region", "nowhere") == before
    before |= {"name": "Pictures"}
    assert edited("--name", "Pictures") == before


def test_edit_of_sources(ctl: Any, add: Callable[..., str], plans: Path, tmp_path: Path) -> None:
    plan_id = add()
    (tmp_path / "Videos").mkdir()
    ctl("plan", "edit", "Photos", "--add-source", tmp_path / "Videos", check=0)
    assert [s["as"] for s in read_plan(plans, plan_id)["sources"]] == ["Pictures", "Videos"]
    ctl("plan", "edit", "Photos", "--remove-source", tmp_path / "Pictures", check=0)
    assert [s["as"] for s in read_plan(plans, plan_id)["sources"]] == ["Videos"]
    result = ctl("plan", "edit", "Photos", "--remove-source", tmp_path / "Pictures")
    assert "is not in the plan" in the_sentence(result, 1)
    result = ctl("plan", "edit", "Photos", "--remove-source", tmp_path / "Videos")
    assert "sources: there is none" in the_sentence(result, 1)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--schedule", "never"], "“never” is not known"),
        (["--delete", "--no-delete"], "make no sense"),
        (["--enable", "--disable"], "make no sense"),
        (["--remove-exclude", "nothing"], "The pattern “nothing” is not in the plan"),
        (["--name", "Other"], "There is a plan “Other” already"),
        (["--name", "/x"], "looks like a folder"),
        (["--destination", "bucket"], "is not an S3 address"),
    ],
)
def test_edit_refuses_and_changes_nothing(
    ctl: Any, add: Callable[..., str], plans: Path, options: list[str], sentence: str
) -> None:
    plan_id = add()
    add(name="Other")
    before = read_plan(plans, plan_id)
    assert sentence in the_sentence(ctl("plan", "edit", "Photos", *options), 1)
    assert read_plan(plans, plan_id) == before


# -- the editor ---------------------------------------------------------------------------------


@pytest.fixture
def edit(ctl: Any, tmp_path: Path) -> Callable[[str], Any]:
    """Runs “plan edit --editor” with a shell script as the editor; $1 is the file."""

    def with_script(script: str) -> Any:
        (tmp_path / "tmp dir").mkdir(exist_ok=True)
        editor = tmp_path / "editor"
        editor.write_text(f"#!/bin/sh\nset -e\n{script}\n")
        editor.chmod(0o755)
        env = {"EDITOR": f"{editor} -x", "TMPDIR": str(tmp_path / "tmp dir")}
        return ctl("plan", "edit", "Photos", "--editor", env=env)

    return with_script


def copies(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "tmp dir").rglob("plan.json"))


def test_editor(add: Callable[..., str], edit: Any, plans: Path, tmp_path: Path) -> None:
    plan_id = add("--upload-limit", "256K")
    result = edit('[ "$1" = -x ]; [ "$(stat -c %a "$2")" = 600 ]; sed -i s/256K/128K/ "$2"')
    assert result.returncode == 0, result
    assert read_plan(plans, plan_id)["upload-limit"] == "128K"
    assert list((tmp_path / "tmp dir").iterdir()) == []


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ('sed -i s/256K/much/ "$2"', ": upload-limit: “much” is not a rate"),
        ('echo "{" > "$2"', "plan.json: line "),
        (f"""sed -i 's/"id" : ".*"/"id" : "{uuid.uuid4()}"/' "$2" """, "id: is not to be changed"),
        ('sed -i s/256K/1K/ "$2"; exit 3', "The editor “"),
        ("""sed -i 's/"Photos"/"Other"/' "$2" """, "There is a plan “Other” already"),
    ],
)
def test_editor_loses_nothing(
    add: Callable[..., str], edit: Any, plans: Path, tmp_path: Path, script: str, sentence: str
) -> None:
    plan_id = add("--upload-limit", "256K")
    add(name="Other")
    before = read_plan(plans, plan_id)
    said = the_sentence(edit(script), 1)
    (copy,) = copies(tmp_path)
    assert sentence in said
    assert said.endswith(f"The plan is as it was; what you wrote is in {copy}")
    assert read_plan(plans, plan_id) == before


def test_editor_that_fails_at_once(add: Callable[..., str], edit: Any, tmp_path: Path) -> None:
    add()
    assert the_sentence(edit("exit 1"), 1).endswith("set EDITOR to another")
    assert copies(tmp_path) == []


def test_editor_and_somebody_else(
    add: Callable[..., str], edit: Any, plans: Path, tmp_path: Path
) -> None:
    plan_id = add("--upload-limit", "256K")
    file = plans / f"{plan_id}.json"
    said = the_sentence(edit(f'sed -i s/256K/1K/ "$2"; sed -i s/256K/2K/ {file}'), 1)
    assert said.startswith("The plan was changed by somebody else meanwhile")
    assert read_plan(plans, plan_id)["upload-limit"] == "2K" and len(copies(tmp_path)) == 1


# -- plan export, import ------------------------------------------------------------------------


def test_export_and_import(
    ctl: Any, add: Callable[..., str], plans: Path, tmp_path: Path
) -> None:
    plan_id = add("--exclude", "*.tmp", "--schedule", "@hourly")
    file = tmp_path / "plan.json"
    assert ctl("plan", "export", "Photos", file, check=0).stdout == ""
    text = file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    assert ctl("plan", "export", "Photos", check=0).stdout == text
    assert ctl("plan", "export", "Photos", "-", check=0).stdout == text
    assert "exists already" in the_sentence(ctl("plan", "export", "Photos", file), 1)

    assert "“Photos” already" in the_sentence(ctl("plan", "import", file), 1)
    copy_id = ctl("plan", "import", file, "--name", "Copy", check=0).stdout.strip()
    assert copy_id != plan_id
    assert read_plan(plans, copy_id) == json.loads(text) | {"id": copy_id, "name": "Copy"}
    kept = ctl("plan", "import", "-", "--keep-id", "--name", "Third", input=text)
    assert "The plan “Photos” has this id" in the_sentence(kept, 1)

    ctl("plan", "remove", "Photos", "--yes", check=0)
    assert ctl("plan", "import", "-", "--keep-id", input=text, check=0).stdout.strip() == plan_id
    assert read_plan(plans, plan_id) == json.loads(text)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "bad.json: is empty"),
        ("[]", "bad.json: is not an object"),
        ('{\n"version": 1,\n"id": }', "bad.json: line 3"),
        ('{ "version": 99 }', "newer Keepsake"),
        ('{ "version": 1, "id": "x", "name": "y" }', "bad.json: destination: is missing"),
        ("\x00", "not text in UTF-8"),
        ("\udcff", "not text in UTF-8"),
        pytest.param(" " * 1024 * 1024 + "{", "too large", id="too large"),
    ],
)
def test_import_refuses(ctl: Any, plans: Path, tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "bad.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert sentence in the_sentence(ctl("plan", "import", "bad.json", cwd=tmp_path), 1)
    assert not plans.exists()


def test_import_of_nothing(ctl: Any) -> None:
    assert "No such file" in the_sentence(ctl("plan", "import", "/nowhere"), 1)
    assert "Usage: keepsakectl plan import FILE" in the_sentence(ctl("plan", "import"), 1)


# -- plan remove --------------------------------------------------------------------------------


def test_remove(
    ctl: Any, add: Callable[..., str], plans: Path, s3: Any, bucket: str
) -> None:
    plan_id = add()
    add(name="Other")
    ctl("run", "Photos", "--foreground", check=0)
    before = keys(s3, bucket)
    assert "add --yes" in the_sentence(ctl("plan", "remove", "Photos"), 1)
    assert (plans / f"{plan_id}.json").exists()

    result = ctl("plan", "remove", "Photos", "--yes", check=0)
    assert result.stdout == f"“Photos” is forgotten. Its objects stay in s3://{bucket}/laptop.\n"
    assert "no keyring" in result.stderr
    assert [f.name for f in plans.iterdir()] != [f"{plan_id}.json"]
    assert keys(s3, bucket) == before and len(before) > 3
    with sqlite3.connect(ctl.state_dir / "keepsake/history.sqlite") as history:
        assert history.execute("SELECT count(*) FROM job").fetchone() == (0,)


@pytest.mark.parametrize(("answer", "status"), [("n", 1), ("", 1), ("y", 0), ("yes", 0)])
def test_remove_asks(
    ctl: Any, add: Callable[..., str], plans: Path, answer: str, status: int
) -> None:
    add()
    terminal = Terminal(ctl, "plan", "remove", "Photos")
    terminal.wait_for("Its objects in s3://")
    terminal.wait_for("[y/N] ")
    terminal.type(answer + "\n")
    assert terminal.end() == status
    assert len(list(plans.iterdir())) == (1 if status else 0)
    assert ("Nothing was removed" in terminal.said) == (status == 1)


@pytest.mark.parametrize(("answer", "status"), [("y", 1), ("photos", 1), ("Photos", 0)])
def test_deletion_of_objects_asks_for_the_name(
    ctl: Any, add: Callable[..., str], plans: Path, s3: Any, bucket: str, answer: str, status: int
) -> None:
    add()
    ctl("run", "Photos", "--foreground", check=0)
    stored = len(keys(s3, bucket))
    terminal = Terminal(ctl, "plan", "remove", "Photos", "--delete-objects")
    terminal.wait_for(f"This deletes {stored} objects")
    terminal.wait_for("Type the plan's name to delete it: ")
    terminal.type(answer + "\n")
    assert terminal.end() == status
    assert len(list(plans.iterdir())) == (1 if status else 0)
    assert len(keys(s3, bucket)) == (stored if status else 0)


# -- run --foreground ---------------------------------------------------------------------------


def test_run(ctl: Any, add: Callable[..., str], folder: Path, s3: Any, bucket: str) -> None:
    plan_id = add()
    result = ctl("run", "Photos", "--foreground", check=0)
    assert result.stdout.startswith("Done: 5 sent (6 B), 0 copied by the server, 0 deleted")
    assert result.stderr == ""
    assert keys(s3, bucket, "laptop/Pictures/") == [
        f"laptop/Pictures/{name}" for name in ("", "a", "b", "sub/", "sub/c")
    ]
    assert body(s3, bucket, "laptop/Pictures/sub/c") == b"333"

    (line,) = [x for x in ctl("run", plan_id, "--foreground", "--json", "--scheduled", check=0).json
               if x["type"] == "result"]  # fmt: skip
    assert line["put"] == 0 and line["unchanged"] == 5 and line["exit_code"] == 0
    second, first = jobs_of(ctl)
    assert first["kind"] == "backup" and first["trigger"] == "manual" and first["put"] == 5
    assert second["trigger"] == "scheduled" and second["unchanged"] == 5
    for job in (first, second):
        assert job["state"] == "finished" and job["plan"] == plan_id and "reason" not in job
        assert time.time() - 600 < job["started"] <= job["ended"] <= time.time() + 1


def test_run_takes_the_plan_at_its_word(
    ctl: Any, add: Callable[..., str], folder: Path, s3: Any, bucket: str
) -> None:
    add("--exclude", "b", "--delete", "--storage-class", "STANDARD")
    ctl("run", "Photos", "--foreground", check=0)
    assert "laptop/Pictures/b" not in keys(s3, bucket)
    (folder / "a").unlink()
    ctl("run", "Photos", "--foreground", check=0)
    assert "laptop/Pictures/a" not in keys(s3, bucket)


def test_run_verify(ctl: Any, add: Callable[..., str], folder: Path, s3: Any, bucket: str) -> None:
    add()
    ctl("run", "Photos", "--foreground", check=0)
    result = ctl("run", "Photos", "--foreground", "--verify", check=0)
    assert result.stdout.startswith("Done: 3 equal (6 B compared), 0 changed")
    ctl("run", "Photos", "--foreground", "--verify", "--sample", "50%", check=0)
    metadata = s3.head_object(Bucket=bucket, Key="laptop/Pictures/b")["Metadata"]
    s3.put_object(Bucket=bucket, Key="laptop/Pictures/b", Body=b"xx", Metadata=metadata)
    result = ctl("run", "Photos", "--foreground", "--verify", check=2)
    assert "1 missing, damaged or failed" in result.stdout
    job = jobs_of(ctl)[0]
    assert job["kind"] == "verify" and job["failed"] == 1
    assert ctl("status", "--check", check=2).stdout.count("The last verification, begun") == 1


def test_run_that_leaves_a_file_out(ctl: Any, add: Callable[..., str], folder: Path) -> None:
    deep = folder / ("x" * 250) / ("y" * 250) / ("z" * 250) / ("0" * 250)
    deep.mkdir(parents=True)
    (deep / ("1" * 100)).write_text("too long a name for a key")
    add()
    result = ctl("run", "Photos", "--foreground", check=2)
    assert "1 failed" in result.stdout and result.stderr.startswith("failed   ")
    (job,) = jobs_of(ctl)
    assert job["state"] == "finished" and job["failed"] == 1 and job["reason"] == "failed"
    failed = ctl("history", "Photos", "--failures", str(job["id"]), check=0).stdout
    assert failed.count("\n") == 1 and "1" * 100 in failed
    (line,) = ctl("history", "Photos", "--failures", str(job["id"]), "--json", check=0).json
    assert line["type"] == "failed" and line["error"] == "name-too-long"


def test_run_and_the_delete_guard(
    ctl: Any, add: Callable[..., str], folder: Path, s3: Any, bucket: str
) -> None:
    write_files(folder, {f"many/{i}": "x" for i in range(150)})
    add("--delete")
    ctl("run", "Photos", "--foreground", check=0)
    for file in (folder / "many").iterdir():
        file.unlink()
    result = ctl("run", "Photos", "--foreground", check=3)
    assert "Nothing was deleted (150 objects" in result.stderr
    assert jobs_of(ctl)[0]["reason"] == "delete-guard"
    assert "held deletions back" in ctl("status", "--check", check=2).stdout
    ctl("run", "Photos", "--foreground", "--max-delete", "150", check=0)
    assert len(keys(s3, bucket, "laptop/Pictures/many/")) == 1
    ctl("status", "--check", check=0)


@pytest.mark.parametrize(
    ("env", "options", "status", "reason"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, [], 4, "bad-credentials"),
        ({"AWS_ACCESS_KEY_ID": "NOBODY"}, [], 4, "bad-credentials"),
        ({}, ["--destination", "s3://there-is-no-such-bucket-here"], 5, "no-such-bucket"),
        ({}, ["--endpoint-url", "http://127.0.0.1:{port}"], 5, "offline"),
        ({}, ["--add-source", "/nowhere", "--remove-source", "{folder}"], 1, "source-missing"),
    ],
)
def test_run_that_fails(
    ctl: Any,
    add: Callable[..., str],
    folder: Path,
    env: dict[str, str],
    options: list[str],
    status: int,
    reason: str,
) -> None:
    add()
    words = [option.format(port=free_port(), folder=folder) for option in options]
    if words:
        ctl("plan", "edit", "Photos", *words, check=0)
    sentence = the_sentence(ctl("run", "Photos", "--foreground", env=env), status)
    (job,) = jobs_of(ctl)
    assert job["state"] == "failed" and job["reason"] == reason and job["message"] == sentence
    assert sentence in ctl("history", "Photos", check=0).stdout
    assert f"failed: {sentence}" in ctl("status", "--check", check=2).stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_run_that_is_stopped(
    ctl: Any, add: Callable[..., str], folder: Path, number: int
) -> None:
    (folder / "large").write_bytes(os.urandom(4 * 1024 * 1024))
    add("--upload-limit", "64K")
    process = ctl.popen("run", "Photos", "--foreground", "--json")
    for line in process.stdout:
        if json.loads(line).get("phase") == "transferring":
            break
    assert "A backup runs" in ctl("status", check=0).stdout
    assert "A job of “Photos” runs" in the_sentence(ctl("plan", "remove", "Photos", "--yes"), 1)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60 * PATIENCE)
    assert process.returncode == 6 and "Stopped" in stderr
    # Who presses Ctrl-C does not want it; the end of the session says nothing of that.
    if number == signal.SIGINT:
        assert jobs_of(ctl)[0]["state"] == "cancelled"
        ctl("status", "--check", check=0)
    else:
        assert jobs_of(ctl)[0]["state"] == "interrupted"
        assert "was cut off before its end" in ctl("status", "--check", check=2).stdout


def test_run_that_is_killed(ctl: Any, add: Callable[..., str], folder: Path) -> None:
    (folder / "large").write_bytes(os.urandom(4 * 1024 * 1024))
    add("--upload-limit", "64K")
    process = ctl.popen("run", "Photos", "--foreground", "--json")
    for line in process.stdout:
        if json.loads(line).get("phase") == "transferring":
            break
    process.kill()
    process.wait()
    assert jobs_of(ctl)[0]["state"] == "interrupted"
    assert "was cut off before its end" in ctl("status", "--check", check=2).stdout


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--foreground", "--sample", "5%"], "--sample is for --verify"),
        (["--foreground", "--verify", "--sample", "0"], "“0” is no share"),
        (["--foreground", "--verify", "--max-delete", "1"], "--verify deletes nothing"),
        (["--foreground", "--max-delete", "many"], "“many” is not a number of objects"),
        (["--foreground", "--detach"], "contradict each other"),
        (["--profile", "x"], "are for --foreground"),
        (["--scheduled"], "are for --foreground"),
        (["extra"], "Usage: keepsakectl run PLAN"),
    ],
)
def test_run_refuses(
    ctl: Any, add: Callable[..., str], options: list[str], sentence: str
) -> None:
    add()
    assert sentence in the_sentence(ctl("run", "Photos", *options), 1)
    assert jobs_of(ctl) == []


# -- keys without a keyring ---------------------------------------------------------------------


def test_run_finds_its_keys(ctl: Any, add: Callable[..., str], rgw: Any, tmp_path: Path) -> None:
    add()
    sentence = the_sentence(ctl("run", "Photos", "--foreground", env=NO_KEYS), 4)
    assert sentence.startswith("There are no keys for “Photos” (There is no keyring")
    for remedy in ("credentials set", "AWS_ACCESS_KEY_ID", "--profile", "--passwd-file"):
        assert remedy in sentence

    passwd = tmp_path / "passwd"
    passwd.write_text(f"{rgw.access_key}:{rgw.secret_key}\n")
    passwd.chmod(0o644)
    options = ["run", "Photos", "--foreground", "--passwd-file", passwd]
    assert "chmod 600" in the_sentence(ctl(*options, env=NO_KEYS), 4)
    passwd.chmod(0o600)
    ctl(*options, env=NO_KEYS, check=0)

    aws = tmp_path / "credentials"
    aws.write_text(f"[here]\naws_access_key_id = {rgw.access_key}\n"
                   f"aws_secret_access_key = {rgw.secret_key}\n")  # fmt: skip
    env = NO_KEYS | {"AWS_SHARED_CREDENTIALS_FILE": str(aws)}
    ctl("run", "Photos", "--foreground", "--profile", "here", env=env, check=0)
    result = ctl("run", "Photos", "--foreground", "--profile", "there", env=env)
    assert "profile “there”" in the_sentence(result, 4)


def test_run_without_a_bus_names_the_way_out(ctl: Any, add: Callable[..., str]) -> None:
    add()
    sentence = the_sentence(ctl("run", "Photos"), 1)
    assert sentence.startswith("There is no session bus here")
    assert sentence.endswith("add --foreground to run the plan without an agent")
    for command in (["pause"], ["resume"], ["limit", "1M"], ["autostart"]):
        assert "this is for the agent" in the_sentence(ctl(*command), 1)


def test_secrets_are_nowhere(ctl: Any, add: Callable[..., str], rgw: Any) -> None:
    add()
    everything = ""
    for command in (
        ["run", "Photos", "--foreground", "--verbose"], ["run", "Photos", "--foreground", "--json"],
        ["status"], ["history", "Photos"], ["plan", "show", "Photos"], ["plan", "export", "Photos"],
    ):  # fmt: skip
        result = ctl(*command, env={"G_MESSAGES_DEBUG": "all"}, check=0)
        assert "DEBUG" not in result.stdout, "that is for programs"
        everything += result.stdout + result.stderr
    assert rgw.secret_key not in everything
    files = [path for path in ctl.home.rglob("*") if path.is_file()]
    assert len(files) >= 3
    for path in files:
        assert rgw.secret_key.encode() not in path.read_bytes(), path


# -- status and history -------------------------------------------------------------------------


def move_plan_file(plans: Path, plan_id: str, days: float) -> None:
    then = time.time() - days * DAY
    os.utime(plans / f"{plan_id}.json", (then, then))


def move_jobs(ctl: Any, days: float) -> None:
    """As if they had been so long ago."""
    seconds = int(days * DAY)
    with sqlite3.connect(ctl.state_dir / "keepsake/history.sqlite") as history:
        history.execute("UPDATE job SET started = started - ?, ended = ended - ?", [seconds] * 2)


def test_status_of_a_new_plan(ctl: Any, add: Callable[..., str], plans: Path) -> None:
    assert "There are no plans" in ctl("status", check=0).stdout
    plan_id = add("--schedule", "@daily")
    text = ctl("status", "--check", check=0).stdout
    assert text.startswith("Photos\n  Not backed up yet\n  Due since it was set up\n")
    assert "The agent does not run" in text
    move_plan_file(plans, plan_id, 2.9)
    ctl("status", "--check", check=0)
    move_plan_file(plans, plan_id, 3.1)
    assert "  Overdue: " in ctl("status", "--check", check=2).stdout
    ctl("status", check=0)
    ctl("plan", "edit", "Photos", "--disable", check=0)
    move_plan_file(plans, plan_id, 3.1)
    assert "Switched off" in ctl("status", "--check", check=0).stdout
    ctl("plan", "edit", "Photos", "--enable", "--schedule", "manual", check=0)
    move_plan_file(plans, plan_id, 300)
    ctl("status", "--check", check=0)


def test_status_of_a_plan_in_a_file_of_any_name(
    ctl: Any, add: Callable[..., str], plans: Path
) -> None:
    plan_id = add("--schedule", "@daily")
    move_plan_file(plans, plan_id, 3.1)
    (plans / f"{plan_id}.json").rename(plans / "photos.json")
    assert "  Overdue: " in ctl("status", "--check", check=2).stdout


def test_status_of_an_old_backup(ctl: Any, add: Callable[..., str]) -> None:
    hour = f"{(datetime.now() + timedelta(hours=12)).hour:02}:00"  # far from now
    plan_id = add("--schedule", f"@daily {hour}")
    ctl("run", "Photos", "--foreground", check=0)
    status, agent = ctl("status", "--json", check=0).json
    assert agent == {"type": "agent", "running": False, "paused_until": 0, "upload_limit": -1}
    assert status["id"] == plan_id and status["state"] == "idle" and not status["overdue"]
    assert status["last_success"] == status["last_complete"] > time.time() - 600
    assert time.time() < status["next_run"] <= time.time() + DAY + 3600
    assert status["last_result"] == "finished" and status["due_since"] == 0
    text = ctl("status", check=0).stdout
    assert "  Backed up a moment ago\n" in text
    assert re.search(rf"  Next backup (today|tomorrow) at {hour}\n", text)

    move_jobs(ctl, 2.9)
    status = ctl("status", "--json", check=0).json[0]
    assert not status["overdue"] and 0 < status["due_since"] <= time.time()
    move_jobs(ctl, 0.2)
    status = ctl("status", "--json", "--check", check=2).json[0]
    assert status["overdue"] and status["needs_attention"]


def test_status_names_broken_files(ctl: Any, add: Callable[..., str], plans: Path) -> None:
    add()
    (plans / "x.json").write_text("no")
    result = ctl("status", "--check", check=2)
    assert result.stdout.startswith("Photos") and "Not a plan: x.json" in result.stderr


def test_history(ctl: Any, add: Callable[..., str]) -> None:
    plan_id = add()
    result = ctl("history", "Photos", check=0)
    assert result.stdout == "" and "has not run yet" in result.stderr
    for _ in range(3):
        ctl("run", "Photos", "--foreground", check=0)
    with sqlite3.connect(ctl.state_dir / "keepsake/history.sqlite") as history:
        history.execute(
            "INSERT INTO skip (plan, since, until, count, reason, message, after_job)"
            " VALUES (?, ?, ?, 3, 'metered', 'The line is metered', 3)",
            [plan_id, int(time.time()) + 60, int(time.time()) + 3660],
        )
    lines = ctl("history", "Photos", check=0).stdout.splitlines()
    assert len(lines) == 4
    assert "held back until" in lines[0] and lines[0].endswith(": The line is metered")
    assert "backup (manual) finished after" in lines[1] and "0 sent (0 B)" in lines[1]
    assert "5 sent (6 B)" in lines[3]
    assert len(ctl("history", "Photos", "--limit", "2", check=0).stdout.splitlines()) == 2
    skip, *jobs = jobs_of(ctl)
    assert skip["type"] == "skip" and skip["reason"] == "metered" and skip["count"] == 3
    assert [job["id"] for job in jobs] == [3, 2, 1]
    assert ctl("history", "Photos", "--failures", "1", check=0).stdout == ""


def test_history_refuses(ctl: Any, add: Callable[..., str]) -> None:
    add()
    add(name="Other")
    ctl("run", "Other", "--foreground", check=0)
    assert "has no job 1;" in the_sentence(ctl("history", "Photos", "--failures", "1"), 1)
    assert "Usage" in the_sentence(ctl("history", "Photos", "--limit", "-1"), 1)
    assert "Usage" in the_sentence(ctl("history"), 1)
    ctl("history", "Photos", "--limit", "x", check=1)


def test_a_damaged_history_is_no_reason_not_to_back_up(
    ctl: Any, add: Callable[..., str], s3: Any, bucket: str
) -> None:
    add()
    path = ctl.state_dir / "keepsake/history.sqlite"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"not a database, and long enough to be looked at as one" * 100)
    assert "is damaged" in the_sentence(ctl("history", "Photos"), 1)
    assert "is damaged" in the_sentence(ctl("status"), 1)
    result = ctl("run", "Photos", "--foreground", check=0)
    assert "The job is not recorded" in result.stderr and len(keys(s3, bucket)) > 3


# -- output -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        ["--help"], ["--version"], ["plan", "--help"], ["plan", "add", "--help"], ["plan", "list"],
        ["plan", "show", "Photos"], ["plan", "export", "Photos"], ["status"], ["status", "--json"],
        ["history", "Photos"], ["credentials", "check", "Photos"], ["run", "Photos", "--foreground"],
        ["ls", "s3://BUCKET"],
    ],
)  # fmt: skip
def test_output_that_cannot_be_written(
    ctl: Any, add: Callable[..., str], bucket: str, command: list[str]
) -> None:
    add()
    ctl("run", "Photos", "--foreground", check=0)
    words = [word.replace("BUCKET", bucket) for word in command]
    with open("/dev/full", "w") as full:
        process = ctl.popen(*words, stdout=full)
        _, stderr = process.communicate(timeout=60 * PATIENCE)
    assert stderr.startswith("keepsakectl: Cannot write the output")
    assert process.returncode == (4 if command[0] == "credentials" else 1)


def test_a_reader_who_has_had_enough(ctl: Any, add: Callable[..., str]) -> None:
    add()
    reader, writer = os.pipe()
    os.close(reader)
    process = ctl.popen("plan", "show", "Photos", stdout=writer)
    os.close(writer)
    _, stderr = process.communicate(timeout=60 * PATIENCE)
    assert stderr == "" and process.returncode == 1


@pytest.mark.parametrize(
    "command",
    ["plan add", "plan list", "plan show", "plan edit", "plan remove", "plan export", "plan import",
     "run", "status", "history", "pause", "resume", "limit", "autostart", "credentials set",
     "credentials clear", "credentials check"],
)  # fmt: skip
def test_help_teaches_by_example(ctl: Any, command: str) -> None:
    text = ctl(*command.split(), "--help", check=0).stdout
    assert f"keepsakectl {command} " in text and "Example" in text
    assert text.count(f"    keepsakectl {command.split()[0]}") >= 1
    assert command.split()[0] in ctl("--help", check=0).stdout


def test_groups_say_what_they_hold(ctl: Any) -> None:
    for group in ("plan", "credentials"):
        assert ctl(group, "--help", check=0).stdout.startswith(f"Usage: keepsakectl {group}")
        assert ctl(group, check=1).stderr.startswith(f"Usage: keepsakectl {group}")
        sentence = the_sentence(ctl(group, "nonsense"), 1)
        assert f"There is no “{group} nonsense”, but: " in sentence


# -- systemd ------------------------------------------------------------------------------------


def test_systemd_units(tmp_path: Path) -> None:
    source = TOP / "data/systemd/user"
    service = (source / "keepsake-run@.service.in").read_text()
    assert "run --foreground --scheduled %i" in service
    (tmp_path / "keepsake-run@.service").write_text(
        service.replace("@bindir@/keepsakectl", "/bin/true")
    )
    timer = tmp_path / "keepsake-run@.timer"
    timer.write_text((source / "keepsake-run@.timer").read_text())
    try:
        done = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", "--user",
             tmp_path / "keepsake-run@x.service", tmp_path / "keepsake-run@x.timer"],
            env=clean_environment(XDG_RUNTIME_DIR=str(tmp_path), HOME=str(tmp_path)),
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
    except FileNotFoundError:
        pytest.skip("systemd-analyze is not installed")
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
