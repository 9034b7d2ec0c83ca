"""Whole documents of any collection, as upgrade and bundles move them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from niobe.config.errors import ConfigError
from niobe.config.spec import SCHEMA_VERSION
from niobe.loop.documents.records import StructureRecord
from niobe.loop.documents.rounds import CampaignRecord
from niobe.loop.store.mapping import MARKS, Document, body, from_mongo, unpacked

if TYPE_CHECKING:
    from pymongo.database import Database as MongoDatabase


class Documents:
    """Whole documents of any collection, as upgrade and bundles move them."""

    def __init__(self, mongo: MongoDatabase[Document]) -> None:
        self._mongo = mongo

    def has_older_campaign(self) -> bool:
        """Whether a campaign is of an older schema version; its records are brought up to date before it."""
        older = {"schema_version": {"$lt": SCHEMA_VERSION}}
        return self._mongo["campaigns"].find_one(older, {"_id": 1}) is not None

    def older(self, collection: str, version: int) -> list[Document]:
        """Documents of a schema version below ``version``, as their models take them."""
        older = {"schema_version": {"$lt": version}}
        return [from_mongo(document) for document in self._mongo[collection].find(older, sort=[("_id", 1)])]

    def rewrite(self, collection: str, record: CampaignRecord | StructureRecord) -> None:
        """Store all fields of a record that is there, and drop those it has no more; what is beside stays."""
        stored = self._mongo[collection].find_one({"_id": record.id}) or {}
        gone = (
            dict.fromkeys(from_mongo(stored).keys() - type(record).model_fields.keys(), "") if stored else {}
        )
        written = body(record)
        marks = unpacked({"status": written["status"]}) if isinstance(record, StructureRecord) else {}
        change = {"$set": written | marks} | ({"$unset": gone} if gone else {})
        self._mongo[collection].update_one({"_id": record.id}, change)

    def dump(
        self, collections: Iterable[str], campaign: str, entries: Sequence[str]
    ) -> Iterator[tuple[str, Iterable[Document]]]:
        """A campaign's documents of each collection, as stored, and the source entries of these ids.

        collections: to look in.
        """
        for name in collections:
            query = _of_campaign(name, campaign) if name != "entries" else {"_id": {"$in": list(entries)}}
            if self._mongo[name].count_documents(query):
                yield name, self._mongo[name].find(query, dict.fromkeys(MARKS, 0), sort=[("_id", 1)])

    def missing(self, collection: str, documents: Sequence[Document]) -> list[Document]:
        """Those that are not stored. Raises ConfigError where another is stored under an id."""
        ids = {"_id": {"$in": [document["_id"] for document in documents]}}
        known = {document["_id"]: document for document in self._mongo[collection].find(ids)}
        for document in documents:
            if _unmarked(known.get(document["_id"], document)) != _unmarked(document):
                raise ConfigError(f"{collection} {document['_id']}: another document is stored under this id")
        return [document for document in documents if document["_id"] not in known]

    def foreign_ids(self, collection: str, campaign: str, held: Collection[object]) -> list[str]:
        """Ids of a campaign's documents in a collection that are none of ``held``."""
        found = self._mongo[collection].find(_of_campaign(collection, campaign), {"_id": 1})
        return [str(one["_id"]) for one in found if one["_id"] not in held]

    def restore(self, collection: str, documents: Sequence[Document]) -> None:
        """Insert documents as they are; the same again changes nothing. What is kept of structures goes."""
        from pymongo import ReplaceOne

        writes = [ReplaceOne({"_id": document["_id"]}, document, upsert=True) for document in documents]
        if writes:
            self._mongo[collection].bulk_write(writes, ordered=False)
        if writes and collection == "structures":
            self.drop_kept({one["campaign"] for one in documents})

    def drop_kept(self, campaigns: Iterable[str]) -> None:
        """Have what is kept of the structures of campaigns made anew. campaigns: their ids."""
        whole = [f"all of {campaign}" for campaign in campaigns]
        for kept in ("shapes", "results"):
            self._mongo[kept].delete_many({"_id": {"$in": whole}})


def _unmarked(document: Document) -> Document:
    return {key: value for key, value in document.items() if key not in MARKS}


def _of_campaign(collection: str, campaign: str) -> Document:
    return {"_id" if collection == "campaigns" else "campaign": campaign}
