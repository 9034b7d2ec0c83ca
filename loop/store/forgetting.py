"""What hangs on a campaign or on source entries: counted, then removed; cut short, the same again ends it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from pydantic import ValidationError

from niobe.config.errors import ConfigError
from niobe.config.spec import CampaignSpec
from niobe.loop.crystals.similarity import content_hash
from niobe.loop.documents.records import Status, StructureRecord
from niobe.loop.documents.structures import relaxed_structure
from niobe.loop.store.database import Database
from niobe.loop.store.mapping import Document, load

HANGING = ("structures", "phonons", "shapes", "results", "features", "hulls", "rounds", "answers")
_JOURNAL = "forgetting"
_BATCH = 500
_NAMING = (
    *(f"verdict.novelty.{field}" for field in ("of", "structure_matcher", "minimum_distances")),
    *("duplicate_of", "verdict.duplicate_of", "lineage.parents"),
)
"""Fields of structures that name others."""


Kept = Mapping[str, Sequence[str]]
"""Ids of a campaign's documents that stay because others use them, by collection."""


@contextmanager
def noted(database: Database, what: str) -> Iterator[None]:
    """Has the database remember what is being forgotten until all of it is.

    database: the campaign database. what: kind and name.
    """
    journal = database.mongo[_JOURNAL]
    journal.update_one({"_id": what}, {"$setOnInsert": {"_id": what}}, upsert=True)
    yield
    journal.delete_one({"_id": what})


def unfinished(database: Database) -> list[str]:
    """Kind and name of what was begun to be forgotten, and cut short."""
    return sorted(found["_id"] for found in database.mongo[_JOURNAL].find({}, {"_id": 1}))


def check_not_begun(database: Database, kind: str, name: str) -> None:
    """Raises ConfigError where a campaign, source or entry is being forgotten, or was and was cut short:
    what is stored under its name meanwhile would go with it.

    database: the campaign database. kind: ``campaign``, ``source`` or ``entry``. name: its name.
    """
    if f"{kind} {name}" in unfinished(database):
        ends = f"`niobe forget {name} --kind {kind}` ends that, and the same again goes on"
        raise ConfigError(f"{kind} {name!r} is being forgotten, or was and was cut short; {ends}")


def check_source(database: Database, source: str) -> None:
    """Raises ConfigError where a source, or an entry of it, is being forgotten.

    database: the campaign database. source: its name.
    """
    check_not_begun(database, "source", source)
    for what in unfinished(database):
        kind, _, name = what.partition(" ")
        if kind == "entry" and name.startswith(f"{source}:"):
            check_not_begun(database, kind, name)


def is_campaign(database: Database, name: str) -> bool:
    """Whether there is a campaign of that id, whatever its document holds."""
    return database.mongo["campaigns"].find_one({"_id": name}, {"_id": 1}) is not None


def campaigns_reading(database: Database, source: str) -> list[str]:
    """Ids of the campaigns that name a source.

    database: the campaign database. source: its name.
    """
    found = database.mongo["campaigns"].find({"spec.sources.name": source}, {"_id": 1})
    return sorted(one["_id"] for one in found)


def specs_of_others(database: Database, campaign: str) -> list[Document]:
    """What the other campaigns were asked for, as stored.

    database: the campaign database. campaign: its id.
    """
    others = database.mongo["campaigns"].find({"_id": {"$ne": campaign}}, {"spec": 1})
    return [found.get("spec", {}) for found in others]


def check_not_forgotten(database: Database, campaign: str) -> None:
    """Raises ConfigError where a campaign is being forgotten, or is not there and structures of it are."""
    check_not_begun(database, "campaign", campaign)
    if not is_campaign(database, campaign) and database.records.exists(campaign):
        raise ConfigError(
            f"campaign {campaign!r} was forgotten or imported in part, and structures of it are there; "
            f"choose another id, or `niobe forget {campaign} --shared` removes them"
        )


def used_elsewhere(database: Database, campaign: str) -> Kept:
    """What of a campaign other campaigns build on.

    Structures of their systems that the same oracle validated (they compete in those hulls), those that a
    hull or a structure of theirs names, and what other oracles answered for any of these or for structures
    of their own. Raises ConfigError where another campaign cannot be read.

    database: the campaign database. campaign: its id.
    """
    used: set[str] = set()
    for other in database.mongo["campaigns"].find({"_id": {"$ne": campaign}}, {"spec": 1}):
        try:
            spec = CampaignSpec.model_validate(other["spec"])
        except (KeyError, ValidationError):
            raise ConfigError(
                f"campaign {other['_id']!r} cannot be read, nor what it uses; `niobe doctor` says why"
            ) from None
        used |= _used_by(database, spec, campaign)
    own = database.mongo["structures"].find({"campaign": campaign, "_id": {"$in": sorted(used)}}, {"_id": 1})
    structures = sorted(found["_id"] for found in own)
    answers = _answers_used(database, campaign, structures)
    return {"structures": structures, "phonons": structures, "answers": answers}


