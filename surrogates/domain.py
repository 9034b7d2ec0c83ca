"""Where a surrogate may answer: elements it saw, and near enough to what it was trained on.

Distance in a network's own representation after Janet et al., Chem. Sci. 10, 7913 (2019).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pymatgen.core import Structure

FloatArray = NDArray[np.float64]
_REACH = 3.0
_JUDGED = 2000


class Domain:
    """Training rows, shape (n, d), and the elements seen."""

    def __init__(self, rows: FloatArray, elements: frozenset[str]) -> None:
        self.rows, self.elements = rows, elements
        self._mean, self._std = rows.mean(0), rows.std(0) + 1e-6
        self._search: Any = None
        self._reach = float("inf")

    def scaled(self, rows: FloatArray) -> FloatArray:
        """Rows with the training rows' mean and spread taken out."""
        return np.asarray((rows - self._mean) / self._std)

    def distance(self, rows: FloatArray) -> FloatArray:
        """Distance to the nearest training row over the reach; above 1 is outside. Shape (n,)."""
        if self._search is None:
            self._learn()
        return np.asarray(self._search.kneighbors(self.scaled(rows), 1)[0][:, 0] / self._reach)

    def holds(self, structures: Sequence[Structure], rows: FloatArray) -> NDArray[np.bool_]:
        """Which structures, with their rows, lie inside. Shape (n,)."""
        seen = np.array([{e.symbol for e in s.composition} <= self.elements for s in structures], dtype=bool)
        return seen & (self.distance(rows) <= 1.0) if len(rows) else seen

    def _learn(self) -> None:
        """The reach: three times the gap that 90 % of training rows have to their nearest other."""
        from sklearn.neighbors import NearestNeighbors

        scaled = self.scaled(self.rows)
        self._search = NearestNeighbors(algorithm="brute").fit(scaled)
        if len(scaled) > 1:
            some = scaled[:: max(len(scaled) // _JUDGED, 1)]
            gaps = self._search.kneighbors(some, 2)[0][:, 1]
            self._reach = _REACH * max(float(np.quantile(gaps, 0.9)), 1.0)


def elements_of(structures: Sequence[Structure]) -> frozenset[str]:
    """Symbols of all elements in the structures."""
    return frozenset(element.symbol for s in structures for element in s.composition)
