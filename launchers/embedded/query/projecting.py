"""Projections: which fields of a document are given back.

Source: https://www.mongodb.com/docs/manual/reference/method/db.collection.find/#projection
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from niobe.launchers.embedded.commands.errors import CommandError, not_supported
from niobe.launchers.embedded.query.expressions import is_true
from niobe.launchers.embedded.query.matching import is_condition, part_matcher, value_test
from niobe.launchers.embedded.query.paths import MISSING
from niobe.launchers.embedded.query.types import is_number

Document = dict[str, Any]
Tree = dict[str, Any]
Project = Callable[[Document], Document]
Change = tuple[Callable[[Any], Any], bool]  # of a field, and whether it then comes after the others


def projection(given: Any) -> Project:
    """What ``find`` gives of a document. Raises CommandError where it is no projection, or not known here."""
    if not isinstance(given, dict):
        raise CommandError(2, "projection must be an object")
    plain = {field: value for field, value in given.items() if is_flag(value)}
    special = {field: value for field, value in given.items() if field not in plain}
    changes = {field: _special(field, value) for field, value in special.items()}
    if any("$elemMatch" in value for value in special.values()):
        plain = dict.fromkeys(special, 1) | plain
    if changes and list(plain) == ["_id"] and is_true(plain["_id"]):
        raise not_supported("a projection of _id beside $slice alone")
    select = selection(plain, changes)
    return lambda document: _changed(select(document), changes)


def is_flag(value: Any) -> bool:
    """Whether a value of a projection says yes or no, rather than what a field shall be."""
    return isinstance(value, bool) or is_number(value)


def _changed(document: Document, changes: dict[str, Change]) -> Document:
    for field, (change, comes_last) in changes.items():
        if field in document:
            value = change(document[field])
            if comes_last:
                document = {name: kept for name, kept in document.items() if name != field}
            document = document if value is MISSING else {**document, field: value}
    return document


def _special(field: str, value: Any) -> Change:
    if not isinstance(value, dict) or len(value) != 1 or "." in field:
        raise not_supported(f"the projection {field}: {value!r}")
    ((name, given),) = value.items()
    if name == "$slice":
        return _slice(given), False
    if name == "$elemMatch":
        return _first_element(given), True
    raise not_supported(f"the projection operator {name}")


def _slice(given: Any) -> Callable[[Any], Any]:
    skip, count = given if isinstance(given, list) and len(given) == 2 else (None, given)
    if any(isinstance(n, bool) or not isinstance(n, int | None) for n in (skip, count)) or count is None:
        raise CommandError(28667, "$slice takes one or two whole numbers")
    if skip is None:
        return lambda value: _of_array(value, slice(count, None) if count < 0 else slice(count))
    if count <= 0:
        raise CommandError(28724, "the second number of $slice must be positive")
    return lambda value: _of_array(value, skip, count)


def _of_array(value: Any, part: slice | int, count: int = 0) -> Any:
    if not isinstance(value, list):
        return value
    if isinstance(part, slice):
        return value[part]
    start = max(0, len(value) + part) if part < 0 else part
    return value[start : start + count]


def _first_element(query: Any) -> Callable[[Any], Any]:
    if not isinstance(query, dict):
        raise CommandError(2, "$elemMatch needs an Object")
    is_value = is_condition(query)
    test = value_test(query) if is_value else part_matcher(query)

    def first(value: Any) -> Any:
        items = value if isinstance(value, list) else []
        found = next((i for i in items if (is_value or isinstance(i, dict)) and test(i)), MISSING)
        return MISSING if found is MISSING else [found]

    return first


def selection(plain: Document, others: Any = ()) -> Project:
    """Inclusion or exclusion of fields by dotted paths. others: fields that are given as they are.

    Raises CommandError for a mixture, or where a path leads into another.
    """
    wanted = {field: is_true(value) for field, value in plain.items() if field != "_id"}
    if len(set(wanted.values())) > 1:
        raise CommandError(31254, "Cannot do exclusion in inclusion projection, or the reverse")
    tree, is_listed = tree_of(wanted), "_id" in plain
    if is_listed and "_id" in tree:
        raise CommandError(31249, "Path collision at _id")
    with_identity = is_true(plain.get("_id", True))
    if any(wanted.values()) or (not wanted and is_listed and with_identity):
        for field in others:
            tree.setdefault(field, True)
        if with_identity:
            tree.setdefault("_id", True)
        return lambda document: included(document, tree)
    if is_listed and with_identity:
        raise not_supported("a projection with _id and without other fields")
    if not with_identity:
        tree["_id"] = True
    return lambda document: excluded(document, tree)


def tree_of(fields: Any) -> Tree:
    """Dotted paths as nested objects with True at their ends. Raises CommandError where two collide."""
    tree: Tree = {}
    for field in fields:
        *above, last = field.split(".")
        if not last or last.startswith("$") or any(not name or name.startswith("$") for name in above):
            raise not_supported(f"the projection of {field!r}")
        place = tree
        for name in above:
            place = place.setdefault(name, {})
            if place is True:
                raise CommandError(31249, f"Path collision at {field}")
        if last in place:
            raise CommandError(31250, f"Path collision at {field}")
        place[last] = True
    return tree


def included(document: Document, tree: Tree) -> Document:
    """A document's fields of a tree; arrays in the way: those of their objects."""
    found = {}
    for name, value in document.items():
        below = tree.get(name)
        if below is not None:
            kept = value if below is True else _included_value(value, below)
            if kept is not MISSING:
                found[name] = kept
    return found


def _included_value(value: Any, tree: Tree) -> Any:
    if isinstance(value, dict):
        return included(value, tree)
    if isinstance(value, list):
        return [kept for item in value if (kept := _included_value(item, tree)) is not MISSING]
    return MISSING


def excluded(value: Any, tree: Tree) -> Any:
    """A value without the fields of a tree; arrays in the way: without those of their objects."""
    if isinstance(value, list):
        return [excluded(item, tree) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: inner if name not in tree else excluded(inner, tree[name])
        for name, inner in value.items()
        if tree.get(name) is not True
    }
