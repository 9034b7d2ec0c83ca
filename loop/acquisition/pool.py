"""What acquisition chooses from, and what it chose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from niobe.loop.acquisition.objectives import Objectives
from niobe.surrogates.protocols import FloatArray, Prediction

_NEUTRAL = 0.5
_CHUNK = 4096


@dataclass(frozen=True)
class Pool:
    """n candidates. features: (n, d); predictions of shape (n,), e_above_hull in eV/atom.

    novelty: (n,), between 0 and 1; seconds: (n,), what a validation is expected to cost; p_target: (n,),
    the probability of being what is looked for, less for what lies high, see target_probability; in_range:
    (n,), that of meeting the ranges of the campaign's goals. objectives: what is wanted besides stability.
    """

    ids: tuple[str, ...]
    features: FloatArray
    e_above_hull: Prediction
    p_stable: Prediction | None = None
    p_failure: Prediction | None = None
    novelty: FloatArray | None = None
    seconds: FloatArray | None = None
    p_target: FloatArray | None = None
    in_range: FloatArray | None = None
    objectives: Objectives | None = None

    def known(self) -> NDArray[np.bool_]:
        """Where all that a choice hangs on is finite, and inside the surrogate's domain. Shape (n,)."""
        prediction = self.e_above_hull
        known = prediction.in_domain & np.isfinite(prediction.mean + prediction.std)
        for figure in (self.novelty, self.seconds, self.p_target, self.in_range):
            known = known if figure is None else known & np.isfinite(figure)
        return known if self.objectives is None else known & self.objectives.known()

    def stability(self) -> FloatArray:
        """P(dynamically stable), neutral where unknown. Shape (n,)."""
        return _probability(self.p_stable, len(self.ids), _NEUTRAL)

    def success(self) -> FloatArray:
        """P(oracle succeeds), 1 where unknown. Shape (n,)."""
        return 1 - _probability(self.p_failure, len(self.ids), 0.0)

    def feasibility(self) -> FloatArray:
        """P(dynamically stable) · P(oracle succeeds), neutral where unknown. Shape (n,)."""
        return np.clip(self.stability() * self.success(), 1e-3, 1.0)


@dataclass(frozen=True)
class Pick:
    """One chosen candidate; score is the acquisition value it had when chosen."""

    index: int
    id: str
    score: float | None
    selection: Literal["acquired", "control"]
    rank: int


@dataclass(frozen=True)
class Batch:
    """Picks in rank order; excluded: candidates without a prediction; cold_start: nothing could be ranked."""

    picks: tuple[Pick, ...]
    excluded: int
    cold_start: bool


def novelty(features: FloatArray, known: FloatArray) -> FloatArray:
    """How far each row (n, d) lies from the nearest known row (m, d): 0 there, towards 1 far away."""
    if not len(known):
        return np.ones(len(features))
    squares = (known**2).sum(axis=1)
    nearest = np.empty(len(features))
    for start in range(0, len(features), _CHUNK):
        rows = features[start : start + _CHUNK]
        squared = (rows**2).sum(axis=1)[:, None] + squares - 2 * rows @ known.T
        nearest[start : start + _CHUNK] = np.maximum(squared.min(axis=1), 0.0)
    return np.asarray(1 - np.exp(-nearest / (2 * features.shape[1])))


def _probability(prediction: Prediction | None, n: int, unknown: float) -> FloatArray:
    if prediction is None:
        return np.full(n, unknown)
    return np.nan_to_num(np.clip(prediction.mean, 0.0, 1.0), nan=unknown)
