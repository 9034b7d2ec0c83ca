"""What a campaign's objectives are, how good its results are in all of them at once, and by what measure.

An objective is a property to be maximised or minimised; −e_above_hull is one wherever there is another. All
values here are to be maximised.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from niobe.config.goals.spec import Goal
from niobe.config.spec import CampaignSpec
from niobe.loop.documents.records import Status, StructureRecord
from niobe.surrogates.protocols import FloatArray

LEAST_ABOVE_HULL = 0.05
"""eV/atom: the reference point lies so far above the hull, or ``hull_tolerance`` where that is more."""


def objectives(spec: CampaignSpec) -> tuple[Goal, ...]:
    """The goals of a campaign that are objectives, in the order of its file."""
    return tuple(goal for goal in spec.goals if goal.sign)


def measured(records: Sequence[StructureRecord], wanted: Sequence[Goal]) -> list[StructureRecord]:
    """Results that count: unique, not dynamically unstable, with a value of every objective.

    records: of a campaign. wanted: its objectives, some of them.
    """
    return [
        record
        for record in records
        if record.status is Status.VALIDATED
        and record.verdict is not None
        and record.verdict.duplicate_of is None
        and not record.dynamically_unstable
        and all(_value(record, goal) is not None for goal in wanted)
    ]


def values(records: Sequence[StructureRecord], wanted: Sequence[Goal]) -> FloatArray:
    """−e_above_hull (eV/atom), then each objective in its unit, negative where it is minimised.

    records: n of ``measured``. wanted: k objectives. Shape (n, k + 1).
    """
    rows = [
        [-record.verdict.e_above_hull_now if record.verdict else np.nan]
        + [goal.sign * (_value(record, goal) or 0.0) for goal in wanted]
        for record in records
    ]
    return np.array(rows, dtype=float).reshape(-1, len(wanted) + 1)


def reference(spec: CampaignSpec, records: Sequence[StructureRecord], wanted: Sequence[Goal]) -> FloatArray:
    """The point that a result has to surpass in all objectives to count, shape (k + 1,).

    Of stability ``hull_tolerance`` above the hull, at least 0.05 eV/atom. Of an objective the end of its
    range that it moves away from; without one its worst value among the results of round 0, what the
    campaign begins with, of all results where these have none. So the point stands for a whole campaign.

    spec: the campaign. records: of ``measured``. wanted: k objectives.
    """
    begun = [record for record in records if record.round == 0] or list(records)
    worst = values(begun, wanted)[:, 1:].min(axis=0) if begun else np.zeros(len(wanted))
    ends = [goal.limits[0] if goal.sign > 0 else -goal.limits[1] for goal in wanted]
    known = [end if np.isfinite(end) else low for end, low in zip(ends, worst, strict=True)]
    return np.array([-max(spec.hull_tolerance, LEAST_ABOVE_HULL), *known])


def front(points: FloatArray) -> NDArray[np.bool_]:
    """Which of n points (n, k) no other one surpasses in one objective and equals in the rest. Shape (n,)."""
    surpassed = [
        bool(((points >= point).all(axis=1) & (points > point).any(axis=1)).any()) for point in points
    ]
    return ~np.array(surpassed, dtype=bool)


def hypervolume(points: FloatArray, against: FloatArray) -> float:
    """The volume that points (n, k) dominate beyond a reference point (k,), in the product of their units."""
    import torch
    from botorch.utils.multi_objective.hypervolume import Hypervolume

    best = points[front(points)] if len(points) else points
    beyond = best[(best > against).all(axis=1)]
    if not len(beyond):
        return 0.0
    return float(Hypervolume(torch.from_numpy(against)).compute(torch.from_numpy(beyond)))


def dominated(spec: CampaignSpec, records: Sequence[StructureRecord]) -> float | None:
    """The hypervolume of a campaign's results within the ranges of its goals; None without objectives.

    spec: the campaign. records: of it.
    """
    wanted = objectives(spec)
    if not wanted:
        return None
    told = measured(records, wanted)
    counted = [record for record in told if in_ranges(record)]
    return hypervolume(values(counted, wanted), reference(spec, told, wanted))


def in_ranges(record: StructureRecord) -> bool:
    """Whether all properties that are known of a result lie in the ranges that are wanted."""
    return all(found.met is not False for found in record.properties.values())


def _value(record: StructureRecord, goal: Goal) -> float | None:
    found = record.properties.get(goal.name)
    return None if found is None else found.value
