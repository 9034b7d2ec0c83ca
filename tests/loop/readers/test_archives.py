"""Packed files, folders in folders and archives: what they hold is read, what is broken is named."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.loop.factory import nbo
from tests.loop.readers.test_fuzz import SPGLIB
from tests.loop.readers.written import folder_of_runs, poscar, rows, write

pytestmark = pytest.mark.filterwarnings(SPGLIB)
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".GZ": gzip.compress,
}


@pytest.mark.parametrize("ending", PACKERS)
@pytest.mark.parametrize("name", ["CONTCAR", "x.cif", "x.csv", "x.extxyz", "x.json", "x.parquet", "x.db"])
def test_compressed_files(tmp_path: Path, ending: str, name: str) -> None:
    plain = tmp_path / "plain" / name
    plain.parent.mkdir()
    write(plain, nbo())
    file = tmp_path / f"{name}{ending}"
    file.write_bytes(PACKERS[ending](plain.read_bytes()))
    (row,) = rows(file)
    assert row.structure is not None, row.problem
    assert row.structure.composition == nbo().composition
    assert row.label.startswith(str(file)) and "niobe-" not in row.label


def test_folders_in_folders_zipped_and_packed(tmp_path: Path) -> None:
    folder = folder_of_runs(tmp_path / "runs")
    with zipfile.ZipFile(tmp_path / "runs.zip", "w") as packed:
        for file in sorted(folder.rglob("*")):
            packed.write(file, file.relative_to(tmp_path))
        packed.writestr("__MACOSX/._x.CIF", "junk")
    with tarfile.open(tmp_path / "runs.tar.gz", "w:gz") as tar:
        tar.add(folder, "runs")
    for place in (folder, tmp_path / "runs.zip", tmp_path / "runs.tar.gz"):
        found = rows(place)
        assert [row.problem for row in found] == [""] * 3
        formulas = sorted(str(row.structure and row.structure.composition.reduced_formula) for row in found)
        assert formulas == ["NbO2", "NbO2", "NbO2"]
        assert all(row.label.startswith(str(place)) for row in found)
    assert rows(tmp_path / "runs.zip")[0].label == f"{tmp_path / 'runs.zip'}/runs/run-1/CONTCAR.gz"


@pytest.mark.parametrize("name", ["x.cif.gz", "x.zip", "x.tar", "x.csv.xz"])
def test_broken_archives_are_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"no archive at all")
    (row,) = rows(tmp_path / name)
    assert row.structure is None and row.label == str(tmp_path / name) and row.problem


def test_a_problem_in_an_archive_names_the_file_in_it(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as packed:
        packed.writestr("a/POSCAR", poscar(names="Nb Qq\n"))
        packed.writestr("../../escape.cif", "data_x\n")
    found = rows(tmp_path / "x.zip")
    assert [row.structure for row in found] == [None, None]
    assert f"{tmp_path / 'x.zip'}/a/POSCAR:6: 'Qq'" in found[1].problem
    assert not (tmp_path.parent / "escape.cif").exists()
