"""Ionic steps: which IBRION, ISIF, EDIFFG and NSW ask for, on the answers of a potential."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from niobe.flows.oracles.mock_vasp.inputs import Array, Cell, Inputs, RefusedError
from niobe.flows.oracles.mock_vasp.potential import Potential, Response

if TYPE_CHECKING:
    from ase import Atoms

_RELAXES = (1, 2, 3)
_HESSIAN = (5, 6, 7, 8)
_NO_MOTION = (-1, *_HESSIAN)
_DEFAULT_EDIFFG = 1e-3
_HESSIAN_STEP = 0.015
# ISIF: ions move, cell changes shape, cell changes volume (VASP wiki, ISIF)
_FREEDOM = {
    0: (True, False, False),
    1: (True, False, False),
    2: (True, False, False),
    3: (True, True, True),
    4: (True, True, False),
    5: (False, True, False),
    6: (False, True, True),
    7: (False, False, True),
    8: (True, False, True),
}


@dataclass(frozen=True)
class IonicStep:
    """converged: whether EDIFFG is met, or nothing was to be relaxed."""

    number: int
    cell: Cell
    response: Response
    converged: bool


def ionic_steps(inputs: Inputs, potential: Potential) -> Iterator[IonicStep]:
    """The steps of this run. Raises RefusedError for what the mock does not do (molecular dynamics)."""
    ibrion = inputs.tag("IBRION", -1 if inputs.tag("NSW", 0) < 1 else 0)
    if inputs.tag("NSW", 0) < 1 or ibrion in _NO_MOTION:
        yield IonicStep(1, inputs.cell, potential(inputs.cell), True)
    elif ibrion in _RELAXES:
        yield from _relax(inputs, potential)
    else:
        raise RefusedError(f"INCAR: IBRION = {ibrion}; mock-vasp does -1, 1, 2, 3, 5, 6, 7 and 8")


def wants_hessian(inputs: Inputs) -> bool:
    """Whether IBRION asks for the second derivatives of the energy."""
    return inputs.tag("IBRION", -1) in _HESSIAN


def hessian(inputs: Inputs, potential: Potential) -> Array:
    """Force constants by central differences, eV/Å², shape (3 n_atoms, 3 n_atoms), symmetric."""
    cell = inputs.cell
    step = inputs.tag("POTIM", _HESSIAN_STEP)
    cartesian = cell.positions @ cell.lattice
    rows = []
    for index in range(cartesian.size):
        forces = []
        for sign in (1, -1):
            moved = cartesian.copy().reshape(-1)
            moved[index] += sign * step
            positions = moved.reshape(-1, 3) @ np.linalg.inv(cell.lattice)
            forces.append(potential(Cell(cell.symbols, cell.lattice, positions)).forces.reshape(-1))
        rows.append((forces[1] - forces[0]) / (2 * step))
    found = np.array(rows)
    return np.asarray((found + found.T) / 2)


def _relax(inputs: Inputs, potential: Potential) -> Iterator[IonicStep]:
    from ase.optimize import BFGS

    atoms = _Atoms(inputs, potential)
    target = atoms.target(inputs.tag("ISIF", 2))
    limit = inputs.tag("EDIFFG", inputs.tag("EDIFF", _DEFAULT_EDIFFG / 10) * 10)
    last = float("inf")
    steps = BFGS(target, logfile=None).irun(fmax=0.0, steps=inputs.tag("NSW", 0))
    for number, _ in enumerate(steps, 1):
        cell, response = atoms.state()
        largest = float(np.linalg.norm(target.get_forces(), axis=1).max())
        done = largest < -limit if limit < 0 else abs(response.energy - last) < limit
        yield IonicStep(number, cell, response, done)
        last = response.energy
        if done and limit:
            return


class _Atoms:
    """The moving crystal, as ASE's optimisers want it."""

    def __init__(self, inputs: Inputs, potential: Potential) -> None:
        self._inputs = inputs
        self._potential = potential
        self.atoms = self._make()

    def _make(self) -> Atoms:
        from ase import Atoms

        cell = self._inputs.cell
        atoms = Atoms(cell.symbols, cell=cell.lattice, scaled_positions=cell.positions, pbc=True)
        atoms.calc = _calculator(self._potential)
        return atoms

    def target(self, isif: int) -> Any:
        """What the optimiser moves: the atoms, or atoms and cell within a filter."""
        from ase.constraints import FixAtoms, FixCartesian
        from ase.filters import FrechetCellFilter

        if isif not in _FREEDOM:
            raise RefusedError(f"INCAR: ISIF = {isif}; allowed: 0 to 8")
        ions, shape, volume = _FREEDOM[isif]
        if not ions:
            self.atoms.set_constraint(FixAtoms(range(len(self.atoms))))
        elif not self._inputs.movable.all():
            fixed = enumerate(~self._inputs.movable)
            self.atoms.set_constraint([FixCartesian([i], mask) for i, mask in fixed if mask.any()])
        if not (shape or volume):
            return self.atoms
        return FrechetCellFilter(self.atoms, hydrostatic_strain=not shape, constant_volume=not volume)

    def state(self) -> tuple[Cell, Response]:
        """The cell as it stands and what the potential says of it."""
        atoms = self.atoms
        cell = Cell(self._inputs.cell.symbols, np.array(atoms.cell), atoms.get_scaled_positions(wrap=False))
        stress = atoms.get_stress(voigt=False)
        return cell, Response(atoms.get_potential_energy(), atoms.get_forces(apply_constraint=False), stress)


def _calculator(potential: Potential) -> Any:
    from ase.calculators.calculator import Calculator, all_changes
    from ase.stress import full_3x3_to_voigt_6_stress

    class Bridge(Calculator):
        """Asks the mock's potential once per new configuration."""

        implemented_properties = ["energy", "forces", "stress"]  # noqa: RUF012 - ASE's own convention

        def calculate(
            self, atoms: Any = None, properties: Any = ("energy",), system_changes: Any = all_changes
        ) -> None:
            super().calculate(atoms, properties, system_changes)
            symbols = tuple(atoms.get_chemical_symbols())
            response = potential(Cell(symbols, np.array(atoms.cell), atoms.get_scaled_positions(wrap=False)))
            self.results = {
                "energy": response.energy,
                "forces": response.forces,
                "stress": full_3x3_to_voigt_6_stress(response.stress),
            }

    return Bridge()
