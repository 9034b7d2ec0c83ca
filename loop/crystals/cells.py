"""Whether two reduced cells are one crystal, as far as arrays tell: what the structure matcher looks for.

It maps one lattice onto the other in every way that its tolerances allow, lays one site on another, pairs all
sites so that the sum of squared distances is least, moves them by the mean, and asks how far the farthest are
apart. Where each site has a nearest one of its own that pairing is known without a search, and the matcher
need not be asked: a few numpy calls in place of some milliseconds of objects.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import product
from math import gcd
from typing import Any

import numpy as np
from numpy.typing import NDArray

from niobe.surrogates.protocols import FloatArray

LTOL, STOL, ANGLE_TOL = 0.2, 0.3, 5.0
"""The structure matcher's: relative, of edges; of sites, in units of the cube root of the volume an atom;
degrees."""
_ROUNDING = 1e-6
_REPEATED = 0.25  # Å, of what pymatgen takes for a repeat
_EDGE_RATIO = 1 + LTOL + _ROUNDING
_AT_ONCE = 500_000  # vectors between sites held at a time
_PAIRS_AT_ONCE = 1_000_000  # of lattice vectors, for each of the cells asked about
_IMAGES = np.array(list(product((-1.0, 0.0, 1.0), repeat=3)))
_NO_IMAGE = slice(13, 14)
_NO_FARTHER = 0.5  # of an edge: what lies nearer in each coordinate has no nearer image
_IN_IMAGES = 1.5  # of an edge: what lies nearer in each coordinate is among the images


class Cell:
    """Numbers of a reduced cell, scaled to volume 1.

    lattice: (3, 3), rows are vectors. points: fractional, (n, 3). kinds: what sits on each site, n words.
    """

    def __init__(self, lattice: FloatArray, points: FloatArray, kinds: Sequence[str]) -> None:
        self.lattice = lattice / abs(np.linalg.det(lattice)) ** (1 / 3)
        self.points, self.kinds = points, np.array(kinds)
        self.lengths = np.sqrt((self.lattice**2).sum(axis=1))
        self._within = 0.0

    @cached_property
    def angles(self) -> FloatArray:
        """alpha, beta and gamma in degrees, (3,)."""
        return _angles(self.lattice[None])[0]

    @cached_property
    def rarest_first(self) -> list[str]:
        """The kinds, by how many sites they are on; of as many, as the sites come."""
        kinds, places, counts = np.unique(self.kinds, return_index=True, return_counts=True)
        return [str(kind) for kind in kinds[np.lexsort((places, counts))]]

    @property
    def rarest(self) -> str:
        """The kind on the fewest sites."""
        return self.rarest_first[0]

    def vectors(self, radius: float) -> tuple[NDArray[np.int64], FloatArray]:
        """Lattice vectors up to a length: multiples of the edges and lengths, (v, 3) and (v,)."""
        if radius > self._within:
            most = np.floor(radius * np.sqrt((np.linalg.inv(self.lattice) ** 2).sum(axis=0)) + _ROUNDING)
            whole = np.array(list(product(*(range(-int(m), int(m) + 1) for m in most))), dtype=np.int64)
            long = np.sqrt(((whole @ self.lattice) ** 2).sum(axis=1))
            self._whole, self._long, self._within = whole[long <= radius], long[long <= radius], radius
        return self._whole, self._long


def fits(one: Cell, other: Cell) -> bool | None:
    """What the structure matcher says of two cells with as many sites; None where it has to be asked.

    one, other: the cells, in the order in which the matcher is asked.
    """
    aligned = _alignments(one, other)
    sites, may = len(one.points), False
    first = np.flatnonzero(one.kinds == other.rarest)
    step = max(1, _AT_ONCE // (sites * sites * max(1, len(first))))
    for start in range(0, len(aligned), step):
        farthest = _farthest(one, other, aligned[start : start + step], first)
        if (farthest < STOL * (1 - _ROUNDING)).any():
            return True
        may = may or not (farthest > STOL * (1 + _ROUNDING)).all()
    return None if may else False


def could_align(one: Cell, lengths: FloatArray, angles: FloatArray) -> NDArray[np.bool_]:
    """False where no lattice of a cell has the edges and angles of another within the matcher's tolerances,
    so that ``fits`` would say no; asked of k others at a time, shape (k,).

    one: the cell. lengths: edges of the others, scaled to volume 1, (k, 3). angles: theirs, degrees, (k, 3).
    """
    answers = np.zeros(len(lengths), dtype=bool)
    by_length = np.argsort(lengths.max(axis=1))  # few vectors are as short as short edges
    while len(by_length):
        held = max(1, _PAIRS_AT_ONCE // max(1, len(_directions(one, lengths[by_length[:1]])[0])) ** 2)
        now, by_length = by_length[:held], by_length[held:]
        answers[now] = _aligns(_directions(one, lengths[now]), lengths[now], angles[now])
    return answers


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


def _directions(one: Cell, lengths: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Lengths (v,) of lattice vectors that may stand for edges (k, 3), and angles between them, (v, v)."""
    whole, long = one.vectors(float(lengths.max()) * _EDGE_RATIO)
    may = (long < lengths.max() * _EDGE_RATIO) & (long * _EDGE_RATIO > lengths.min())
    whole, long = whole[may], long[may]
    units = whole @ one.lattice / long[:, None]
    return long, np.degrees(np.arccos(np.clip(units @ units.T, -1, 1)))


