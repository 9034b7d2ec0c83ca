"""What a validation is expected to cost, learned from the campaign's own validations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from niobe.surrogates.protocols import FloatArray

_FEW = 8
_RIDGE = 1e-2


def expected_seconds(atoms: Sequence[int], groups: Sequence[int], seconds: Sequence[float]) -> _Cost:
    """Fit oracle seconds of past validations on the number of atoms and the space group's order.

    A power law, log(seconds) linear in log(atoms) and log(order of the point group): a symmetric crystal
    needs fewer displacements. Fewer than eight validations give their median.

    groups: space groups.
    """
    if len(seconds) < _FEW:
        return _Cost(np.array([np.log(np.median(seconds)) if len(seconds) else 0.0, 0.0, 0.0]))
    rows, target = _rows(atoms, groups), np.log(np.maximum(seconds, 1e-3))
    weights = np.linalg.solve(rows.T @ rows + _RIDGE * np.eye(3), rows.T @ target)
    return _Cost(weights)


class _Cost:
    def __init__(self, weights: NDArray[Any]) -> None:
        self._weights = np.asarray(weights, dtype=float)

    def __call__(self, atoms: Sequence[int], groups: Sequence[int]) -> FloatArray:
        """Expected seconds, shape (n,)."""
        return np.asarray(np.exp(_rows(atoms, groups) @ self._weights))


def _rows(atoms: Sequence[int], groups: Sequence[int]) -> FloatArray:
    orders = [_point_group_order(int(group)) for group in groups]
    return np.stack([np.ones(len(atoms)), np.log(np.asarray(atoms, float)), np.log(orders)], axis=1)


def _point_group_order(group: int) -> int:
    """Order of the crystal class of a space group (International Tables A)."""
    bounds = (
        (1, 1), (2, 2), (9, 2), (15, 4), (46, 4), (74, 8), (80, 4), (82, 4), (88, 8), (122, 8), (142, 16),
        (146, 3), (148, 6), (161, 6), (167, 12), (173, 6), (174, 6), (176, 12), (190, 12), (194, 24),
        (199, 12), (206, 24), (220, 24), (230, 48),
    )  # fmt: skip
    return next(order for last, order in bounds if group <= last)
