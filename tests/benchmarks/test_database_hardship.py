"""The embedded database shot at, fed with malformed frames, and under four FireWorks workers."""

from __future__ import annotations

import time
from pathlib import Path

import psutil
import pytest

from niobe.launchers.embedded import ensure_server, stop_server
from tests.benchmarks.publish import publish
from tests.launchers.embedded.test_durability import WRITERS, assert_nothing_lost, kill_under_writers
from tests.launchers.embedded.test_wire import harass
from tests.launchers.embedded.test_workers import Queue, each_ran_once
from tests.launchers.embedded.tools import connect, pid_of

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(1800)]
KILLS, FRAMES, FIREWORKS = 30, 10_000, 200


def test_figures_under_hardship(tmp_path: Path) -> None:
    start = time.monotonic()
    shot, noisy = tmp_path / "shot", tmp_path / "noisy"
    try:
        acknowledged, found = kill_under_writers(shot, KILLS)
        assert_nothing_lost(acknowledged, found)
        with connect(ensure_server(noisy)):
            server = psutil.Process(pid_of(noisy))
            before = server.memory_full_info().uss
            harass(noisy, FRAMES)
            growth = (server.memory_full_info().uss - before) / 1e6
        queue = Queue(ensure_server(noisy), tmp_path)
        seconds = each_ran_once(queue, FIREWORKS)
        queue.pad.connection.close()
    finally:
        stop_server(shot)
        stop_server(noisy)
    lost = len(acknowledged - found)
    publish(
        "database_hardship",
        page="database",
        title="The embedded database under hardship",
        command="python -m pytest -m benchmark tests/benchmarks/test_database_hardship.py",
        rows=[
            {
                "what": f"kill -9 under {WRITERS} writers, {KILLS} times",
                "bar": "0 acknowledged writes lost, 0 half applied",
                "figure": f"{len(acknowledged)} acknowledged, {lost} lost, 0 half applied",
            },
            {
                "what": f"{FRAMES:,} malformed or truncated frames beside a working client",
                "bar": "same server, memory bounded, client unharmed",
                "figure": f"same server, {growth:.1f} MB more, client unharmed",
            },
            {
                "what": f"{FIREWORKS} tiny fireworks, 4 worker processes",
                "bar": "each exactly once",
                "figure": f"each exactly once, {FIREWORKS / seconds:.1f} a second with the workers' start",
            },
        ],
        seconds=time.monotonic() - start,
        notes=["Half-applied: one document of an insert_many of two without the other."],
        order=51,
    )
