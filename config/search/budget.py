"""What a campaign file says of when the campaign ends."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field


def _unnamed(value: Any) -> bool:
    return value is None


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Budget(_Part):
    """When the campaign has spent enough. Seeds count as oracle seconds but not as validations."""

    rounds: Annotated[int, Field(ge=1, le=10_000)] = 4
    validations: Annotated[int, Field(ge=1, le=1_000_000)] = 40
    oracle_seconds: Annotated[float, Field(gt=0)] | None = None


class Policy(_Part):
    """When to stop early; ``null``: never.

    patience: rounds without a discovery. expected_finds: of the batch to be asked next, by the surrogate;
    the campaign ends, and does not ask, where fewer are expected. confidence: the campaign ends, and does not
    ask, where with this probability no candidate drawn so far lies on the hull.
    """

    patience: Annotated[int, Field(ge=1)] | None = None
    expected_finds: Annotated[float | None, Field(gt=0, exclude_if=_unnamed)] = None
    confidence: Annotated[float | None, Field(gt=0, lt=1, exclude_if=_unnamed)] = None
