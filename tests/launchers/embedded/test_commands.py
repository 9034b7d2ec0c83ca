"""What clients ask beyond queries: unique indexes, MongoDB's error codes, cursors, loud refusals."""

from __future__ import annotations

from typing import Any

import pytest
from bson import Int64, ObjectId
from pymongo.errors import BulkWriteError, DuplicateKeyError, OperationFailure, PyMongoError

from tests.launchers.embedded.tools import EMBEDDED_ONLY, connect


def test_unique_indexes_hold(collection: Any) -> None:
    collection.create_index("a", unique=True)
    collection.insert_one({"a": 1})
    with pytest.raises(DuplicateKeyError) as caught:
        collection.insert_one({"a": 1.0})
    assert caught.value.code == 11000
    with pytest.raises(DuplicateKeyError):
        collection.update_one({"a": 2}, {"$set": {"a": 1}}, upsert=True)
    with pytest.raises(BulkWriteError):
        collection.insert_many([{"a": 5}, {"a": 1}, {"a": 6}])
    assert sorted(d["a"] for d in collection.find()) == [1, 5]


def test_a_unique_index_on_what_is_not_unique_is_refused_and_not_made(collection: Any) -> None:
    collection.insert_many([{"a": 1}, {"a": 1}])
    with pytest.raises(OperationFailure) as caught:
        collection.create_index("a", unique=True)
    assert caught.value.code == 11000
    assert list(collection.index_information()) == ["_id_"]


def test_unordered_inserts_go_on_after_a_duplicate(collection: Any) -> None:
    with pytest.raises(BulkWriteError) as caught:
        collection.insert_many([{"_id": 1}, {"_id": 1}, {"_id": 2}], ordered=False)
    assert [error["code"] for error in caught.value.details["writeErrors"]] == [11000]
    assert caught.value.details["nInserted"] == collection.count_documents({}) == 2


def test_a_refused_update_leaves_the_document_as_it_was(collection: Any) -> None:
    collection.insert_one({"_id": 1, "s": "text", "n": 1})
    with pytest.raises(PyMongoError):
        collection.update_one({"_id": 1}, {"$set": {"n": 2}, "$inc": {"s": 1}})
    assert collection.find_one({"_id": 1}) == {"_id": 1, "s": "text", "n": 1}


def test_an_id_cannot_change(collection: Any) -> None:
    collection.insert_one({"_id": 1, "n": 1})
    with pytest.raises(PyMongoError) as caught:
        collection.update_one({"_id": 1}, {"$set": {"_id": 2}})
    assert caught.value.code == 66  # type: ignore[attr-defined]
    assert list(collection.find()) == [{"_id": 1, "n": 1}]


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ({"nonsense": 1}, 59),
        ({"listIndexes": "absent"}, 26),
        ({"dropIndexes": "absent", "index": "a_1"}, (26, 27)),
        ({"getMore": Int64(99), "collection": "c"}, 43),
        ({"create": "$x"}, 73),
        ({"find": "x", "filter": {"a": {"$bogus": 1}}}, 2),
    ],
    ids=str,
)
def test_errors_have_mongodbs_codes(mongo_uri: str, command: dict[str, Any], code: Any) -> None:
    with connect(mongo_uri) as client, pytest.raises(OperationFailure) as caught:
        client["embedded"].command(command)
    assert caught.value.code in (code if isinstance(code, tuple) else (code,))


def test_creating_twice_is_refused(mongo_uri: str) -> None:
    with connect(mongo_uri) as client:
        name = f"t{ObjectId()}"
        client["embedded"].command("create", name)
        with pytest.raises(OperationFailure) as caught:
            client["embedded"].command("create", name)
        assert caught.value.code == 48
        client["embedded"].drop_collection(name)


