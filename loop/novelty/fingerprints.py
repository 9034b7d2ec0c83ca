"""Average minimum distances, resolved by element: a fingerprint of a crystal that asks for no cell.

After Widdowson et al., MATCH Commun. Math. Comput. Chem. 87, 529 (2022). It is the same for every choice of
cell, origin and orientation, changes as little as the atoms move, and shares nothing with the structure
matcher: the second opinion of what is one crystal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from niobe.surrogates.protocols import FloatArray

if TYPE_CHECKING:
    from pymatgen.core import Structure

NEIGHBOURS = 60
"""Neighbours of an atom, of all elements together, whose distances count."""
ANY = "*"


def fingerprint(structure: Structure, *, by_element: bool = True) -> FloatArray:
    """Mean distance of the atoms of an element to their 1st, 2nd, … neighbour of each element. Shape (k,).

    In units of the cube root of the volume per atom, so that a crystal and the same under pressure agree. An
    element counts as many neighbours as it has shares in 60, from one on; elements in alphabetical order.

    structure: an ordered crystal. by_element: False takes all atoms as one kind. Only those of crystals
    of equal proportions can be compared.
    """
    symbols = np.array([site.specie.symbol if by_element else ANY for site in structure])
    length = float(structure.volume / len(structure)) ** (1 / 3)
    kinds, counts = np.unique(symbols, return_counts=True)
    parts = []
    for kind, count in zip(kinds, counts, strict=True):
        wanted = max(1, round(NEIGHBOURS * count / len(structure)))
        distances = _nearest(structure, symbols == kind, wanted)
        parts += [distances[symbols == other].mean(axis=0) for other in kinds]
    return np.concatenate(parts) / length


def difference(one: FloatArray, other: FloatArray) -> FloatArray:
    """The largest relative difference between distances; infinite where the fingerprints have other lengths.

    one: shape (k,). other: shape (k,), or (n, k) for n answers at once.
    """
    if one.shape[-1] != other.shape[-1]:
        return np.full(other.shape[:-1], np.inf)
    return (2 * np.abs(one - other) / (one + other)).max(axis=-1)


def _nearest(structure: Structure, chosen: np.ndarray, wanted: int) -> FloatArray:
    """Distances (Å) of each site to the ``wanted`` nearest of the chosen ones but itself. (n, wanted)."""
    from scipy.spatial import KDTree

    centres = (np.asarray(structure.frac_coords) % 1.0) @ structure.lattice.matrix
    density = chosen.sum() / structure.volume
    radius = (3 * (wanted + 1) / (4 * np.pi * density)) ** (1 / 3)
    while True:
        images = _images(structure, chosen, radius)
        if len(images) > wanted:
            found, _ = KDTree(images).query(centres, k=wanted + 1)
            found = np.asarray(found)
            own = found[:, 0] < 1e-3
            rows = np.where(own[:, None], found[:, 1:], found[:, :-1])
            if rows.max() <= radius:
                return rows
        radius *= 1.3


def _images(structure: Structure, chosen: np.ndarray, radius: float) -> FloatArray:
    """All images of the chosen sites within ``radius`` (Å) of the cell. Shape (m, 3), Å."""
    lattice = structure.lattice
    fractional = np.asarray(structure.frac_coords) % 1.0
    reach = np.ceil(radius * np.asarray(lattice.reciprocal_lattice_crystallographic.abc) + 1).astype(int)
    ranges = [np.arange(-n, n + 1) for n in reach]
    shifts = np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1).reshape(-1, 3)
    points = (fractional[chosen][:, None, :] + shifts[None, :, :]).reshape(-1, 3)
    margin = radius * np.asarray(lattice.reciprocal_lattice_crystallographic.abc)
    near = np.all((points >= -margin) & (points <= 1 + margin), axis=1)
    return points[near] @ lattice.matrix
