"""Offspring of known crystals: what each way keeps, and who has children."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import Lattice, Structure

from config.loading import with_changes
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


def candidate(structure: Structure, formation: float, *, brief: bool = False) -> StructureRecord:
    """What the prior relaxed, its elements being at −10 and −5 eV/atom."""
    elements = -10.0 + 5.0 * structure.composition.get_atomic_fraction("O")
    answer = PriorAnswer(
        potential="test",
        structure=structure.as_dict(),
        energy_per_atom=formation + elements,
        steps=3,
        brief=brief,
    )
    record = validated(structure, -9.0, round_number=1)
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
    known = judged(validated(rocksalt(), -9.0, round_number=1), -1.5, prior=-2.0 - 7.5)
    unjudged = known.model_copy(update={"id": "unjudged", "verdict": None, "prior": None})
    low, acquired = candidate(nbo(), -2.1), candidate(cesium_chloride(), -1.9)
    acquired = acquired.model_copy(update={"status": Status.ACQUIRED})
    twin, glanced = candidate(nbo(4.3), -2.05), candidate(zincblende(), -2.4, brief=True)
    duplicate = candidate(zincblende(), -2.4).model_copy(update={"status": Status.DUPLICATE})
    records = [*ELEMENTS, acquired, known, twin, glanced, low, duplicate, unjudged]
    assert [parent.id for parent in offspring_parents(records, SPEC)] == [low.id, known.id, acquired.id]
    small = with_changes(SPEC, {"limits.max_atoms": 5})
    assert [parent.id for parent in offspring_parents(records, small)] == [acquired.id]


def cesium_chloride() -> Structure:
    return Structure(Lattice.cubic(2.8), ["Nb", "O"], np.array([[0, 0, 0], [0.5, 0.5, 0.5]]))


def zincblende() -> Structure:
    return Structure.from_spacegroup(216, Lattice.cubic(4.8), ["Nb", "O"], [[0, 0, 0], [0.25, 0.25, 0.25]])
