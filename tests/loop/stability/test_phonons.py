"""Phonon verdicts on potentials whose answer is known."""

from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray
from pymatgen.core import Lattice, Structure
from pymatgen.io.ase import AseAtomsAdaptor

from niobe.config.spec import Phonons
from niobe.flows.oracles.potentials import potential
from niobe.loop.documents.dynamics import Stability
from niobe.loop.stability.force_constants import loaded
from niobe.loop.stability.phonons import dynamics, looked_at_again, unconfirmed

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


def test_residual_forces_change_nothing() -> None:
    sites = [[0.0, 0.0, 0.0], [0.5, 0.5, 0.34], [0.5, 0.5, 0.66]]
    layers = Structure(Lattice.tetragonal(2.75, 5.7), ["Au", "Cu", "Cu"], sites)
    rest = np.array([[0, 0, 0.04], [0, 0, -0.02], [0, 0, -0.02]])  # the crystal's inversion forbids it

    def pushed(cells: list[Structure]) -> list[NDArray[np.float64]]:
        answers = zip(cells, emt_forces(cells), strict=True)
        return [
            forces + [rest[0 if site.specie.symbol == "Au" else 1] for site in cell]
            for cell, forces in answers
        ]

    still, held = (dynamics(layers, forces, SETTINGS) for forces in (emt_forces, pushed))  # type: ignore[arg-type]
    np.testing.assert_allclose(held.bands["frequencies"], still.bands["frequencies"], atol=1e-5)
    assert held.verdict.lowest_frequency == pytest.approx(still.verdict.lowest_frequency, abs=1e-5)


def test_kept_forces_give_the_force_constants_of_a_run_by_phonopy_alone() -> None:
    from phonopy import Phonopy
    from pymatgen.io.phonopy import get_phonopy_structure, get_pmg_structure

    alloy = Structure.from_spacegroup(123, Lattice.tetragonal(2.8, 3.7), ["Au", "Cu"], [[0] * 3, [0.5] * 3])
    found = dynamics(alloy, emt_forces, SETTINGS)  # type: ignore[arg-type]
    kept = loaded(found.bands["phonopy"])
    cell = get_phonopy_structure(Structure.from_dict(found.bands["structure"]))
    matrix = np.transpose(found.bands["supercell_matrix"])
    own = Phonopy(cell, supercell_matrix=matrix, primitive_matrix=np.eye(3), log_level=0)
    own.generate_displacements(distance=SETTINGS.displacement)
    own.forces = emt_forces([get_pmg_structure(c) for c in own.supercells_with_displacements or []])
    own.produce_force_constants(calculate_full_force_constants=False)
    own.symmetrize_force_constants()
    largest = np.abs(own.force_constants).max()
    assert np.abs(kept.force_constants - own.force_constants).max() <= 1e-6 * largest
    kept.run_qpoints([found.verdict.q_point])
    again = np.min(kept.get_qpoints_dict()["frequencies"])
    assert again == pytest.approx(found.verdict.lowest_frequency, abs=1e-6)


CHAIN = Lattice.tetragonal(8.0, 2.0)
ATOMS = Structure(CHAIN, ["Cu"], np.zeros((1, 3)))
AT_A_THIRD = {1: 1.0, 2: 0.05, 3: 0.05, 4: 2.0}
LONG_WAVE = {1: -0.1, 2: 0.3, 3: 1.0, 4: 2.0}
STIFF = {1: 0.3, 2: 0.3, 3: 1.0, 4: 2.0}


def springs(stiffness: dict[int, float]) -> NDArray[np.float64]:
    """Springs to the first four neighbours along c, for ω² (arbitrary units) at n/8 of c*."""
    waves = np.array([[1 - np.cos(2 * np.pi * n * q / 8) for n in range(1, 5)] for q in stiffness])
    return np.asarray(np.linalg.solve(waves, np.array(list(stiffness.values()))))


def chain_forces(cells: list[Structure], stiffness: dict[int, float]) -> list[NDArray[np.float64]]:
    """Atoms on a tetragonal lattice: springs of both signs along c, stiff ones across."""
    found = []
    for cell in cells:
        sites = np.rint(CHAIN.get_fractional_coords(cell.cart_coords)).astype(int)
        moves = cell.cart_coords - CHAIN.get_cartesian_coords(sites)
        home = [cell.lattice.get_fractional_coords(CHAIN.get_cartesian_coords(site)) for site in sites]
        places = {tuple(np.round(place % 1, 6) % 1): index for index, place in enumerate(home)}
        forces = np.zeros((len(cell), 3))
        couplings = [((0, 0, n + 1), k) for n, k in enumerate(springs(stiffness))]
        couplings += [((1, 0, 0), 3.0), ((0, 1, 0), 3.0)]
        for step, spring in couplings:
            for sign in (1, -1):
                there = sites + sign * np.array(step)
                ends = cell.lattice.get_fractional_coords(CHAIN.get_cartesian_coords(there))
                others = [places[tuple(np.round(end % 1, 6) % 1)] for end in ends]
                forces += spring * (moves[others] - moves)
        found.append(forces)
    return found


