"""What FireWorks, jobflow and a person's pymongo shell ask of the embedded server."""

from __future__ import annotations

import functools
import multiprocessing
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import gridfs
import mongomock_ng
import pymongo
import pytest
from bson import Binary, Int64, ObjectId
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo import ReturnDocument
from pymongo.errors import BulkWriteError, DuplicateKeyError, OperationFailure, PyMongoError

from config.errors import ConfigError
from launchers.embedded import ensure_server, server_status, stop_server
from launchers.embedded.indexing import index_key


def connect(uri: str, **options: Any) -> pymongo.MongoClient[dict[str, Any]]:
    return pymongo.MongoClient(uri, **options)


def pid_of(folder: Path) -> int:
    info = server_status(folder)
    assert info is not None
    return info.pid


EMBEDDED_ONLY = pytest.mark.skipif(
    "NIOBE_TEST_MONGO_URI" in os.environ, reason="about the embedded server itself, not MongoDB"
)


@pytest.fixture
def collection(mongo_uri: str) -> Iterator[Any]:
    with connect(mongo_uri) as client:
        name = f"t{ObjectId()}"
        yield client["embedded"][name]
        client["embedded"].drop_collection(name)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "db"
    stop_server(tmp_path / "db")


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
    | st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1)).map(lambda d: d.replace(microsecond=0))
    | st.binary(max_size=30)
    | st.builds(ObjectId)
)
KEYS = st.text(st.characters(codec="ascii", categories=["L"]), min_size=1, max_size=5)
VALUES = st.recursive(
    SCALARS, lambda v: st.lists(v, max_size=3) | st.dictionaries(KEYS, v, max_size=3), max_leaves=8
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(VALUES)
def test_types_come_back_as_they_went_in(collection: Any, value: Any) -> None:
    inserted = collection.insert_one({"v": value}).inserted_id
    assert collection.find_one({"_id": inserted})["v"] == value


def test_exact_types_and_nan(collection: Any) -> None:
    collection.insert_one(
        {"_id": 1, "long": Int64(3), "bin": Binary(b"x", 5), "nan": float("nan"), "t": True}
    )
    found = collection.find_one({"_id": 1})
    assert [type(found[k]) for k in ("long", "bin", "t")] == [Int64, Binary, bool]
    assert found["nan"] != found["nan"]


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


def test_a_refused_update_leaves_the_document_as_it_was(collection: Any) -> None:
    collection.insert_one({"_id": 1, "s": "text", "n": 1})
    with pytest.raises(PyMongoError):
        collection.update_one({"_id": 1}, {"$set": {"n": 2}, "$inc": {"s": 1}})
    assert collection.find_one({"_id": 1}) == {"_id": 1, "s": "text", "n": 1}


@pytest.mark.parametrize(
    ("command", "code"),
    [({"nonsense": 1}, 59), ({"listIndexes": "absent"}, 26), ({"getMore": Int64(99), "collection": "c"}, 43)],
)
def test_errors_have_mongodbs_codes(mongo_uri: str, command: dict[str, Any], code: int) -> None:
    with connect(mongo_uri) as client, pytest.raises(OperationFailure) as caught:
        client["embedded"].command(command)
    assert caught.value.code == code


def test_creating_twice_is_refused(mongo_uri: str) -> None:
    with connect(mongo_uri) as client:
        name = f"t{ObjectId()}"
        client["embedded"].command("create", name)
        with pytest.raises(OperationFailure) as caught:
            client["embedded"].command("create", name)
        assert caught.value.code == 48


@EMBEDDED_ONLY
def test_what_is_not_supported_is_refused_loudly(collection: Any) -> None:
    collection.insert_one({"a": "x"})
    with pytest.raises(OperationFailure, match="collation"):
        list(collection.find({"a": "X"}).collation({"locale": "en", "strength": 2}))
    with pytest.raises(OperationFailure, match="not supported"):
        collection.create_index([("a", "text")])
    refused: list[dict[str, Any]] = [{"$where": "1"}, {"$jsonSchema": {}}, {"$text": {"$search": "x"}}]
    for operator in refused:
        with pytest.raises(OperationFailure, match="not supported"):
            collection.find_one(operator)
    with pytest.raises(OperationFailure):
        collection.watch()
    with collection.database.client.start_session() as session, pytest.raises(PyMongoError):
        collection.insert_one({}, session=session)


DOCUMENTS = [
    {
        "_id": i,
        "n": i % 5,
        "f": i / 2,
        "s": f"s{i % 3}",
        "l": [i, i % 4],
        "d": {"x": i % 2, "y": [{"z": i % 6}]},
    }
    for i in range(24)
] + [{"_id": "odd", "n": None, "s": "s1"}, {"_id": "more", "n": True, "l": []}]
FILTERS: list[dict[str, Any]] = [
    {},
    {"n": 1},
    {"n": 1.0},
    {"n": {"$in": [1, 2, None]}},
    {"n": None},
    {"n": {"$ne": 1}},
    {"n": {"$gt": 2}},
    {"s": "s1"},
    {"l": 3},
    {"l": {"$size": 0}},
    {"l": {"$all": [1]}},
    {"d.x": 1},
    {"d.y.z": 2},
    {"d.y.0.z": 2},
    {"s": {"$regex": "^s[12]"}},
    {"$or": [{"n": 1}, {"s": "s2"}]},
    {"$and": [{"n": 1}, {"s": "s1"}]},
    {"n": {"$exists": False}},
    {"_id": 3},
    {"_id": {"$in": [1, "odd", 99]}},
    {"_id": {"$gte": 20}},
    {"f": {"$mod": [2, 0]}},
    {"n": {"$type": "bool"}},
    {"l": {"$elemMatch": {"$gt": 20}}},
    {"d": {"x": 0, "y": [{"z": 0}]}},
    {"n": {"$not": {"$gt": 2}}},
    {"n": {"$nin": [0, 1]}},
    {"s": {"$eq": "s0"}},
    {"n": {"$bogus": 1}},
]
UPDATES: list[Any] = [
    {"$set": {"n": 9}},
    {"$inc": {"n": 1}},
    {"$unset": {"s": ""}},
    {"$push": {"l": 7}},
    {"$addToSet": {"l": 1}},
    {"$pull": {"l": 1}},
    {"$set": {"d.x": 5, "q.r": 1}},
    {"$min": {"f": 1}},
    {"$max": {"f": 3}},
    {"$mul": {"f": 2}},
    {"$rename": {"s": "t"}},
    {"$setOnInsert": {"z": 1}},
    {"$inc": {"s": 1}},
    {"$set": {"_id": 77}},
    {"$bogus": {"n": 1}},
]
PIPELINES: list[list[dict[str, Any]]] = [
    [{"$match": {"n": 1}}],
    [{"$group": {"_id": "$s", "c": {"$sum": 1}, "m": {"$max": "$f"}}}, {"$sort": {"_id": 1}}],
    [{"$unwind": "$l"}, {"$sort": {"l": 1, "_id": 1}}],
    [{"$match": {"f": {"$gt": 3}}}, {"$project": {"f": 1, "two": {"$multiply": ["$f", 2]}}}],
    [{"$sort": {"f": -1}}, {"$skip": 2}, {"$limit": 3}],
    [{"$count": "all"}],
    [{"$addFields": {"k": {"$concat": ["$s", "!"]}}}, {"$match": {"k": "s1!"}}],
    [{"$bogus": 1}],
]


def outcome(act: Any) -> Any:
    """What an action answers, or the kind and code of its error."""
    try:
        return act()
    except (OperationFailure, NotImplementedError, TypeError, ValueError, pymongo.errors.WriteError) as error:
        return "error", getattr(error, "code", None) == 11000


def apply_all(collection: Any, filter: Any, update: Any) -> Any:
    """One and many updates and a findAndModify, and what each says."""
    one = collection.update_one(filter, update)
    many = collection.update_many(filter, update)
    found = collection.find_one_and_update(filter, update, return_document=ReturnDocument.AFTER)
    return one.matched_count, one.modified_count, many.matched_count, many.modified_count, found


def local_collection() -> Any:
    client: Any = mongomock_ng.MongoClient()
    return client["x"]["y"]


@pytest.fixture(scope="module")
def twins(mongo_uri: str) -> Iterator[tuple[Any, Any]]:
    """The same documents in the server, indexed, and in mongomock-ng in this process."""
    with connect(mongo_uri) as client:
        served, local = client["embedded"][f"t{ObjectId()}"], local_collection()
        for field in ("n", "s", "l", "d.x", "d.y.z"):
            served.create_index(field)
        yield served, local
        served.drop()


def fill(twins: tuple[Any, Any]) -> tuple[Any, Any]:
    for twin in twins:
        twin.delete_many({})
        twin.insert_many([dict(document) for document in DOCUMENTS])
    return twins


@EMBEDDED_ONLY
@pytest.mark.parametrize("filter", FILTERS, ids=str)
def test_finds_what_mongomock_finds(twins: tuple[Any, Any], filter: dict[str, Any]) -> None:
    served, local = fill(twins)
    for ask in (
        lambda c: list(c.find(filter)),
        lambda c: c.count_documents(filter),
        lambda c: list(c.find(filter, {"n": 1}, sort=[("f", -1), ("_id", 1)], limit=3, skip=1)),
    ):
        assert outcome(functools.partial(ask, served)) == outcome(functools.partial(ask, local))


@EMBEDDED_ONLY
@pytest.mark.parametrize("update", UPDATES, ids=str)
def test_updates_as_mongomock_does(twins: tuple[Any, Any], update: Any) -> None:
    for filter in ({"n": 1}, {"_id": 3}, {"_id": "new"}):
        served, local = fill(twins)
        answers = [outcome(functools.partial(apply_all, twin, filter, update)) for twin in (served, local)]
        assert answers[0] == answers[1]
        if answers[0] != ("error", False):
            assert list(served.find()) == list(local.find())


@EMBEDDED_ONLY
@pytest.mark.parametrize("pipeline", PIPELINES, ids=str)
def test_aggregates_as_mongomock_does(twins: tuple[Any, Any], pipeline: list[dict[str, Any]]) -> None:
    served, local = fill(twins)
    assert outcome(lambda: list(served.aggregate(pipeline))) == outcome(
        lambda: list(local.aggregate(pipeline))
    )


@given(st.integers(-(2**53), 2**53))
def test_numbers_mongodb_calls_equal_share_an_index_key(value: int) -> None:
    assert index_key(value) == index_key(float(value)) == index_key(Int64(value))


def test_an_index_made_later_finds_what_was_there(collection: Any) -> None:
    collection.insert_many([{"a": i % 10, "b": [i, {"c": i % 3}]} for i in range(100)])
    before = [list(collection.find(query)) for query in ({"a": 3}, {"b.c": 2}, {"b": 7})]
    collection.create_index("a")
    collection.create_index("b.c")
    collection.create_index("b")
    assert [list(collection.find(query)) for query in ({"a": 3}, {"b.c": 2}, {"b": 7})] == before


def test_cursors_go_on_in_batches(collection: Any) -> None:
    collection.insert_many([{"_id": i} for i in range(1000)])
    assert [d["_id"] for d in collection.find(batch_size=37)] == list(range(1000))


def test_gridfs_round_trip_of_20_mb(mongo_uri: str) -> None:
    blob = os.urandom(20_000_000)
    with connect(mongo_uri) as client:
        files = gridfs.GridFS(client["embedded"], f"g{ObjectId()}")
        assert files.get(files.put(blob)).read() == blob


def count_up(uri: str, name: str, times: int) -> None:
    with connect(uri) as client:
        for _ in range(times):
            client["embedded"][name].find_one_and_update({"_id": "c"}, {"$inc": {"n": 1}}, upsert=True)


def test_a_counter_from_8_processes_is_exact(mongo_uri: str, collection: Any) -> None:
    collection.insert_one({"_id": "c", "n": 0})
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=count_up, args=(mongo_uri, collection.name, 25)) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert collection.find_one({"_id": "c"})["n"] == 200


