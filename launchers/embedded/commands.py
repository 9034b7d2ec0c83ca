"""MongoDB's commands on mongomock-ng: one transaction a command, an error for what is not supported."""

from __future__ import annotations

import itertools
import sqlite3
import threading
import warnings
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import bson
from bson import Int64
from bson.errors import BSONError
from mongomock_ng import MongoClient
from pymongo import ReturnDocument
from pymongo.errors import BulkWriteError, DuplicateKeyError, OperationFailure, PyMongoError

from launchers.embedded.collection import IndexedCollection
from launchers.embedded.storage import StorageError, StoredServer

Document = dict[str, Any]
_BATCH_BYTES = 12_000_000
_FIRST_BATCH = 101
_MAX_CURSORS = 1_000
BAD_VALUE, NAMESPACE_NOT_FOUND, INDEX_NOT_FOUND, CURSOR_NOT_FOUND, COMMAND_NOT_FOUND = 2, 26, 27, 43, 59
NAMESPACE_EXISTS, NOT_IMPLEMENTED, DISK_FULL = 48, 238, 14031
_REFUSED_OPERATORS = {"$where", "$function", "$accumulator", "$jsonSchema", "$text"}
_UNSUPPORTED_OPTIONS = ("collation", "txnNumber", "autocommit", "startTransaction")
_CASE_FREE = {
    "getmore": "getMore",
    "ismaster": "isMaster",
    "buildinfo": "buildInfo",
    "findandmodify": "findAndModify",
}


class CommandError(Exception):
    """What MongoDB answers with ok: 0, a code and a message."""

    def __init__(self, code: int, name: str, message: str) -> None:
        super().__init__(message)
        self.answer = {"ok": 0.0, "errmsg": message, "code": code, "codeName": name}


