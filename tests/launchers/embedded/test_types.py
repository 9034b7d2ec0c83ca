"""Values come back as they went in, and are found whether or not an index knows them."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

from bson import Binary, Int64, ObjectId
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from niobe.launchers.embedded.storage.indexing import index_key
from tests.launchers.embedded.tools import EMBEDDED_ONLY

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**31), 2**31 - 1)
    | st.integers(-(2**63), 2**63 - 1).map(Int64)
    | st.floats()
    | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
    | st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1)).map(
        lambda d: d.replace(microsecond=d.microsecond // 1000 * 1000)
    )
    | st.binary(max_size=30)
    | st.builds(Binary, st.binary(max_size=10), st.sampled_from([0, 5, 128]))
    | st.builds(ObjectId)
)
KEYS = st.text(st.characters(codec="ascii", categories=["L"]), min_size=1, max_size=5)
VALUES = st.recursive(
    SCALARS, lambda v: st.lists(v, max_size=3) | st.dictionaries(KEYS, v, max_size=3), max_leaves=10
)
MANY = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def same(a: Any, b: Any) -> bool:
    """Equal in value and type, NaN to NaN, all the way down."""
    if isinstance(a, dict) and isinstance(b, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float) and isinstance(b, float):
        return (math.isnan(a) and math.isnan(b)) or (a == b and math.copysign(1, a) == math.copysign(1, b))
    if isinstance(a, bytes) and isinstance(b, bytes):
        return bytes(a) == bytes(b) and getattr(a, "subtype", 0) == getattr(b, "subtype", 0)
    return type(a) is type(b) and bool(a == b)


@MANY
@given(VALUES)
def test_types_come_back_as_they_went_in(collection: Any, value: Any) -> None:
    inserted = collection.insert_one({"v": value}).inserted_id
    assert same(collection.find_one({"_id": inserted})["v"], value)
    collection.update_one({"_id": inserted}, {"$set": {"w": value, "v": 0}})
    assert same(collection.find_one({"_id": inserted})["w"], value)


@MANY
@given(st.lists(VALUES, max_size=6), SCALARS)
def test_an_index_never_changes_what_is_found(collection: Any, values: list[Any], wanted: Any) -> None:
    collection.delete_many({})
    collection.create_index("i")
    collection.create_index("d.i")
    collection.insert_many(
        [{"i": v, "plain": v, "d": {"i": v}, "e": {"plain": v}} for v in [*values, wanted]]
    )
    for indexed, plain in (("i", "plain"), ("d.i", "e.plain")):
        for condition in (wanted, {"$in": [wanted, "other"]}, {"$eq": wanted}):
            found = sorted(d["_id"] for d in collection.find({indexed: condition}))
            assert found == sorted(d["_id"] for d in collection.find({plain: condition}))
            assert collection.count_documents({indexed: condition}) == len(found)


@EMBEDDED_ONLY
@given(st.integers(-(2**53), 2**53))
def test_numbers_mongodb_calls_equal_share_an_index_key(value: int) -> None:
    assert index_key(value) == index_key(float(value)) == index_key(Int64(value))


@given(st.integers(-(2**63), 2**63 - 2))
def test_numbers_that_differ_have_different_keys(value: int) -> None:
    assert index_key(Int64(value)) != index_key(Int64(value + 1))


def test_an_index_made_later_finds_what_was_there(collection: Any) -> None:
    collection.insert_many([{"a": i % 10, "b": [i, {"c": i % 3}]} for i in range(100)])
    queries: list[dict[str, Any]] = [{"a": 3}, {"b.c": 2}, {"b": 7}, {"a": 3, "b.c": 0}]
    before = [list(collection.find(query)) for query in queries]
    for field in ("a", "b.c", "b"):
        collection.create_index(field)
    assert [list(collection.find(query)) for query in queries] == before
    assert all(before)


def test_an_index_follows_updates_and_deletions(collection: Any) -> None:
    collection.create_index("a.b")
    collection.insert_many([{"_id": i, "a": [{"b": i}, {"b": -1}]} for i in range(6)])
    collection.update_one({"_id": 3}, {"$set": {"a.0.b": 99}})
    collection.delete_one({"_id": 4})
    assert [d["_id"] for d in collection.find({"a.b": 99})] == [3]
    assert list(collection.find({"a.b": 3})) == list(collection.find({"a.b": 4})) == []
    assert [d["_id"] for d in collection.find({"a.b": -1})] == [0, 1, 2, 3, 5]
    collection.drop_index("a.b_1")
    assert [d["_id"] for d in collection.find({"a.b": 99})] == [3]


def test_true_written_over_one_is_stored(collection: Any) -> None:
    collection.insert_one({"_id": 1, "v": 1})
    assert collection.update_one({"_id": 1}, {"$set": {"v": True}}).modified_count == 1
    assert collection.find_one({"_id": 1})["v"] is True
