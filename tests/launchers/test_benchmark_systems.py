"""`niobe bench systems`: what it refuses, and how it takes in what other programs found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ase.build import bulk
from pymatgen.io.ase import AseAtomsAdaptor
from typer.testing import CliRunner

from niobe.config.errors import ConfigError
from niobe.config.loading import with_changes
from niobe.launchers.benchmark_systems import peer_runs
from niobe.launchers.cli import app
from niobe.loop.benchmark.systems import Rules, campaign
from niobe.loop.documents.records import Status

SPEC = with_changes(
    campaign("Au-Cu", "kept-out", [], Rules(calls=2, batch=1, candidates=6)),
    {"oracle.name": "emt", "oracle.fmax": 0.05, "prerelax": None, "confirm.oracles": []},
)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--protocol", "guessed"], "--protocol: 'guessed' is none; allowed: kept-out, given, made"),
        (["--arm", "magic"], "--arm: 'magic' is no arm; allowed: random, ranked, plain, niobe"),
        (["--known", "nowhere"], "nowhere/Cu-Zn is no folder"),
    ],
)
def test_what_is_not_there_is_named(tmp_path: Path, options: list[str], said: str) -> None:
    result = CliRunner().invoke(app, ["bench", "systems", "Zn-Cu", *options, "--to", str(tmp_path)])
    assert isinstance(result.exception, ConfigError)
    assert said in str(result.exception)


def test_nothing_finished_is_nothing_to_judge(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        app, ["bench", "systems", "Cu-Zn", "--finished", "--to", str(tmp_path)], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "systems.json").read_text(encoding="utf-8"))["rows"] == []


def test_what_a_peer_relaxed_is_asked_about_once_and_kept(tmp_path: Path) -> None:
    alloy = bulk("Cu", cubic=True)
    alloy.symbols[:2] = "Au"
    structure = AseAtomsAdaptor.get_structure(alloy)
    file = tmp_path / "peers" / "Au-Cu" / "Peer-3.json"
    file.parent.mkdir(parents=True)
    content = {"name": "Peer", "seed": 3, "seconds": 7.5, "structures": [None, structure.as_dict()]}
    content |= {"ended": [2.0, 7.0], "evaluated": [11, 30]}
    file.write_text(json.dumps(content), encoding="utf-8")
    (run,) = peer_runs(SPEC, tmp_path / "peers", tmp_path / "kept")
    assert (run.setting, run.seed, run.seconds, run.ended, run.evaluated) == ("Peer", 3, 7.5, (7.0,), (30,))
    assert [call.status for call in run.calls] == [Status.VALIDATED]
    assert run.calls[0].validation is not None
    file.write_text(json.dumps(content | {"structures": []}), encoding="utf-8")
    assert peer_runs(SPEC, tmp_path / "peers", tmp_path / "kept") == [run]


def test_a_file_that_is_no_run_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "Au-Cu" / "odd.json"
    file.parent.mkdir()
    content = {"name": "Peer", "seed": 3, "seconds": 7.5, "structures": [None], "ended": [1.0, 2.0]}
    for said in ({}, content):
        file.write_text(json.dumps(said), encoding="utf-8")
        _refused(tmp_path)


def _refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--peers: .*odd.json: no run of a peer"):
        peer_runs(SPEC, tmp_path, tmp_path / "kept")
