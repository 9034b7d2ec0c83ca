"""Equality look-ups: the index key of a value, the values of a field, the conditions of a filter."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson import ObjectId

_MOST_KEYS = 10_000


@dataclass(frozen=True)
class Condition:
    """``field`` equals a value of one of these keys. exact: only documents that match have them."""

    field: str
    keys: list[bytes]
    exact: bool


def index_key(value: Any) -> bytes | None:
    """Equal for values that MongoDB or mongomock-ng call equal; None for one that only a scan can find."""
    if isinstance(value, bool | int | float):
        return _number_key(value)
    if isinstance(value, str):
        return b"s" + value.encode("utf-8", "surrogatepass")
    if isinstance(value, ObjectId):
        return b"o" + value.binary
    if isinstance(value, datetime):
        return b"d" + value.replace(microsecond=value.microsecond // 1000 * 1000).isoformat().encode()
    return None


def _number_key(value: float) -> bytes | None:
    if math.isnan(value):
        return None
    if math.isinf(value):
        return b"n" + repr(value).encode()
    whole = int(value)
    return b"n" + (str(whole) if whole == value else repr(value)).encode()


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


def conditions(filter: dict[str, Any]) -> Iterator[Condition]:
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
    keys = [key for value in values if (key := index_key(value)) is not None]
    if len(keys) < len(values):
        return None
    alone = not isinstance(wanted, dict) or len(wanted) == 1
    return Condition(field, keys, alone and all(isinstance(value, str | ObjectId) for value in values))


def exact_conditions(filter: dict[str, Any]) -> list[Condition] | None:
    """The conditions of a filter that consists of exact ones, one a field; None for any other filter."""
    found = [_condition(field, wanted) for field, wanted in filter.items() if not field.startswith("$")]
    exact = [c for c in found if c and c.exact and not any(part.isdigit() for part in c.field.split("."))]
    return exact if len(exact) == len(filter) else None
