"""Acquisition against closed forms and its promises."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from niobe.loop.acquisition import FUNCTIONS, GaussianProcess, Pool, choose_batch, expected_seconds, novelty
from niobe.loop.acquisition.posterior import EnsemblePosterior
from niobe.surrogates.protocols import Prediction

EVERY = [*sorted(FUNCTIONS), "random"]


def pool(n: int, seed: int = 0) -> Pool:
    rng = np.random.default_rng(seed)
    known = np.ones(n, dtype=bool)
    above = Prediction(rng.uniform(0, 1, n), rng.uniform(0.05, 0.3, n), known)
    stable = Prediction(rng.uniform(0.1, 0.9, n), np.full(n, 0.1), known)
    ids, rows = tuple(f"id{i:03d}" for i in range(n)), rng.normal(size=(n, 4))
    return Pool(ids, rows, above, stable, p_target=rng.uniform(0, 1, n))


def choose(chosen_from: Pool, function: str = "qlogei", **changes: object) -> list[str]:
    arguments: dict[str, object] = {"batch": 4, "control_share": 0.0, "seed": 1}
    batch = choose_batch(function, chosen_from, **(arguments | changes))  # type: ignore[arg-type]
    return [pick.id for pick in batch.picks]


def test_log_expected_improvement_equals_the_closed_form() -> None:
    mean, std = np.array([0.1, 0.3, -0.05]), np.array([0.1, 0.5, 0.02])
    known = np.ones(3, dtype=bool)
    three = Pool(("a", "b", "c"), np.eye(3) * 9, Prediction(mean, std, known))
    batch = choose_batch("qlogei", three, batch=1, control_share=0.0, seed=0)
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


@pytest.mark.parametrize("function", EVERY)
def test_a_batch_holds_no_candidate_twice_and_its_share_of_controls(function: str) -> None:
    batch = choose_batch(function, pool(30), batch=10, control_share=0.1, seed=3)
    assert len({pick.id for pick in batch.picks}) == 10
    assert [pick.selection for pick in batch.picks].count("control") == 1
    assert [pick.rank for pick in batch.picks] == list(range(10))


def test_candidates_without_a_prediction_are_left_out_and_counted() -> None:
    some = pool(6)
    some.e_above_hull.mean[:2] = np.nan
    some.e_above_hull.in_domain[2] = False
    batch = choose_batch("greedy", some, batch=3, control_share=0.0, seed=1)
    assert batch.excluded == 3
    assert {pick.index for pick in batch.picks} == {3, 4, 5}


@pytest.mark.parametrize("function", ["p_target", "qlogei", "greedy"])
@pytest.mark.parametrize("what", ["novelty", "seconds", "p_target", "in_range", "e_above_hull"])
def test_nothing_is_chosen_by_what_is_no_number(function: str, what: str) -> None:
    """It is left out and counted, whichever of its figures is NaN; what has all is ranked first."""
    some = replace(pool(8), novelty=np.full(8, 0.5), seconds=np.ones(8), in_range=np.ones(8))
    figure = getattr(some, what)
    (figure.mean if what == "e_above_hull" else figure)[[0, 5]] = np.nan
    batch = choose_batch(function, some, batch=8, control_share=0.0, seed=1)
    assert batch.excluded == 2
    assert {pick.index for pick in batch.picks if pick.score is None} == {0, 5}
    assert not any(pick.score is not None and math.isnan(pick.score) for pick in batch.picks)


def test_a_posterior_that_is_no_number_chooses_nothing() -> None:
    some = pool(6)
    mean = np.where(np.arange(6) == 3, np.nan, -some.e_above_hull.mean)
    unsure = EnsemblePosterior.of(mean, some.e_above_hull.std, some.features)
    for function in ("greedy", "ucb", "thompson"):
        batch = choose_batch(function, some, batch=6, control_share=0.0, seed=1, posterior=unsure)
        assert [pick.index for pick in batch.picks if pick.score is None] == [3]


def test_random_choice_needs_no_prediction() -> None:
    none = pool(6)
    none.e_above_hull.in_domain[1:] = False
    firsts = {tuple(choose(none, "random", batch=1, seed=seed)) for seed in range(40)}
    assert len(firsts) == 6


def test_a_cold_start_is_said_and_still_fills_the_batch() -> None:
    none = pool(6)
    none.e_above_hull.in_domain[:] = False
    batch = choose_batch("qlogei", none, batch=4, control_share=0.0, seed=1)
    assert batch.cold_start
    assert len(batch.picks) == 4


def test_pending_candidates_push_the_choice_away() -> None:
    known = np.ones(2, dtype=bool)
    duplicates = Pool(
        ("a", "b"), np.array([[0.0], [5.0]]), Prediction(np.full(2, 0.2), np.full(2, 0.2), known)
    )
    assert choose(duplicates, batch=1, pending=np.array([[0.0]])) == ["b"]
    assert choose(duplicates, batch=1, pending=np.array([[5.0]])) == ["a"]


def test_an_unknown_function_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown; allowed"):
        choose(pool(3), "magic")


def test_log_noisy_expected_improvement_approaches_the_closed_form() -> None:
    known = np.ones(3, dtype=bool)
    above = Prediction(np.array([0.1, 0.3, -0.05]), np.array([0.1, 0.3, 0.1]), known)
    three = Pool(("a", "b", "c"), np.eye(3) * 9, above)
    found = np.array([[0.0, 1.0, 0.0]])
    exact = choose_batch("qlogei", three, batch=3, control_share=0.0, seed=0)
    sampled = choose_batch("qlognei", three, batch=1, control_share=0.0, seed=0, observed=found)
    assert sampled.picks[0].index == exact.picks[0].index
    assert sampled.picks[0].score == pytest.approx(exact.picks[0].score, abs=0.1)


def test_hypervolume_improvement_equals_the_box_it_adds() -> None:
    """Nothing found but the worst: the hypervolume above the reference (−0.5, 0, 0) is a product."""
    known = np.ones(3, dtype=bool)
    sure = np.full(3, 1e-6)
    three = Pool(
        ("a", "b", "c"),
        np.eye(3) * 9,
        Prediction(np.array([0.0, 0.1, 0.3]), sure, known),
        Prediction(np.array([0.2, 0.9, 0.9]), sure, known),
        novelty=np.array([0.5, 0.5, 0.5]),
    )
    batch = choose_batch(
        "qlognehvi", three, batch=1, control_share=0.0, seed=0, observed=np.array([[-0.5, 0.0, 0.0]])
    )
    assert batch.picks[0].id == "b"
    assert math.exp(batch.picks[0].score or 0.0) == pytest.approx(0.4 * 0.9 * 0.5, rel=0.03)


def test_alike_is_measured_within_the_pool() -> None:
    """What scale the features come in, as that of a surrogate's training set, says nothing."""
    one = pool(30)
    scaled = replace(one, features=one.features * np.array([1e-3, 1.0, 50.0, 7.0]))
    pending = one.features[:2] + 0.1
    moved = pending * np.array([1e-3, 1.0, 50.0, 7.0])
    for function in ("p_target", "qlogei", "max_uncertainty"):
        assert choose(one, function, pending=pending) == choose(scaled, function, pending=moved)


