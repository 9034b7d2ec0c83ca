"""Whether two reduced cells are one crystal, as far as numbers tell: what the structure matcher looks for.

It maps one lattice onto the other in every way that its tolerances allow, lays one site on another, pairs all
sites so that the sum of squared distances is least, moves them by the mean, and asks how far the farthest are
apart. So does a compiled loop (``overlays.py``), in place of some milliseconds of objects; the matcher need
not be asked but where rounding would decide, or which of several best pairings it takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, lru_cache
from math import gcd
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from niobe.surrogates.protocols import FloatArray

LTOL, STOL, ANGLE_TOL = 0.2, 0.3, 5.0
"""The structure matcher's: relative, of edges; of sites, in units of the cube root of the volume an atom;
degrees."""
_ROUNDING = 1e-6
_REPEATED = 0.25  # Å, of what pymatgen takes for a repeat
_EDGE_RATIO = 1 + LTOL + _ROUNDING
_TOLERANCES = (LTOL, ANGLE_TOL, STOL, _ROUNDING)


class _Kinds(NamedTuple):
    """Sites by what is on them: the words in order, the points of each together, where each begins and the
    number of sites, and places of the words, the rarest first; of as many sites, as the sites come."""

    words: tuple[str, ...]
    points: FloatArray
    starts: NDArray[np.int64]
    rarest_first: NDArray[np.int64]


class _Vectors(NamedTuple):
    """Lattice vectors: multiples of the edges (v, 3), directions (v, 3) and lengths (v,)."""

    whole: NDArray[np.int64]
    units: FloatArray
    long: FloatArray


class Cell:
    """Numbers of a reduced cell, scaled to volume 1.

    lattice: (3, 3), rows are vectors. points: fractional, (n, 3). kinds: what sits on each site, n words.
    measured: ``lengths`` and ``angles`` where they are known, (6,).
    """

    def __init__(
        self,
        lattice: FloatArray,
        points: FloatArray,
        kinds: Sequence[str],
        measured: FloatArray | None = None,
    ) -> None:
        self._given, self.points, self.kinds = lattice, points, list(kinds)
        self._within = 0.0
        if measured is not None:
            self.lengths, self.angles = measured[:3].copy(), measured[3:].copy()

    @cached_property
    def lattice(self) -> FloatArray:
        """Vectors as rows, (3, 3)."""
        return np.asarray(self._given / abs(np.linalg.det(self._given)) ** (1 / 3))

    @cached_property
    def lengths(self) -> FloatArray:
        """Of the edges, (3,)."""
        return np.asarray(np.sqrt((self.lattice**2).sum(axis=1)))

    @cached_property
    def angles(self) -> FloatArray:
        """alpha, beta and gamma in degrees, (3,)."""
        units = self.lattice / self.lengths[:, None]
        cosines = (units[[1, 0, 0]] * units[[2, 2, 1]]).sum(axis=1)
        return np.degrees(np.arccos(np.clip(cosines, -1, 1)))

    @cached_property
    def by_kind(self) -> _Kinds:
        """The sites by kind."""
        words, rows, starts, order = _in_order(tuple(self.kinds))
        return _Kinds(words, np.ascontiguousarray(self.points[rows]), starts, order)

    def vectors(self, radius: float) -> _Vectors:
        """Lattice vectors up to a length at least."""
        if radius > self._within:
            most = np.floor(radius * np.sqrt((np.linalg.inv(self.lattice) ** 2).sum(axis=0)) + _ROUNDING)
            sizes = 2 * most.astype(np.int64) + 1
            whole = np.indices(sizes).reshape(3, -1).T - sizes // 2
            vectors = whole @ self.lattice
            long = np.sqrt((vectors**2).sum(axis=1))
            some = (long <= radius) & (long > 0)
            whole, long = np.ascontiguousarray(whole[some]), long[some]
            self._vectors, self._within = _Vectors(whole, vectors[some] / long[:, None], long), radius
        return self._vectors


@lru_cache(maxsize=4096)
def _in_order(
    kinds: tuple[str, ...],
) -> tuple[tuple[str, ...], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Words in order, sites by these, where each begins, and places of the words, the rarest first."""
    words = sorted(set(kinds))
    counts = [kinds.count(word) for word in words]
    order = sorted(range(len(words)), key=lambda i: (counts[i], kinds.index(words[i])))
    rows = sorted(range(len(kinds)), key=kinds.__getitem__)
    return tuple(words), np.array(rows), np.cumsum([0, *counts]), np.array(order)


def fits(one: Cell, other: Cell) -> bool | None:
    """What the structure matcher says of two cells with as many sites; None where it has to be asked.

    one, other: the cells, in the order in which the matcher is asked.
    """
    from niobe.loop.crystals.overlays import UNSURE, YES, overlay

    mine, its = one.by_kind, other.by_kind
    if mine.words != its.words or (mine.starts != its.starts).any():
        return False
    vectors = one.vectors(float(other.lengths.max()) * _EDGE_RATIO)
    cell = (other.lengths, other.angles, its.points, its.starts, its.rarest_first)
    said = overlay(*vectors, mine.points, *cell, _TOLERANCES)
    return None if said == UNSURE else bool(said == YES)


def could_align(one: Cell, lengths: FloatArray, angles: FloatArray) -> NDArray[np.bool_]:
    """False where no lattice of a cell has the edges and angles of another within the matcher's tolerances,
    so that ``fits`` would say no; asked of k others at a time, shape (k,).

    one: the cell. lengths: edges of the others, scaled to volume 1, (k, 3). angles: theirs, degrees, (k, 3).
    """
    from niobe.loop.crystals.overlays import aligning

    _, units, long = one.vectors(float(lengths.max(initial=0.0)) * _EDGE_RATIO)
    edges, corners = np.ascontiguousarray(lengths), np.ascontiguousarray(angles)
    return np.asarray(aligning(units, long, edges, corners, _EDGE_RATIO, ANGLE_TOL + _ROUNDING))


def could_repeat(lengths: Sequence[float], points: FloatArray, kinds: Sequence[str]) -> bool:
    """False where no translation within a cell lays each site near one of its kind, so that pymatgen's
    ``get_primitive_structure`` leaves the cell as it is.

    lengths: of its edges, Å. points: fractional, (n, 3). kinds: what sits on each site, n words.
    """
    groups = [points[np.array(kinds) == kind] for kind in sorted(set(kinds))]  # as pymatgen orders them
    if gcd(*map(len, groups)) == 1:
        return False
    fewest = min(groups, key=len)
    vectors = fewest[1:] - fewest[0]
    near = 2 * _REPEATED / np.array(lengths) + _ROUNDING
    for group in sorted(groups, key=len):
        apart = group[:, None] - group[None] - vectors[:, None, None]
        apart -= np.round(apart)
        vectors = vectors[(np.abs(apart) <= near).all(axis=-1).any(axis=1).all(axis=-1)]
    return len(vectors) > 0
