"""MP2020 by hand, from its table in pymatgen (MP2020Compatibility.yaml): eV for each atom corrected."""

from __future__ import annotations

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from niobe.loop.stability.corrections import CorrectionError, mp2020_correction, scheme
from niobe.loop.stability.hull import build_hull
from tests.loop.factory import element, nbo, validated

OXIDE, PEROXIDE, SUPEROXIDE = -0.687, -0.465, -0.161


def wo3(a: float = 3.8) -> Structure:
    sites = [[0, 0, 0], [0.5, 0, 0], [0, 0.5, 0], [0, 0, 0.5]]
    return Structure(Lattice.cubic(a), ["W", "O", "O", "O"], np.array(sites))


def rocksalt(cation: str, anion: str, a: float) -> Structure:
    return Structure.from_spacegroup(
        225, Lattice.cubic(a), [cation, anion], [[0, 0, 0], [0.5, 0.5, 0.5]]
    ).get_primitive_structure()


def with_pairs(cation: str, a: float, c: float, z: float) -> Structure:
    """The type of CaC2: O2 dumb-bells along c, as in BaO2 (Kovba, 1973) and KO2 (Abrahams, 1955)."""
    lattice = Lattice.tetragonal(a, c)
    return Structure.from_spacegroup(139, lattice, [cation, "O"], [[0, 0, 0], [0, 0, z]])


def antifluorite(cation: str, anion: str, a: float) -> Structure:
    return Structure.from_spacegroup(
        225, Lattice.cubic(a), [cation, anion], [[0.25, 0.25, 0.25], [0, 0, 0]]
    ).get_primitive_structure()


@pytest.mark.parametrize(
    ("structure", "expected"),
    [
        (wo3(), -4.438 + 3 * OXIDE),
        (rocksalt("Mn", "O", 4.44), -1.668 + OXIDE),
        (rocksalt("Ni", "O", 4.17), -2.541 + OXIDE),
        (rocksalt("Ti", "O", 4.2), OXIDE),
        (nbo(), 3 * OXIDE),
        (with_pairs("Ba", 3.81, 6.84, 0.391), 2 * 2 * PEROXIDE),
        (with_pairs("K", 4.03, 6.70, 0.404), 2 * 2 * SUPEROXIDE),
        (rocksalt("Ba", "O", 5.54), OXIDE),
        (rocksalt("Fe", "F", 4.3), -2.256 - 0.462),
        (rocksalt("Fe", "S", 5.2), -0.503),
        (rocksalt("Na", "Cl", 5.6), -0.614),
        (rocksalt("Ti", "N", 4.24), -0.361),
        (rocksalt("Li", "H", 4.08), -0.179),
        (antifluorite("Mg", "Si", 6.35), 0.071),
        (rocksalt("Ti", "C", 4.33), 0.0),
        (Structure(Lattice.cubic(2.88), ["Al", "Ni"], np.array([[0, 0, 0], [0.5, 0.5, 0.5]])), 0.0),
        (element("O"), 0.0),
        (element("Fe"), 0.0),
    ],
    ids=lambda value: value.composition.reduced_formula if isinstance(value, Structure) else None,
)
def test_corrections_by_hand(structure: Structure, expected: float) -> None:
    assert mp2020_correction(structure) == pytest.approx(expected, abs=1e-9)
    assert mp2020_correction(structure * (2, 1, 1)) == pytest.approx(2 * expected, abs=1e-9)


def test_raw_tungsten_oxide_comes_to_its_energy_on_materials_project() -> None:
    """WO3, −7.51 eV/atom raw and −9.134 corrected there."""
    assert -7.51 + mp2020_correction(wo3()) / 4 == pytest.approx(-9.134, abs=0.002)


@pytest.mark.parametrize(
    "parameters",
    [
        {"run_type": "GGA", "hubbards": {}, "software": "x"},
        {"run_type": "GGA+U", "hubbards": {"Mn": 5.0}, "software": "x"},
        {"run_type": "r2SCAN", "hubbards": {}, "software": "x"},
        {"run_type": "GGA+U", "hubbards": {"Mn": 3.9}, "potcar_symbols": ["PBE Mn", "PBE O"]},
    ],
    ids=["without U", "another U", "another functional", "another POTCAR"],
)
def test_what_materials_project_would_not_have_run_is_refused(parameters: dict[str, object]) -> None:
    with pytest.raises(CorrectionError, match="MnO: not correctable by MP2020"):
        mp2020_correction(rocksalt("Mn", "O", 4.44), parameters)


def test_raw_and_corrected_never_meet_in_a_hull() -> None:
    raw = [validated(element(e), -9.0, oracle="7net-0") for e in ("Nb", "O")]
    corrected = validated(nbo(), -9.5, oracle=f"7net-0, {scheme()}")
    with pytest.raises(ValueError, match="exactly one oracle"):
        build_hull("t", 0, ("Nb", "O"), [*raw, corrected])
