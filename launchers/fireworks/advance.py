"""What a campaign needs next, read from the database and submitted once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from niobe.config.spec import CampaignSpec
from niobe.launchers.fireworks.submission import submit_once
from niobe.launchers.rounds import end_campaign, next_round

if TYPE_CHECKING:
    from jobflow import Flow

    from niobe.loop.documents.rounds import RoundRecord
    from niobe.loop.store.database import Database

Stage = tuple[str, Callable[[], "list[Flow]"]]


def advance(launchpad: Any, database: Database, campaign: str) -> list[str]:
    """Submit what of a campaign is due and not submitted yet; the keys of what this call submitted.

    Any number of processes may call it at once, at any time: every submission has a key and happens once.

    launchpad: FireWorks' LaunchPad. database: the campaign database.
    """
    spec = spec_of(database, campaign)
    number, reason = next_round(database, spec)
    started = database.rounds.find(campaign)
    if reason and number == len(started):
        return _end(launchpad, database, spec, reason)
    record = database.open_round(campaign, number)
    done = []
    for stage, flows in _due(database, spec, record):
        key = f"{campaign} r{number} {stage}"
        if submit_once(launchpad, spec, number, key, flows):
            done.append(key)
    return done


def spec_of(database: Database, campaign: str) -> CampaignSpec:
    """The spec a campaign was created with. Raises GoneError where there is none of that id."""
    return CampaignSpec.model_validate(database.campaigns.get(campaign).spec)


def _due(database: Database, spec: CampaignSpec, record: RoundRecord) -> Iterator[Stage]:
    """Stages of a round whose time has come, finished ones included, in order."""
    from niobe.flows.round import conclude, prepare, single

    number = record.number
    prepared = bool({"compete", "acquire"} & set(record.steps))
    yield "prepare", lambda: [] if prepared else [prepare(spec, number)]
    if not prepared and not _batch_of_older(database, spec, record):
        return
    yield "validate", lambda: _unanswered(database, spec, record, "validate")
    again = f" again {len(record.asked_again)}" if record.asked_again else ""
    if again:
        yield f"validate{again}", lambda: _unanswered(database, spec, record, "validate", record.asked_again)
    if number == 0 and not {"compete_further", "choose_phonons"} & set(record.steps):
        if _enough_validated(database, spec, record):
            yield f"compete further{again}", lambda: [single(spec, number, "compete_further")]
        return
    if "compete_further" in record.steps:
        yield f"validate further{again}", lambda: _unanswered(database, spec, record, "validate_further")
    if "choose_phonons" not in record.steps:
        if _enough_validated(database, spec, record):
            yield f"choose phonons{again}", lambda: [single(spec, number, "choose_phonons")]
        return
    yield f"phonons{again}", lambda: _unjudged(database, spec, record)
    if not _phonons_wait(database, record):
        yield f"close{again}", lambda: [conclude(spec, number)]


def _unanswered(
    database: Database, spec: CampaignSpec, record: RoundRecord, stage: str, asked: Sequence[str] = ()
) -> list[Flow]:
    """Workflows for what of a batch waits for its answer. asked: for these of it only, where any is named."""
    from niobe.flows.round import one_each
    from niobe.loop.documents.records import Status

    waiting = {found.id for found in database.records.find(spec.id, status=Status.ACQUIRED.value)}
    waiting &= set(asked or record.batch)
    flows = one_each(spec, record.number, stage, record.batch)
    return [flow for flow, name in zip(flows, record.batch, strict=True) if name in waiting]


def _unjudged(database: Database, spec: CampaignSpec, record: RoundRecord) -> list[Flow]:
    """Workflows for what of those chosen for phonons waits for them."""
    from niobe.flows.round import one_each

    flows = one_each(spec, record.number, "phonons", record.phonons)
    waiting = (database.records.get(name).phonons_pending for name in record.phonons)
    return [flow for flow, waits in zip(flows, waiting, strict=True) if waits]


def _batch_of_older(database: Database, spec: CampaignSpec, record: RoundRecord) -> bool:
    """Whether a round 0 is one that an older Niobe began: nothing of it waits to be chosen."""
    from niobe.loop.documents.records import Status

    seeded = record.number == 0 and "seed" in record.steps
    return seeded and not database.records.exists(spec.id, round=0, status=Status.SCREENED.value)


def _enough_validated(database: Database, spec: CampaignSpec, record: RoundRecord) -> bool:
    """Whether the whole batch is finished; or, in an asynchronous campaign, its quorum."""
    from niobe.loop.campaign.policy import is_last_round
    from niobe.loop.documents.records import Status

    acquired = Status.ACQUIRED.value
    if not spec.asynchronous or record.number == 0:
        return not database.records.exists(spec.id, status=acquired, acquired_round=record.number)
    if is_last_round(spec, database.campaigns.get(spec.id), database.rounds.find(spec.id)):
        return not database.records.exists(spec.id, status=acquired)
    waiting = database.records.count(spec.id, status=acquired, acquired_round=record.number)
    return len(record.batch) - waiting >= spec.quorum * len(record.batch)


def _phonons_wait(database: Database, record: RoundRecord) -> bool:
    return any(database.records.get(identifier).phonons_pending for identifier in record.phonons)


def _end(launchpad: Any, database: Database, spec: CampaignSpec, reason: str) -> list[str]:
    """The campaign is over once nothing that was asked for is still running.

    Late results of an asynchronous one get phonons and are judged first. Returns what was submitted for that.
    """
    from niobe.flows.steps.validate import close_round
    from niobe.loop.documents.records import Status
    from niobe.loop.store.claims import Claim, SupersededError

    if database.records.exists(spec.id, status=Status.ACQUIRED.value):
        return []
    last = database.rounds.find(spec.id)[-1]
    if _await_late_phonons(database, spec, last):
        key = f"{spec.id} r{last.number} late phonons"
        chosen = database.rounds.get(spec.id, last.number)
        flows = lambda: _unjudged(database, spec, chosen)  # noqa: E731
        return [key] if submit_once(launchpad, spec, last.number, key, flows) else []
    validated = database.records.find(spec.id, status=Status.VALIDATED.value)
    if any(record.verdict is None for record in validated):
        claimed = database.claimed(Claim(spec.id, last.number, "late close", may_be_late=True))
        try:
            if claimed is not None:
                close_round(claimed, spec, last)
                claimed.rounds.finish()
        except SupersededError:  # another sweep closes it, and ends the campaign
            return []
    end_campaign(database, spec, reason)
    return []


def _await_late_phonons(database: Database, spec: CampaignSpec, last: RoundRecord) -> bool:
    """Whether phonons are waited for; what came after the last choice of them is chosen from first."""
    from niobe.flows.steps.validate import choose_phonons
    from niobe.loop.documents.records import Status

    def waiting() -> set[str]:
        validated = database.records.find(spec.id, status=Status.VALIDATED.value)
        return {record.id for record in validated if record.phonons_pending}

    if not waiting() <= set(last.phonons):
        choose_phonons(database, spec, last)
    return bool(waiting())
