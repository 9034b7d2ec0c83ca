"""What goes to a terminal: words of a database or a file are shown as they are, and never obeyed.

rich reads ``[/x]`` as markup and ``:warning:`` as a picture; a terminal obeys what follows an escape.
"""

from __future__ import annotations

import functools
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import ValidationError
    from rich.console import Console
    from rich.text import Text

_PIPED_WIDTH = 160
_MOST_SHOWN = 5_000  # Letters of one text: rich takes minutes to break a megabyte into lines.


def shown(text: object) -> str:
    """The text in one line: all that no terminal prints, and what ends a line, as ``\\x1b`` or the like."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in str(text)
    )


def say(text: object, *, error: bool = False) -> None:
    """One line on stdout, or on stderr, whatever words of data the text holds."""
    print(shown(_beginning(str(text))), file=sys.stderr if error else sys.stdout)


def in_words(error: ValidationError) -> str:
    """What is wrong with a stored document, and where to see which: one line."""
    found = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(map(str, found["loc"]))
    what = " ".join(f"{where}: {found['msg']}".split())
    return f"a document of the database is no {error.title} ({what}); `niobe doctor` names it"


def local_time(moment: str) -> str:
    """A moment as it is stored (ISO 8601 with its zone) by the clock of this machine, to the minute; what is
    none stays as it is."""
    try:
        return datetime.fromisoformat(moment).astimezone().strftime("%Y-%m-%d %H:%M")
    except (ValueError, OverflowError):
        return moment


def _beginning(text: str) -> str:
    """The text, or where it is very long how it begins and how long it is."""
    if len(text) <= _MOST_SHOWN:
        return text
    return f"{text[:_MOST_SHOWN]}… ({len(text):,} letters in all)"


def styled(text: object, style: str) -> Text:
    """A word in a style, such as bold."""
    from rich.text import Text

    return Text(shown(_beginning(str(text))), style)


def console(*, stderr: bool = False) -> Console:
    """A console that takes any text literally; wide where it is no terminal."""
    made: Console = _literal_console()(stderr=stderr, markup=False, emoji=False, highlight=True)
    if not made.is_terminal:
        made.width = _PIPED_WIDTH
    return made


@functools.cache
def _literal_console() -> type[Console]:
    """Made when first needed: importing rich takes a while."""
    from rich.console import Console

    class LiteralConsole(Console):
        def render_str(self, text: str, **options: Any) -> Text:
            return super().render_str(
                shown(_beginning(text)), **(options | {"markup": False, "emoji": False})
            )

    return LiteralConsole
