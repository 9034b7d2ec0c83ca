"""The weights of a convolution as a table of the distance, instead of a network asked at every edge.

They depend on nothing else. Between two knots stands the cubic with the network's values and slopes there,
which differs from it by no more than single precision does.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

KNOTS = 1021
"""Some lie at tenths of the cutoff: at such a one SevenNet's smoothing begins, with a step of the second
derivative."""
_STEP = 1e-5  # Å, of the differences that give slopes
_LEAST = 1e-4  # Å: the basis is no number at 0


def table(embedding: Any, network: Any, cutoff: float) -> NDArray[np.float32]:
    """Weights and their slopes per spacing at distances from 0 to ``cutoff`` (Å), shape (KNOTS, 2, weights).

    embedding: SevenNet's EdgeEmbedding, which has basis and cutoff function. network: of one convolution.
    """
    basis, smooth, net = (
        deepcopy(part).double() for part in (embedding.basis_function, embedding.cutoff_function, network)
    )
    lengths = torch.linspace(0, cutoff, KNOTS, dtype=torch.float64).clamp_min(_LEAST)

    def weights(r: torch.Tensor) -> NDArray[np.float64]:
        with torch.no_grad():
            return np.asarray(net(basis(r) * smooth(r).unsqueeze(-1)).numpy())

    slopes = (weights(lengths + _STEP) - weights(lengths - _STEP)) / (2 * _STEP)
    values = np.stack([weights(lengths), slopes * cutoff / (KNOTS - 1)], axis=1)
    return np.ascontiguousarray(values, dtype=np.float32)
