"""Round 0 of one campaign and then of another over what the first one searched."""

from __future__ import annotations

import pytest

from niobe.config.spec import CampaignSpec
from niobe.flows.steps.competing import compete, compete_further
from niobe.flows.steps.seed import seed_campaign
from niobe.flows.steps.validate import choose_phonons, close_round, validate_slot
from niobe.loop.campaign.seeds import new_record
from niobe.loop.documents.records import Failure, Lineage, Prerelaxed, Status
from niobe.loop.documents.rounds import HullRecord
from niobe.loop.store.database import Database
from tests.loop.factory import element

pytestmark = pytest.mark.filterwarnings("ignore")  # of monty, ASE and spglib under jobflow's run_locally
CONTENT = {
    "oracle": {"name": "emt", "fmax": 0.1},
    "phonons": {"enabled": False},
    "seeds": {"max_prototypes": 1},
}


def round_0(database: Database, name: str, *elements: str, **changes: object) -> HullRecord:
    """Seed, ask and close; returns the hull."""
    spec = CampaignSpec.model_validate(CONTENT | {"id": name, "elements": elements} | changes)
    database.campaigns.create(spec)
    for step, work in (("seed", seed_campaign), ("compete", compete)):
        work(database, spec, database.rounds.open(name, 0))
        database.rounds.update(name, 0, **{f"steps__{step}": 1.0})
    validate_slot(database, spec, 0, 0, 1)
    compete_further(database, spec, database.rounds.get(name, 0))
    validate_slot(database, spec, 0, 0, 1)
    choose_phonons(database, spec, database.rounds.get(name, 0))
    close_round(database, spec, database.rounds.get(name, 0))
    return database.hulls.find(name)[-1]


def test_a_campaign_over_what_was_searched_asks_nothing_and_begins_on_that_hull(
    database: Database,
) -> None:
    first = round_0(database, "wide", "Ag", "Cu", "Pd")
    systems = {"-".join(sorted(entry.composition)) for entry in first.entries}
    assert {"Ag-Cu", "Ag-Pd", "Cu-Pd", "Ag-Cu-Pd"} <= systems
    second = round_0(database, "narrow", "Cu", "Pd")
    assert database.rounds.get("narrow", 0).batch == []
    assert not database.records.find("narrow", status=Status.VALIDATED.value)
    inside = [entry for entry in first.entries if set(entry.composition) <= {"Cu", "Pd"}]
    assert {e.record_id: e.e_above_hull for e in second.entries} == pytest.approx(
        {e.record_id: e.e_above_hull for e in inside}
    )
    assert {entry.campaign for entry in second.entries} == {"wide"}
    (note,) = [note for note in database.rounds.get("narrow", 0).notes if "other campaigns" in note]
    same = [record for record in database.records.find("narrow") if record.status is Status.DUPLICATE]
    assert note.split()[0] == str(sum(record.lineage.generator != "displaced" for record in same))


def test_the_lowest_crystal_of_an_element_is_relaxed_once_more_off_its_symmetry(database: Database) -> None:
    """EMT's lowest crystals are close-packed, and no saddles."""
    hull = round_0(database, "t", "Cu", "Pd", seeds={"prototypes": False})
    again = [record for record in database.records.find("t") if record.lineage.generator == "displaced"]
    assert [record.chemsys for record in again] == ["Cu", "Pd"]
    for record in again:
        assert record.validation
        assert (record.n_atoms in {8, 16}, record.spacegroup) == (True, 1)
        (parent,) = record.lineage.parents
        lowest = database.records.get(parent).validation
        assert lowest
        assert record.validation.energy_per_atom == pytest.approx(lowest.energy_per_atom, abs=3e-3)
    energies = {entry.record_id: entry.e_above_hull for entry in hull.entries}
    assert all(energies[record.id] < 3e-3 for record in again)


@pytest.mark.parametrize(("potential", "reason"), [("lj", "prerelax: WallTimeError"), ("chgnet", "")])
def test_what_a_pre_relaxation_had_no_answer_for_is_not_asked_again(
    database: Database, potential: str, reason: str
) -> None:
    for name, asked in (("one", "lj"), ("two", potential)):
        changes = {"id": name, "elements": ["Cu"], "prerelax": {"potential": asked}}
        spec = CampaignSpec.model_validate(CONTENT | changes | {"seeds": {"prototypes": False}})
        database.campaigns.create(spec)
        seed_campaign(database, spec, database.rounds.open(name, 0))
        database.records.update(database.records.find("one")[0].id, reason="prerelax: WallTimeError")
    assert [record.reason for record in database.records.find("two")][:2] == [reason, ""]


def test_what_is_held_out_is_in_no_hull_and_another_oracle_competes_in_none(database: Database) -> None:
    first = round_0(database, "all", "Cu", "Pd")
    (compound,) = [entry for entry in first.entries if len(entry.composition) == 2]
    label = database.records.get(compound.record_id).lineage.origin["label"]
    held = round_0(database, "held", "Cu", "Pd", seeds={"max_prototypes": 0, "exclude": [label]})
    assert held.excluded == [label]
    assert compound.record_id not in {entry.record_id for entry in held.entries}
    other = round_0(database, "other", "Cu", "Pd", oracle={"name": "lj", "fmax": 0.1})
    assert {entry.campaign for entry in other.entries} == {"other"}


def test_what_is_like_a_crystal_that_failed_is_asked_about(database: Database) -> None:
    """Of two alike the first choice takes the lower; the oracle fails on it, and the other has its turn."""
    cheap = {"prerelax": {"potential": "lj"}, "seeds": {"prototypes": False}}
    spec = CampaignSpec.model_validate(CONTENT | cheap | {"id": "t", "elements": ["Cu"]})
    database.campaigns.create(spec)
    database.rounds.open("t", 0)
    lineage = Lineage(generator="reference")
    cells = [element("Cu", 2.6), element("Cu", 2.7)]
    records = []
    for index, cell in enumerate(cells):
        answer = Prerelaxed(potential="p", structure=cell.as_dict(), energy_per_atom=0.01 * index, steps=3)
        record = new_record(spec, 0, index, cell, lineage)
        records.append(record.model_copy(update={"prerelaxed": answer, "status": Status.SCREENED}))
    database.records.insert(records)
    database.rounds.update("t", 0, steps__seed=1.0)
    compete(database, spec, database.rounds.get("t", 0))
    database.rounds.update("t", 0, steps__compete=1.0)
    assert database.rounds.get("t", 0).batch == [records[0].id]
    failure = Failure(step="relax", cause="unphysical", exception="E", message="came apart")
    database.records.finish_validation(records[0].id, status=Status.FAILED, failure=failure)
    compete_further(database, spec, database.rounds.get("t", 0))
    assert database.rounds.get("t", 0).batch == [record.id for record in records]
