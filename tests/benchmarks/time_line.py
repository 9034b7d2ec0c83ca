"""``python -m tests.benchmarks.time_line [FILE] [--rounds N] [--beside F] [--finished]``: a campaign's time.

Runs a campaign, of two lines unless a file is named, in a folder of its own and goes on where it was; then
reads what each job after round 0 says of itself: in which process it ran, when, for how long and on how much
of a processor. Published are the seconds of each step and what share of the time from the first validation to
the last one the workers had a job. ``--beside`` names the folder of the same campaign by other code: its
seconds stand beside. With ``--finished`` nothing is run.
"""

from __future__ import annotations

import argparse
import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from niobe.config.loading import load_campaign
from niobe.config.spec import CampaignSpec
from niobe.launchers.benchmarking import own_home
from niobe.launchers.local.launcher import run_campaign
from niobe.launchers.local.progress import CampaignProgress
from niobe.launchers.rounds import begin_campaign
from niobe.launchers.services import campaign_database
from tests.benchmarks.publish import publish

FOLDER = Path(".niobe/benchmarks/time_line")
TWO_LINES = "id: al-ni\nelements: [Al, Ni]\n"
_COLUMNS = 60


class Ran(NamedTuple):
    """One job: its step, round and process; when it began (s since the epoch), its seconds by the clock and
    of a processor."""

    step: str
    round: int
    process: int
    began: float
    seconds: float
    processor: float

    @property
    def ended(self) -> float:
        return self.began + self.seconds


class Line(NamedTuple):
    """A campaign's jobs, in the order in which they began, and what it found: how many structures it
    validated, those within ``hull_tolerance`` and discoveries."""

    jobs: list[Ran]
    workers: int
    validated: int
    near: int
    discoveries: int

    @property
    def wall(self) -> float:
        """Seconds by the clock from the first job's begin to the last one's end."""
        return max(job.ended for job in self.jobs) - self.jobs[0].began

    @property
    def said(self) -> str:
        """What it found, and in what time."""
        rounds = len({job.round for job in self.jobs})
        return (
            f"{rounds} rounds after round 0: {self.validated} validated, {self.near} of them within "
            f"hull_tolerance, {self.discoveries} discoveries; {self.wall:.0f} s by the clock on "
            f"{self.workers} workers, of which {busy(self):.0%} had a job"
        )


