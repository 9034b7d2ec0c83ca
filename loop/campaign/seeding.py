"""Round 0: the seeds become records and the first batch."""

from __future__ import annotations

from niobe.config.spec import CampaignSpec
from niobe.loop.campaign.seeds import seed_records
from niobe.loop.documents.entries import SourceEntry
from niobe.loop.documents.rounds import RoundRecord
from niobe.loop.sources.recompute_order import to_recompute
from niobe.loop.store.database import Database


def seed_campaign(database: Database, spec: CampaignSpec, round_record: RoundRecord) -> None:
    """Store the seeds of a campaign; what was broken is noted on round 0."""
    entries = to_recompute(spec, source_entries(database, spec))
    records, broken = seed_records(spec, entries)
    database.insert(records)
    batch = [record.id for record in records]
    notes = [f"{len(entries)} structures of the sources are recomputed"] if entries else []
    database.add_notes(spec.id, round_record.number, [*broken, *notes])
    database.update_round(spec.id, round_record.number, batch=batch)


def source_entries(database: Database, spec: CampaignSpec) -> list[SourceEntry]:
    """What the campaign's sources hold of its elements and their subsystems."""
    if not spec.sources:
        return []
    return database.entries(sources=[source.name for source in spec.sources], systems=spec.subsystems())
