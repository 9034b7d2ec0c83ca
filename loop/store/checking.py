"""What is wrong with stored documents: none of their model, of no campaign, of nothing that is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial

from pydantic import BaseModel

from niobe.config.spec import SCHEMA_VERSION, CampaignSpec
from niobe.loop.documents.answers import SecondAnswer
from niobe.loop.documents.entries import SourceEntry
from niobe.loop.documents.records import StructureRecord
from niobe.loop.documents.rounds import CampaignRecord, HullRecord, PhononRecord, RoundRecord
from niobe.loop.store.database import Database
from niobe.loop.store.foreign import check_crystals, in_a_line
from niobe.loop.store.forgetting import HANGING, remove
from niobe.loop.store.mapping import Document, from_mongo, without_id

_MODELS: dict[str, type[BaseModel]] = {
    "campaigns": CampaignRecord,
    "structures": StructureRecord,
    "entries": SourceEntry,
    "answers": SecondAnswer,
    "rounds": RoundRecord,
    "hulls": HullRecord,
    "phonons": PhononRecord,
}
_OWN_KEYS = {"campaigns", "structures", "entries", "answers"}
"""Collections whose documents carry their own id."""


def counts(database: Database) -> dict[str, int]:
    """How many documents there are, by collection.

    database: the campaign database.
    """
    return {name: database.mongo[name].count_documents({}) for name in _MODELS}


def broken(database: Database) -> Iterator[tuple[str, str, str]]:
    """Collection, id and problem of each document that its model refuses, or whose files are gone.

    database: the campaign database.
    """
    for collection, model in _MODELS.items():
        for document in database.mongo[collection].find({}):
            problem = _problem(collection, model, document)
            if problem:
                yield collection, str(document["_id"])[:80], problem
    for identifier, file in database.checkpoints.without_contents():
        yield "checkpoints", str(identifier), f"the content of {file} is gone"


def _problem(collection: str, model: type[BaseModel], document: Document) -> str:
    version = document.get("schema_version", 0)
    if isinstance(version, int) and version > SCHEMA_VERSION:
        return f"schema version {version}; this Niobe reads {SCHEMA_VERSION}"
    try:
        record = model.model_validate(
            from_mongo(document) if collection in _OWN_KEYS else without_id(document)
        )
        if isinstance(record, CampaignRecord):
            CampaignSpec.model_validate(record.spec)
        else:
            check_crystals(document)
    except ValueError as error:
        return in_a_line(error)[:200]
    return ""


def without_campaign(database: Database) -> dict[str, dict[str, int]]:
    """What there is of campaigns that are not there: how many documents, by campaign and collection.

    database: the campaign database.
    """
    known = {found["_id"] for found in database.mongo["campaigns"].find({}, {"_id": 1})}
    found: dict[str, dict[str, int]] = {}
    for collection, field in (
        *((name, "campaign") for name in (*HANGING, "checkpoints")),
        ("outputs", "metadata.campaign"),
    ):
        for name in set(database.mongo[collection].distinct(field)) - known:
            count = database.mongo[collection].count_documents({field: name})
            found.setdefault(str(name), {})[collection] = count
    return dict(sorted(found.items()))


def orphans(database: Database) -> dict[str, tuple[int, Callable[[], None]]]:
    """How many phonons have no structure, fingerprints no entry, parts of blobs no blob, contents of
    checkpoints no checkpoint; what removes them.

    database: the campaign database.
    """
    found: dict[str, tuple[int, Callable[[], None]]] = {}
    for collection, owners in (("phonons", "structures"), ("fingerprints", "entries")):
        gone = list(_ids(database, collection) - _ids(database, owners))
        found[collection] = (len(gone), partial(_remove_ids, database, collection, "_id", gone))
    for name in sorted(database.mongo.list_collection_names()):
        if name.endswith(".chunks"):
            parts = _lost_parts(database, name)
            found[name] = (len(parts), partial(_remove_ids, database, name, "files_id", parts))
    unnamed = database.checkpoints.unnamed_contents(_a_day_ago())
    remove_unnamed = partial(database.checkpoints.remove_contents, unnamed)
    return found | {"contents of checkpoints": (len(unnamed), remove_unnamed)}


def _ids(database: Database, collection: str) -> set[object]:
    return {found["_id"] for found in database.mongo[collection].find({}, {"_id": 1})}


def _lost_parts(database: Database, chunks: str) -> list[object]:
    """Blobs of which only parts were stored, a day ago or earlier: GridFS stores the parts first."""
    from bson import ObjectId

    blobs = _ids(database, f"{chunks.removesuffix('.chunks')}.files")
    parts = set(database.mongo[chunks].distinct("files_id")) - blobs
    return [one for one in parts if isinstance(one, ObjectId) and one.generation_time < _a_day_ago()]


def _a_day_ago() -> datetime:
    return datetime.now(UTC) - timedelta(days=1)


def _remove_ids(database: Database, collection: str, field: str, ids: list[object]) -> None:
    for one in ids:
        remove(database, collection, {field: one})


def wrongly_grouped(database: Database) -> list[str]:
    """Formulas (OPTIMADE form) of entries whose group is open, or named after an entry that is gone.

    database: the campaign database.
    """
    known = _ids(database, "entries")
    entries = database.mongo["entries"].find({}, {"group": 1, "formula_reduced": 1})
    return sorted({found["formula_reduced"] for found in entries if found.get("group") not in known})
