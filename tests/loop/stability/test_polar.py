"""Long-range fields of polar crystals move no verdict: why none needs Born charges."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from phonopy import Phonopy
from pymatgen.core import Lattice, Structure

from niobe.config.spec import Phonons
from niobe.loop.stability.force_constants import loaded
from niobe.loop.stability.phonons import dynamics
from niobe.loop.stability.supercells import held_points
from tests.loop.stability.test_phonons import emt_forces

SIDES = {"AuCu": (2.8, 3.7), "CuPd": (2.7, 3.6), "NiAl": (2.8, 3.1)}


def alloy(name: str) -> tuple[Phonopy, NDArray[np.float64]]:
    """Phonons of an ordered alloy of two atoms by EMT, and the q-points that its supercell holds."""
    first, second = name[:2], name[2:]
    a, c = SIDES[name]
    crystal = Structure.from_spacegroup(123, Lattice.tetragonal(a, c), [first, second], [[0] * 3, [0.5] * 3])
    found = dynamics(crystal, emt_forces, Phonons(min_length=5.0))  # type: ignore[arg-type]
    return loaded(found.bands["phonopy"]), held_points(np.array(found.verdict.supercell_matrix))


def polar(along: float, across: float, screening: float, squeezed: float) -> dict[str, Any]:
    """Charges ±(across, across, along) and a dielectric tensor, as phonopy takes them."""
    charge = np.diag([across, across, along])
    dielectric = np.diag([screening, screening, screening * squeezed])
    return {"born": np.array([charge, -charge]), "dielectric": dielectric, "factor": 14.4, "method": "gonze"}


def softest(phonon: Phonopy, points: NDArray[np.float64]) -> NDArray[np.float64]:
    phonon.run_qpoints(points)
    return np.asarray(phonon.get_qpoints_dict()["frequencies"]).min(axis=1)


@pytest.mark.parametrize("name", SIDES)
def test_held_points_beside_gamma_keep_their_frequencies_with_the_correction(name: str) -> None:
    phonon, held = alloy(name)
    points = held[held.any(axis=1)]
    before = softest(phonon, points)
    phonon.nac_params = polar(2.0, 1.5, 4.0, 1.3)
    assert softest(phonon, points) == pytest.approx(before, abs=1e-3)


@settings(max_examples=10, deadline=None)
@given(st.floats(0.5, 4), st.floats(0.5, 4), st.floats(1.5, 12), st.floats(0.5, 2))
def test_at_gamma_the_softest_mode_of_all_directions_stays_what_it_is(
    along: float, across: float, screening: float, squeezed: float
) -> None:
    """The field adds (q·Z*)²/(q·ε·q) ≥ 0 to what moves charges along q, nothing to what moves them across."""
    phonon, _ = ALLOY
    phonon.nac_params = None
    phonon.run_qpoints([[0, 0, 0]])
    before = np.sort(phonon.get_qpoints_dict()["frequencies"][0])
    phonon.nac_params = polar(along, across, screening, squeezed)
    in_directions = []
    for direction in ([1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 1, 1]):
        phonon.run_qpoints([[0, 0, 0]], nac_q_direction=direction)
        in_directions.append(np.sort(phonon.get_qpoints_dict()["frequencies"][0]))
    assert (np.array(in_directions) >= before - 1e-3).all()
    optical = np.array(in_directions)[:, 3:]
    assert optical.min() == pytest.approx(before[3:].min(), abs=1e-3)
    assert optical.max() > before.max() + 1e-3


ALLOY = alloy("AuCu")
