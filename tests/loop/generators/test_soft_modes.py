"""Soft modes are followed in the right cell, by the right phase, to the amplitude of lowest energy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure
from pymatgen.io.ase import AseAtomsAdaptor

from niobe.config.spec import Phonons
from niobe.flows.oracles.potentials import potential
from niobe.loop.generators.soft_modes import (
    AMPLITUDES,
    Direction,
    SoftModes,
    SoftParent,
    commensurate_cell,
    directions,
    follow,
    lowest_child,
    phases,
)
from niobe.loop.stability.phonons import dynamics
from niobe.surrogates.protocols import SampleRequest
from tests.loop.factory import nbo
from tests.loop.stability.test_phonons import emt_forces

FRACTIONS = st.sampled_from([0.0, 0.5, 1 / 3, 2 / 3, 0.25, 0.75])


def zincblende() -> Structure:
    """Unstable, and two atoms a cell: a mode's phase depends on where in the cell an atom sits."""
    sites = [[0.1, 0.1, 0.1], [0.35, 0.35, 0.35]]
    return Structure(Lattice.from_parameters(3.9, 3.9, 3.9, 60, 60, 60), ["Cu", "Au"], sites)


def soft_parent() -> SoftParent:
    found = dynamics(zincblende(), emt_forces, Phonons(min_length=5.0))  # type: ignore[arg-type]
    assert found.primitive is not None
    return SoftParent("p", found.primitive, tuple(found.modes))


def emt_energy(structure: Structure) -> float:
    atoms = AseAtomsAdaptor.get_atoms(structure)
    atoms.calc = potential("emt")
    return float(atoms.get_potential_energy()) / len(structure)


@given(st.tuples(FRACTIONS, FRACTIONS, FRACTIONS))
@settings(max_examples=40, deadline=None)
def test_the_smallest_cell_holds_the_mode_and_no_smaller_one_does(q: tuple[float, float, float]) -> None:
    cell = commensurate_cell(q, nbo())
    assert np.allclose(cell @ q, np.round(cell @ q), atol=1e-6)
    size = round(abs(np.linalg.det(cell)))
    for smaller in range(1, size):
        assert not np.allclose(np.array(q) * smaller, np.round(np.array(q) * smaller), atol=1e-6)


def test_a_zone_corner_needs_two_cells_and_not_eight() -> None:
    assert abs(np.linalg.det(commensurate_cell((0.5, 0.5, 0.5), nbo()))) == pytest.approx(2)


def test_an_incommensurate_point_is_refused() -> None:
    with pytest.raises(ValueError, match="not commensurate"):
        commensurate_cell((0.137, 0, 0), nbo())


def test_forces_push_a_child_further_along_its_mode() -> None:
    """F = −m ω² u with ω² < 0: forces lie along the moves weighted by mass."""
    parent = soft_parent()
    assert len(parent.modes) > 2
    for direction in directions(parent.modes)[:6]:
        still, moved = (follow(parent.structure, direction, amplitude) for amplitude in (1e-6, 0.02))
        moves = moved.frac_coords - still.frac_coords
        masses = np.array([[float(site.specie.atomic_mass)] for site in moved])
        moves = masses * ((moves - np.round(moves)) @ moved.lattice.matrix)
        (forces,) = emt_forces([moved])
        cosine = (forces * moves).sum() / np.linalg.norm(forces) / np.linalg.norm(moves)
        assert cosine > 0.98, direction.q


def test_the_amplitude_of_lowest_energy_is_chosen() -> None:
    parent = soft_parent()
    direction = directions(parent.modes)[0]
    found = lowest_child(parent.structure, direction, emt_energy)
    assert found is not None
    ways = [(a, p) for a in AMPLITUDES for p in phases(direction.q)]
    energies = {way: emt_energy(follow(parent.structure, direction, *way)) for way in ways}
    assert energies[found.amplitude, found.phase] == pytest.approx(min(energies.values()), abs=1e-6)
    assert found.drop == pytest.approx(emt_energy(parent.structure) - emt_energy(found.structure))
    assert found.drop > 0


@pytest.mark.parametrize("q", [(0, 0, 0), (0, 0, 1 / 3), (0.25, 0.25, 0.5)])
def test_another_phase_is_another_child(q: tuple[float, float, float]) -> None:
    first, second = (follow(zincblende(), one_atom_moves(q), 0.2, phase) for phase in phases(q))
    assert not matched(first, second)


def test_a_phase_that_a_translation_makes_is_the_same_child() -> None:
    q = (0.25, 0.25, 0.5)
    first, turned = (follow(zincblende(), one_atom_moves(q), 0.2, phase) for phase in (0.0, np.pi / 2))
    assert matched(first, turned)


def test_at_the_zone_boundary_there_is_one_phase() -> None:
    assert phases((0.5, 0, 0.5)) == (0.0,)


def one_atom_moves(q: tuple[float, float, float]) -> Direction:
    return Direction("0", q, -1.0, np.array([0.2, 0.5, 1.0, 0, 0, 0], dtype=complex))


def matched(one: Structure, other: Structure) -> bool:
    matcher = StructureMatcher(ltol=1e-3, stol=1e-3, angle_tol=0.1, primitive_cell=False, scale=False)
    return bool(matcher.fit(one, other))


def test_a_direction_that_leads_uphill_has_no_child() -> None:
    parent = soft_parent()
    batch = SoftModes([parent], lambda structure: 0.0).sample(
        SampleRequest(elements=("Au", "Cu"), max_atoms=12), 3, seed=1
    )
    assert batch.samples == ()
    assert batch.rejected["no lower energy"] > 0


def test_modes_of_one_frequency_and_point_are_also_mixed() -> None:
    mode = {"q": [0, 0, 0.5], "frequency": -1.0, "real": [1.0, 0, 0, 0, 0, 0], "imag": [0.0] * 6}
    other = mode | {"real": [0, 1.0, 0, 0, 0, 0]}
    elsewhere = mode | {"q": [0.5, 0, 0], "frequency": -2.0}
    assert [d.number for d in directions([mode, other, elsewhere])] == ["2", "0", "1", "0+1", "0-1"]
