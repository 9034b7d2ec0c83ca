"""A slimmed CHGNet gives what CHGNet gives."""

from __future__ import annotations

import numpy as np
import pytest
from pymatgen.core import Structure
from pymatgen.io.ase import AseAtomsAdaptor

from flows.oracles.potentials import potential
from tests.loop.factory import nbo, rutile

pytest.importorskip("chgnet")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("structure", [nbo(4.3), rutile()], ids=["NbO", "rutile"])
def test_same_energy_forces_and_stress(structure: Structure) -> None:
    from chgnet.model.dynamics import CHGNetCalculator

    atoms = AseAtomsAdaptor.get_atoms(structure)
    atoms.rattle(0.1, seed=2)
    answers = []
    for calculator in (CHGNetCalculator(use_device="cpu"), potential("chgnet")):
        own = atoms.copy()
        own.calc = calculator
        answers.append(
            (own.get_potential_energy(), own.get_forces(), own.get_stress(), own.get_magnetic_moments())
        )
    for plain, lean in zip(*answers, strict=True):
        np.testing.assert_allclose(lean, plain, atol=2e-5)


@pytest.mark.filterwarnings("ignore")
def test_energy_alone_needs_no_slopes() -> None:
    model = potential("chgnet").model
    alone = model.predict_structure(rutile(), task="e")
    assert set(alone) == {"e"}
    assert alone["e"] == pytest.approx(model.predict_structure(rutile(), task="efsm")["e"], abs=1e-6)
