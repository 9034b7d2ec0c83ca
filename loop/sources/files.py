"""Files and folders as a source: every kind that ``seeds.files`` takes, labels and ids from named columns."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from niobe.loop.documents.entries import Found, Label, Quantity, label
from niobe.loop.readers.structure_files import iterate_structures

_COLUMNS: dict[str, Quantity] = {
    "energy_per_atom": "energy_per_atom",
    "formation_energy_per_atom": "formation_energy_per_atom",
    "e_form": "formation_energy_per_atom",
    "e_above_hull": "e_above_hull",
    "energy_above_hull": "e_above_hull",
    "e_hull": "e_above_hull",
    "band_gap": "band_gap",
}
_IDS = ("material_id", "id", "record")


def read(path: Path, name: str) -> Iterator[Found | str]:
    """Each structure as found, or the line that says why it could not be read.

    Label columns carry the fingerprint in column ``oracle`` where there is one, else the source's name.
    Raises ConfigError where ``path`` is missing.
    """
    for row in iterate_structures(path):
        if row.structure is None:
            yield f"{row.label}: {row.problem}"
            continue
        identifier = next((str(row.fields[key]) for key in _IDS if row.fields.get(key)), None)
        short = row.label.removeprefix(f"{path.parent}/")
        yield Found(identifier or short, row.structure, _labels(row.fields, name))


def _labels(fields: dict[str, Any], name: str) -> list[Label]:
    fingerprint = str(fields.get("oracle") or name)
    labels: list[Label] = []
    for column, quantity in _COLUMNS.items():
        if column in fields and all(known.quantity != quantity for known in labels):
            labels += label(quantity, fields[column], fingerprint)
    return labels
