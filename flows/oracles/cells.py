"""Relaxing a cell with its sites, by ASE, without working the same out again at every question."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from ase.filters import FrechetCellFilter
from ase.neighborlist import neighbor_list
from ase.optimize import BFGS
from numpy.typing import NDArray
from scipy.linalg import expm, logm

Array = NDArray[np.float64]
_STIFFNESS = 10.0
"""eV/Å², of the spring between two nearest neighbours along their bond."""
_ACROSS = 0.1
"""How stiff it is across the bond, as a share of that."""
_DECAY = 3.0
"""A spring is softer by exp(-3) where its atoms are twice as far apart as neighbours; none is longer."""
_ANYWHERE = 1.0
"""eV/Å², of each coordinate alone: nothing is without any spring."""
_SOFTEST, _STIFFEST = 0.2, 5.0
"""Times as stiff as guessed that springs are at the least and at the most."""
_REACH, _FURTHER = 4.0, 1.3
"""Å within which neighbours are looked for, and times as far until each atom has one."""


class SpringBFGS(BFGS):
    """ASE's BFGS whose first guess of the Hessian is a network of springs between near atoms, made softer or
    stiffer after one step.

    One number for all coordinates, which is ASE's guess, makes a cell that deforms as a whole as stiff as a
    bond, and a relaxation from near a minimum learns step by step what the network says at once (Lindh et
    al., Chem. Phys. Lett. 241, 423, 1995; Packwood et al., J. Chem. Phys. 144, 164109, 2016).
    """

    def __init__(self, moved: CellFilter, maxstep: float = 0.2) -> None:
        """moved: what relaxes. maxstep: the longest step, Å."""
        self._moved = moved
        super().__init__(moved, logfile=None, maxstep=maxstep)

    def initialize(self) -> None:
        """See BFGS."""
        super().initialize()
        self.H0 = springs(self._moved)

    def update(self, place: Array, forces: Array, place_before: Array, forces_before: Array) -> None:
        """See BFGS. What the first step met says how stiff the springs are in all: an oxide's more than a
        metal's.

        place, place_before: coordinates, now and before the step. forces, forces_before: along them.
        """
        if self.nsteps == 1:
            moved = place - place_before
            share = moved @ (forces_before - forces) / (moved @ self.H0 @ moved)
            if share > 0:
                self.state.hessian = self.H0 * np.clip(share, _SOFTEST, _STIFFEST)
        super().update(place, forces, place_before, forces_before)


class CellFilter(FrechetCellFilter):
    """FrechetCellFilter with less to work out: what an optimiser asks again is kept, and no logarithm of a
    matrix is taken where it is known.

    The three last rows of positions are the logarithm of the deformation that the optimiser set itself, and
    the slopes along all its nine entries are one derivative of the exponential: that of the transposed
    matrix in the direction of the cell's gradient. For small cells the rest took as long as a small
    potential.
    """

    def __init__(self, atoms: Any, **options: Any) -> None:
        self._place, self._kept = b"", dict[str, Array]()
        self._log, self._cell_of_log = np.zeros((3, 3)), b""
        super().__init__(atoms, **options)

    def set_positions(self, new: Array, **options: Any) -> None:
        """See FrechetCellFilter. new: as ``get_positions`` has them."""
        super().set_positions(new, **options)
        log = new[len(self.atoms) :] / self.exp_cell_factor
        self._log = log - np.eye(3) * np.log(self.cell_factor)
        self._cell_of_log = self.atoms.cell.array.tobytes()

    def get_positions(self) -> Array:
        """See FrechetCellFilter. Å for the atoms, then the cell's rows: shape (n + 3, 3)."""
        return self._once("positions", self._positions)

    def get_forces(self, **options: Any) -> Array:
        """See FrechetCellFilter. eV/Å for the atoms, then the cell's rows: shape (n + 3, 3)."""
        return super().get_forces(**options) if options else self._once("forces", self._forces)

    def _positions(self) -> Array:
        deformation = self.deform_grad()
        sites = np.linalg.solve(deformation, self.atoms.positions.T).T
        rows = self._log_of(deformation) + np.eye(3) * np.log(self.cell_factor)
        return np.vstack([sites, rows * self.exp_cell_factor])

    def _forces(self) -> Array:
        atoms, deformation = self.atoms, self.deform_grad()
        forces, stress = atoms.get_forces(), atoms.get_stress(voigt=False)
        pressed = stress + np.eye(3) * self.scalar_pressure
        gradient = -atoms.get_volume() * pressed @ np.linalg.inv(deformation.T)
        rows = _along(self._log_of(deformation), gradient)
        if self.constant_volume:
            rows -= np.eye(3) * rows.trace() / 3
        return np.vstack([forces @ deformation, rows / self.exp_cell_factor])

    def _log_of(self, deformation: Array) -> Array:
        """Its logarithm, as it was set; worked out where the cell was changed past this filter."""
        if self.atoms.cell.array.tobytes() != self._cell_of_log:
            self._log = logm(deformation).real
            self._cell_of_log = self.atoms.cell.array.tobytes()
        return self._log

    def _once(self, what: str, answer: Callable[[], Array]) -> Array:
        place = self.atoms.positions.tobytes() + self.atoms.cell.array.tobytes()
        if place != self._place:
            self._place, self._kept = place, {}
        if what not in self._kept:
            self._kept[what] = answer()
        return self._kept[what].copy()


