"""Which results are one crystal, and which record represents it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from niobe.loop.crystals.similarity import SeenStructures
from niobe.loop.documents.records import StructureRecord
from niobe.loop.documents.structures import relaxed_structure

SAME_ENERGY = 5e-3
"""eV/atom: crystals that look alike and differ by more are two; a cubic phase and its distortion do."""
SURELY_LOWER = 1e-3
"""eV/atom: what relaxations of one crystal differ by; what lies so little lower takes no one's place."""


class Crystals:
    """Results seen so far.

    Two are one crystal where StructureMatcher says so, their energies agree within 5 meV/atom, and not one of
    them vibrates stably while the other does not: a soft mode leads from one to the other by less than what a
    comparison overlooks.
    """

    def __init__(self) -> None:
        self._structures = SeenStructures()
        self._records: dict[str, list[StructureRecord]] = defaultdict(list)

    def find(self, record: StructureRecord) -> str | None:
        """The id of the first that is the same crystal as a result, or None."""
        others = self._records[record.formula]
        apart = {other.id for other in others if not _may_be_one(record, other)}
        if len(apart) == len(others):
            return None
        return self._structures.find(relaxed_structure(record), exclude=apart)

    def add(self, record: StructureRecord) -> None:
        """Remember a result."""
        self._structures.add(record.id, relaxed_structure(record))
        self._records[record.formula].append(record)


def duplicates(
    records: Sequence[StructureRecord], elsewhere: Iterable[StructureRecord] = ()
) -> dict[str, str | None]:
    """Of each result the one that represents its crystal, by id; None for one that represents itself.

    The lowest represents a crystal, whatever came first: of those that are dynamically stable where any is.
    What is known, a competing phase or a result of ``elsewhere``, is never a duplicate of a find.

    records: validated, in the order that decides where energies do not.
    """
    crystals = Crystals()
    for record in elsewhere:
        crystals.add(record)
    found: dict[str, str | None] = {}
    for record in sorted(lowest_first(records), key=lambda r: (not r.competing, not r.dynamically_stable)):
        found[record.id] = crystals.find(record)
        if found[record.id] is None:
            crystals.add(record)
    return found


def lowest_first(records: Iterable[StructureRecord]) -> list[StructureRecord]:
    """Results in the order in which they represent their crystals: what is known, then the lowest.

    What represents one already goes before what is lower by less than 1 meV/atom, and what waits for its
    phonons after what is higher by less.
    """
    return sorted(records, key=lambda record: (not record.competing, _level(record)))


def _level(record: StructureRecord) -> float:
    represents = record.verdict is not None and record.verdict.duplicate_of is None
    return _energy(record) + SURELY_LOWER * (record.phonons_pending - represents)


def _may_be_one(one: StructureRecord, other: StructureRecord) -> bool:
    apart = (one.dynamically_stable and other.dynamically_unstable) or (
        one.dynamically_unstable and other.dynamically_stable
    )
    return not apart and abs(_energy(one) - _energy(other)) <= SAME_ENERGY


def _energy(record: StructureRecord) -> float:
    """eV/atom; of results only."""
    return record.validation.energy_per_atom if record.validation else float("inf")
