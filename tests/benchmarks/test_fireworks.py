"""What the FireWorks launcher costs: the overhead of the loop, and how it grows with the validations."""

from __future__ import annotations

import os
import resource
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from niobe.config.spec import CampaignSpec
from niobe.launchers.embedded import server_status, stop_server
from niobe.launchers.fireworks.launch import launch_campaign
from niobe.launchers.fireworks.pad import open_launchpad
from niobe.launchers.fireworks.rockets import Rockets, fly_rockets
from niobe.launchers.services import campaign_database
from niobe.loop.documents.records import Status
from niobe.loop.store.database import Database
from tests.benchmarks.publish import publish

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(7200)]
WORKERS = 2
COMMAND = "python -m pytest -m benchmark tests/benchmarks/test_fireworks.py"
TRAINING = ("train_surrogate", "train_gan")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name in [name for name in os.environ if name.startswith("NIOBE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NIOBE_HOME", str(tmp_path))
    monkeypatch.setenv(
        "PYTHONPATH", str(Path(__file__).parents[2])
    )  # workers import nothing from where they run
    monkeypatch.setattr(Rockets, "module", "tests.benchmarks.stand_in")
    yield tmp_path
    monkeypatch.delenv("NIOBE_MONGO_URI", raising=False)
    monkeypatch.delenv("NIOBE_EMBEDDED_URI", raising=False)
    stop_server(tmp_path / "db")


def spec_of(rounds: int, batch: int, max_atoms: int) -> CampaignSpec:
    content = {
        "id": f"stand-in-{rounds * batch}",
        "elements": ["Cu", "Au"],
        "limits": {"max_atoms": max_atoms},
        "budget": {"rounds": rounds, "validations": rounds * batch},
        "seeds": {"max_prototypes": 0},
        "generation": {"candidates": 2 * batch, "mix": [{"name": "random"}]},
        "surrogate": {"members": 2},
        "acquisition": {"function": "greedy", "batch": batch, "control_share": 0.1},
        "oracle": {"name": "emt"},
        "launcher": "fireworks",
    }
    return CampaignSpec.model_validate(content)


def run_campaign(home: Path, spec: CampaignSpec) -> tuple[float, float]:
    """Wall seconds from launch to end under ``WORKERS`` rockets, and the processor seconds it took."""
    started = time.monotonic()
    launchpad = open_launchpad()
    with campaign_database() as database:
        launch_campaign(launchpad, database, spec)
    launchpad.connection.close()
    before = processor_seconds(home)
    said, well = fly_rockets(WORKERS, lambda *_: None)
    assert well, said
    return time.monotonic() - started, processor_seconds(home) - before


def processor_seconds(home: Path) -> float:
    """Processor time so far of this process, its children, ended ones too, and the database server."""
    own = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    status = server_status(home / "db")
    assert status is not None
    living = [status.pid, *map(int, Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())]
    return sum(map(_ticks, living)) + sum(usage.ru_utime + usage.ru_stime for usage in own)


def _ticks(process: int) -> float:
    """Seconds of processor time of a living process."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def oracle_seconds(database: Database, spec: CampaignSpec) -> tuple[int, float]:
    found = database.records.find(spec.id, status=Status.VALIDATED.value)
    return len(found), sum(sum(record.validation.seconds.values()) for record in found if record.validation)


def step_seconds(database: Database, spec: CampaignSpec) -> Counter[str]:
    seconds: Counter[str] = Counter()
    for record in database.rounds.find(spec.id):
        seconds.update(record.steps)
    return seconds


def until_first_job(database: Database) -> float:
    """Seconds between the first workflow's submission and its first launch."""
    from datetime import datetime

    first = database.mongo["launches"].find_one({}, sort=[("launch_id", 1)])
    workflow = database.mongo["workflows"].find_one({}, sort=[("_id", 1)])
    assert first is not None
    assert workflow is not None
    times = [first["time_start"], workflow["created_on"]]
    start, made = [datetime.fromisoformat(t) if isinstance(t, str) else t for t in times]
    return float((start.replace(tzinfo=None) - made.replace(tzinfo=None)).total_seconds())


def test_overhead_of_the_loop(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIOBE_STAND_IN_SECONDS", "5.0")
    spec = spec_of(rounds=1, batch=32, max_atoms=12)
    wall, processor = run_campaign(home, spec)
    with campaign_database() as database:
        count, oracle = oracle_seconds(database, spec)
        steps, starting = step_seconds(database, spec), until_first_job(database)
    training = sum(steps[name] for name in TRAINING)
    loop = sum(steps.values()) - training
    overhead = wall - training - oracle / WORKERS
    split = {
        f"oracle, {count} validations on {WORKERS} workers": oracle / WORKERS,
        "training": training,
        "overhead: starting the workers": starting,
        "overhead: the loop's own steps (generate, screen, acquire, close, …)": loop,
        "overhead: FireWorks, database, workers that wait": overhead - starting - loop,
        "overhead, all of it": overhead,
        "wall time": wall,
        "processor time of workers, supervisor and database, training included": processor,
    }
    rows = [
        {
            "what": what,
            "bar": "≤ 7 % of wall" if what == "overhead, all of it" else None,
            "seconds": round(seconds, 1),
            "share of wall": f"{100 * seconds / wall:.1f} %",
        }
        for what, seconds in split.items()
    ]
    publish(
        "fireworks-overhead",
        page="fireworks",
        headline="{5[what]}: {5[share of wall]} (bar: {5[bar]})",
        title="FireWorks: overhead of the loop",
        command=COMMAND + " -k overhead",
        rows=rows,
        seconds=wall,
        seeds=[spec.seed],
        notes=[
            f"The oracle is a stand-in that sleeps 5 s; embedded database; {count - 32} seeds and competing "
            "phases, a round of 32 chosen from 64 random symmetric structures of up to 12 atoms, a "
            "campaign's default.",
            "Other work stretches every step but the oracle's sleep: processor time does not change.",
        ],
    )
    assert count >= 40


class Growth:
    """Watches one campaign grow: wall and processor seconds when each number of validations is reached."""

    def __init__(self, home: Path, spec: CampaignSpec, counts: list[int], seconds: float) -> None:
        self._home, self._spec, self._left = home, spec, list(counts)
        self._started, self._until = time.monotonic(), time.monotonic() + seconds
        self._before = processor_seconds(home)
        self.reached: list[tuple[int, float, float, Counter[str]]] = []

    def look(self, database: Database) -> None:
        """Raises KeyboardInterrupt once the last number is reached, or the time is over."""
        done = database.records.count(self._spec.id, status=Status.VALIDATED.value)
        wall = time.monotonic() - self._started
        if self._left and done >= self._left[0]:
            self._left.pop(0)
            processor = processor_seconds(self._home) - self._before
            self.reached.append((done, wall, processor, step_seconds(database, self._spec)))
        if not self._left or time.monotonic() > self._until:
            raise KeyboardInterrupt


def test_growth_with_the_validations(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIOBE_STAND_IN_SECONDS", "0.01")
    counts = [100, 200, 500, 1000, 1500, 2000]
    spec = spec_of(rounds=counts[-1] // 50, batch=50, max_atoms=16)
    started = time.monotonic()
    launchpad = open_launchpad()
    with campaign_database() as database:
        launch_campaign(launchpad, database, spec)
        launchpad.connection.close()
        growth = Growth(home, spec, counts, float(os.environ.get("BENCHMARK_SECONDS", "inf")))
        with pytest.raises(KeyboardInterrupt):
            fly_rockets(WORKERS, lambda *_: growth.look(database))
    rows: list[dict[str, Any]] = []
    for done, wall, processor, steps in growth.reached:
        rows.append(_row(done, wall, processor, steps, rows))
    publish(
        "fireworks-growth",
        page="fireworks",
        headline=(
            "{0[s per validation]} s a validation with {0[validations]}, {3[s per validation]} "
            "with {3[validations]} (bar: {3[bar]})"
        ),
        title="FireWorks: how the loop grows with the validations",
        command=COMMAND + " -k growth",
        rows=rows,
        seconds=time.monotonic() - started,
        notes=[
            f"One campaign with a stand-in oracle of 10 ms, rounds of 50, {WORKERS} workers, embedded "
            "database, as far as it came; seeds counted.",
            "The bar: seconds per validation no higher than at the first row.",
            "Processor seconds are those of workers, supervisor and database, whatever else the machine did.",
            "Tried: a cell is reduced once when duplicates are looked for, a round's records are written "
            "together, trees are grown only to predict. What still grows with the records is the surrogate, "
            "whose exact trees are grown to train and again to predict, and the search for duplicates.",
        ],
    )
    assert rows


def _row(
    done: int, wall: float, processor: float, steps: Counter[str], before: list[dict[str, Any]]
) -> dict[str, Any]:
    loop = sum(steps.values())
    each = wall / done
    return {
        "validations": done,
        "wall (s)": round(wall, 1),
        "in steps of the loop (s)": round(loop, 1),
        "processor s per validation": round(processor / done, 3),
        "s per validation": round(each, 3),
        "bar": f"≤ {before[0]['s per validation']}" if before else None,
        "slowest steps (s)": ", ".join(f"{name} {value:.0f}" for name, value in steps.most_common(3)),
    }
