"""The Wyckoff sequence: space group, then element, letter and share of atoms of every orbit.

Source: Goodall et al., Sci. Adv. 8, eabn4117 (2022). It holds no lattice and no free coordinates.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import reduce
from math import gcd
from typing import TYPE_CHECKING

from niobe.surrogates.representations.checks import require_sound
from niobe.surrogates.representations.symmetry import NoSymmetryError, standard_cell

if TYPE_CHECKING:
    from pymatgen.core import Structure

_SYMPREC = 0.01


@dataclass(frozen=True)
class WyckoffSequence:
    """Space group number and one (atomic number, letter, share of the atoms) an orbit."""

    group: int
    orbits: tuple[tuple[int, str, float], ...]


def wyckoff_sequence(structure: Structure) -> WyckoffSequence:
    """The sequence of the conventional cell, whatever the description of the crystal.

    A cell whose symmetry cannot be found counts as P1, an orbit an atom of the formula unit. Raises
    ValueError for a structure that is not sound.
    """
    require_sound(structure)
    try:
        cell = standard_cell(structure, symprec=_SYMPREC)
    except NoSymmetryError:
        return WyckoffSequence(1, _formula_unit(Counter(structure.atomic_numbers)))
    atoms = len(cell.numbers)
    sites = Counter(zip(cell.numbers, cell.letters, cell.multiplicities, strict=True))
    orbits = [
        (number, letter, size / atoms)
        for (number, letter, size), count in sorted(sites.items())
        for _ in range(count // size)
    ]
    return WyckoffSequence(cell.group, tuple(orbits))


def _formula_unit(counts: Counter[int]) -> tuple[tuple[int, str, float], ...]:
    unit = reduce(gcd, counts.values())
    atoms = sum(counts.values()) // unit
    return tuple((number, "a", 1 / atoms) for number in sorted(counts) for _ in range(counts[number] // unit))
