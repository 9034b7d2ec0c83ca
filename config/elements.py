"""Symbols of the elements, in order of atomic number, hydrogen to plutonium, and formulas of them."""

from __future__ import annotations

import re

_PART = re.compile(r"([A-Z][a-z]?)(\d*)")
# fmt: off
ELEMENTS: tuple[str, ...] = (
    "H", "He",
    "Li", "Be", "B", "C", "N", "O", "F", "Ne",
    "Na", "Mg", "Al", "Si", "P", "S", "Cl", "Ar",
    "K", "Ca", "Sc", "Ti", "V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Zn", "Ga", "Ge", "As", "Se", "Br", "Kr",
    "Rb", "Sr", "Y", "Zr", "Nb", "Mo", "Tc", "Ru", "Rh", "Pd", "Ag", "Cd", "In", "Sn", "Sb", "Te", "I", "Xe",
    "Cs", "Ba", "La", "Ce", "Pr", "Nd", "Pm", "Sm", "Eu", "Gd", "Tb", "Dy", "Ho", "Er", "Tm", "Yb", "Lu",
    "Hf", "Ta", "W", "Re", "Os", "Ir", "Pt", "Au", "Hg", "Tl", "Pb", "Bi", "Po", "At", "Rn",
    "Fr", "Ra", "Ac", "Th", "Pa", "U", "Np", "Pu",
)
# fmt: on


def counted(formula: str) -> dict[str, int]:
    """How many of each element a formula of symbols and whole amounts has, without brackets.

    formula: such as ``Nb2O5``; what is no symbol or number in it is passed over.
    """
    amounts: dict[str, int] = {}
    for symbol, count in _PART.findall(formula):
        amounts[symbol] = amounts.get(symbol, 0) + int(count or 1)
    return amounts
