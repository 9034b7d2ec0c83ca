"""Answers worked out by hand from the manual and MongoDB's sources: exactly these, or a refusal."""

from __future__ import annotations

import os
from datetime import datetime
from typing import Any

import pytest
from bson import DBRef, Decimal128, Int64, Regex
from bson.datetime_ms import DatetimeMS
from pymongo.errors import OperationFailure, PyMongoError

from tests.launchers.embedded.tools import EMBEDDED_ONLY

Document = dict[str, Any]
REFUSED = "an error"
IS_REAL = "NIOBE_TEST_MONGO_URI" in os.environ
MANY = [{"a": 0.1}] * 10
FILTERS: list[tuple[Any, Any, Any]] = [  # a value of a, a condition on it, whether it is met
    (1, {"$type": []}, REFUSED),
    ([{"b": 1}], {"$elemMatch": {"$expr": {"$eq": ["$b", 1]}}}, REFUSED),
    ("x\na\ny", {"$regex": "(?m)^a$"}, REFUSED),
    ("x\ny", {"$regex": "(?im)x$"}, REFUSED),
    ("x\ny", {"$regex": "(?m:x$)"}, REFUSED),
    ("a\nb", {"$regex": r"a\vb"}, REFUSED),
    ("a\nb", {"$regex": r"a[\v]b"}, REFUSED),
    ("aXb", {"$regex": "a(?i:x)b"}, True),
    ("x$y", {"$regex": r"x[$]y"}, True),
    ("a\n\n", {"$regex": "^a$"}, False),
    ("\r", {"$regex": "^.$"}, True),
    ("é", {"$regex": r"^\w$"}, False),
    ("x", {"$nin": [Regex("x")]}, False),
    ([5], {"$not": {"$gt": 3}}, False),
    ([[1, 2], [3]], {"$elemMatch": {"$elemMatch": {"$gt": 2}}}, True),
    ([1, 2], {"$all": [{"$elemMatch": {"$gt": 1}}]}, True),
    (-3, {"$mod": [2, -1]}, True),
    (4, {"$mod": [2.9, 0.5]}, True),
]
PROJECTIONS: list[tuple[Document, Any]] = [
    ({"a": None}, REFUSED),
    ({"a": datetime(2020, 1, 1)}, REFUSED),
    ({"a": ""}, REFUSED),
    ({"a": Decimal128("0")}, {"_id": {"x": 1, "y": 2}, "b": 2}),
    ({"a": 0.5}, {"_id": {"x": 1, "y": 2}, "a": [1, 2, 3]}),
    ({"_id": 1, "a": 0}, REFUSED),
    ({"_id": 1, "a": {"$slice": 1}}, REFUSED),
    ({"_id.x": 1}, {"_id": {"x": 1}}),
    ({"_id.x": 1, "_id": 1}, REFUSED),
    ({"_id.x": 0}, {"_id": {"y": 2}, "a": [1, 2, 3], "b": 2}),
    ({"a": {"$elemMatch": {"$gt": 1}}, "b": 1}, {"_id": {"x": 1, "y": 2}, "b": 2, "a": [2]}),
    ({"a": {"$slice": [-5, 2]}, "_id": 0}, {"a": [1, 2], "b": 2}),
]
PIPELINES: list[tuple[list[Document], list[Document], Any]] = [
    ([{"a": [[{"b": 1}], {"b": 2}]}], [{"$project": {"x": "$a.b"}}], [{"_id": 0, "x": [2]}]),
    ([{"a": 1, "b": 2}], [{"$project": {"x": "$missing"}}], [{"_id": 0}]),
    ([{"a": 1, "b": 2}], [{"$project": {"x": {"$add": ["$a", 1]}}}], [{"_id": 0, "x": 2}]),
    ([{"a": 1, "b": 2}], [{"$project": {"_id": "$a"}}], [{"_id": 1}]),
    ([{"a": 1, "b": 2}], [{"$project": {"b": None}}], [{"_id": 0, "b": None}]),
    ([{"a": 1}], [{"$project": {"b": {}}}], REFUSED),
    ([{"a": [1, {"x": 1}]}], [{"$project": {"a.b": {"$add": [1, 1]}}}], [{"_id": 0, "a": [{"b": 2}]}]),
    ([{"a": {"x": 1}}], [{"$project": {"a.b": {"$add": [1, 1]}}}], [{"_id": 0, "a": {"b": 2}}]),
    (
        [{"a": {"x": 1, "y": 2}}],
        [{"$project": {"a.b": "$a.y", "a.x": 1}}],
        [{"_id": 0, "a": {"x": 1, "b": 2}}],
    ),
    ([{"a": [1, {"x": 1}]}], [{"$addFields": {"a.b": 2}}], [{"_id": 0, "a": [{"b": 2}, {"x": 1, "b": 2}]}]),
    ([{"a": 1}], [{"$project": {"x": "$a..b"}}], REFUSED),
    ([{"a": 1}], [{"$project": {"x": {"$mergeObjects": [[{"b": 1}], {"c": 1}]}}}], REFUSED),
    ([{"a": -0.5}], [{"$project": {"y": {"$ceil": "$a"}}}], [{"_id": 0, "y": -0.0}]),
    ([{"a": datetime(2020, 1, 1)}], [{"$project": {"x": {"$add": ["$a", 1000]}}}], REFUSED),
    (MANY, [{"$group": {"_id": None, "s": {"$sum": "$a"}}}], [{"_id": None, "s": 1.0}]),
    (MANY, [{"$group": {"_id": None, "s": {"$avg": "$a"}}}], [{"_id": None, "s": 0.1}]),
    ([{"a": 2**62}] * 2, [{"$group": {"_id": None, "s": {"$sum": "$a"}}}], [{"_id": None, "s": 2.0**63}]),
    ([{"a": 2**31 - 1}, {"a": 1}], [{"$group": {"_id": 1, "s": {"$sum": "$a"}}}], [{"_id": 1, "s": 2**31}]),
    ([{}] * 2, [{"$group": {"_id": True, "n": {"$sum": 1}}}], [{"_id": True, "n": 2}]),
    ([{}] * 2, [{"$group": {"_id": 1, "n": {"$sum": True}}}], [{"_id": 1, "n": 0}]),
    ([{}] * 2, [{"$group": {"_id": 1.0, "n": {"$sum": 1.0}}}], [{"_id": 1.0, "n": 2.0}]),
    ([{"a": 1}], [{"$group": {"_id": None, "s": {"$sum": ["$a", "$a"]}}}], REFUSED),
    ([{"a": 1}], [{"$group": {"_id": None, "$x": {"$sum": 1}}}], REFUSED),
    ([{"a": 1}], [{"$group": {"_id": None, "n": {"$count": 5}}}], REFUSED),
    ([{"a": [1]}], [{"$unwind": {"path": "$a", "includeArrayIndex": "$k"}}], REFUSED),
    ([{"a": [1]}], [{"$unwind": {"path": "$a", "preserveNullAndEmptyArrays": 1}}], REFUSED),
    ([{"a": [{"b": [1, 2]}]}], [{"$unwind": "$a.b"}], []),
]  # fmt: skip
UPDATES: list[tuple[Document, Document, Any, Document, Any]] = [  # before, filter, update, options, after
    ({"a": [1]}, {}, {"$set": {"a.00": 5}}, {}, REFUSED),
    ({"a": {}}, {}, {"$set": {"a.0": 5}}, {}, {"a": {"0": 5}}),
    ({"a": [1]}, {}, {"$push": {"a": {"$slice": 1}}}, {}, REFUSED),
    ({"a": [{"b": 2}, 1]}, {}, {"$push": {"a": {"$each": [], "$sort": {"b": 1}}}}, {}, REFUSED),
    ({"a": [1, 2, 3]}, {}, {"$push": {"a": {"$each": [9], "$position": -1}}}, {}, {"a": [1, 2, 9, 3]}),
    ({"a": [0]}, {}, {"$addToSet": {"a": False}}, {}, {"a": [0, False]}),
    ({"a": [1, True, 0]}, {}, {"$pull": {"a": True}}, {}, {"a": [1, 0]}),
    (
        {"a": [{"b": 1}, {"c": 2}, {"d": 1}]},
        {},
        {"$pull": {"a": {"$or": [{"b": 1}, {"c": 2}]}}},
        {},
        {"a": [{"d": 1}]},
    ),
    ({"a": 1}, {}, {"$max": {"a": True}}, {}, {"a": True}),
    ({"a": 1}, {}, {"$set": {"a": True}}, {}, {"a": True}),
    ({"a": [1, 2]}, {}, {"$set": {"a.$[]": 0, "a.0": 1}}, {}, REFUSED),
    ({"a": [1, 2]}, {}, {"$set": {"a.$[x]": 9}}, {"array_filters": [{"x": 1}, {"y": 1}]}, REFUSED),
    ({"a": [1, 2]}, {}, {"$set": {"a.$[x]": 9}}, {"array_filters": [{"x": 1}, {"x": 2}]}, REFUSED),
    ({"a": [1, 2]}, {}, {"$set": {"a.$[X]": 9}}, {"array_filters": [{"X": 1}]}, REFUSED),
    ({"a": [1, 2]}, {}, {"$set": {"b": 9}}, {"array_filters": [{"x": 1}]}, REFUSED),
    ({"a": [1, 2, 3]}, {"a": {"$gt": 1, "$lt": 3}}, {"$set": {"a.$": 9}}, {}, REFUSED),
    ({"a": [1, 2, 3]}, {"a": {"$elemMatch": {"$gt": 1}}}, {"$set": {"a.$": 9}}, {}, {"a": [1, 9, 3]}),
    ({"a": [1, 2], "b": [7, 8]}, {"a": 1, "b": 8}, {"$set": {"a.$": 0}}, {}, REFUSED),
    ({"a": [{"k": 1}, {"k": 1}]}, {"a.0.k": 1}, {"$set": {"a.$.v": 0}}, {}, REFUSED),
    ({"a": [1, 2, 3]}, {"a": {"$exists": True}}, {"$set": {"a.$": 9}}, {}, REFUSED),
    ({"a": [1, 2, 3]}, {"a": {"$size": 3}}, {"$set": {"a.$": 9}}, {}, REFUSED),
    ({"a": ["x", "ab"]}, {"a": {"$regex": "A", "$options": "i"}}, {"$set": {"a.$": 9}}, {}, {"a": ["x", 9]}),
    ({"a": 1, "b": 2}, {}, [{"$project": {"_id": 0, "a": 1}}], {}, {"a": 1}),
]  # fmt: skip


