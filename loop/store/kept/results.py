"""Results without their crystals, kept together by round: the collection ``results``.

Steps that judge all results read a few documents instead of each record. Whatever writes to a result marks
it (``UNPACKED``); who reads takes what is marked from the record itself, and ``complete`` puts it with the
others. All of it follows from the records: without a campaign's mark it is made anew.

Each writing of a document has a name of its own (``WRITING``). A process holds what it read last, and asks
only for documents that were written since.
"""

from __future__ import annotations

import gc
import json
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from niobe.loop.documents.records import Status, StructureRecord
from niobe.loop.store.mapping import (
    NO_CRYSTAL,
    STAMP,
    UNPACKED,
    Document,
    from_mongo,
    load,
    without_crystals,
)

if TYPE_CHECKING:
    from pymongo.collection import Collection as MongoCollection

_FINISHED = (Status.VALIDATED.value, Status.FAILED.value)
_TOUCHED = {"$in": [*_FINISHED, Status.ACQUIRED.value]}
"""What is, or was, a result: a failure may be asked again."""
_AT_ONCE, _IN_ONE = 2_000, 500
LARGEST = 12_000_000
"""Bytes of text in a document, of which MongoDB takes 16 MB: what finds no place stays marked."""
MOST_HELD = 20_000
"""Results that a process holds between two readings, some 10 kB each; the newest rounds are read each time
where there are more."""
MANY = 1_000
"""Results read at a time from which on Python's collector of cycles is told to pass over them."""
WRITING = "writing"
_WRITTEN_AS = 2
"""Raised where documents are written otherwise than before: those of a campaign are then made anew."""
_NEVER = datetime.min.replace(year=1970)
_ORDER = [("round", 1), ("index", 1)]
_BY_CHANGE = [("campaign", 1), ("modified", 1)]
Pack = dict[str, StructureRecord]


