"""Equality look-ups: the index key of a value, the values of a field, the conditions of a filter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from niobe.launchers.embedded.query.keys import BOOLEAN, DATE, NUMBER, OBJECT_ID, STRING, key_of

_MOST_KEYS = 10_000
_INDEXED = {BOOLEAN, DATE, NUMBER, OBJECT_ID, STRING}
Document = dict[str, Any]
Entry = tuple[int, str, bytes, int]


@dataclass(frozen=True)
class Condition:
    """``field`` equals a value of one of these keys. exact: that is all of a condition on ``field``."""

    field: str
    keys: list[bytes]
    exact: bool


def document_key(identity: Any) -> bytes:
    """The key of a document by its ``_id``."""
    return key_of(identity)


def index_key(value: Any) -> bytes | None:
    """The key of a value in an index; None for one that only a scan can find (null, objects, arrays, …)."""
    key = key_of(value)
    return key if key[0] in _INDEXED else None


def entries_of(collection: int, seq: int, document: Document, fields: set[str]) -> set[Entry]:
    """Rows of the index table for some fields of a document."""
    return {
        (collection, field, key, seq)
        for field in fields
        for value in values_at(document, field.split("."))
        if (key := index_key(value)) is not None
    }


def values_at(document: Any, path: list[str]) -> Iterator[Any]:
    """What an equality condition on a dotted path is compared with: arrays, and their elements."""
    if not path:
        yield document
        if isinstance(document, list):
            yield from document
    elif isinstance(document, dict):
        if path[0] in document:
            yield from values_at(document[path[0]], path[1:])
    elif isinstance(document, list):
        for item in document:
            if isinstance(item, dict):
                yield from values_at(item, path)


def conditions(filter: Document) -> Iterator[Condition]:
    """The equality conditions that whatever matches ``filter`` must meet."""
    for field, wanted in filter.items():
        if field == "$and" and isinstance(wanted, list):
            for part in wanted:
                yield from conditions(part) if isinstance(part, dict) else ()
        elif not field.startswith("$") and not any(part.isdigit() for part in field.split(".")):
            condition = _condition(field, wanted)
            if condition:
                yield condition


def _condition(field: str, wanted: Any) -> Condition | None:
    values: Any = [wanted]
    if isinstance(wanted, dict):
        values = wanted.get("$in") if "$in" in wanted else [wanted.get("$eq")]
    if not isinstance(values, list) or len(values) > _MOST_KEYS:
        return None
    keys = {key for value in values if (key := index_key(value)) is not None}
    if len(keys) < len(values) and None in map(index_key, values):
        return None
    return Condition(field, sorted(keys), exact=not isinstance(wanted, dict) or len(wanted) == 1)


def exact_conditions(filter: Document) -> list[Condition] | None:
    """The conditions of a filter that consists of exact ones, one a field; None for any other filter."""
    found = [_condition(field, wanted) for field, wanted in filter.items() if not field.startswith("$")]
    exact = [c for c in found if c and c.exact and not any(part.isdigit() for part in c.field.split("."))]
    return exact if len(exact) == len(filter) else None
