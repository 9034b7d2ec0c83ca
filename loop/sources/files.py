"""Files and folders as a source: every kind that ``seeds.files`` takes, labels and ids from named columns."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from niobe.loop.documents.entries import Found, Label, Quantity, label
from niobe.loop.readers.structure_files import iterate_structures
from niobe.loop.sources import optimade

_COLUMNS: dict[str, Quantity] = {
    "energy_per_atom": "energy_per_atom",
    "formation_energy_per_atom": "formation_energy_per_atom",
    "e_form": "formation_energy_per_atom",
    "e_above_hull": "e_above_hull",
    "energy_above_hull": "e_above_hull",
    "e_hull": "e_above_hull",
    "band_gap": "band_gap",
    "bandgap": "band_gap",
}
_IDS = ("material_id", "entry_id", "id", "record")


def read(path: Path, name: str) -> Iterator[Found | str]:
    """Each structure as found, or the line that says why it could not be read.

    Label columns carry the fingerprint in column ``oracle`` where there is one, else the source's name.
    Raises ConfigError where ``path`` is missing.
    """
    for row in iterate_structures(path):
        if row.structure is None:
            yield f"{row.label}: {row.problem}"
            continue
        identifier = next((found for key in _IDS if (found := _identifier(row.fields.get(key)))), "")
        short = row.label.removeprefix(f"{path.parent}/")
        yield Found(identifier or short, row.structure, _labels(row.fields, name))


def _identifier(value: object) -> str:
    """An id as it was written: 12345 where a column with gaps holds 12345.0; "" for none."""
    if isinstance(value, float):
        return f"{value:.0f}" if value.is_integer() else "" if math.isnan(value) else str(value)
    return "" if value is None or isinstance(value, dict | list) else str(value)


def _labels(fields: dict[str, Any], name: str) -> list[Label]:
    if isinstance(fields.get("attributes"), dict):
        return optimade.labels(fields["attributes"])
    fingerprint = str(fields.get("oracle") or name)
    labels: list[Label] = []
    for column, quantity in _COLUMNS.items():
        if column in fields and all(known.quantity != quantity for known in labels):
            labels += label(quantity, _number(fields[column]), fingerprint)
    return labels


def _number(value: object) -> object:
    """The number a text holds, as tables and first lines of files do; what is no text as it is."""
    if not isinstance(value, str):
        return value
    try:
        return float(value)
    except ValueError:
        return None
