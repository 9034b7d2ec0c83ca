"""The convex hull of each closed round: the collection ``hulls``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from niobe.loop.documents.rounds import HullRecord
from niobe.loop.store.mapping import Document, without_id

if TYPE_CHECKING:
    from pymongo.collection import Collection as MongoCollection


class Hulls:
    """The convex hull of each closed round: the collection ``hulls``."""

    def __init__(self, collection: MongoCollection[Document]) -> None:
        self._collection = collection

    def store(self, hull: HullRecord) -> None:
        """Store the hull of a round; the same round again replaces it."""
        key = {"campaign": hull.campaign, "round": hull.round}
        self._collection.replace_one(key, hull.model_dump(mode="json"), upsert=True)

    def find(self, campaign: str) -> list[HullRecord]:
        """The hulls of all closed rounds in order."""
        found = self._collection.find({"campaign": campaign}, sort=[("round", 1)])
        return [HullRecord.model_validate(without_id(document)) for document in found]
