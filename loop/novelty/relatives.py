"""What a find that is not known comes from: an ordering, a distortion or a substitution of what is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from niobe.loop.novelty.fingerprints import difference
from niobe.loop.novelty.matching import Crystal, merged, same_crystal, same_framework, symmetrised

if TYPE_CHECKING:
    from pymatgen.core import Structure

SAME = 0.035
"""Relative difference of average minimum distances up to which they call two crystals the same: a strain of
2 % moves them by 0.03 at most."""
RELATED = 0.12
"""The same, up to which one crystal may be a relaxed ordering, distortion or substitution of another."""
_GROWING = (0.1, 0.2, 0.3)
"""Å: how far atoms may have moved off the symmetry of a parent."""
_OF_A_BOND = 0.15
"""The same as a share of the shortest distance: beyond, a search for symmetry may not come to an end."""
_SAME_SHARE = 0.05
"""Atomic fraction within which an ordering has its parent's composition."""
_FULL = 0.99


@dataclass(frozen=True)
class Disordered:
    """A crystal with partial occupancies, as its source gave it."""

    id: str
    source: str
    formula: str
    structure: Structure


@dataclass(frozen=True)
class Relation:
    """What a find comes from, and by how much their average minimum distances differ."""

    id: str
    source: str
    formula: str
    difference: float


def ordering_of(find: Crystal, parents: Iterable[Disordered]) -> Relation | None:
    """The disordered crystal that a find is an ordering of, the nearest one, or None.

    Elements that share sites in the parent are taken as one in both; sites that are partly vacant are left
    out of both; what remains has to be the same crystal, of about the parent's composition.
    """
    found = [relation for parent in parents if (relation := _as_ordering(find, parent)) is not None]
    return min(found, key=lambda relation: relation.difference, default=None)


def _as_ordering(find: Crystal, parent: Disordered) -> Relation | None:
    if not _same_composition(find.structure, parent.structure):
        return None
    groups = sharing(parent.structure)
    vacant = _partly_vacant(parent.structure, groups)
    one, other = (_framework(s, groups, vacant) for s in (find.structure, parent.structure))
    if one is None or other is None or _counts(one) != _counts(other):
        return None
    a, b = Crystal(find.id, find.source, one), Crystal(parent.id, parent.source, other)
    apart = float(difference(a.minimum_distances, b.minimum_distances))
    if apart > RELATED and not same_crystal(a, b):
        return None
    return Relation(parent.id, parent.source, parent.formula, apart)


def _same_composition(one: Structure, other: Structure) -> bool:
    a, b = (s.composition.element_composition.fractional_composition for s in (one, other))
    return set(a) == set(b) and all(abs(a[element] - b[element]) <= _SAME_SHARE for element in a)


def _counts(structure: Structure) -> dict[str, float]:
    fractions = structure.composition.fractional_composition
    return {element.symbol: round(share, 3) for element, share in sorted(fractions.items())}


def sharing(structure: Structure) -> list[frozenset[str]]:
    """Groups of elements that share sites, directly or by way of others."""
    groups: list[frozenset[str]] = []
    for site in structure:
        own = frozenset(species.symbol for species in site.species)
        touching = [group for group in groups if group & own]
        groups = [group for group in groups if not group & own] + [own.union(*touching)]
    return groups


def _partly_vacant(structure: Structure, groups: Sequence[frozenset[str]]) -> frozenset[str]:
    """Elements of the groups that have a site which is not full."""
    open_ = {species.symbol for site in structure if _occupied(site) < _FULL for species in site.species}
    return frozenset().union(*(group for group in groups if group & open_))


def _occupied(site: object) -> float:
    return float(sum(site.species.values()))  # type: ignore[attr-defined]


def _framework(
    structure: Structure, groups: Sequence[frozenset[str]], vacant: frozenset[str]
) -> Structure | None:
    """Without sites of what is partly vacant, elements that share sites as one; None where none is left."""
    from pymatgen.core import Structure

    kept = [site for site in structure if not {species.symbol for species in site.species} & vacant]
    return merged(Structure.from_sites(kept), groups) if kept else None


def distortion_of(find: Crystal, known: Sequence[Crystal]) -> Relation | None:
    """The crystal of a find's composition and higher symmetry that it becomes as its atoms move little.

    known: crystals of the find's composition.
    """
    if not known:
        return None
    own, cell = find.symmetry[1], find.reduced.cell
    for tolerance in (least for least in _GROWING if least <= _OF_A_BOND * _shortest(cell)):
        structure = symmetrised(cell, tolerance)
        if structure is None or len(structure.composition) != len(find.structure.composition):
            continue
        parent = Crystal(find.id, find.source, structure)
        if parent.symmetry[1] <= own:
            continue
        for other in known:
            apart = float(difference(parent.minimum_distances, other.minimum_distances))
            if apart <= RELATED and same_crystal(parent, other):
                return Relation(other.id, other.source, other.formula, apart)
    return None


def _shortest(cell: Structure) -> float:
    """The shortest distance between two atoms of a cell, or an atom and its image, Å."""
    import numpy as np

    between = cell.distance_matrix + np.diag([np.inf] * len(cell))
    return float(min(between.min(), min(cell.lattice.abc)))


def substitution_of(find: Crystal, candidates: Iterable[Crystal]) -> Relation | None:
    """The first of the candidates whose structure the find has, with other elements in it."""
    for other in candidates:
        if same_framework(find, other):
            apart = float(difference(find.framework, other.framework))
            return Relation(other.id, other.source, other.formula, apart)
    return None
