"""Objectives beside stability, as the choice of a batch sees them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from niobe.surrogates.protocols import FloatArray


@dataclass(frozen=True)
class Objectives:
    """k objectives of n candidates, each to be maximised, in its own unit.

    mean, std: as predicted, (n, k); NaN where nothing is. observed: (m, k + 1), of results, −e_above_hull
    (eV/atom) first. reference: what has to be surpassed, (k + 1,). scale: by how much each varies, (k + 1,).
    """

    mean: FloatArray
    std: FloatArray
    observed: FloatArray
    reference: FloatArray
    scale: FloatArray

    def take(self, rows: NDArray[np.int64]) -> Objectives:
        """Those of some candidates, by integer index."""
        return replace(self, mean=self.mean[rows], std=self.std[rows])

    def known(self) -> NDArray[np.bool_]:
        """Where all are predicted. Shape (n,)."""
        return np.asarray(np.isfinite(self.mean + self.std).all(axis=1))
