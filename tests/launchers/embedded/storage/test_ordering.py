"""Pages and counts from the indexes are what a scan gives, in the same order."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pymongo
import pytest
from bson import ObjectId
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo.errors import ExecutionTimeout

Documents = pymongo.collection.Collection[dict[str, Any]]


@pytest.fixture(scope="module")
def documents(mongo_uri: str) -> Iterator[Documents]:
    """3,000 of them, so that some conditions leave few and some leave many."""
    rng = random.Random(0)
    with pymongo.MongoClient[dict[str, Any]](mongo_uri) as client:
        found = client["ordering"][f"t{ObjectId()}"]
        for field in ("owner", "word", "value.now", "round"):
            found.create_index([("owner", 1), (field, 1)])
        found.insert_many([_document(number, rng) for number in range(3_000)])
        yield found
        client.drop_database("ordering")


def _document(number: int, rng: random.Random) -> dict[str, Any]:
    value = {"now": rng.choice([-1.5, 0, 2, 10, 1e-7, -3e20, number / 7])} if number % 3 else None
    return {
        "_id": number,
        "owner": "b" if number % 50 == 0 else "a",
        "word": rng.choice("xyz"),
        "round": number % 10,
        "value": value,
    }


BOUNDS = st.fixed_dictionaries(
    {"owner": st.sampled_from(["a", "b", {"$in": ["a", "b"]}, "none"])},
    optional={
        "word": st.sampled_from(["x", {"$gte": "y"}, {"$in": ["x", "z"]}]),
        "round": st.sampled_from([3, {"$gt": 6}, {"$gte": 2, "$lt": 4}, {"$gt": 60}]),
    },
)
SORTED = st.sampled_from([{"$gte": -1e300, "$lte": 1e300}, {"$gt": 0}, {"$lte": 2}, 2])


@given(BOUNDS, SORTED, st.sampled_from([1, -1]), st.integers(0, 40), st.integers(1, 60))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_hint_changes_the_time_and_not_the_answer(
    documents: Documents, bounds: dict[str, Any], value: Any, direction: int, skip: int, limit: int
) -> None:
    query = bounds | {"value.now": value}
    hint = [("owner", 1), ("value.now", 1)]
    order = [("value.now", direction)]
    page = list(documents.find(query, sort=order, skip=skip, limit=limit, hint=hint))
    scanned = list(documents.find(query, sort=order, skip=skip, limit=limit))
    assert [d["value"]["now"] for d in page] == [d["value"]["now"] for d in scanned]
    whole = {d["_id"] for d in documents.find(query)}
    assert {d["_id"] for d in page} <= whole
    assert documents.count_documents(query, hint=hint) == len(whole) == documents.count_documents(query)


def test_pages_hold_every_document_once(documents: Documents) -> None:
    query, order = {"owner": "a", "word": {"$gte": ""}}, [("word", 1)]
    hint = [("owner", 1), ("word", 1)]
    pages = [
        [d["_id"] for d in documents.find(query, sort=order, skip=skip, limit=250, hint=hint)]
        for skip in range(0, 3_000, 250)
    ]
    assert sorted(identifier for page in pages for identifier in page) == [
        number for number in range(3_000) if number % 50
    ]


def test_a_query_that_takes_too_long_is_given_up(documents: Documents) -> None:
    with pytest.raises(ExecutionTimeout):
        list(documents.find({"nothing.there": {"$exists": True}}, max_time_ms=1))
