"""What a crystal GAN is told: elements by role, the composition where one is asked for, the target."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from niobe.surrogates.protocols import FloatArray
from niobe.surrogates.representations.elements import N_PROPERTIES, charges, properties

MAX_ROLES = 5
_ROLE = N_PROPERTIES + 3
_COMPOSITION = MAX_ROLES * _ROLE
CONDITION = _COMPOSITION + MAX_ROLES + 2


def by_role(elements: Iterable[str]) -> tuple[str, ...]:
    """Elements in the order of their roles: the most electropositive first."""
    return tuple(sorted(set(elements), key=lambda symbol: (properties(symbol)[0], symbol)))


def condition(
    elements: Sequence[str], *, stable: bool, fractions: Sequence[float] | None = None
) -> FloatArray:
    """Properties and charges of the elements by role, which are there, fractions, target. (CONDITION,).

    Without ``fractions`` (one a role) the composition is left to the GAN, and a flag says so.
    stable: whether it shows, or is to be, a stable crystal.
    """
    row = np.zeros(CONDITION)
    for role, symbol in enumerate(elements):
        row[role * _ROLE : (role + 1) * _ROLE] = (*properties(symbol), *charges(symbol), 1.0)
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
