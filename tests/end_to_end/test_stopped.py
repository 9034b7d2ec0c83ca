"""Workers that stop (SIGSTOP) in each step of a round as they are to write, and wake when others went on."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jobflow import Job
from pymatgen.core import Lattice, Structure
from pymongo import monitoring

from niobe.config.home import make_home
from niobe.config.spec import CampaignSpec
from niobe.flows import jobs
from niobe.flows.round import flow_of
from niobe.flows.stages import plan
from niobe.loop.store.database import Database
from niobe.loop.store.mapping import TURN
from tests.end_to_end.here import forking_context
from tests.end_to_end.stopped_step import Moment, Named, Watcher, work
from tests.end_to_end.test_campaign import CAMPAIGN

EVERYTHING: dict[str, Any] = {
    "budget": {"rounds": 3, "validations": 9},
    "sources": [],
    "generation": {
        "candidates": 16,
        "gan_epochs": 1,
        "finetune": True,
        "mix": [{"name": name} for name in ("random", "gan", "offspring", "soft_mode")],
    },
    "prerelax": {"potential": "lj", "steps": 5, "first_steps": 2, "keep": 0.5},
    "goals": [
        {"property": "density", "range": [None, 16.5], "minimize": True},
        {"property": "bulk_modulus", "maximize": True},
    ],
    "challenge": {"enabled": True, "share": 1.0, "draws": 2, "asks": 1},
    "confirm": {"oracles": ["lj"], "share": 1.0},
    "conditions": {"temperature": 300},
    "launcher": "fireworks",
}
"""Every stage that a round may have."""
Step = tuple[int, str]
"""Number of a round, name of a stage."""
Point = tuple[Moment, int]
Stored = dict[str, dict[str, Any]]
ROUNDS = (0, 1)
FIRST = 3
"""A step's own first write: before it the round is opened and the claim taken."""


def cell(edge: float, metals: list[str]) -> Structure:
    sites = np.array([[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])
    return Structure(Lattice.cubic(edge), metals, sites)


@pytest.fixture
def spec(tmp_path: Path) -> CampaignSpec:
    """A campaign with a seed of its own, whose GAN learns from another system's crystal."""
    seed, corpus = tmp_path / "seed.cif", tmp_path / "corpus.cif"
    cell(3.75, ["Au", "Cu", "Cu", "Cu"]).to(filename=str(seed))
    cell(3.6, ["Al", "Ni", "Ni", "Ni"]).to(filename=str(corpus))
    own = {"seeds": {"prototypes": False, "files": [str(seed)]}, "corpus": str(corpus)}
    return CampaignSpec.model_validate(CAMPAIGN | EVERYTHING | own)


def steps_of(spec: CampaignSpec, number: int) -> Iterator[tuple[Step, Named]]:
    """The stages of a round with a job each, which does what several slots do."""
    for stage in plan(spec, number):
        alone = replace(stage, needs=(), slots=None if stage.slots is None else 1)
        (job,) = flow_of(spec, number, [alone]).jobs
        yield (number, stage.name), _named(job)


def _named(job: Job) -> Named:
    return job.function.__name__, job.function_args, job.function_kwargs


def run(job: Named) -> None:
    """As another worker does it, in this process."""
    name, arguments, named = job
    getattr(jobs, name).original(*arguments, **named)


def stored(database: Database) -> Stored:
    """Every document by collection and id, but for who has claimed what; of contents of checkpoints those
    that one names."""
    claimed = {"claims": 0, TURN: 0}
    found = {
        name: {str(one["_id"]): one for one in database.mongo[name].find({}, claimed)}
        for name in database.mongo.list_collection_names()
    }
    named = {file["file"] for one in found.get("checkpoints", {}).values() for file in one["files"]}
    for name, key in (("files", "_id"), ("chunks", "files_id")):
        contents = found.get(f"checkpoint_files.{name}", {})
        found[f"checkpoint_files.{name}"] = {k: one for k, one in contents.items() if one[key] in named}
    return found


def changes(before: Stored, after: Stored) -> list[str]:
    """Collection and id of what is new, gone or another, with the fields that are."""
    said = []
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name, {}), after.get(name, {})
        for key in sorted(old.keys() | new.keys()):
            one, other = old.get(key, {}), new.get(key, {})
            fields = sorted(k for k in one.keys() | other.keys() if one.get(k) != other.get(k))
            said += [f"{name} {key}: {', '.join(fields)}"] if fields else []
    return said


