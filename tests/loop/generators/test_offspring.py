"""Offspring of known crystals: what each way keeps."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from niobe.loop.crystals.similarity import SeenStructures
from niobe.loop.generators.offspring import (
    WAYS,
    Offspring,
    Parent,
    heredity,
    in_larger_cell,
    permutation,
    slip,
    strain,
    way_shares,
)
from niobe.surrogates.protocols import SampleRequest
from tests.loop.factory import element, nbo, rocksalt, rutile

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


@settings(max_examples=30, deadline=None)
@given(SEEDS)
def test_a_permutation_keeps_composition_cell_and_places(seed: int) -> None:
    parent = rutile()
    child = permutation(parent, np.random.default_rng(seed))
    assert child is not None
    assert child.composition == parent.composition
    assert child.lattice == parent.lattice
    assert np.allclose(child.frac_coords, parent.frac_coords)
    assert child.species != parent.species
    assert permutation(element("Nb"), np.random.default_rng(seed)) is None


@settings(max_examples=30, deadline=None)
@given(SEEDS)
def test_a_strain_keeps_composition_fractions_and_volume(seed: int) -> None:
    parent = rutile()
    child = strain(parent, np.random.default_rng(seed))
    assert child.species == parent.species
    assert np.allclose(child.frac_coords, parent.frac_coords)
    assert np.isclose(child.volume, parent.volume)
    assert not np.allclose(child.lattice.matrix, parent.lattice.matrix, atol=1e-3)


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 200)), min_size=4, max_size=4))
def test_shares_follow_what_survived_and_keep_every_way(counts: list[tuple[int, int]]) -> None:
    drawn = {way: max(pair) for way, pair in zip(WAYS, counts, strict=True)}
    survived = {way: min(pair) for way, pair in zip(WAYS, counts, strict=True)}
    shares = way_shares(drawn, survived)
    assert np.isclose(sum(shares.values()), 1.0)
    assert all(shares[way] > WAYS[way] / 2 for way in WAYS)
    more = way_shares(drawn | {"slip": 300}, survived | {"slip": 300})
    assert more["slip"] >= shares["slip"]


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
    assert {sample.origin["way"] for sample in batch.samples} == WAYS.keys()


def test_without_parents_there_are_no_children() -> None:
    assert Offspring([]).sample(REQUEST, 5, seed=1).samples == ()
