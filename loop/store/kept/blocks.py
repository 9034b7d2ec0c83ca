"""Shapes of one composition and number of sites kept together in arrays, so that a bucket of them is read at
once. What is newer than the blocks, or may change yet, is read from its own document (``LOOSE``)."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from niobe.loop.crystals.similarity import MEASURES, Bucket, KeptShape, Reduced, Shape, measures
from niobe.loop.store.mapping import Document
from niobe.surrogates.protocols import FloatArray

if TYPE_CHECKING:
    from pymongo.collection import Collection as MongoCollection

LOOSE, BLOCK = "loose", "block"
"""The key of a shape that is in no block, and of a block; not there otherwise."""
COMPARED_BY = dict.fromkeys(("record", "turn", "formula", "sites", "volume", "edges", "species", "cell"), 1)
_NAMED = COMPARED_BY | {"campaign": 1, "of": 1, "form": 1, LOOSE: 1}
FEWEST, MOST = 32, 512
"""Shapes of a block."""
_LARGEST = 4_000_000
"""Bytes of the cells of a block, of which MongoDB takes 16 MB in a document."""
_MAY_CHANGE = "prerelaxed"
"""The form of a crystal that another pre-relaxation replaces."""


class Block:
    """Shapes in arrays, as a document holds them."""

    def __init__(self, document: Document) -> None:
        """document: made by ``_together``."""
        self.formula, self.sites = document["formula"], document["sites"]
        self.names: list[str] = document["names"]
        self.turns = np.frombuffer(document["turns"], dtype="<i8").reshape(-1, 3)
        self.measures = np.frombuffer(document["measures"], dtype="<f8").reshape(-1, MEASURES)
        self._cells, self._symbols = document["cells"], document["symbols"]
        self._kinds = document["kinds"]

    def cell(self, row: int) -> Reduced:
        """The reduced cell of a row."""
        size = (3 + self.sites) * 3
        rows = np.frombuffer(self._cells, dtype="<f8", count=size, offset=8 * size * row).reshape(-1, 3)
        kinds = self._kinds[row * self.sites : (row + 1) * self.sites]
        symbols = [self._symbols[kind] for kind in kinds]
        return Reduced.kept(rows[:3], rows[3:], symbols, self.measures[row, 5:])

    def shapes(self) -> list[Shape]:
        """All of them, their ids those of the records."""
        return [_InBlock(name.split()[0], self, row) for row, name in enumerate(self.names)]


class _InBlock(Shape):
    """A shape whose numbers stay in a block until they are asked for."""

    def __init__(self, identifier: str, block: Block, row: int) -> None:
        self.id, self._block, self._row = identifier, block, row
        self.formula, self.sites = block.formula, block.sites

    @cached_property
    def volume_per_atom(self) -> float:
        """Å³ an atom."""
        return float(self._block.measures[self._row, 0])

    @cached_property
    def edges(self) -> list[float]:
        """Of the reduced cell, scaled to one volume for all, the shortest first."""
        return [float(edge) for edge in self._block.measures[self._row, 2:5]]

    @cached_property
    def reduced(self) -> Reduced:
        """The reduced cell."""
        return self._block.cell(self._row)


class Blocks:
    """Buckets of a collection of shapes, from its blocks and from what is loose."""

    def __init__(self, shapes: MongoCollection[Document]) -> None:
        """shapes: the collection."""
        self._shapes = shapes

    def complete(self, campaign: str) -> None:
        """Put into blocks what is loose of a campaign. campaign: its id."""
        loose = self._shapes.find({"campaign": campaign, LOOSE: {"$exists": True}}, {LOOSE: 1})
        for key in sorted({one[LOOSE] for one in loose}):
            self.bucket(key)

    def bucket(self, key: str, left_out: Collection[str] = ()) -> Bucket:
        """The shapes of a key, by round, index and form of their records; ``FEWEST`` loose ones become a
        block.

        What is loose is read first: put into a block meanwhile, it is there twice, never missing. Where
        blocks do not hold what the documents do, the documents are read, and put into blocks anew.

        key: of campaign, composition and number of sites. left_out: ids of records.
        """
        loose = list(self._shapes.find({LOOSE: key}, _NAMED))
        found = list(self._shapes.find({BLOCK: key}))
        blocks, passed_over = [Block(one) for one in found], {one["_id"] for one in loose}
        names = [name for block in blocks for name in block.names if name not in passed_over]
        count = self._shapes.count_documents({"key": key})
        if count == len(names) + len(passed_over) == len(passed_over.union(names)):
            self._put(key, loose)
        else:
            loose, blocks, passed_over = list(self._shapes.find({"key": key}, _NAMED)), [], set()
            self._put(key, loose)
            self._remove([one["_id"] for one in found])
        return _bucket(blocks, passed_over, loose, left_out)

    def _put(self, key: str, documents: Sequence[Document]) -> None:
        """Put into blocks what will not change, unless it is little, and say of the rest that it is loose:
        first the blocks, then what is said of each shape while it is the one that was read.

        documents: of shapes that are in no block.
        """
        from pymongo import UpdateOne

        lasting = sorted(
            (one for one in documents if one["form"] != _MAY_CHANGE), key=lambda one: one["turn"]
        )
        parts = _parts(lasting) if len(lasting) >= FEWEST else []
        if parts:
            self._shapes.insert_many([_together(key, part) for part in parts])
        put = {one["_id"] for part in parts for one in part}
        writes = [
            UpdateOne(
                {"_id": one["_id"], "of": one["of"], "key": key},
                {"$unset": {LOOSE: ""}} if one["_id"] in put else {"$set": {LOOSE: key}},
            )
            for one in documents
            if (one["_id"] in put) == (LOOSE in one)
        ]
        if writes:
            self._shapes.bulk_write(writes)

    def _remove(self, blocks: Sequence[str]) -> None:
        if blocks:
            self._shapes.delete_many({"_id": {"$in": list(blocks)}})


def _parts(documents: Sequence[Document]) -> list[Sequence[Document]]:
    """Those of a block each."""
    size = max(1, min(MOST, _LARGEST // len(documents[0]["cell"])))
    return [documents[start : start + size] for start in range(0, len(documents), size)]


def _together(key: str, documents: Sequence[Document]) -> Document:
    """The block of some shapes."""
    shapes = [KeptShape(one["record"], one) for one in documents]
    symbols = sorted(set(chain.from_iterable(one["species"] for one in documents)))
    kinds = [symbols.index(symbol) for one in documents for symbol in one["species"]]
    return {
        "_id": f"{key} {uuid.uuid4().hex}",
        "campaign": documents[0]["campaign"],
        BLOCK: key,
        "formula": documents[0]["formula"],
        "sites": documents[0]["sites"],
        "names": [one["_id"] for one in documents],
        "turns": np.array([one["turn"] for one in documents], dtype="<i8").tobytes(),
        "measures": np.array([measures(shape) for shape in shapes], dtype="<f8").tobytes(),
        "cells": b"".join(one["cell"] for one in documents),
        "symbols": symbols,
        "kinds": bytes(kinds),
    }


def _bucket(
    blocks: Sequence[Block],
    passed_over: Collection[str],
    loose: Sequence[Document],
    left_out: Collection[str],
) -> Bucket:
    """What blocks hold, but for names that are passed over, and what is loose, in turn."""
    shapes: list[Shape] = [KeptShape(one["record"], one) for one in loose]
    turns: list[NDArray[np.int64]] = [np.array([one["turn"] for one in loose]).reshape(-1, 3)]
    rows: list[FloatArray] = [np.full((len(loose), MEASURES), np.nan)]
    rows[0][:, 0] = [shape.volume_per_atom for shape in shapes]
    names = [one["_id"] for one in loose]
    for block in blocks:
        shapes += block.shapes()
        turns.append(block.turns)
        rows.append(block.measures)
        names += ["" if name in passed_over else name for name in block.names]
    order = np.lexsort(np.concatenate(turns).T[::-1])
    taken = [row for row in order.tolist() if names[row] and shapes[row].id not in left_out]
    return Bucket([shapes[row] for row in taken], np.concatenate(rows)[taken])
