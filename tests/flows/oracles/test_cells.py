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

from niobe.flows.oracles.cells import CellFilter, SpringBFGS, springs


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


class Scaled(EMT):
    """EMT of crystals that are some times as stiff."""

    times = 1.0
    results: dict[str, Any]

    def calculate(self, *asked: Any, **options: Any) -> None:
        super().calculate(*asked, **options)
        self.results = {name: self.times * value for name, value in self.results.items()}


@pytest.mark.parametrize("options", [{}, {"constant_volume": True}, {"scalar_pressure": 0.1}])
def test_springs_between_atoms_need_fewer_steps_to_the_same_place(options: dict[str, Any]) -> None:
    plain, ours = strained(), strained()
    slow = BFGS(CellFilter(plain, **options), logfile=None)
    slow.run(fmax=0.005, steps=200)
    quick = SpringBFGS(CellFilter(ours, **options))
    quick.run(fmax=0.005, steps=200)
    assert quick.nsteps <= 0.6 * slow.nsteps, (quick.nsteps, slow.nsteps)
    assert ours.get_potential_energy() == pytest.approx(plain.get_potential_energy(), abs=1e-4)
    if "constant_volume" in options:
        assert ours.get_volume() == pytest.approx(strained().get_volume(), rel=1e-9)


@pytest.mark.parametrize("times", [0.2, 1.0, 4.0])
def test_the_first_step_says_how_stiff_a_crystal_is(times: float) -> None:
    atoms = strained()
    atoms.calc = Scaled()
    atoms.calc.times = times
    quick = SpringBFGS(CellFilter(atoms))
    quick.run(fmax=0.01 * times, steps=100)
    assert quick.nsteps <= 18


def test_springs_do_not_hold_a_crystal_in_its_place_nor_care_how_it_is_turned() -> None:
    atoms = strained()
    hessian = springs(CellFilter(atoms))
    shift = np.concatenate([np.tile([1.0, 2.0, -1.0], len(atoms)), np.zeros(9)])
    lowest = np.linalg.eigvalsh(hessian)[0]
    assert np.allclose(hessian, hessian.T)
    assert np.allclose(hessian @ shift, lowest * shift)
    turned = strained()
    turned.rotate(40, (1, 2, 3), rotate_cell=True)
    others = np.linalg.eigvalsh(springs(CellFilter(turned)))
    assert np.allclose(np.linalg.eigvalsh(hessian), others, rtol=1e-9)


def test_springs_reach_as_far_as_the_nearest_neighbour() -> None:
    atoms = Atoms("He", cell=np.eye(3) * 9.0, pbc=True)
    strongest = np.linalg.eigvalsh(springs(CellFilter(atoms)))[-1]
    assert strongest > 10
