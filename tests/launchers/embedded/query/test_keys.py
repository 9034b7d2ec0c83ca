"""The bytes of a value compare as the value does."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from bson import Code, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from hypothesis import given
from hypothesis import strategies as st

from niobe.launchers.embedded.query.keys import key_of

ASCENDING: list[Any] = [
    MinKey(),
    None,
    float("nan"),
    float("-inf"),
    Decimal128("-1E+400"),
    -(2**63),
    -1e-7,
    0,
    5e-324,
    Decimal128("0.1"),
    0.1,  # 0.1000000000000000055…: the double is larger than the decimal
    1,
    Decimal128("1.5"),
    2**53,
    Int64(2**53 + 1),
    2**53 + 2,
    2**63 - 1,
    Decimal128("1E+6000"),
    float("inf"),
    "",
    "a",
    "a\0",
    "ab",
    "ä",
    "𝄞",
    {},
    {"b": 1},
    {"b": 1, "a": 1},
    {"a": "x"},
    {"a": []},
    [],
    [1],
    [1, 2],
    [2],
    [[]],
    b"",
    b"b",
    b"aa",
    ObjectId("0" * 24),
    False,
    True,
    datetime(1900, 1, 1),
    datetime(2026, 1, 1),
    Timestamp(1, 2),
    Regex("a", "i"),
    Code("a"),
    MaxKey(),
]
NUMBERS = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.decimals(-10, 10, places=5),
)


def test_types_and_values_come_in_mongodbs_order() -> None:
    keys = [key_of(value) for value in ASCENDING]
    assert keys == sorted(keys)
    assert len(set(keys)) == len(keys)


@given(NUMBERS, NUMBERS)
def test_numbers_of_all_types_compare_by_value(one: Any, other: Any) -> None:
    keys = [key_of(Decimal128(n) if isinstance(n, Decimal) else n) for n in (one, other)]
    assert (keys[0] < keys[1], keys[0] == keys[1]) == (one < other, one == other)


@pytest.mark.parametrize(
    "equal", [(1, 1.0, Int64(1), Decimal128("1.00")), (0.0, -0.0, Decimal128("-0")), ({"a": 1}, {"a": 1.0})]
)
def test_equal_values_have_one_key(equal: tuple[Any, ...]) -> None:
    assert len({key_of(value) for value in equal}) == 1


@pytest.mark.parametrize("different", [(1, True), (0, False), ("1", 1), ({"a": 1, "b": 2}, {"b": 2, "a": 1})])
def test_different_values_have_different_keys(different: tuple[Any, ...]) -> None:
    assert len({key_of(value) for value in different}) == len(different)
