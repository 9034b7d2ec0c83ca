"""What campaigns were asked for and where they stand: the collection ``campaigns``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from niobe.config.errors import ConfigError, GoneError
from niobe.config.loading import as_begun
from niobe.config.spec import SCHEMA_VERSION, CampaignSpec
from niobe.loop.documents.rounds import CampaignRecord
from niobe.loop.store.mapping import Document, body, differences, from_mongo, load

if TYPE_CHECKING:
    from pymongo.collection import Collection as MongoCollection


class Campaigns:
    """What campaigns were asked for and where they stand: the collection ``campaigns``."""

    def __init__(self, collection: MongoCollection[Document]) -> None:
        self._collection = collection

    def refuse_newer(self, **equal: Any) -> None:
        """Raise ConfigError where a newer Niobe wrote a campaign: it may keep what this one does not know of.

        equal: fields of the campaigns that are asked about.
        """
        newer = self._collection.find_one(equal | {"schema_version": {"$gt": SCHEMA_VERSION}})
        if newer is not None:
            raise ConfigError(
                f"campaign {str(newer['_id'])[:60]!r}: schema version {newer['schema_version']} is newer "
                f"than this Niobe's {SCHEMA_VERSION}; update Niobe"
            )

    def find_one(self, campaign: str) -> CampaignRecord | None:
        """The campaign, or None. Raises ConfigError where a newer Niobe wrote it."""
        self.refuse_newer(_id=campaign)
        document = self._collection.find_one({"_id": campaign})
        return None if document is None else CampaignRecord.model_validate(from_mongo(document))

    def get(self, campaign: str) -> CampaignRecord:
        """The campaign. Raises GoneError where there is none, ConfigError as ``find_one`` does."""
        found = self.find_one(campaign)
        if found is None:
            raise GoneError(f"campaign {campaign!r} is not in the database")
        return found

    def find(self) -> list[CampaignRecord]:
        """All campaigns, by id."""
        return load(CampaignRecord, self._collection.find({}, sort=[("_id", 1)]))

    def create(self, spec: CampaignSpec) -> CampaignRecord:
        """The campaign of that id, made if new.

        Raises ConfigError where it exists and began with another value of a key that ``spec`` names.
        """
        record = CampaignRecord(
            id=spec.id,
            spec=spec.model_dump(mode="json"),
            spec_digest=spec.digest(),
            schema_version=SCHEMA_VERSION,
        )
        self._collection.update_one({"_id": spec.id}, {"$setOnInsert": body(record)}, upsert=True)
        stored = self.find_one(spec.id) or record
        begun = CampaignSpec.model_validate(stored.spec)
        asked = as_begun(spec, begun)
        if asked.digest() != begun.digest():
            changed = differences(begun.model_dump(mode="json"), asked.model_dump(mode="json"))
            raise ConfigError(
                f"campaign {spec.id!r} exists with another spec ({changed}); "
                "give the file a new id to fork it, or what it began with; `niobe budget` adds to a budget"
            )
        return stored

    def update(self, campaign: str, **fields: Any) -> None:
        """Set fields of a campaign. Raises GoneError where there is none."""
        if not self._collection.update_one({"_id": campaign}, {"$set": fields}).matched_count:
            raise GoneError(f"campaign {campaign!r} is not in the database")
