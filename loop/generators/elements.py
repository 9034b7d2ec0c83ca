"""What an element may crystallise in: every unary prototype, and packings of its molecules."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from niobe.loop.crystals.displaced import displaced
from niobe.loop.generators.prototypes import decorated_prototypes, known_in
from niobe.surrogates.representations.elements import solid_volume

if TYPE_CHECKING:
    from pymatgen.core import Element, Structure

_HELIUM = 2
MOST_ATOMS = 34
"""In the primitive cell: up to clathrates; α-Mn has 29 and sulphur 32."""
_SMALL = 8
"""Atoms in a primitive cell up to which a prototype is tried for all metals, or for all others."""
_SIMPLE = frozenset({"A_cI2_229_a", "A_cF4_225_a", "A_hP2_194_c", "A_cF8_227_a"})
_SMALLEST, _MOVE = 2, 0.05  # atoms, Å
BONDS = {"H": 0.75, "N": 1.10, "O": 1.22, "F": 1.42, "Cl": 2.00, "Br": 2.29, "I": 2.70}
"""Å, in the molecules of two atoms that these elements consist of (CRC Handbook)."""


def elemental_references(elements: Sequence[str]) -> list[tuple[str, Structure]]:
    """What the oracle is asked for each element, so that the lowest is its reference; with labels.

    Those of ``elemental_candidates`` that the element is likely to crystallise in: bcc, fcc, hcp and diamond;
    small cells known of any metal for a metal (of actinoids for these only), of any other element for one of
    these, of any element for what consists of molecules; larger ones known of an element of its group;
    molecules.
    """
    return [
        pair
        for element in elements
        for pair in elemental_candidates(element)
        if pair[0].split()[1] != element or _likely(element, pair[0].split()[0], len(pair[1]))
    ]


def _likely(element: str, label: str, n_atoms: int) -> bool:
    from pymatgen.core import Element

    own, other = Element(element), Element(known_in(label))
    if other.is_actinoid and not own.is_actinoid:
        return False
    if n_atoms > _SMALL:
        return own.group == other.group and own.is_actinoid == other.is_actinoid
    return label in _SIMPLE or element in BONDS or _no_metal(own) == _no_metal(other)


def _no_metal(element: Element) -> bool:
    """Of the p block, hydrogen or helium: covalent, molecular, or of odd packings such as gallium's."""
    return element.block == "p" or element.Z <= _HELIUM


def elemental_candidates(element: str) -> list[tuple[str, Structure]]:
    """Structures of an element with labels, as large as its solid or liquid: packings of molecules where it
    has any, at their bond length, and prototypes."""
    found = decorated_prototypes((element,), MOST_ATOMS)
    if element in BONDS:
        found = [(f"{name} {element}2", packing) for name, packing in molecular_crystals(element)] + found
    volume = solid_volume(element)
    for _, structure in found:
        structure.scale_lattice(volume * len(structure))
    return found


def off_its_symmetry(structure: Structure) -> Structure:
    """A crystal of an element off its symmetry, to see whether it is a saddle, in a cell of more than two
    atoms.

    structure: relaxed.
    """
    cell = structure.make_supercell(2, in_place=False) if len(structure) <= _SMALLEST else structure
    return displaced(cell, _MOVE, seed=0)


def molecular_crystals(element: str) -> list[tuple[str, Structure]]:
    """Molecules of two atoms in the packings that such molecules are known in, at their bond length."""
    from pymatgen.core import Lattice, Structure

    bond, volume = BONDS[element], solid_volume(element)
    cube = (8 * volume) ** (1 / 3)
    short = (4 * volume / 1.3) ** (1 / 3)
    wide = (4 * volume / (1.63 * math.sqrt(3) / 2)) ** (1 / 3)
    mean = (8 * volume / (1.52 * 2.09)) ** (1 / 3)
    long = (4 * volume * 1.2**2) ** (1 / 3)
    cells = {
        "parallel": (139, Lattice.tetragonal(long / 1.2, long), _along(bond, 0, 0, long)),
        "alpha-N2": (205, Lattice.cubic(cube), _along(bond, cube, cube, cube)),
        "gamma-N2": (136, Lattice.tetragonal(short, 1.3 * short), _along(bond, short, short, 0)),
        "hexagonal": (194, Lattice.hexagonal(wide, 1.63 * wide), [1 / 3, 2 / 3, 0.25 - bond / 3.26 / wide]),
        "iodine": (
            64,
            Lattice.orthorhombic(1.52 * mean, mean, 2.09 * mean),
            [0, 0.53 * bond / 2 / mean, 0.85 * bond / 2 / (2.09 * mean)],
        ),
    }
    return [
        (name, Structure.from_spacegroup(group, lattice, [element], [site]).get_primitive_structure())
        for name, (group, lattice, site) in cells.items()
    ]


def _along(bond: float, *edges: float) -> list[float]:
    """Where an atom lies half a bond from the origin, on the diagonal of the axes with an edge (Å)."""
    used = sum(edge > 0 for edge in edges)
    return [bond / 2 / math.sqrt(used) / edge if edge else 0.0 for edge in edges]
