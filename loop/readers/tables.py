"""CSV and parquet tables with a structure a row."""

from __future__ import annotations

import csv
import functools
import io
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from niobe.config.outside.json_text import not_too_deep
from niobe.loop.crystals.decoding import decoded
from niobe.loop.crystals.validity import nearest_contact
from niobe.loop.readers import parquet
from niobe.loop.readers.cif.blocks import only_block
from niobe.loop.readers.cif.crystal import NEAREST, structure_of
from niobe.loop.readers.documents import structure_in
from niobe.loop.readers.rows import Fields, Row, check_sites, one_line, read_text

if TYPE_CHECKING:
    from pymatgen.core import Structure

_LATTICE = ("lattice", "cell", "lattice_vectors")
_NUMBERS = ("numbers", "atomic_numbers")
_SPECIES = ("species", "elements", "symbols", "species_at_sites")
_FRACTIONAL = ("frac_coords", "fractional_coords", "scaled_positions")
_CARTESIAN = ("cart_coords", "cartesian_coords", "cartesian_site_positions", "positions")
_UNSAID = "coords"


def parquet_rows(file: Path) -> Iterator[Row]:
    """Rows of a parquet file by number."""
    for number, row in enumerate(parquet.rows(file), start=1):
        yield Row(f"{file}:{number}", row, functools.partial(_from_row, row))


def csv_rows(file: Path) -> Iterator[Row]:
    """Rows of a table by number, fields as text; a problem names the line its row starts on."""
    opened = io.StringIO(read_text(file), newline="")
    reader = csv.reader(opened, strict=True)
    try:
        header = next(reader, [])
        start = reader.line_num + 1
        for number, values in enumerate(reader, start=1):
            if values:
                row = {key: value for key, value in zip(header, values, strict=False) if value != ""}
                build = functools.partial(_csv_structure, row, len(values) - len(header), start)
                yield Row(f"{file}:{number}", row, build)
            start = reader.line_num + 1
    except csv.Error as error:
        raise ValueError(f"line {reader.line_num + 1}: {error}") from None


def _csv_structure(row: Fields, surplus: int, line: int) -> Structure:
    if surplus:
        raise ValueError(f"line {line}: {abs(surplus)} fields too {'many' if surplus > 0 else 'few'}")
    try:
        return _from_row(row)
    except Exception as error:  # noqa: BLE001 - whatever it was, its line is added
        raise ValueError(f"line {line}: {type(error).__name__}: {one_line(error)}") from None


def _from_row(row: Fields) -> Structure:
    structure = _structure(row)
    structure.properties |= _labels(row)
    return structure


def _structure(row: Fields) -> Structure:
    from pymatgen.core import Element, Structure

    if isinstance(row.get("cif"), str):
        return structure_of(only_block(_short(row["cif"])))
    if row.get("structure") is not None:
        return decoded(structure_in({"structure": _short(row["structure"])}))
    lattice = _numbers(row, *_LATTICE).reshape(3, 3)
    if any(key in row for key in _NUMBERS):
        numbers = _numbers(row, *_NUMBERS)
        check_sites(len(numbers))
        species = [Element.from_Z(int(z)).symbol for z in numbers]
    else:
        named = row[_first(row, *_SPECIES)]
        species = json.loads(not_too_deep(_short(named))) if isinstance(named, str) else list(named)
        check_sites(len(species))
    for keys, cartesian in ((_FRACTIONAL, False), (_CARTESIAN, True)):
        if any(key in row for key in keys):
            coords = _numbers(row, *keys).reshape(-1, 3)
            return Structure(lattice, species, coords, coords_are_cartesian=cartesian)
    return _of_unsaid_unit(lattice, species, _numbers(row, _UNSAID).reshape(-1, 3))


def _of_unsaid_unit(lattice: Any, species: list[str], coords: Any) -> Structure:
    """The one of two readings of ``coords`` that makes a crystal. Raises ValueError where both or none do."""
    from pymatgen.core import Structure

    readings = [Structure(lattice, species, coords, coords_are_cartesian=unit) for unit in (False, True)]
    if len(coords) == 1:
        return readings[0]
    fitting = [structure for structure in readings if nearest_contact(structure).share > NEAREST]
    if len(fitting) == 1:
        return fitting[0]
    known = f"name the column {_FRACTIONAL[0]} or {_CARTESIAN[0]} (Å)"
    raise ValueError(f"{_UNSAID}: fractional and Å make {'two crystals' if fitting else 'none'}; {known}")


def _labels(row: Fields) -> dict[str, float]:
    above = row.get("e_above_hull", row.get("e_hull"))
    value = math.nan if above is None else float(above)
    return {"e_above_hull": value} if math.isfinite(value) else {}


def _short(value: Any) -> Any:
    """The value. Raises ValueError for a text that is longer than that of any crystal read here."""
    if isinstance(value, str) and len(value) > parquet.LONGEST_TEXT:
        raise ValueError(f"a text of {len(value)} letters; allowed: {parquet.LONGEST_TEXT}")
    return value


def _first(row: Fields, *keys: str) -> str:
    found = next((key for key in keys if key in row), None)
    if found is None:
        raise ValueError(f"column {keys[0]!r} is missing")
    return found


def _numbers(row: Fields, *keys: str) -> Any:
    import numpy as np

    value = row[_first(row, *keys)]
    value = json.loads(not_too_deep(_short(value))) if isinstance(value, str) else value
    return np.concatenate([np.ravel(part) for part in np.atleast_1d(value)]).astype(float)
