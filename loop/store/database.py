"""The campaign database: the only module that queries MongoDB. Every write is an idempotent upsert."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from niobe.config.errors import ConfigError
from niobe.config.loading import as_begun
from niobe.config.settings import Settings
from niobe.config.spec import SCHEMA_VERSION, CampaignSpec
from niobe.loop.documents.entries import SourceEntry
from niobe.loop.documents.records import Status, StructureRecord
from niobe.loop.documents.rounds import CampaignRecord, HullRecord, PhononRecord, RoundRecord
from niobe.loop.store.mapping import (
    Document,
    body,
    derived,
    differences,
    from_mongo,
    load,
    modified_now,
    plain,
    without_id,
)
from niobe.loop.store.queries import INDEXED_FIELDS

if TYPE_CHECKING:
    from pymongo.database import Database as MongoDatabase

_TIMEOUT_MS = 10_000
_HAS_FACETS = "facets.nperiodic_dimensions"
_COUNTED_FIELDS = ("acquired_round", "choice.selection", "verdict.discovery", "verdict.discovery_round")


@dataclass
class Stored:
    """Ids of entries that were new or changed, and the formulas whose groups they touch."""

    new: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    formulas: set[str] = field(default_factory=set)


class Database:
    """Campaigns, structure records, rounds, hulls and phonons of one MongoDB database."""

    def __init__(self, mongo: MongoDatabase[Document]) -> None:
        self._mongo = mongo

    @classmethod
    def connect(cls, uri: str, name: str) -> Database:
        """Connect, make the indexes.

        Raises ConfigError for what is no URI or no name, and where no server answers at ``uri``.
        """
        from pymongo import MongoClient
        from pymongo.errors import InvalidName, PyMongoError

        try:
            client: MongoClient[Document] = MongoClient(uri, serverSelectionTimeoutMS=_TIMEOUT_MS)
        except (PyMongoError, ValueError) as error:
            kind = type(error).__name__
            raise ConfigError(f"NIOBE_MONGO_URI: no MongoDB URI (mongodb://host/ is one): {kind}") from None
        try:
            database = cls(client[name])
        except InvalidName as error:
            client.close()
            raise ConfigError(f"NIOBE_DATABASE: {name!r}: {error}") from None
        try:
            client.admin.command("ping")
            database._make_indexes()
        except PyMongoError as error:
            client.close()
            raise ConfigError(f"mongo_uri: no database answers ({type(error).__name__})") from error
        return database

    def close(self) -> None:
        """Close the connection."""
        self._mongo.client.close()

    def _make_indexes(self) -> None:
        from pymongo import IndexModel

        fields = [("campaign", key) for key in ("round", "status", *INDEXED_FIELDS, *_COUNTED_FIELDS)]
        alone: list[tuple[str, ...]] = [("lineage.parents",), ("facets.id",), ("nelements",), (_HAS_FACETS,)]
        alone += [("validation.oracle", "chemsys"), ("fingerprint",)]
        for collection, keys, unique in (
            ("structures", [*fields, *alone], False),
            ("entries", [("formula_reduced",), ("source",), ("chemsys",), ("group",)], False),
            ("rounds", [("campaign", "number")], True),
            ("hulls", [("campaign", "round")], True),
        ):
            models = [IndexModel([(name, 1) for name in key], unique=unique) for key in keys]
            self._mongo[collection].create_indexes(models)

    # campaigns

    def campaign(self, campaign: str) -> CampaignRecord | None:
        """The campaign, or None. Raises ConfigError where a newer Niobe wrote it."""
        document = self._mongo["campaigns"].find_one({"_id": campaign})
        if document is not None and document.get("schema_version", 0) > SCHEMA_VERSION:
            raise ConfigError(
                f"campaign {campaign!r}: schema version {document['schema_version']} is newer than this "
                f"Niobe's {SCHEMA_VERSION}; update Niobe"
            )
        return None if document is None else CampaignRecord.model_validate(from_mongo(document))

    def campaigns(self) -> list[CampaignRecord]:
        """All campaigns, by id."""
        return load(CampaignRecord, self._mongo["campaigns"].find({}, sort=[("_id", 1)]))

    def create_campaign(self, spec: CampaignSpec) -> CampaignRecord:
        """The campaign of that id, made if new.

        Raises ConfigError where it exists and began with another value of a key that ``spec`` names.
        """
        record = CampaignRecord(
            id=spec.id,
            spec=spec.model_dump(mode="json"),
            spec_digest=spec.digest(),
            schema_version=SCHEMA_VERSION,
        )
        self._mongo["campaigns"].update_one({"_id": spec.id}, {"$setOnInsert": body(record)}, upsert=True)
        stored = self.campaign(spec.id) or record
        begun = CampaignSpec.model_validate(stored.spec)
        asked = as_begun(spec, begun)
        if asked.digest() != begun.digest():
            changed = differences(begun.model_dump(mode="json"), asked.model_dump(mode="json"))
            raise ConfigError(
                f"campaign {spec.id!r} exists with another spec ({changed}); "
                "give the file a new id to fork it, or what it began with; `niobe budget` adds to a budget"
            )
        return stored

    def update_campaign(self, campaign: str, **fields: Any) -> None:
        """Set fields of a campaign. Raises ConfigError where there is none."""
        if not self._mongo["campaigns"].update_one({"_id": campaign}, {"$set": fields}).matched_count:
            raise ConfigError(f"campaign {campaign!r} is not in the database")

    # structure records

    def insert(self, records: Iterable[StructureRecord]) -> None:
        """Add records that are not there yet; records that are stay as they are."""
        from pymongo import UpdateOne

        writes = [
            UpdateOne({"_id": r.id}, {"$setOnInsert": body(r) | derived(r)}, upsert=True) for r in records
        ]
        if writes:
            self._mongo["structures"].bulk_write(writes)

    def complete(self) -> None:
        """Add what searches need to records that an earlier Niobe stored without it."""
        everything = self._mongo["structures"].count_documents({})
        if self._mongo["structures"].count_documents({_HAS_FACETS: 3}) == everything:
            return
        for document in self._mongo["structures"].find({_HAS_FACETS: None}):
            record = StructureRecord.model_validate(from_mongo(document))
            self._mongo["structures"].update_one({"_id": record.id}, {"$set": derived(record)})

    def record(self, record: str) -> StructureRecord:
        """The record of that id. Raises ConfigError where there is none."""
        document = self._mongo["structures"].find_one({"_id": record})
        if document is None:
            raise ConfigError(f"structure {record!r} is not in the database")
        return StructureRecord.model_validate(from_mongo(document))

    def records(self, campaign: str, *, limit: int = 0, **equal: Any) -> list[StructureRecord]:
        """Records of a campaign whose fields equal what is given, by round and index; limit 0: all."""
        query = {"campaign": campaign} | {key.replace("__", "."): value for key, value in equal.items()}
        found = self._mongo["structures"].find(query, sort=[("round", 1), ("index", 1)], limit=limit)
        return load(StructureRecord, found)

    def count(self, campaign: str, **equal: Any) -> int:
        """How many records of a campaign have fields equal to what is given."""
        query = {"campaign": campaign} | {key.replace("__", "."): value for key, value in equal.items()}
        return self._mongo["structures"].count_documents(query)

    def page(
        self,
        campaign: str,
        query: Mapping[str, Any],
        *,
        sort: tuple[str, int],
        skip: int,
        limit: int,
        seconds: float,
    ) -> list[StructureRecord]:
        """Records of a campaign that match a query, some at a time. Raises ConfigError where it takes longer.

        sort: a field and 1 (ascending) or -1.

        skip: documents to pass over. limit: documents at most. seconds: most time it may take.
        """
        found = self._mongo["structures"].find(
            _within(campaign, query),
            sort=[sort],
            skip=skip,
            limit=limit,
            max_time_ms=_milliseconds(seconds),
            batch_size=limit,
            hint=[("campaign", 1), (sort[0], 1)],
        )
        with _answered_in_time(seconds):
            return load(StructureRecord, found)

    def count_matching(self, campaign: str, query: Mapping[str, Any], *, indexed: str, seconds: float) -> int:
        """How many records of a campaign match a query. Raises ConfigError where it takes longer.

        indexed: the field whose index is used.

        seconds: most time it may take.
        """
        with _answered_in_time(seconds):
            return self._mongo["structures"].count_documents(
                _within(campaign, query),
                maxTimeMS=_milliseconds(seconds),
                hint=[("campaign", 1), (indexed, 1)],
            )

    def discovered(self, campaign: str) -> list[StructureRecord]:
        """What was a discovery in any round, displaced ones included, by round."""
        field = "verdict.discovery_round"
        query = {"campaign": campaign, field: {"$gte": 0}}
        found = self._mongo["structures"].find(query, sort=[(field, 1)], hint=[("campaign", 1), (field, 1)])
        return load(StructureRecord, found)

    def children(self, record: str) -> list[StructureRecord]:
        """Records made from this one."""
        return load(StructureRecord, self._mongo["structures"].find({"lineage.parents": record}))

    def exists(self, campaign: str, **equal: Any) -> bool:
        """Whether a record of a campaign has fields equal to what is given; name the rarest value first."""
        query = {key.replace("__", "."): value for key, value in equal.items()} | {"campaign": campaign}
        return self._mongo["structures"].find_one(query, {"_id": 1}) is not None

    def pool(self, campaign: str) -> list[StructureRecord]:
        """Screened candidates that may still be acquired, of all rounds; of competing phases those pinned."""
        drawn = {"round": {"$gte": 1}, "lineage.origin.subsystem": None}
        return self._screened(campaign, [{"pinned": True}, drawn])

    def _screened(self, campaign: str, either: list[Document]) -> list[StructureRecord]:
        query = {"campaign": campaign, "status": Status.SCREENED.value, "$or": either}
        found = self._mongo["structures"].find(query, sort=[("round", 1), ("index", 1)])
        return load(StructureRecord, found)

    def update_record(self, record: str, **fields: Any) -> None:
        """Set fields of one record in one atomic write. Models are stored as plain documents."""
        self._mongo["structures"].update_one({"_id": record}, {"$set": plain(fields) | modified_now()})

    def update_records(self, changes: Mapping[str, Mapping[str, Any]]) -> None:
        """Set fields of many records, by id; each record is written atomically, in the order given."""
        from pymongo import UpdateOne

        writes = [
            UpdateOne({"_id": record}, {"$set": plain(dict(fields)) | modified_now()})
            for record, fields in changes.items()
        ]
        if writes:
            self._mongo["structures"].bulk_write(writes)

    def finish_validation(self, record: str, **fields: Any) -> bool:
        """Store the outcome of a validation unless one is stored already; True where this call stored it."""
        open_ = {"$nin": [Status.VALIDATED.value, Status.FAILED.value]}
        return self._update_while(record, open_, fields)

    def update_screened(self, record: str, **fields: Any) -> bool:
        """Set fields of a record unless it is no screened candidate any more; True where this call did."""
        return self._update_while(record, Status.SCREENED.value, fields)

    def _update_while(self, record: str, status: Any, fields: dict[str, Any]) -> bool:
        query = {"_id": record, "status": status}
        done = self._mongo["structures"].update_one(query, {"$set": plain(fields) | modified_now()})
        return done.matched_count == 1

    # source entries

    def store_entries(self, entries: Sequence[SourceEntry]) -> Stored:
        """Add entries, and replace those whose digest differs; the groups of changed ones are opened."""
        from pymongo import ReplaceOne

        ids = {"_id": {"$in": [entry.id for entry in entries]}}
        known = {found["_id"]: found["digest"] for found in self._mongo["entries"].find(ids, {"digest": 1})}
        writing = [entry for entry in entries if known.get(entry.id) != entry.digest]
        stored = Stored(
            new=[entry.id for entry in writing if entry.id not in known],
            changed=[entry.id for entry in writing if entry.id in known],
            formulas={entry.formula_reduced for entry in writing},
        )
        if stored.changed:
            members = {"group": {"$in": stored.changed}}
            self._mongo["entries"].update_many(members, {"$set": {"group": ""}})
        if writing:
            writes = [ReplaceOne({"_id": entry.id}, body(entry), upsert=True) for entry in writing]
            self._mongo["entries"].bulk_write(writes, ordered=False)
        return stored

    def entries(
        self,
        *,
        formulas: Sequence[str] | None = None,
        sources: Sequence[str] | None = None,
        systems: Sequence[str] | None = None,
    ) -> list[SourceEntry]:
        """Entries by id: of these formulas (OPTIMADE form), sources and chemical systems, where given."""
        chosen = {"formula_reduced": formulas, "source": sources, "chemsys": systems}
        query = {key: {"$in": list(values)} for key, values in chosen.items() if values is not None}
        return load(SourceEntry, self._mongo["entries"].find(query, sort=[("_id", 1)]))

    def entry_ids(self, formulas: Sequence[str]) -> tuple[list[str], list[str]]:
        """Ids of entries alone with their formula, and the formulas that several entries share."""
        by_formula: dict[str, list[str]] = {}
        query = {"formula_reduced": {"$in": list(formulas)}}
        for found in self._mongo["entries"].find(query, {"formula_reduced": 1}):
            by_formula.setdefault(found["formula_reduced"], []).append(found["_id"])
        alone = [ids[0] for ids in by_formula.values() if len(ids) == 1]
        return alone, sorted(formula for formula, ids in by_formula.items() if len(ids) > 1)

    def ungrouped_formulas(self) -> set[str]:
        """Formulas of entries without a group: those of an ingest that was cut short."""
        found = self._mongo["entries"].find({"group": ""}, {"formula_reduced": 1})
        return {document["formula_reduced"] for document in found}

    def store_groups(self, groups: Mapping[str, str]) -> None:
        """Set the representative's id of each entry."""
        from pymongo import UpdateOne

        writes = [UpdateOne({"_id": entry}, {"$set": {"group": first}}) for entry, first in groups.items()]
        if writes:
            self._mongo["entries"].bulk_write(writes, ordered=False)

    def count_groups(self, source: str) -> int:
        """How many groups have a member of a source."""
        return len(self._mongo["entries"].distinct("group", {"source": source}))

    def count_sources(self) -> dict[str, int]:
        """Entries by source."""
        names = sorted(self._mongo["entries"].distinct("source"))
        return {name: self._mongo["entries"].count_documents({"source": name}) for name in names}

    # rounds

    def open_round(self, campaign: str, number: int) -> RoundRecord:
        """The round of that number, opened if it is not there."""
        record = RoundRecord(campaign=campaign, number=number)
        key = {"campaign": campaign, "number": number}
        self._mongo["rounds"].update_one(key, {"$setOnInsert": record.model_dump(mode="json")}, upsert=True)
        return self.round(campaign, number)

    def round(self, campaign: str, number: int) -> RoundRecord:
        """One round. Raises ConfigError where it was never opened."""
        document = self._mongo["rounds"].find_one({"campaign": campaign, "number": number})
        if document is None:
            raise ConfigError(f"campaign {campaign!r} has no round {number}")
        return RoundRecord.model_validate(without_id(document))

    def rounds(self, campaign: str) -> list[RoundRecord]:
        """All rounds of a campaign in order."""
        found = self._mongo["rounds"].find({"campaign": campaign}, sort=[("number", 1)])
        return [RoundRecord.model_validate(without_id(document)) for document in found]

    def update_round(self, campaign: str, number: int, **fields: Any) -> None:
        """Set fields of one round; a key with ``__`` reaches into a subdocument."""
        changes = {key.replace("__", "."): value for key, value in plain(fields).items()}
        self._mongo["rounds"].update_one({"campaign": campaign, "number": number}, {"$set": changes})

    def add_notes(self, campaign: str, number: int, notes: Sequence[str]) -> None:
        """Add notes to a round, each once, whatever other steps of it note at the same time.

        campaign: its id. number: of the round.
        """
        if notes:
            added = {"$addToSet": {"notes": {"$each": list(notes)}}}
            self._mongo["rounds"].update_one({"campaign": campaign, "number": number}, added)

    # hulls and phonons

    def store_hull(self, hull: HullRecord) -> None:
        """Store the hull of a round; the same round again replaces it."""
        key = {"campaign": hull.campaign, "round": hull.round}
        self._mongo["hulls"].replace_one(key, hull.model_dump(mode="json"), upsert=True)

    def hulls(self, campaign: str) -> list[HullRecord]:
        """The hulls of all closed rounds in order."""
        found = self._mongo["hulls"].find({"campaign": campaign}, sort=[("round", 1)])
        return [HullRecord.model_validate(without_id(document)) for document in found]

    def store_phonons(self, phonons: PhononRecord) -> None:
        """Store bands and soft modes of one structure record."""
        document = phonons.model_dump(mode="json")
        self._mongo["phonons"].replace_one({"_id": phonons.record_id}, document, upsert=True)

    def phonons(self, record: str) -> PhononRecord | None:
        """Bands, soft modes and force constants of one structure record, or None where it has no phonons."""
        document = self._mongo["phonons"].find_one({"_id": record})
        return None if document is None else PhononRecord.model_validate(without_id(document))

    # whole documents: upgrade, bundles

    def is_older(self) -> bool:
        """Whether a campaign is of an older schema version; its records are brought up to date before it."""
        older = {"schema_version": {"$lt": SCHEMA_VERSION}}
        return self._mongo["campaigns"].find_one(older, {"_id": 1}) is not None

    def older_documents(self, collection: str, version: int) -> list[Document]:
        """Documents of a schema version below ``version``, as their models take them."""
        older = {"schema_version": {"$lt": version}}
        return [from_mongo(document) for document in self._mongo[collection].find(older, sort=[("_id", 1)])]

    def rewrite(self, collection: str, record: CampaignRecord | StructureRecord) -> None:
        """Store all fields of a record that is there, and drop those it has no more; what is beside stays."""
        stored = self._mongo[collection].find_one({"_id": record.id}) or {}
        gone = (
            dict.fromkeys(from_mongo(stored).keys() - type(record).model_fields.keys(), "") if stored else {}
        )
        change = {"$set": body(record)} | ({"$unset": gone} if gone else {})
        self._mongo[collection].update_one({"_id": record.id}, change)

    def dump(
        self, collections: Iterable[str], campaign: str, entries: Sequence[str]
    ) -> Iterator[tuple[str, Iterable[Document]]]:
        """A campaign's documents of each collection, as stored, and the source entries of these ids.

        collections: to look in.
        """
        for name in collections:
            query = (
                self._of_campaign(name, campaign) if name != "entries" else {"_id": {"$in": list(entries)}}
            )
            if self._mongo[name].count_documents(query):
                yield name, self._mongo[name].find(query, sort=[("_id", 1)])

    def missing(self, collection: str, documents: Sequence[Document]) -> list[Document]:
        """Those that are not stored. Raises ConfigError where another is stored under an id."""
        ids = {"_id": {"$in": [document["_id"] for document in documents]}}
        known = {document["_id"]: document for document in self._mongo[collection].find(ids)}
        for document in documents:
            if known.get(document["_id"], document) != document:
                raise ConfigError(f"{collection} {document['_id']}: another document is stored under this id")
        return [document for document in documents if document["_id"] not in known]

    def foreign_ids(self, collection: str, campaign: str, held: Collection[object]) -> list[str]:
        """Ids of a campaign's documents in a collection that are none of ``held``."""
        found = self._mongo[collection].find(self._of_campaign(collection, campaign), {"_id": 1})
        return [str(one["_id"]) for one in found if one["_id"] not in held]

    def restore(self, collection: str, documents: Sequence[Document]) -> None:
        """Insert documents as they are; the same again changes nothing."""
        from pymongo import ReplaceOne

        writes = [ReplaceOne({"_id": document["_id"]}, document, upsert=True) for document in documents]
        if writes:
            self._mongo[collection].bulk_write(writes, ordered=False)

    def _of_campaign(self, collection: str, campaign: str) -> Document:
        return {"_id" if collection == "campaigns" else "campaign": campaign}

    def enforce(self, schemas: Mapping[str, Document]) -> bool:
        """Have the server check documents by ``$jsonSchema``; False where it is the embedded one.

        pydantic checks every document that Niobe itself writes or reads, whatever the server.
        """
        if "niobe-embedded" in self._mongo.client.server_info().get("modules", []):
            return False
        for collection, schema in schemas.items():
            if collection not in self._mongo.list_collection_names():
                self._mongo.create_collection(collection)
            self._mongo.command("collMod", collection, validator={"$jsonSchema": schema})
        return True

    @property
    def mongo(self) -> MongoDatabase[Document]:
        """The pymongo database underneath, for read-only pages."""
        return self._mongo


@contextmanager
def open_database() -> Iterator[Database]:
    """The database this machine's settings name. Raises ConfigError where none is named or none answers."""
    settings = Settings()
    if not settings.mongo_uri:
        raise ConfigError("NIOBE_MONGO_URI: not set; a `niobe` command sets it for what it starts")
    database = Database.connect(settings.mongo_uri, settings.database)
    try:
        yield database
    finally:
        database.close()


def _within(campaign: str, query: Mapping[str, Any]) -> Document:
    return {"$and": [{"campaign": campaign}, dict(query)]} if query else {"campaign": campaign}


def _milliseconds(seconds: float) -> int:
    return max(1, round(1000 * seconds))


@contextmanager
def _answered_in_time(seconds: float) -> Iterator[None]:
    """One line to the user where the server gave up on a query or would not run it."""
    from pymongo.errors import ExecutionTimeout, OperationFailure

    try:
        yield
    except ExecutionTimeout:
        raise ConfigError(f"query: takes longer than {seconds:g} s; narrow it by an indexed field") from None
    except OperationFailure as error:
        raise ConfigError(f"query: the database refuses it ({str(error)[:120]})") from None
