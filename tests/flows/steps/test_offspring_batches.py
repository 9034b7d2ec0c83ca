"""A round that draws offspring of what was pre-relaxed, chosen from like all else."""

from __future__ import annotations

from itertools import pairwise

import pytest

from niobe.config.spec import CampaignSpec, Generation, GeneratorShare, Prerelaxation
from niobe.flows.stages import OFFSPRING_BATCHES, plan
from niobe.flows.steps.generate import draw_offspring, generate, screen
from niobe.flows.steps.prerelax import choose_promising, prerelax_slot, relax_slot
from niobe.loop.documents.records import Status
from niobe.loop.store.database import Database
from tests.loop.factory import element, nbo, validated

pytestmark = pytest.mark.filterwarnings("ignore")  # of monty, ASE and spglib under jobflow's run_locally
MIX = (GeneratorShare(name="random"), GeneratorShare(name="offspring", share=2.0))
SPEC = CampaignSpec(
    id="t",
    elements=("Nb", "O"),
    prerelax=Prerelaxation(potential="lj", first_steps=1, steps=2, keep=0.5),
    generation=Generation(candidates=18, mix=MIX),
)


def look(database: Database) -> list[str]:
    """One pass of the pre-relaxation potential over what waits in round 1; what it chose."""
    prerelax_slot(database, SPEC, 1, 0, 1)
    before = database.rounds.open(SPEC.id, 1).promising
    choose_promising(database, SPEC, database.rounds.open(SPEC.id, 1))
    relax_slot(database, SPEC, 1, 0, 1)
    return database.rounds.get(SPEC.id, 1).promising[len(before) :]


def test_offspring_come_after_the_first_litter_has_come_to_rest(database: Database) -> None:
    database.campaigns.create(SPEC)
    seeds = [element("Nb", 2.6), element("O", 2.6), nbo()]
    database.records.insert(validated(structure, -5.0, index=i) for i, structure in enumerate(seeds))
    prerelax_slot(database, SPEC, 0, 0, 1)
    generate(database, SPEC, database.rounds.open(SPEC.id, 1))
    screen(database, SPEC, database.rounds.get(SPEC.id, 1))
    assert {r.lineage.generator for r in database.records.find(SPEC.id, round=1)} == {"random"}
    first = look(database)
    assert first

    draw_offspring(database, SPEC, database.rounds.get(SPEC.id, 1), offspring_batch=1, offspring_batches=2)
    drawn = database.records.find(SPEC.id, round=1)
    children = [r for r in drawn if r.lineage.generator == "offspring"]
    assert [record.index for record in drawn] == list(range(len(drawn)))
    assert len(children) == 6
    parents = {parent for child in children for parent in child.lineage.parents}
    oxide = next(record.id for record in database.records.find(SPEC.id, round=0) if record.formula == "NbO")
    assert parents & set(first)
    assert parents <= {*first, oxide}
    assert Status.GENERATED not in {record.status for record in drawn}
    rejected = database.rounds.get(SPEC.id, 1).metrics.rejected_by_generator
    assert {key.split(":")[0] for key in rejected} == {"random", "offspring/1"}

    as_an_older_niobe_left_it = database.rounds.get(SPEC.id, 1).model_copy(update={"wanted": {}})
    draw_offspring(database, SPEC, as_an_older_niobe_left_it, offspring_batch=1, offspring_batches=2)
    assert database.records.find(SPEC.id, round=1) == drawn
    second = look(database)
    now = {record.id: record for record in database.records.find(SPEC.id, round=1)}
    looked = sum(record.prerelaxed is not None for record in now.values())
    assert {now[name].lineage.generator for name in second} == {"offspring"}
    assert len(first) + len(second) <= looked / 2 + 1
    assert look(database) == []

    draw_offspring(database, SPEC, database.rounds.get(SPEC.id, 1), offspring_batch=2, offspring_batches=2)
    grown = database.records.find(SPEC.id, round=1)
    assert [record.index for record in grown] == list(range(len(drawn) + 6))
    younger = [r for r in grown if r.lineage.generator == "offspring" and r.index >= len(drawn)]
    parents = {parent for child in younger for parent in child.lineage.parents}
    assert parents & set(second)


def test_without_a_prior_offspring_are_drawn_with_all_else() -> None:
    alone = SPEC.model_copy(update={"prerelax": None})
    assert not alone.draws_offspring
    names = [[stage.job for stage in plan(spec, 1)] for spec in (alone, SPEC)]
    assert "draw_offspring" not in names[0]
    drawn = [place for place, name in enumerate(names[1]) if name == "draw_offspring"]
    assert len(drawn) == OFFSPRING_BATCHES
    for start, end in pairwise([0, *drawn, len(names[1])]):
        part = names[1][start:end]
        assert part.count("prerelax") == part.count("relax_promising") == 1
        assert part.count("choose_promising") == 1