def _along(log: Array, gradient: Array) -> Array:
    """Slopes of a function of exp(log) along the entries of ``log``, shape (3, 3).

    gradient: of the function along the entries of exp(log). The derivative of the exponential at ``log`` in a
    direction is the upper right block of the exponential of [[log, direction], [0, log]] (Mathias, SIAM J.
    Matrix Anal. Appl. 17, 610, 1996); its adjoint is that at the transposed matrix.
    """
    zero = np.zeros((3, 3))
    block = expm(np.block([[log.T, gradient], [zero, log.T]]))
    return np.asarray(block[:3, 3:])


def springs(moved: CellFilter) -> Array:
    """Second derivatives (eV/Å²) of the energy of springs between near atoms along the coordinates that
    relax, shape (3 n + 9, 3 n + 9): those of n atoms, then the rows of the cell.

    moved: as it stands, not deformed. Where its volume is constant, no spring pulls at that.
    """
    one, other, bonds, stiff = _bonds(moved.atoms)
    n, scale = len(moved.atoms), moved.exp_cell_factor
    sites, mixed = np.zeros((n, n, 3, 3)), np.zeros((n, 3, 3, 3))
    for rows, columns, sign in ((one, one, 1), (other, other, 1), (one, other, -1), (other, one, -1)):
        np.add.at(sites, (rows, columns), sign * stiff)
    pulled = np.einsum("bxy,bz->bxyz", stiff, bonds) / scale
    np.add.at(mixed, other, pulled)
    np.add.at(mixed, one, -pulled)
    cell = np.einsum("bxy,bz,bw->xzyw", stiff, bonds, bonds).reshape(9, 9) / scale**2
    upper = np.hstack([sites.transpose(0, 2, 1, 3).reshape(3 * n, 3 * n), mixed.reshape(3 * n, 9)])
    hessian = np.vstack([upper, np.hstack([mixed.reshape(3 * n, 9).T, cell])])
    if moved.constant_volume:
        volume = np.concatenate([np.zeros(3 * n), np.eye(3).ravel() / np.sqrt(3)])
        kept = np.eye(3 * n + 9) - np.outer(volume, volume)
        hessian = kept @ hessian @ kept
    return np.asarray(hessian + _ANYWHERE * np.eye(3 * n + 9))


def _bonds(atoms: Any) -> tuple[NDArray[np.int64], NDArray[np.int64], Array, Array]:
    """Pairs of atoms within twice what nearest neighbours are apart, each from both ends: the atoms, the
    vectors from one to the other (Å, shape (m, 3)) and half of each spring (eV/Å², shape (m, 3, 3))."""
    reach, nearest = _REACH, np.full(len(atoms), np.inf)
    while not np.isfinite(nearest).all():
        one, other, lengths, vectors = neighbor_list("ijdD", atoms, reach)
        np.minimum.at(nearest, one, lengths)
        reach *= _FURTHER
    apart = lengths / ((nearest[one] + nearest[other]) / 2)
    near = apart < 2
    one, other, vectors, apart = one[near], other[near], vectors[near], apart[near]
    along = vectors / lengths[near, None]
    turned = along[:, :, None] * along[:, None, :]
    strength = _STIFFNESS * np.exp(_DECAY * (1 - apart))[:, None, None] / 2
    return one, other, vectors, strength * (turned + _ACROSS * (np.eye(3) - turned))
