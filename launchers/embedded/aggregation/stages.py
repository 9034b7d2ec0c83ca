"""Aggregation pipelines: stages as generators, each document passed on as it comes where it can be.

Source: https://www.mongodb.com/docs/manual/reference/operator/aggregation-pipeline/; what is not here is
refused by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from bson import Int64, Regex

from niobe.launchers.embedded.aggregation.grouping import grouper
from niobe.launchers.embedded.commands.errors import CommandError, not_supported
from niobe.launchers.embedded.query.expressions import compile_expression, is_true
from niobe.launchers.embedded.query.keys import key_of
from niobe.launchers.embedded.query.matching import matcher
from niobe.launchers.embedded.query.pace import tick
from niobe.launchers.embedded.query.paths import MISSING, is_place, value_at
from niobe.launchers.embedded.query.projecting import excluded, included, is_flag, selection, tree_of
from niobe.launchers.embedded.query.sorting import ordered, sort_key, sort_of
from niobe.launchers.embedded.query.types import type_of

Document = dict[str, Any]
Stream = Iterator[Document]
Stage = Callable[[Stream], Stream]
Find = Callable[[str, Document], Stream]


def run_stages(documents: Stream, pipeline: list[Any], find: Find | None = None) -> Stream:
    """Documents through a pipeline. find: gives documents of another collection, for ``$lookup``.

    Raises CommandError for a stage that is none, or not known here.
    """
    for stage in pipeline:
        if not isinstance(stage, dict) or len(stage) != 1:
            raise CommandError(40323, "A pipeline stage specification object must contain exactly one field.")
        ((name, given),) = stage.items()
        if name == "$lookup" and find is not None:
            documents = _lookup(given, find)(documents)
        elif name in _STAGES:
            documents = _STAGES[name](given)(documents)
        else:
            raise not_supported(f"the aggregation stage {name}")
    return documents


def _match(given: Any) -> Stage:
    matches = matcher(given)
    return lambda documents: filter(matches, documents)


def _whole(name: str, given: Any, least: int) -> int:
    if isinstance(given, bool) or not isinstance(given, int | float) or given != int(given) or given < least:
        raise CommandError(15958, f"{name} needs a whole number, at least {least}")
    return int(given)


def _limit(given: Any) -> Stage:
    count = _whole("$limit", given, 1)
    return lambda documents: islice(documents, count)


def _skip(given: Any) -> Stage:
    count = _whole("$skip", given, 0)
    return lambda documents: islice(documents, count, None)


def _sort(given: Any) -> Stage:
    sort = sort_of(given)
    if not sort or sort[0][0] == "$natural":
        raise CommandError(15976, "$sort stage must have at least one sort key, and $natural is none")
    key = sort_key(sort)
    return lambda documents: ordered((key(document), document) for document in documents)


def _count(given: Any) -> Stage:
    if not isinstance(given, str) or not given or given.startswith("$") or "." in given:
        raise CommandError(40156, "the count field must be a non-empty string without $ and .")

    def stage(documents: Stream) -> Stream:
        number = sum(1 for _ in documents)
        return iter([{given: number}] if number else [])

    return stage


def _project(given: Any) -> Stage:
    if not isinstance(given, dict) or not given:
        raise CommandError(40177, "$project specification must be a non-empty object")
    given = dict(_flat(given))
    computed = {field: value for field, value in given.items() if not is_flag(value)}
    plain = {field: value for field, value in given.items() if field not in computed}
    if not computed:
        select = selection(plain)
        return lambda documents: map(select, documents)
    if any(not is_true(value) for field, value in plain.items() if field != "_id"):
        raise CommandError(31254, "Cannot use an expression in an exclusion projection")
    if {} in computed.values():
        raise CommandError(40180, "an empty object is not a valid value of a projection")
    tree = _kept(plain, computed)
    add = _adder(computed)
    return lambda documents: (add(included(document, tree), document) for document in documents)


def _kept(plain: Document, computed: Document) -> Document:
    """The tree of what stays of a document: of objects on the way to what is computed, only themselves.

    Raises CommandError where two paths collide.
    """
    tree_of([field for field in (*plain, *computed) if field != "_id"])
    tree = tree_of([field for field in plain if field != "_id"])
    for field in computed:
        place = tree
        for name in field.split(".")[:-1]:
            place = place.setdefault(name, {})
    if "_id" not in computed and is_true(plain.get("_id", True)):
        tree.setdefault("_id", True)
    return tree


def _flat(given: Document, above: str = "") -> Iterator[tuple[str, Any]]:
    """Nested fields as dotted paths; an operator ends the way down."""
    for name, value in given.items():
        if isinstance(value, dict) and value and not next(iter(value)).startswith("$"):
            yield from _flat(value, f"{above}{name}.")
        else:
            yield above + name, value


def _adder(given: Document) -> Callable[[Document, Document], Document]:
    """Sets computed fields of a first document from a second one."""
    makers = [(path.split("."), compile_expression(value)) for path, value in given.items()]

    def add(to: Document, source: Document) -> Document:
        tick()
        values = [(path, make(source)) for path, make in makers]
        for path, value in values:
            to = _with(to, path, value)
        return to

    return add


def _with(holder: Any, path: list[str], value: Any) -> Any:
    """A copy of a value with another at a path: in each element of an array on the way."""
    if not path:
        return value
    if isinstance(holder, list):
        return [_with(item, path, value) for item in holder]
    inside = holder if isinstance(holder, dict) else {}
    set_to = _with(inside.get(path[0], MISSING), path[1:], value)
    if set_to is MISSING:
        return {name: inner for name, inner in inside.items() if name != path[0]}
    return {**inside, path[0]: set_to}


def _add_fields(given: Any) -> Stage:
    if not isinstance(given, dict) or not given:
        raise CommandError(40272, "$addFields specification must be a non-empty object")
    flat = dict(_flat(given))
    tree_of(flat)
    add = _adder(flat)
    return lambda documents: (add(document, document) for document in documents)


def _unset(given: Any) -> Stage:
    fields = given if isinstance(given, list) else [given]
    if not fields or any(not isinstance(field, str) for field in fields):
        raise CommandError(31002, "$unset specification must be a string or an array of strings")
    tree = tree_of(fields)
    return lambda documents: (excluded(document, tree) for document in documents)


def _replace_root(given: Any) -> Stage:
    if not isinstance(given, dict) or list(given) != ["newRoot"]:
        raise CommandError(40230, "$replaceRoot needs newRoot")
    return _replace_with(given["newRoot"])


def _replace_with(given: Any) -> Stage:
    make = compile_expression(given)

    def root(document: Document) -> Document:
        found = make(document)
        if not isinstance(found, dict):
            raise CommandError(40228, f"'newRoot' must evaluate to an object, not {type_of(found)}")
        return found

    return lambda documents: map(root, documents)


def _unwind(given: Any) -> Stage:
    options = given if isinstance(given, dict) else {"path": given}
    path = options.get("path")
    if not isinstance(path, str) or not path.startswith("$") or len(path) < 2:
        raise CommandError(28818, "path option to $unwind stage should be prefixed with a '$'")
    unknown = set(options) - {"path", "includeArrayIndex", "preserveNullAndEmptyArrays"}
    if unknown:
        raise CommandError(28811, f"unrecognized option to $unwind stage: {sorted(unknown)[0]}")
    names, index = path[1:].split("."), options.get("includeArrayIndex")
    keep = options.get("preserveNullAndEmptyArrays", False)
    if not isinstance(keep, bool):
        raise CommandError(28809, "the preserveNullAndEmptyArrays option to $unwind must be a boolean")
    if index is not None and (not isinstance(index, str) or not index or index.startswith("$")):
        raise CommandError(28810, "the includeArrayIndex option to $unwind must be a name without $")

    def each(document: Document) -> Stream:
        value: Any = document
        for name in names:
            value = value.get(name, MISSING) if isinstance(value, dict) else MISSING
        if isinstance(value, list) and value:
            for place, item in enumerate(value):
                tick()
                found = _with(document, names, item)
                yield _with(found, index.split("."), Int64(place)) if index else found
        elif not isinstance(value, list) and value is not None and value is not MISSING:
            yield _with(document, index.split("."), None) if index else document
        elif keep:
            found = _with(document, names, MISSING) if isinstance(value, list) else document
            yield _with(found, index.split("."), None) if index else found

    return lambda documents: (found for document in documents for found in each(document))


def _lookup(given: Any, find: Find) -> Stage:
    wanted = {"from", "localField", "foreignField", "as"}
    if (
        not isinstance(given, dict)
        or set(given) != wanted
        or not all(isinstance(v, str) for v in given.values())
    ):
        raise not_supported("$lookup other than by from, localField, foreignField and as")
    local, name = given["localField"].split("."), given["as"].split(".")
    if any(map(is_place, local)):
        raise not_supported("$lookup by a place in an array")

    def joined(document: Document) -> Document:
        value = value_at(document, local)
        values = value if isinstance(value, list) else [None if value is MISSING else value]
        if not values or any(isinstance(item, list | Regex) for item in values):
            raise not_supported("$lookup by a pattern, an empty array or an array in an array")
        distinct = list({key_of(item): item for item in values}.values())
        found = list(find(given["from"], {given["foreignField"]: {"$in": distinct}}))
        added: Document = _with(document, name, found)
        return added

    return lambda documents: map(joined, documents)


def _sort_by_count(given: Any) -> Stage:
    group = grouper({"_id": given, "count": {"$sum": 1}})
    order = _sort({"count": -1})
    return lambda documents: order(group(documents))


_STAGES: dict[str, Callable[[Any], Stage]] = {
    "$match": _match,
    "$limit": _limit,
    "$skip": _skip,
    "$sort": _sort,
    "$count": _count,
    "$project": _project,
    "$addFields": _add_fields,
    "$set": _add_fields,
    "$unset": _unset,
    "$replaceRoot": _replace_root,
    "$replaceWith": _replace_with,
    "$unwind": _unwind,
    "$group": grouper,
    "$sortByCount": _sort_by_count,
}
