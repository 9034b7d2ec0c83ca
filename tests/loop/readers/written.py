"""Files as people have them, written, and what is read from one."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import ase.io
import numpy as np
import pandas as pd
from ase import Atoms
from pymatgen.core import Lattice, Structure
from pymatgen.io.cif import CifWriter
from pymatgen.io.vasp import Poscar

from niobe.loop.readers.structure_files import ImportedRow, iterate_structures
from tests.loop.factory import rutile

MATRIX = np.array([[4.0, 0, 0], [0.5, 5, 0], [0, 0.25, 6]])
SITES = ["0 0 0", ".5 .5 .5", ".5 0 .5"]


def poscar(
    *,
    comment: str = "any",
    scale: str = "1.0",
    names: str = "Nb O\n",
    kind: str = "Direct",
    flags: str = "",
    end: str = "",
) -> str:
    rows = "\n".join(" ".join(map(str, row)) for row in MATRIX)
    sites = "\n".join(f"{site}{flags}" for site in SITES)
    return f"{comment}\n{scale}\n{rows}\n{names}1 2\n{kind}\n{sites}\n{end}"


def wanted() -> Structure:
    points = np.array([[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0, 0.5]])
    return Structure(Lattice(MATRIX), ["Nb", "O", "O"], points)


def rows(file: Path) -> list[ImportedRow]:
    return list(iterate_structures(file))


def only(file: Path) -> Structure:
    (row,) = rows(file)
    assert row.structure is not None, row.problem
    return row.structure


def equal(one: Structure, other: Structure) -> bool:
    if [site.specie.symbol for site in one] != [site.specie.symbol for site in other]:
        return False
    apart = one.frac_coords - other.frac_coords
    close = np.abs(apart - np.rint(apart)).max() < 1e-5
    return bool(close and np.abs(one.lattice.matrix - other.lattice.matrix).max() < 1e-5)


def write(file: Path, structure: Structure) -> None:
    atoms = Atoms(structure.labels, cell=structure.lattice.matrix, pbc=True)
    atoms.set_scaled_positions(structure.frac_coords)
    row = {
        "lattice": json.dumps(structure.lattice.matrix.tolist()),
        "species": json.dumps([s.symbol for s in structure.species]),
        "frac_coords": json.dumps(structure.frac_coords.tolist()),
    }
    writers: dict[str, Callable[[], object]] = {
        "CONTCAR": lambda: Poscar(structure.get_sorted_structure()).write_file(str(file)),
        "x.cif": lambda: CifWriter(structure).write_file(file),
        "x.csv": lambda: pd.DataFrame([row]).to_csv(file),
        "x.parquet": lambda: pd.DataFrame([row]).to_parquet(file),
        "x.json": lambda: file.write_text(json.dumps(structure.as_dict())),
        "x.extxyz": lambda: ase.io.write(file, atoms),
        "x.db": lambda: ase.io.write(file, atoms),
    }
    writers[file.name]()


def folder_of_runs(folder: Path) -> Path:
    for number in (1, 2):
        run = folder / f"run-{number}"
        run.mkdir(parents=True)
        (run / "CONTCAR.gz").write_bytes(gzip.compress(poscar().encode()))
    (folder / "x.CIF").write_text(str(CifWriter(rutile(), symprec=0.01)))
    (folder / ".DS_Store").write_text("x")
    return folder
