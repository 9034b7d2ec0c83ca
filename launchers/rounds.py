"""What every launcher asks between rounds: which round comes next, or why none does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from niobe.config.spec import CampaignSpec

if TYPE_CHECKING:
    from niobe.loop.store.database import Database


def begin_campaign(database: Database, spec: CampaignSpec) -> CampaignSpec:
    """Look at what a new campaign names, ingest its sources and store it; one that is there must be the same.

    What the campaign began with, which decides also where a default has changed since.

    Raises ConfigError for what could not be used and for another campaign of that id, PartialSourceError
    where a source could not be read to its end.
    """
    from niobe.flows.oracles.checks import check_inputs
    from niobe.launchers.sources import ingest_sources

    if database.campaign(spec.id) is None:
        check_inputs(spec)
    else:
        spec = _begun(database, spec)
    ingest_sources(database, spec)
    return _begun(database, spec)


def _begun(database: Database, spec: CampaignSpec) -> CampaignSpec:
    begun = CampaignSpec.model_validate(database.create_campaign(spec).spec)
    return begun.model_copy(update={"launcher": spec.launcher})


def next_round(database: Database, spec: CampaignSpec) -> tuple[int, str]:
    """The round to work on, and why not to ("" to go on)."""
    from niobe.flows.steps.acquire import spent
    from niobe.loop.campaign.policy import oracle_seconds, why_stop

    rounds = database.rounds(spec.id)
    campaign = database.create_campaign(spec)
    unfinished = [record.number for record in rounds if not record.closed]
    if unfinished:
        return unfinished[0], "stopped by the user" if campaign.stop else ""
    seconds = oracle_seconds(database.records(spec.id))
    return len(rounds), why_stop(spec, campaign, rounds, spent(database, spec), seconds)


def end_campaign(database: Database, spec: CampaignSpec, reason: str) -> None:
    """Mark a campaign finished, or stopped where a person asked for it.

    What calculations left that were killed is removed.

    database: the campaign database. spec: the campaign. reason: in words.
    """
    import shutil

    from niobe.config.home import work
    from niobe.loop.documents.rounds import CampaignState

    shutil.rmtree(work(spec.id), ignore_errors=True)
    stopped = database.create_campaign(spec).stop
    state = CampaignState.STOPPED if stopped else CampaignState.FINISHED
    database.update_campaign(spec.id, state=state, reason=reason)


def note(database: Database, spec: CampaignSpec, number: int, errors: Mapping[str, str]) -> None:
    """Add the jobs that failed to the round's notes.

    database: the campaign database. spec: the campaign. number: of the round. errors: by job.
    """
    database.add_notes(spec.id, number, [f"{name}: {error}" for name, error in errors.items()])
