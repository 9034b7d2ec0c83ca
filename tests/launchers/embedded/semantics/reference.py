"""MongoDB's documented semantics once more, small and slow: what the server is compared with.

Written from the manual and apart from the server: values are compared as nested tuples of exact fractions,
filters are interpreted, arrays are followed by recursion. In hosted CI the same cases go to a real MongoDB.
"""

from __future__ import annotations

import math
import re
from copy import deepcopy
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from functools import cmp_to_key
from itertools import pairwise
from typing import Any

from bson import Decimal128, ObjectId, Regex

Document = dict[str, Any]
ABSENT = object()


class RefusedError(Exception):
    """MongoDB answers with an error."""


def rank(value: Any) -> int:
    """The place of a value's type: null, numbers, strings, objects, arrays, binary, ids, booleans, dates."""
    if value is None or value is ABSENT:
        return 0
    kinds: list[Any] = [bool, (int, float, Decimal128), str, dict, list, bytes, ObjectId, datetime, Regex]
    found = next(place for place, kind in enumerate(kinds) if isinstance(value, kind))
    return [7, 1, 2, 3, 4, 5, 6, 8, 9][found]


def exact(number: Any) -> Any:
    if isinstance(number, Decimal128):
        number = number.to_decimal()
        return Fraction(number) if number.is_finite() else float(number)
    return number if isinstance(number, float) and not math.isfinite(number) else Fraction(number)


def compare(one: Any, other: Any) -> int:
    """-1, 0 or 1 in MongoDB's order."""
    kinds = rank(one), rank(other)
    if kinds[0] != kinds[1]:
        return -1 if kinds[0] < kinds[1] else 1
    if kinds[0] == 0:
        return 0
    if kinds[0] == 3:
        return compare_lists(
            [(rank(v), k, v) for k, v in one.items()], [(rank(v), k, v) for k, v in other.items()]
        )
    if kinds[0] == 4:
        return compare_lists([(0, "", item) for item in one], [(0, "", item) for item in other])
    if kinds[0] == 1:
        one, other = exact(one), exact(other)
        if isinstance(one, float) and math.isnan(one):
            return 0 if isinstance(other, float) and math.isnan(other) else -1
        if isinstance(other, float) and math.isnan(other):
            return 1
    if kinds[0] == 9:
        one, other = (one.pattern, one.flags), (other.pattern, other.flags)
    return bool(one > other) - bool(one < other)


def compare_lists(one: list[Any], other: list[Any]) -> int:
    for a, b in zip(one, other, strict=False):
        if a[:2] != b[:2]:
            return -1 if a[:2] < b[:2] else 1
        if found := compare(a[2], b[2]):
            return found
    return (len(one) > len(other)) - (len(one) < len(other))


def leaves(value: Any, path: list[str]) -> list[Any]:
    """What a path reaches: through the objects of arrays, by number into them; ABSENT where a field lacks."""
    if not path:
        return [value]
    if isinstance(value, dict):
        return leaves(value[path[0]], path[1:]) if path[0] in value else [ABSENT]
    if not isinstance(value, list):
        return [ABSENT]
    found = [leaf for item in value if isinstance(item, dict) for leaf in leaves(item, path)]
    if path[0].isdigit() and int(path[0]) < len(value):
        item = value[int(path[0])]
        if len(path) == 1 or isinstance(item, dict | list):
            found += [("placed", item)] if len(path) == 1 else leaves(item, path[1:])
    return found


def tried(document: Document, path: str) -> list[Any]:
    """The values a condition is tried on: an array's elements too, unless a number named it."""
    found: list[Any] = []
    for leaf in leaves(document, path.split(".")):
        if isinstance(leaf, tuple):
            found.append(leaf[1])
        else:
            found += [*leaf, leaf] if isinstance(leaf, list) else [leaf]
    return found


def holders(document: Document, path: str) -> list[Any]:
    return [leaf[1] if isinstance(leaf, tuple) else leaf for leaf in leaves(document, path.split("."))]


def equal(value: Any, wanted: Any) -> bool:
    return compare(value, wanted) == 0 and (value is not ABSENT or wanted is None)


