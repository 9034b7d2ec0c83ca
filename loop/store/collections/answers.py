"""What other oracles answered, once for all campaigns: the collection ``answers``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from niobe.loop.documents.answers import UNEXPLAINED, SecondAnswer
from niobe.loop.store.mapping import Document, body, from_mongo, load

if TYPE_CHECKING:
    from pymongo.collection import Collection as MongoCollection


class Answers:
    """What other oracles answered: the collection ``answers``."""

    def __init__(self, collection: MongoCollection[Document]) -> None:
        self._collection = collection

    def find(self, identifiers: Iterable[str]) -> dict[str, SecondAnswer]:
        """Those of these ids that are there, by id."""
        found = self._collection.find({"_id": {"$in": list(identifiers)}})
        return {answer.id: answer for answer in load(SecondAnswer, found)}

    def of_campaign(self, campaign: str) -> list[SecondAnswer]:
        """All that were asked for first by a campaign."""
        return load(SecondAnswer, self._collection.find({"campaign": campaign}))

    def count(self, campaign: str) -> int:
        """How many were asked for first by a campaign."""
        return self._collection.count_documents({"campaign": campaign})

    def store(self, answer: SecondAnswer) -> SecondAnswer:
        """Store an answer unless one of its id is there that counts; the one that is there then."""
        self._collection.delete_one({"_id": answer.id, "failure.cause": {"$in": sorted(UNEXPLAINED)}})
        self._collection.update_one({"_id": answer.id}, {"$setOnInsert": body(answer)}, upsert=True)
        return SecondAnswer.model_validate(from_mongo(self._collection.find_one({"_id": answer.id}) or {}))
