"""Commands on databases, collections and indexes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bson import Int64

from niobe.launchers.embedded.commands.access import Access, named
from niobe.launchers.embedded.commands.errors import CommandError, not_supported
from niobe.launchers.embedded.query.keys import key_of
from niobe.launchers.embedded.query.matching import matcher
from niobe.launchers.embedded.storage.collection import Collection

Document = dict[str, Any]
_ID_INDEX = {"v": 2, "key": {"_id": 1}, "name": "_id_"}


def list_collections(access: Access, command: Document) -> Document:
    """Collections of a database."""
    matches = matcher(command.get("filter") or {})
    with access.reading(command) as view:
        names = view.names(command["$db"])
    listed = [
        {"name": name, "type": "collection", "options": {}, "info": {"readOnly": False}, "idIndex": _ID_INDEX}
        for name in names
    ]
    return _one_batch(f"{command['$db']}.$cmd.listCollections", [found for found in listed if matches(found)])


def _one_batch(namespace: str, documents: list[Document]) -> Document:
    return {"cursor": {"firstBatch": documents, "id": Int64(0), "ns": namespace}}


def list_databases(access: Access, command: Document) -> Document:
    """Databases that hold something."""
    matches = matcher(command.get("filter") or {})
    with access.reading(command) as view:
        listed = [{"name": name, "sizeOnDisk": Int64(0), "empty": False} for name in view.databases()]
    return {"databases": [found for found in listed if matches(found)], "totalSize": Int64(0)}


def list_indexes(access: Access, command: Document) -> Document:
    """Indexes of a collection."""
    with access.reading(command) as view:
        collection = named(view, command)
    if not collection.is_created:
        raise CommandError(26, f"ns does not exist: {collection.full_name}")
    indexes = [
        {"v": 2, "name": name} | index | {"key": dict(index["key"])}
        for name, index in collection.indexes.items()
    ]
    return _one_batch(collection.full_name, [_ID_INDEX, *indexes])


def create_indexes(access: Access, command: Document) -> Document:
    """Create indexes; unique ones hold, all of them narrow equality look-ups."""
    with access.writing() as view:
        collection = named(view, command)
        before = len(collection.indexes)
        kept = dict(collection.indexes)
        for given in command["indexes"]:
            key = _key(given)
            if [field for field, _ in key] != ["_id"]:
                name = given.get("name") or "_".join(f"{field}_{order}" for field, order in key)
                options = {k: v for k, v in given.items() if k not in {"key", "v", "background", "name"}}
                _add_index(kept, name, {"key": key, **options}, collection)
        collection.change_indexes(kept)
        for name in kept.keys() - {*list(kept)[:before]}:
            _require_unique(collection, name)
    return {"numIndexesBefore": before + 1, "numIndexesAfter": len(kept) + 1}


def _key(given: Document) -> list[list[Any]]:
    key = given.get("key")
    if not isinstance(key, dict) or not key:
        raise CommandError(67, "an index needs keys")
    if any(isinstance(kind, bool) or kind not in (1, -1) for kind in key.values()):
        raise not_supported(f"an index of kind {key}")
    if "partialFilterExpression" in given:
        matcher(given["partialFilterExpression"])
    return [[field, int(kind)] for field, kind in key.items()]


def _add_index(kept: dict[str, Document], name: str, index: Document, collection: Collection) -> None:
    for known, other in kept.items():
        is_same = _by_key(other) == _by_key(index)
        if (known == name) != (other["key"] == index["key"]) or (known == name and not is_same):
            raise CommandError(86, f"{collection.full_name}: index {known} exists with other keys or options")
    kept[name] = index


def _by_key(index: Document) -> dict[str, bytes]:
    return {option: key_of(value) for option, value in index.items()}  # to Python True equals 1


def _require_unique(collection: Collection, name: str) -> None:
    index = collection.indexes[name]
    if index.get("unique"):
        for seq, document in collection.meeting([]):
            collection.ensure_unique(name, index, document, seq)


def drop_indexes(access: Access, command: Document) -> Document:
    """Drop one index by name or keys, or all of them."""
    given = command["index"]
    with access.writing() as view:
        collection = named(view, command)
        if not collection.is_created:
            raise CommandError(26, f"ns not found {collection.full_name}")
        key = [[field, kind] for field, kind in given.items()] if isinstance(given, dict) else None
        gone = {n for n, index in collection.indexes.items() if given in ("*", n) or index["key"] == key}
        if not gone and given != "*":
            raise CommandError(27, f"index not found with name [{given}]")
        collection.change_indexes({n: i for n, i in collection.indexes.items() if n not in gone})
    return {}


def create(access: Access, command: Document) -> Document:
    """Create an empty collection."""
    with access.writing() as view:
        collection = named(view, command)
        if collection.is_created:
            raise CommandError(48, f"Collection {collection.full_name} already exists.")
        collection.create()
    return {}


def drop(access: Access, command: Document) -> Document:
    """Drop a collection."""
    with access.writing() as view:
        collection = named(view, command)
        if not collection.is_created:
            raise CommandError(26, "ns not found")
        collection.drop()
    return {"ns": collection.full_name}


def drop_database(access: Access, command: Document) -> Document:
    """Drop every collection of a database."""
    with access.writing() as view:
        for name in view.names(command["$db"]):
            Collection(view, command["$db"], name).drop()
    return {"dropped": command["$db"]}


def compact(access: Access, command: Document) -> Document:
    """Give back the room of deleted documents, of all collections; other writes wait meanwhile."""
    access.compact()
    return {}


READS: dict[str, Callable[[Access, Document], Document]] = {
    "listCollections": list_collections,
    "listDatabases": list_databases,
    "listIndexes": list_indexes,
}
WRITES: dict[str, Callable[[Access, Document], Document]] = {
    "createIndexes": create_indexes,
    "dropIndexes": drop_indexes,
    "create": create,
    "drop": drop,
    "dropDatabase": drop_database,
    "compact": compact,
}
