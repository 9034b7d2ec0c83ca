"""The user's own CIF exports of the ICSD: collection codes, oxidation states and partial occupancies kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from niobe.config.errors import ConfigError
from niobe.loop.documents.entries import Found
from niobe.loop.readers.cif import blocks, structure_of

_REFERENCES = {
    "_database_code_icsd": "icsd",
    "_chemical_name_mineral": "mineral",
    "_chemical_name_structure_type": "structure type",
    "_journal_name_full": "journal",
    "_journal_year": "year",
    "_cell_measurement_temperature": "temperature (K)",
    "_exptl_crystal_density_diffrn": "density (g/cm³)",
}


def read(path: Path) -> Iterator[Found | str]:
    """Each data block of each CIF file as found, or the line that says why it could not be read.

    The id is the collection code, or file and block where there is none. Raises ConfigError where ``path`` is
    missing.
    """
    if not path.exists():
        raise ConfigError(f"{path}: no such file or folder")
    files = sorted(path.rglob("*.cif")) if path.is_dir() else [path]
    for file in files:
        try:
            yield from _file(file)
        except ValueError as error:
            yield str(error)


def _file(file: Path) -> Iterator[Found | str]:
    for block in blocks(file):
        references = {
            name: value for tag, name in _REFERENCES.items() if (value := block.value(tag)) is not None
        }
        code = references.get("icsd") or f"{file.name}:{block.name}"
        try:
            yield Found(code, structure_of(block), references=references)
        except ValueError as error:
            yield str(error)
