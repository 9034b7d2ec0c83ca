"""Whole campaigns through the command line, on a torch-free potential: Cu-Au with EMT."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from niobe.launchers.embedded import ensure_server, server_status, stop_server
from niobe.loop.documents.records import StructureRecord
from niobe.loop.store.database import Database
from tests.end_to_end.here import answer_here, niobe_here

pytestmark = pytest.mark.filterwarnings("ignore:Set OLD_ERROR_HANDLING:DeprecationWarning")
NIOBE = [sys.executable, "-c", "from niobe.launchers.cli import main; main()"]
CAMPAIGN: dict[str, Any] = {
    "id": "cu-au",
    "elements": ["Cu", "Au"],
    "seed": 3,
    "limits": {"max_atoms": 4},
    "budget": {"rounds": 2, "validations": 6},
    "seeds": {"max_prototypes": 1},
    "generation": {"candidates": 12, "mix": [{"name": "random"}, {"name": "prototype"}]},
    "surrogate": {"members": 2, "epochs": 5},
    "acquisition": {"batch": 3, "control_share": 0.34},
    "oracle": {"name": "emt", "fmax": 0.05},
    "phonons": {"min_length": 5.0, "confirm_length": 6.0},
}
LARGER: dict[str, Any] = {
    "limits": {"max_atoms": 6},
    "budget": {"rounds": 2, "validations": 8},
    "seeds": {"max_prototypes": 3},
    "acquisition": {"batch": 4, "control_share": 0.25},
}
"""For what needs finds of more kinds."""


TIERS = ["stable", "metastable", "validated"]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    stop_server(tmp_path / "home" / "db")


def niobe(
    place: Path, *arguments: str, check: bool = True, timeout: float = 280, workers: int = 2
) -> subprocess.CompletedProcess[str]:
    """Run the command as a user would, in a folder of its own."""
    return subprocess.run(
        [*NIOBE, *arguments],
        capture_output=True,
        text=True,
        check=check,
        timeout=timeout,
        cwd=place,
        env=environment(place) | {"NIOBE_WORKERS": str(workers)},
    )


def environment(place: Path) -> dict[str, str]:
    root = str(Path(__file__).parents[2])
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("NIOBE_")}
    own = {"NIOBE_HOME": str(place / "home"), "NIOBE_WORKERS": "2", "NIOBE_OFFLINE": "1"}
    return inherited | own | {"PYTHONPATH": root}


def test_check_says_what_a_campaign_would_cost_and_writes_nothing(place: Path) -> None:
    (row,) = json.loads(niobe(place, "check", campaign_file(place), "--json").stdout)
    assert (row["campaign"], row["validations"], row["prerelax"]) == ("cu-au", 6, "none")
    assert not (place / "home").exists()


def test_a_mistake_in_a_new_file_costs_no_campaign_id(place: Path) -> None:
    file = campaign_file(place, seeds={"exclude": ["NbO2"]})
    answer = niobe(place, "launch", file, check=False)
    assert (answer.returncode, "'NbO2' is neither a file nor" in answer.stderr) == (2, True)
    assert json.loads(niobe(place, "status", "--json").stdout) == []


PRIOR = {"potential": "lj", "steps": 5, "first_steps": 2, "keep": 0.5}
BREEDING = {
    "prerelax": PRIOR,
    "generation": {"candidates": 16, "mix": [{"name": "random"}, {"name": "offspring"}]},
}


def campaign_file(place: Path, **changes: Any) -> str:
    (place / "c.yaml").write_text(yaml.safe_dump(CAMPAIGN | changes), encoding="utf-8")
    return "c.yaml"


def records(place: Path, campaign: str = "cu-au") -> list[StructureRecord]:
    database = Database.connect(ensure_server(place / "home" / "db"), "niobe")
    try:
        return database.records.find(campaign)
    finally:
        database.close()


def content(record: StructureRecord) -> Any:
    """What must not depend on when and how often a campaign was interrupted."""
    found = record.model_dump()
    if record.validation is not None:
        found["validation"].pop("seconds")
        found["validation"] = json.dumps(found["validation"], sort_keys=True)
    if record.failure is not None:
        found["failure"].pop("seconds")
    return found


def test_a_campaign_runs_to_its_end_and_everything_can_be_read(place: Path) -> None:
    others = [{"name": "offspring", "share": 0.5}, {"name": "soft_mode", "share": 0.3}]
    mix = [{"name": "random"}, {"name": "gan"}, *others]
    generation = {"candidates": 16, "gan_epochs": 1, "mix": mix}
    file = campaign_file(place, **LARGER, generation=generation, prerelax=PRIOR)
    said = niobe_here(place, "launch", file)
    assert "campaign cu-au ended" in said
    assert "report:" in said
    assert [f"hull of round {number} by emt: formation energy" in said for number in range(3)] == [True] * 3
    report = next((place / "home" / "results").rglob("report.html")).read_text(encoding="utf-8")
    assert "Plotly" in report
    assert "https://cdn" not in report.split("<script>")[0]
    rounds = json.loads(niobe_here(place, "rounds", "--json"))
    assert [row["state"] for row in rounds] == ["closed"] * 3
    assert all(row["closed at"].endswith("+00:00") for row in rounds)
    assert sum(row["validated"] + row["failed"] for row in rounds[1:]) == 8
    table = [line.split() for line in niobe_here(place, "rounds").splitlines()]
    assert ["validated", *(str(row["validated"]) for row in rounds)] in table
    best = json.loads(niobe_here(place, "best", "--json"))
    order = [(TIERS.index(row["tier"]), row["e_above_hull"]) for row in best]
    assert order == sorted(order)
    shown = niobe_here(place, "show", best[0]["id"])
    assert "verdict" in shown
    for kind, to in (
        ("csv", "a.csv"),
        ("extxyz", "a.xyz"),
        ("cif", "cifs"),
        ("asedb", "a.db"),
        ("poscar", "p"),
    ):
        niobe_here(place, "export", kind, to, "--all")
        assert (place / to).exists()
    everything = records(place)
    assert {r.choice.selection for r in everything if r.choice} == {
        *("seed", "competing", "acquired", "control")
    }
    assert {r.lineage.generator for r in everything} >= {
        "reference",
        "prototype",
        "random",
        "gan",
        "offspring",
    }
    validated = [r for r in everything if r.validation]
    assert all(r.prerelaxed for r in validated if r.lineage.generator != "displaced")
    assert all(r.validation and r.validation.oracle.startswith("force-field emt") for r in validated)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the campaign has run to its end, for tests that compare with it or only read."""
    folder = tmp_path_factory.mktemp("finished")
    niobe_here(folder, "launch", campaign_file(folder))
    yield folder
    stop_server(folder / "home" / "db")


