"""What surrogates learn from, and which: the model of lowest cross-validated error on own records."""

import numpy as np
import pytest

from niobe.config.spec import SurrogateChoice
from niobe.flows.steps.train import choose_model, training_set
from niobe.loop.documents.dynamics import PhononVerdict, Stability
from niobe.loop.documents.records import StructureRecord
from niobe.surrogates.evaluation import AUTOMATIC
from tests.contract.test_surrogates import OXYGEN, TRAIN
from tests.loop.factory import nbo, validated
from tests.loop.stability.test_prerelaxed import with_prerelaxed

CHOICE = SurrogateChoice(model="auto", members=2, epochs=4)


def test_the_best_is_chosen_and_every_error_is_told() -> None:
    name, why = choose_model(CHOICE, TRAIN, OXYGEN**2, seed=1)
    assert name in AUTOMATIC
    assert why.startswith(f"surrogate {name} of {name} 0.")
    assert all(model in why for model in AUTOMATIC)


def test_with_few_labels_there_is_no_choice() -> None:
    labels = np.where(np.arange(len(TRAIN)) < 5, OXYGEN, np.nan)
    name, why = choose_model(CHOICE, TRAIN, labels, seed=1)
    assert (name, why) == ("gbt", "surrogate gbt: 5 labels are too few to choose by")


@pytest.mark.parametrize(
    ("outcome", "label"),
    [("stable", 1.0), ("unstable", 0.0), ("stabilised", 0.0), ("undecided", np.nan), ("pending", np.nan)],
)
def test_only_decided_phonons_teach_what_is_dynamically_stable(outcome: str, label: float) -> None:
    _, targets = training_set([_with_phonons(Stability(outcome))], {"Nb": -10.0, "O": -5.0})
    np.testing.assert_array_equal(targets["p_stable"], [label])


def _with_phonons(outcome: Stability) -> StructureRecord:
    record = with_prerelaxed(validated(nbo(), -9.0), -9.4)
    verdict = PhononVerdict(outcome=outcome, tolerance=0.1)
    return record.model_copy(
        update={"validation": record.validation and record.validation.model_copy(update={"phonon": verdict})}
    )
