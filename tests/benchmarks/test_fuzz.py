"""Two thousand mutated structure files."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.benchmarks.publish import publish
from tests.loop.readers.test_fuzz import SPGLIB, fuzz

SEED, FILES = 2, 2000


@pytest.mark.benchmark
@pytest.mark.timeout(3600)
@pytest.mark.filterwarnings(SPGLIB)
def test_two_thousand_mutated_files(tmp_path: Path) -> None:
    started = time.monotonic()
    outcomes = fuzz(tmp_path, FILES, seed=SEED)
    publish(
        "fuzz",
        page="sources",
        title="Mutated CIF, POSCAR and CSV files",
        command="python -m pytest -m benchmark -s tests/benchmarks/test_fuzz.py",
        rows=[
            {
                "what": f"{FILES:,} mutated files (a CSV file holds 4 structures)",
                "bar": "no crash; each right, or reported with file and line",
                "figure": f"{outcomes['right']:,} structures right, {outcomes['reported']:,} reported",
            }
        ],
        seconds=time.monotonic() - started,
        seeds=[SEED],
        notes=[
            "Right: the original, or what gemmi (CIF) or an independent reader finds in the mutated file."
        ],
    )
    assert outcomes["right"] > 500
    assert outcomes["reported"] > 500