def known(rows: list[Any]) -> list[Any]:
    """All rows; of a real MongoDB, those that are answered here."""
    return [row for row in rows if not (IS_REAL and row[-1] == REFUSED)]


def given(ask: Any) -> Any:
    try:
        return ask()
    except OperationFailure:
        return REFUSED


@pytest.mark.parametrize(("value", "condition", "is_met"), known(FILTERS), ids=str)
def test_what_a_condition_finds(collection: Any, value: Any, condition: Any, is_met: Any) -> None:
    collection.insert_one({"_id": 0, "a": value})
    found = given(lambda: [d["_id"] for d in collection.find({"a": condition})])
    assert found == (REFUSED if is_met == REFUSED else [0] * is_met)


@pytest.mark.parametrize(("asked", "wanted"), known(PROJECTIONS), ids=str)
def test_what_a_projection_gives(collection: Any, asked: Document, wanted: Any) -> None:
    collection.insert_one({"_id": {"x": 1, "y": 2}, "a": [1, 2, 3], "b": 2})
    assert repr(given(lambda: collection.find_one({}, asked))) == repr(wanted)


@pytest.mark.parametrize(("documents", "pipeline", "wanted"), known(PIPELINES), ids=str)
def test_what_a_pipeline_gives(
    collection: Any, documents: list[Document], pipeline: list[Document], wanted: Any
) -> None:
    collection.insert_many([{"_id": place, **document} for place, document in enumerate(documents)])
    assert repr(given(lambda: list(collection.aggregate(pipeline)))) == repr(wanted)


