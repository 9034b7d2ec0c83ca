"""What `niobe doctor` says: one line for each thing that it looked at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """about: what was looked at. says: how it is. advice: what to do, "" where all is well.

    mend: sets it right and can lose nothing, or None where only a person can decide.
    """

    about: str
    says: str
    advice: str = ""
    mend: Callable[[], object] | None = None

    @property
    def fine(self) -> bool:
        """Whether there is nothing to do."""
        return not self.advice


REPAIR = "`niobe doctor --repair` does it"