@EMBEDDED_ONLY
def test_what_is_not_supported_is_refused_loudly(collection: Any) -> None:
    collection.insert_one({"a": "x"})
    with pytest.raises(OperationFailure, match="collation"):
        list(collection.find({"a": "X"}).collation({"locale": "en", "strength": 2}))
    with pytest.raises(OperationFailure, match="not supported"):
        collection.create_index([("a", "text")])
    with pytest.raises(OperationFailure, match="expireAfterSeconds"):
        collection.create_index("a", expireAfterSeconds=1)
    refused: list[dict[str, Any]] = [{"$where": "1"}, {"$jsonSchema": {}}, {"$text": {"$search": "x"}}]
    for operator in refused:
        with pytest.raises(OperationFailure, match="not supported"):
            collection.find_one(operator)
    with pytest.raises(OperationFailure):
        collection.watch()
    with pytest.raises(OperationFailure):
        collection.rename("elsewhere")
    with collection.database.client.start_session() as session, pytest.raises(PyMongoError):
        collection.insert_one({}, session=session)


def test_data_may_hold_what_a_query_may_not(collection: Any) -> None:
    collection.insert_one({"_id": 1, "kept": {"$where": "as data"}})
    assert collection.find_one({"_id": 1}) == {"_id": 1, "kept": {"$where": "as data"}}


def test_cursors_go_on_in_batches(collection: Any) -> None:
    collection.insert_many([{"_id": i, "n": -i} for i in range(1000)])
    assert [d["_id"] for d in collection.find(batch_size=37)] == list(range(1000))
    assert [d["_id"] for d in collection.find(sort=[("n", 1)], batch_size=37)] == list(range(999, -1, -1))
    assert [d["_id"] for d in collection.find(skip=5, limit=200, batch_size=150)] == list(range(5, 205))


def test_a_cursor_outlives_changes_and_refused_commands(collection: Any) -> None:
    collection.insert_many([{"_id": i} for i in range(1000)])
    cursor = collection.find(batch_size=10)
    seen = [next(cursor)["_id"] for _ in range(10)]
    collection.delete_many({"_id": {"$gte": 600, "$lt": 700}})
    with pytest.raises(PyMongoError):
        collection.insert_one({"_id": 1})
    assert seen + [d["_id"] for d in cursor] == [i for i in range(1000) if not 600 <= i < 700]


def test_a_killed_cursor_is_gone(collection: Any) -> None:
    collection.insert_many([{"_id": i} for i in range(300)])
    cursor = collection.find(batch_size=10)
    next(cursor)
    identifier = cursor.cursor_id
    cursor.close()
    with pytest.raises(OperationFailure) as caught:
        collection.database.command("getMore", Int64(identifier), collection=collection.name)
    assert caught.value.code == 43


def test_numbers_of_cursors_are_not_used_again(collection: Any) -> None:
    collection.insert_many([{"_id": i} for i in range(300)])
    command = {"find": collection.name, "batchSize": 1}
    numbers = [collection.database.command(command)["cursor"]["id"] for _ in range(20)]
    assert len(set(numbers)) == 20
    assert min(numbers) > 0 and sum(number > 2**32 for number in numbers) > 15


def test_a_document_grows_no_larger_than_16_megabytes(collection: Any) -> None:
    half = "x" * (8 * 2**20)
    collection.insert_one({"_id": 1, "a": half})
    for change in ({"$set": {"b": half}}, [{"$set": {"b": half}}]):
        with pytest.raises(OperationFailure) as caught:
            collection.update_one({"_id": 1}, change)
        assert caught.value.code in {10334, 17419}
    with pytest.raises(OperationFailure):
        collection.update_one({"_id": 2, "c": half}, {"$set": {"b": half}}, upsert=True)
    with pytest.raises(PyMongoError):
        collection.insert_one({"_id": 3, "a": half + half})
    assert [d["_id"] for d in collection.find({}, {"_id": 1})] == [1]


def test_results_larger_than_a_message_come_in_parts(collection: Any) -> None:
    collection.insert_many([{"_id": i, "blob": b"x" * 9_000_000} for i in range(3)])
    assert [len(d["blob"]) for d in collection.find()] == [9_000_000] * 3
