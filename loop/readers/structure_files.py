"""The user's own structures: CIF or POSCAR folders, CSV, parquet, extended XYZ, ASE databases."""

from __future__ import annotations

import csv
import functools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from niobe.config.errors import ConfigError
from niobe.loop.crystals.decoding import decoded
from niobe.loop.readers import cif, poscar

if TYPE_CHECKING:
    from pymatgen.core import Structure

Fields = dict[str, Any]
Row = tuple[str, Fields, Callable[[], "Structure"]]


@dataclass
class Imported:
    """Structures by label (file or file:row), and one line for each thing that could not be read."""

    structures: list[tuple[str, Structure]] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class ImportedRow:
    """One structure of a file and the other columns of its row, or the problem with it."""

    label: str
    fields: Fields
    structure: Structure | None = None
    problem: str = ""


def read_structures(path: Path) -> Imported:
    """Read everything in a file or folder; what is broken is reported with file and line, and skipped.

    Tables have a column ``cif``, or ``lattice`` (9 floats or 3×3, Å), ``numbers`` or ``species``, and
    ``frac_coords`` or ``coords`` (fractional, 3N floats or N×3); ``e_above_hull`` or ``e_hull`` (eV/atom)
    becomes the structure's property ``e_above_hull``. Raises ConfigError where ``path`` is
    missing.
    """
    imported = Imported()
    for row in iterate_structures(path):
        if row.structure is None:
            imported.broken.append(f"{row.label}: {row.problem}")
        elif row.structure.is_ordered:
            imported.structures.append((row.label, row.structure))
        else:
            imported.broken.append(f"{row.label}: sites are partly occupied; `niobe ingest` can order them")
    return imported


def read_some(path: Path, key: str) -> Imported:
    """As read_structures. Raises ConfigError, which names ``key``, where there is not one structure."""
    found = read_structures(path)
    if not found.structures:
        why = f" ({found.broken[0]})" if found.broken else ""
        raise ConfigError(f"{key}: {path}: no structure could be read from it{why}")
    return found


def iterate_structures(path: Path) -> Iterator[ImportedRow]:
    """As read_structures, one by one, partly occupied ones as they are."""
    for label, fields, build in _rows(path):
        try:
            structure = build()
            _check(structure)
        except Exception as error:  # noqa: BLE001 - parsers raise anything; it is reported, never lost
            yield ImportedRow(label, fields, problem=f"{type(error).__name__}: {_one_line(error)}")
        else:
            yield ImportedRow(label, fields, structure)


def _rows(path: Path) -> Iterator[Row]:
    if path.is_dir():
        for file in sorted(entry for entry in path.iterdir() if entry.is_file()):
            yield from _file_rows(file)
        return
    if not path.is_file():
        raise ConfigError(f"{path}: no such file or folder")
    yield from _file_rows(path)


def _file_rows(file: Path) -> Iterator[Row]:
    suffix = file.suffix.lower()
    readers: dict[str, Callable[[Path], Iterator[Row]]] = {
        ".csv": _csv_rows,
        ".parquet": _parquet_rows,
        ".xyz": _ase_rows,
        ".extxyz": _ase_rows,
        ".db": _ase_rows,
        ".cif": _cif_rows,
    }
    if suffix in readers:
        try:
            yield from readers[suffix](file)
        except Exception as error:  # noqa: BLE001 - an unreadable container is one broken entry
            yield str(file), {}, _raiser(error)
    elif suffix in {".vasp", ".poscar"} or file.name.startswith(("POSCAR", "CONTCAR")):
        yield str(file), {}, lambda: poscar.read(file)
    elif suffix == ".json":
        yield str(file), {}, lambda: _json_file(file)
    else:
        kinds = ".cif, .vasp, POSCAR*, .json, .csv, .parquet, .xyz, .extxyz, .db"
        yield str(file), {}, _raiser(ConfigError(f"unknown kind of file; allowed: {kinds}"))


def _raiser(error: Exception) -> Callable[[], Structure]:
    def build() -> Structure:
        raise error

    return build


def _json_file(file: Path) -> Structure:
    return decoded(json.loads(file.read_bytes()))


