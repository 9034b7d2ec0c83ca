"""Campaigns whose oracle is VASP, through the command line, with mock-vasp for VASP."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from niobe.flows.oracles.mock_vasp.faults import KINDS
from niobe.flows.oracles.mock_vasp.potcars import write_potcars
from niobe.loop.documents.records import Failure
from tests.end_to_end.test_campaign import NIOBE, environment, niobe, place, records
from tests.flows.oracles.mock_vasp.machine import COMMAND

assert place  # the fixture

CAMPAIGN = {
    "id": "cu",
    "elements": ["Cu"],
    "seed": 3,
    "limits": {"max_atoms": 3, "min_atoms": 1},
    "budget": {"rounds": 1, "validations": 1},
    "seeds": {"max_prototypes": 0},
    "generation": {"candidates": 6, "mix": [{"name": "random"}]},
    "surrogate": {"members": 2, "epochs": 2},
    "acquisition": {"batch": 1},
    "oracle": {"name": "vasp", "fmax": 0.05, "wall_time": 200},
    "phonons": {"min_length": 2.5, "confirm_length": 2.5},
}


def on_mock_vasp(folder: Path, potential: str = "lj", **more: str) -> dict[str, str]:
    """What a user sets to run mock-vasp: its POTCARs, its command, its potential."""
    write_potcars(folder / "psp")
    return {
        "PMG_VASP_PSP_DIR": str(folder / "psp"),
        "ATOMATE2_VASP_CMD": COMMAND,
        "ATOMATE2_VASP_GAMMA_CMD": COMMAND,
        "MOCK_VASP_POTENTIAL": potential,
        "HOME": str(folder),
    } | more


def launch(
    folder: Path, campaign: dict[str, Any], settings: dict[str, str], seconds: float = 560
) -> subprocess.CompletedProcess[str]:
    (folder / "v.yaml").write_text(yaml.safe_dump(campaign), encoding="utf-8")
    return subprocess.run(
        [*NIOBE, "launch", "v.yaml"],
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds,
        cwd=folder,
        env=environment(folder) | settings,
    )


@pytest.mark.timeout(600)
def test_a_campaign_runs_on_mock_vasp(place: Path) -> None:
    answer = launch(place, CAMPAIGN, on_mock_vasp(place))
    assert answer.returncode == 0, answer.stderr
    found = records(place, "cu")
    validated = [record.validation for record in found if record.validation]
    assert len(validated) >= 4
    assert {v.oracle.split("-")[0] for v in validated} == {"mock"}
    looked_at = [record.prerelaxed for record in found if record.prerelaxed]
    assert {answer.potential.split()[1] for answer in looked_at} == {"chgnet"}
    # The one find may relax into a competing phase, which gets no phonons; the slow campaign runs some.
    assert not any(v.phonon.outcome == "pending" for v in validated)
    assert not [record.failure for record in found if record.failure]


def test_a_machine_without_vasp_is_one_line_and_nothing_is_written(place: Path) -> None:
    settings = on_mock_vasp(place)
    for change, says in (
        ({"ATOMATE2_VASP_CMD": "vasp_nowhere"}, "ATOMATE2_VASP_CMD='vasp_nowhere': no such program"),
        ({"PMG_VASP_PSP_DIR": str(place / "none")}, "no such folder"),
    ):
        answer = launch(place, CAMPAIGN, settings | change)
        assert answer.returncode == 2
        assert answer.stderr.count("\n") == 1
        assert says in answer.stderr
        assert not (place / "home").exists()


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_campaign_with_twenty_percent_faults_closes_every_round_and_loses_nothing(place: Path) -> None:
    share = 0.2 / len(KINDS)
    faults = [{"kind": kind, "rate": share, "seed": 5, "attempts": 2} for kind in KINDS]
    (place / "faults.json").write_text(json.dumps(faults), encoding="utf-8")
    campaign = CAMPAIGN | {
        "id": "cu-au",
        "elements": ["Cu", "Au"],
        "limits": {"max_atoms": 4},
        "budget": {"rounds": 3, "validations": 48},
        "acquisition": {"batch": 16},
        "generation": {"candidates": 48, "mix": [{"name": "random"}]},
        "prerelax": None,
        "oracle": {"name": "vasp", "fmax": 0.05, "wall_time": 60},
    }
    settings = on_mock_vasp(place, MOCK_VASP_FAULTS=str(place / "faults.json"))
    answer = launch(place, campaign, settings, seconds=3500)
    assert answer.returncode == 0, answer.stderr
    rounds = json.loads(niobe(place, "rounds", "--json").stdout)
    assert [row["state"] for row in rounds] == ["closed"] * 4
    assert sum(row["validated"] + row["failed"] for row in rounds[1:]) == 48
    found = records(place, "cu-au")
    acquired = [record for record in found if record.acquired_round is not None]
    assert {str(record.status) for record in acquired} <= {"validated", "failed"}
    causes = Counter(cause_of(record.failure) for record in acquired if record.failure)
    assert sum((Counter(row["failures"]) for row in rounds), Counter()) == causes
    struck = Counter(KINDS[int(file.name.split("-")[0])] for file in (place / "faults.struck").iterdir())
    print(dict(struck), dict(causes))
    assert len(struck) >= 10


def cause_of(failure: Failure) -> str:
    return failure.cause if failure.step == "relax" else f"{failure.step}: {failure.cause}"
