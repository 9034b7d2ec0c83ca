"""BSON's types by name and number, and numbers of one type from numbers of two."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

from bson import DatetimeMS, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.code import Code
from bson.decimal128 import create_decimal128_context

from niobe.launchers.embedded.commands.errors import CommandError, not_supported

_INT32, _INT64 = range(-(2**31), 2**31), range(-(2**63), 2**63)
_DECIMAL = create_decimal128_context()
_NAMES = {
    1: "double", 2: "string", 3: "object", 4: "array", 5: "binData", 7: "objectId", 8: "bool", 9: "date",
    10: "null", 11: "regex", 13: "javascript", 16: "int", 17: "timestamp", 18: "long", 19: "decimal",
    -1: "minKey", 127: "maxKey",
}  # fmt: skip
_KINDS: tuple[tuple[type, str], ...] = (
    (bool, "bool"),
    (Int64, "long"),
    (float, "double"),
    (Decimal128, "decimal"),
    (Code, "javascript"),
    (str, "string"),
    (dict, "object"),
    (list, "array"),
    (bytes, "binData"),
    (ObjectId, "objectId"),
    (datetime, "date"),
    (DatetimeMS, "date"),
    (type(None), "null"),
    (Regex, "regex"),
    (Timestamp, "timestamp"),
    (MinKey, "minKey"),
    (MaxKey, "maxKey"),
)
NUMBERS = {"int", "long", "double", "decimal"}


def type_of(value: Any) -> str:
    """BSON's name of a value's type; "missing" for what is not there."""
    for kind, name in _KINDS:
        if isinstance(value, kind):
            return name
    if isinstance(value, int):
        return "int" if value in _INT32 else "long"
    return "missing"


def is_number(value: Any) -> bool:
    """Whether a value is a number of any type; a boolean is none."""
    return type_of(value) in NUMBERS


def type_test(wanted: Any) -> Callable[[Any], bool]:
    """Whether a value is of a type. Raises CommandError for one that is not known."""
    if wanted == "number":
        return is_number
    known = isinstance(wanted, int | float) and not isinstance(wanted, bool)
    name = _NAMES.get(int(wanted)) if known and wanted == int(wanted) else wanted
    if name not in _NAMES.values():
        raise CommandError(2, f"Unknown type name alias: {wanted}")
    return lambda value: type_of(value) == name


def combined(calculate: Callable[[Any, Any], Any], one: Any, other: Any) -> Any:
    """The result of two numbers in the type MongoDB gives it: the wider one, long where int is too small.

    calculate: of two numbers of one type. one, other: int, long, double or decimal.
    Raises CommandError where 64 bits are too few, or for a double with a decimal.
    """
    types = {type_of(one), type_of(other)}
    if "decimal" in types:
        if "double" in types:
            raise not_supported("arithmetic of a double and a decimal")
        return Decimal128(calculate(*(_DECIMAL.create_decimal(_exactly(n)) for n in (one, other))))
    if "double" in types:
        return calculate(float(one), float(other))
    result = calculate(int(one), int(other))
    if result not in _INT64:
        raise CommandError(2, f"the result {result} does not fit into 64 bits")
    return Int64(result) if "long" in types or result not in _INT32 else result


def _exactly(number: Any) -> Decimal:
    found: Decimal = number.to_decimal() if isinstance(number, Decimal128) else Decimal(number)
    return found
