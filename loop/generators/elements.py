"""What an element may crystallise in: every unary prototype, and packings of its molecules."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from niobe.loop.crystals.similarity import SeenStructures
from niobe.loop.generators.prototypes import decorated_prototypes

if TYPE_CHECKING:
    from pymatgen.core import Structure

MOST_ATOMS = 34
"""In the primitive cell: up to clathrates; α-Mn has 29 and sulphur 32."""
MOST_ASKED = 5
WINDOW = 0.15
"""eV/atom: by how much a cheap potential may err between two structures of an element, nearly always."""
BONDS = {"H": 0.75, "N": 1.10, "O": 1.22, "F": 1.42, "Cl": 2.00, "Br": 2.29, "I": 2.70}
"""Å, in the molecules of two atoms that these elements consist of (CRC Handbook)."""
_AVOGADRO_A3 = 0.6022  # Å³ an atom in a cm³/mol


def elemental_candidates(element: str) -> list[tuple[str, Structure]]:
    """Structures of an element with labels, as large as its solid or liquid: prototypes, and packings of
    molecules where it has any."""
    found = decorated_prototypes((element,), MOST_ATOMS)
    if element in BONDS:
        found += [(f"{name} {element}2", packing) for name, packing in molecular_crystals(element)]
    volume = solid_volume(element)
    for _, structure in found:
        structure.scale_lattice(volume * len(structure))
    return found


def solid_volume(element: str) -> float:
    """Å³ an atom, by the molar volume that pymatgen knows, or 20."""
    from pymatgen.core import Element

    return float(Element(element).molar_volume or 12.0) / _AVOGADRO_A3


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


def lowest_few(
    answers: Mapping[str, tuple[float, Structure]], most: int = MOST_ASKED, window: float = WINDOW
) -> list[str]:
    """Labels of the lowest structures (eV/atom, structure), no two alike, within ``window`` of the lowest."""
    seen = SeenStructures()
    chosen: list[str] = []
    order = sorted(answers, key=lambda label: answers[label][0])
    for label in order:
        energy, structure = answers[label]
        if len(chosen) == most or energy > answers[order[0]][0] + window:
            break
        if seen.find(structure) is None:
            seen.add(label, structure)
            chosen.append(label)
    return chosen
