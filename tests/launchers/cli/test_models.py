"""The commands about surrogates, run as a user runs them."""

import json
import re
from math import comb
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from pymatgen.core import Lattice, Structure
from typer.testing import CliRunner

from niobe.config.errors import ConfigError
from niobe.config.spec import SurrogateChoice
from niobe.config.version import code_version
from niobe.launchers.cli import app
from niobe.surrogates.models import load_surrogate
from tests.contract.test_surrogates import OXYGEN, TRAIN

TARGET = ["--target", "e_form"]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("table") / "rows.parquet"
    rows(OXYGEN).to_parquet(file)
    return file


def rows(labels: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "lattice": [s.lattice.matrix.ravel() for s in TRAIN],
            "numbers": [list(s.atomic_numbers) for s in TRAIN],
            "frac_coords": [s.frac_coords.ravel() for s in TRAIN],
            "e_form": labels,
        }
    )


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_fit_writes_a_checkpoint_that_predicts(table: Path, tmp_path: Path) -> None:
    run("models", "fit", str(table), str(tmp_path / "m"), *TARGET, "-m", "wyckoff_rnn", "--epochs", "4")
    answer = load_surrogate(tmp_path / "m").predict(TRAIN)["formation_energy_per_atom"]
    assert np.isfinite(answer.mean[answer.in_domain]).all() and answer.in_domain.any()


@pytest.mark.parametrize("model", ["wyckoff_rnn", "gbt"])
def test_a_used_folder_keeps_its_training_or_is_refused(table: Path, tmp_path: Path, model: str) -> None:
    other = tmp_path / "other.parquet"
    rows(OXYGEN + 1).to_parquet(other)
    fit = ["models", "fit", str(table), str(tmp_path / "m"), *TARGET, "-m", model]
    run(*fit, "--epochs", "2")
    before = (tmp_path / "m" / "surrogate.json").read_bytes()
    assert "was trained on these 30 rows before" in run(*fit, "--epochs", "2")
    for change, named in (
        (["--epochs", "3"], "epochs"),
        (["--epochs", "2", "--seed", "4"], "seed"),
        (["--epochs", "2", "--rows", "20"], "data"),
    ):
        with pytest.raises(ConfigError, match=rf"another identity: .*{named} \("):
            run(*fit, *change)
    with pytest.raises(ConfigError, match="another identity: data"):
        run("models", "fit", str(other), *fit[3:], "--epochs", "2")
    assert (tmp_path / "m" / "surrogate.json").read_bytes() == before


def test_a_folder_in_which_nothing_was_trained_is_begun_anew(table: Path, tmp_path: Path) -> None:
    """A model that is none and a table whose row no model takes leave nothing that stands in the way."""
    broken, folder = rows(OXYGEN), str(tmp_path / "m")
    broken.at[3, "lattice"] = [0.1, 0, 0, 0, 0.1, 0, 0, 0, 0.1]
    broken.to_parquet(tmp_path / "broken.parquet")
    fit = [*TARGET, "-m", "gbt", "--epochs", "2"]
    for file, options in ((table, [*TARGET, "-m", "gtb"]), (tmp_path / "broken.parquet", fit)):
        with pytest.raises(ConfigError):
            run("models", "fit", str(file), folder, *options)
    assert "gbt trained on 30 rows" in run("models", "fit", str(table), folder, *fit)


def test_a_folder_of_something_else_is_refused(table: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"is used already and holds no fit\.json"):
        run("models", "fit", str(table), str(tmp_path), *TARGET, "-m", "gbt")
    with pytest.raises(ConfigError, match=r"is used already and holds no study\.json"):
        run("tune", str(table), str(tmp_path), *TARGET, "-m", "wyckoff_rnn")


def test_a_checkpoint_names_its_rows_and_its_code(table: Path, tmp_path: Path) -> None:
    said = []
    for name, extra in (("one", []), ("same", []), ("fewer", ["--rows", "20"])):
        run("models", "fit", str(table), str(tmp_path / name), *TARGET, "-m", "gbt", "--epochs", "2", *extra)
        said.append(json.loads((tmp_path / name / "surrogate.json").read_text())["learned_from"])
    one, same, fewer = said
    assert one == same and one["rows"] == 30 and fewer["rows"] == 20
    assert one["data"] != fewer["data"] and one["code"] == fewer["code"] == code_version()


