"""``python -m tests.benchmarks.scale.wide``: one round of many candidates, draws included, stage by stage."""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path

from niobe.flows.stages import plan
from tests.benchmarks.publish import publish
from tests.benchmarks.scale.campaign import BATCH, home_of, processor_seconds, run_round, run_stage, spec_of


def wide(home: Path, candidates: int) -> None:
    """Round 1 of a new campaign with so many random candidates; what each stage took, published."""
    begun, rows = time.monotonic(), []
    with home_of(home) as database:
        spec = spec_of("wide", 2)
        spec = spec.model_copy(
            update={"generation": spec.generation.model_copy(update={"candidates": candidates})}
        )
        database.campaigns.create(spec)
        run_round(home, spec, 0)
        first, started = processor_seconds(home), time.monotonic()
        for stage in plan(spec, 1):
            before = processor_seconds(home)
            for slot in range(stage.slots or 1):
                run_stage(spec, 1, stage, slot)
            rows.append({"what": stage.name, "processor s": round(processor_seconds(home) - before, 1)})
        rows.append(
            {
                "what": "the round",
                "bar": _BAR,
                "processor s": round(processor_seconds(home) - first, 1),
                "seconds": round(time.monotonic() - started, 1),
                "memory, MB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
            }
        )
        drawn = {status: database.records.count(spec.id, round=1, status=status) for status in _STATUSES}
    columns = dict.fromkeys(key for row in rows for key in row)
    publish(
        "scale-wide",
        page="scale",
        title="One round of many candidates",
        command=f"python -m tests.benchmarks.scale.wide --home FOLDER --candidates {candidates}",
        rows=[dict.fromkeys(columns) | row for row in rows],
        seconds=time.monotonic() - begun,
        order=15,
        headline=f"{candidates:,} candidates: {rows[-1]['processor s']} s of processor (bar: {_BAR})",
        notes=[
            f"Cu-Au up to 16 atoms, random candidates, {BATCH} validations, no pre-relaxation: "
            + ", ".join(f"{count:,} {status}" for status, count in drawn.items() if count),
            "One process beside the database server: processor seconds are of both, memory of the process.",
        ],
    )


_BAR = "≤ 15 min of 100,000"
_STATUSES = ("screened", "duplicate", "invalid", "validated", "failed")
if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.scale.wide", description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--candidates", type=int, default=100_000)
    given = parser.parse_args()
    wide(given.home, given.candidates)
