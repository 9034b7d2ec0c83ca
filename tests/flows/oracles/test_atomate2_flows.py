"""atomate2's VASP flows run on mock-vasp as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.flows.oracles.atomate2_flows import FLOWS, run_flow
from tests.flows.oracles.mock_vasp.fixtures import UseMock

QUICK = "MPMetaGGADoubleRelaxStatic"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[] if n == QUICK else [pytest.mark.slow]) for n in FLOWS]
)
@pytest.mark.timeout(1200)
def test_flow_finishes(name: str, use_mock: UseMock, tmp_path: Path) -> None:
    use_mock("lj")
    row = run_flow(name, tmp_path)
    assert row["VASP runs"] == row["successful"] >= 3
    assert row["answers"]
