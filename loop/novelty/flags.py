"""What makes a find less likely, or a potential less sure of it: said beside the verdict, no filter."""

from __future__ import annotations

import functools
import json
import warnings
from typing import TYPE_CHECKING

import numpy as np

from niobe.loop.crystals.decoding import decoded

if TYPE_CHECKING:
    from pymatgen.core import Structure

NO_CHARGES = "no oxidation states balance"
ODD_CHARGES = "the more electronegative element would be the cation"
_BONDED = {0: "molecular", 1: "chains", 2: "layered"}
_LOOSE = 0.25
"""Share of the volume inside the atoms' radii below which a crystal counts as porous. Of diamond, with its
covalent radius, it is 0.34; of zeolites and metal-organic frameworks below 0.2."""


_MOST_GUESSED = 20
"""Atoms in the formula above which oxidation states are not guessed: their combinations are too many."""


def flags(structure: Structure) -> list[str]:
    """Flags of a crystal: how charges balance, to what it is bonded, and how loosely it is packed."""
    return list(_flags(json.dumps(structure.as_dict())))


@functools.lru_cache(maxsize=1000)
def _flags(crystal: str) -> tuple[str, ...]:
    """Of a crystal as JSON. Kept, as each round judges all finds anew and bonds take long."""
    structure = decoded(json.loads(crystal))
    return (*_of_composition(structure), *_of_bonding(structure))


def _of_composition(structure: Structure) -> list[str]:
    """Of compounds of metals and others; metals among themselves need no charges to balance.

    After Davies et al., Chem 1, 617 (2016): charges that balance, the cation the less electronegative.
    """
    composition = structure.composition.element_composition
    if all(element.is_metal or element.is_metalloid for element in composition) or len(composition) == 1:
        return []
    if composition.reduced_composition.num_atoms > _MOST_GUESSED:
        return []
    guesses = composition.reduced_composition.oxi_state_guesses()
    if not guesses:
        return [NO_CHARGES]
    return [] if any(_in_order(guess) for guess in guesses) else [ODD_CHARGES]


def _in_order(states: dict[str, float]) -> bool:
    """Whether no cation is more electronegative than an anion."""
    from pymatgen.core import Element

    cations = [Element(symbol).X for symbol, state in states.items() if state > 0]
    anions = [Element(symbol).X for symbol, state in states.items() if state < 0]
    return not cations or not anions or max(cations) <= min(anions)


def _of_bonding(structure: Structure) -> list[str]:
    dimension = dimensionality(structure)
    found = [f"{_BONDED[dimension]}: weak bonds hold it together"] if dimension in _BONDED else []
    if packing_fraction(structure) < _LOOSE:
        found.append("porous")
    return found


def dimensionality(structure: Structure) -> int | None:
    """In how many directions bonds run on: 3 for a framework, 0 for molecules; None where none are found.

    By Larsen et al., Phys. Rev. Mater. 3, 034003 (2019), over CrystalNN's bonds, as pymatgen has them.
    """
    from pymatgen.analysis.dimensionality import get_dimensionality_larsen
    from pymatgen.analysis.local_env import CrystalNN

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # CrystalNN asks for oxidation states, which it does without.
        try:
            bonded = CrystalNN().get_bonded_structure(structure)
        except ValueError:
            return None
        return int(get_dimensionality_larsen(bonded))


def packing_fraction(structure: Structure) -> float:
    """Share of the cell's volume inside spheres of the atoms' covalent radii (Cordero et al., 2008)."""
    from ase.data import covalent_radii

    radii = np.array([covalent_radii[number] for number in structure.atomic_numbers])
    return float(4 / 3 * np.pi * (radii**3).sum() / structure.volume)