@dataclass
class Asleep:
    """A worker that has stopped. where: in words. said: where it says how it ended."""

    where: str
    process: BaseProcess
    said: Connection

    def wake(self) -> str:
        """The error it ends with; "" without one."""
        until = time.monotonic() + 120
        while not self.said.poll(0.05):
            assert time.monotonic() < until, self.where
            os.kill(self.process.pid or 0, signal.SIGCONT)
        self.process.join()
        return str(self.said.recv())


class Sleepers:
    """Starts workers that stop, wakes them, and gathers what they did then."""

    def __init__(self, database: Database) -> None:
        """database: the campaign's."""
        make_home()
        self._database, self._context = database, forking_context()
        self._processes: list[BaseProcess] = []
        self.asleep: list[Asleep] = []
        self.ends: list[str] = []
        self.wrong: list[str] = []

    def start(self, step: Step, job: Named, point: Point) -> Asleep | None:
        """A worker that does a job until it stops; None where it has come to its end before."""
        here, there = self._context.Pipe()
        own = {name: value for name, value in os.environ.items() if name.startswith("NIOBE_")}
        process = self._context.Process(target=work, args=(there, own, job, *point), daemon=True)  # type: ignore[attr-defined]
        process.start()
        self._processes.append(process)
        if (said := here.recv()) is not None:
            assert said == "", (step, point, said)
            return None
        return Asleep(f"r{step[0]} {step[1]}, {point[0]} {point[1]}", process, here)

    def wake(self, workers: Iterable[Asleep]) -> None:
        """One after the other; none may change anything."""
        before = stored(self._database)
        for worker in workers:
            said = worker.wake()
            after = stored(self._database)
            self.ends.append(said.partition(":")[0])
            self.wrong += [f"{worker.where} ({said}): {change}" for change in changes(before, after)]
            before = after

    def end(self) -> None:
        """No process is left."""
        for process in self._processes:
            process.kill()
            process.join()


@pytest.fixture
def sleepers(database: Database) -> Iterator[Sleepers]:
    found = Sleepers(database)
    yield found
    found.end()


def stop_and_wake(
    database: Database,
    spec: CampaignSpec,
    sleepers: Sleepers,
    points: Callable[[Step], Iterable[Point]],
    *,
    soon: bool,
) -> None:
    """A worker stops at each point of each step, and wakes once another has done the step (``soon``), or once
    the rounds have closed and a further one is open."""
    database.campaigns.create(spec)
    late: list[Asleep] = []
    for number in ROUNDS:
        for step, job in steps_of(spec, number):
            stopped = [worker for point in points(step) if (worker := sleepers.start(step, job, point))]
            run(job)
            if soon:
                sleepers.wake(stopped)
            else:
                late += stopped
        assert database.rounds.get(spec.id, number).closed
    database.rounds.open(spec.id, len(ROUNDS))
    sleepers.wake(late)
    assert sleepers.wrong == []
    assert set(sleepers.ends) <= {"SupersededError", ""}


@pytest.mark.timeout(600)
def test_woken_at_the_first_write_of_a_step_nothing_changes(
    database: Database, spec: CampaignSpec, sleepers: Sleepers
) -> None:
    stop_and_wake(database, spec, sleepers, lambda _: [("write", FIRST)], soon=False)
    every = sum(len(plan(spec, number)) for number in ROUNDS)
    assert sleepers.ends.count("SupersededError") > 0.9 * every


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("soon", [True, False])
def test_woken_at_any_write_or_question_of_a_step_nothing_changes(
    database: Database, spec: CampaignSpec, sleepers: Sleepers, soon: bool
) -> None:
    """What a step writes is counted in another campaign before."""
    writes, watcher = dict[Step, int](), Watcher("write")
    monitoring.register(watcher)
    counted = spec.model_copy(update={"id": "counted"})
    database.campaigns.create(counted)
    for number in ROUNDS:
        for step, job in steps_of(counted, number):
            watcher.count = 0
            run(job)
            writes[step] = watcher.count
    database.mongo.client.drop_database(database.mongo.name)

    def points(step: Step) -> list[Point]:
        last = writes[step] - 1
        if not soon:  # all of them sleep to the end, beside each other
            return [("question", 1), ("write", (FIRST + last) // 2), ("write", last + 1)]
        own = sorted({FIRST, (FIRST + last) // 2, last - 1, last, last + 1} - {0, 1, 2})
        return [("question", 1), ("question", max(1, last - FIRST)), *(("write", at) for at in own)]

    stop_and_wake(database, spec, sleepers, points, soon=soon)