def _aligns(directions: tuple[FloatArray, FloatArray], lengths: FloatArray, angles: FloatArray) -> Any:
    """Whether three vectors have the edges and angles of each of k cells, (k,)."""
    long, between = directions
    edges = lengths[:, :, None]
    near = (long < edges * _EDGE_RATIO) & (long * _EDGE_RATIO > edges)
    alpha, beta, gamma = (
        near[:, i, :, None]
        & near[:, j, None, :]
        & (np.abs(between - angles[:, k, None, None]) <= ANGLE_TOL + _ROUNDING)
        for i, j, k in ((1, 2, 0), (0, 2, 1), (0, 1, 2))
    )
    third = beta.astype(np.float32) @ alpha.astype(np.float32).transpose(0, 2, 1) > 0
    return (third & gamma).any(axis=(1, 2))


def _alignments(one: Cell, other: Cell) -> FloatArray:
    """Lattices (m, 3, 3) of the first whose edges and angles are the second's within the tolerances."""
    whole, long = one.vectors(float(other.lengths.max()) * _EDGE_RATIO)
    near = [
        np.flatnonzero((long < edge * _EDGE_RATIO) & (long * _EDGE_RATIO > edge)) for edge in other.lengths
    ]
    if not all(len(found) for found in near):
        return np.empty((0, 3, 3))
    units = [whole[found] @ one.lattice / long[found, None] for found in near]
    fits = [
        np.abs(np.degrees(np.arccos(np.clip(units[i] @ units[j].T, -1, 1))) - other.angles[k])
        <= ANGLE_TOL + _ROUNDING
        for i, j, k in ((1, 2, 0), (0, 2, 1), (0, 1, 2))
    ]
    rows = np.nonzero(fits[2][:, :, None] & fits[1][:, None, :] & fits[0][None, :, :])
    multiples = np.stack([whole[found[row]] for found, row in zip(near, rows, strict=True)], axis=1)
    primitive = np.abs(np.abs(np.linalg.det(multiples)) - 1) < 0.5
    return np.asarray(multiples[primitive] @ one.lattice)


def _farthest(one: Cell, other: Cell, aligned: FloatArray, first: NDArray[np.int64]) -> FloatArray:
    """For each way to lay one of the sites ``first``, in one of the lattices (m, 3, 3), on the second's first
    of its rarest kind so that each site lies near one of its kind: how far the farthest pair is apart, in the
    units of STOL; NaN where the matcher has to be asked. Shape (ways,).

    A site may lie STOL from where all are laid best, and so may the one that was laid on: twice that apart.
    """
    metric = _mean_metric(aligned, other)
    volume = np.sqrt(np.maximum(np.linalg.det(metric), 0.0))
    if not (volume > _ROUNDING).all():
        return np.array([np.nan])
    unit = (volume / len(one.points)) ** (1 / 3)
    near = 2 * STOL * (1 + _ROUNDING) * unit
    box = near[:, None] * np.sqrt(np.linalg.inv(metric)[:, range(3), range(3)])
    mine = one.points @ one.lattice @ np.linalg.inv(aligned)
    its = other.points - other.points[np.flatnonzero(other.kinds == other.rarest)[0]]
    lattice, laid = np.divmod(np.arange(len(aligned) * len(first)), max(1, len(first)))
    moved = np.empty((len(lattice), 0, 3))
    for kind in other.rarest_first:
        from_laid = mine[:, one.kinds == kind][lattice] - mine[lattice, first[laid]][:, None]
        apart = from_laid[:, :, None, :] - its[other.kinds == kind]
        apart -= np.round(apart)
        pairs = (np.abs(apart) <= box[lattice][:, None, None, :]).all(axis=-1)
        open_ = _all_have_one(pairs)
        lattice, laid, moved = lattice[open_], laid[open_], moved[open_]
        pairs, apart = pairs[open_], apart[open_]
        if not len(lattice):
            return np.empty(0)
        vectors, squares = np.full((*apart.shape[:2], 3), np.nan), np.zeros(pairs.shape)
        if not (box > _IN_IMAGES).any():
            wide = bool((box[lattice] >= _NO_FARTHER).any())
            vectors, squares = _nearest(apart, pairs, metric[lattice], wide=wide)
        open_ = _all_have_one(pairs & (squares <= near[lattice, None, None] ** 2))
        moved = np.concatenate([moved, vectors], axis=1)[open_]
        lattice, laid = lattice[open_], laid[open_]
    left = moved - moved.mean(axis=1, keepdims=True)
    farthest = np.sqrt(((left @ metric[lattice]) * left).sum(axis=2).max(axis=1, initial=0.0)) / unit[lattice]
    unsure = ~_well_aligned(aligned, other)[lattice] & (farthest <= STOL * (1 + _ROUNDING))
    return np.where(unsure, np.nan, farthest)