def main() -> None:
    """Run what is missing, read the jobs, publish."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.time_line")
    parser.add_argument("file", nargs="?", type=Path)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--rounds", type=int, help="run at most so many")
    parser.add_argument("--finished", action="store_true", help="run nothing")
    parser.add_argument("--beside", type=Path, help="a folder of the same campaign by other code")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    spec = load_campaign(asked.file or _two_lines(asked.folder))
    if not asked.finished:
        run(spec, asked.folder, asked.rounds)
    line = read(spec, asked.folder)
    beside = read(spec, asked.beside) if asked.beside else None
    publish_line(spec, line, beside)


def _two_lines(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "al-ni.yaml"
    file.write_text(TWO_LINES, encoding="utf-8")
    return file


def run(spec: CampaignSpec, folder: Path, rounds: int | None) -> None:
    """Run a campaign to its end, or so many rounds. folder: where its home is."""
    with own_home(folder / "home"), campaign_database() as database:
        begun = begin_campaign(database, spec)
        with CampaignProgress(database, begun, Console()) as progress:
            run_campaign(database, begun, progress.tick, rounds=rounds)


def read(spec: CampaignSpec, folder: Path) -> Line:
    """The jobs of a campaign after round 0, as far as it went. folder: where its home is."""
    with own_home(folder / "home"), campaign_database() as database:
        stored = database.mongo["outputs"].find({"metadata.campaign": spec.id}, {"name": 1, "output": 1})
        every = [_job(spec, document) for document in stored if "took" in (document["output"] or {})]
        asked = [r for r in database.results.finished(spec.id) if r.acquired_round and r.validation]
    jobs = sorted((job for job in every if job.round), key=lambda job: job.began)
    near = sum(bool(r.verdict and r.verdict.e_above_hull_now <= spec.hull_tolerance) for r in asked)
    found = sum(bool(r.verdict and r.verdict.discovery) for r in asked)
    return Line(jobs, len({job.process for job in jobs}), len(asked), near, found)


def _job(spec: CampaignSpec, document: Mapping[str, Any]) -> Ran:
    took, number = document["output"]["took"], int(document["output"]["round"])
    step = document["name"].removeprefix(f"{spec.id} r{number} ").split(" ")[0]
    return Ran(step, number, took["process"], took["began"], took["seconds"], took["processor"])


def busy(line: Line) -> float:
    """What share of the workers had a job between the begin of the first validation and the end of the
    last."""
    validations = [job for job in line.jobs if job.step == "validate"]
    began, ended = min(job.began for job in validations), max(job.ended for job in validations)
    held = sum(max(min(job.ended, ended) - max(job.began, began), 0.0) for job in line.jobs)
    return held / (line.workers * (ended - began))


def by_step(line: Line) -> dict[str, tuple[int, float, float]]:
    """How many jobs each step had, their seconds by the clock and of a processor; the most first."""
    found: dict[str, tuple[int, float, float]] = defaultdict(lambda: (0, 0.0, 0.0))
    for job in line.jobs:
        number, seconds, processor = found[job.step]
        found[job.step] = number + 1, seconds + job.seconds, processor + job.processor
    return dict(sorted(found.items(), key=lambda item: -item[1][2]))


def picture(line: Line) -> list[str]:
    """One line of text for each worker: the first letter of what it did most in each part of the time, ``·``
    where that was nothing."""
    began, ended = line.jobs[0].began, max(job.ended for job in line.jobs)
    width = (ended - began) / _COLUMNS
    text = []
    for process in sorted({job.process for job in line.jobs}):
        own = [job for job in line.jobs if job.process == process]
        text.append("".join(_most(own, began + column * width, width) for column in range(_COLUMNS)))
    return text


def _most(jobs: Sequence[Ran], start: float, width: float) -> str:
    held: dict[str, float] = defaultdict(float, {"·": width / 2})
    for job in jobs:
        held[_letter(job.step)] += max(min(job.ended, start + width) - max(job.began, start), 0.0)
    return max(held, key=lambda letter: held[letter])


def _letter(step: str) -> str:
    kinds = {
        "prerelax": "p",
        "relax_promising": "p",
        "validate": "V",
        "phonons": "H",
        "challenge": "C",
        "confirm": "O",
        "train": "t",
    }
    return next((letter for kind, letter in kinds.items() if step.startswith(kind)), "s")


def publish_line(spec: CampaignSpec, line: Line, beside: Line | None) -> None:
    """A row for each step, the workers' share, and the time line as text."""
    other = by_step(beside) if beside else {}
    rows: list[dict[str, Any]] = []
    for step, (jobs, clock, processor) in by_step(line).items():
        before = other.get(step, (0, 0.0, 0.0))[2] if beside else None
        rows.append(_row(step, jobs, clock, processor, before))
    total = sum(job.processor for job in line.jobs)
    before = sum(job.processor for job in beside.jobs) if beside else None
    rows.insert(0, _row("all", len(line.jobs), sum(job.seconds for job in line.jobs), total, before))
    publish(
        f"time-line-{spec.id}",
        page="campaign",
        title=f"Where the time of a campaign of two lines goes: {spec.chemsys}",
        command="python -m tests.benchmarks.time_line" + (" --beside F" if beside else ""),
        rows=rows,
        seconds=line.wall,
        seeds=[spec.seed],
        headline=f"{total:.0f} processor seconds"
        + (f", {before / total:.2f} times as many before (bar: 2)" if before else "")
        + f"; {busy(line):.0%} of the workers busy from the first validation to the last (bar: 90 %)",
        notes=[
            f"now: {line.said}",
            *([f"before: {beside.said}"] if beside else []),
            "what is found hangs on the clock where phonons or looks in motion run into their time, as they "
            "do on a loaded machine",
            "p pre-relaxation, V validation, H phonons, C challenge, O other oracles, t training, s the "
            "rest, · idle; a line of text a worker: " + " ".join(f"`{text}`" for text in picture(line)),
        ],
        order=20,
    )


def _row(step: str, jobs: int, clock: float, processor: float, before: float | None) -> dict[str, Any]:
    row = {"step": step, "jobs": jobs, "clock, s": round(clock, 1), "processor, s": round(processor, 1)}
    if before is None:
        return row
    ratio = round(before / processor, 2) if processor else None
    return row | {"before, processor s": round(before, 1), "before ÷ now": ratio}


if __name__ == "__main__":
    main()
