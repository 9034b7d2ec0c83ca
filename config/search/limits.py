"""What a campaign file says of the compositions and sizes of its candidates."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from niobe.config.elements import counted

_FORMULA = re.compile(r"(?:[A-Z][a-z]?\d*)+")


class Limits(BaseModel):
    """Composition and size limits that every candidate lies inside.

    fractions: lowest and highest atomic fraction of an element, such as ``{O: [0.5, 0.72]}``. formula_units:
    of a campaign of one ``formula``, how many of them a primitive cell holds, least and most.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    min_atoms: Annotated[int, Field(ge=1, le=200)] = 2
    max_atoms: Annotated[int, Field(ge=1, le=200)] = 12
    all_elements: bool = True
    fractions: dict[str, tuple[float, float]] = {}
    formula_units: Annotated[tuple[int, int] | None, Field(exclude_if=lambda units: units is None)] = None

    @model_validator(mode="after")
    def _ordered(self) -> Limits:
        if self.min_atoms > self.max_atoms:
            raise ValueError(f"min_atoms {self.min_atoms} is above max_atoms {self.max_atoms}")
        return self

    @field_validator("fractions")
    @classmethod
    def _within(cls, fractions: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
        for symbol, (low, high) in fractions.items():
            if not 0 <= low <= high <= 1:
                raise ValueError(f"{symbol}: [{low}, {high}] is not a range within [0, 1]")
        return fractions

    @field_validator("formula_units")
    @classmethod
    def _counted(cls, units: tuple[int, int] | None) -> tuple[int, int] | None:
        if units is not None and not 1 <= units[0] <= units[1]:
            raise ValueError(f"[{units[0]}, {units[1]}] is no range of whole numbers from 1 on")
        return units

    def of_formula(self, amounts: Mapping[str, int]) -> Limits:
        """The same limits for one formula: its fractions, all its elements, whole formula units.

        amounts: atoms of each element in a formula unit.
        """
        atoms = sum(amounts.values())
        least, most = self.formula_units or (1, self.max_atoms)
        sizes = [n for n in range(least * atoms, most * atoms + 1, atoms) if n <= self.max_atoms]
        sizes = [n for n in sizes if n >= self.min_atoms]
        if not sizes:
            raise ValueError(
                f"limits: {least} to {most} formula units of {atoms} atoms do not fit {self.min_atoms} to "
                f"{self.max_atoms} atoms"
            )
        shares = {symbol: (count / atoms, count / atoms) for symbol, count in amounts.items()}
        own = {"min_atoms": sizes[0], "max_atoms": sizes[-1], "all_elements": True, "fractions": shares}
        return self.model_copy(update=own)


def amounts_in(formula: str) -> dict[str, int]:
    """Atoms of each element in a formula such as ``Nb2O5``.

    Raises ValueError for what is none, or not reduced.

    formula: symbols with whole numbers, no brackets.
    """
    if not _FORMULA.fullmatch(formula):
        raise ValueError("is no formula of symbols and whole numbers, such as Nb2O5; write Ca(OH)2 as CaO2H2")
    amounts = counted(formula)
    if not all(amounts.values()):
        raise ValueError("has an element of no atoms")
    common = math.gcd(*amounts.values())
    if common > 1:
        reduced = "".join(f"{s}{n // common if n > common else ''}" for s, n in amounts.items())
        raise ValueError(f"is {common} × {reduced}; write {reduced}, and limits.formula_units for more of it")
    return amounts


def with_elements(content: Any) -> Any:
    """Keys of a campaign file with the elements of its formula where it names none."""
    formula = content.get("formula") if isinstance(content, Mapping) else None
    if not isinstance(formula, str) or "elements" in content:
        return content
    return {**content, "elements": tuple(counted(formula))}
