"""Whose phonons are judged: textbook crystals, PhononDB's labels, skewed cells; smallest first."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pymatgen.core import Lattice, Structure
from scipy.spatial.transform import Rotation

from niobe.loop.documents.structures import symmetrised
from tests.benchmarks.materials import table
from tests.benchmarks.phonons.layered import LAYERED
from tests.benchmarks.phonons.textbook import TEXTBOOK, Textbook

UNSTABLE_BELOW = -0.5  # THz; milder ones of PhononDB are mostly noise (shared/data/README.md)
SEED = 29
DESCRIPTIONS = 5
"""How many ``descriptions`` makes of a crystal."""


@dataclass(frozen=True)
class Labelled:
    """A crystal and what is known of it: ``stable``, ``unstable``, ``marginal`` or nothing."""

    name: str
    structure: Structure
    label: str


def textbook() -> list[Labelled]:
    """All of the textbook list, smallest first."""
    return _of(TEXTBOOK)


def layered() -> list[Labelled]:
    """Textbook crystals with skewed primitive cells, smallest first."""
    return _of(LAYERED)


def _of(entries: Sequence[Textbook]) -> list[Labelled]:
    return _smallest_first([Labelled(entry.name, entry.structure(), entry.label) for entry in entries])


def phonondb(drawn: int) -> list[Labelled]:
    """``drawn`` rows of dev_phonon_labels.parquet, by chance, smallest first."""
    return _smallest_first(list(itertools.islice(_drawn(), drawn)))


def balanced(drawn: int, most_atoms: int = 8) -> list[Labelled]:
    """``drawn`` unstable and as many stable crystals of dev_phonon_labels.parquet, by chance, in turns.

    most_atoms: in the primitive cell. Smallest first of each kind: cut anywhere, it is balanced.
    """
    small = [crystal for crystal in _drawn() if len(symmetrised(crystal.structure)) <= most_atoms]
    kinds = [[c for c in small if c.label == label][:drawn] for label in ("unstable", "stable")]
    pairs = zip(*(_smallest_first(kind) for kind in kinds), strict=True)
    return list(itertools.chain.from_iterable(pairs))


def _drawn() -> Iterator[Labelled]:
    """PhononDB's crystals in an order by chance, always the same."""
    labels = table("dev_phonon_labels.parquet").drop_duplicates("material_id")
    structures = {row.material_id: row for row in _structures().itertuples()}
    rows = [row for row in labels.itertuples() if row.material_id in structures]
    for row in (rows[index] for index in np.random.default_rng(SEED).permutation(len(rows))):
        crystal = _crystal(structures[row.material_id])
        yield Labelled(row.material_id, crystal, label_of(row.min_freq_thz))


def label_of(lowest: float) -> str:
    """``stable`` or ``unstable``, by the lowest frequency of a mesh, THz."""
    return "unstable" if lowest < UNSTABLE_BELOW else "stable"


def skewed(drawn: int) -> list[Labelled]:
    """Compounds whose primitive cell has an image nearer than 7.5 Å when repeated by its edges."""
    rows = _structures()
    order = np.random.default_rng(SEED).permutation(len(rows))
    found: list[Labelled] = []
    for index in order:
        row = rows.iloc[int(index)]
        structure = symmetrised(_crystal(row))
        if 2 <= len(structure) <= 12 and len(structure.composition) > 1 and _skewed(structure):
            found.append(Labelled(row.material_id, structure, ""))
        if len(found) == drawn:
            break
    return _smallest_first(found)


def described(drawn: int, most_atoms: int = 6) -> list[Labelled]:
    """Five descriptions of each of some compounds of dev_mp_structures.parquet, by chance.

    most_atoms: in the primitive cell. Names are ids and the number of the description.
    """
    rows, found = _structures(), list[Labelled]()
    for index in np.random.default_rng(SEED).permutation(len(rows)):
        row = rows.iloc[int(index)]
        structure = symmetrised(_crystal(row))
        if len(structure) <= most_atoms and len(structure.composition) > 1:
            ways = enumerate(descriptions(structure), start=1)
            found += [Labelled(f"{row.material_id} {number}", way, "") for number, way in ways]
        if len(found) == DESCRIPTIONS * drawn:
            break
    return found


def descriptions(crystal: Structure) -> Iterator[Structure]:
    """As it is, primitive, turned, in another basis with sites moved and permuted, as a supercell."""
    yield crystal
    yield crystal.get_primitive_structure()
    turn = Rotation.from_euler("xyz", (20, 50, 75), degrees=True).as_matrix()
    yield Structure(Lattice(crystal.lattice.matrix @ turn.T), crystal.species, crystal.frac_coords)
    basis = np.array([[1, 1, 0], [0, 1, 0], [1, 0, -1]])
    places = crystal.frac_coords @ np.linalg.inv(basis) + [0.1, 0.27, 0.4]
    order = np.random.default_rng(0).permutation(len(crystal))
    skewed = Lattice(basis @ crystal.lattice.matrix)
    yield Structure(skewed, [crystal.species[i] for i in order], places[order])
    yield crystal.copy().make_supercell([[1, 1, 0], [0, 1, 1], [1, 0, 1]])


def by_edges(structure: Structure, min_length: float) -> Any:
    """The diagonal supercell with all edges at least ``min_length`` (Å), as Niobe chose it before."""
    return np.diag(np.ceil(min_length / np.array(structure.lattice.abc) - 1e-6).astype(int))


def _skewed(structure: Structure) -> bool:
    repeated = Lattice(by_edges(structure, 7.5) @ structure.lattice.matrix)
    return min(repeated.get_niggli_reduced_lattice().abc) < 7.5


def _structures() -> Any:
    return table("dev_mp_structures.parquet").drop_duplicates("material_id")


def _crystal(row: Any) -> Structure:
    places = np.reshape(row.frac_coords, (-1, 3))
    return Structure(Lattice(np.reshape(row.lattice, (3, 3))), list(row.numbers), places)


def _smallest_first(found: list[Labelled]) -> list[Labelled]:
    return sorted(found, key=lambda crystal: (len(symmetrised(crystal.structure)), crystal.name))
