"""Distances in one crystal: whether sites overlap, and whether two crystals are much alike."""

from __future__ import annotations

import itertools
from collections import defaultdict
from math import gcd

import numpy as np
from numpy.typing import NDArray

from surrogates.gan.representation import BoolArray, Crystal
from surrogates.protocols import FloatArray
from surrogates.representations.elements import radius

StrArray = NDArray[np.str_]
_IMAGES = np.array(list(itertools.product((-1, 0, 1), repeat=3)), dtype=float)
_ITSELF = (_IMAGES == 0).all(axis=1)
_CUTOFF, _SMEARING = 1.5, 0.06
_GRID = np.linspace(0.45, _CUTOFF, 18)
_ALIKE = 0.35


class Distances:
    """Distances between sites and the 27 nearest images of each other, Å, shape (n, n, 27)."""

    def __init__(self, crystal: Crystal) -> None:
        apart = crystal.coordinates[:, None] - crystal.coordinates[None, :]
        nearest = (apart - np.round(apart)) @ crystal.lattice
        vectors = nearest[:, :, None] + _IMAGES @ crystal.lattice
        self._crystal = crystal
        self._found = np.sqrt(np.einsum("ijkc,ijkc->ijk", vectors, vectors))
        self._found[:, :, _ITSELF] += np.eye(len(apart))[:, :, None] * 1e6

    def closest(self) -> float:
        """The closest contact, of two sites or a site and its image, over the sum of their radii."""
        radii = np.array([radius(symbol) for symbol in self._crystal.symbols])
        return float((self._found.min(axis=2) / (radii[:, None] + radii[None, :])).min())

    def fingerprint(self) -> FloatArray:
        """Smeared distances of each pair of elements, per atom, in units of (V/n)^(1/3)."""
        symbols = np.array(self._crystal.symbols)
        unit = (abs(np.linalg.det(self._crystal.lattice)) / len(symbols)) ** (1 / 3)
        first, second, image = np.nonzero(self._found < _CUTOFF * unit)
        scaled = self._found[first, second, image] / unit
        fade = 0.5 * (1 + np.cos(np.pi * scaled / _CUTOFF))
        smeared = fade[:, None] * np.exp(-0.5 * ((scaled[:, None] - _GRID) / _SMEARING) ** 2)
        kinds = sorted(set(self._crystal.symbols))
        pairs = itertools.combinations_with_replacement(kinds, 2)
        rows = [
            smeared[_either(symbols[first], symbols[second], one, other)].sum(axis=0) for one, other in pairs
        ]
        return np.concatenate(rows) / len(symbols)


def _either(first: StrArray, second: StrArray, one: str, other: str) -> BoolArray:
    return ((first == one) & (second == other)) | ((first == other) & (second == one))


class SeenCrystals:
    """Crystals drawn so far, by reduced formula. A quick look, far cheaper than a structure matcher."""

    def __init__(self) -> None:
        self._rows: dict[tuple[tuple[str, int], ...], list[FloatArray]] = defaultdict(list)

    def add(self, crystal: Crystal, distances: Distances) -> bool:
        """Remember a crystal; False, and not remembered, where one much like it is there already."""
        row = distances.fingerprint()
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
