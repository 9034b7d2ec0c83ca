"""Rounds of campaigns: the collection ``rounds``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from niobe.config.errors import ConfigError
from niobe.loop.documents.rounds import RoundRecord, RoundState
from niobe.loop.store.claims import Claim, SupersededError
from niobe.loop.store.mapping import Document, plain, without_id

if TYPE_CHECKING:
    from pymongo.collection import Collection as MongoCollection


class Rounds:
    """Rounds of campaigns: the collection ``rounds``."""

    def __init__(self, collection: MongoCollection[Document], claim: Claim | None = None) -> None:
        """claim: a round is changed only while it is held."""
        self._collection, self._claim = collection, claim

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

    def last_closed(self, campaign: str) -> RoundRecord | None:
        """The newest round of a campaign that has closed; None where none has."""
        closed = {"campaign": campaign, "state": RoundState.CLOSED.value}
        document = self._collection.find_one(closed, sort=[("number", -1)])
        return RoundRecord.model_validate(without_id(document)) if document else None

    def update(self, campaign: str, number: int, **fields: Any) -> None:
        """Set fields of one round; a key with ``__`` reaches into a subdocument.

        campaign: its id. number: of the round. Raises SupersededError where a claim is held no more.
        """
        self._change(campaign, number, {"$set": _changes(fields)})

    def update_open(self, campaign: str, number: int, **fields: Any) -> None:
        """Set fields of a round that is open; the same otherwise.

        campaign: its id. number: of the round. Raises SupersededError where it has closed.
        """
        open_ = {"state": RoundState.OPEN.value}
        if not self._change(campaign, number, {"$set": _changes(fields)}, open_):
            raise SupersededError(f"{campaign} r{number}: the round has closed")

    def finish(self, **fields: Any) -> None:
        """Set fields of the claim's round and give the claim back.

        Raises SupersededError where it is lost.
        """
        if self._claim is None:
            raise ValueError("nothing was claimed")
        self._claim.ended(self._collection, _changes(fields))

    def _change(self, campaign: str, number: int, change: Document, where: Document | None = None) -> bool:
        """Whether the round was one to change."""
        key = {"campaign": campaign, "number": number} | (where or {})
        if self._claim is None:
            return self._collection.update_one(key, change).matched_count == 1
        if not self._collection.update_one(key | self._claim.held, change).matched_count:
            raise self._claim.superseded()
        return True

    def add_notes(self, campaign: str, number: int, notes: Sequence[str]) -> None:
        """Add notes to a round, each once, whatever other steps of it note at the same time.

        campaign: its id. number: of the round.
        """
        if notes:
            self._change(campaign, number, {"$addToSet": {"notes": {"$each": list(notes)}}})


def _changes(fields: dict[str, Any]) -> Document:
    return {key.replace("__", "."): value for key, value in plain(fields).items()}
