"""What campaigns share: one self-built database, asked by oracle, chemical system and content."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from niobe.config.spec import CampaignSpec
from niobe.loop.documents.records import Prerelaxed, Status, StructureRecord
from niobe.loop.store.database import Database
from niobe.loop.store.mapping import Document, load

_LOW = 0.1  # eV/atom
_MOST_LENT = 1000
UNANSWERED = "prerelax:"
"""What the reason of a record begins with that the pre-relaxation potential has no answer for."""


def validated_elsewhere(
    database: Database, spec: CampaignSpec, oracle: str, systems: Sequence[str] | None = None
) -> list[StructureRecord]:
    """What other campaigns validated of the system and its subsystems with this oracle, by campaign.

    One record for what began as the same structure; none by another POTCAR of an element than the campaign's.

    database: the campaign database. spec: the campaign. systems: those asked about; all if None.
    """
    structures = database.mongo["structures"]
    query: Document = {
        "validation.oracle": oracle,
        "chemsys": {"$in": spec.subsystems() if systems is None else list(systems)},
    }
    # Counts need the indexes alone; a campaign that is alone would read all its own results for nothing.
    if structures.count_documents(query) == structures.count_documents(query | {"campaign": spec.id}):
        return []
    order = [("campaign", 1), ("round", 1), ("index", 1)]
    cursor = structures.find(query | {"campaign": {"$ne": spec.id}}, sort=order)
    found = load(StructureRecord, cursor)
    first: dict[str, StructureRecord] = {}
    for record in _of_one_potcar_each(database, spec, found):
        first.setdefault(record.fingerprint, record)
    return list(first.values())


def _of_one_potcar_each(
    database: Database, spec: CampaignSpec, found: Sequence[StructureRecord]
) -> list[StructureRecord]:
    """Those by the campaign's POTCARs; of an element for which it has none that is known, by the first's."""
    if not any(record.validation and record.validation.potcars for record in found):
        return list(found)
    named, same = potcars_of(database, spec), []
    for record in found:
        if record.validation and record.validation.meets(named):
            named |= record.validation.potcars
            same.append(record)
    return same


def potcars_of(database: Database, spec: CampaignSpec) -> dict[str, str]:
    """Name and hash of each element's POTCAR in a campaign, by symbol, as far as its results say.

    database: the campaign database. spec: the campaign.
    """
    query = {"campaign": spec.id, "validation.potcars": {"$exists": True}}
    named: dict[str, str] = {}
    for one in database.mongo["structures"].find(query, {"validation.potcars": 1}):
        named |= one["validation"]["potcars"]
    return named


def low_of_other_elements(database: Database, spec: CampaignSpec) -> list[StructureRecord]:
    """What other campaigns validated of other elements, by any oracle, within 0.1 eV/atom of their hull.

    Of as many elements as the campaign has, or fewer, and of at most its ``limits.max_atoms``; by id.

    database: the campaign database. spec: the campaign.
    """
    query = {
        "status": Status.VALIDATED.value,
        "verdict.e_above_hull_now": {"$lte": _LOW},
        "nelements": {"$lte": len(spec.elements)},
        "n_atoms": {"$lte": spec.limits.max_atoms},
        "chemsys": {"$nin": spec.subsystems()},
        "campaign": {"$ne": spec.id},
    }
    found = database.mongo["structures"].find(query, sort=[("_id", 1)], limit=_MOST_LENT)
    return load(StructureRecord, found)


def validated_of_formula(database: Database, formula: str, campaign: str) -> list[StructureRecord]:
    """What other campaigns validated of a composition, by any oracle.

    database: the campaign database. formula: in OPTIMADE's form. campaign: the one that asks.
    """
    query = {
        "formula_reduced": formula,
        "status": Status.VALIDATED.value,
        "campaign": {"$ne": campaign},
    }
    order = [("campaign", 1), ("round", 1), ("index", 1)]
    return load(StructureRecord, database.mongo["structures"].find(query, sort=order))


def calls_of(database: Database, campaign: str, selection: str) -> tuple[int, int]:
    """Finds among the finished validations of a selection in a campaign, and how many those are.

    As the last round counted them when it closed; for campaigns of a Niobe that kept no counts they are
    counted here: what was chosen and no longer waits is finished.

    database: the campaign database. campaign: its id. selection: as ``Choice`` has it.
    """
    closed = database.rounds.last_closed(campaign)
    if closed and closed.metrics.answered:
        return closed.metrics.answered.get(selection, (0, 0))
    chosen: Document = {"campaign": campaign, "choice.selection": selection}
    once: Document = chosen | {"verdict.duplicate_of": None}
    count = database.mongo["structures"].count_documents
    hits = count(once | {"verdict.discovery_round": {"$gte": 0}})
    hits += count(once | {"verdict.discovery_round": None, "verdict.novelty.kind": "known"})
    return hits, count(chosen) - count(chosen | {"status": Status.ACQUIRED.value})


def seconds_a_call(database: Database, campaign: str) -> float | None:
    """Mean seconds of the oracle over a campaign's newest hundred validations; None where there are none.

    database: the campaign database.
    """
    query = {"campaign": campaign, "choice.selection": "acquired", "status": Status.VALIDATED.value}
    found = database.mongo["structures"].find(
        query | {"acquired_round": {"$gte": 1}},
        {"validation.seconds": 1},
        sort=[("acquired_round", -1)],
        limit=100,
        hint=[("campaign", 1), ("acquired_round", 1)],
    )
    seconds = [sum(one["validation"]["seconds"].values()) for one in found]
    return sum(seconds) / len(seconds) if seconds else None


def oracle_seconds(database: Database, campaign: str, *, challenges: bool = True) -> float:
    """What the oracle took for validations and failures of a campaign, s.

    database: the campaign database. challenges: what was asked to challenge finds counts too.
    """
    asked = [Status.VALIDATED.value, Status.FAILED.value, Status.ACQUIRED.value]
    query: Document = {"campaign": campaign, "status": {"$in": asked}}
    if not challenges:
        query["choice.selection"] = {"$ne": "challenge"}
    fields = {"validation.seconds": 1, "failure.seconds": 1}
    return sum(map(_seconds, database.mongo["structures"].find(query, fields)))


def motion_seconds(database: Database, campaign: str) -> float:
    """What looking at results of a campaign in motion took, s. database: the campaign database."""
    query = {"campaign": campaign, "status": Status.VALIDATED.value}
    found = database.mongo["structures"].find(query, {"validation.seconds": 1})
    return float(sum(one["validation"]["seconds"].get("motion", 0.0) for one in found))


def _seconds(document: Document) -> float:
    """Of a validation's steps; of a failure where there is no validation."""
    if validation := document.get("validation"):
        return float(sum(validation["seconds"].values()))
    failure = document.get("failure")
    return float(failure["seconds"]) if failure else 0.0


