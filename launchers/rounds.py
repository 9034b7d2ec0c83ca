"""What every launcher asks between rounds: which round comes next, or why none does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from niobe.config.spec import CampaignSpec

if TYPE_CHECKING:
    from niobe.loop.store.database import Database


def begin_campaign(database: Database, spec: CampaignSpec) -> CampaignSpec:
    """Look at what a new campaign names, ingest its sources and store it; one that is there must be the same.

    What the campaign began with, which decides also where a default has changed since. Until round 0 has
    closed, ``seeds.files`` may name more.

    Raises ConfigError for what could not be used and for another campaign of that id, PartialSourceError
    where a source could not be read to its end.
    """
    from niobe.config.home import make_home
    from niobe.flows.oracles.checks import check_inputs
    from niobe.flows.steps.known import check_same_oracle
    from niobe.launchers.sources import ingest_sources
    from niobe.loop.store.forgetting import check_not_forgotten

    check_not_forgotten(database, spec.id)
    if database.campaigns.find_one(spec.id) is None:
        check_inputs(spec)
    else:
        _take_more_seeds(database, spec)
        spec = _begun(database, spec)
        check_same_oracle(database, spec)
    make_home()
    ingest_sources(database, spec)
    return _begun(database, spec)


def _take_more_seeds(database: Database, spec: CampaignSpec) -> None:
    """A reference that failed keeps round 0 open: files named since, or put into a folder, are asked."""
    from niobe.config.loading import as_begun
    from niobe.flows.oracles.checks import check_inputs
    from niobe.flows.steps.batches import take_added_seeds

    rounds = database.rounds.find(spec.id)
    if not rounds or rounds[0].closed or "seed" not in rounds[0].steps:
        return
    stored = database.campaigns.find_one(spec.id)
    begun = CampaignSpec.model_validate(stored.spec if stored else {})
    asked = as_begun(spec, begun)
    more = begun.model_copy(update={"seeds": begun.seeds.model_copy(update={"files": asked.seeds.files})})
    if more.digest() != asked.digest() or not set(begun.seeds.files) <= set(more.seeds.files):
        return
    if more != begun or _lacks_a_reference(database, spec):
        check_inputs(more)
        take_added_seeds(database, more)
        database.campaigns.update(spec.id, spec=more.model_dump(mode="json"), spec_digest=more.digest())


def _lacks_a_reference(database: Database, spec: CampaignSpec) -> bool:
    """Whether all seeds were asked and none of some element has an answer."""
    from niobe.loop.documents.records import Status
    from niobe.loop.stability.hull import elemental_energies

    if database.records.exists(spec.id, status=Status.ACQUIRED.value, round=0):
        return False
    return elemental_energies(database.records.find(spec.id, round=0, nelements=1)).keys() < set(
        spec.elements
    )


def _begun(database: Database, spec: CampaignSpec) -> CampaignSpec:
    begun = CampaignSpec.model_validate(database.campaigns.create(spec).spec)
    return begun.model_copy(update={"launcher": spec.launcher})


def next_round(database: Database, spec: CampaignSpec) -> tuple[int, str]:
    """The round to work on, and why not to ("" to go on). Raises GoneError where there is none."""
    from niobe.loop.campaign.policy import limited_seconds, spent, why_stop

    rounds = database.rounds.find(spec.id)
    campaign = database.campaigns.get(spec.id)
    unfinished = [record.number for record in rounds if not record.closed]
    if unfinished:
        return unfinished[0], "stopped by the user" if campaign.stop else ""
    seconds = limited_seconds(database, spec)
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
    stopped = database.campaigns.get(spec.id).stop
    state = CampaignState.STOPPED if stopped else CampaignState.FINISHED
    database.campaigns.update(spec.id, state=state, reason=reason)


def note(database: Database, spec: CampaignSpec, number: int, errors: Mapping[str, str]) -> None:
    """Add the jobs that failed to the round's notes.

    database: the campaign database. spec: the campaign. number: of the round. errors: by job.
    """
    database.rounds.add_notes(spec.id, number, [f"{name}: {error}" for name, error in errors.items()])
