"""Nb-O through VASP's path: 2 rounds, 8 validations with phonons, checked against the potential."""

from __future__ import annotations

import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import pytest
import yaml
from pymatgen.core import Structure

from niobe.config.spec import CampaignSpec
from niobe.flows.oracles.calculation import phonons, validate_structure
from niobe.flows.oracles.force_field import ForceFieldOracle
from niobe.loop.documents.records import Failure, StructureRecord, Validation
from niobe.loop.documents.structures import candidate_structure
from tests.benchmarks.publish import publish
from tests.end_to_end.test_campaign import place, records
from tests.end_to_end.test_vasp_campaign import launch, on_mock_vasp
from tests.flows.oracles.mock_vasp.machine import ROOT, environment

assert place  # the fixture

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(7200)]
NAME = "7net-0"
CHANGES: dict[str, Any] = {
    "id": "nb-o-vasp",
    "budget": {"rounds": 2, "validations": 8},
    "limits": {"min_atoms": 2, "max_atoms": 6, "fractions": {"O": [0.45, 0.75]}},
    "generation": {"candidates": 12, "gan_epochs": 3, "mix": [{"name": "gan"}, {"name": "random"}]},
    "acquisition": {"batch": 4, "control_share": 0.25},
    "oracle": {"name": "vasp", "wall_time": 1800},
    "phonons": {"window": 5.0, "min_length": 5.0},
}


def seeds_of(campaign: dict[str, Any]) -> dict[str, Any]:
    return campaign["seeds"] | {"max_prototypes": 0}


def compare(record: StructureRecord, folder: Path) -> dict[str, Any]:
    """What the force-field oracle says of the same candidate, beside what was stored."""
    spec = CampaignSpec(id="check", elements=("Nb", "O"), phonons=CHANGES["phonons"])
    oracle = ForceFieldOracle(spec.oracle)
    theirs = validate_structure(spec, oracle, candidate_structure(record), folder)
    name = f"{record.formula} {record.id[:6]}"
    ours = record.validation
    if ours is None:
        assert record.failure is not None
        assert isinstance(theirs, Failure), f"{name} failed through VASP's path only: {record.failure.cause}"
        return {"structure": name, "verdicts": f"failed: {record.failure.cause}; force field {theirs.cause}"}
    assert isinstance(theirs, Validation), theirs
    row = {
        "structure": name,
        "VASP path, eV/atom": ours.energy_per_atom,
        "difference, meV/atom": 1000 * (ours.energy_per_atom - theirs.energy_per_atom),
        "lowest, THz": ours.phonon.lowest_frequency,
        "difference, THz": None,
        "verdicts": str(ours.phonon.outcome),
    }
    if ours.phonon.lowest_frequency is None:
        return row
    vibrations = phonons(spec, oracle, Structure.from_dict(theirs.structure), folder)
    assert isinstance(vibrations, tuple), vibrations
    verdict = vibrations[0].verdict
    if verdict.lowest_frequency is not None:
        row["difference, THz"] = ours.phonon.lowest_frequency - verdict.lowest_frequency
    if verdict.outcome is not ours.phonon.outcome:
        row["verdicts"] = f"{ours.phonon.outcome}; force field {verdict.outcome}"
    return row


@pytest.mark.filterwarnings("ignore")
def test_verdicts_equal_those_of_the_potential_itself(place: Path) -> None:
    warnings.simplefilter("ignore")
    started = time.monotonic()
    campaign = yaml.safe_load((ROOT / "config/campaigns/nb-o.yaml").read_text(encoding="utf-8"))
    campaign |= CHANGES | {"seeds": seeds_of(campaign)}
    code = "from niobe.flows.oracles.mock_vasp.serve import main; main()"
    server = subprocess.Popen(
        [sys.executable, "-c", code, NAME, str(place / "s")], env=environment(""), stdout=subprocess.DEVNULL
    )
    try:
        while not (place / "s").exists():
            time.sleep(0.5)
        answer = launch(place, campaign, on_mock_vasp(place, f"socket:{place}/s"), seconds=6000)
    finally:
        server.terminate()
        server.wait()
    assert answer.returncode == 0, answer.stderr
    spent = time.monotonic() - started
    found = records(place, "nb-o-vasp")
    chosen = [record for record in found if record.acquired_round]
    assert len(chosen) == 8
    rows = [compare(record, place / "check") for record in chosen]
    energies = [abs(row["difference, meV/atom"]) for row in rows if "difference, meV/atom" in row]
    lowest = [abs(row["difference, THz"]) for row in rows if row.get("difference, THz") is not None]
    publish(
        "vasp-campaign",
        page="vasp",
        headline=(
            "{0[structure]}: {0[difference, meV/atom]} meV/atom from the force field's, both "
            "verdicts {0[verdicts]}"
        ),
        title="Nb-O through VASP's path: each verdict beside the force-field oracle's",
        command="python -m pytest tests/benchmarks/test_vasp_campaign.py -m benchmark",
        rows=rows,
        seconds=spent,
        seeds=[campaign["seed"]],
        notes=[
            "config/campaigns/nb-o.yaml with `--oracle vasp` on mock-vasp and mock-vasp-serve 7net-0, at "
            "most 6 atoms, 5 Å supercells; 2 rounds of 4.",
            f"Bars: 1 meV/atom and 0.1 THz. Largest differences: {max(energies):.2f} meV/atom, "
            f"{max(lowest, default=float('nan')):.3f} THz.",
            "A candidate that failed must fail by the force-field oracle too; mock-vasp answers an absurd "
            "energy by dying.",
        ],
    )
    assert max(energies) < 1.0
    assert max(lowest) < 0.1
    assert not [row for row in rows if ";" in row["verdicts"] and not row["verdicts"].startswith("failed")]
