"""A FireWorks campaign that an older Niobe began, its modules still at the top level, goes on."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import pytest
from bson import json_util

from niobe.config.spec import SCHEMA_VERSION
from niobe.launchers.fireworks.pad import open_launchpad
from niobe.launchers.services import campaign_database
from niobe.loop.store.database import Database

DUMP = Path(__file__).parents[1] / "data" / "fireworks_v3.jsonl.gz"
NIOBE = [sys.executable, "-c", "from niobe.launchers.cli import main; main()"]


@pytest.fixture
def begun(database: Database) -> Database:
    """tests/data/fireworks_v3.jsonl.gz: all documents of a campaign whose round 1 was just submitted."""
    for line in gzip.decompress(DUMP.read_bytes()).decode().splitlines():
        stored = json_util.loads(line)
        database.mongo[stored["collection"]].insert_one(stored["document"])
    return database


def test_stored_jobs_name_what_is_there_now(begun: Database) -> None:
    with campaign_database() as database:
        (campaign,) = database.campaigns.find()
    open_launchpad().connection.close()
    waiting = list(begun.mongo["fireworks"].find({"state": {"$ne": "COMPLETED"}}))
    tasks = [task for found in waiting for task in found["spec"]["_tasks"]]
    jobs = [task["job"] for task in tasks if "job" in task]
    assert campaign.schema_version == SCHEMA_VERSION and len(jobs) == len(waiting) > 0
    assert {job["function"]["@module"] for job in jobs} == {"niobe.flows.jobs"}
    assert {"prerelax", "draw_offspring"} <= {job["function"]["@callable"] for job in jobs}
    assert all(job["function_args"][0] == campaign.spec for job in jobs)
    assert not any("{{launchers" in task["_fw_name"] for task in tasks)


def test_the_campaign_goes_on_to_its_end(begun: Database, tmp_path: Path) -> None:
    said = subprocess.run([*NIOBE, "rockets", "2"], cwd=tmp_path, capture_output=True, text=True, timeout=280)
    assert said.returncode == 0, said.stdout + said.stderr
    campaign = begun.campaigns.find_one("cu-au")
    assert campaign is not None and campaign.state == "finished"
    assert [record.closed for record in begun.rounds.find("cu-au")] == [True, True]
    assert begun.records.count("cu-au", acquired_round=1) == 3
