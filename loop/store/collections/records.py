"""Structure records of all campaigns: the collection ``structures``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from niobe.config.errors import ConfigError
from niobe.loop.documents.dynamics import Stability
from niobe.loop.documents.records import Choice, Status, StructureRecord
from niobe.loop.store.mapping import (
    NO_CRYSTAL,
    TURN,
    Document,
    body,
    changed,
    derived,
    from_mongo,
    load,
    plain,
    without_crystals,
)

if TYPE_CHECKING:
    from pymongo.collection import Collection as MongoCollection

_OPEN = [Status.GENERATED.value, Status.SCREENED.value, Status.ACQUIRED.value]
MOST_DRAWN, MOST_ROUNDS = 4_000, 40
"""Candidates drawn since, and rounds that passed it over, from which on one that was not chosen ages out: it
is still a duplicate's original, and counted, but not predicted again."""


class Stored(Collection[StructureRecord]):
    """Records that a query finds, by round and index, of which one is held at a time."""

    def __init__(self, collection: MongoCollection[Document], query: Document) -> None:
        """collection: of the records. query: as MongoDB takes it."""
        self._collection, self._query = collection, query

    def __iter__(self) -> Iterator[StructureRecord]:
        for document in self._collection.find(self._query, sort=[("round", 1), ("index", 1)]):
            yield StructureRecord.model_validate(from_mongo(document))

    def __len__(self) -> int:
        return self._collection.count_documents(self._query)

    def __contains__(self, record: object) -> bool:
        return any(record == one for one in self)


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

    def each(self, campaign: str, **equal: Any) -> Stored:
        """The same as ``find``, a record at a time, read anew each time one goes through them."""
        return Stored(self._collection, {"campaign": campaign} | _equal(equal))

    def finished(self, campaign: str) -> list[StructureRecord]:
        """What the oracle answered for or failed on, by round and index."""
        query = {"campaign": campaign, "status": {"$in": [Status.VALIDATED.value, Status.FAILED.value]}}
        found = self._collection.find(query, sort=[("round", 1), ("index", 1)])
        return load(StructureRecord, found)

    def light(self, campaign: str, **equal: Any) -> list[StructureRecord]:
        """The same as ``find``, without any crystal: their structures are empty."""
        query = {"campaign": campaign} | _equal(equal)
        found = self._collection.find(query, NO_CRYSTAL, sort=[("round", 1), ("index", 1)])
        return load(StructureRecord, map(without_crystals, found))

    def statuses(self, campaign: str, number: int) -> Counter[Status]:
        """How many records of a round have each status. campaign: its id. number: of the round."""
        return Counter({s: self.count(campaign, round=number, status=s.value) for s in Status})

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

    def pool(self, campaign: str, *, light: bool = False, **equal: Any) -> list[StructureRecord]:
        """Screened candidates that may still be acquired: of the newest ``MOST_ROUNDS`` rounds, of fewer that
        drew ``MOST_DRAWN`` together, and whatever was pinned; of competing phases those pinned.

        campaign: its id. light: without any crystal, as ``light`` gives them. equal: what their fields have
        to equal.
        """
        drawn = {"round": {"$in": self.open_rounds(campaign)}, "lineage.origin.subsystem": None}
        fields, found = NO_CRYSTAL if light else None, dict[str, Document]()
        for which in (drawn, {"pinned": True}):
            query = which | {"status": Status.SCREENED.value, "campaign": campaign} | _equal(equal)
            found |= {one["_id"]: one for one in self._collection.find(query, fields)}
        in_order = sorted(found.values(), key=lambda one: (one["round"], one["index"]))
        return load(StructureRecord, map(without_crystals, in_order) if light else in_order)

    def open_rounds(self, campaign: str) -> list[int]:
        """The rounds whose candidates may still be acquired: the newest ``MOST_ROUNDS``, or fewer that drew
        ``MOST_DRAWN``, or all of them."""
        newest, enough = (_newest_round(self._collection, campaign, skip) for skip in (0, MOST_DRAWN - 1))
        return list(range(max(newest - MOST_ROUNDS + 1, enough, 1), newest + 1))

    def has_prerelaxed(self, campaign: str) -> bool:
        """Whether a record of a campaign was pre-relaxed."""
        field = "prerelaxed.potential"
        query = {"campaign": campaign, field: {"$gt": ""}}
        by_field = {"sort": [(field, 1)], "hint": [("campaign", 1), (field, 1)]}
        return self._collection.find_one(query, {"_id": 1}, **by_field) is not None

    def update(self, record: str, **fields: Any) -> None:
        """Set fields of one record in one atomic write. Models are stored as plain documents."""
        self._collection.update_one({"_id": record}, {"$set": changed(fields)})

    def update_many(self, changes: Mapping[str, Mapping[str, Any]], **equal: Any) -> None:
        """Set fields of many records, by id, each record atomically, in the order given.

        changes: fields to set, by id. equal: what a record's fields have to equal, or it stays as it is.
        """
        self._update_many(changes, _equal(equal))

    def update_until(self, number: int, field: str, changes: Mapping[str, Mapping[str, Any]]) -> None:
        """Set fields of many records, by id, but of none that a later round has written to; what says
        already what it is to say is not written again.

        number: of the round. field: that holds the round which wrote last. changes: fields to set, by id.
        """
        self._update_many(changes, {field: {"$not": {"$gt": number}}}, once=True)

    def update_predictions(self, number: int, changes: Mapping[str, Mapping[str, Any]]) -> None:
        """Set what is predicted of candidates, by id, that still wait and that no later round has predicted.

        number: of the round. changes: fields to set, by id.
        """
        waiting = {"status": Status.SCREENED.value, "prediction_round": {"$not": {"$gt": number}}}
        self._update_many(changes, waiting)

    def _update_many(
        self, changes: Mapping[str, Mapping[str, Any]], where: Document, *, once: bool = False
    ) -> None:
        from pymongo import UpdateOne

        writes = []
        for record, fields in changes.items():
            other = [{name: {"$ne": value}} for name, value in plain(dict(fields)).items()]
            wanted = where | {"_id": record} | ({"$or": other} if once else {})
            writes.append(UpdateOne(wanted, {"$set": changed(fields)}))
        if writes:
            self._collection.bulk_write(writes)

    def finish_validation(self, record: str, **fields: Any) -> bool:
        """Store the outcome of a validation that is waited for; True where this call stored it."""
        return self.update_if(record, {"status": Status.ACQUIRED}, **fields)

    def finish_phonons(self, record: str, **fields: Any) -> bool:
        """Set fields of a record whose phonons are waited for; True where this call did."""
        return self.update_if(record, {"validation__phonon__outcome": Stability.PENDING}, **fields)

    def update_if(self, record: str, equal: Mapping[str, Any], **fields: Any) -> bool:
        """Set fields of a record while others equal what is given; True where this call did.

        record: its id. equal: fields, a key with ``__`` reaches into a subdocument; None: also one not there.
        """
        query = {"_id": record} | _equal(equal)
        done = self._collection.update_one(query, {"$set": changed(fields)})
        return done.matched_count == 1