def _used_by(database: Database, spec: CampaignSpec, campaign: str) -> set[str]:
    structures, own = database.mongo["structures"], {"campaign": spec.id}
    oracles = [name for name in structures.distinct("validation.oracle", own) if name]
    competing = {"validation.oracle": {"$in": oracles}, "chemsys": {"$in": spec.subsystems()}}
    used = {found["_id"] for found in structures.find({"campaign": campaign} | competing, {"_id": 1})}
    for hull in database.mongo["hulls"].find(own, {"entries.record_id": 1}):
        used |= {entry["record_id"] for entry in hull["entries"]}
    for field in _NAMING:
        used |= {str(name) for name in structures.distinct(field, own)}
    return used


def _answers_used(database: Database, campaign: str, structures: Sequence[str]) -> list[str]:
    """Answers first asked for by a campaign about what stays of it, or about another's structures."""
    asked = database.answers.of_campaign(campaign)
    either: list[Document] = [{"_id": {"$in": list(structures)}}, {"campaign": {"$ne": campaign}}]
    query = {"status": Status.VALIDATED.value, "$or": either}
    found = load(StructureRecord, database.mongo["structures"].find(query)) if asked else []
    contents = {content_hash(relaxed_structure(record)) for record in found}
    return sorted(answer.id for answer in asked if answer.content in contents)


def campaign_counts(database: Database, campaign: str, kept: Kept) -> dict[str, tuple[int, int]]:
    """How many documents of a campaign go and how many stay, by collection.

    database: the campaign database. campaign: its id. kept: what stays.
    """
    counts = {}
    for name in HANGING:
        every = database.mongo[name].count_documents({"campaign": campaign})
        going = database.mongo[name].count_documents(_going(campaign, kept.get(name, ())))
        counts[name] = (going, every - going)
    return counts | {"checkpoints": (len(database.checkpoints.names(campaign)), 0)}


def forget_campaign(database: Database, campaign: str, kept: Kept) -> None:
    """Remove a campaign, its own document first: from then on nothing goes on with it.

    database: the campaign database. campaign: its id. kept: what stays.
    """
    database.mongo["campaigns"].delete_one({"_id": campaign})
    database.checkpoints.forget(campaign)
    for name in HANGING:
        remove(database, name, _going(campaign, kept.get(name, ())))


def _going(campaign: str, kept: Sequence[str]) -> Document:
    return {"campaign": campaign} | ({"_id": {"$nin": list(kept)}} if kept else {})


def entry_ids(database: Database, **equal: str) -> list[str]:
    """Ids of source entries whose fields equal what is given; ``id`` is one."""
    query = {"_id" if key == "id" else key: value for key, value in equal.items()}
    return sorted(found["_id"] for found in database.mongo["entries"].find(query, {"_id": 1}))


def known_by(database: Database, entries: Sequence[str]) -> int:
    """How many finds are known, or come, from these entries: their verdict of novelty names one.

    database: the campaign database. entries: their ids.
    """
    return sum(
        database.mongo["structures"].count_documents({"verdict.novelty.of": {"$in": list(part)}})
        for part in _parts(entries)
    )


def forget_entries(database: Database, entries: Sequence[str]) -> None:
    """Remove source entries with their fingerprints; groups they belong to are opened first.

    database: the campaign database. entries: their ids.
    """
    for part in _parts(entries):
        ids = {"$in": list(part)}
        groups = database.mongo["entries"].distinct("group", {"_id": ids})
        database.mongo["entries"].update_many({"group": {"$in": groups}}, {"$set": {"group": ""}})
        database.mongo["fingerprints"].delete_many({"_id": ids})
        database.mongo["entries"].delete_many({"_id": ids})


def remove(database: Database, collection: str, query: Document) -> None:
    """Delete what matches, some at a time: a server bounds the time of a command.

    database: the campaign database. collection: its name. query: in MongoDB's terms.
    """
    documents = database.mongo[collection]
    while ids := [found["_id"] for found in documents.find(query, {"_id": 1}, limit=_BATCH)]:
        documents.delete_many({"_id": {"$in": ids}})


def _parts(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(ids), _BATCH):
        yield ids[start : start + _BATCH]
