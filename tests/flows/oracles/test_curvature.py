"""Where DFT's search for a minimum begins: fewer steps to the same end, and no symmetry broken."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS
from pymatgen.core import Lattice, Structure

from niobe.flows.oracles.cells import CellFilter, springs
from niobe.flows.oracles.gpaw import curvature as curved
from niobe.flows.oracles.gpaw.curvature import curvature
from niobe.flows.oracles.potentials import UnphysicalAnswerError, potential
from niobe.loop.crystals.similarity import spacegroup_number
from niobe.surrogates.protocols import FloatArray
from tests.loop.factory import rutile

pytestmark = pytest.mark.filterwarnings("ignore")  # of the potentials' packages

FMAX, STEPS = 0.05, 60  # eV/Å


def searched(structure: Structure, bends: FloatArray | None) -> tuple[Atoms, int]:
    """CHGNet stands in for DFT: another potential than that whose curvature is taken."""
    atoms = structure.to_ase_atoms(msonable=False)
    atoms.calc = potential("chgnet")
    search = BFGS(FrechetCellFilter(atoms), logfile=None)
    if bends is not None:
        search.H0 = bends
    search.run(fmax=FMAX, steps=STEPS)
    return atoms, search.nsteps


def strained(structure: Structure) -> Structure:
    structure.apply_strain([0.02, 0.02, -0.03])
    return structure


def test_a_search_takes_half_the_steps_to_the_same_end_and_breaks_no_symmetry() -> None:
    start = strained(rutile())
    bends = curvature(start)
    values = np.linalg.eigvalsh(bends)
    assert len(values) == 3 * 6 + 9 and values.min() > 0.99
    (plain, many), (led, few) = searched(start, None), searched(start, bends)
    assert few <= many / 2, (few, many)
    assert led.get_potential_energy() == pytest.approx(plain.get_potential_energy(), abs=0.01)
    end = Structure(led.cell.array, [site.specie for site in start], led.get_scaled_positions())
    assert spacegroup_number(end) == 136
    assert np.allclose(end.lattice.abc[0], end.lattice.abc[1], atol=1e-5)
    assert np.allclose(end.lattice.angles, 90, atol=1e-4)


def test_springs_lead_where_the_potential_does_not_know_an_element_or_has_no_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    radon = Structure(Lattice.cubic(4.0), ["Rn"], [[0, 0, 0]])
    assert np.array_equal(curvature(radon), springs(CellFilter(radon.to_ase_atoms(msonable=False))))

    def refused(moved: CellFilter) -> FloatArray:
        raise UnphysicalAnswerError("too deep")

    monkeypatch.setattr(curved, "_differences", refused)
    start = strained(rutile())
    assert np.array_equal(curvature(start), springs(CellFilter(start.to_ase_atoms(msonable=False))))