def like(value: Any, pattern: Regex[str]) -> bool:
    return isinstance(value, str) and re.search(pattern.pattern, value, pattern.flags) is not None


def test_value(value: Any, name: str, wanted: Any) -> bool:
    if name == "$eq":
        return equal(value, wanted)
    if name == "$in":
        return any(like(value, w) if isinstance(w, Regex) else equal(value, w) for w in wanted)
    if name == "$regex":
        return like(value, Regex(wanted))
    if name == "$type":
        return type_name(value) == wanted or (wanted == "number" and rank(value) == 1)
    if name == "$mod":
        if rank(value) != 1 or not math.isfinite(float(str(value))):
            return False
        whole = int(Decimal(str(value)))
        return whole - wanted[0] * int(whole / Fraction(wanted[0])) == wanted[1]
    if rank(value) != rank(wanted) or (value is ABSENT and wanted is not None):
        return False
    if isinstance(wanted, float | Decimal128) and math.isnan(float(str(wanted))):
        return name in {"$gte", "$lte"} and equal(value, wanted)
    if isinstance(value, float | Decimal128) and math.isnan(float(str(value))):
        return False
    order = compare(value, wanted)
    return {"$gt": order > 0, "$gte": order >= 0, "$lt": order < 0, "$lte": order <= 0}[name]


def type_name(value: Any) -> str:
    kinds: list[tuple[Any, str]] = [
        (bool, "bool"), (int, "int"), (float, "double"), (Decimal128, "decimal"), (str, "string"),
        (dict, "object"), (list, "array"), (ObjectId, "objectId"), (datetime, "date"), (type(None), "null"),
    ]  # fmt: skip
    for kind, name in kinds:
        if isinstance(value, kind):
            return "long" if name == "int" and abs(value) >= 2**31 else name
    return "missing"


def condition(document: Any, path: str, name: str, wanted: Any) -> bool:
    if name in {"$ne", "$nin"}:
        return not condition(document, path, {"$ne": "$eq", "$nin": "$in"}[name], wanted)
    if name == "$not":
        return not meets(document, path, wanted)
    if name == "$exists":
        return any(leaf is not ABSENT for leaf in holders(document, path)) is bool(wanted)
    if name == "$size":
        return any(isinstance(leaf, list) and len(leaf) == wanted for leaf in holders(document, path))
    if name == "$all":
        return bool(wanted) and all(meets(document, path, each) for each in wanted)
    if name == "$elemMatch":
        arrays = [leaf for leaf in holders(document, path) if isinstance(leaf, list)]
        return any(element(item, wanted) for array in arrays for item in array)
    return any(test_value(value, name, wanted) for value in tried(document, path))


def element(item: Any, wanted: Document) -> bool:
    if next(iter(wanted), "").startswith("$"):
        return all(
            not test_value(item, {"$ne": "$eq", "$nin": "$in"}[name], w)
            if name in {"$ne", "$nin"}
            else test_value(item, name, w)
            for name, w in wanted.items()
        )
    if isinstance(item, list):
        item = {str(place): inner for place, inner in enumerate(item)}
    return isinstance(item, dict) and matches(item, wanted)


def meets(document: Any, path: str, wanted: Any) -> bool:
    if isinstance(wanted, Regex):
        return any(like(value, wanted) for value in tried(document, path))
    if isinstance(wanted, dict) and next(iter(wanted), "").startswith("$"):
        return all(condition(document, path, name, value) for name, value in wanted.items())
    return condition(document, path, "$eq", wanted)


def matches(document: Document, filter: Document) -> bool:
    """Whether a filter finds a document."""
    for name, wanted in filter.items():
        if name == "$and":
            found = all(matches(document, part) for part in wanted)
        elif name == "$or":
            found = any(matches(document, part) for part in wanted)
        elif name == "$nor":
            found = not any(matches(document, part) for part in wanted)
        else:
            found = meets(document, name, wanted)
        if not found:
            return False
    return True


