"""Same or new: a cheap prefilter, then pymatgen's StructureMatcher, representatives chosen by order."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from niobe.loop.crystals.cells import ANGLE_TOL, LTOL, STOL, Cell, could_align, could_repeat, fits
from niobe.loop.crystals.symmetry import SYMPREC, dataset
from niobe.surrogates.protocols import FloatArray

if TYPE_CHECKING:
    from pymatgen.core import Structure

_VOLUME_RATIO, _EDGE_RATIO = 1.6, 1.3
_GROUPS, _MONOCLINIC = 230, range(3, 16)


@cache
def matcher() -> Any:
    """StructureMatcher with ltol 0.2, stol 0.3, angle 5°, primitive cells, volumes scaled."""
    from pymatgen.core.structure_matcher import StructureMatcher

    return StructureMatcher(ltol=LTOL, stol=STOL, angle_tol=ANGLE_TOL, primitive_cell=True, scale=True)


def content_hash(structure: Structure) -> str:
    """SHA-256 over lattice and sites rounded to 1e-4, sites sorted: the identity of a stored structure."""
    sites = sorted(
        (site.specie.symbol, *(round(float(x) % 1, 4) % 1 for x in site.frac_coords)) for site in structure
    )
    lattice = [round(float(x), 4) for x in structure.lattice.matrix.flatten()]
    return hashlib.sha256(repr((lattice, sites)).encode()).hexdigest()


def spacegroup_number(structure: Structure, symprec: float = SYMPREC) -> int:
    """International number by moyopy; 1 where symmetry search fails on a distorted cell. symprec in Å."""
    data = dataset(structure, symprec)
    return 1 if data is None else int(data.number)


@cache
def spacegroup_symbol(number: int) -> str:
    """The short Hermann-Mauguin symbol of a space group's standard setting, "?" for a number that none has.

    number: international number.
    """
    from pymatgen.symmetry.groups import sg_symbol_from_int_number

    if not 1 <= number <= _GROUPS:
        return "?"
    symbol = str(sg_symbol_from_int_number(number))
    return re.sub(r"^(\w)1(.+)1$", r"\1\2", symbol) if number in _MONOCLINIC else symbol


def spacegroup_name(number: int) -> str:
    """Symbol and number, such as ``Pm-3m (221)``.

    number: international number.
    """
    return f"{spacegroup_symbol(number)} ({number})"


class Reduced:
    """The Niggli-reduced primitive cell, as ``matcher`` makes it of whatever it compares; without the memory
    of it, which looks at all cells of a composition before it makes another."""

    _given: FloatArray

    def __init__(self, structure: Structure) -> None:
        reduced = structure.get_reduced_structure(reduction_algo="niggli")
        words = [site.species_string for site in reduced]
        repeats = could_repeat(reduced.lattice.lengths, reduced.frac_coords, words)
        self.cell = reduced.get_primitive_structure() if repeats else reduced

    @classmethod
    def kept(
        cls,
        lattice: FloatArray,
        points: FloatArray,
        kinds: Sequence[str],
        measured: FloatArray | None = None,
    ) -> Reduced:
        """Of a cell that is reduced already.

        lattice: (3, 3), rows are vectors, Å. points: fractional, (n, 3). kinds: symbols, n. measured: edges
        and angles as ``measures`` has them, (6,), where they are known.
        """
        found = cls.__new__(cls)
        found.numbers, found._given = Cell(lattice, points, kinds, measured), lattice
        return found

    @cached_property
    def cell(self) -> Structure:
        """The cell itself."""
        from pymatgen.core import Structure

        return Structure(self._given, self.numbers.kinds, self.numbers.points)

    @cached_property
    def numbers(self) -> Cell:
        """What ``fits`` looks at."""
        symbols = ["-".join(sorted(e.symbol for e in site.species)) for site in self.cell]
        return Cell(self.cell.lattice.matrix, self.cell.frac_coords, symbols)


def alike(one: Reduced, other: Reduced) -> bool:
    """Whether ``matcher`` calls two crystals with as many sites in the reduced cell the same."""
    certain = fits(one.numbers, other.numbers)
    if certain is not None:
        return certain
    return bool(matcher().fit(one.cell, other.cell, skip_structure_reduction=True))


class SeenStructures:
    """Structures seen so far; ``find`` answers with the id of the first that matches.

    Only structures of one formula whose reduced cells have as many sites and edges alike can match: these
    alone are compared, and each is reduced once, when first needed.
    """

    def __init__(self, known: Iterable[tuple[str, Structure]] = ()) -> None:
        self._by_formula: dict[str, Bucket] = defaultdict(Bucket)
        for identifier, structure in known:
            self.add(identifier, structure)

    def holds(self, formula: str) -> bool:
        """Whether any has this reduced formula: others match none. formula: pymatgen's."""
        return formula in self._by_formula

    def add(self, identifier: str, structure: Structure) -> None:
        """Remember a structure under its id."""
        self.add_shape(Shape(identifier, structure))

    def add_shape(self, shape: Shape) -> None:
        """The same for what is reduced already."""
        self._by_formula[shape.formula].add(shape)

    def find(self, structure: Structure, *, exclude: Collection[str] = ()) -> str | None:
        """The id of the first remembered structure that matches and is not in ``exclude``, or None."""
        found = self.find_shape(Shape("", structure), exclude=exclude)
        return None if found is None else found.id

    def find_shape(self, asked: Shape, *, exclude: Collection[str] = ()) -> Shape | None:
        """The first remembered shape that matches and whose id is not in ``exclude``, or None."""
        if not self.holds(asked.formula):
            return None
        same = self._by_formula[asked.formula].same(asked)
        return next((seen for seen in same if seen.id not in exclude), None)


