"""Bands and soft modes by structure record: the collection ``phonons``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from niobe.loop.documents.rounds import PhononRecord
from niobe.loop.store.mapping import Document, without_id
from niobe.loop.store.unchanged import put

if TYPE_CHECKING:
    from pymongo.collection import Collection as MongoCollection


class Phonons:
    """Bands and soft modes by structure record: the collection ``phonons``."""

    def __init__(self, collection: MongoCollection[Document]) -> None:
        self._collection = collection

    def store(self, phonons: PhononRecord) -> None:
        """Store bands and soft modes of one structure record."""
        key = {"_id": phonons.record_id}
        put(self._collection, key, key | phonons.model_dump(mode="json"))

    def add(self, phonons: PhononRecord) -> None:
        """Store the phonons of a record that has no force constants; those that it has by now stay."""
        from pymongo.errors import DuplicateKeyError

        lacking = {"_id": phonons.record_id, "phonopy": {"$in": ["", None]}}
        try:
            self._collection.replace_one(lacking, phonons.model_dump(mode="json"), upsert=True)
        except DuplicateKeyError:
            return

    def find_one(self, record: str) -> PhononRecord | None:
        """Bands, soft modes and force constants of one structure record, or None where it has no phonons."""
        document = self._collection.find_one({"_id": record})
        return None if document is None else PhononRecord.model_validate(without_id(document))
