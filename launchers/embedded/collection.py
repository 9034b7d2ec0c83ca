"""mongomock-ng's collection, its scans narrowed by the equality indexes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mongomock_ng.collection import Collection
from mongomock_ng.filtering import filter_applies
from pymongo.errors import DuplicateKeyError

from launchers.embedded.storage import StoredCollection, index_key

Document = dict[str, Any]


class IndexedCollection(Collection):
    """Narrows an equality filter to candidates by index; mongomock-ng decides which of them match."""

    @property
    def stored(self) -> StoredCollection:
        """The collection in SQLite."""
        return self._store

    def _iter_documents(self, filter: Document) -> Iterator[Document]:
        if self.stored.is_empty:
            filter_applies(filter, {})
        return (document for document in self._candidates(filter) if filter_applies(filter, document))

    def _candidates(self, filter: Document) -> Iterator[Document] | list[Document]:
        """A superset of what matches."""
        for field, condition in _conjuncts(filter):
            keys = _equality_keys(condition)
            if keys is None:
                continue
            if field == "_id":
                return [self.stored[value] for value in _wanted(condition) if value in self.stored]
            if field in self.stored.indexed:
                return self.stored.with_values(field, keys)
        return self.stored.documents

    def _ensure_uniques(self, new_data: Document) -> None:
        for index in self.stored.indexes.values():
            if index.get("unique"):
                self._ensure_unique(index, new_data)

    def _ensure_unique(self, index: Document, new_data: Document) -> None:
        sparse, partial = index.get("sparse"), index.get("partialFilterExpression")
        entries = self._compute_index_entries(new_data, index["key"], sparse)
        if entries is None or (partial is not None and not filter_applies(partial, new_data)):
            return
        for document in self._may_collide(index, new_data):
            if document["_id"] == new_data.get("_id"):
                continue
            if partial is not None and not filter_applies(partial, document):
                continue
            others = self._compute_index_entries(document, index["key"], sparse)
            if others is not None and self._entries_overlap(entries, others):
                details = {"keyPattern": dict(index["key"])}
                raise DuplicateKeyError("E11000 duplicate key error", 11000, details)

    def _may_collide(self, index: Document, new_data: Document) -> Iterator[Document] | list[Document]:
        for field, _ in index["key"]:
            key = index_key(new_data.get(field))
            if key is not None:
                return self.stored.with_values(field, [key])
        return self.stored.documents


def _conjuncts(filter: Document) -> Iterator[tuple[str, Any]]:
    for field, condition in filter.items():
        if field == "$and":
            for part in condition:
                yield from _conjuncts(part)
        elif not field.startswith("$") and not any(part.isdigit() for part in field.split(".")):
            yield field, condition


def _wanted(condition: Any) -> list[Any]:
    """The values an equality condition allows, each once."""
    values = [condition]
    if isinstance(condition, dict):
        values = condition["$in"] if "$in" in condition else [condition["$eq"]]
    return list({index_key(value): value for value in values}.values())


def _equality_keys(condition: Any) -> list[bytes] | None:
    """Index keys of an equality condition, or None where it is something else."""
    if isinstance(condition, dict):
        if not ("$in" in condition or "$eq" in condition) or "$regex" in condition:
            return None
        if "$in" in condition and not isinstance(condition["$in"], list):
            return None
    values = condition["$in"] if isinstance(condition, dict) and "$in" in condition else None
    if values is None:
        values = [condition["$eq"]] if isinstance(condition, dict) else [condition]
    keys = [index_key(value) for value in values]
    return None if None in keys else [key for key in keys if key is not None]
