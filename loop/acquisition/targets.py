"""How likely each candidate is what a search looks for, when all energies are drawn together.

Hull-aware: whether a candidate lies near the hull depends on what else lies there, so energies of everything
not yet computed are drawn from the posterior, the hull of each draw is built, and draws are counted.
After Novick et al., Convex hull-aware active learning, npj Comput. Mater. (2024), arXiv:2402.15582.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from niobe.loop.stability.convex_hull import Hull
from niobe.surrogates.protocols import FloatArray

Judge = Callable[[FloatArray], FloatArray]
"""Formation energies (n,), eV/atom, to how far each row is from being a target, (n,); ≤ 0: it is one."""
_DRAWS = 32
_SOFTNESS = 0.02  # eV/atom
_LESS_AT_TOLERANCE = 0.5
_ON_HULL = 1e-6  # eV/atom
_SHARED = 0.8


def near_hull(
    compositions: Sequence[Mapping[str, float]], elements: Sequence[str], tolerance: float
) -> Judge:
    """Targets within ``tolerance`` (eV/atom) of the hull that all rows make together.

    compositions: atomic fractions by symbol. elements: symbols.
    """
    hull = Hull(compositions, elements)
    return lambda energies: energies - hull.level(energies) - tolerance


@dataclass(frozen=True)
class Outlook:
    """What a batch may bring. finds: expected in it; nothing_left: P(no candidate lies on the hull)."""

    finds: float
    nothing_left: float


def misses(
    judge: Judge,
    known: FloatArray,
    mean: FloatArray,
    std: FloatArray,
    *,
    kinds: NDArray[np.int64] | None = None,
    seed: int,
) -> FloatArray:
    """By how much m candidates miss their target in joint draws, eV/atom; ≤ 0: they are one. (draws, m).

    Posterior ``mean`` and ``std`` (m,), beside k known energies (k,); NaN where either is.
    kinds: (m,), candidates with the same number share 0.8 of the variance of their errors, as those of one
    composition do; what they do not share, and all errors without kinds, is independent. Were all errors of
    hundreds of candidates so, the luckiest would put the hull of every draw out of reach.
    ``judge`` takes the k known and then the m drawn energies.

    seed: of everything drawn at random.
    """
    sure = np.isfinite(mean + std)
    rng = np.random.default_rng(seed)
    found = np.empty((_DRAWS, len(mean)))
    for row in found:
        drawn = mean + std * _errors(rng, len(mean), kinds)
        row[:] = judge(np.concatenate([known, np.where(sure, drawn, np.inf)]))[len(known) :]
    found[:, ~sure] = np.nan
    return found


def target_probability(missed: FloatArray, tolerance: float = 0.0) -> FloatArray:
    """P(target) of m candidates (m,) from what they miss in joint draws (draws, m); NaN where not known.

    A miss by e counts exp(−e / 0.02 eV/atom), so that candidates that are never targets still have an order.
    A target counts the less the higher it lies, half at the tolerance (docs/decisions/0169).

    missed: by how much, as ``misses`` gives them. tolerance: within which of the hull targets lie, eV/atom.
    """
    counted = np.exp(-np.clip(missed, 0.0, None) / _SOFTNESS)
    if tolerance > 0:
        counted = counted * (1 - _LESS_AT_TOLERANCE * np.clip(1 + missed / tolerance, 0.0, 1.0))
    return np.asarray(counted.mean(axis=0))


def outlook(missed: FloatArray, tolerance: float, picks: Sequence[int]) -> Outlook | None:
    """What a batch may bring, a miss by whatever counting nothing; None where no pick has a prediction.

    A pick without one counts as the mean of those with one, any other candidate without one as none.

    missed: (draws, m), as ``misses`` gives them. tolerance: that they were judged by, eV/atom. picks: rows.
    """
    known = [row for row in picks if np.isfinite(missed[:, row]).all()]
    if not known:
        return None
    finds = (missed[:, known] <= 0).sum(axis=1).mean() * len(picks) / len(known)
    on_hull = np.nan_to_num(missed, nan=np.inf) <= -tolerance + _ON_HULL
    return Outlook(finds=float(finds), nothing_left=float(1 - on_hull.any(axis=1).mean()))


def _errors(rng: np.random.Generator, n: int, kinds: NDArray[np.int64] | None) -> FloatArray:
    """Standard normal errors (n,), those of one kind correlated."""
    own = rng.standard_normal(n)
    if kinds is None or not n:
        return own
    shared = rng.standard_normal(int(kinds.max()) + 1)[kinds]
    return np.asarray(np.sqrt(_SHARED) * shared + np.sqrt(1 - _SHARED) * own)
