"""Replay: a table whose labels are known but hidden, revealed one by one as a search asks for them.

It measures what choosing alone is worth, since every arm chooses from the same pool with the same surrogate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loop.acquisition import Pool, choose_batch
from surrogates.protocols import FloatArray, Prediction

Ranker = Callable[[FloatArray, FloatArray, FloatArray, int], Prediction]
"""Predicts pool rows (n, d) from rows (m, d) with labels (m,) in eV/atom and a seed."""
ARMS = ("random", "greedy", "ucb", "thompson", "qlogei")


@dataclass(frozen=True)
class Table:
    """n structures with hidden labels.

    features: (n, d); energies: (n,), formation energies in eV/atom; targets: (n,), what a search has to
    find; baseline: from the indices revealed so far, the energy (eV/atom) each row has to come near, (n,).
    start: indices known from the beginning.
    """

    name: str
    ids: tuple[str, ...]
    features: FloatArray
    energies: FloatArray
    targets: NDArray[np.bool_]
    baseline: Callable[[NDArray[np.int64]], FloatArray]
    start: tuple[int, ...]


@dataclass(frozen=True)
class Replay:
    """How much is asked for: first ``initial`` rows at random, then batches up to ``calls`` in all."""

    initial: int
    batch: int
    calls: int


def run_arm(table: Table, arm: str, plan: Replay, ranker: Ranker, *, seed: int) -> list[bool]:
    """Whether each oracle call in order was a hit. The first calls are the same for every arm of a seed."""
    rng = np.random.default_rng(seed)
    hidden = np.setdiff1d(np.arange(len(table.ids)), table.start)
    asked = rng.permutation(hidden)[: plan.initial].tolist()
    while len(asked) < min(plan.calls, len(hidden)):
        count = min(plan.batch, min(plan.calls, len(hidden)) - len(asked))
        asked += _next(table, arm, asked, count, ranker, seed + len(asked))
    return [bool(table.targets[index]) for index in asked]


def _next(table: Table, arm: str, asked: Sequence[int], count: int, ranker: Ranker, seed: int) -> list[int]:
    known = np.array([*table.start, *asked], dtype=int)
    free = np.setdiff1d(np.arange(len(table.ids)), known)
    if arm == "random":
        return np.random.default_rng(seed).permutation(free)[:count].tolist()
    predicted = ranker(table.features[known], table.energies[known], table.features[free], seed)
    everywhere = np.ones(len(free), dtype=bool)
    above = Prediction(predicted.mean - table.baseline(known)[free], predicted.std, everywhere)
    scaled = (table.features[free] - table.features.mean(0)) / (table.features.std(0) + 1e-9)
    pool = Pool(tuple(table.ids[i] for i in free), scaled, above)
    batch = choose_batch(arm, pool, batch=count, control_share=0.0, seed=seed)
    return [int(free[pick.index]) for pick in batch.picks]
