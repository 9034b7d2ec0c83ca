"""What crystals are compared by, reduced once and kept: the collection ``shapes``.

A shape is of a record as it was drawn, pre-relaxed or validated. Whatever writes one of these marks the
record (``UNSHAPED``), and ``complete`` makes what is missing. All of it follows from the records: without a
campaign's mark it is made anew.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from niobe.loop.crystals.similarity import Bucket, KeptShape, Shape, packed
from niobe.loop.documents.records import StructureRecord
from niobe.loop.documents.structures import candidate_structure, generated_structure, relaxed_structure
from niobe.loop.store.kept.blocks import COMPARED_BY, LOOSE, Blocks
from niobe.loop.store.mapping import COMPARED, UNSHAPED, Document, load
from niobe.loop.store.unchanged import puts

if TYPE_CHECKING:
    from pymatgen.core import Structure
    from pymongo.collection import Collection as MongoCollection

FORMS = ("generated", "prerelaxed", "relaxed")
_AT_ONCE = 500
_WRITTEN_AS = 2
"""Raised where shapes are written otherwise than before: those of a campaign are then made anew."""
Pair = tuple[str, str]
Order = list[tuple[str, str | None]]


class Shapes:
    """Shapes of records, found by campaign, composition and size; and which results are alike."""

    def __init__(self, shapes: MongoCollection[Document], structures: MongoCollection[Document]) -> None:
        """shapes: the collection. structures: that of the records."""
        self._shapes, self._structures, self._blocks = shapes, structures, Blocks(shapes)

    def complete(self, campaign: str) -> None:
        """Make the shapes that records of a campaign lack, all where it never had any."""
        mark = {"_id": f"all of {campaign}"}
        known = self._shapes.find_one(mark | {"written_as": _WRITTEN_AS}) is not None
        lacking = {"campaign": campaign} | ({UNSHAPED: True} if known else {})
        found = self._structures.find(lacking, {"_id": 1})
        while ids := [one["_id"] for one in islice(found, _AT_ONCE)]:
            there = self._names(ids)  # before the records: what is written over a shape since is left alone
            batch = load(StructureRecord, self._structures.find({"_id": {"$in": ids}}))
            self._complete(batch, there, anew=not known)
        if not known:
            self._blocks.complete(campaign)
            said = {"campaign": campaign, "written_as": _WRITTEN_AS}
            self._shapes.update_one(mark, {"$set": said}, upsert=True)

    def keep(self, records: Sequence[StructureRecord], drawn: Mapping[str, Shape]) -> None:
        """Keep the shapes of records as they were drawn.

        records: just screened. drawn: their shapes, by their ids.
        """
        compared = [record for record in records if record.status in COMPARED]
        shapes = [_document(record, "generated", record.id, drawn[record.id]) for record in compared]
        self._write(shapes, compared, {})

    def _complete(self, records: Sequence[StructureRecord], there: Mapping[str, str], *, anew: bool) -> None:
        """Make what records lack, all of it ``anew``."""
        compared = [record for record in records if record.status in COMPARED]
        lacking = [one for record in compared for one in _lacking(record, {} if anew else there)]
        self._write(lacking, records, there)

    def _write(
        self, shapes: Sequence[Document], records: Sequence[StructureRecord], there: Mapping[str, str]
    ) -> None:
        """Write shapes, then that records lack none: cut short, these are still marked."""
        from pymongo import UpdateOne

        if shapes:
            self._shapes.bulk_write(puts(shapes, {name: {"of": of} for name, of in there.items()}))
        if records:
            self._structures.bulk_write(
                [UpdateOne(_as_it_is(r), {"$unset": {UNSHAPED: ""}}) for r in records]
            )

    def _names(self, records: Sequence[str]) -> dict[str, str]:
        """What names the crystals whose shapes are kept of records, by id of the shape."""
        asked = [f"{record} {form}" for record in records for form in FORMS]
        return {one["_id"]: one["of"] for one in self._shapes.find({"_id": {"$in": asked}}, {"of": 1})}

    def like(self, campaign: str, shape: Shape, left_out: Collection[str] = ()) -> Bucket:
        """Shapes of a shape's composition and number of sites, by round, index and form of their records.

        campaign: its id. left_out: ids of records. Ids of the shapes are those of the records.
        """
        return self._blocks.bucket(_key(campaign, shape), left_out)

    def relaxed(self, records: Sequence[str]) -> dict[str, Shape]:
        """The shapes of what records relaxed into, by their ids, as far as they are kept."""
        return self._kept(records, "relaxed")

    def generated(self, records: Sequence[str]) -> dict[str, Shape]:
        """The same of records as they were drawn."""
        return self._kept(records, "generated")

    def _kept(self, records: Sequence[str], form: str) -> dict[str, Shape]:
        ids = [f"{record} {form}" for record in records]
        found = self._shapes.find({"_id": {"$in": ids}}, COMPARED_BY) if ids else ()
        return {one["record"]: KeptShape(one["record"], one) for one in found}

    def answers(self, records: Sequence[StructureRecord]) -> dict[str, dict[str, bool]]:
        """By record that was compared with others: which, by what names them, and whether they are alike."""
        names = {f"{token(record)} answers": record.id for record in records}
        found = self._shapes.find({"_id": {"$in": list(names)}}, {"answers": 1})
        return {names[one["_id"]]: dict(one["answers"]) for one in found}

    def remember(self, campaign: str, new: Mapping[Pair, bool]) -> None:
        """Keep what was compared, by pair. campaign: its id."""
        from pymongo import UpdateOne

        by_record: dict[str, list[list[object]]] = defaultdict(list)
        for (one, other), same in new.items():
            by_record[one].append([other, same])
        said = {"campaign": campaign, "form": "answers"}
        writes = [
            UpdateOne(
                {"_id": f"{of} answers"},
                {"$addToSet": {"answers": {"$each": answers}}, "$setOnInsert": said},
                upsert=True,
            )
            for of, answers in by_record.items()
        ]
        if writes:
            self._shapes.bulk_write(writes)

    def orders(self, campaign: str) -> dict[str, Order]:
        """By composition, the names of results in the order in which duplicates were last looked for among
        them, each with the name of what represents it, or None. campaign: its id."""
        return {
            kept["formula"]: [
                (name, None if first is None else kept["names"][first])
                for name, first in zip(kept["names"], kept["first"], strict=True)
            ]
            for kept in self._shapes.find({"campaign": campaign, "form": "order"})
        }

    def keep_orders(self, campaign: str, orders: Mapping[str, Order]) -> None:
        """Keep orders by composition, in place of those before. campaign: its id."""
        new: list[Document] = []
        for formula, order in orders.items():
            places = {name: place for place, (name, _) in enumerate(order)}
            kept = {
                "_id": f"{campaign} {formula} order",
                "campaign": campaign,
                "form": "order",
                "formula": formula,
                "names": list(places),
                "first": [None if first is None else places[first] for _, first in order],
            }
            new.append(kept)
        if new:
            asked = {"_id": {"$in": [kept["_id"] for kept in new]}}
            there = self._shapes.find(asked, {"names": 1, "first": 1})
            self._shapes.bulk_write(puts(new, {one.pop("_id"): one for one in there}))


def token(record: StructureRecord) -> str:
    """What names a result as it was relaxed: another one once it is relaxed anew."""
    told = record.validation
    return f"{record.id} {told.energy_per_atom!r} {told.volume_per_atom!r}" if told else record.id


def crystal_name(record: StructureRecord) -> str:
    """What names the crystal that the surrogate ranks: another one once it is pre-relaxed further."""
    told = record.prerelaxed
    return f"{record.id} {told.energy_per_atom!r} {told.steps}" if told else record.id


def _lacking(record: StructureRecord, there: Mapping[str, str]) -> Iterator[Document]:
    """The shapes of a record but for those that are there, by id, and named as they would be now."""
    for form, (of, structure) in _forms(record).items():
        if there.get(f"{record.id} {form}") != of:
            yield _document(record, form, of, Shape(record.id, structure))


def _forms(record: StructureRecord) -> dict[str, tuple[str, Structure]]:
    """By form what names it, and the crystal."""
    found = {"generated": (record.id, generated_structure(record))}
    if record.prerelaxed is not None:
        found["prerelaxed"] = (crystal_name(record), candidate_structure(record))
    if record.validation is not None:
        found["relaxed"] = (token(record), relaxed_structure(record))
    return found


def _document(record: StructureRecord, form: str, of: str, shape: Shape) -> Document:
    return packed(shape) | {
        "_id": f"{record.id} {form}",
        "campaign": record.campaign,
        "record": record.id,
        "form": form,
        "of": of,
        "turn": [record.round, record.index, FORMS.index(form)],
        "key": _key(record.campaign, shape),
        LOOSE: _key(record.campaign, shape),
    }


def _key(campaign: str, shape: Shape) -> str:
    return f"{campaign} {shape.formula} {shape.sites} {_WRITTEN_AS}"


def _as_it_is(record: StructureRecord) -> Document:
    """The query that finds a record while what its shapes were made of is unchanged."""
    validation, prerelaxed = record.validation, record.prerelaxed
    return {
        "_id": record.id,
        "status": record.status.value,
        "validation.energy_per_atom": validation.energy_per_atom if validation else None,
        "prerelaxed.energy_per_atom": prerelaxed.energy_per_atom if prerelaxed else None,
    }
