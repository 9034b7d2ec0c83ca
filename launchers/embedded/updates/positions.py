"""``$``, ``$[]`` and ``$[name]`` in the path of an update, as places in the arrays of a document."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from niobe.launchers.embedded.commands.errors import CommandError, not_supported
from niobe.launchers.embedded.query.matching import is_operators, matcher
from niobe.launchers.embedded.query.paths import Path, has_array, is_place

Document = dict[str, Any]
_IDENTIFIER = re.compile("[a-z][a-zA-Z0-9]*")
_OF_ELEMENTS = {
    "$eq", "$gt", "$gte", "$lt", "$lte", "$in", "$regex", "$options", "$mod", "$elemMatch",
}  # fmt: skip


def resolved(path: Path, document: Document, filter: Document, filters: list[Document]) -> Iterator[Path]:
    """The paths that one path means. Raises CommandError where there is no such place.

    path: with ``$``, ``$[]`` or ``$[name]`` in it. document: that it leads into. filter: what found the
    document. filters: the update's arrayFilters.
    """
    place = next((at for at, name in enumerate(path) if name.startswith("$")), None)
    if place is None:
        yield path
        return
    above, name, rest = path[:place], path[place], path[place + 1 :]
    array = _array_at(document, above)
    if name == "$":
        places = [_matched(array, above, filter, document)]
    elif name == "$[]":
        places = list(range(len(array)))
    else:
        places = _filtered(array, name, filters)
    for index in places:
        yield from resolved([*above, str(index), *rest], document, filter, filters)


def _array_at(document: Any, path: Path) -> list[Any]:
    for name in path:
        if isinstance(document, list):
            document = document[int(name)] if is_place(name) and int(name) < len(document) else None
        else:
            document = document.get(name) if isinstance(document, dict) else None
    if not isinstance(document, list):
        raise CommandError(2, f"The path '{'.'.join(path)}' must be an array for a positional update")
    return document


def _matched(array: list[Any], path: Path, filter: Document, document: Document) -> int:
    """The element that the filter's conditions on the array found, where they find one and the same."""
    if any(is_place(name) for name in path):
        raise not_supported("the positional operator below another array")
    found = set()
    for text, wanted in _conditions(filter):
        below = text.split(".")
        if below[: len(path)] == path:
            found |= {_first_match(array, path, below, single) for single in _singles(wanted)}
        elif has_array(document, below):
            raise not_supported("the positional operator with conditions on two arrays")
    if not found:
        raise CommandError(2, "The positional operator did not find the match needed from the query.")
    if len(found) > 1:
        raise not_supported("the positional operator with conditions on several elements")
    (place,) = found
    return place


def _singles(wanted: Any) -> list[Any]:
    """A condition operator by operator. Raises CommandError for one that no single element meets."""
    if not is_operators(wanted):
        return [wanted]
    for name in wanted:
        if name not in _OF_ELEMENTS:
            raise not_supported(f"the positional operator with {name}")
    options = {name: wanted[name] for name in ("$options",) if name in wanted}
    return [
        {name: value} | (options if name == "$regex" else {})
        for name, value in wanted.items()
        if name != "$options"
    ]


def _conditions(filter: Document) -> Iterator[tuple[str, Any]]:
    for name, wanted in filter.items():
        if name == "$and":
            for part in wanted:
                yield from _conditions(part)
        elif name in {"$or", "$nor", "$expr"}:
            raise not_supported(f"the positional operator under {name}")
        elif not name.startswith("$"):
            yield name, wanted


def _first_match(array: list[Any], path: Path, below: Path, wanted: Any) -> int:
    if any(is_place(name) for name in below):
        raise not_supported("the positional operator with a condition on one place")
    matches = matcher({".".join(below): wanted})
    for place, item in enumerate(array):
        holder: Any = [item]
        for name in reversed(path):
            holder = {name: holder}
        if matches(holder):
            return place
    raise not_supported("the positional operator with a condition on the whole array")


def _filtered(array: list[Any], name: str, filters: list[Document]) -> list[int]:
    identifier = name.removeprefix("$[").removesuffix("]")
    if f"$[{identifier}]" != name or not identifier:
        raise not_supported(f"{name} in the path of an update")
    own = [given for given in filters if _identifier(given) == identifier]
    if not own:
        raise CommandError(2, f"No array filter found for identifier '{identifier}'")
    matches = matcher(own[0])
    return [place for place, item in enumerate(array) if matches({identifier: item})]


def check_filters(filters: list[Document], paths: list[str]) -> None:
    """Raise CommandError for an array filter that is none, or that no path of the update uses.

    filters: the update's arrayFilters. paths: that it changes.
    """
    used = {name for path in paths for name in path.split(".")}
    known = [_identifier(given) for given in filters]
    for name in known:
        if known.count(name) > 1:
            raise CommandError(9, f"Found multiple array filters with the same top-level field name {name}")
        if f"$[{name}]" not in used:
            raise CommandError(9, f"The array filter for identifier '{name}' was not used in the update")


def _identifier(given: Any) -> str:
    if not isinstance(given, dict):
        raise CommandError(14, "an array filter must be an object")
    names = {field.split(".")[0] for field in given}
    if any(name.startswith("$") for name in names):
        raise not_supported("an array filter with $and, $or or $nor")
    if len(names) != 1 or not _IDENTIFIER.fullmatch(*names):
        raise CommandError(2, "an array filter needs one name, of letters and digits, the first a small one")
    return names.pop()
