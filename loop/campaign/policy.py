"""When a campaign goes on, and when it has spent enough."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from niobe.config.spec import CampaignSpec
from niobe.loop.documents.rounds import CampaignRecord, RoundRecord
from niobe.loop.store.database import Database
from niobe.loop.store.shared import oracle_seconds


def validations_left(spec: CampaignSpec, campaign: CampaignRecord, spent: int) -> int:
    """How many candidates may still be validated.

    spec: the campaign. campaign: what was added to its budget. spent: validations asked for.
    """
    return max(0, spec.budget.validations + campaign.extra_validations - spent)


def seconds_left(spec: CampaignSpec, campaign: CampaignRecord, used: float) -> float:
    """Oracle seconds the budget still holds; infinite where it names none.

    spec: the campaign. campaign: what was added to its budget. used: oracle seconds used.
    """
    if spec.budget.oracle_seconds is None:
        return float("inf")
    return max(spec.budget.oracle_seconds + campaign.extra_oracle_seconds - used, 0.0)


def force_constant_seconds(rounds: Iterable[RoundRecord]) -> float:
    """What force constants of phases that finds compete with took so far, s, whoever validated those.

    rounds: of the campaign.
    """
    return sum(asked.seconds for one in rounds for asked in one.force_constants.values())


def why_stop(
    spec: CampaignSpec, campaign: CampaignRecord, rounds: Sequence[RoundRecord], spent: int, seconds: float
) -> str:
    """Why no further round is opened, or "" to go on. ``spent``: validations; ``seconds``: of the oracle.

    spec: the campaign. campaign: what was added to its budget. rounds: all rounds, in order.
    """
    closed = [record for record in rounds if record.closed and record.number > 0]
    if campaign.stop:
        return "stopped by the user"
    if len(closed) >= spec.budget.rounds + campaign.extra_rounds:
        return "all rounds done"
    if validations_left(spec, campaign, spent) == 0:
        return "all validations spent"
    if seconds_left(spec, campaign, seconds) == 0:
        return "all oracle seconds spent"
    return _out_of_patience(spec, closed) or (why_not_ask(spec, closed[-1]) if closed else "")


def why_not_ask(spec: CampaignSpec, record: RoundRecord) -> str:
    """Why a round does not ask the oracle for what it chose, and is the last one, or "".

    spec: the campaign. record: the round, once its batch is chosen.
    """
    least, sure = spec.policy.expected_finds, spec.policy.confidence
    finds, nothing = record.expected_finds, record.nothing_left
    if least is not None and finds is not None and finds < least:
        return f"{finds:.2g} finds expected of the next batch; policy.expected_finds is {least:g}"
    if sure is not None and nothing is not None and nothing >= sure:
        return (
            f"with {100 * nothing:.0f} % confidence no candidate drawn lies on the hull; "
            f"policy.confidence is {sure:g}"
        )
    return ""


def _out_of_patience(spec: CampaignSpec, closed: Sequence[RoundRecord]) -> str:
    patience = spec.policy.patience
    if patience is None or len(closed) < patience:
        return ""
    recent = closed[-patience:]
    return (
        "" if any(record.metrics.discoveries for record in recent) else f"no discovery in {patience} rounds"
    )


def is_last_round(spec: CampaignSpec, campaign: CampaignRecord, rounds: Sequence[RoundRecord]) -> bool:
    """Whether the budget of rounds or validations ends with the newest round.

    spec: the campaign. campaign: what was added to its budget.
    """
    spent = sum(len(record.batch) for record in rounds if record.number > 0)
    last = spec.budget.rounds + campaign.extra_rounds
    return rounds[-1].number >= last or validations_left(spec, campaign, spent) == 0


def spent(database: Database, spec: CampaignSpec, *, exclude: int = 0) -> int:
    """Validations the campaign has asked for so far, but for seeds and for those of round ``exclude``.

    database: the campaign database. spec: the campaign.
    """
    return sum(
        len(record.batch) for record in database.rounds.find(spec.id) if record.number not in {0, exclude}
    )


def limited_seconds(database: Database, spec: CampaignSpec) -> float:
    """Oracle seconds that a campaign's budget counts: validations, failures and seeds, goals, and force
    constants of what finds compete with; 0 where the budget names no limit, and nothing is read.

    database: the campaign database. spec: the campaign.
    """
    if spec.budget.oracle_seconds is None:
        return 0.0
    return oracle_seconds(database, spec.id) + force_constant_seconds(database.rounds.find(spec.id))
