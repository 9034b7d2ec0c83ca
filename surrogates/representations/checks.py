"""What every representation refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pymatgen.core import Structure

MAX_ATOMS = 1000
_MIN_VOLUME = 0.5


def require_sound(structure: Structure) -> None:
    """Raises ValueError for no atoms, too many, a cell (almost) without volume, or coordinates not finite."""
    if not 0 < len(structure) <= MAX_ATOMS:
        raise ValueError(f"structure of {len(structure)} atoms; allowed: 1 to {MAX_ATOMS}")
    if not structure.is_ordered:
        raise ValueError(f"{structure.formula}: sites with partial occupancy are not understood")
    matrix = structure.lattice.matrix
    finite = np.isfinite(structure.frac_coords).all() and np.isfinite(matrix).all()
    if not (finite and abs(np.linalg.det(matrix)) / len(structure) > _MIN_VOLUME):
        raise ValueError(f"{structure.formula}: cell without volume or coordinates not finite")
