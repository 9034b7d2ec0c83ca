"""The local launcher: runs each round's workflow on this machine's cores, one process a core."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from config.errors import ConfigError
from config.settings import Settings
from config.spec import CampaignSpec
from launchers.executor import FlowRun, Tick, Workers

if TYPE_CHECKING:
    from loop.database import Database


class StepFailedError(RuntimeError):
    """A step other than a validation raised; the campaign can be resumed once its cause is gone."""


def run_campaign(database: Database, spec: CampaignSpec, tick: Tick) -> str:
    """Run rounds until the policy stops; returns why it stopped. ``tick`` is called twice a second.

    Safe to kill at any instant and to call again: finished steps and stored validations are not repeated.
    """
    from flows.round import RoundMaker

    with _only_one(spec), Workers(Settings().workers) as workers:
        while True:
            number, reason = _next_round(database, spec)
            if reason:
                database.update_campaign(spec.id, state=_final_state(reason), reason=reason)
                return reason
            database.open_round(spec.id, number)
            errors = FlowRun(RoundMaker().make(spec, number), workers).run(tick)
            _note(database, spec, number, errors)
            _require_closed(database, spec, number, errors)


def _next_round(database: Database, spec: CampaignSpec) -> tuple[int, str]:
    """The round to work on, and why not to ("" to go on)."""
    from flows.ranking import spent
    from loop.policy import oracle_seconds, why_stop

    rounds = database.rounds(spec.id)
    campaign = database.create_campaign(spec)
    unfinished = [record.number for record in rounds if record.state == "open"]
    if unfinished:
        return unfinished[0], "stopped by the user" if campaign.stop else ""
    seconds = oracle_seconds(database.records(spec.id))
    return len(rounds), why_stop(spec, campaign, rounds, spent(database, spec), seconds)


def _final_state(reason: str) -> str:
    return "stopped" if reason == "stopped by the user" else "finished"


def _note(database: Database, spec: CampaignSpec, number: int, errors: dict[str, str]) -> None:
    """Add the jobs that failed to the round's notes."""
    if errors:
        notes = database.round(spec.id, number).notes + [f"{name}: {error}" for name, error in errors.items()]
        database.update_round(spec.id, number, notes=notes)


def _require_closed(database: Database, spec: CampaignSpec, number: int, errors: dict[str, str]) -> None:
    if database.round(spec.id, number).state == "closed":
        return
    failed = "; ".join(f"{name}: {error}" for name, error in errors.items()) or "no step reported why"
    raise StepFailedError(f"round {number} could not close: {failed}")


@contextmanager
def _only_one(spec: CampaignSpec) -> Iterator[None]:
    """Hold the campaign's lock. Raises ConfigError where another process runs the same campaign here."""
    from filelock import FileLock, Timeout

    folder = Settings().home
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / f"{spec.id}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ConfigError(f"campaign {spec.id!r} is already running on this machine") from None
    try:
        yield
    finally:
        lock.release()
