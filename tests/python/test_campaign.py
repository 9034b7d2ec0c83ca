"""``niobe.Campaign``: one campaign run by the example notebook, read here and by the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pandas as pd
import pytest
from nbclient import NotebookClient
from pymatgen.core import Structure

import niobe
from niobe.launchers.embedded import stop_server

EXAMPLES = Path(__file__).parents[2] / "examples"
SECONDS = 280
SPEC = {
    "id": "au",
    "elements": ["Au"],
    "oracle": {"name": "emt"},
    "budget": {"rounds": 1, "validations": 1},
    "seeds": {"max_prototypes": 0},
    "phonons": {"enabled": False},
}
SCRIPT = f"""
import niobe
print("imported")
campaign = niobe.Campaign({SPEC!r})
print(repr(campaign.run_round(progress=False)), len(campaign.rounds()))
"""


def run(notebook: str, place: Path) -> list[dict[str, Any]]:
    """What the cells of an example put out, run in a folder. Raises CellExecutionError where one fails."""
    cells = nbformat.read(EXAMPLES / notebook, as_version=4)
    NotebookClient(cells, timeout=SECONDS, resources={"metadata": {"path": str(place)}}).execute()
    return [output for cell in cells.cells for output in cell.get("outputs", [])]


@pytest.fixture(scope="module")
def environment() -> Iterator[pytest.MonkeyPatch]:
    """As a newcomer has it, but for one worker, which saves the start of others."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("NIOBE_MONGO_URI", "NIOBE_EMBEDDED_URI", "NIOBE_HOME", "NIOBE_DATABASE"):
            patch.delenv(name, raising=False)
        patch.setenv("NIOBE_WORKERS", "1")
        patch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
        yield patch


