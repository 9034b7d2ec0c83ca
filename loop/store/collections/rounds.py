"""Rounds of campaigns: the collection ``rounds``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from niobe.config.errors import ConfigError
from niobe.loop.documents.rounds import RoundRecord
from niobe.loop.store.mapping import Document, plain, without_id

if TYPE_CHECKING:
    from pymongo.collection import Collection as MongoCollection


class Rounds:
    """Rounds of campaigns: the collection ``rounds``."""

    def __init__(self, collection: MongoCollection[Document]) -> None:
        self._collection = collection

    def open(self, campaign: str, number: int) -> RoundRecord:
        """The round of that number, opened if it is not there."""
        record = RoundRecord(campaign=campaign, number=number)
        key = {"campaign": campaign, "number": number}
        self._collection.update_one(key, {"$setOnInsert": record.model_dump(mode="json")}, upsert=True)
        return self.get(campaign, number)

    def get(self, campaign: str, number: int) -> RoundRecord:
        """One round. Raises ConfigError where it was never opened."""
        document = self._collection.find_one({"campaign": campaign, "number": number})
        if document is None:
            raise ConfigError(f"campaign {campaign!r} has no round {number}")
        return RoundRecord.model_validate(without_id(document))

    def find(self, campaign: str) -> list[RoundRecord]:
        """All rounds of a campaign in order."""
        found = self._collection.find({"campaign": campaign}, sort=[("number", 1)])
        return [RoundRecord.model_validate(without_id(document)) for document in found]

    def update(self, campaign: str, number: int, **fields: Any) -> None:
        """Set fields of one round; a key with ``__`` reaches into a subdocument."""
        changes = {key.replace("__", "."): value for key, value in plain(fields).items()}
        self._collection.update_one({"campaign": campaign, "number": number}, {"$set": changes})

    def add_notes(self, campaign: str, number: int, notes: Sequence[str]) -> None:
        """Add notes to a round, each once, whatever other steps of it note at the same time.

        campaign: its id. number: of the round.
        """
        if notes:
            added = {"$addToSet": {"notes": {"$each": list(notes)}}}
            self._collection.update_one({"campaign": campaign, "number": number}, added)