@pytest.mark.parametrize(("before", "filter", "update", "options", "after"), known(UPDATES), ids=str)
def test_what_an_update_makes(
    collection: Any, before: Document, filter: Document, update: Any, options: Document, after: Any
) -> None:
    collection.insert_one({"_id": 1, **before})
    done = given(lambda: collection.update_one(filter, update, **options).acknowledged)
    wanted = before if after == REFUSED else after
    assert (done == REFUSED) == (after == REFUSED)
    assert repr(collection.find_one()) == repr({"_id": 1, **wanted})


@pytest.mark.parametrize(("before", "after"), [(1, True), (False, 0), ({"b": 1}, {"b": True})], ids=str)
def test_an_index_tells_true_from_one_after_an_update(collection: Any, before: Any, after: Any) -> None:
    for field in ("a", "a.b"):
        collection.create_index(field)
    for change in ("update", "replace"):
        collection.insert_one({"_id": change, "a": before})
        if change == "update":
            collection.update_one({"_id": change}, {"$set": {"a": after}})
        else:
            collection.replace_one({"_id": change}, {"a": after})
        path = "a.b" if isinstance(after, dict) else "a"
        value = after["b"] if isinstance(after, dict) else after
        assert [d["_id"] for d in collection.find({path: value, "_id": change})] == [change]
        assert collection.count_documents({path: value}) == (1 if change == "update" else 2)
        assert collection.count_documents({"a": before}) == 0


def test_a_hint_answers_as_without_it_where_there_are_arrays(collection: Any) -> None:
    collection.insert_many([{"_id": 0, "a": [1, 2, 3]}, {"_id": 1, "a": 2}, {"_id": 2, "a": [5]}])
    collection.create_index("a")
    hint = [("a", 1)]
    for filter in ({"a": {"$gte": 1}}, {"a": {"$gt": 2, "$lt": 2}}, {"a": {"$lte": 9}}):
        assert collection.count_documents(filter, hint=hint) == collection.count_documents(filter)
        for order in (1, -1):
            hinted = collection.find(filter, sort=[("a", order)], hint=hint)
            assert [*hinted] == [*collection.find(filter, sort=[("a", order)])]
    collection.delete_many({"_id": {"$ne": 1}})
    assert [d["_id"] for d in collection.find({"a": {"$gte": 1}}, sort=[("a", 1)], hint=hint)] == [1]


