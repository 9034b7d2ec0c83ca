"""Replay: a table whose labels are known but hidden, revealed one by one as a search asks for them.

It measures what choosing alone is worth, since every setting chooses from the same pool.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from niobe.loop.acquisition import Pool, choose_batch, misses, target_probability
from niobe.loop.benchmark.replay_surrogate import corrected
from niobe.surrogates.protocols import FloatArray, Prediction

Rows = NDArray[np.int64]
_ON = 1e-9  # eV/atom


@dataclass(frozen=True)
class Table:
    """n structures with hidden labels.

    features: (n, d); energies: (n,), formation energies in eV/atom. level: from energies (n,), infinite where
    not known, the energy each row is measured against, (n,) in eV/atom; what lies up to ``tolerance`` above
    it is a target. start: indices known from the beginning. prior: (n,), formation energies in eV/atom by a
    cheap potential, where there is one. kinds: (n,), rows with the same number have one composition, whose
    errors go together; errors are independent without.
    """

    name: str
    ids: tuple[str, ...]
    features: FloatArray
    energies: FloatArray
    level: Callable[[FloatArray], FloatArray]
    tolerance: float
    start: tuple[int, ...]
    prior: FloatArray | None = None
    kinds: Rows | None = None

    def missing(self, energies: FloatArray) -> FloatArray:
        """How far each row (n,) is from being a target, eV/atom; 0 or less where it is one."""
        return energies - self.level(energies) - self.tolerance

    @property
    def targets(self) -> NDArray[np.bool_]:
        """What a search has to find, (n,)."""
        found = self.missing(self.energies) <= 1e-6
        found[list(self.start)] = False
        return np.asarray(found)

    def prior_of(self, known: Rows) -> tuple[FloatArray, FloatArray]:
        """The prior, (n,), and what energies of known rows (k,) are beyond it, (k,), eV/atom.

        Raises ValueError where there is none.
        """
        if self.prior is None:
            raise ValueError(f"table {self.name!r} has no prior")
        return self.prior, self.energies[known] - self.prior[known]

    def hull_of(self, known: Rows) -> tuple[FloatArray, FloatArray]:
        """What rows are measured against as far as known, (n,), and how far known rows (k,) lie above it.

        A row that it depends on is measured against that of the others, and may lie below, eV/atom.
        """
        revealed = np.full(len(self.ids), np.inf)
        revealed[known] = self.energies[known]
        level = self.level(revealed)
        above = self.energies[known] - level[known]
        for place in np.flatnonzero(above < _ON):
            others = revealed.copy()
            others[known[place]] = np.inf
            above[place] = self.energies[known[place]] - self.level(others)[known[place]]
        return level, above

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
WITHOUT_PRIOR, FULL = ABLATION[-2:]
PRIOR_ALONE = Setting("ranking by the prior alone", "prior", retrain=False, prior=True)
"""By how far rows lie above the hull that the prior's energies make: nothing is learned."""
FUNCTIONS_COMPARED = (
    Setting("retrained greedy", "greedy"),
    Setting("retrained ucb", "ucb"),
    Setting("retrained thompson", "thompson"),
    Setting("retrained qlogei", "qlogei"),
    Setting("greedy on prior", "greedy", prior=True),
    PRIOR_ALONE,
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
    if setting.function == PRIOR_ALONE.function:
        return _by_prior(table, free)[:count]
    taught = known if setting.retrain else known[: len(table.start) + first]
    base, left = table.prior_of(taught) if setting.prior else table.hull_of(taught)
    compounds = np.isin(taught, table.start, invert=True)
    predicted = corrected(
        base[free], table.features[free], table.features[taught[compounds]], left[compounds], seed=seed
    )
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


def _by_prior(table: Table, free: Rows) -> list[int]:
    """Rows in the order of how far they lie above the prior's hull, whatever was revealed."""
    prior = table.prior_of(free)[0].copy()
    prior[list(table.start)] = table.energies[list(table.start)]
    above = prior - table.level(prior)
    return free[np.argsort(above[free], kind="stable")].tolist()


def _target_probability(
    table: Table, known: Rows, free: Rows, predicted: Prediction, seed: int
) -> FloatArray:
    rows = np.concatenate([known, free])
    order = np.argsort(rows)

    def missing(energies: FloatArray) -> FloatArray:
        """The table's, for rows in the order known, free."""
        return table.missing(energies[order])[rows]

    kinds = None if table.kinds is None else np.unique(table.kinds[free], return_inverse=True)[1]
    return target_probability(
        misses(missing, table.energies[known], predicted.mean, predicted.std, kinds=kinds, seed=seed)
    )
