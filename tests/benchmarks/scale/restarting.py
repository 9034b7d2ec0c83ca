"""How long a campaign that was killed takes to its next job: ``python -m tests.benchmarks.scale restart``."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from niobe.config.spec import CampaignSpec
from niobe.loop.store.database import Database
from tests.benchmarks.publish import publish
from tests.benchmarks.scale.campaign import home_of, processor_seconds, run_round, spec_of
from tests.benchmarks.scale.filling import fill

_NAME, _ROUNDS, _STARTS = "flat", 10_000, 3


class _BegunError(Exception):
    """A worker was given a job."""


def restart(home: Path, validated: int) -> None:
    """Fill a campaign unless the home has it, start it from nothing three times, and publish the seconds.

    home: of the campaign. validated: how many results it is given.
    """
    begun = time.monotonic()
    with home_of(home) as database:
        spec = _spec()
        database.campaigns.create(spec)
        if not database.rounds.find(spec.id):
            run_round(home, spec, 0)
            fill(database, spec, validated, validated)
        held = f"{database.records.count(spec.id, status='validated'):,}"
        records = database.records.count(spec.id)
    found = [_seconds(home) for _ in range(_STARTS)]
    rows = [
        {"start": n, "bar": "≤ 20 s", "seconds to the next job": waited, "processor s": busy}
        for n, (waited, busy) in enumerate(found, 1)
    ]
    longest, most = max(waited for waited, _ in found), max(busy for _, busy in found)
    publish(
        "scale-restart",
        page="scale",
        title="From nothing to the next job",
        command=f"python -m tests.benchmarks.scale restart --home FOLDER --validated {validated}",
        rows=rows,
        seconds=time.monotonic() - begun,
        order=30,
        headline=f"restart at {held} results: {longest} s, {most} s of processor (bar: ≤ 20 s)",
        notes=[
            f"{held} validated of {records:,} records. From the start of the process, with the embedded "
            "server down, until a worker has taken the first job of the next round; by the clock, seen twice "
            "a second, and of the launcher's processor and the server's.",
        ],
    )


def _spec() -> CampaignSpec:
    return spec_of(_NAME, _ROUNDS)


def _seconds(home: Path) -> tuple[float, float]:
    """One start in a process of its own, ended once a job has begun: by the clock, and of processors."""
    command = [sys.executable, "-m", "tests.benchmarks.scale.restarting", str(home), repr(time.time())]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    waited, busy = map(float, said.split()[-2:])
    return round(waited, 1), round(busy, 1)


def _start(home: Path, began: float) -> None:
    """Go on with the campaign until a job has begun, and print the seconds since."""
    from niobe.launchers.local.launcher import run_campaign
    from niobe.launchers.rounds import begin_campaign

    with home_of(home) as database:
        spec = begin_campaign(database, _spec())
        before = _claims(database)
        try:
            run_campaign(database, spec, lambda: _check(database, before))
        except _BegunError:
            print(time.time() - began, processor_seconds(home))


def _claims(database: Database) -> dict[str, str]:
    """What workers of the newest round have taken, by its number and step."""
    newest = database.mongo["rounds"].find_one({"campaign": _NAME}, sort=[("number", -1)]) or {}
    return {f"{newest.get('number')} {part}": token for part, token in newest.get("claims", {}).items()}


def _check(database: Database, before: dict[str, str]) -> None:
    if _claims(database).items() - before.items():
        raise _BegunError


if __name__ == "__main__":
    _start(Path(sys.argv[1]), float(sys.argv[2]))
