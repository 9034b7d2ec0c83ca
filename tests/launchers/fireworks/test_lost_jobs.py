"""The sweep: runs, reservations and locks that a dead worker left, jobs that failed, updates torn in two."""

from __future__ import annotations

from typing import Any

import pytest

from niobe.launchers.fireworks import sweep as sweeping
from niobe.launchers.fireworks.launch import launch_campaign
from niobe.launchers.fireworks.submission import submit_once
from niobe.launchers.fireworks.sweep import hand_back, sweep, unfinished
from niobe.loop.documents.records import Status
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


def test_a_lost_run_is_run_again(launchpad: Any, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fireworks.fw_config.RUN_EXPIRATION_SECS", 0.0)
    seeded(launchpad, database)
    firework, _ = checkout(launchpad)
    assert states(launchpad)[firework.name] == "RUNNING"
    assert sweep(launchpad, database) == {"lost runs": 1, "jobs run again": 1}
    assert states(launchpad)[firework.name] == "READY"


def test_a_job_that_died_too_often_becomes_a_failure_record(
    launchpad: Any, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "_MAX_DEATHS", 2)
    seeded(launchpad, database)
    candidate = ""
    for _ in range(2):
        firework, launch = checkout(launchpad)
        candidate = firework.spec["candidate"]
        launchpad.fireworks.update_many({"state": "READY"}, {"$set": {"state": "PAUSED"}})
        launchpad.mark_fizzled(launch)
        sweep(launchpad, database)
    record = database.records.get(candidate)
    assert record.status is Status.FAILED
    assert record.failure is not None
    assert (record.failure.cause, record.failure.message) == ("lost", "its worker died 2 times")
    assert sweep(launchpad, database) == {}


@pytest.mark.parametrize(
    ("trace", "outcome"),
    [
        ("Traceback\npymongo.errors.AutoReconnect: connection closed", "READY"),
        ("Traceback\nValueError: the structure is odd", "READY"),
        ("Traceback\nSystemExit: 1", "READY"),
    ],
)
def test_a_fizzled_job_is_run_again(launchpad: Any, database: Database, trace: str, outcome: str) -> None:
    seeded(launchpad, database)
    firework, launch = checkout(launchpad)
    fizzle(launchpad, launch, trace)
    assert sweep(launchpad, database) == {"jobs run again": 1}
    assert states(launchpad)[firework.name] == outcome


def test_a_step_that_fails_twice_is_noted_and_launching_again_tries_it_again(
    launchpad: Any, database: Database
) -> None:
    launch_campaign(launchpad, database, SPEC)
    for _ in range(2):
        _, launch = checkout(launchpad)
        fizzle(launchpad, launch, "Traceback\nValueError: no seeds")
        sweep(launchpad, database)
    assert states(launchpad) == {"cu-au r0 seed": "FIZZLED", "cu-au r0 compete": "WAITING"}
    assert unfinished(launchpad, ["cu-au"]) == 0
    assert database.rounds.get("cu-au", 0).notes == ["cu-au r0 seed: ValueError: no seeds"]
    assert "1 jobs that were given up run again" in launch_campaign(launchpad, database, SPEC)
    assert states(launchpad) == {"cu-au r0 seed": "READY", "cu-au r0 compete": "WAITING"}


def test_a_reservation_without_a_launch_is_released(launchpad: Any, database: Database) -> None:
    launch_campaign(launchpad, database, SPEC)
    launchpad.fireworks.update_one({}, {"$set": {"state": "RESERVED"}})
    assert sweep(launchpad, database) == {}
    pass_by(launchpad, 16)
    assert sweep(launchpad, database) == {"reservations released": 1}
    assert states(launchpad) == {"cu-au r0 seed": "READY", "cu-au r0 compete": "WAITING"}


def test_a_lock_left_behind_is_released(launchpad: Any, database: Database) -> None:
    launch_campaign(launchpad, database, SPEC)
    launchpad.workflows.update_one({}, {"$set": {"locked": True}})
    assert sweep(launchpad, database) == {"locks released": 1}
    assert launchpad.workflows.count_documents({"locked": True}) == 0


def test_a_child_left_waiting_by_a_torn_update_is_made_ready(launchpad: Any, database: Database) -> None:
    spec = SPEC.model_copy(update={"id": "torn"})
    database.campaigns.create(spec)
    from niobe.flows.round import prepare

    submit_once(launchpad, spec, 1, "torn r1 prepare", lambda: [prepare(spec, 1)])
    database.rounds.open("torn", 0)
    complete(launchpad, "torn r1 train_gan")
    launchpad.fireworks.update_one({"name": "torn r1 generate"}, {"$set": {"state": "WAITING"}})
    launchpad.workflows.update_one(
        {}, {"$set": {f"fw_states.{fw_of(launchpad, 'torn r1 train_gan')}": "RUNNING"}}
    )
    assert sweep(launchpad, database)["workflows mended"] == 1
    assert states(launchpad)["torn r1 generate"] == "READY"
    assert sweep(launchpad, database).get("workflows mended") is None


def test_a_workflow_between_two_jobs_is_not_finished(launchpad: Any, database: Database) -> None:
    from niobe.flows.round import prepare

    spec = SPEC.model_copy(update={"id": "between"})
    database.campaigns.create(spec)
    submit_once(launchpad, spec, 1, "between r1 prepare", lambda: [prepare(spec, 1)])
    launchpad.fireworks.update_many({"state": "READY"}, {"$set": {"state": "COMPLETED"}})
    assert set(states(launchpad).values()) == {"COMPLETED", "WAITING"}
    assert unfinished(launchpad, ["between"]) == 4
    first = {"fw_id": fw_of(launchpad, "between r1 train_gan")}
    launchpad.fireworks.update_one(first, {"$set": {"state": "FIZZLED", "spec.given_up": True}})
    assert unfinished(launchpad, ["between"]) == 0


def test_a_dead_workers_job_is_handed_back_and_no_other(launchpad: Any, database: Database) -> None:
    seeded(launchpad, database)
    mine, _ = checkout(launchpad, "/rockets/1")
    other, _ = checkout(launchpad, "/rockets/2")
    launchpad.workflows.update_one({"nodes": mine.fw_id}, {"$set": {"locked": True}})
    assert hand_back(launchpad, "/rockets/1") == 1
    assert states(launchpad)[mine.name] == "READY"
    assert states(launchpad)[other.name] == "RUNNING"


class Moving:
    """Fireworks that wait become ready right after they were counted."""

    def __init__(self, fireworks: Any) -> None:
        self._fireworks = fireworks

    def __getattr__(self, name: str) -> Any:
        return getattr(self._fireworks, name)

    def count_documents(self, query: Any) -> int:
        found: int = self._fireworks.count_documents(query)
        self._fireworks.update_many({"state": "WAITING"}, {"$set": {"state": "READY"}})
        return found


def test_what_becomes_ready_between_two_questions_is_not_finished(
    launchpad: Any, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    from niobe.flows.round import prepare

    spec = SPEC.model_copy(update={"id": "between"})
    database.campaigns.create(spec)
    submit_once(launchpad, spec, 1, "between r1 prepare", lambda: [prepare(spec, 1)])
    launchpad.fireworks.update_many({"state": "READY"}, {"$set": {"state": "COMPLETED"}})
    monkeypatch.setattr(launchpad, "fireworks", Moving(launchpad.fireworks))
    assert unfinished(launchpad, ["between"]) == 4
