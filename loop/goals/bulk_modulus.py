"""Bulk modulus of a relaxed crystal from a few energies of the oracle under isotropic strain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from niobe.loop.goals.properties import Property
from niobe.surrogates.protocols import FloatArray

if TYPE_CHECKING:
    from pymatgen.core import Structure

_VOLUMES = (0.94, 0.96, 0.98, 1.0, 1.02, 1.04, 1.06)
_DEGREE = 3
_DIGITS = 4
"""Of a modulus in GPa. What lies beyond depends on what a calculator had done before."""
_OFF = 0.05
"""Of the depth of the curve: energies that lie farther off it are no equation of state."""


def bulk_modulus(structure: Structure, energies: Callable[[Sequence[Structure]], FloatArray]) -> float:
    """Bulk modulus (GPa) by the equation of state of Alchagirov et al., Phys. Rev. B 67, 026103 (2003): an
    energy that is a cubic polynomial in the inverse cube root of the volume.

    Sites keep their fractional coordinates and axes their ratios, so that what would give way by either comes
    out too stiff. structure: as the oracle relaxed it; the modulus is that of its volume. energies: of seven
    volumes, 0.94 to 1.06 of its own, eV for the cell, shape (7,); under a pressure enthalpies, which curve as
    energies do. Raises ValueError where they lie on no such curve, where that has no minimum between these
    volumes, as a relaxed crystal has, and where it does not curve upwards at its own.
    """
    from ase.units import GPa

    cells = [structure.copy() for _ in _VOLUMES]
    for cell, share in zip(cells, _VOLUMES, strict=True):
        cell.scale_lattice(share * structure.volume)
    volumes, found = structure.volume * np.array(_VOLUMES), energies(cells)
    roots = volumes ** -(1 / 3)
    curve = np.poly1d(np.polyfit(roots, found, _DEGREE))
    off = np.abs(curve(roots) - found).max()
    if off > _OFF * np.ptp(found):
        raise ValueError(f"energies lie up to {off:.2g} eV off an equation of state")
    if not np.polyder(curve)(roots[0]) > 0 > np.polyder(curve)(roots[-1]):
        lowest = _VOLUMES[int(np.argmin(found))]
        raise ValueError(f"no minimum near the relaxed volume: the energy is lowest at {lowest:g} of it")
    modulus = _curvature(curve, structure.volume) * structure.volume / GPa
    if not modulus > 0:
        raise ValueError("the energy does not curve upwards at the relaxed volume")
    return round(float(modulus), _DIGITS)


def _curvature(energy: np.poly1d, volume: float) -> float:
    """Second derivative (eV/Å⁶) by volume (Å³) of an energy that is a polynomial in its inverse cube root."""
    root = volume ** (-1 / 3)
    first, second = np.polyder(energy, 1)(root), np.polyder(energy, 2)(root)
    return float(second * root**8 / 9 + first * 4 / 9 * root**7)


BULK_MODULUS = Property(
    "GPa", "equation of state of seven energies under isotropic strain", "oracle", bulk_modulus
)
