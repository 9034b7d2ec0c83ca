"""The server gives what mongomock-ng gives in this process: results, order, counts and kinds of error."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import mongomock_ng
import pytest
from bson import ObjectId
from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError, PyMongoError

from tests.launchers.embedded.tools import EMBEDDED_ONLY, connect

pytestmark = EMBEDDED_ONLY

IDENTITY = ObjectId("64b5f0c2a1b2c3d4e5f60718")
DOCUMENTS: list[dict[str, Any]] = [
    {
        "_id": i,
        "n": i % 5,
        "f": i / 2,
        "s": f"s{i % 3}",
        "l": [i, i % 4],
        "d": {"x": i % 2, "y": [{"z": i % 6}, {"z": -1}]},
        "t": datetime(2024, 1, 1 + i),
    }
    for i in range(24)
] + [
    {"_id": "odd", "n": None, "s": "s1"},
    {"_id": "more", "b": True, "l": [], "o": IDENTITY},
    {"_id": IDENTITY, "l": [[1, 2], [3]], "d": {}, "s": "Straße"},
]
FILTERS: list[dict[str, Any]] = [
    {},
    {"n": 1},
    {"n": 1.0},
    {"n": {"$in": [1, 2, None]}},
    {"n": {"$in": []}},
    {"n": None},
    {"n": {"$ne": 1}},
    {"n": {"$ne": None}},
    {"n": {"$gt": 2}},
    {"n": {"$gte": 1, "$lt": 3}},
    {"n": {"$gt": 1, "$eq": 2}},
    {"n": {"$in": [1, 2], "$ne": 1}},
    {"n": {"$exists": False}},
    {"n": {"$exists": True}},
    {"b": {"$type": "bool"}},
    {"b": True},
    {"b": False},
    {"n": {"$not": {"$gt": 2}}},
    {"n": {"$nin": [0, 1]}},
    {"n": {"$mod": [2, 0]}},
    {"n": 99},
    {"s": "s1"},
    {"s": "Straße"},
    {"s": {"$eq": "s0"}},
    {"s": {"$in": ["s0", "s2"]}},
    {"s": {"$regex": "^s[12]"}},
    {"s": {"$regex": "^S", "$options": "i"}},
    {"s": {"$not": {"$regex": "^s"}}},
    {"s": {"$gt": "s1"}},
    {"s": "s1", "n": 1},
    {"s": "s1", "n": 1, "f": 0.5},
    {"l": 3},
    {"l": [3, 3]},
    {"l": {"$size": 0}},
    {"l": {"$size": 2}},
    {"l": {"$all": [1]}},
    {"l": {"$all": [1, 5]}},
    {"l": {"$elemMatch": {"$gt": 20}}},
    {"l": {"$in": [0, 23]}},
    {"l.0": 3},
    {"l": {"$ne": 1}},
    {"d.x": 1},
    {"d.x": 1, "s": "s1"},
    {"d.y.z": 2},
    {"d.y.z": {"$in": [2, 3]}},
    {"d.y.0.z": 2},
    {"d.y": {"$elemMatch": {"z": 4}}},
    {"d.absent": None},
    {"d": {"x": 0, "y": [{"z": 0}, {"z": -1}]}},
    {"d": {}},
    {"t": datetime(2024, 1, 3)},
    {"t": {"$lt": datetime(2024, 1, 5)}},
    {"o": IDENTITY},
    {"_id": 3},
    {"_id": IDENTITY},
    {"_id": {"$in": [1, "odd", 99]}},
    {"_id": {"$gte": 20}},
    {"_id": 3, "n": 4},
    {"$or": [{"n": 1}, {"s": "s2"}]},
    {"$and": [{"n": 1}, {"s": "s1"}]},
    {"$nor": [{"n": 1}, {"s": "s2"}]},
    {"$and": [{"$or": [{"n": 1}, {"n": 2}]}, {"f": {"$gt": 3}}]},
    {"$expr": {"$gt": ["$f", 8]}},
    {"f": {"$mod": [2, 0]}},
    {"n": {"$bogus": 1}},
    {"$bogus": 1},
    {"$or": []},
    {"n": {"$in": 3}},
    {"l": {"$elemMatch": 3}},
]
ORDERS: list[dict[str, Any]] = [
    {"sort": [("f", -1)]},
    {"sort": [("n", 1), ("f", -1)]},
    {"sort": [("d.x", 1), ("_id", -1)], "filter": {"d.x": {"$exists": True}, "n": 1}},
    {"sort": [("s", 1), ("f", 1)], "skip": 3, "limit": 4},
    {"sort": [("absent", 1)], "limit": 2},
    {"skip": 20},
    {"skip": 99},
    {"limit": 3},
    {"filter": {"s": "s1"}, "skip": 2, "limit": 2},
    {"projection": {"n": 1}},
    {"projection": ["n", "s"]},
    {"projection": {"n": 0, "l": 0}},
    {"projection": {"_id": 0, "d.x": 1}},
    {"projection": {"d.y.z": 1}},
    {"projection": {"l": {"$slice": 1}}},
    {"projection": {"_id": 0}},
    {"projection": {"n": 1}, "sort": [("f", -1)], "limit": 3, "filter": {"f": {"$exists": True}}},
    {"projection": {"n": 1, "s": 0}},
]
UPDATES: list[Any] = [
    {"$set": {"n": 9}},
    {"$set": {"n": 1}},
    {"$set": {"d.x": 5, "q.r": 1}},
    {"$set": {"d.y.0.z": 7}},
    {"$set": {"t": datetime(2030, 1, 1)}},
    {"$set": {"l.1": "x"}},
    {"$set": {}},
    {"$set": {"s": None}},
    {"$set": {"n": 3}, "$unset": {"f": ""}, "$inc": {"d.x": 1}},
    {"$inc": {"n": 1}},
    {"$inc": {"new": 2.5}},
    {"$inc": {"d.x": -1}},
    {"$unset": {"s": ""}},
    {"$unset": {"d.x": "", "absent": ""}},
    {"$push": {"l": 7}},
    {"$push": {"l": {"$each": [7, 8]}}},
    {"$push": {"l": {"$each": [9], "$position": 0}}},
    {"$push": {"l": {"$each": [9], "$slice": -2}}},
    {"$push": {"fresh": 1}},
    {"$push": {"d.y": {"z": 1}}},
    {"$addToSet": {"l": 1}},
    {"$addToSet": {"l": {"$each": [1, 50]}}},
    {"$pull": {"l": 1}},
    {"$pull": {"l": {"$gt": 2}}},
    {"$pull": {"d.y": {"z": -1}}},
    {"$pullAll": {"l": [1, 3]}},
    {"$pop": {"l": 1}},
    {"$pop": {"l": -1}},
    {"$min": {"f": 1}},
    {"$max": {"f": 3}},
    {"$mul": {"f": 2}},
    {"$rename": {"s": "u"}},
    {"$setOnInsert": {"z": 1}},
    {"$bit": {"n": {"and": 1}}},
    [{"$set": {"twice": {"$multiply": ["$f", 2]}}}],
    {"$inc": {"s": 1}},
    {"$push": {"s": 1}},
    {"$set": {"_id": 77}},
    {"$bogus": {"n": 1}},
    {"$set": {"n": 5}, "$inc": {"s": 1}},
]
REPLACEMENTS: list[dict[str, Any]] = [
    {"a": 1},
    {"n": 4, "s": "s2"},
    {},
    {"_id": 3, "whole": [1, {"b": 2}]},
    {"_id": 78},
]
PIPELINES: list[list[dict[str, Any]]] = [
    [],
    [{"$match": {"n": 1}}],
    [{"$match": {"s": "s1", "n": 1}}, {"$project": {"f": 1, "_id": 0}}],
    [{"$group": {"_id": "$s", "c": {"$sum": 1}, "m": {"$max": "$f"}}}, {"$sort": {"_id": 1}}],
    [{"$group": {"_id": {"a": "$n", "b": "$d.x"}, "f": {"$avg": "$f"}}}, {"$sort": {"f": 1}}],
    [{"$group": {"_id": None, "all": {"$push": "$n"}, "first": {"$first": "$f"}}}],
    [{"$group": {"_id": "$n", "docs": {"$push": "$$ROOT"}}}, {"$match": {"_id": 1}}],
    [{"$match": {"n": {"$type": "int"}}}, {"$group": {"_id": "$n", "s": {"$addToSet": "$s"}}}],
    [{"$match": {"n": 1}}, {"$group": {"_id": 1, "n": {"$sum": 1}}}],
    [{"$match": {"n": 99}}, {"$group": {"_id": 1, "n": {"$sum": 1}}}],
    [{"$match": {"s": "s1"}}, {"$skip": 2}, {"$group": {"_id": 1, "n": {"$sum": 1}}}],
    [{"$unwind": "$l"}, {"$match": {"l": {"$type": "int"}}}, {"$sort": {"l": 1, "_id": 1}}],
    [{"$unwind": {"path": "$d.y", "includeArrayIndex": "k"}}, {"$match": {"k": 0, "d.y.z": 3}}],
    [{"$match": {"f": {"$gt": 3}}}, {"$project": {"f": 1, "two": {"$multiply": ["$f", 2]}}}],
    [{"$match": {"f": {"$gt": 3}}}, {"$match": {"n": 2}}],
    [{"$sort": {"f": -1}}, {"$skip": 2}, {"$limit": 3}],
    [{"$match": {"n": 2}}, {"$sort": {"f": -1}}, {"$limit": 1}],
    [{"$count": "all"}],
    [{"$match": {"n": 1}}, {"$count": "all"}],
    [{"$addFields": {"k": {"$concat": ["$s", "!"]}}}, {"$match": {"k": "s1!"}}],
    [{"$sortByCount": "$s"}, {"$match": {"count": {"$gt": 7}}}, {"$sort": {"_id": 1}}],
    [{"$project": {"c": {"$cond": [{"$gt": ["$f", 5]}, "high", "low"]}}}],
    [{"$project": {"y": {"$size": {"$ifNull": ["$l", []]}}}}],
    [{"$match": {"t": {"$exists": True}}}, {"$project": {"day": {"$dayOfMonth": "$t"}}}],
    [{"$facet": {"a": [{"$match": {"n": 1}}, {"$count": "c"}], "b": [{"$limit": 1}]}}],
    [{"$bucket": {"groupBy": "$f", "boundaries": [0, 4, 20], "default": "other"}}],
    [{"$replaceRoot": {"newRoot": {"$ifNull": ["$d", {}]}}}],
    [{"$unset": ["l", "d", "t"]}],
    [{"$bogus": 1}],
    [{"$match": {"n": {"$bogus": 1}}}],
    [{"$project": {"x": {"$bogus": 1}}}],
    [{"$group": {"c": {"$sum": 1}}}],
]
Ask = Callable[[Any], Any]


def outcome(ask: Ask, collection: Any) -> Any:
    """What a collection answers, or the kind of its error."""
    try:
        return ask(collection)
    except (PyMongoError, NotImplementedError, TypeError, ValueError, KeyError, AttributeError) as error:
        if isinstance(error, DuplicateKeyError):
            return "error", "duplicate"
        unsupported = isinstance(error, NotImplementedError) or getattr(error, "code", None) == 238
        return "error", "unsupported" if unsupported else "refused"


def answers(duplicates: tuple[Any, Any], ask: Ask) -> tuple[Any, Any]:
    return outcome(ask, duplicates[0]), outcome(ask, duplicates[1])


def filled(collection: Any) -> Any:
    collection.insert_many([dict(document) for document in DOCUMENTS])
    return collection


def local_collection() -> Any:
    client: Any = mongomock_ng.MongoClient()
    return client["x"]["y"]


@pytest.fixture(scope="module")
def served(mongo_uri: str) -> Iterator[Any]:
    """A collection of the server, with indexes."""
    with connect(mongo_uri) as client:
        collection = client["embedded"][f"t{ObjectId()}"]
        for field in ("n", "s", "l", "d.x", "d.y.z", "o", "t"):
            collection.create_index(field)
        yield collection
        collection.drop()


@pytest.fixture
def duplicates(served: Any) -> tuple[Any, Any]:
    """The same documents in the server and in mongomock-ng in this process."""
    served.delete_many({})
    return filled(served), filled(local_collection())


@pytest.fixture(scope="module")
def readable(served: Any) -> tuple[Any, Any]:
    """The same for tests that only read."""
    served.delete_many({})
    return filled(served), filled(local_collection())


@pytest.mark.parametrize("filter", FILTERS, ids=str)
def test_finds_and_counts_the_same(readable: tuple[Any, Any], filter: dict[str, Any]) -> None:
    for ask in (
        lambda c: list(c.find(filter)),
        lambda c: c.count_documents(filter),
        lambda c: c.distinct("n", filter),
        lambda c: c.find_one(filter, sort=[("f", -1), ("_id", 1)]),
    ):
        served, local = answers(readable, ask)
        assert served == local


@pytest.mark.parametrize("options", ORDERS, ids=str)
def test_orders_cuts_and_projects_the_same(readable: tuple[Any, Any], options: dict[str, Any]) -> None:
    served, local = answers(readable, lambda c: list(c.find(**options)))
    assert served == local


@pytest.mark.parametrize("pipeline", PIPELINES, ids=str)
def test_aggregates_the_same(readable: tuple[Any, Any], pipeline: list[dict[str, Any]]) -> None:
    served, local = answers(readable, lambda c: list(c.aggregate(pipeline)))
    assert served == local


def apply_all(update: Any, filter: dict[str, Any]) -> Ask:
    """One, many and findAndModify, and what each says."""

    def ask(collection: Any) -> Any:
        one = collection.update_one(filter, update)
        many = collection.update_many(filter, update)
        found = collection.find_one_and_update(filter, update, return_document=ReturnDocument.AFTER)
        return one.matched_count, one.modified_count, many.matched_count, many.modified_count, found

    return ask


@pytest.mark.parametrize("update", UPDATES, ids=str)
@pytest.mark.parametrize("filter", [{"n": 1}, {"_id": 3}, {"_id": "new"}], ids=str)
def test_updates_the_same(duplicates: tuple[Any, Any], filter: dict[str, Any], update: Any) -> None:
    served, local = answers(duplicates, apply_all(update, filter))
    assert served == local
    if "error" not in served:
        assert list(duplicates[0].find()) == list(duplicates[1].find())


@pytest.mark.parametrize("update", UPDATES[::4], ids=str)
def test_upserts_the_same(duplicates: tuple[Any, Any], update: Any) -> None:
    served, local = answers(
        duplicates, lambda c: c.update_one({"_id": "fresh", "n": 7}, update, upsert=True).raw_result
    )
    assert ("error" in served) == ("error" in local)
    assert duplicates[0].find_one({"_id": "fresh"}) == duplicates[1].find_one({"_id": "fresh"})


def replace_with(collection: Any, filter: dict[str, Any], replacement: dict[str, Any]) -> int:
    return int(collection.replace_one(filter, replacement, upsert=True).modified_count)


@pytest.mark.parametrize("replacement", REPLACEMENTS, ids=str)
def test_replaces_the_same(duplicates: tuple[Any, Any], replacement: dict[str, Any]) -> None:
    for filter in ({"_id": 3}, {"n": 2}, {"_id": "absent"}):
        replace = functools.partial(replace_with, filter=filter, replacement=replacement)
        served, local = answers(duplicates, replace)
        assert served == local
    if replacement:  # mongomock-ng's own findAndModify takes no empty one; MongoDB and the server do
        found = answers(duplicates, lambda c: c.find_one_and_replace({"_id": 5}, replacement))
        assert found[0] == found[1]


@pytest.mark.parametrize("filter", FILTERS[1::6], ids=str)
def test_deletes_the_same(duplicates: tuple[Any, Any], filter: dict[str, Any]) -> None:
    for ask in (
        lambda c: c.delete_one(filter).deleted_count,
        lambda c: c.find_one_and_delete(filter, sort=[("f", -1)]),
        lambda c: c.delete_many(filter).deleted_count,
    ):
        served, local = answers(duplicates, ask)
        assert served == local
    assert list(duplicates[0].find()) == list(duplicates[1].find())


def test_there_are_enough_cases() -> None:
    assert len(FILTERS) + len(ORDERS) + len(PIPELINES) + 3 * len(UPDATES) + len(REPLACEMENTS) >= 150
