"""Labels of open databases as another fidelity: shifted to the oracle's scale, for surrogates only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from statistics import median

from niobe.loop.documents.entries import SourceEntry
from niobe.loop.documents.records import StructureRecord

MIN_SHARED = 5


def shifted_labels(
    records: Sequence[StructureRecord], entries: Sequence[SourceEntry]
) -> list[tuple[SourceEntry, float]]:
    """Entries that were not recomputed, with their formation energy on the oracle's scale, eV/atom.

    The shift of a fingerprint is the median difference of oracle and label over the structures that both
    answered for; a fingerprint with fewer than 5 of these is not used. One entry a group.
    """
    answered = _answers(records)
    by_group = {entry.id: entry.group for entry in entries}
    known = {by_group.get(identifier, identifier): energy for identifier, energy in answered.items()}
    shifts = _shifts(entries, known)
    chosen: dict[str, tuple[SourceEntry, float]] = {}
    for entry in entries:
        label = entry.label("formation_energy_per_atom")
        if label and label.fingerprint in shifts and entry.group not in known and not entry.set_aside:
            chosen.setdefault(entry.group, (entry, label.value + shifts[label.fingerprint]))
    return list(chosen.values())


def _answers(records: Sequence[StructureRecord]) -> dict[str, float]:
    """The oracle's formation energy (eV/atom) by id of the entry that was recomputed."""
    return {
        str(record.lineage.origin["label"]): record.verdict.formation_energy_per_atom
        for record in records
        if record.lineage.generator == "source" and record.verdict is not None
    }


def _shifts(entries: Sequence[SourceEntry], known: dict[str, float]) -> dict[str, float]:
    differences = defaultdict(list)
    for entry in entries:
        label = entry.label("formation_energy_per_atom")
        if label and entry.group in known and entry.nelements > 1:
            differences[label.fingerprint].append(known[entry.group] - label.value)
    return {name: median(found) for name, found in differences.items() if len(found) >= MIN_SHARED}
