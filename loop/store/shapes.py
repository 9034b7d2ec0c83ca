"""What crystals are compared by, reduced once and kept: the collection ``shapes``.

A shape is of a record as it was drawn, pre-relaxed or validated. Whatever writes one of these marks the
record (``UNSHAPED``), and ``complete`` makes what is missing. All of it follows from the records: without a
campaign's mark it is made anew.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from niobe.loop.crystals.similarity import KeptShape, Shape, packed
from niobe.loop.documents.records import StructureRecord
from niobe.loop.documents.structures import candidate_structure, generated_structure, relaxed_structure
from niobe.loop.store.mapping import COMPARED, UNSHAPED, Document, from_mongo

if TYPE_CHECKING:
    from pymatgen.core import Structure
    from pymongo import UpdateOne
    from pymongo.collection import Collection as MongoCollection

FORMS = ("generated", "prerelaxed", "relaxed")
_AT_ONCE = 500
Pair = tuple[str, str]


class Shapes:
    """Shapes of records, found by campaign, composition and size; and which results are alike."""

    def __init__(self, shapes: MongoCollection[Document], structures: MongoCollection[Document]) -> None:
        """shapes: the collection. structures: that of the records."""
        self._shapes, self._structures = shapes, structures

    def complete(self, campaign: str) -> None:
        """Make the shapes that records of a campaign lack, all where it never had any."""
        from pymongo import UpdateOne

        mark = {"_id": f"all of {campaign}"}
        known = self._shapes.find_one(mark) is not None
        made: list[UpdateOne] = []
        seen: list[UpdateOne] = []
        for document in self._structures.find({"campaign": campaign} | ({UNSHAPED: True} if known else {})):
            record = StructureRecord.model_validate(from_mongo(document))
            if record.status in COMPARED:
                made += [
                    UpdateOne({"_id": one["_id"]}, {"$set": one}, upsert=True)
                    for one in self._lacking(record, known=known)
                ]
            seen.append(UpdateOne(_as_it_is(record), {"$unset": {UNSHAPED: ""}}))
            if len(seen) == _AT_ONCE:
                self._write(made, seen)
                made, seen = [], []
        self._write(made, seen)
        if not known:
            self._shapes.update_one(mark, {"$set": {"campaign": campaign}}, upsert=True)

    def _write(self, made: Sequence[UpdateOne], seen: Sequence[UpdateOne]) -> None:
        """Shapes first: cut short, their records are still marked."""
        if made:
            self._shapes.bulk_write(made)
        if seen:
            self._structures.bulk_write(seen)

    def _lacking(self, record: StructureRecord, *, known: bool) -> Iterator[Document]:
        asked = {"_id": {"$in": [f"{record.id} {form}" for form in FORMS]}}
        there = {one["_id"]: one["of"] for one in self._shapes.find(asked, {"of": 1})} if known else {}
        for form, (of, structure) in _forms(record).items():
            if there.get(f"{record.id} {form}") != of:
                yield _document(record, form, of, Shape(record.id, structure))

    def like(self, campaign: str, shape: Shape) -> list[Shape]:
        """Shapes of a shape's composition and number of sites, by round, index and form of their records.

        campaign: its id. Their ids are those of the records.
        """
        found = sorted(self._shapes.find({"key": _key(campaign, shape)}), key=lambda one: one["turn"])
        return [KeptShape(document["record"], document) for document in found]

    def relaxed(self, record: str) -> Shape | None:
        """The shape of what a record relaxed into, None where none is kept. record: its id."""
        found = self._shapes.find_one({"_id": f"{record} relaxed"})
        return None if found is None else KeptShape(record, found)

    def answers(self, campaign: str) -> dict[Pair, bool]:
        """Which pairs of results were compared, and whether they are alike; by what names them."""
        found = self._shapes.find({"campaign": campaign, "form": "relaxed"}, {"of": 1, "answers": 1})
        return {
            (document["of"], other): same for document in found for other, same in document.get("answers", [])
        }

    def remember(self, new: Mapping[Pair, bool]) -> None:
        """Keep what was compared, by pair, beside the shapes that are kept."""
        from pymongo import UpdateOne

        by_record: dict[str, list[list[object]]] = defaultdict(list)
        for (one, other), same in new.items():
            by_record[one].append([other, same])
        writes = [
            UpdateOne(
                {"_id": f"{of.split()[0]} relaxed", "of": of}, {"$push": {"answers": {"$each": answers}}}
            )
            for of, answers in by_record.items()
        ]
        if writes:
            self._shapes.bulk_write(writes)


def token(record: StructureRecord) -> str:
    """What names a result as it was relaxed: another one once it is relaxed anew."""
    told = record.validation
    return f"{record.id} {told.energy_per_atom!r} {told.volume_per_atom!r}" if told else record.id


def _forms(record: StructureRecord) -> dict[str, tuple[str, Structure]]:
    """By form what names it, and the crystal."""
    found = {"generated": (record.id, generated_structure(record))}
    if record.prerelaxed is not None:
        of = f"{record.id} {record.prerelaxed.energy_per_atom!r} {record.prerelaxed.steps}"
        found["prerelaxed"] = (of, candidate_structure(record))
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
        "answers": [],
    }


def _key(campaign: str, shape: Shape) -> str:
    return f"{campaign} {shape.formula} {shape.sites}"


def _as_it_is(record: StructureRecord) -> Document:
    """The query that finds a record while what its shapes were made of is unchanged."""
    validation, prerelaxed = record.validation, record.prerelaxed
    return {
        "_id": record.id,
        "status": record.status.value,
        "validation.energy_per_atom": validation.energy_per_atom if validation else None,
        "prerelaxed.energy_per_atom": prerelaxed.energy_per_atom if prerelaxed else None,
    }
