"""Updates: what a document becomes. Operators are applied path by path in the order of the paths.

Source: https://www.mongodb.com/docs/manual/reference/operator/update/; what is not here is refused by name.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from bson import Timestamp

from niobe.launchers.embedded.aggregation.stages import run_stages
from niobe.launchers.embedded.commands.errors import CommandError, not_supported
from niobe.launchers.embedded.query.keys import key_of
from niobe.launchers.embedded.query.paths import MISSING, Path, is_place
from niobe.launchers.embedded.query.types import combined, is_number, type_of
from niobe.launchers.embedded.updates import arrays
from niobe.launchers.embedded.updates.positions import check_filters, resolved

Document = dict[str, Any]
Change = Callable[[Any, Any], Any]  # of the value there (or MISSING) and the operand: the new value
_STAGES = {"$set", "$addFields", "$unset", "$project", "$replaceRoot", "$replaceWith"}
_MOST_PADDING = 1_500_000  # MongoDB's bound on nulls before a new element of an array


@dataclass(frozen=True)
class Update:
    """An update that was checked. filter, array_filters: what ``$`` and ``$[name]`` in a path refer to."""

    change: Any
    filter: Document = field(default_factory=dict)
    array_filters: list[Document] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Raises CommandError for what is no update, or not known here."""
        if self.array_filters and (isinstance(self.change, list) or not self.has_operators):
            raise CommandError(9, "arrayFilters are for updates by operators")
        if isinstance(self.change, list):
            for stage in self.change:
                if not isinstance(stage, dict) or len(stage) != 1 or not _STAGES & set(stage):
                    raise not_supported(f"the update stage {stage}")
        elif not isinstance(self.change, dict):
            raise CommandError(9, "an update is a document or a pipeline")
        elif self.has_operators:
            _check_paths(self.change)
            check_filters(self.array_filters, [text for fields in self.change.values() for text in fields])
        elif any(name.startswith("$") for name in self.change):
            raise CommandError(52, "a replacement has no fields that begin with $")

    @property
    def has_operators(self) -> bool:
        """Whether it changes fields, rather than replaces the document."""
        return isinstance(self.change, list) or next(iter(self.change), "").startswith("$")

    def applied(self, before: Document, *, inserting: bool = False) -> Document:
        """The document after the update. Raises CommandError where it cannot be; ``before`` stays."""
        if isinstance(self.change, list):
            after: Document = next(run_stages(iter([deepcopy(before)]), self.change))
            after = {"_id": before["_id"], **after} if "_id" in before else after
        elif not self.has_operators:
            identity = {"_id": before["_id"]} if "_id" in before else {}
            after = identity | deepcopy(self.change)
        else:
            after = self._changed(before, inserting=inserting)
        if "_id" not in before:
            return after
        if "_id" not in after or key_of(after["_id"]) != key_of(before["_id"]):
            raise CommandError(66, "an update must not change the immutable field '_id'")
        return {**after, "_id": before["_id"]}  # 1 stays 1 where it was set to 1.0

    def _changed(self, before: Document, *, inserting: bool) -> Document:
        steps: list[tuple[tuple[str, ...], str, Any]] = []
        for name, fields in self.change.items():
            if name == "$setOnInsert" and not inserting:
                continue
            for text, operand in fields.items():
                for place in resolved(text.split("."), before, self.filter, self.array_filters):
                    steps.append((tuple(place), name, operand))
        _refuse_conflicts([path for path, _, _ in steps])
        touched = {path[0] for path, _, _ in steps}
        touched |= {to.split(".")[0] for _, name, to in steps if name == "$rename"}
        after = {name: deepcopy(value) if name in touched else value for name, value in before.items()}
        for path, name, operand in sorted(steps, key=lambda step: _path_order(step[0])):
            _apply(after, list(path), name, operand, before)
        return after


def _path_order(path: tuple[str, ...]) -> list[tuple[int, int, str]]:
    return [(0, int(part), "") if is_place(part) else (1, 0, part) for part in path]


def _check_paths(change: Document) -> None:
    paths = []
    for name, fields in change.items():
        if not name.startswith("$"):
            raise CommandError(9, f"Unknown modifier: {name}. Expected a valid update modifier")
        if name not in _CHANGES and name not in _WHOLE:
            raise not_supported(f"the update operator {name}")
        if not isinstance(fields, dict):
            raise CommandError(
                9, f"Modifiers operate on fields but we found type {type_of(fields)} for {name}"
            )
        for text, operand in fields.items():
            if not all(text.split(".")):
                raise CommandError(56, f"The update path '{text}' contains an empty field name")
            if name == "$rename":
                if not isinstance(operand, str) or "$" in text + operand:
                    raise CommandError(2, "The 'to' field for $rename must be a string, without $")
                paths.append(tuple(operand.split(".")))
            paths.append(tuple(text.split(".")))
    _refuse_conflicts(paths)


def _refuse_conflicts(paths: list[tuple[str, ...]]) -> None:
    known = set(paths)
    for path in paths:
        above = next((path[:end] for end in range(1, len(path)) if path[:end] in known), None)
        if above or len(known) < len(paths):
            at = ".".join(above or path)
            raise CommandError(40, f"Updating the path '{'.'.join(path)}' would create a conflict at '{at}'")


def _apply(after: Document, path: Path, name: str, operand: Any, before: Document) -> None:
    if name == "$rename":
        _rename(after, path, operand.split("."), before)
    elif name == "$unset":
        remove_at(after, path)
    else:
        found = _there(after, path)
        value = _CHANGES[name](found, operand)
        if value is not MISSING:
            set_at(after, path, value)


