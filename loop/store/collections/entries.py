"""Source entries and their groups of duplicates: the collection ``entries``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from niobe.loop.documents.entries import SourceEntry
from niobe.loop.readers.disorder import AS_GIVEN
from niobe.loop.store.mapping import Document, body, load

if TYPE_CHECKING:
    from pymongo.collection import Collection as MongoCollection


@dataclass
class Stored:
    """Ids of entries that were new or changed, and the formulas whose groups they touch."""

    new: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    formulas: set[str] = field(default_factory=set)


class Entries:
    """Source entries and their groups of duplicates: the collection ``entries``."""

    def __init__(self, collection: MongoCollection[Document]) -> None:
        self._collection = collection

    def store(self, entries: Sequence[SourceEntry]) -> Stored:
        """Add entries, and replace those whose digest differs; the groups of changed ones are opened."""
        from pymongo import ReplaceOne

        ids = {"_id": {"$in": [entry.id for entry in entries]}}
        known = {found["_id"]: found["digest"] for found in self._collection.find(ids, {"digest": 1})}
        writing = [entry for entry in entries if known.get(entry.id) != entry.digest]
        stored = Stored(
            new=[entry.id for entry in writing if entry.id not in known],
            changed=[entry.id for entry in writing if entry.id in known],
            formulas={entry.formula_reduced for entry in writing},
        )
        if stored.changed:
            members = {"group": {"$in": stored.changed}}
            self._collection.update_many(members, {"$set": {"group": ""}})
        if writing:
            writes = [ReplaceOne({"_id": entry.id}, body(entry), upsert=True) for entry in writing]
            self._collection.bulk_write(writes, ordered=False)
        return stored

    def find(
        self,
        *,
        formulas: Sequence[str] | None = None,
        sources: Sequence[str] | None = None,
        systems: Sequence[str] | None = None,
    ) -> list[SourceEntry]:
        """Entries by id: of these formulas (OPTIMADE form), sources and chemical systems, where given."""
        chosen = {"formula_reduced": formulas, "source": sources, "chemsys": systems}
        query = {key: {"$in": list(values)} for key, values in chosen.items() if values is not None}
        return load(SourceEntry, self._collection.find(query, sort=[("_id", 1)]))

    def of_ids(self, ids: Sequence[str]) -> list[SourceEntry]:
        """Entries of these ids, in the order of their ids."""
        return load(SourceEntry, self._collection.find({"_id": {"$in": list(ids)}}, sort=[("_id", 1)]))

    def formulas(self) -> list[str]:
        """Every formula (OPTIMADE form) of an entry, once."""
        return self._formulas({})

    def formulas_of(self, nelements: int, most_atoms: int) -> list[str]:
        """Formulas (OPTIMADE form) of ordered entries of so many elements, of at most so many atoms."""
        ordered = {"treatment": AS_GIVEN, "set_aside": ""}
        return self._formulas(ordered | {"nelements": nelements, "n_atoms": {"$lte": most_atoms}})

    def _formulas(self, query: Document) -> list[str]:
        # `distinct` answers with one document, of 16 MB at most.
        stages: list[Document] = [{"$match": query}, {"$group": {"_id": "$formula_reduced"}}]
        return sorted(document["_id"] for document in self._collection.aggregate(stages))

    def as_given(self, formulas: Sequence[str]) -> list[Document]:
        """``_id``, ``fingerprint`` and ``formula_reduced`` of ordered entries of these formulas.

        Without those that were ordered here, or set aside.
        """
        query = {"formula_reduced": {"$in": list(formulas)}, "treatment": AS_GIVEN, "set_aside": ""}
        return list(self._collection.find(query, {"fingerprint": 1, "formula_reduced": 1}, sort=[("_id", 1)]))

    def count(self) -> int:
        """How many entries there are."""
        return self._collection.count_documents({})

    def alone_and_shared(self, formulas: Sequence[str]) -> tuple[list[str], list[str]]:
        """Ids of entries alone with their formula, and the formulas that several entries share."""
        by_formula: dict[str, list[str]] = {}
        query = {"formula_reduced": {"$in": list(formulas)}}
        for found in self._collection.find(query, {"formula_reduced": 1}):
            by_formula.setdefault(found["formula_reduced"], []).append(found["_id"])
        alone = [ids[0] for ids in by_formula.values() if len(ids) == 1]
        return alone, sorted(formula for formula, ids in by_formula.items() if len(ids) > 1)

    def ungrouped_formulas(self) -> set[str]:
        """Formulas of entries without a group: those of an ingest that was cut short."""
        found = self._collection.find({"group": ""}, {"formula_reduced": 1})
        return {document["formula_reduced"] for document in found}

    def store_groups(self, groups: Mapping[str, str]) -> None:
        """Set the representative's id of each entry."""
        from pymongo import UpdateOne

        writes = [UpdateOne({"_id": entry}, {"$set": {"group": first}}) for entry, first in groups.items()]
        if writes:
            self._collection.bulk_write(writes, ordered=False)

    def count_groups(self, source: str) -> int:
        """How many groups have a member of a source."""
        return len(self._collection.distinct("group", {"source": source}))

    def count_by_source(self) -> dict[str, int]:
        """Entries by source."""
        names = sorted(self._collection.distinct("source"))
        return {name: self._collection.count_documents({"source": name}) for name in names}
