"""JSON from outside that is read line by line, or in MongoDB's extended form."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from niobe.config.outside.json_text import STRING, not_too_deep

_LONGEST_LINE, _MOST_VALUES = 16 * 2**20, 1_000_000
"""Of a document in a bundle, which is a line: MongoDB takes none above 16 MiB."""


class TooManyError(ValueError):
    """There are more values than are read."""


def bounded_lines(file: Path) -> Iterator[tuple[int, bytes]]:
    """The number and text of each line, as far as ``extended`` reads it; none after one that is longer."""
    with file.open("rb") as content:
        for number, line in enumerate(iter(lambda: content.readline(_LONGEST_LINE + 1), b""), start=1):
            yield number, line
            if len(line) > _LONGEST_LINE:
                return


def extended(line: bytes) -> Any:
    """A value of MongoDB's extended JSON. Raises ValueError for what is none, is too large, or holds an
    object with a key twice, of which one reader takes the first and another the last.

    line: UTF-8.
    """
    from bson import json_util
    from bson.errors import BSONError

    if len(line) > _LONGEST_LINE:
        raise ValueError(f"more than {_LONGEST_LINE} bytes")
    options = json_util.DEFAULT_JSON_OPTIONS
    try:
        text = not_too_deep(line.decode())
        check_values(text, _MOST_VALUES)
        return json.loads(
            text, object_pairs_hook=lambda pairs: json_util.object_hook(once_each(pairs), options)
        )
    except (ValueError, TypeError, KeyError, ArithmeticError, RecursionError, BSONError) as error:
        raise ValueError(f"no extended JSON ({error})") from None


def check_values(text: str, most: int) -> None:
    """Raises TooManyError where JSON has more than so many values, before it is parsed.

    most: values, keys counted with what they name.
    """
    if sum(map(text.count, ",[{")) > most:
        plain = STRING.sub("", text)  # a text may hold commas
        if sum(map(plain.count, ",[{")) > most:
            raise TooManyError(f"more than {most} values")


def once_each(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """The object of these keys and values. Raises ValueError where a key is there twice."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"{key[:40]!r} stands twice")
        found[key] = value
    return found
