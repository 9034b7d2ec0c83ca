"""Placeholders where VASP would report electrons: flat bands with a gap of 1 eV, whatever the crystal.

They have the shapes that parsers want and mean nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from niobe.flows.oracles.mock_vasp.inputs import Array, Inputs

GAP = 1.0
_EMPTY = 4
_SPACING = 0.1
_DOS_POINTS = 61


@dataclass(frozen=True)
class Electrons:
    """levels: (spins, bands, 2) energy (eV) and occupation, the same at every k; dos: (spins, n, 3)."""

    spins: int
    levels: Array
    dos: Array
    fermi: float = 0.0

    @property
    def bands(self) -> int:
        return int(self.levels.shape[1])


def placeholder(inputs: Inputs) -> Electrons:
    """Levels filled from below, above them a gap. NBANDS and NUPDOWN are honoured where they suffice."""
    spins = 2 if inputs.tag("ISPIN", 1) == 2 else 1
    total = inputs.electrons
    excess = max(0.0, inputs.tag("NUPDOWN", 0.0)) if spins == 2 else 0.0
    filled = [math.ceil((total + excess) / 2), math.floor((total - excess) / 2)][:spins]
    bands = max(inputs.tag("NBANDS", 0), max(filled) + _EMPTY)
    levels = np.array([_levels(count, bands) for count in filled])
    return Electrons(spins, levels, np.array([_dos(row) for row in levels]))


def moments(inputs: Inputs) -> Array:
    """MAGMOM as labels of the atoms, shape (n_atoms,); 1 each where ISPIN = 2 names none."""
    count = len(inputs.cell.symbols)
    if inputs.tag("ISPIN", 1) != 2:
        return np.zeros(count)
    return np.array(inputs.tag("MAGMOM", [1.0] * count)[:count], dtype=float)


def born_charges(inputs: Inputs) -> Array:
    """Diagonal charges that sum to zero, from the valences of the POTCAR. Shape (n_atoms, 3, 3)."""
    each = zip(inputs.potcar, inputs.cell.species, strict=True)
    valences = np.array([part.valence for part, (_, count) in each for _ in range(count)])
    return np.asarray((valences - valences.mean())[:, None, None] * np.eye(3))


def dielectric_tensor() -> Array:
    """A number above 1, as insulators have. Shape (3, 3)."""
    return 5.0 * np.eye(3)


def _levels(filled: int, bands: int) -> Array:
    index = np.arange(bands)
    below = -GAP / 2 - _SPACING * (filled - 1 - index)
    above = GAP / 2 + _SPACING * (index - filled)
    full = index < filled
    return np.stack([np.where(full, below, above), full.astype(float)], axis=1)


def _dos(levels: Array) -> Array:
    """Energy, states per eV, integrated states. Shape (n, 3)."""
    edges = np.linspace(levels[0, 0] - 1, levels[-1, 0] + 1, _DOS_POINTS)
    counts = np.concatenate([[0], np.histogram(levels[:, 0], edges)[0]])
    return np.stack([edges, counts / (edges[1] - edges[0]), np.cumsum(counts)], axis=1)