def sort_leaves(value: Any, path: list[str]) -> list[Any]:
    """What a path reaches for a sort: an element of an array that is no object lacks the field."""
    if not path:
        return [value]
    if isinstance(value, list):
        items = [ABSENT if isinstance(item, list) else item for item in value]
        return [leaf for item in items or [ABSENT] for leaf in sort_leaves(item, path)]
    return sort_leaves(value[path[0]], path[1:]) if isinstance(value, dict) and path[0] in value else [ABSENT]


def sort_value(document: Document, path: str, direction: int) -> Any:
    """The least element of an array or, downwards, the greatest; an empty one (a tuple) is before null."""
    values: list[Any] = []
    for leaf in sort_leaves(document, path.split(".")):
        values += (leaf or [("nothing",)]) if isinstance(leaf, list) else [leaf]
    best = min if direction > 0 else max
    return best(values or [None], key=cmp_to_key(compare_sorted))


def compare_sorted(one: Any, other: Any) -> int:
    empties = isinstance(one, tuple), isinstance(other, tuple)
    return empties[1] - empties[0] if any(empties) else compare(one, other)


def ordered(documents: list[Document], path: str, direction: int) -> list[Any]:
    """The values a sort brings documents in order by."""
    values = [sort_value(document, path, direction) for document in documents]
    return sorted(values, key=cmp_to_key(compare_sorted), reverse=direction < 0)


def changed(document: Document, update: Document) -> Document:
    """The document after an update. Raises RefusedError."""
    after = deepcopy(document)
    paths = sorted((path, name) for name, fields in update.items() for path in fields)
    for (one, _), (other, _) in pairwise(paths):
        if one == other or other.startswith(one + "."):
            raise RefusedError
    for path, name in paths:
        one_change(after, path.split("."), name, update[name][path])
    return after


def one_change(holder: Any, path: list[str], name: str, operand: Any) -> None:
    removes = name in {"$unset", "$pull", "$pop"}
    for part in path[:-1]:
        there = has(holder, part)
        if not there and removes:
            return
        if not there:
            put(holder, part, {})
        holder = holder[int(part)] if isinstance(holder, list) else holder[part]
    last = path[-1]
    if not has(holder, last) and removes:
        return
    old = (holder[int(last)] if isinstance(holder, list) else holder[last]) if has(holder, last) else ABSENT
    if name == "$unset":
        if isinstance(holder, list):
            holder[int(last)] = None
        else:
            del holder[last]
        return
    put(holder, last, new_value(old, name, operand))


def has(holder: Any, part: str) -> bool:
    if isinstance(holder, list):
        return part.isdigit() and int(part) < len(holder)
    return isinstance(holder, dict) and part in holder


def put(holder: Any, part: str, value: Any) -> None:
    if isinstance(holder, list) and part.isdigit():
        holder.extend([None] * (int(part) + 1 - len(holder)))
        holder[int(part)] = value
    elif isinstance(holder, dict):
        holder[part] = value
    else:
        raise RefusedError


def new_value(old: Any, name: str, operand: Any) -> Any:
    if name == "$set":
        return operand
    if name in {"$min", "$max"}:
        order = 0 if old is ABSENT else compare(operand, old)
        return operand if old is ABSENT or (order < 0 if name == "$min" else order > 0) else old
    if name in {"$inc", "$mul"}:
        if old is ABSENT:
            return operand if name == "$inc" else operand * 0
        if rank(old) != 1:
            raise RefusedError
        if isinstance(old, Decimal128):
            old, operand = old.to_decimal(), Decimal(operand)
            return Decimal128(old + operand if name == "$inc" else old * operand)
        return old + operand if name == "$inc" else old * operand
    array = [] if old is ABSENT else old
    if not isinstance(array, list):
        raise RefusedError
    if name == "$push":
        return [*array, operand]
    if name == "$addToSet":
        return array if any(compare(item, operand) == 0 for item in array) else [*array, operand]
    if name == "$pop":
        return array[:-1] if operand == 1 else array[1:]
    if isinstance(operand, dict) and next(iter(operand), "").startswith("$"):
        return [item for item in array if not element(item, operand)]
    if isinstance(operand, dict):
        return [item for item in array if not (isinstance(item, dict) and matches(item, operand))]
    return [item for item in array if compare(item, operand)]