def test_several_alike_tell_no_more_than_what_they_share() -> None:
    """Five known values, as alike (k) to each other as to the candidate: variance 1 − 5k²/(1 + 4k + nugget).

    Were each told apart from the others, 1 − k² would be left five times over.
    """
    corners = np.eye(6) * np.sqrt(0.6)
    alike = math.exp(-2 * 0.6 / (2 * 6 * 0.5**2))
    posterior = EnsemblePosterior.of(np.zeros(6), np.full(6, 0.1), corners)
    for row in range(1, 6):
        posterior = posterior.given(row)
    left = 1 - 5 * alike**2 / (1 + 4 * alike + 2e-3)
    assert posterior.std[0] == pytest.approx(0.1 * math.sqrt(left))
    assert posterior.std[1:].max() < 0.1 * math.sqrt(2e-3)
    assert posterior.take(np.array([0, 3])).given_at(corners[0]).std[0] < 0.1 * math.sqrt(2e-3)


def test_a_gaussian_process_passes_through_what_was_observed() -> None:
    rows = np.linspace(0, 1, 12)[:, None]
    process = GaussianProcess.fit(rows, np.sin(6 * rows[:, 0]), rows, seed=0)
    assert process.mean == pytest.approx(np.sin(6 * rows[:, 0]), abs=0.1)
    far = GaussianProcess.fit(rows[:8], np.sin(6 * rows[:8, 0]), rows, seed=0)
    assert far.given(11).std[11] < far.std[11]


