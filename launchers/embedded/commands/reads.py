"""Commands that read: find, aggregate, count, distinct and the cursors they leave open."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from mongomock_ng.aggregate import process_pipeline

from niobe.launchers.embedded.commands.errors import CommandError, not_supported
from niobe.launchers.embedded.query.pace import apart
from niobe.launchers.embedded.storage.collection import IndexedCollection

if TYPE_CHECKING:
    from niobe.launchers.embedded.commands.engine import Engine

Document = dict[str, Any]
_FIRST_BATCH = 101
_READING_STAGES = {"$lookup", "$unionWith", "$out", "$merge"}  # they need the file
_COUNT_STAGE = {"$group": {"_id": 1, "n": {"$sum": 1}}}


def find(engine: Engine, command: Document) -> Document:
    """find with filter, projection, sort, skip, limit and batches."""
    collection, filter = engine.collection(command), command.get("filter") or {}
    sort, skip = list((command.get("sort") or {}).items()), command.get("skip") or 0
    limit, projection = abs(command.get("limit") or 0), command.get("projection") or None
    found = None
    if "hint" in command and not projection:
        found = collection.hinted(filter, sort, skip, limit)
    if found is None:
        found = collection.select(filter, projection=projection, sort=sort, skip=skip, limit=limit or None)
    size, only = command.get("batchSize", _FIRST_BATCH), command.get("singleBatch", False)
    return engine.cursors.first(
        f"{command['$db']}.{command['find']}", found, limit if only else size, only=only
    )


def aggregate(engine: Engine, command: Document) -> Document:
    """aggregate as mongomock-ng runs it; $out and $merge are written like any other write."""
    if not isinstance(command["aggregate"], str):
        raise not_supported("aggregate on a whole database")
    if any("$changeStream" in stage for stage in command["pipeline"]):
        raise CommandError(40573, "change streams need a replica set; use a real MongoDB")
    collection, pipeline = engine.collection(command), command["pipeline"]
    size = (command.get("cursor") or {}).get("batchSize", _FIRST_BATCH)
    found = _run_pipeline(collection, pipeline, hinted="hint" in command)
    return engine.cursors.first(f"{command['$db']}.{collection.name}", found, size, only=False)


def _run_pipeline(
    collection: IndexedCollection, pipeline: list[Document], *, hinted: bool
) -> Iterator[Document]:
    filter, rest = {}, pipeline
    if pipeline and list(pipeline[0]) == ["$match"]:
        filter, rest = pipeline[0]["$match"], pipeline[1:]
    if rest == [_COUNT_STAGE]:
        number = collection.count_matching(filter, hinted=hinted)
        return iter([{"_id": 1, "n": number}] if number else [])
    fields = _fields_needed(rest[0]) if rest else None
    documents = (_trimmed(document, fields) for document in collection.select(filter))
    found = list(documents)
    with contextlib.nullcontext() if _names(rest) & _READING_STAGES else apart():
        return iter(process_pipeline(found, collection.database, rest, None))


def _names(value: Any) -> set[str]:
    """Keys anywhere in a pipeline."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return set(value if isinstance(value, dict) else ()).union(*map(_names, inner))


def _fields_needed(stage: Document) -> set[str] | None:
    """Top-level fields a stage looks at, or None where it passes documents on."""
    if list(stage) == ["$count"]:
        return set()
    if list(stage) != ["$group"]:
        return None
    paths = list(_expressions(stage["$group"]))
    return None if any(path.startswith("$$") for path in paths) else {p[1:].split(".")[0] for p in paths}


def _expressions(value: Any) -> Iterator[str]:
    if isinstance(value, str) and value.startswith("$"):
        yield value
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for item in inner:
        yield from _expressions(item)


def _trimmed(document: Document, fields: set[str] | None) -> Document:
    if fields is None:
        return document
    return {field: document[field] for field in fields if field in document}


def get_more(engine: Engine, command: Document) -> Document:
    """The next batch of an open cursor."""
    return engine.cursors.more(int(command["getMore"]), command.get("batchSize") or None)


def kill_cursors(engine: Engine, command: Document) -> Document:
    """Forget open cursors."""
    return engine.cursors.close([int(cursor) for cursor in command["cursors"]])


def count(engine: Engine, command: Document) -> Document:
    """The count command."""
    number = engine.collection(command).count_matching(command.get("query") or {})
    number = max(0, number - command.get("skip", 0))
    return {"n": min(number, command["limit"]) if command.get("limit") else number}


def distinct(engine: Engine, command: Document) -> Document:
    """Distinct values of a field."""
    return {"values": engine.collection(command).distinct(command["key"], command.get("query") or {})}


READS = {
    "find": find,
    "aggregate": aggregate,
    "getMore": get_more,
    "killCursors": kill_cursors,
    "count": count,
    "distinct": distinct,
}
