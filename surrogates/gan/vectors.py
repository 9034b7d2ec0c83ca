"""Symmetric crystals as rows of numbers for the networks: one-hot choices and scaled coordinates.

A row is: space group (230), then for each of MAX_ORBITS slots letter (27 and none), role (MAX_ROLES) and
coordinates (3, centred on 0), then lattice (6).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from surrogates.gan.wyckoff import LETTERS, MAX_ORBITS, Orbit, SymmetricCrystal, positions
from surrogates.representations.elements import N_PROPERTIES, properties

FloatArray = NDArray[np.float64]
GROUPS, NONE, MAX_ROLES = 230, len(LETTERS), 5
SLOT = NONE + 1 + MAX_ROLES + 3
WIDTH = GROUPS + MAX_ORBITS * SLOT + 6
CONDITION = MAX_ROLES * (N_PROPERTIES + 1) + 1


@functools.cache
def valid_letters() -> FloatArray:
    """1 where a space group has a Wyckoff letter (or the slot stays empty). Shape (230, 28)."""
    from pyxtal.symmetry import Group

    table = np.zeros((GROUPS, NONE + 1))
    table[:, NONE] = 1
    for number in range(1, GROUPS + 1):
        for letter in (entry.letter for entry in Group(number).Wyckoff_positions):
            table[number - 1, LETTERS.index(letter)] = 1
    return table


def condition(elements: Sequence[str], stable: bool) -> FloatArray:
    """Properties of the elements by role, which roles are there, and the target. Shape (CONDITION,)."""
    row = np.zeros(CONDITION)
    for role, symbol in enumerate(elements):
        start = role * (N_PROPERTIES + 1)
        row[start : start + N_PROPERTIES] = properties(symbol)
        row[start + N_PROPERTIES] = 1
    row[-1] = float(stable)
    return row


def to_row(crystal: SymmetricCrystal) -> FloatArray:
    """One crystal as a row, shape (WIDTH,)."""
    row = np.zeros(WIDTH)
    row[crystal.space_group - 1] = 1
    for slot in range(MAX_ORBITS):
        part = row[GROUPS + slot * SLOT : GROUPS + (slot + 1) * SLOT]
        if slot >= len(crystal.orbits):
            part[NONE] = 1
            continue
        orbit = crystal.orbits[slot]
        part[LETTERS.index(orbit.letter)] = 1
        part[NONE + 1 + orbit.role] = 1
        part[-3:] = np.array(orbit.free) - 0.5
    row[-6:] = crystal.lattice
    return row


def from_row(row: FloatArray) -> SymmetricCrystal | None:
    """The crystal a row stands for; None where no slot is taken."""
    group = int(row[:GROUPS].argmax()) + 1
    known = positions(group)
    orbits = []
    for slot in range(MAX_ORBITS):
        part = row[GROUPS + slot * SLOT : GROUPS + (slot + 1) * SLOT]
        letter = int(part[: NONE + 1].argmax())
        if letter == NONE or LETTERS[letter] not in known:
            continue
        role = int(part[NONE + 1 : NONE + 1 + MAX_ROLES].argmax())
        x, y, z = ((part[-3:] + 0.5) % 1).tolist()
        orbits.append(Orbit(LETTERS[letter], role, (x, y, z)))
    if not orbits:
        return None
    return SymmetricCrystal(group, tuple(orbits), tuple(row[-6:].tolist()))
