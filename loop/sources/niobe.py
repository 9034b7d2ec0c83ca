"""A bundle of another Niobe as a source: its validated structures, with its oracle's answers as labels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from niobe.config.errors import ConfigError
from niobe.loop.documents.entries import Found, Label, label
from niobe.loop.documents.json_text import bounded_lines, extended
from niobe.loop.documents.records import StructureRecord
from niobe.loop.documents.structures import relaxed_structure
from niobe.loop.store.foreign import foreign_structure, in_a_line


def read(bundle: Path) -> Iterator[Found | str]:
    """Each validated structure as found, or the line that says why it could not be read.

    Raises ConfigError where ``bundle`` is no bundle of ``niobe export``.
    """
    file = bundle / "data" / "structures.jsonl"
    if not file.is_file():
        raise ConfigError(f"{bundle}: no bundle: {file.relative_to(bundle)} is missing")
    for number, line in bounded_lines(file):
        try:
            record = foreign_structure(extended(line))
            if record.validation is not None:
                references = {"campaign": record.campaign, "round": str(record.round)}
                yield Found(record.id, relaxed_structure(record), _labels(record), references)
        except ValueError as error:
            yield f"{file}:{number}: {in_a_line(error)}"


def _labels(record: StructureRecord) -> list[Label]:
    if record.validation is None:
        return []
    fingerprint = f"niobe {record.validation.oracle}"
    labels = label("energy_per_atom", record.validation.energy_per_atom, fingerprint)
    if record.verdict is not None:
        formation, above = record.verdict.formation_energy_per_atom, record.verdict.e_above_hull_now
        labels += label("formation_energy_per_atom", formation, fingerprint)
        labels += label("e_above_hull", above, fingerprint)
    return labels
