"""One crystal or two: by the structure matcher, in several descriptions of each."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from niobe.loop.crystals.formulas import optimade_formula
from niobe.loop.crystals.similarity import Reduced, alike, matcher
from niobe.loop.crystals.symmetry import dataset, structure_of
from niobe.loop.novelty.fingerprints import fingerprint
from niobe.surrogates.protocols import FloatArray

if TYPE_CHECKING:
    from pymatgen.core import Structure

CLOSE = 0.1
"""Å: atoms may lie so far off a symmetry that counts as the crystal's own."""


class Crystal:
    """A crystal to compare: its descriptions and fingerprints, each made when it is first asked for.

    id: of what it is. source: whose. structure: an ordered crystal.
    """

    def __init__(self, id: str, source: str, structure: Structure) -> None:
        self.id, self.source, self.structure = id, source, structure

    @cached_property
    def formula(self) -> str:
        """In OPTIMADE's form."""
        return optimade_formula(self.structure.composition.element_composition.get_el_amt_dict())

    @property
    def elements(self) -> set[str]:
        """Their symbols."""
        return set(self.structure.composition.get_el_amt_dict())

    @cached_property
    def minimum_distances(self) -> FloatArray:
        """By element. Shape (k,)."""
        return fingerprint(self.structure)

    @cached_property
    def framework(self) -> FloatArray:
        """The same with all atoms as one kind. Shape (60,)."""
        return fingerprint(self.structure, by_element=False)

    @cached_property
    def reduced(self) -> Reduced:
        """As it is."""
        return Reduced(self.structure)

    @cached_property
    def descriptions(self) -> list[Reduced]:
        """Reduced cells: of the crystal as it is, and with its symmetry made exact."""
        better = symmetrised(self.structure, CLOSE)
        return [self.reduced] if better is None else [self.reduced, Reduced(better)]

    @cached_property
    def symmetry(self) -> tuple[int, float]:
        """Space group number, and symmetry operations per atom of the primitive cell."""
        return symmetry(self.structure, CLOSE)


def same_crystal(one: Crystal, other: Crystal) -> bool:
    """Whether the structure matcher calls any two like descriptions of two crystals the same."""
    return any(
        len(a.cell) == len(b.cell) and alike(a, b)
        for a, b in zip(one.descriptions, other.descriptions, strict=False)
    )


def same_framework(one: Crystal, other: Crystal) -> bool:
    """Whether two crystals are the same once elements are exchanged for one another."""
    a, b = one.reduced.cell, other.reduced.cell
    return len(a) == len(b) and bool(matcher().fit_anonymous(a, b, skip_structure_reduction=True))


def symmetrised(structure: Structure, tolerance: float) -> Structure | None:
    """The primitive standard cell with the symmetry found within ``tolerance`` (Å), or None for none."""
    data = dataset(structure, tolerance)
    return None if data is None else structure_of(data.prim_std_cell)


def symmetry(structure: Structure, tolerance: float) -> tuple[int, float]:
    """Space group number, and symmetry operations per atom of the primitive cell; (1, 0) for none found.

    tolerance: of atomic positions, Å.
    """
    cell = symmetrised(structure, tolerance)
    data = None if cell is None else dataset(cell, 1e-3)
    return (1, 0.0) if cell is None or data is None else (int(data.number), len(data.operations) / len(cell))


def merged(structure: Structure, groups: Sequence[frozenset[str]]) -> Structure:
    """The structure with the elements of each group as one: the first of them in the alphabet.

    Sites that several elements of a group share hold that one, wholly.
    """
    from pymatgen.core import Structure

    first = {symbol: min(group) for group in groups for symbol in group}
    species = [first.get(symbol, symbol) for symbol in (_symbol(site) for site in structure)]
    return Structure(structure.lattice, species, structure.frac_coords)


def _symbol(site: object) -> str:
    return min(species.symbol for species in site.species)  # type: ignore[attr-defined]
