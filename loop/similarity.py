"""Same or new: a cheap prefilter, then pymatgen's StructureMatcher, representatives chosen by order."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pymatgen.core import Structure

LTOL, STOL, ANGLE_TOL = 0.2, 0.3, 5.0
_VOLUME_RATIO = 1.6


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


def spacegroup_number(structure: Structure, symprec: float = 1e-2) -> int:
    """International number by moyopy; 1 where symmetry search fails on a distorted cell."""
    from moyopy import MoyoDataset
    from moyopy.interface import MoyoAdapter

    try:
        return int(MoyoDataset(MoyoAdapter.from_structure(structure), symprec=symprec).number)
    except (RuntimeError, ValueError):
        return 1


def reduced(structure: Structure) -> Structure:
    """The Niggli-reduced primitive cell, as ``matcher`` makes it of whatever it compares."""
    return matcher()._get_reduced_structure(structure, primitive_cell=True, niggli=True)


def alike(one: Structure, other: Structure) -> bool:
    """Whether ``matcher`` calls two reduced structures the same."""
    return bool(matcher().fit(one, other, skip_structure_reduction=True))


class SeenStructures:
    """Structures seen so far; ``find`` answers with the id of the first that matches.

    Only structures of one formula whose reduced cells have as many sites can match: these alone are
    compared, and each is reduced once, when first needed.
    """

    def __init__(self, known: Iterable[tuple[str, Structure]] = ()) -> None:
        self._by_formula: dict[str, list[_Seen]] = defaultdict(list)
        for identifier, structure in known:
            self.add(identifier, structure)

    def add(self, identifier: str, structure: Structure) -> None:
        """Remember a structure under its id."""
        self._by_formula[structure.composition.reduced_formula].append(_Seen(identifier, structure))

    def find(self, structure: Structure) -> str | None:
        """The id of the first remembered structure that matches, or None."""
        asked = _Seen("", structure)
        for seen in self._by_formula[structure.composition.reduced_formula]:
            if seen.could_match(asked) and alike(asked.reduced, seen.reduced):
                return seen.id
        return None


class _Seen:
    def __init__(self, identifier: str, structure: Structure) -> None:
        self.id, self._structure = identifier, structure

    @cached_property
    def reduced(self) -> Structure:
        return reduced(self._structure)

    def could_match(self, other: _Seen) -> bool:
        ratio = self._volume_per_atom / other._volume_per_atom
        return 1 / _VOLUME_RATIO < ratio < _VOLUME_RATIO and len(self.reduced) == len(other.reduced)

    @property
    def _volume_per_atom(self) -> float:
        return float(self._structure.volume / len(self._structure))