@EMBEDDED_ONLY
def test_kill_9_loses_no_acknowledged_write(folder: Path) -> None:
    acknowledged: list[int] = []
    number = 0
    for round_number in range(8):
        uri = ensure_server(folder)
        pid = pid_of(folder)
        killer = threading.Timer(0.15 + 0.05 * round_number, os.kill, (pid, signal.SIGKILL))
        killer.start()
        with connect(uri, serverSelectionTimeoutMS=500) as client:
            try:
                while True:
                    client["x"]["y"].insert_many([{"_id": 2 * number}, {"_id": 2 * number + 1}])
                    acknowledged += [2 * number, 2 * number + 1]
                    number += 1
            except PyMongoError:
                number += 1
        killer.join()
    with connect(ensure_server(folder)) as client:
        stored = {d["_id"] for d in client["x"]["y"].find()}
    assert acknowledged
    assert set(acknowledged) <= stored
    assert {i ^ 1 for i in stored} == stored, "an insert_many was half applied"


@EMBEDDED_ONLY
def test_a_second_server_refuses_and_names_the_first(folder: Path) -> None:
    ensure_server(folder)
    command = [sys.executable, "-m", "launchers.embedded.server", str(folder)]
    second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert second.returncode == 3
    assert str(pid_of(folder)) in second.stderr
    assert ensure_server(folder).startswith("mongodb://")


