"""The campaign database: with ``collections`` and ``shared`` alone in querying MongoDB.

Every write is an idempotent upsert.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from niobe.config.errors import ConfigError, GoneError
from niobe.config.settings import Settings, patience
from niobe.loop.documents.rounds import RoundRecord
from niobe.loop.store.claims import Claim, ClaimedCollection
from niobe.loop.store.collections.answers import Answers
from niobe.loop.store.collections.campaigns import Campaigns
from niobe.loop.store.collections.checkpoints import Checkpoints
from niobe.loop.store.collections.documents import Documents
from niobe.loop.store.collections.entries import Entries
from niobe.loop.store.collections.fingerprints import Fingerprints
from niobe.loop.store.collections.holders import Holders
from niobe.loop.store.collections.hulls import Hulls
from niobe.loop.store.collections.phonons import Phonons
from niobe.loop.store.collections.records import Candidates, Records
from niobe.loop.store.collections.rounds import Rounds
from niobe.loop.store.collections.search import HAS_FACETS, RecordSearch
from niobe.loop.store.kept.blocks import BLOCK, LOOSE
from niobe.loop.store.kept.features import Features
from niobe.loop.store.kept.results import Results
from niobe.loop.store.kept.shapes import Shapes
from niobe.loop.store.mapping import UNPACKED, UNSHAPED, Document
from niobe.loop.store.queries import INDEXED_FIELDS
from niobe.loop.store.unchanged import Fields

if TYPE_CHECKING:
    from pymongo.collection import Collection as MongoCollection
    from pymongo.database import Database as MongoDatabase

_TIMEOUT_MS = 10_000
_COUNTED_FIELDS = (
    *("acquired_round", "choice.selection"),
    *("verdict.discovery", "verdict.discovery_round", "verdict.rediscovered"),
    *("prerelaxed.potential", "pinned", "modified", UNSHAPED, UNPACKED),
)
_INDEXED: set[tuple[str, str]] = set()
"""Servers and databases whose indexes this process has made; those of checkpoints are made last."""


class Database:
    """One MongoDB database: a connection, and an object for each kind of what is stored.

    mongo: the pymongo database underneath, for collections of other programs (FireWorks, jobflow).
    claim: what is written is written only while it is held.
    """

    def __init__(self, mongo: MongoDatabase[Document], claim: Claim | None = None) -> None:
        def collection(name: str) -> MongoCollection[Document]:
            if claim is None:
                return mongo[name]
            return cast("MongoCollection[Document]", ClaimedCollection(mongo[name], claim, mongo["rounds"]))

        self.mongo = mongo
        self.campaigns = Campaigns(collection("campaigns"))
        self.records = Records(collection("structures"))
        self.candidates = Candidates(collection("structures"), claim.turn if claim else None)
        self.fields = Fields(collection("structures"))
        self.results = Results(collection("results"), collection("structures"))
        self.shapes = Shapes(collection("shapes"), collection("structures"))
        self.features = Features(collection("features"))
        self.search = RecordSearch(collection("structures"))
        self.entries = Entries(collection("entries"))
        self.fingerprints = Fingerprints(collection("fingerprints"))
        self.rounds = Rounds(mongo["rounds"], claim)
        self.hulls = Hulls(collection("hulls"))
        self.phonons = Phonons(collection("phonons"))
        self.answers = Answers(collection("answers"))
        self.checkpoints = Checkpoints(collection("checkpoints"), mongo)
        self.holders = Holders(mongo["holders"])
        self.documents = Documents(mongo)

    @classmethod
    def connect(cls, uri: str, name: str) -> Database:
        """Connect, make the indexes.

        Raises ConfigError for what is no URI or no name, where no server answers at ``uri``, and where a
        newer Niobe has written.
        """
        from pymongo import MongoClient
        from pymongo.errors import InvalidName, PyMongoError

        try:
            client: MongoClient[Document] = MongoClient(
                uri, serverSelectionTimeoutMS=patience(uri, _TIMEOUT_MS)
            )
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
            database.campaigns.refuse_newer()
            database._make_indexes(uri)
        except PyMongoError as error:
            client.close()
            raise ConfigError(f"mongo_uri: no database answers ({type(error).__name__})") from error
        except ConfigError:
            client.close()
            raise
        return database

    def open_round(self, campaign: str, number: int) -> RoundRecord:
        """The round of that number, opened if it is not there and the one before is.

        A job that a forgotten campaign left somewhere makes nothing of it anew: the campaign is looked for
        before and after, and forgetting removes it first.
        campaign: its id. number: of the round. Raises GoneError where the campaign is not there, ConfigError
        where the round before was never opened.
        """
        self.campaigns.get(campaign)
        if number:
            self.rounds.get(campaign, number - 1)
        record = self.rounds.open(campaign, number)
        try:
            self.campaigns.get(campaign)
        except GoneError:
            self.mongo["rounds"].delete_one({"campaign": campaign, "number": number})
            raise
        return record

    def claimed(self, claim: Claim) -> Database | None:
        """This database, writing only while a claim is held; None where its step is over.

        ``rounds.finish`` gives it back. Of whoever had it nothing reaches a candidate any more.
        claim: to take.
        """
        taken = claim.taken(self.mongo["rounds"])
        if taken is None:
            return None
        claimed = Database(self.mongo, taken)
        if taken.turn is not None and taken.from_another:
            claimed.candidates.begin_choice(taken.campaign, taken.turn)
        return claimed

    def close(self) -> None:
        """Close the connection."""
        self.mongo.client.close()

    def _make_indexes(self, uri: str) -> None:
        """Once a process and database, unless somebody dropped it since: an index costs a question each."""
        from pymongo import IndexModel

        place = (uri, self.mongo.name)
        if place in _INDEXED and len(self.mongo["checkpoints"].index_information()) > 1:
            return

        fields = [("campaign", key) for key in ("round", "status", *INDEXED_FIELDS, *_COUNTED_FIELDS)]
        alone: list[tuple[str, ...]] = [("lineage.parents",), ("facets.id",), ("nelements",), (HAS_FACETS,)]
        alone += [("validation.oracle", "chemsys"), ("fingerprint",), ("formula_reduced",)]
        for collection, keys, unique in (
            ("structures", [*fields, *alone], False),
            ("entries", [("formula_reduced",), ("source",), ("chemsys",), ("group",)], False),
            ("fingerprints", [("amounts",)], False),
            ("shapes", [("key",), (LOOSE,), (BLOCK,), ("campaign", "form")], False),
            ("results", [("campaign",)], False),
            ("features", [("campaign",)], False),
            ("rounds", [("campaign", "number")], True),
            ("hulls", [("campaign", "round")], True),
            ("checkpoints", [("campaign", "number", "model")], True),
        ):
            models = [IndexModel([(name, 1) for name in key], unique=unique) for key in keys]
            self.mongo[collection].create_indexes(models)
        _INDEXED.add(place)

    def enforce(self, schemas: Mapping[str, Document]) -> bool:
        """Have the server check documents by ``$jsonSchema``; False where it is the embedded one.

        pydantic checks every document that Niobe itself writes or reads, whatever the server.
        """
        if "niobe-embedded" in self.mongo.client.server_info().get("modules", []):
            return False
        for collection, schema in schemas.items():
            if collection not in self.mongo.list_collection_names():
                self.mongo.create_collection(collection)
            self.mongo.command("collMod", collection, validator={"$jsonSchema": schema})
        return True


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
