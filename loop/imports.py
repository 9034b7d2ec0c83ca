"""The user's own structures: CIF or POSCAR folders, CSV, parquet, extended XYZ, ASE databases."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from config.errors import ConfigError

if TYPE_CHECKING:
    from pymatgen.core import Structure

Row = tuple[str, Callable[[], "Structure"]]


@dataclass
class Imported:
    """Structures by label (file or file:row), and one line for each thing that could not be read."""

    structures: list[tuple[str, Structure]] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)


def read_structures(path: Path) -> Imported:
    """Read everything in a file or folder; what is broken is reported with file and row, and skipped.

    Tables have a column ``cif``, or ``lattice`` (9 floats or 3×3, Å), ``numbers`` or ``species``, and
    ``frac_coords`` or ``coords`` (fractional, 3N floats or N×3); ``e_above_hull`` or ``e_hull`` (eV/atom)
    becomes the structure's property ``e_above_hull``. Raises ConfigError where ``path`` is
    missing.
    """
    imported = Imported()
    for label, build in _rows(path):
        try:
            structure = build()
            _check(structure)
        except Exception as error:  # noqa: BLE001 - parsers raise anything; it is reported, never lost
            imported.broken.append(f"{label}: {type(error).__name__}: {_one_line(error)}")
        else:
            imported.structures.append((label, structure))
    return imported


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
        ".csv": _table_rows,
        ".parquet": _table_rows,
        ".xyz": _ase_rows,
        ".extxyz": _ase_rows,
        ".db": _ase_rows,
    }
    if suffix in readers:
        try:
            yield from readers[suffix](file)
        except Exception as error:  # noqa: BLE001 - an unreadable container is one broken entry
            yield str(file), _raiser(error)
    elif suffix in {".cif", ".vasp", ".poscar", ".json"} or file.name.startswith(("POSCAR", "CONTCAR")):
        yield str(file), lambda: _pymatgen_file(file)
    else:
        kinds = ".cif, .vasp, POSCAR*, .json, .csv, .parquet, .xyz, .extxyz, .db"
        yield str(file), _raiser(ConfigError(f"unknown kind of file; allowed: {kinds}"))


def _raiser(error: Exception) -> Callable[[], Structure]:
    def build() -> Structure:
        raise error

    return build


def _pymatgen_file(file: Path) -> Structure:
    from pymatgen.core import Structure
    from pymatgen.io.vasp import Poscar

    if file.name.startswith(("POSCAR", "CONTCAR")) or file.suffix.lower() in {".vasp", ".poscar"}:
        return Poscar.from_file(file, check_for_potcar=False).structure
    return Structure.from_file(file)


def _ase_rows(file: Path) -> Iterator[Row]:
    import ase.io

    for number, atoms in enumerate(ase.io.iread(file, index=":"), start=1):
        yield f"{file}:{number}", lambda atoms=atoms: _from_atoms(atoms)  # type: ignore[misc]


def _from_atoms(atoms: Any) -> Structure:
    from pymatgen.core import Structure

    return Structure(atoms.cell[:], atoms.get_chemical_symbols(), atoms.get_scaled_positions())


def _table_rows(file: Path) -> Iterator[Row]:
    import pandas as pd

    table = pd.read_csv(file) if file.suffix.lower() == ".csv" else pd.read_parquet(file)
    for number, row in enumerate(table.to_dict("records"), start=1):
        yield f"{file}:{number}", lambda row=row: _from_row(row)  # type: ignore[misc]


def _from_row(row: dict[str, Any]) -> Structure:
    import numpy as np
    from pymatgen.core import Element, Structure

    known = _labels(row)
    if isinstance(row.get("cif"), str):
        structure = Structure.from_str(row["cif"], fmt="cif")
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

    if not structure.is_ordered:
        raise ValueError("sites are partly occupied")
    if not (np.isfinite(structure.lattice.matrix).all() and np.isfinite(structure.frac_coords).all()):
        raise ValueError("lattice or coordinates are not finite")
    if abs(structure.volume) < 1e-3:
        raise ValueError("the cell has no volume")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
