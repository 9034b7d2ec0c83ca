"""How much faster a search finds crystals than chance: curves, factors and their intervals.

Definitions after Rohr et al., Chem. Sci. 11, 2696 (2020): D(t) counts what was found after t oracle calls;
the acceleration factor at a level is the baseline's calls to reach it over the search's calls.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from niobe.surrogates.protocols import FloatArray

_DRAWS = 4000
_LEVEL = 0.90


@dataclass(frozen=True)
class Interval:
    """An estimate and its 90 % interval; infinite where the search never got there (censored)."""

    value: float
    low: float
    high: float


def discovery_curve(hits: Sequence[bool] | NDArray[np.bool_]) -> FloatArray:
    """D(t) for t = 1 … B from whether each call in order was a hit. Shape (B,)."""
    return np.cumsum(np.asarray(hits, dtype=float))


def calls_to(curve: FloatArray, level: float) -> float:
    """The first t at which D(t), shape (calls,), reaches ``level``; infinite where it never does."""
    reached = np.flatnonzero(curve >= level - 1e-9)
    return float(reached[0] + 1) if len(reached) else float("inf")


def acceleration_factor(curve: FloatArray, baseline: FloatArray, share: float) -> float:
    """Baseline's calls over the search's to reach ``share`` of the baseline's final D.

    NaN where the baseline found nothing, 0 where the search never got there.

    curve: targets found after each call, shape (n,).
    """
    level = share * float(baseline[-1])
    if level <= 0:
        return float("nan")
    return calls_to(baseline, level) / calls_to(curve, level)


def enhancement_factor(curve: FloatArray, baseline: FloatArray, calls: int) -> float:
    """D of the search over D of the baseline after ``calls``; NaN where the baseline found nothing.

    curve: targets found after each call, shape (n,).
    """
    found = float(baseline[calls - 1])
    return float(curve[calls - 1]) / found if found else float("nan")


def area_under_curve(curve: FloatArray) -> float:
    """Mean of D(t), shape (calls,), over that of a search whose every call is a hit: 1 is perfect."""
    return float(curve.sum() / np.arange(1, len(curve) + 1).sum())


def bootstrap(
    values: Sequence[float], statistic: Callable[[FloatArray], float] = np.median, *, seed: int = 0
) -> Interval:
    """A statistic of independent runs with its 90 % bootstrap interval. Raises ValueError for no values.

    seed: of everything drawn at random.
    """
    known = np.asarray([value for value in values if not np.isnan(value)], dtype=float)
    if not len(known):
        raise ValueError("no run to take a statistic of")
    rng = np.random.default_rng(seed)
    drawn = [float(statistic(rng.choice(known, len(known)))) for _ in range(_DRAWS)]
    low, high = np.quantile(drawn, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2], method="nearest")
    return Interval(float(statistic(known)), float(low), float(high))


def hit_ratio(hits: int, calls: int, control_hits: int, control_calls: int, *, seed: int = 0) -> Interval:
    """Hit rate of chosen candidates over that of randomly drawn ones, with its 90 % credible interval.

    Rates have Jeffreys' prior, Beta(1/2, 1/2), so that no hit among a few controls still gives a finite
    answer. Raises ValueError where a setting has no call.

    hits: how many calls found something. calls: oracle calls. control_hits: the same of controls.
    control_calls: calls of controls. seed: of everything drawn at random.
    """
    if calls < 1 or control_calls < 1:
        raise ValueError("an acceleration needs at least one chosen and one randomly drawn candidate")
    rng = np.random.default_rng(seed)
    chosen = rng.beta(hits + 0.5, calls - hits + 0.5, _DRAWS)
    control = rng.beta(control_hits + 0.5, control_calls - control_hits + 0.5, _DRAWS)
    low, middle, high = np.quantile(chosen / control, [(1 - _LEVEL) / 2, 0.5, (1 + _LEVEL) / 2])
    return Interval(float(middle), float(low), float(high))


def rate_difference(hits: int, calls: int, hits_before: int, calls_before: int, *, seed: int = 0) -> Interval:
    """Hit rate less another one, with its 90 % credible interval under Jeffreys' prior for both.

    Calls count as independent. Raises ValueError where a side has no call.

    hits: how many calls found something. calls: oracle calls. hits_before: the same of the setting before.
    calls_before: calls of the setting before. seed: of everything drawn at random.
    """
    if calls < 1 or calls_before < 1:
        raise ValueError("a difference of hit rates needs at least one call on each side")
    rng = np.random.default_rng(seed)
    drawn = rng.beta(hits + 0.5, calls - hits + 0.5, _DRAWS)
    before = rng.beta(hits_before + 0.5, calls_before - hits_before + 0.5, _DRAWS)
    low, high = np.quantile(drawn - before, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return Interval(hits / calls - hits_before / calls_before, float(low), float(high))


@dataclass(frozen=True)
class Calls:
    """Finished validations of a kind, and how many of them found something stable."""

    hits: int
    calls: int


@dataclass(frozen=True)
class Arms:
    """What a campaign chose, what it drew at random, and what other campaigns did; seconds an oracle call."""

    chosen: Calls
    controls: Calls
    elsewhere: Sequence[Calls] = field(default=())
    seconds: float | None = None

    @property
    def pooled(self) -> Calls:
        """Controls of all campaigns; each counts as one, wherever it was drawn."""
        every = [self.controls, *self.elsewhere]
        return Calls(sum(one.hits for one in every), sum(one.calls for one in every))


def pooled_ratio(arms: Arms, *, seed: int = 0) -> Interval:
    """Hit rate of what a campaign chose over that of its controls, with its 90 % credible interval.

    Campaigns share what their controls say: the rates of all are draws from one Beta distribution, whose mean
    has Jeffreys' prior and whose strength, in calls, is uniform in its logarithm from 1 to 300, so that the
    more alike campaigns are, the more each learns from the others (Gelman et al., Bayesian Data Analysis, 3rd
    ed., 5.3). A campaign alone is ``hit_ratio``. Raises ValueError where nothing was chosen, or drawn.

    seed: of everything drawn at random.
    """
    others = [one for one in arms.elsewhere if one.calls]
    own, chosen = arms.controls, arms.chosen
    if not others:
        return hit_ratio(chosen.hits, chosen.calls, own.hits, own.calls, seed=seed)
    if chosen.calls < 1:
        raise ValueError("an acceleration needs at least one chosen candidate")
    rng = np.random.default_rng(seed)
    mean, strength = _shared_rate([own, *others], rng)
    control = rng.beta(own.hits + mean * strength, own.calls - own.hits + (1 - mean) * strength)
    rate = rng.beta(chosen.hits + 0.5, chosen.calls - chosen.hits + 0.5, _DRAWS)
    control = np.maximum(control, np.finfo(float).tiny)
    low, middle, high = np.quantile(rate / control, [(1 - _LEVEL) / 2, 0.5, (1 + _LEVEL) / 2])
    return Interval(float(middle), float(low), float(high))


def _shared_rate(controls: Sequence[Calls], rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Draws of mean and strength of the distribution that all campaigns' rates come from, each (_DRAWS,)."""
    from scipy.special import betaln

    means, strengths = np.meshgrid(np.linspace(0.005, 0.995, 199), np.geomspace(1, 300, 60), indexing="ij")
    a, b = means * strengths, (1 - means) * strengths
    log = -0.5 * np.log(means) - 0.5 * np.log(1 - means)
    for one in controls:
        log = log + betaln(one.hits + a, one.calls - one.hits + b) - betaln(a, b)
    weights = np.exp(log - log.max()).ravel()
    drawn = rng.choice(weights.size, _DRAWS, p=weights / weights.sum())
    return means.ravel()[drawn], strengths.ravel()[drawn]


def more_controls(arms: Arms, within: float) -> int | None:
    """How many more controls put the interval's ends a factor ``within`` apart; None where none do.

    As the rates are now: the logarithm of a rate p after n calls has the variance (1 − p) / (p n). Controls
    of other campaigns are worth so many calls as rates of campaigns are alike. None means that what was
    chosen is too little by itself.
    """
    chosen, control = (_rate(one) for one in (arms.chosen, arms.pooled))
    left = (np.log(within) / (2 * 1.645)) ** 2 - (1 - chosen) / (chosen * (arms.chosen.calls + 1))
    if left <= 0:
        return None
    needed = int(np.ceil((1 - control) / (control * left)))
    return max(0, needed - arms.controls.calls - _worth(arms))


def _worth(arms: Arms) -> int:
    """How many controls of its own those of all other campaigns replace: no more than they are."""
    others = [one for one in arms.elsewhere if one.calls]
    if not others:
        return 0
    _, strength = _shared_rate([arms.controls, *others], np.random.default_rng(0))
    return min(int(np.median(strength)), sum(one.calls for one in others))


def _rate(calls: Calls) -> float:
    return (calls.hits + 0.5) / (calls.calls + 1)
