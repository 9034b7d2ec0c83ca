"""Finds whose verdict is known beforehand, made from structures of the Materials Project."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from pymatgen.core import Element, Lattice, Structure

from niobe.surrogates.representations.elements import atomic_volume
from tests.benchmarks.materials import materials, structure_of, table

STRAIN = 0.02
_RATTLE = 0.03
_MOST_ATOMS = 30
_PARENTS = 10
_APART = 0.01


@dataclass(frozen=True)
class Case:
    """A find and what it is made from: ``of`` is an id of the table, or of a parent."""

    find: Structure
    of: str


def disguised(structure: Structure, rng: np.random.Generator, strain: float = STRAIN) -> Structure:
    """The same crystal in another setting, supercell, orientation and origin, strained by 2 %."""
    cell = structure.copy()
    multiple = np.diag(rng.permutation([1, 1, int(rng.integers(1, 4))]))
    cell.make_supercell(_setting(rng) @ multiple)
    eigen = rng.uniform(-strain, strain, 3)
    eigen[int(rng.integers(3))] = strain * rng.choice([-1, 1])
    axes, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    stretch = np.eye(3) + axes @ np.diag(eigen) @ axes.T
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    turn *= np.sign(np.linalg.det(turn))
    order = rng.permutation(len(cell))
    places = (cell.frac_coords + rng.uniform(size=3))[order]
    return Structure(
        Lattice(cell.lattice.matrix @ stretch @ turn.T), [cell[int(i)].specie for i in order], places
    )


def _setting(rng: np.random.Generator) -> np.ndarray:
    """A matrix of whole numbers and determinant 1: other vectors of one lattice."""
    upper = np.eye(3, dtype=int) + np.triu(rng.integers(-1, 2, (3, 3)), 1)
    lower = np.eye(3, dtype=int) + np.tril(rng.integers(-1, 2, (3, 3)), -1)
    return np.asarray(upper @ lower)


def rattled(structure: Structure, rng: np.random.Generator, amount: float = _RATTLE) -> Structure:
    """With every atom moved by ``amount`` (Å)."""
    steps = rng.normal(size=(len(structure), 3))
    steps *= amount / np.linalg.norm(steps, axis=1)[:, None]
    return Structure(
        structure.lattice, structure.species, structure.cart_coords + steps, coords_are_cartesian=True
    )


def disguises(count: int, seed: int) -> Iterator[Case]:
    """Structures of the table, disguised."""
    rng = np.random.default_rng(seed)
    known = materials()
    for row in rng.permutation(len(known.ids)):
        structure = known.structures[int(row)]
        if len(structure) <= _MOST_ATOMS:
            yield Case(disguised(structure, rng), known.ids[int(row)])
            count -= 1
        if not count:
            return


def substitutions(count: int, seed: int) -> Iterator[Case]:
    """Structures of the table with one element replaced by one of its group that makes a new composition."""
    rng = np.random.default_rng(seed)
    known = materials()
    formulas = {structure.composition.reduced_formula for structure in known.structures}
    for row in rng.permutation(len(known.ids)):
        structure = known.structures[int(row)]
        if len(structure.composition) > 1 and len(structure) <= _MOST_ATOMS:
            other = _substituted(structure, formulas, rng)
            if other is not None:
                yield Case(rattled(other, rng), known.ids[int(row)])
                count -= 1
        if not count:
            return


def _substituted(structure: Structure, formulas: set[str], rng: np.random.Generator) -> Structure | None:
    own = sorted(structure.composition.get_el_amt_dict())
    symbol = str(rng.choice(own))
    group = [
        Element.from_Z(z).symbol for z in range(3, 84) if Element.from_Z(z).group == Element(symbol).group
    ]
    for new in rng.permutation([other for other in group if other not in own]):
        made = structure.copy()
        made.replace_species({symbol: str(new)})
        if made.composition.reduced_formula not in formulas:
            made.scale_lattice(structure.volume * _volume(made) / _volume(structure))
            return made
    return None


def _volume(structure: Structure) -> float:
    """Of the atoms as they are in their elements, Å³."""
    return sum(atomic_volume(site.specie.symbol) for site in structure)


def disordered_parents(seed: int) -> list[tuple[str, Structure]]:
    """Crystals of the table with an element of a sublattice half replaced by one of its row or group."""
    rng = np.random.default_rng(seed)
    known = materials()
    parents: list[tuple[str, Structure]] = []
    for row in rng.permutation(len(known.ids)):
        structure = known.structures[int(row)]
        symbols = sorted(structure.composition.get_el_amt_dict())
        if len(structure) > 10 or len(symbols) not in (2, 3) or max(structure.lattice.abc) > 12:
            continue
        symbol = next((s for s in symbols if Element(s).is_metal), None)
        other = symbol and _neighbour(symbol, symbols)
        if symbol and other:
            made = structure.copy()
            made.replace_species({symbol: {symbol: 0.5, other: 0.5}})
            parents.append((known.ids[int(row)], made))
        if len(parents) == _PARENTS:
            return parents
    return parents


def _neighbour(symbol: str, taken: Sequence[str]) -> str | None:
    z = Element(symbol).Z
    near = (Element.from_Z(other) for other in (z + 1, z - 1) if other > 2)
    return next((e.symbol for e in near if e.is_metal and e.symbol not in taken), None)


def orderings(parents: Sequence[tuple[str, Structure]], each: int, seed: int) -> Iterator[Case]:
    """Orderings of each parent in cells that hold two to eight of the shared sites, relaxed a little."""
    rng = np.random.default_rng(seed)
    for name, parent in parents:
        for multiple in itertools.islice(itertools.cycle(([2, 1, 1], [1, 2, 1], [1, 2, 2])), each):
            cell = parent.copy()
            cell.make_supercell(multiple)
            shared = [row for row, site in enumerate(cell) if not site.is_ordered]
            for place, row in enumerate(rng.permutation(shared)):
                species = sorted(s.symbol for s in cell[int(row)].species)
                cell[int(row)] = species[place % 2]
            yield Case(rattled(Structure.from_sites(list(cell)), rng, 0.05), name)


def polymorphs(count: int, seed: int) -> Iterator[tuple[str, Case]]:
    """A known crystal's id, and another of its composition: other space group, and other energy.

    Energies above the hull differ by 0.01 eV/atom at least, so that they are two, whatever compares them.
    """
    rng = np.random.default_rng(seed)
    rows = table("dev_mp_structures.parquet").dropna(subset=["spacegroup", "e_hull"])
    groups = defaultdict(list)
    for row in rows[rows.nsites <= _MOST_ATOMS].itertuples():
        groups[row.formula].append(row)
    pairs = [
        pair
        for found in groups.values()
        for pair in itertools.combinations(found, 2)
        if pair[0].spacegroup != pair[1].spacegroup and abs(pair[0].e_hull - pair[1].e_hull) > _APART
    ]
    for index in rng.permutation(len(pairs))[:count]:
        one, other = pairs[int(index)]
        yield one.material_id, Case(disguised(structure_of(other), rng), other.material_id)
