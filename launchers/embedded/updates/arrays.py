"""Update operators on arrays: each gives the new value of a field from the one there and its operand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from niobe.launchers.embedded.commands.errors import CommandError, not_supported
from niobe.launchers.embedded.query.keys import key_of
from niobe.launchers.embedded.query.matching import is_condition, part_matcher, value_test
from niobe.launchers.embedded.query.pace import tick
from niobe.launchers.embedded.query.paths import MISSING
from niobe.launchers.embedded.query.sorting import sort_key, sort_of
from niobe.launchers.embedded.query.types import type_of

_PUSH_OPTIONS = {"$each", "$position", "$slice", "$sort"}


def _array(found: Any, name: str) -> list[Any]:
    if found is MISSING:
        return []
    if not isinstance(found, list):
        raise CommandError(2, f"Cannot apply {name} to a non-array field of type {type_of(found)}")
    return list(found)


def _each(operand: Any, allowed: set[str]) -> list[Any] | None:
    """The values of ``$each``, or None where the operand itself is the value."""
    if not isinstance(operand, dict) or "$each" not in operand:
        return None
    if set(operand) - allowed or not isinstance(operand["$each"], list):
        raise CommandError(2, f"$each needs an array, beside it only {sorted(allowed)} are allowed")
    return list(operand["$each"])


def _whole(operand: dict[str, Any], name: str) -> int | None:
    value = operand.get(name)
    if value is None and name not in operand:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
        raise CommandError(2, f"The value for {name} must be an integer")
    return int(value)


def push(found: Any, operand: Any) -> Any:
    """``$push`` with ``$each``, ``$position``, ``$sort`` and ``$slice``."""
    array, values = _array(found, "$push"), _each(operand, _PUSH_OPTIONS)
    if values is None:
        if isinstance(operand, dict) and _PUSH_OPTIONS & set(operand):
            raise not_supported("$push with options and without $each")
        return [*array, operand]
    place, count = _whole(operand, "$position"), _whole(operand, "$slice")
    start = len(array) if place is None else place
    array[start:start] = values
    if "$sort" in operand:
        array = _sorted(array, operand["$sort"])
    if count is None:
        return array
    return array[:count] if count >= 0 else array[count:]


def _sorted(array: list[Any], order: Any) -> list[Any]:
    if isinstance(order, dict):
        if not all(isinstance(item, dict) for item in array):
            raise not_supported("$push that sorts what are no objects by their fields")
        return sorted(array, key=sort_key(sort_of(order)))
    if isinstance(order, bool) or order not in (1, -1):
        raise CommandError(2, "The $sort element value must be either 1 or -1")
    return sorted(array, key=key_of, reverse=order == -1)


def add_to_set(found: Any, operand: Any) -> Any:
    """``$addToSet``: values that are not there yet."""
    array, values = _array(found, "$addToSet"), _each(operand, {"$each"})
    known = {key_of(item) for item in array}
    for value in [operand] if values is None else values:
        tick()
        if (key := key_of(value)) not in known:
            known.add(key)
            array.append(value)
    return array


def _pull_test(operand: Any) -> Callable[[Any], bool]:
    """Which elements ``$pull`` takes: an object is a filter on objects, anything else a condition."""
    if isinstance(operand, dict) and not is_condition(operand):
        matches = part_matcher(operand)
        return lambda item: isinstance(item, dict) and matches(item)
    return value_test(operand)


def pull(found: Any, operand: Any) -> Any:
    """``$pull``."""
    if found is MISSING:
        return MISSING
    test = _pull_test(operand)
    return [item for item in _array(found, "$pull") if not test(item)]


def pull_all(found: Any, operand: Any) -> Any:
    """``$pullAll``."""
    if not isinstance(operand, list):
        raise CommandError(2, "$pullAll requires an array argument")
    if found is MISSING:
        return MISSING
    gone = {key_of(value) for value in operand}
    return [item for item in _array(found, "$pullAll") if key_of(item) not in gone]


def pop(found: Any, operand: Any) -> Any:
    """``$pop``: the last element, or the first by -1."""
    if isinstance(operand, bool) or operand not in (1, -1):
        raise CommandError(9, "$pop expects 1 or -1")
    if found is MISSING:
        return MISSING
    array = _array(found, "$pop")
    return array[:-1] if operand == 1 else array[1:]
