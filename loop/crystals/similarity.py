"""Same or new: a cheap prefilter, then pymatgen's StructureMatcher, representatives chosen by order."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Collection, Iterable
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from niobe.loop.crystals.symmetry import SYMPREC, dataset

if TYPE_CHECKING:
    from pymatgen.core import Lattice, Structure

LTOL, STOL, ANGLE_TOL = 0.2, 0.3, 5.0
_VOLUME_RATIO, _EDGE_RATIO = 1.6, 1.3
_ROUNDING = 1e-6
_GROUPS, _MONOCLINIC = 230, range(3, 16)


@cache
def matcher() -> Any:
    """StructureMatcher with ltol 0.2, stol 0.3, angle 5°, primitive cells, volumes scaled."""
    from pymatgen.core.structure_matcher import StructureMatcher

    return StructureMatcher(ltol=LTOL, stol=STOL, angle_tol=ANGLE_TOL, primitive_cell=True, scale=True)


def content_hash(structure: Structure) -> str:
    """SHA-256 over lattice and sites rounded to 1e-4, sites sorted: the identity of a stored structure."""
    sites = sorted(
        (site.specie.symbol, *(round(float(x) % 1, 4) % 1 for x in site.frac_coords)) for site in structure
    )
    lattice = [round(float(x), 4) for x in structure.lattice.matrix.flatten()]
    return hashlib.sha256(repr((lattice, sites)).encode()).hexdigest()


def spacegroup_number(structure: Structure, symprec: float = SYMPREC) -> int:
    """International number by moyopy; 1 where symmetry search fails on a distorted cell. symprec in Å."""
    data = dataset(structure, symprec)
    return 1 if data is None else int(data.number)


@cache
def spacegroup_symbol(number: int) -> str:
    """The short Hermann-Mauguin symbol of a space group's standard setting, "?" for a number that none has.

    number: international number.
    """
    from pymatgen.symmetry.groups import sg_symbol_from_int_number

    if not 1 <= number <= _GROUPS:
        return "?"
    symbol = str(sg_symbol_from_int_number(number))
    return re.sub(r"^(\w)1(.+)1$", r"\1\2", symbol) if number in _MONOCLINIC else symbol


def spacegroup_name(number: int) -> str:
    """Symbol and number, such as ``Pm-3m (221)``.

    number: international number.
    """
    return f"{spacegroup_symbol(number)} ({number})"


class Reduced:
    """The Niggli-reduced primitive ``cell``, as ``matcher`` makes it of whatever it compares."""

    def __init__(self, structure: Structure) -> None:
        self.cell: Structure = matcher()._get_reduced_structure(structure, primitive_cell=True, niggli=True)

    @cached_property
    def lattice(self) -> Lattice:
        """The cell's lattice, scaled to one volume for all."""
        from pymatgen.core import Lattice

        return Lattice(self.cell.lattice.matrix / self.cell.volume ** (1 / 3))


def alike(one: Reduced, other: Reduced) -> bool:
    """Whether ``matcher`` calls two crystals with as many sites in the reduced cell the same.

    It looks for a mapping between their lattices after much else; looking for one first spares that for the
    many pairs that have none.
    """
    mapping = one.lattice.find_mapping(
        other.lattice, ltol=LTOL + _ROUNDING, atol=ANGLE_TOL + _ROUNDING, skip_rotation_matrix=True
    )
    return mapping is not None and bool(matcher().fit(one.cell, other.cell, skip_structure_reduction=True))


class SeenStructures:
    """Structures seen so far; ``find`` answers with the id of the first that matches.

    Only structures of one formula whose reduced cells have as many sites and edges alike can match: these
    alone are compared, and each is reduced once, when first needed.
    """

    def __init__(self, known: Iterable[tuple[str, Structure]] = ()) -> None:
        self._by_formula: dict[str, list[_Seen]] = defaultdict(list)
        for identifier, structure in known:
            self.add(identifier, structure)

    def add(self, identifier: str, structure: Structure) -> None:
        """Remember a structure under its id."""
        self._by_formula[structure.composition.reduced_formula].append(_Seen(identifier, structure))

    def find(self, structure: Structure, *, exclude: Collection[str] = ()) -> str | None:
        """The id of the first remembered structure that matches and is not in ``exclude``, or None."""
        asked = _Seen("", structure)
        for seen in self._by_formula[structure.composition.reduced_formula]:
            if seen.id not in exclude and seen.could_match(asked) and alike(asked.reduced, seen.reduced):
                return seen.id
        return None


class _Seen:
    def __init__(self, identifier: str, structure: Structure) -> None:
        self.id, self._structure = identifier, structure

    @cached_property
    def reduced(self) -> Reduced:
        return Reduced(self._structure)

    @cached_property
    def _volume_per_atom(self) -> float:
        return float(self._structure.volume / len(self._structure))

    @cached_property
    def _edges(self) -> list[float]:
        return sorted(self.reduced.lattice.abc)

    def could_match(self, other: _Seen) -> bool:
        if not _within(self._volume_per_atom, other._volume_per_atom, _VOLUME_RATIO):
            return False
        return len(self.reduced.cell) == len(other.reduced.cell) and all(
            _within(own, its, _EDGE_RATIO) for own, its in zip(self._edges, other._edges, strict=True)
        )


def _within(one: float, other: float, ratio: float) -> bool:
    return one < ratio * other and other < ratio * one
