"""``$group`` and its accumulators."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

import bson

from niobe.launchers.embedded.commands.errors import CommandError, not_supported
from niobe.launchers.embedded.query.expressions import compile_expression, expression_key
from niobe.launchers.embedded.query.keys import key_of
from niobe.launchers.embedded.query.pace import tick
from niobe.launchers.embedded.query.paths import MISSING
from niobe.launchers.embedded.query.types import combined, is_number

Document = dict[str, Any]
Stream = Iterator[Document]
Fold = Callable[[Any, Any], Any]  # of what was gathered (MISSING at first) and the next value
_MOST_BYTES = 200_000_000  # of values kept by $push and $addToSet together


def grouper(given: Any) -> Callable[[Stream], Stream]:
    """The stage. Raises CommandError for an accumulator that is not known here."""
    if not isinstance(given, dict) or "_id" not in given:
        raise CommandError(15955, "a group specification must include an _id")
    identity = compile_expression(given["_id"])
    accumulators = {name: _accumulator(name, value) for name, value in given.items() if name != "_id"}

    def stage(documents: Stream) -> Stream:
        groups: dict[bytes, Document] = {}
        kept = 0
        for document in documents:
            tick()
            found = identity(document)
            group = groups.setdefault(
                expression_key(None if found is MISSING else found),
                {"_id": None if found is MISSING else found} | dict.fromkeys(accumulators, MISSING),
            )
            for name, (make, fold, _, is_kept) in accumulators.items():
                value = make(document)
                kept += len(bson.encode({"": value})) if is_kept and value is not MISSING else 0
                group[name] = fold(group[name], value)
            if kept > _MOST_BYTES:
                raise CommandError(292, f"$group keeps more than {_MOST_BYTES} bytes")
        for group in groups.values():
            yield {n: accumulators[n][2](v) if n in accumulators else v for n, v in group.items()}

    return stage


def _accumulator(name: str, given: Any) -> tuple[Callable[[Any], Any], Fold, Callable[[Any], Any], bool]:
    if not isinstance(given, dict) or len(given) != 1 or "." in name:
        raise CommandError(40234, f"The field '{name}' must be an accumulator object")
    ((kind, expression),) = given.items()
    if kind == "$count":
        kind, expression = "$sum", 1
    if kind not in _ACCUMULATORS:
        raise not_supported(f"the accumulator {kind}")
    fold, finish = _ACCUMULATORS[kind]
    return compile_expression(expression), fold, finish, kind in {"$push", "$addToSet"}


def _sum(total: Any, value: Any) -> Any:
    total = 0 if total is MISSING else total
    return combined(operator.add, total, value) if is_number(value) else total


def _average(state: Any, value: Any) -> Any:
    total, count = (0, 0) if state is MISSING else state
    return (combined(operator.add, total, value), count + 1) if is_number(value) else (total, count)


def _mean(state: Any) -> Any:
    if state is MISSING or not state[1]:
        return None
    total, count = state
    if isinstance(total, int | float):
        return total / count
    return combined(operator.truediv, total, count)


def _extreme(is_wanted: Callable[[bytes, bytes], bool]) -> Fold:
    def fold(best: Any, value: Any) -> Any:
        if value is MISSING or value is None:
            return best
        return value if best is MISSING or is_wanted(key_of(value), key_of(best)) else best

    return fold


def _first(first: Any, value: Any) -> Any:
    return (None if value is MISSING else value,) if first is MISSING else first


def _push(values: Any, value: Any) -> Any:
    values = [] if values is MISSING else values
    if value is not MISSING:
        values.append(value)
    return values


def _add(values: Any, value: Any) -> Any:
    values = {} if values is MISSING else values
    if value is not MISSING:
        values.setdefault(key_of(value), value)
    return values


def _or_null(value: Any) -> Any:
    return None if value is MISSING else value


_ACCUMULATORS: dict[str, tuple[Fold, Callable[[Any], Any]]] = {
    "$sum": (_sum, lambda total: 0 if total is MISSING else total),
    "$avg": (_average, _mean),
    "$min": (_extreme(operator.lt), _or_null),
    "$max": (_extreme(operator.gt), _or_null),
    "$first": (_first, lambda found: found[0]),
    "$last": (lambda last, value: _or_null(value), _or_null),
    "$push": (_push, list),
    "$addToSet": (_add, lambda values: list(values.values())),
}
