"""Which candidates to validate next: pure functions from a posterior over a discrete pool to a ranked batch.

BoTorch supplies the acquisition functions. The surrogate's means and standard deviations become a joint
Gaussian with a kernel on features, so that a batch spreads out and pending candidates count.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from surrogates.protocols import FloatArray, Prediction

if TYPE_CHECKING:
    from botorch.models.model import Model

_UCB_BETA = 2.0
_NEUTRAL = 0.5


@dataclass(frozen=True)
class Pool:
    """n candidates. features: (n, d); predictions of shape (n,), e_above_hull in eV/atom."""

    ids: tuple[str, ...]
    features: FloatArray
    e_above_hull: Prediction
    p_stable: Prediction | None = None
    p_failure: Prediction | None = None


@dataclass(frozen=True)
class Pick:
    """One chosen candidate; score is the acquisition value it had when chosen."""

    index: int
    id: str
    score: float | None
    arm: Literal["acquired", "control"]
    rank: int


@dataclass(frozen=True)
class Batch:
    """Picks in rank order; excluded: candidates without a prediction; cold_start: nothing could be ranked."""

    picks: tuple[Pick, ...]
    excluded: int
    cold_start: bool


def choose_batch(
    function: str,
    pool: Pool,
    *,
    batch: int,
    control_share: float,
    pending: FloatArray | None,
    best: float,
    seed: int,
) -> Batch:
    """Choose ``batch`` candidates; ``control_share`` of them at random from the whole pool.

    pending: features (m, d) of candidates in flight; best: e_above_hull (eV/atom) to improve on. Permuting
    the pool changes nothing. Raises ValueError for an unknown function.
    """
    if function not in _FUNCTIONS:
        raise ValueError(
            f"acquisition function {function!r} is unknown; allowed: {', '.join(sorted(_FUNCTIONS))}"
        )
    size = min(batch, len(pool.ids))
    order = np.argsort(np.array(pool.ids))
    known = np.array([i for i in order if _is_known(pool, int(i))], dtype=int)
    controls = _controls(pool, size, control_share, seed)
    ranked = _rank(function, pool, known, size - len(controls), set(controls), pending, best, seed)
    missing = size - len(controls) - len(ranked)
    shuffled = [i for i in _shuffled(pool, seed + 1) if i not in set(controls) | {i for i, _ in ranked}]
    ranked += [(i, None) for i in shuffled[:missing]]
    picks = [Pick(i, pool.ids[i], score, "acquired", rank) for rank, (i, score) in enumerate(ranked)]
    picks += [Pick(i, pool.ids[i], None, "control", len(ranked) + n) for n, i in enumerate(controls)]
    return Batch(tuple(picks), excluded=len(pool.ids) - len(known), cold_start=len(known) == 0)


def _is_known(pool: Pool, index: int) -> bool:
    prediction = pool.e_above_hull
    return bool(prediction.in_domain[index] and np.isfinite(prediction.mean[index] + prediction.std[index]))


def _controls(pool: Pool, size: int, share: float, seed: int) -> list[int]:
    """Candidates drawn at random: the share rounded half up, at least one from a batch of five on."""
    count = int(np.floor(size * share + 0.5))
    if share > 0 and size >= 5:
        count = max(count, 1)
    return _shuffled(pool, seed)[:count]


def _shuffled(pool: Pool, seed: int) -> list[int]:
    """Indices in an order that depends on ids and seed only."""
    keys = [hashlib.sha256(f"{seed}/{identifier}".encode()).digest() for identifier in pool.ids]
    return sorted(range(len(keys)), key=keys.__getitem__)


def _rank(
    function: str,
    pool: Pool,
    known: NDArray[np.int64],
    count: int,
    taken: set[int],
    pending: FloatArray | None,
    best: float,
    seed: int,
) -> list[tuple[int, float | None]]:
    free = np.array([i for i in known if int(i) not in taken], dtype=int)
    if count <= 0 or len(free) == 0:
        return []
    if function == "random":
        allowed = set(free.tolist())
        in_order = [i for i in _shuffled(pool, seed + 1) if i in allowed]
        return [(i, None) for i in in_order[:count]]
    return _greedy_batch(_FUNCTIONS[function], pool, free, count, pending, best, seed)


def _greedy_batch(
    score: _Score,
    pool: Pool,
    free: NDArray[np.int64],
    count: int,
    pending: FloatArray | None,
    best: float,
    seed: int,
) -> list[tuple[int, float | None]]:
    """Sequential greedy: after each pick the others' spread shrinks as if its value were known."""
    mean = -pool.e_above_hull.mean[free]
    std = np.maximum(pool.e_above_hull.std[free], 1e-6)
    feasible = _feasibility(pool, free)
    if pending is not None and len(pending):
        for row in pending:
            std = std * np.sqrt(1 - np.minimum(_similarity(pool.features[free], row), 0.999) ** 2)
    chosen: list[tuple[int, float | None]] = []
    open_ = np.ones(len(free), dtype=bool)
    for step in range(min(count, len(free))):
        values = np.where(open_, score(mean, std, feasible, -best, seed + step), -np.inf)
        pick = int(values.argmax())
        chosen.append((int(free[pick]), float(values[pick])))
        open_[pick] = False
        alike = np.minimum(_similarity(pool.features[free], pool.features[free[pick]]), 0.999)
        std = std * np.sqrt(1 - alike**2)
    return chosen


