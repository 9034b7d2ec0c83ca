"""Space groups: their names, and the symmetry of a crystal as far as a tolerance sees it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pymatgen.core import Structure

SYMPREC = 1e-2
"""Å: how far sites and cell edges may lie from where symmetry has them, unless a search goes further."""
TOLERANCES = (0.01, 0.02, 0.03, 0.05, 0.075, 0.1)
"""Å: of a search for the symmetry of a relaxed crystal, the tightest first."""


@dataclass(frozen=True)
class SymmetricCell:
    """number: of the space group. symprec: the tightest tolerance (Å) that finds it. structure: the primitive
    standard cell, lattice and sites made exact."""

    number: int
    symprec: float
    structure: Structure


def symmetric_cells(structure: Structure) -> Iterator[SymmetricCell]:
    """The crystal in each symmetry that growing tolerances find, from the loosest tolerance to the tightest.

    The angles of the cell may be off by what moves an edge's end by the tolerance. What has the same space
    group and as many sites as with a tighter tolerance is the same.
    """
    found: dict[tuple[int, int], SymmetricCell] = {}
    for symprec in TOLERANCES:
        if (data := dataset(structure, symprec)) is not None:
            primitive = in_order(_structure(data.prim_std_cell))
            cell = SymmetricCell(int(data.number), symprec, primitive)
            found.setdefault((cell.number, len(primitive)), cell)
    yield from reversed(found.values())


def symmetric_cell(structure: Structure, *, conventional: bool = False) -> Structure:
    """The primitive or the conventional standard cell with its symmetry made exact, sites moved by at most
    about ``SYMPREC``; the structure itself where symmetry search fails on a distorted cell.

    Sites come in one order, as finite displacements depend on which of equivalent sites comes first.
    """
    if (data := dataset(structure, SYMPREC)) is None:
        return structure
    return in_order(_structure(data.std_cell if conventional else data.prim_std_cell))


def dataset(structure: Structure, symprec: float) -> Any:
    """What moyopy says of the symmetry, None where it finds none on a distorted cell. symprec in Å."""
    from moyopy import MoyoDataset
    from moyopy.interface import MoyoAdapter

    try:
        return MoyoDataset(MoyoAdapter.from_structure(structure), symprec=symprec)
    except (RuntimeError, ValueError):
        return None


def in_order(structure: Structure) -> Structure:
    """Sites within the cell, by element and then by coordinates."""
    import numpy as np

    wrapped = type(structure)(structure.lattice, structure.species, structure.frac_coords.round(10) % 1.0)
    keys = (np.round(wrapped.frac_coords, 4) % 1.0).tolist()
    order = sorted(range(len(wrapped)), key=lambda i: (wrapped[i].specie.Z, keys[i]))
    return type(structure).from_sites([wrapped[i] for i in order])


def group_symbol(number: int) -> str:
    """Short Hermann-Mauguin symbol of a space group, such as ``Fm-3m`` for 225; "" for 0, of a structure
    whose group is not known."""
    from moyopy import SpaceGroupType

    return str(SpaceGroupType(number).hm_short).replace(" ", "") if number else ""


def group_name(number: int) -> str:
    """Symbol and number, such as ``Fm-3m (225)``; "" for 0."""
    return f"{group_symbol(number)} ({number})" if number else ""


def _structure(cell: Any) -> Structure:
    from moyopy.interface import MoyoAdapter

    return MoyoAdapter.get_structure(cell)
