"""``surrogate: auto``: the model of lowest cross-validated error on the campaign's own records."""

import numpy as np

from niobe.config.spec import SurrogateChoice
from niobe.flows.steps.train import choose_model
from niobe.surrogates.evaluation import AUTOMATIC
from tests.contract.test_surrogates import OXYGEN, TRAIN

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
