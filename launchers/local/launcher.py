"""The local launcher: runs each round's workflow on this machine's cores, one process a core."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from niobe.config.home import worker_log
from niobe.config.settings import Settings
from niobe.config.spec import CampaignSpec
from niobe.launchers.local.executor import FlowRun, Tick, Workers
from niobe.launchers.local.holding import Hold, only_one
from niobe.launchers.rounds import end_campaign, next_round, note
from niobe.loop.documents.rounds import CampaignState

if TYPE_CHECKING:
    from niobe.loop.store.database import Database


class StepFailedError(RuntimeError):
    """A step other than a validation raised; the campaign can be resumed once its cause is gone."""


def run_campaign(database: Database, spec: CampaignSpec, tick: Tick, *, rounds: int | None = None) -> str:
    """Run rounds until the policy stops; returns why it stopped. ``tick`` is called twice a second.

    rounds: run at most so many; "" is returned where it could go on.
    Safe to kill at any instant and to call again: finished steps and stored validations are not repeated.

    database: the campaign database. spec: the campaign. Raises ConfigError where another process runs it.
    """
    with only_one(database, spec.id) as hold:
        return run_held(database, spec, tick, hold, rounds=rounds)


def run_held(
    database: Database, spec: CampaignSpec, tick: Tick, hold: Hold, *, rounds: int | None = None
) -> str:
    """``run_campaign`` where this process holds the campaign already, since before it looked at it.

    database: the campaign database. spec: the campaign. tick, rounds: as ``run_campaign`` takes them. hold:
    of the campaign. Raises ConfigError where it was lost.
    """
    from niobe.flows.round import RoundMaker

    def tick_held() -> None:
        hold.check_beat()
        tick()

    with Workers(Settings().workers) as workers:
        hold.check()
        database.campaigns.update(
            spec.id, **{"spec.launcher": "local", "state": CampaignState.RUNNING, "reason": ""}
        )
        for _ in count() if rounds is None else range(rounds):
            number, reason = next_round(database, spec)
            hold.check()
            if reason:
                end_campaign(database, spec, reason)
                return reason
            database.open_round(spec.id, number)
            errors = FlowRun(RoundMaker().make(spec, number), workers).run(tick_held)
            hold.check()
            note(database, spec, number, errors)
            _require_closed(database, spec, number, errors)
        return ""


def _require_closed(database: Database, spec: CampaignSpec, number: int, errors: dict[str, str]) -> None:
    if database.rounds.get(spec.id, number).closed:
        return
    failed = "; ".join(f"{name}: {error}" for name, error in errors.items()) or "no step reported why"
    raise StepFailedError(f"round {number} could not close: {failed}; details: {worker_log()}")
