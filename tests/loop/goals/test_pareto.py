"""Fronts and hypervolumes against brute force; what counts, and from which point on."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from niobe.config.spec import CampaignSpec
from niobe.loop.documents.dynamics import Stability
from niobe.loop.documents.properties import Level, PropertyValue
from niobe.loop.documents.records import StructureRecord, Verdict
from niobe.loop.documents.rounds import RoundMetrics, RoundRecord
from niobe.loop.goals.pareto import (
    dominated,
    fixed_reference,
    front,
    hypervolume,
    in_ranges,
    measured,
    objectives,
    reference,
    reference_point,
)
from niobe.loop.goals.pareto import values as values_of
from niobe.surrogates.protocols import FloatArray
from tests.loop.factory import nbo, validated

POINTS = st.integers(2, 3).flatmap(
    lambda k: arrays(float, st.tuples(st.integers(1, 7), st.just(k)), elements=st.integers(-3, 4))
)
GOALS = [
    {"property": "density", "range": [None, 9.0], "minimize": True},
    {"property": "bulk_modulus", "maximize": True},
]
SPEC = CampaignSpec.model_validate({"id": "t", "elements": ["Nb", "O"], "goals": GOALS})


@given(POINTS)
def test_a_front_is_what_nothing_surpasses(points: FloatArray) -> None:
    def surpassed(one: FloatArray) -> bool:
        return any(
            all(a >= b for a, b in zip(o, one, strict=True)) and tuple(o) != tuple(one) for o in points
        )

    assert front(points).tolist() == [not surpassed(one) for one in points]


@given(POINTS)
@settings(max_examples=40)
def test_a_hypervolume_is_the_count_of_unit_cells_below(points: FloatArray) -> None:
    """Integer points beyond a reference of zeros: unit cells whose upper corner some point reaches."""
    corners = itertools.product(range(1, 5), repeat=points.shape[1])
    count = sum(bool((points >= np.array(corner)).all(axis=1).any()) for corner in corners)
    assert hypervolume(points, np.zeros(points.shape[1])) == pytest.approx(count)


def result(
    density: float | None, modulus: float | None, above: float, number: int = 0, **more: object
) -> StructureRecord:
    record = validated(nbo(4.0 + density if density else 4.2), -9.0, round_number=number)
    found = {"density": density, "bulk_modulus": modulus}
    properties = {
        name: PropertyValue(value=value, unit="u", source="s", met=value <= 9.0 if value else None)
        for name, value in found.items()
    }
    properties["bulk_modulus"].met = None
    verdict = Verdict(
        formation_energy_per_atom=-1.0, e_above_hull_found=above, e_above_hull_now=above, hull_round=0
    )
    return record.model_copy(
        update={"properties": properties, "verdict": verdict.model_copy(update=more), "round": number}
    )


def test_what_counts_and_from_where() -> None:
    unstable = validated(nbo(4.3), -9.0, outcome=Stability.UNSTABLE)
    begun = [result(8.0, 100.0, 0.0), result(7.0, 60.0, 0.08), result(9.5, 150.0, 0.0)]
    passed = [result(7.0, None, 0.0), result(7.5, 90.0, 0.0, duplicate_of="another"), unstable]
    wanted = objectives(SPEC)
    assert [goal.name for goal in wanted] == ["density", "bulk_modulus"]
    told = measured([*begun, *passed], wanted)
    assert told == begun
    assert values_of(told, wanted)[1].tolist() == [-0.08, -7.0, 60.0]
    point = reference_point(SPEC, told, {})
    assert point == {"density": Level(value=9.0, unit="u"), "bulk_modulus": Level(value=60.0, unit="u")}
    assert reference(SPEC, point, wanted).tolist() == [-0.1, -9.0, 60.0]
    assert [in_ranges(SPEC, record) for record in told] == [True, True, False]
    assert dominated(SPEC, begun, point) == pytest.approx(0.1 * 1.0 * 40.0)
    better = [*begun, result(8.5, 140.0, 0.05, number=1)]
    assert dominated(SPEC, better, point) == pytest.approx(4.0 + 0.05 * 0.5 * 40.0)
    assert dominated(CampaignSpec(id="t", elements=("Nb", "O")), begun, {}) is None


def test_what_is_not_known_to_be_in_range_dominates_nothing() -> None:
    """A range on something that has no value, or was never asked about."""
    ranged = CampaignSpec.model_validate(
        {"id": "t", "elements": ["Nb", "O"], "goals": [*GOALS, {"property": "price", "range": [0, 30]}]}
    )
    known, failed, never = (result(8.0, 100.0, 0.0) for _ in range(3))
    known.properties["price"] = PropertyValue(value=20.0, unit="u", source="s", met=True)
    failed.properties["price"] = PropertyValue(unit="u", source="s", reason="no price")
    assert [in_ranges(ranged, record) for record in (known, failed, never)] == [True, False, False]
    point = reference_point(ranged, [result(8.5, 60.0, 0.0)], {})
    assert dominated(ranged, [failed, never], point) == 0.0
    assert dominated(ranged, [known, failed], point) == pytest.approx(0.1 * 1.0 * 40.0)


@given(st.lists(st.tuples(st.floats(5, 8), st.floats(1, 300), st.integers(0, 3)), min_size=1, max_size=6))
@settings(max_examples=25)
def test_the_reference_point_stands_and_so_a_hypervolume_only_grows(
    found: list[tuple[float, float, int]],
) -> None:
    """Whatever comes later, into round 0 too: moduli are asked for a few at a time, and softer ones come."""
    records: list[StructureRecord] = []
    point: dict[str, Level] = {}
    volumes = []
    for density, modulus, number in found:
        records.append(result(density, modulus, 0.0, number=number))
        before, point = point, reference_point(SPEC, records, point)
        assert before in ({}, point)
        volumes.append(dominated(SPEC, records, point))
    assert volumes == sorted(volumes)  # type: ignore[type-var]


def test_without_a_value_of_an_objective_there_is_no_point_and_no_hypervolume() -> None:
    lone = [result(8.0, None, 0.0)]
    point = reference_point(SPEC, lone, {})
    assert point.keys() == {"density"} and dominated(SPEC, lone, point) is None
    of_a_result = RoundMetrics(reference=point)
    rounds = [RoundRecord(campaign="t", number=0, metrics=of_a_result)]
    softest = Level(value=60.0, unit="GPa")
    rounds.append(
        RoundRecord(campaign="t", number=1, metrics=RoundMetrics(reference={"bulk_modulus": softest}))
    )
    assert fixed_reference(rounds) == point | {"bulk_modulus": softest}