class Engine:
    """Runs commands one at a time; a write is on disk before it is answered."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._store = StoredServer(connection)
        self._client: MongoClient[Document] = MongoClient(_store=self._store)
        self._collections: dict[tuple[str, str], IndexedCollection] = {}
        self._cursors: dict[int, tuple[str, list[Document]]] = {}
        self._cursor_ids = itertools.count(1)
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the file once the running command is done."""
        with self._lock:
            self._connection.close()

    def run(self, command: Document) -> Document:
        """Answer one command; every failure is an answer with ok: 0."""
        with self._lock, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return {**self._run_in_transaction(command), "ok": 1.0}
            except CommandError as error:
                return error.answer
            except Exception as error:  # noqa: BLE001 - a client's command must never end the server
                return _as_answer(error)

    def _run_in_transaction(self, command: Document) -> Document:
        name = next(iter(command))
        handler = _HANDLERS.get(_CASE_FREE.get(name.lower(), name))
        if handler is None:
            raise CommandError(COMMAND_NOT_FOUND, "CommandNotFound", f"no such command: '{name}'")
        _refuse_options(command)
        _refuse_code(command)
        if name not in _WRITES:
            return handler(self, command)
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            answer = handler(self, command)
            self._store.save_meta()
            self._connection.execute("COMMIT")
        except BaseException as error:
            self._roll_back()
            if isinstance(error, sqlite3.Error):
                raise StorageError(f"write not stored: {error}") from error
            raise
        return answer

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
        self._collections.clear()
        self._store.forget()
        self._client = MongoClient(_store=self._store)

    def collection(self, command: Document, name: str | None = None) -> IndexedCollection:
        """The collection a command names."""
        name = name or command[next(iter(command))]
        if not isinstance(name, str) or not name or name.startswith("$") or "\0" in name:
            raise CommandError(73, "InvalidNamespace", f"Invalid collection name: {name!r}")
        key = (command["$db"], name)
        if key not in self._collections:
            database = self._client[command["$db"]]
            self._collections[key] = IndexedCollection(
                database, name=name, _db_store=self._store[command["$db"]]
            )
            database._collection_accesses[name] = self._collections[key]
        return self._collections[key]

    # reads

    def find(self, command: Document) -> Document:
        """find with filter, projection, sort, skip, limit and batches."""
        collection = self.collection(command)
        cursor = collection.find(command.get("filter") or {}, command.get("projection") or None)
        if command.get("sort"):
            cursor = cursor.sort(list(command["sort"].items()))
        if command.get("skip"):
            cursor = cursor.skip(command["skip"])
        if command.get("limit"):
            cursor = cursor.limit(abs(command["limit"]))
        size = command.get("batchSize", _FIRST_BATCH)
        return self._first_batch(command, command["find"], cursor, size, command.get("singleBatch", False))

    def aggregate(self, command: Document) -> Document:
        """aggregate as mongomock-ng runs it; $out and $merge are written like any other write."""
        if not isinstance(command["aggregate"], str):
            raise CommandError(
                NOT_IMPLEMENTED, "NotImplemented", "aggregate on a whole database is not supported"
            )
        if any("$changeStream" in stage for stage in command["pipeline"]):
            raise CommandError(
                40573, "Location40573", "change streams need a replica set; use a real MongoDB"
            )
        found = self.collection(command).aggregate(command["pipeline"])
        size = (command.get("cursor") or {}).get("batchSize", _FIRST_BATCH)
        return self._first_batch(command, command["aggregate"], found, size, False)

    def _first_batch(
        self, command: Document, name: str, found: Iterable[Document], size: int, single: bool
    ) -> Document:
        namespace = f"{command['$db']}.{name}"
        documents = list(found)
        batch, rest = _split(documents, size)
        cursor = 0 if single or not rest else self._keep(namespace, rest)
        return {"cursor": {"firstBatch": batch, "id": Int64(cursor), "ns": namespace}}

    def _keep(self, namespace: str, rest: list[Document]) -> int:
        if len(self._cursors) >= _MAX_CURSORS:
            self._cursors.pop(next(iter(self._cursors)))
        identifier = next(self._cursor_ids)
        self._cursors[identifier] = (namespace, rest)
        return identifier

    def get_more(self, command: Document) -> Document:
        """The next batch of an open cursor."""
        identifier = int(command["getMore"])
        if identifier not in self._cursors:
            raise CommandError(CURSOR_NOT_FOUND, "CursorNotFound", f"cursor id {identifier} not found")
        namespace, documents = self._cursors.pop(identifier)
        batch, rest = _split(documents, command.get("batchSize") or len(documents))
        if rest:
            self._cursors[identifier] = (namespace, rest)
        return {"cursor": {"nextBatch": batch, "id": Int64(identifier if rest else 0), "ns": namespace}}

    def kill_cursors(self, command: Document) -> Document:
        """Forget open cursors."""
        killed = [c for c in command["cursors"] if self._cursors.pop(int(c), None) is not None]
        return {
            "cursorsKilled": killed,
            "cursorsNotFound": [c for c in command["cursors"] if c not in killed],
        }

    def count(self, command: Document) -> Document:
        """The count command."""
        query = command.get("query") or {}
        collection = self.collection(command)
        number = collection.count_documents(query) if query else len(collection.stored)
        number = max(0, number - command.get("skip", 0))
        return {"n": min(number, command["limit"]) if command.get("limit") else number}

    def distinct(self, command: Document) -> Document:
        """Distinct values of a field."""
        return {"values": self.collection(command).distinct(command["key"], command.get("query") or {})}

    def list_collections(self, command: Document) -> Document:
        """Collections of a database."""
        wanted = (command.get("filter") or {}).get("name")
        names = [
            name
            for name in self._store[command["$db"]].list_created_collection_names()
            if wanted is None
            or (name in wanted.get("$in", []) if isinstance(wanted, dict) else name == wanted)
        ]
        listed = [
            {
                "name": n,
                "type": "collection",
                "options": {},
                "info": {"readOnly": False},
                "idIndex": _ID_INDEX,
            }
            for n in sorted(names)
        ]
        return {
            "cursor": {"firstBatch": listed, "id": Int64(0), "ns": f"{command['$db']}.$cmd.listCollections"}
        }

    def list_databases(self, command: Document) -> Document:
        """Databases that hold something."""
        names = sorted(self._store.list_created_database_names())
        return {"databases": [{"name": n, "sizeOnDisk": 0, "empty": False} for n in names], "totalSize": 0}

    def list_indexes(self, command: Document) -> Document:
        """Indexes of a collection."""
        collection = self.collection(command)
        if not collection.stored.is_created:
            raise CommandError(NAMESPACE_NOT_FOUND, "NamespaceNotFound", "ns does not exist")
        listed = [_ID_INDEX]
        for name, index in collection.stored.indexes.items():
            listed.append({"v": 2, "name": name} | index | {"key": dict(index["key"])})
        namespace = f"{command['$db']}.{collection.name}"
        return {"cursor": {"firstBatch": listed, "id": Int64(0), "ns": namespace}}

    # writes

    def insert(self, command: Document) -> Document:
        """Insert documents, stopping at the first error where ordered."""
        collection = self.collection(command)
        return _each(collection, command, "documents", _insert)

    def update(self, command: Document) -> Document:
        """Update, replace or upsert."""
        collection = self.collection(command)
        return _each(collection, command, "updates", _update)

    def delete(self, command: Document) -> Document:
        """Delete one or all that match."""
        collection = self.collection(command)
        return _each(collection, command, "deletes", _delete)

    def find_and_modify(self, command: Document) -> Document:
        """findAndModify: update, replace or remove one document and return it."""
        collection = self.collection(command)
        query, sort = command.get("query") or {}, list((command.get("sort") or {}).items()) or None
        fields = command.get("fields")
        if command.get("remove"):
            value = collection.find_one_and_delete(query, fields, sort)
            return {"value": value, "lastErrorObject": {"n": int(value is not None)}}
        change, upsert = command["update"], bool(command.get("upsert"))
        after = ReturnDocument.AFTER if command.get("new") else ReturnDocument.BEFORE
        existed = collection.find_one(query) is not None
        method = collection.find_one_and_update if _has_operators(change) else collection.find_one_and_replace
        extra = {"array_filters": command["arrayFilters"]} if command.get("arrayFilters") else {}
        value = method(query, change, fields, sort, upsert, return_document=after, **extra)
        done = {"n": int(existed or upsert), "updatedExisting": existed}
        return {"value": value, "lastErrorObject": done}

    def create_indexes(self, command: Document) -> Document:
        """Create indexes; unique ones hold, all of them narrow equality look-ups."""
        collection = self.collection(command)
        before = len(collection.stored.indexes)
        for index in command["indexes"]:
            _refuse_options(index)
            if any(kind not in (1, -1, 1.0, -1.0) for kind in index["key"].values()):
                raise CommandError(
                    NOT_IMPLEMENTED, "NotImplemented", f"index kind {index['key']} is not supported"
                )
            if list(index["key"]) == ["_id"]:
                continue
            options = {k: v for k, v in index.items() if k not in {"key", "v", "background"}}
            collection.create_index([(field, int(kind)) for field, kind in index["key"].items()], **options)
        return {"numIndexesBefore": before + 1, "numIndexesAfter": len(collection.stored.indexes) + 1}

    def drop_indexes(self, command: Document) -> Document:
        """Drop one index by name or keys, or all of them."""
        collection, index = self.collection(command), command["index"]
        if index == "*":
            collection.drop_indexes()
            return {}
        name = index if isinstance(index, str) else "_".join(f"{k}_{v}" for k, v in index.items())
        if name not in collection.stored.indexes:
            raise CommandError(INDEX_NOT_FOUND, "IndexNotFound", f"index not found with name [{name}]")
        collection.drop_index(name)
        return {}

    def create(self, command: Document) -> Document:
        """Create an empty collection."""
        collection = self.collection(command)
        if collection.stored.is_created:
            raise CommandError(
                NAMESPACE_EXISTS, "NamespaceExists", f"Collection {collection.name} already exists."
            )
        unknown = [
            key
            for key in command
            if key in {"validator", "capped", "timeseries", "viewOn", "encryptedFields"}
        ]
        if unknown:
            raise CommandError(NOT_IMPLEMENTED, "NotImplemented", f"create: {unknown[0]} is not supported")
        collection.stored.create()
        return {}

    def drop(self, command: Document) -> Document:
        """Drop a collection."""
        collection = self.collection(command)
        if not collection.stored.is_created:
            raise CommandError(NAMESPACE_NOT_FOUND, "NamespaceNotFound", "ns not found")
        collection.stored.drop()
        return {"ns": f"{command['$db']}.{collection.name}"}

    def drop_database(self, command: Document) -> Document:
        """Drop every collection of a database."""
        for collection in self._store[command["$db"]].opened():
            collection.drop()
        return {"dropped": command["$db"]}

    # the server itself

    def hello(self, command: Document) -> Document:
        """The handshake: what this server can do (no sessions, so no transactions)."""
        return {
            "helloOk": True,
            "ismaster": True,
            "isWritablePrimary": True,
            "maxBsonObjectSize": 16_777_216,
            "maxMessageSizeBytes": 48_000_000,
            "maxWriteBatchSize": 100_000,
            "localTime": datetime.now(UTC),
            "minWireVersion": 0,
            "maxWireVersion": 21,
            "readOnly": False,
        }

    def build_info(self, command: Document) -> Document:
        """Says plainly what this is."""
        return {"version": "7.0.0", "versionArray": [7, 0, 0, 0], "modules": ["niobe-embedded"], "bits": 64}

    def nothing(self, command: Document) -> Document:
        """Commands that need no answer but ok."""
        return {}


