"""mongomock-ng's collection, its scans narrowed by the equality indexes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import bson
from bson import ObjectId
from mongomock_ng import helpers
from mongomock_ng.collection import Collection
from mongomock_ng.filtering import filter_applies, resolve_sort_key
from pymongo.errors import DuplicateKeyError, WriteError

from niobe.launchers.embedded.query.pace import apart, tick
from niobe.launchers.embedded.storage.documents import StoredCollection
from niobe.launchers.embedded.storage.indexing import Condition, conditions, exact_conditions, index_key
from niobe.launchers.embedded.wire import CODEC

Document = dict[str, Any]
Sort = Sequence[tuple[str, int]]


class IndexedCollection(Collection):
    """Narrows an equality filter to candidates by index; mongomock-ng decides which of them match."""

    @property
    def stored(self) -> StoredCollection:
        """The collection in SQLite."""
        return self._store

    def select(
        self,
        filter: Document,
        *,
        projection: Document | None = None,
        sort: Sort = (),
        skip: int = 0,
        limit: int | None = None,
    ) -> Iterator[Document]:
        """What matches, one document at a time; a sort holds what matches as BSON, not as Python objects."""
        spec = helpers.patch_datetime_awareness_in_document(filter)
        found = self._get_dataset(spec, None, None, dict)
        if sort:
            found = _sorted(found, sort)
        for document in islice(found, skip, None if limit is None else skip + limit):
            kept = self._copy_only_fields(document, projection, dict, filter=spec)
            if kept is not None:
                yield kept

    def first(self, filter: Document, sort: Sort = ()) -> Document | None:
        """The first document that matches, or None."""
        return next(self.select(filter, sort=sort, limit=1), None)

    def hinted(self, filter: Document, sort: Sort, skip: int, limit: int) -> Iterator[Document] | None:
        """One page of a query that the indexes answer alone, or None where they cannot."""
        seqs = self.stored.index.page(filter, list(sort), skip, limit)
        return None if seqs is None else iter(self.stored.in_order(seqs))

    def count_matching(self, filter: Document, *, hinted: bool = False) -> int:
        """How many documents match; from the indexes alone where the filter allows it."""
        known = self.stored.index.count(filter, hinted=hinted)
        if known is not None:
            return known
        exact = exact_conditions(filter)
        if exact is not None and all(self._is_indexed(condition) for condition in exact):
            return self.stored.count(exact)
        return sum(1 for _ in self.select(filter))

    def _copy_only_fields(
        self, doc: Document, fields: Any, container: type[Document], filter: Document | None = None
    ) -> Any:
        if not fields:
            return doc  # decoded for this call alone
        return super()._copy_only_fields(doc, fields, container, filter)

    def _iter_documents(self, filter: Document) -> Iterator[Document]:
        useful = [condition for condition in conditions(filter) if self._is_indexed(condition)]
        is_known = False
        for document in self.stored.meeting(useful):
            is_known = True
            tick()
            if filter_applies(filter, document):
                yield document
        if not is_known:
            filter_applies(filter, {})  # a filter that is no filter is an error all the same

    def _is_indexed(self, condition: Condition) -> bool:
        return condition.field == "_id" or condition.field in self.stored.indexed

    def add(self, document: Document) -> None:
        """Store a document as it was decoded. Raises DuplicateKeyError."""
        for field in document:
            if field.startswith("$"):
                raise WriteError(f"The dollar ($) prefixed field '{field}' is not valid for storage.", 52)
        if "_id" not in document:
            document = {"_id": ObjectId(), **document}
        self._ensure_uniques(document)
        if not self.stored.insert(document):
            raise _duplicate(self.full_name, "_id_", [("_id", 1)], document)

    def _update_documents(
        self,
        spec: Document,
        document: Any,
        upsert: bool,
        multi: bool,
        sort: Any,
        session: Any = None,
        validate: bool = True,
    ) -> Document:
        """mongomock-ng's own reads and copies a document several times; it still makes what is upserted."""
        found = list(islice(self._iter_documents(spec), None if multi else 1))
        if upsert and not found:
            return super()._update_documents(spec, document, upsert, multi, sort, session, validate)
        modified = sum(self._change(before, spec, document) for before in found)
        return {"n": len(found), "nModified": modified, "upserted": None, "updatedExisting": bool(found)}

    def _change(self, before: Document, spec: Document, change: Any) -> bool:
        """Apply update operators, a replacement or a pipeline to one document; whether that changed it."""
        body = bson.encode(before)
        after = bson.decode(body, codec_options=CODEC)
        if isinstance(change, list):
            self._apply_update_pipeline(after, change, None)
        else:
            self._apply_update_document(after, spec, change, False)
        if bson.encode(after) == body:
            return False
        if after.get("_id") != before["_id"]:
            raise WriteError(
                "Performing an update on the path '_id' would modify the immutable field '_id'", 66
            )
        self._ensure_uniques(after)
        self.stored.replace(before, after)
        return True

    def _ensure_uniques(self, new_data: Document) -> None:
        for name, index in self.stored.indexes.items():
            if index.get("unique"):
                self._ensure_unique(name, index, new_data)

    def _ensure_unique(self, name: str, index: Document, new_data: Document) -> None:
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
                raise _duplicate(self.full_name, name, index["key"], new_data)

    def _may_collide(self, index: Document, new_data: Document) -> Iterator[Document]:
        known = []
        for field, _ in index["key"]:
            key = index_key(helpers.get_value_by_dot(new_data, field))
            if key is not None:
                known.append(Condition(field, [key], exact=False))
        return self.stored.meeting(known)


def _duplicate(namespace: str, name: str, key: Sort, document: Document) -> DuplicateKeyError:
    values = {field: helpers.get_value_by_dot(document, field) for field, _ in key}
    return DuplicateKeyError(
        f"E11000 duplicate key error collection: {namespace} index: {name} dup key: {values}", 11000
    )


def _sorted(documents: Iterator[Document], sort: Sort) -> Iterator[Document]:
    rows = [
        ([resolve_sort_key(field, document) for field, _ in sort], bson.encode(document))
        for document in documents
    ]
    with apart():
        for position, (field, direction) in reversed(list(enumerate(sort))):
            if field == "$natural":
                rows = rows[::-1] if direction < 0 else rows
            else:
                rows.sort(key=lambda row: row[0][position], reverse=direction < 0)
    return (bson.decode(body, codec_options=CODEC) for _, body in rows)
