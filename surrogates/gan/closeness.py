"""Distances in one crystal: whether sites overlap, and whether two crystals are much alike."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from math import gcd

import numpy as np
from numpy.typing import NDArray

from niobe.surrogates.gan.representation import BoolArray, Crystal
from niobe.surrogates.protocols import FloatArray
from niobe.surrogates.representations.elements import radius

StrArray = NDArray[np.str_]
_IMAGES = np.array(list(itertools.product((-1, 0, 1), repeat=3)), dtype=float)
_ORIGIN = int(np.flatnonzero((_IMAGES == 0).all(axis=1))[0])
_CUTOFF, _SMEARING = 1.5, 0.06
_GRID = np.linspace(0.45, _CUTOFF, 18)
_ALIKE = 0.35


def closest_contacts(crystals: Sequence[Crystal]) -> FloatArray:
    """The closest contact over the sum of the two radii, of crystals with the same atoms. Shape (n,)."""
    lattices, coordinates = (
        np.array(part) for part in zip(*((c.lattice, c.coordinates) for c in crystals), strict=True)
    )
    radii = np.array([radius(symbol) for symbol in crystals[0].symbols])
    first, second = _pairs(len(radii))
    found = _distances(lattices, coordinates[:, first] - coordinates[:, second], first == second)
    return np.asarray((found.min(axis=2) / (radii[first] + radii[second])).min(axis=1))


@cache
def _pairs(sites: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Each pair of sites once, a site and itself too."""
    return np.triu_indices(sites)


def _distances(lattices: FloatArray, apart: FloatArray, itself: BoolArray) -> FloatArray:
    """Distances of pairs over the 27 nearest images, Å; a site is far away from itself. Shape (n, pairs, 27).

    lattices: (n, 3, 3); apart: (n, pairs, 3), fractional; itself: which pairs are a site and its images.
    """
    nearest = (apart - np.round(apart)) @ lattices
    images = _IMAGES @ lattices
    squares = (nearest**2).sum(axis=2)[:, :, None] + (images**2).sum(axis=2)[:, None]
    squares += 2 * nearest @ images.transpose(0, 2, 1)
    squares[:, itself, _ORIGIN] = np.inf
    return np.asarray(np.sqrt(np.maximum(squares, 0.0)))


def fingerprint(crystal: Crystal) -> FloatArray:
    """Smeared distances of each pair of elements, per atom, in units of (V/n)^(1/3).

    Shape (pairs × grid,).
    """
    symbols, n = np.array(crystal.symbols), len(crystal.symbols)
    unit = (abs(np.linalg.det(crystal.lattice)) / n) ** (1 / 3)
    apart = (crystal.coordinates[:, None] - crystal.coordinates[None, :]).reshape(1, -1, 3)
    (found,) = _distances(crystal.lattice[None], apart, np.eye(n, dtype=bool).ravel())
    pair, image = np.nonzero(found < _CUTOFF * unit)
    first, second = np.divmod(pair, n)
    scaled = found[pair, image] / unit
    fade = 0.5 * (1 + np.cos(np.pi * scaled / _CUTOFF))
    smeared = fade[:, None] * np.exp(-0.5 * ((scaled[:, None] - _GRID) / _SMEARING) ** 2)
    kinds = itertools.combinations_with_replacement(sorted(set(crystal.symbols)), 2)
    rows = [smeared[_either(symbols[first], symbols[second], one, other)].sum(axis=0) for one, other in kinds]
    return np.concatenate(rows) / n


def _either(first: StrArray, second: StrArray, one: str, other: str) -> BoolArray:
    return ((first == one) & (second == other)) | ((first == other) & (second == one))


class SeenCrystals:
    """Crystals drawn so far, by reduced formula. A quick look, far cheaper than a structure matcher."""

    def __init__(self) -> None:
        self._rows: dict[tuple[tuple[str, int], ...], list[FloatArray]] = defaultdict(list)

    def add(self, crystal: Crystal) -> bool:
        """Remember a crystal; False, and not remembered, where one much like it is there already."""
        row = fingerprint(crystal)
        known = self._rows[_reduced(crystal)]
        if known:
            away = np.linalg.norm(np.array(known) - row, axis=1)
            if away.min() < _ALIKE * np.linalg.norm(row):
                return False
        known.append(row)
        return True


def _reduced(crystal: Crystal) -> tuple[tuple[str, int], ...]:
    counts = {symbol: crystal.symbols.count(symbol) for symbol in sorted(set(crystal.symbols))}
    divisor = gcd(*counts.values())
    return tuple((symbol, count // divisor) for symbol, count in counts.items())