class Shape:
    """What a crystal is compared by, reduced when first needed.

    id: whose it is. structure: the crystal.
    """

    def __init__(self, identifier: str, structure: Structure) -> None:
        self.id, self.structure = identifier, structure

    @cached_property
    def formula(self) -> str:
        """pymatgen's reduced formula."""
        return str(self.structure.composition.reduced_formula)

    @cached_property
    def reduced(self) -> Reduced:
        """The reduced cell."""
        return Reduced(self.structure)

    @cached_property
    def volume_per_atom(self) -> float:
        """Å³ an atom."""
        return float(self.structure.volume / len(self.structure))

    @cached_property
    def sites(self) -> int:
        """Atoms of the reduced cell."""
        return len(self.reduced.numbers.points)

    @cached_property
    def edges(self) -> list[float]:
        """Of the reduced cell, scaled to one volume for all, the shortest first."""
        return sorted(self.reduced.numbers.lengths.tolist())

    def same(self, other: Shape) -> bool:
        """Whether the two are one crystal."""
        return self.could_match(other) and alike(other.reduced, self.reduced)

    def could_match(self, other: Shape) -> bool:
        """Whether volumes, and numbers of sites and edges of the reduced cells, allow it."""
        if not _within(self.volume_per_atom, other.volume_per_atom, _VOLUME_RATIO):
            return False
        return self.sites == other.sites and all(
            _within(own, its, _EDGE_RATIO) for own, its in zip(self.edges, other.edges, strict=True)
        )


class Bucket:
    """Shapes of one composition. Which of them another could match is asked of all at once, in arrays."""

    def __init__(self, shapes: Sequence[Shape] = (), rows: FloatArray | None = None) -> None:
        """shapes: the first, in the order in which they are compared. rows: their ``measures``, as far as
        they are known, NaN otherwise."""
        self._shapes = list(shapes)
        if rows is None:
            rows = np.full((len(self._shapes), MEASURES), np.nan)
            rows[:, 0] = [shape.volume_per_atom for shape in shapes]
        self._rows = rows

    def __len__(self) -> int:
        return len(self._shapes)

    def __iter__(self) -> Iterator[Shape]:
        return iter(self._shapes)

    def add(self, shape: Shape) -> None:
        """Compare what is asked with this one too, after all others."""
        count = len(self._shapes)
        if count == len(self._rows):
            self._rows = np.vstack([self._rows, np.full((max(8, count), MEASURES), np.nan)])
        self._rows[count, 0] = shape.volume_per_atom
        self._shapes.append(shape)

    def same(self, asked: Shape) -> Iterator[Shape]:
        """Those that are the same crystal, in order; most callers want the first alone."""
        like, begun = self._like(asked), 0
        while begun < len(like):
            now, begun = like[begun : begun + _AT_FIRST + begun], 2 * begun + _AT_FIRST
            may = could_align(asked.reduced.numbers, self._rows[now, 5:8], self._rows[now, 8:])
            for row in now[may]:
                if alike(asked.reduced, self._shapes[row].reduced):
                    yield self._shapes[row]

    def _like(self, asked: Shape) -> NDArray[np.intp]:
        """Rows whose volumes, numbers of sites and edges allow it; what volumes allow is reduced."""
        rows = self._rows[: len(self._shapes)]
        like = np.flatnonzero(_all_within(rows[:, :1], asked.volume_per_atom, _VOLUME_RATIO))
        for row in like[np.isnan(rows[like, 1])]:
            rows[row] = measures(self._shapes[row])
        like = like[rows[like, 1] == asked.sites]
        return like[_all_within(rows[like, 2:5], np.array(asked.edges), _EDGE_RATIO)]


MEASURES, _AT_FIRST = 11, 8


def measures(shape: Shape) -> list[float]:
    """What is asked of all shapes at once: volume an atom, sites, edges in order, then edges and angles as
    the cell has them. shape: to measure."""
    cell = shape.reduced.numbers
    return [shape.volume_per_atom, shape.sites, *shape.edges, *cell.lengths, *cell.angles]


class KeptShape(Shape):
    """A shape as a database keeps it: its cell is made when two are compared."""

    def __init__(self, identifier: str, kept: dict[str, Any]) -> None:
        """kept: as ``packed`` gives it."""
        self.id, self._kept = identifier, kept
        self.formula, self.sites = kept["formula"], kept["sites"]
        self.volume_per_atom, self.edges = kept["volume"], kept["edges"]

    @cached_property
    def reduced(self) -> Reduced:
        """The reduced cell."""
        rows = np.frombuffer(self._kept["cell"]).reshape(-1, 3)
        return Reduced.kept(rows[:3], rows[3:], self._kept["species"])


def packed(shape: Shape) -> dict[str, Any]:
    """A shape as words and numbers; ``cell``: the lattice's vectors in Å, then fractional coordinates, as
    rows of doubles."""
    cell = shape.reduced.cell
    return {
        "formula": shape.formula,
        "sites": shape.sites,
        "volume": shape.volume_per_atom,
        "edges": [float(edge) for edge in shape.edges],
        "species": [site.specie.symbol for site in cell],
        "cell": np.vstack([cell.lattice.matrix, cell.frac_coords]).astype("<f8").tobytes(),
    }


def _within(one: float, other: float, ratio: float) -> bool:
    return one < ratio * other and other < ratio * one


def _all_within(ones: FloatArray, other: FloatArray | float, ratio: float) -> NDArray[np.bool_]:
    """The same of rows, of which all columns have to be."""
    return np.asarray(((ones < ratio * other) & (other < ratio * ones)).all(axis=1))
