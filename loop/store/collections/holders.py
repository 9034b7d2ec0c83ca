"""Which process runs a campaign, whatever its host and home: the collection ``holders``."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from niobe.loop.store.clock import server_time
from niobe.loop.store.mapping import Document

if TYPE_CHECKING:
    from pymongo.collection import Collection as MongoCollection

BEAT_SECONDS = 5.0
DEAD_SECONDS = 30.0
"""A holder is dead once it was silent for so long, by the database's clock."""


class Holder(BaseModel):
    """A process that runs a campaign. token: of this run. place: one of its host that only one can hold."""

    model_config = ConfigDict(extra="ignore")

    campaign: str
    token: str
    place: str
    host: str
    pid: int
    home: str


class Holders:
    """Which process runs a campaign. Its heart beats by the database's clock, so that hosts' may differ."""

    def __init__(self, collection: MongoCollection[Document]) -> None:
        self._collection = collection

    def take(self, holder: Holder) -> Holder | None:
        """Hold a campaign; the one that holds it instead, and lives, or None.

        holder: who asks. It takes over at once from one of its own place, which is dead then.
        """
        from pymongo.errors import DuplicateKeyError

        dead = server_time(self._collection.database) - timedelta(seconds=DEAD_SECONDS)
        free = {"_id": holder.campaign, "$or": [{"beat": {"$lt": dead}}, {"place": holder.place}]}
        change = {"$set": holder.model_dump(), "$currentDate": {"beat": True}}
        try:
            self._collection.update_one(free, change, upsert=True)
        except DuplicateKeyError:
            found = self._collection.find_one({"_id": holder.campaign})
            return None if found is None else Holder.model_validate(found)
        return None

    def beat(self, holder: Holder) -> bool:
        """Say that it lives; False where another has taken the campaign."""
        change = {"$currentDate": {"beat": True}}
        return self._collection.update_one(self._key(holder), change).matched_count == 1

    def release(self, holder: Holder) -> None:
        """Hold the campaign no more."""
        self._collection.delete_one(self._key(holder))

    def _key(self, holder: Holder) -> Document:
        return {"_id": holder.campaign, "token": holder.token}
