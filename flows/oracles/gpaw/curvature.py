"""How a potential's energy bends along sites and cell: where DFT's search for a minimum begins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from niobe.config.potentials import unknown_to
from niobe.flows.oracles.cells import CellFilter, springs
from niobe.flows.oracles.potentials import UnphysicalAnswerError, potential
from niobe.loop.crystals.symmetry import SYMPREC, dataset
from niobe.surrogates.protocols import FloatArray

if TYPE_CHECKING:
    from pymatgen.core import Structure

POTENTIAL = "7net-0"
_STEP = 0.01  # Å
_LEAST = 1.0
"""eV/Å²: what bends less, or downwards, is taken to bend so, and no step is long."""


def curvature(structure: Structure) -> FloatArray:
    """Second derivatives of the energy, eV/Å², in the coordinates of ASE's FrechetCellFilter: shape
    (3 n + 9, 3 n + 9), as symmetric as the crystal, so that no step along them breaks a symmetry.

    By 7net-0, no eigenvalue below ``_LEAST``; of springs between atoms for an element that it does not know,
    and where it has no answer.

    structure: where the search begins.
    """
    atoms = structure.to_ase_atoms(msonable=False)
    moved = CellFilter(atoms)
    if unknown_to(POTENTIAL, {site.specie.symbol for site in structure}):
        return springs(moved)
    atoms.calc = potential(POTENTIAL)
    try:
        found = _symmetric(structure, _differences(moved))
    except UnphysicalAnswerError:
        return springs(CellFilter(structure.to_ase_atoms(msonable=False)))
    values, vectors = np.linalg.eigh(found)
    return np.asarray((vectors * np.maximum(np.abs(values), _LEAST)) @ vectors.T)


def _differences(moved: CellFilter) -> FloatArray:
    """Of forces, between two points along each coordinate."""
    start = moved.get_positions().copy()

    def forces(row: int, step: float) -> FloatArray:
        place = start.ravel().copy()
        place[row] += step
        moved.set_positions(place.reshape(start.shape))
        return np.array(moved.get_forces()).ravel()

    rows = [(forces(row, -_STEP) - forces(row, _STEP)) / (2 * _STEP) for row in range(start.size)]
    found = np.array(rows)
    return (found + found.T) / 2


def _symmetric(structure: Structure, found: FloatArray) -> FloatArray:
    """The mean over the symmetry operations: a site's shift turns and goes to the site's image, and the
    cell's deformation turns on both sides."""
    symmetry = dataset(structure, SYMPREC)
    if symmetry is None:
        return found
    across = structure.lattice.matrix.T
    total, atoms = np.zeros_like(found), len(structure)
    for rotation, shift in zip(symmetry.operations.rotations, symmetry.operations.translations, strict=True):
        turn = across @ np.array(rotation) @ np.linalg.inv(across)
        images = structure.frac_coords @ np.array(rotation).T + np.array(shift)
        apart = images[:, None] - structure.frac_coords[None]
        nearest = np.linalg.norm((apart - np.round(apart)) @ structure.lattice.matrix, axis=2).argmin(axis=1)
        moves = np.zeros_like(found)
        moves[: 3 * atoms, : 3 * atoms] = np.kron(np.eye(atoms)[nearest].T, turn)
        moves[3 * atoms :, 3 * atoms :] = np.kron(turn, turn)
        total += moves.T @ found @ moves
    return total / len(symmetry.operations)
