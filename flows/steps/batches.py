"""A round's batch: what is chosen for the oracle, and asked once more where a round cannot close."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from niobe.config.errors import ConfigError
from niobe.config.spec import CampaignSpec
from niobe.loop.campaign.seeds import added_seeds
from niobe.loop.documents.records import Choice, Status, StructureRecord
from niobe.loop.documents.rounds import RoundRecord
from niobe.loop.store.database import Database

_ANEW = {"compete_further", "choose_phonons", "choose_finds", "weigh_opinions", "compute_goals"}


def make_batch(
    database: Database,
    spec: CampaignSpec,
    number: int,
    choices: Mapping[str, Choice],
    stands: Sequence[str] = (),
    **fields: Any,
) -> None:
    """Make a batch of what stands in it and what is chosen now; what else was chosen before waits again.

    database: the campaign database. spec: the campaign. number: of the round. choices: by id, in the order of
    the batch. stands: ids that come before them. fields: set with the batch.
    """
    batch = [*stands, *choices]
    database.rounds.update_open(spec.id, number, batch=batch, **fields)
    for record in chosen_before(database, spec, number):
        if record.id not in batch:
            database.candidates.put_back(record.id, number)
    database.candidates.choose(number, choices)


def chosen_before(database: Database, spec: CampaignSpec, number: int) -> list[StructureRecord]:
    """What waits for the oracle because it was chosen for this round, by a step that was killed too.

    database: the campaign database. spec: the campaign. number: of the round.
    """
    return database.records.find(spec.id, status=Status.ACQUIRED.value, acquired_round=number)


def ask_again(database: Database, spec: CampaignSpec, ids: Sequence[str] = ()) -> list[StructureRecord]:
    """What failed in the round that is open goes back into its batch; its failures are noted on the round.

    An element that failed under another campaign of the same oracle, and so was not asked here, is among it.

    database: the campaign database. spec: the campaign. ids: of records; all that failed where none is given.
    Raises ConfigError where no round is open, or where nothing failed in it, or not what is named.
    """
    opened = [record for record in database.rounds.find(spec.id) if not record.closed]
    if not opened:
        raise ConfigError(f"{spec.id}: no round is open; what failed in a round that has closed stays so")
    round_record = opened[0]
    failed = _failed(database, spec, round_record)
    unknown = sorted(set(ids) - failed.keys())
    if unknown or not failed:
        named = unknown[0] if unknown else "nothing"
        allowed = f"; failed: {', '.join(failed)}" if failed else ""
        said = "did not fail" if unknown else "failed"
        raise ConfigError(f"{named} {said} in round {round_record.number} of {spec.id}{allowed}")
    chosen = [failed[identifier] for identifier in ids or failed]
    database.rounds.add_notes(spec.id, round_record.number, [_why(record) for record in chosen])
    _into_batch(database, round_record, [record.id for record in chosen])
    for record in chosen:
        choice = record.choice or Choice(function="seed", selection="seed", rank=record.index)
        fields = {"status": Status.ACQUIRED, "failure": None, "choice": choice}
        asked = {"acquired_round": round_record.number, "reason": "", "duplicate_of": None}
        database.records.update(record.id, **fields, **asked)
    return chosen


def take_added_seeds(database: Database, spec: CampaignSpec) -> None:
    """Put what ``seeds.files`` hold by now and round 0 does not into its batch. Broken files are noted on it.

    database: the campaign database. spec: the campaign, its round 0 seeded and open.
    """
    round_record = database.rounds.get(spec.id, 0)
    records = database.records.find(spec.id, round=0)
    added, broken = added_seeds(spec, records)
    database.records.insert(added)
    database.rounds.add_notes(spec.id, 0, broken)
    files = [r for r in [*records, *added] if r.lineage.generator == "file" and r.status is Status.ACQUIRED]
    if ids := [record.id for record in files if record.id not in round_record.batch]:
        _into_batch(database, round_record, ids)


def _failed(database: Database, spec: CampaignSpec, round_record: RoundRecord) -> dict[str, StructureRecord]:
    batch = database.records.find(spec.id, acquired_round=round_record.number)
    found = [record for record in batch if record.status is Status.FAILED and not record.challenges]
    if round_record.number == 0:
        asked = database.records.find(spec.id, round=0, nelements=1, reason="asked before")
        found += [r for r in asked if database.records.get(str(r.duplicate_of)).status is Status.FAILED]
    return {record.id: record for record in found}


def _why(record: StructureRecord) -> str:
    """What had gone wrong, in words."""
    cause = f"failed: {record.failure.cause}: {record.failure.message}" if record.failure else record.reason
    return f"asked again: {record.formula} {record.id}, {cause}"


def _into_batch(database: Database, round_record: RoundRecord, ids: Sequence[str]) -> None:
    """Further competing phases, phonons, and what comes after them, are chosen anew, once these have been
    validated."""
    changes = {
        "batch": list(dict.fromkeys([*round_record.batch, *ids])),
        "asked_again": [*round_record.asked_again, *ids],
        "steps": {step: took for step, took in round_record.steps.items() if step not in _ANEW},
    }
    database.rounds.update(round_record.campaign, round_record.number, **changes)
