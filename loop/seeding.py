"""Round 0: the seeds become records and the first batch."""

from __future__ import annotations

from config.spec import CampaignSpec
from loop.database import Database
from loop.rounds import RoundRecord
from loop.seeds import seed_records


def seed_campaign(database: Database, spec: CampaignSpec, round_record: RoundRecord) -> None:
    """Store the seeds of a campaign; what was broken is noted on round 0."""
    records, broken = seed_records(spec)
    database.insert(records)
    batch = [record.id for record in records]
    database.update_round(spec.id, round_record.number, batch=batch, notes=broken)
