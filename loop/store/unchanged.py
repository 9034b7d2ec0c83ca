"""Documents put in the place of those that were read, unless somebody wrote there meanwhile.

The question whose a step is and the write that follows are two messages: a worker may stop between them and
wake once others went on. What it would replace then is no more what it read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from niobe.loop.store.mapping import Document, at, changed, plain

if TYPE_CHECKING:
    from pymongo import UpdateOne
    from pymongo.collection import Collection as MongoCollection


def put(collection: MongoCollection[Document], key: Document, document: Document) -> Document | None:
    """Put a document where its key is found; what was there before, empty where nothing was.

    None, and nothing is written, where another was put there meanwhile. collection: with a unique index of
    the key. key: fields and values that name it. document: with the key's fields.
    """
    from pymongo.errors import DuplicateKeyError

    before = collection.find_one(key)
    if before is not None:
        return before if collection.replace_one(before, document).matched_count else None
    try:
        collection.insert_one(dict(document))
    except DuplicateKeyError:
        return None
    return {}


def puts(documents: Iterable[Document], read: Mapping[str, Document]) -> list[UpdateOne]:
    """The writes that put documents by their ``_id``, each while what names its content is as it was read.

    read: by id, fields of what is there and their values; those of no other id are there.
    """
    from pymongo import UpdateOne

    return [
        UpdateOne({"_id": one["_id"]} | read[one["_id"]], {"$set": one})
        if one["_id"] in read
        else UpdateOne({"_id": one["_id"]}, {"$setOnInsert": one}, upsert=True)
        for one in documents
    ]


class Fields:
    """Fields of the collection ``structures``, as they are stored."""

    def __init__(self, structures: MongoCollection[Document]) -> None:
        """structures: the collection."""
        self._structures = structures

    def read(self, records: Iterable[str], names: Sequence[str]) -> dict[str, Document]:
        """What stands in fields of records, by id and field; None where nothing does.

        records: their ids. names: of the fields, with dots into subdocuments.
        """
        found = self._structures.find({"_id": {"$in": list(records)}}, dict.fromkeys(names, 1))
        return {one["_id"]: {name: at(one, name) for name in names} for one in found}

    def replace(self, before: Mapping[str, Document], changes: Mapping[str, Mapping[str, Any]]) -> None:
        """Set fields of records, by id, each while what was read of it is as it was; what changes nothing is
        not written.

        before: of each record of ``changes``, from ``read``. changes: fields to set, by id.
        """
        from pymongo import UpdateOne

        writes = [
            UpdateOne({"_id": record} | before[record], {"$set": changed(fields)})
            for record, fields in changes.items()
            if any(before[record].get(name) != value for name, value in plain(dict(fields)).items())
        ]
        if writes:
            self._structures.bulk_write(writes)
