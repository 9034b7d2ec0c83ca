"""Campaigns go on after `lpad` reset, defused, paused, archived or deleted, beside clocks that are off."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fireworks.utilities.fw_utilities import get_my_host

from niobe.launchers.fireworks.advance import advance
from niobe.launchers.fireworks.healing.held import what_is_held
from niobe.launchers.fireworks.healing.torn import torn
from niobe.launchers.fireworks.launch import launch_campaign
from niobe.launchers.fireworks.pad import prepare
from niobe.launchers.fireworks.rockets import _ending
from niobe.launchers.fireworks.sweep import hand_back, sweep, unfinished
from niobe.loop.documents.records import Failure, Status
from niobe.loop.store.clock import server_time
from niobe.loop.store.database import Database
from tests.launchers.fireworks.pad import (
    SPEC,
    checkout,
    complete,
    fizzle,
    fw_of,
    launchpad,
    pass_by,
    seeded,
    states,
)

__all__ = ["launchpad"]
LOST = Failure(step="relax", cause="died", exception="E", message="m")
OFF = timedelta(minutes=5)


@pytest.fixture
def a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """After which a worker that does not ping is lost, as Niobe's settings say."""
    monkeypatch.setattr("fireworks.fw_config.RUN_EXPIRATION_SECS", 60)


def reset(launchpad: Any) -> None:
    launchpad.reset("", require_password=False, max_reset_wo_password=10_000)


def test_after_a_reset_what_still_waits_is_submitted_anew(launchpad: Any, database: Database) -> None:
    batch = seeded(launchpad, database)
    for identifier in batch[:-2]:
        database.records.finish_validation(identifier, status=Status.FAILED, failure=LOST)
    reset(launchpad)
    assert "submitted cu-au r0 validate;" in launch_campaign(launchpad, database, SPEC)
    assert sorted(states(launchpad)) == sorted(f"cu-au r0 validate {name}" for name in batch[-2:])
    assert "submitted already" in launch_campaign(launchpad, database, SPEC)
    for identifier in batch[-2:]:
        database.records.finish_validation(identifier, status=Status.FAILED, failure=LOST)
    reset(launchpad)
    assert advance(launchpad, database, "cu-au") == ["cu-au r0 compete further"]
    reset(launchpad)
    assert sweep(launchpad, database) == {"submitted": 1}
    assert states(launchpad) == {"cu-au r0 compete_further": "READY"}


def test_after_a_reset_at_the_very_start_the_seeds_are_submitted_anew(
    launchpad: Any, database: Database
) -> None:
    launch_campaign(launchpad, database, SPEC)
    before = states(launchpad)
    reset(launchpad)
    assert "submitted cu-au r0 prepare;" in launch_campaign(launchpad, database, SPEC)
    assert states(launchpad) == before


def test_keys_of_an_older_niobe_do_not_say_how_many_workflows_they_had(
    launchpad: Any, database: Database
) -> None:
    seeded(launchpad, database)
    launchpad.db["submissions"].update_many({}, {"$unset": {"workflows": ""}})
    assert advance(launchpad, database, "cu-au") == []
    reset(launchpad)
    assert advance(launchpad, database, "cu-au") == ["cu-au r0 validate"]


@pytest.mark.parametrize("way", ["delete_wf", "archive_wf"])
def test_one_workflow_that_is_gone_is_submitted_anew_while_its_candidate_waits(
    launchpad: Any, database: Database, way: str
) -> None:
    first, second, *_ = seeded(launchpad, database)
    database.records.finish_validation(second, status=Status.FAILED, failure=LOST)
    for identifier in (first, second):
        getattr(launchpad, way)(fw_of(launchpad, f"cu-au r0 validate {identifier}"))
    assert advance(launchpad, database, "cu-au") == ["cu-au r0 validate"]
    assert advance(launchpad, database, "cu-au") == []
    ready = [found["name"] for found in launchpad.fireworks.find({"state": "READY"})]
    assert f"cu-au r0 validate {first}" in ready
    assert f"cu-au r0 validate {second}" not in ready


