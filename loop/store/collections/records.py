"""Structure records of all campaigns: the collection ``structures``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from niobe.config.errors import ConfigError
from niobe.loop.documents.dynamics import Stability
from niobe.loop.documents.records import Status, StructureRecord
from niobe.loop.store.mapping import Document, body, derived, from_mongo, load, modified_now, plain

if TYPE_CHECKING:
    from pymongo.collection import Collection as MongoCollection


class Records:
    """Structure records of all campaigns: the collection ``structures``."""

    def __init__(self, collection: MongoCollection[Document]) -> None:
        self._collection = collection

    def insert(self, records: Iterable[StructureRecord]) -> None:
        """Add records that are not there yet; records that are stay as they are."""
        from pymongo import UpdateOne

        writes = [
            UpdateOne({"_id": r.id}, {"$setOnInsert": body(r) | derived(r)}, upsert=True) for r in records
        ]
        if writes:
            self._collection.bulk_write(writes)

    def get(self, record: str) -> StructureRecord:
        """The record of that id. Raises ConfigError where there is none."""
        document = self._collection.find_one({"_id": record})
        if document is None:
            raise ConfigError(f"structure {record!r} is not in the database; `niobe best` lists ids")
        return StructureRecord.model_validate(from_mongo(document))

    def find(self, campaign: str, *, limit: int = 0, **equal: Any) -> list[StructureRecord]:
        """Records of a campaign whose fields equal what is given, by round and index; limit 0: all."""
        query = {"campaign": campaign} | _equal(equal)
        found = self._collection.find(query, sort=[("round", 1), ("index", 1)], limit=limit)
        return load(StructureRecord, found)

    def count(self, campaign: str, **equal: Any) -> int:
        """How many records of a campaign have fields equal to what is given."""
        query = {"campaign": campaign} | _equal(equal)
        return self._collection.count_documents(query)

    def answered(self, campaign: str, status: str, **equal: Any) -> int:
        """How many records of a campaign the oracle was asked about end so; challenges of finds left out."""
        return self.count(campaign, status=status, choice__selection={"$ne": "challenge"}, **equal)

    def discovered(self, campaign: str) -> list[StructureRecord]:
        """What was a discovery in any round, displaced ones included, by round."""
        field = "verdict.discovery_round"
        query = {"campaign": campaign, field: {"$gte": 0}}
        found = self._collection.find(query, sort=[(field, 1)], hint=[("campaign", 1), (field, 1)])
        return load(StructureRecord, found)

    def children(self, record: str) -> list[StructureRecord]:
        """Records made from this one."""
        return load(StructureRecord, self._collection.find({"lineage.parents": record}))

    def exists(self, campaign: str, **equal: Any) -> bool:
        """Whether a record of a campaign has fields equal to what is given; name the rarest value first."""
        query = _equal(equal) | {"campaign": campaign}
        return self._collection.find_one(query, {"_id": 1}) is not None

    def pool(self, campaign: str) -> list[StructureRecord]:
        """Screened candidates that may still be acquired, of all rounds; of competing phases those pinned."""
        drawn = {"round": {"$gte": 1}, "lineage.origin.subsystem": None}
        return self._screened(campaign, [{"pinned": True}, drawn])

    def _screened(self, campaign: str, either: list[Document]) -> list[StructureRecord]:
        query = {"campaign": campaign, "status": Status.SCREENED.value, "$or": either}
        found = self._collection.find(query, sort=[("round", 1), ("index", 1)])
        return load(StructureRecord, found)

    def update(self, record: str, **fields: Any) -> None:
        """Set fields of one record in one atomic write. Models are stored as plain documents."""
        self._collection.update_one({"_id": record}, {"$set": plain(fields) | modified_now()})

    def update_many(self, changes: Mapping[str, Mapping[str, Any]], **equal: Any) -> None:
        """Set fields of many records, by id, each record atomically, in the order given.

        changes: fields to set, by id. equal: what a record's fields have to equal, or it stays as it is.
        """
        self._update_many(changes, _equal(equal))

    def update_until(self, number: int, field: str, changes: Mapping[str, Mapping[str, Any]]) -> None:
        """Set fields of many records, by id, but of none that a later round has written to.

        number: of the round. field: that holds the round which wrote last. changes: fields to set, by id.
        """
        self._update_many(changes, {field: {"$not": {"$gt": number}}})

    def _update_many(self, changes: Mapping[str, Mapping[str, Any]], where: Document) -> None:
        from pymongo import UpdateOne

        writes = [
            UpdateOne(where | {"_id": record}, {"$set": plain(dict(fields)) | modified_now()})
            for record, fields in changes.items()
        ]
        if writes:
            self._collection.bulk_write(writes)

    def finish_validation(self, record: str, **fields: Any) -> bool:
        """Store the outcome of a validation that is waited for; True where this call stored it."""
        return self.update_if(record, {"status": Status.ACQUIRED}, **fields)

    def finish_phonons(self, record: str, **fields: Any) -> bool:
        """Set fields of a record whose phonons are waited for; True where this call did."""
        return self.update_if(record, {"validation__phonon__outcome": Stability.PENDING}, **fields)

    def update_screened(self, record: str, **fields: Any) -> bool:
        """Set fields of a record unless it is no screened candidate any more; True where this call did."""
        return self.update_if(record, {"status": Status.SCREENED}, **fields)

    def put_back(self, record: str, number: int) -> bool:
        """Make a screened candidate of what waits to be validated; True where this call did.

        record: its id. number: of the round that had chosen it.
        """
        waiting = {"status": Status.ACQUIRED, "acquired_round": number}
        return self.update_if(record, waiting, status=Status.SCREENED, acquired_round=None, choice=None)

    def update_if(self, record: str, equal: Mapping[str, Any], **fields: Any) -> bool:
        """Set fields of a record while others equal what is given; True where this call did.

        record: its id. equal: fields, a key with ``__`` reaches into a subdocument; None: also one not there.
        """
        query = {"_id": record} | _equal(equal)
        done = self._collection.update_one(query, {"$set": plain(fields) | modified_now()})
        return done.matched_count == 1


def _equal(fields: Mapping[str, Any]) -> Document:
    return {key.replace("__", "."): value for key, value in plain(dict(fields)).items()}
