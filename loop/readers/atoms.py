"""Extended XYZ and ASE databases, frame by frame, by ASE."""

from __future__ import annotations

import io
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from niobe.loop.readers.rows import Row, check_sites, named_words, read_text

if TYPE_CHECKING:
    from pymatgen.core import Structure


_MOST_DIGITS = 18
_LONGEST_VALUE = 16 * 2**20
"""Bytes of a text or an array in a row of an ASE database."""


def xyz_rows(file: Path) -> Iterator[Row]:
    """Frames of an extended XYZ file; one that is broken is named, and the others are read."""
    import ase.io

    for number, frame in enumerate(_frames(read_text(file).splitlines()), start=1):
        label = f"{file}:{number}"
        try:
            _check_count(frame)
            atoms = ase.io.read(io.StringIO("\n".join(frame) + "\n"), format="extxyz")
        except Exception as error:  # noqa: BLE001 - ASE raises anything; the frame is named
            yield Row.broken(label, ValueError(f"frame {number}: {error}"))
        else:
            yield Row(label, named_words(frame[1]), lambda atoms=atoms: _crystal(atoms))  # type: ignore[misc]


def _frames(lines: list[str]) -> Iterator[list[str]]:
    """Lines of each frame: it starts before a line that names a lattice or columns, or where one ended."""
    starts = [n - 1 for n, line in enumerate(lines) if n and ("Lattice=" in line or "Properties=" in line)]
    bounds = [*(starts if starts[:1] == [0] else [0, *starts]), len(lines)]
    for first, last in pairwise(bounds):
        while first < last:
            head = lines[first].strip()
            after = first + 2 + int(head) if _is_count(head) else last
            end = after if after < last and lines[after].strip().isdecimal() else last
            frame = lines[first:end]
            while frame and not frame[-1].strip():
                frame.pop()
            if frame:
                yield frame
            first = end


def _is_count(head: str) -> bool:
    return head.isdecimal() and len(head) <= _MOST_DIGITS


def _check_count(frame: list[str]) -> None:
    head = frame[0].strip()
    if not _is_count(head):
        raise ValueError(f"{head[:40]!r} is no number of atoms")
    check_sites(int(head))
    if len(frame) != int(head) + 2:
        raise ValueError(f"{head} atoms are announced and {max(len(frame) - 2, 0)} lines follow")


def database_rows(file: Path) -> Iterator[Row]:
    """Rows of an ASE database, one by one, with their key-value pairs; one that is broken is named.

    Raises ValueError for what is none. The file is only read: ASE would make its tables in one that has none.
    """
    with closing(_connection(file)) as connection, _ase_database(file) as database:
        kinds = dict(connection.execute("SELECT name, type FROM sqlite_master"))
        if kinds.get("systems") != "table" or "view" in kinds.values():
            raise ValueError("no ASE database: it has no table of systems, or views")
        database.count()  # raises where another version wrote it
        for (number,) in connection.execute("SELECT id FROM systems ORDER BY id"):
            yield _database_row(f"{file}:{number}", database, number)


def _database_row(label: str, database: Any, number: int) -> Row:
    try:
        row = database.get(id=number)
        kept = {key: value for key, value in row.data.items() if isinstance(value, str | int | float)}
        return Row(label, {**row.key_value_pairs, **kept}, lambda: _crystal_of(row))
    except Exception as error:  # noqa: BLE001 - ASE raises anything; the row is named
        return Row.broken(label, error)


def _connection(file: Path) -> sqlite3.Connection:
    """Reads a file, and no value in it that is longer than any crystal's."""
    connection = sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST_VALUE)
    return connection


def _ase_database(file: Path) -> Any:
    from ase.db.sqlite import SQLite3Database

    class ReadOnly(SQLite3Database):
        def _connect(self) -> sqlite3.Connection:
            return _connection(file)

    return ReadOnly(str(file))


def _crystal_of(row: Any) -> Structure:
    check_sites(row.natoms)
    return _crystal(row.toatoms())


def _crystal(atoms: Any) -> Structure:
    from pymatgen.core import Structure

    if not all(atoms.pbc):
        shown = " ".join("FT"[bool(axis)] for axis in atoms.pbc)
        raise ValueError(f"pbc {shown}: is not periodic in three directions")
    return Structure(atoms.cell[:], atoms.get_chemical_symbols(), atoms.get_scaled_positions())
