"""Gradient boosting: bagged ensembles on a fixed row per structure, calibrated on out-of-bag errors.

``gbt`` sees composition and pair distances, ``gbt_magpie`` the composition alone: the baseline that any
network has to beat. Source: Friedman, Ann. Statist. 29, 1189 (2001).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from niobe.config.atomic import write_whole
from niobe.config.outside.json_text import read_object
from niobe.surrogates.calibration import (
    Scaling,
    Sharpness,
    believed,
    conformal_scaling,
    held_out,
    platt_scaling,
)
from niobe.surrogates.domain import Domain, Trained, chemistries_of
from niobe.surrogates.identity import origin_of
from niobe.surrogates.models.forest import Forest
from niobe.surrogates.models.targets import PROBABILITIES, Constant, checked, constant
from niobe.surrogates.protocols import FloatArray, Prediction, refuse_options
from niobe.surrogates.representations.composition import magpie
from niobe.surrogates.representations.descriptor import descriptor

if TYPE_CHECKING:
    from pymatgen.core import Structure

_FLOOR = 0.02
_CERTAIN = 0.02
_MANY = 2000
_ENOUGH = 20
_TREES = "trees.safetensors"
RowsOf = Callable[[Sequence["Structure"]], FloatArray]
ROWS: dict[str, RowsOf] = {"gbt": descriptor, "gbt_magpie": magpie}


@dataclass(frozen=True)
class _Ensemble:
    """Members of one target, and what makes their spread and, of a class, their probability honest.

    usual: the labels' mean. share: how much of what members say beyond it is believed; all, of a class.
    """

    members: list[Forest]
    scaling: Scaling
    sharpness: Sharpness
    usual: float
    share: float


class BoostedTrees:
    """One bagged ensemble a target; abstains far from all it was trained on and for elements it never saw.

    name: a key of ROWS, or any with ``rows`` given. members: of each ensemble. epochs: a third of the trees
    of a member. rows: structures to features (n, d).
    """

    def __init__(self, name: str = "gbt", *, members: int, epochs: int, rows: RowsOf | None = None) -> None:
        self.name, self._members, self._epochs = name, members, epochs
        self._rows_of = rows or ROWS[name]
        self._targets: dict[str, FloatArray] = {}
        self._seed = 0
        self._learned_from: dict[str, Any] = {}
        self._domain: Domain | None = None
        self._trained = Trained(np.empty(0), np.empty(0, dtype=str), np.empty(0, dtype=bool))
        self._ensembles: dict[str, _Ensemble | Constant] = {}
        self._asked: Sequence[Structure] | None = None
        self._last_rows: FloatArray = np.empty((0, 0))

    @classmethod
    def make(
        cls, name: str, *, members: int, epochs: int, options: Mapping[str, Any], work: Path | None
    ) -> BoostedTrees:
        """See SurrogateKind.make.

        name: of the model. members, epochs: as in the class. options, work: none are taken.
        """
        refuse_options(name, options)
        return cls(name, members=members, epochs=epochs)

    def fit(self, structures: Sequence[Structure], targets: Mapping[str, FloatArray], *, seed: int) -> None:
        """See Surrogate.fit.

        structures: n. targets: labels (n,) by name, NaN unknown. seed: of bags and trees.
        """
        self.fit_rows(structures, self._rows_of(structures), checked(structures, targets), seed=seed)

    def fit_rows(
        self,
        structures: Sequence[Structure],
        rows: FloatArray,
        targets: Mapping[str, FloatArray],
        *,
        seed: int,
    ) -> None:
        """``fit`` for structures whose rows (n, d) are known, with checked targets.

        seed: of bags and trees.
        """
        self._domain = Domain.fit(structures, rows)
        self._trained = Trained.of(self._domain, structures, rows)
        self._targets, self._seed, self._ensembles = dict(targets), seed, {}
        self._learned_from = origin_of(structures, targets, seed)
        self._fitted()

    def _fitted(self) -> dict[str, _Ensemble | Constant]:
        """The ensembles, grown when first needed: asking a loaded surrogate for features does not wait."""
        if not self._ensembles:
            self._ensembles = {n: self._fit_target(n, labels) for n, labels in self._targets.items()}
        return self._ensembles

    def _fit_target(self, name: str, labels: FloatArray) -> _Ensemble | Constant:
        lone = constant(name, labels)
        if lone is not None:
            return lone
        known = ~np.isnan(labels)
        x, y = self._known_domain().rows[known], labels[known]
        rng = np.random.default_rng(self._seed)
        bags = [rng.integers(0, len(y), len(y)) for _ in range(self._members)]
        models = [self._tree(len(y), rng).fit(x[bag], y[bag]) for bag in bags]
        return _calibrated(name, models, bags, x, y, self._trained.at(known))

    def _tree(self, rows: int, rng: np.random.Generator) -> Any:
        """Exact trees for few rows, trees on histograms for many."""
        from sklearn.ensemble import GradientBoostingRegressor, HistGradientBoostingRegressor

        state, trees = int(rng.integers(2**31)), 3 * self._epochs
        if rows > _MANY:
            return HistGradientBoostingRegressor(max_iter=3 * trees, learning_rate=0.06, random_state=state)
        return GradientBoostingRegressor(
            n_estimators=trees,
            max_depth=4,
            learning_rate=0.06,
            subsample=0.8,
            max_features=0.4,
            random_state=state,
        )

    def predict(self, structures: Sequence[Structure]) -> dict[str, Prediction]:
        """See Surrogate.predict."""
        return self.predict_rows(structures, self._rows(structures))

    def predict_rows(self, structures: Sequence[Structure], rows: FloatArray) -> dict[str, Prediction]:
        """``predict`` for structures whose rows (n, d) are known."""
        inside = self._known_domain().holds(structures, rows)
        strain, kinds = self._known_domain().strain(structures), chemistries_of(structures)
        return {n: _predict(n, model, rows, inside, strain, kinds) for n, model in self._fitted().items()}

    def features(self, structures: Sequence[Structure]) -> FloatArray:
        """The standardised rows, shape (n, d)."""
        return self._known_domain().scaled(self._rows(structures))

    def _rows(self, structures: Sequence[Structure]) -> FloatArray:
        """Computed once for a sequence that is asked about twice, for predictions and for features."""
        if self._asked is not structures:
            self._asked, self._last_rows = structures, self._rows_of(structures)
        return self._last_rows

    def _known_domain(self) -> Domain:
        if self._domain is None:
            raise ValueError(f"the {self.name} surrogate has not been trained")
        return self._domain

    def save(self, folder: Path) -> None:
        """Training rows, labels and trees as safetensors."""
        from safetensors.numpy import save_file

        domain = self._known_domain()
        tensors = {f"target.{name}": labels for name, labels in self._targets.items()} | domain.arrays()
        tensors |= {"strain": self._trained.strain, "inside": self._trained.inside.astype(float)}
        contiguous = {key: np.ascontiguousarray(value) for key, value in tensors.items()}
        save_file(contiguous, str(folder / "surrogate.safetensors"))
        settings = {
            "model": self.name,
            "members": self._members,
            "epochs": self._epochs,
            "seed": self._seed,
            "elements": sorted(domain.elements),
            "kinds": self._trained.kinds.tolist(),
            "learned_from": self._learned_from,
            "ensembles": _save_ensembles(self._fitted(), folder),
        }
        write_whole(folder / "surrogate.json", json.dumps(settings, indent=1))

    @classmethod
    def load(cls, folder: Path, *, rows: RowsOf | None = None) -> BoostedTrees:
        """The surrogate a folder holds; of an older Niobe its trees grow when it first predicts."""
        from safetensors.numpy import load_file

        settings = read_object(folder / "surrogate.json")
        tensors = load_file(str(folder / "surrogate.safetensors"))
        model = cls(settings["model"], members=settings["members"], epochs=settings["epochs"], rows=rows)
        model._domain = Domain.restored(tensors, settings["elements"])
        kinds = np.array(settings["kinds"], dtype=str)
        model._trained = Trained(tensors["strain"], kinds, tensors["inside"] > 0)
        model._targets = {
            key.removeprefix("target."): tensors[key] for key in sorted(tensors) if key.startswith("target.")
        }
        model._seed, model._learned_from = settings["seed"], settings.get("learned_from", {})
        model._ensembles = _load_ensembles(settings.get("ensembles", {}), folder)
        return model


def _save_ensembles(ensembles: Mapping[str, _Ensemble | Constant], folder: Path) -> dict[str, Any]:
    """Write their trees; what else they are, by target."""
    from safetensors.numpy import save_file

    told: dict[str, Any] = {}
    tensors: dict[str, NDArray[Any]] = {}
    for name, model in ensembles.items():
        told[name] = {key: value for key, value in vars(model).items() if isinstance(value, float)}
        if isinstance(model, _Ensemble):
            told[name] |= {"scaling": asdict(model.scaling), "sharpness": asdict(model.sharpness)}
            told[name]["members"] = len(model.members)
            for member, forest in enumerate(model.members):
                tensors |= {f"{name}.{member}.{key}": array for key, array in forest.arrays().items()}
    save_file({key: np.ascontiguousarray(value) for key, value in tensors.items()}, str(folder / _TREES))
    return told


def _load_ensembles(told: Mapping[str, Any], folder: Path) -> dict[str, _Ensemble | Constant]:
    from safetensors.numpy import load_file

    tensors = load_file(str(folder / _TREES)) if told else {}
    keys = ("base", "roots", "feature", "threshold", "left", "right", "value")
    found: dict[str, _Ensemble | Constant] = {}
    for name, one in told.items():
        if "members" not in one:
            found[name] = Constant(one["mean"], one["std"])
            continue
        members = [
            Forest.restored({key: tensors[f"{name}.{member}.{key}"] for key in keys})
            for member in range(one["members"])
        ]
        scaling, sharpness = Scaling(**one["scaling"]), Sharpness(**one["sharpness"])
        found[name] = _Ensemble(members, scaling, sharpness, one["usual"], one["share"])
    return found


def _calibrated(
    name: str,
    models: list[Any],
    bags: list[NDArray[np.int64]],
    x: FloatArray,
    y: FloatArray,
    trained: Trained,
) -> _Ensemble:
    """By what members say of rows outside their bags. x: (n, d); y: (n,).

    An energy's interval does not go by how members disagree on a row: outside are two of them, which disagree
    otherwise than all do (docs/decisions/0141).
    """
    forests = [Forest.of(model) for model in models]
    answers = np.array([model.predict(x) for model in models])
    outside = np.array([~np.isin(np.arange(len(y)), bag) for bag in bags])
    # Members that grew on a row disagree with those that did not the more, the worse these are: a spread over
    # both would excuse every error, so that only members outside count, two of them where there are enough.
    several = outside.sum(axis=0) > 1
    judged = several if several.sum() >= _ENOUGH else outside.any(axis=0)
    said, spread = held_out(answers[:, judged], outside[:, judged])
    truth, rows = y[judged], trained.at(np.asarray(judged))
    if several.sum() < _ENOUGH:
        spread = answers.std(axis=0)[judged]
    fallback, usual = max(float(y.std()), _FLOOR), float(y.mean())
    if name in PROBABILITIES:
        scaling = conformal_scaling((said - truth) / rows.strain, spread, fallback=fallback)
        return _Ensemble(forests, scaling, platt_scaling(_clipped(said), truth), usual, 1.0)
    noise = _of_few_members(answers[:, judged], outside[:, judged])
    share = believed(said - usual, truth - usual, noise=noise)
    errors = (usual + share * (said - usual) - truth)[rows.inside] / rows.strain[rows.inside]
    kinds = rows.kinds[rows.inside]
    scaling = conformal_scaling(errors, np.zeros_like(errors), fallback=fallback, kinds=kinds)
    return _Ensemble(forests, scaling, Sharpness(), usual, share)


def _of_few_members(answers: FloatArray, outside: NDArray[np.bool_]) -> float:
    """By how much the sum of squares is larger of means over members outside than of means over all.

    answers, outside: (members, n), as in ``held_out``.
    """
    count = outside.sum(axis=0)
    several = count > 1
    if not several.any():
        return 0.0
    spread = held_out(answers[:, several], outside[:, several])[1]
    variance = float(np.mean(spread**2 * count[several] / (count[several] - 1)))
    return variance * float(np.sum(1 / count - 1 / len(outside)))


def _clipped(probability: FloatArray) -> FloatArray:
    return np.clip(probability, _CERTAIN, 1 - _CERTAIN)


def _predict(
    name: str,
    model: _Ensemble | Constant,
    rows: FloatArray,
    inside: NDArray[np.bool_],
    strain: FloatArray,
    kinds: NDArray[np.str_],
) -> Prediction:
    """rows: (n, d); inside, strain, kinds: (n,)."""
    if isinstance(model, Constant):
        mean, std = np.full(len(rows), model.mean), np.full(len(rows), model.std)
    else:
        answers = np.array([member.predict(rows) for member in model.members])
        mean = model.usual + model.share * (answers.mean(0) - model.usual)
        spread = answers.std(0) if name in PROBABILITIES else np.zeros(len(rows))
        std = model.scaling(spread, kinds) * strain
        if name in PROBABILITIES:
            mean = model.sharpness(_clipped(mean))
    return Prediction(np.where(inside, mean, np.nan), np.where(inside, std, np.nan), inside)
