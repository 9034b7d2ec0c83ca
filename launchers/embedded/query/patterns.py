"""Regular expressions in time that grows with the text alone: RE2 in the place of MongoDB's PCRE.

Source: https://github.com/google/re2/wiki/Syntax. What it cannot do (look-around, back-references) is
refused, and so is what it does otherwise than PCRE.
"""

from __future__ import annotations

import functools
import itertools
import re
from typing import Any

import re2
from bson import Regex

from niobe.launchers.embedded.commands.errors import CommandError, not_supported

_MOST_BYTES = 32_764  # MongoDB's bound on a pattern
_MEMORY_BYTES = 1 << 20
_MOST_STEPS = 200_000_000  # instructions times bytes of text: 10 ns each where RE2 has to simulate an NFA
_FLAGS = {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL, "u": re.UNICODE}
_TOKEN = re.compile(r"\\Q.*?(?:\\E|$)|\\.|\[\^?\]?(?:\\.|\[:\w+:\]|[^\]\\])*\]|.", re.DOTALL)


class Pattern:
    """A compiled pattern."""

    def __init__(self, source: str, flags: int) -> None:
        """Raises CommandError where RE2 does not take ``source`` or would answer otherwise than PCRE."""
        if len(source.encode()) > _MOST_BYTES:
            raise CommandError(51091, f"Regular expression is too long; at most {_MOST_BYTES} bytes")
        if flags & re.VERBOSE:
            raise not_supported("the option x of regular expressions")
        options = re2.Options()
        options.log_errors, options.max_mem = False, _MEMORY_BYTES
        options.case_sensitive = not flags & re.IGNORECASE
        options.dot_nl = bool(flags & re.DOTALL)
        is_multiline = bool(flags & re.MULTILINE)
        translated = ("(?m)" if is_multiline else "") + _as_re2(source, is_multiline)
        try:
            self._compiled = re2.compile(translated.encode(), options)
        except re2.error as error:
            said = error.args[0].decode(errors="replace") if error.args else ""
            raise not_supported(f"the regular expression {source[:100]!r} ({said})") from error

    def search(self, text: str) -> bool:
        """Whether the pattern is found. Raises CommandError where that could take seconds."""
        body = text.encode()
        if len(body) * self._compiled.programsize > _MOST_STEPS:
            raise not_supported(f"so long a regular expression on a text of {len(body)} bytes")
        return self._compiled.search(body) is not None


def _as_re2(source: str, is_multiline: bool) -> str:
    """PCRE's ``$`` also stands before a last newline, and its ``\\s`` holds the vertical tab."""
    tokens = _TOKEN.findall(source)
    return "".join(_token(tokens, place, is_multiline) for place in range(len(tokens)))


def _token(tokens: list[str], place: int, is_multiline: bool) -> str:
    token = tokens[place]
    if r"\v" in token or _is_mode(tokens, place):
        raise not_supported(r"a regular expression with \v, or with options other than i and s inside")
    if token == r"\s":
        return r"[\s\v]"
    if token == r"\S":
        return r"[^\s\v]"
    if token == "$" and not is_multiline:
        if not _is_last(tokens, place + 1):
            raise not_supported("a regular expression with $ inside")
        return r"(?:\n?\z)"
    if token.startswith("[") and r"\S" in token:
        raise not_supported(r"a regular expression with \S in a class")
    return token.replace(r"\s", r"\s\v") if token.startswith("[") else token


def _is_mode(tokens: list[str], place: int) -> bool:
    """Whether options begin here, ``(?m)`` or ``(?m:``, that change what ``$`` means."""
    if tokens[place : place + 2] != ["(", "?"]:
        return False
    letters = itertools.takewhile(lambda token: token.isalpha() or token in "-^", tokens[place + 2 :])
    return bool(set("".join(letters)) - set("isP"))


def _is_last(tokens: list[str], place: int) -> bool:
    """Whether nothing can be matched between what stands before ``place`` and the end of the pattern."""
    while place < len(tokens) and tokens[place] == ")":
        place += 1
    if place < len(tokens) and tokens[place] == "|":
        depth = 1
        while place < len(tokens) and depth:
            depth += {"(": 1, ")": -1}.get(tokens[place], 0)
            place += 1
        return _is_last(tokens, place)
    return place == len(tokens)


@functools.lru_cache(maxsize=256)
def compiled(source: str, flags: int) -> Pattern:
    """The pattern, compiled once."""
    return Pattern(source, flags)


def regex_of(pattern: Any, options: Any) -> Regex[str]:
    """The regular expression of ``$regex`` and ``$options``. Raises CommandError."""
    if not isinstance(options, str) or not isinstance(pattern, str | Regex):
        raise CommandError(2, "$regex has to be a string or a regular expression, $options a string")
    unknown = sorted(set(options) - set(_FLAGS))
    if unknown:
        raise not_supported(f"the option {unknown[0]} of regular expressions")
    flags = pattern.flags if isinstance(pattern, Regex) and not options else 0
    for option in options:
        flags |= _FLAGS[option]
    return Regex(pattern.pattern if isinstance(pattern, Regex) else pattern, int(flags))
