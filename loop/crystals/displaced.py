"""A crystal moved off its symmetry, to see whether it is a saddle."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pymatgen.core import Structure

_STRAIN = 0.01


def displaced(structure: Structure, distance: float, *, seed: int) -> Structure:
    """Every site moved by ``distance`` (Å) in a direction of its own, the cell strained by about 1 %.

    Nothing of the symmetry is left. structure: a crystal. seed: of the directions and the strain.
    """
    from pymatgen.core import Lattice

    rng = np.random.default_rng(seed)
    strain = rng.uniform(-_STRAIN, _STRAIN, (3, 3))
    matrix = structure.lattice.matrix @ (np.eye(3) + (strain + strain.T) / 2)
    moves = rng.normal(size=(len(structure), 3))
    moves *= distance / np.linalg.norm(moves, axis=1, keepdims=True)
    moved = type(structure)(Lattice(matrix), structure.species, structure.frac_coords)
    coordinates = moved.cart_coords + moves
    return type(structure)(Lattice(matrix), structure.species, coordinates, coords_are_cartesian=True)
