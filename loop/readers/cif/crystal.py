"""CIF files: the crystal of each block, or by file and line why it cannot be said which one it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from niobe.loop.crystals.validity import nearest_contact
from niobe.loop.readers.cif.blocks import Block
from niobe.loop.readers.cif.sites import (
    FRACTIONS,
    MOST_OCCUPIED,
    Orbit,
    Row,
    expanded,
    number,
    rows,
    structure,
)
from niobe.loop.readers.cif.symmetry import Group, groups

if TYPE_CHECKING:
    from pymatgen.core import Structure

_LENGTHS = tuple(f"_cell_length_{axis}" for axis in "abc")
_ANGLES = tuple(f"_cell_angle_{name}" for name in ("alpha", "beta", "gamma"))
_FORMULA, _UNITS = "_chemical_formula_sum", "_cell_formula_units_Z"
_MAX_LENGTH = 1000.0
# No two atoms of a crystal come nearer than this share of the sum of their covalent radii (uranyl: 0.68).
NEAREST = 0.55
# How far rounded occupancies take shares of elements from the formula's, and the count of atoms from Z's.
_FORMULA_TOLERANCE, _COUNT_TOLERANCE = 0.03, 0.02


def structure_of(block: Block) -> Structure:
    """The structure of a block, partial occupancies and oxidation states as given.

    Raises ValueError that names file and line: missing or impossible cell, sites or symmetry; sites that do
    not make the formula, Z or distances of a crystal; symmetry by which there is more than one crystal.
    """
    matrix = _matrix(block)
    found = rows(block)
    choices = groups(block, matrix @ matrix.T)
    if not choices:
        _require_count(block)
        choices = [Group("P 1", np.eye(3)[None], np.zeros((1, 3)))]
    fitting: list[tuple[Group, list[Orbit], Structure]] = []
    problems: list[ValueError] = []
    for group in choices:
        try:
            fitting.append((group, *_built(block, found, group, matrix)))
        except ValueError as error:
            problems.append(error)
    if not fitting:
        raise problems[0]
    return _only(block, found, fitting)


def _built(
    block: Block, found: Sequence[Row], group: Group, matrix: NDArray[np.float64]
) -> tuple[list[Orbit], Structure]:
    def fail(message: str) -> ValueError:
        return ValueError(f"{block.at(FRACTIONS[0])}: {message}")

    orbits = expanded(found, group, matrix, fail)
    for orbit in orbits:
        if (total := sum(orbit.occupancy.values())) > MOST_OCCUPIED:
            raise fail(f"{', '.join(orbit.occupancy)} share a site with occupancies of {total:g} in all")
    answer = structure(orbits, matrix)
    _check_formula(block, answer)
    _check_distances(block, answer, group)
    return orbits, answer


def _only(
    block: Block, found: Sequence[Row], fitting: list[tuple[Group, list[Orbit], Structure]]
) -> Structure:
    """The one structure that fits, by the multiplicities of the file where several do."""
    if len(fitting) > 1 and any(row.multiplicity for row in found):
        wanted = sum(row.multiplicity * row.occupancy for row in found)
        agreeing = [fit for fit in fitting if abs(fit[2].composition.num_atoms / wanted - 1) < 0.01]
        fitting = agreeing or fitting
    if len(fitting) > 1:
        names = " and ".join(group.name for group, _, _ in fitting)
        raise ValueError(
            f"{block.at(FRACTIONS[0])}: the sites fit {names}; name the setting, or list its operations"
        )
    return fitting[0][2]


def _matrix(block: Block) -> NDArray[np.float64]:
    """The lattice vectors as rows, Å."""
    from pymatgen.core import Lattice

    values = []
    for tag in (*_LENGTHS, *_ANGLES):
        raw = block.content.find_value(tag)
        value = float("nan") if raw is None else number(raw)
        upper = _MAX_LENGTH if tag in _LENGTHS else 180.0
        if not 0 < value < upper:
            shown = "missing" if raw is None else f"{raw!r} is not between 0 and {upper:g}"
            raise ValueError(f"{block.at(tag)}: {tag}: {shown}")
        values.append(value)
    matrix = Lattice.from_parameters(*values).matrix
    if not np.isfinite(matrix).all() or np.linalg.det(matrix) < 1e-3:
        raise ValueError(f"{block.at(_ANGLES[0])}: no cell has these angles")
    return np.array(matrix)


def _require_count(block: Block) -> None:
    """Raises ValueError where nothing says whether the sites listed are all there are."""
    if block.content.find_value("_cell_modulation_dimension") or block.value(_FORMULA) is None:
        raise ValueError(
            f"{block.at(_LENGTHS[0])}: no symmetry is given; name it, P 1 where all sites are listed"
        )


def _check_formula(block: Block, found: Structure) -> None:
    """Raises ValueError where the sites do not make the formula and Z that the file gives."""
    from pymatgen.core import Composition

    given = block.value(_FORMULA)
    try:
        wanted = Composition(given or "").element_composition
    except ValueError:
        return
    if not wanted:
        return
    have = found.composition.element_composition
    far = max(
        abs(have.fractional_composition[element] - wanted.fractional_composition[element])
        for element in {*have, *wanted}
    )
    where = block.at(_FORMULA)
    if far > _FORMULA_TOLERANCE:
        raise ValueError(f"{where}: sites make {found.composition.reduced_formula}, the file says {given!r}")
    units = number(block.value(_UNITS) or "?")
    if not units > 0:
        return
    counts = [units * wanted.num_atoms, units * wanted.reduced_composition.num_atoms]
    if all(abs(have.num_atoms - count) > _COUNT_TOLERANCE * count for count in counts):
        raise ValueError(
            f"{where}: {have.num_atoms:g} atoms in the cell; {given!r} and Z {units:g} make {counts[0]:g}"
        )


def _check_distances(block: Block, found: Structure, group: Group) -> None:
    """Raises ValueError where atoms that are there at the same time are nearer than in any crystal."""
    contact = nearest_contact(found)
    if contact.share < NEAREST:
        one, other = (found[index].species_string for index in contact.sites)
        apart = f"{contact.distance:.3f} Å apart with {group.name}"
        raise ValueError(f"{block.at(FRACTIONS[0])}: {one} and {other} are {apart}")
