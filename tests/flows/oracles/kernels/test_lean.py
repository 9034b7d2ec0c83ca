"""The lean CHGNet gives what CHGNet gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from pymatgen.core import Structure
from pymatgen.io.ase import AseAtomsAdaptor

from niobe.flows.oracles.kernels.lean import LeanCHGNet
from niobe.flows.oracles.potentials import potential
from tests.loop.factory import element, nbo, rutile

pytest.importorskip("chgnet")
pytestmark = pytest.mark.filterwarnings("ignore")


def _atoms(structure: Structure) -> Atoms:
    return AseAtomsAdaptor.get_atoms(structure, msonable=False)


SLAB = bulk("Nb", cubic=True)
SLAB.center(vacuum=4, axis=2)
CRYSTALS = {
    "NbO": _atoms(nbo(4.3)),
    "rutile": _atoms(rutile()),
    "element": _atoms(element("Nb")),
    "one atom": bulk("W"),
    "slab": SLAB,
    "out of the cell": Atoms("NbO", [[0, 0, 0], [2.1, -7.0, 12.0]], cell=[4, 4.5, 5], pbc=True),
    "one short bond": Atoms("NbO", [[0, 0, 0], [0, 0, 1.8]], cell=[5, 5.5, 9], pbc=True),
    "no short bonds": bulk("Ar", "fcc", a=5.3),
    "no bonds": Atoms("ArO", [[0, 0, 0], [0, 0, 6.5]], cell=[13, 13, 13], pbc=True),
}


@pytest.fixture(scope="module")
def plain() -> Any:
    from chgnet.model.dynamics import CHGNetCalculator

    return CHGNetCalculator(use_device="cpu")


@pytest.mark.parametrize("name", CRYSTALS)
def test_same_energy_forces_stress_and_moments(plain: Any, name: str) -> None:
    atoms = CRYSTALS[name].copy()
    atoms.rattle(0.1, seed=2)
    results = {}
    for calculator in (plain, LeanCHGNet(plain.model)):
        own = atoms.copy()
        own.calc = calculator
        energy, forces = own.get_potential_energy() / len(own), own.get_forces()
        stress, moments = own.get_stress() / units.GPa, own.get_magnetic_moments()
        results[calculator] = energy, forces, stress, moments
    for shipped, lean, tolerance in zip(*results.values(), (1e-5, 1e-4, 1e-3, 1e-5), strict=True):
        np.testing.assert_allclose(lean, shipped, rtol=0, atol=tolerance)


def test_forces_are_the_slope_of_the_energy() -> None:
    atoms = CRYSTALS["rutile"].copy()
    atoms.rattle(0.1, seed=1)
    atoms.calc = potential("chgnet")
    force = atoms.get_forces()[2, 0]
    energies = []
    for step in (-0.01, 0.01):
        moved = atoms.copy()
        moved.calc = atoms.calc
        moved.positions[2, 0] += step
        energies.append(moved.get_potential_energy())
    assert -(energies[1] - energies[0]) / 0.02 == pytest.approx(force, abs=5e-3)


def test_an_atom_out_of_reach_is_told() -> None:
    atoms = CRYSTALS["no bonds"].copy()
    atoms.calc = LeanCHGNet(potential("chgnet").model)
    with pytest.warns(UserWarning, match="no neighbour"):
        atoms.get_potential_energy()


@pytest.mark.parametrize(
    "options",
    [{"gMLP_norm": None}, {"n_conv": 3}, {"angle_layer_hidden_dim": 64}, {"mlp_out_bias": True}],
    ids=str,
)
def test_another_structure_is_refused(options: dict[str, Any]) -> None:
    from chgnet.model import CHGNet

    with pytest.raises(ValueError, match=next(iter(options))):
        LeanCHGNet(CHGNet(**options))


def test_a_model_without_reference_energies_is_refused() -> None:
    from chgnet.model import CHGNet

    with pytest.raises(ValueError, match="reference energies"):
        LeanCHGNet(CHGNet(composition_model=None))