def _cif_rows(file: Path) -> Iterator[Row]:
    found = cif.blocks(file)
    for block in found:
        label = str(file) if len(found) == 1 else f"{file}:{block.line}"
        yield label, {}, lambda block=block: cif.structure_of(block)  # type: ignore[misc]


def _ase_rows(file: Path) -> Iterator[Row]:
    """The suffix is the format: what a file holds must not choose the reader."""
    import ase.io

    kind = "db" if file.suffix.lower() == ".db" else "extxyz"
    for number, atoms in enumerate(ase.io.iread(file, index=":", format=kind), start=1):
        yield f"{file}:{number}", dict(atoms.info), lambda atoms=atoms: _from_atoms(atoms)  # type: ignore[misc]


def _from_atoms(atoms: Any) -> Structure:
    from pymatgen.core import Structure

    return Structure(atoms.cell[:], atoms.get_chemical_symbols(), atoms.get_scaled_positions())


def _parquet_rows(file: Path) -> Iterator[Row]:
    import pyarrow.parquet as parquet

    number = 0
    for batch in parquet.ParquetFile(file).iter_batches(batch_size=1000):
        for row in batch.to_pandas().to_dict("records"):
            number += 1
            yield f"{file}:{number}", row, lambda row=row: _from_row(row)  # type: ignore[misc]


def _csv_rows(file: Path) -> Iterator[Row]:
    """Rows of a table by number; a problem names the line its row starts on."""
    with file.open(newline="", encoding="utf-8") as opened:
        reader = csv.reader(opened, strict=True)
        try:
            header = next(reader, [])
            start = reader.line_num + 1
            for number, values in enumerate((row for row in reader), start=1):
                if values:
                    row = _typed(dict(zip(header, values, strict=False)))
                    build = functools.partial(_csv_structure, row, len(values) - len(header), start)
                    yield f"{file}:{number}", row, build
                start = reader.line_num + 1
        except (csv.Error, UnicodeDecodeError) as error:
            raise ValueError(f"line {reader.line_num + 1}: {error}") from None


def _csv_structure(row: Fields, surplus: int, line: int) -> Structure:
    if surplus:
        raise ValueError(f"line {line}: {abs(surplus)} fields too {'many' if surplus > 0 else 'few'}")
    try:
        return _from_row(row)
    except Exception as error:  # noqa: BLE001 - whatever it was, its line is added
        raise ValueError(f"line {line}: {type(error).__name__}: {_one_line(error)}") from None


def _typed(row: dict[str, str]) -> Fields:
    """Text as it is, numbers as numbers, empty fields left out."""
    return {key: _number_or_text(value) for key, value in row.items() if value != ""}


def _number_or_text(value: str) -> float | str:
    try:
        return float(value)
    except ValueError:
        return value


def _from_row(row: dict[str, Any]) -> Structure:
    import numpy as np
    from pymatgen.core import Element, Structure

    known = _labels(row)
    if isinstance(row.get("cif"), str):
        structure = cif.structure_of(cif.only_block(row["cif"]))
        structure.properties |= known
        return structure
    lattice = _numbers(row, "lattice").reshape(3, 3)
    if "numbers" in row:
        species = [Element.from_Z(int(z)).symbol for z in _numbers(row, "numbers")]
    else:
        named = row["species"]
        species = json.loads(named) if isinstance(named, str) else list(named)
    coords = _numbers(row, "frac_coords" if "frac_coords" in row else "coords").reshape(-1, 3)
    return Structure(np.asarray(lattice), species, coords, properties=known)


def _labels(row: dict[str, Any]) -> dict[str, float]:
    above = row.get("e_above_hull", row.get("e_hull"))
    return {} if above is None else {"e_above_hull": float(above)}


def _numbers(row: dict[str, Any], key: str) -> Any:
    import numpy as np

    if key not in row:
        raise ValueError(f"column {key!r} is missing")
    value = row[key]
    value = json.loads(value) if isinstance(value, str) else value
    return np.concatenate([np.ravel(part) for part in np.atleast_1d(value)]).astype(float)


def _check(structure: Structure) -> None:
    import numpy as np

    if not (np.isfinite(structure.lattice.matrix).all() and np.isfinite(structure.frac_coords).all()):
        raise ValueError("lattice or coordinates are not finite")
    if abs(structure.volume) < 1e-3:
        raise ValueError("the cell has no volume")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
