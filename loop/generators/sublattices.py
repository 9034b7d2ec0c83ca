"""Sublattices of a crystal's lattice."""

from __future__ import annotations

from collections.abc import Iterator


def hermite_normal_forms(size: int) -> Iterator[list[list[int]]]:
    """Every sublattice of index ``size`` once, as an upper triangular matrix."""
    for a in (a for a in range(1, size + 1) if size % a == 0):
        for d in (d for d in range(1, size // a + 1) if (size // a) % d == 0):
            g = size // (a * d)
            for b in range(d):
                for c in range(g):
                    yield from ([[a, b, c], [0, d, f], [0, 0, g]] for f in range(g))
