"""The pymatgen structure of a record at each stage of its life."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from niobe.config.errors import ConfigError
from niobe.loop.crystals.decoding import decoded
from niobe.loop.crystals.symmetry import symmetric_cell
from niobe.loop.documents.entries import SourceEntry
from niobe.loop.documents.records import StructureRecord
from niobe.loop.documents.rounds import PhononRecord

if TYPE_CHECKING:
    from pymatgen.core import Structure


def entry_structure(entry: SourceEntry) -> Structure:
    """As the source gave it, or as it was ordered."""
    return stored_structure(entry.id, entry.structure)


def generated_structure(record: StructureRecord) -> Structure:
    """As the generator drew it."""
    return stored_structure(record.id, record.structure)


def candidate_structure(record: StructureRecord) -> Structure:
    """What the surrogate ranks and the oracle starts from: relaxed by the pre-relaxation potential where
    there is one."""
    prerelaxed = record.prerelaxed
    return stored_structure(record.id, prerelaxed.structure) if prerelaxed else generated_structure(record)


def relaxed_structure(record: StructureRecord) -> Structure:
    """As the oracle relaxed it where it did, else as generated."""
    validation = record.validation
    return stored_structure(record.id, validation.structure) if validation else generated_structure(record)


def phonon_structure(record: StructureRecord, phonons: PhononRecord | None) -> Structure:
    """The cell that a record's phonons belong to; what the oracle relaxed where none are stored with one."""
    stored = phonons.structure if phonons is not None else None
    return relaxed_structure(record) if stored is None else stored_structure(record.id, stored)


def symmetrised(structure: Structure) -> Structure:
    """The primitive standard cell with its symmetry made exact: see ``symmetric_cell``."""
    return symmetric_cell(structure)


def stored_structure(identifier: str, document: dict[str, Any]) -> Structure:
    """What a document describes. Raises ConfigError that names what holds the crystal, where it is none.

    identifier: of what holds it. document: pymatgen's.
    """
    try:
        return decoded(document)
    except ValueError as error:
        raise ConfigError(f"{identifier}: {error}; `niobe doctor` names it") from None
