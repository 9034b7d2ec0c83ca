"""Harmonic free energies against the Einstein crystal; what competes at a temperature, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phonopy import Phonopy
from phonopy.structure.atoms import PhonopyAtoms

from niobe.loop.documents.records import Verdict
from niobe.loop.documents.rounds import HullEntry, HullRecord
from niobe.loop.stability.at_temperature import (
    Vibration,
    at_temperature,
    melts,
    phases_that_count,
    thermal,
    vibration,
)
from niobe.loop.stability.free_energies import ImaginaryModesError, harmonic

HBAR, BOLTZMANN, DALTON, EV = 1.054571817e-34, 1.380649e-23, 1.66053907e-27, 1.602176634e-19
AVOGADRO = 6.02214076e23


def einstein(spring: float, mass: float = 26.98) -> Phonopy:
    """Two atoms a cell, each on a spring of its own (eV/Å²): every mode has one frequency."""
    cell = PhonopyAtoms(
        symbols=["Al", "Al"], masses=[mass, mass], cell=4 * np.eye(3), scaled_positions=[[0] * 3, [0.5] * 3]
    )
    phonon = Phonopy(cell, np.eye(3, dtype=int), primitive_matrix=np.eye(3))
    phonon.force_constants = np.einsum("ij,ab->ijab", np.eye(2), spring * np.eye(3))
    return phonon


@settings(max_examples=15)
@given(st.floats(0.5, 30), st.floats(1, 2500))
def test_an_einstein_crystal_has_its_textbook_free_energy(spring: float, temperature: float) -> None:
    found = harmonic(einstein(spring), [0.0, temperature])
    quantum = HBAR * math.sqrt(spring * EV / 1e-20 / (26.98 * DALTON)) / EV  # eV
    kt = BOLTZMANN * temperature / EV
    x = quantum / kt
    by_hand = 3 * (quantum / 2 + kt * math.log(-math.expm1(-x)))
    assert found.free_energy == pytest.approx([1.5 * quantum, by_hand], rel=1e-4, abs=1e-6)
    if x < 300:
        gas = AVOGADRO * BOLTZMANN
        entropy = 3 * gas * (x / math.expm1(x) - math.log(-math.expm1(-x)))
        capacity = 3 * gas * x**2 * math.exp(x) / math.expm1(x) ** 2
        assert found.entropy[1] == pytest.approx(entropy, rel=1e-4, abs=1e-6)
        assert found.heat_capacity[1] == pytest.approx(capacity, rel=1e-4, abs=1e-6)


def test_imaginary_modes_have_no_free_energy() -> None:
    with pytest.raises(ImaginaryModesError, match=r"imaginary modes, -\d+\.\d\d THz the lowest"):
        harmonic(einstein(-5.0), [300.0])
    assert vibration(None, 300.0) == Vibration(None, reason="no force constants")


def entry(name: str, formation: float, above: float = 0.0, **composition: float) -> HullEntry:
    return HullEntry(
        record_id=name,
        formula=name.partition("-")[0],
        n_atoms=2,
        composition=composition,
        energy_per_atom=formation - 3.0,
        formation_energy_per_atom=formation,
        e_above_hull=above,
    )


NB, OX, NBO = entry("Nb", 0.0, Nb=1.0), entry("O", 0.0, O=1.0), entry("NbO", -1.0, Nb=0.5, O=0.5)
NBO2 = entry("NbO2", -1.2, Nb=1 / 3, O=2 / 3)
FORCES = "force-field 7net-0"


def known(**free: float | str) -> dict[str, Vibration]:
    return {
        name: Vibration(None, reason=value) if isinstance(value, str) else Vibration(value, FORCES)
        for name, value in free.items()
    }


def test_a_find_s_height_at_a_temperature_by_hand() -> None:
    """NbO lies between Nb and NbO2, at shares of 1/4 and 3/4: G = -1.0 + 0.02 against
    (0.25 · 0.10 + 0.75 · (-1.2 + 0.05)) = -0.8375."""
    free = known(Nb=0.10, O="melts at 54.8 K", NbO=0.02, NbO2=0.05)
    found = thermal(NBO, [NB, OX, NBO, NBO2], free, 300.0)
    assert found.above == pytest.approx(-1.0 + 0.02 - (0.25 * 0.10 + 0.75 * (-1.2 + 0.05)))
    assert found.products == pytest.approx({"Nb": 0.25, "NbO2": 0.75})
    assert (found.free_energy, found.oracle, found.reason) == (0.02, FORCES, "")
    assert found.missing == ["O O: melts at 54.8 K"]


def test_phosphorus_is_not_the_white_one() -> None:
    """Which melts at 317 K and is no reference."""
    assert [melts(entry("P", 0.0, P=1.0), kelvin) for kelvin in (400.0, 900.0)] == ["", "melts at 852 K"]


def test_vibrations_may_turn_the_order_of_polymorphs() -> None:
    soft = entry("NbO-soft", -0.99, above=0.01, Nb=0.5, O=0.5)
    free = {"NbO": Vibration(0.03, FORCES), "NbO-soft": Vibration(-0.02, FORCES)}
    assert thermal(NBO, [NBO, soft], free, 900.0).above == pytest.approx(0.04)
    alone = thermal(soft, [NBO, soft], free, 900.0)
    assert (alone.above, alone.reason) == (
        None,
        "no mixture of phases that have free energies has its composition",
    )


def test_energies_and_free_energies_never_meet() -> None:
    """Without Nb there is no mixture left; without its own free energy a find has no height."""
    found = thermal(NBO, [NB, NBO, NBO2], known(Nb="no force constants", NbO=0.0, NbO2=0.0), 300.0)
    assert found.above is None and found.missing == ["Nb Nb: no force constants"]
    lost = thermal(NBO, [NB, NBO, NBO2], known(Nb=0.0, NbO="imaginary modes", NbO2=0.0), 300.0)
    assert (lost.above, lost.free_energy, lost.reason) == (None, None, "imaginary modes")


def test_forces_of_two_oracles_never_meet() -> None:
    free = known(Nb=0.1, NbO=0.02, NbO2=0.05) | {"Nb": Vibration(0.1, "force-field emt")}
    found = thermal(NBO, [NB, NBO, NBO2], free, 300.0)
    assert found.above is None
    assert found.missing == ["Nb Nb: force constants of another oracle"]


def test_force_constants_of_who_knows_whom_meet_nothing() -> None:
    """Of an older Niobe, which did not store the oracle: two of them need not be of the same one."""
    unknown = {name: Vibration(0.02) for name in ("Nb", "NbO", "NbO2")}
    found = thermal(NBO, [NB, NBO, NBO2], unknown, 300.0)
    assert found.above is None and found.missing == [
        f"{name} {name}: whose force constants they are is unknown" for name in ("Nb", "NbO2")
    ]


def test_one_phase_a_composition_counts_and_the_nearest_the_hull() -> None:
    higher, far = (
        entry("NbO-2", -0.95, above=0.05, Nb=0.5, O=0.5),
        entry("Nb2O", -0.1, above=0.4, Nb=0.7, O=0.3),
    )
    hull = HullRecord(campaign="t", round=0, oracle="x", entries=[higher, NB, OX, NBO, far])
    assert [e.record_id for e in phases_that_count(hull, 0.1)] == ["Nb", "NbO", "O"]


def test_what_is_no_solid_is_said() -> None:
    assert melts(OX, 300.0).startswith("melts at 54")
    assert (melts(OX, 20.0), melts(NB, 300.0), melts(NBO, 3000.0)) == ("", "", "")


def test_only_finds_have_a_verdict_at_a_temperature() -> None:
    def verdict(discovery: bool) -> Verdict:
        return Verdict(
            formation_energy_per_atom=-1.0,
            e_above_hull_found=0.0,
            e_above_hull_now=0.0,
            hull_round=0,
            discovery=discovery,
        )

    hull = HullRecord(campaign="t", round=0, oracle="x", entries=[NB, OX, NBO, NBO2])
    given = {"NbO": verdict(True), "NbO2": verdict(False), "Nb": verdict(False), "O": verdict(False)}
    found = at_temperature(hull, given, 300.0, 0.1, lambda _: None)
    said = found["NbO"].thermal
    assert said is not None and said.reason == "no force constants"
    assert len(said.missing) == 3
    assert [name for name, one in found.items() if one.thermal] == ["NbO"]
    copy = entry("NbO-copy", -1.0006, Nb=0.5, O=0.5)  # the same crystal, a little lower
    more = HullRecord(campaign="t", round=0, oracle="x", entries=[NB, OX, NBO, NBO2, copy])
    given["NbO-copy"] = verdict(False).model_copy(update={"duplicate_of": "NbO"})
    again = at_temperature(more, given, 300.0, 0.1, lambda _: None)["NbO"].thermal
    assert again is not None and again.missing == said.missing
