"""Submission that happens once, and the sweep, on a real LaunchPad in a real server."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from fireworks import FWorker

from niobe.config.errors import ConfigError, GoneError
from niobe.config.loading import load_campaign
from niobe.config.spec import CampaignSpec, Prerelaxation
from niobe.flows.steps import validate as validating
from niobe.flows.steps.batches import ask_again
from niobe.flows.steps.seed import seed_campaign
from niobe.flows.steps.validate import close_round
from niobe.launchers.fireworks import sweep as sweeping
from niobe.launchers.fireworks.advance import advance
from niobe.launchers.fireworks.launch import launch_campaign
from niobe.launchers.fireworks.submission import submit_once
from niobe.launchers.fireworks.sweep import running, sweep, unfinished
from niobe.launchers.fireworks.workflows import category
from niobe.launchers.rounds import next_round
from niobe.loop.documents.dynamics import PhononVerdict, Stability
from niobe.loop.documents.records import Failure, Status
from niobe.loop.store.database import Database
from tests.launchers.fireworks.pad import SPEC, complete, fizzle, launchpad, seeded, states
from tests.loop.factory import element, nbo, validated

__all__ = ["launchpad"]


def together(count: int, call: Any) -> list[Any]:
    """Results of calls made at the same instant from ``count`` threads."""
    barrier, results = threading.Barrier(count), []

    def run() -> None:
        barrier.wait()
        results.append(call())

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_two_launches_at_once_submit_once(launchpad: Any, database: Database) -> None:
    said = together(4, lambda: launch_campaign(launchpad, database, SPEC))
    assert sum("submitted cu-au r0 prepare" in line for line in said) == 1
    assert launchpad.workflows.count_documents({}) == 1


def test_two_final_jobs_open_one_next_round(launchpad: Any, database: Database) -> None:
    for identifier in seeded(launchpad, database):
        database.records.update(identifier, status=Status.FAILED)
    database.rounds.update(SPEC.id, 0, state="closed")
    done = together(4, lambda: advance(launchpad, database, SPEC.id))
    assert sorted(map(tuple, done)) == [(), (), (), ("cu-au r1 prepare",)]
    assert [record.number for record in database.rounds.find(SPEC.id)] == [0, 1]
    assert launchpad.workflows.count_documents({"metadata.round": 1}) == 1


def test_every_candidate_is_a_workflow_that_can_be_asked_for(launchpad: Any, database: Database) -> None:
    batch = seeded(launchpad, database)
    assert len(batch) > 3
    for candidate in batch:
        query = {"metadata.campaign": "cu-au", "metadata.round": 0, "metadata.candidate": candidate}
        (workflow,) = list(launchpad.workflows.find(query))
        assert len(workflow["nodes"]) == 1
        (firework,) = list(launchpad.fireworks.find({"fw_id": workflow["nodes"][0]}))
        assert firework["name"] == f"cu-au r0 validate {candidate}"
        assert firework["spec"]["_category"] == "force-field"


@pytest.mark.parametrize(
    ("kind", "oracle", "wanted"),
    [
        ("learning", "vasp", "learning"),
        ("oracle", "vasp", "vasp"),
        ("oracle", "7net-0", "force-field"),
        ("prerelax", "vasp", "force-field"),
        ("oracle", "gpaw", "dft"),
        ("dft", "7net-0", "dft"),
    ],
)
def test_jobs_go_to_the_machines_they_want(kind: str, oracle: str, wanted: str) -> None:
    assert category(kind, oracle) == wanted


def test_half_a_submission_is_made_whole_once_its_claim_expired(launchpad: Any, database: Database) -> None:
    from niobe.flows.round import one_each

    database.campaigns.create(SPEC)
    batch = [f"c{number}" for number in range(4)]
    flows = lambda: one_each(SPEC, 1, "validate", batch)  # noqa: E731
    key = "cu-au r1 validate"
    assert submit_once(launchpad, SPEC, 1, key, flows)
    torn, gone = list(launchpad.workflows.find({}))[:2]
    launchpad.fireworks.delete_many({"fw_id": {"$in": torn["nodes"]}})
    launchpad.workflows.delete_one({"_id": gone["_id"]})
    launchpad.fireworks.delete_many({"fw_id": {"$in": gone["nodes"]}})
    claim = launchpad.db["submissions"]
    claim.update_one({"_id": key}, {"$set": {"state": "claimed", "until": time.time() + 60}})
    assert not submit_once(launchpad, SPEC, 1, key, flows)
    assert unfinished(launchpad, []) == 1
    claim.update_one({"_id": key}, {"$set": {"until": time.time() - 1}})
    assert sorted(together(3, lambda: submit_once(launchpad, SPEC, 1, key, flows))) == [False, False, True]
    wanted = [f"cu-au r1 validate {candidate}" for candidate in batch]
    assert sorted(found["name"] for found in launchpad.workflows.find({})) == wanted
    assert sorted(states(launchpad)) == wanted


def test_what_is_asked_again_is_submitted_once_and_what_follows_too(
    launchpad: Any, database: Database
) -> None:
    batch = seeded(launchpad, database)
    lost = Failure(step="relax", cause="died", exception="E", message="m")
    for identifier in batch:
        database.records.finish_validation(identifier, status=Status.FAILED, failure=lost)
    database.rounds.update(SPEC.id, 0, steps__compete_further=0.1)
    assert advance(launchpad, database, SPEC.id) == ["cu-au r0 validate further", "cu-au r0 choose phonons"]
    ask_again(database, SPEC, batch[:2])
    assert advance(launchpad, database, SPEC.id) == ["cu-au r0 validate again 2"]
    again = launchpad.workflows.count_documents({"metadata.candidate": {"$in": batch[:2]}})
    assert (again, advance(launchpad, database, SPEC.id)) == (4, [])
    for identifier in batch[:2]:
        database.records.finish_validation(identifier, status=Status.FAILED, failure=lost)
    assert advance(launchpad, database, SPEC.id) == ["cu-au r0 compete further again 2"]
    database.rounds.update(SPEC.id, 0, steps__compete_further=0.1)
    after = ["cu-au r0 validate further again 2", "cu-au r0 choose phonons again 2"]
    assert advance(launchpad, database, SPEC.id) == after


def test_what_a_local_launcher_runs_is_left_alone_until_it_is_submitted(
    launchpad: Any, database: Database
) -> None:
    database.campaigns.create(SPEC.model_copy(update={"launcher": "local"}))
    assert running(database) == []
    assert sweep(launchpad, database) == {}
    assert states(launchpad) == {}
    launch_campaign(launchpad, database, SPEC)
    assert [campaign.id for campaign in running(database)] == ["cu-au"]


def test_competing_phases_are_chosen_although_pre_relaxations_were_given_up(
    launchpad: Any, database: Database
) -> None:
    spec = SPEC.model_copy(update={"prerelax": Prerelaxation(potential="lj")})
    launch_campaign(launchpad, database, spec)
    complete(launchpad, "cu-au r0 seed")
    seed_campaign(database, spec, database.rounds.open(spec.id, 0))
    database.rounds.update(spec.id, 0, steps__seed=0.1)
    assert "cu-au r0 validate" not in advance(launchpad, database, "cu-au")
    waiting = [f["fw_id"] for f in launchpad.fireworks.find({"spec.kind": "prerelax"})]
    assert states(launchpad)["cu-au r0 compete"] == "WAITING"
    for _ in range(2):
        for fw_id in waiting:
            _, launch = launchpad.checkout_fw(FWorker(), "/nowhere", fw_id=fw_id)
            fizzle(launchpad, launch, "Traceback\nValueError: no answer")
        sweep(launchpad, database)
    assert states(launchpad)["cu-au r0 compete"] == "READY"


def test_round_0_asks_further_once_its_first_answers_are_in(launchpad: Any, database: Database) -> None:
    batch = seeded(launchpad, database)
    more = next(r.id for r in database.records.find("cu-au") if r.id not in batch)
    for identifier in batch[:-1]:
        database.records.update(identifier, status=Status.FAILED)
    assert advance(launchpad, database, "cu-au") == []
    database.records.update(batch[-1], status=Status.FAILED)
    assert advance(launchpad, database, "cu-au") == ["cu-au r0 compete further"]
    database.records.update(more, status=Status.ACQUIRED, acquired_round=0)
    database.rounds.update("cu-au", 0, batch=[*batch, more], steps__compete_further=0.1)
    assert advance(launchpad, database, "cu-au") == ["cu-au r0 validate further"]
    (asked,) = launchpad.fireworks.find({"name": {"$regex": "validate_further"}})
    assert (asked["spec"]["candidate"], asked["spec"]["step"]) == (more, "validate")


def test_a_batch_waits_for_all_or_for_its_quorum(launchpad: Any, database: Database) -> None:
    for asynchronous, wanted in ((False, False), (True, True)):
        spec = SPEC.model_copy(update={"id": f"a{asynchronous}".lower(), "asynchronous": asynchronous})
        database.campaigns.create(spec)
        database.rounds.open(spec.id, 0)
        database.rounds.update(spec.id, 0, state="closed")
        seed_campaign(database, spec, database.rounds.open(spec.id, 1))
        batch = [record.id for record in database.records.find(spec.id, nelements=1)]
        database.rounds.update(spec.id, 1, batch=batch, steps__acquire=0.1)
        for place, identifier in enumerate(batch):
            late = place >= 0.8 * len(batch)
            status = Status.ACQUIRED if late else Status.FAILED
            database.records.update(identifier, acquired_round=1, status=status)
        assert (f"{spec.id} r1 choose phonons" in advance(launchpad, database, spec.id)) is wanted


def test_a_result_later_than_the_last_round_gets_phonons_and_a_verdict(
    launchpad: Any, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two sweeps that judge it one loses its claim, and says nothing."""
    content = {"id": "t", "elements": ["Nb", "O"], "launcher": "fireworks", "asynchronous": True}
    spec = CampaignSpec.model_validate(content | {"budget": {"rounds": 1, "validations": 1}})
    launch_campaign(launchpad, database, spec)
    known = [validated(element("Nb"), -10.0), validated(element("O", 3.0), -5.0, index=1)]
    late = validated(nbo(), -9.5, round_number=1)
    assert late.validation
    stable = late.validation.phonon
    open_ = PhononVerdict(outcome=Stability.PENDING, tolerance=0.1)
    late = late.model_copy(update={"validation": late.validation.model_copy(update={"phonon": open_})})
    database.records.insert([*known, late])
    for number in (0, 1):
        database.rounds.open("t", number)
        steps = {"seed": 0.1, "generate": 0.1, "acquire": 0.1, "choose_phonons": 0.1}
        database.rounds.update("t", number, state="closed", steps=steps)
    assert advance(launchpad, database, "t") == ["t r1 late phonons"]
    assert f"t r1 phonons {late.id}" in states(launchpad)
    assert advance(launchpad, database, "t") == []
    database.records.update(late.id, **{"validation.phonon": stable})
    closings = iter((lambda: advance(launchpad, database, "t"), list))

    def contested(*arguments: Any) -> None:
        assert next(closings)() == []
        close_round(*arguments)

    monkeypatch.setattr(validating, "close_round", contested)
    assert advance(launchpad, database, "t") == []
    assert database.campaigns.create(spec).state == "finished"
    found = database.records.get(late.id).verdict
    assert found is not None and found.is_find


def test_a_campaign_that_is_forgotten_meanwhile_is_left_by_the_sweep_and_not_made_again(
    launchpad: Any, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch_campaign(launchpad, database, SPEC)
    found = running(database)
    database.mongo["campaigns"].delete_one({"_id": SPEC.id})
    monkeypatch.setattr(sweeping, "running", lambda _: found)
    assert sweep(launchpad, database) == {}
    with pytest.raises(GoneError, match="'cu-au' is not in the database"):
        next_round(database, SPEC)
    assert database.campaigns.find() == []


def test_an_asynchronous_campaign_needs_rockets(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("id: a\nelements: [Cu, Au]\nasynchronous: true\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="asynchronous: needs launcher: fireworks"):
        load_campaign(file)
    assert load_campaign(file, launcher="fireworks").asynchronous
