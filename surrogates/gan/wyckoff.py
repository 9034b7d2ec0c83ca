"""Crystals as space group, Wyckoff sites, free coordinates and lattice; decoded exactly, so symmetry is free.

Source of the tables: International Tables for Crystallography A, as pyxtal ships them (standard settings).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from niobe.surrogates.gan.representation import BoolArray, Crystal
from niobe.surrogates.protocols import FloatArray
from niobe.surrogates.representations.elements import atomic_volume
from niobe.surrogates.representations.symmetry import LETTERS, NoSymmetryError, standard_cell

if TYPE_CHECKING:
    from pymatgen.core import Structure, SymmOp

MAX_ORBITS = 8
_ON_SITE = 0.03
_SYMPREC = 0.02
# Of the six lattice numbers of a SymmetricCrystal, what is written and read back.
_MIDDLE, _HALF_WIDTH = np.array([0.2, 0, 0, 0, 0, 0]), np.array([1.0, 2, 2, 0.7, 0.7, 0.7])
_GENERIC, _SAME = np.array([0.1234, 0.2718, 0.3617]), 1e-4


@dataclass(frozen=True)
class Position:
    """One Wyckoff position, its sites in one primitive cell.

    rotations: (m, 3, 3), translations: (m, 3), mapping free coordinates to sites in the conventional basis.
    """

    rotations: FloatArray
    translations: FloatArray
    is_fixed: bool

    def sites(self, free: FloatArray) -> FloatArray:
        """Fractional coordinates of orbits, shape (n, m, 3), of free ones (n, 3)."""
        return np.asarray((np.einsum("mij,nj->nmi", self.rotations, free) + self.translations) % 1)


@dataclass(frozen=True)
class Orbit:
    """A Wyckoff letter, the element role that sits there (an index) and three coordinates."""

    letter: str
    role: int
    free: tuple[float, float, float]


@dataclass(frozen=True)
class SymmetricCrystal:
    """lattice (conventional cell): log of volume over the atoms' own, log b/a, log c/a, three cosines."""

    space_group: int
    orbits: tuple[Orbit, ...]
    lattice: tuple[float, ...]


@functools.cache
def positions(space_group: int) -> dict[str, Position]:
    """Wyckoff positions of a space group by letter, the general one first."""
    from pyxtal.symmetry import get_wyckoffs

    found = get_wyckoffs(space_group)
    letters = LETTERS[: len(found)][::-1]
    return {
        letter: _position(operations, space_group) for letter, operations in zip(letters, found, strict=True)
    }


def _position(operations: Sequence[SymmOp], space_group: int) -> Position:
    """operations: of the orbit in the conventional cell, what they make of free coordinates."""
    rotations = np.array([operation.rotation_matrix for operation in operations], dtype=float)
    translations = np.array([operation.translation_vector for operation in operations], dtype=float)
    return _one_cell(Position(rotations, translations, bool(not rotations.any())), space_group)


@functools.cache
def centring(space_group: int) -> int:
    """Lattice points in the conventional cell."""
    from pyxtal.symmetry import Group

    return {"P": 1, "A": 2, "B": 2, "C": 2, "I": 2, "R": 3, "F": 4}[Group(space_group, quick=True).symbol[0]]


def encode(structure: Structure, elements: tuple[str, ...]) -> SymmetricCrystal | None:
    """The symmetric form of a structure, elements numbered as given; None where it has too many orbits.

    None too where its lattice numbers lie outside what ``decode`` gives back: axes within a factor of e² of
    one another, cosines within 0.7, volumes from 0.45 to 3.3 times the atoms' own.
    """
    from pymatgen.core import Element, Structure

    roles = {Element(symbol).Z: role for role, symbol in enumerate(elements)}
    if not set(structure.atomic_numbers) <= set(roles):
        return None
    try:
        cell = standard_cell(structure, symprec=_SYMPREC, rank=roles.__getitem__)
    except NoSymmetryError:
        return None
    orbits: list[Orbit] = []
    for letter, number in sorted(set(zip(cell.letters, cell.numbers, strict=True))):
        here = [site == (letter, number) for site in zip(cell.letters, cell.numbers, strict=True)]
        found = _orbits_at(positions(cell.group)[letter], cell.coordinates[here], cell.group)
        if found is None:
            return None
        orbits += [Orbit(letter, roles[number], free) for free in found]
    lattice = lattice_numbers(
        Structure(cell.lattice, [Element.from_Z(z) for z in cell.numbers], cell.coordinates)
    )
    if len(orbits) > MAX_ORBITS or not (np.abs(np.array(lattice) - _MIDDLE) <= _HALF_WIDTH).all():
        return None
    ordered = tuple(sorted(orbits, key=lambda o: (o.letter, o.role, o.free)))
    return SymmetricCrystal(cell.group, ordered, lattice)


def _orbits_at(
    position: Position, sites: FloatArray, space_group: int
) -> list[tuple[float, float, float]] | None:
    """The free coordinates of every orbit that the sites of one letter and element make up.

    sites: (n, 3), fractional, of the conventional cell. None where they make up no whole orbits.
    """
    _, inverse = _primitive_basis(space_group)
    found = []
    while len(sites):
        free = _free_coordinates(position, sites)
        if free is None:
            return None
        (orbit,) = position.sites(np.array([free]))
        apart = ((sites[:, None] - orbit) @ inverse + 0.5) % 1 - 0.5
        sites = sites[np.abs(apart).max(axis=2).min(axis=1) > _ON_SITE]
        found.append(free)
    return found