_ID_INDEX = {"v": 2, "key": {"_id": 1}, "name": "_id_"}
_Handler = Callable[[Engine, Document], Document]
_Statement = Callable[[IndexedCollection, Document], Document]
_HANDLERS: dict[str, _Handler] = {
    "find": Engine.find,
    "aggregate": Engine.aggregate,
    "getMore": Engine.get_more,
    "killCursors": Engine.kill_cursors,
    "count": Engine.count,
    "distinct": Engine.distinct,
    "listCollections": Engine.list_collections,
    "listDatabases": Engine.list_databases,
    "listIndexes": Engine.list_indexes,
    "insert": Engine.insert,
    "update": Engine.update,
    "delete": Engine.delete,
    "findAndModify": Engine.find_and_modify,
    "createIndexes": Engine.create_indexes,
    "dropIndexes": Engine.drop_indexes,
    "create": Engine.create,
    "drop": Engine.drop,
    "dropDatabase": Engine.drop_database,
    "hello": Engine.hello,
    "isMaster": Engine.hello,
    "buildInfo": Engine.build_info,
    "ping": Engine.nothing,
    "endSessions": Engine.nothing,
}
_WRITES = {
    *("insert", "update", "delete", "findAndModify", "findandmodify", "aggregate"),
    *("create", "drop", "createIndexes", "dropIndexes", "dropDatabase"),
}


