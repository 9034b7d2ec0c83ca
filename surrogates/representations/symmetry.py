"""The standard conventional cell of a crystal with the Wyckoff letter of each of its sites, by moyopy.

Wyckoff letters are defined up to the Euclidean normalizer of the space group (Koch and Fischer, International
Tables for Crystallography A, section 3.5): an origin moved to another site of equal symmetry gives other
letters to the same crystal. Of the settings that it leaves equal the first by sorted (element, letter) is
taken, as proposed by Goodall et al., Sci. Adv. 8, eabn4117 (2022).
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pymatgen.core import Structure

FloatArray = NDArray[np.float64]
LETTERS = "abcdefghijklmnopqrstuvwxyzA"


class NoSymmetryError(ValueError):
    """The symmetry search found no operations that agree with one another."""


@dataclass(frozen=True)
class StandardCell:
    """A conventional cell in the Tables' standard setting (axis b, hexagonal axes, origin choice 2).

    group: space group number. lattice: (3, 3), rows are vectors, Å. coordinates: fractional, (n, 3).
    numbers: atomic numbers, n. letters, multiplicities: of each site's Wyckoff position, n; a multiplicity
    counts sites of the conventional cell.
    """

    group: int
    lattice: FloatArray
    coordinates: FloatArray
    numbers: tuple[int, ...]
    letters: tuple[str, ...]
    multiplicities: tuple[int, ...]


def standard_cell(
    structure: Structure, *, symprec: float, rank: Callable[[int], int] = lambda number: number
) -> StandardCell:
    """The standard cell of any description of a crystal: primitive, conventional, reordered, a supercell.

    structure: ordered. symprec: tolerance of the search, Å. rank: of an atomic number, by which letters are
    compared where the normalizer leaves several assignments equal.
    Raises NoSymmetryError where the search fails.
    """
    from moyopy import MoyoDataset, Setting
    from moyopy.interface import MoyoAdapter

    hush_supercell_warnings()
    try:
        cell = MoyoAdapter.from_structure(structure)
        data = MoyoDataset(cell, symprec=symprec, setting=Setting.standard())
        settings = data.normalizer_wyckoff_positions().coset_representatives
    except (RuntimeError, ValueError) as error:
        raise NoSymmetryError(f"{structure.formula}: no symmetry found ({error})") from None
    numbers = tuple(data.std_cell.numbers)
    ranks = [rank(number) for number in numbers]
    change, positions = min(settings, key=lambda s: sorted(zip(ranks, (p.letter for p in s[1]), strict=True)))
    moved = np.array(data.std_cell.positions) @ np.array(change.linear).T + change.origin_shift
    return StandardCell(
        group=int(data.number),
        lattice=np.array(data.std_cell.basis),
        coordinates=moved % 1,
        numbers=numbers,
        letters=tuple(position.letter for position in positions),
        multiplicities=tuple(position.multiplicity for position in positions),
    )


@functools.cache
def hush_supercell_warnings() -> None:
    """A supercell is no fault where only the standard cell is used: moyo warns of each. Once a process, as a
    level that changes clears what all loggers keep."""
    logging.getLogger("moyo").setLevel(logging.ERROR)
