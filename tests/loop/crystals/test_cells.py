"""What is sorted out before the structure matcher is asked is never what it would accept."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from niobe.loop.crystals.cells import Cell, could_align, could_fit
from niobe.loop.crystals.similarity import Reduced, matcher
from tests.loop.factory import nbo, rocksalt, rutile

_COUNTS = ((1, 1), (2, 2), (1, 3), (2, 4), (4, 4))


def _drawn(rng: np.random.Generator, counts: tuple[int, int]) -> Structure:
    edges, angles = rng.uniform(3.0, 7.0, 3), rng.uniform(62.0, 118.0, 3)
    species = ["Cu"] * counts[0] + ["Au"] * counts[1]
    return Structure(Lattice.from_parameters(*edges, *angles), species, rng.random((len(species), 3)))


def _shaken(rng: np.random.Generator, structure: Structure) -> Structure:
    """By as much as the matcher overlooks, and somewhat more."""
    strain = np.eye(3) + rng.normal(0, rng.uniform(0.0, 0.12), (3, 3))
    reach = rng.uniform(0.0, 0.4) * (structure.volume / len(structure)) ** (1 / 3)
    shifts = rng.normal(0, 1, (len(structure), 3))
    shifts *= reach / np.linalg.norm(shifts, axis=1).max()
    points = (structure.cart_coords + shifts) @ strain + rng.uniform(-3, 3, 3)
    return Structure(structure.lattice.matrix @ strain, structure.species, points, coords_are_cartesian=True)


def _numbers(one: Reduced, other: Reduced) -> tuple[bool, bool]:
    """What is let through, and what the matcher accepts."""
    accepted = matcher().fit(one.cell, other.cell, skip_structure_reduction=True)
    return could_fit(one.numbers, other.numbers), bool(accepted)


@pytest.mark.parametrize("seed", range(8))
def test_what_the_matcher_accepts_is_let_through(seed: int) -> None:
    rng = np.random.default_rng(seed)
    drawn = [_drawn(rng, _COUNTS[seed % len(_COUNTS)]) for _ in range(3)]
    known = [nbo(), rocksalt(), rutile()] if seed < 3 else []
    said = []
    for structure in [*drawn, *known]:
        copies = [Reduced(one) for one in (structure, *(_shaken(rng, structure) for _ in range(5)))]
        said += [_numbers(a, b) for a, b in combinations(copies, 2) if len(a.cell) == len(b.cell)]
    assert all(passed or not accepted for passed, accepted in said)
    assert any(accepted for _, accepted in said)


def test_most_of_what_differs_is_sorted_out() -> None:
    rng = np.random.default_rng(0)
    drawn = [Reduced(_drawn(rng, (2, 4))) for _ in range(12)]
    said = [_numbers(a, b) for a, b in combinations(drawn, 2)]
    assert sum(passed and not accepted for passed, accepted in said) <= 0.1 * len(said)


@pytest.mark.parametrize("seed", range(4))
def test_what_fits_could_be_aligned(seed: int) -> None:
    """Many cells asked about at once; long ones among them, which have more vectors."""
    rng = np.random.default_rng(seed)
    drawn = [_drawn(rng, (2, 2)) for _ in range(12)] + [rocksalt()]
    long, ends = Lattice.orthorhombic(3, 4, 40), np.array([[[0, 0, 0], [0.5, 0.5, z]] for z in (0.1, 0.5)])
    thin = [Structure(long, ["Cu", "Au"], end) for end in ends]
    cells = [Reduced(_shaken(rng, one)).numbers for one in (*drawn, *drawn, *thin)]
    for one in cells:
        others = [other for other in cells if len(other.points) == len(one.points)]
        lengths, angles = (np.array([getattr(o, of) for o in others]) for of in ("lengths", "angles"))
        answers = could_align(one, lengths, angles)
        assert answers[next(i for i, other in enumerate(others) if other is one)]
        assert all(may or not could_fit(one, other) for may, other in zip(answers, others, strict=True))


def test_lattices_far_apart_cannot_be_aligned() -> None:
    cube, rod = np.eye(3) * 4.0, np.diag([2.0, 2.0, 16.0])
    point = np.zeros((1, 3))
    one, other = Cell(cube, point, ["Cu"]), Cell(rod, point, ["Cu"])
    both = np.array([one.lengths, other.lengths]), np.array([one.angles, other.angles])
    assert could_align(one, *both).tolist() == [True, False]
    assert could_align(other, *both).tolist() == [False, True]


def test_sites_of_other_kinds_are_no_partners() -> None:
    lattice, points = np.eye(3) * 4.0, np.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, 0.5, 0.0]])
    one, other = Cell(lattice, points, ["Cu", "Cu", "Au"]), Cell(lattice, points, ["Au", "Cu", "Cu"])
    assert could_fit(one, one)
    assert not could_fit(one, other)


def test_flat_and_long_cells_are_asked_about_as_any() -> None:
    """Boxes wider than the images that are looked at let a pair through."""
    flat = Structure(Lattice.orthorhombic(2.6, 2.7, 60.0), ["Cu", "Au"], [[0.0, 0.0, 0.0], [0.5, 0.5, 0.02]])
    long = Structure(Lattice.orthorhombic(2.6, 2.7, 60.0), ["Cu", "Au"], [[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]])
    for one, other in ((flat, flat), (flat, long), (long, flat), (long, long)):
        passed, accepted = _numbers(Reduced(one), Reduced(other))
        assert passed or not accepted
