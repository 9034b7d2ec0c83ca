"""JSON from outside, looked at before it is parsed."""

from __future__ import annotations

import re
from itertools import accumulate

MOST_DEEP = 100
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_NO_BRACKET = re.compile(r"[^\[\]{}]+")
_STEPS = {"[": 1, "{": 1, "]": -1, "}": -1}


class TooDeepError(ValueError):
    """Brackets lie too deep in each other."""


def not_too_deep(text: str) -> str:
    """The text, whose brackets lie at most 100 deep in each other. Raises TooDeepError where they lie deeper.

    A parser goes down the C stack with them: where another library has raised the recursion limit, a text of
    some kilobytes ends the process.
    """
    brackets = _NO_BRACKET.sub("", _STRING.sub("", text))
    if max(accumulate(map(_STEPS.__getitem__, brackets)), default=0) > MOST_DEEP:
        raise TooDeepError(f"JSON more than {MOST_DEEP} levels deep")
    return text
