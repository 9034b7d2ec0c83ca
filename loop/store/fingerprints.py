"""Fingerprints of source entries, kept in the database so that each is made once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import gcd

import numpy as np

from niobe.loop.crystals.formulas import amounts_of
from niobe.loop.documents.entries import SourceEntry
from niobe.loop.readers.disorder import AS_GIVEN
from niobe.loop.store.database import Database
from niobe.loop.store.mapping import load
from niobe.surrogates.protocols import FloatArray

_BATCH = 500
_USABLE = {"treatment": AS_GIVEN, "set_aside": ""}


def anonymous(formula: str) -> tuple[int, ...]:
    """The amounts of a formula without its elements, smallest whole numbers, descending: (3, 1, 1)."""
    counts = list(amounts_of(formula).values())
    divisor = gcd(*counts)
    return tuple(sorted((count // divisor for count in counts), reverse=True))


@dataclass(frozen=True)
class Block:
    """Source entries of like proportions: ids, formulas (OPTIMADE form), fingerprints of shape (n, k)."""

    ids: list[str]
    formulas: list[str]
    frameworks: FloatArray


def block(database: Database, amounts: tuple[int, ...], make: Callable[[SourceEntry], FloatArray]) -> Block:
    """The usable source entries whose formula has these amounts; what has no fingerprint yet gets one.

    database: the campaign database. amounts: as ``anonymous`` gives them. make: the fingerprint of an entry.
    """
    formulas = [f for f in database.mongo["entries"].distinct("formula_reduced") if anonymous(f) == amounts]
    chosen = {"formula_reduced": {"$in": formulas}} | _USABLE
    fields = {"fingerprint": 1, "formula_reduced": 1}
    entries = {found["_id"]: found for found in database.mongo["entries"].find(chosen, fields)}
    known = {
        found["_id"]: np.frombuffer(found["framework"], dtype=np.float32)
        for found in database.mongo["fingerprints"].find({"amounts": _key(amounts)})
        if found["_id"] in entries and entries[found["_id"]]["fingerprint"] == found["content"]
    }
    known |= _made(database, amounts, [key for key in entries if key not in known], make)
    ids = sorted(known)
    return Block(ids, [entries[key]["formula_reduced"] for key in ids], np.array([known[key] for key in ids]))


def _made(
    database: Database, amounts: tuple[int, ...], ids: list[str], make: Callable[[SourceEntry], FloatArray]
) -> dict[str, FloatArray]:
    from pymongo import ReplaceOne

    made: dict[str, FloatArray] = {}
    for start in range(0, len(ids), _BATCH):
        query = {"_id": {"$in": ids[start : start + _BATCH]}}
        entries = load(SourceEntry, database.mongo["entries"].find(query))
        new = {entry.id: np.asarray(make(entry), dtype=np.float32) for entry in entries}
        documents = [_document(entry, amounts, new) for entry in entries]
        writes = [ReplaceOne({"_id": one["_id"]}, one, upsert=True) for one in documents]
        if writes:
            database.mongo["fingerprints"].bulk_write(writes, ordered=False)
        made |= new
    return made


def _document(
    entry: SourceEntry, amounts: tuple[int, ...], made: Mapping[str, FloatArray]
) -> dict[str, object]:
    framework = np.asarray(made[entry.id]).tobytes()
    return {
        "_id": entry.id,
        "content": entry.fingerprint,
        "amounts": _key(amounts),
        "framework": framework,
    }


def _key(amounts: tuple[int, ...]) -> str:
    return "-".join(map(str, amounts))


def entries_of(database: Database, ids: list[str]) -> list[SourceEntry]:
    """Source entries of these ids.

    database: the campaign database.
    """
    return load(SourceEntry, database.mongo["entries"].find({"_id": {"$in": ids}}))
