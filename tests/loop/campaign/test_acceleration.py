"""Acceleration figures against hand-computed values."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from niobe.loop.campaign.acceleration import (
    Arms,
    Calls,
    acceleration_factor,
    area_under_curve,
    bootstrap,
    calls_to,
    discovery_curve,
    enhancement_factor,
    hit_ratio,
    more_controls,
    pooled_ratio,
    rate_difference,
)
from niobe.loop.campaign.controls import acceleration_text

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


def test_controls_of_other_campaigns_narrow_the_interval_as_far_as_they_are_alike() -> None:
    """Ten campaigns with the same rate of controls nearly count as one; ten that differ say little."""
    chosen, own = Calls(20, 43), Calls(1, 5)
    alone = pooled_ratio(Arms(chosen, own))
    assert alone == hit_ratio(20, 43, 1, 5)
    alike = pooled_ratio(Arms(chosen, own, [Calls(8, 40)] * 10))
    unlike = pooled_ratio(Arms(chosen, own, [Calls(0, 40), Calls(32, 40)] * 5))
    as_one = hit_ratio(20, 43, 81, 405)
    widths = [interval.high / interval.low for interval in (as_one, alike, alone, unlike)]
    assert widths[0] < widths[1] < 2.5
    assert 5 < widths[2] < 1.5 * widths[3]
    assert alike.value == pytest.approx(as_one.value, rel=0.1)
    assert pooled_ratio(Arms(chosen, Calls(0, 0), [Calls(8, 40)] * 10)).value == pytest.approx(2.3, rel=0.1)


def test_too_few_controls_are_named_with_what_more_would_cost() -> None:
    """5 of 25 chosen and 1 of 5 controls: the interval is 13 times as high as low."""
    few = Arms(Calls(20, 43), Calls(1, 5), seconds=36.0)
    said = acceleration_text(few)
    more = more_controls(few, 5.0)
    assert more is not None
    assert said.startswith(
        "not enough controls for an acceleration: 20 of 43 chosen, 1 of 5 drawn at random; "
    )
    assert f"{more} more controls, about {more * 36 / 60:.0f} min of the oracle" in said
    with_them = hit_ratio(20, 43, round((more + 5) / 4), more + 5)
    assert with_them.high / with_them.low == pytest.approx(5.0, rel=0.2)
    assert more_controls(Arms(Calls(1, 2), Calls(1, 5)), 5.0) is None
    assert "too little was chosen" in acceleration_text(Arms(Calls(1, 2), Calls(1, 5)))
    assert acceleration_text(Arms(Calls(1, 1), Calls(0, 0))) == (
        "acceleration unknown: 1 of 1 chosen, 0 of 0 drawn at random"
    )


def test_enough_controls_wherever_they_were_drawn_make_an_acceleration() -> None:
    said = acceleration_text(Arms(Calls(20, 43), Calls(1, 5), [Calls(8, 40)] * 10))
    assert said.startswith("acceleration 2.")
    assert "20 of 43 chosen, 81 of 405 drawn at random in 11 campaigns" in said


def test_controls_of_campaigns_that_differ_are_worth_few_of_its_own() -> None:
    alike = Arms(Calls(20, 43), Calls(1, 5), [Calls(4, 20)] * 10)
    unlike = Arms(Calls(20, 43), Calls(1, 5), [Calls(0, 20), Calls(8, 20)] * 5)
    more = [more_controls(arms, 1.8) for arms in (alike, unlike)]
    assert more[0] is not None and more[1] is not None and more[0] < more[1]


def test_a_campaign_without_controls_is_not_counted_among_those_that_had_some() -> None:
    said = acceleration_text(Arms(Calls(20, 43), Calls(0, 0), [Calls(8, 40)] * 10))
    assert "80 of 400 drawn at random in 10 campaigns" in said
