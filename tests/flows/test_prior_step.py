"""The prior step with a first look: only what promises most is relaxed further, and only once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from config.errors import ConfigError
from config.loading import load_campaign
from config.spec import CampaignSpec, Prior
from flows.prior import prior_slot
from loop.database import Database
from loop.hull import build_hull
from loop.records import Lineage, Status, StructureRecord
from loop.seeds import new_record
from loop.similarity import spacegroup_number
from loop.structures import rattled
from tests.loop.factory import element, nbo, rocksalt, validated

pytestmark = pytest.mark.filterwarnings("ignore")  # of monty, ASE and spglib under jobflow's run_locally
PRIOR = Prior(potential="lj", first_steps=2, steps=20, keep=0.33)
SPEC = CampaignSpec(id="t", elements=("Nb", "O"), prior=PRIOR)


def stretched(a: float) -> Structure:
    """Caesium chloride, at rest near 2.9 Å by this potential."""
    return Structure(Lattice.cubic(a), ["Nb", "O"], np.array([[0, 0, 0], [0.5, 0.5, 0.5]]))


def with_candidates(database: Database, *structures: Structure) -> list[StructureRecord]:
    database.create_campaign(SPEC)
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
    database.insert([*seeds, *drawn])
    database.store_hull(build_hull("t", 0, SPEC.elements, seeds))
    prior_slot(database, SPEC, 0, 0, 1)
    return drawn


def test_the_most_promising_share_is_relaxed_further(database: Database) -> None:
    drawn = with_candidates(database, *map(stretched, (3.9, 3.5, 4.3)))
    prior_slot(database, SPEC, 1, 0, 1)
    looked = [database.record(record.id) for record in drawn]
    answers = [record.prior for record in looked if record.prior]
    assert [answer.brief for answer in answers] == [True, False, True]
    assert answers[1].steps > max(answers[0].steps, answers[2].steps)
    prior_slot(database, SPEC, 1, 0, 1)
    assert [database.record(record.id) for record in drawn] == looked


def test_without_a_share_every_candidate_gets_all_steps(database: Database) -> None:
    drawn = with_candidates(database, stretched(3.5), stretched(3.9))
    every = SPEC.model_copy(update={"prior": PRIOR.model_copy(update={"keep": 1.0})})
    prior_slot(database, every, 1, 0, 1)
    answers = [database.record(record.id).prior for record in drawn]
    assert [answer.brief for answer in answers if answer] == [False, False]


def test_a_rattled_candidate_leaves_its_saddle_point(database: Database) -> None:
    """Rocksalt stays rocksalt until its sites are moved off their symmetry: then it goes lower."""
    (drawn,) = with_candidates(database, rocksalt(4.8))
    far = PRIOR.model_copy(update={"keep": 1.0, "steps": 100, "fmax": 0.01})
    ends = []
    for rattle in (0.0, 0.2):
        spec = SPEC.model_copy(update={"prior": far.model_copy(update={"rattle": rattle})})
        database.update_record(drawn.id, prior=None)
        prior_slot(database, spec, 1, 0, 1)
        answer = database.record(drawn.id).prior
        assert answer is not None
        ends.append(answer)
    still, moved = ends
    assert spacegroup_number(Structure.from_dict(still.structure)) == 225
    assert spacegroup_number(Structure.from_dict(moved.structure)) < 225
    assert moved.energy_per_atom < still.energy_per_atom - 0.01


def test_rattling_moves_sites_by_what_it_says_and_by_its_seed_alone() -> None:
    many = stretched(3.0) * (5, 5, 5)
    moved = rattled(many, 0.1, 7)
    lengths = [one.distance(other) for one, other in zip(many, moved, strict=True)]
    assert np.sqrt(np.mean(np.square(lengths))) == pytest.approx(0.1, rel=0.1)
    assert moved == rattled(many, 0.1, 7)
    assert moved != rattled(many, 0.1, 8)


@pytest.mark.parametrize("keep", [0.0, 1.5])
def test_a_share_is_above_0_and_up_to_1(tmp_path: Path, keep: float) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(f"id: a\nelements: [Nb]\nprior: {{keep: {keep}}}", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"prior\.keep: Input should be"):
        load_campaign(file)
