"""Which supercell a phonon verdict needs.

Force constants from a supercell are exact at the q-points that it holds and reach no further than half the
way to an atom's nearest image. So the images must lie far enough apart, and Γ and the seven zone-boundary
points with halves of reciprocal vectors, where most crystals are softest, must be held: every vector of the
supercell is twice a lattice vector. Such sublattices are enumerated by their Hermite normal forms, not only
diagonal ones (Lloyd-Williams and Monserrat, Phys. Rev. B 92, 184301, 2015), and compared by quantities that
do not depend on how the lattice is described.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from niobe.loop.crystals.sublattices import hermite_normal_forms

if TYPE_CHECKING:
    from pymatgen.core import Lattice, Structure

Integers = NDArray[np.int64]
Points = NDArray[np.float64]
ZONE_BOUNDARY: Points = np.array(list(itertools.product((0.0, 0.5), repeat=3)))
_ROUNDING = 1e-6
_STEPS = np.array(list(itertools.product(range(-2, 3), repeat=3)))


class NoSupercellError(ValueError):
    """No supercell of at most the allowed atoms is wide enough and holds the zone boundary."""


def supercell_matrix(
    structure: Structure, min_length: float, max_atoms: int, holds: Points = ZONE_BOUNDARY
) -> Integers:
    """The cheapest supercell with images at least ``min_length`` (Å) apart that holds some q-points.

    structure: a primitive cell. holds: q-points, fractional, shape (n, 3). Rows of the answer, shape (3, 3),
    are the supercell's vectors in the primitive cell's basis; the determinant is above zero. The cheapest
    has the fewest atoms times displacements, that is atoms times the point operations of the crystal for
    each that the supercell keeps; of the equally cheap, the one whose images lie furthest apart.

    Raises NoSupercellError where none of at most ``max_atoms`` atoms will do.
    """
    lattice, change = _reduced(structure.lattice)
    most = max_atoms // len(structure)
    base = _holding(holds @ change.T, most)
    cells = [] if base is None else _cheapest(base, lattice, min_length, most, _rotations(structure, change))
    if not cells:
        raise NoSupercellError(
            f"no supercell with images {min_length:g} Å apart holds "
            f"{'the zone boundary' if len(holds) > 1 else 'q'}; phonons.max_supercell_atoms {max_atoms}"
        )
    chosen = max(cells, key=lambda cell: _shells(cell, lattice))
    matrix = _reduced(_sublattice(chosen, lattice))[1] @ chosen @ change
    return np.asarray(matrix * round(np.sign(np.linalg.det(matrix))), dtype=np.int64)


def held_points(matrix: Integers) -> Points:
    """The q-points at which a supercell's force constants are exact: fractional in [0, 1), shape (n, 3).

    matrix: the supercell's vectors as rows, shape (3, 3); n is its determinant. Held are the q with an
    integer v·q for every vector v of the supercell: the columns of its inverse span them.
    """
    size = _index(matrix)
    steps = np.arange(size)
    numerators = np.zeros((1, 3), dtype=np.int64)
    for column in np.rint(size * np.linalg.inv(matrix)).astype(np.int64).T:
        turned = (numerators[:, None] + steps[:, None] * column).reshape(-1, 3)
        numerators = np.unique(turned % size, axis=0)
    return np.asarray(numerators / size)


def holds_point(matrix: Integers, q: Points) -> bool:
    """Whether the supercell with these vectors (rows) holds the q-point (fractional, shape (3,))."""
    turns = matrix @ q
    return bool((np.abs(turns - np.rint(turns)) < _ROUNDING).all())


def holds_stars(matrix: Integers, points: Points, structure: Structure) -> NDArray[np.bool_]:
    """Which q-points (fractional, shape (n, 3)) a supercell holds, or some point of their star: shape (n,).

    What holds one point of a star says of all what they are, as the crystal's symmetry turns them into one
    another.

    structure: the primitive cell. matrix: the supercell's vectors in it, as rows.
    """
    stars = np.einsum("rij,nj->nri", _rotations(structure, np.eye(3, dtype=np.int64)), points)
    turns = stars @ matrix.T
    return np.asarray((np.abs(turns - np.rint(turns)) < _ROUNDING).all(axis=2).any(axis=1))


def _holding(points: Points, most: int) -> Integers | None:
    """The largest sublattice that holds these q-points, as rows, unless its index is above ``most``."""
    for size in range(1, most + 1):
        cells = np.array(hermite_normal_forms(size))
        turns = cells @ points.T
        fitting = (np.abs(turns - np.rint(turns)) < _ROUNDING).all(axis=(1, 2))
        if fitting.any():
            return np.asarray(cells[fitting][0])
    return None


def _cheapest(
    base: Integers, lattice: Lattice, min_length: float, most: int, rotations: Integers
) -> list[Integers]:
    """Sublattices of ``base`` with images ``min_length`` (Å) apart, of at most ``most`` primitive cells."""
    near = _near(_sublattice(base, lattice), min_length)
    best: list[Integers] = []
    cost = np.inf
    for size in range(1, most // _index(base) + 1):
        if size > cost - _ROUNDING:
            break
        for cell in _wide(size, near) @ base:
            its = size * len(rotations) / _kept(cell, rotations)
            best = [cell] if its < cost - _ROUNDING else [*best, cell] if its < cost + _ROUNDING else best
            cost = min(its, cost)
    return best


def image_distance(lattice: Lattice) -> float:
    """The shortest vector of a lattice, Å: how far an atom is from its nearest image."""
    return float(min(lattice.get_niggli_reduced_lattice().abc))


def _reduced(lattice: Lattice) -> tuple[Lattice, Integers]:
    """The lattice by short vectors, and these in its own basis (rows)."""
    short = lattice.get_lll_reduced_lattice()
    return short, np.rint(short.matrix @ lattice.inv_matrix).astype(np.int64)


def _sublattice(cell: Integers, lattice: Lattice) -> Lattice:
    return type(lattice)(cell @ lattice.matrix)


def _rotations(structure: Structure, change: Integers) -> Integers:
    """Point operations of a crystal on row vectors in the basis ``change``, shape (n, 3, 3)."""
    from moyopy import MoyoDataset
    from moyopy.interface import MoyoAdapter

    data = MoyoDataset(MoyoAdapter.from_structure(structure), symprec=1e-4)
    turns = np.unique(np.array(data.operations.rotations), axis=0).transpose(0, 2, 1)
    return np.rint(change @ turns @ np.linalg.inv(change)).astype(np.int64)


def _near(lattice: Lattice, length: float) -> Points:
    """Vectors of a lattice shorter than ``length`` (Å), in its basis: shape (n, 3)."""
    points = lattice.get_points_in_sphere([[0, 0, 0]], [0, 0, 0], length - _ROUNDING)
    coords: Points = np.rint([point[0] for point in points]).reshape(-1, 3)
    return coords[np.abs(coords).max(axis=1) > 0]


def _wide(size: int, near: Points) -> Integers:
    """The sublattices of index ``size`` that hold none of the vectors ``near`` (n, 3): shape (m, 3, 3)."""
    cells = np.array(hermite_normal_forms(size))
    coords = near @ np.linalg.inv(cells)
    inside = np.abs(coords - np.rint(coords)).max(axis=2) < _ROUNDING
    return np.asarray(cells[~inside.any(axis=1)])


def _kept(cell: Integers, rotations: Integers) -> int:
    """How many of the rotations turn the sublattice into itself."""
    turned = cell @ rotations @ np.linalg.inv(cell)
    return int((np.abs(turned - np.rint(turned)) < _ROUNDING).all(axis=(1, 2)).sum())


def _shells(cell: Integers, lattice: Lattice) -> tuple[float, ...]:
    """Lengths (Å) of the shortest vectors of a sublattice: the same however it is described."""
    short, _ = _reduced(_sublattice(cell, lattice))
    return tuple(np.sort(np.linalg.norm(_STEPS @ short.matrix, axis=1)).round(3)[:25].tolist())


def _index(cell: Integers) -> int:
    return round(abs(float(np.linalg.det(cell))))
