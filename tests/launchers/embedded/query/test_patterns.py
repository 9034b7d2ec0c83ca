"""Regular expressions: what PCRE would find is found, in linear time, and what cannot be is refused."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from niobe.launchers.embedded.commands.errors import CommandError
from niobe.launchers.embedded.query.patterns import Pattern

NESTED = ["((((.+)+)+)+)+!", "(a*)*b", "(a|a)+$", "(x+x+)+y", "(.*a){20}", "^(([a-z])+.)+[A-Z]([a-z])+$"]


@pytest.mark.parametrize("source", NESTED)
def test_nested_repetitions_take_linear_time(source: str) -> None:
    started = time.thread_time()
    Pattern(source, 0).search("a" * 200_000)
    assert time.thread_time() - started < 1.0


@pytest.mark.parametrize(
    ("source", "text", "found"),
    [
        ("a$", "a\n", True),  # pcrepattern(3): $ also matches before a newline that ends the text
        ("a$", "a\nb", False),
        (r"a\s", "a\v", True),  # and \s has matched the vertical tab since PCRE 8.34
        (r"a\S", "a\v", False),
        (r"a[\sx]", "a\v", True),
        (r"\$", "$", True),
        ("[$]x", "$x", True),
        ("^b", "a\nb", False),
        (".", "\n", False),
        ("ä", "bär", True),
        ("", "", True),
    ],
)
def test_finds_what_pcre_finds(source: str, text: str, found: bool) -> None:
    assert Pattern(source, 0).search(text) is found


PARTS = [*"ab.|()^$*+?\n", "[ab]", "[^a]", "[s-]", r"\d", r"\s", r"\b"]


@given(st.lists(st.sampled_from(PARTS), max_size=8), st.text("abs-\n\v1", max_size=6))
def test_finds_what_pythons_engine_finds(parts: list[str], text: str) -> None:
    source = "".join(parts)
    try:
        expected = re.compile(source, re.ASCII).search(text) is not None
        pattern = Pattern(source, 0)
    except (re.error, CommandError):
        return
    assert pattern.search(text) is expected


@pytest.mark.parametrize(
    "source",
    [
        r"(a)\1",
        "(?=a)",
        "(?!a)",
        "(?<=a)b",
        "(?>a)",
        "a++",
        "(",
        "a$b",
        r"(a$)\n",
        r"(a$|b)\n",
        "(a$)*",
        "(a{900}){900}",
        "x" * 40_000,
    ],
)
def test_what_is_not_linear_or_not_the_same_is_refused(source: str) -> None:
    with pytest.raises(CommandError):
        Pattern(source, 0)


def test_a_pattern_that_would_take_seconds_on_a_text_is_refused() -> None:
    with pytest.raises(CommandError, match="bytes"):
        Pattern("(a|b)*a(a|b){200}c", 0).search("ab" * 1_000_000)
