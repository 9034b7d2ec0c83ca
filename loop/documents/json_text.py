"""JSON from outside, looked at before it is parsed."""

from __future__ import annotations

import json
import re
from itertools import accumulate

MOST_DEEP = 100
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
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
    brackets = _NO_BRACKET.sub("", _STRING.sub("", text))
    if max(accumulate(map(_STEPS.__getitem__, brackets)), default=0) > MOST_DEEP:
        raise TooDeepError(f"JSON more than {MOST_DEEP} levels deep")
    return text


def _refuse_half_letters(text: str) -> None:
    for literal in _STRING.findall(text):
        if _HALF.search(literal):
            try:
                json.loads(literal).encode()
            except UnicodeEncodeError:
                raise ValueError("JSON with half a letter (a surrogate alone)") from None
