"""Dotted paths through documents and arrays, as MongoDB's queries follow them.

Source of what an array in the way means: MongoDB, src/mongo/db/matcher/path.cpp (BSONElementIterator).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from niobe.launchers.embedded.query.pace import tick


class _Missing:
    """A field that is not there."""

    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False


MISSING: Final = _Missing()
Path = list[str]


def is_place(name: str) -> bool:
    """Whether a part of a path may name an element of an array by its place: 0, 1, … but not 00."""
    return name.isascii() and name.isdigit() and (name == "0" or name[0] != "0")


def has_array(value: Any, path: Path) -> bool:
    """Whether there is an array on a path, or at its end."""
    for name in path:
        if isinstance(value, list):
            return True
        value = value.get(name) if isinstance(value, dict) else None
    return isinstance(value, list)


def candidates(value: Any, path: Path, *, expand: bool = True) -> Iterator[Any]:
    """The values that a condition on ``path`` is tried on; MISSING where an object lacks the field.

    value: of the document, or a part of it. expand: an array at the end of the path gives its elements,
    then itself; else only itself.
    """
    for depth, name in enumerate(path):
        if isinstance(value, list):
            yield from _in_array(value, path[depth:], expand=expand)
            return
        value = value.get(name, MISSING) if isinstance(value, dict) else MISSING
        if value is MISSING:
            yield MISSING
            return
    if expand and isinstance(value, list):
        for item in value:
            tick()
            yield item
    yield value


def _in_array(array: list[Any], rest: Path, *, expand: bool) -> Iterator[Any]:
    """Each object of an array is looked into; a number also names an element by its place."""
    for place, item in enumerate(array):
        tick()
        if isinstance(item, dict):
            yield from candidates(item, rest, expand=expand)
        if rest[0] != str(place):
            continue
        if len(rest) == 1:
            yield item
        elif isinstance(item, dict):
            yield from candidates(item, rest[1:], expand=expand)
        elif isinstance(item, list):
            yield from _in_array(item, rest[1:], expand=expand)


def value_at(value: Any, path: Path) -> Any:
    """What an expression ``$a.b`` is: arrays in the way give arrays of what their objects hold.

    Source of what an array in an array gives, nothing: MongoDB, src/mongo/db/pipeline/expression.cpp
    (ExpressionFieldPath::evaluatePathArray).
    """
    for depth, name in enumerate(path):
        if isinstance(value, list):
            found = (value_at(item, path[depth:]) for item in value if isinstance(item, dict))
            return [item for item in found if item is not MISSING]
        value = value.get(name, MISSING) if isinstance(value, dict) else MISSING
    return value