def count_prerelaxed(database: Database, campaign: str, system: str, potentials: Iterable[str]) -> int:
    """How many records of a campaign's chemical system any of some potentials pre-relaxed.

    database: the campaign database. system: symbols joined by hyphens. potentials: their fingerprints.
    """
    asked = {"chemsys": system, "prerelaxed.potential": {"$in": sorted(potentials)}}
    return database.mongo["structures"].count_documents({"campaign": campaign} | asked)


def failed_elsewhere(database: Database, spec: CampaignSpec) -> dict[str, str]:
    """Content hash and id of what failed in other campaigns that ask their oracle in the same way."""
    asking = {"spec.oracle": spec.model_dump(mode="json")["oracle"], "_id": {"$ne": spec.id}}
    asking |= _under_its_pressure(spec)
    campaigns = [found["_id"] for found in database.mongo["campaigns"].find(asking, {"_id": 1})]
    query = {
        "campaign": {"$in": campaigns},
        "status": Status.FAILED.value,
        "chemsys": {"$in": spec.subsystems()},
    }
    failed = database.mongo["structures"].find(query, {"fingerprint": 1})
    return {found["fingerprint"]: found["_id"] for found in failed}


def _under_its_pressure(spec: CampaignSpec) -> Document:
    """Of campaigns under the same pressure; those at 0 K and 0 GPa have no conditions stored."""
    pressure = spec.conditions.pressure
    return {"spec.conditions.pressure": pressure or {"$in": [None, 0.0]}}


def unanswered_before(database: Database, spec: CampaignSpec) -> dict[str, str]:
    """Content hash and reason of the seeds that another campaign's equal pre-relaxation had no answer for.

    database: the campaign database. spec: the campaign.
    """
    asking = {"spec.prerelax": spec.model_dump(mode="json")["prerelax"], "_id": {"$ne": spec.id}}
    asking |= _under_its_pressure(spec)
    campaigns = [found["_id"] for found in database.mongo["campaigns"].find(asking, {"_id": 1})]
    query = {
        "campaign": {"$in": campaigns},
        "chemsys": {"$in": spec.subsystems()},
        "round": 0,
        "prerelaxed": None,
        "reason": {"$ne": ""},
    }
    found = database.mongo["structures"].find(query, {"fingerprint": 1, "reason": 1})
    reasons = {one["fingerprint"]: str(one["reason"]) for one in found}
    return {content: reason for content, reason in reasons.items() if reason.startswith(UNANSWERED)}


def prerelaxed_before(database: Database, potential: str, contents: Sequence[str]) -> dict[str, Prerelaxed]:
    """Full answers of a potential for the seeds, of any campaign, of these content hashes.

    database: the campaign database. potential: its fingerprint. contents: hashes as in ``fingerprint``.
    """
    query = {
        "fingerprint": {"$in": list(contents)},
        "prerelaxed.potential": potential,
        "prerelaxed.brief": False,
        "round": 0,
    }
    found = database.mongo["structures"].find(query, {"fingerprint": 1, "prerelaxed": 1})
    return {one["fingerprint"]: Prerelaxed.model_validate(one["prerelaxed"]) for one in found}
