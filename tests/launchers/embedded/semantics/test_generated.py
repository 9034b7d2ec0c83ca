"""Generated filters, sorts and updates: the server gives what the manual says, or refuses by name."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from bson import Decimal128, Int64, ObjectId, Regex
from pymongo.errors import PyMongoError

from tests.launchers.embedded.semantics import reference
from tests.launchers.embedded.tools import connect

Document = dict[str, Any]
ID = ObjectId("64b5f0c2a1b2c3d4e5f60718")
SCALARS: list[Any] = [
    None, True, False, 0, 1, 2, -3, 1.0, 2.5, -0.0, float("nan"), float("inf"), Int64(2**53 + 1),
    Int64(2**53), float(2**53), Decimal128("1"), Decimal128("2.5"), Decimal128("0.1"), 0.1,
    "", "a", "ab", "b", "1", ID, datetime(2024, 1, 1), datetime(2025, 1, 1),
]  # fmt: skip
OPERATORS = ["$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$not", "$regex", "$mod"]
OPERATORS += ["$exists", "$type", "$size", "$all", "$elemMatch"]
TYPES = ["int", "double", "string", "object", "array", "null", "bool", "number", "long", "decimal"]
PATHS = ["a", "b", "c", "a.b", "a.c", "a.b.c", "a.0", "a.1", "a.0.b", "b.a", "absent", "a.absent"]
NOT_SUPPORTED = 238
FILTERS, SORTS, UPDATES = 1_200, 120, 500


def value(chance: random.Random, depth: int = 0) -> Any:
    kind = chance.random()
    if depth < 3 and kind < 0.2:
        return [value(chance, depth + 1) for _ in range(chance.randrange(4))]
    if depth < 3 and kind < 0.45:
        return {name: value(chance, depth + 1) for name in chance.sample("abc", chance.randrange(4))}
    return chance.choice(SCALARS)


def document(chance: random.Random, identity: Any) -> Document:
    fields = chance.sample("abc", chance.randrange(4))
    return {"_id": identity} | {name: value(chance) for name in fields}


def condition(chance: random.Random, depth: int = 0) -> Any:
    name = chance.choice([*OPERATORS, "", "", "two"])
    if name == "":
        return chance.choice([value(chance, 1), Regex("^a"), value(chance, 2)])
    if name == "two":
        return {"$gte": value(chance, 3), "$lte": value(chance, 3)}
    if name in {"$in", "$nin", "$all"}:
        return {name: [value(chance, 2) for _ in range(chance.randrange(4))]}
    if name == "$elemMatch":
        return {name: chance.choice([{"b": value(chance, 2)}, {"$gt": value(chance, 3)}, {"$ne": 1}, {}])}
    if name == "$not":
        inner = condition(chance, depth + 1) if depth < 2 else {"$gt": 1}
        has_operators = isinstance(inner, dict) and str(next(iter(inner), "")).startswith("$")
        return {name: inner if has_operators else {"$eq": 1}}
    operand = {
        "$exists": chance.random() < 0.5,
        "$type": chance.choice(TYPES),
        "$size": chance.randrange(3),
        "$regex": chance.choice(["a", "^b", "b$", "[ab]{2}"]),
        "$mod": [chance.choice([2, 3]), chance.choice([0, 1])],
    }
    return {name: operand.get(name, value(chance, 2))}


def a_filter(chance: random.Random, depth: int = 0) -> Document:
    if depth < 2 and chance.random() < 0.15:
        parts = [a_filter(chance, depth + 1) for _ in range(chance.randrange(1, 3))]
        return {chance.choice(["$and", "$or", "$nor"]): parts}
    return {path: condition(chance) for path in chance.sample(PATHS, chance.choice([1, 1, 2]))}


def an_update(chance: random.Random) -> Document:
    update: Document = {}
    for _ in range(chance.choice([1, 1, 2])):
        name = chance.choice(
            ["$set", "$unset", "$inc", "$mul", "$min", "$max", "$push", "$addToSet", "$pull", "$pop"]
        )
        operand: Any = value(chance, 2)
        if name in {"$inc", "$mul"}:
            operand = chance.choice([1, -2, 2.5])
        if name == "$pop":
            operand = chance.choice([1, -1])
        if name == "$pull":
            operand = chance.choice([1, "a", {"b": 1}, {"$gt": 1}, None])
        update.setdefault(name, {})[chance.choice([p for p in PATHS if "absent" not in p])] = operand
    return update


@pytest.fixture(scope="module", params=[False, True], ids=["scanned", "indexed"])
def stocked(request: pytest.FixtureRequest, mongo_uri: str) -> Iterator[tuple[Any, list[Document]]]:
    """A collection of generated documents, with and without indexes."""
    chance = random.Random(1)
    documents = [document(chance, number) for number in range(150)]
    with connect(mongo_uri) as client:
        collection = client["semantics"][f"t{ObjectId()}"]
        collection.insert_many(documents)
        for path in PATHS if request.param else []:
            collection.create_index(path)
        yield collection, documents
        collection.drop()


def answered(ask: Any) -> Any:
    """An answer, or the number of the error."""
    try:
        return ask()
    except PyMongoError as error:
        return getattr(error, "code", None) or type(error).__name__


def test_filters_find_and_count_what_the_manual_says(stocked: tuple[Any, list[Document]]) -> None:
    collection, documents = stocked
    chance, refused, wrong = random.Random(2), 0, []
    for _ in range(FILTERS // 2):
        filter = a_filter(chance)
        expected = [d["_id"] for d in documents if reference.matches(d, filter)]
        found = answered(lambda: [d["_id"] for d in collection.find(filter, sort=[("_id", 1)])])  # noqa: B023
        if isinstance(found, int | str):
            refused += 1
        elif found != expected or collection.count_documents(filter) != len(expected):
            wrong.append((filter, sorted(set(found) ^ set(expected))))
    print(f"{FILTERS // 2} filters: {refused} refused, {len(wrong)} wrong")
    assert not wrong, wrong[:5]
    assert refused < FILTERS // 20


def test_sorts_bring_documents_in_the_manuals_order(stocked: tuple[Any, list[Document]]) -> None:
    collection, documents = stocked
    chance = random.Random(3)
    for _ in range(SORTS // 2):
        path, direction = (
            chance.choice([p for p in PATHS if not any(c.isdigit() for c in p)]),
            chance.choice([1, -1]),
        )
        found = answered(lambda: list(collection.find(sort=[(path, direction)])))  # noqa: B023
        values = [reference.sort_value(d, path, direction) for d in found]
        expected = reference.ordered(documents, path, direction)
        assert len(values) == len(expected)
        for one, other in zip(values, expected, strict=True):
            assert reference.compare_sorted(one, other) == 0, (path, direction, one, other)


def test_updates_change_what_the_manual_says(mongo_uri: str) -> None:
    chance, refused, failures, wrong = random.Random(4), 0, 0, []
    with connect(mongo_uri) as client:
        collection = client["semantics"][f"t{ObjectId()}"]
        for number in range(UPDATES):
            before, update = document(chance, number), an_update(chance)
            collection.insert_one(before)
            failure = answered(lambda: collection.update_one({"_id": number}, update) and None)  # noqa: B023
            try:
                expected, may_fail = reference.changed(before, update), failure == NOT_SUPPORTED
            except reference.RefusedError:
                expected, may_fail = before, True
            failures += may_fail
            refused += failure == NOT_SUPPORTED
            expected = before if failure else expected
            found = collection.find_one({"_id": number})
            if reference.compare(found, expected) or (failure and not may_fail):
                wrong.append((before, update, found, failure))
        collection.drop()
    print(f"{UPDATES} updates: {failures} errors, {refused} of them refusals, {len(wrong)} wrong")
    assert not wrong, wrong[:5]


def test_there_are_enough_cases() -> None:
    assert FILTERS + SORTS + UPDATES >= 1_000