DROPS: dict[str, Callable[[Any, int], object]] = {
    "its workflow": lambda pad, job: pad.workflows.delete_one({"nodes": job}),
    "another job of its workflow": lambda pad, job: pad.fireworks.delete_one({"fw_id": job + 1}),
    "its job": lambda pad, job: pad.fireworks.delete_one({"fw_id": job}),
    "its launch": lambda pad, job: pad.launches.delete_many({}),
    "all workflows": lambda pad, job: pad.workflows.drop(),
    "all jobs": lambda pad, job: pad.fireworks.drop(),
    "all workflows and jobs": lambda pad, job: [one.drop() for one in (pad.workflows, pad.fireworks)],
    "the counter of ids": lambda pad, job: pad.fw_id_assigner.drop(),
    "everything": lambda pad, job: [
        one.drop() for one in (pad.workflows, pad.fireworks, pad.launches, pad.fw_id_assigner)
    ],
}


@pytest.mark.parametrize("state", ["READY", "RUNNING", "FIZZLED"])
@pytest.mark.parametrize("drop", DROPS)
def test_a_launchpad_of_which_a_part_is_gone_is_made_whole(
    launchpad: Any, database: Database, drop: str, state: str
) -> None:
    launch_campaign(launchpad, database, SPEC)
    before, name = states(launchpad), "cu-au r0 seed"
    _, launch = checkout(launchpad) if state != "READY" else (None, 0)
    if state == "FIZZLED":
        fizzle(launchpad, launch, "E: x")
    elif drop == "its launch" and state == "READY":
        checkout(launchpad)
    DROPS[drop](launchpad, fw_of(launchpad, name))
    hand_back(launchpad, "/nowhere")
    sweep(launchpad, database)
    prepare(launchpad)
    job, _ = checkout(launchpad)
    assert job.name == name
    hand_back(launchpad, "/nowhere")
    sweep(launchpad, database)
    assert states(launchpad) == before
    assert (
        len(launchpad.fireworks.distinct("fw_id")) == launchpad.fireworks.count_documents({}) == len(before)
    )
    complete(launchpad, name)
    assert states(launchpad)[name] == "COMPLETED"


def test_what_is_being_submitted_is_not_torn(launchpad: Any, database: Database) -> None:
    launch_campaign(launchpad, database, SPEC)
    key, now = "cu-au r0 validate", server_time(database.mongo).timestamp()
    launchpad.db["submissions"].insert_one({"_id": key, "state": "claimed", "until": now + 60})
    launchpad.fireworks.delete_one({"name": "cu-au r0 seed"})
    assert len(torn(launchpad, "cu-au")) == 0
    launchpad.db["submissions"].update_one({"_id": key}, {"$set": {"until": now - 1}})
    found = torn(launchpad, "cu-au")
    assert (len(found.workflows), len(found.fireworks)) == (1, launchpad.fireworks.count_documents({}))


def test_a_counter_that_is_gone_hands_out_no_id_that_is_in_use(launchpad: Any, database: Database) -> None:
    launch_campaign(launchpad, database, SPEC)
    checkout(launchpad)
    launchpad.fw_id_assigner.drop()
    prepare(launchpad)
    highest = max(launchpad.fireworks.distinct("fw_id"))
    assert (launchpad.get_new_fw_id(), launchpad.get_new_launch_id()) == (highest + 1, 2)


def test_a_defused_validation_has_failed_by_that_and_the_campaign_goes_on(
    launchpad: Any, database: Database
) -> None:
    first, *others = seeded(launchpad, database)
    launchpad.defuse_fw(fw_of(launchpad, f"cu-au r0 validate {first}"))
    for identifier in others:
        database.records.finish_validation(identifier, status=Status.FAILED, failure=LOST)
        complete(launchpad, f"cu-au r0 validate {identifier}")
    assert unfinished(launchpad, ["cu-au"]) == 1
    assert sweep(launchpad, database) == {"defused jobs given up": 1, "submitted": 1}
    failure = database.records.get(first).failure
    assert failure is not None
    assert (failure.step, failure.cause) == ("relax", "defused")
    assert failure.message == "its job was defused with lpad"
    assert states(launchpad)["cu-au r0 compete_further"] == "READY"
    assert sweep(launchpad, database) == {}
    assert launch_campaign(launchpad, database, SPEC).startswith("submitted already;")


