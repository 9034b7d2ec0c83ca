"""The volume at a temperature against a crystal whose free energy is known in closed form."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from niobe.loop.stability.free_energies import Harmonic
from niobe.loop.stability.quasi_harmonic import STEP, OutOfRangeError, Strained, grid, quasi_harmonic

V0, MODULUS = 15.0, 0.6  # Å³/atom; eV/Å³, which is 96.1 GPa


SHARES = (0.985, 0.9925, 1.0, 1.0075, 1.015)


def crystal(slope: float, highest: float = 300.0) -> list[Strained]:
    """E = K (V − V0)² / 2 V0 and F_vib = −s T² (V − V0): the volume is V0 (1 + s T² / K)."""
    temperatures = np.array(grid(highest))
    points = []
    for volume in V0 * np.array(SHARES):
        free = -slope * temperatures**2 * (volume - V0)
        entropy = 2 * slope * temperatures * (volume - V0) * 96485.33
        harmonic = Harmonic(temperatures, free, entropy, entropy)
        points.append(Strained(float(volume), MODULUS * (volume - V0) ** 2 / (2 * V0) - 3.0, harmonic))
    return points


@settings(max_examples=4)
@given(st.floats(1e-9, 5e-8))
def test_volume_and_expansion_are_those_of_the_closed_form(slope: float) -> None:
    found = quasi_harmonic(crystal(slope))
    assert found.temperatures[-1] >= 300.0
    by_hand = V0 * (1 + slope * found.temperatures**2 / MODULUS)
    assert found.volume == pytest.approx(by_hand, rel=2e-4)
    room = int(np.flatnonzero(found.temperatures == 300.0)[0])
    # 3e-7/K: how far the fit of an equation of state ends from the same end, by the processor's roundoff.
    assert found.expansion[room] == pytest.approx(2 * slope * 300 / MODULUS, rel=0.1, abs=3e-7)
    assert found.bulk_modulus[0] == pytest.approx(MODULUS * 160.2177, rel=0.02)


def test_without_vibrations_that_know_the_volume_nothing_expands() -> None:
    found = quasi_harmonic(crystal(0.0))
    assert found.volume == pytest.approx(V0, rel=2e-4)
    assert found.expansion == pytest.approx(0.0, abs=1e-9)
    assert found.gibbs == pytest.approx(-3.0, abs=1e-4)


def test_a_pressure_compresses_it() -> None:
    found = quasi_harmonic(crystal(0.0), pressure=0.5)
    assert found.volume == pytest.approx(V0 * (1 - 0.5 / (MODULUS * 160.2177)), rel=5e-4)


def test_what_leaves_the_volumes_is_refused() -> None:
    with pytest.raises(OutOfRangeError, match=r"at .* K the volume lies beyond"):
        quasi_harmonic(crystal(2e-7))


@given(st.just(0.0) | st.floats(1e-3, 3000.0))
def test_a_grid_reaches_as_far_as_is_asked(highest: float) -> None:
    """The last three serve for differences and have no answer."""
    temperatures = grid(highest)
    assert temperatures[0] == 0.0 and highest <= temperatures[-4] <= highest + STEP


@pytest.mark.parametrize("asked", [4.9, 294.0, 296.0, 304.0, 304.9])
def test_what_lies_between_is_interpolated_and_what_lies_beyond_refused(asked: float) -> None:
    """304 K is not what 300 K is: G = E - s T^2 (V - V0), of which the closed form is known."""
    slope = 2e-8
    found = quasi_harmonic(crystal(slope, highest=asked))
    by_hand = V0 * (1 + slope * asked**2 / MODULUS)
    assert found.at(asked, found.volume) == pytest.approx(by_hand, rel=2e-4)
    assert found.at(asked, found.temperatures) == pytest.approx(asked)
    for beyond in (-1.0, float(found.temperatures[-1]) + 0.1):
        with pytest.raises(OutOfRangeError, match="lies beyond the fit, 0 to"):
            found.at(beyond, found.volume)
