"""What a campaign file says of the conditions under which phases compete."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class Conditions(BaseModel):
    """temperature in K, pressure in GPa.

    pressure: all relaxations and the hull are under it: enthalpies, E + pV. temperature: above 0, finds and
    what they compete with get harmonic free energies from their force constants, and finds are ranked by the
    hull that these make.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    temperature: Annotated[float, Field(ge=0, le=3000)] = 0.0
    pressure: Annotated[float, Field(ge=0, le=100)] = 0.0

    @property
    def words(self) -> str:
        """Such as ``at 300 K and 5 GPa``; "" at 0 K and 0 GPa."""
        said = ((self.temperature, "K"), (self.pressure, "GPa"))
        parts = [f"{value:g} {unit}" for value, unit in said if value]
        return f"at {' and '.join(parts)}" if parts else ""


def ambient(conditions: Conditions) -> bool:
    """Whether they are 0 K and 0 GPa, what campaigns had before there were others."""
    return conditions == Conditions()
