"""Structures of a campaign as files other programs read."""

from __future__ import annotations

import csv
import functools
import json
import os
import re
import shlex
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TextIO

from niobe.config.atomic import naming
from niobe.config.errors import ConfigError
from niobe.config.home import resolved
from niobe.launchers.output.goals import units
from niobe.launchers.output.open_formats import write_benchmark_table, write_jsonl
from niobe.launchers.output.summary import as_cell, in_a_line, summary
from niobe.loop.crystals.symmetry import symmetric_cell
from niobe.loop.documents.records import StructureRecord
from niobe.loop.documents.structures import relaxed_structure

if TYPE_CHECKING:
    from ase import Atoms

_NO_NAME = re.compile(r"[^\w-]")
_NO_FILE_NAME = re.compile(r"[^A-Za-z0-9.()-]")
Cell = Literal["relaxed", "primitive", "conventional"]


def export(
    records: Collection[StructureRecord],
    format: str,
    path: Path,
    forces: Mapping[str, str] | None = None,
    *,
    cell: Cell = "relaxed",
) -> Path:
    """Write records as ``cif`` or ``poscar`` (a folder of files), ``json``, ``csv``, ``extxyz``, ``asedb``,
    ``optimade`` (JSON lines), ``matbench`` (parquet with a split by round) or ``phonopy`` (a folder of
    ``phonopy_params.yaml`` with displacements in Å and forces in eV/Å, of what has ``forces``).

    forces: by record id, as PhononRecord keeps them. cell: ``relaxed``, as it is stored, or the ``primitive``
    or ``conventional`` standard cell, symmetry made exact within 0.01 Å. A CIF has the conventional cell
    unless the primitive one is asked for.

    Relaxed structures where there are some. What stood at ``path`` is replaced once everything is written.
    Raises ValueError for an unknown format, a cell for ``json`` or ``phonopy``, which hold what is stored, or
    a path that is a folder where a file belongs; ConfigError for
    a folder that holds anything but an earlier export.
    """
    if format not in _WRITERS:
        raise ValueError(f"format {format!r} is unknown; allowed: {', '.join(_WRITERS)}")
    if cell != "relaxed":
        records = InCell(records, cell, format)
    is_folder = format in _SUFFIXES
    if path.exists() and path.is_dir() != is_folder:
        raise ValueError(
            f"{path}: is a {'folder' if path.is_dir() else 'file'}; {format} writes the other kind"
        )
    if is_folder:
        _earlier_export(path, format)
    place = resolved(path)
    place.parent.mkdir(parents=True, exist_ok=True)
    with naming(path), tempfile.TemporaryDirectory(dir=place.parent, prefix=".niobe-") as scratch:
        target = Path(scratch) / place.name
        primitive_cif = (format, cell) == ("cif", "primitive")
        write = _ALL_SITES if primitive_cif else _WRITERS[format]
        write(records, target, *([forces or {}] if format == "phonopy" else []))
        if is_folder and place.exists():
            _remove(place, format)
        os.replace(target, place)  # noqa: PTH105 - works for folders alike
    return path


class InCell(Collection[StructureRecord]):
    """Records in the standard cell of that kind, each made as one goes through them."""

    def __init__(self, records: Collection[StructureRecord], cell: Cell, format: str) -> None:
        """Raises ValueError for a format that holds what is stored."""
        if format in {"json", "phonopy"}:
            raise ValueError(
                f"{format} holds what is stored, in the cell that it is; cell {cell!r} is for others"
            )
        self._records, self._cell = records, cell

    def __iter__(self) -> Iterator[StructureRecord]:
        return (_in_cell(record, self._cell) for record in self._records)

    def __len__(self) -> int:
        return len(self._records)

    def __contains__(self, record: object) -> bool:
        return any(record == one for one in self)


def _in_cell(record: StructureRecord, cell: Cell) -> StructureRecord:
    structure = symmetric_cell(relaxed_structure(record), conventional=cell == "conventional")
    update: dict[str, Any] = {"structure": structure.as_dict()}
    if record.validation:
        update = {"validation": record.validation.model_copy(update=update)}
    return record.model_copy(update=update | {"n_atoms": len(structure)})


def _earlier_export(folder: Path, format: str) -> list[Path]:
    """The files in a folder that an export may replace; none where there is no folder.

    Raises ConfigError where the folder holds anything else, or is the one that the command runs in.
    """
    if Path.cwd().is_relative_to(resolved(folder)):
        raise ConfigError(f"{folder}: is the folder you are in, or above it; name another")
    name = re.compile(rf".+-[0-9a-f]{{16}}{re.escape(_SUFFIXES[format])}")
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    foreign = next((file for file in found if not (file.is_file() and name.fullmatch(file.name))), None)
    if foreign is not None:
        raise ConfigError(
            f"{folder}: holds {foreign.name}, which no {format} export wrote; name a new or an empty folder"
        )
    return found


def _remove(folder: Path, format: str) -> None:
    """Remove an earlier export and nothing that came into the folder meanwhile."""
    for file in _earlier_export(folder, format):
        file.unlink()
    folder.rmdir()


def as_text(record: StructureRecord, format: str, cell: Cell = "relaxed") -> str:
    """One record as text: ``cif``, ``poscar``, ``json``, ``csv`` or ``extxyz``, see ``export``."""
    with tempfile.TemporaryDirectory(prefix="niobe-") as scratch:
        written = export([record], format, Path(scratch) / "structure", cell=cell)
        file = next(written.iterdir()) if written.is_dir() else written
        return file.read_text(encoding="utf-8")


