"""Aggregation expressions, compiled once: a value made from a document.

Source: https://www.mongodb.com/docs/manual/reference/operator/aggregation/; what is not here is refused.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable
from typing import Any

from bson import ObjectId

from niobe.launchers.embedded.commands.errors import CommandError, not_supported
from niobe.launchers.embedded.query.keys import key_of
from niobe.launchers.embedded.query.pace import tick
from niobe.launchers.embedded.query.paths import MISSING, value_at
from niobe.launchers.embedded.query.types import combined, is_number, type_of

Document = dict[str, Any]
ValueOf = Callable[[Any], Any]
_VARIABLES = {"ROOT", "CURRENT"}
_MISSING_KEY = b""  # before everything else


def is_true(value: Any) -> bool:
    """How an expression's value counts as a condition: all but false, null, 0 and what is not there."""
    return not (value is MISSING or value is None or value is False or (is_number(value) and _is_zero(value)))


def _is_zero(value: Any) -> bool:
    return key_of(value) == key_of(0)


def compile_expression(expression: Any) -> ValueOf:
    """What an expression is for a document. Raises CommandError for one that is not known here."""
    if isinstance(expression, str) and expression.startswith("$"):
        return _path(expression)
    if isinstance(expression, list):
        parts = [compile_expression(part) for part in expression]
        return lambda document: [_or_null(part(document)) for part in parts]
    if not isinstance(expression, dict):
        return lambda document: expression
    if next(iter(expression), "").startswith("$"):
        if len(expression) != 1:
            raise CommandError(15983, "an expression has exactly one operator")
        ((name, given),) = expression.items()
        return _operator(name, given)
    fields = {name: compile_expression(value) for name, value in expression.items()}
    return lambda document: {
        name: value for name, make in fields.items() if (value := make(document)) is not MISSING
    }


def _or_null(value: Any) -> Any:
    return None if value is MISSING else value


def _path(text: str) -> ValueOf:
    if not text.startswith("$$"):
        if len(text) == 1:
            raise CommandError(16872, "'$' by itself is not a valid FieldPath")
        path = _names(text[1:])
        return lambda document: value_at(document, path)
    variable, _, rest = text[2:].partition(".")
    if variable == "REMOVE" and not rest:
        return lambda document: MISSING
    if variable not in _VARIABLES:
        raise not_supported(f"the variable $${variable}")
    path = _names(rest) if rest else []
    return lambda document: value_at(document, path)


def _names(path: str) -> list[str]:
    names = path.split(".")
    if not all(names) or any(name.startswith("$") for name in names):
        raise CommandError(16410, f"the field names of {path!r} must not be empty or begin with $")
    return names


def _operator(name: str, given: Any) -> ValueOf:
    if name == "$literal":
        return lambda document: given
    if name == "$cond":
        return _cond(given)
    if name not in _FUNCTIONS:
        raise not_supported(f"the expression {name}")
    fewest, most, function = _FUNCTIONS[name]
    parts = [compile_expression(part) for part in (given if isinstance(given, list) else [given])]
    if not fewest <= len(parts) <= most:
        raise CommandError(16020, f"Expression {name} takes {fewest} to {most} arguments, not {len(parts)}")
    if name in _LAZY:
        return lambda document: function(part(document) for part in parts)

    def value_of(document: Any) -> Any:
        tick()
        return function(*(part(document) for part in parts))

    return value_of


def _cond(given: Any) -> ValueOf:
    if isinstance(given, dict):
        if set(given) != {"if", "then", "else"}:
            raise CommandError(17083, "$cond needs if, then and else")
        given = [given["if"], given["then"], given["else"]]
    if not isinstance(given, list) or len(given) != 3:
        raise CommandError(16020, "Expression $cond takes exactly 3 arguments")
    test, then, otherwise = map(compile_expression, given)
    return lambda document: then(document) if is_true(test(document)) else otherwise(document)


def _is_null(value: Any) -> bool:
    return value is None or value is MISSING


def _if_null(values: Any) -> Any:
    value = None
    for value in values:
        if not _is_null(value):
            return value
    return value


def _compared(compare: Callable[[bytes, bytes], Any]) -> Callable[[Any, Any], Any]:
    return lambda one, other: compare(expression_key(one), expression_key(other))


def expression_key(value: Any) -> bytes:
    """The key of an expression's value: what is missing comes before null."""
    return _MISSING_KEY if value is MISSING else key_of(value)


def _order(one: bytes, other: bytes) -> int:
    return (one > other) - (one < other)