@EMBEDDED_ONLY
def test_flipped_bytes_are_a_clear_error(folder: Path) -> None:
    with connect(ensure_server(folder)) as client:
        client["x"]["y"].insert_many([{"i": i, "s": "x" * 500} for i in range(200)])
    stop_server(folder)
    file = folder / "niobe.sqlite"
    content = bytearray(file.read_bytes())
    content[100:6000] = os.urandom(5900)
    file.write_bytes(content)
    with pytest.raises(ConfigError, match="damaged"):
        ensure_server(folder)


@EMBEDDED_ONLY
def test_malformed_frames_harm_nobody(folder: Path) -> None:
    uri = ensure_server(folder)
    path = unquote(uri.removeprefix("mongodb://").split("/?")[0])
    with connect(uri) as bystander:
        bystander["x"]["y"].insert_one({"_id": 1})
        for i in range(200):
            with socket.socket(socket.AF_UNIX) as peer:
                peer.connect(path)
                peer.sendall(_bad_frame(i))
        assert bystander["x"]["y"].find_one({"_id": 1}) == {"_id": 1}


def _bad_frame(kind: int) -> bytes:
    body = os.urandom(kind % 50)
    lengths = (16 + len(body), 2**31 - 1, -5, 3, 47_000_000)
    opcodes = (2013, 2004, 1, 0)
    return struct.pack("<iiii", lengths[kind % 5], kind, 0, opcodes[kind % 4]) + body


@EMBEDDED_ONLY
def test_a_long_folder_gets_a_short_socket(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 60) / ("y" * 60)
    try:
        with connect(ensure_server(deep)) as client:
            assert client.admin.command("ping")["ok"] == 1
    finally:
        stop_server(deep)
