"""Phonon verdicts on potentials whose answer is known."""

import numpy as np
from numpy.typing import NDArray
from pymatgen.core import Lattice, Structure
from pymatgen.io.ase import AseAtomsAdaptor

from niobe.config.spec import Phonons
from niobe.flows.oracles.potentials import potential
from niobe.loop.documents.records import Stability
from niobe.loop.stability.phonons import dynamics

SETTINGS = Phonons(min_length=6.0)


def emt_forces(cells: list[Structure]) -> list[NDArray[np.float64]]:
    found = []
    for cell in cells:
        atoms = AseAtomsAdaptor.get_atoms(cell)
        atoms.calc = potential("emt")
        found.append(atoms.get_forces())
    return found


def copper(a: float = 3.6) -> Structure:
    return Structure.from_spacegroup(225, Lattice.cubic(a), ["Cu"], [[0, 0, 0]]).get_primitive_structure()


def test_fcc_copper_is_stable_and_bands_are_kept() -> None:
    found = dynamics(copper(), emt_forces, SETTINGS)  # type: ignore[arg-type]
    assert found.verdict.outcome is Stability.STABLE
    assert found.verdict.lowest_frequency is not None
    assert found.verdict.lowest_frequency > 1
    assert np.shape(found.bands["frequencies"])[1] == 3
    assert found.modes == []


def test_a_square_lattice_of_copper_is_unstable_with_modes_to_follow() -> None:
    simple = Structure(Lattice.cubic(2.4), ["Cu"], np.zeros((1, 3)))
    found = dynamics(simple, emt_forces, SETTINGS)  # type: ignore[arg-type]
    assert found.verdict.outcome is Stability.UNSTABLE
    assert found.modes[0]["frequency"] == min(mode["frequency"] for mode in found.modes)
    assert len(found.modes[0]["real"]) == 3
    assert found.verdict.q_point is not None


def test_forces_that_are_not_finite_are_undecided() -> None:
    def broken(cells: list[Structure]) -> list[NDArray[np.float64]]:
        return [np.full((len(cell), 3), np.nan) for cell in cells]

    found = dynamics(copper(), broken, SETTINGS)  # type: ignore[arg-type]
    assert found.verdict.outcome is Stability.UNDECIDED
    assert found.verdict.lowest_frequency is None


def test_too_large_a_supercell_is_undecided_and_says_so() -> None:
    found = dynamics(copper(), emt_forces, Phonons(max_supercell_atoms=3))  # type: ignore[arg-type]
    assert found.verdict.outcome is Stability.UNDECIDED
    assert "max_supercell_atoms 3" in found.verdict.reason
