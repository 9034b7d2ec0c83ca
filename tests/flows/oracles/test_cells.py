"""The filter that keeps its answers relaxes exactly as ASE's own does."""

from __future__ import annotations

import numpy as np
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


def test_it_relaxes_as_the_one_of_ase() -> None:
    ends = []
    for make in (FrechetCellFilter, CellFilter):
        atoms = displaced()
        search = BFGS(make(atoms), logfile=None)
        search.run(fmax=0.01, steps=60)
        ends.append((atoms.positions, atoms.cell.array, search.nsteps))
    plain, ours = ends
    assert np.array_equal(plain[0], ours[0])
    assert np.array_equal(plain[1], ours[1])
    assert plain[2] == ours[2] > 3


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
