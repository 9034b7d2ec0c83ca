"""Cases that were wrong once, each beside what the manual says: right now, or refused by name."""

from __future__ import annotations

from typing import Any

import pytest
from bson import Decimal128, Int64
from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError, OperationFailure, PyMongoError

from tests.launchers.embedded.tools import EMBEDDED_ONLY

Document = dict[str, Any]
BIG = 2**53
FOUND: list[tuple[list[Any], Document, list[int]]] = [  # values of a, a filter, which of them it finds
    ([1, True, 0, False], {"a": True}, [1]),
    ([1, True, 0, False], {"a": 1}, [0]),
    ([1, True, 0, False], {"a": {"$in": [0, False]}}, [2, 3]),
    ([Decimal128("1"), 1, 1.0, Int64(1)], {"a": 1}, [0, 1, 2, 3]),
    ([Decimal128("0.1"), 0.1], {"a": Decimal128("0.1")}, [0]),
    ([1, {"b": 1}, {"b": None}, {}, None, [], [{}], [1]], {"a.b": None}, [0, 2, 3, 4, 6]),
    ([1, None, [None]], {"a": {"$gte": None}}, [1, 2]),
    ([[1], []], {"a": {"$all": []}}, []),
    ([{"x": 1, "y": 2}, {"y": 2, "x": 1}], {"a": {"x": 1, "y": 2}}, [0]),
    ([BIG, BIG + 1, float(BIG)], {"a": Int64(BIG + 1)}, [1]),
    ([BIG, BIG + 1, float(BIG)], {"a": {"$gt": BIG}}, [1]),
    ([float("nan"), 1], {"a": {"$lt": 5}}, [1]),
    ([float("nan"), 1], {"a": {"$gte": float("nan")}}, [0]),
    (["a", 1, None], {"a": {"$not": {"$gt": 0}}}, [0, 2]),
    ([[[1, 2]], [1, 2]], {"a": [1, 2]}, [0, 1]),
    ([[1, 5], [3]], {"a": {"$gt": 2, "$lt": 4}}, [0, 1]),
    ([[1, 5], [3]], {"a": {"$elemMatch": {"$gt": 2, "$lt": 4}}}, [1]),
    ([[1, 5], [3]], {"a": {"$ne": 5}}, [1]),
    (["ab\n", "ab\nc"], {"a": {"$regex": "b$"}}, [0]),
]


def stock(collection: Any, values: list[Any]) -> None:
    collection.insert_many([{"_id": place, "a": value} for place, value in enumerate(values)])


@pytest.mark.parametrize("indexed", [False, True])
@pytest.mark.parametrize(("values", "filter", "found"), FOUND, ids=str)
def test_what_a_filter_finds(
    collection: Any, values: list[Any], filter: Document, found: list[int], indexed: bool
) -> None:
    stock(collection, values)
    if indexed:
        collection.create_index("a")
    assert [d["_id"] for d in collection.find(filter, sort=[("_id", 1)])] == found
    assert collection.count_documents(filter) == len(found)


def test_a_field_that_is_not_there_is_null(collection: Any) -> None:
    collection.insert_many([{"_id": 0}, {"_id": 1, "a": None}, {"_id": 2, "a": 1}])
    for filter in ({"a": None}, {"a": {"$gte": None}}, {"a": {"$in": [None]}}, {"a": {"$not": {"$gt": 0}}}):
        assert [d["_id"] for d in collection.find(filter)] == [0, 1]


def test_true_and_one_are_different_ids_and_unique_values(collection: Any) -> None:
    collection.create_index("u", unique=True)
    collection.insert_many([{"_id": 1, "u": 1}, {"_id": True, "u": True}])
    with pytest.raises(DuplicateKeyError):
        collection.insert_one({"_id": Decimal128("1.0"), "u": 3})
    with pytest.raises(DuplicateKeyError):
        collection.insert_one({"_id": 4, "u": Decimal128("1")})


def test_arrays_sort_by_their_least_or_greatest_element(collection: Any) -> None:
    stock(collection, [[5, 1], 3, [4, 2], [], None])
    assert [d["_id"] for d in collection.find(sort=[("a", 1)])] == [3, 4, 0, 2, 1]
    assert [d["_id"] for d in collection.find(sort=[("a", -1)])] == [0, 2, 1, 4, 3]


def test_a_hint_keeps_large_integers_apart(collection: Any) -> None:
    collection.create_index([("c", 1), ("a", 1)])
    values = [BIG + 2, BIG, BIG + 1]
    collection.insert_many([{"_id": i, "c": 1, "a": Int64(v)} for i, v in enumerate(values)])
    hint = [("c", 1), ("a", 1)]
    found = collection.find({"c": 1, "a": {"$gt": BIG}}, sort=[("a", 1)], hint=hint)
    assert [d["a"] for d in found] == [BIG + 1, BIG + 2]


@pytest.mark.parametrize(
    ("before", "update"),
    [
        ({"a": 1}, {"$set": {"a.b": 1}}),
        ({"a": 1}, {"$set": {"a": 2}, "$inc": {"a": 1}}),
        ({"a": {"b": 1}}, {"$set": {"a": 2, "a.b": 1}}),
        ({"a": None}, {"$inc": {"a": 1}}),
        ({"a": [1]}, {"$set": {"a.b": 1}}),
        ({"a": "x"}, {"$push": {"a": 1}}),
    ],
    ids=str,
)
def test_what_cannot_be_updated_is_an_error_and_stays(collection: Any, before: Document, update: Any) -> None:
    collection.insert_one({"_id": 1, **before})
    with pytest.raises(OperationFailure):
        collection.update_one({"_id": 1}, update)
    assert collection.find_one() == {"_id": 1, **before}