def _free_coordinates(position: Position, sites: FloatArray) -> tuple[float, float, float] | None:
    """The site of an orbit that its position's first operation leaves where it is, the nearest to the origin.

    Any of these stands for the orbit; always the same choice leaves less to learn.
    """
    mapped = sites @ position.rotations[0].T + position.translations[0]
    left = sites[np.abs((mapped - sites + 0.5) % 1 - 0.5).max(axis=1) < _ON_SITE]
    if not len(left):
        return None
    centred = np.round((left + 0.5) % 1 - 0.5, 4)
    chosen = np.lexsort([*-centred.T, np.round((centred**2).sum(axis=1), 4)])[0]
    x, y, z = (left[chosen] % 1).tolist()
    return x, y, z


def lattice_numbers(structure: Structure) -> tuple[float, ...]:
    """Log of volume over the atoms' own, log b/a, log c/a and three cosines."""
    lattice = structure.lattice
    own = sum(atomic_volume(site.specie.symbol) for site in structure)
    cosines = np.cos(np.radians(lattice.angles))
    return (
        float(np.log(structure.volume / own)),
        float(np.log(lattice.b / lattice.a)),
        float(np.log(lattice.c / lattice.a)),
        *(float(value) for value in cosines),
    )


def decode(
    space_group: int, letters: Sequence[str], symbols: Sequence[str], free: FloatArray, lattices: FloatArray
) -> list[Crystal]:
    """The primitive cells of one skeleton, a letter and an element an orbit, without those that close up.

    free: (n, orbits, 3); lattices: (n, 6), as in SymmetricCrystal. Empty where a fixed position
    is taken twice.
    space_group: its number. letters, symbols: of each orbit.
    """
    chosen = [positions(space_group)[letter] for letter in letters]
    fixed = [letter for letter, position in zip(letters, chosen, strict=True) if position.is_fixed]
    if len(set(fixed)) != len(fixed):
        return []
    sites = [position.sites(free[:, index]) for index, position in enumerate(chosen)]
    species = tuple(s for s, found in zip(symbols, sites, strict=True) for _ in range(found.shape[1]))
    basis, inverse = _primitive_basis(space_group)
    own = sum(atomic_volume(symbol) for symbol in species) * centring(space_group)
    cells, is_open = _cells(space_group, lattices, own)
    coordinates = np.concatenate(sites, axis=1) @ inverse % 1
    return [Crystal(basis @ cells[i], coordinates[i], species) for i in np.flatnonzero(is_open)]


def free_lattice(space_group: int) -> tuple[bool, ...]:
    """Which of the six lattice numbers the crystal system leaves free."""
    low, monoclinic = space_group < 3, space_group < 16
    return True, space_group < 75, space_group < 195, low, monoclinic, low


def _cells(space_group: int, lattices: FloatArray, own_volume: float) -> tuple[FloatArray, BoolArray]:
    """Conventional lattices with the constraints of the crystal system (n, 3, 3), Å, and which are open."""
    numbers = np.clip(lattices, _MIDDLE - _HALF_WIDTH, _MIDDLE + _HALF_WIDTH)
    numbers = np.where(free_lattice(space_group), numbers, 0.0)
    b, c = np.exp(numbers[:, 1:3]).T
    ca, cb, cg = numbers[:, 3:].T
    if 143 <= space_group < 195:
        cg = np.full_like(cg, -0.5)
    shape = 1 - ca**2 - cb**2 - cg**2 + 2 * ca * cb * cg
    is_open = shape >= 0.05
    root, sine = np.sqrt(np.where(is_open, shape, 1.0)), np.sqrt(1 - cg**2)
    cells = np.zeros((len(lattices), 3, 3))
    cells[:, 0, 0] = 1
    cells[:, 1, 0], cells[:, 1, 1] = b * cg, b * sine
    cells[:, 2, 0], cells[:, 2, 1], cells[:, 2, 2] = c * cb, c * (ca - cb * cg) / sine, c * root / sine
    volume = own_volume * np.exp(numbers[:, 0])
    return cells * np.cbrt(volume / (b * c * root))[:, None, None], is_open


_CENTRED = {
    "P": np.eye(3),
    "A": np.array([[1, 0, 0], [0, 0.5, -0.5], [0, 0.5, 0.5]]),
    "B": np.array([[0.5, 0, -0.5], [0, 1, 0], [0.5, 0, 0.5]]),
    "C": np.array([[0.5, 0.5, 0], [-0.5, 0.5, 0], [0, 0, 1]]),
    "I": np.array([[-0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.5, 0.5, -0.5]]),
    "F": np.array([[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]),
    "R": np.array([[2 / 3, 1 / 3, 1 / 3], [-1 / 3, 1 / 3, 1 / 3], [-1 / 3, -2 / 3, 1 / 3]]),
}


@functools.cache
def _primitive_basis(space_group: int) -> tuple[FloatArray, FloatArray]:
    """Primitive vectors in the conventional basis, as rows, and the inverse."""
    from pyxtal.symmetry import Group

    basis = _CENTRED[Group(space_group, quick=True).symbol[0]]
    return basis, np.linalg.inv(basis)


def _one_cell(position: Position, space_group: int) -> Position:
    """Without the sites that a centring translation makes of others."""
    _, inverse = _primitive_basis(space_group)
    (generic,) = position.sites(_GENERIC[None]) @ inverse
    apart = np.abs((generic[:, None] - generic + 0.5) % 1 - 0.5).max(axis=2)
    kept = ~np.tril(apart < _SAME, -1).any(axis=1)
    return Position(position.rotations[kept], position.translations[kept], position.is_fixed)
