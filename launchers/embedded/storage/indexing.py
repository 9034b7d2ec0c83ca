"""Equality look-ups: the index key of a value, the values of a field, the conditions of a filter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bson import Regex

from niobe.launchers.embedded.query.keys import BOOLEAN, DATE, NUMBER, OBJECT_ID, STRING, key_of
from niobe.launchers.embedded.query.paths import has_array, is_place

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


def index_key(value: Any) -> bytes | None:
    """The key of a value in an index; None for one that only a scan can find (null, objects, arrays, …)."""
    key = key_of(value)
    return key if is_kept(key) else None


def is_kept(key: bytes) -> bool:
    """Whether values of a key are in an index."""
    return key[0] in _INDEXED


def entries_of(collection: int, seq: int, document: Document, fields: set[str]) -> set[Entry]:
    """Rows of the index table for some fields of a document, and a mark for each with arrays on its path.

    collection: its name. seq: number of the document.
    """
    entries: set[Entry] = set()
    for field in fields:
        path = field.split(".")
        keys = {index_key(value) for value in values_at(document, path)}
        entries |= {(collection, field, key, seq) for key in keys if key is not None}
        if has_array(document, path):
            entries.add((collection, arrays_in(field), b"", seq))
    return entries


def arrays_in(field: str) -> str:
    """The name under which the index table marks documents that have an array on the path of a field."""
    return f"{field}\0"


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
        elif not field.startswith("$") and not any(is_place(part) for part in field.split(".")):
            condition = _condition(field, wanted)
            if condition:
                yield condition


def _condition(field: str, wanted: Any) -> Condition | None:
    values: Any = [wanted]
    has_operators = isinstance(wanted, dict) and next(iter(wanted), "").startswith("$")
    if has_operators:
        values = [wanted["$eq"]] if "$eq" in wanted else wanted.get("$in")
    if not isinstance(values, list) or len(values) > _MOST_KEYS:
        return None
    keys = {_identity_key(value) if field == "_id" else index_key(value) for value in values}
    known = sorted(key for key in keys if key is not None)
    if len(known) < len(keys):
        return None
    return Condition(field, known, exact=not has_operators or len(wanted) == 1)


def _identity_key(value: Any) -> bytes | None:
    """Documents have a key for an ``_id`` of any type; a pattern is none."""
    return None if isinstance(value, Regex) else key_of(value)


def exact_conditions(filter: Document) -> list[Condition] | None:
    """The conditions of a filter that consists of exact ones, one a field; None for any other filter."""
    found = [_condition(field, wanted) for field, wanted in filter.items() if not field.startswith("$")]
    exact = [c for c in found if c and c.exact and not any(is_place(part) for part in c.field.split("."))]
    return exact if len(exact) == len(filter) else None
