"""The user's own structures, whatever the kind of file, in folders or packed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from niobe.config.errors import ConfigError
from niobe.loop.crystals.validity import nearest_contact
from niobe.loop.readers import archives, atoms, documents, poscar, tables
from niobe.loop.readers.cif.blocks import blocks
from niobe.loop.readers.cif.crystal import structure_of
from niobe.loop.readers.rows import Fields, Row, one_line

if TYPE_CHECKING:
    from pymatgen.core import Structure


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
    """Read all of a file, an archive or a folder; what is broken is reported with its place, and skipped.

    Tables have a column ``cif``, ``structure`` (pymatgen's JSON), or ``lattice`` (9 floats or 3×3, Å),
    ``numbers`` or ``species``, and ``frac_coords`` or ``cart_coords`` (Å; 3N floats or N×3), or ``coords``,
    whose unit is the one that makes a crystal; ``e_above_hull`` or ``e_hull`` (eV/atom) becomes the
    structure's property ``e_above_hull``. Raises ConfigError where ``path`` is missing.
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
    """As read_structures, one by one, partly occupied ones as they are; a problem where there is no file."""
    files = archives.files_in(path)
    for file in files:
        yield from _of_file(file)
    if not files:
        yield ImportedRow(str(path), {}, problem="holds no files")


def _of_file(file: Path) -> Iterator[ImportedRow]:
    """What a file holds, called by its own name though it was unpacked elsewhere."""
    rows, files = 0, 0
    try:
        for shown, place in archives.unpacked(file):
            files += 1
            for row in _until_hopeless(shown, (_imported(row, str(place), shown) for row in _rows(place))):
                rows += 1
                yield row
    except Exception as error:  # noqa: BLE001 - what unpacks raises anything; it is reported, never lost
        yield ImportedRow(str(file), {}, problem=f"{type(error).__name__}: {one_line(error)}")
        return
    if not rows:
        yield ImportedRow(str(file), {}, problem=f"holds no {'structures' if files else 'files'}")


def _until_hopeless(shown: str, rows: Iterator[ImportedRow]) -> Iterator[ImportedRow]:
    """The rows, up to a line where the first thousand hold no structure: a small file may have millions."""
    broken = 0
    for row in rows:
        yield row
        broken = -1 if row.structure is not None else broken + (broken >= 0)
        if broken == _HOPELESS:
            problem = f"its first {_HOPELESS} rows hold no structure; the rest was not read"
            yield ImportedRow(shown, {}, problem=problem)
            return


def _imported(row: Row, place: str, shown: str) -> ImportedRow:
    label = row.label.replace(place, shown)
    try:
        structure = row.build()
        _check(structure)
    except Exception as error:  # noqa: BLE001 - parsers raise anything; it is reported, never lost
        said = one_line(str(error).replace(place, shown))
        return ImportedRow(label, row.fields, problem=f"{type(error).__name__}: {said}")
    return ImportedRow(label, row.fields, structure)


def _rows(file: Path) -> Iterator[Row]:
    suffix = file.suffix.lower()
    named = any(name in file.name.lower() for name in ("poscar", "contcar"))
    reader = _READERS.get(suffix) or (_poscar_rows if named else None)
    if reader is not None:
        try:
            yield from reader(file)
        except Exception as error:  # noqa: BLE001 - an unreadable container is one broken entry
            yield Row.broken(str(file), error)
    else:
        kinds = ", ".join([*_READERS, "POSCAR*", "CONTCAR*"])
        packed = ".gz, .bz2, .xz, .zip or .tar"
        yield Row.broken(
            str(file), ConfigError(f"unknown kind of file; allowed: {kinds}; also packed as {packed}")
        )


def _cif_rows(file: Path) -> Iterator[Row]:
    found = blocks(file)
    for block in found:
        label = str(file) if len(found) == 1 else f"{file}:{block.line}"
        yield Row(label, block.own(), lambda block=block: structure_of(block))  # type: ignore[misc]


def _poscar_rows(file: Path) -> Iterator[Row]:
    yield Row(str(file), poscar.fields(file), lambda: poscar.read(file))


_HOPELESS = 1000
_COLLAPSED = 0.4
"""Of the sum of covalent radii: coordinates in another unit than the file says end far below it; compressed
crystals of a table to learn from lie above."""
_READERS: dict[str, Callable[[Path], Iterator[Row]]] = {
    ".cif": _cif_rows,
    ".vasp": _poscar_rows,
    ".poscar": _poscar_rows,
    ".csv": tables.csv_rows,
    ".parquet": tables.parquet_rows,
    ".xyz": atoms.xyz_rows,
    ".extxyz": atoms.xyz_rows,
    ".db": atoms.database_rows,
    ".json": documents.json_rows,
    ".jsonl": documents.line_rows,
}


def _check(structure: Structure) -> None:
    import numpy as np

    if not (np.isfinite(structure.lattice.matrix).all() and np.isfinite(structure.frac_coords).all()):
        raise ValueError("lattice or coordinates are not finite")
    if abs(structure.volume) < 1e-3:
        raise ValueError("the cell has no volume")
    contact = nearest_contact(structure)
    if contact.share < _COLLAPSED:
        one, other = (structure[index].species_string for index in contact.sites)
        raise ValueError(
            f"{one} and {other} are {contact.distance:.3f} Å apart, nearer than in any crystal: "
            "are lengths in Å, and coordinates fractional or Cartesian as the file says?"
        )
