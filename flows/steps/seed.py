"""Round 0: seeds and the competing phases of the system and its subsystems, asked of the oracle only once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from niobe.config.spec import CampaignSpec
from niobe.flows.steps.batches import make_batch
from niobe.flows.steps.known import asked_before
from niobe.flows.steps.prerelax import prerelax_oracle
from niobe.loop.campaign.seeding import source_entries, substituted_entries
from niobe.loop.campaign.seeds import seed_records
from niobe.loop.documents.records import Prerelaxed, Status, StructureRecord
from niobe.loop.documents.rounds import RoundRecord
from niobe.loop.sources.recompute_order import to_recompute
from niobe.loop.store.database import Database
from niobe.loop.store.shared import prerelaxed_before, unanswered_before


def seed_campaign(database: Database, spec: CampaignSpec, round_record: RoundRecord) -> None:
    """Store the seeds of a campaign and the prototypes that may compete with its finds.

    What another campaign asked the same oracle is not asked again, and what it pre-relaxed neither. What was
    broken is noted on round 0.

    database: the campaign database. spec: the campaign. round_record: the round.
    """
    entries = to_recompute(spec, source_entries(database, spec))
    records, broken = seed_records(spec, entries, substituted_entries(database, spec))
    asked = asked_before(database, spec)
    answers = _prerelaxed_before(database, spec, records)
    unanswered = unanswered_before(database, spec) if spec.prerelax else {}
    records = [_as_known(record, asked, answers, unanswered) for record in records]
    choices = {r.id: r.choice for r in records if r.choice and r.status is Status.ACQUIRED}
    database.records.insert(_waiting(record) if record.id in choices else record for record in records)
    known = sum(record.fingerprint in asked for record in records)
    notes = [f"{len(entries)} structures of the sources are recomputed"] if entries else []
    notes += [f"{known} seeds and competing phases were asked by other campaigns"] if known else []
    database.rounds.add_notes(spec.id, round_record.number, [*broken, *notes])
    make_batch(database, spec, round_record.number, choices)


def _waiting(record: StructureRecord) -> StructureRecord:
    """A seed before it is in the batch; one that a worker stores late never is."""
    return record.model_copy(update={"status": Status.SCREENED, "acquired_round": None, "choice": None})


def _prerelaxed_before(
    database: Database, spec: CampaignSpec, records: Sequence[StructureRecord]
) -> dict[str, Prerelaxed]:
    if spec.prerelax is None:
        return {}
    return prerelaxed_before(database, prerelax_oracle(spec).fingerprint, [r.fingerprint for r in records])


def _as_known(
    record: StructureRecord,
    asked: Mapping[str, str],
    answers: Mapping[str, Prerelaxed],
    unanswered: Mapping[str, str],
) -> StructureRecord:
    content = record.fingerprint
    record = as_asked(record, asked[content]) if content in asked else record
    reason = record.reason if content in answers else unanswered.get(content, record.reason)
    return record.model_copy(update={"prerelaxed": answers.get(content), "reason": reason})


def as_asked(record: StructureRecord, first: str) -> StructureRecord:
    """The record as one that need not be asked again. first: id of the one that was asked."""
    update = {"status": Status.DUPLICATE, "reason": "asked before", "duplicate_of": first}
    return record.model_copy(update=update | {"acquired_round": None, "choice": None})
