"""``python -m tests.benchmarks.scale.wide``: one round of many candidates, draws included, on this machine's
workers as a campaign runs it."""

from __future__ import annotations

import argparse
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from niobe.config.spec import CampaignSpec
from niobe.launchers.benchmarking import own_home
from niobe.launchers.services import campaign_database
from niobe.loop.documents.records import Status
from tests.benchmarks.publish import publish
from tests.benchmarks.scale.campaign import BATCH, spec_of
from tests.benchmarks.time_line import by_step, read, run

_BAR, _MEMORY_BAR = "≤ 15 min of 100,000", "≤ 3 GiB"


def wide(folder: Path, candidates: int) -> None:
    """Round 1 of a new campaign with so many random candidates; what each step took, published."""
    spec = spec_of("wide", 1)
    spec = spec.model_copy(
        update={"generation": spec.generation.model_copy(update={"candidates": candidates})}
    )
    with _largest() as held:
        run(spec, folder, None)
    line = read(spec, folder)
    rows = [
        {"what": step, "jobs": jobs, "bar": None, "seconds": round(seconds, 1), "processor s": round(busy, 1)}
        for step, (jobs, seconds, busy) in by_step(line).items()
    ]
    rows.append({"what": "the round", "bar": _BAR, "seconds": round(line.wall, 1)})
    rows.append({"what": "largest process", "bar": _MEMORY_BAR, "memory, MB": round(max(held) / 2**20)})
    columns = dict.fromkeys(key for row in rows for key in row)
    publish(
        "scale-wide",
        page="scale",
        title="One round of many candidates",
        command=f"python -m tests.benchmarks.scale.wide --home FOLDER --candidates {candidates}",
        rows=[dict.fromkeys(columns) | row for row in rows],
        seconds=line.wall,
        order=15,
        headline=f"{candidates:,} candidates: {line.wall / 60:.1f} min by the clock (bar: {_BAR})",
        notes=[
            f"Cu-Au up to 16 atoms, random candidates, {BATCH} validations by EMT, no pre-relaxation: "
            + _fates(spec, folder),
            f"{line.workers} workers; processor seconds are of them, the database server's aside.",
        ],
    )


def _fates(spec: CampaignSpec, folder: Path) -> str:
    with own_home(folder / "home"), campaign_database() as database:
        counts = {status: database.records.count(spec.id, round=1, status=status) for status in Status}
    return ", ".join(f"{count:,} {status}" for status, count in counts.items() if count)


@contextmanager
def _largest() -> Iterator[list[int]]:
    """Bytes that the largest process of this one's had, every two seconds."""
    held, ended = [0], threading.Event()

    def watch() -> None:
        while not ended.wait(2):
            held.append(max(map(_resident, psutil.Process().children(recursive=True)), default=0))

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield held
    finally:
        ended.set()
        watching.join()


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.scale.wide", description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--candidates", type=int, default=100_000)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    wide(given.home, given.candidates)
