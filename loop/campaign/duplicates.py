"""Which results are one crystal, and which record represents it."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from operator import itemgetter

from niobe.loop.crystals.similarity import Shape
from niobe.loop.documents.records import StructureRecord
from niobe.loop.documents.structures import relaxed_structure
from niobe.loop.store.kept.shapes import Order, Pair, token

SAME_ENERGY = 5e-3
"""eV/atom: crystals that look alike and differ by more are two; a cubic phase and its distortion do."""
_Named = tuple[str, StructureRecord]
_NEAR = 1.01 * SAME_ENERGY  # within which it is looked for what may agree
SURELY_LOWER = 1e-3
"""eV/atom: what relaxations of one crystal differ by; what lies so little lower takes no one's place."""


def relaxed_shapes(records: Sequence[StructureRecord]) -> list[Shape]:
    """The shapes of what results relaxed into."""
    return [Shape(record.id, relaxed_structure(record)) for record in records]


class Comparisons:
    """Which results are alike, each pair compared once, and what represented each when a round last closed.

    shapes_of: of results, in their order. before: gives, by result that was compared before, the answers for
    those that it was compared with. said: gives by composition the order in which results were last looked
    at, and what represented each. new, orders: the answers and orders since.
    """

    def __init__(
        self,
        shapes_of: Callable[[Sequence[StructureRecord]], Iterable[Shape]] = relaxed_shapes,
        before: Callable[[Sequence[StructureRecord]], dict[str, dict[str, bool]]] = lambda records: {},
        said: Callable[[], dict[str, Order]] = dict,
    ) -> None:
        self._shapes_of, self._before, self._said = shapes_of, before, said
        self._shapes: dict[str, Shape] = {}
        self._answers: dict[str, dict[str, bool]] = {}
        self.new: dict[Pair, bool] = {}
        self.orders: dict[str, Order] = {}

    def first_same(self, one: StructureRecord, others: Sequence[StructureRecord]) -> StructureRecord | None:
        """The first of others that the structure matcher calls the same as a result, or None.

        one: that is asked about. others: that were there before.
        """
        answers = self._answers_of(one) if others else {}
        lacking = [other for other in others if token(other) not in answers]
        self._read([one, *lacking] if lacking else [])
        for other in others:
            name = token(other)
            if name not in answers:
                same = self._shapes[other.id].same(self._shapes[one.id])
                answers[name] = self.new[token(one), name] = same
            if answers[name]:
                return other
        return None

    def prepare(self, near: Iterable[tuple[StructureRecord, Sequence[StructureRecord]]]) -> None:
        """Read at once what comparing results that are new with those near them takes.

        near: results, each with those that it may be compared with.
        """
        pairs = [(one, others) for one, others in near if others]
        self._read_answers(record for one, others in pairs for record in (one, *others))
        unsure = [
            record
            for one, others in pairs
            if not self._answers[one.id]
            and (lacking := [other for other in others if token(one) not in self._answers[other.id]])
            for record in (one, *lacking)
        ]
        self._read({record.id: record for record in unsure}.values())

    def _answers_of(self, record: StructureRecord) -> dict[str, bool]:
        self._read_answers([record])
        return self._answers[record.id]

    def _read_answers(self, records: Iterable[StructureRecord]) -> None:
        new = {record.id: record for record in records if record.id not in self._answers}
        if new:
            self._answers |= {name: {} for name in new} | self._before(list(new.values()))

    @cached_property
    def said(self) -> dict[str, Order]:
        """By composition, the names of results in order, each with the name of what represents it."""
        return self._said()

    def _read(self, records: Iterable[StructureRecord]) -> None:
        new = [record for record in records if record.id not in self._shapes]
        self._shapes |= {r.id: shape for r, shape in zip(new, self._shapes_of(new), strict=True)}


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
        first = self.first_same(record, [other for _, _, other in sorted(near, key=itemgetter(1))])
        return first.id if first else None

    def add(self, record: StructureRecord) -> None:
        """Remember a result."""
        rows = self._rows[record.formula]
        insort(rows, (_energy(record), len(rows), record))

    def first_same(
        self, record: StructureRecord, others: Iterable[StructureRecord]
    ) -> StructureRecord | None:
        """The first of others, there before, that is the same crystal as a result, or None."""
        return self._compared.first_same(record, [one for one in others if _may_be_one(record, one)])


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
            name_of = self._crystals.find(record)
            return next((one for one in self._alone if one[1].id == name_of), None)
        began = bisect_left(self._known, (self._places[first or name],))
        last = self._numbers[first] if first else len(self._alone)
        unsure = sorted(n for n in [*self._fresh, *(n for _, n in self._known[began:])] if n < last)
        found = self._crystals.first_same(record, (self._alone[n][1] for n in unsure))
        if found is None:
            return self._alone[last] if first else None
        return next(one for one in self._alone if one[1] is found)


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
        defaultdict[str, list[_Named]](list),
        defaultdict[str, list[_Named]](list),
    )
    for record in elsewhere:
        known[record.formula].append((_name(record), record))
    for record in sorted(lowest_first(records), key=lambda r: (not r.competing, not r.dynamically_stable)):
        asked[record.formula].append((_name(record), record))
    compared.prepare(
        pair
        for formula, results in asked.items()
        for pair in _near(results, [*known[formula], *results], dict(compared.said.get(formula, ())))
    )
    found: dict[str, str | None] = {}
    for formula, results in asked.items():
        found |= _within(results, known[formula], compared, formula)
    return found


def _near(
    asked: Sequence[_Named], results: Sequence[_Named], said: Mapping[str, str | None]
) -> Iterator[tuple[StructureRecord, list[StructureRecord]]]:
    """What was not looked at before, each with those that may be the same crystal: new too, or alone so far.

    asked: results of one composition. results: the same with what is known. said: by name, what represented
    each.
    """
    new = [record for name, record in asked if name not in said]
    alone = [record for name, record in results if new and said.get(name) is None]
    levels = sorted(((_energy(record), place) for place, record in enumerate(alone)))
    for one in new:
        begin, end = (bisect_left(levels, (_energy(one) + by,)) for by in (-_NEAR, _NEAR))
        others = (alone[place] for _, place in levels[begin:end])
        yield one, [other for other in others if other is not one and _may_be_one(one, other)]


def _within(
    asked: Sequence[_Named],
    known: Sequence[_Named],
    compared: Comparisons,
    formula: str,
) -> dict[str, str | None]:
    """``duplicates`` of one composition, in this order."""
    said = compared.said.get(formula, [])
    group, order, found = _Group(compared, said), Order(), dict[str, str | None]()
    for name, record in known:
        order.append((name, None))
        group.add(name, record)
    for name, record in asked:
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
