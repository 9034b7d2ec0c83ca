"""The user's own files, good and broken."""

import json
from pathlib import Path

import ase.io
import pandas as pd
import pytest
from pymatgen.io.ase import AseAtomsAdaptor
from pymatgen.io.cif import CifWriter
from pymatgen.io.vasp import Poscar

from niobe.config.errors import ConfigError
from niobe.loop.readers.structure_files import read_structures
from tests.loop.factory import nbo, rutile


def folder_of_every_kind(folder: Path) -> None:
    CifWriter(nbo()).write_file(folder / "a.cif")
    Poscar(nbo()).write_file(str(folder / "POSCAR-b"))
    ase.io.write(folder / "c.extxyz", [AseAtomsAdaptor.get_atoms(s) for s in (nbo(), rutile())])
    ase.io.write(folder / "d.db", AseAtomsAdaptor.get_atoms(nbo()))
    row = {
        "lattice": nbo().lattice.matrix.ravel().tolist(),
        "numbers": list(nbo().atomic_numbers),
        "frac_coords": nbo().frac_coords.ravel().tolist(),
    }
    pd.DataFrame([row]).to_parquet(folder / "e.parquet")
    as_text = {
        "species": json.dumps([s.symbol for s in nbo().species]),
        "lattice": json.dumps(row["lattice"]),
    }
    pd.DataFrame([as_text | {"coords": json.dumps(row["frac_coords"])}]).to_csv(folder / "f.csv")


def test_every_kind_comes_back_as_it_went_in(tmp_path: Path) -> None:
    folder_of_every_kind(tmp_path)
    imported = read_structures(tmp_path)
    assert imported.broken == []
    assert [s.composition.reduced_formula for _, s in imported.structures].count("NbO") == 6
    for label, structure in imported.structures:
        wanted = nbo() if structure.composition.reduced_formula == "NbO" else rutile()
        assert structure.volume == pytest.approx(wanted.volume, rel=1e-4), label


def test_broken_ones_are_named_and_skipped(tmp_path: Path) -> None:
    folder_of_every_kind(tmp_path)
    (tmp_path / "bad.cif").write_text("not a cif")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1junk")
    (tmp_path / "notes.txt").write_text("hello")
    rows = [{"cif": CifWriter(nbo()).__str__()}, {"cif": "junk"}, {"cif": None}]
    pd.DataFrame(rows).to_csv(tmp_path / "g.csv")
    imported = read_structures(tmp_path)
    assert len(imported.structures) == 8
    named = " ".join(imported.broken)
    assert len(imported.broken) == 5
    for part in ("bad.cif", "bad.parquet", "notes.txt", "g.csv:2", "g.csv:3"):
        assert part in named


def test_no_volume_and_partial_sites_are_broken(tmp_path: Path) -> None:
    table = [
        {"lattice": [0.0] * 9, "numbers": [41], "frac_coords": [0.0, 0, 0]},
        {"lattice": [3.0, 0, 0, 0, 3, 0, 0, 0, float("nan")], "numbers": [41], "frac_coords": [0.0, 0, 0]},
    ]
    pd.DataFrame(table).to_parquet(tmp_path / "t.parquet")
    imported = read_structures(tmp_path / "t.parquet")
    assert imported.structures == []
    assert len(imported.broken) == 2


def test_a_missing_path_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file or folder"):
        read_structures(tmp_path / "none")
