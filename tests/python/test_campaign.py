"""``niobe.Campaign``: one campaign run by a script, read here and by the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pymatgen.core import Structure

import niobe
from niobe.launchers.embedded import stop_server

SPEC = {
    "id": "cu-au",
    "elements": ["Cu", "Au"],
    "oracle": {"name": "emt"},
    "limits": {"max_atoms": 4},
    "budget": {"rounds": 2, "validations": 4},
    "seeds": {"max_prototypes": 2},
    "generation": {"candidates": 8, "mix": [{"name": "random"}]},
    "acquisition": {"batch": 2},
    "phonons": {"enabled": False},
}
SCRIPT = f"""
import niobe
print("imported")
campaign = niobe.Campaign({SPEC!r})
print(repr(campaign.run_round(progress=False)), len(campaign.rounds()))
print(repr(campaign.run(progress=False)), len(campaign.rounds()))
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """The folder of a finished campaign, and what the script that ran it printed.

    The script does not ask for its name, as a newcomer's would not, and a file ``config.py`` lies beside it.
    """
    place = tmp_path_factory.mktemp("script")
    (place / "run.py").write_text(SCRIPT, encoding="utf-8")
    (place / "config.py").write_text(
        "raise RuntimeError('a file of the user was imported')", encoding="utf-8"
    )
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("NIOBE_")}
    answer = subprocess.run(
        [sys.executable, "run.py"],
        cwd=place,
        env=inherited | {"NIOBE_HOME": "home", "NIOBE_WORKERS": "2"},
        capture_output=True,
        text=True,
        check=True,
    )
    yield place, answer.stdout
    stop_server(place / "home" / "db")


@pytest.fixture
def campaign(said: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> niobe.Campaign:
    for name in ("NIOBE_MONGO_URI", "NIOBE_EMBEDDED_URI", "NIOBE_DATABASE"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("NIOBE_DATABASE", "niobe")
    monkeypatch.setenv("NIOBE_HOME", str(said[0] / "home"))
    return niobe.Campaign.stored("cu-au")


def test_a_script_runs_a_round_and_then_the_rest_and_no_worker_runs_it(said: tuple[Path, str]) -> None:
    assert said[1].splitlines() == ["imported", "'' 1", "'all rounds done' 3"]


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
    assert niobe.Campaign(SPEC).run_round(progress=False) == campaign.run(progress=False)
    pd.testing.assert_frame_equal(campaign.records(), before)


def test_the_command_line_sees_the_same(said: tuple[Path, str], campaign: niobe.Campaign) -> None:
    command = [sys.executable, "-c", "from niobe.launchers.cli import main; main()", "best", "--json"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, cwd=said[0])
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
        ({"elements": ["Cu", "Xx"]}, "campaign: elements: unknown element 'Xx'"),
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
