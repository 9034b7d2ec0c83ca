"""What a crystal GAN is told: elements by role, the composition where one is asked for, the target."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from surrogates.protocols import FloatArray
from surrogates.representations.elements import N_PROPERTIES, properties

MAX_ROLES = 5
_ROLE = N_PROPERTIES + 1
_COMPOSITION = MAX_ROLES * _ROLE
CONDITION = _COMPOSITION + MAX_ROLES + 2


def by_role(elements: Iterable[str]) -> tuple[str, ...]:
    """Elements in the order of their roles: the most electropositive first."""
    return tuple(sorted(set(elements), key=lambda symbol: (properties(symbol)[0], symbol)))


def condition(
    elements: Sequence[str], *, stable: bool, fractions: Sequence[float] | None = None
) -> FloatArray:
    """Properties of the elements by role and which roles are there, atomic fractions, target. (CONDITION,).

    Without ``fractions`` (one a role) the composition is left to the GAN, and a flag says so.
    """
    row = np.zeros(CONDITION)
    for role, symbol in enumerate(elements):
        row[role * _ROLE : (role + 1) * _ROLE] = (*properties(symbol), 1.0)
    if fractions is not None:
        row[_COMPOSITION : _COMPOSITION + len(fractions)] = fractions
        row[-2] = 1.0
    row[-1] = float(stable)
    return row


def without_composition(rows: FloatArray) -> FloatArray:
    """The same conditions with the composition left open. Shape (n, CONDITION) in and out."""
    opened = rows.copy()
    opened[:, _COMPOSITION:-1] = 0.0
    return opened
