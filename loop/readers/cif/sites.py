"""The sites of a CIF block: rows as they stand, and the orbits its space group makes of them.

A coordinate is known to its last digit: .333 may be a third. An atom whose images under some operations are
the same point within that is on a special position, and is put there exactly.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from niobe.config.elements import ELEMENTS
from niobe.loop.readers.cif.blocks import Block
from niobe.loop.readers.cif.symmetry import Group
from niobe.loop.readers.rows import MOST_SITES

if TYPE_CHECKING:
    from pymatgen.core import Structure

FRACTIONS = tuple(f"_atom_site_fract_{axis}" for axis in "xyz")
_OCCUPANCY, _TYPE, _LABEL = "_atom_site_occupancy", "_atom_site_type_symbol", "_atom_site_label"
_MULTIPLICITY = ("_atom_site_symmetry_multiplicity", "_atom_site_site_symmetry_multiplicity")
_CALCULATED, _HYDROGENS = "_atom_site_calc_flag", "_atom_site_attached_hydrogens"
_COLUMNS = (*FRACTIONS, _TYPE, _LABEL, _OCCUPANCY, *_MULTIPLICITY, _CALCULATED, _HYDROGENS)
_ISOTOPES = {"D": "H", "T": "H"}
# Sites further apart than this (Å) are two sites, whatever the digits say.
_APART = 0.5
# The least uncertainty of a fraction: what programs lose by writing and reading, as pymatgen's tolerance.
_LEAST = 1e-4
# Occupancies of one site may exceed 1 by rounding.
MOST_OCCUPIED = 1.02
_SAME_OCCUPANCY = 0.005


@dataclass(frozen=True)
class Row:
    """A row of the site list. error: of each fraction; multiplicity: of its orbit by the file, or 0."""

    number: int
    species: str
    coords: NDArray[np.float64]
    error: NDArray[np.float64]
    occupancy: float
    multiplicity: int = 0


@dataclass
class Orbit:
    """Equivalent points (n, 3) and what is on each: occupancy by species, and the point that said so."""

    points: NDArray[np.float64]
    error: NDArray[np.float64]
    occupancy: dict[str, float] = field(default_factory=dict)
    said: dict[str, NDArray[np.float64]] = field(default_factory=dict)


def rows(block: Block) -> list[Row]:
    """The site list of a block. Raises ValueError that names file, line and row where one is none."""
    columns = {tag: column for tag in _COLUMNS if (column := block.column(tag))}
    for tag in FRACTIONS:
        if tag not in columns:
            raise ValueError(f"{block.at(FRACTIONS[0])}: {tag}: no sites")
    count = len(columns[FRACTIONS[0]])
    if count > MOST_SITES:
        raise ValueError(f"{block.at(FRACTIONS[0])}: more than {MOST_SITES} sites")
    for tag, column in columns.items():
        if len(column) != count:
            raise ValueError(f"{block.at(tag)}: {tag}: {len(column)} rows; {FRACTIONS[0]} has {count}")
    states = _oxidation_states(block)
    lines = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    return [
        _row(block, number, line, states)
        for number, line in enumerate(lines, start=1)
        if line.get(_CALCULATED) != "dum"
    ]


def _row(block: Block, row: int, line: dict[str, str], states: dict[str, float]) -> Row:
    hydrogens = line.get(_HYDROGENS, "0")
    if number(hydrogens) > 0:
        where = block.at(_HYDROGENS)
        raise ValueError(f"{where}: row {row} has {hydrogens} hydrogen atoms without positions")
    many = next((line[tag] for tag in _MULTIPLICITY if tag in line), "")
    return Row(
        row,
        _species(block, row, line, states),
        np.array([_fraction(block, tag, line[tag], row) for tag in FRACTIONS]),
        np.array([_uncertainty(line[tag]) for tag in FRACTIONS]),
        _occupancy(block, line.get(_OCCUPANCY, "1"), row),
        int(many) if many.isdecimal() else 0,
    )


def number(raw: str) -> float:
    """The number in a CIF value, quoted or not, its s.u. left out, or a fraction like 1/3; NaN for none."""
    from gemmi import cif

    text = str(cif.as_string(raw)).strip()
    if found := re.fullmatch(r"([+-]?\d+)/([1-9]\d*)", text):
        return int(found[1]) / int(found[2])
    return float(cif.as_number(text))


def _fraction(block: Block, tag: str, raw: str, row: int) -> float:
    value = number(raw)
    if not abs(value) < 100:
        raise ValueError(f"{block.at(tag)}: {tag}: {raw!r} in row {row} is no fraction")
    return value


def _uncertainty(raw: str) -> float:
    """One unit in the last decimal; the least for quarters, eighths and twelfths that are written exactly."""
    value = number(raw)
    found = re.search(r"\.(\d*)", raw)
    if found is None or abs(value * 24 - round(value * 24)) < 1e-9:
        return _LEAST
    return max(10.0 ** -len(found[1]), _LEAST)


def _occupancy(block: Block, raw: str, row: int) -> float:
    from gemmi import cif

    value = 1.0 if cif.is_null(raw) else number(raw)
    if not 0 < value <= MOST_OCCUPIED:
        where = block.at(_OCCUPANCY)
        raise ValueError(f"{where}: {_OCCUPANCY}: {raw!r} in row {row} is not between 0 and 1")
    return value


def _oxidation_states(block: Block) -> dict[str, float]:
    from gemmi import cif

    symbols = map(cif.as_string, block.column("_atom_type_symbol"))
    values = map(number, block.column("_atom_type_oxidation_number"))
    return {symbol: value for symbol, value in zip(symbols, values, strict=False) if np.isfinite(value)}


def _species(block: Block, row: int, line: dict[str, str], states: dict[str, float]) -> str:
    """Element and charge of a row, ``Fe3+``, from its type or else its label.

    Raises ValueError for what names no element, or may name two.
    """
    from gemmi import cif
    from pymatgen.core import Species

    tag = _LABEL if cif.is_null(line.get(_TYPE, "?")) else _TYPE
    raw = str(cif.as_string(line.get(tag, ""))).strip()
    found = _elements(raw)
    if len(found) == 2 and tag == _LABEL:
        formula = block.value("_chemical_formula_sum") or ""
        found = [symbol for symbol in found if re.search(rf"{symbol}(?![a-z])", formula)] or found
    if not found or (len(found) == 2 and tag == _LABEL):
        wrong = f"may be {' or '.join(found)}" if found else "is no element"
        raise ValueError(f"{block.at(tag)}: {tag}: {raw!r} in row {row} {wrong}")
    charge = states.get(raw, _charge(raw))
    return found[0] if charge is None else str(Species(found[0], charge))


def _elements(raw: str) -> list[str]:
    """The elements a type or label may mean: two letters before one; CO1 may be Co or C.

    None for a group of atoms: Wat, OH and NH4 are no W, O and N.
    """
    letters = re.match(r"[A-Za-z]*", raw)
    text = letters[0] if letters else ""
    two, one = text[:2].capitalize(), text[:1].upper()
    known = [symbol for symbol in dict.fromkeys((two, one)) if symbol in ELEMENTS or symbol in _ISOTOPES]
    if len(known) == 2 and text[1].islower():
        known = known[:1]
    if len(known) == 1 and not _is_of_a_site(text[len(known[0]) :]):
        return []
    return [_ISOTOPES.get(symbol, symbol) for symbol in known]


def _is_of_a_site(suffix: str) -> bool:
    """Whether what follows a symbol names a site, ``FeA``, ``Ow``, and not another atom."""
    is_atom = suffix in ELEMENTS or suffix in _ISOTOPES or suffix in {"h", "d"}
    return not suffix or (len(suffix) == 1 and not is_atom)


def _charge(raw: str) -> float | None:
    """The charge in ``Fe3+``, ``Fe+3`` or ``O-``, or None."""
    found = re.fullmatch(r"[A-Za-z]{1,2}(\d*\.?\d*)([+-])(\d*\.?\d*)", raw)
    if found is None:
        return None
    return float(f"{found[2]}{found[1] or found[3] or 1}")


def expanded(
    found: Sequence[Row], group: Group, matrix: NDArray[np.float64], fail: Callable[[str], ValueError]
) -> list[Orbit]:
    """The orbits of a site list under a group; matrix: lattice vectors as rows, Å.

    A row on a site that is there already shares it, or says the same again where a file lists every atom.
    Raises ``fail(message)`` where two rows contradict each other, and where there are too many sites.

    found: sites.
    """
    orbits: list[Orbit] = []
    taken = _Taken(matrix, fail)
    for row in found:
        point = _special(row, group, matrix)
        number = taken.orbit_at(point, row.error)
        if number is None:
            number = len(orbits)
            orbits.append(Orbit(_images(point, group, matrix), row.error))
            taken.add(orbits[-1])
        _settle(orbits[number], row, point, fail)
    return orbits


class _Taken:
    """The points of all orbits so far, in their order: a row is compared with all of them at once."""

    def __init__(self, matrix: NDArray[np.float64], fail: Callable[[str], ValueError]) -> None:
        self._matrix, self._fail = matrix, fail
        self._count = self._orbits = 0
        self._points, self._errors = np.empty((MOST_SITES, 3)), np.empty((MOST_SITES, 3))
        self._numbers = np.empty(MOST_SITES, np.int64)

    def add(self, orbit: Orbit) -> None:
        """Raises ``fail(message)`` where there are more sites than any crystal is read with."""
        end = self._count + len(orbit.points)
        if end > MOST_SITES:
            raise self._fail(f"more than {MOST_SITES} sites")
        self._points[self._count : end], self._errors[self._count : end] = orbit.points, orbit.error
        self._numbers[self._count : end] = self._orbits
        self._count, self._orbits = end, self._orbits + 1

    def orbit_at(self, point: NDArray[np.float64], error: NDArray[np.float64]) -> int | None:
        """The number of the first orbit that has the point, within the digits of both."""
        apart = self._points[: self._count] - point
        apart -= np.rint(apart)
        allowed = np.linalg.norm((error + self._errors[: self._count]) @ np.abs(self._matrix), axis=1)
        here = np.linalg.norm(apart @ self._matrix, axis=1) < np.minimum(allowed, _APART)
        return int(self._numbers[here.argmax()]) if here.any() else None


def _settle(orbit: Orbit, row: Row, point: NDArray[np.float64], fail: Callable[[str], ValueError]) -> None:
    have = orbit.occupancy.get(row.species)
    if have is None:
        orbit.said[row.species] = point
        orbit.occupancy[row.species] = row.occupancy
        return
    total = sum(orbit.occupancy.values()) + row.occupancy
    if _near(point, orbit.said[row.species]) and total <= MOST_OCCUPIED:
        orbit.occupancy[row.species] = have + row.occupancy
    elif abs(have - row.occupancy) > _SAME_OCCUPANCY:
        raise fail(
            f"row {row.number} gives {row.species} {row.occupancy:g} where an earlier one gives {have:g}"
        )


def _near(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    apart = one - other
    return bool((np.abs(apart - np.rint(apart)) < 2 * _LEAST).all())


def _special(row: Row, group: Group, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """The point of a row, on the symmetry elements it lies on within its digits."""
    allowed = np.abs(group.rotations) @ row.error + row.error
    point = row.coords
    for _ in range(3):
        apart = group.rotations @ point + group.translations - point
        apart -= np.rint(apart)
        here = (np.abs(apart) <= 1.01 * allowed).all(axis=1)
        here &= np.linalg.norm(apart @ matrix, axis=1) < _APART
        point = point + apart[here].mean(axis=0)
    return point


def _images(point: NDArray[np.float64], group: Group, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """The distinct images of a point, in the cell."""
    images = (group.rotations @ point + group.translations) % 1.0
    apart = images[:, None] - images[None, :]
    apart -= np.rint(apart)
    same = np.linalg.norm(apart @ matrix, axis=2) < 1e-3
    return images[same.argmax(axis=1) == np.arange(len(images))]


def structure(orbits: Sequence[Orbit], matrix: NDArray[np.float64]) -> Structure:
    """All sites of the cell, without properties. matrix: its rows in Å, (3, 3)."""
    from pymatgen.core import Lattice, Structure

    species: list[dict[str, float]] = []
    for orbit in orbits:
        total = max(sum(orbit.occupancy.values()), 1.0)
        share = {kind: amount / total for kind, amount in orbit.occupancy.items()}
        species += [share] * len(orbit.points)
    return Structure(Lattice(matrix), species, np.concatenate([orbit.points for orbit in orbits]))
