# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""What the window says of verifications, and the page that tells how to get files back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fixtures.agent import Agent
from fixtures.app import Application, add_plan
from fixtures.checks import write_files

pytest_plugins = ["fixtures.app_fixtures"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_files(tmp_path / "Pictures", {"one": "1", "two": "2", "three": "3"})


def test_coverage_and_damage(
    app: Application, app_agent: Agent, folder: Path, s3: Any, bucket: str
) -> None:
    app_agent.start()
    plan = add_plan(app_agent, "Photos", folder, bucket, verify="off")
    plan.run().wait()
    app.start()
    app.show_plan(plan)
    app.wait_for_text("Never: nothing has been read back")
    app.press("Verify Now")
    app.wait_for_text("All files were proved within the last day")
    (folder / "two").write_text("22")
    plan.run().wait()
    plan_key = f"{plan.members['destination']['prefix']}/Pictures/one"
    metadata = s3.head_object(Bucket=bucket, Key=plan_key)["Metadata"]
    s3.put_object(Bucket=bucket, Key=plan_key, Body=b"x", Metadata=metadata)
    app.press("Verify Now")
    app.wait_for_text("1 file in the backup is damaged or missing")
    app.wait_for_text("1 file is damaged or missing in the storage")
    app.wait_for_text("2 of 3 files proved since they were stored")
    app.wait_for_text("A verification could not prove that these files are stored well")
    app.wait_for_text("/Pictures/one")
    app.wait_for_text("What the storage holds is not what was sent")
    app.look("damaged")
    app.press("Back Up Now")
    app.wait_for_none(part="damaged or missing")
    assert s3.get_object(Bucket=bucket, Key=plan_key)["Body"].read() == b"1"


def test_how_to_get_files_back(
    app: Application, app_agent: Agent, folder: Path, bucket: str
) -> None:
    app_agent.start()
    plan = add_plan(app_agent, "Photos", folder, bucket)
    app.start()
    app.show_plan(plan)
    app.press("Plan Menu", role="button")
    app.press("How to Get Your Files Back…")
    text = app.wait_for("How to Get Your Files Back", role="text box")
    assert "How to Get Your Files Back Without Keepsake" in text.text
    assert f"Bucket          {bucket}\n" in text.text and "rclone copy" in text.text
    app.look("recovery")
    app.press("Copy", role="button")
    app.wait_for("Copied")
    app.press("Save…", role="button")
    app.wait_for("Save the Page")
    app.key("Escape")
    app.wait_for_none("Save the Page")
    app.press("Print…", role="button")
    app.wait_for("Print")
    app.picture("recovery-print")
    app.key("Escape")
    app.wait_for_none("Print")
    app.key("Escape")
    app.wait_for_none(part="Print…")
