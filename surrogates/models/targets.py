"""Labels: what a surrogate accepts, what can be learned, and the composition's share of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pymatgen.core import Structure

FloatArray = NDArray[np.float64]
PROBABILITIES = ("p_stable", "p_failure")
MIN_LABELS = 4
_RIDGE = 1e-3


def checked(structures: Sequence[Structure], targets: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """Targets with a known label, as floats, (n,). Raises ValueError for what cannot be trained on."""
    for name, labels in targets.items():
        if len(labels) != len(structures):
            raise ValueError(f"target {name}: {len(labels)} labels for {len(structures)} structures")
        if np.isinf(labels).any():
            raise ValueError(f"target {name}: label {int(np.flatnonzero(np.isinf(labels))[0])} is infinite")
        if name in PROBABILITIES and not np.isin(labels[~np.isnan(labels)], (0.0, 1.0)).all():
            raise ValueError(f"target {name}: labels must be 0, 1 or NaN (unknown)")
    known = {n: np.asarray(t, float) for n, t in targets.items() if not np.isnan(t).all()}
    if not known:
        raise ValueError("no target has a known label")
    return known


@dataclass(frozen=True)
class Constant:
    """What is answered for a target with too few labels, or with labels of one class only."""

    mean: float
    std: float


def constant(name: str, labels: FloatArray) -> Constant | None:
    """The constant answer where labels of shape (n,), NaN unknown, are too few to learn from; else None."""
    y = labels[~np.isnan(labels)]
    if name in PROBABILITIES:
        lone = len(set(y)) == 1 or len(y) < MIN_LABELS
        return Constant(float((y.sum() + 1) / (len(y) + 2)), 0.3) if lone else None
    return Constant(float(y.mean()), max(float(y.std()), 0.5)) if len(y) < MIN_LABELS else None


@dataclass(frozen=True)
class Baseline:
    """A linear fit on element fractions, and the spread of what it leaves: what networks learn."""

    weights: FloatArray
    offset: float
    scale: float

    @classmethod
    def fit(cls, name: str, rows: FloatArray, labels: FloatArray, *, ridge: float = _RIDGE) -> Baseline:
        """From fractions (n, 103) and labels (n,), NaN unknown; ``ridge`` a row. Classes get none.

        name: the target's. rows, labels: n each.
        """
        from sklearn.linear_model import Ridge

        if name in PROBABILITIES:
            return cls(np.zeros(rows.shape[1]), 0.0, 1.0)
        known = ~np.isnan(labels)
        fitted = Ridge(ridge * known.sum()).fit(rows[known], labels[known])
        left = labels[known] - fitted.predict(rows[known])
        return cls(np.asarray(fitted.coef_), float(fitted.intercept_), max(float(left.std()), 1e-6))

    def reduced(self, rows: FloatArray, labels: FloatArray) -> FloatArray:
        """Labels (n,) of rows (n, 103) as the network sees them: dimensionless."""
        return np.asarray((labels - rows @ self.weights - self.offset) / self.scale)

    def restored(self, rows: FloatArray, answers: FloatArray) -> FloatArray:
        """The network's answers (members, n) in the target's unit."""
        return np.asarray(answers * self.scale + rows @ self.weights + self.offset)
