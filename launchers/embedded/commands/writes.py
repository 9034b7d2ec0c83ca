"""Commands that write documents: insert, update, delete, findAndModify."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bson.errors import BSONError
from pymongo.errors import PyMongoError

from niobe.launchers.embedded.commands.errors import CommandError, code_of, message_of
from niobe.launchers.embedded.commands.refusals import refuse_options
from niobe.launchers.embedded.storage.collection import IndexedCollection

if TYPE_CHECKING:
    from niobe.launchers.embedded.commands.engine import Engine

Document = dict[str, Any]
_Statement = Callable[[IndexedCollection, Document], Document]


def insert(engine: Engine, command: Document) -> Document:
    """Insert documents, stopping at the first error where ordered."""
    return _each(engine.collection(command), command, "documents", _insert)


def update(engine: Engine, command: Document) -> Document:
    """Update, replace or upsert."""
    return {"nModified": 0} | _each(engine.collection(command), command, "updates", _update)


def delete(engine: Engine, command: Document) -> Document:
    """Delete one or all that match."""
    return _each(engine.collection(command), command, "deletes", _delete)


def _each(collection: IndexedCollection, command: Document, key: str, apply: _Statement) -> Document:
    """Apply statements in order and gather counts and write errors as MongoDB answers them."""
    total: Document = {"n": 0}
    errors: list[Document] = []
    for index, statement in enumerate(command[key]):
        try:
            _add(total, index, apply(collection, statement))
        except (CommandError, PyMongoError, TypeError, ValueError, BSONError) as error:
            errors.append({"index": index, "code": code_of(error), "errmsg": message_of(error)})
            if command.get("ordered", True):
                break
    return total | ({"writeErrors": errors} if errors else {})


def _add(total: Document, index: int, done: Document) -> None:
    total["n"] += done["n"]
    if "nModified" in done:
        total["nModified"] = total.get("nModified", 0) + done["nModified"]
    if "upserted" in done:
        total.setdefault("upserted", []).append({"index": index, "_id": done["upserted"]})


def _insert(collection: IndexedCollection, document: Document) -> Document:
    collection.add(document)
    return {"n": 1}


def _update(collection: IndexedCollection, statement: Document) -> Document:
    refuse_options(statement)
    query, change, upsert = statement["q"], statement["u"], bool(statement.get("upsert"))
    extra = {"array_filters": statement["arrayFilters"]} if statement.get("arrayFilters") else {}
    if statement.get("multi"):
        result = collection.update_many(query, change, upsert, **extra)
    else:
        method = collection.update_one if _has_operators(change) else collection.replace_one
        result = method(query, change, upsert, **extra)
    answer = {"n": result.matched_count, "nModified": result.modified_count}
    if result.upserted_id is not None:
        answer |= {"n": 1, "nModified": 0, "upserted": result.upserted_id}
    return answer


def _has_operators(change: Any) -> bool:
    return isinstance(change, list) or any(key.startswith("$") for key in change)


def _delete(collection: IndexedCollection, statement: Document) -> Document:
    refuse_options(statement)
    if statement.get("limit") != 1:
        return {"n": collection.delete_many(statement["q"]).deleted_count}
    found = collection.first(statement["q"])
    if found is not None:
        del collection.stored[found["_id"]]
    return {"n": int(found is not None)}


def find_and_modify(engine: Engine, command: Document) -> Document:
    """findAndModify: update, replace or remove one document and return it as it was or is."""
    collection, query = engine.collection(command), command.get("query") or {}
    before = collection.first(query, list((command.get("sort") or {}).items()))
    if command.get("remove"):
        if before is not None:
            del collection.stored[before["_id"]]
        return {
            "value": _shown(collection, before, command),
            "lastErrorObject": {"n": int(before is not None)},
        }
    if before is None and not command.get("upsert"):
        return {"value": None, "lastErrorObject": {"n": 0, "updatedExisting": False}}
    narrowed = query if before is None else {**query, "_id": before["_id"]}
    statement = {"q": narrowed, "u": command["update"], "upsert": before is None}
    done = _update(collection, statement | {"arrayFilters": command.get("arrayFilters")})
    identity = done["upserted"] if before is None else before["_id"]
    value = collection.stored[identity] if command.get("new") else before
    return {
        "value": _shown(collection, value, command),
        "lastErrorObject": {"n": 1, "updatedExisting": before is not None}
        | ({"upserted": identity} if before is None else {}),
    }


def _shown(collection: IndexedCollection, document: Document | None, command: Document) -> Document | None:
    if document is None:
        return None
    return collection._copy_only_fields(document, command.get("fields") or None, dict)


WRITES = {"insert": insert, "update": update, "delete": delete, "findAndModify": find_and_modify}
