"""JSON from outside, looked at before it is parsed."""

from __future__ import annotations

import json
import re
from itertools import accumulate
from pathlib import Path
from typing import Any

MOST_DEEP = 100
_MOST_BYTES = 256 * 2**20
STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
"""A text in JSON."""
_NO_BRACKET = re.compile(r"[^\[\]{}]+")
_STEPS = {"[": 1, "{": 1, "]": -1, "}": -1}
_HALF = re.compile(r"\\u[dD][89a-fA-F]")


class TooDeepError(ValueError):
    """Brackets lie too deep in each other."""


def not_too_deep(text: str) -> str:
    """The text, whose brackets lie at most 100 deep in each other. Raises TooDeepError where they lie deeper,
    and ValueError where a letter is only half there (``\\ud800`` alone), which nothing can store.

    A parser goes down the C stack with them: where another library has raised the recursion limit, a text of
    some kilobytes ends the process.
    """
    if _HALF.search(text):
        _refuse_half_letters(text)
    brackets = _NO_BRACKET.sub("", STRING.sub("", text))
    if max(accumulate(map(_STEPS.__getitem__, brackets)), default=0) > MOST_DEEP:
        raise TooDeepError(f"JSON more than {MOST_DEEP} levels deep")
    return text


def _refuse_half_letters(text: str) -> None:
    for literal in STRING.findall(text):
        if _HALF.search(literal):
            try:
                json.loads(literal).encode()
            except UnicodeEncodeError:
                raise ValueError("JSON with half a letter (a surrogate alone)") from None


def read_object(file: Path) -> dict[str, Any]:
    """The JSON object that a file holds. Raises OSError, and ValueError for what is none, is larger than 256
    MiB, or too deep.
    """
    if (size := file.stat().st_size) > _MOST_BYTES:
        raise ValueError(f"{file.name} has {size} bytes; at most {_MOST_BYTES} are read")
    found = json.loads(not_too_deep(file.read_text(encoding="utf-8")))
    if not isinstance(found, dict):
        raise ValueError(f"{file.name} holds no object")
    return found
