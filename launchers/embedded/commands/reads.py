"""Commands that read: find, aggregate, count, distinct and the cursors they leave open."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import bson
from bson import Int64

from niobe.launchers.embedded.aggregation.stages import run_stages
from niobe.launchers.embedded.commands.access import Access, named
from niobe.launchers.embedded.commands.cursors import Cursor
from niobe.launchers.embedded.commands.errors import CommandError, not_supported
from niobe.launchers.embedded.query.matching import matcher
from niobe.launchers.embedded.query.projecting import projection
from niobe.launchers.embedded.query.sorting import sort_of
from niobe.launchers.embedded.storage.collection import Collection
from niobe.launchers.embedded.storage.documents import Document, View
from niobe.launchers.embedded.wire import MAX_DOCUMENT_BYTES

_FIRST_BATCH = 101
_COUNT_STAGES = [{"$group": {"_id": 1, "n": {"$sum": 1}}}]
_COUNT_BYTES = bson.encode({"": _COUNT_STAGES})  # to compare: to Python True equals 1


def whole(given: Document, name: str, default: int = 0) -> int:
    """An option that is a whole number, not negative. Raises CommandError.

    given: the command. name: of the option. default: where it is left out.
    """
    value = given.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value) or value < 0:
        raise CommandError(2, f"{name} must be a whole number, not negative")
    return int(value)


def _filter(given: Any) -> Document:
    if given is None:
        return {}
    matcher(given)
    return dict(given)


def _hinted(view: View, command: Document) -> Collection:
    """The collection of a command. Raises CommandError for a hint that it has no index for."""
    collection = named(view, command)
    collection.require_hinted(command.get("hint"))
    return collection


def find(access: Access, command: Document) -> Document:
    """find with filter, projection, sort, skip, limit and batches."""
    filter, sort = _filter(command.get("filter")), sort_of(command.get("sort") or {})
    limit, only = command.get("limit") or 0, bool(command.get("singleBatch"))
    only, command = (True, {**command, "limit": -limit}) if limit < 0 else (only, command)
    skip, limit = whole(command, "skip"), whole(command, "limit")
    with access.reading(command) as view:
        collection = _hinted(view, command)
        found = collection.hinted(filter, sort, skip, limit) if "hint" in command else None
        if found is None:
            found = collection.select(filter, sort=sort, skip=skip, limit=limit or None)
        documents: Iterator[Document] = (document for _, document in found)
        if command.get("projection"):
            documents = map(projection(command["projection"]), documents)
        size = whole(command, "batchSize", _FIRST_BATCH)
        return _first(access, Cursor(collection, documents), size, only=only)


def _first(access: Access, cursor: Cursor, size: int, *, only: bool) -> Document:
    batch = cursor.batch(size)
    identifier = 0 if cursor.is_done or only else access.cursors.keep(cursor)
    return {"cursor": {"firstBatch": batch, "id": Int64(identifier), "ns": cursor.source.full_name}}


def aggregate(access: Access, command: Document) -> Document:
    """aggregate with the stages that are known here."""
    if not isinstance(command["aggregate"], str):
        raise not_supported("aggregate on a whole database")
    pipeline = command.get("pipeline")
    if not isinstance(pipeline, list) or not all(isinstance(stage, dict) for stage in pipeline):
        raise CommandError(14, "pipeline must be an array of objects")
    if any("$changeStream" in stage for stage in pipeline):
        raise CommandError(40573, "change streams need a replica set; use a real MongoDB")
    with access.reading(command) as view:
        collection = _hinted(view, command)
        found = _run_pipeline(collection, pipeline, hinted="hint" in command)
        size = whole(command.get("cursor") or {}, "batchSize", _FIRST_BATCH)
        return _first(access, Cursor(collection, found), size, only=False)


def _run_pipeline(collection: Collection, pipeline: list[Document], *, hinted: bool) -> Iterator[Document]:
    filter, rest = {}, pipeline
    if pipeline and list(pipeline[0]) == ["$match"]:
        filter, rest = _filter(pipeline[0]["$match"]), pipeline[1:]
    if rest == _COUNT_STAGES and bson.encode({"": rest}) == _COUNT_BYTES:
        number = collection.count_matching(filter, hinted=hinted)
        return iter([{"_id": 1, "n": number}] if number else [])

    def elsewhere(name: str, filter: Document) -> Iterator[Document]:
        other = Collection(collection.view, collection.database, name)
        return (document for _, document in other.rows(filter))

    return run_stages((document for _, document in collection.rows(filter)), rest, elsewhere)


def get_more(access: Access, command: Document) -> Document:
    """The next batch of an open cursor; one that fails or runs out of time is closed."""
    identifier, size = _cursor_id(command["getMore"]), whole(command, "batchSize") or None
    cursor = access.cursors.take(identifier, f"{command['$db']}.{command.get('collection')}")
    with access.reading(command, cursor.view):
        batch = cursor.batch(size)
    if cursor.is_done:
        identifier = 0
    else:
        access.cursors.keep(cursor, identifier)
    return {"cursor": {"nextBatch": batch, "id": Int64(identifier), "ns": cursor.source.full_name}}


def kill_cursors(access: Access, command: Document) -> Document:
    """Forget open cursors."""
    return access.cursors.close([_cursor_id(cursor) for cursor in command["cursors"]])


def _cursor_id(given: Any) -> int:
    if isinstance(given, bool) or not isinstance(given, int):
        raise CommandError(14, "the id of a cursor is a whole number")
    return given


def count(access: Access, command: Document) -> Document:
    """The count command."""
    with access.reading(command) as view:
        number = _hinted(view, command).count_matching(
            _filter(command.get("query")), hinted="hint" in command
        )
    number = max(0, number - whole(command, "skip"))
    limit = abs(command.get("limit") or 0)
    return {"n": min(number, limit) if limit else number}


def distinct(access: Access, command: Document) -> Document:
    """Distinct values of a field."""
    if not isinstance(command.get("key"), str):
        raise CommandError(14, "key must be a string")
    with access.reading(command) as view:
        values = named(view, command).distinct(command["key"], _filter(command.get("query")))
    if len(bson.encode({"values": values})) > MAX_DOCUMENT_BYTES:
        raise CommandError(17217, "distinct too big, 16mb cap")
    return {"values": values}


COMMANDS: dict[str, Callable[[Access, Document], Document]] = {
    "find": find,
    "aggregate": aggregate,
    "getMore": get_more,
    "killCursors": kill_cursors,
    "count": count,
    "distinct": distinct,
}
