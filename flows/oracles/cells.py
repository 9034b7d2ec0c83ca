"""Relaxing a cell with its sites, by ASE, without working the same out again at every question."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from ase.filters import FrechetCellFilter
from numpy.typing import NDArray
from scipy.linalg import expm, logm

Array = NDArray[np.float64]


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