def test_what_waits_behind_a_defused_job_is_named_with_its_way_on(launchpad: Any, database: Database) -> None:
    launch_campaign(launchpad, database, SPEC)
    launchpad.defuse_fw(fw_of(launchpad, "cu-au r0 seed"))
    assert sweep(launchpad, database) == {"defused jobs given up": 1}
    assert unfinished(launchpad, ["cu-au"]) == 0
    said, well = _ending(launchpad, ["cu-au"])
    assert not well
    way = "cu-au r0 seed defused: `niobe launch FILE` runs them after all"
    assert said == f"nothing left to run, but not finished: cu-au ({way})"
    assert database.rounds.get("cu-au", 0).notes == ["cu-au r0 seed: its job was defused with lpad"]
    assert "1 jobs that were given up run again" in launch_campaign(launchpad, database, SPEC)
    assert states(launchpad) == {"cu-au r0 seed": "READY", "cu-au r0 compete": "WAITING"}


def test_paused_jobs_are_left_to_who_paused_them(launchpad: Any, database: Database) -> None:
    launch_campaign(launchpad, database, SPEC)
    number = fw_of(launchpad, "cu-au r0 seed")
    launchpad.pause_fw(number)
    assert sweep(launchpad, database) == {}
    assert unfinished(launchpad, ["cu-au"]) == 0
    way = f"cu-au r0 seed paused: `lpad resume_fws -i {number}` lets them go on"
    assert what_is_held(launchpad, ["cu-au"]) == way
    launchpad.resume_fw(number)
    assert unfinished(launchpad, ["cu-au"]) == 2
    assert what_is_held(launchpad, ["cu-au"]) == ""


@pytest.mark.usefixtures("a_minute")
@pytest.mark.parametrize("off", [-OFF, OFF], ids=["slow", "fast"])
def test_no_clock_of_a_host_says_who_is_lost(launchpad: Any, database: Database, off: timedelta) -> None:
    """A worker whose clock is off lives as long as it pings; once it does not, it is lost after a minute."""
    seeded(launchpad, database)
    firework, launch = checkout(launchpad)
    for turn in range(3):
        launchpad.ping_launch(launch, ptime=datetime.now(UTC) + off + timedelta(seconds=10 * turn))
        assert sweep(launchpad, database) == {}
        pass_by(launchpad, 50)
    assert states(launchpad)[firework.name] == "RUNNING"
    assert sweep(launchpad, database) == {}
    pass_by(launchpad, 20)
    assert sweep(launchpad, database) == {"lost runs": 1, "jobs run again": 1}
    sweep(launchpad, database)
    assert launchpad.db["sightings"].count_documents({}) == 0


@pytest.mark.usefixtures("a_minute")
@pytest.mark.parametrize("off", [-OFF, OFF], ids=["slow", "fast"])
def test_a_sweeper_whose_clock_is_off_leaves_healthy_jobs_and_finds_lost_ones(
    launchpad: Any, database: Database, monkeypatch: pytest.MonkeyPatch, off: timedelta
) -> None:
    seeded(launchpad, database)
    checkout(launchpad)

    class Off(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(tz) + off

    monkeypatch.setattr("fireworks.core.launchpad.datetime.datetime", Off)
    for _ in range(3):
        assert sweep(launchpad, database) == {}
    pass_by(launchpad, 70)
    assert sweep(launchpad, database) == {"lost runs": 1, "jobs run again": 1}


def test_a_folder_of_the_same_path_on_another_host_is_its_own(launchpad: Any, database: Database) -> None:
    seeded(launchpad, database)
    mine, launch = checkout(launchpad, "/niobe/rockets/7-1")
    launchpad.launches.update_one({"launch_id": launch}, {"$set": {"host": f"not-{get_my_host()}"}})
    assert hand_back(launchpad, "/niobe/rockets/7-1") == 0
    assert states(launchpad)[mine.name] == "RUNNING"
