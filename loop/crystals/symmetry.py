"""The symmetry of a crystal as far as a tolerance sees it."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from math import radians
from typing import TYPE_CHECKING, Any

from niobe.surrogates.protocols import FloatArray
from niobe.surrogates.representations.symmetry import hush_supercell_warnings

if TYPE_CHECKING:
    from pymatgen.core import Structure

SYMPREC = 1e-2
"""Å: how far sites and cell edges may lie from where symmetry has them, unless a search goes further."""
TOLERANCES = ((0.01, None), (0.02, 0.6), (0.03, 0.9), (0.05, 1.5), (0.1, 3.0), (0.15, 3.0), (0.2, 3.0))
"""Å and degrees: of a search for the symmetry of a relaxed crystal, the tightest first. No angle: the one
that moves the end of an edge by so many Å. What shears easily is found by angles only."""
_DIGITS = 8
_LEAST_MOMENT = 0.1
"""μB below which an atom has no magnetic moment."""


@dataclass(frozen=True)
class SymmetricCell:
    """number: of the space group. symprec, angle: the tightest tolerances (Å, degrees) that find it.
    structure: the primitive standard cell, lattice and sites made exact."""

    number: int
    symprec: float
    angle: float | None
    structure: Structure


def antiferromagnetic(structure: Structure) -> bool:
    """Whether sites of one element have magnetic moments of both signs.

    structure: with site property ``magmom`` (μB), or without any.
    """
    moments = structure.site_properties.get("magmom") or ()
    signs = {
        (site.specie.symbol, moment > 0)
        for site, moment in zip(structure, moments, strict=False)
        if moment is not None and abs(moment) > _LEAST_MOMENT
    }
    return any((symbol, not up) in signs for symbol, up in signs)


def symmetric_cells(structure: Structure) -> Iterator[SymmetricCell]:
    """The crystal in each symmetry that growing tolerances find, from the loosest tolerance to the tightest.

    What has the same space group and as many sites as with a tighter tolerance is the same. None of an
    antiferromagnet: the primitive cell of its sites may be too small for its moments.
    """
    if antiferromagnetic(structure):
        return
    found: dict[tuple[int, int], SymmetricCell] = {}
    for symprec, angle in TOLERANCES:
        if (data := dataset(structure, symprec, angle)) is not None:
            primitive = in_order(structure_of(data.prim_std_cell))
            cell = SymmetricCell(int(data.number), symprec, angle, primitive)
            found.setdefault((cell.number, len(primitive)), cell)
    yield from reversed(found.values())


def symmetric_cell(structure: Structure, *, conventional: bool = False) -> Structure:
    """The primitive or the conventional standard cell with its symmetry made exact, sites moved by at most
    about ``SYMPREC``; the structure itself where symmetry search fails on a distorted cell, and of an
    antiferromagnet.

    Sites come in one order, as finite displacements depend on which of equivalent sites comes first.
    """
    if antiferromagnetic(structure) or (data := dataset(structure, SYMPREC)) is None:
        return structure
    return in_order(structure_of(data.std_cell if conventional else data.prim_std_cell))


def dataset(structure: Structure, symprec: float, angle: float | None = None) -> Any:
    """What moyopy says of the symmetry, None where it finds none on a distorted cell.

    structure: the crystal. symprec: tolerance of sites and edges, Å. angle: of angles, degrees.
    """
    from moyopy import MoyoDataset
    from moyopy.interface import MoyoAdapter

    turn = None if angle is None else radians(angle)
    hush_supercell_warnings()
    try:
        return MoyoDataset(MoyoAdapter.from_structure(structure), symprec=symprec, angle_tolerance=turn)
    except (RuntimeError, ValueError):
        return None


def work_of_dft(structure: Structure) -> float:
    """What a program that solves for electrons in plane waves has to do for a crystal, beside others of its
    elements: bands times plane waves, for each k-point that symmetry leaves.

    structure: a primitive cell. Bands and plane waves grow with its atoms, k-points grow fewer.
    """
    found = dataset(structure, SYMPREC)
    return len(structure) ** 2 / (1 if found is None else len(found.operations))


def in_order(structure: Structure) -> Structure:
    """Sites within the cell, by element and then by coordinates."""
    import numpy as np

    species, wrapped = structure.species, structure.frac_coords.round(10) % 1.0
    keys = (np.round(wrapped, 4) % 1.0).tolist()
    order = sorted(range(len(wrapped)), key=lambda i: (species[i].Z, keys[i]))
    return type(structure)(structure.lattice, [species[i] for i in order], wrapped[order])


def without_roundoff(structure: Structure) -> Structure:
    """The same crystal, lattice (Å) and fractional coordinates (0 to 1) to eight digits.

    What lies beyond depends on what a calculator had done before, and must not decide anything.
    """
    from pymatgen.core import Lattice

    lattice = Lattice(_rounded(structure.lattice.matrix), pbc=structure.lattice.pbc)
    coordinates = _rounded(structure.frac_coords) % 1.0
    return type(structure)(lattice, structure.species, coordinates, site_properties=structure.site_properties)


def _rounded(values: FloatArray) -> FloatArray:
    """To eight digits. Halves, and means over symmetry operations of what has few digits, are no ties here:
    roundoff would decide those."""
    import numpy as np

    rounded: FloatArray = np.sign(values) * np.floor(np.abs(values) * 10.0**_DIGITS + 0.497)
    return rounded / 10.0**_DIGITS + 0.0  # no negative zero, whose sign is noise


def hermann_mauguin(number: int) -> str:
    """The short symbol of a space group as OPTIMADE writes it, such as ``P 63/m m c``.

    number: of the space group, 1 to 230.
    """
    from moyopy import SpaceGroupType

    return str(SpaceGroupType(number).hm_short).replace("_", "")


@functools.cache
def point_group_order(number: int) -> int:
    """How many rotations, proper and improper, a crystal has: from 1 to 48.

    number: of the space group, 1 to 230.
    """
    from moyopy import SpaceGroupType
    from pymatgen.symmetry.groups import PointGroup

    return len(PointGroup(SpaceGroupType(number).geometric_crystal_class).symmetry_ops)


def structure_of(cell: Any) -> Structure:
    """The structure of one of moyopy's cells, sites in its order."""
    from moyopy.interface import MoyoAdapter

    return MoyoAdapter.get_structure(cell)
