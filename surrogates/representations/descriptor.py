"""Global descriptors: composition and smoothed pair distances, and the geometry a domain is judged by.

Invariant under rotation, translation, permutation, cell choice and supercell (all sums are per atom);
smooth in the coordinates, since every pair is weighted by a cutoff function.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from niobe.surrogates.representations.composition import N_ELEMENTS
from niobe.surrogates.representations.elements import atomic_volume, radius

if TYPE_CHECKING:
    from pymatgen.core import Structure

FloatArray = NDArray[np.float64]
CUTOFF = 6.0
_GRID = np.linspace(0.6, 2.6, 21)
_WIDTH = 0.1
_DEFAULT_RADIUS = 1.5
N_GEOMETRY = 5
_CONTACTS = 5.0  # Å; an atom with nobody nearer counts as one at that distance
_SHELL = 0.15  # of the sum of the radii: how far beyond the nearest a neighbour still counts


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


def geometry(structures: Sequence[Structure]) -> FloatArray:
    """Volume and contacts of structures, shape (n, 5).

    Log of the volume over the atoms' own; the least, the mean and the deviation over atoms of the closest
    contact over the sum of two radii; log of the mean number of neighbours about as near as the nearest.
    Raises ValueError for a structure that is not sound.
    """
    return np.array([_geometry(structure) for structure in structures]).reshape(-1, N_GEOMETRY)


def _geometry(structure: Structure) -> list[float]:
    from vesin import NeighborList

    _require_sound(structure)
    numbers, lattice = np.array(structure.atomic_numbers), np.ascontiguousarray(structure.lattice.matrix)
    volumes, radii = _sizes()
    search = NeighborList(cutoff=_CONTACTS, full_list=True, n_threads=1)
    center, neighbour, apart = search.compute(structure.frac_coords % 1.0 @ lattice, lattice, True, "ijd")
    own = radii[numbers]
    contacts = apart / (own[center] + own[neighbour])
    closest = _CONTACTS / (2 * own)
    np.minimum.at(closest, center, contacts)
    near = np.exp(-(((contacts - closest[center]) / _SHELL) ** 2)).sum() / len(numbers)
    volume = np.log(abs(np.linalg.det(lattice)) / volumes[numbers].sum())
    return [volume, closest.min(), closest.mean(), closest.std(), np.log1p(near)]


@functools.cache
def _sizes() -> tuple[FloatArray, FloatArray]:
    """Volume (Å³) and radius (Å) of an atom by atomic number, (104,) each; 1 for 0."""
    from pymatgen.core import Element

    symbols = [Element.from_Z(z).symbol for z in range(1, N_ELEMENTS + 1)]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "No data available", UserWarning)
        volumes, radii = ([1.0, *map(of, symbols)] for of in (atomic_volume, radius))
    return np.array(volumes), np.array(radii)
