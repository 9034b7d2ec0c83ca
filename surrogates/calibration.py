"""Making a spread honest: split conformal scaling, calibrated probabilities, and how far off calibration is.

Sources: Lei et al., J. Am. Stat. Assoc. 113, 1094 (2018) for normalised conformal intervals; Platt,
Advances in Large Margin Classifiers (1999); Tran et al., Mach. Learn.: Sci. Technol. 1, 025006 (2020) for
the area.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
LEVEL = 0.9
Z_90 = 1.6448536269514722
_FEW, _OF_A_KIND = 4, 9
_DRAWN_IN = 0.1
_STANDARD_ERRORS = 2


@dataclass(frozen=True)
class Scaling:
    """std = factor × (spread + floor); floor in the target's unit.

    of_kind: other factors, by kind of crystal.
    """

    factor: float
    floor: float
    of_kind: Mapping[str, float] = field(default_factory=dict)

    def __call__(self, spread: FloatArray, kinds: NDArray[np.str_] | None = None) -> FloatArray:
        factor = self.factor if kinds is None else [self.of_kind.get(kind, self.factor) for kind in kinds]
        return np.asarray(factor * (spread + self.floor))


def conformal_scaling(
    errors: FloatArray, spread: FloatArray, *, fallback: float, kinds: NDArray[np.str_] | None = None
) -> Scaling:
    """The scaling whose ±1.645 std held 90 % of held-out errors. errors, spread: shape (n,), same unit.

    With fewer than 4 errors the std is the ``fallback``, which says that nothing is known. kinds: of crystal,
    (n,); one with 9 errors or more, the fewest of which one bounds nine of ten, has a factor of its own
    (Vovk, Mondrian conformal prediction, 2003).
    """
    if len(errors) < _FEW:
        return Scaling(1.0, fallback)
    size = np.abs(errors)
    floor = float(max(np.median(spread), 0.5 * size.mean(), 1e-9))
    scores = size / (spread + floor) / Z_90
    names, count = np.unique(np.empty(0, dtype=str) if kinds is None else kinds, return_counts=True)
    of_kind = {str(name): _conformal(scores[kinds == name]) for name in names[count >= _OF_A_KIND]}
    return Scaling(_conformal(scores), floor, of_kind)


def _conformal(scores: FloatArray) -> float:
    """What one more score lies below with the level's probability: the ⌈(n + 1) × level⌉th of n."""
    return float(np.sort(scores)[min(math.ceil((len(scores) + 1) * LEVEL), len(scores)) - 1])


def believed(said: FloatArray, truth: FloatArray, *, noise: float = 0.0) -> float:
    """How much of a correction is believed, from 0 to 1: as much as held-out labels bear out.

    The slope b of least squares through zero, drawn to 0 as b (1 − 4/t²) for b of t standard errors (James
    and Stein, Proc. 4th Berkeley Symp. 1, 361, 1961): nothing within two of them, nearly b for many.
    said, truth: what it said of held-out rows and what came true, shape (n,), same unit. noise: of the sum of
    squares of what it said, what is chance that the whole ensemble is free of.
    """
    told = float(said @ said) - noise
    slope = float(said @ truth) / told if told > 0 else 0.0
    if slope <= 0:
        return 0.0
    doubt = _STANDARD_ERRORS**2 * float(np.mean(np.square(truth - slope * said))) / told
    return float(np.clip(slope - doubt / slope, 0.0, 1.0))


def held_out(answers: FloatArray, outside: NDArray[np.bool_]) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation, (n,) each, of what the members that were not trained on a row say of it.

    answers: of members of all rows, shape (members, n). outside: where a row was not in a member's bag; NaN
    comes of a row that was in every bag.
    """
    count = np.where(outside.any(axis=0), outside.sum(axis=0), np.nan)
    mean = np.where(outside, answers, 0.0).sum(axis=0) / count
    squares = np.where(outside, np.square(answers - mean), 0.0).sum(axis=0)
    return mean, np.sqrt(squares / count)


@dataclass(frozen=True)
class Sharpness:
    """Platt's scaling of a logit: slope × logit + shift."""

    slope: float = 1.0
    shift: float = 0.0

    def __call__(self, probability: FloatArray) -> FloatArray:
        return 1 / (1 + np.exp(-(self.slope * _logit(probability) + self.shift)))


def platt_scaling(probability: FloatArray, labels: FloatArray) -> Sharpness:
    """Fitted to held-out labels (0 or 1), shape (n,), with a slope drawn to 0 as far as they are few.

    Where they show no skill, one probability for all: their share, by Laplace's rule.
    """
    from sklearn.linear_model import LogisticRegression

    share = (labels.sum() + 1) / (len(labels) + 2)
    unskilled = Sharpness(0.0, float(np.log(share / (1 - share))))
    if len(set(labels)) < 2:
        return unskilled
    fitted = LogisticRegression(C=_DRAWN_IN).fit(_logit(probability)[:, None], labels)
    slope = float(fitted.coef_[0, 0])
    return Sharpness(slope, float(fitted.intercept_[0])) if slope > 0 else unskilled


def _logit(probability: FloatArray) -> FloatArray:
    clipped = np.clip(probability, 1e-4, 1 - 1e-4)
    return np.asarray(np.log(clipped / (1 - clipped)))


def coverage(errors: FloatArray, std: FloatArray) -> float:
    """Share of errors inside the 90 % interval. errors, std: shape (n,), same unit."""
    return float(np.mean(np.abs(errors) <= Z_90 * std))


def miscalibration_area(errors: FloatArray, std: FloatArray) -> float:
    """Area between expected and observed coverage of central intervals, 0 (calibrated) to 0.5.

    errors, std: shape (n,), same unit.
    """
    from scipy.stats import norm

    expected = np.linspace(0, 1, 101)
    halves = norm.ppf(0.5 + expected[:-1] / 2)
    inside = np.abs(errors)[None, :] <= halves[:, None] * std[None, :]
    observed = np.append(inside.mean(axis=1), 1.0)
    return float(np.trapezoid(np.abs(observed - expected), expected))
