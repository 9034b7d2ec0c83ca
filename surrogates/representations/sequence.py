"""The Wyckoff sequence: space group, then element, letter and share of atoms of every orbit.

Of the settings that the Euclidean normalizer leaves equal the lexicographically smallest is taken, as
proposed by Goodall et al., Sci. Adv. 8, eabn4117 (2022). Symmetry by moyopy. It holds no lattice and no
free coordinates.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from niobe.surrogates.representations.checks import require_sound

if TYPE_CHECKING:
    from pymatgen.core import Structure

_SYMPREC = 0.01
LETTERS = "abcdefghijklmnopqrstuvwxyzA"


@dataclass(frozen=True)
class WyckoffSequence:
    """Space group number and one (atomic number, letter, share of the atoms) an orbit."""

    group: int
    orbits: tuple[tuple[int, str, float], ...]


def wyckoff_sequence(structure: Structure) -> WyckoffSequence:
    """The sequence of a structure. A cell whose symmetry cannot be found counts as P1.

    Raises ValueError for a structure that is not sound.
    """
    from moyopy import MoyoDataset
    from moyopy.interface import MoyoAdapter

    require_sound(structure)
    try:
        cell = MoyoDataset(MoyoAdapter.from_structure(structure), symprec=_SYMPREC).prim_std_cell
        data = MoyoDataset(cell, symprec=_SYMPREC)
    except (RuntimeError, ValueError):
        numbers = sorted(structure.atomic_numbers)
        return WyckoffSequence(1, tuple((z, "a", 1 / len(numbers)) for z in numbers))
    settings = [
        [position.letter for position in positions]
        for _, positions in data.normalizer_wyckoff_positions().coset_representatives
    ]
    return WyckoffSequence(int(data.number), min(_orbits(cell.numbers, s, data.orbits) for s in settings))


def _orbits(
    numbers: Sequence[int], letters: Sequence[str], orbits: Sequence[int]
) -> tuple[tuple[int, str, float], ...]:
    """Letters and numbers by site, and the first site of each site's orbit."""
    sizes = Counter(orbits)
    return tuple(sorted((numbers[i], letters[i], size / len(numbers)) for i, size in sizes.items()))
