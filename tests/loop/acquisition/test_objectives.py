"""Objectives beside stability: where all is known, each pick is what adds the most hypervolume."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from niobe.loop.acquisition import Pool, choose_batch
from niobe.loop.acquisition.objectives import Objectives
from niobe.loop.goals.pareto import hypervolume
from niobe.surrogates.protocols import FloatArray, Prediction

REFERENCE = np.array([-0.1, 50.0])


def wanted(seed: int, n: int = 8) -> tuple[Pool, FloatArray]:
    """Candidates that are as good as known, and what was found, as rows of −e_above_hull and modulus."""
    rng = np.random.default_rng(seed)
    points = np.column_stack([-rng.uniform(0, 0.12, n), rng.uniform(40, 200, n)])
    observed = np.array([[-0.05, 80.0], [-0.01, 60.0]])
    aims = Objectives(points[:, 1:], np.full((n, 1), 1e-3), observed, REFERENCE, np.array([0.1, 50.0]))
    known = np.ones(n, dtype=bool)
    above = Prediction(-points[:, 0], np.full(n, 1e-3), known)
    ids = tuple(f"id{i:02d}" for i in range(n))
    return Pool(ids, np.eye(n) * 9, above, objectives=aims), points


@settings(max_examples=8)
@given(st.integers(0, 10**6))
def test_each_pick_adds_as_much_hypervolume_as_any(seed: int) -> None:
    pool, points = wanted(seed)
    assert pool.objectives is not None
    found = list(pool.objectives.observed)
    for pick in choose_batch("qlognehvi", pool, batch=3, control_share=0.0, seed=1).picks:
        volume = hypervolume(np.array(found), REFERENCE)
        gains = [hypervolume(np.array([*found, point]), REFERENCE) - volume for point in points]
        assert gains[pick.index] == pytest.approx(max(gains), abs=0.02)
        found.append(points[pick.index])


def test_what_is_surely_out_of_range_is_no_choice_and_what_is_unknown_is_not_ranked() -> None:
    pool, _ = wanted(1)
    first = choose_batch("qlognehvi", pool, batch=1, control_share=0.0, seed=1).picks[0].index
    out = np.ones(8)
    out[first] = 0.0
    ranged = Pool(pool.ids, pool.features, pool.e_above_hull, in_range=out, objectives=pool.objectives)
    assert choose_batch("qlognehvi", ranged, batch=1, control_share=0.0, seed=1).picks[0].index != first
    assert pool.objectives is not None
    pool.objectives.mean[first] = np.nan
    batch = choose_batch("qlognehvi", pool, batch=8, control_share=0.0, seed=1)
    assert (batch.excluded, batch.picks[-1].index, batch.picks[-1].score) == (1, first, None)


def test_without_objectives_a_chance_of_one_changes_nothing() -> None:
    pool, _ = wanted(2)
    plain = Pool(pool.ids, pool.features, pool.e_above_hull, p_target=np.linspace(0.1, 0.9, 8))
    sure = Pool(**(vars(plain) | {"in_range": np.ones(8)}))
    for function in ("p_hull", "qlogei"):
        one, other = (
            choose_batch(function, p, batch=4, control_share=0.25, seed=3).picks for p in (plain, sure)
        )
        assert one == other