class Candidates:
    """Records that wait: chosen, put back and set aside, each as long as that is left to whoever does it."""

    def __init__(self, collection: MongoCollection[Document], turn: int | None = None) -> None:
        """collection: of the records. turn: what is left to a later one stays as it is."""
        self._collection, self._turn, self._records = collection, turn, Records(collection)

    def update_screened(self, record: str, **fields: Any) -> bool:
        """Set fields of a record unless it is no screened candidate any more; True where this call did."""
        return self._records.update_if(record, {"status": Status.SCREENED} | self._mine, **fields)

    def put_back(self, record: str, number: int) -> bool:
        """Make a screened candidate of what waits to be validated; True where this call did.

        record: its id. number: of the round that had chosen it.
        """
        waiting = {"status": Status.ACQUIRED, "acquired_round": number} | self._mine
        return self._records.update_if(
            record, waiting, status=Status.SCREENED, acquired_round=None, choice=None
        )

    def begin_choice(self, campaign: str, turn: int) -> None:
        """Leave candidates of a campaign to a turn and those after it: whoever had an earlier one, and wakes
        as it is to choose some or set them aside, writes nothing.

        campaign: its id. turn: as ``Claim`` has it.
        """
        open_ = {"status": {"$in": _OPEN}, TURN: {"$not": {"$gte": turn}}}
        self._collection.update_many({"campaign": campaign} | open_, {"$set": {TURN: turn}})

    def choose(self, number: int, choices: Mapping[str, Choice]) -> None:
        """Have screened candidates validated.

        number: of the round. choices: by id.
        """
        asked = {"status": Status.ACQUIRED, "acquired_round": number}
        changes = {record: asked | {"choice": choice} for record, choice in choices.items()}
        self._records.update_many(changes, status=Status.SCREENED, **self._mine)

    @property
    def _mine(self) -> Document:
        """The query that finds what is left to this turn."""
        return {} if self._turn is None else {TURN: {"$not": {"$gt": self._turn}}}


def _newest_round(collection: MongoCollection[Document], campaign: str, skip: int) -> int:
    """The round of the newest record but so many; 0 where there are no more."""
    found = collection.find_one(
        {"campaign": campaign, "round": {"$gte": 0}},
        {"round": 1},
        sort=[("round", -1)],
        skip=skip,
        hint=[("campaign", 1), ("round", 1)],
    )
    return int(found["round"]) if found else 0


def _equal(fields: Mapping[str, Any]) -> Document:
    return {key.replace("__", "."): value for key, value in plain(dict(fields)).items()}
