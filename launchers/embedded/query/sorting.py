"""Sorting: the key of a document under a sort, and many of them in order without stopping others."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

from niobe.launchers.embedded.commands.errors import CommandError, not_supported
from niobe.launchers.embedded.query.keys import key_of
from niobe.launchers.embedded.query.pace import tick
from niobe.launchers.embedded.query.paths import MISSING, Path, is_place

Item = TypeVar("Item")
Sort = list[tuple[str, int]]
_RUN = 20_000  # sorting as many holds the interpreter for some 20 ms
_MOST_BYTES = 100_000_000  # of keys; MongoDB's bound on a sort in memory
_NULL, _EMPTY_ARRAY = key_of(None), b"\x0f"  # an empty array comes before null
_INVERSE = bytes(range(255, -1, -1))


def sort_of(given: Any) -> Sort:
    """A sort as fields and directions. Raises CommandError where it is none, or not known here."""
    if not isinstance(given, dict):
        raise CommandError(2, "sort must be an object")
    for field, direction in given.items():
        if isinstance(direction, dict):
            raise not_supported(f"sort by {direction}")
        if isinstance(direction, bool) or direction not in (1, -1):
            raise CommandError(2, f"$sort key ordering must be 1 or -1, not {direction!r}")
        if field == "$natural" and len(given) > 1:
            raise CommandError(2, "$natural sort cannot be combined with others")
    return [(field, int(direction)) for field, direction in given.items()]


def sort_key(sort: Sort) -> Callable[[Any], bytes]:
    """The bytes by which documents are sorted. Of arrays the least element counts, or the greatest."""
    fields = [field for field, _ in sort]

    def key(document: Any) -> bytes:
        return min(
            b"".join(_directed(key, direction) for key, (_, direction) in zip(keys, sort, strict=True))
            for keys in key_tuples(document, fields)
        )

    return key


def key_tuples(document: Any, fields: list[str]) -> Iterator[list[bytes]]:
    """The keys of some fields of a document, as a sort and an index have them: one for each element of an
    array on the way. Raises CommandError where two fields lead through different arrays.
    """
    return _tuples([(document, field.split(".")) for field in fields])


def _directed(key: bytes, direction: int) -> bytes:
    return key if direction > 0 else key.translate(_INVERSE) + b"\xff"


def _tuples(states: list[tuple[Any, Path]]) -> Iterator[list[bytes]]:
    states = [_down_to_array(value, path) for value, path in states]
    arrays = {id(value): value for value, path in states if isinstance(value, list)}
    if len(arrays) > 1:
        raise CommandError(2, "cannot sort or index by keys that are parallel arrays")
    if not arrays:
        yield [_NULL if value is MISSING else key_of(value) for value, _ in states]
        return
    (array,) = arrays.values()
    for place in range(max(1, len(array))):
        tick()
        yield from _element_tuples(states, array, place)


def _element_tuples(states: list[tuple[Any, Path]], array: list[Any], place: int) -> Iterator[list[bytes]]:
    """The keys with one element in the place of the array; an array in it is a value, if the path ends."""
    fixed: dict[int, bytes] = {}
    further = []
    for position, (value, path) in enumerate(states):
        if value is not array:
            further.append((value, path))
        elif not path:
            fixed[position] = key_of(array[place]) if array else _EMPTY_ARRAY
        elif is_place(path[0]):
            index = int(path[0])
            further.append((array[index] if index < len(array) else MISSING, path[1:]))
        else:
            item = array[place] if array else MISSING
            further.append((item if isinstance(item, dict) else MISSING, path))
    for keys in _tuples(further) if further else [[]]:
        remaining = iter(keys)
        yield [fixed[p] if p in fixed else next(remaining) for p in range(len(states))]


def _down_to_array(value: Any, path: Path) -> tuple[Any, Path]:
    for depth, name in enumerate(path):
        if isinstance(value, list):
            return value, path[depth:]
        value = value.get(name, MISSING) if isinstance(value, dict) else MISSING
    return value, []


def ordered(rows: Iterable[tuple[bytes, Item]], limit: int | None = None) -> Iterator[Item]:
    """Items by their keys, equal ones as they came; with a limit, no more are held than it asks for.

    Raises CommandError where the keys take too much memory.
    """
    runs: list[list[tuple[bytes, int, Item]]] = []
    numbered = ((key, place, item) for place, (key, item) in enumerate(rows))
    size = 0
    while run := list(islice(numbered, _RUN)):
        run.sort(key=lambda row: row[:2])
        runs.append(run[:limit])
        size += sum(len(row[0]) for row in runs[-1])
        if size > _MOST_BYTES:
            raise CommandError(292, f"the keys of a sort take more than {_MOST_BYTES} bytes")
        if limit and len(runs) > 16:
            runs = [list(islice(heapq.merge(*runs, key=lambda row: row[:2]), limit))]
            size = sum(len(row[0]) for row in runs[-1])
    for _, _, item in islice(heapq.merge(*runs, key=lambda row: row[:2]), limit):
        yield item
