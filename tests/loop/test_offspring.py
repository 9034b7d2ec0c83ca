"""Offspring of known crystals: what each way keeps, and who has children."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.parents import offspring_parents
from loop.generators.offspring import Offspring, Parent, heredity, in_larger_cell, slip
from loop.records import PriorAnswer, Status, StructureRecord, Verdict
from loop.similarity import SeenStructures
from surrogates.protocols import SampleRequest
from tests.loop.factory import SPEC, element, nbo, rocksalt, rutile, validated

SEEDS = st.integers(0, 10_000)
REQUEST = SampleRequest(elements=("Nb", "O"), max_atoms=12)


@settings(max_examples=30, deadline=None)
@given(SEEDS)
def test_a_larger_cell_holds_the_same_crystal(seed: int) -> None:
    larger = in_larger_cell(rocksalt().get_primitive_structure(), 8, np.random.default_rng(seed))
    assert 2 <= len(larger) <= 8
    assert SeenStructures([("a", rocksalt())]).find(larger) == "a"


@settings(max_examples=30, deadline=None)
@given(SEEDS)
def test_a_slip_moves_one_slab_within_its_plane(seed: int) -> None:
    parent = rutile()
    child = slip(parent, np.random.default_rng(seed))
    if child is None:
        return
    assert child.lattice == parent.lattice
    assert child.species == parent.species
    moved = (child.frac_coords - parent.frac_coords) % 1.0
    slabs = {tuple(np.round(row, 6) % 1.0) for row in moved}
    assert len(slabs) == 2
    assert (0.0, 0.0, 0.0) in slabs
    assert any(np.allclose(moved[:, axis], 0.0) for axis in range(3))


@settings(max_examples=30, deadline=None)
@given(SEEDS)
def test_a_child_of_two_lies_between_them_in_density(seed: int) -> None:
    one, other = nbo(), rutile()
    child = heredity(one, other, np.random.default_rng(seed))
    if child is None:
        return
    low, high = sorted((one.volume / len(one), other.volume / len(other)))
    assert low <= child.volume / len(child) <= high
    assert len(child) <= len(one) + len(other)


def test_two_halves_of_one_crystal_have_its_sites() -> None:
    """Wherever two slabs of sodium chloride are cut from, they hold what stands in so much of the cell."""
    sizes = Counter(
        len(child)
        for seed in range(40)
        if (child := heredity(rocksalt(), rocksalt(), np.random.default_rng(seed)))
    )
    assert 6 <= np.average(list(sizes), weights=list(sizes.values())) <= 10


def test_the_best_parent_has_most_children() -> None:
    parents = [Parent("best", nbo()), Parent("next", rutile()), Parent("last", rocksalt())]
    batch = Offspring(parents).sample(REQUEST, 60, seed=1)
    first = Counter(sample.origin["parent"] for sample in batch.samples)
    assert len(batch.samples) == 60
    assert first["best"] > first["last"] > 0
    assert {sample.origin["way"] for sample in batch.samples} == {"slip", "heredity"}


def test_without_parents_there_are_no_children() -> None:
    assert Offspring([]).sample(REQUEST, 5, seed=1).samples == ()


def candidate(index: int, formation: float, *, brief: bool) -> StructureRecord:
    """NbO that the prior relaxed, its elements being at −10 and −5 eV/atom."""
    answer = PriorAnswer(
        potential="test",
        structure=nbo(4.1).as_dict(),
        energy_per_atom=formation - 7.5,
        steps=3,
        brief=brief,
    )
    record = validated(nbo(4.3 + index / 10), -9.0, round_number=1, index=index)
    update = {"prior": answer, "status": Status.SCREENED, "validation": None, "acquired_round": None}
    return record.model_copy(update=update)


def judged(
    record: StructureRecord, formation: float, *, prior: float, twin: str | None = None
) -> StructureRecord:
    verdict = Verdict(
        formation_energy_per_atom=formation,
        e_above_hull_found=0.0,
        e_above_hull_now=0.0,
        hull_round=0,
        duplicate_of=twin,
    )
    answer = PriorAnswer(potential="test", structure=record.structure, energy_per_atom=prior, steps=3)
    return record.model_copy(update={"verdict": verdict, "prior": answer})


ELEMENTS = [
    judged(validated(element("Nb"), -10.0), 0.0, prior=-10.0),
    judged(validated(element("O"), -5.0), 0.0, prior=-5.0),
]


def test_parents_are_what_came_to_rest_lowest_above_the_joint_hull_first() -> None:
    """The prior errs by −0.5 on the oxide that both know: what it says of candidates is raised by as much."""
    oxide = judged(validated(rocksalt(), -9.0, round_number=1, index=0), -1.5, prior=-2.0 - 7.5)
    twin = judged(validated(rocksalt(), -9.0, round_number=1, index=1), -1.5, prior=-9.5, twin=oxide.id)
    low, high = candidate(2, -2.1, brief=False), candidate(3, -1.9, brief=False)
    glanced, alike = candidate(4, -2.4, brief=True), candidate(5, -2.4, brief=False)
    alike = alike.model_copy(update={"status": Status.DUPLICATE})
    parents = offspring_parents([*ELEMENTS, high, oxide, twin, glanced, low, alike], SPEC)
    assert [parent.id for parent in parents] == [low.id, oxide.id, high.id]
    assert parents[0].structure.lattice.a == pytest.approx(4.1)
