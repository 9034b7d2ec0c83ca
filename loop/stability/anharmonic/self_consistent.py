"""Whether motion at a temperature holds a crystal that is unstable at 0 K: self-consistent harmonic phonons.

Supercells are displaced as the harmonic crystal moves at the temperature, zero-point motion included, force
constants are fitted to their forces, and the crystal moves by these from then on (Tadano and Tsuneyuki, Phys.
Rev. B 92, 054301, 2015; displacements by phonopy, Togo, J. Phys. Soc. Jpn. 92, 012001, 2023, and fits by
symfc; phonopy's own loop knows no potential but pypolymlp). A mode that is still imaginary moves as if its
frequency were real. The first force constants are those of 0 K: a crystal that its motion could hold or not,
because its wells are deep beside the temperature, is not held.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from niobe.loop.documents.dynamics import Renormalised, SoftestMode, Stability
from niobe.loop.stability.force_constants import Forces, NotFiniteError
from niobe.loop.stability.phonons import lowest
from niobe.loop.stability.supercells import held_points

if TYPE_CHECKING:
    from phonopy import Phonopy

Constants = NDArray[np.float64]
ITERATIONS, COUNTED = 12, 6
"""Fits in all, and of these the last ones, which the answer is the mean of."""
SNAPSHOTS = 16
"""Displaced supercells of a fit, at least: twice as many as finite displacements need, where that is more."""
_MOST_EQUATIONS = 6000
"""Force components that finite displacements need: a fit takes memory by their square."""
_ERRORS = 2.0
"""Standard errors by which a frequency has to lie clear of the tolerance."""


class TooManyConstantsError(ValueError):
    """A crystal has too little symmetry for its supercell for force constants to be fitted."""


def renormalised(phonon: Phonopy, temperature: float, forces: Forces, tolerance: float) -> Renormalised:
    """The softest mode at a temperature (K), over the q-points that the supercell holds.

    phonon: with the symmetrised force constants of 0 K. forces: of displaced cells, eV/Å. tolerance: THz
    below zero at which a mode still counts as stable. Raises NotFiniteError, TooManyConstantsError.
    """
    snapshots = _snapshots(phonon)
    moving, held = phonon.copy(), held_points(np.asarray(phonon.supercell_matrix).T)
    now = np.array(phonon.force_constants)
    fits: list[Constants] = []
    for iteration in range(ITERATIONS):
        moving.force_constants = now
        fits.append(_fitted(moving, temperature, forces, snapshots, iteration))
        now = (now + fits[-1]) / 2
    softest = [_lowest(moving, fit, held).frequency for fit in fits[-COUNTED:]]
    error = float(np.std(softest, ddof=1) / np.sqrt(COUNTED))
    mean = _lowest(moving, np.mean(fits[-COUNTED:], axis=0), held)
    return Renormalised(
        temperature=temperature,
        frequency=mean.frequency,
        q_point=mean.q_point,
        error=error,
        outcome=_outcome(mean.frequency + tolerance, _ERRORS * error),
    )


def _snapshots(phonon: Phonopy) -> int:
    still = phonon.copy()
    still.generate_displacements()
    needed = len(still.displacements)
    if 3 * len(still.supercell) * needed > _MOST_EQUATIONS:
        raise TooManyConstantsError(f"{needed} displacements of {len(still.supercell)} atoms: too many")
    return max(SNAPSHOTS, 2 * needed)


def _fitted(moving: Phonopy, temperature: float, forces: Forces, snapshots: int, seed: int) -> Constants:
    """Force constants fitted to forces on supercells that are displaced by those that ``moving`` has."""
    from pymatgen.io.phonopy import get_pmg_structure

    moving.generate_displacements(number_of_snapshots=snapshots, temperature=temperature, random_seed=seed)
    found = forces([get_pmg_structure(cell) for cell in moving.supercells_with_displacements or []])
    if not all(np.isfinite(array).all() for array in found):
        raise NotFiniteError("forces are not finite")
    moving.forces = np.array(found)
    moving.produce_force_constants(
        fc_calculator="symfc", calculate_full_force_constants=False, show_drift=False
    )
    return np.array(moving.force_constants)


def _lowest(moving: Phonopy, constants: Constants, held: NDArray[np.float64]) -> SoftestMode:
    moving.force_constants = constants
    return lowest(moving, held)


def _outcome(above: float, error: float) -> Stability:
    """above: of the softest mode above what still counts as stable, THz."""
    if abs(above) <= error:
        return Stability.UNDECIDED
    return Stability.STABLE if above > 0 else Stability.UNSTABLE
