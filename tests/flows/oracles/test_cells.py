"""The quicker filter relaxes as ASE's own does, whatever is held and under whatever pressure."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS

from niobe.flows.oracles.cells import CellFilter


def displaced() -> Atoms:
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.15, seed=1)
    atoms.set_cell(atoms.cell * 1.05, scale_atoms=True)
    atoms.calc = EMT()
    return atoms


def strained() -> Atoms:
    atoms = displaced()
    strain = np.random.default_rng(2).normal(size=(3, 3))
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + 0.04 * strain), scale_atoms=True)
    return atoms


@pytest.mark.parametrize("options", [{}, {"constant_volume": True}, {"scalar_pressure": 0.1}])
def test_it_relaxes_as_the_one_of_ase(options: dict[str, Any]) -> None:
    ends = []
    for make in (FrechetCellFilter, CellFilter):
        atoms = strained()
        search = BFGS(make(atoms, **options), logfile=None)
        search.run(fmax=0.01, steps=60)
        ends.append((atoms.positions, atoms.cell.array, search.nsteps))
    plain, ours = ends
    assert np.allclose(plain[0], ours[0], rtol=0, atol=1e-9)
    assert np.allclose(plain[1], ours[1], rtol=0, atol=1e-9)
    assert plain[2] == ours[2] > 3


def test_a_cell_changed_past_the_filter_is_seen() -> None:
    atoms = strained()
    plain, ours = FrechetCellFilter(atoms), CellFilter(atoms)
    atoms.set_cell(atoms.cell.array * np.array([1.02, 0.99, 1.0]), scale_atoms=True)
    assert np.allclose(plain.get_positions(), ours.get_positions(), rtol=0, atol=1e-12)
    assert np.allclose(plain.get_forces(), ours.get_forces(), rtol=0, atol=1e-12)


def test_answers_follow_atoms_and_cell() -> None:
    atoms = displaced()
    cell = CellFilter(atoms)
    before, forces = cell.get_positions(), cell.get_forces()
    cell.get_forces()[:] = 0.0  # what is handed out may be written to
    assert np.array_equal(cell.get_forces(), forces)
    atoms.positions[0, 0] += 0.01
    assert not np.array_equal(cell.get_positions(), before)
    assert not np.array_equal(cell.get_forces(), forces)
    moved = cell.get_forces()
    atoms.set_cell(atoms.cell * 1.01)
    assert not np.array_equal(cell.get_forces(), moved)
