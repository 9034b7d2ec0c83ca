"""Everything that a find is compared with: source entries, prototypes, what was held out, all campaigns."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from niobe.loop.crystals.formulas import amounts_of
from niobe.loop.documents.entries import SourceEntry
from niobe.loop.documents.records import Status, StructureRecord
from niobe.loop.documents.structures import entry_structure, relaxed_structure
from niobe.loop.generators.prototypes import stored_prototypes
from niobe.loop.novelty.fingerprints import difference, fingerprint
from niobe.loop.novelty.matching import Crystal
from niobe.loop.novelty.relatives import RELATED, SAME, Disordered
from niobe.loop.readers.disorder import AS_GIVEN
from niobe.loop.store.database import Database
from niobe.loop.store.fingerprints import Block, anonymous, block, entries_of
from niobe.loop.store.mapping import load

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
        self._block = functools.cache(self._read_block)

    @functools.cached_property
    def size(self) -> int:
        """Source entries, prototypes and held-out structures in it."""
        entries = self._database.mongo["entries"].count_documents({})
        return entries + len(_prototypes()) + len(self._held_out)

    def of_formula(self, formula: str) -> list[Crystal]:
        """Known crystals of a composition: entries, what was held out, prototypes, finds of other campaigns.

        formula: in OPTIMADE's form.
        """
        entries = [_crystal(entry) for entry in self._database.entries(formulas=[formula]) if _usable(entry)]
        held_out = [crystal for crystal in self._held_out if crystal.formula == formula]
        prototypes = [crystal for crystal in _prototypes() if crystal.formula == formula]
        return [*entries, *held_out, *prototypes, *self._found_elsewhere(formula)]

    def disordered(self, chemsys: str) -> list[Disordered]:
        """Crystals with partial occupancies of exactly these elements.

        chemsys: symbols in alphabetical order, joined by hyphens.
        """
        found = [
            Disordered(entry.id, entry.source, entry.formula, structure)
            for entry in self._database.entries(systems=[chemsys])
            if not _usable(entry) and not (structure := _as_given(entry)).is_ordered
        ]
        return found

    def frameworks(self, find: Crystal) -> list[Crystal]:
        """Crystals with the find's proportions whose atoms lie much as in it, the likeliest parents first.

        What is as good as equal comes first, then what has most elements in common, then what is most alike.
        Prototypes are among them.
        """
        like = self._block(anonymous(find.formula))
        apart = difference(find.framework, like.frameworks) if like.ids else np.empty(0)
        own = set(amounts_of(find.formula))
        near = [
            (_rank(own, like.formulas[row], float(apart[row])), like.ids[row])
            for row in np.flatnonzero(apart <= RELATED)
        ]
        chosen = {identifier: rank for rank, identifier in sorted(near)[:_MOST_COMPARED]}
        ranked = [(chosen[entry.id], _crystal(entry)) for entry in entries_of(self._database, list(chosen))]
        for other in prototypes_like(find):
            rank = _rank(own, other.formula, float(difference(find.framework, other.framework)))
            ranked.append((rank, other))
        return [crystal for _, crystal in sorted(ranked, key=lambda pair: pair[0])]

    def _read_block(self, amounts: tuple[int, ...]) -> Block:
        return block(self._database, amounts, _framework_of)

    def _found_elsewhere(self, formula: str) -> list[Crystal]:
        """What other campaigns began with or found; a find known by way of a campaign counts there alone."""
        query = {
            "formula_reduced": formula,
            "status": Status.VALIDATED.value,
            "campaign": {"$ne": self._campaign},
            "lineage.generator": {"$ne": "prototype"},
        }
        order = [("campaign", 1), ("round", 1), ("index", 1)]
        records = load(StructureRecord, self._database.mongo["structures"].find(query, sort=order))
        return [
            Crystal(record.id, f"campaign {record.campaign}", relaxed_structure(record))
            for record in records
            if _is_claimed(record)
        ]


def _is_claimed(record: StructureRecord) -> bool:
    """Whether another campaign began with it, or found it first."""
    if record.round == 0:
        return record.lineage.generator in _GIVEN
    verdict = record.verdict
    if verdict is None or not verdict.phase or verdict.duplicate_of or record.competing:
        return False
    novelty = verdict.novelty
    return novelty is None or not (novelty.is_known and novelty.source.startswith("campaign "))


def prototypes_like(find: Crystal) -> list[Crystal]:
    """AFLOW prototypes of the find's proportions whose atoms lie much as in it, the most alike first."""
    amounts = anonymous(find.formula)
    apart = [
        (float(difference(find.framework, other.framework)), row)
        for row, other in enumerate(_prototypes())
        if anonymous(other.formula) == amounts
    ]
    return [_prototypes()[row] for distance, row in sorted(apart) if distance <= RELATED]


@functools.cache
def _prototypes() -> list[Crystal]:
    return [Crystal(label, PROTOTYPES, structure) for label, structure in stored_prototypes().items()]


def _rank(own: set[str], formula: str, apart: float) -> tuple[bool, int, float]:
    """Where a crystal stands among what a find may be a substitution of; the lowest is the likeliest."""
    return apart > SAME, -len(own & set(amounts_of(formula))), apart


def _usable(entry: SourceEntry) -> bool:
    return entry.treatment == AS_GIVEN and not entry.set_aside


def _crystal(entry: SourceEntry) -> Crystal:
    return Crystal(entry.id, entry.source, entry_structure(entry))


def _framework_of(entry: SourceEntry) -> np.ndarray:
    return fingerprint(entry_structure(entry), by_element=False)


def _as_given(entry: SourceEntry) -> Structure:
    """The structure with its partial occupancies, where it has any, without charges."""
    from niobe.loop.crystals.decoding import decoded

    given = decoded(entry.disordered) if entry.disordered else entry_structure(entry)
    plain = given.copy()
    plain.remove_oxidation_states()
    return plain
