"""Cross-validation, learning curves and tuning."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pymatgen.core import Structure

from niobe.surrogates.evaluation import LearningCurve, PowerLaw, compared, learning_curve, power_law
from niobe.surrogates.models import make_surrogate
from niobe.surrogates.protocols import FloatArray
from niobe.surrogates.training import History
from niobe.surrogates.tuning import SEARCHES, Search, Trial, tune
from tests.contract.test_surrogates import OXYGEN, TRAIN

TARGET = "formation_energy_per_atom"
LABELS = -6 * OXYGEN * (1 - OXYGEN)


def test_models_are_judged_on_rows_they_have_not_seen() -> None:
    noise = np.random.default_rng(0).normal(size=len(TRAIN))
    makers = {"gbt": lambda: make_surrogate("gbt_magpie", members=3, epochs=10)}
    (learnable,) = compared(makers, TRAIN, TARGET, LABELS, folds=3, seed=1)
    (unlearnable,) = compared(makers, TRAIN, TARGET, noise, folds=3, seed=1)
    assert learnable.mae < 0.5 * LABELS.std()
    assert unlearnable.mae > 0.6 * noise.std()
    assert learnable.seconds > 0 and learnable.per_second > 0


def test_too_few_rows_to_cross_validate_are_refused() -> None:
    makers = {"gbt": lambda: make_surrogate("gbt", members=2, epochs=2)}
    with pytest.raises(ValueError, match="5 rows; cross-validation needs at least 12"):
        compared(makers, TRAIN[:5], TARGET, LABELS[:5], folds=3, seed=1)


def curve_of(sizes: np.ndarray, errors: np.ndarray) -> LearningCurve:
    return LearningCurve(sizes, errors, np.isfinite(errors).astype(float))


def law_of(sizes: np.ndarray, errors: np.ndarray) -> PowerLaw:
    law = power_law(curve_of(sizes, errors), seed=1)
    assert law is not None
    return law


def test_sizes_at_which_it_abstained_take_no_part_in_the_law() -> None:
    sizes = np.array([10, 100, 200, 400, 800])
    errors = np.tile(2.0 * sizes**-0.5, (2, 1))
    errors[1, 0] = np.nan
    assert law_of(sizes, errors).exponent == pytest.approx(-0.5, abs=1e-9)
    errors[0, 3:] = np.nan
    assert power_law(curve_of(sizes, errors), seed=1) is None


def test_a_power_law_is_found_again_and_extrapolated() -> None:
    sizes = np.array([100, 200, 400, 800])
    noise = 1 + 0.02 * np.random.default_rng(0).standard_normal((5, 4))
    law = law_of(sizes, 2.0 * sizes**-0.5 * noise)
    low, high = law.interval()
    assert law.exponent == pytest.approx(-0.5, abs=0.03)
    assert low < law.exponent < high and high - low < 0.1
    best, fewest, most = law.records_for(0.02)
    assert fewest < best < most
    assert best == pytest.approx(10_000, rel=0.3)


def test_an_error_that_does_not_fall_is_never_reached() -> None:
    law = law_of(np.array([10, 20, 40]), np.full((2, 3), 0.3))
    assert law.records_for(0.02)[0] > 1e12


def test_a_learning_curve_asks_for_no_more_than_there_is() -> None:
    with pytest.raises(ValueError, match="24 are left to train on"):
        curve(TRAIN, [12, 28])


def test_a_learning_curve_falls_for_a_learnable_label() -> None:
    errors = curve(TRAIN, [6, 24]).errors.mean(0)
    assert errors[1] < errors[0]


def curve(structures: Sequence[Structure], sizes: list[int]) -> LearningCurve:
    return learning_curve(
        lambda: make_surrogate("gbt_magpie", members=2, epochs=10),
        structures,
        TARGET,
        LABELS,
        sizes=sizes,
        repeats=3,
        seed=1,
    )


def study(
    folder: Path,
    trials: int,
    labels: FloatArray = LABELS,
    *,
    search: Search = "random",
    epochs: int = 3,
    seed: int = 1,
    tick: Callable[[Trial], None] | None = None,
) -> list[Trial]:
    return tune(
        "wyckoff_rnn",
        TRAIN,
        TARGET,
        labels,
        search=search,
        trials=trials,
        epochs=epochs,
        seed=seed,
        folder=folder,
        tick=tick,
    )


def by_number(trials: list[Trial]) -> list[tuple[dict[str, Any], float, float]]:
    return [(t.options, t.rate, t.error) for t in sorted(trials, key=lambda trial: trial.number)]


@pytest.mark.parametrize("search", SEARCHES)
def test_an_interrupted_study_ends_as_an_uninterrupted_one(tmp_path: Path, search: Search) -> None:
    def interrupt(trial: Trial) -> None:
        raise KeyboardInterrupt

    whole = by_number(study(tmp_path / "whole", 12, search=search))
    with pytest.raises(KeyboardInterrupt):
        study(tmp_path / "parts", 12, search=search, tick=interrupt)
    study(tmp_path / "parts", 3, search=search)
    assert by_number(study(tmp_path / "parts", 12, search=search)) == whole
    assert len({(str(options), rate) for options, rate, _ in whole}) == 12


def test_no_option_is_tried_twice_and_none_is_left_out(tmp_path: Path) -> None:
    every = study(tmp_path, 100, search="nas", epochs=1)
    assert len({(str(trial.options), trial.rate) for trial in every}) == len(every) == 3 * 2 * 4
    done = [trial.error for trial in every if trial.state == "complete"]
    assert done == sorted(done) and every[0].error == min(done)


def test_a_trial_that_was_killed_is_tried_again(tmp_path: Path) -> None:
    whole = by_number(study(tmp_path / "whole", 3))
    study(tmp_path / "killed", 1)
    lines = (tmp_path / "whole" / "study.log").read_text().splitlines(keepends=True)
    (tmp_path / "killed" / "study.log").write_text("".join(lines[: int(0.6 * len(lines))]))
    assert by_number(study(tmp_path / "killed", 3)) == whole


@pytest.mark.parametrize(
    ("other", "differs"),
    [
        ({"labels": LABELS + 1}, "data"),
        ({"epochs": 2}, "epochs"),
        ({"seed": 2}, "seed"),
        ({"search": "nas"}, "search"),
    ],
)
def test_a_study_of_another_identity_is_refused(tmp_path: Path, other: dict[str, Any], differs: str) -> None:
    study(tmp_path, 1)
    with pytest.raises(ValueError, match=rf"another identity: {differs} \("):
        study(tmp_path, 2, **other)


def test_a_training_that_diverges_is_a_pruned_trial_and_the_study_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverged(*_: Any, tick: Callable[[int, History], bool], **__: Any) -> History:
        history = History(train=[1.0], valid=[float("nan")])
        assert not tick(1, history)
        return history

    monkeypatch.setattr("niobe.surrogates.tuning.train", diverged)
    assert [trial.state for trial in study(tmp_path, 3, epochs=1)] == ["pruned"] * 3


def test_what_cannot_be_tuned_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nothing to tune; allowed: cgcnn"):
        tune("gbt", TRAIN, TARGET, LABELS, search="nas", trials=1, epochs=1, seed=1, folder=tmp_path)
