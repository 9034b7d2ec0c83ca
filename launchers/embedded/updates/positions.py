"""``$``, ``$[]`` and ``$[name]`` in the path of an update, as places in the arrays of a document."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from niobe.launchers.embedded.commands.errors import CommandError, not_supported
from niobe.launchers.embedded.query.matching import matcher
from niobe.launchers.embedded.query.paths import Path

Document = dict[str, Any]


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
        places = [_matched(array, above, filter)]
    elif name == "$[]":
        places = list(range(len(array)))
    else:
        places = _filtered(array, name, filters)
    for index in places:
        yield from resolved([*above, str(index), *rest], document, filter, filters)


def _array_at(document: Any, path: Path) -> list[Any]:
    for name in path:
        if isinstance(document, list):
            document = document[int(name)] if name.isdigit() and int(name) < len(document) else None
        else:
            document = document.get(name) if isinstance(document, dict) else None
    if not isinstance(document, list):
        raise CommandError(2, f"The path '{'.'.join(path)}' must be an array for a positional update")
    return document


def _matched(array: list[Any], path: Path, filter: Document) -> int:
    """The element that the filter's conditions on the array found."""
    if "." in ".".join(path) and any(name.isdigit() for name in path):
        raise not_supported("the positional operator below another array")
    found = set()
    for text, wanted in _conditions(filter):
        below = text.split(".")
        if below[: len(path)] == path:
            found.add(_first_match(array, path, text, wanted))
    if len(found) != 1:
        said = "more than one element" if found else "no array of the query"
        raise CommandError(2, f"The positional operator refers to {said}")
    (place,) = found
    return place


def _conditions(filter: Document) -> Iterator[tuple[str, Any]]:
    for name, wanted in filter.items():
        if name == "$and":
            for part in wanted:
                yield from _conditions(part)
        elif name in {"$or", "$nor", "$expr"}:
            raise not_supported(f"the positional operator under {name}")
        elif not name.startswith("$"):
            yield name, wanted


def _first_match(array: list[Any], path: Path, text: str, wanted: Any) -> int:
    matches = matcher({text: wanted})
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
    own = [f for f in filters if all(field.split(".")[0] == identifier for field in f)]
    if len(own) != 1:
        raise CommandError(2, f"No array filter found for identifier '{identifier}'")
    matches = matcher(own[0])
    return [place for place, item in enumerate(array) if matches({identifier: item})]
