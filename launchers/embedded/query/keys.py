"""A value as bytes that compare as MongoDB compares values: for sorting, equality and indexes alike.

Source: https://www.mongodb.com/docs/manual/reference/bson-type-comparison-order/; numbers of all types are
compared by value, objects field by field (type, name, value), arrays element by element.
"""

from __future__ import annotations

import math
import struct
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from bson import DatetimeMS, DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.binary import Binary
from bson.code import Code

from niobe.launchers.embedded.commands.errors import not_supported

MIN_KEY, NULL, NUMBER, STRING, OBJECT, ARRAY = 0x0A, 0x14, 0x1E, 0x28, 0x32, 0x3C
BINARY, OBJECT_ID, BOOLEAN, DATE, TIMESTAMP, REGEX = 0x46, 0x50, 0x5A, 0x64, 0x6E, 0x78
CODE, SCOPED_CODE, MAX_KEY = 0x82, 0x8C, 0xF0
_END = b"\0"
_EXACT_DOUBLE = 2**53
_SIGN = 1 << 63
_NAN = b"\0" * 8
_EXACT, _BELOW, _ABOVE = b"\x80", b"\x7f", b"\x81"
_EPOCH = datetime(1970, 1, 1)


def key_of(value: Any) -> bytes:
    """The key of a BSON value: equal, smaller or larger as the value is.

    Raises CommandError for a type that is not known here.
    """
    make = _KEYS.get(type(value))
    return make(value) if make else _key_of_kin(value)


def _double(value: float) -> bytes:
    """Eight bytes in the order of doubles; -0.0 as 0.0."""
    if math.isnan(value):
        return _NAN
    (bits,) = struct.unpack(">Q", struct.pack(">d", value + 0.0))
    return struct.pack(">Q", ~bits & (2 * _SIGN - 1) if bits & _SIGN else bits | _SIGN)


def _float(value: float) -> bytes:
    return b"\x1e" + _double(value) + _EXACT


def _int(value: int) -> bytes:
    return _float(value) if -_EXACT_DOUBLE <= value <= _EXACT_DOUBLE else _number(Fraction(value))


def _number(value: Fraction) -> bytes:
    """The nearest double, then how far beside it: exact for every 64-bit integer and decimal."""
    nearest, rest = _nearest(value)
    if not rest:
        return _float(nearest)
    side = _BELOW if rest < 0 else _ABOVE
    exactly = f"{rest.numerator:x}/{rest.denominator:x}".encode() + _END
    return b"\x1e" + _double(nearest) + side + _double(_nearest(rest)[0]) + exactly


def _nearest(value: Fraction) -> tuple[float, Fraction]:
    try:
        nearest = float(value)
    except OverflowError:
        nearest = sys.float_info.max if value > 0 else -sys.float_info.max
    return nearest, value - Fraction(nearest)


def _decimal(value: Decimal128) -> bytes:
    number: Decimal = value.to_decimal()
    return _number(Fraction(number)) if number.is_finite() else _float(float(number))


def _text(value: str) -> bytes:
    return value.encode().replace(_END, b"\0\xff") + _END


def _string(value: str) -> bytes:
    return b"\x28" + _text(value)


def _object(value: dict[str, Any]) -> bytes:
    parts = [b"\x32"]
    for name, inner in value.items():
        key = key_of(inner)
        parts += (key[:1], _text(name), key)
    return b"".join(parts) + _END


def _array(value: list[Any]) -> bytes:
    return b"\x3c" + b"".join(map(key_of, value)) + _END


def _binary(value: bytes) -> bytes:
    subtype = value.subtype if isinstance(value, Binary) else 0
    return struct.pack(">BIB", BINARY, len(value), subtype) + value


def _date(value: datetime) -> bytes:
    if value.tzinfo:
        value = (value - value.utcoffset()).replace(tzinfo=None)  # type: ignore[operator]
    return struct.pack(">BQ", DATE, (value - _EPOCH) // timedelta(milliseconds=1) + _SIGN)


def _code(value: Code) -> bytes:
    if value.scope is None:
        return struct.pack(">B", CODE) + _text(value)
    return struct.pack(">B", SCOPED_CODE) + _text(value) + _object(dict(value.scope))


_KEYS: dict[type, Callable[[Any], bytes]] = {
    type(None): lambda value: b"\x14",
    bool: lambda value: b"\x5a\x01" if value else b"\x5a\x00",
    int: _int,
    Int64: _int,
    float: _float,
    Decimal128: _decimal,
    str: _string,
    dict: _object,
    list: _array,
    bytes: _binary,
    Binary: _binary,
    ObjectId: lambda value: b"\x50" + value.binary,
    datetime: _date,
    DatetimeMS: lambda value: struct.pack(">BQ", DATE, int(value) + _SIGN),
    Timestamp: lambda value: struct.pack(">BII", TIMESTAMP, value.time, value.inc),
    Regex: lambda value: b"\x78" + _text(value.pattern) + struct.pack(">I", value.flags),
    DBRef: lambda value: _object(dict(value.as_doc())),
    Code: _code,
    MinKey: lambda value: b"\x0a",
    MaxKey: lambda value: b"\xf0",
}


def _key_of_kin(value: Any) -> bytes:
    for kind in (dict, list, str, bytes, int, Regex):
        if isinstance(value, kind):
            return _KEYS[kind](value)
    raise not_supported(f"a value of type {type(value).__name__}")
