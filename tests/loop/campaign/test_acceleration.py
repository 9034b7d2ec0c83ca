"""Acceleration figures against hand-computed values."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from niobe.loop.campaign.acceleration import (
    acceleration_factor,
    area_under_curve,
    bootstrap,
    calls_to,
    discovery_curve,
    enhancement_factor,
    hit_ratio,
    rate_difference,
)

FAST = discovery_curve([True, True, False, True, False, False, False, False])
SLOW = discovery_curve([False, False, False, True, False, False, False, True])


def test_a_curve_counts_hits() -> None:
    assert FAST.tolist() == [1, 2, 2, 3, 3, 3, 3, 3]
    assert calls_to(FAST, 3) == 4
    assert math.isinf(calls_to(FAST, 4))


def test_acceleration_is_the_ratio_of_calls() -> None:
    assert acceleration_factor(FAST, SLOW, 0.5) == 4.0
    assert acceleration_factor(FAST, SLOW, 1.0) == 4.0
    assert acceleration_factor(SLOW, FAST, 1.0) == 0.0
    assert math.isnan(acceleration_factor(FAST, np.zeros(8), 0.5))


def test_enhancement_and_area() -> None:
    assert enhancement_factor(FAST, SLOW, 8) == 1.5
    assert math.isnan(enhancement_factor(FAST, SLOW, 3))
    assert area_under_curve(discovery_curve([True] * 7)) == 1.0
    assert area_under_curve(FAST) == pytest.approx(20 / 36)


@settings(max_examples=20)
@given(st.lists(st.floats(0.1, 9), min_size=2, max_size=30))
def test_an_interval_holds_its_estimate(values: list[float]) -> None:
    interval = bootstrap(values)
    assert min(values) <= interval.low <= interval.high <= max(values)
    assert interval.low <= interval.value <= interval.high


def test_the_hit_ratio_is_wide_with_few_controls_and_narrows() -> None:
    few, many = hit_ratio(10, 20, 1, 4), hit_ratio(500, 1000, 100, 1000)
    assert few.low < few.value < few.high
    assert many.value == pytest.approx(5.0, rel=0.05)
    assert many.high - many.low < few.high - few.low
    assert hit_ratio(3, 10, 0, 3).high < math.inf


def test_an_setting_without_calls_has_no_ratio() -> None:
    with pytest.raises(ValueError, match="at least one"):
        hit_ratio(1, 2, 0, 0)


def test_a_difference_of_hit_rates_has_an_interval_that_shrinks_with_calls() -> None:
    few, many = rate_difference(6, 10, 3, 10), rate_difference(600, 1000, 300, 1000)
    assert few.value == many.value == pytest.approx(0.3)
    assert few.low < many.low < 0.3 < many.high < few.high
    assert few.low < 0 < many.low
    same = rate_difference(0, 10, 0, 10)
    assert same.low < 0 < same.high
    with pytest.raises(ValueError, match="at least one call"):
        rate_difference(0, 0, 0, 10)
