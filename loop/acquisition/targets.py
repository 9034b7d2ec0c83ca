"""How likely each candidate is what a search looks for, when all energies are drawn together.

Hull-aware: whether a candidate lies near the hull depends on what else lies there, so energies of everything
not yet computed are drawn from the posterior, the hull of each draw is built, and draws are counted.
After Novick et al., Convex hull-aware active learning, npj Comput. Mater. (2024), arXiv:2402.15582.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from niobe.loop.stability.convex_hull import Hull
from niobe.surrogates.protocols import FloatArray

Judge = Callable[[FloatArray], FloatArray]
"""Formation energies (n,), eV/atom, to how far each row is from being a target, (n,); ≤ 0: it is one."""
_DRAWS = 32
_SOFTNESS = 0.02
_SHARED = 0.8


def near_hull(
    compositions: Sequence[Mapping[str, float]], elements: Sequence[str], tolerance: float
) -> Judge:
    """Targets within ``tolerance`` (eV/atom) of the hull that all rows make together.

    compositions: atomic fractions by symbol. elements: symbols.
    """
    hull = Hull(compositions, elements)
    return lambda energies: energies - hull.level(energies) - tolerance


def target_probability(
    judge: Judge,
    known: FloatArray,
    mean: FloatArray,
    std: FloatArray,
    *,
    kinds: NDArray[np.int64] | None = None,
    seed: int,
) -> FloatArray:
    """P(target) of m candidates with posterior ``mean`` and ``std`` (m,), beside k known energies (k,).

    kinds: (m,), candidates with the same number share 0.8 of the variance of their errors, as those of one
    composition do; what they do not share, and all errors without kinds, is independent. Were all errors of
    hundreds of candidates so, the luckiest would put the hull of every draw out of reach.
    ``judge`` takes the k known and then the m drawn energies. A miss by e counts exp(−e / 0.02 eV/atom), so
    that candidates that are never targets still have an order. NaN where mean or std is.

    seed: of everything drawn at random.
    """
    sure = np.isfinite(mean + std)
    rng = np.random.default_rng(seed)
    total = np.zeros(len(mean))
    for _ in range(_DRAWS):
        drawn = mean + std * _errors(rng, len(mean), kinds)
        judged = judge(np.concatenate([known, np.where(sure, drawn, np.inf)]))[len(known) :]
        total += np.exp(-np.clip(judged, 0.0, None) / _SOFTNESS)
    return np.where(sure, total / _DRAWS, np.nan)


def _errors(rng: np.random.Generator, n: int, kinds: NDArray[np.int64] | None) -> FloatArray:
    """Standard normal errors (n,), those of one kind correlated."""
    own = rng.standard_normal(n)
    if kinds is None or not n:
        return own
    shared = rng.standard_normal(int(kinds.max()) + 1)[kinds]
    return np.asarray(np.sqrt(_SHARED) * shared + np.sqrt(1 - _SHARED) * own)
