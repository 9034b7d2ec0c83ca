"""Supercells of phonons: wide enough, holding what is judged, the same for every description."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phonopy import Phonopy
from pymatgen.core import Lattice, Structure
from pymatgen.io.phonopy import get_phonopy_structure

from niobe.loop.stability.supercells import (
    ZONE_BOUNDARY,
    NoSupercellError,
    held_points,
    holds_point,
    holds_stars,
    image_distance,
    supercell_matrix,
)

BASES = st.sampled_from(
    [
        basis
        for rows in itertools.product(itertools.product((-1, 0, 1), repeat=3), repeat=3)
        if abs(np.linalg.det(basis := np.array(rows))) == pytest.approx(1)
    ][::97]
)


@st.composite
def crystals(draw: st.DrawFn) -> Structure:
    """One to three atoms in a cell of any shape with 2.5 to 11 Å edges."""
    edges = [draw(st.floats(2.5, 11.0)) for _ in range(3)]
    angles = [draw(st.sampled_from((60.0, 75.0, 90.0, 110.0))) for _ in range(3)]
    sites = draw(st.integers(1, 3))
    places = [[0.0, 0.0, 0.0], [0.31, 0.42, 0.55], [0.62, 0.17, 0.83]][:sites]
    return Structure(Lattice.from_parameters(*edges, *angles), ["Cu"] * sites, places)


def supercell(structure: Structure, matrix: np.ndarray[tuple[int, int], np.dtype[np.int64]]) -> Lattice:
    return Lattice(matrix @ structure.lattice.matrix)


@settings(max_examples=40, deadline=None)
@given(crystals(), BASES)
def test_images_are_far_and_the_zone_boundary_is_held_in_any_basis(
    crystal: Structure, basis: np.ndarray[tuple[int, int], np.dtype[np.int64]]
) -> None:
    matrix = supercell_matrix(crystal, 7.5, 256)
    assert image_distance(supercell(crystal, matrix)) >= 7.5 - 1e-5
    assert np.linalg.det(matrix) > 0
    assert all(holds_point(matrix, q) for q in ZONE_BOUNDARY)
    other = Structure(
        Lattice(basis @ crystal.lattice.matrix),
        crystal.species,
        crystal.cart_coords,
        coords_are_cartesian=True,
    )
    again = supercell_matrix(other, 7.5, 256)
    shapes = [supercell(c, m).get_niggli_reduced_lattice() for c, m in ((crystal, matrix), (other, again))]
    assert shapes[0].find_mapping(shapes[1], ltol=1e-4, atol=1e-3), "edges of one length have no order"


def test_the_cheapest_cell_keeps_the_symmetry() -> None:
    """By hand: of face-centred cubic copper the 4 × 4 × 4 cell, though narrower cells with images as far are
    less symmetric."""
    cell = Structure.from_spacegroup(225, Lattice.cubic(3.61), ["Cu"], [[0, 0, 0]]).get_primitive_structure()
    matrix = supercell_matrix(cell, 7.5, 256)
    assert round(np.linalg.det(matrix)) == 64
    assert image_distance(supercell(cell, matrix)) == pytest.approx(4 * 3.61 / np.sqrt(2))


def test_skewed_cells_are_measured_by_images_not_by_edges() -> None:
    """Sr3Ti2O7, I4/mmm: 3.9 Å between images along a in any cell by the edges of the primitive one."""
    crystal = Structure.from_spacegroup(
        139,
        Lattice.tetragonal(3.9, 20.4),
        ["Sr", "Sr", "Ti", "O", "O", "O"],
        [[0.0, 0, 0.5], [0, 0, 0.3146], [0, 0, 0.098], [0, 0, 0], [0, 0, 0.194], [0, 0.5, 0.096]],
    ).get_primitive_structure()
    matrix = supercell_matrix(crystal, 7.5, 256)
    assert len(crystal) * round(np.linalg.det(matrix)) == 96
    assert image_distance(supercell(crystal, matrix)) == pytest.approx(7.8)


def test_no_cell_within_the_atoms_says_so() -> None:
    crystal = Structure(Lattice.cubic(4), ["Cu"] * 2, [[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]])
    with pytest.raises(NoSupercellError, match=r"zone boundary; phonons\.max_supercell_atoms 15"):
        supercell_matrix(crystal, 7.5, 15)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-3, 3), min_size=9, max_size=9))
def test_as_many_points_are_held_as_primitive_cells(entries: list[int]) -> None:
    matrix = np.array(entries).reshape(3, 3)
    size = round(abs(np.linalg.det(matrix)))
    if size == 0:
        return
    ours = held_points(matrix)
    assert len(ours) == size
    assert all(holds_point(matrix, q) for q in ours)


def test_rows_are_vectors_of_the_supercell() -> None:
    crystal = Structure(Lattice.from_parameters(3, 4, 5, 80, 95, 100), ["Cu"], [[0, 0, 0]])
    matrix = np.array([[2, 1, 0], [0, 2, 0], [0, 1, 3]])
    phonon = Phonopy(get_phonopy_structure(crystal), supercell_matrix=matrix.T, primitive_matrix=np.eye(3))
    assert phonon.supercell.cell == pytest.approx(matrix @ crystal.lattice.matrix)


THIRD = 1 / 3


@pytest.mark.parametrize(
    ("lattice", "alike", "others"),
    [
        (Lattice.cubic(3.0), [[0, THIRD, 0], [0, 0, 2 / 3]], [[THIRD, THIRD, 0], [0, 0.5, 0]]),
        (Lattice.tetragonal(3.0, 4.0), [[0, 2 / 3, 0]], [[0, 0, THIRD], [THIRD, THIRD, 0]]),
        (Lattice.hexagonal(3.0, 5.0), [[0, THIRD, 0], [2 / 3, THIRD, 0]], [[THIRD, THIRD, 0]]),
    ],
)
def test_a_cell_that_holds_a_point_holds_its_star(
    lattice: Lattice, alike: list[list[float]], others: list[list[float]]
) -> None:
    """Three cells along a hold a third of a*, and what the crystal's symmetry turns it into."""
    crystal, cell = Structure(lattice, ["Cu"], np.zeros((1, 3))), np.diag([3, 1, 1])
    held = holds_stars(cell, np.array([[THIRD, 0, 0], *alike, *others]), crystal)
    assert held.tolist() == [True] * (1 + len(alike)) + [False] * len(others)
