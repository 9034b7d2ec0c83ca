"""Harmonic free energies from force constants, by phonopy, and where they must not be taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from phonopy import Phonopy

KJ_PER_MOL = 96.48533
"""1 eV a particle in kJ/mol."""
TOLERANCE = 0.1
"""THz below zero from which on a mode of the mesh is imaginary."""
_MESH_LENGTH = 100.0  # Å: 0.05 meV/atom from a mesh of 60 in AuCu3
Array = NDArray[np.float64]


class ImaginaryModesError(ValueError):
    """A crystal with imaginary modes has no harmonic free energy."""


@dataclass(frozen=True)
class Harmonic:
    """Thermal properties at constant volume, each of shape (n,), of as many temperatures (K).

    free_energy: of the vibrations, zero-point energy included, eV/atom. entropy and heat_capacity: J/K a mole
    of atoms.
    """

    temperatures: Array
    free_energy: Array
    entropy: Array
    heat_capacity: Array


def harmonic(phonon: Phonopy, temperatures: Sequence[float], tolerance: float = TOLERANCE) -> Harmonic:
    """Thermal properties by the harmonic approximation (Togo, J. Phys. Soc. Jpn. 92, 012001, 2023).

    phonon: with force constants. temperatures: K. tolerance: THz. Raises ImaginaryModesError where a mode of
    a mesh of 100 Å lies further below zero.
    """
    phonon.run_mesh(_MESH_LENGTH)
    lowest = float(np.asarray(phonon.get_mesh_dict()["frequencies"]).min())
    if lowest < -tolerance:
        raise ImaginaryModesError(f"imaginary modes, {lowest:.2f} THz the lowest")
    phonon.run_thermal_properties(temperatures=list(temperatures))
    found = phonon.get_thermal_properties_dict()
    atoms = len(phonon.primitive)
    return Harmonic(
        temperatures=np.array(temperatures, dtype=float),
        free_energy=np.asarray(found["free_energy"]) / KJ_PER_MOL / atoms,
        entropy=np.asarray(found["entropy"]) / atoms,
        heat_capacity=np.asarray(found["heat_capacity"]) / atoms,
    )
