"""Judging surrogates: cross-validation, learning curves, and which model suits the data.

Power law of learning curves after Cortes et al., NeurIPS 1993.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from niobe.surrogates.calibration import coverage, miscalibration_area
from niobe.surrogates.protocols import FloatArray, Surrogate

if TYPE_CHECKING:
    from pymatgen.core import Structure

Make = Callable[[], Surrogate]
AUTOMATIC = ("gbt", "gbt_magpie", "moments")
_MIN_ROWS = 12
_BOOTSTRAPS = 400
_FEWEST_SIZES = 3


@dataclass(frozen=True)
class Score:
    """Of one model on held-out rows: errors in the target's unit, seconds of one training.

    judged: share of rows it answered for; the others it abstained from, and they count in nothing else.
    """

    model: str
    mae: float
    rmse: float
    coverage: float
    miscalibration: float
    judged: float
    seconds: float
    per_second: float


def cross_validated(
    name: str,
    make: Make,
    structures: Sequence[Structure],
    target: str,
    labels: FloatArray,
    *,
    folds: int,
    seed: int,
) -> Score:
    """Score over ``folds`` parts, each predicted by a surrogate trained on the others.

    Raises ValueError for fewer than 12 rows or more folds than rows.
    name: of the model in the score. make: an untrained surrogate. structures, labels: n each, labels (n,)
    in the target's unit; target: a surrogate's target by name. folds: parts. seed: of the parts and the
    training.
    """
    if len(structures) < max(_MIN_ROWS, folds):
        raise ValueError(f"{len(structures)} rows; cross-validation needs at least {max(_MIN_ROWS, folds)}")
    errors, stds, training, predicting = [], [], [], []
    for part in np.array_split(np.random.default_rng(seed).permutation(len(labels)), folds):
        rest = np.setdiff1d(np.arange(len(labels)), part)
        model, started = make(), time.perf_counter()
        model.fit([structures[i] for i in rest], {target: labels[rest]}, seed=seed)
        trained = time.perf_counter()
        answer = model.predict([structures[i] for i in part])[target]
        training.append(trained - started)
        predicting.append(time.perf_counter() - trained)
        errors.append(answer.mean - labels[part])
        stds.append(answer.std)
    return _score(
        name,
        np.concatenate(errors),
        np.concatenate(stds),
        float(np.mean(training)),
        float(np.sum(predicting)),
    )


def _score(name: str, errors: FloatArray, std: FloatArray, training: float, predicting: float) -> Score:
    judged = np.isfinite(errors)
    if not judged.any():
        nan = float("nan")
        return Score(name, nan, nan, nan, nan, 0.0, training, len(errors) / predicting)
    answered, width = errors[judged], std[judged]
    return Score(
        model=name,
        mae=float(np.abs(answered).mean()),
        rmse=float(np.sqrt((answered**2).mean())),
        coverage=coverage(answered, width),
        miscalibration=miscalibration_area(answered, width),
        judged=float(judged.mean()),
        seconds=training,
        per_second=len(errors) / predicting,
    )


def compared(
    makers: Mapping[str, Make],
    structures: Sequence[Structure],
    target: str,
    labels: FloatArray,
    *,
    folds: int,
    seed: int,
) -> list[Score]:
    """One score a model on the same folds, lowest error first; who answered for nobody is last.

    makers: an untrained surrogate by name. structures, labels: n each, labels (n,) in the target's unit;
    target: a surrogate's target by name. folds: parts. seed: of the parts and the training.
    """
    scores = [
        cross_validated(name, make, structures, target, labels, folds=folds, seed=seed)
        for name, make in makers.items()
    ]
    return sorted(scores, key=lambda score: score.mae if np.isfinite(score.mae) else float("inf"))


@dataclass(frozen=True)
class LearningCurve:
    """Test error (the target's unit) at each number of records, one row a repeat: shape (repeats, sizes).

    answered: share of the test rows that the error is over, as the surrogate abstained from the others; an
    error over none is NaN. Same shape.
    """

    sizes: NDArray[np.int64]
    errors: FloatArray
    answered: FloatArray


@dataclass(frozen=True)
class PowerLaw:
    """error = factor × records^exponent, with a bootstrap over repeats: factors and exponents, shape (b,)."""

    factor: float
    exponent: float
    factors: FloatArray
    exponents: FloatArray

    def error(self, records: float) -> float:
        """Expected error with so many records."""
        return float(self.factor * records**self.exponent)

    def interval(self) -> tuple[float, float]:
        """90 % of the bootstrap's exponents."""
        low, high = np.quantile(self.exponents, [0.05, 0.95])
        return float(low), float(high)

    def records_for(self, error: float) -> tuple[float, float, float]:
        """Records at which the error is reached: best, and 90 % interval; infinite where it does not fall."""
        every = _records(self.factors, self.exponents, error)
        best = _records(np.array([self.factor]), np.array([self.exponent]), error)[0]
        low, high = np.quantile(every, [0.05, 0.95], method="nearest")
        return float(best), float(low), float(high)


def learning_curve(
    make: Make,
    structures: Sequence[Structure],
    target: str,
    labels: FloatArray,
    *,
    sizes: Sequence[int],
    repeats: int,
    seed: int,
) -> LearningCurve:
    """Error on a fifth held out, by size of the part of the rest trained on; drawn anew each repeat.

    Raises ValueError where a size is above what is left to train on.
    make: an untrained surrogate. structures, labels: n each, labels (n,) in the target's unit; target: a
    surrogate's target by name. sizes: numbers of records. repeats: draws of the parts. seed: of draws and
    trainings.
    """
    held = len(structures) // 5
    if max(sizes) > len(structures) - held or held < 1:
        raise ValueError(f"{max(sizes)} records asked for; {len(structures) - held} are left to train on")
    errors, answered = np.full((repeats, len(sizes)), np.nan), np.zeros((repeats, len(sizes)))
    for repeat in range(repeats):
        order = np.random.default_rng([seed, repeat]).permutation(len(structures))
        test, pool = order[:held], order[held:]
        for column, size in enumerate(sizes):
            model, part = make(), pool[:size]
            model.fit([structures[i] for i in part], {target: labels[part]}, seed=seed + repeat)
            inside, missed = _missed(model, [structures[i] for i in test], target, labels[test])
            answered[repeat, column] = inside
            errors[repeat, column] = missed
    return LearningCurve(np.array(sizes), errors, answered)


def _missed(
    model: Surrogate, structures: Sequence[Structure], target: str, labels: FloatArray
) -> tuple[float, float]:
    """Share of the structures it answers for, and its mean absolute error on these, NaN without any."""
    errors = np.abs(model.predict(structures)[target].mean - labels)
    inside = np.isfinite(errors)
    return float(inside.mean()), float(errors[inside].mean()) if inside.any() else float("nan")


def power_law(curve: LearningCurve, *, seed: int) -> PowerLaw | None:
    """Least squares in logarithms, residuals resampled, over sizes at which every repeat answered.

    None for fewer than 3 of these.
    """
    whole = np.isfinite(curve.errors).all(axis=0)
    if whole.sum() < _FEWEST_SIZES:
        return None
    sizes, logs = curve.sizes[whole], np.log(curve.errors[:, whole])
    factor, exponent = _line(sizes, logs.mean(0))
    left = logs - (np.log(factor) + exponent * np.log(sizes))
    rng = np.random.default_rng(seed)
    drawn = [
        _line(sizes, np.log(factor * sizes**exponent) + rng.choice(left.ravel(), left.shape).mean(0))
        for _ in range(_BOOTSTRAPS)
    ]
    factors, exponents = np.array(drawn).T
    return PowerLaw(factor, exponent, factors, exponents)


def _line(sizes: NDArray[np.int64], logs: FloatArray) -> tuple[float, float]:
    slope, offset = np.polyfit(np.log(sizes), logs, 1)
    return float(np.exp(offset)), float(slope)


def _records(factors: FloatArray, exponents: FloatArray, error: float) -> FloatArray:
    falling = exponents < 0
    powers = np.divide(np.log(error / factors), exponents, out=np.full(len(factors), np.inf), where=falling)
    return np.asarray(np.exp(np.minimum(powers, 700.0)))
