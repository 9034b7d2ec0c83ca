"""Sublattices of a crystal's lattice."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import cache

LARGEST_DENOMINATOR, MOST_CELLS = 64, 512
_ROUNDING = 1e-6


@cache
def hermite_normal_forms(size: int) -> tuple[list[list[int]], ...]:
    """Every sublattice of index ``size`` once, as an upper triangular matrix."""
    divisors = [a for a in range(1, size + 1) if size % a == 0]
    diagonals = [(a, d, size // (a * d)) for a in divisors for d in divisors if size % (a * d) == 0]
    return tuple(
        [[a, b, c], [0, d, f], [0, 0, g]]
        for a, d, g in diagonals
        for b in range(d)
        for c in range(g)
        for f in range(g)
    )


def cells_holding(q: Sequence[float]) -> int:
    """Primitive cells in the smallest supercell that holds q (fractional).

    Raises ValueError for a component that is no fraction with a denominator of at most 64, and for more than
    512 cells.
    """
    fractions = [Fraction(float(c)).limit_denominator(LARGEST_DENOMINATOR) for c in q]
    if any(abs(float(f) - c) > _ROUNDING for f, c in zip(fractions, q, strict=True)):
        raise ValueError(f"q {tuple(q)} is not commensurate with up to {LARGEST_DENOMINATOR} cells an axis")
    cells = math.lcm(*(fraction.denominator for fraction in fractions))
    if cells > MOST_CELLS:
        raise ValueError(f"q {tuple(q)} belongs to no cell of up to {MOST_CELLS} primitive ones")
    return cells
