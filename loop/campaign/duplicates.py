"""Which results are one crystal, and which record represents it."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from operator import itemgetter

from niobe.loop.crystals.similarity import Shape
from niobe.loop.documents.records import StructureRecord
from niobe.loop.documents.structures import relaxed_structure
from niobe.loop.store.kept.shapes import Order, Pair, token

SAME_ENERGY = 5e-3
"""eV/atom: crystals that look alike and differ by more are two; a cubic phase and its distortion do."""
_NEAR = 1.01 * SAME_ENERGY  # within which it is looked for what may agree
SURELY_LOWER = 1e-3
"""eV/atom: what relaxations of one crystal differ by; what lies so little lower takes no one's place."""


def relaxed_shape(record: StructureRecord) -> Shape:
    """The shape of what a result relaxed into."""
    return Shape(record.id, relaxed_structure(record))


class Comparisons:
    """Which results are alike, each pair compared once, and what represented each when a round last closed.

    shape_of: of a result. before: gives the answers of a result for those that it was compared with before,
    asked once one is needed. said: gives by composition the order in which results were last looked at, and
    what represented each. new, orders: the answers and orders since.
    """

    def __init__(
        self,
        shape_of: Callable[[StructureRecord], Shape] = relaxed_shape,
        before: Callable[[StructureRecord], dict[str, bool]] = lambda record: {},
        said: Callable[[], dict[str, Order]] = dict,
    ) -> None:
        self._shape_of, self._before, self._said = shape_of, before, said
        self._shapes: dict[str, Shape] = {}
        self._answers: dict[str, dict[str, bool]] = {}
        self.new: dict[Pair, bool] = {}
        self.orders: dict[str, Order] = {}

    def same(self, one: StructureRecord, other: StructureRecord) -> bool:
        """Whether the structure matcher calls two results the same.

        one: that is asked about. other: that was there before.
        """
        if one.id not in self._answers:
            self._answers[one.id] = self._before(one)
        answers, name = self._answers[one.id], token(other)
        if name not in answers:
            answers[name] = self.new[token(one), name] = self._shape(other).same(self._shape(one))
        return answers[name]

    @cached_property
    def said(self) -> dict[str, Order]:
        """By composition, the names of results in order, each with the name of what represents it."""
        return self._said()

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
        self._rows: dict[str, list[tuple[float, int, StructureRecord]]] = defaultdict(list)

    def find(self, record: StructureRecord) -> str | None:
        """The id of the first that is the same crystal as a result, or None."""
        rows, energy = self._rows[record.formula], _energy(record)
        near = rows[bisect_left(rows, (energy - _NEAR,)) : bisect_left(rows, (energy + _NEAR,))]
        others = (other for _, _, other in sorted(near, key=itemgetter(1)))
        return next((other.id for other in others if self.are_one(record, other)), None)

    def add(self, record: StructureRecord) -> None:
        """Remember a result."""
        rows = self._rows[record.formula]
        insort(rows, (_energy(record), len(rows), record))

    def are_one(self, one: StructureRecord, other: StructureRecord) -> bool:
        """Whether a result, ``one``, is the same crystal as another that was there before."""
        return _may_be_one(one, other) and self._compared.same(one, other)


class _Group:
    """Results of one composition, those first that represent others: what was said before is asked of no pair
    again.

    A result was compared with all that came before it, up to what represents it, and is none of those. It is
    compared now with what came later, or is new, and stands before it by now.
    """

    def __init__(self, comparisons: Comparisons, said: Order) -> None:
        self._crystals, self._said = Crystals(comparisons), dict(said)
        self._places = {name: place for place, (name, _) in enumerate(said)}
        self._numbers: dict[str, int] = {}
        self._alone: list[tuple[str, StructureRecord]] = []
        self._known: list[tuple[int, int]] = []
        self._fresh: list[int] = []

    def add(self, name: str, record: StructureRecord) -> None:
        """Remember one that represents itself, under its name."""
        number = self._numbers[name] = len(self._alone)
        self._alone.append((name, record))
        self._crystals.add(record)
        if name in self._said and self._said[name] is None:
            insort(self._known, (self._places[name], number))
        else:
            self._fresh.append(number)

    def find(self, name: str, record: StructureRecord) -> tuple[str, StructureRecord] | None:
        """The first of those remembered that is the same crystal, and its name, or None."""
        first = self._said.get(name)
        if name not in self._said or (first is not None and first not in self._numbers):
            found = self._crystals.find(record)
            return next((one for one in self._alone if one[1].id == found), None)
        began = bisect_left(self._known, (self._places[first or name],))
        for number in sorted([*self._fresh, *(number for _, number in self._known[began:])]):
            other = self._alone[number]
            if other[0] == first or self._crystals.are_one(record, other[1]):
                return other
        return None


def duplicates(
    records: Sequence[StructureRecord],
    elsewhere: Iterable[StructureRecord] = (),
    comparisons: Comparisons | None = None,
) -> dict[str, str | None]:
    """Of each result the one that represents its crystal, by id; None for one that represents itself.

    The lowest represents a crystal, whatever came first: of those that are dynamically stable where any is.
    What is known, a competing phase or a result of ``elsewhere``, is never a duplicate of a find.

    records: validated, in the order that decides where energies do not. comparisons: made before; it is told
    the order in which each composition was looked at.
    """
    compared = comparisons or Comparisons()
    known, asked = (
        defaultdict[str, list[StructureRecord]](list),
        defaultdict[str, list[StructureRecord]](list),
    )
    for record in elsewhere:
        known[record.formula].append(record)
    for record in sorted(lowest_first(records), key=lambda r: (not r.competing, not r.dynamically_stable)):
        asked[record.formula].append(record)
    found: dict[str, str | None] = {}
    for formula, results in asked.items():
        found |= _within(results, known[formula], compared, formula)
    return found


def _within(
    asked: Sequence[StructureRecord],
    known: Sequence[StructureRecord],
    compared: Comparisons,
    formula: str,
) -> dict[str, str | None]:
    """``duplicates`` of one composition, in this order."""
    said = compared.said.get(formula, [])
    group, order, found = _Group(compared, said), Order(), dict[str, str | None]()
    for record in known:
        order.append((_name(record), None))
        group.add(order[-1][0], record)
    for record in asked:
        name = _name(record)
        first = group.find(name, record)
        found[record.id] = first[1].id if first else None
        order.append((name, first[0] if first else None))
        if first is None:
            group.add(name, record)
    if order != said:
        compared.orders[formula] = order
    return found


def _name(record: StructureRecord) -> str:
    """What its duplicates hang on: which crystal, at which energy, and how it vibrates."""
    outcome = record.validation.phonon.outcome.value if record.validation else ""
    return f"{token(record)} {outcome}"


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
