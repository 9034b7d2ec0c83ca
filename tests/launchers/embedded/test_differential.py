"""The server gives what a real MongoDB gives, or refuses by name: filters, sorts, updates, pipelines.

Needs NIOBE_TEST_MONGO_URI, as hosted CI sets it; without one, ``semantics`` compares with the manual.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest
from bson import ObjectId
from pymongo import ReturnDocument
from pymongo.errors import PyMongoError

from niobe.launchers.embedded import ensure_server, stop_server
from tests.launchers.embedded.semantics import test_generated as generated
from tests.launchers.embedded.tools import connect

pytestmark = pytest.mark.skipif(
    "NIOBE_TEST_MONGO_URI" not in os.environ, reason="needs a MongoDB to compare with"
)
NOT_SUPPORTED = 238

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
Pair = tuple[Any, Any]


def outcome(ask: Ask, collection: Any) -> Any:
    """What a collection answers, or the code of its error."""
    try:
        return ask(collection)
    except PyMongoError as error:
        return "error", getattr(error, "code", None)


def assert_same(pair: Pair, ask: Ask) -> None:
    """Both give the same, or both an error, or the server here says that it is not supported."""
    here, there = outcome(ask, pair[0]), outcome(ask, pair[1])
    if here == ("error", NOT_SUPPORTED):
        return
    if isinstance(here, tuple) and here[:1] == ("error",):
        assert isinstance(there, tuple) and there[:1] == ("error",), (here, there)
    else:
        assert repr(here) == repr(there)  # as text: a NaN equals a NaN


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """A collection of the server here, and one of the MongoDB."""
    folder = tmp_path_factory.mktemp("differential") / "db"
    name = f"t{ObjectId()}"
    with connect(ensure_server(folder)) as here, connect(os.environ["NIOBE_TEST_MONGO_URI"]) as there:
        pair = here["differential"][name], there["differential"][name]
        yield pair
        pair[1].drop()
    stop_server(folder)


@pytest.fixture
def pair(empty: Pair) -> Pair:
    """Both with the same documents."""
    for collection in empty:
        collection.delete_many({})
        collection.insert_many([dict(document) for document in DOCUMENTS])
    return empty


@pytest.fixture
def varied(empty: Pair) -> Pair:
    """Both with the same generated documents."""
    chance = random.Random(1)
    documents = [generated.document(chance, number) for number in range(150)]
    for collection in empty:
        collection.delete_many({})
        collection.insert_many(documents)
    return empty


def test_filters_give_the_same(pair: Pair) -> None:
    for filter in FILTERS:
        assert_same(pair, lambda c: list(c.find(filter, sort=[("_id", 1)])))  # noqa: B023
        assert_same(pair, lambda c: c.count_documents(filter))  # noqa: B023
        assert_same(pair, lambda c: sorted(c.distinct("n", filter), key=str))  # noqa: B023


def test_pages_and_projections_give_the_same(pair: Pair) -> None:
    for options in ORDERS:
        assert_same(pair, lambda c: list(c.find(**options)))  # noqa: B023


def test_pipelines_give_the_same(pair: Pair) -> None:
    for pipeline in PIPELINES:
        assert_same(pair, lambda c: sorted(map(repr, c.aggregate(pipeline))))  # noqa: B023


@pytest.mark.parametrize("filter", [{"n": 1}, {"_id": 3}, {"_id": "new"}, {"$and": [{"l": 3}]}], ids=str)
def test_updates_give_the_same(pair: Pair, filter: dict[str, Any]) -> None:
    for update in [*UPDATES, *REPLACEMENTS]:
        for upsert in (False, True):
            assert_same(pair, lambda c: changed(c, filter, update, upsert=upsert))  # noqa: B023
            for collection in pair:
                collection.delete_many({})
                collection.insert_many([dict(document) for document in DOCUMENTS])


def changed(collection: Any, filter: dict[str, Any], update: Any, *, upsert: bool) -> Any:
    """What findAndModify gives, and what is there then."""
    is_update = isinstance(update, list) or any(name.startswith("$") for name in update)
    method = collection.find_one_and_update if is_update else collection.find_one_and_replace
    found = method(filter, update, upsert=upsert, sort=[("_id", 1)], return_document=ReturnDocument.AFTER)
    return bool(found), list(collection.find({"_id": {"$type": ["int", "string"]}}, sort=[("_id", 1)]))


def test_generated_filters_give_the_same(varied: Pair) -> None:
    chance = random.Random(5)
    for _ in range(2_000):
        filter = generated.a_filter(chance)
        assert_same(varied, lambda c: [d["_id"] for d in c.find(filter, sort=[("_id", 1)])])  # noqa: B023


def test_generated_updates_give_the_same(varied: Pair) -> None:
    chance = random.Random(6)
    for number in range(1_000):
        update = generated.an_update(chance)
        assert_same(varied, lambda c: c.update_one({"_id": number % 150}, update).modified_count)  # noqa: B023
        assert_same(varied, lambda c: c.find_one({"_id": number % 150}))  # noqa: B023
