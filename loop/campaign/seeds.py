"""Where a campaign's database starts: elemental references, decorated prototypes, the user's own files."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from niobe.config.errors import ConfigError
from niobe.config.spec import CampaignSpec
from niobe.loop.crystals.similarity import SeenStructures, content_hash, spacegroup_number
from niobe.loop.documents.entries import SourceEntry
from niobe.loop.documents.records import Choice, Lineage, Status, StructureRecord, record_id
from niobe.loop.documents.structures import entry_structure
from niobe.loop.readers.structure_files import read_some, read_structures

if TYPE_CHECKING:
    from pymatgen.core import Structure

_ANY_SIZE = 10_000


def new_record(
    spec: CampaignSpec, round_number: int, index: int, structure: Structure, lineage: Lineage
) -> StructureRecord:
    """A structure record as it enters the database, status ``generated``."""
    content = content_hash(structure)
    return StructureRecord(
        id=record_id(spec.id, round_number, content),
        campaign=spec.id,
        round=round_number,
        index=index,
        status=Status.GENERATED,
        structure=structure.as_dict(),
        formula=structure.composition.reduced_formula,
        chemsys=structure.composition.chemical_system,
        n_atoms=len(structure),
        spacegroup=spacegroup_number(structure),
        fingerprint=content,
        lineage=lineage,
    )


def seed_records(
    spec: CampaignSpec, entries: Sequence[SourceEntry] = ()
) -> tuple[list[StructureRecord], list[str]]:
    """The seeds, without duplicates and without what is excluded, and a line per broken file.

    entries: what the campaign's sources hold, in the order in which they shall be recomputed.
    """
    from niobe.loop.generators.elements import elemental_references

    excluded, seen = SeenStructures(excluded_structures(spec)), SeenStructures()
    records: list[StructureRecord] = []
    imported, broken = _from_files(spec)
    sources = [
        ("reference", elemental_references(spec.elements)),
        ("file", imported),
        ("source", [(entry.id, entry_structure(entry)) for entry in entries]),
        ("prototype", _prototypes(spec, excluded)),
    ]
    for source, structures in sources:
        for label, structure in structures:
            if excluded.find(structure) or seen.find(structure):
                continue
            seen.add(label, structure)
            lineage = Lineage(generator=source, origin={"label": label})
            record = new_record(spec, 0, len(records), structure, lineage)
            choice = Choice(function="seed", selection="seed", rank=len(records))
            update = {"status": Status.ACQUIRED, "choice": choice, "acquired_round": 0}
            records.append(record.model_copy(update=update))
    return records, broken


def excluded_structures(spec: CampaignSpec) -> list[tuple[str, Structure]]:
    """What ``seeds.exclude`` names, with labels: files, or AFLOW prototype labels.

    A label alone stands for every decoration by the elements, "LABEL O-Nb" for one of them.
    Raises ConfigError for an entry that is neither.
    """
    excluded: list[tuple[str, Structure]] = []
    for entry in spec.seeds.exclude:
        if Path(entry).exists():
            excluded += read_some(Path(entry), "seeds.exclude").structures
            continue
        found = [pair for pair in _decorated(spec.elements) if entry in (pair[0], pair[0].split()[0])]
        if not found:
            raise ConfigError(f"seeds.exclude: {entry!r} is neither a file nor {_labels_like(entry, spec)}")
        excluded += found
    return excluded


def _labels_like(entry: str, spec: CampaignSpec) -> str:
    labels = {label for pair in _decorated(spec.elements) for label in (pair[0], pair[0].split()[0])}
    near = difflib.get_close_matches(entry, sorted(labels), n=1, cutoff=0.0)
    return f"an AFLOW prototype label of {spec.chemsys}" + (f", such as {near[0]!r}" if near else "")


@functools.cache
def _decorated(elements: tuple[str, ...]) -> list[tuple[str, Structure]]:
    from niobe.loop.generators.prototypes import decorated_prototypes

    return decorated_prototypes(elements, _ANY_SIZE)


def _prototypes(spec: CampaignSpec, excluded: SeenStructures) -> Iterable[tuple[str, Structure]]:
    """Decorated prototypes, the smallest cells first, one per composition in turn."""
    if not spec.seeds.prototypes or not spec.seeds.max_prototypes:
        return []
    from niobe.loop.generators.prototypes import decorated_prototypes

    by_formula: dict[str, list[tuple[str, Structure]]] = {}
    for label, structure in decorated_prototypes(spec.elements, spec.limits.max_atoms):
        if len(structure.composition) > 1 and not excluded.find(structure):
            by_formula.setdefault(structure.composition.reduced_formula, []).append((label, structure))
    queues = [sorted(found, key=lambda pair: len(pair[1])) for _, found in sorted(by_formula.items())]
    ranked = [
        queue[depth]
        for depth in range(max(map(len, queues), default=0))
        for queue in queues
        if depth < len(queue)
    ]
    return ranked[: spec.seeds.max_prototypes]


def _from_files(spec: CampaignSpec) -> tuple[list[tuple[str, Structure]], list[str]]:
    structures, broken = [], []
    for file in spec.seeds.files:
        imported = read_structures(Path(file))
        broken += imported.broken
        for label, structure in imported.structures:
            foreign = {element.symbol for element in structure.composition} - set(spec.elements)
            if foreign:
                broken.append(
                    f"{label}: holds {', '.join(sorted(foreign))}; allowed: {', '.join(spec.elements)}"
                )
            else:
                structures.append((label, structure))
    return structures, broken
