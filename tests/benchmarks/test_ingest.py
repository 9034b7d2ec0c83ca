"""Ingest of a real table: time, memory, and that a second time changes nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.benchmarks.publish import publish
from tests.loop.shared_crystals import shared_table

ROOT = Path(__file__).parents[2]
INGEST = (
    "import resource, sys; from niobe.launchers.cli import main;"
    "\ntry:\n    main()\n"
    "finally:\n    print('peak', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)"
)


def run(home: Path, *arguments: str) -> tuple[dict[str, object], float, float, float]:
    """The row printed, wall seconds, processor seconds of the command, and its peak memory in GiB."""
    environment = os.environ | {"NIOBE_HOME": str(home), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    environment.pop("NIOBE_MONGO_URI", None)
    before, started = os.times(), time.monotonic()
    answer = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", INGEST, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    wall, after = time.monotonic() - started, os.times()
    peak = float(answer.stderr.rsplit("peak ", 1)[1].split()[0]) / 2**20
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return json.loads(answer.stdout)[0], wall, used, peak


@pytest.mark.benchmark
@pytest.mark.timeout(3600)
def test_ingest_of_a_real_table(tmp_path: Path) -> None:
    from niobe.launchers.embedded import stop_server

    table = shared_table()
    started = time.monotonic()
    try:
        first, wall, used, peak = run(tmp_path, "ingest", str(table), "--licence", "CC BY 4.0", "--json")
        second, again, again_used, _ = run(tmp_path, "ingest", str(table), "--licence", "CC BY 4.0", "--json")
    finally:
        stop_server(tmp_path / "db")
    publish(
        "ingest",
        page="sources",
        title="A table of 14,590 structures, ingested",
        command="python -m pytest -m benchmark -s tests/benchmarks/test_ingest.py",
        rows=[
            {
                "what": "time, duplicates grouped",
                "bar": "< 180 s on 2 cores",
                "figure": f"{wall:.0f} s ({used:.0f} s of processor), "
                f"{first['new']} entries, {first['groups']} groups",
            },
            {"what": "peak memory of the command", "bar": "< 2 GiB", "figure": f"{peak:.2f} GiB"},
            {
                "what": "a second ingest",
                "bar": "changes nothing",
                "figure": f"{second['new']} new, {second['changed']} changed, "
                f"{second['unchanged']} unchanged, {again:.0f} s ({again_used:.0f} s of processor)",
            },
        ],
        seconds=time.monotonic() - started,
        notes=[
            "../shared/data/dev_mp_structures.parquet into a new embedded database, by one process.",
            "Time passes with the load named above; the processor time is what the command itself needs.",
        ],
    )
    assert (first["new"], second["new"], second["changed"], second["unchanged"]) == (14_590, 0, 0, 14_590)
    assert peak < 2
