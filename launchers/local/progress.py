"""What a running campaign shows: round, step, candidates, validations, best so far."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from niobe.config.spec import CampaignSpec
from niobe.launchers.output.hull_text import hull_text
from niobe.launchers.terminal import local_time, shown, styled
from niobe.loop.documents.records import Status
from niobe.loop.documents.rounds import CampaignState, RoundRecord

if TYPE_CHECKING:
    from rich.console import Console

    from niobe.loop.store.database import Database

_LOOK_EVERY = 1.0
_ANSWERED = (Status.VALIDATED, Status.FAILED)


class CampaignProgress:
    """A live line for the running round; as one closes, a line, its discoveries and its hull are printed."""

    def __init__(
        self, database: Database, spec: CampaignSpec, console: Console, *, so_far: bool = False
    ) -> None:
        """so_far: show also what closed before."""
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self._database, self._spec, self._console = database, spec, console
        self._oracle = spec.oracle.calculator or spec.oracle.name
        columns: list[Any] = [
            TextColumn("{task.description}", style="bold", markup=False),
            BarColumn(24),
            TextColumn("{task.fields[state]}", markup=False),
            TimeElapsedColumn(),
        ]
        self._progress = Progress(*columns, console=console)
        self._task = self._progress.add_task("starting", total=spec.budget.validations, state="")
        self._looked = 0.0
        before = [] if so_far else database.rounds.find(spec.id)
        self._closed = {r.number for r in before if r.closed}
        self._known = {r.id for r in self._discoveries()} if before else set()

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
            state=f"{at}{self._of_batch(current)} · {done} validations · {len(self._known)} discoveries"
            f"{self._of_others()}",
        )

    def _of_batch(self, current: RoundRecord) -> str:
        """How many of its batch have an answer, once it is being asked for."""
        if current.closed or not current.batch:
            return ""
        answered = (self._count(status, acquired_round=current.number) for status in _ANSWERED)
        return f" {sum(answered)} of {len(current.batch)}"

    def _of_others(self) -> str:
        """How many structures other oracles answered for, where DFT is one of them and each takes minutes."""
        if not self._spec.confirm.by_dft:
            return ""
        return f" · {self._database.answers.count(self._spec.id)} answers of other oracles"

    def _finished(self) -> int:
        seeds = sum(self._count(status, round=0) for status in _ANSWERED)
        return sum(self._count(status) for status in _ANSWERED) - seeds

    def _count(self, status: Status, **equal: int) -> int:
        return self._database.records.answered(self._spec.id, status.value, **equal)

    def _show_closed(self, rounds: list[Any]) -> None:
        new = [r for r in rounds if r.closed and r.number not in self._closed]
        if not new:
            return
        for record in self._discoveries():
            if record.id not in self._known:
                self._known.add(record.id)
                self._console.print(styled("discovery", "green"), discovery_line(record, self._oracle))
        for closed in new:
            self._closed.add(closed.number)
            self._console.print(round_line(closed))
            for note in closed.notes:
                self._console.print(styled(f"round {closed.number}", "yellow"), note)
        self._show_hull()

    def _show_hull(self) -> None:
        """The newest, as wide as the terminal or cut."""
        hull = self._database.hulls.last(self._spec.id)
        if hull and (lines := hull_text(hull, self._spec.elements, self._oracle)):
            self._console.print(*lines, sep="\n", overflow="crop", no_wrap=True, highlight=False)

    def _discoveries(self) -> list[Any]:
        return self._database.records.find(self._spec.id, verdict__discovery=True)


def watch(database: Database, spec: CampaignSpec, console: Console) -> str:
    """Show a campaign that another process runs, until it has ended; how it ended, in words.

    What was found so far is shown first.

    database: the campaign database, which is read only. spec: the campaign. console: where it is shown.
    """
    with CampaignProgress(database, spec, console, so_far=True) as progress:
        while True:
            found = database.campaigns.find_one(spec.id)
            if found is None:
                return "is not in the database any more"
            if found.state is not CampaignState.RUNNING:
                return f"{found.state}: {found.reason}"
            progress.tick()
            time.sleep(_LOOK_EVERY)


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
    at = f"{local_time(closed.closed_at)} " if closed.closed_at else ""
    if closed.number == 0:
        return f"{at}seeds: {m.validated} validated, {m.failed} failed"
    best = "–" if m.best_e_above_hull is None else f"{m.best_e_above_hull:.3f} eV/atom"
    return (
        f"{at}round {closed.number}: {m.generated} generated, {m.duplicates} duplicates, "
        f"{m.invalid} invalid, {m.validated} validated, {m.failed} failed, {m.discoveries} discoveries, "
        f"best {best} above hull"
    )


def discovery_line(record: Any, oracle: str) -> str:
    """One line about a discovery. oracle: by whose energies."""
    lowest = record.validation.phonon.lowest_frequency
    dynamics = "no phonons" if lowest is None else f"lowest {lowest:.2f} THz"
    return (
        f"{record.formula} {record.space_group} {record.id}: {record.verdict.phase}, "
        f"{record.verdict.e_above_hull_now:.3f} eV/atom above hull by {oracle}, {dynamics}"
    )
