"""Crystals that motion holds or not, where that is known by hand: a chain of double wells."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from ase import units
from numpy.typing import NDArray
from phonopy import Phonopy
from phonopy.structure.atoms import PhonopyAtoms
from pymatgen.core import Lattice, Structure

from niobe.config.spec import CampaignSpec, Oracle, Phonons
from niobe.flows.oracles.calculation import in_motion, phonons
from niobe.flows.oracles.registry import make_oracle
from niobe.loop.documents.dynamics import STABLE_AT_0_K, Stability
from niobe.loop.documents.records import Failure
from niobe.loop.stability.anharmonic.self_consistent import TooManyConstantsError, renormalised
from niobe.loop.stability.force_constants import Forces, NotFiniteError
from tests.loop.factory import nbo, validated

A, B, CELLS = 0.05, 0.05, 4
HEIGHT = 2.5


def wells(a: float = A, b: float = B) -> Forces:
    """−a δ² + b δ⁴ for what neighbours along c lie apart across it, springs of 2 eV/Å² along it."""

    def forces(cells: Sequence[Structure]) -> list[NDArray[np.float64]]:
        return [of_one(cell) for cell in cells]

    def of_one(cell: Structure) -> NDArray[np.float64]:
        moves = cell.cart_coords - np.outer(np.arange(len(cell)), (0, 0, HEIGHT))
        moves -= cell.lattice.get_cartesian_coords(np.rint(cell.lattice.get_fractional_coords(moves)))
        bonds = np.roll(moves, -1, axis=0) - moves
        pull = np.where([True, True, False], -2 * a * bonds + 4 * b * bonds**3, 2 * bonds)
        return np.asarray(pull - np.roll(pull, 1, axis=0))

    return forces


def chain(a: float = A) -> Phonopy:
    """With the force constants of 0 K: −2a a bond across, in a supercell of four along c."""
    cell = PhonopyAtoms(symbols=["Cu"], cell=np.diag([6.0, 6.0, HEIGHT]), scaled_positions=[[0, 0, 0]])
    phonon = Phonopy(cell, supercell_matrix=np.diag([1, 1, CELLS]), primitive_matrix=np.eye(3), log_level=0)
    bond = np.diag([-2 * a, -2 * a, 2.0])
    constants = np.zeros((1, CELLS, 3, 3))
    for step, sign in ((0, 2), (1, -1), (CELLS - 1, -1)):
        constants[0, step] += sign * bond
    phonon.force_constants = constants
    return phonon


def by_hand(kelvin: float, a: float = A, b: float = B) -> float:
    """The softest frequency (THz) where Φ = −2a + 12 b ⟨δ²⟩, each mode moving by |ω|, from −2a on.

    ω² = 4 Φ sin²(πq)/m, and ⟨δ²⟩ is the mean over q of 4 sin²(πq) ħ/(2 m ω) coth(ħω/2kT).
    """
    sines = np.sin(np.pi * np.arange(1, CELLS) / CELLS)
    mass = 63.546 * units._amu
    to_si = units._e * 1e20  # eV/Å² in N/m
    constant = -2 * a
    for _ in range(500):
        omega = 2 * sines * np.sqrt(abs(constant) * to_si / mass)
        square = units._hbar / (2 * mass * omega) / np.tanh(units._hbar * omega / (2 * units._k * kelvin))
        spread = float((4 * sines**2 * square).sum()) / CELLS * 1e20
        constant = (constant - 2 * a + 12 * b * spread) / 2
    softest = 2 * sines.min() if constant > 0 else 2 * sines.max()
    return float(np.sign(constant) * softest * np.sqrt(abs(constant) * to_si / mass) / (2 * np.pi * 1e12))


@pytest.mark.parametrize(("kelvin", "outcome"), [(600.0, Stability.STABLE), (2.0, Stability.UNSTABLE)])
def test_a_chain_of_double_wells_is_held_by_its_motion_as_computed_by_hand(
    kelvin: float, outcome: Stability
) -> None:
    """Wells of A²/4B = 12.5 meV a bond, which is 145 K; zero-point motion is worth 2.6 meV."""
    found = renormalised(chain(), kelvin, wells(), tolerance=0.05)
    assert found.outcome is outcome
    assert abs(found.frequency - by_hand(kelvin)) < 3 * found.error
    assert found.error < 0.1
    assert found.temperature == kelvin


def test_a_harmonic_crystal_is_what_it_was() -> None:
    """Springs of one strength: no temperature changes a frequency."""
    found = renormalised(chain(-1.0), 900.0, wells(-1.0, 0.0), tolerance=0.05)
    assert found.outcome is Stability.STABLE
    assert found.frequency == pytest.approx(by_hand(900.0, -1.0, 0.0), rel=1e-4)
    assert found.error < 1e-4


def test_forces_that_are_not_finite_end_it() -> None:
    with pytest.raises(NotFiniteError, match="not finite"):
        renormalised(
            chain(), 300.0, lambda cells: [np.full((len(c), 3), np.nan) for c in cells], tolerance=0.1
        )


def test_too_little_symmetry_for_a_fit_is_said_before_any_force() -> None:
    """64 atoms that no operation of the crystal exchanges: 384 displacements."""
    places = np.random.default_rng(0).random((64, 3))
    cell = PhonopyAtoms(symbols=["Cu"] * 64, cell=np.eye(3) * 12, scaled_positions=places)
    phonon = Phonopy(cell, supercell_matrix=np.eye(3), primitive_matrix=np.eye(3), log_level=0)
    with pytest.raises(TooManyConstantsError, match="of 64 atoms"):
        renormalised(phonon, 300.0, wells(), tolerance=0.1)


@pytest.mark.filterwarnings("ignore")
def test_an_unstable_verdict_says_what_its_motion_makes_of_it(tmp_path: Path) -> None:
    """Square copper by EMT falls by more than room temperature: it stays unstable, or says why not."""
    spec = CampaignSpec(id="m", elements=("Cu",), oracle=Oracle(name="emt"), phonons=Phonons(min_length=4.5))
    judge = make_oracle(spec.phonon_oracle)
    found = phonons(spec, judge, Structure(Lattice.cubic(2.4), ["Cu"], np.zeros((1, 3))), tmp_path)
    assert not isinstance(found, Failure)
    unstable, _ = found
    assert in_motion(spec, judge, unstable, tmp_path, 0.0) == (unstable, 0.0)
    late, took = in_motion(spec, judge, unstable, tmp_path, 1e-9)
    assert late.verdict.outcome is Stability.UNSTABLE
    assert took > 0
    assert late.verdict.reason == "not looked at in motion at 300 K: wall_time"
    moved, _ = in_motion(spec, judge, unstable, tmp_path, 600.0)
    said = moved.verdict.renormalised
    assert said is not None
    assert said.temperature == 300
    held = said.outcome is Stability.STABLE
    assert moved.verdict.outcome is (Stability.STABILISED if held else Stability.UNSTABLE)
    assert "THz at 300 K" in moved.verdict.said


@pytest.mark.parametrize("outcome", [Stability.UNSTABLE, Stability.STABILISED])
def test_what_motion_holds_is_no_minimum_at_0_k(outcome: Stability) -> None:
    record = validated(nbo(), -9.5, round_number=1, outcome=outcome)
    assert record.dynamically_unstable
    assert not record.dynamically_stable
    assert STABLE_AT_0_K[outcome] == 0