def _folder_of(suffix: str, write: Callable[[StructureRecord, Path], None]) -> Callable[..., None]:
    def write_all(records: Iterable[StructureRecord], folder: Path) -> None:
        folder.mkdir()
        for record in records:
            write(record, folder / f"{_file_name(record)}{suffix}")

    return write_all


def _file_name(record: StructureRecord) -> str:
    """Formula and id, whatever either holds: a name within the folder."""
    return _NO_FILE_NAME.sub("_", f"{record.formula[:60]}-{record.id}")


def _cif(record: StructureRecord, file: Path, *, symprec: float | None = 0.01) -> None:
    """With symmetry, which pymatgen writes of the conventional cell only; or every site of the cell."""
    from gemmi import cif
    from pymatgen.io.cif import CifWriter

    text = str(CifWriter(relaxed_structure(record), symprec=symprec))
    own = "".join(f"_niobe_{name} {cif.quote(str(value))}\n" for name, value in _known(record).items())
    text = re.sub(r"(?m)^(data_.*\n)", lambda found: found[1] + own, text, count=1)
    file.write_text(text, encoding="utf-8")


def _poscar(record: StructureRecord, file: Path) -> None:
    from pymatgen.io.vasp import Poscar

    structure = relaxed_structure(record).get_sorted_structure()
    own = " ".join(f"{name}={shlex.quote(str(value))}" for name, value in _known(record).items())
    Poscar(structure, comment=f"{in_a_line(record.formula)} {own}").write_file(str(file))


def _known(record: StructureRecord) -> dict[str, Any]:
    """The figures of a record that are there, by name, all in one line."""
    row = summary(record, record.properties)
    return {_NO_NAME.sub("_", name): in_a_line(value) for name, value in row.items() if value is not None}


def _phonopy(records: Iterable[StructureRecord], folder: Path, forces: Mapping[str, str]) -> None:
    from niobe.loop.stability.force_constants import unpacked

    folder.mkdir()
    for record in records:
        if record.id in forces:
            file = folder / f"{_file_name(record)}{_SUFFIXES['phonopy']}"
            file.write_bytes(unpacked(forces[record.id]))


def _json(records: Iterable[StructureRecord], file: Path) -> None:
    """A list, written a record at a time, as ``json.dumps`` with an indent of 1 writes it whole."""
    with file.open("w", encoding="utf-8") as output:
        before = "[\n "
        for record in records:
            text = json.dumps(record.model_dump(mode="json"), indent=1)
            output.write(before + text.replace("\n", "\n "))
            before = ",\n "
        output.write("[]" if before.startswith("[") else "\n]")


def _csv(records: Collection[StructureRecord], file: Path) -> None:
    properties = units(records)
    with file.open("w", newline="", encoding="utf-8") as output:
        writer: csv.DictWriter[str] | None = None
        for record in records:
            row = {name: as_cell(value) for name, value in summary(record, properties).items()}
            row |= _columns(record)
            if writer is None:
                writer = _headed(output, row)
            writer.writerow(row)
        if writer is None:
            _headed(output, ["id"])


def _headed(output: TextIO, columns: Iterable[str]) -> csv.DictWriter[str]:
    writer = csv.DictWriter(output, fieldnames=list(columns))
    writer.writeheader()
    return writer


def _columns(record: StructureRecord) -> dict[str, str]:
    """The structure in columns: lattice vectors (Å), elements, fractional coordinates."""
    structure = relaxed_structure(record)
    return {
        "lattice": json.dumps(structure.lattice.matrix.tolist()),
        "species": json.dumps([species.symbol for species in structure.species]),
        "frac_coords": json.dumps(structure.frac_coords.tolist()),
    }


def _atoms(record: StructureRecord) -> Atoms:
    from ase import Atoms

    structure = relaxed_structure(record)
    return Atoms(
        numbers=structure.atomic_numbers,
        cell=structure.lattice.matrix,
        scaled_positions=structure.frac_coords,
        pbc=True,
    )


def _extxyz(records: Iterable[StructureRecord], file: Path) -> None:
    import ase.io

    with file.open("w", encoding="utf-8") as output:
        for record in records:
            atoms = _atoms(record)
            atoms.info = _known(record)
            ase.io.write(output, atoms, format="extxyz")


def _asedb(records: Iterable[StructureRecord], file: Path) -> None:
    from ase.db import connect

    with connect(str(file), type="db") as database:
        for record in records:
            said = _known(record).items()
            known = {k.replace("-", "_"): v for k, v in said if k not in {"id", "formula"}}
            known |= {"record": record.id, "reduced": record.formula}
            # ASE refuses texts that are numbers (an id, NaN, InF) as pairs, and takes them as data.
            pairs = {k: v for k, v in known.items() if not (isinstance(v, str) and _is_number(v))}
            database.write(_atoms(record), pairs, data={k: v for k, v in known.items() if k not in pairs})


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


_SUFFIXES = {"cif": ".cif", "poscar": ".vasp", "phonopy": ".yaml"}
_ALL_SITES = _folder_of(_SUFFIXES["cif"], functools.partial(_cif, symprec=None))
_WRITERS: dict[str, Callable[..., None]] = {
    "cif": _folder_of(_SUFFIXES["cif"], _cif),
    "poscar": _folder_of(_SUFFIXES["poscar"], _poscar),
    "phonopy": _phonopy,
    "json": _json,
    "csv": _csv,
    "extxyz": _extxyz,
    "asedb": _asedb,
    "optimade": write_jsonl,
    "matbench": write_benchmark_table,
}
