"""Acquisition against closed forms and its promises."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loop.acquisition import Pool, choose_batch
from surrogates.protocols import Prediction

FUNCTIONS = ["qlogei", "ucb", "thompson", "greedy", "random", "max_uncertainty"]


def pool(n: int, seed: int = 0) -> Pool:
    rng = np.random.default_rng(seed)
    known = np.ones(n, dtype=bool)
    above = Prediction(rng.uniform(0, 1, n), rng.uniform(0.05, 0.3, n), known)
    stable = Prediction(rng.uniform(0.1, 0.9, n), np.full(n, 0.1), known)
    return Pool(tuple(f"id{i:03d}" for i in range(n)), rng.normal(size=(n, 4)), above, stable)


def choose(chosen_from: Pool, function: str = "qlogei", **changes: object) -> list[str]:
    arguments: dict[str, object] = {"batch": 4, "control_share": 0.0, "pending": None, "best": 0.0, "seed": 1}
    batch = choose_batch(function, chosen_from, **(arguments | changes))  # type: ignore[arg-type]
    return [pick.id for pick in batch.picks]


def test_log_expected_improvement_equals_the_closed_form() -> None:
    mean, std = np.array([0.1, 0.3, -0.05]), np.array([0.1, 0.5, 0.02])
    known = np.ones(3, dtype=bool)
    three = Pool(("a", "b", "c"), np.eye(3) * 9, Prediction(mean, std, known))
    batch = choose_batch("qlogei", three, batch=1, control_share=0.0, pending=None, best=0.0, seed=0)
    expected = []
    for m, s in zip(-mean, std, strict=True):
        u = m / s
        density = math.exp(-(u**2) / 2) / math.sqrt(2 * math.pi)
        expected.append(m * (1 + math.erf(u / math.sqrt(2))) / 2 + s * density)
    best = int(np.argmax(expected))
    assert batch.picks[0].index == best
    assert batch.picks[0].score == pytest.approx(math.log(expected[best]) + math.log(0.5), rel=1e-6)


@settings(max_examples=15, deadline=None)
@given(st.permutations(range(12)), st.sampled_from(["qlogei", "ucb", "greedy", "random", "max_uncertainty"]))
def test_permuting_the_pool_changes_nothing(order: list[int], function: str) -> None:
    one = pool(12)
    above, stable = one.e_above_hull, one.p_stable
    assert stable is not None
    moved = Pool(
        tuple(one.ids[i] for i in order),
        one.features[order],
        Prediction(above.mean[order], above.std[order], above.in_domain[order]),
        Prediction(stable.mean[order], stable.std[order], stable.in_domain[order]),
    )
    assert choose(one, function, control_share=0.25) == choose(moved, function, control_share=0.25)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_batch_holds_no_candidate_twice_and_its_share_of_controls(function: str) -> None:
    batch = choose_batch(function, pool(30), batch=10, control_share=0.1, pending=None, best=0.0, seed=3)
    assert len({pick.id for pick in batch.picks}) == 10
    assert [pick.arm for pick in batch.picks].count("control") == 1
    assert [pick.rank for pick in batch.picks] == list(range(10))


def test_candidates_without_a_prediction_are_left_out_and_counted() -> None:
    some = pool(6)
    some.e_above_hull.mean[:2] = np.nan
    some.e_above_hull.in_domain[2] = False
    batch = choose_batch("greedy", some, batch=3, control_share=0.0, pending=None, best=0.0, seed=1)
    assert batch.excluded == 3
    assert {pick.index for pick in batch.picks} == {3, 4, 5}


def test_a_cold_start_is_said_and_still_fills_the_batch() -> None:
    none = pool(6)
    none.e_above_hull.in_domain[:] = False
    batch = choose_batch("qlogei", none, batch=4, control_share=0.0, pending=None, best=0.0, seed=1)
    assert batch.cold_start
    assert len(batch.picks) == 4


def test_pending_candidates_push_the_choice_away() -> None:
    known = np.ones(2, dtype=bool)
    twins = Pool(("a", "b"), np.array([[0.0], [5.0]]), Prediction(np.full(2, 0.2), np.full(2, 0.2), known))
    assert choose(twins, batch=1, pending=np.array([[0.0]])) == ["b"]
    assert choose(twins, batch=1, pending=np.array([[5.0]])) == ["a"]


def test_an_unknown_function_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown; allowed"):
        choose(pool(3), "magic")
