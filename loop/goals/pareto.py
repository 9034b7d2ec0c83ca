"""What a campaign's objectives are, how good its results are in all of them at once, and by what measure.

An objective is a property to be maximised or minimised; −e_above_hull is one wherever there is another. All
values here are to be maximised.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from niobe.config.goals.spec import Goal
from niobe.config.spec import CampaignSpec
from niobe.loop.documents.properties import Level
from niobe.loop.documents.records import Status, StructureRecord
from niobe.loop.documents.rounds import RoundRecord
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
        and all(record.value_of(goal.name) is not None for goal in wanted)
    ]


def values(records: Sequence[StructureRecord], wanted: Sequence[Goal]) -> FloatArray:
    """−e_above_hull (eV/atom), then each objective in its unit, negative where it is minimised.

    records: n of ``measured``. wanted: k objectives. Shape (n, k + 1).
    """
    rows = [
        [-record.verdict.e_above_hull_now if record.verdict else np.nan]
        + [goal.sign * (record.value_of(goal.name) or 0.0) for goal in wanted]
        for record in records
    ]
    return np.array(rows, dtype=float).reshape(-1, len(wanted) + 1)


def highest_above(spec: CampaignSpec) -> float:
    """How far above the hull (eV/atom) a result may lie to count: ``hull_tolerance``, 0.05 at least."""
    return max(spec.hull_tolerance, LEAST_ABOVE_HULL)


def reference_point(
    spec: CampaignSpec, records: Sequence[StructureRecord], before: Mapping[str, Level]
) -> dict[str, Level]:
    """What a result has to surpass of each objective to count, by name, in its own unit.

    That is the end of its range that it moves away from; without one its worst value among the results of
    round 0, what the campaign begins with, or of all results where these have none. Once fixed it stands, so
    that hypervolumes of two rounds are measured from one point; without any value there is none yet.

    spec: the campaign. records: of it. before: what an earlier round has fixed.
    """
    found = {}
    for goal in objectives(spec):
        told = measured(records, [goal])
        begun = [record for record in told if record.round == 0] or told
        end = goal.limits[0] if goal.sign > 0 else goal.limits[1]
        if goal.name in before:
            found[goal.name] = before[goal.name]
        elif begun:
            worst = goal.sign * float(values(begun, [goal])[:, 1].min())
            unit = begun[0].properties[goal.name].unit
            found[goal.name] = Level(value=end if np.isfinite(end) else worst, unit=unit)
    return found


def fixed_reference(rounds: Sequence[RoundRecord]) -> dict[str, Level]:
    """What rounds have fixed of the reference point, the last of them all. rounds: in order."""
    return {name: level for one in rounds for name, level in one.metrics.reference.items()}


def reference(spec: CampaignSpec, point: Mapping[str, Level], wanted: Sequence[Goal]) -> FloatArray:
    """A reference point as ``values`` has results, shape (k + 1,).

    spec: the campaign. point: of ``reference_point``. wanted: k objectives, all in it.
    """
    return np.array([-highest_above(spec), *(goal.sign * point[goal.name].value for goal in wanted)])


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


def dominated(
    spec: CampaignSpec, records: Sequence[StructureRecord], point: Mapping[str, Level]
) -> float | None:
    """The hypervolume of a campaign's results within the ranges of its goals, in eV/atom times the units of
    the objectives; None without objectives, and as long as one has no reference.

    spec: the campaign. records: of it. point: of ``reference_point``.
    """
    wanted = objectives(spec)
    if not wanted or any(goal.name not in point for goal in wanted):
        return None
    counted = [record for record in measured(records, wanted) if in_ranges(spec, record)]
    return hypervolume(values(counted, wanted), reference(spec, point, wanted))


def in_ranges(spec: CampaignSpec, record: StructureRecord) -> bool:
    """Whether a result is known to lie in all ranges that are wanted: what is unknown is not in range.

    spec: the campaign. record: the result.
    """
    found = [record.properties.get(goal.name) for goal in spec.goals if goal.wanted]
    return all(value is not None and value.met is True for value in found)