def _refuse_options(command: Document) -> None:
    for option in _UNSUPPORTED_OPTIONS:
        if option in command:
            raise CommandError(
                NOT_IMPLEMENTED, "NotImplemented", f"{option} is not supported; use a real MongoDB"
            )


def _refuse_code(value: Any) -> None:
    """mongomock-ng would evaluate these as Python, or not at all."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in _REFUSED_OPERATORS:
                raise CommandError(
                    NOT_IMPLEMENTED, "NotImplemented", f"{key} is not supported; use a real MongoDB"
                )
            _refuse_code(inner)
    elif isinstance(value, list):
        for inner in value:
            _refuse_code(inner)


def _split(documents: list[Document], count: int) -> tuple[list[Document], list[Document]]:
    """At most ``count`` documents and _BATCH_BYTES, and the rest."""
    size = 0
    for position, document in enumerate(documents[:count]):
        size += len(bson.encode(document))
        if size > _BATCH_BYTES and position:
            return documents[:position], documents[position:]
    return documents[:count], documents[count:]


def _each(collection: IndexedCollection, command: Document, key: str, apply: _Statement) -> Document:
    """Apply statements in order and gather counts and write errors as MongoDB answers them."""
    total: Document = {"n": 0}
    errors: list[Document] = []
    for index, statement in enumerate(command[key]):
        try:
            done = apply(collection, statement)
        except (PyMongoError, NotImplementedError, TypeError, ValueError, BSONError) as error:
            collection.stored.forget()
            answer = _as_answer(error)
            if answer["code"] == NOT_IMPLEMENTED:
                raise
            errors.append({"index": index, "code": answer["code"], "errmsg": answer["errmsg"]})
            if command.get("ordered", True):
                break
            continue
        total["n"] += done["n"]
        if "nModified" in done:
            total["nModified"] = total.get("nModified", 0) + done["nModified"]
        if "upserted" in done:
            total.setdefault("upserted", []).append({"index": index, "_id": done["upserted"]})
    if key == "updates":
        total.setdefault("nModified", 0)
    return total | ({"writeErrors": errors} if errors else {})


def _insert(collection: IndexedCollection, document: Document) -> Document:
    collection.insert_one(document)
    return {"n": 1}


def _update(collection: IndexedCollection, statement: Document) -> Document:
    _refuse_options(statement)
    query, change, upsert = statement["q"], statement["u"], bool(statement.get("upsert"))
    extra = {"array_filters": statement["arrayFilters"]} if statement.get("arrayFilters") else {}
    if not _has_operators(change):
        result = collection.replace_one(query, change, upsert)
    elif statement.get("multi"):
        result = collection.update_many(query, change, upsert, **extra)
    else:
        result = collection.update_one(query, change, upsert, **extra)
    answer = {"n": result.matched_count, "nModified": result.modified_count}
    if result.upserted_id is not None:
        answer |= {"n": 1, "nModified": 0, "upserted": result.upserted_id}
    return answer


def _delete(collection: IndexedCollection, statement: Document) -> Document:
    _refuse_options(statement)
    method = collection.delete_one if statement.get("limit") == 1 else collection.delete_many
    return {"n": method(statement["q"]).deleted_count}


def _has_operators(change: Any) -> bool:
    return isinstance(change, list) or any(key.startswith("$") for key in change)


def _as_answer(error: Exception) -> Document:
    """An exception as MongoDB would put it."""
    if isinstance(error, DuplicateKeyError):
        return {"ok": 0.0, "code": 11000, "codeName": "DuplicateKey", "errmsg": str(error)}
    if isinstance(error, BulkWriteError):
        return {"ok": 0.0, "code": error.code or BAD_VALUE, "codeName": "BulkWrite", "errmsg": str(error)}
    if isinstance(error, OperationFailure):
        return {
            "ok": 0.0,
            "code": error.code or BAD_VALUE,
            "codeName": "OperationFailed",
            "errmsg": str(error),
        }
    if isinstance(error, NotImplementedError):
        message = f"not supported by the embedded database: {error}"
        return {"ok": 0.0, "code": NOT_IMPLEMENTED, "codeName": "NotImplemented", "errmsg": message}
    if isinstance(error, StorageError):
        return {"ok": 0.0, "code": DISK_FULL, "codeName": "OutOfDiskSpace", "errmsg": str(error)}
    return {
        "ok": 0.0,
        "code": BAD_VALUE,
        "codeName": "BadValue",
        "errmsg": f"{type(error).__name__}: {error}",
    }
