"""What a running campaign shows: round, step, candidates, validations, best so far."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from niobe.config.spec import CampaignSpec
from niobe.launchers.terminal import shown, styled
from niobe.loop.documents.records import Status
from niobe.loop.documents.rounds import RoundRecord

if TYPE_CHECKING:
    from rich.console import Console

    from niobe.loop.store.database import Database

_LOOK_EVERY = 1.0


class CampaignProgress:
    """A live line for the running round, and a printed line for each closed round and discovery."""

    def __init__(self, database: Database, spec: CampaignSpec, console: Console) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self._database, self._spec, self._console = database, spec, console
        columns: list[Any] = [
            TextColumn("{task.description}", style="bold", markup=False),
            BarColumn(24),
            TextColumn("{task.fields[state]}", markup=False),
            TimeElapsedColumn(),
        ]
        self._progress = Progress(*columns, console=console)
        self._task = self._progress.add_task("starting", total=spec.budget.validations, state="")
        self._looked = 0.0
        self._closed = {r.number for r in database.rounds.find(spec.id) if r.closed}
        self._known = {r.id for r in self._discoveries()}

    def __enter__(self) -> CampaignProgress:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._looked = 0.0
        self.tick()
        self._progress.stop()

    def tick(self) -> None:
        """Look at the database, at most once a second, and show what is new."""
        if time.monotonic() - self._looked < _LOOK_EVERY:
            return
        self._looked = time.monotonic()
        rounds = self._database.rounds.find(self._spec.id)
        if not rounds:
            return
        self._show_closed(rounds)
        current, done = rounds[-1], self._finished()
        at = shown(doing(current, self._spec))
        self._progress.update(
            self._task,
            description=f"round {current.number}",
            completed=done,
            state=f"{at} · {done} validations · {len(self._known)} discoveries",
        )

    def _finished(self) -> int:
        seeds = sum(self._count(status, round=0) for status in (Status.VALIDATED, Status.FAILED))
        return sum(self._count(status) for status in (Status.VALIDATED, Status.FAILED)) - seeds

    def _count(self, status: Status, **equal: int) -> int:
        return self._database.records.count(self._spec.id, status=status.value, **equal)

    def _show_closed(self, rounds: list[Any]) -> None:
        new = [r for r in rounds if r.closed and r.number not in self._closed]
        if not new:
            return
        for record in self._discoveries():
            if record.id not in self._known:
                self._known.add(record.id)
                self._console.print(styled("discovery", "green"), discovery_line(record))
        for closed in new:
            self._closed.add(closed.number)
            self._console.print(round_line(closed))
            for note in closed.notes:
                self._console.print(styled(f"round {closed.number}", "yellow"), note)

    def _discoveries(self) -> list[Any]:
        return self._database.records.find(self._spec.id, verdict__discovery=True)


def doing(current: RoundRecord, spec: CampaignSpec) -> str:
    """The stage a round is at, in words."""
    from niobe.flows import stages

    stage = stages.current(stages.plan(spec, current.number), current.steps)
    if stage is None:
        return "closed"
    return f"{stage.label} {current.doing}" if current.doing and stage.slots is None else stage.label


def round_line(closed: Any) -> str:
    """One line about a closed round."""
    m = closed.metrics
    if closed.number == 0:
        return f"seeds: {m.validated} validated, {m.failed} failed"
    best = "–" if m.best_e_above_hull is None else f"{m.best_e_above_hull:.3f} eV/atom"
    return (
        f"round {closed.number}: {m.generated} generated, {m.duplicates} duplicates, {m.invalid} invalid, "
        f"{m.validated} validated, {m.failed} failed, {m.discoveries} discoveries, best {best} above hull"
    )


def discovery_line(record: Any) -> str:
    """One line about a discovery."""
    lowest = record.validation.phonon.lowest_frequency
    dynamics = "no phonons" if lowest is None else f"lowest {lowest:.2f} THz"
    return (
        f"{record.formula} (space group {record.validation.spacegroup}) {record.id}: "
        f"{record.verdict.phase}, {record.verdict.e_above_hull_now:.3f} eV/atom above hull, {dynamics}"
    )
