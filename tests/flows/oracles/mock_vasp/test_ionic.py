"""Ionic steps: which degrees of freedom ISIF frees, when EDIFFG ends them, what IBRION and STOPCAR do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pymatgen.io.vasp import Outcar, Vasprun
from pymatgen.io.vasp.outputs import UnconvergedVASPWarning

from niobe.flows.oracles.mock_vasp.electrons import born_charges, placeholder
from niobe.flows.oracles.mock_vasp.inputs import Inputs, read_inputs
from niobe.flows.oracles.mock_vasp.ionic import IonicStep, hessian, ionic_steps
from niobe.flows.oracles.mock_vasp.potential import LocalPotential
from tests.flows.oracles.mock_vasp.machine import RELAX, cuau, prepare, run_here


def inputs_of(folder: Path, **tags: Any) -> Inputs:
    return read_inputs(prepare(folder, cuau(), RELAX | tags))


def relaxed(folder: Path, **tags: Any) -> tuple[Inputs, list[IonicStep]]:
    inputs = inputs_of(folder, **tags)
    return inputs, list(ionic_steps(inputs, LocalPotential("lj")))


@pytest.mark.parametrize(
    ("isif", "ions", "shape", "volume"),
    [(2, True, False, False), (3, True, True, True), (4, True, True, False), (7, False, False, True)],
)
def test_isif_frees_what_vasp_frees(tmp_path: Path, isif: int, ions: bool, shape: bool, volume: bool) -> None:
    inputs, steps = relaxed(tmp_path, ISIF=isif)
    before, after = inputs.cell, steps[-1].cell
    ratio = before.lattice[2, 2] / before.lattice[0, 0] - after.lattice[2, 2] / after.lattice[0, 0]
    gap = (before.positions[1] - before.positions[0]) - (after.positions[1] - after.positions[0])
    assert (abs(ratio) > 1e-3) == shape
    assert (abs(after.volume / before.volume - 1) > 1e-3) == volume
    assert (np.abs(gap).max() > 1e-3) == ions
    assert steps[-1].converged


def test_ediffg_is_a_force_where_negative_and_an_energy_where_positive(tmp_path: Path) -> None:
    _, by_force = relaxed(tmp_path / "force", ISIF=2, EDIFFG=-0.001)
    assert np.linalg.norm(by_force[-1].response.forces, axis=1).max() < 0.001
    _, by_energy = relaxed(tmp_path / "energy", ISIF=2, EDIFFG=0.01)
    energies = [step.response.energy for step in by_energy]
    assert abs(energies[-1] - energies[-2]) < 0.01
    assert len(by_energy) < len(by_force)


def test_nsw_ends_an_unfinished_relaxation(tmp_path: Path) -> None:
    prepare(tmp_path, cuau(), RELAX | {"NSW": 2, "EDIFFG": -1e-6})
    run_here(tmp_path)
    with pytest.warns(UnconvergedVASPWarning):
        run = Vasprun(tmp_path / "vasprun.xml", parse_potcar_file=False)
    assert not run.converged_ionic
    assert len(run.ionic_steps) == 2
    assert "reached required accuracy" not in (tmp_path / "OUTCAR").read_text(encoding="utf-8")


def test_a_stopcar_stops_softly(tmp_path: Path) -> None:
    prepare(tmp_path, cuau(), RELAX | {"EDIFFG": -1e-6})
    (tmp_path / "STOPCAR").write_text("LSTOP = .TRUE.\n", encoding="utf-8")
    run_here(tmp_path)
    assert Outcar(tmp_path / "OUTCAR").is_stopped
    run = Vasprun(tmp_path / "vasprun.xml", parse_potcar_file=False)
    assert len(run.ionic_steps) == 1
    assert run.converged  # pymatgen's verdict: fewer steps than NSW. The oracle must not trust it.


def test_selective_dynamics_hold_a_site(tmp_path: Path) -> None:
    structure = cuau()
    structure.add_site_property("selective_dynamics", [[False] * 3, [True] * 3])
    inputs = read_inputs(prepare(tmp_path, structure, RELAX | {"ISIF": 2}))
    *_, last = ionic_steps(inputs, LocalPotential("lj"))
    assert np.allclose(last.cell.positions[0], inputs.cell.positions[0])
    assert not np.allclose(last.cell.positions[1], inputs.cell.positions[1])


def test_the_hessian_is_symmetric_and_translations_cost_nothing(tmp_path: Path) -> None:
    found = hessian(inputs_of(tmp_path, IBRION=6), LocalPotential("lj"))
    assert np.allclose(found, found.T)
    assert np.allclose(found.reshape(2, 3, 2, 3).sum(axis=2), 0, atol=1e-3)


def test_ibrion_8_with_lepsilon_writes_born_charges_and_a_dynamical_matrix(tmp_path: Path) -> None:
    prepare(tmp_path, cuau(), {"IBRION": 8, "LEPSILON": True, "NSW": 1, "NELM": 60})
    run_here(tmp_path)
    outcar = Outcar(tmp_path / "OUTCAR")
    assert np.allclose(np.sum(outcar.born, axis=0), 0, atol=1e-6)
    assert np.allclose(outcar.born, born_charges(read_inputs(tmp_path)), atol=1e-6)
    run = Vasprun(tmp_path / "vasprun.xml", parse_potcar_file=False)
    assert run.converged_electronic
    assert np.allclose(run.epsilon_static, 5 * np.eye(3))
    assert run.force_constants.shape == (2, 2, 3, 3)


@pytest.mark.parametrize("spin", [1, 2])
def test_levels_hold_the_electrons_and_leave_a_gap(tmp_path: Path, spin: int) -> None:
    inputs = inputs_of(tmp_path, ISPIN=spin, NUPDOWN=2, NELECT=21)
    levels = placeholder(inputs).levels
    occupied = levels[..., 1].sum() * (2 if spin == 1 else 1)
    assert occupied == pytest.approx(21, abs=1)
    assert levels[levels[..., 1] == 1][:, 0].max() == pytest.approx(-0.5)
    assert levels[levels[..., 1] == 0][:, 0].min() == pytest.approx(0.5)
