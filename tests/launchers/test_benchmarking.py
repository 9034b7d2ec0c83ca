"""The generative benchmark on Cu-Au with EMT, tiny: two settings run for real, once."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from niobe.config.errors import ConfigError
from niobe.launchers.benchmarking import own_home
from niobe.launchers.cli import app
from niobe.launchers.embedded import server_status
from niobe.loop.benchmark.ablation import SIZES, Size
from niobe.loop.benchmark.generative import Run

CAMPAIGN = {
    "id": "cu-au",
    "elements": ["Cu", "Au"],
    "limits": {"max_atoms": 6},
    "seeds": {"max_prototypes": 1},
    "generation": {"mix": [{"name": "random"}, {"name": "gan"}], "gan_epochs": 1},
    "surrogate": {"members": 2, "epochs": 5},
    "oracle": {"name": "emt", "fmax": 0.05},
    "phonons": {"min_length": 5.0, "max_supercell_atoms": 400},
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where two settings have run, two rounds of one oracle call each."""
    folder = tmp_path_factory.mktemp("generative")
    (folder / "c.yaml").write_text(yaml.safe_dump(CAMPAIGN), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NIOBE_WORKERS", "1")
        patch.setenv("NIOBE_HOME", str(folder / "elsewhere"))
        patch.setitem(SIZES, "short", Size(calls=2, batch=1, candidates=6))
        bench(folder)
        yield folder


def bench(folder: Path, *options: str) -> str:
    arguments = [str(folder / "c.yaml"), "--preset", "short", "--seeds", "1", "--to", str(folder / "to")]
    result = CliRunner().invoke(
        app, ["bench", "generative", *arguments, "--setting", "acquisition", *options], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    return result.output


def kept(folder: Path, setting: str) -> tuple[Path, Run]:
    (file,) = (folder / "to" / "runs").glob(f"{setting}-1-*/run.json")
    return file.parent, Run.model_validate_json(file.read_text(encoding="utf-8"))


def answer(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "to" / "generative.json").read_text(encoding="utf-8"))
    return content


def test_figures_and_curves_are_written(place: Path) -> None:
    content = answer(place)
    tables = ["Au-Cu ε 0.1 eV/atom", "Au-Cu ε 0.01 eV/atom"]
    assert [row["table"] for row in content["rows"]] == [tables[0]] * 2 + [tables[1]] * 2
    assert list(content["hits"]) == tables
    calls = {
        table: sum(row["calls"] for row in content["generators"] if row["table"] == table) for table in tables
    }
    assert calls == dict.fromkeys(tables, 4)
    assert [[len(run) for run in runs] for runs in content["hits"][tables[0]].values()] == [[2], [2]]
    page = (place / "to" / "generative.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 2 and "+ acquisition" in page and tables[1] in page
    assert len(page) < 100_000


def test_each_run_holds_its_seeds_and_its_calls_in_order(place: Path) -> None:
    for setting, function in (("random", "random"), ("acquisition", "p_hull")):
        _, run = kept(place, setting)
        assert len(run.seeds) > 3
        assert [record.acquired_round for record in run.calls] == [1, 2]
        assert {record.choice.function for record in run.calls if record.choice} == {function}
        assert run.seconds is not None and run.seconds > 0


def test_nothing_finished_is_run_again(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = answer(place)

    def refuse(*_: object) -> str:
        raise AssertionError("a finished run was run again")

    monkeypatch.setattr("niobe.launchers.local.launcher.run_campaign", refuse)
    bench(place)
    bench(place, "--finished")
    assert answer(place)["rows"] == before["rows"]
    with pytest.raises(ConfigError, match="holds no finished run of 'random'"):
        bench(place, "--finished", "--to", str(place / "empty"))


def test_other_runs_only_add_to_the_hull(place: Path) -> None:
    _, run = kept(place, "random")
    file, alloy = place / "other.json", next(r for r in run.calls if r.nelements == 2 and r.validation)
    deeper = alloy.model_dump(mode="json")
    deeper["validation"]["energy_per_atom"] -= 4.0  # still a solid: what lies deeper than any is left out
    other = run.model_dump(mode="json") | {"setting": "former", "calls": [deeper]}
    file.write_text(json.dumps(other), encoding="utf-8")
    found = []
    for options in ([], ["--hull", str(file)]):
        bench(place, "--finished", "--tolerance", "0.5", "--to", str(place / "to"), *options)
        hits = answer(place)["hits"]["Au-Cu ε 0.5 eV/atom"]
        assert [len(runs) for runs in hits.values()] == [1, 1]
        found.append(sum(sum(calls) for runs in hits.values() for calls in runs))
    assert found[0] > found[1] == 0
    file.write_text("{}", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"--hull: .*other.json: no finished run"):
        bench(place, "--finished", "--hull", str(file))


@pytest.mark.slow
def test_a_longer_random_search_is_run_once_and_makes_no_setting(place: Path) -> None:
    def longer() -> list[Path]:
        return list((place / "to" / "runs").glob("longer-*/run.json"))

    bench(place, "--finished", "--random-calls", "3")
    assert not longer()
    for options in ([], ["--finished"]):
        bench(place, "--random-calls", "3", *options)
        (file,) = longer()
        run = Run.model_validate_json(file.read_text(encoding="utf-8"))
        assert len(run.calls) == 3
        assert {record.choice.function for record in run.calls if record.choice} == {"random"}
        assert {row["runs"] for row in answer(place)["rows"]} == {1}
        assert len(answer(place)["rows"]) == 4


def test_phonons_of_hits_are_run_afterwards_once_and_kept(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ["--finished", "--tolerance", "5"]
    bench(place, *options)
    assert {row["phonon-stable"] for row in answer(place)["rows"]} == {"–"}
    bench(place, *options, "--phonons")
    rows = answer(place)["rows"]
    _, run = kept(place, "random")
    assert set(run.later) == {record.id for record in run.calls if record.validation}
    assert {row["phonon-stable"] for row in rows} <= {"0.00", "0.50", "1.00"}

    def refuse(*_: object) -> None:
        raise AssertionError("phonons were run again")

    monkeypatch.setattr("niobe.flows.oracles.benchmark.stability_of", refuse)
    bench(place, *options, "--phonons")
    assert answer(place)["rows"] == rows


def test_models_that_shall_not_learn_stay_as_they_are(place: Path) -> None:
    home, _ = kept(place, "acquisition")
    for model in ("surrogate", "gan"):
        first, second = (home / "checkpoints" / "cu-au" / f"round-{n}" / model for n in (1, 2))
        files = sorted(path.name for path in first.iterdir())
        assert files
        assert {n: (first / n).read_bytes() for n in files} == {n: (second / n).read_bytes() for n in files}
    history = json.loads((first / "gan.json").read_text(encoding="utf-8"))["history"]
    assert len(history) == 1


def test_without_phonons_none_is_run(place: Path) -> None:
    _, run = kept(place, "acquisition")
    verdicts = [r.validation for r in (*run.seeds, *run.calls) if r.validation]
    assert {validation.phonon.reason for validation in verdicts} == {"phonons are off"}
    assert all("phonons" not in validation.seconds for validation in verdicts)


def test_this_process_and_its_servers_are_as_before(place: Path) -> None:
    assert os.environ["NIOBE_HOME"] == str(place / "elsewhere")
    assert "NIOBE_EMBEDDED_URI" not in os.environ
    for setting in ("random", "acquisition"):
        assert server_status(kept(place, setting)[0] / "db") is None


def test_an_unknown_setting_is_named(place: Path) -> None:
    with pytest.raises(
        ConfigError, match="'magic' is no setting of this campaign; allowed: random, generators"
    ):
        bench(place, "--setting", "magic")


def test_two_benchmarks_do_not_work_in_one_home(tmp_path: Path) -> None:
    """Each would stop the other's database; the second says so and leaves the first alone."""
    before = os.environ.get("NIOBE_HOME")
    with own_home(tmp_path):
        with pytest.raises(ConfigError, match="another benchmark works there"), own_home(tmp_path):
            pass
        assert os.environ["NIOBE_HOME"] == str(tmp_path)
    assert os.environ.get("NIOBE_HOME") == before
    with own_home(tmp_path):
        pass
