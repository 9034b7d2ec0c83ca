"""Commands on databases, collections and indexes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bson import Int64

from niobe.launchers.embedded.commands.errors import CommandError, not_supported
from niobe.launchers.embedded.commands.refusals import refuse_options

if TYPE_CHECKING:
    from niobe.launchers.embedded.commands.engine import Engine

Document = dict[str, Any]
_ID_INDEX = {"v": 2, "key": {"_id": 1}, "name": "_id_"}
_CREATE_OPTIONS = ("validator", "capped", "timeseries", "viewOn", "encryptedFields", "clusteredIndex")


def list_collections(engine: Engine, command: Document) -> Document:
    """Collections of a database."""
    filter = command.get("filter") or {}
    if set(filter) - {"name", "type"}:
        raise not_supported(f"listCollections by {sorted(filter)}")
    names = engine.store[command["$db"]].list_created_collection_names()
    listed = [
        {"name": name, "type": "collection", "options": {}, "info": {"readOnly": False}, "idIndex": _ID_INDEX}
        for name in sorted(names)
        if _is_wanted(name, filter.get("name"))
    ]
    return _one_batch(f"{command['$db']}.$cmd.listCollections", listed)


def _is_wanted(name: str, wanted: Any) -> bool:
    if isinstance(wanted, dict):
        if list(wanted) != ["$in"]:
            raise not_supported(f"listCollections by name {wanted}")
        return name in wanted["$in"]
    return wanted is None or name == wanted


def _one_batch(namespace: str, documents: list[Document]) -> Document:
    return {"cursor": {"firstBatch": documents, "id": Int64(0), "ns": namespace}}


def list_databases(engine: Engine, command: Document) -> Document:
    """Databases that hold something."""
    names = sorted(engine.store.list_created_database_names())
    return {"databases": [{"name": n, "sizeOnDisk": 0, "empty": False} for n in names], "totalSize": 0}


def list_indexes(engine: Engine, command: Document) -> Document:
    """Indexes of a collection."""
    collection = engine.collection(command)
    if not collection.stored.is_created:
        raise CommandError(26, f"ns does not exist: {collection.full_name}")
    indexes = [
        {"v": 2, "name": name} | index | {"key": dict(index["key"])}
        for name, index in collection.stored.indexes.items()
    ]
    return _one_batch(collection.full_name, [_ID_INDEX, *indexes])


def create_indexes(engine: Engine, command: Document) -> Document:
    """Create indexes; unique ones hold, all of them narrow equality look-ups."""
    collection = engine.collection(command)
    before = len(collection.stored.indexes)
    for index in command["indexes"]:
        refuse_options(index)
        if any(kind not in (1, -1) for kind in index["key"].values()):
            raise not_supported(f"an index of kind {index['key']}")
        if list(index["key"]) != ["_id"]:
            options = {k: v for k, v in index.items() if k not in {"key", "v", "background"}}
            collection.create_index([(field, int(kind)) for field, kind in index["key"].items()], **options)
    return {"numIndexesBefore": before + 1, "numIndexesAfter": len(collection.stored.indexes) + 1}


def drop_indexes(engine: Engine, command: Document) -> Document:
    """Drop one index by name or keys, or all of them."""
    collection, index = engine.collection(command), command["index"]
    if index == "*":
        collection.drop_indexes()
        return {}
    name = index if isinstance(index, str) else "_".join(f"{k}_{v}" for k, v in index.items())
    if name not in collection.stored.indexes:
        raise CommandError(27, f"index not found with name [{name}]")
    collection.drop_index(name)
    return {}


def create(engine: Engine, command: Document) -> Document:
    """Create an empty collection."""
    collection = engine.collection(command)
    if collection.stored.is_created:
        raise CommandError(48, f"Collection {collection.full_name} already exists.")
    for option in _CREATE_OPTIONS:
        if option in command:
            raise not_supported(f"create with {option}")
    collection.stored.create()
    return {}


def drop(engine: Engine, command: Document) -> Document:
    """Drop a collection."""
    collection = engine.collection(command)
    if not collection.stored.is_created:
        raise CommandError(26, "ns not found")
    collection.stored.drop()
    return {"ns": collection.full_name}


def drop_database(engine: Engine, command: Document) -> Document:
    """Drop every collection of a database."""
    for collection in engine.store[command["$db"]].opened():
        collection.drop()
    return {"dropped": command["$db"]}


READS = {"listCollections": list_collections, "listDatabases": list_databases, "listIndexes": list_indexes}
WRITES = {
    "createIndexes": create_indexes,
    "dropIndexes": drop_indexes,
    "create": create,
    "drop": drop,
    "dropDatabase": drop_database,
}
