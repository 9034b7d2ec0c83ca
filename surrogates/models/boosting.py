"""Gradient boosting on the global descriptor: a bagged ensemble, its spread scaled to out-of-bag errors.

Sources: Friedman, Ann. Statist. 29, 1189 (2001); variance scaling after Kuleshov et al., ICML 2018.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from surrogates.protocols import FloatArray, Prediction
from surrogates.representations.descriptor import descriptor

if TYPE_CHECKING:
    from pymatgen.core import Structure

_PROBABILITIES = ("p_stable", "p_failure")
_MIN_LABELS = 4
_FLOOR = 0.02
_NEAREST_FACTOR = 3.0


@dataclass(frozen=True)
class _Ensemble:
    """Members of one target, and the factor that makes their spread honest."""

    members: list[Any]
    scale: float
    floor: float
    constant: float | None = None


class BoostedTrees:
    """One bagged ensemble a target; abstains far from all it was trained on and for elements it never saw."""

    def __init__(self, *, members: int, epochs: int) -> None:
        self._members, self._epochs = members, epochs
        self._rows: FloatArray = np.empty((0, 0))
        self._targets: dict[str, FloatArray] = {}
        self._elements: set[str] = set()
        self._seed = 0
        self._ensembles: dict[str, _Ensemble] = {}

    def fit(self, structures: Sequence[Structure], targets: Mapping[str, FloatArray], *, seed: int) -> None:
        """See Surrogate.fit."""
        for name, labels in targets.items():
            if len(labels) != len(structures):
                raise ValueError(f"target {name}: {len(labels)} labels for {len(structures)} structures")
        if not targets or all(np.isnan(labels).all() for labels in targets.values()):
            raise ValueError("no target has a known label")
        self._elements = {site.specie.symbol for structure in structures for site in structure}
        self.fit_rows(
            descriptor(structures), {name: np.asarray(t, float) for name, t in targets.items()}, seed
        )

    def fit_rows(self, rows: FloatArray, targets: dict[str, FloatArray], seed: int) -> None:
        """Train on descriptors (n, d) and labels as in ``fit``."""
        self._rows, self._targets, self._seed = rows, targets, seed
        self._mean, self._std = rows.mean(0), rows.std(0) + 1e-9
        known = {name: labels for name, labels in targets.items() if not np.isnan(labels).all()}
        self._ensembles = {name: self._fit_target(name, labels) for name, labels in known.items()}
        self._reach = _NEAREST_FACTOR * _typical_gap(self._scaled(rows))

    def _fit_target(self, name: str, labels: FloatArray) -> _Ensemble:
        known = ~np.isnan(labels)
        x, y = self._rows[known], labels[known]
        if name in _PROBABILITIES and len(set(y)) == 1:
            return _Ensemble([], 1.0, 0.3, constant=float((y.sum() + 1) / (len(y) + 2)))
        if len(y) < _MIN_LABELS:
            return _Ensemble([], 1.0, max(float(y.std()), 0.5), constant=float(y.mean()))
        rng = np.random.default_rng(self._seed)
        bags = [rng.integers(0, len(y), len(y)) for _ in range(self._members)]
        models = [self._tree(rng).fit(x[bag], y[bag]) for bag in bags]
        return _Ensemble(models, *_calibrate(models, bags, x, y))

    def _tree(self, rng: np.random.Generator) -> Any:
        from sklearn.ensemble import GradientBoostingRegressor

        return GradientBoostingRegressor(
            n_estimators=3 * self._epochs,
            max_depth=4,
            learning_rate=0.06,
            subsample=0.8,
            max_features=0.4,
            random_state=int(rng.integers(2**31)),
        )

    def predict(self, structures: Sequence[Structure]) -> dict[str, Prediction]:
        """See Surrogate.predict."""
        rows = descriptor(structures)
        known = np.array(
            [{site.specie.symbol for site in s} <= self._elements for s in structures], dtype=bool
        )
        return self.predict_rows(rows, known & self._near(rows))

    def predict_rows(self, rows: FloatArray, inside: NDArray[np.bool_]) -> dict[str, Prediction]:
        """Predict descriptors (n, d); NaN where not ``inside`` (n,)."""
        return {name: _predict(name, ensemble, rows, inside) for name, ensemble in self._ensembles.items()}

    def _near(self, rows: FloatArray) -> NDArray[np.bool_]:
        scaled, trained = self._scaled(rows), self._scaled(self._rows)
        nearest = np.array([np.linalg.norm(trained - row, axis=1).min() for row in scaled])
        return np.asarray(nearest <= self._reach)

    def _scaled(self, rows: FloatArray) -> FloatArray:
        return (rows - self._mean) / self._std

    def features(self, structures: Sequence[Structure]) -> FloatArray:
        """The standardised descriptor."""
        return self._scaled(descriptor(structures))

    def save(self, folder: Path) -> None:
        """Training rows and labels as safetensors; loading refits the same trees from the same seed."""
        from safetensors.numpy import save_file

        tensors = {f"target.{name}": labels for name, labels in self._targets.items()}
        contiguous = {
            key: np.ascontiguousarray(value) for key, value in ({"rows": self._rows} | tensors).items()
        }
        save_file(contiguous, str(folder / "surrogate.safetensors"))
        settings = {
            "model": "gbt",
            "members": self._members,
            "epochs": self._epochs,
            "seed": self._seed,
            "elements": sorted(self._elements),
        }
        (folder / "surrogate.json").write_text(json.dumps(settings, indent=1))

    @classmethod
    def load(cls, folder: Path) -> BoostedTrees:
        """The surrogate a folder holds."""
        from safetensors.numpy import load_file

        settings = json.loads((folder / "surrogate.json").read_text())
        tensors = load_file(str(folder / "surrogate.safetensors"))
        model = cls(members=settings["members"], epochs=settings["epochs"])
        model._elements = set(settings["elements"])
        targets = {key.removeprefix("target."): tensors[key] for key in sorted(tensors) if key != "rows"}
        model.fit_rows(tensors["rows"], targets, settings["seed"])
        return model


def _typical_gap(rows: FloatArray) -> float:
    """Median distance of a training row to its nearest other row."""
    if len(rows) < 2:
        return float("inf")
    gaps = [np.partition(np.linalg.norm(rows - row, axis=1), 1)[1] for row in rows]
    return max(float(np.quantile(gaps, 0.9)), 1.0)


def _calibrate(models: list[Any], bags: list[Any], x: FloatArray, y: FloatArray) -> tuple[float, float]:
    """Scale and floor of the spread, from errors on rows outside each member's bag."""
    answers = np.array([model.predict(x) for model in models])
    outside = np.array([~np.isin(np.arange(len(y)), bag) for bag in bags])
    judged = outside.any(axis=0)
    if judged.sum() < _MIN_LABELS:
        return 1.0, max(float(y.std()), _FLOOR)
    held = np.where(outside, answers, np.nan)[:, judged]
    errors = np.nanmean(held, axis=0) - y[judged]
    spread = answers.std(axis=0)[judged] + _FLOOR
    return float(np.clip(np.sqrt(np.mean((errors / spread) ** 2)), 0.5, 20.0)), _FLOOR


def _predict(name: str, ensemble: _Ensemble, rows: FloatArray, inside: NDArray[np.bool_]) -> Prediction:
    if ensemble.constant is not None:
        mean, std = np.full(len(rows), ensemble.constant), np.full(len(rows), ensemble.floor)
    else:
        answers = np.array([member.predict(rows) for member in ensemble.members])
        mean, std = answers.mean(0), ensemble.scale * (answers.std(0) + ensemble.floor)
    if name in _PROBABILITIES:
        mean = np.clip(mean, 0.02, 0.98)
    return Prediction(np.where(inside, mean, np.nan), np.where(inside, std, np.nan), inside)
