"""What a crystal GAN is told: elements by role, the composition where one is asked for, the target."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from niobe.surrogates.gan.representation import IntArray
from niobe.surrogates.protocols import FloatArray, SampleRequest
from niobe.surrogates.representations.elements import N_PROPERTIES, charges, properties

MAX_ROLES = 5
_ROLE = N_PROPERTIES + 3
_COMPOSITION = MAX_ROLES * _ROLE
CONDITION = _COMPOSITION + MAX_ROLES + 2
_ROUNDING = 1e-6


def by_role(elements: Iterable[str]) -> tuple[str, ...]:
    """Elements in the order of their roles: the most electropositive first."""
    return tuple(sorted(set(elements), key=lambda symbol: (properties(symbol)[0], symbol)))


def condition(
    elements: Sequence[str], *, stable: bool, fractions: Sequence[float] | None = None
) -> FloatArray:
    """Properties and charges of the elements by role, which are there, fractions, target. (CONDITION,).

    Without ``fractions`` (one a role) the composition is left to the GAN, and a flag says so.
    stable: whether it shows, or is to be, a stable crystal.
    """
    row = np.zeros(CONDITION)
    for role, symbol in enumerate(elements):
        row[role * _ROLE : (role + 1) * _ROLE] = (*properties(symbol), *charges(symbol), 1.0)
    if fractions is not None:
        row[_COMPOSITION : _COMPOSITION + len(fractions)] = fractions
        row[-2] = 1.0
    row[-1] = float(stable)
    return row


def without_composition(rows: FloatArray) -> FloatArray:
    """The same conditions with the composition left open. Shape (n, CONDITION) in and out."""
    opened = rows.copy()
    opened[:, _COMPOSITION:-1] = 0.0
    return opened


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
