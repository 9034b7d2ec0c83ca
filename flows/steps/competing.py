"""Competing phases: what the oracle is asked for so that a hull can be signed."""

from __future__ import annotations

import math

from niobe.config.spec import CampaignSpec
from niobe.flows.steps.known import competitors_elsewhere, records_and_known
from niobe.flows.steps.requests import COMPETING_SHARE
from niobe.loop.campaign.competition import competition, deeper
from niobe.loop.campaign.seeds import excluded_structures
from niobe.loop.crystals.similarity import SeenStructures
from niobe.loop.documents.records import Choice, Status, StructureRecord
from niobe.loop.documents.rounds import RoundRecord
from niobe.loop.documents.structures import candidate_structure, generated_structure, relaxed_structure
from niobe.loop.store.database import Database


def compete(database: Database, spec: CampaignSpec, round_record: RoundRecord) -> None:
    """Choose the competing phases that the oracle is asked for, after the seeds of the batch.

    database: the campaign database. spec: the campaign. round_record: the round.
    """
    if "seed" not in round_record.steps:
        raise RuntimeError("no seeds are stored: an earlier step of the round failed")
    records = database.records.find(spec.id, round=0)
    seeds = [record for record in records if record.choice and record.choice.selection == "seed"]
    seen = SeenStructures((record.id, generated_structure(record)) for record in seeds)
    for record in competitors_elsewhere(database, spec):
        if record.lineage.generator != "prototype":
            seen.add(record.id, relaxed_structure(record))
    chosen = competition(spec, records, seen, SeenStructures(excluded_structures(spec)))
    ids = [record.id for record in chosen if record.status in {Status.SCREENED, Status.ACQUIRED}]
    batch = [*(r.id for r in seeds if r.status is not Status.DUPLICATE), *ids]
    database.rounds.update(spec.id, round_record.number, batch=batch)
    for record in records:
        if record.choice and record.choice.selection == "competing" and record.id not in ids:
            database.records.update(record.id, status=Status.SCREENED, acquired_round=None, choice=None)
    for rank, identifier in enumerate(ids, len(batch) - len(ids)):
        choice = Choice(function="competition", selection="competing", rank=rank)
        database.records.update_screened(identifier, status=Status.ACQUIRED, acquired_round=0, choice=choice)


def competitors_of_claims(
    database: Database, spec: CampaignSpec, number: int, left: int
) -> list[StructureRecord]:
    """The competing phases that a round asks about, of ``left`` validations; chosen before a kill first.

    One that relaxed into what is known becomes a duplicate.

    database: the campaign database. spec: the campaign. number: of the round.
    """
    chosen = [r for r in database.records.find(spec.id, acquired_round=number) if _waits(r)]
    wanted = min(math.floor(COMPETING_SHARE * spec.acquisition.batch + 0.5), left)
    if len(chosen) >= wanted:
        return chosen
    records = records_and_known(database, spec)
    seen = SeenStructures(excluded_structures(spec))
    for record in [r for r in records if r.validation is not None or r in chosen]:
        seen.add(record.id, relaxed_structure(record) if record.validation else candidate_structure(record))
    for record in deeper(spec, records):
        duplicate = seen.find(candidate_structure(record))
        if duplicate is None:
            seen.add(record.id, candidate_structure(record))
            chosen.append(record)
        else:
            fields = {"status": Status.DUPLICATE, "reason": "duplicate", "duplicate_of": duplicate}
            database.records.update_screened(record.id, **fields)
        if len(chosen) == wanted:
            break
    return chosen


def _waits(record: StructureRecord) -> bool:
    """Whether it was chosen as a competing phase and has no answer so far."""
    competing = record.choice is not None and record.choice.selection == "competing"
    return competing and record.status is Status.ACQUIRED
