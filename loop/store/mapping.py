"""Records as documents of MongoDB, and back."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from pydantic import BaseModel

from niobe.loop.documents.records import Status, StructureRecord
from niobe.loop.store.queries import facets

Document = dict[str, Any]
ModelT = TypeVar("ModelT", bound=BaseModel)
UNSHAPED = "unshaped"
"""True of a record whose crystal was written since its shapes were made; not there otherwise."""
UNPACKED, STAMP = "unpacked", "stamp"
"""True of a result that was written to since it was put with others, and which write that was; not there
otherwise."""
TURN = "turn"
"""Of a candidate: the turn (``Claim``) from which on it may be chosen or set aside; not there if any may."""
MARKS = (UNSHAPED, UNPACKED, STAMP, TURN)
BESIDE = {"facets", "modified", *MARKS}
"""Stored with a record for searches and comparisons, no part of it."""
COMPARED = frozenset(Status) - {Status.GENERATED, Status.INVALID, Status.DUPLICATE}
"""What candidates are compared with."""

_WAITING = {status.value for status in Status} - {"acquired", "validated", "failed"}
_PREDICTED = {"prediction", "prediction_round"}
_OF_CANDIDATES = {"status", "reason", "duplicate_of", "acquired_round", "choice"}

NO_CRYSTAL = {"structure": 0, "validation.structure": 0, "prerelaxed.structure": 0, "facets": 0}
"""Projection that leaves out what ``without_crystals`` fills in."""


def without_crystals(document: Document) -> Document:
    """A stored record whose crystals are empty.

    document: read by ``NO_CRYSTAL``; it is changed.
    """
    for part in (document, document.get("validation"), document.get("prerelaxed")):
        if isinstance(part, dict):
            part["structure"] = {}
    return document


def body(record: BaseModel) -> Document:
    """What is stored of a record, but for its id."""
    return record.model_dump(mode="json", exclude={"id"})


def derived(record: StructureRecord) -> Document:
    """What is stored beside a record for searches, and is no part of it."""
    mark = unpacked({"status": record.status.value})
    return {"facets": facets(record)} | modified_now() | unshaped(record.status) | mark


def unshaped(status: Any) -> Document:
    """The mark of a record that others are compared with, which its shapes are made by; none for others."""
    return {UNSHAPED: True} if status in COMPARED else {}


def unpacked(fields: Document) -> Document:
    """The mark of a result, for what is written to a record; none for what is written to candidates alone.

    fields: as they are stored, by name.
    """
    predicted = fields.keys() <= _PREDICTED
    waits = fields.get("status") in _WAITING and fields.keys() <= _OF_CANDIDATES
    if predicted or waits:
        return {}
    return {UNPACKED: True, STAMP: uuid.uuid4().hex}


def modified_now() -> Document:
    """When a document was last written, to the second."""
    return {"modified": datetime.now(UTC).replace(microsecond=0)}


def changed(fields: Mapping[str, Any]) -> Document:
    """Fields of a record as they are stored, with the marks of a crystal that changed, whose shape has to be
    made, and of a result that did."""
    relaxed = {UNSHAPED: True} if fields.keys() & {"validation", "prerelaxed"} else {}
    stored = plain(dict(fields))
    return stored | modified_now() | relaxed | unshaped(fields.get("status")) | unpacked(stored)


def plain(fields: dict[str, Any]) -> Document:
    """Fields as MongoDB takes them: models and enumerations turned into what JSON has."""
    return {key: _plain_value(value) for key, value in fields.items()}


def _plain_value(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, dict):
        return plain(value)
    if isinstance(value, list):
        return [_plain_value(part) for part in value]
    return str(value) if isinstance(value, Status) else value


def without_id(document: Document) -> Document:
    """All fields but MongoDB's own key."""
    return {key: value for key, value in document.items() if key != "_id"}


def from_mongo(document: Document) -> Document:
    """What a record is made from: its fields and its id, without what is stored beside it."""
    kept = {key: value for key, value in document.items() if key not in BESIDE}
    return without_id(kept) | {"id": document["_id"]}


def load(model: type[ModelT], cursor: Iterable[Document]) -> list[ModelT]:
    """Every document as a record. Raises pydantic's ValidationError for one that is none."""
    return [model.model_validate(from_mongo(document)) for document in cursor]


def at(document: Any, path: str) -> Any:
    """What stands at a path of a document, such as ``spec.id``; None where nothing does.

    document: of any shape.
    """
    for part in path.split("."):
        document = document.get(part) if isinstance(document, dict) else None
    return document


def differences(old: Document, new: Document, prefix: str = "") -> str:
    """The keys whose values differ, as ``key: old -> new``, at most five.

    prefix: of the keys.
    """
    changed = []
    for key in sorted(old.keys() | new.keys()):
        before, after = old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            inner = differences(before, after, f"{prefix}{key}.")
            changed += [inner] if inner else []
        elif before != after:
            changed.append(f"{prefix}{key}: {before} -> {after}")
    return "; ".join(changed[:5])