def _feasibility(pool: Pool, free: NDArray[np.int64]) -> FloatArray:
    """P(dynamically stable) · P(oracle succeeds), neutral where unknown."""
    stable = _probability(pool.p_stable, free, _NEUTRAL)
    failure = _probability(pool.p_failure, free, 0.0)
    return np.clip(stable * (1 - failure), 1e-3, 1.0)


def _probability(prediction: Prediction | None, free: NDArray[np.int64], unknown: float) -> FloatArray:
    if prediction is None:
        return np.full(len(free), unknown)
    return np.nan_to_num(np.clip(prediction.mean[free], 0.0, 1.0), nan=unknown)


def _similarity(features: FloatArray, row: FloatArray) -> FloatArray:
    """Gaussian kernel on features, its length the square root of their number. Shape (n,)."""
    squared = ((features - row) ** 2).sum(axis=1) / (2 * features.shape[1])
    return np.exp(-squared)


_Score = Callable[[FloatArray, FloatArray, FloatArray, float, int], FloatArray]


def _log_ei(mean: FloatArray, std: FloatArray, feasible: FloatArray, best: float, seed: int) -> FloatArray:
    """Log expected improvement (Ament et al., NeurIPS 2023) plus log feasibility."""
    import torch
    from botorch.acquisition import LogExpectedImprovement

    rows = torch.arange(len(mean), dtype=torch.float64).reshape(-1, 1, 1)
    with torch.no_grad():
        value = LogExpectedImprovement(_table_model(mean, std), best_f=best)(rows)
    return np.asarray(value.numpy() + np.log(feasible))


def _table_model(mean: FloatArray, std: FloatArray) -> Model:
    """A BoTorch model whose input is a row number: independent normals with the surrogate's mean and std."""
    import torch
    from botorch.models.model import Model
    from botorch.posteriors import GPyTorchPosterior
    from gpytorch.distributions import MultivariateNormal

    means, variances = torch.from_numpy(mean), torch.from_numpy(std**2)

    class Table(Model):
        num_outputs = 1

        def posterior(self, X: torch.Tensor, *_: object, **__: object) -> GPyTorchPosterior:
            rows = X[..., 0].long()
            return GPyTorchPosterior(MultivariateNormal(means[rows], torch.diag_embed(variances[rows])))

    return Table()


def _ucb(mean: FloatArray, std: FloatArray, feasible: FloatArray, best: float, seed: int) -> FloatArray:
    return mean + _UCB_BETA * std


def _greedy(mean: FloatArray, std: FloatArray, feasible: FloatArray, best: float, seed: int) -> FloatArray:
    return mean


def _max_uncertainty(
    mean: FloatArray, std: FloatArray, feasible: FloatArray, best: float, seed: int
) -> FloatArray:
    return std


def _thompson(mean: FloatArray, std: FloatArray, feasible: FloatArray, best: float, seed: int) -> FloatArray:
    return mean + std * np.random.default_rng(seed).standard_normal(len(mean))


_FUNCTIONS: dict[str, _Score] = {
    "qlogei": _log_ei,
    "ucb": _ucb,
    "greedy": _greedy,
    "max_uncertainty": _max_uncertainty,
    "thompson": _thompson,
    "random": _greedy,
}
