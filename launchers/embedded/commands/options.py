"""Which options a command may have: what is not known here is refused, never ignored."""

from __future__ import annotations

from typing import Any

from niobe.launchers.embedded.commands.errors import CommandError, not_supported

Document = dict[str, Any]
_COMMON = {"$db", "lsid", "$clusterTime", "$readPreference", "comment", "maxTimeMS", "readConcern"}
_WRITING = {"writeConcern", "ordered", "bypassDocumentValidation"}
_KNOWN = {
    "find": {"filter", "projection", "sort", "skip", "limit", "batchSize", "singleBatch", "hint"}
    | {"noCursorTimeout", "allowDiskUse"},
    "aggregate": {"pipeline", "cursor", "hint", "allowDiskUse", "writeConcern"},
    "count": {"query", "skip", "limit", "hint", "fields"},
    "distinct": {"key", "query"},
    "getMore": {"collection", "batchSize"},
    "killCursors": {"cursors"},
    "insert": _WRITING | {"documents"},
    "update": _WRITING | {"updates"},
    "delete": _WRITING | {"deletes"},
    "findAndModify": {"query", "sort", "update", "remove", "new", "fields", "upsert", "arrayFilters", "hint"}
    | {"writeConcern", "bypassDocumentValidation"},
    "listCollections": {"filter", "nameOnly", "authorizedCollections", "cursor"},
    "listDatabases": {"filter", "nameOnly", "authorizedDatabases"},
    "listIndexes": {"cursor"},
    "createIndexes": {"indexes", "writeConcern", "commitQuorum"},
    "dropIndexes": {"index", "writeConcern"},
    "create": {"writeConcern"},
    "drop": {"writeConcern"},
    "dropDatabase": {"writeConcern"},
    "compact": {"force"},
}
_STATEMENTS = {
    "updates": {"q", "u", "multi", "upsert", "arrayFilters", "hint", "sort"},
    "deletes": {"q", "limit", "hint"},
}
_INDEX = {"key", "name", "v", "background", "unique", "sparse", "partialFilterExpression"}
_FLAGS = {"multi", "upsert", "ordered", "new", "remove", "singleBatch", "nameOnly", "unique", "sparse"}
_HARMLESS = {None, False}  # a value that says: not wanted


def refuse_options(name: str, command: Document) -> None:
    """Raise CommandError for options of a command, a statement or an index that would be ignored."""
    _refuse(command, _KNOWN[name] | _COMMON | {next(iter(command))}, name)
    for key, known in _STATEMENTS.items():
        for statement in _documents(command, key):
            _refuse(statement, known, name)
    for index in _documents(command, "indexes"):
        _refuse(index, _INDEX, name)
    for given in (command, *_documents(command, *_STATEMENTS), *_documents(command, "indexes")):
        _require_flags(given, name)
    _require_concerns(command)
    limit = command.get("maxTimeMS", 0)
    if isinstance(limit, bool) or not isinstance(limit, int | float) or limit < 0:
        raise CommandError(2, "maxTimeMS must be a number, not negative")


def _documents(command: Document, *keys: str) -> list[Document]:
    documents: list[Document] = []
    for key in keys:
        found = command.get(key, [])
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            raise CommandError(14, f"{key} must be an array of documents")
        documents += found
    return documents


def _require_flags(given: Document, name: str) -> None:
    for flag in _FLAGS & set(given):
        if not isinstance(given[flag], bool | int | float | None):
            raise CommandError(14, f"the option {flag} of {name} must be true or false")


def _require_concerns(command: Document) -> None:
    """Raise CommandError for promises about copies and points in time that one server cannot keep."""
    reading, writing = (command.get(name) or {} for name in ("readConcern", "writeConcern"))
    if not isinstance(reading, dict) or not isinstance(writing, dict):
        raise CommandError(14, "a read or write concern must be an object")
    if reading.get("level", "local") not in {"local", "available", "majority"} or len(reading) > 1:
        raise not_supported(f"the read concern {reading}")
    if writing.get("w", 1) not in (0, 1, "majority"):
        raise not_supported(f"the write concern {writing}")


def _refuse(given: Document, known: set[str], name: str) -> None:
    for option, value in given.items():
        is_harmless = isinstance(value, bool | None) and value in _HARMLESS
        if option not in known and not is_harmless:
            raise not_supported(f"the option {option} of {name}")
