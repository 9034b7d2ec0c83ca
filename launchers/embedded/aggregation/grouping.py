"""``$group`` and its accumulators."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import bson
from bson import Decimal128, Int64

from niobe.launchers.embedded.commands.errors import CommandError, not_supported
from niobe.launchers.embedded.query.expressions import compile_expression, expression_key
from niobe.launchers.embedded.query.keys import key_of
from niobe.launchers.embedded.query.pace import tick
from niobe.launchers.embedded.query.paths import MISSING
from niobe.launchers.embedded.query.types import NUMBERS, combined, type_of

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
    if not isinstance(given, dict) or len(given) != 1 or "." in name or name.startswith("$"):
        raise CommandError(40234, f"The field '{name}' must be an accumulator object")
    ((kind, expression),) = given.items()
    if kind == "$count":
        if expression != {}:
            raise CommandError(2, "$count takes no arguments, i.e. $count: {}")
        kind, expression = "$sum", 1
    if kind not in _ACCUMULATORS:
        raise not_supported(f"the accumulator {kind}")
    if isinstance(expression, list):
        raise CommandError(40237, f"The {kind} accumulator is a unary operator")
    fold, finish = _ACCUMULATORS[kind]
    return compile_expression(expression), fold, finish, kind in {"$push", "$addToSet"}


class _Total:
    """A sum as MongoDB makes it: of integers exactly, of doubles with what rounding takes from each step."""

    def __init__(self) -> None:
        self.count, self._types = 0, set[str]()
        self._whole, self._decimal = 0, Decimal128("0")
        self._double = self._rest = 0.0

    def add(self, value: Any) -> _Total:
        """The sum with one more value; what is no number counts for nothing."""
        kind = type_of(value)
        if kind not in NUMBERS:
            return self
        self.count += 1
        self._types.add(kind)
        if kind == "decimal":
            self._decimal = combined(operator.add, self._decimal, value)
        elif kind == "double":
            before, self._double = self._double, self._double + value
            back = self._double - before
            self._rest += (before - (self._double - back)) + (value - back)
        else:
            self._whole += value
        return self

    def sum(self) -> Any:
        """The sum in the widest type of its values; a double where 64 bits are too few for integers."""
        whole = self._whole if abs(self._whole) < 2**63 else float(self._whole)
        if "decimal" in self._types:
            return combined(operator.add, self._decimal, self.double() if "double" in self._types else whole)
        if "double" in self._types:
            return self.double()
        return combined(operator.add, Int64(0) if "long" in self._types else 0, whole)

    def double(self) -> float:
        """The sum of integers and doubles."""
        if not math.isfinite(self._double):
            return self._double
        return float(self._whole + Fraction(self._double) + Fraction(self._rest))

    def mean(self) -> Any:
        """The mean; None of no numbers."""
        if not self.count:
            return None
        if "decimal" in self._types:
            return combined(operator.truediv, self.sum(), self.count)
        return self.double() / self.count


def _add_to(total: Any, value: Any) -> Any:
    return (_Total() if total is MISSING else total).add(value)


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
    "$sum": (_add_to, _Total.sum),
    "$avg": (_add_to, _Total.mean),
    "$min": (_extreme(operator.lt), _or_null),
    "$max": (_extreme(operator.gt), _or_null),
    "$first": (_first, lambda found: found[0]),
    "$last": (lambda last, value: _or_null(value), _or_null),
    "$push": (_push, list),
    "$addToSet": (_add, lambda values: list(values.values())),
}