def test_the_positional_operator_finds_its_element_under_and(collection: Any) -> None:
    collection.insert_one({"_id": 1, "a": [{"k": 1}, {"k": 2}, {"k": 3}]})
    collection.update_one({"$and": [{"_id": 1}, {"a.k": 2}]}, {"$set": {"a.$.v": "x"}})
    assert collection.find_one() == {"_id": 1, "a": [{"k": 1}, {"k": 2, "v": "x"}, {"k": 3}]}


def test_array_filters_and_all_elements(collection: Any) -> None:
    collection.insert_one({"_id": 1, "a": [1, 5, 9]})
    collection.update_one({}, {"$inc": {"a.$[big]": 10}}, array_filters=[{"big": {"$gt": 4}}])
    assert collection.find_one() == {"_id": 1, "a": [1, 15, 19]}
    collection.update_one({}, {"$inc": {"a.$[]": 1}})
    assert collection.find_one() == {"_id": 1, "a": [2, 16, 20]}


def test_an_upsert_takes_the_equalities_under_and(collection: Any) -> None:
    found = collection.find_one_and_update(
        {"$and": [{"_id": 7}, {"b": {"$eq": 2}}, {"c.d": 3}], "e": {"$gt": 1}},
        {"$set": {"f": 1}, "$setOnInsert": {"g": 2}},
        upsert=True,
        return_document=ReturnDocument.AFTER,
    )
    assert found == {"_id": 7, "b": 2, "c": {"d": 3}, "f": 1, "g": 2}


def test_a_count_of_nothing_gives_nothing(collection: Any) -> None:
    assert list(collection.aggregate([{"$match": {"a": 1}}, {"$count": "n"}])) == []


@EMBEDDED_ONLY
@pytest.mark.parametrize(
    "options",
    [
        {"let": {"x": 1}},
        {"min": {"a": 1}},
        {"max": {"a": 1}},
        {"tailable": True},
        {"returnKey": True},
        {"showRecordId": True},
        {"anything": 1},
    ],
    ids=str,
)
def test_options_that_are_not_known_are_refused_by_name(collection: Any, options: Document) -> None:
    with pytest.raises(PyMongoError, match=next(iter(options))):
        collection.database.command("find", collection.name, **options)


@EMBEDDED_ONLY
def test_an_update_follows_its_sort(collection: Any) -> None:
    stock(collection, [1, 3, 2])
    statement = {"q": {}, "u": {"$set": {"hit": True}}, "sort": {"a": -1}}
    collection.database.command("update", collection.name, updates=[statement])
    assert collection.find_one({"hit": True})["_id"] == 1


HINTED: list[tuple[str, dict[str, Any]]] = [
    ("find", {"filter": {"a": 1}}),
    ("count", {"query": {"a": 1}}),
    ("aggregate", {"pipeline": [{"$match": {"a": 1}}], "cursor": {}}),
    (
        "aggregate",
        {"pipeline": [{"$match": {"a": 1}}, {"$group": {"_id": 1, "n": {"$sum": 1}}}], "cursor": {}},
    ),
    ("findAndModify", {"query": {"a": 1}, "update": {"$inc": {"n": 1}}}),
    ("findAndModify", {"query": {"z": 1}, "remove": True}),
]


@pytest.mark.parametrize(("name", "rest"), HINTED, ids=str)
@pytest.mark.parametrize(
    "hint", ["none", {"b": 1}, {"a": -1}, {"a": 1, "b": 1}, {"b": 1, "a": 1}, 5, ["a"], "a"]
)
def test_a_hint_at_no_index_is_refused(collection: Any, name: str, rest: dict[str, Any], hint: Any) -> None:
    collection.insert_one({"_id": 0, "a": 1})
    collection.create_index("a")
    collection.create_index([("a", 1), ("c", 1)])
    for good in ("a_1", {"a": 1}, {"a": 1, "c": 1}, "_id_", {"_id": 1}, {"$natural": 1}):
        collection.database.command({name: collection.name} | rest | {"hint": good})
    with pytest.raises(OperationFailure) as refused:
        collection.database.command({name: collection.name} | rest | {"hint": hint})
    assert refused.value.code in {2, 9, 14}


def test_a_write_hinted_at_no_index_changes_nothing(collection: Any) -> None:
    collection.insert_one({"_id": 0, "a": 1})
    with pytest.raises(OperationFailure):
        collection.update_one({"a": 1}, {"$set": {"a": 2}}, hint="a_1")
    with pytest.raises(OperationFailure):
        collection.update_many({"b": 1}, {"$set": {"a": 2}}, upsert=True, hint={"b": 1})
    with pytest.raises(OperationFailure):
        collection.delete_many({"a": 1}, hint={"a": 1})
    assert list(collection.find()) == [{"_id": 0, "a": 1}]
    collection.drop()
    assert list(collection.find({}, hint="a_1")) == []  # as MongoDB has it where there is no collection
