"""The embedded database with 10,000 and 100,000 records of 3 kB."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import bson
import psutil
import pymongo
import pytest

from niobe.launchers.embedded import ensure_server, server_status, stop_server
from niobe.launchers.embedded.folder import DatabaseFolder
from niobe.launchers.embedded.storage.snapshots import snapshots_of
from tests.benchmarks.publish import publish

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(3600)]
SEED = 11
SIZES = (10_000, 100_000)
BATCH = 500
LOOKUPS = 500
MEGABYTE = 1_000_000
LOOKUP_BAR_MS, MEMORY_AIM_MB, RESTART_AIM_S = 5.0, 1000.0, 5.0
COMMAND = "python -m pytest -m benchmark tests/benchmarks/test_database.py"


def record(number: int, chance: random.Random) -> dict[str, Any]:
    """A structure record of about 3 kB."""
    sites = [
        {"species": chance.choice(["Nb", "O"]), "xyz": [chance.random() for _ in range(3)]} for _ in range(24)
    ]
    return {
        "_id": f"r{number}",
        "campaign": f"c{number % 4}",
        "round": number // 200,
        "status": chance.choice(["new", "screened", "validated", "failed"]),
        "e_above_hull": chance.random(),
        "structure": {"lattice": [chance.random() for _ in range(9)], "sites": sites},
        "lineage": {"generator": "gan", "parents": [f"p{chance.randrange(99)}"], "note": "x" * 1_100},
    }


def timed(act: Callable[[], Any]) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def median_ms(act: Callable[[int], Any]) -> float:
    chance = random.Random(SEED)
    return 1000 * statistics.median(timed(lambda: act(chance.randrange(SIZES[0]))) for _ in range(LOOKUPS))


class Figures:
    """One database filled to a size and measured."""

    def __init__(self, folder: Path, size: int) -> None:
        self.folder, self.size = folder, size
        self.found: dict[str, float] = {}
        self.client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(ensure_server(folder))
        self.records = self.client["niobe"]["structures"]
        self.records.create_index([("campaign", 1), ("round", 1)])
        self.records.create_index([("campaign", 1), ("status", 1)])

    @property
    def server(self) -> psutil.Process:
        info = server_status(self.folder)
        assert info is not None
        return psutil.Process(info.pid)

    def memory(self) -> float:
        """Memory of the server process that is its own (MB)."""
        return float(self.server.memory_full_info().uss) / MEGABYTE

    def processor_seconds(self) -> float:
        times = self.server.cpu_times()
        return float(times.user + times.system)

    def fill(self) -> None:
        chance = random.Random(SEED)
        made = [record(number, chance) for number in range(self.size)]
        self.found["kB a record"] = statistics.mean(len(bson.encode(d)) for d in made[:100]) / 1000
        rest = iter(made)
        seconds = sum(
            timed(lambda b=batch: self.records.insert_many(b))  # type: ignore[misc]
            for batch in iter(lambda: list(islice(rest, BATCH)), [])
        )
        self.found["insert_many, a second"] = self.size / seconds
        single = [record(self.size + number, chance) for number in range(LOOKUPS)]
        self.found["insert_one, a second"] = LOOKUPS / timed(
            lambda: [self.records.insert_one(document) for document in single]
        )

    def read(self) -> None:
        records = self.records
        self.found["look-up by _id, median ms"] = median_ms(lambda i: records.find_one({"_id": f"r{i}"}))
        before = self.processor_seconds()
        self.found["look-up by index, median ms"] = median_ms(
            lambda i: list(records.find({"campaign": f"c{i % 4}", "round": i // 200}, {"status": 1}, limit=1))
        )
        worked = 1000 * (self.processor_seconds() - before) / LOOKUPS
        self.found["look-up by index, processor ms of the server"] = worked
        self.found["find_one_and_update, median ms"] = median_ms(
            lambda i: records.find_one_and_update({"_id": f"r{i}"}, {"$inc": {"version": 1}})
        )
        self.found["count by index, ms"] = 1000 * timed(
            lambda: records.count_documents({"campaign": "c1", "status": "new"})
        )
        group = [{"$group": {"_id": "$status", "best": {"$min": "$e_above_hull"}}}]
        self.found["group all, s"] = timed(lambda: list(records.aggregate(group)))
        self.found["memory after these, MB"] = self.memory()
        self.found["read all, s"] = timed(lambda: sum(1 for _ in records.find()))
        self.found["read all sorted, s"] = timed(lambda: sum(1 for _ in records.find(sort=[("round", 1)])))
        self.found["memory after reading all, MB"] = self.memory()

    def restart(self) -> None:
        self.client.close()
        self.found["stop with snapshot, s"] = timed(lambda: stop_server(self.folder))
        self.found["restart, s"] = timed(lambda: ensure_server(self.folder))
        self.found["memory after restart, MB"] = self.memory()
        file = DatabaseFolder(self.folder)
        self.found["file, MB"] = file.file.stat().st_size / MEGABYTE
        assert snapshots_of(file)


def test_figures_of_the_embedded_database(tmp_path: Path) -> None:
    start = time.monotonic()
    measured = {}
    for size in SIZES:
        figures = Figures(tmp_path / str(size), size)
        try:
            figures.fill()
            figures.read()
            figures.restart()
        finally:
            stop_server(figures.folder)
        measured[size] = figures.found
    bars = {
        "look-up by _id, median ms": f"< {LOOKUP_BAR_MS:g}",
        "look-up by index, median ms": f"< {LOOKUP_BAR_MS:g}",
        "memory after these, MB": f"aim ≤ {MEMORY_AIM_MB:g}",
        "memory after reading all, MB": f"aim ≤ {MEMORY_AIM_MB:g}",
        "restart, s": f"aim ≤ {RESTART_AIM_S:g}",
    }
    publish(
        "database",
        page="database",
        headline="{3[what]}: {3[100,000 records]} at 100,000 records ({3[bar at 100,000]})",
        title="The embedded database",
        command=COMMAND,
        rows=[
            {
                "what": what,
                "bar at 100,000": bars.get(what),
                **{f"{n:,} records": measured[n][what] for n in SIZES},
            }
            for what in measured[SIZES[0]]
        ],
        seconds=time.monotonic() - start,
        seeds=[SEED],
        notes=[
            "One client over the Unix socket, two compound indexes; each write is fsynced before the answer.",
            "Memory is what belongs to the server process alone (USS).",
            "The restart checks every page and index of the file before the server listens.",
        ],
    )
    largest = measured[SIZES[-1]]
    assert largest["look-up by _id, median ms"] < LOOKUP_BAR_MS
    assert largest["look-up by index, median ms"] < LOOKUP_BAR_MS
