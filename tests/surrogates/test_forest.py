"""Trees as arrays answer to the last bit as those that were grown."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import GradientBoostingRegressor, HistGradientBoostingRegressor

from niobe.surrogates.models.forest import Forest

MODELS = {
    "exact": GradientBoostingRegressor(n_estimators=20, subsample=0.8, max_features=0.4, random_state=1),
    "one leaf": GradientBoostingRegressor(n_estimators=2, max_depth=1, random_state=1),
    "histograms": HistGradientBoostingRegressor(max_iter=20, random_state=1),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_forest_answers_as_its_model_does(name: str) -> None:
    rng = np.random.default_rng(0)
    x, asked = rng.normal(size=(200, 6)), rng.normal(size=(5000, 6))
    asked[:6] = x[:6]  # on thresholds and beside them; so many that they go in parts
    model: Any = MODELS[name].fit(x, x[:, 0] ** 2 + x[:, 1] * x[:, 2])
    forest = Forest.of(model)
    np.testing.assert_array_equal(forest.predict(asked), model.predict(asked))
    np.testing.assert_array_equal(Forest.restored(forest.arrays()).predict(asked), model.predict(asked))


def test_labels_that_are_all_the_same_make_a_forest_too() -> None:
    x = np.random.default_rng(0).normal(size=(50, 3))
    for model in (MODELS["exact"], MODELS["histograms"]):
        fitted: Any = model.fit(x, np.full(50, 2.0))
        np.testing.assert_array_equal(Forest.of(fitted).predict(x), fitted.predict(x))
