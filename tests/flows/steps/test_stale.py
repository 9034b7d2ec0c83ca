"""A worker that wakes once its step was given to another, or its round has closed, writes nothing more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from niobe.config.spec import CampaignSpec, Oracle, Phonons
from niobe.flows import running
from niobe.flows.round import one_each
from niobe.flows.steps import validate as validating
from niobe.flows.steps.acquisition import acquire as acquiring
from niobe.flows.steps.validate import close_round, give_up_on, settle
from niobe.loop.campaign import closing
from niobe.loop.campaign.seeds import new_record
from niobe.loop.documents.answers import SecondAnswer
from niobe.loop.documents.dynamics import PhononVerdict, Stability
from niobe.loop.documents.records import Choice, Failure, Lineage, Status, StructureRecord, Verdict
from niobe.loop.documents.rounds import HullRecord, PhononRecord, RoundRecord
from niobe.loop.store.claims import Claim, SupersededError
from niobe.loop.store.collections.records import Candidates
from niobe.loop.store.database import Database
from tests.flows.steps.acquisition.test_acquire import SPEC, pool
from tests.loop.factory import element, nbo, rutile, validated

__all__ = ["pool"]
CAMPAIGN = SPEC.model_dump(mode="json")
Call = Callable[..., Any]


def stored(database: Database) -> dict[str, Any]:
    """Every document of the campaign; of its rounds all but who has claimed what."""
    found = {name: list(database.mongo[name].find({}, {"claims": 0})) for name in sorted(_names(database))}
    return {name: sorted(documents, key=lambda one: str(one["_id"])) for name, documents in found.items()}


def _names(database: Database) -> set[str]:
    return set(database.mongo.list_collection_names())


def overtaken(function: Call, meanwhile: Callable[[], object]) -> Call:
    """The function, as a worker sees it that is stopped when its first answer is there."""
    calls: list[int] = []

    def slow(*arguments: Any, **named: Any) -> Any:
        answer = function(*arguments, **named)
        calls.append(1)
        if len(calls) == 1:
            meanwhile()
        return answer

    return slow


PENDING = PhononVerdict(outcome=Stability.PENDING, tolerance=0.1)
VERDICT = Verdict(formation_energy_per_atom=0.0, e_above_hull_found=0.0, e_above_hull_now=0.0, hull_round=1)
HULL = HullRecord(campaign="t", round=1, oracle="test", entries=[])
BANDS: dict[str, Any] = {
    "distances": [0.0],
    "frequencies": [[1.0]],
    "ticks": [],
    "dos_frequencies": [],
    "dos": [],
    "supercell_matrix": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
}
FAILURE = Failure(step="relax", cause="lost", exception="E", message="m")
CHOICE = Choice(function="ei", selection="acquired", rank=0)
DRAWN = new_record(SPEC, 1, 5, nbo(), Lineage(generator="random"))
ANSWER = SecondAnswer(id="a", campaign="t", content="c", failure=FAILURE)

WRITES: dict[str, Callable[[Database, str], object]] = {
    "generate": lambda d, _: d.records.insert([DRAWN]),
    "screen": lambda d, i: d.records.update_many({i: {"status": Status.DUPLICATE}}),
    "predict": lambda d, i: d.records.update_predictions(1, {i: {"prediction_round": 1}}),
    "acquire": lambda d, i: d.rounds.update_open("t", 1, batch=[i]),
    "acquire, its records": lambda d, i: d.candidates.choose(1, {i: CHOICE}),
    "validate": lambda d, i: d.records.finish_validation(i, status=Status.FAILED, failure=FAILURE),
    "phonons": lambda d, i: d.records.finish_phonons(i, failure=FAILURE),
    "phonons, their bands": lambda d, i: d.phonons.store(PhononRecord(record_id=i, campaign="t", **BANDS)),
    "force constants": lambda d, i: d.phonons.add(PhononRecord(record_id=i, campaign="t", **BANDS)),
    "challenge": lambda d, i: d.records.update_if(i, {"challenge": None}, note="challenged"),
    "confirm": lambda d, _: d.answers.store(ANSWER),
    "weigh_opinions": lambda d, i: d.records.update_many({i: {"opinions": []}}),
    "close": lambda d, i: d.records.update_until(1, "verdict.hull_round", {i: {"verdict": VERDICT}}),
    "close, its hull": lambda d, _: d.hulls.store(HULL),
    "summary": lambda d, _: d.rounds.update("t", 1, metrics__validated=7),
    "notes": lambda d, _: d.rounds.add_notes("t", 1, ["stale"]),
}


@pytest.fixture(autouse=True)
def campaign(database: Database) -> None:
    """The campaign, whose round 0 is there."""
    database.campaigns.create(SPEC)
    database.rounds.open("t", 0)


@pytest.fixture
def candidate(database: Database) -> str:
    """Id of a screened candidate of round 1, which is open."""
    record = validated(nbo(), -9.0, round_number=1).model_copy(update={"status": Status.SCREENED})
    database.records.insert([record])
    database.rounds.open("t", 1)
    return record.id


def assert_every_write_is_refused(claimed: Database, database: Database, candidate: str, says: str) -> None:
    before = stored(database)
    for write in WRITES.values():
        with pytest.raises(SupersededError, match=says):
            write(claimed, candidate)
    assert stored(database) == before


@pytest.mark.parametrize("after", ["done by another", "begun by another", "round closed"])
def test_no_write_of_a_step_that_is_anothers(database: Database, candidate: str, after: str) -> None:
    def stale(claimed: Database, _: CampaignSpec, __: RoundRecord) -> None:
        if after == "round closed":
            database.rounds.update("t", 1, state="closed")
        elif after == "done by another":
            running.run_once("acquire", CAMPAIGN, 1, lambda *_: None)
        else:
            with pytest.raises(InterruptedError):
                running.run_once("acquire", CAMPAIGN, 1, _interrupted)
        says = "t r1 acquire: given to another worker meanwhile, or over"
        assert_every_write_is_refused(claimed, database, candidate, says)

    if after == "round closed":  # what it did before that counts
        running.run_once("acquire", CAMPAIGN, 1, stale)
    else:
        with pytest.raises(SupersededError):
            running.run_once("acquire", CAMPAIGN, 1, stale)


def _interrupted(*_: object) -> None:
    raise InterruptedError


def test_a_slot_that_another_was_given_writes_nothing(database: Database, candidate: str) -> None:
    def stale(claimed: Database, *_: object) -> None:
        running.run_slot("prerelax", CAMPAIGN, 1, 0, 8, lambda *_: None)
        running.run_slot("prerelax", CAMPAIGN, 1, 1, 8, lambda *_: None)
        assert_every_write_is_refused(claimed, database, candidate, "t r1 prerelax 0 of 8")

    with pytest.raises(SupersededError, match="t r1 prerelax 0 of 8"):
        running.run_slot("prerelax", CAMPAIGN, 1, 0, 8, stale)


def test_a_worker_that_holds_its_claim_may_write_all_of_it(database: Database, candidate: str) -> None:
    def alone(claimed: Database, *_: object) -> None:
        for write in WRITES.values():
            write(claimed, candidate)

    running.run_once("acquire", CAMPAIGN, 1, alone)
    found = database.rounds.get("t", 1)
    assert (found.batch, found.notes, found.claims, set(found.steps)) == (
        [candidate],
        ["stale"],
        {},
        {"acquire"},
    )


def test_slots_beside_each_other_and_those_that_come_late_write(database: Database) -> None:
    """Validations and phonons of an asynchronous campaign may end after their round."""
    record = validated(nbo(), -9.0, round_number=1).model_copy(update={"status": Status.ACQUIRED})
    database.records.insert([record])

    def late(claimed: Database, *_: object) -> None:
        running.run_slot("validate", CAMPAIGN, 1, 1, 2, lambda *_: None)
        database.rounds.update("t", 1, state="closed")
        claimed.records.finish_validation(record.id, status=Status.VALIDATED)

    running.run_slot("validate", CAMPAIGN, 1, 0, 2, late)
    assert database.records.get(record.id).status is Status.VALIDATED
    assert database.rounds.get("t", 1).claims == {}


@pytest.mark.parametrize("name", ["validate", "phonons"])
def test_a_job_of_one_record_stays_its_own_whatever_becomes_of_the_list(
    database: Database, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lists are made anew where a person asks again; the job was submitted for the list before."""
    database.rounds.open("t", 1)
    database.rounds.update("t", 1, batch=["b", "c", "a"], phonons=["b", "c", "a"])
    asked: list[Any] = []

    def note(claimed: Database, _: CampaignSpec, ids: list[str], *rest: object) -> None:
        asked.append((ids, list(database.rounds.get("t", 1).claims)))

    monkeypatch.setattr(validating, "validate_records", note)
    monkeypatch.setattr(validating, "settle", note)
    for flow in one_each(SPEC, 1, name, ["a", "b"]):
        (job,) = flow.jobs
        job.function(*job.function_args, **job.function_kwargs)
    assert asked == [(["a"], [f"{name} a"]), (["b"], [f"{name} b"])]


