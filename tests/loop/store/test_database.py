"""The campaign database on a real server."""

import pytest

from niobe.config.errors import ConfigError
from niobe.config.spec import CampaignSpec
from niobe.loop.campaign.seeds import new_record
from niobe.loop.documents.records import Lineage, Prerelaxed, Status
from niobe.loop.documents.rounds import HullRecord
from niobe.loop.store.collections import records as stored
from niobe.loop.store.database import Database
from tests.loop.factory import SPEC, nbo, rocksalt, validated


def test_records_come_back_as_they_went_in_and_are_never_overwritten(database: Database) -> None:
    record = validated(nbo(), -9.5)
    database.records.insert([record])
    database.records.insert([record.model_copy(update={"note": "again"})])
    stored = [database.records.get(record.id), *database.records.find("t", status="validated")]
    assert [found.model_dump(mode="json") for found in stored] == [record.model_dump(mode="json")] * 2
    assert database.records.count("t") == 1


def test_the_first_outcome_of_a_validation_stays(database: Database) -> None:
    record = new_record(SPEC, 1, 0, rocksalt(), Lineage(generator="test"))
    database.records.insert([record.model_copy(update={"status": Status.ACQUIRED})])
    assert database.records.finish_validation(record.id, status=Status.FAILED)
    assert not database.records.finish_validation(record.id, status=Status.VALIDATED)
    assert database.records.get(record.id).status is Status.FAILED


def test_another_spec_under_the_same_id_shows_the_difference(database: Database) -> None:
    database.campaigns.create(SPEC)
    assert database.campaigns.create(SPEC).id == "t"
    with pytest.raises(ConfigError, match=r"seed: 0 -> 5.*new id to fork"):
        database.campaigns.create(SPEC.model_copy(update={"seed": 5}))
    with pytest.raises(ConfigError, match="elements"):
        database.campaigns.create(CampaignSpec(id="t", elements=("Ti", "N")))


def test_a_newer_schema_is_refused(database: Database) -> None:
    database.campaigns.create(SPEC)
    database.campaigns.update("t", schema_version=99)
    with pytest.raises(ConfigError, match="newer than this"):
        database.campaigns.find_one("t")


def test_rounds_and_hulls_are_kept_by_number(database: Database) -> None:
    for number in (2, 0, 1):
        database.rounds.open("t", number)
    database.rounds.open("t", 1)
    assert [record.number for record in database.rounds.find("t")] == [0, 1, 2]
    database.rounds.update("t", 1, steps__screen=1.5)
    assert database.rounds.get("t", 1).steps == {"screen": 1.5}
    for oracle in ("a", "b"):
        database.hulls.store(HullRecord(campaign="t", round=1, oracle=oracle, entries=[]))
    assert [hull.oracle for hull in database.hulls.find("t")] == ["b"]


@pytest.mark.parametrize(
    ("most", "rounds"),
    [(3, [3, 6, 9]), (5, [1, 3, 5, 7, 9]), (9, list(range(1, 10))), (24, list(range(1, 10)))],
)
def test_some_hulls_are_evenly_spaced_and_end_with_the_newest(
    database: Database, most: int, rounds: list[int]
) -> None:
    for campaign in ("t", "other"):
        for number in range(9, 0, -1):
            database.hulls.store(HullRecord(campaign=campaign, round=number, oracle="a", entries=[]))
    assert [hull.round for hull in database.hulls.some("t", most)] == rounds
    assert database.hulls.some("none", most) == []


@pytest.mark.parametrize("ask", ["record", "round", "update"])
def test_what_is_not_there_is_named(database: Database, ask: str) -> None:
    with pytest.raises(ConfigError, match="t"):
        if ask == "record":
            database.records.get("zzt")
        elif ask == "round":
            database.rounds.get("t", 7)
        else:
            database.campaigns.update("t", stop=True)


def test_a_campaign_has_prerelaxed_records_or_not(database: Database) -> None:
    record = validated(nbo(), -9.0)
    database.records.insert([record])
    assert not database.records.has_prerelaxed("t")
    answer = Prerelaxed(potential="p", structure=nbo().as_dict(), energy_per_atom=-8.0, steps=3)
    database.records.update(record.id, prerelaxed=answer)
    assert database.records.has_prerelaxed("t")
    assert not database.records.has_prerelaxed("u")


@pytest.mark.parametrize(("drawn", "rounds", "oldest"), [(100, 100, 1), (100, 3, 5), (4, 100, 6), (5, 3, 5)])
def test_candidates_age_out_by_rounds_and_by_what_was_drawn_since(
    database: Database, monkeypatch: pytest.MonkeyPatch, drawn: int, rounds: int, oldest: int
) -> None:
    """Seven rounds of two candidates, one of them pinned in the first."""
    monkeypatch.setattr(stored, "MOST_DRAWN", drawn)
    monkeypatch.setattr(stored, "MOST_ROUNDS", rounds)
    assert database.records.open_rounds("t") == []
    for number in range(1, 8):
        made = [new_record(SPEC, number, i, nbo(4.0 + i), Lineage(generator="test")) for i in range(2)]
        database.records.insert(r.model_copy(update={"status": Status.SCREENED}) for r in made)
    first = database.records.find("t", round=1)[0]
    database.records.update(first.id, pinned=True)
    assert database.records.open_rounds("t") == list(range(oldest, 8))
    pool = database.records.pool("t")
    assert [r.round for r in pool if not r.pinned] == [
        number for number in range(oldest, 8) for _ in range(2 - (number == 1))
    ]
    assert first.id in {record.id for record in pool}
