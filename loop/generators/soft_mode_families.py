"""Soft modes' children and what they look like: more alike than a comparison with tolerances can tell."""

from __future__ import annotations

from collections.abc import Mapping

from niobe.loop.documents.records import StructureRecord

_LOWER = 1e-3  # eV/atom


def higher_relatives(record: StructureRecord, by_id: Mapping[str, StructureRecord]) -> set[str]:
    """What a soft mode's child is no duplicate of, however alike they look; empty for any other structure.

    That is its soft-mode family (what the modes were followed from in the first place, all that came from
    there, and copies of these), as far as the pre-relaxation potential holds the child to be lower by more
    than 1 meV/atom, or was not asked.
    """
    if record.lineage.generator != "soft_mode":
        return set()
    root = _root(record, by_id)
    family = {name for name, other in by_id.items() if _root(other, by_id) == root} - {record.id}
    copies = {name for name, r in by_id.items() if r.verdict and r.verdict.duplicate_of in family}
    return {name for name in family | copies if _below(record, by_id.get(name))}


def _root(record: StructureRecord, by_id: Mapping[str, StructureRecord]) -> str:
    """The first of the line that soft modes lead back to, the record itself where none do."""
    while record.lineage.generator == "soft_mode" and record.lineage.parents:
        parent = record.lineage.parents[0]
        if parent not in by_id:
            return parent
        record = by_id[parent]
    return record.id


def _below(record: StructureRecord, other: StructureRecord | None) -> bool:
    if other is None or record.prerelaxed is None or other.prerelaxed is None:
        return True
    return record.prerelaxed.energy_per_atom < other.prerelaxed.energy_per_atom - _LOWER
