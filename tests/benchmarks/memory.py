"""``python -m tests.benchmarks.memory``: what workers, launcher and pages hold as they go on working.

A campaign of six rounds runs in this machine's worker processes, and its pages are asked for again and again:
what grows with the work done, and not with what is imported once, is a leak.
"""

from __future__ import annotations

import contextlib
import itertools
import shutil
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil

from niobe.launchers.embedded import stop_server
from tests.benchmarks.publish import publish
from tests.benchmarks.soaking import BUDGET, PATHS, asked, free_port, started
from tests.end_to_end.test_campaign import NIOBE, campaign_file

ROUNDS, BATCH, REQUESTS, SAMPLES, FLAT = 6, 4, 1500, 30, 1.25


def main() -> None:
    """Measure and publish."""
    began, folder = time.monotonic(), Path(tempfile.mkdtemp(prefix="memory-"))
    try:
        held = of_launch(folder) | {f"pages, of {REQUESTS:,} requests": of_pages(folder)}
    finally:
        stop_server(folder / "home" / "db")
    rows = [
        {
            "what": f"memory of {what}: after a third, at the end",
            "bar": f"flat (≤ {FLAT:g} ×)",
            "figure": f"{early:.0f} MB, {late:.0f} MB ({late / early:.2f} ×)",
        }
        for what, sizes in held.items()
        for early, late in [(sizes[len(sizes) // 3], sizes[-1])]
    ]
    publish(
        "memory",
        page="security",
        title="Memory against work done",
        command="python -m tests.benchmarks.memory",
        rows=rows,
        seconds=time.monotonic() - began,
        notes=[
            "Cu-Au with EMT, no kills. Memory is what belongs to a process alone (USS); of workers, the "
            "largest: before a third of the rounds each imports what its first job of a kind needs.",
        ],
        order=41,
    )
    assert all(sizes[-1] <= FLAT * sizes[len(sizes) // 3] for sizes in held.values())
    shutil.rmtree(folder)


def of_launch(place: Path) -> dict[str, list[float]]:
    """MB of the largest worker and of the launcher, as each round has closed."""
    budget = {"budget": {"rounds": ROUNDS, "validations": ROUNDS * BATCH}}
    batch = {"acquisition": {"batch": BATCH, "control_share": 0.25}}
    file = campaign_file(
        place, **(BUDGET | budget | batch | {"id": "soak-1", "challenge": {"enabled": False}})
    )
    workers, launcher, closed = list[float](), list[float](), 0
    with (place / "launch.log").open("w", encoding="utf-8") as log:
        process = started([*NIOBE, "launch", file], place, log)
        while process.poll() is None:
            time.sleep(1.0)
            now = asked(place, lambda database: sum(one.closed for one in database.rounds.find("soak-1")))
            if now > closed:
                closed = now
                workers += [max(sizes)] if (sizes := list(_sizes(_workers(process.pid)))) else []
                launcher += _sizes([psutil.Process(process.pid)])
    what = f"of {ROUNDS} rounds, {ROUNDS * BATCH} validations with phonons"
    return {f"worker, {what}": workers, f"launcher, {what}": launcher}


def of_pages(place: Path) -> list[float]:
    """MB of the pages' server, now and then while it answers."""
    port, sizes = free_port(), list[float]()
    with (place / "pages.log").open("w", encoding="utf-8") as log:
        process = started([*NIOBE, "serve", "--port", str(port)], place, log)
        while not _answers(f"http://127.0.0.1:{port}/"):
            time.sleep(0.2)
        for number, path in enumerate(itertools.islice(itertools.cycle(PATHS), REQUESTS)):
            if number % (REQUESTS // SAMPLES) == 0:
                sizes += _sizes([psutil.Process(process.pid)])
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
                answer.read()
        process.terminate()
        process.wait(60)
    return sizes


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=60):
            return True
    except (urllib.error.URLError, ConnectionError):
        return False


def _workers(launcher: int) -> list[psutil.Process]:
    """Children of what workers are forked from; its own pages are shared, and its alone once they end."""
    with contextlib.suppress(psutil.Error):
        children = psutil.Process(launcher).children()
        return [worker for child in children for worker in child.children()]
    return []


def _sizes(processes: list[psutil.Process]) -> Iterator[float]:
    for one in processes:
        with contextlib.suppress(psutil.Error):
            yield one.memory_full_info().uss / 1e6


if __name__ == "__main__":
    main()
