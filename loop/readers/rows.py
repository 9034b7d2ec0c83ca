"""What a file holds, row by row, before a structure is made of it."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pymatgen.core import Structure

Fields = dict[str, Any]
MOST_SITES = 5000
"""Of a crystal in a file: as many as any database has, and few enough to make and compare."""
_LARGEST_TEXT = 256 * 2**20
_MARKS = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"\xef\xbb\xbf", "utf-8-sig"))


@dataclass(frozen=True)
class Row:
    """One structure of a file: its label, the other columns of its row, and what makes or refuses it."""

    label: str
    fields: Fields
    build: Callable[[], Structure]

    @classmethod
    def broken(cls, label: str, error: Exception) -> Row:
        """A row that raises ``error`` when it is built."""

        def build() -> Structure:
            raise error

        return cls(label, {}, build)


def one_line(error: object) -> str:
    """What an error or a text says, in one line of at most 200 letters."""
    return " ".join(str(error).split())[:200]


def read_text(file: Path) -> str:
    """A file as ``text_of`` decodes it. Raises ValueError where it is too large to be read at once."""
    size = file.stat().st_size
    if size > _LARGEST_TEXT:
        raise ValueError(f"{file}: {size} bytes; allowed: {_LARGEST_TEXT}, so split it")
    with file.open("rb") as content:  # which may have grown
        return text_of(content.read(_LARGEST_TEXT))


def check_sites(count: int) -> None:
    """Raises ValueError where a crystal has more sites than any is read with."""
    if count > MOST_SITES:
        raise ValueError(f"{count} sites; allowed: {MOST_SITES}")


def text_of(content: bytes) -> str:
    """Text of a file: by its byte-order mark, else UTF-8, else Latin-1 as older programs write names."""
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return content.decode(encoding, errors="replace")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def named_words(line: str) -> Fields:
    """The words ``name=value`` and ``name="two words"`` of a line, each value as it is written."""
    try:
        words = shlex.split(line)
    except ValueError:
        return {}
    return dict(word.split("=", 1) for word in words if "=" in word)