def _there(document: Any, path: Path) -> Any:
    """The value at a path, places in arrays by number; MISSING where it ends before."""
    for name in path:
        if isinstance(document, dict):
            document = document.get(name, MISSING)
        elif isinstance(document, list) and is_place(name) and int(name) < len(document):
            document = document[int(name)]
        else:
            return MISSING
    return document


def set_at(document: Any, path: Path, value: Any) -> None:
    """Set a value, making objects on the way. Raises CommandError where a scalar is in the way.

    document: changed in place. path: field names and positions in arrays.
    """
    for depth, name in enumerate(path):
        is_last = depth == len(path) - 1
        if isinstance(document, dict):
            if is_last:
                document[name] = value
            else:
                document = document.setdefault(name, {})
        elif isinstance(document, list) and is_place(name):
            document = _set_element(document, int(name), value if is_last else {}, replace=is_last)
        else:
            element = f"{{{'.'.join(path[:depth])}: {type_of(document)}}}"
            raise CommandError(28, f"Cannot create field '{name}' in element {element}")


def _set_element(array: list[Any], place: int, value: Any, *, replace: bool) -> Any:
    if place >= len(array):
        if place - len(array) > _MOST_PADDING:
            raise CommandError(2, f"can't backfill more than {_MOST_PADDING} elements")
        array.extend([None] * (place - len(array)))
        array.append(value)
    elif replace:
        array[place] = value
    return array[place]


def remove_at(document: Any, path: Path) -> None:
    """Remove a field; an element of an array becomes null."""
    holder, last = _there(document, path[:-1]), path[-1]
    if isinstance(holder, dict):
        holder.pop(last, None)
    elif isinstance(holder, list) and is_place(last) and int(last) < len(holder):
        holder[int(last)] = None


def _rename(after: Document, path: Path, to: Path, before: Document) -> None:
    for parts in (path, to):
        if any(isinstance(_there(before, parts[:end]), list) for end in range(1, len(parts))):
            raise CommandError(2, "The source and target of $rename cannot be in an array")
    value = _there(before, path)
    if value is not MISSING:
        remove_at(after, path)
        set_at(after, to, value)


def _calculated(name: str, calculate: Callable[[Any, Any], Any]) -> Change:
    def change(found: Any, operand: Any) -> Any:
        if not is_number(operand):
            raise CommandError(14, f"Cannot {name} with non-numeric argument")
        if found is MISSING:
            return operand if name == "$inc" else combined(operator.mul, 0, operand)
        if not is_number(found):
            raise CommandError(14, f"Cannot apply {name} to a value of non-numeric type {type_of(found)}")
        return combined(calculate, found, operand)

    return change


def _bounded(is_wanted: Callable[[bytes, bytes], bool]) -> Change:
    def change(found: Any, operand: Any) -> Any:
        return operand if found is MISSING or is_wanted(key_of(operand), key_of(found)) else found

    return change


def _current(found: Any, operand: Any) -> Any:
    now = datetime.now(UTC).replace(tzinfo=None)
    if operand is True or operand == {"$type": "date"}:
        return now.replace(microsecond=now.microsecond // 1000 * 1000)
    if operand == {"$type": "timestamp"}:
        return Timestamp(int(now.replace(tzinfo=UTC).timestamp()), 1)
    raise CommandError(2, "$currentDate takes true or a type")


def base_of(filter: Document) -> Document:
    """The document that an upsert begins with: the equalities of its filter, under $and too.

    Raises CommandError where two of them meet, or where MongoDB's rule is not known here.
    """
    base: Document = {}
    paths: list[tuple[str, ...]] = []
    for text, value in _equalities(filter):
        path = text.split(".")
        paths.append(tuple(path))
        set_at(base, path, deepcopy(value))
    if len(set(paths)) < len(paths):
        raise CommandError(54, "cannot infer query fields to set, a path is matched twice")
    _refuse_conflicts(paths)
    return {"_id": base["_id"], **base} if "_id" in base else base


def _equalities(filter: Document) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, wanted in filter.items():
        if name == "$and":
            found += [pair for part in wanted for pair in _equalities(part)]
        elif name == "$or" and len(wanted) == 1:
            found += _equalities(wanted[0])
        elif not name.startswith("$") and type_of(wanted) != "regex":
            found += _equality(name, wanted)
    return found


def _equality(name: str, wanted: Any) -> list[tuple[str, Any]]:
    if not isinstance(wanted, dict) or not next(iter(wanted), "").startswith("$"):
        return [(name, wanted)]
    listed = wanted.get("$in", wanted.get("$all", []))
    if isinstance(listed, list) and len(listed) == 1:
        raise not_supported("an upsert by a list of one value")
    return [(name, wanted["$eq"])] if "$eq" in wanted else []


_WHOLE = {"$unset", "$rename"}
_CHANGES: dict[str, Change] = {
    "$set": lambda found, operand: deepcopy(operand),
    "$setOnInsert": lambda found, operand: deepcopy(operand),
    "$inc": _calculated("$inc", operator.add),
    "$mul": _calculated("$mul", operator.mul),
    "$min": _bounded(operator.lt),
    "$max": _bounded(operator.gt),
    "$currentDate": _current,
    "$push": arrays.push,
    "$addToSet": arrays.add_to_set,
    "$pull": arrays.pull,
    "$pullAll": arrays.pull_all,
    "$pop": arrays.pop,
}