def _nearest(
    apart: FloatArray, pairs: NDArray[np.bool_], metric: FloatArray, *, wide: bool
) -> tuple[FloatArray, FloatArray]:
    """Of ways (w) to lay n sites on n others: the vectors (w, n, 3) between each and the nearest one, NaN in
    ways where two have the same nearest or one has two; and squared lengths of all, (w, n, n).

    apart: fractional vectors, (w, n, n, 3). pairs: those that may be near, (w, n, n): others are infinitely
    far. metric: scalar products of the edges, (w, 3, 3). wide: another image than that in ``apart`` may be
    near.
    """
    row = np.nonzero(pairs)
    images = apart[row][:, None, :] + (_IMAGES if wide else _IMAGES[_NO_IMAGE])
    found = ((images @ metric[row[0]]) * images).sum(axis=2)
    squares, vectors = np.full(pairs.shape, np.inf), np.full(apart.shape, np.nan)
    squares[row] = found.min(axis=1)
    vectors[row] = images[range(len(found)), found.argmin(axis=1)]
    nearest = squares.argmin(axis=2)
    chosen = np.take_along_axis(vectors, nearest[:, :, None, None], axis=2)[:, :, 0]
    as_near = np.zeros(pairs.shape)
    as_near[row] = (found <= squares.min(axis=2)[row[:2]][:, None] + _ROUNDING).sum(axis=1)
    twice = (np.diff(np.sort(nearest, axis=1), axis=1) == 0).any(axis=1)
    chosen[twice | (as_near.sum(axis=2) > 1).any(axis=1)] = np.nan
    return chosen, squares


def _well_aligned(aligned: FloatArray, other: Cell) -> NDArray[np.bool_]:
    """Whether edges and angles of lattices (m, 3, 3) are within the tolerances for certain, (m,)."""
    edges = np.sqrt((aligned**2).sum(axis=2)) / other.lengths
    angles, most = np.abs(_angles(aligned) - other.angles), 1 + LTOL - _ROUNDING
    return np.asarray(((edges < most) & (edges * most > 1) & (angles < ANGLE_TOL - _ROUNDING)).all(axis=1))


def _all_have_one(pairs: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether each row and each column of the last two axes holds a pair."""
    return np.asarray(pairs.any(axis=-1).all(axis=-1) & pairs.any(axis=-2).all(axis=-1))


def _mean_metric(aligned: FloatArray, other: Cell) -> FloatArray:
    """Scalar products (m, 3, 3) of the edges of lattices whose lengths and angles are the means of both."""
    lengths = (np.sqrt((aligned**2).sum(axis=2)) + other.lengths) / 2
    cosines = np.cos(np.radians((_angles(aligned) + other.angles) / 2))
    metric = lengths[:, :, None] * lengths[:, None, :]
    for angle, (i, j) in enumerate(((1, 2), (0, 2), (0, 1))):
        metric[:, i, j] *= cosines[:, angle]
        metric[:, j, i] *= cosines[:, angle]
    return np.asarray(metric)


def _angles(lattices: FloatArray) -> FloatArray:
    """alpha, beta and gamma of lattices (m, 3, 3), in degrees, (m, 3)."""
    units = lattices / np.sqrt((lattices**2).sum(axis=2))[:, :, None]
    cosines = np.stack([(units[:, i] * units[:, j]).sum(axis=1) for i, j in ((1, 2), (0, 2), (0, 1))], axis=1)
    return np.degrees(np.arccos(np.clip(cosines, -1, 1)))
