"""Table of atomate2's VASP flows that run on mock-vasp unchanged."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.benchmarks.publish import publish
from tests.flows.oracles.atomate2_flows import FLOWS, run_flow
from tests.flows.oracles.mock_vasp.fixtures import UseMock

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(3600)]


@pytest.mark.filterwarnings("ignore")
def test_table_of_flows(use_mock: UseMock, tmp_path: Path) -> None:
    use_mock("lj")
    started = time.monotonic()
    rows = [run_flow(name, tmp_path / str(index)) for index, name in enumerate(FLOWS)]
    assert all(row["VASP runs"] == row["successful"] > 0 for row in rows)
    publish(
        "vasp-flows",
        page="vasp",
        headline="{0[flow]}: {0[successful]} of {0[VASP runs]} runs successful",
        title="atomate2's VASP flows on mock-vasp, unchanged",
        command="python -m pytest tests/benchmarks/test_vasp_flows.py -m benchmark",
        rows=rows,
        seconds=time.monotonic() - started,
        notes=[
            "CuAu (L1₀) with Lennard-Jones; of the flows' own settings only custodian's polling time is "
            "changed, and phonon supercells are 5 Å long instead of 20 Å.",
        ],
    )
