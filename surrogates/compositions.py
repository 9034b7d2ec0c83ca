"""The compositions that a request for candidates allows, and draws from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from niobe.surrogates.protocols import FloatArray, SampleRequest

IntArray = NDArray[np.int64]
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Compositions:
    """Numbers of atoms that a request allows (n,), and the least and most of every role (n, roles)."""

    totals: IntArray
    least: IntArray
    most: IntArray

    @classmethod
    def inside(cls, request: SampleRequest, elements: Sequence[str]) -> Compositions:
        """Those of exactly these elements; none where the fractions asked for leave none."""
        ranges = np.array([request.fractions.get(symbol, (0.0, 1.0)) for symbol in elements])
        missing = set(request.elements) - set(elements)
        needed = any(request.fractions.get(symbol, (0.0, 1.0))[0] > _ROUNDING for symbol in missing)
        totals = np.arange(max(request.min_atoms, len(elements)), request.max_atoms + 1)
        least = np.maximum(np.ceil(totals[:, None] * ranges[:, 0] - _ROUNDING), 1).astype(np.int64)
        most = np.floor(totals[:, None] * ranges[:, 1] + _ROUNDING).astype(np.int64)
        fits = (least <= most).all(axis=1) & (least.sum(axis=1) <= totals) & (totals <= most.sum(axis=1))
        fits &= not needed
        return cls(totals[fits], least[fits], most[fits])

    def counts(self, rng: np.random.Generator) -> IntArray:
        """Atoms of each role in one of them, every number of atoms equally often. Shape (roles,)."""
        return self._one(int(rng.integers(len(self.totals))), rng)

    def draw(self, n: int, rng: np.random.Generator) -> FloatArray:
        """Atomic fractions by role of n of them. Shape (n, roles)."""
        rows = rng.integers(len(self.totals), size=n)
        return np.array([self._one(row, rng) / self.totals[row] for row in rows])

    def _one(self, row: int, rng: np.random.Generator) -> IntArray:
        """Atoms of each role, one role after the other, each leaving room for the rest."""
        least, most = self.least[row], self.most[row]
        counts = np.zeros_like(least)
        for role in range(len(least)):
            left = self.totals[row] - counts.sum()
            low = max(least[role], left - most[role + 1 :].sum())
            high = min(most[role], left - least[role + 1 :].sum())
            counts[role] = rng.integers(low, high + 1)
        return counts
