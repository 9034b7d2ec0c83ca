"""Structures of a campaign as files other programs read."""

from __future__ import annotations

import csv
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from launchers.openformats import write_benchmark_table, write_jsonl
from launchers.summary import summary
from loop.records import StructureRecord
from loop.structures import relaxed_structure

if TYPE_CHECKING:
    from ase import Atoms


def export(records: Sequence[StructureRecord], format: str, path: Path) -> Path:
    """Write records as ``cif`` or ``poscar`` (a folder of files), ``json``, ``csv``, ``extxyz``, ``asedb``,
    ``optimade`` (JSON lines) or ``matbench`` (parquet with a split by round).

    Relaxed structures where there are some. What stood at ``path`` is replaced once everything is written.
    Raises ValueError for an unknown format, or a path that is a folder where a file belongs.
    """
    if format not in _WRITERS:
        raise ValueError(f"format {format!r} is unknown; allowed: {', '.join(_WRITERS)}")
    is_folder = format in {"cif", "poscar"}
    if path.exists() and path.is_dir() != is_folder:
        raise ValueError(
            f"{path}: is a {'folder' if path.is_dir() else 'file'}; {format} writes the other kind"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".niobe-") as scratch:
        target = Path(scratch) / path.name
        _WRITERS[format](records, target)
        if is_folder and path.exists():
            shutil.rmtree(path)
        os.replace(target, path)  # noqa: PTH105 - works for folders alike
    return path


def as_text(record: StructureRecord, format: str) -> str:
    """One record as the text of a ``cif``, ``poscar``, ``json``, ``csv`` or ``extxyz`` file."""
    with tempfile.TemporaryDirectory(prefix="niobe-") as scratch:
        written = export([record], format, Path(scratch) / "structure")
        file = next(written.iterdir()) if written.is_dir() else written
        return file.read_text(encoding="utf-8")


def _folder_of(suffix: str, write: Callable[[StructureRecord, Path], None]) -> Callable[..., None]:
    def write_all(records: Sequence[StructureRecord], folder: Path) -> None:
        folder.mkdir()
        for record in records:
            write(record, folder / f"{record.formula}-{record.id}{suffix}")

    return write_all


def _cif(record: StructureRecord, file: Path) -> None:
    from pymatgen.io.cif import CifWriter

    file.write_text(str(CifWriter(relaxed_structure(record), symprec=0.01)), encoding="utf-8")


def _poscar(record: StructureRecord, file: Path) -> None:
    from pymatgen.io.vasp import Poscar

    structure = relaxed_structure(record).get_sorted_structure()
    Poscar(structure, comment=f"{record.formula} {record.id}").write_file(str(file))


def _json(records: Sequence[StructureRecord], file: Path) -> None:
    file.write_text(
        json.dumps([record.model_dump(mode="json") for record in records], indent=1), encoding="utf-8"
    )


def _csv(records: Sequence[StructureRecord], file: Path) -> None:
    rows = [summary(record) for record in records]
    with file.open("w", newline="", encoding="utf-8") as output:
        writer = csv.DictWriter(output, fieldnames=list(rows[0]) if rows else ["id"])
        writer.writeheader()
        writer.writerows(rows)


def _atoms(record: StructureRecord) -> Atoms:
    from ase import Atoms

    structure = relaxed_structure(record)
    return Atoms(
        numbers=structure.atomic_numbers,
        cell=structure.lattice.matrix,
        scaled_positions=structure.frac_coords,
        pbc=True,
    )


def _extxyz(records: Sequence[StructureRecord], file: Path) -> None:
    import ase.io

    images = []
    for record in records:
        atoms = _atoms(record)
        atoms.info = {key: value for key, value in summary(record).items() if value is not None}
        images.append(atoms)
    ase.io.write(file, images, format="extxyz")


def _asedb(records: Sequence[StructureRecord], file: Path) -> None:
    from ase.db import connect

    with connect(str(file), type="db") as database:
        for record in records:
            known = {k: v for k, v in summary(record).items() if v is not None and k not in {"id", "formula"}}
            database.write(_atoms(record), record=record.id, reduced=record.formula, **known)


_WRITERS: dict[str, Callable[..., None]] = {
    "cif": _folder_of(".cif", _cif),
    "poscar": _folder_of(".vasp", _poscar),
    "json": _json,
    "csv": _csv,
    "extxyz": _extxyz,
    "asedb": _asedb,
    "optimade": write_jsonl,
    "matbench": write_benchmark_table,
}
