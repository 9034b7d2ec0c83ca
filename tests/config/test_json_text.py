"""JSON from outside: depth is bounded before it is parsed, whatever the interpreter would bear."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from niobe.config.outside.json_text import MOST_DEEP, TooDeepError, not_too_deep

VALUES = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text('[]{}\\"a'),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('[]{}\\"'), inner, max_size=3),
)


@given(VALUES)
def test_what_is_not_deep_is_as_it_was_brackets_in_its_strings_too(value: object) -> None:
    text = json.dumps(value)
    assert json.loads(not_too_deep(text)) == value


@pytest.mark.parametrize("opening", ["[", '{"a": ', '[{"[": '])
@pytest.mark.parametrize("closed", [True, False])
def test_what_is_deep_is_refused_closed_or_not(opening: str, closed: bool) -> None:
    levels = MOST_DEEP // (1 + opening.count("[{"))
    closing = "}]" if "[{" in opening else "]" if opening == "[" else "}"
    allowed, deep = opening * levels, opening * (levels + 1)
    assert not_too_deep(allowed) == allowed
    with pytest.raises(TooDeepError, match="more than 100 levels"):
        not_too_deep(deep + ("1" + closing * (levels + 1) if closed else ""))


def test_a_text_that_would_end_the_process_is_refused_where_a_library_raised_the_limit() -> None:
    code = (
        "import sys; sys.setrecursionlimit(10**6)\n"
        "from niobe.config.errors import ConfigError\n"
        "from niobe.loop.store.queries import parse_query\n"
        "try: parse_query('[' * 300000)\n"
        "except ConfigError as error: print(error)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (answer.returncode, answer.stdout) == (0, "query: not JSON (JSON more than 100 levels deep)\n")


@pytest.mark.parametrize(
    "text", [r'"\ud800"', r'{"\uDFFF": 1}', r'["\ud800\u0041"]', r'"\udc00\ud800"', r'"a\\\ud912"']
)
def test_half_a_letter_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="half a letter"):
        not_too_deep(text)


@pytest.mark.parametrize("text", [r'"\ud83e\udde8"', r'"\\ud800"', r'"\u0041"', '"é"'])
def test_whole_letters_stay(text: str) -> None:
    assert not_too_deep(text) == text
