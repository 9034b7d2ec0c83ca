"""Materials Project structures for benchmarks, and how they are split; skipped where they are not."""

from __future__ import annotations

import functools
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pymatgen.core import Lattice, Structure

SHARED = Path(os.environ.get("NIOBE_SHARED", Path(__file__).parents[3] / "shared")) / "data"
TARGET = "formation_energy_per_atom"


@dataclass(frozen=True)
class Materials:
    """n structures with ids, formation energies (eV/atom) and years (NaN unknown)."""

    ids: list[str]
    structures: list[Structure]
    e_form: NDArray[np.float64]
    year: NDArray[np.float64]

    def at(self, chosen: NDArray[np.bool_]) -> tuple[list[Structure], NDArray[np.float64]]:
        """Structures and formation energies of the chosen rows."""
        return [s for s, taken in zip(self.structures, chosen, strict=True) if taken], self.e_form[chosen]

    def test_part(self) -> NDArray[np.bool_]:
        """Rows whose sha1(material_id) is 0 mod 10."""
        return np.array([int(hashlib.sha1(i.encode()).hexdigest(), 16) % 10 == 0 for i in self.ids])


def table(name: str) -> Any:
    """A shared parquet file as a data frame; the test is skipped where it is not there."""
    import pyarrow.parquet as pq

    file = SHARED / name
    if not file.is_file():
        pytest.skip(f"{file} is not there: set NIOBE_SHARED to the folder that holds data/{name}")
    return pq.read_table(file).to_pandas()


@functools.cache
def materials() -> Materials:
    """All rows of dev_mp_structures.parquet."""
    rows = table("dev_mp_structures.parquet")
    return Materials(
        list(rows.material_id),
        [structure_of(row) for row in rows.itertuples()],
        rows.e_form.to_numpy(),
        rows.year.to_numpy(),
    )


def structure_of(row: Any) -> Structure:
    """The structure of a row with lattice, numbers and frac_coords."""
    return Structure(
        Lattice(np.reshape(row.lattice, (3, 3))), list(row.numbers), np.reshape(row.frac_coords, (-1, 3))
    )
