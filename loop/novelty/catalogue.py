"""Everything that a find is compared with: source entries, prototypes, what was held out, all campaigns."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from niobe.loop.crystals.decoding import decoded
from niobe.loop.crystals.formulas import amounts_of
from niobe.loop.crystals.prototypes import encyclopedia, library
from niobe.loop.documents.entries import SourceEntry
from niobe.loop.documents.records import StructureRecord
from niobe.loop.documents.structures import entry_structure, relaxed_structure
from niobe.loop.novelty.fingerprints import difference
from niobe.loop.novelty.frameworks import anonymous, block
from niobe.loop.novelty.matching import Crystal
from niobe.loop.novelty.relatives import RELATED, SAME, Disordered
from niobe.loop.readers.disorder import AS_GIVEN
from niobe.loop.store.database import Database
from niobe.loop.store.shared import validated_of_formula

if TYPE_CHECKING:
    from pymatgen.core import Structure

PROTOTYPES, HELD_OUT = "AFLOW prototypes", "held out"
_MOST_COMPARED = 24
"""Crystals of other elements that the structure matcher is asked about, the likeliest first."""
_GIVEN = {"reference", "file", "source"}


class Catalogue:
    """What is known to the database, asked by composition; what it reads for one find it keeps for others.

    database: the campaign database. campaign: whose finds are compared. held_out: labels and structures that
    the campaign keeps out of its seeds.
    """

    def __init__(
        self, database: Database, campaign: str, held_out: Sequence[tuple[str, Structure]] = ()
    ) -> None:
        self._database, self._campaign = database, campaign
        self._held_out = [Crystal(label, HELD_OUT, structure) for label, structure in held_out]
        self._block = functools.cache(functools.partial(block, database))

    @functools.cached_property
    def size(self) -> int:
        """Source entries, prototypes and held-out structures in it."""
        return self._database.entries.count() + len(_prototypes()) + len(self._held_out)

    def of_formula(self, formula: str) -> list[Crystal]:
        """Known crystals of a composition: entries, what was held out, prototypes, finds of other campaigns.

        formula: in OPTIMADE's form.
        """
        entries = self._database.entries.find(formulas=[formula])
        found = validated_of_formula(self._database, formula, self._campaign)
        return [
            *(_crystal(entry) for entry in entries if _is_ordered(entry)),
            *(crystal for crystal in self._held_out if crystal.formula == formula),
            *_prototypes_by_formula().get(formula, ()),
            *(_found(record) for record in found if _is_claimed(record)),
        ]

    def disordered(self, chemsys: str) -> list[Disordered]:
        """Crystals with partial occupancies of exactly these elements.

        chemsys: symbols in alphabetical order, joined by hyphens.
        """
        entries = self._database.entries.find(systems=[chemsys])
        given = [(entry, _as_given(entry)) for entry in entries if not _is_ordered(entry)]
        return [
            Disordered(entry.id, entry.source, entry.formula, structure)
            for entry, structure in given
            if not structure.is_ordered
        ]

    def frameworks(self, find: Crystal) -> list[Crystal]:
        """Crystals with the find's proportions whose atoms lie much as in it, the likeliest parents first.

        What is as good as equal comes first, then what has most elements in common, then what is most alike.
        Prototypes are among them.
        """
        like = self._block(anonymous(find.formula))
        apart = difference(find.framework, like.frameworks) if like.ids else np.empty(0)
        near = [
            (_rank(find, like.formulas[row], float(apart[row])), like.ids[row])
            for row in np.flatnonzero(apart <= RELATED)
        ]
        chosen = {identifier: rank for rank, identifier in sorted(near)[:_MOST_COMPARED]}
        entries = self._database.entries.of_ids(list(chosen))
        ranked = [(chosen[entry.id], _crystal(entry)) for entry in entries]
        for other in prototypes_like(find):
            ranked.append((_rank(find, other.formula, _apart(find, other)), other))
        return [crystal for _, crystal in sorted(ranked, key=lambda pair: pair[0])]


def _rank(find: Crystal, formula: str, apart: float) -> tuple[bool, int, float]:
    """Where a crystal stands among what a find may be a substitution of; the lowest is the likeliest."""
    return apart > SAME, -len(find.elements & set(amounts_of(formula))), apart


def _apart(find: Crystal, other: Crystal) -> float:
    return float(difference(find.framework, other.framework))


def prototypes_like(find: Crystal) -> list[Crystal]:
    """AFLOW prototypes of the find's proportions whose atoms lie much as in it, pymatgen's library first.

    Of each part the most alike comes first.
    """
    like = _prototypes_by_amounts().get(anonymous(find.formula), ())
    near = [other for other in like if _apart(find, other) <= RELATED]
    return sorted(near, key=lambda other: (other.id not in library(), _apart(find, other)))


@functools.cache
def _prototypes() -> list[Crystal]:
    stored = library() | encyclopedia()
    return [Crystal(label, PROTOTYPES, prototype.structure) for label, prototype in stored.items()]


@functools.cache
def _prototypes_by_formula() -> Mapping[str, list[Crystal]]:
    return _grouped(lambda crystal: crystal.formula)


@functools.cache
def _prototypes_by_amounts() -> Mapping[str, list[Crystal]]:
    return _grouped(lambda crystal: anonymous(crystal.formula))


def _grouped(key: Callable[[Crystal], str]) -> Mapping[str, list[Crystal]]:
    found = defaultdict[str, list[Crystal]](list)
    for crystal in _prototypes():
        found[key(crystal)].append(crystal)
    return dict(found)


def _is_claimed(record: StructureRecord) -> bool:
    """Whether another campaign began with it, or found it first, and not by way of a campaign again."""
    if record.round == 0:
        return record.lineage.generator in _GIVEN
    verdict = record.verdict
    if verdict is None or not verdict.is_find:
        return False
    return verdict.novelty is None or not verdict.novelty.source.startswith("campaign ")


def _found(record: StructureRecord) -> Crystal:
    return Crystal(record.id, f"campaign {record.campaign}", relaxed_structure(record))


def _is_ordered(entry: SourceEntry) -> bool:
    """Whether it is ordered as its source gave it, and small enough to be compared."""
    return entry.treatment == AS_GIVEN and not entry.set_aside


def _crystal(entry: SourceEntry) -> Crystal:
    return Crystal(entry.id, entry.source, entry_structure(entry))


def _as_given(entry: SourceEntry) -> Structure:
    """The structure with its partial occupancies, where it has any, without charges."""
    given = decoded(entry.disordered) if entry.disordered else entry_structure(entry)
    plain = given.copy()
    plain.remove_oxidation_states()
    return plain