def test_entries_of_a_unique_index_are_of_one_element_each(collection: Any) -> None:
    collection.create_index([("a.b", 1), ("a.c", 1)], unique=True)
    collection.insert_one({"_id": 1, "a": [{"b": 1, "c": 2}, {"b": 3, "c": 4}]})
    collection.insert_one({"_id": 2, "a": [{"b": 1, "c": 4}]})
    with pytest.raises(PyMongoError, match="E11000"):
        collection.insert_one({"_id": 3, "a": [{"b": 3, "c": 4}]})


def test_an_empty_array_is_no_null_in_a_unique_index(collection: Any) -> None:
    collection.create_index("a", unique=True)
    collection.insert_many([{"a": []}, {}])
    there: list[Document] = [{"a": []}, {"a": None}]
    for again in there:
        with pytest.raises(PyMongoError, match="E11000"):
            collection.insert_one(again)


def test_parallel_arrays_have_no_entries(collection: Any) -> None:
    collection.create_index([("a", 1), ("b", 1)], unique=True)
    with pytest.raises(PyMongoError, match="parallel arrays"):
        collection.insert_one({"a": [1, 2], "b": [1, 2]})


def test_an_index_with_true_is_not_that_with_one(collection: Any) -> None:
    collection.create_index("a", name="x", partialFilterExpression={"a": 1})
    with pytest.raises(PyMongoError):
        collection.create_index("a", name="x", partialFilterExpression={"a": True})


def test_an_id_stays_what_it_was_where_an_equal_one_is_set(collection: Any) -> None:
    collection.insert_one({"_id": 1})
    collection.update_one({"_id": 1}, {"$set": {"_id": 1.0, "a": 1}})
    assert type(collection.find_one()["_id"]) is int


def test_dates_far_away_are_kept_and_compared(collection: Any) -> None:
    far = DatetimeMS(2**58)
    collection.insert_many([{"_id": 0, "a": far}, {"_id": 1, "a": datetime(2020, 1, 1)}])
    found = collection.find({"a": {"$gt": datetime(2024, 1, 1)}}, {"_id": 1})
    assert list(found) == [{"_id": 0}]
    assert collection.count_documents({"a": far}) == 1


@EMBEDDED_ONLY
def test_what_paths_would_not_lead_into_is_refused(collection: Any) -> None:
    with pytest.raises(PyMongoError, match=r"\$ref"):
        collection.insert_one({"a": [DBRef("c", 1)]})


def test_documents_are_nested_as_deep_as_mongodb_has_them(collection: Any) -> None:
    def nested(depth: int) -> Document:
        document: Document = {}
        for _ in range(depth):
            document = {"a": document}
        return document

    collection.insert_one(nested(90))
    assert collection.count_documents({"a": {"$gt": nested(89)}}) == 0
    for refused in (
        lambda: collection.insert_one(nested(300)),
        lambda: collection.update_one({}, {"$set": {"a": nested(300)}}),
    ):
        with pytest.raises(PyMongoError, match="nested"):
            refused()


@EMBEDDED_ONLY
@pytest.mark.parametrize(
    "command",
    [
        {"find": "NAME", "readConcern": {"level": "snapshot"}},
        {"find": "NAME", "readConcern": {"level": "linearizable"}},
        {"find": "NAME", "singleBatch": "no"},
        {"insert": "NAME", "documents": [{"x": 1}], "writeConcern": {"w": 2}},
        {"insert": "NAME", "documents": [{"x": 1}], "ordered": "no"},
        {"update": "NAME", "updates": [{"q": {}, "u": {"$set": {"b": 1}}, "multi": "no"}]},
        {"findAndModify": "NAME", "query": {}, "remove": "no"},
        {"find": "NAME", "txnNumber": Int64(1), "autocommit": False, "startTransaction": True},
        {"create": "NAME", "capped": True, "size": 1000},
        {"create": "NAME", "viewOn": "x", "pipeline": []},
    ],
    ids=str,
)
def test_what_would_be_taken_otherwise_than_meant_is_refused(collection: Any, command: Document) -> None:
    collection.insert_many([{"_id": 0}, {"_id": 1}])
    name = next(iter(command))
    with pytest.raises(PyMongoError):
        collection.database.command(command | {name: collection.name})
    assert list(collection.find()) == [{"_id": 0}, {"_id": 1}]
