"""The best of a campaign, read by index: as many as are asked for, however many there are."""

from __future__ import annotations

from collections.abc import Iterator

from niobe.config.spec import CampaignSpec
from niobe.loop.documents.records import Stability, Status, StructureRecord
from niobe.loop.documents.tiers import tier
from niobe.loop.store.database import Database
from niobe.loop.store.queries import SORT_FIELDS, Query, sorted_query

_AT_ONCE, _SECONDS = 100, 60.0


def best_records(database: Database, campaign: str, *, stable: bool, most: int) -> list[StructureRecord]:
    """Validated, unique records, the highest tier first, then the lowest e_above_hull now, or what stands
    for it at the campaign's temperature.

    ``stable``: dynamically stable ones only.

    database: the campaign database. campaign: its id. most: records.
    """
    stored = database.campaigns.find_one(campaign)
    within = CampaignSpec.model_validate(stored.spec).hull_tolerance if stored else 0.0
    unique: list[StructureRecord] = []
    for record in _lowest_first(database, campaign, stable=stable):
        verdict = record.verdict
        if verdict is None or verdict.duplicate_of is not None:
            continue
        if len(unique) >= most and verdict.e_above_hull_now > max(within, _height_now(unique[-1])):
            break  # no tier but the lowest from here on, and enough of that
        unique.append(record)
    return sorted(unique, key=lambda r: (-tier(r), *_height(r), r.id))[:most]


def _lowest_first(database: Database, campaign: str, *, stable: bool) -> Iterator[StructureRecord]:
    """Validated records with a verdict by e_above_hull now, some at a time."""
    wanted: Query = {"status": Status.VALIDATED.value}
    if stable:
        wanted["validation.phonon.outcome"] = Stability.STABLE.value
    query, skip = sorted_query(wanted, "e_above_hull"), 0
    sort = (SORT_FIELDS["e_above_hull"], 1)
    while found := database.search.page(
        campaign, query, sort=sort, skip=skip, limit=_AT_ONCE, seconds=_SECONDS
    ):
        yield from found
        skip += len(found)


def _height_now(record: StructureRecord) -> float:
    return record.verdict.e_above_hull_now if record.verdict else 0.0


def _height(record: StructureRecord) -> tuple[bool, float]:
    """By which records of a tier are ranked: the free energy above products where there is one, first."""
    verdict = record.verdict
    if verdict is None:
        return True, 0.0
    hot = verdict.thermal.above if verdict.thermal else None
    return hot is None, verdict.e_above_hull_now if hot is None else hot
