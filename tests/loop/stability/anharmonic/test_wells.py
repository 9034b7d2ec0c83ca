"""What an imaginary mode is worth: wells whose depth is known by hand."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pymatgen.core import Lattice, Structure

from niobe.config.spec import CampaignSpec, Oracle
from niobe.flows.oracles.calculation import phonons
from niobe.flows.oracles.force_field import ForceFieldOracle
from niobe.flows.oracles.registry import make_oracle
from niobe.loop.documents.records import Failure
from niobe.loop.stability.anharmonic.wells import AMPLITUDES, minimum, softest_well

A, B = 0.2, 2.0
CHAIN = Structure(Lattice.tetragonal(6.0, 2.5), ["Cu"], [[0, 0, 0]])


def moves(cell: Structure) -> NDArray[np.float64]:
    """How far each atom of a cell of CHAIN lies from its site, Å, shape (n, 3)."""
    fractions = CHAIN.lattice.get_fractional_coords(cell.cart_coords)
    return np.asarray(CHAIN.lattice.get_cartesian_coords(fractions - np.rint(fractions)))


def along_x(tilt: float = 0.0) -> Callable[[Sequence[Structure]], list[float]]:
    """−A u² + tilt u³ + B u⁴ of each atom's move u along x, a stiff spring across; eV/atom."""

    def energies(cells: Sequence[Structure]) -> list[float]:
        found = []
        for cell in cells:
            x, y, z = moves(cell).T
            found.append(float(np.mean(-A * x**2 + tilt * x**3 + B * x**4 + 9 * (y**2 + z**2))))
        return found

    return energies


def mode(vector: Sequence[float], q: Sequence[float] = (0, 0, 0.5)) -> dict[str, Any]:
    return {"q": list(q), "frequency": -2.0, "real": list(vector), "imag": [0.0, 0.0, 0.0]}


@given(st.floats(0.01, 1.0), st.floats(0.15, 0.75))
def test_the_minimum_of_a_quartic_is_found_by_hand_formula(depth: float, at: float) -> None:
    """−a u² + b u⁴ has its minimum at √(a/2b), and is −a²/4b there."""
    b = depth / at**4
    u = np.array(AMPLITUDES)
    amplitude, found = minimum(u, -2 * b * at**2 * u**2 + b * u**4)
    assert amplitude == pytest.approx(at, rel=1e-6)
    assert found == pytest.approx(depth, rel=1e-6)


def test_what_falls_as_far_as_was_scanned_is_as_deep_as_that_at_least() -> None:
    u = np.array(AMPLITUDES)
    amplitude, depth = minimum(u, -(u**2))
    assert amplitude == AMPLITUDES[-1]
    assert depth == pytest.approx(AMPLITUDES[-1] ** 2)


@pytest.mark.parametrize("q", [(0, 0, 0), (0, 0, 0.5), (0.5, 0, 0.5)])
def test_a_double_well_along_one_mode(q: tuple[float, float, float]) -> None:
    """All atoms of a zone-boundary mode move by ±u: A²/4B = 5 meV/atom, at √(A/2B) = 0.2236 Å."""
    well = softest_well(CHAIN, [mode((1, 0, 0), q)], along_x())
    assert well is not None
    assert well.depth == pytest.approx(A**2 / (4 * B), rel=1e-4)
    assert well.amplitude == pytest.approx(np.sqrt(A / (2 * B)), rel=1e-4)
    assert well.bounded
    assert [u for u, _ in well.energies] == list(AMPLITUDES)
    assert well.q_point == list(q)


def test_the_deeper_side_of_a_lopsided_well_at_gamma_is_taken() -> None:
    """−0.2 u² ± 0.3 u³ + 2 u⁴ has its deeper minimum where u³ helps, on either sign of the eigenvector."""
    both = [softest_well(CHAIN, [mode((sign, 0, 0), (0, 0, 0))], along_x(0.3)) for sign in (1, -1)]
    u = np.linspace(-1, 0, 100_001)
    depth = -float(np.min(-A * u**2 + 0.3 * u**3 + B * u**4))
    assert [found and found.depth for found in both] == [pytest.approx(depth, rel=1e-4)] * 2


def test_of_modes_of_one_frequency_the_direction_that_falls_most_is_followed() -> None:
    """x and y as halves of two eigenvectors: their sum is x, along which alone the energy falls."""
    half = np.sqrt(0.5)
    modes = [mode((half, half, 0)), mode((half, -half, 0))]
    well = softest_well(CHAIN, modes, along_x())
    assert well is not None
    assert well.depth == pytest.approx(A**2 / (4 * B), rel=1e-4)


def test_no_well_where_the_energy_falls_nowhere() -> None:
    assert softest_well(CHAIN, [mode((0, 1, 0))], along_x()) is None


class AsDft(ForceFieldOracle):
    is_dft = True


@pytest.mark.filterwarnings("ignore")
def test_an_unstable_verdict_has_its_well_unless_dft_judged(tmp_path: Path) -> None:
    simple = Structure(Lattice.cubic(2.4), ["Cu"], np.zeros((1, 3)))
    spec = CampaignSpec(id="w", elements=("Cu",), oracle=Oracle(name="emt"))
    judge = make_oracle(spec.phonon_oracle)
    found = phonons(spec, judge, simple, tmp_path)
    assert not isinstance(found, Failure)
    well = found[0].verdict.well
    assert well is not None
    assert well.depth > 0.001
    assert "meV/atom" in found[0].verdict.said
    by_dft = phonons(spec, AsDft(spec.phonon_oracle), simple, tmp_path)
    assert not isinstance(by_dft, Failure)
    assert by_dft[0].verdict.well is None
