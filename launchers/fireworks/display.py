"""What `niobe rockets` shows: each worker's job, each running campaign's round, closed rounds as lines."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from niobe.launchers.local.progress import round_line
from niobe.launchers.services import campaign_database
from niobe.launchers.terminal import styled

if TYPE_CHECKING:
    from rich.console import Console

    from niobe.launchers.fireworks.rockets import Rockets
    from niobe.loop.store.database import Database

_LOOK_EVERY = 1.0


class RocketDisplay:
    """A live table, looked up at most once a second."""

    def __init__(self, console: Console) -> None:
        from rich.live import Live

        self._console = console
        self._live = Live(console=console, refresh_per_second=2, transient=True)
        self._closed: set[tuple[str, int]] | None = None
        self._looked = 0.0

    def __enter__(self) -> RocketDisplay:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._looked = 0.0
        self._live.stop()

    def show(self, rockets: Rockets, launchpad: Any) -> None:
        """Look at the database and show what is new."""
        from niobe.launchers.fireworks.rockets import running_jobs
        from niobe.launchers.fireworks.sweep import running

        if time.monotonic() - self._looked < _LOOK_EVERY:
            return
        self._looked = time.monotonic()
        with campaign_database() as database:
            self._show_closed(database)
            campaigns = [campaign_row(database, campaign.id) for campaign in running(database)]
        self._live.update(_table(running_jobs(launchpad, rockets), campaigns, rockets.deaths))

    def _show_closed(self, database: Database) -> None:
        closed = {
            (campaign.id, record.number): record
            for campaign in database.campaigns.find()
            for record in database.rounds.find(campaign.id)
            if record.closed
        }
        for key in sorted(closed.keys() - (self._closed if self._closed is not None else closed.keys())):
            self._console.print(f"{key[0]} {round_line(closed[key])}")
        self._closed = set(closed)


def campaign_row(database: Database, campaign: str) -> tuple[str, str]:
    """A campaign and where it is, in words."""
    rounds = database.rounds.find(campaign)
    if not rounds:
        return campaign, "starting"
    current = rounds[-1]
    waiting = database.records.count(campaign, status="acquired")
    step = list(current.steps)[-1].replace("_", " ") if current.steps else "nothing"
    return campaign, f"round {current.number} · {step} done · {waiting} of {len(current.batch)} to validate"


def _table(jobs: dict[str, str], campaigns: list[tuple[str, str]], deaths: int) -> Any:
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    for worker, job in jobs.items():
        table.add_row(f"rocket {worker}", job)
    for campaign, state in campaigns:
        table.add_row(styled(campaign, "bold"), state)
    if deaths:
        table.add_row("workers replaced", str(deaths))
    return table