@pytest.fixture(scope="module")
def place(environment: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder in which the example notebook has run its campaign."""
    folder = tmp_path_factory.mktemp("notebook")
    texts = [output["data"]["text/plain"] for output in run("campaign.ipynb", folder) if "data" in output]
    assert "'all rounds done'" in texts
    yield folder
    stop_server(folder / ".niobe" / "db")


@pytest.fixture
def campaign(place: Path, monkeypatch: pytest.MonkeyPatch) -> niobe.Campaign:
    monkeypatch.setenv("NIOBE_HOME", str(place / ".niobe"))
    for name in ("NIOBE_MONGO_URI", "NIOBE_EMBEDDED_URI"):
        monkeypatch.setenv(name, "")
    return niobe.Campaign.stored("cu-au")


def test_a_script_runs_a_round_and_no_worker_runs_the_script(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The script does not ask for its name, as a newcomer's would not; a ``config.py`` lies beside it."""
    (tmp_path / "run.py").write_text(SCRIPT, encoding="utf-8")
    (tmp_path / "config.py").write_text("raise RuntimeError('a file of the user')", encoding="utf-8")
    command = [sys.executable, "run.py"]
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    stop_server(tmp_path / ".niobe" / "db")
    assert answer.stdout.splitlines() == ["imported", "'' 1"]


def test_the_analysis_of_the_campaign_draws_it(place: Path, environment: pytest.MonkeyPatch) -> None:
    outputs = run("analysis.ipynb", place)
    assert len([output for output in outputs if "image/png" in output.get("data", {})]) == 3


def test_every_notebook_is_stored_without_output() -> None:
    files = sorted(EXAMPLES.glob("*.ipynb"))
    assert [file.name for file in files] == ["analysis.ipynb", "campaign.ipynb"]
    for file in files:
        cells = nbformat.read(file, as_version=4).cells
        assert not [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")]


def test_records_are_a_table(campaign: niobe.Campaign) -> None:
    table = campaign.records()
    assert table.index.is_unique
    done = table[table.status == "validated"]
    assert (done.oracle.nunique(), set(table["round"])) == (1, {0, 1, 2})
    assert np.isfinite(done.energy_per_atom).all()
    assert (done.e_above_hull >= 0).all()


def test_the_hull_holds_every_validated_record_and_its_energies(campaign: niobe.Campaign) -> None:
    done = campaign.records().query("status == 'validated'")
    hull = campaign.hull()
    assert {entry.name for entry in hull.all_entries} == set(done.index)
    for entry in hull.all_entries:
        row = done.loc[entry.name]
        assert entry.energy_per_atom == pytest.approx(row.energy_per_atom)
        assert hull.get_e_above_hull(entry) == pytest.approx(row.e_above_hull, abs=1e-8)


def test_the_best_are_unique_and_lowest_first(campaign: niobe.Campaign) -> None:
    best = campaign.best(3)
    assert len(best) == 3
    assert best.e_above_hull.is_monotonic_increasing
    pd.testing.assert_frame_equal(best, campaign.best(20).head(3))
    assert campaign.best(stable=True).empty


def test_a_structure_is_as_its_oracle_relaxed_it(campaign: niobe.Campaign) -> None:
    row = campaign.best(1).iloc[0]
    structure = campaign.structure(str(row.name))
    assert isinstance(structure, Structure)
    assert (structure.reduced_formula, len(structure)) == (row.formula, row.n_atoms)
    with pytest.raises(niobe.ConfigError, match="'nothing' is not in the database"):
        campaign.structure("nothing")


def test_a_finished_campaign_runs_no_more(campaign: niobe.Campaign) -> None:
    before = campaign.records()
    assert niobe.Campaign(campaign.spec).run_round(progress=False) == campaign.run(progress=False)
    pd.testing.assert_frame_equal(campaign.records(), before)


def test_the_command_line_sees_the_same(place: Path, campaign: niobe.Campaign) -> None:
    command = [sys.executable, "-c", "from niobe.launchers.cli import main; main()", "best", "--json"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, cwd=place)
    assert [row["id"] for row in json.loads(answer.stdout)] == list(campaign.best().index)


def test_file_mapping_and_spec_are_one_campaign(tmp_path: Path) -> None:
    file = tmp_path / "cu-au.yaml"
    file.write_text(json.dumps(SPEC), encoding="utf-8")
    digests = {niobe.Campaign(source).spec.digest() for source in (str(file), file, SPEC)}
    spec = niobe.CampaignSpec.model_validate(SPEC)
    assert digests == {spec.digest(), niobe.Campaign(spec).spec.digest()}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"elements": ["Au", "Xx"]}, "campaign: elements: unknown element 'Xx'"),
        ({"elements": ["Nb", "O"]}, "campaign: oracle"),
        ({"budgets": {}}, "campaign: budgets: unknown key; did you mean 'budget'"),
        ({"seeds": {"files": ["none.cif"]}}, "seeds.files: .*none.cif: no such file"),
    ],
)
def test_a_mistake_is_one_line(change: dict[str, object], says: str) -> None:
    with pytest.raises(niobe.ConfigError, match=says) as raised:
        niobe.Campaign(SPEC | change)
    assert "\n" not in str(raised.value)


def test_what_rockets_run_is_not_run_here() -> None:
    with pytest.raises(niobe.ConfigError, match="launcher: fireworks is for `niobe launch`"):
        niobe.Campaign(SPEC | {"launcher": "fireworks"}).run()


def test_importing_it_is_light() -> None:
    code = "import sys, niobe; print(niobe.__version__)"
    heavy = "print([m for m in ('numpy', 'pydantic', 'pymatgen', 'torch', 'pymongo') if m in sys.modules])"
    command = [sys.executable, "-c", f"{code}; {heavy}"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines() == [version("niobe-crystals"), "[]"]


def test_what_it_does_not_have_is_said() -> None:
    with pytest.raises(AttributeError, match="module 'niobe' has no attribute 'Nothing'"):
        niobe.Nothing  # noqa: B018
