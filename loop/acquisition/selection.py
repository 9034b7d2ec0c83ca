"""Sequential greedy choice of a batch: each pick makes its neighbours less worth asking about."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from niobe.loop.acquisition.functions import FUNCTIONS, HULL_AWARE, LEAST, LOGARITHMIC, View
from niobe.loop.acquisition.pool import Batch, Pick, Pool
from niobe.loop.acquisition.posterior import EnsemblePosterior, Posterior
from niobe.surrogates.protocols import FloatArray

_SHORT_LIST = 2000
_ROUNDING = 1e-9
RANDOM = "random"
Rows = NDArray[np.int64]
NOTHING: FloatArray = np.empty((0, 3))


@dataclass(frozen=True)
class _Request:
    function: str
    count: int
    best: float
    observed: FloatArray
    seconds_left: float
    seed: int


def choose_batch(
    function: str,
    pool: Pool,
    *,
    batch: int,
    control_share: float,
    seed: int,
    best: float = 0.0,
    observed: FloatArray = NOTHING,
    pending: FloatArray | None = None,
    posterior: Posterior | None = None,
    seconds_left: float = np.inf,
) -> Batch:
    """Choose ``batch`` candidates; ``control_share`` of them at random from the whole pool.

    best: −e_above_hull (eV/atom) to improve on; observed: (m, 3), see View; pending: features (m, d) of
    candidates in flight; posterior: of −e_above_hull over the pool, by default the surrogate's own ensemble.
    With ``seconds_left`` finite, expected oracle seconds never exceed it, and logarithmic functions are
    taken per second. Permuting the pool changes nothing. Raises ValueError for an unknown function.

    seed: of everything drawn at random.
    """
    _require_known(function, pool)
    size = min(batch, len(pool.ids))
    known = pool.known()
    rankable = np.flatnonzero(known | (function == RANDOM))
    controls = _affordable(pool, _controls(pool, size, control_share, seed), seconds_left)
    left = seconds_left - _cost(pool, controls)
    by_id = np.argsort(pool.ids)
    free = by_id[np.isin(by_id, np.setdiff1d(rankable, controls))]
    request = _Request(function, size - len(controls), best, observed, left, seed)
    ranked = _rank(request, pool, free, posterior, pending)
    left -= _cost(pool, [index for index, _ in ranked])
    others = [i for i in _shuffled(pool, seed + 1) if i not in {*controls, *(i for i, _ in ranked)}]
    filling = _affordable(pool, others, left)[: request.count - len(ranked)]
    ranked += [(index, None) for index in filling]
    picks = [Pick(i, pool.ids[i], score, "acquired", rank) for rank, (i, score) in enumerate(ranked)]
    picks += [Pick(i, pool.ids[i], None, "control", len(ranked) + n) for n, i in enumerate(controls)]
    return Batch(tuple(picks), excluded=int((~known).sum()), cold_start=not known.any())


def _require_known(function: str, pool: Pool) -> None:
    if function in HULL_AWARE and pool.p_target is None:
        raise ValueError(f"acquisition function {function!r} needs the pool's p_target")
    if function not in FUNCTIONS and function != RANDOM:
        allowed = ", ".join(sorted([*FUNCTIONS, RANDOM]))
        raise ValueError(f"acquisition function {function!r} is unknown; allowed: {allowed}")


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


def _cost(pool: Pool, indices: list[int]) -> float:
    return 0.0 if pool.seconds is None else float(pool.seconds[indices].sum())


def _affordable(pool: Pool, indices: list[int], seconds: float) -> list[int]:
    """As many of the indices, in order, as fit into ``seconds``."""
    if pool.seconds is None or np.isinf(seconds):
        return indices
    kept: list[int] = []
    for index in indices:
        if pool.seconds[index] <= seconds:
            kept.append(index)
            seconds -= float(pool.seconds[index])
    return kept


def _rank(
    request: _Request, pool: Pool, free: Rows, posterior: Posterior | None, pending: FloatArray | None
) -> list[tuple[int, float | None]]:
    if request.count <= 0 or not len(free):
        return []
    if request.function == RANDOM:
        allowed = set(free.tolist())
        in_order = [i for i in _shuffled(pool, request.seed + 1) if i in allowed]
        return [(i, None) for i in _affordable(pool, in_order, request.seconds_left)[: request.count]]
    scale = np.ones(pool.features.shape[1])
    if posterior is None:
        above, scale = pool.e_above_hull, _spread(pool.features)
        posterior = EnsemblePosterior.of(-above.mean, np.maximum(above.std, 1e-6), pool.features / scale)
    sharpened = posterior.take(free)
    for row in pending if pending is not None else ():
        sharpened = sharpened.given_at(row / scale)
    return _greedy_batch(request, pool, free, sharpened)


def _spread(features: FloatArray) -> FloatArray:
    """By what each feature varies within the pool: candidates are alike or not among themselves."""
    spread = features.std(axis=0)
    return np.where(spread > _ROUNDING, spread, 1.0)


def _greedy_batch(
    request: _Request, pool: Pool, free: Rows, posterior: Posterior
) -> list[tuple[int, float | None]]:
    """Pick by pick. Gains only fall as the batch grows, so after the first pick a short list is enough."""
    chosen: list[tuple[int, float | None]] = []
    taken: list[int] = []
    first = posterior.std
    left = request.seconds_left
    while len(chosen) < min(request.count, len(free)):
        fresh = posterior.std / first
        values = _values(request, pool, free, posterior, fresh, tuple(taken), left)
        if not chosen and len(free) > _SHORT_LIST:
            short = np.sort(np.argsort(-values, kind="stable")[:_SHORT_LIST])
            free, posterior, values = free[short], posterior.take(short), values[short]
            first = first[short]
        pick = int(values.argmax())
        if values[pick] == -np.inf:
            break
        chosen.append((int(free[pick]), float(values[pick])))
        left -= _cost(pool, [int(free[pick])])
        taken.append(pick)
        posterior = posterior.given(pick)
    return chosen


def _values(
    request: _Request,
    pool: Pool,
    free: Rows,
    posterior: Posterior,
    fresh: FloatArray,
    taken: tuple[int, ...],
    left: float,
) -> FloatArray:
    """Acquisition values of what is free, minus infinity for what is taken, cannot be paid for, or has no
    number: none is chosen by NaN."""
    view = View(
        mean=posterior.mean,
        std=posterior.std,
        feasible=pool.feasibility()[free],
        stable=pool.stability()[free],
        succeeds=pool.success()[free],
        novelty=np.zeros(len(free)) if pool.novelty is None else pool.novelty[free],
        p_target=np.zeros(len(free)) if pool.p_target is None else pool.p_target[free],
        fresh=fresh,
        best=request.best,
        observed=request.observed,
        taken=taken,
        seed=request.seed + len(taken),
        objectives=None if pool.objectives is None else pool.objectives.take(free),
    )
    values = FUNCTIONS[request.function](view)
    if pool.in_range is not None and request.function in LOGARITHMIC:
        values = values + np.log(np.maximum(pool.in_range[free], LEAST))
    if pool.seconds is not None and np.isfinite(left):
        if request.function in LOGARITHMIC:
            values = values - np.log(pool.seconds[free])
        values = np.where(pool.seconds[free] <= left, values, -np.inf)
    closed = np.zeros(len(free), dtype=bool)
    closed[list(taken)] = True
    return np.where(closed | np.isnan(values), -np.inf, values)
