"""What becomes of a validation when VASP goes wrong: recovered, retried or recorded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from niobe.config.spec import Oracle
from niobe.flows.oracles.base import Answer, CalculationDiedError, NoCureError
from niobe.flows.oracles.calculation import validate_structure
from niobe.flows.oracles.mock_vasp.faults import KINDS, FaultsError, read_faults
from niobe.flows.oracles.vasp import VaspOracle
from niobe.loop.documents.records import Failure
from tests.flows.oracles.mock_vasp.fixtures import UseMock
from tests.flows.oracles.test_vasp import SPEC, pytestmark, swapped

assert pytestmark

RECOVERED = {
    "unconverged_scf": "static",
    "unconverged_relaxation": "relax",
    "message": "static",
    "positive_energy": "static",
    "infinite_energy": "static",
}
RETRIED = ("segfault", "killed", "truncated", "no_outcar")
RECORDED = {
    "nan_energy": ("relax", "unphysical"),
    "exploded_cell": ("static", "unphysical"),
    "hang": ("relax", "wall_time"),
}


def strike(folder: Path, patch: pytest.MonkeyPatch, **fault: Any) -> None:
    file = folder / "faults.json"
    file.write_text(json.dumps([fault]), encoding="utf-8")
    patch.setenv("MOCK_VASP_FAULTS", str(file))


def ask(step: str, folder: Path, retries: int = 0) -> Answer:
    """Relax, or ask for energy and forces of, one structure."""
    oracle = VaspOracle(Oracle(name="vasp", retries=retries, max_steps=20))
    if step == "relax":
        return oracle.relax(swapped(), folder)
    return oracle.static([swapped()], folder)[0]


@pytest.fixture
def struck(use_mock: UseMock) -> Iterator[None]:
    use_mock("lj")
    yield


def test_every_kind_has_a_test() -> None:
    assert sorted([*RECOVERED, *RETRIED, *RECORDED]) == sorted(KINDS)


@pytest.mark.usefixtures("struck")
@pytest.mark.parametrize(("kind", "step"), RECOVERED.items())
def test_custodian_recovers(kind: str, step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    strike(tmp_path, monkeypatch, kind=kind, match=step)
    assert np.isfinite(ask(step, tmp_path / "work").energy)
    assert list((tmp_path / "faults.struck").iterdir())


@pytest.mark.usefixtures("struck")
@pytest.mark.parametrize("kind", RETRIED)
def test_what_died_is_retried_a_bounded_number_of_times(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strike(tmp_path, monkeypatch, kind=kind, attempts=2)
    with pytest.raises(CalculationDiedError, match="1 attempts: "):
        ask("static", tmp_path / "work")
    assert np.isfinite(ask("static", tmp_path / "work", retries=1).energy)


@pytest.mark.usefixtures("struck")
@pytest.mark.parametrize(("kind", "step", "cause"), [(kind, *what) for kind, what in RECORDED.items()])
def test_what_cannot_be_mended_is_recorded(
    kind: str, step: str, cause: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strike(tmp_path, monkeypatch, kind=kind, match=step, attempts=9)
    seconds = 3 if kind == "hang" else 120
    spec = SPEC.model_copy(update={"oracle": Oracle(name="vasp", retries=1, wall_time=seconds)})
    outcome = validate_structure(spec, VaspOracle(spec.oracle), swapped(), tmp_path / "work")
    assert isinstance(outcome, Failure), outcome
    assert (outcome.cause, outcome.attempts) == (cause, 1)


@pytest.mark.slow
@pytest.mark.usefixtures("struck")
def test_custodian_gives_up_on_what_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    strike(tmp_path, monkeypatch, kind="message", attempts=99)
    with pytest.raises(NoCureError):
        ask("static", tmp_path / "work")


def test_faults_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    file = tmp_path / "f.json"
    for text, says in (('[{"kind": "fire"}]', "kind 'fire'; allowed: unconverged_scf"), ("[", "Expecting")):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(FaultsError, match=says):
            read_faults(file)
    with pytest.raises(FaultsError, match="No such file"):
        read_faults(tmp_path / "none.json")