def test_what_is_soft_between_held_points_is_judged_in_a_cell_that_holds_it() -> None:
    """Stable at all eighths of c*, unstable at a third: only a cell of three along c says so."""
    settings = Phonons(min_length=16.0, confirm_length=16.0, tolerance=0.01)
    forces = partial(chain_forces, stiffness=AT_A_THIRD)
    first = dynamics(ATOMS, forces, settings)
    assert first.verdict.outcome is Stability.STABLE
    assert first.verdict.interpolated is not None
    assert first.verdict.interpolated.frequency < -0.1
    second = looked_at_again(first, forces, settings, find=False)
    assert second.verdict.outcome is Stability.UNSTABLE
    assert second.verdict.q_point is not None
    assert min(second.verdict.q_point[2], 1 - second.verdict.q_point[2]) == pytest.approx(1 / 3)
    assert second.modes
    assert second.verdict.other_cell is not None
    assert second.verdict.other_cell.supercell_matrix == first.verdict.supercell_matrix
    assert second.verdict.other_cell.interpolation_error == pytest.approx(0, abs=1e-3)
    small = settings.model_copy(update={"max_supercell_atoms": 8})
    undecided = looked_at_again(first, forces, small, find=False)
    assert undecided.verdict.outcome is Stability.UNDECIDED
    assert "by interpolation" in undecided.verdict.reason


@pytest.mark.parametrize(
    ("stiffness", "outcome"), [(LONG_WAVE, Stability.UNSTABLE), (STIFF, Stability.STABLE)]
)
def test_a_wave_longer_than_the_supercell_is_soft_or_stiff_as_a_cell_that_holds_it_says(
    stiffness: dict[int, float], outcome: Stability
) -> None:
    """Both chains are the same at a quarter and a half of c*, so that four atoms along c make both soft."""
    settings = Phonons(min_length=8.0, tolerance=0.01)
    forces = partial(chain_forces, stiffness=stiffness)
    first = dynamics(ATOMS, forces, settings)
    assert first.verdict.outcome is Stability.STABLE
    second = looked_at_again(first, forces, settings, find=False)
    assert second.verdict.outcome is outcome
    assert second.verdict.lowest_frequency is not None
    assert (second.verdict.lowest_frequency < 0) == (outcome is Stability.UNSTABLE)
    assert second.verdict.other_cell is not None


def test_a_find_is_looked_at_again_in_a_larger_cell() -> None:
    settings = SETTINGS.model_copy(update={"confirm_length": 9.0})
    first = dynamics(copper(), emt_forces, settings)  # type: ignore[arg-type]
    assert looked_at_again(first, emt_forces, settings, find=False) is first  # type: ignore[arg-type]
    second = looked_at_again(first, emt_forces, settings, find=True)  # type: ignore[arg-type]
    assert second.verdict.outcome is Stability.STABLE
    assert second.verdict.image_distance is not None
    assert second.verdict.image_distance >= 9
    assert second.verdict.other_cell is not None
    assert second.verdict.other_cell.frequency == first.verdict.lowest_frequency
    as_wide = settings.model_copy(update={"confirm_length": SETTINGS.min_length})
    assert looked_at_again(first, emt_forces, as_wide, find=True) is first  # type: ignore[arg-type]
    few = settings.model_copy(update={"max_supercell_atoms": 10})
    alone = looked_at_again(first, emt_forces, few, find=True)  # type: ignore[arg-type]
    assert alone.verdict.outcome is Stability.STABLE
    assert "not confirmed in a larger cell" in alone.verdict.reason
    assert unconfirmed(first, "wall_time", settings).verdict.outcome is Stability.STABLE


def test_a_verdict_that_a_larger_cell_overturns_is_undecided_and_says_between_what() -> None:
    """A potential that contradicts itself in large cells."""

    def torn(cells: list[Structure]) -> list[NDArray[np.float64]]:
        return [forces if len(forces) < 60 else -forces for forces in emt_forces(cells)]

    settings = SETTINGS.model_copy(update={"confirm_length": 9.0, "min_length": 5.0})
    first = dynamics(copper(), torn, settings)  # type: ignore[arg-type]
    second = looked_at_again(first, torn, settings, find=True)  # type: ignore[arg-type]
    assert first.verdict.outcome is Stability.STABLE
    assert second.verdict.outcome is Stability.UNDECIDED
    assert "THz with images" in second.verdict.reason


def test_forces_that_break_the_acoustic_sum_rule_are_undecided() -> None:
    """A potential that holds atoms to places."""

    def pinned(cells: list[Structure]) -> list[NDArray[np.float64]]:
        return [forces * 1.5 - forces.sum(axis=0) for forces in pinning(cells)]

    def pinning(cells: list[Structure]) -> list[NDArray[np.float64]]:
        return [np.where(np.abs(f) > np.abs(f).max() * 0.9, 2.0, 1.0) * f for f in emt_forces(cells)]

    found = dynamics(copper(), pinned, SETTINGS)  # type: ignore[arg-type]
    assert found.verdict.outcome is Stability.UNDECIDED
    assert "acoustic sum rule" in found.verdict.reason
