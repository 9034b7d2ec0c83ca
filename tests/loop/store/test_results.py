"""Results kept together: the same as the records, whatever was written to those, and in which order."""

from __future__ import annotations

import gc
import weakref
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from niobe.loop.documents.dynamics import PhononVerdict, Stability
from niobe.loop.documents.records import Choice, Failure, Status, StructureRecord, Verdict
from niobe.loop.store.database import Database
from niobe.loop.store.kept import results
from niobe.loop.store.kept.results import Results
from niobe.loop.store.mapping import MARKS, UNPACKED
from tests.loop.factory import element, nbo, validated

_PATTERN = validated(nbo(), -9.0, round_number=1)
_FAILURE = Failure(step="relax", cause="forces", exception="ValueError", message="too large")
_JUDGED = Verdict(
    formation_energy_per_atom=float("inf"), e_above_hull_found=0.1, e_above_hull_now=1 / 3, hull_round=2
)


def result(index: int, number: int = 1, **update: Any) -> StructureRecord:
    place = {"id": f"{number:08x}{index:08x}", "round": number, "index": index, "acquired_round": number}
    return _PATTERN.model_copy(update=place | update)


def waiting(index: int, number: int = 1) -> StructureRecord:
    return result(index, number, status=Status.ACQUIRED, validation=None)


def as_read(database: Database) -> list[StructureRecord]:
    return database.records.light("t", status={"$in": ["validated", "failed"]})


def marked(database: Database) -> int:
    return database.mongo["structures"].count_documents({UNPACKED: True})


def test_what_is_kept_is_what_the_records_hold(database: Database) -> None:
    database.records.insert(
        [result(0), result(700), result(1, 2), waiting(2, 2), validated(element("O"), -5.0)]
    )
    assert database.results.finished("t") == as_read(database)
    database.results.complete("t")
    assert database.results.finished("t") == as_read(database)
    assert len(database.results.validated("t")) == 4
    assert marked(database) == 0
    assert {one["_id"] for one in database.mongo["results"].find({})} == {
        "all of t",
        "t 0 0",
        "t 1 0",
        "t 1 1",
        "t 2 0",
    }


def test_other_campaigns_are_left_out(database: Database) -> None:
    database.records.insert([result(0), result(1).model_copy(update={"campaign": "u"})])
    for campaign in ("t", "u"):
        database.results.complete(campaign)
    assert [record.campaign for record in database.results.finished("u")] == ["u"]


@pytest.mark.parametrize(
    "fields",
    [
        {"verdict": _JUDGED},
        {"opinions": []},
        {"note": "ours"},
        {"reason": "prerelax: ValueError"},
        {"failure": _FAILURE, "status": Status.FAILED},
        {"status": Status.ACQUIRED, "failure": None, "choice": None, "reason": "", "duplicate_of": None},
        {"validation.phonon": PhononVerdict(outcome=Stability.UNSTABLE, tolerance=0.1)},
        {"validation.seconds.phonons": 2.5},
        {"choice": Choice(function="seed", selection="seed", rank=0)},
    ],
)
def test_a_result_that_is_written_to_is_read_from_its_record(
    database: Database, fields: dict[str, Any]
) -> None:
    """Before it is put with the others, and after."""
    database.records.insert([result(index) for index in range(3)])
    database.results.complete("t")
    database.records.update(result(1).id, **fields)
    assert database.results.finished("t") == as_read(database)
    database.results.complete("t")
    assert database.results.finished("t") == as_read(database)
    assert marked(database) == 0


def test_what_no_document_has_room_for_is_read_from_its_record(database: Database) -> None:
    """Notes have no bound, a document of MongoDB does."""
    database.records.insert([result(index) for index in range(3)])
    database.results.complete("t")
    database.records.update(result(1).id, note="n" * results.LARGEST)
    for _ in range(2):
        assert database.results.finished("t") == as_read(database)
        database.results.complete("t")
    assert marked(database) == 1


def test_what_is_written_to_candidates_alone_marks_nothing(database: Database) -> None:
    candidate = result(0, status=Status.GENERATED, validation=None)
    database.records.insert([candidate])
    for fields in ({"status": Status.SCREENED}, {"prediction": {}, "prediction_round": 2}):
        database.records.update(candidate.id, **fields)
    database.records.update(candidate.id, status=Status.DUPLICATE, reason="duplicate", duplicate_of="x")
    assert marked(database) == 0


class _Interrupted(Results):
    """Another worker writes, and puts all with the others, between reading and writing."""

    def __init__(self, database: Database) -> None:
        super().__init__(database.mongo["results"], database.mongo["structures"])
        self._database = database

    def _is_put(self, *arguments: Any) -> bool:
        self._database.records.update(result(1).id, verdict=_JUDGED)
        self._database.results.complete("t")
        return super()._is_put(*arguments)


def test_who_comes_late_takes_nothing_back(database: Database) -> None:
    database.records.insert([result(index) for index in range(3)])
    database.results.complete("t")
    database.records.update(result(1).id, note="before")
    _Interrupted(database).complete("t")
    assert database.results.finished("t") == as_read(database)
    assert database.results.finished("t")[1].verdict == _JUDGED


def test_the_first_to_put_all_may_be_overtaken(database: Database) -> None:
    database.records.insert([result(index) for index in range(3)])
    _Interrupted(database).complete("t")
    assert database.results.finished("t") == as_read(database)


