"""What a replay's surrogate says: a base, and trees' correction of it as far as held-out rows bear it out."""

from __future__ import annotations

import numpy as np

from niobe.surrogates.calibration import believed, held_out
from niobe.surrogates.protocols import FloatArray, Prediction

_TREES = 60
_FEWEST = 4
_FLOOR, _ALONE = 0.02, 1e-3  # eV/atom


def corrected(
    base: FloatArray, features: FloatArray, taught: FloatArray, left: FloatArray, *, seed: int
) -> Prediction:
    """Formation energies of m candidates, eV/atom.

    Added to the base is what it usually leaves, and what extremely randomised trees (Geurts et al., Mach.
    Learn. 63, 3, 2006) say beyond that, each as far as held-out rows bear it out. Until four rows are known
    the base alone ranks.

    base: (m,), eV/atom. features: (m, d). taught: features of k known rows, (k, d). left: what the base
    leaves of them, (k,), eV/atom. seed: of the trees.
    """
    everywhere = np.ones(len(base), dtype=bool)
    if len(left) < _FEWEST:
        return Prediction(base, np.full(len(base), _ALONE), everywhere)
    usual = float(left.sum()) / (len(left) + _FEWEST)
    mean, spread, said, doubt = _trees(features, taught, left - usual, seed)
    share = believed(said, left - usual)
    errors = share * said - (left - usual)
    usual_doubt = float(doubt.mean()) + _FLOOR
    size = float(np.sqrt(np.mean(np.square(errors / (doubt + usual_doubt)))))
    std = np.maximum(size * (spread + usual_doubt), _FLOOR)
    return Prediction(base + usual + share * mean, std, everywhere)


def _trees(
    features: FloatArray, taught: FloatArray, left: FloatArray, seed: int
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Mean and spread of bagged trees at candidates, (m,) each, and out of their bags, (k,) each."""
    from sklearn.ensemble import ExtraTreesRegressor

    forest = ExtraTreesRegressor(_TREES, max_features=0.4, bootstrap=True, random_state=seed % 2**31)
    forest.fit(taught, left)
    rows = np.vstack([features, taught])
    answers = np.array([tree.predict(rows) for tree in forest.estimators_])
    outside = np.array([~np.isin(np.arange(len(left)), bag) for bag in forest.estimators_samples_])
    said, doubt = held_out(answers[:, len(features) :], outside)
    here = answers[:, : len(features)]
    return here.mean(axis=0), here.std(axis=0), said, doubt
