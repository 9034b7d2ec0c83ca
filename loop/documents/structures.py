"""The pymatgen structure of a record at each stage of its life."""

from __future__ import annotations

from typing import TYPE_CHECKING

from niobe.loop.crystals.decoding import decoded
from niobe.loop.crystals.symmetry import symmetric_cell
from niobe.loop.documents.entries import SourceEntry
from niobe.loop.documents.records import StructureRecord
from niobe.loop.documents.rounds import PhononRecord

if TYPE_CHECKING:
    from pymatgen.core import Structure


def entry_structure(entry: SourceEntry) -> Structure:
    """As the source gave it, or as it was ordered."""
    return decoded(entry.structure)


def generated_structure(record: StructureRecord) -> Structure:
    """As the generator drew it."""
    return decoded(record.structure)


def candidate_structure(record: StructureRecord) -> Structure:
    """What the surrogate ranks and the oracle starts from: relaxed by the pre-relaxation potential where
    there is one."""
    return decoded(record.prerelaxed.structure) if record.prerelaxed else generated_structure(record)


def relaxed_structure(record: StructureRecord) -> Structure:
    """As the oracle relaxed it where it did, else as generated."""
    return decoded(record.validation.structure) if record.validation else generated_structure(record)


def phonon_structure(record: StructureRecord, phonons: PhononRecord | None) -> Structure:
    """The cell that a record's phonons belong to; what the oracle relaxed where none are stored with one."""
    stored = phonons.structure if phonons is not None else None
    return relaxed_structure(record) if stored is None else decoded(stored)


def symmetrised(structure: Structure) -> Structure:
    """The primitive standard cell with its symmetry made exact: see ``symmetric_cell``."""
    return symmetric_cell(structure)
