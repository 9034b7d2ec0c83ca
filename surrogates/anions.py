"""Kinds of chemistry, by the nonmetals that a crystal holds: how much a surrogate errs goes by them."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from niobe.surrogates.representations.composition import N_ELEMENTS

FloatArray = NDArray[np.float64]
Flags = NDArray[np.bool_]
METALLIC = "metallic"
KINDS = {
    "hydride": ("H",),
    "boride": ("B",),
    "tetrelide": ("C", "Si", "Ge"),
    "pnictide": ("N", "P", "As", "Sb"),
    "oxide": ("O",),
    "chalcogenide": ("S", "Se", "Te"),
    "halide": ("F", "Cl", "Br", "I"),
    "noble gas": ("He", "Ne", "Ar", "Kr", "Xe", "Rn"),
}
_LAST = 0.1  # electronegativity of noble gases: they name what holds no other nonmetal


def held_kinds(shares: FloatArray) -> Flags:
    """Which kinds of nonmetal crystals hold, shape (n, 8). shares: element fractions, (n, 103)."""
    return np.asarray(shares @ _members().T > 0)


def chemistries(shares: FloatArray) -> NDArray[np.str_]:
    """The kind of the most electronegative nonmetal, or metallic, (n,). shares: (n, 103), of elements."""
    first = ((shares > 0) * _electronegativity()).argmax(axis=1)
    names = np.array([*KINDS, METALLIC])
    kind = np.where(held_kinds(shares).any(axis=1), _members().argmax(axis=0)[first], len(KINDS))
    return np.asarray(names[kind])


def combines(asked: Flags, seen: Flags) -> Flags:
    """Whether kinds asked for (n, 8) are those of a row seen (k, 8), or of several together. Shape (n,).

    A halide of a metal is none of what oxide halides show; an oxide nitride is one of oxides and nitrides;
    of what holds no nonmetal nothing but the like tells.
    """
    parts = np.asarray((seen[None] <= asked[:, None]).all(axis=2))
    together = (parts[:, :, None] & seen[None]).any(axis=1)
    return np.asarray(parts.any(axis=1) & (together == asked).all(axis=1))


@functools.cache
def _members() -> FloatArray:
    """Whether an element is of a kind, (8, 103), by atomic number minus one."""
    from pymatgen.core import Element

    found = np.zeros((len(KINDS), N_ELEMENTS))
    for row, symbols in zip(found, KINDS.values(), strict=True):
        row[[Element(symbol).Z - 1 for symbol in symbols]] = 1.0
    return found


@functools.cache
def _electronegativity() -> FloatArray:
    """Pauling's, (103,); 0 for what is no nonmetal of a kind."""
    from pymatgen.core import Element

    found = np.zeros(N_ELEMENTS)
    for kind, symbols in KINDS.items():
        for symbol in symbols:
            found[Element(symbol).Z - 1] = _LAST if kind == "noble gas" else Element(symbol).X
    return found
