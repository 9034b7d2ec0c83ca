"""Names and values of a campaign that somebody else's code takes as they are."""

from __future__ import annotations

from typing import Annotated, TypeVar

from pydantic import AfterValidator, JsonValue

_Named = TypeVar("_Named")


def _plain(found: _Named) -> _Named:
    """Raises ValueError for an integer that no database stores, and for a name that begins as those do which
    jobflow and FireWorks look up.

    They decode a campaign that is stored with a job, and import what ``@module`` names in it.
    """
    waiting: list[object] = [found]
    while waiting:
        part = waiting.pop()
        names = part if isinstance(part, dict) else ()
        if wrong := next((name for name in names if name[:1] in {"@", "$"}), None):
            raise ValueError(f"{wrong[:40]!r}: no name may begin with @ or $")
        if isinstance(part, int) and not -(2**63) <= part < 2**63:
            raise ValueError("holds an integer of more than 64 bits")
        waiting += part.values() if isinstance(part, dict) else part if isinstance(part, list) else []
    return found


Options = Annotated[dict[str, int | float | str], AfterValidator(_plain)]
"""By name, a number or a word."""
Arguments = Annotated[dict[str, JsonValue], AfterValidator(_plain)]
"""By name, what JSON has, at any depth."""