def test_small_rates_are_shown_as_they_are(table: Path, tmp_path: Path) -> None:
    shown = run(
        "tune",
        str(table),
        str(tmp_path / "s"),
        *TARGET,
        "-m",
        "wyckoff_rnn",
        "--trials",
        "6",
        "--epochs",
        "1",
    )
    rates = {line.split()[4] for line in shown.splitlines() if re.match(r"\s+\d+\s", line)}
    assert rates <= {"0.0005", "0.001", "0.002", "0.004"} and "0.0005" in rates


def test_compare_lists_each_model_once_best_first(table: Path) -> None:
    options = ["-m", "gbt", "-m", "gbt_magpie", "--epochs", "5", "--json"]
    scores = json.loads(run("models", "compare", str(table), *TARGET, *options))
    assert {score["model"] for score in scores} == {"gbt", "gbt_magpie"}
    assert scores[0]["mae"] <= scores[1]["mae"]


def test_the_learning_curve_says_how_many_more_records_an_error_takes(table: Path, tmp_path: Path) -> None:
    drawn = tmp_path / "plots" / "curve.html"
    options = ["-m", "gbt_magpie", "--epochs", "5", "--points", "3", "--repeats", "2", "--to", str(drawn)]
    assert "more records (90 % between" in run("learning-curve", str(table), *TARGET, *options)
    page = drawn.read_text(encoding="utf-8")
    assert "records trained on" in page and "https://cdn" not in page.split("<script")[0]


def test_tune_writes_a_winner_that_a_campaign_can_name(table: Path, tmp_path: Path) -> None:
    options = ["-m", "wyckoff_rnn", "--trials", "2", "--epochs", "2", "--json"]
    tmp_path = tmp_path / "study"
    run("tune", str(table), str(tmp_path), *TARGET, *options)
    winner = SurrogateChoice.model_validate(
        yaml.safe_load((tmp_path / "winner.yaml").read_text())["surrogate"]
    )
    assert winner.model == "wyckoff_rnn" and "width" in winner.options and winner.epochs == 2
    assert (tmp_path / "trials.csv").is_file() and (tmp_path / "trials.html").is_file()


def test_representations_are_checked_in_a_table(table: Path) -> None:
    found = json.loads(run("representations", "check", str(table), "--most", "2", "--json"))
    graph = next(row for row in found if row["name"] == "crystal graph")
    assert max(graph[c] for c in ("rotation", "translation", "permutation", "cell", "supercell")) < 1e-9
    assert graph["back"] < 1e-9


def test_rows_that_a_representation_cannot_hold_are_named(tmp_path: Path) -> None:
    lonely = Structure(Lattice.cubic(20.0), ["He"], [[0, 0, 0]])
    table = rows(OXYGEN)
    table.at[2, "lattice"] = lonely.lattice.matrix.ravel()
    table.at[2, "numbers"], table.at[2, "frac_coords"] = [2], lonely.frac_coords.ravel()
    table.at[4, "lattice"] = np.zeros(9)
    file = tmp_path / "rows.parquet"
    table.to_parquet(file)
    shown = run("representations", "check", str(file), "--most", "4")
    assert "crystal graph: " in shown and "rows.parquet:3: the graph's edges do not hold the crystal" in shown
    assert "not read: " in shown and "rows.parquet:5: " in shown
    found = json.loads(run("representations", "check", str(file), "--most", "4", "--json"))
    refused = {row["name"]: row["refused"] for row in found}
    graph = next(row for row in found if row["name"] == "crystal graph")
    assert any("rows.parquet:3: " in each for each in graph["refused"])
    assert graph["pairs"] == comb(4 - len(graph["refused"]), 2) and not refused["magpie"]


def test_a_row_without_a_label_is_named(tmp_path: Path) -> None:
    file = tmp_path / "rows.parquet"
    rows(np.where(np.arange(len(TRAIN)) == 6, np.nan, OXYGEN)).to_parquet(file)
    with pytest.raises(ConfigError, match=r"rows.parquet:7: e_form is nan \(1 such rows\)"):
        run("models", "compare", str(file), *TARGET)
    with pytest.raises(ConfigError, match="'x' is no column of numbers; there are: e_form"):
        run("models", "compare", str(file), "--target", "x")


def test_unknown_names_are_bad_input(table: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown; allowed"):
        run("models", "compare", str(table), *TARGET, "-m", "oracle")
    with pytest.raises(ConfigError, match="allowed: grid, random, nas"):
        run("tune", str(table), str(tmp_path), *TARGET, "--search", "best")
