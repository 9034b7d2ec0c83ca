"""What is said before the structure matcher is asked is what it would say."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure
from scipy.optimize import linear_sum_assignment

from niobe.loop.crystals.cells import Cell, could_align, could_repeat, fits
from niobe.loop.crystals.overlays import _share_out
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


def _said(one: Reduced, other: Reduced) -> tuple[bool | None, bool]:
    """By the arrays, and by the matcher."""
    accepted = matcher().fit(one.cell, other.cell, skip_structure_reduction=True)
    return fits(one.numbers, other.numbers), bool(accepted)


@pytest.mark.parametrize("seed", range(8))
def test_what_is_certain_is_what_the_matcher_says(seed: int) -> None:
    rng = np.random.default_rng(seed)
    drawn = [_drawn(rng, _COUNTS[seed % len(_COUNTS)]) for _ in range(3)]
    known = [nbo(), rocksalt(), rutile()] if seed < 3 else []
    said = []
    for structure in [*drawn, *known]:
        copies = [Reduced(one) for one in (structure, *(_shaken(rng, structure) for _ in range(5)))]
        said += [_said(a, b) for a, b in combinations(copies, 2) if len(a.cell) == len(b.cell)]
    assert all(certain in {None, accepted} for certain, accepted in said)
    assert any(accepted for _, accepted in said)


@pytest.mark.parametrize("seed", range(4))
def test_pairs_at_the_edge_of_the_tolerances(seed: int) -> None:
    """Sites shaken by up to twice what is overlooked, in cells somewhat strained."""
    rng = np.random.default_rng([seed, 1])
    said = []
    for structure in (nbo(), rutile(), _drawn(rng, (2, 4)), _drawn(rng, (4, 4))):
        for reach in np.linspace(0.0, 0.7, 8):
            shifts = (
                reach
                * rng.uniform(-1, 1, (len(structure), 3))
                * (structure.volume / len(structure)) ** (1 / 3)
            )
            moved = structure.copy()
            moved.lattice = Lattice(structure.lattice.matrix @ (np.eye(3) + rng.normal(0, 0.03, (3, 3))))
            for site, shift in enumerate(shifts):
                moved.translate_sites([site], shift, frac_coords=False)
            one, other = Reduced(structure), Reduced(moved)
            said += [_said(one, other)] if len(one.cell) == len(other.cell) else []
    assert all(certain in {None, accepted} for certain, accepted in said)
    assert {True, False} <= {certain for certain, _ in said}


def test_copies_need_not_be_shown_to_the_matcher() -> None:
    rng = np.random.default_rng(0)
    for structure in (nbo(), rocksalt(), rutile(), *(_drawn(rng, counts) for counts in _COUNTS)):
        turned = Structure(
            structure.lattice.matrix[[1, 2, 0]], structure.species, structure.frac_coords[:, [1, 2, 0]]
        )
        turned.translate_sites(range(len(turned)), [0.3, 0.1, 0.7])
        turned.lattice = Lattice(1.02 * turned.lattice.matrix)
        assert fits(Reduced(structure).numbers, Reduced(turned).numbers) is True


def _midway(beside: float) -> tuple[Cell, Cell]:
    """Each Au of the first lies as near to one Au of the second as to the next. beside: how far Nb is off."""
    lattice, kinds = np.diag([4.0, 4.0, 4.0]), ["Cu", "Nb", "Au", "Au"]
    between = [[0, 0, 0], [0.5, 0, beside], [0.5, 0.5, 0.25], [0.5, 0.5, 0.75]]
    level = [[0, 0, 0], [0.5, 0, 0], [0.5, 0.5, 0], [0.5, 0.5, 0.5]]
    return Cell(lattice, np.array(between), kinds), Cell(lattice, np.array(level), kinds)


@pytest.mark.parametrize(("beside", "said"), [(0.0, True), (0.1, None), (0.5, False)])
def test_a_site_midway_between_two_is_certain_where_either_would_do(beside: float, said: bool | None) -> None:
    between, level = _midway(beside)
    assert fits(between, level) is said
    assert said in {None, _by_matcher(between, level)}
    assert fits(level, level) is True


def test_two_sites_with_one_partner_are_paired_with_two() -> None:
    """Both atoms of the first lie nearest to one of the second."""
    lattice = np.diag([3.0, 3.0, 12.0])
    near = Cell(lattice, np.array([[0, 0, 0.0], [0, 0, 0.04]]), ["Cu", "Cu"])
    for place, said in ((0.08, True), (0.3, False)):
        other = Cell(lattice, np.array([[0, 0, 0.0], [0, 0, place]]), ["Cu", "Cu"])
        assert fits(near, other) is fits(other, near) is said
        assert _by_matcher(near, other) is _by_matcher(other, near) is said


def _by_matcher(*cells: Cell) -> bool:
    made = (Structure(cell.lattice, cell.kinds, cell.points) for cell in cells)
    return bool(matcher().fit(*made, skip_structure_reduction=True))


@pytest.mark.parametrize("seed", range(4))
def test_crowded_sites_of_one_kind_are_paired_as_the_matcher_pairs_them(seed: int) -> None:
    """Shaken until many share a nearest one, in cells left-handed and right-handed."""
    rng = np.random.default_rng([seed, 4])
    said = []
    for kinds in (["Si"] * 6, ["Si"] * 9, ["Cu", "Au", "Au", "Au", "Au", "Au"]):
        lattice = Lattice.from_parameters(*rng.uniform(4.0, 6.0, 3), *rng.uniform(70.0, 110.0, 3))
        structure = Structure(lattice, kinds, rng.random((len(kinds), 3)))
        copies = [structure]
        for _ in range(7):
            copy = _shaken(rng, structure)
            order, turned = rng.permutation(len(copy)), np.diag(rng.choice([-1.0, 1.0], 3))
            species = [copy.species[site] for site in order]
            copies.append(Structure(copy.lattice.matrix @ turned, species, copy.frac_coords[order]))
        cells = [Reduced(copy) for copy in copies]
        said += [_said(a, b) for a, b in combinations(cells, 2) if len(a.cell) == len(b.cell)]
    assert all(certain in {None, accepted} for certain, accepted in said)
    assert {accepted for _, accepted in said} == {True, False}
    assert sum(certain is None for certain, _ in said) <= 0.02 * len(said)


@pytest.mark.parametrize("size", [1, 2, 5, 16])
def test_shares_add_up_to_the_least_sum_of_squares(size: int) -> None:
    rng = np.random.default_rng(size)
    for _ in range(20):
        squares = rng.random((size, size)).round(int(rng.integers(1, 9)))  # of few digits: many equal
        ours, its = np.zeros(size), np.zeros(size)
        _share_out(squares, ours, its)
        rows, columns = linear_sum_assignment(squares)
        assert ours.sum() + its.sum() == pytest.approx(squares[rows, columns].sum(), abs=1e-12)
        assert (squares - ours[:, None] - its >= -1e-12).all()


def test_most_of_what_differs_is_sorted_out() -> None:
    rng = np.random.default_rng(0)
    drawn = [Reduced(_drawn(rng, (2, 4))) for _ in range(12)]
    said = [_said(a, b) for a, b in combinations(drawn, 2)]
    assert sum(certain is None and not accepted for certain, accepted in said) <= 0.1 * len(said)


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
        assert all(may or fits(one, other) is False for may, other in zip(answers, others, strict=True))


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
    assert fits(one, one) is True
    assert fits(one, other) is False


def test_flat_and_long_cells_are_asked_about_as_any() -> None:
    """Boxes wider than the images that are looked at leave a pair to the matcher."""
    flat = Structure(Lattice.orthorhombic(2.6, 2.7, 60.0), ["Cu", "Au"], [[0.0, 0.0, 0.0], [0.5, 0.5, 0.02]])
    long = Structure(Lattice.orthorhombic(2.6, 2.7, 60.0), ["Cu", "Au"], [[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]])
    for one, other in ((flat, flat), (flat, long), (long, flat), (long, long)):
        certain, accepted = _said(Reduced(one), Reduced(other))
        assert certain in {None, accepted}


@pytest.mark.parametrize("seed", range(6))
def test_a_cell_that_cannot_repeat_is_primitive(seed: int) -> None:
    """Cells, supercells of them, and those shaken by about as much as a repeat may be off."""
    rng = np.random.default_rng([seed, 2])
    drawn = [_drawn(rng, counts) for counts in _COUNTS] + [nbo(), rocksalt(), rutile()]
    said = []
    for structure in drawn:
        for matrix in (
            np.eye(3, dtype=int),
            np.diag([1, 2, 1]),
            np.array([[1, 0, 0], [0, 1, 1], [0, -1, 1]]),
        ):
            cell = structure.make_supercell(matrix, in_place=False)
            cell.perturb(rng.uniform(1e-3, 0.4), seed=int(rng.integers(2**32)))
            reduced = cell.get_reduced_structure(reduction_algo="niggli")
            words = [site.species_string for site in reduced]
            smaller = len(reduced.get_primitive_structure()) < len(reduced)
            said.append((could_repeat(reduced.lattice.lengths, reduced.frac_coords, words), smaller))
            if not said[-1][0]:
                assert reduced.get_primitive_structure() == reduced
    assert all(could or not smaller for could, smaller in said)
    assert any(smaller for _, smaller in said)
    assert sum(could and not smaller for could, smaller in said) <= 0.5 * len(said)


@pytest.mark.parametrize("seed", [1101, 1882])
def test_of_species_as_frequent_the_first_by_name_is_asked(seed: int) -> None:
    """Shaken cells that Au repeats within the tolerance, and Cu, as frequent, does not."""
    rng = np.random.default_rng([seed, 3])
    cell = _drawn(rng, (2, 2)).make_supercell([1, 2, 1], in_place=False)
    cell.perturb(rng.uniform(0.25, 0.4), seed=seed)
    reduced = cell.get_reduced_structure(reduction_algo="niggli")
    assert len(reduced.get_primitive_structure()) < len(reduced)
    words = [site.species_string for site in reduced]
    assert could_repeat(reduced.lattice.lengths, reduced.frac_coords, words)
