"""What a structure has of the properties that its campaign has goals in."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

OUT_OF_RANGE = "out of range: "
"""Before the name of a goal, in the reason of a candidate that is set aside for it."""


class Level(BaseModel):
    """A value of a property, and its unit."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    value: float
    unit: str


class PropertyValue(BaseModel):
    """One property of one structure, as the campaign's oracle relaxed it.

    value: in ``unit``; None where there is none, for ``reason``. source: what it comes from, an oracle by its
    fingerprint. met: whether it lies in the range that the campaign wants; None without value or range.
    attempts: how often it was asked for in vain where the reason may be the machine's; else 0.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    value: float | None = None
    unit: str
    source: str
    met: bool | None = None
    reason: str = ""
    attempts: int = 0