def test_a_step_of_a_closed_round_is_not_run(database: Database) -> None:
    database.rounds.open("t", 1)
    database.rounds.update("t", 1, state="closed")
    running.run_once("choose_finds", CAMPAIGN, 1, _interrupted)
    running.run_slot("challenge", CAMPAIGN, 1, 0, 4, _interrupted)
    assert database.rounds.get("t", 1).steps == {}


def test_an_acquire_woken_after_its_round_closed(
    database: Database, pool: list[StructureRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another worker chose another batch, all of it was validated, and the round has closed."""
    before: list[Any] = []

    def meanwhile() -> None:
        first = list(acquiring._choose(database, SPEC, 1)[0])
        for identifier in first[:2]:
            database.records.update(identifier, status=Status.VETOED)
        running.run_once("acquire", CAMPAIGN, 1, acquiring.acquire)
        for identifier in database.rounds.get("t", 1).batch:
            database.records.finish_validation(identifier, status=Status.FAILED, failure=FAILURE)
        database.rounds.update("t", 1, state="closed")
        before.append(stored(database))

    monkeypatch.setattr(acquiring, "_choose", overtaken(acquiring._choose, meanwhile))
    with pytest.raises(SupersededError):
        running.run_once("acquire", CAMPAIGN, 1, acquiring.acquire)
    assert stored(database) == before[0]
    assert not database.records.exists("t", status=Status.ACQUIRED.value)


def test_a_batch_of_a_closed_round_is_not_replaced_by_hand_either(
    database: Database, pool: list[StructureRecord]
) -> None:
    acquiring.acquire(database, SPEC, database.rounds.get("t", 1))
    database.rounds.update("t", 1, state="closed")
    before = stored(database)
    with pytest.raises(SupersededError, match="t r1: the round has closed"):
        acquiring.acquire(database, SPEC, database.rounds.get("t", 1))
    assert stored(database) == before


def closable(database: Database) -> None:
    """Round 1 of a campaign, all of it validated."""
    database.campaigns.create(SPEC)
    seeds = [validated(element("Nb"), -10.0), validated(element("O", 3.0), -5.0, index=1)]
    found = [validated(nbo(), -9.5, round_number=1), validated(rutile(), -9.0, round_number=1, index=1)]
    database.records.insert([*seeds, *found])
    database.rounds.open("t", 0)
    database.rounds.update("t", 0, state="closed", steps={"seed": 0.1})
    for number in (1, 2):
        database.rounds.open("t", number)
        database.rounds.update("t", number, steps={"generate": 0.1, "acquire": 0.1})


@pytest.mark.parametrize("claimed", [True, False])
def test_a_close_woken_after_the_next_round_closed(
    database: Database, monkeypatch: pytest.MonkeyPatch, claimed: bool
) -> None:
    """Its verdicts are of an older hull."""
    closable(database)
    before: list[Any] = []
    judge = closing.close_round

    def meanwhile() -> None:
        running.run_once("close", CAMPAIGN, 1, close_round)
        database.records.insert([validated(nbo(5.0), -11.0, round_number=2, index=2)])
        running.run_once("close", CAMPAIGN, 2, close_round)
        before.append(stored(database))

    monkeypatch.setattr(closing, "close_round", overtaken(judge, meanwhile))
    with pytest.raises(SupersededError):
        if claimed:
            running.run_once("close", CAMPAIGN, 1, close_round)
        else:
            close_round(database, SPEC, database.rounds.get("t", 1))
    assert stored(database) == before[0]
    verdicts = [record.verdict for record in database.records.find("t")]
    assert {verdict.hull_round for verdict in verdicts if verdict} == {1, 2}  # some the second did not change


def test_verdicts_never_go_back_a_round(database: Database) -> None:
    """Whoever asks: each record says itself which round wrote it last."""
    record = validated(nbo(), -9.0)
    database.records.insert([record])
    later = VERDICT.model_copy(update={"hull_round": 3})
    for verdict in (VERDICT, later, VERDICT):
        changes = {record.id: {"verdict": verdict}}
        database.records.update_until(verdict.hull_round, "verdict.hull_round", changes)
    assert database.records.get(record.id).verdict == later


def pending(database: Database) -> StructureRecord:
    """A validated record that waits for its phonons."""
    database.campaigns.create(SPEC)
    found = validated(nbo(), -9.5, round_number=1)
    assert found.validation
    waits = found.validation.model_copy(update={"phonon": PENDING})
    record = found.model_copy(update={"validation": waits})
    known = [validated(element("Nb"), -10.0), validated(element("O", 3.0), -5.0, index=1)]
    database.records.insert([*known, record])
    database.rounds.open("t", 1)
    return record


def test_a_phonon_verdict_is_given_once(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = SPEC.model_copy(update={"phonons": Phonons(enabled=False), "oracle": Oracle(name="emt")})
    record = pending(database)
    verdict = PhononVerdict(outcome=Stability.UNSTABLE, lowest_frequency=-1.0, tolerance=0.1)

    def meanwhile(*_: object) -> bool:
        database.records.finish_phonons(record.id, **{"validation.phonon": verdict})
        return True

    monkeypatch.setattr(validating, "_refine", meanwhile)
    settle(database, spec, [record.id], [record.id])
    give_up_on(database, spec, record.id, "phonons", FAILURE)
    found = database.records.get(record.id)
    assert found.validation is not None
    assert (found.validation.phonon, found.failure) == (verdict, None)


def test_what_is_chosen_no_more_is_not_validated(database: Database) -> None:
    """A validation that comes back once its candidate waits in the pool again has nothing to answer."""
    chosen = {"status": Status.ACQUIRED, "acquired_round": 1, "choice": CHOICE}
    database.records.insert([DRAWN.model_copy(update=chosen)])
    assert not database.candidates.put_back(DRAWN.id, 2)
    assert database.candidates.put_back(DRAWN.id, 1)
    assert not database.records.finish_validation(DRAWN.id, status=Status.FAILED, failure=FAILURE)
    found = database.records.get(DRAWN.id)
    assert (found.status, found.choice, found.failure) == (Status.SCREENED, None, None)


CANDIDATE_WRITES: dict[str, Callable[[Candidates, str, str], object]] = {
    "choose": lambda candidates, waits, _: candidates.choose(1, {waits: CHOICE}),
    "put back": lambda candidates, _, chosen: candidates.put_back(chosen, 1),
    "set aside": lambda candidates, waits, _: candidates.update_screened(waits, status=Status.DUPLICATE),
}


@pytest.mark.parametrize("write", CANDIDATE_WRITES)
def test_a_candidate_is_left_to_who_took_the_step_from_another(
    database: Database, candidate: str, write: str
) -> None:
    """Whatever the one before was about to write, its question answered; what it has not read can be new."""
    chosen = {"status": Status.ACQUIRED, "acquired_round": 1, "choice": CHOICE}
    other = new_record(SPEC, 1, 6, rutile(), Lineage(generator="random")).model_copy(update=chosen)
    database.records.insert([other])
    turns = [database.claimed(Claim("t", 1, "acquire", chooses=True)) for _ in range(2)]
    assert all(turns) and database.rounds.get("t", 1).taken == 1
    structures = database.mongo["structures"]
    before = stored(database)["structures"]
    number = 1 << 20
    CANDIDATE_WRITES[write](Candidates(structures, number), candidate, other.id)
    Candidates(structures).begin_choice("t", number)
    assert stored(database)["structures"] == before
    CANDIDATE_WRITES[write](Candidates(structures, number + 1), candidate, other.id)
    assert stored(database)["structures"] != before


def test_who_takes_a_step_from_nobody_writes_to_no_candidate(database: Database, candidate: str) -> None:
    before = stored(database)["structures"]
    for part in ("predict", "acquire"):
        assert database.claimed(Claim("t", 1, part, chooses=True)) is not None
    slot = Claim("t", 1, "prerelax 0 of 2")
    assert database.claimed(slot) is not None and database.claimed(slot) is not None
    assert stored(database)["structures"] == before
