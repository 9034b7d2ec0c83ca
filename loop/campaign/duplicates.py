"""Which results are one crystal, and which record represents it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property

from niobe.loop.crystals.similarity import Shape
from niobe.loop.documents.records import StructureRecord
from niobe.loop.documents.structures import relaxed_structure
from niobe.loop.store.shapes import Pair, token

SAME_ENERGY = 5e-3
"""eV/atom: crystals that look alike and differ by more are two; a cubic phase and its distortion do."""
SURELY_LOWER = 1e-3
"""eV/atom: what relaxations of one crystal differ by; what lies so little lower takes no one's place."""


def relaxed_shape(record: StructureRecord) -> Shape:
    """The shape of what a result relaxed into."""
    return Shape(record.id, relaxed_structure(record))


class Comparisons:
    """Which results are alike, each pair compared once.

    shape_of: of a result. before: gives the answers for pairs compared before, asked once one is needed.
    new: the answers since.
    """

    def __init__(
        self,
        shape_of: Callable[[StructureRecord], Shape] = relaxed_shape,
        before: Callable[[], dict[Pair, bool]] = dict,
    ) -> None:
        self._shape_of, self._before = shape_of, before
        self._shapes: dict[str, Shape] = {}
        self.new: dict[Pair, bool] = {}

    @cached_property
    def _answers(self) -> dict[Pair, bool]:
        return self._before()

    def same(self, one: StructureRecord, other: StructureRecord) -> bool:
        """Whether the structure matcher calls two results the same.

        one: that is asked about. other: that was there before.
        """
        key = (token(one), token(other))
        if key not in self._answers:
            self._answers[key] = self.new[key] = self._shape(other).same(self._shape(one))
        return self._answers[key]

    def _shape(self, record: StructureRecord) -> Shape:
        if record.id not in self._shapes:
            self._shapes[record.id] = self._shape_of(record)
        return self._shapes[record.id]


class Crystals:
    """Results seen so far.

    Two are one crystal where StructureMatcher says so, their energies agree within 5 meV/atom, and not one of
    them vibrates stably while the other does not: a soft mode leads from one to the other by less than what a
    comparison overlooks.
    """

    def __init__(self, comparisons: Comparisons | None = None) -> None:
        self._compared = comparisons or Comparisons()
        self._records: dict[str, list[StructureRecord]] = defaultdict(list)

    def find(self, record: StructureRecord) -> str | None:
        """The id of the first that is the same crystal as a result, or None."""
        others = (other for other in self._records[record.formula] if _may_be_one(record, other))
        return next((other.id for other in others if self._compared.same(record, other)), None)

    def add(self, record: StructureRecord) -> None:
        """Remember a result."""
        self._records[record.formula].append(record)


def duplicates(
    records: Sequence[StructureRecord],
    elsewhere: Iterable[StructureRecord] = (),
    comparisons: Comparisons | None = None,
) -> dict[str, str | None]:
    """Of each result the one that represents its crystal, by id; None for one that represents itself.

    The lowest represents a crystal, whatever came first: of those that are dynamically stable where any is.
    What is known, a competing phase or a result of ``elsewhere``, is never a duplicate of a find.

    records: validated, in the order that decides where energies do not. comparisons: made before.
    """
    crystals = Crystals(comparisons)
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
