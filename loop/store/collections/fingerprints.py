"""Fingerprints of source entries, each made once: the collection ``fingerprints``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from niobe.loop.store.mapping import Document
from niobe.surrogates.protocols import FloatArray

if TYPE_CHECKING:
    from pymongo.collection import Collection as MongoCollection


class Fingerprints:
    """Fingerprints of source entries, each made once: the collection ``fingerprints``."""

    def __init__(self, collection: MongoCollection[Document]) -> None:
        self._collection = collection

    def find(self, amounts: str, contents: Mapping[str, str]) -> dict[str, FloatArray]:
        """Those of entries of like proportions whose content is still that named, by id, each (k,).

        amounts: of the entries' formulas, as "3-1-1". contents: hash of each entry's structure, by id.
        """
        return {
            found["_id"]: np.frombuffer(found["framework"], dtype=np.float32)
            for found in self._collection.find({"amounts": amounts})
            if contents.get(found["_id"]) == found["content"]
        }

    def store(self, amounts: str, contents: Mapping[str, str], made: Mapping[str, FloatArray]) -> None:
        """Keep fingerprints by entry id; an earlier one of the same id is replaced."""
        from pymongo import ReplaceOne

        documents = [
            {
                "_id": entry,
                "amounts": amounts,
                "content": contents[entry],
                "framework": np.asarray(framework, dtype=np.float32).tobytes(),
            }
            for entry, framework in made.items()
        ]
        writes = [ReplaceOne({"_id": one["_id"]}, one, upsert=True) for one in documents]
        if writes:
            self._collection.bulk_write(writes, ordered=False)
