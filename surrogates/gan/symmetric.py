"""Symmetric crystals for the networks: space group, then a Wyckoff letter with an element's role a token.

Tokens: the space group (0 to 229), then orbits in the order of letter and role, then END to the last place.
Geometry: lattice, then the three coordinates of each orbit; what the letter fixes is masked.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from niobe.surrogates.gan.conditions import MAX_ROLES
from niobe.surrogates.gan.representation import LATTICE, BoolArray, Crystal, IntArray, from_circle, to_circle
from niobe.surrogates.gan.wyckoff import (
    MAX_ORBITS,
    Position,
    SymmetricCrystal,
    decode,
    encode,
    free_lattice,
    positions,
)
from niobe.surrogates.protocols import FloatArray
from niobe.surrogates.representations.symmetry import LETTERS

if TYPE_CHECKING:
    from pymatgen.core import Structure

GROUPS = 230
END = GROUPS + len(LETTERS) * MAX_ROLES
_SITE = 2 + 3 + 3 + MAX_ROLES


class SymmetricCrystals:
    """Implements Representation; symmetry comes free, since only its choices are learned."""

    name = "symmetric"
    length = 1 + MAX_ORBITS
    vocabulary = END + 1
    width = LATTICE + 6 * MAX_ORBITS
    n_features = MAX_ORBITS * _SITE + LATTICE
    repeats = False

    def encode(self, structure: Structure, elements: tuple[str, ...]) -> tuple[IntArray, FloatArray] | None:
        """See Representation.encode: (length,) and (width,); None for more than MAX_ORBITS orbits."""
        crystal = encode(structure, elements)
        return None if crystal is None else to_numbers(crystal)

    def decode(self, tokens: IntArray, geometries: FloatArray, elements: tuple[str, ...]) -> list[Crystal]:
        """See Representation.decode.

        tokens: (length,). geometries: (n, width). elements: symbols by role.
        """
        numbers = tokens[1:][tokens[1:] != END] - GROUPS
        letters = [LETTERS[number] for number in numbers // MAX_ROLES]
        symbols = [elements[role] for role in numbers % MAX_ROLES]
        free = from_circle(geometries[:, LATTICE:]).reshape(len(geometries), MAX_ORBITS, 3)
        return decode(int(tokens[0]) + 1, letters, symbols, free[:, : len(letters)], geometries[:, :LATTICE])

    def allowed(self, tokens: IntArray, step: int, roles: int, most: int) -> BoolArray:
        """See Representation.allowed: letters of the group, none before the last, no fixed one twice.

        tokens: (n, length), known before ``step``. roles: elements that must all be used. most: atoms in
        the primitive cell.
        """
        mask = np.zeros((len(tokens), self.vocabulary), dtype=bool)
        if step == 0:
            mask[:, :GROUPS] = _smallest_cells() <= most
            return mask
        group, orbits = tokens[:, 0], tokens[:, 1:step]
        letters, taken_roles = _split(orbits)
        taken = orbits != END
        sizes = np.where(taken, _sizes()[group[:, None], letters], 0).sum(axis=1)
        fits = sizes[:, None] + _sizes()[group] <= most
        open_ = np.repeat(fits, MAX_ROLES, axis=1) & np.tile(np.arange(MAX_ROLES) < roles, len(LETTERS))
        if step > 1:
            last, last_letter = orbits[:, -1], letters[:, -1]
            fixed = _fixed()[group, last_letter]
            first_open = np.where(fixed, GROUPS + (last_letter + 1) * MAX_ROLES, last)
            open_ &= np.arange(GROUPS, END)[None, :] >= first_open[:, None]
            open_[~taken[:, -1]] = False
        mask[:, GROUPS:END] = open_
        used = np.array([(taken & (taken_roles == role)).any(axis=1) for role in range(roles)])
        mask[:, END] = used.all(axis=0) | ~open_.any(axis=1)
        return mask

    def free(self, tokens: IntArray) -> FloatArray:
        """See Representation.free: (n, width)."""
        letters, _ = _split(tokens[:, 1:])
        taken = (tokens[:, 1:] != END)[:, :, None]
        sites = np.repeat(_free()[tokens[:, :1], letters] * taken, 2, axis=2)
        return np.concatenate([_free_lattice()[tokens[:, 0]], sites.reshape(len(tokens), -1)], axis=1)

    def features(self, tokens: IntArray) -> FloatArray:
        """See Representation.features: of each orbit its size, freedom, place and role; lattice freedom.

        Shape (n, n_features).
        """
        group, (letters, roles) = tokens[:, :1], _split(tokens[:, 1:])
        taken = (tokens[:, 1:] != END)[:, :, None].astype(float)
        sites = np.concatenate(
            [
                np.log1p(_sizes()[group, letters])[:, :, None],
                np.ones_like(taken),
                _free()[group, letters],
                _places()[group, letters],
                np.eye(MAX_ROLES)[roles],
            ],
            axis=2,
        )
        flat = (sites * taken).reshape(len(tokens), -1)
        return np.concatenate([flat, _free_lattice()[tokens[:, 0]]], axis=1)


def to_numbers(crystal: SymmetricCrystal) -> tuple[IntArray, FloatArray]:
    """Tokens (length,) and geometry (width,) of one crystal."""
    tokens = np.full(SymmetricCrystals.length, END)
    tokens[0] = crystal.space_group - 1
    geometry = np.zeros(SymmetricCrystals.width)
    geometry[:LATTICE] = crystal.lattice
    for place, orbit in enumerate(crystal.orbits):
        tokens[place + 1] = GROUPS + LETTERS.index(orbit.letter) * MAX_ROLES + orbit.role
        start = LATTICE + 6 * place
        geometry[start : start + 6] = to_circle(np.array(orbit.free))
    return tokens, geometry * SymmetricCrystals().free(tokens[None])[0]


def _split(orbits: IntArray) -> tuple[IntArray, IntArray]:
    """Letters (as indices) and roles of orbit tokens; 0 for END."""
    numbers = np.where(orbits == END, 0, orbits - GROUPS)
    return numbers // MAX_ROLES, numbers % MAX_ROLES


def _table(width: int, fill: float) -> FloatArray:
    return np.full((GROUPS, len(LETTERS), width), fill)


@functools.cache
def _sizes() -> FloatArray:
    """Atoms of a letter in the primitive cell, beyond any limit where a group lacks it. (230, 27)."""
    table = _table(1, 1e9)
    for group, letter, position in _all_positions():
        table[group, letter] = len(position.translations)
    return table[..., 0]


@functools.cache
def _smallest_cells() -> FloatArray:
    """Atoms of the smallest orbit of each space group. Shape (230,)."""
    return np.asarray(_sizes().min(axis=1))


@functools.cache
def _fixed() -> BoolArray:
    """Whether a letter has no free coordinate. Shape (230, 27)."""
    return np.asarray(_free().sum(axis=2) == 0)


@functools.cache
def _free() -> FloatArray:
    """1 for each coordinate that a letter leaves free. Shape (230, 27, 3)."""
    table = _table(3, 0.0)
    for group, letter, position in _all_positions():
        table[group, letter] = np.abs(position.rotations).sum(axis=(0, 1)) > 0
    return table


@functools.cache
def _places() -> FloatArray:
    """The fixed part of a letter's first site, from -1/2 to 1/2. Shape (230, 27, 3)."""
    table = _table(3, 0.0)
    for group, letter, position in _all_positions():
        table[group, letter] = (position.translations[0] + 0.5) % 1 - 0.5
    return table


@functools.cache
def _free_lattice() -> FloatArray:
    """1 for each lattice number that a space group leaves free. Shape (230, LATTICE)."""
    return np.array([free_lattice(number) for number in range(1, GROUPS + 1)], dtype=float)


def _all_positions() -> Iterator[tuple[int, int, Position]]:
    for number in range(1, GROUPS + 1):
        for name, position in positions(number).items():
            yield number - 1, LETTERS.index(name), position
