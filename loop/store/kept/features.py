"""What acquisition measures distance in, of candidates that wait: the collection ``features``.

A row follows from a crystal and the surrogate that looked at it. It is kept under what names both, so that it
is found only as long as they are the same; without it, it is computed again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import numpy as np

from niobe.loop.store.mapping import Document
from niobe.loop.store.unchanged import puts
from niobe.surrogates.protocols import FloatArray

if TYPE_CHECKING:
    from pymongo.collection import Collection as MongoCollection


class Features:
    """Rows of candidates, by the ids of their records."""

    def __init__(self, features: MongoCollection[Document]) -> None:
        """features: the collection."""
        self._features = features

    def find(self, names: Mapping[str, str]) -> dict[str, FloatArray]:
        """Rows (d,) by record, of those that are kept under the very name.

        names: by record, what its row is made of.
        """
        found = self._features.find({"_id": {"$in": list(names)}})
        return {one["_id"]: np.frombuffer(one["row"]) for one in found if one["of"] == names[one["_id"]]}

    def keep(self, campaign: str, names: Mapping[str, str], rows: Mapping[str, FloatArray]) -> None:
        """Keep rows (d,) of some candidates, in place of those before.

        campaign: its id. names: by record, what its row is made of. rows: by record.
        """
        if not rows:
            return
        there = {
            one["_id"]: one["of"] for one in self._features.find({"_id": {"$in": list(rows)}}, {"of": 1})
        }
        new: list[Document] = [
            {"_id": record, "campaign": campaign, "of": names[record], "row": row.astype("<f8").tobytes()}
            for record, row in rows.items()
        ]
        self._features.bulk_write(puts(new, {record: {"of": of} for record, of in there.items()}))

    def drop_others(self, campaign: str, records: Collection[str]) -> None:
        """Drop the rows of all candidates but some. campaign: its id. records: those that still wait."""
        there = {one["_id"] for one in self._features.find({"campaign": campaign}, {"_id": 1})}
        gone = there.difference(records)
        if gone:
            self._features.delete_many({"_id": {"$in": sorted(gone)}})
