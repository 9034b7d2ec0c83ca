"""Formulas as OPTIMADE writes them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import gcd

from niobe.config.elements import counted

_BRACKET = re.compile(r"\(([^()]*)\)(\d*)")


def optimade_formula(amounts: Mapping[str, float]) -> str:
    """``chemical_formula_reduced`` of OPTIMADE 1.2: symbols in alphabetical order, no 1, smallest integers.

    Amounts that are not whole are rounded at a scale of 100 first.
    """
    whole = all(float(amount).is_integer() for amount in amounts.values())
    counts = {symbol: round(amount * (1 if whole else 100)) for symbol, amount in amounts.items()}
    divisor = gcd(*counts.values()) or 1
    return "".join(
        f"{symbol}{'' if count == divisor else count // divisor}" for symbol, count in sorted(counts.items())
    )


def amounts_of(formula: str) -> dict[str, int]:
    """How many of each element a formula of symbols, whole amounts and brackets such as ``Al2(SO4)3`` has."""
    while bracket := _BRACKET.search(formula):
        formula = formula.replace(bracket[0], bracket[1] * int(bracket[2] or 1), 1)
    return counted(formula)


def in_optimade_form(formula: str) -> str:
    """The OPTIMADE form of a formula of symbols, whole amounts and brackets, such as ``Al2(SO4)3``."""
    return optimade_formula(amounts_of(formula))
