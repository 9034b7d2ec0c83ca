"""Where a campaign's database starts: elemental references, decorated prototypes, the user's own files."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from niobe.config.errors import ConfigError
from niobe.config.spec import CampaignSpec
from niobe.loop.crystals.similarity import SeenStructures, content_hash, spacegroup_number
from niobe.loop.documents.entries import SourceEntry
from niobe.loop.documents.records import Choice, Lineage, Status, StructureRecord, record_id
from niobe.loop.documents.structures import entry_structure, generated_structure
from niobe.loop.generators.elements import elemental_references
from niobe.loop.generators.prototypes import (
    decorated_prototypes,
    likely_prototypes,
    named_prototypes,
    prototype_labels,
)
from niobe.loop.readers.structure_files import read_some, read_structures

if TYPE_CHECKING:
    from pymatgen.core import Structure

_Found = tuple[Lineage, "Structure"]
DISPLACED = "displaced"
COMPETING = ("reference", "prototype", DISPLACED)
"""Generators of the competing phases of round 0: crystals of the elements, compounds, and the lowest crystal
of an element once more, off its symmetry."""
_LEAST_SIZE = 12  # atoms a cell of a competing phase may have, however small candidates are
LIKELY_EACH = 10
"""Likely decorations that are pre-relaxed for each competing phase that may be asked, of the encyclopedia's
further prototypes and of source entries each (docs/decisions/0146)."""


def new_record(
    spec: CampaignSpec, round_number: int, index: int, structure: Structure, lineage: Lineage
) -> StructureRecord:
    """A structure record as it enters the database, status ``generated``.

    spec: the campaign. round_number: of the round. index: its place in the round. lineage: where it comes
    from.
    """
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
    spec: CampaignSpec,
    entries: Sequence[SourceEntry] = (),
    substituted: Iterable[tuple[str, Structure]] = (),
) -> tuple[list[StructureRecord], list[str]]:
    """The seeds, without what is excluded, and a line per broken file.

    Files and entries, no two alike, are acquired; crystals of the elements and prototypes wait for their
    choice.

    spec: the campaign. entries: what its sources hold, in the order in which they shall be recomputed.
    substituted: labels and crystals of other entries with the campaign's elements, more prototypes.
    """
    excluded = SeenStructures(excluded_structures(spec))
    imported, broken = _from_files(spec)
    given = [*_from("file", imported), *_from("source", ((e.id, entry_structure(e)) for e in entries))]
    elements = _from("reference", elemental_references(spec.elements))
    prototypes = _from("prototype", itertools.chain(_prototypes(spec), substituted))
    records: dict[str, StructureRecord] = {}
    for lineage, structure in [*_none_alike(given), *_none_alike(elements), *prototypes]:
        if excluded.find(structure) is None:
            record = new_record(spec, 0, len(records), structure, lineage)
            waits = record.model_copy(update={"status": Status.SCREENED})
            records.setdefault(record.id, waits if lineage.generator in COMPETING else _acquired(record))
    return list(records.values()), broken


def _from(generator: str, structures: Iterable[tuple[str, Structure]]) -> Iterator[_Found]:
    for label, structure in structures:
        yield Lineage(generator=generator, origin={"label": label}), structure


def _none_alike(found: Iterable[_Found]) -> Iterator[_Found]:
    """The first of those that match each other."""
    seen = SeenStructures()
    for lineage, structure in found:
        if seen.find(structure) is None:
            seen.add("", structure)
            yield lineage, structure


def added_seeds(
    spec: CampaignSpec, records: Sequence[StructureRecord]
) -> tuple[list[StructureRecord], list[str]]:
    """What ``seeds.files`` hold by now and round 0 does not, acquired, and a line per broken file.

    What is like a seed that failed is new: it starts elsewhere.

    spec: the campaign. records: those of round 0.
    """
    seeds = [record for record in records if record.choice and record.choice.selection == "seed"]
    lasting = [(r.id, generated_structure(r)) for r in seeds if r.status is not Status.FAILED]
    excluded, seen = SeenStructures(excluded_structures(spec)), SeenStructures(lasting)
    stored = {record.id for record in records}
    imported, broken = _from_files(spec)
    added: list[StructureRecord] = []
    for label, structure in imported:
        lineage = Lineage(generator="file", origin={"label": label})
        record = new_record(spec, 0, len(records) + len(added), structure, lineage)
        if record.id in stored or excluded.find(structure) or seen.find(structure):
            continue
        seen.add(label, structure)
        added.append(_acquired(record))
    return added, broken


def _acquired(record: StructureRecord) -> StructureRecord:
    choice = Choice(function="seed", selection="seed", rank=record.index)
    update = {"status": Status.ACQUIRED, "choice": choice, "acquired_round": 0}
    return record.model_copy(update=update)


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
        found = named_prototypes(entry, spec.elements)
        if not found:
            raise ConfigError(f"seeds.exclude: {entry!r} is neither a file nor {_labels_like(entry, spec)}")
        excluded += found
    return excluded


def _labels_like(entry: str, spec: CampaignSpec) -> str:
    decorated = [label for label, _ in named_prototypes(entry.split(" ")[0], spec.elements)]
    labels = decorated or prototype_labels(len(spec.elements))
    near = difflib.get_close_matches(entry, labels, n=1, cutoff=0.0)
    return f"an AFLOW prototype label of {spec.chemsys}" + (f", such as {near[0]!r}" if near else "")


def _prototypes(spec: CampaignSpec) -> Iterator[tuple[str, Structure]]:
    """Decorated prototypes of the system and of every subsystem of two or more elements.

    Of each system pymatgen's library, the simplest compositions and smallest cells first, one per composition
    in turn, then the likeliest of the encyclopedia's further ones.
    """
    if not spec.seeds.prototypes or not spec.seeds.max_prototypes:
        return
    for elements in subsets(spec.elements, 2):
        largest = largest_prototype(spec)
        by_formula: dict[str, list[tuple[str, Structure]]] = {}
        for pair in decorated_prototypes(elements, largest):
            by_formula.setdefault(pair[1].composition.reduced_formula, []).append(pair)
        queues = [sorted(found, key=lambda pair: len(pair[1])) for found in by_formula.values()]
        queues.sort(key=lambda queue: sum(queue[0][1].composition.reduced_composition.values()))
        for rank in itertools.zip_longest(*queues):
            yield from (pair for pair in rank if pair is not None)
        yield from likely_prototypes(elements, largest, LIKELY_EACH * spec.seeds.max_prototypes)


def largest_prototype(spec: CampaignSpec) -> int:
    """Atoms of the primitive cell of a competing phase, at most."""
    return max(spec.limits.max_atoms, _LEAST_SIZE)


def subsets(elements: Sequence[str], least: int) -> Iterator[tuple[str, ...]]:
    """All choices of at least so many of the elements, the smaller first."""
    for size in range(least, len(elements) + 1):
        yield from itertools.combinations(elements, size)


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
