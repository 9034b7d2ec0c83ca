"""Calibration: intervals hold what they claim, and the area says when they don't."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from niobe.surrogates.calibration import (
    Z_90,
    believed,
    conformal_scaling,
    coverage,
    held_out,
    miscalibration_area,
    platt_scaling,
)
from niobe.surrogates.models.boosting import BoostedTrees
from tests.loop.factory import nbo


@given(seed=st.integers(0, 10_000), size=st.floats(0.01, 10), bias=st.floats(0.1, 10))
def test_scaled_intervals_hold_nine_tenths_of_the_errors_they_were_fitted_to(
    seed: int, size: float, bias: float
) -> None:
    rng = np.random.default_rng(seed)
    spread = size * rng.uniform(0.5, 2, 400)
    errors = bias * spread * rng.standard_normal(400)
    scaling = conformal_scaling(errors, spread, fallback=1.0)
    assert 0.9 <= coverage(errors, scaling(spread)) <= 0.91


def test_too_few_errors_say_that_nothing_is_known() -> None:
    scaling = conformal_scaling(np.array([0.1]), np.array([0.0]), fallback=2.5)
    assert scaling(np.zeros(2)) == pytest.approx([2.5, 2.5])


def test_a_kind_that_errs_more_has_an_interval_of_its_own() -> None:
    rng = np.random.default_rng(0)
    kinds = np.repeat(["oxide", "halide", "boride"], [400, 40, 5])
    errors = rng.standard_normal(445) * np.where(kinds == "halide", 5.0, 1.0)
    scaling = conformal_scaling(errors, np.ones(445), fallback=1.0, kinds=kinds)
    std = scaling(np.ones(445), kinds)
    assert set(scaling.of_kind) == {"oxide", "halide"}
    assert all(0.9 <= coverage(errors[kinds == k], std[kinds == k]) <= 0.95 for k in ("oxide", "halide"))
    assert std[kinds == "boride"] == pytest.approx(scaling.factor * (1 + scaling.floor))


@given(seed=st.integers(0, 10_000), n=st.integers(4, 100), skill=st.floats(-2, 2))
def test_a_correction_is_believed_no_more_than_labels_bear_out(seed: int, n: int, skill: float) -> None:
    rng = np.random.default_rng(seed)
    said = rng.standard_normal(n)
    truth = skill * said + rng.standard_normal(n)
    share = believed(said, truth)
    assert 0 <= share <= max(float(said @ truth / (said @ said)), 0)
    assert believed(said, -said) == 0


def test_noise_is_seldom_believed_and_skill_is() -> None:
    rng = np.random.default_rng(1)
    shares = [believed(rng.standard_normal(30), rng.standard_normal(30)) for _ in range(400)]
    assert np.mean(np.array(shares) == 0) > 0.95
    said = rng.standard_normal(30)
    assert believed(said, said + 0.3 * rng.standard_normal(30)) > 0.8
    assert believed(np.zeros(5), np.ones(5)) == 0


def test_what_members_outside_say_by_hand() -> None:
    answers = np.array([[1.0, 2.0, 3.0], [3.0, 9.0, 4.0]])
    mean, std = held_out(answers, np.array([[True, True, False], [True, False, False]]))
    assert mean[:2] == pytest.approx([2.0, 2.0]) and std[:2] == pytest.approx([1.0, 0.0])
    assert np.isnan(mean[2])


def test_boosted_trees_say_the_mean_of_labels_they_cannot_tell() -> None:
    """Labels without a rule, judged on fresh rows: no worse than their mean; with a rule: not drawn to it."""
    rng = np.random.default_rng(0)
    rows, fresh = rng.normal(size=(2, 60, 6))
    structures = [nbo(a=4.0 + 0.001 * i) for i in range(60)]
    noise, rule = rng.normal(size=60), rows @ np.array([1.0, -1, 0, 0, 0, 0])
    model = BoostedTrees(members=6, epochs=30)
    model.fit_rows(structures, rows, {"log_volume": noise, "formation_energy_per_atom": rule}, seed=1)
    said = model.predict_rows(structures, fresh)
    assert np.abs(said["log_volume"].mean - noise.mean()).mean() < 0.2
    assert said["formation_energy_per_atom"].mean.std() > 0.5 * rule.std()


def test_area_is_zero_for_honest_stds_and_large_for_boasting_ones() -> None:
    errors = np.random.default_rng(0).standard_normal(20_000)
    std = np.ones(20_000)
    assert miscalibration_area(errors, std) < 0.005
    assert miscalibration_area(errors, 1e-6 * std) == pytest.approx(0.5, abs=0.01)
    assert miscalibration_area(errors, 1e6 * std) == pytest.approx(0.5, abs=0.01)


def test_platt_scaling_corrects_an_overconfident_classifier() -> None:
    rng = np.random.default_rng(0)
    truth = rng.uniform(size=4000)
    labels = (rng.uniform(size=4000) < truth).astype(float)
    boasting = 1 / (1 + (truth / (1 - truth)) ** -3.0)
    scaled = platt_scaling(boasting, labels)(boasting)
    assert np.mean((scaled - truth) ** 2) < 0.1 * np.mean((boasting - truth) ** 2)


@pytest.mark.parametrize(
    ("labels", "share"), [(np.ones(4), 5 / 6), (np.zeros(2), 1 / 4), (np.array([0.0, 1, 1, 1]), 4 / 6)]
)
def test_without_skill_all_get_the_share_of_the_class_by_laplaces_rule(
    labels: NDArray[np.float64], share: float
) -> None:
    against = np.array([0.9, 0.7, 0.4, 0.2])[: len(labels)]
    assert platt_scaling(against, labels)(against) == pytest.approx(share)


def test_few_labels_say_less_than_many() -> None:
    chances, labels = np.array([0.1, 0.3, 0.7, 0.9]), np.array([0.0, 0.0, 1.0, 1.0])
    few = platt_scaling(chances, labels)(chances)
    many = platt_scaling(np.tile(chances, 50), np.tile(labels, 50))(chances)
    assert 0.5 < few[-1] < many[-1]
    assert many[0] < few[0] < 0.5


def test_boosted_trees_do_not_boast_of_a_class_they_cannot_tell() -> None:
    """Labels that nothing tells apart, judged on fresh ones: hardly worse than their share."""
    rng = np.random.default_rng(0)
    rows, labels = rng.normal(size=(40, 6)), (rng.uniform(size=40) < 0.6).astype(float)
    model = BoostedTrees(members=4, epochs=30)
    structures = [nbo(a=4.0 + 0.001 * i) for i in range(40)]
    model.fit_rows(structures, rows, {"p_stable": labels}, seed=1)
    said = model.predict_rows(structures, rng.normal(size=(40, 6)))["p_stable"].mean
    assert np.abs(said - labels.mean()).mean() < 0.1


@given(seed=st.integers(0, 10_000), n=st.integers(9, 60))
def test_an_interval_is_the_conformal_quantile_of_the_errors(seed: int, n: int) -> None:
    """Of n errors the ⌈0.9 (n + 1)⌉th smallest, by counting, for all rows and for a kind of nine or more."""
    errors = np.random.default_rng(seed).standard_normal(n)
    scaling = conformal_scaling(errors, np.zeros(n), fallback=1.0, kinds=np.repeat("oxide", n))
    half = Z_90 * float(scaling(np.zeros(1))[0])
    assert int((np.abs(errors) <= half * (1 + 1e-12)).sum()) == -(-9 * (n + 1) // 10)
    assert scaling.of_kind["oxide"] == scaling.factor
