"""Same or new: a cheap prefilter, then pymatgen's StructureMatcher, representatives chosen by order."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from functools import cache
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


class SeenStructures:
    """Structures seen so far, by reduced formula; ``find`` answers with the id of the first that matches."""

    def __init__(self, known: Iterable[tuple[str, Structure]] = ()) -> None:
        self._by_formula: dict[str, list[tuple[str, Structure]]] = defaultdict(list)
        for identifier, structure in known:
            self.add(identifier, structure)

    def add(self, identifier: str, structure: Structure) -> None:
        """Remember a structure under its id."""
        self._by_formula[structure.composition.reduced_formula].append((identifier, structure))

    def find(self, structure: Structure) -> str | None:
        """The id of the first remembered structure that matches, or None."""
        for identifier, other in self._by_formula[structure.composition.reduced_formula]:
            if _could_match(structure, other) and matcher().fit(structure, other):
                return identifier
        return None


def _could_match(one: Structure, other: Structure) -> bool:
    ratio = (one.volume / len(one)) / (other.volume / len(other))
    return 1 / _VOLUME_RATIO < ratio < _VOLUME_RATIO
