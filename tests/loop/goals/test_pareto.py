"""Fronts and hypervolumes against brute force; what counts, and from which point on."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from niobe.config.spec import CampaignSpec
from niobe.loop.documents.properties import PropertyValue
from niobe.loop.documents.records import Stability, StructureRecord, Verdict
from niobe.loop.goals.pareto import dominated, front, hypervolume, in_ranges, measured, objectives, reference
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
    assert reference(SPEC, told, wanted).tolist() == [-0.1, -9.0, 60.0]
    assert [in_ranges(record) for record in told] == [True, True, False]
    assert dominated(SPEC, begun) == pytest.approx(0.1 * 1.0 * 40.0)
    better = [*begun, result(8.5, 140.0, 0.05, number=1)]
    assert dominated(SPEC, better) == pytest.approx(4.0 + 0.05 * 0.5 * 40.0)
    assert dominated(CampaignSpec(id="t", elements=("Nb", "O")), begun) is None
