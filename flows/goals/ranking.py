"""How goals enter the choice of a batch: the chance of being in range, and objectives beside stability."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from niobe.config.goals.spec import Goal
from niobe.config.spec import CampaignSpec
from niobe.flows.goals.candidates import LEAST_VALUES
from niobe.loop.acquisition.objectives import Objectives
from niobe.loop.documents.records import StructureRecord
from niobe.loop.documents.rounds import RoundRecord
from niobe.loop.goals.pareto import (
    fixed_reference,
    in_ranges,
    measured,
    objectives,
    reference,
    reference_point,
    values,
)
from niobe.surrogates.protocols import FloatArray

INSTEAD = "p_hull"
"""What chooses while too few results have a value of any objective."""


def chance_in_range(spec: CampaignSpec, records: Sequence[StructureRecord]) -> FloatArray | None:
    """The probability of n candidates to lie in the ranges of all goals, 1 where nothing is predicted, (n,).

    Of a value that is known exactly it is 1 or 0. None for a campaign without ranges.
    """
    from scipy.stats import norm

    ranged = [goal for goal in spec.goals if goal.range]
    if not ranged:
        return None
    chance = np.ones(len(records))
    for goal in ranged:
        low, high = goal.limits
        mean, std = _predicted(goal, records)
        spread = np.where(std > 0, std, 1.0)
        inside = norm.cdf((high - mean) / spread) - norm.cdf((low - mean) / spread)
        exact = (low <= mean) & (mean <= high)  # as a result's value is judged, limits included
        chance *= np.where(np.isfinite(mean + std), np.where(std > 0, inside, exact), 1.0)
    return chance


def aims_of(
    spec: CampaignSpec,
    records: Sequence[StructureRecord],
    found: Sequence[StructureRecord],
    rounds: Sequence[RoundRecord] = (),
) -> tuple[str, Objectives | None, list[str]]:
    """The acquisition function, what n candidates are expected to have of the campaign's objectives, and a
    note for each objective that is left out because too few results have a value of it.

    Where that leaves none, P(near the hull) chooses.

    spec: the campaign. records: candidates, with predictions. found: results. rounds: so far, in order.
    """
    wanted = objectives(spec)
    counts = {goal.name: len(measured(found, [goal])) for goal in wanted}
    known = [goal for goal in wanted if counts[goal.name] >= LEAST_VALUES]
    instead = "without it" if known else f"by {INSTEAD}"
    notes = [
        f"goals: {name} has {count} of the {LEAST_VALUES} values that make an objective; chosen {instead}"
        for name, count in counts.items()
        if count < LEAST_VALUES
    ]
    if not wanted or not known:
        return (INSTEAD if wanted else spec.acquisition.function), None, notes
    point = reference_point(spec, found, fixed_reference(rounds))
    aims = _expected(spec, records, measured(found, known), known, reference(spec, point, known))
    return spec.acquisition.function, aims, notes


def _expected(
    spec: CampaignSpec,
    records: Sequence[StructureRecord],
    told: Sequence[StructureRecord],
    known: Sequence[Goal],
    limits: FloatArray,
) -> Objectives:
    """Of candidates; what was ``told`` by results within all ranges is what they have to improve on."""
    means, stds = zip(*(_predicted(goal, records) for goal in known), strict=True)
    mean = np.stack(means, axis=1) * np.array([goal.sign for goal in known])
    counted = [record for record in told if in_ranges(spec, record)]
    return Objectives(
        mean=mean,
        std=np.stack(stds, axis=1),
        observed=values(counted, known),
        reference=limits,
        scale=np.array([-limits[0], *_spread(values(told, known)[:, 1:], mean)]),
    )


def _predicted(goal: Goal, records: Sequence[StructureRecord]) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation, each (n,), NaN where nothing is predicted."""
    said = [record.prediction.get(goal.name) for record in records]
    mean = [np.nan if value is None or value.mean is None else value.mean for value in said]
    std = [np.nan if value is None or value.std is None else value.std for value in said]
    return np.array(mean), np.array(std)


def _spread(points: FloatArray, mean: FloatArray) -> FloatArray:
    """By how much each objective varies, over results (m, k) and candidates (n, k) together; shape (k,)."""
    spread = np.nanstd(np.vstack([points, mean]), axis=0)
    return np.where(spread > 0, spread, 1.0)
