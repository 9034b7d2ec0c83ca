"""Every potential answers as physics does: alike for what is the same crystal, with forces and stress that
are the derivatives of its energy."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pymatgen.core import Lattice, Structure

from niobe.config.potentials import REACH
from niobe.config.spec import CampaignSpec
from niobe.flows.oracles.calculation import validate_structure
from niobe.flows.oracles.calculators import trust
from niobe.flows.oracles.force_field import ForceFieldOracle
from niobe.flows.oracles.potentials import POTENTIALS
from niobe.loop.documents.records import Failure

pytestmark = pytest.mark.filterwarnings("ignore")  # of atomate2 and networks, about their own
CHEAP = ("emt", "lj", "ase")
NAMES = [
    name if name in CHEAP else pytest.param(name, marks=pytest.mark.slow) for name in (*POTENTIALS, "ase")
]
ROUNDING = {"emt": 1e-8, "lj": 1e-8, "ase": 1e-8}
"""eV/atom; networks of single precision: 2e-5."""
STEP = 0.01


@pytest.fixture(params=NAMES)
def oracle(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> ForceFieldOracle:
    monkeypatch.setenv("NIOBE_HOME", str(tmp_path / "home"))
    spec = campaign(request.param, tmp_path)
    trust(spec.oracle)
    return ForceFieldOracle(spec.oracle)


def campaign(name: str, place: Path) -> CampaignSpec:
    """With the calculator of the other package's where the oracle is one by path."""
    oracle: dict[str, object] = {"name": name, "device": "cpu"}
    if name == "ase":
        weights = place / "morse.json"
        weights.write_text(json.dumps({"depth": 0.3, "width": 1.5, "length": 2.6}))
        oracle |= {"calculator": "tests.third_party.acme_niobe:Morse", "kwargs": {"weights": str(weights)}}
        oracle |= {"reach": 6.0}
    return CampaignSpec.model_validate({"id": "c", "elements": ["Au", "Cu"], "oracle": oracle})


def crystal() -> Structure:
    """CuAu3 without any symmetry left."""
    structure = Structure(
        Lattice.from_parameters(3.9, 4.0, 4.1, 88, 91, 93),
        ["Cu", "Au", "Au", "Au"],
        np.array([[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]),
    )
    structure.perturb(0.15, seed=3)
    return structure


def asked(
    oracle: ForceFieldOracle, place: Path, *structures: Structure
) -> list[tuple[float, NDArray[np.float64]]]:
    return [(answer.energy, answer.forces) for answer in oracle.static(structures, place)]


def rounding(oracle: ForceFieldOracle) -> float:
    return ROUNDING.get(oracle.spec.name, 2e-5)


def turned(structure: Structure) -> tuple[Structure, NDArray[np.float64]]:
    from scipy.spatial.transform import Rotation

    rotation = Rotation.from_rotvec([0.4, -0.9, 0.3]).as_matrix()
    lattice = structure.lattice.matrix @ rotation.T
    return Structure(lattice, structure.species, structure.frac_coords), rotation


def test_a_batch_equals_single_structures(oracle: ForceFieldOracle, tmp_path: Path) -> None:
    other = crystal().copy()
    other.perturb(0.05, seed=4)
    structures = [crystal(), other, crystal() * [2, 1, 1]]
    for (energy, forces), structure in zip(asked(oracle, tmp_path, *structures), structures, strict=True):
        ((alone, pulls),) = asked(oracle, tmp_path, structure)
        assert energy == pytest.approx(alone, abs=rounding(oracle))
        assert np.allclose(forces, pulls, atol=100 * rounding(oracle))


def test_what_is_moved_turned_reordered_or_repeated_is_the_same_crystal(
    oracle: ForceFieldOracle, tmp_path: Path
) -> None:
    """The cell is smaller than the cutoff, so that atoms meet images of themselves."""
    first = crystal()
    moved = first.copy().translate_sites(range(4), [0.31, -0.17, 0.64], to_unit_cell=True)
    order = [2, 0, 3, 1]
    reordered = Structure.from_sites([first[i] for i in order])
    rotated, rotation = turned(first)
    answers = asked(oracle, tmp_path, first, moved, reordered, rotated, first * [1, 2, 2])
    (energy, forces), shifted, permuted, spun, repeated = answers
    close = 100 * rounding(oracle)
    for found in (shifted, permuted, spun):
        assert found[0] == pytest.approx(energy, abs=4 * rounding(oracle))
    assert repeated[0] == pytest.approx(4 * energy, abs=16 * rounding(oracle))
    assert np.allclose(shifted[1], forces, atol=close, rtol=1e-4)
    assert np.allclose(permuted[1], forces[order], atol=close, rtol=1e-4)
    assert np.allclose(spun[1], forces @ rotation.T, atol=close, rtol=1e-4)
    assert np.allclose(repeated[1][::4], forces, atol=close, rtol=1e-4)


def test_forces_are_the_derivatives_of_the_energy(oracle: ForceFieldOracle, tmp_path: Path) -> None:
    first = crystal()
    steps = [(atom, axis, sign) for atom in (0, 1) for axis in range(3) for sign in (1, -1)]
    moved = []
    for atom, axis, sign in steps:
        one = first.copy()
        one.translate_sites([atom], sign * STEP * np.eye(3)[axis], frac_coords=False)
        moved.append(one)
    (_, forces), *answers = asked(oracle, tmp_path, first, *moved)
    up, down = (np.array([energy for energy, _ in answers[start::2]]) for start in (0, 1))
    assert np.allclose(-(up - down) / (2 * STEP), forces[:2].ravel(), atol=5e-3, rtol=5e-3)
    assert np.allclose(forces.sum(axis=0), 0, atol=1e-4)


def test_stress_is_the_derivative_of_the_energy(oracle: ForceFieldOracle) -> None:
    from niobe.flows.oracles.force_field import which
    from niobe.flows.oracles.potentials import potential

    calculator = potential(**which(oracle.spec))
    first = crystal()
    atoms = first.to_ase_atoms(msonable=False)
    atoms.calc = calculator
    stress = np.array(atoms.get_stress(voigt=False))
    for i, j in ((0, 0), (1, 1), (2, 2), (0, 1), (1, 2), (0, 2)):
        energies = []
        for sign in (1, -1):
            strain = np.zeros((3, 3))
            strain[i, j] = strain[j, i] = sign * STEP / 2 if i != j else sign * STEP
            strained = first.to_ase_atoms(msonable=False)
            strained.set_cell(strained.cell.array @ (np.eye(3) + strain), scale_atoms=True)
            strained.calc = calculator
            energies.append(strained.get_potential_energy())
        slope = (energies[0] - energies[1]) / (2 * STEP) / first.volume
        assert slope == pytest.approx(stress[i, j], abs=2e-3, rel=1e-2), (i, j)


@pytest.mark.parametrize("distance", [0.05, 3.0])
def test_an_atom_without_neighbours_is_a_failure(
    oracle: ForceFieldOracle, tmp_path: Path, distance: float
) -> None:
    """By so much (Å) beyond the potential's reach."""
    edge = (oracle.spec.reach or REACH[oracle.spec.name]) + distance
    lonely = Structure(Lattice.cubic(edge), ["Cu"], np.zeros((1, 3)))
    found = validate_structure(campaign(oracle.spec.name, tmp_path), oracle, lonely, tmp_path)
    assert isinstance(found, Failure)
    assert (found.cause, found.attempts) == ("unphysical", 1), found
