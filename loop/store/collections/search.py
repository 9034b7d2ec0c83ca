"""What a person asks of the structure records, each query for a limited time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from niobe.config.errors import ConfigError
from niobe.loop.documents.records import Status, StructureRecord
from niobe.loop.store.mapping import NO_CRYSTAL, Document, derived, from_mongo, load, without_crystals

if TYPE_CHECKING:
    from pymongo.collection import Collection as MongoCollection

HAS_FACETS = "facets.nperiodic_dimensions"


class RecordSearch:
    """What a person asks of the structure records, each query for a limited time."""

    def __init__(self, collection: MongoCollection[Document]) -> None:
        self._collection = collection

    def page(
        self,
        campaign: str,
        query: Mapping[str, Any],
        *,
        sort: tuple[str, int],
        skip: int,
        limit: int,
        seconds: float,
    ) -> list[StructureRecord]:
        """Records of a campaign that match a query, some at a time. Raises ConfigError where it takes longer.

        sort: a field and 1 (ascending) or -1.

        skip: documents to pass over. limit: documents at most. seconds: most time it may take.
        """
        found = self._collection.find(
            _within(campaign, query),
            sort=[sort],
            skip=skip,
            limit=limit,
            max_time_ms=_milliseconds(seconds),
            batch_size=limit,
            hint=[("campaign", 1), (sort[0], 1)],
        )
        with _answered_in_time(seconds):
            return load(StructureRecord, found)

    def newest(self, campaign: str, *, limit: int, seconds: float) -> list[StructureRecord]:
        """Results of rounds, those validated last first, without any crystal.

        campaign: its id. limit: records at most. seconds: most time it may take, past which ConfigError is
        raised.
        """
        found = self._collection.find(
            _within(campaign, {"status": Status.VALIDATED.value, "acquired_round": {"$gte": 1}}),
            NO_CRYSTAL,
            sort=[("acquired_round", -1)],
            limit=limit,
            max_time_ms=_milliseconds(seconds),
            batch_size=limit,
            hint=[("campaign", 1), ("acquired_round", 1)],
        )
        with _answered_in_time(seconds):
            return load(StructureRecord, map(without_crystals, found))

    def formulas(self, campaign: str, **equal: Any) -> list[str]:
        """Reduced formulas of records, sorted. campaign: its id. equal: what their fields have to equal."""
        found = self._collection.distinct("formula_reduced", {"campaign": campaign} | equal)
        return sorted(map(str, found))

    def changed(self, campaign: str) -> tuple[int, datetime | None]:
        """How many records a campaign has, and when one was last written, None where none says; by indexes,
        however many there are.

        campaign: its id.
        """
        newest = self._collection.find_one(
            {"campaign": campaign, "modified": {"$gte": datetime.min}},
            {"modified": 1},
            sort=[("modified", -1)],
            hint=[("campaign", 1), ("modified", 1)],
        )
        when = newest.get("modified") if newest else None
        second = when.replace(tzinfo=UTC) if isinstance(when, datetime) else None
        return self._collection.count_documents({"campaign": campaign}), second

    def count(self, campaign: str, query: Mapping[str, Any], *, indexed: str, seconds: float) -> int:
        """How many records of a campaign match a query. Raises ConfigError where it takes longer.

        indexed: the field whose index is used.

        seconds: most time it may take.
        """
        with _answered_in_time(seconds):
            return self._collection.count_documents(
                _within(campaign, query),
                maxTimeMS=_milliseconds(seconds),
                hint=[("campaign", 1), (indexed, 1)],
            )

    def complete(self) -> None:
        """Add what searches need to records that an earlier Niobe stored without it."""
        everything = self._collection.count_documents({})
        if self._collection.count_documents({HAS_FACETS: 3}) == everything:
            return
        for document in self._collection.find({HAS_FACETS: None}):
            record = StructureRecord.model_validate(from_mongo(document))
            self._collection.update_one({"_id": record.id}, {"$set": derived(record)})


def _within(campaign: str, query: Mapping[str, Any]) -> Document:
    return {"$and": [{"campaign": campaign}, dict(query)]} if query else {"campaign": campaign}


def _milliseconds(seconds: float) -> int:
    return max(1, round(1000 * seconds))


@contextmanager
def _answered_in_time(seconds: float) -> Iterator[None]:
    """One line to the user where the server gave up on a query or would not run it."""
    from pymongo.errors import ExecutionTimeout, OperationFailure

    try:
        yield
    except ExecutionTimeout:
        raise ConfigError(f"query: takes longer than {seconds:g} s; narrow it by an indexed field") from None
    except OperationFailure as error:
        raise ConfigError(f"query: the database refuses it ({str(error)[:120]})") from None
