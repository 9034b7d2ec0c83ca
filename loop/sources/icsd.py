"""The user's own CIF exports of the ICSD: collection codes, oxidation states and partial occupancies kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from niobe.loop.documents.entries import Found
from niobe.loop.readers import archives
from niobe.loop.readers.cif.blocks import blocks
from niobe.loop.readers.cif.crystal import structure_of
from niobe.loop.readers.rows import one_line

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

    Files end in ``.cif`` in any letters, and may be packed. The id is the collection code, or file and block
    where there is none. Raises ConfigError where ``path`` is missing.
    """
    some = False
    for file in archives.files_in(path):
        try:
            for shown, place in archives.unpacked(file) if file == path or _may_hold_cif(file) else ():
                if place == path or place.suffix.lower() == ".cif":
                    some = True
                    yield from _file(place, shown)
        except Exception as error:  # noqa: BLE001 - what unpacks raises anything; it is reported, never lost
            yield f"{file}: {one_line(error)}"
    if not some:
        yield f"{path}: holds no .cif file"


def _may_hold_cif(file: Path) -> bool:
    return archives.is_archive(file) or archives.plain_name(file).endswith(".cif")


def _file(place: Path, shown: str) -> Iterator[Found | str]:
    try:
        found = blocks(place)
    except ValueError as error:
        yield str(error).replace(str(place), shown)
        return
    for block in found:
        references = {
            name: value for tag, name in _REFERENCES.items() if (value := block.value(tag)) is not None
        }
        code = references.get("icsd") or f"{place.name}:{block.name}"
        try:
            yield Found(code, structure_of(block), references=references)
        except ValueError as error:
            yield str(error).replace(str(place), shown)
