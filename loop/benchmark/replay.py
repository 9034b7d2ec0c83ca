"""Replay: a table whose labels are known but hidden, revealed one by one as a search asks for them.

It measures what choosing alone is worth, since every setting chooses from the same pool.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from niobe.loop.acquisition import Pool, choose_batch, target_probability
from niobe.surrogates.protocols import FloatArray, Prediction

Rows = NDArray[np.int64]
_TREES = 60
_FLOOR, _UNTAUGHT = 0.02, 0.1


@dataclass(frozen=True)
class Table:
    """n structures with hidden labels.

    features: (n, d); energies: (n,), formation energies in eV/atom. level: from energies (n,), infinite where
    not known, the energy each row is measured against, (n,) in eV/atom; what lies up to ``tolerance`` above
    it is a target. start: indices known from the beginning. prior: (n,), formation energies in eV/atom by a
    cheap potential, where there is one.
    """

    name: str
    ids: tuple[str, ...]
    features: FloatArray
    energies: FloatArray
    level: Callable[[FloatArray], FloatArray]
    tolerance: float
    start: tuple[int, ...]
    prior: FloatArray | None = None

    def missing(self, energies: FloatArray) -> FloatArray:
        """How far each row (n,) is from being a target, eV/atom; 0 or less where it is one."""
        return energies - self.level(energies) - self.tolerance

    @property
    def targets(self) -> NDArray[np.bool_]:
        """What a search has to find, (n,)."""
        found = self.missing(self.energies) <= 1e-6
        found[list(self.start)] = False
        return np.asarray(found)

    def hidden(self) -> Rows:
        """Indices that can be asked for."""
        return np.setdiff1d(np.arange(len(self.ids)), self.start)


@dataclass(frozen=True)
class Plan:
    """How much is asked for: first ``initial`` rows at random, then batches up to ``calls`` in all."""

    initial: int
    batch: int
    calls: int


@dataclass(frozen=True)
class Setting:
    """A way to choose. retrain: the surrogate learns from each batch, not from the first calls only.

    prior: energies by the table's cheap potential are the mean that the surrogate corrects; such a setting
    can rank before it has asked for anything, and starts without random calls.
    """

    name: str
    function: str
    retrain: bool = True
    prior: bool = False


RANDOM = Setting("random", "random")
ABLATION = (
    RANDOM,
    Setting("greedy surrogate", "greedy", retrain=False),
    Setting("+ acquisition", "p_hull", retrain=False),
    Setting("+ retraining", "p_hull"),
    Setting("+ potential as prior", "p_hull", prior=True),
)
"""Each setting adds one thing to the one before."""
FUNCTIONS_COMPARED = (
    Setting("retrained greedy", "greedy"),
    Setting("retrained ucb", "ucb"),
    Setting("retrained thompson", "thompson"),
    Setting("retrained qlogei", "qlogei"),
    Setting("greedy on prior", "greedy", prior=True),
)


def run_setting(table: Table, setting: Setting, plan: Plan, *, seed: int) -> list[bool]:
    """Whether each oracle call in order was a hit. Raises ValueError for a prior the table does not have.

    setting: how candidates are chosen. plan: calls at first, at once and in all. seed: of everything drawn
    at random.
    """
    if setting.prior and table.prior is None:
        raise ValueError(f"setting {setting.name!r} needs a prior; table {table.name!r} has none")
    hidden = table.hidden()
    calls = min(plan.calls, len(hidden))
    first = 0 if setting.prior else plan.initial
    asked = np.random.default_rng(seed).permutation(hidden)[: min(first, calls)].tolist()
    while len(asked) < calls:
        count = min(plan.batch, calls - len(asked))
        asked += _next(table, setting, asked, first, count, seed + len(asked))
    targets = table.targets
    return [bool(targets[index]) for index in asked]


def _next(
    table: Table, setting: Setting, asked: Sequence[int], first: int, count: int, seed: int
) -> list[int]:
    known = np.array([*table.start, *asked], dtype=int)
    free = np.setdiff1d(np.arange(len(table.ids)), known)
    if setting.function == "random":
        return np.random.default_rng(seed).permutation(free)[:count].tolist()
    taught = known if setting.retrain else known[: len(table.start) + first]
    predicted = _predict(table, setting, taught, free, seed)
    probability = None
    if setting.function == "p_hull":
        probability = _target_probability(table, known, free, predicted, seed)
    revealed = np.full(len(table.ids), np.inf)
    revealed[known] = table.energies[known]
    above = Prediction(predicted.mean - table.level(revealed)[free], predicted.std, predicted.in_domain)
    scaled = (table.features[free] - table.features.mean(0)) / (table.features.std(0) + 1e-9)
    pool = Pool(tuple(table.ids[i] for i in free), scaled, above, p_target=probability)
    batch = choose_batch(setting.function, pool, batch=count, control_share=0.0, seed=seed)
    return [int(free[pick.index]) for pick in batch.picks]


def _target_probability(
    table: Table, known: Rows, free: Rows, predicted: Prediction, seed: int
) -> FloatArray:
    rows = np.concatenate([known, free])
    order = np.argsort(rows)

    def missing(energies: FloatArray) -> FloatArray:
        """The table's, for rows in the order known, free."""
        return table.missing(energies[order])[rows]

    return target_probability(missing, table.energies[known], predicted.mean, predicted.std, seed=seed)


def _predict(table: Table, setting: Setting, taught: Rows, free: Rows, seed: int) -> Prediction:
    """Formation energies by extremely randomised trees (Geurts et al., Mach. Learn. 63, 3, 2006).

    The spread of the trees, and at least 0.02 eV/atom, is the uncertainty; 0.1 where none is taught.
    """
    from sklearn.ensemble import ExtraTreesRegressor

    base = table.prior if setting.prior and table.prior is not None else np.zeros(len(table.ids))
    everywhere = np.ones(len(free), dtype=bool)
    if not len(taught):
        return Prediction(base[free], np.full(len(free), _UNTAUGHT), everywhere)
    forest = ExtraTreesRegressor(_TREES, max_features=0.4, random_state=seed % 2**31)
    forest.fit(table.features[taught], table.energies[taught] - base[taught])
    answers = np.array([tree.predict(table.features[free]) for tree in forest.estimators_])
    return Prediction(base[free] + answers.mean(0), answers.std(0) + _FLOOR, everywhere)
