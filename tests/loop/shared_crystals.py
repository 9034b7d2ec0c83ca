"""Real structures with polymorphs, and copies of them in other cells, to test and time grouping."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from pymatgen.core import Structure

from niobe.loop.crystals.grouping import composition_key
from niobe.loop.readers.structure_files import iterate_structures

SHARED = Path(__file__).parents[3] / "shared" / "data"

TABLE = "dev_mp_structures.parquet"


def shared_table() -> Path:
    """The table of Materials Project structures; the test is skipped where it is not."""
    for folder in (SHARED, SHARED.parents[2] / "shared" / "data"):
        if (folder / TABLE).is_file():
            return folder / TABLE
    pytest.skip(f"../shared/data/{TABLE} is not there")


def real_structures() -> list[Structure]:
    return [row.structure for row in iterate_structures(shared_table()) if row.structure is not None]


def shuffled_structures(rng: np.random.Generator) -> Iterator[Structure]:
    """Those of the table in random order, each built as it is asked for: all 14,590 take 15 s."""
    table = pq.read_table(shared_table(), columns=["lattice", "numbers", "frac_coords"])
    for index in rng.permutation(table.num_rows):
        (row,) = table.slice(int(index), 1).to_pylist()
        places = np.reshape(row["frac_coords"], (-1, 3))
        yield Structure(np.reshape(row["lattice"], (3, 3)), row["numbers"], places)


def most_polymorphs(structures: list[Structure], count: int) -> list[Structure]:
    """``count`` structures of the compositions that have the most of them."""
    by_composition = defaultdict(list)
    for structure in structures:
        by_composition[composition_key(structure)].append(structure)
    crowded = sorted(by_composition.values(), key=lambda same: -len(same))
    return [structure for same in crowded for structure in same][:count]


def with_copies(structures: list[Structure], *, copies: int, seed: int) -> list[tuple[str, Structure]]:
    """Each structure and ``copies`` disguised copies of it, shuffled."""
    rng = np.random.default_rng(seed)
    found = [s if copy == 0 else disguised(s, rng) for copy in range(copies + 1) for s in structures]
    order = rng.permutation(len(found))
    return [(f"s{place:06d}", found[index]) for place, index in enumerate(order)]


def disguised(structure: Structure, rng: np.random.Generator) -> Structure:
    """Another origin, site order and volume, at times a doubled cell; sites moved by 0.02 Å."""
    copy = structure.copy()
    if 2 * len(copy) <= 60 and rng.random() < 0.3:
        scale = [1, 1, 1]
        scale[rng.integers(3)] = 2
        copy = copy * scale
    copy.scale_lattice(copy.volume * rng.uniform(0.97, 1.03))
    copy.translate_sites(range(len(copy)), rng.uniform(-1, 1, 3), to_unit_cell=bool(rng.random() < 0.5))
    copy.perturb(0.02, seed=int(rng.integers(2**32)))
    return Structure.from_sites([copy[int(index)] for index in rng.permutation(len(copy))])
