"""What clients ask of a collection: scans narrowed by the indexes, writes that keep unique ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import bson
from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from niobe.launchers.embedded.commands.errors import CommandError, not_supported
from niobe.launchers.embedded.query.keys import key_of
from niobe.launchers.embedded.query.matching import matcher
from niobe.launchers.embedded.query.pace import tick
from niobe.launchers.embedded.query.paths import MISSING, candidates, is_place
from niobe.launchers.embedded.query.sorting import Sort, key_tuples, ordered, sort_key
from niobe.launchers.embedded.storage.documents import Document, Documents, Row
from niobe.launchers.embedded.storage.indexing import Condition, conditions, exact_conditions, is_kept


class Collection(Documents):
    """Narrows a filter to candidates by index; the filter decides which of them match."""

    def rows(self, filter: Document) -> Iterator[Row]:
        """Documents that match, in insertion order, with their numbers."""
        matches = matcher(filter)
        for row in self.meeting(self.useful(filter)):
            tick()
            if matches(row[1]):
                yield row

    def useful(self, filter: Document) -> list[Condition]:
        """The conditions of a filter that an index answers."""
        return [c for c in conditions(filter) if c.field == "_id" or c.field in self.indexed]

    def require_hinted(self, hint: Any) -> None:
        """Raise CommandError where no index has that name or those keys, or it would leave documents out.

        hint: of a command; None or empty asks for nothing.
        """
        if hint is None or hint == {} or not self.is_created:
            return
        if not isinstance(hint, str | dict):
            raise CommandError(9, "Hint must be a string or an object")
        if hint in ("_id_", {"_id": 1}, {"$natural": 1}):
            return
        key = [[field, kind] for field, kind in hint.items()] if isinstance(hint, dict) else None
        found = [index for name, index in self.indexes.items() if hint == name or index["key"] == key]
        if not found:
            raise CommandError(2, "error processing query: planner returned error: bad hint")
        if found[0].get("sparse") or "partialFilterExpression" in found[0]:
            raise not_supported("a hint at an index that does not hold all documents")

    def select(
        self, filter: Document, *, sort: Sort | None = None, skip: int = 0, limit: int | None = None
    ) -> Iterator[Row]:
        """One page of what matches; a sort holds keys and numbers, and reads the documents again in order.

        filter: as MongoDB takes it. skip: documents to pass over. limit: documents at most.
        """
        if sort == [("$natural", -1)]:
            found = iter(list(self.rows(filter))[::-1])
        elif sort and sort[0][0] != "$natural":
            key = sort_key(sort)
            keyed = ((key(document), seq) for seq, document in self.rows(filter))
            found = self.numbered(list(ordered(keyed, None if limit is None else skip + limit)))
        else:
            found = self.rows(filter)
        return islice(found, skip, None if limit is None else skip + limit)

    def first(self, filter: Document, sort: Sort | None = None) -> Row | None:
        """The first that matches, or None."""
        return next(self.select(filter, sort=sort, limit=1), None)

    def hinted(self, filter: Document, sort: Sort, skip: int, limit: int) -> Iterator[Row] | None:
        """One page of a query that the indexes answer alone, or None where they cannot.

        filter: as MongoDB takes it. sort: fields and directions, 1 or -1. skip: documents to pass over.
        limit: documents at most.
        """
        seqs = self.index.page(filter, sort, skip, limit)
        return None if seqs is None else self.numbered(seqs)

    def count_matching(self, filter: Document, *, hinted: bool = False) -> int:
        """How many documents match; from the indexes alone where the filter allows it."""
        matcher(filter)
        known = self.index.count(filter, hinted=hinted)
        if known is not None:
            return known
        exact = exact_conditions(filter)
        if exact is not None and all(c.field == "_id" or c.field in self.indexed for c in exact):
            return self.count(exact)
        return sum(1 for _ in self.rows(filter))

    def distinct(self, field: str, filter: Document) -> list[Any]:
        """The different values of a field, elements of arrays rather than arrays, in their order."""
        path = field.split(".")
        found: dict[bytes, Any] = {}
        for _, document in self.rows(filter):
            for value in _values(document, path):
                found.setdefault(key_of(value), value)
        return [found[key] for key in sorted(found)]

    def add(self, document: Document) -> Document:
        """Store a new document, with an ``_id`` where it has none. Raises DuplicateKeyError, CommandError."""
        for field in document:
            if field.startswith("$"):
                raise CommandError(52, f"The dollar ($) prefixed field '{field}' is not valid for storage.")
        document = {"_id": document["_id"] if "_id" in document else ObjectId(), **document}
        if isinstance(document["_id"], list | bson.Regex):
            raise CommandError(53, "The '_id' value cannot be an array or a regular expression")
        self._ensure_unique(document)
        if not self.insert(document):
            raise _duplicate(self.full_name, "_id_", {"_id": document["_id"]})
        return document

    def change(self, row: Row, update: Callable[[Document], Document]) -> Document | None:
        """Store what a document becomes; None where it stays as it is. Raises DuplicateKeyError."""
        seq, before = row
        after = update(before)
        if bson.encode(after) == bson.encode(before):
            return None
        self._ensure_unique(after, seq)
        self.replace(seq, before, after)
        return after

    def _ensure_unique(self, document: Document, own: int | None = None) -> None:
        for name, index in self.indexes.items():
            if index.get("unique"):
                self.ensure_unique(name, index, document, own)

    def ensure_unique(self, name: str, index: Document, document: Document, own: int | None = None) -> None:
        """Raise DuplicateKeyError where another document has one of the entries of a unique index.

        name: of the index, as the error says it. index: its specification. document: what is to be stored.
        own: its number where it is stored already.
        """
        fields = [field for field, _ in index["key"]]
        if not _is_indexed(index, document):
            return
        entries = _entries(document, fields)
        for seq, other in self.meeting(_shared(entries, fields)):
            tick()
            if seq != own and _is_indexed(index, other) and not entries.isdisjoint(_entries(other, fields)):
                raise _duplicate(self.full_name, name, {f: document.get(f) for f in fields})


def _values(document: Document, path: list[str]) -> Iterator[Any]:
    """Values at a path, the elements of an array in its place."""
    for value in candidates(document, path, expand=False):
        if isinstance(value, list):
            yield from value
        elif value is not MISSING:
            yield value


def _is_indexed(index: Document, document: Document) -> bool:
    """Whether an index has entries for a document at all: sparse and partial ones may not."""
    partial = index.get("partialFilterExpression")
    if partial is not None and not matcher(partial)(document):
        return False
    fields = [field.split(".") for field, _ in index["key"]]
    is_there = (v is not MISSING for path in fields for v in candidates(document, path, expand=False))
    return not index.get("sparse") or any(is_there)


def _entries(document: Document, fields: list[str]) -> set[tuple[bytes, ...]]:
    """The entries of a document in an index: one for each element of an array. What is missing is null."""
    return {tuple(keys) for keys in key_tuples(document, fields)}


def _shared(entries: set[tuple[bytes, ...]], fields: list[str]) -> list[Condition]:
    """Conditions that whatever collides must meet, of the fields whose entries are all in the index."""
    found = []
    for place, field in enumerate(fields):
        keys = sorted({entry[place] for entry in entries})
        if all(is_kept(key) for key in keys) and not any(is_place(p) for p in field.split(".")):
            found.append(Condition(field, keys, exact=False))
    return found


def _duplicate(namespace: str, name: str, key: Document) -> DuplicateKeyError:
    return DuplicateKeyError(
        f"E11000 duplicate key error collection: {namespace} index: {name} dup key: {key}", 11000
    )
