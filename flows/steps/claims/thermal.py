"""Force constants of what finds compete with at a temperature, once for a whole database."""

from __future__ import annotations

import time
from collections.abc import Sequence

from niobe.config.spec import CampaignSpec
from niobe.flows.oracles.base import Oracle
from niobe.flows.oracles.calculation import phonons as phonons_of
from niobe.flows.oracles.registry import make_oracle
from niobe.flows.steps.known import competitors_elsewhere
from niobe.flows.steps.validate import work_folder
from niobe.loop.campaign import closing
from niobe.loop.documents.answers import UNEXPLAINED
from niobe.loop.documents.records import Failure, StructureRecord
from niobe.loop.documents.rounds import AskedForForces, RoundRecord
from niobe.loop.documents.structures import relaxed_structure
from niobe.loop.stability.at_temperature import competing, melts
from niobe.loop.store.database import Database


def force_constants_slot(database: Database, spec: CampaignSpec, number: int, slot: int, slots: int) -> None:
    """Force constants of every ``slots``-th phase from ``slot`` on that counts where finds compete at the
    campaign's temperature, of this campaign or another.

    Skipped is what is stored, what melts below, what waits for phonons of this campaign, and what failed: for
    good, or more often than ``oracle.retries``. Dynamical verdicts stay what they were. The seconds are the
    round's, whosever record it is.

    database: the campaign database. spec: the campaign. number: of the round.
    """
    known = _phases(database, spec, number)
    rounds = database.rounds.find(spec.id)
    judge = make_oracle(spec.phonon_oracle, spec.conditions.pressure)
    for record in [known[name] for name in sorted(known)][slot::slots]:
        stored = database.phonons.find_one(record.id)
        settled = stored is not None and bool(stored.phonopy)
        waiting = record.phonons_pending and record.campaign == spec.id
        if not settled and not waiting and may_be_asked(spec, rounds, number, record.id):
            _ask(database, spec, number, judge, record)


def may_be_asked(spec: CampaignSpec, rounds: Sequence[RoundRecord], number: int, phase: str) -> bool:
    """Whether to ask for a phase's force constants in a round, after what was answered so far.

    spec: the campaign. rounds: of it. number: of the round. phase: its record's id.
    """
    told = {record.number: record.force_constants.get(phase) for record in rounds}
    failed = {at: asked.cause for at, asked in told.items() if asked and asked.cause}
    again = all(cause in UNEXPLAINED for cause in failed.values())
    return again and number not in failed and len(failed) <= spec.oracle.retries


def _phases(database: Database, spec: CampaignSpec, number: int) -> dict[str, StructureRecord]:
    """The records of what takes part where finds compete, by id."""
    records, elsewhere = database.records.find(spec.id), competitors_elsewhere(database, spec)
    hull, verdicts = closing.close_round(spec, number, records, elsewhere)
    known = {record.id: record for record in [*records, *elsewhere]}
    temperature = spec.conditions.temperature
    entries = competing(hull, verdicts, spec.hull_tolerance)
    return {entry.record_id: known[entry.record_id] for entry in entries if not melts(entry, temperature)}


def _ask(database: Database, spec: CampaignSpec, number: int, judge: Oracle, record: StructureRecord) -> None:
    """Store force constants, or why there are none, and what it took."""
    started = time.monotonic()
    with work_folder(spec, record, "thermal") as folder:
        outcome = phonons_of(spec, judge, relaxed_structure(record), folder)
    asked = AskedForForces(seconds=round(time.monotonic() - started, 3))
    if isinstance(outcome, Failure):
        asked = asked.model_copy(update={"cause": outcome.cause, "reason": outcome.message})
    elif not outcome[0].bands:
        asked = asked.model_copy(update={"cause": "no_phonons", "reason": outcome[0].verdict.reason})
    database.rounds.update(spec.id, number, **{f"force_constants__{record.id}": asked})
    if not isinstance(outcome, Failure) and outcome[0].bands:
        database.phonons.add(outcome[0].stored(record.id, record.campaign))
