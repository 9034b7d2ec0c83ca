"""Relaxing a cell with its sites, by ASE, without working the same out again at every question."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from ase.filters import FrechetCellFilter
from numpy.typing import NDArray

Array = NDArray[np.float64]


class CellFilter(FrechetCellFilter):
    """FrechetCellFilter that keeps its answers until the atoms move.

    An optimiser asks for positions and forces several times a step, and each answer takes logarithms and
    exponentials of matrices: as long as a small potential takes for a small cell.
    """

    def __init__(self, atoms: Any, **options: Any) -> None:
        self._place, self._kept = b"", dict[str, Array]()
        super().__init__(atoms, **options)

    def get_positions(self) -> Array:
        """See FrechetCellFilter. Å for the atoms, then the cell's rows: shape (n + 3, 3)."""
        return self._once("positions", super().get_positions)

    def get_forces(self, **options: Any) -> Array:
        """See FrechetCellFilter. eV/Å for the atoms, then the cell's rows: shape (n + 3, 3)."""
        return super().get_forces(**options) if options else self._once("forces", super().get_forces)

    def _once(self, what: str, answer: Callable[[], Array]) -> Array:
        place = self.atoms.positions.tobytes() + self.atoms.cell.array.tobytes()
        if place != self._place:
            self._place, self._kept = place, {}
        if what not in self._kept:
            self._kept[what] = answer()
        return self._kept[what].copy()
