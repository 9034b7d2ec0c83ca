"""The pre-relaxation step with a short pre-relaxation: only what promises most is relaxed further, and only
once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from niobe.config.errors import ConfigError
from niobe.config.loading import load_campaign
from niobe.config.spec import CampaignSpec, Oracle, Prerelaxation
from niobe.flows.oracles.registry import make_oracle
from niobe.flows.steps.generate import mark_duplicates
from niobe.flows.steps.prerelax import choose_promising, prerelax_slot, relax_slot
from niobe.loop.campaign.seeds import new_record
from niobe.loop.documents.records import Lineage, Status, StructureRecord
from niobe.loop.stability.hull import build_hull
from niobe.loop.store.database import Database
from tests.loop.factory import element, nbo, rocksalt, rutile, validated

pytestmark = pytest.mark.filterwarnings("ignore")  # of monty, ASE and spglib under jobflow's run_locally
PRIOR = Prerelaxation(potential="lj", first_steps=2, steps=20, keep=0.66)
SPEC = CampaignSpec(id="t", elements=("Nb", "O"), prerelax=PRIOR)


def stretched(a: float) -> Structure:
    """Caesium chloride, relaxed near 2.9 Å by this potential."""
    return Structure(Lattice.cubic(a), ["Nb", "O"], np.array([[0, 0, 0], [0.5, 0.5, 0.5]]))


def with_candidates(database: Database, *structures: Structure) -> list[StructureRecord]:
    database.campaigns.create(SPEC)
    seeds = [
        validated(element("Nb", 2.6), -10.0, index=0),
        validated(element("O", 2.6), -5.0, index=1),
        validated(nbo(), -9.5, index=2),
    ]
    drawn = [
        new_record(SPEC, 1, index, structure, Lineage(generator="test")).model_copy(
            update={"status": Status.SCREENED}
        )
        for index, structure in enumerate(structures)
    ]
    database.records.insert([*seeds, *drawn])
    database.hulls.store(build_hull("t", 0, SPEC.elements, seeds))
    prerelax_slot(database, SPEC, 0, 0, 1)
    return drawn


def statuses(database: Database, drawn: list[StructureRecord]) -> list[tuple[str, bool | None]]:
    """Status, and whether the pre-relaxation potential only had a short pre-relaxation."""
    now = [database.records.get(record.id) for record in drawn]
    return [(record.status.value, record.prerelaxed.brief if record.prerelaxed else None) for record in now]


def relax_promising(database: Database, number: int) -> None:
    prerelax_slot(database, SPEC, number, 0, 1)
    choose_promising(database, SPEC, database.rounds.open(SPEC.id, number))
    relax_slot(database, SPEC, number, 0, 1)


def test_asked_again_it_leaves_what_the_oracle_displaced_alone(database: Database) -> None:
    """A worker that was killed after competing phases were displaced asks for round 0 once more."""
    with_candidates(database)
    moved = new_record(SPEC, 0, 9, element("Nb", 2.61), Lineage(generator="displaced"))
    database.records.insert([moved.model_copy(update={"status": Status.SCREENED})])
    prerelax_slot(database, SPEC, 0, 0, 1)
    assert database.records.get(moved.id).prerelaxed is None


def test_a_potential_that_is_the_oracle_is_asked_about_elements_as_pre_relaxed(
    database: Database, tmp_path: Path
) -> None:
    """Not about compounds; once, unless another oracle was asked before; and no DFT."""
    spec = CampaignSpec(id="t", elements=("Cu",), prerelax=PRIOR, oracle=Oracle(name="emt"))
    database.campaigns.create(spec)
    crystals = [element("Cu", 2.5), element("Cu", 2.7), nbo()]
    lineage = Lineage(generator="reference")
    records = [new_record(spec, 0, i, one, lineage) for i, one in enumerate(crystals)]
    database.records.insert(records)
    prerelax_slot(database, spec, 0, 0, 1)
    oracle, answers = make_oracle(spec.oracle), [database.records.get(one.id).prerelaxed for one in records]
    assert answers[2] is not None and (answers[2].oracle, answers[2].by_oracle) == ("", None)
    for answer in answers[:2]:
        assert answer is not None
        (own,) = oracle.static([Structure.from_dict(answer.structure)], tmp_path)
        assert answer.oracle == oracle.fingerprint
        assert answer.by_oracle == pytest.approx(own.energy_per_atom, abs=1e-9)
    dft = spec.model_copy(update={"oracle": Oracle(name="vasp")})
    prerelax_slot(database, dft, 0, 0, 1)
    assert [database.records.get(one.id).prerelaxed for one in records] == answers
    other = spec.model_copy(update={"oracle": Oracle(name="chgnet")})
    prerelax_slot(database, other, 0, 0, 1)
    again = database.records.get(records[0].id).prerelaxed
    assert again is not None and again.oracle == make_oracle(other.oracle).fingerprint


def test_the_most_promising_are_relaxed_further_and_no_two_alike(database: Database) -> None:
    """3.9 and 3.5 Å make one crystal, which is relaxed once; 4.3 Å is too far from both to be compared."""
    drawn = with_candidates(database, *map(stretched, (3.9, 3.5, 4.3)))
    relax_promising(database, 1)
    assert statuses(database, drawn) == [("duplicate", True), ("screened", False), ("screened", False)]
    assert database.records.get(drawn[0].id).duplicate_of == drawn[1].id
    further = database.records.get(drawn[1].id).prerelaxed
    assert further is not None
    assert further.steps > PRIOR.first_steps + 1
    before = database.records.find(SPEC.id)
    relax_slot(database, SPEC, 1, 0, 1)
    assert database.records.find(SPEC.id) == before


def test_what_a_round_left_is_chosen_from_later(database: Database) -> None:
    drawn = with_candidates(database, stretched(3.5), rocksalt(5.2))
    once = SPEC.model_copy(update={"prerelax": PRIOR.model_copy(update={"keep": 0.5})})
    prerelax_slot(database, SPEC, 1, 0, 1)
    choose_promising(database, once, database.rounds.open(SPEC.id, 1))
    assert database.rounds.get(SPEC.id, 1).promising == [drawn[0].id]
    relax_slot(database, SPEC, 1, 0, 1)
    worse = new_record(SPEC, 2, 0, nbo(7.5), Lineage(generator="test"))
    database.records.insert([worse.model_copy(update={"status": Status.SCREENED})])
    prerelax_slot(database, SPEC, 2, 0, 1)
    choose_promising(database, once, database.rounds.open(SPEC.id, 2))
    assert database.rounds.get(SPEC.id, 2).promising == [drawn[1].id]


def test_a_pinned_candidate_is_no_duplicate(database: Database) -> None:
    drawn = with_candidates(database, *map(stretched, (3.9, 3.5)))
    database.records.update(drawn[0].id, pinned=True)
    relax_promising(database, 1)
    assert statuses(database, drawn) == [("screened", True), ("screened", False)]


def test_what_collapsed_has_no_part_in_the_hull(database: Database) -> None:
    """A candidate at −50 eV/atom would put all others out of reach of the hull, wherever they are."""
    drawn = with_candidates(database, stretched(3.5), rutile(), stretched(2.9))
    prerelax_slot(database, SPEC, 1, 0, 1)
    gone = database.records.get(drawn[2].id)
    assert gone.prerelaxed is not None
    deep = gone.prerelaxed.model_copy(update={"energy_per_atom": -50.0})
    database.records.update(gone.id, status=Status.INVALID, prerelaxed=deep)
    one = SPEC.model_copy(update={"prerelax": PRIOR.model_copy(update={"keep": 0.1})})
    choose_promising(database, one, database.rounds.open(SPEC.id, 1))
    with_it = database.rounds.get(SPEC.id, 1).promising
    database.records.update(gone.id, prerelaxed=None)
    database.rounds.update(SPEC.id, 1, promising=[])
    choose_promising(database, one, database.rounds.open(SPEC.id, 1))
    assert database.rounds.get(SPEC.id, 1).promising == with_it
    database.records.update(gone.id, status=Status.VALIDATED, prerelaxed=deep)
    database.rounds.update(SPEC.id, 1, promising=[])
    choose_promising(database, one, database.rounds.open(SPEC.id, 1))
    assert database.rounds.get(SPEC.id, 1).promising != with_it


def test_of_two_alike_the_one_relaxed_further_stays(database: Database) -> None:
    """One was passed over in round 1, the other is relaxed further in round 2 and turns out to be like it."""
    left, better = with_candidates(database, stretched(3.9), rocksalt(5.2))
    prerelax_slot(database, SPEC, 1, 0, 1)
    answer = database.records.get(left.id).prerelaxed
    assert answer is not None
    further = answer.model_copy(update={"brief": False})
    database.records.update(better.id, round=2, formula=left.formula, prerelaxed=further)
    database.rounds.open(SPEC.id, 2)
    database.rounds.update(SPEC.id, 2, promising=[better.id])
    mark_duplicates(database, SPEC, 2)
    assert statuses(database, [left, better]) == [("screened", True), ("screened", False)]
    database.records.update(left.id, round=3)
    choose_promising(database, SPEC, database.rounds.open(SPEC.id, 3))
    assert statuses(database, [left, better]) == [("duplicate", True), ("screened", False)]
    assert database.records.get(left.id).duplicate_of == better.id


def test_without_a_share_every_candidate_gets_all_steps(database: Database) -> None:
    drawn = with_candidates(database, stretched(3.5), stretched(3.9))
    every = SPEC.model_copy(update={"prerelax": PRIOR.model_copy(update={"keep": 1.0})})
    prerelax_slot(database, every, 1, 0, 1)
    answers = [database.records.get(record.id).prerelaxed for record in drawn]
    assert [answer.brief for answer in answers if answer] == [False, False]


def test_a_candidate_is_not_blamed_for_the_disk(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (drawn,) = with_candidates(database, stretched(3.5))
    (tmp_path / "file").write_text("where a folder should be", encoding="utf-8")
    monkeypatch.setenv("NIOBE_HOME", str(tmp_path / "file"))
    with pytest.raises(NotADirectoryError):
        prerelax_slot(database, SPEC, 1, 0, 1)
    assert database.records.get(drawn.id).status is Status.SCREENED


@pytest.mark.parametrize("keep", [0.0, 1.5])
def test_a_share_is_above_0_and_up_to_1(tmp_path: Path, keep: float) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(f"id: a\nelements: [Nb]\nprerelax: {{keep: {keep}}}", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"prerelax\.keep: Input should be"):
        load_campaign(file)