def test_oracle_seconds_are_never_exceeded_and_cheap_ones_are_preferred() -> None:
    one = pool(20)
    seconds = np.where(np.arange(20) % 2, 10.0, 1.0)
    priced = replace(one, seconds=seconds)
    batch = choose_batch("qlogei", priced, batch=10, control_share=0.2, seed=4, seconds_left=12.0)
    assert sum(seconds[pick.index] for pick in batch.picks) <= 12.0
    assert len(batch.picks) > 2
    free = choose_batch("qlogei", priced, batch=10, control_share=0.0, seed=4)
    assert len(free.picks) == 10


def test_the_likeliest_target_comes_first_and_its_duplicate_later() -> None:
    known = np.ones(3, dtype=bool)
    above = Prediction(np.full(3, 0.1), np.full(3, 0.1), known)
    rows = np.array([[0.0], [0.0], [9.0]])
    three = Pool(("a", "b", "c"), rows, above, p_target=np.array([0.9, 0.89, 0.4]))
    assert choose(three, "p_target", batch=3) == ["a", "c", "b"]
    with pytest.raises(ValueError, match="needs the pool's p_target"):
        choose(replace(three, p_target=None), "p_target")


def test_what_is_unlikely_to_be_stable_is_passed_by_or_not() -> None:
    """a: 0.5 · 0.4 · 0.9 where it must be stable, 0.5 · 0.9 where not; b: 0.4 · 0.8 · 0.9 and 0.4 · 0.9."""
    known, far = np.ones(2, dtype=bool), np.array([[0.0], [90.0]])
    above = Prediction(np.full(2, 0.1), np.full(2, 0.1), known)
    stable = Prediction(np.array([0.4, 0.8]), np.full(2, 0.1), known)
    failing = Prediction(np.full(2, 0.1), np.full(2, 0.1), known)
    two = Pool(("a", "b"), far, above, stable, failing, p_target=np.array([0.5, 0.4]))
    for function, order, scores in (
        ("p_target", ["b", "a"], [0.288, 0.18]),
        ("p_hull", ["a", "b"], [0.45, 0.36]),
    ):
        picks = choose_batch(function, two, batch=2, control_share=0.0, seed=0).picks
        assert [pick.id for pick in picks] == order
        assert [math.exp(pick.score or 0.0) for pick in picks] == pytest.approx(scores)
    with pytest.raises(ValueError, match="'p_hull' needs the pool's p_target"):
        choose(replace(two, p_target=None), "p_hull")


def test_novelty_is_nothing_at_what_is_known_and_grows_with_distance() -> None:
    rows = np.array([[0.0, 0.0], [1.0, 0.0], [9.0, 9.0]])
    found = novelty(rows, rows[:1])
    assert found[0] == pytest.approx(0.0, abs=1e-9)
    assert found[0] < found[1] < found[2] <= 1.0
    assert novelty(rows, np.empty((0, 2))).tolist() == [1.0, 1.0, 1.0]


def test_expected_seconds_recover_a_power_law() -> None:
    atoms, groups = [2, 4, 6, 8, 10, 12] * 3, [1] * 6 + [62] * 6 + [225] * 6
    orders = np.array([1.0] * 6 + [8.0] * 6 + [48.0] * 6)
    seconds = 2.0 * np.array(atoms) ** 1.5 / orders**0.5
    fitted = expected_seconds(atoms, groups, seconds.tolist())
    assert fitted([5, 20], [62, 1]) == pytest.approx([2.0 * 5**1.5 / 8**0.5, 2.0 * 20**1.5], rel=0.05)
    assert expected_seconds([], [], [])([3], [1]) == pytest.approx([1.0])
