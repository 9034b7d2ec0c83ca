"""The finds of a round before it closes, and what the campaign spent on all else."""

from __future__ import annotations

from collections.abc import Sequence

from niobe.config.spec import CampaignSpec
from niobe.flows.steps.known import competitors_elsewhere, kept_comparisons
from niobe.loop.campaign import closing
from niobe.loop.campaign.duplicates import Comparisons
from niobe.loop.campaign.policy import force_constant_seconds
from niobe.loop.documents.records import StructureRecord
from niobe.loop.documents.rounds import RoundRecord
from niobe.loop.store.database import Database
from niobe.loop.store.shared import motion_seconds, oracle_seconds

Known = dict[str, StructureRecord]


def choose_finds(database: Database, spec: CampaignSpec, round_record: RoundRecord) -> None:
    """Name the finds that the round challenges: nearest the hull first, those challenged before, and those
    found to be known before, left out.

    database: the campaign database. spec: the campaign. round_record: the round.
    """
    finds, _ = found_so_far(database, spec, round_record.number)
    waiting = [find.id for find in discoveries(finds) if find.challenge is None]
    database.rounds.update_open(spec.id, round_record.number, finds=waiting[: spec.challenge.most])


def found_so_far(database: Database, spec: CampaignSpec, number: int) -> tuple[list[StructureRecord], Known]:
    """What would be a find if round ``number`` closed now, known before or not, and all that is validated,
    by id.

    Finds come with that verdict, nearest the hull first.

    database: the campaign database. spec: the campaign.
    """
    records, elsewhere = database.records.finished(spec.id), competitors_elsewhere(database, spec)
    comparisons = kept_comparisons(database, spec)
    found = judged(spec, number, records, elsewhere, comparisons)
    database.shapes.remember(spec.id, comparisons.new)
    return found


def judged(
    spec: CampaignSpec,
    number: int,
    records: Sequence[StructureRecord],
    elsewhere: Sequence[StructureRecord],
    comparisons: Comparisons,
) -> tuple[list[StructureRecord], Known]:
    """The same from records at hand. records: what the campaign's oracle was asked about; elsewhere: what
    else competes.

    spec: the campaign. number: of the round. comparisons: made before.
    """
    _, verdicts = closing.close_round(spec, number, records, elsewhere, comparisons=comparisons)
    finds = [
        record.model_copy(update={"verdict": verdicts[record.id]})
        for record in records
        if record.id in verdicts and verdicts[record.id].is_find
    ]
    known = {record.id: record for record in [*records, *elsewhere] if record.validation is not None}
    return sorted(finds, key=_height), known


def discoveries(finds: Sequence[StructureRecord]) -> list[StructureRecord]:
    """Those finds that were not found to be known before."""
    return [find for find in finds if find.verdict is not None and find.verdict.discovery]


def _height(find: StructureRecord) -> tuple[float, str]:
    above = find.verdict.above_products if find.verdict else None
    return (0.0 if above is None else above, find.id)


def spent_on_all_else(database: Database, spec: CampaignSpec) -> float:
    """Seconds of the oracle and of the steps that learn, draw and choose; pre-relaxation is not timed.

    What was asked to challenge a find counts among what that challenge took.

    database: the campaign database. spec: the campaign.
    """
    rounds = database.rounds.find(spec.id)
    steps = sum(sum(record.steps.values()) for record in rounds)
    asked = oracle_seconds(database, spec.id, challenges=False)
    return steps + asked + force_constant_seconds(rounds) - motion_seconds(database, spec.id)


def seconds_for_challenges(database: Database, spec: CampaignSpec) -> float:
    """What ``challenge.share`` leaves of a campaign's time for challenges, and for looking at what may be a
    find in motion.

    database: the campaign database. spec: the campaign.
    """
    records = database.results.finished(spec.id)
    challenged = sum(record.challenge.seconds for record in records if record.challenge)
    in_motion = motion_seconds(database, spec.id)
    return spec.challenge.share * spent_on_all_else(database, spec) - challenged - in_motion