def _numbers(name: str, calculate: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    def fold(*values: Any) -> Any:
        if any(map(_is_null, values)):
            return None
        for value in values:
            if type_of(value) == "date":
                raise not_supported(f"{name} of a date")
            if not is_number(value):
                raise CommandError(14, f"{name} only supports numeric types, not {type_of(value)}")
        return functools.reduce(functools.partial(combined, calculate), values)

    return fold


def _divide(one: Any, other: Any) -> Any:
    if _is_null(one) or _is_null(other):
        return None
    if not is_number(one) or not is_number(other):
        raise CommandError(16609, "$divide only supports numeric types")
    if _is_zero(other):
        raise CommandError(16608, "can't $divide by zero")
    if "decimal" in {type_of(one), type_of(other)}:
        return combined(operator.truediv, one, other)
    return float(one) / float(other)


def _concat(*values: Any) -> Any:
    if any(map(_is_null, values)):
        return None
    if any(not isinstance(value, str) for value in values):
        raise CommandError(16702, "$concat only supports strings")
    return "".join(values)


def _size(value: Any) -> int:
    if not isinstance(value, list):
        raise CommandError(
            17124, f"The argument to $size must be an array, but was of type: {type_of(value)}"
        )
    return len(value)


def _element(array: Any, place: Any) -> Any:
    if _is_null(array) or _is_null(place):
        return None
    if not isinstance(array, list) or not is_number(place) or not float(place).is_integer():
        raise CommandError(28689, "$arrayElemAt needs an array and a whole number")
    index = int(place)
    return array[index] if -len(array) <= index < len(array) else MISSING


def _in(value: Any, array: Any) -> bool:
    if not isinstance(array, list):
        raise CommandError(40081, "$in requires an array as a second argument")
    wanted = expression_key(value)
    return any(key_of(item) == wanted for item in array)


def _merged(*values: Any) -> Any:
    single = values[0] if len(values) == 1 else None
    parts = single if isinstance(single, list) else values
    if any(not _is_null(part) and not isinstance(part, dict) for part in parts):
        raise CommandError(40400, "$mergeObjects requires object inputs")
    merged: Document = {}
    for part in parts:
        merged |= part or {}
    return merged


def _to_string(value: Any) -> Any:
    if _is_null(value) or isinstance(value, str):
        return _or_null(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | ObjectId):
        return str(value)
    raise not_supported(f"$toString of a {type_of(value)}")


def _substring(text: Any, start: Any, length: Any) -> str:
    if not _is_null(text) and not isinstance(text, str):
        raise not_supported(f"$substr of a {type_of(text)}")
    if not isinstance(start, int) or not isinstance(length, int) or start < 0:
        raise CommandError(16034, "$substr needs whole numbers, the first not negative")
    body = (text or "").encode()[start:] if _is_null(text) or text else b""
    try:
        return body[: None if length < 0 else length].decode()
    except UnicodeDecodeError as error:
        raise CommandError(28656, "$substrBytes: in the middle of a UTF-8 character") from error


def _rounded(name: str, rounding: Callable[[float], int]) -> Callable[[Any], Any]:
    def function(value: Any) -> Any:
        if _is_null(value):
            return None
        if type_of(value) not in {"int", "long", "double"}:
            raise CommandError(28765, f"{name} only supports numeric types, not {type_of(value)}")
        is_whole = not isinstance(value, float) or not math.isfinite(value)
        return value if is_whole else math.copysign(float(rounding(value)), value)

    return function


def _absolute(value: Any) -> Any:
    if _is_null(value):
        return None
    if not is_number(value):
        raise CommandError(28765, f"$abs only supports numeric types, not {type_of(value)}")
    return value if key_of(value) >= key_of(0) else combined(operator.mul, value, -1)


_MANY = 100_000
_LAZY = {"$and", "$or", "$ifNull"}
_FUNCTIONS: dict[str, tuple[int, int, Callable[..., Any]]] = {
    "$eq": (2, 2, _compared(operator.eq)),
    "$ne": (2, 2, _compared(operator.ne)),
    "$gt": (2, 2, _compared(operator.gt)),
    "$gte": (2, 2, _compared(operator.ge)),
    "$lt": (2, 2, _compared(operator.lt)),
    "$lte": (2, 2, _compared(operator.le)),
    "$cmp": (2, 2, _compared(_order)),
    "$and": (0, _MANY, lambda values: all(map(is_true, values))),
    "$or": (0, _MANY, lambda values: any(map(is_true, values))),
    "$not": (1, 1, lambda value: not is_true(value)),
    "$ifNull": (2, _MANY, _if_null),
    "$add": (1, _MANY, _numbers("$add", operator.add)),
    "$multiply": (1, _MANY, _numbers("$multiply", operator.mul)),
    "$subtract": (2, 2, _numbers("$subtract", operator.sub)),
    "$divide": (2, 2, _divide),
    "$abs": (1, 1, _absolute),
    "$floor": (1, 1, _rounded("$floor", math.floor)),
    "$ceil": (1, 1, _rounded("$ceil", math.ceil)),
    "$concat": (1, _MANY, _concat),
    "$toString": (1, 1, _to_string),
    "$substr": (3, 3, _substring),
    "$substrBytes": (3, 3, _substring),
    "$size": (1, 1, _size),
    "$isArray": (1, 1, lambda value: isinstance(value, list)),
    "$arrayElemAt": (2, 2, _element),
    "$in": (2, 2, _in),
    "$mergeObjects": (1, _MANY, _merged),
    "$type": (1, 1, type_of),
}
