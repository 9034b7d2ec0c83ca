"""What a campaign's sources hold of its system."""

from __future__ import annotations

from niobe.config.spec import CampaignSpec
from niobe.loop.documents.entries import SourceEntry
from niobe.loop.store.database import Database


def source_entries(database: Database, spec: CampaignSpec) -> list[SourceEntry]:
    """What the campaign's sources hold of its elements and their subsystems."""
    if not spec.sources:
        return []
    return database.entries.find(sources=[source.name for source in spec.sources], systems=spec.subsystems())
