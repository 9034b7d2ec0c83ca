"""A global descriptor: composition statistics and smoothed pair distances. Invariant by construction.

Invariant under rotation, translation, permutation, cell choice and supercell (all sums are per atom);
smooth in the coordinates, since every pair is weighted by a cutoff function.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pymatgen.core import Structure

FloatArray = NDArray[np.float64]
CUTOFF = 6.0
_GRID = np.linspace(0.6, 2.6, 21)
_WIDTH = 0.1
_DEFAULT_RADIUS = 1.5


@functools.cache
def _element_row(symbol: str) -> tuple[float, ...]:
    from pymatgen.core import Element

    element = Element(symbol)
    negativity = element.X if element.Z not in {2, 10, 18} else 0.0
    radius = float(element.atomic_radius or _DEFAULT_RADIUS)
    return (
        float(element.Z),
        float(element.atomic_mass),
        negativity,
        radius,
        float(element.group),
        float(element.row),
    )


def descriptor(structures: Sequence[Structure]) -> FloatArray:
    """One row per structure, shape (n, 89). Raises ValueError for a cell without volume or not finite."""
    return np.array([_one(structure) for structure in structures]).reshape(len(structures), -1)


def _one(structure: Structure) -> FloatArray:
    _require_sound(structure)
    rows = np.array([_element_row(site.specie.symbol) for site in structure])
    radii = rows[:, 3]
    volume = structure.volume / len(structure)
    packing = float((radii**3).sum() * 4.18879 / structure.volume)
    composition = np.concatenate([rows.mean(0), rows.std(0), rows.min(0), rows.max(0)])
    return np.concatenate([composition, [np.log(volume), packing], _pairs(structure, rows)])


def _require_sound(structure: Structure) -> None:
    if not np.isfinite(structure.frac_coords).all() or not structure.volume > 1e-3:
        raise ValueError(
            f"{structure.composition.reduced_formula}: cell without volume or coordinates not finite"
        )


def _pairs(structure: Structure, rows: FloatArray) -> FloatArray:
    """Distances over the sum of radii, smeared on a grid: all, like, and weighted by ΔX. Per atom."""
    first, second, _, distance = structure.get_neighbor_list(CUTOFF)
    scaled = distance / (rows[first, 3] + rows[second, 3])
    fade = 0.5 * (np.cos(np.pi * np.clip(distance / CUTOFF, 0, 1)) + 1)
    smeared = fade[:, None] * np.exp(-0.5 * ((scaled[:, None] - _GRID[None, :]) / _WIDTH) ** 2)
    polarity = np.abs(rows[first, 2] - rows[second, 2])
    like = (rows[first, 0] == rows[second, 0]).astype(float)
    atoms = len(structure)
    return np.concatenate(
        [(smeared * weight[:, None]).sum(0) / atoms for weight in (1 + 0 * like, like, polarity)]
    )
