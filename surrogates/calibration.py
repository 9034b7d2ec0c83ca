"""Making a spread honest: split conformal scaling, calibrated probabilities, and how far off calibration is.

Sources: Lei et al., J. Am. Stat. Assoc. 113, 1094 (2018) for normalised conformal intervals; Platt,
Advances in Large Margin Classifiers (1999); Tran et al., Mach. Learn.: Sci. Technol. 1, 025006 (2020) for
the area.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
LEVEL = 0.9
Z_90 = 1.6448536269514722
_FEW = 4
_DRAWN_IN = 0.1


@dataclass(frozen=True)
class Scaling:
    """std = factor × (spread + floor); floor in the target's unit."""

    factor: float
    floor: float

    def __call__(self, spread: FloatArray) -> FloatArray:
        return self.factor * (spread + self.floor)


def conformal_scaling(errors: FloatArray, spread: FloatArray, *, fallback: float) -> Scaling:
    """The scaling whose ±1.645 std held 90 % of held-out errors. errors, spread: shape (n,), same unit.

    With fewer than 4 errors the std is the ``fallback``, which says that nothing is known.
    """
    if len(errors) < _FEW:
        return Scaling(1.0, fallback)
    size = np.abs(errors)
    floor = float(max(np.median(spread), 0.5 * size.mean(), 1e-9))
    rank = min(np.ceil((len(size) + 1) * LEVEL) / len(size), 1.0)
    return Scaling(float(np.quantile(size / (spread + floor), rank, method="higher")) / Z_90, floor)


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