def batches(place: Path) -> list[str]:
    """The digest of what each round chose."""
    return [row["batch"] for row in json.loads(niobe_here(place, "rounds", "--json"))]


def test_without_phonons_and_by_one_worker_the_same_candidates_are_chosen(
    place: Path, finished: Path
) -> None:
    """Phonons judge what was found, and by default do not choose."""
    file = campaign_file(place, phonons=CAMPAIGN["phonons"] | {"enabled": False})
    niobe_here(place, "launch", file, workers=1)
    assert batches(place) == batches(finished)
    assert all(batches(place)[1:])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["launch", "none.yaml"], "none.yaml: no such campaign file"),
        (["show", "nothing"], "structure 'nothing' is not in the database"),
        (["rounds", "-c", "nothing"], "campaign: 'nothing' is not in the database; known: cu-au"),
        (["pin", "nothing"], "structure 'nothing' is not in the database"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(finished: Path, arguments: list[str], says: str) -> None:
    code, _, said = answer_here(finished, *arguments)
    assert code == 2
    assert says in said
    assert "Traceback" not in said


def test_a_lost_database_is_one_line_and_the_same_command_chooses_the_same(
    place: Path, finished: Path
) -> None:
    file, folder = campaign_file(place), place / "home" / "db"
    with subprocess.Popen(
        [*NIOBE, "launch", file], cwd=place, env=environment(place), stderr=subprocess.PIPE, text=True
    ) as launch:
        until = time.monotonic() + 120
        while not (server := server_status(folder)) or not records(place):
            assert time.monotonic() < until
            time.sleep(0.1)
        os.kill(server.pid, signal.SIGKILL)
        _, said = launch.communicate(timeout=120)
    assert launch.returncode == 1
    assert "Traceback" not in said
    assert any(line.startswith("niobe: lost the database (") for line in said.splitlines())
    niobe_here(place, "launch", file)
    assert batches(place) == batches(finished)


def test_an_unreachable_database_is_named(place: Path) -> None:
    env = environment(place) | {"NIOBE_MONGO_URI": "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=300"}
    answer = subprocess.run(
        [*NIOBE, "status"], capture_output=True, text=True, cwd=place, env=env, check=False
    )
    assert answer.returncode == 2
    assert "mongo_uri: no database answers" in answer.stderr
