"""Filters: which documents a query means. A filter is compiled once and asked for each document.

Source: https://www.mongodb.com/docs/manual/reference/operator/query/; what is not here is refused by name.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import bson
from bson import Decimal128, Regex

from niobe.launchers.embedded.commands.errors import CommandError, not_supported
from niobe.launchers.embedded.query.expressions import compile_expression, is_true
from niobe.launchers.embedded.query.keys import MAX_KEY, MIN_KEY, NUMBER, key_of
from niobe.launchers.embedded.query.pace import tick
from niobe.launchers.embedded.query.paths import MISSING, candidates
from niobe.launchers.embedded.query.patterns import compiled, regex_of
from niobe.launchers.embedded.query.types import type_test

Document = dict[str, Any]
Test = Callable[[Any], bool]
Apply = Callable[..., Test]
_NAN = key_of(math.nan)
_NULL = key_of(None)
_ELSEWHERE = {  # MongoDB's own, which are not known here
    "$where", "$text", "$jsonSchema", "$sampleRate", "$geoIntersects", "$geoWithin", "$near", "$nearSphere",
    "$bitsAllClear", "$bitsAllSet", "$bitsAnyClear", "$bitsAnySet",
}  # fmt: skip
_PLAIN_BYTES = 100_000
_PLAIN = {"$eq", "$ne", "$in", "$nin", "$gt", "$gte", "$lt", "$lte", "$exists"}
_LOGICAL = {"$and", "$or", "$nor"}
_COMPARISONS: dict[str, Callable[[bytes, bytes], bool]] = {
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
}


def bad(message: str) -> CommandError:
    """The error for a query that is none."""
    return CommandError(2, message)


def _unknown(what: str, name: str) -> CommandError:
    return not_supported(f"the query operator {name}") if name in _ELSEWHERE else bad(f"unknown {what}")


def matcher(filter: Any) -> Test:
    """Whether a document matches ``filter``. Raises CommandError for what is no filter, or not known here."""
    if not isinstance(filter, dict):
        raise bad("the filter must be an object")
    tests = [_clause(name, wanted) for name, wanted in filter.items() if name != "$comment"]
    if len(tests) == 1:
        return tests[0]
    return lambda document: all(test(document) for test in tests)


def _clause(name: str, wanted: Any) -> Test:
    if name in _LOGICAL:
        return _logical(name, wanted)
    if name == "$expr":
        value_of = compile_expression(wanted)
        return lambda document: is_true(value_of(document))
    if name.startswith("$"):
        raise _unknown(f"top level operator: {name}", name)
    return _condition(wanted, _along(name.split(".")))


def _logical(name: str, parts: Any) -> Test:
    if not isinstance(parts, list) or not parts:
        raise bad(f"{name} must be a nonempty array")
    tests = [matcher(part) for part in parts]
    if name == "$and":
        return lambda document: all(test(document) for test in tests)
    if name == "$or":
        return lambda document: any(test(document) for test in tests)
    return lambda document: not any(test(document) for test in tests)


def _along(path: list[str]) -> Apply:
    """A test of one value made one of a document: whether any value at the path passes."""

    def apply(test: Test, *, expand: bool = True) -> Test:
        def applied(document: Any) -> bool:
            tick()
            return any(map(test, candidates(document, path, expand=expand)))

        return applied

    return apply


def _itself(test: Test, *, expand: bool = True) -> Test:
    """For an element of an array: the test of the element."""
    return test


def is_operators(wanted: Any) -> bool:
    """Whether a condition is made of operators, rather than a value to equal."""
    return isinstance(wanted, dict) and next(iter(wanted), "").startswith("$")


def is_condition(wanted: Any) -> bool:
    """Whether it is a condition on a value, rather than a value to equal or a filter on a document."""
    return is_operators(wanted) and next(iter(wanted)) not in _LOGICAL | {"$expr"}


def part_matcher(filter: Document) -> Test:
    """A filter on a part of a document. Raises CommandError for ``$expr``, which asks of whole ones."""
    matches, parts = matcher(filter), [filter]
    for part in parts:
        parts += [inner for name in _LOGICAL & set(part) for inner in part[name]]
        if "$expr" in part:
            raise bad("$expr can only be applied to the top-level document")
    return matches


def is_plain(filter: Any) -> bool:
    """Whether a filter costs no more than the documents it is tried on: no patterns, nothing nested."""
    if len(bson.encode(filter)) > _PLAIN_BYTES:
        return False
    parts = [part for name in _LOGICAL & set(filter) for part in filter[name]]
    conditions = [wanted for name, wanted in filter.items() if name not in _LOGICAL]
    return all(map(is_plain, parts)) and not any(
        isinstance(wanted, Regex) or (is_operators(wanted) and set(wanted) - _PLAIN) for wanted in conditions
    )


def _condition(wanted: Any, apply: Apply) -> Test:
    if isinstance(wanted, Regex):
        return apply(_matches(wanted))
    if not is_operators(wanted):
        return apply(equals(wanted))
    tests = [_operator(name, value, wanted, apply) for name, value in wanted.items() if name != "$options"]
    if len(tests) == 1:
        return tests[0]
    return lambda subject: all(test(subject) for test in tests)


def value_test(wanted: Any) -> Test:
    """A condition on one value alone, as ``$elemMatch`` and ``$pull`` have it for elements of an array."""
    return _condition(wanted, _itself)


def _operator(name: str, value: Any, siblings: Document, apply: Apply) -> Test:
    if name == "$options":
        raise bad("$options needs a $regex")
    if name in _COMPARISONS:
        return apply(_compares(name, value))
    make = _OPERATORS.get(name)
    if make is None:
        raise _unknown(f"operator: {name}", name)
    return make(value, siblings, apply)


def equals(wanted: Any) -> Test:
    """Whether a value equals another, whatever its type of number; null equals what is missing."""
    if wanted is None:
        return lambda value: value is None or value is MISSING
    if type(wanted) is str:
        return lambda value: value == wanted and type(value) is str
    key = key_of(wanted)
    return lambda value: value is not MISSING and key_of(value) == key


def _equal(value: Any, _: Document, apply: Apply) -> Test:
    return apply(equals(value))


def _unequal(value: Any, siblings: Document, apply: Apply) -> Test:
    if isinstance(value, Regex):
        raise bad("Can't have regex as arg to $ne.")
    return _negated(_equal(value, siblings, apply))


def _negated(test: Test) -> Test:
    return lambda subject: not test(subject)


def _compares(name: str, wanted: Any) -> Test:
    """A comparison within one type. Nothing compares with a pattern; null only equals."""
    if isinstance(wanted, Regex):
        raise bad("Can't have RegEx as arg to predicate over field")
    key, compare = key_of(wanted), _COMPARISONS[name]
    kind, or_equal = key[0], name.endswith("e")
    if kind in (MIN_KEY, MAX_KEY):
        raise not_supported(f"{name} with MinKey or MaxKey")
    if key in (_NULL, _NAN):
        return equals(wanted) if or_equal else lambda value: False

    def test(value: Any) -> bool:
        if value is MISSING:
            return False
        found = key_of(value)
        return found[0] == kind and compare(found, key) and not (kind == NUMBER and found == _NAN)

    return test


def _among(values: Any, _: Document, apply: Apply) -> Test:
    if not isinstance(values, list):
        raise bad("$in needs an array")
    if any(is_operators(value) for value in values):
        raise bad("cannot nest $ under $in")
    patterns = [_matches(value) for value in values if isinstance(value, Regex)]
    keys = {key_of(value) for value in values}
    with_missing = _NULL in keys

    def test(value: Any) -> bool:
        if value is MISSING:
            return with_missing
        return key_of(value) in keys or any(matches(value) for matches in patterns)

    return apply(test)


def _not_among(values: Any, siblings: Document, apply: Apply) -> Test:
    return _negated(_among(values, siblings, apply))


def _not(wanted: Any, _: Document, apply: Apply) -> Test:
    if not isinstance(wanted, Regex) and not is_operators(wanted):
        raise bad("$not needs a regex or a document")
    return _negated(_condition(wanted, apply))


def _matches(regex: Regex[str]) -> Test:
    """A text in which the pattern is found, or the same pattern as a value."""
    pattern, key = compiled(regex.pattern, regex.flags), key_of(regex)

    def test(value: Any) -> bool:
        if isinstance(value, str):
            tick()
            return pattern.search(value)
        return isinstance(value, Regex) and key_of(value) == key

    return test


def _regex(value: Any, siblings: Document, apply: Apply) -> Test:
    return apply(_matches(regex_of(value, siblings.get("$options", ""))))


def _exists(wanted: Any, _: Document, apply: Apply) -> Test:
    is_there = apply(lambda value: value is not MISSING, expand=False)
    return is_there if wanted else _negated(is_there)


def _type(wanted: Any, _: Document, apply: Apply) -> Test:
    tests = [type_test(name) for name in (wanted if isinstance(wanted, list) else [wanted])]
    if not tests:
        raise bad("$type must match at least one type")
    return apply(lambda value: any(test(value) for test in tests))


def _size(wanted: Any, _: Document, apply: Apply) -> Test:
    if isinstance(wanted, bool) or not isinstance(wanted, int | float) or wanted != int(wanted) or wanted < 0:
        raise bad("$size must be a whole number, not negative")
    return apply(lambda value: isinstance(value, list) and len(value) == wanted, expand=False)


def _all(values: Any, _: Document, apply: Apply) -> Test:
    if not isinstance(values, list):
        raise bad("$all needs an array")
    if any(is_operators(value) and list(value) != ["$elemMatch"] for value in values):
        raise bad("no $ expressions in $all but $elemMatch")
    tests = [_condition(value, apply) for value in values]
    return lambda subject: bool(tests) and all(test(subject) for test in tests)


def _element(query: Any, _: Document, apply: Apply) -> Test:
    if not isinstance(query, dict):
        raise bad("$elemMatch needs an Object")
    if is_condition(query):
        test = value_test(query)
    else:
        matches = part_matcher(query)

        def test(value: Any) -> bool:
            inside = dict(_numbered(value)) if isinstance(value, list) else value
            return isinstance(inside, dict) and matches(inside)

    return apply(lambda value: isinstance(value, list) and any(map(test, value)), expand=False)


def _numbered(array: list[Any]) -> Iterator[tuple[str, Any]]:
    return ((str(place), item) for place, item in enumerate(array))


def _modulo(wanted: Any, _: Document, apply: Apply) -> Test:
    is_pair = isinstance(wanted, list) and len(wanted) == 2
    if not is_pair or any(isinstance(n, bool) or not isinstance(n, int | float) for n in wanted):
        raise bad("$mod needs an array of two numbers")
    divisor, remainder = (int(number) for number in wanted)
    if divisor == 0:
        raise bad("divisor cannot be 0")

    def test(value: Any) -> bool:
        number = value.to_decimal() if isinstance(value, Decimal128) else value
        if isinstance(number, bool) or not isinstance(number, int | float | Decimal):
            return False
        if not math.isfinite(number):
            return False
        rest = abs(int(number)) % abs(divisor)
        return (-rest if number < 0 else rest) == remainder

    return apply(test)


_OPERATORS: dict[str, Callable[[Any, Document, Apply], Test]] = {
    "$eq": _equal,
    "$ne": _unequal,
    "$in": _among,
    "$nin": _not_among,
    "$not": _not,
    "$regex": _regex,
    "$exists": _exists,
    "$type": _type,
    "$size": _size,
    "$all": _all,
    "$elemMatch": _element,
    "$mod": _modulo,
}
