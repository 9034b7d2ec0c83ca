"""The convex hull of each closed round: the collection ``hulls``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from niobe.loop.documents.rounds import HullRecord
from niobe.loop.store.mapping import Document, without_id
from niobe.loop.store.unchanged import put

if TYPE_CHECKING:
    from pymongo.collection import Collection as MongoCollection

MOST_KEPT = 1_000
"""Entries of a stored hull: what lies higher has its own record, and no part in any hull."""

_BY_ROUND = [("campaign", 1), ("round", 1)]


class Hulls:
    """The convex hull of each closed round: the collection ``hulls``."""

    def __init__(self, collection: MongoCollection[Document]) -> None:
        self._collection = collection

    def store(self, hull: HullRecord) -> None:
        """Store the hull of a round; the same round again replaces it. Of many phases the lowest are kept."""
        key = {"campaign": hull.campaign, "round": hull.round}
        put(self._collection, key, hull.lowest(MOST_KEPT).model_dump(mode="json"))

    def find(self, campaign: str) -> list[HullRecord]:
        """The hulls of all closed rounds in order."""
        found = self._collection.find({"campaign": campaign}, sort=[("round", 1)])
        return [HullRecord.model_validate(without_id(document)) for document in found]

    def get(self, campaign: str, number: int) -> HullRecord | None:
        """The hull of a round, or None where that has not closed. campaign: its id. number: of the round."""
        found = self._collection.find_one({"campaign": campaign, "round": number})
        return HullRecord.model_validate(without_id(found)) if found else None

    def some(self, campaign: str, most: int) -> list[HullRecord]:
        """The hulls of closed rounds in order, evenly spaced where there are more, the newest among them.

        campaign: its id. most: hulls.
        """
        all_ = {"campaign": campaign, "round": {"$gte": 0}}
        count = self._collection.count_documents(all_, hint=_BY_ROUND)
        step = max(1, -(-count // most))
        places = range((count - 1) % step, count, step)  # by index alone, and a new one changes none of them
        found = (
            self._collection.find_one(all_, sort=[("round", 1)], skip=place, hint=_BY_ROUND)
            for place in places
        )
        return [HullRecord.model_validate(without_id(document)) for document in found if document]

    def last(self, campaign: str) -> HullRecord | None:
        """The hull of the newest closed round, or None."""
        found = self._collection.find_one({"campaign": campaign}, sort=[("round", -1)])
        return HullRecord.model_validate(without_id(found)) if found else None
