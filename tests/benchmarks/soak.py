"""``python -m tests.benchmarks.soak --minutes 120``: campaigns under fire for so long, pages open and polled.

Four FireWorks workers, their supervisor, the database server and the pages are killed (SIGKILL) at random
instants and started again, one campaign after another, until the minutes are over and the last one has ended.
The same campaigns run undisturbed beside it, in a home of their own, and the records are compared.
"""

from __future__ import annotations

import argparse
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from niobe.launchers.embedded import stop_server
from tests.benchmarks.publish import publish
from tests.benchmarks.soaking import KINDS, Held, launch, outcome
from tests.end_to_end.audited_worker import asked_after_stored

SEED, PAUSE_SECONDS, FLAT = 1, 8.0, 1.25
SHOTS = ["worker"] * 10 + ["server"] * 2 + ["pages", "launcher"]
"""What is shot at, by how often."""
OVER = 0
"""Instead of a campaign's number: there comes no other."""


def main() -> None:
    """Soak, run the same undisturbed, compare and publish."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.soak")
    parser.add_argument("--minutes", type=float, default=120.0, help="no campaign begins after these")
    options = parser.parse_args()
    started, folder = time.monotonic(), Path(tempfile.mkdtemp(prefix="soak-"))
    shot, calm = folder / "shot", folder / "calm"
    begun: SimpleQueue[int] = SimpleQueue()
    try:
        with ThreadPoolExecutor(1) as beside:
            quiet = beside.submit(calmly, calm, begun.get)
            try:
                held, found = soaked(shot, 60 * options.minutes, begun.put)
            finally:
                begun.put(OVER)
            minutes = (time.monotonic() - started) / 60
            undisturbed, wanted = quiet.result()
    finally:
        for place in (shot, calm):
            stop_server(place / "home" / "db")
    again = asked_after_stored(shot / "home" / "audit.log")
    same = sum(one == other for one, other in zip(found, wanted, strict=True))
    rows = [*_rows(held, found, same, len(again), minutes), *_memory_rows(held, undisturbed)]
    _publish(rows, options.minutes, time.monotonic() - started)
    assert same == len(found) and not again and not held.life.troubles and not undisturbed.life.troubles
    shutil.rmtree(folder)


def soaked(place: Path, seconds: float, begin: Callable[[int], None]) -> tuple[Held, list[Any]]:
    """Campaigns under fire until the seconds are over; what was held up, and the outcome of each campaign.

    begin: told the number of each campaign as it begins.
    """
    chance, until = random.Random(SEED), time.monotonic() + seconds
    with Held(place) as held:
        begin(1)
        number, due = launch(place, 1, "fireworks"), time.monotonic() + PAUSE_SECONDS
        while True:
            held.keep_up()
            if time.monotonic() > due and time.monotonic() < until:
                held.shoot(chance.choice(SHOTS), chance)
                due = time.monotonic() + chance.expovariate(1 / PAUSE_SECONDS)
            if held.has_ended(number):
                print(f"campaign {number} ended, {held.shots}", flush=True)
                if time.monotonic() > until:
                    return held, outcome(place, number)
                begin(number + 1)
                number = launch(place, number + 1, "fireworks")
            time.sleep(0.5)


def calmly(place: Path, begun: Callable[[], int]) -> tuple[Held, list[Any]]:
    """The same campaigns by the local launcher, undisturbed; the pages are polled as well.

    begun: waits for the number of the next campaign, or for OVER.
    """
    last = 0
    with Held(place, rockets=False) as held:
        while (number := begun()) != OVER:
            last = launch(place, number, "local", meanwhile=held.keep_up)
    return held, outcome(place, last)


def _rows(held: Held, found: Sequence[Any], same: int, again: int, minutes: float) -> list[dict[str, str]]:
    polls = held.life.polls
    said = "; ".join(held.life.troubles[:3]) or "none"
    return [
        {
            "what": f"campaigns that ended in {minutes:.0f} minutes of 4 workers under fire",
            "bar": "each ends",
            "figure": f"{len(found)} of {len(found)}",
        },
        {
            "what": "killed: " + ", ".join(f"{held.shots[kind]} × {kind}" for kind in KINDS),
            "bar": "–",
            "figure": f"{sum(held.shots.values())} kills",
        },
        {
            "what": "campaigns whose records and rounds equal those of an undisturbed run",
            "bar": "all",
            "figure": f"{same} of {len(found)} ({sum(len(one[0]) for one in found)} records)",
        },
        {
            "what": "oracle asked for what was stored already",
            "bar": "0",
            "figure": str(again),
        },
        {
            "what": "answers of the pages: 200, outage said in words (503), no connection while down",
            "bar": "no other 5xx, no traceback",
            "figure": f"{polls[200]}, {polls[503]}, {polls[0]}; others: {said}",
        },
    ]


def _memory_rows(held: Held, undisturbed: Held) -> list[dict[str, str]]:
    """Most memory in the second and the last third of a run."""
    rows = []
    for run, which in ((held, "under fire"), (undisturbed, "undisturbed")):
        for kind, (first, last) in run.life.thirds().items():
            rows.append(
                {
                    "what": f"memory of {kind}, {which}: most in its second third, in its last",
                    "bar": f"flat (≤ {FLAT:g} ×)",
                    "figure": f"{first:.0f} MB, {last:.0f} MB ({last / first:.2f} ×)",
                }
            )
    return rows


def _publish(rows: Sequence[dict[str, str]], asked: float, seconds: float) -> None:
    publish(
        "soak",
        page="security",
        title="A soak: everything is killed at random while campaigns run",
        command=f"python -m tests.benchmarks.soak --minutes {asked:g}",
        rows=rows,
        seconds=seconds,
        seeds=[SEED],
        notes=[
            "Cu-Au with EMT, 3 rounds and 12 validations with phonons a campaign, one after another; "
            f"a kill -9 every {PAUSE_SECONDS:g} s on average. "
            "The undisturbed run, beside it, is by the local launcher.",
            "Memory is what belongs to a process alone (USS); of the workers, the largest.",
        ],
        order=40,
    )


if __name__ == "__main__":
    main()
