"""Sublattices of a crystal's lattice."""

from __future__ import annotations

from functools import cache


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