def test_records_that_others_wrote_without_marks_are_read_all(database: Database) -> None:
    """As an older Niobe leaves them."""
    database.records.insert([result(0)])
    database.results.complete("t")
    database.records.insert([result(1)])
    database.mongo["structures"].update_many({}, {"$unset": dict.fromkeys(MARKS, "")})
    assert len(database.results.finished("t")) == 2


def test_a_result_that_another_wrote_to_without_a_mark_is_found_when_a_round_closes(
    database: Database,
) -> None:
    """As a worker of an older Niobe does that has begun before its database was brought up to date."""
    database.records.insert([result(0), result(700)])
    database.results.complete("t")
    later = datetime.now(UTC) + timedelta(seconds=5)
    change = {"note": "older", "modified": later}
    database.mongo["structures"].update_one({"_id": result(0).id}, {"$set": change})
    assert database.results.finished("t") != as_read(database)
    database.results.complete("t")
    assert database.results.finished("t") == as_read(database)
    before = list(database.mongo["results"].find({}))
    database.results.complete("t")
    assert list(database.mongo["results"].find({})) == before


def test_what_is_restored_is_read(database: Database) -> None:
    database.records.insert([result(0), result(1)])
    database.results.complete("t")
    stored = database.mongo["structures"].find_one({"_id": result(1).id}) or {}
    changed = {key: value for key, value in stored.items() if key not in MARKS} | {"note": "restored"}
    database.documents.restore("structures", [changed])
    assert database.results.finished("t") == as_read(database)
    assert database.results.finished("t")[1].note == "restored"


@pytest.mark.parametrize("seed", range(3))
def test_after_any_writes_the_same_as_made_anew(database: Database, seed: int) -> None:
    rng = np.random.default_rng(seed)
    database.results.complete("t")
    for index in range(30):
        number = int(rng.integers(1, 4))
        database.records.insert([waiting(index, number)])
        chosen = waiting(int(rng.integers(index + 1)), int(rng.integers(1, 4))).id
        if rng.random() < 0.7:
            database.records.finish_validation(
                chosen, status=Status.VALIDATED, validation=_PATTERN.validation
            )
        else:
            database.records.update(chosen, status=Status.FAILED, failure=_FAILURE)
        if rng.random() < 0.3:
            database.results.complete("t")
        assert database.results.finished("t") == as_read(database)
    kept = database.results.finished("t")
    database.mongo["results"].drop()
    database.results.complete("t")
    assert database.results.finished("t") == kept


def test_what_was_read_is_not_read_again(database: Database) -> None:
    """But for the document that another worker wrote meanwhile."""
    database.records.insert([result(0), result(1), result(2, 2)])
    database.results.complete("t")
    before = database.results.finished("t")
    assert all(one is other for one, other in zip(database.results.finished("t"), before, strict=True))
    database.records.update(result(1).id, note="ours")
    database.results.complete("t")
    after = database.results.finished("t")
    assert after == as_read(database)
    assert [one is other for one, other in zip(after, before, strict=True)] == [False, False, True]


def test_what_was_made_anew_is_read_anew(database: Database) -> None:
    """Although its name, its round and the number of its writes are those of what was read."""
    database.records.insert([result(0)])
    database.results.complete("t")
    assert database.results.finished("t") == as_read(database)
    database.mongo["results"].drop()
    database.mongo["structures"].update_one({"_id": result(0).id}, {"$set": {"note": "other"}})
    database.results.complete("t")
    assert database.results.finished("t")[0].note == "other"


@pytest.mark.parametrize("most", [0, 1, 2])
def test_more_than_a_process_holds_is_read_each_time(
    database: Database, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(results, "MOST_HELD", most)
    database.records.insert([result(0), result(1, 2), result(2, 3)])
    database.results.complete("t")
    first, second = database.results.finished("t"), database.results.finished("t")
    assert first == second == as_read(database)
    assert sum(one is other for one, other in zip(first, second, strict=True)) == most


def test_documents_of_before_are_made_anew(database: Database) -> None:
    database.records.insert([result(0), result(1)])
    database.results.complete("t")
    old = {"$unset": {results.WRITING: "", "written_as": ""}, "$set": {"version": 1}}
    database.mongo["results"].update_many({}, old)
    assert database.results.finished("t") == as_read(database)
    database.results.complete("t")
    assert database.results.finished("t") == as_read(database)
    assert all(results.WRITING in one for one in database.mongo["results"].find({"ids": {"$exists": True}}))


def test_many_results_are_passed_over_by_the_collector_of_cycles(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And freed all the same once nothing holds them."""
    monkeypatch.setattr(results, "MANY", 3)
    database.records.insert([result(0), result(1)])
    database.results.complete("t")
    gc.unfreeze()
    database.results.finished("t")
    assert gc.get_freeze_count() == 0
    database.records.insert([result(index, 2) for index in range(3)])
    database.results.complete("t")
    held = [weakref.ref(record) for record in database.results.finished("t")]
    try:
        assert gc.get_freeze_count() > 0
        assert all(one() is not None for one in held)
        assert database.results.finished("u") == []
        database.results.complete("u")
        assert database.results.finished("u") == []
        assert [one() for one in held] == [None] * 5
    finally:
        gc.unfreeze()