class Results:
    """What the oracle answered for or failed on, without crystals: their structures are empty."""

    def __init__(self, results: MongoCollection[Document], structures: MongoCollection[Document]) -> None:
        """results: the collection. structures: that of the records."""
        self._results, self._structures = results, structures

    def validated(self, campaign: str) -> list[StructureRecord]:
        """What the oracle answered for, by round and index. campaign: its id."""
        return [record for record in self.finished(campaign) if record.status is Status.VALIDATED]

    def finished(self, campaign: str) -> list[StructureRecord]:
        """The same with what it failed on."""
        kept = self._kept(campaign) if self._is_kept(campaign) else None
        return self._read(campaign) if kept is None else kept

    def _kept(self, campaign: str) -> list[StructureRecord] | None:
        """From what is kept; None where that holds others than the records do.

        What is marked is read first: put with the others meanwhile, it is there twice, never missing.
        """
        marked = {"campaign": campaign, UNPACKED: True, "status": _TOUCHED}
        changed = {one["_id"]: one for one in self._structures.find(marked, NO_CRYSTAL)}
        kept = self._all_packed(campaign)
        found = [record for name, record in kept.items() if name not in changed]
        found += load(StructureRecord, (without_crystals(one) for one in changed.values() if _is_result(one)))
        statuses = Counter(record.status.value for record in found)
        for status in _FINISHED:
            there = self._structures.count_documents({"campaign": campaign, "status": status})
            if there != statuses[status]:
                return None
        return sorted(found, key=lambda record: (record.round, record.index))

    def _all_packed(self, campaign: str) -> Pack:
        """What is kept together, by id; of documents that this process read before nothing is read again."""
        held = _HELD.copy()
        writings = {one["_id"]: one.get(WRITING) for one in self._packs(campaign, {WRITING: 1})}
        there = {writing: held[writing] for writing in writings.values() if writing in held}
        lacking = [name for name, writing in writings.items() if writing not in there]
        found = self._results.find({"_id": {"$in": lacking}}) if lacking else ()
        read = {pack[WRITING]: _parsed(pack) for pack in found}
        there |= read
        _hold(there)
        if sum(map(len, read.values())) >= MANY:
            _pass_over_what_is_held()
        return {name: record for pack in there.values() for name, record in pack.items()}

    def _read(self, campaign: str) -> list[StructureRecord]:
        query = {"campaign": campaign, "status": {"$in": list(_FINISHED)}}
        return load(
            StructureRecord, map(without_crystals, self._structures.find(query, NO_CRYSTAL, sort=_ORDER))
        )

    def complete(self, campaign: str) -> None:
        """Put what changed with the others, all where nothing is kept of the campaign."""
        known = self._is_kept(campaign) and not self._is_changed_unmarked(campaign)
        asked: Document = {"campaign": campaign, "status": _TOUCHED} | ({UNPACKED: True} if known else {})
        found = self._structures.find(asked, {"round": 1, "index": 1})
        while batch := list(islice(found, _AT_ONCE)):
            self._pack(campaign, batch)
        if not known:
            said = {"campaign": campaign, "written_as": _WRITTEN_AS}
            self._results.update_one(_mark(campaign), {"$set": said}, upsert=True)

    def _is_changed_unmarked(self, campaign: str) -> bool:
        """Whether a result was written to without a mark, as an older Niobe does, since the newest that is
        kept."""
        newest = max(
            (one.get("newest", _NEVER) for one in self._packs(campaign, {"newest": 1})), default=_NEVER
        )
        later = {"campaign": campaign, "modified": {"$gt": newest}, "status": {"$in": list(_FINISHED)}}
        found = self._structures.find(later, {UNPACKED: 1}, sort=[("modified", 1)], hint=_BY_CHANGE)
        return any(UNPACKED not in one for one in found)

    def _packs(self, campaign: str, fields: Document | None = None) -> Iterable[Document]:
        return self._results.find({"campaign": campaign, "ids": {"$exists": True}}, fields)

    def _is_kept(self, campaign: str) -> bool:
        asked = _mark(campaign) | {"written_as": _WRITTEN_AS}
        return self._results.find_one(asked, {"_id": 1}) is not None

    def _pack(self, campaign: str, places: Sequence[Document]) -> None:
        """Records by the round and index that ``places`` names, each put where it belongs.

        A pack is read before its records, and written only while nobody else has: what it holds is never
        older than what it held.
        """
        by_pack: dict[str, list[str]] = defaultdict(list)
        for place in places:
            by_pack[f"{campaign} {place['round']} {place['index'] // _IN_ONE}"].append(place["_id"])
        there = {one["_id"]: one for one in self._results.find({"_id": {"$in": list(by_pack)}})}
        ids = {"_id": {"$in": [place["_id"] for place in places]}}
        records = {one["_id"]: one for one in self._structures.find(ids, NO_CRYSTAL)}
        for name, members in by_pack.items():
            changed = [records[member] for member in members if member in records]
            if self._is_put(campaign, name, there.get(name), changed):
                self._unmark(changed)

    def _is_put(self, campaign: str, name: str, before: Document | None, changed: Sequence[Document]) -> bool:
        from pymongo.errors import DuplicateKeyError

        others = {one["_id"] for one in changed}
        held = {key: text for key, text in _held(before or {}).items() if key not in others}
        held |= dict(_texts(changed))
        if sum(map(len, held.values())) > LARGEST:
            return False
        newest = max([before.get("newest", _NEVER) if before else _NEVER, *map(_modified, changed)])
        pack = {"campaign": campaign, WRITING: uuid.uuid4().hex, "newest": newest}
        pack |= {"ids": list(held), "texts": list(held.values())}
        read = {"_id": name, WRITING: before.get(WRITING) if before else ""}
        try:
            done = self._results.replace_one(read, pack, upsert=before is None)
        except DuplicateKeyError:
            return False
        return done.matched_count == 1 or before is None

    def _unmark(self, records: Sequence[Document]) -> None:
        """Those that nobody wrote to since they were read."""
        from pymongo import UpdateOne

        gone = {"$unset": {UNPACKED: "", STAMP: ""}}
        writes = [UpdateOne({"_id": r["_id"], STAMP: r[STAMP]}, gone) for r in records if STAMP in r]
        if writes:
            self._structures.bulk_write(writes)


_HELD: dict[str, Pack] = {}
"""What this process read last, by the name of the writing: as no two have one, it is never out of date."""


def _hold(packs: Mapping[str, Pack]) -> None:
    """Hold these for the next reading, the first alone where they are too many, and nothing else."""
    held, count = dict[str, Pack](), 0
    for writing, pack in packs.items():
        count += len(pack)
        if count <= MOST_HELD:
            held[writing] = pack
    for writing in _HELD.keys() - held.keys():
        _HELD.pop(writing, None)
    _HELD.update(held)


def _pass_over_what_is_held() -> None:
    """Records hold no cycles: looking through all of them for some, as each step makes new objects, takes as
    long as the step does."""
    gc.collect()
    gc.freeze()


def _parsed(pack: Document) -> Pack:
    return {name: StructureRecord.model_validate_json(text) for name, text in _held(pack).items()}


def _mark(campaign: str) -> Document:
    return {"_id": f"all of {campaign}"}


def _held(pack: Document) -> dict[str, str]:
    """What a document of the collection holds, by id of the record; the mark holds nothing."""
    return dict(zip(pack.get("ids", ()), pack.get("texts", ()), strict=True))


def _modified(document: Document) -> datetime:
    when = document.get("modified")
    return when if isinstance(when, datetime) else _NEVER


def _is_result(document: Document) -> bool:
    return document["status"] in _FINISHED


def _texts(documents: Sequence[Document]) -> Iterator[tuple[str, str]]:
    """Id and content of those that are results, but for their crystals."""
    for document in documents:
        if _is_result(document):
            content: dict[str, Any] = from_mongo(without_crystals(dict(document)))
            yield document["_id"], json.dumps(content)
