"""What oracles other than a campaign's answered for its structures; no part of any hull but their own."""

from __future__ import annotations

import hashlib

from pydantic import BaseModel, ConfigDict

from niobe.loop.documents.records import Failure, Validation

UNEXPLAINED = {"oracle_error", "wall_time", "died"}
"""Causes of a failure that may be the machine's and not the crystal's: it is asked again another time."""


class SecondAnswer(BaseModel):
    """One answer of an oracle that is not the campaign's. ``id`` is a hash of who was asked and of what.

    campaign: for which it was asked first. content: hash of the structure that it relaxed.
    One of validation and failure is there; the validation's phonons are never run. earlier_seconds: of
    failures that this answer replaces.
    """

    model_config = ConfigDict(extra="forbid")

    id: str
    campaign: str
    content: str
    validation: Validation | None = None
    failure: Failure | None = None
    earlier_seconds: float = 0.0

    @property
    def final(self) -> bool:
        """Whether the oracle would say the same again."""
        return self.failure is None or self.failure.cause not in UNEXPLAINED

    @property
    def seconds(self) -> float:
        """What it took, s, with what was asked in vain before."""
        if self.validation is not None:
            return self.earlier_seconds + sum(self.validation.seconds.values())
        return self.earlier_seconds + (self.failure.seconds if self.failure else 0.0)


def answer_id(fingerprint: str, fmax: float, max_steps: int, content: str) -> str:
    """16 hex digits.

    fingerprint: of the oracle. fmax: to which it relaxes, eV/Å. max_steps: in which it has to.
    content: hash of the structure.
    """
    return hashlib.sha256(f"{fingerprint}\n{fmax}\n{max_steps}\n{content}".encode()).hexdigest()[:16]
