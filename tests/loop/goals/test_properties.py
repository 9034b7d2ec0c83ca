"""Properties against values computed by hand and from the literature; tables and surrogates of a user."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.core import Composition, Lattice, Structure

from niobe.config.errors import ConfigError
from niobe.loop.goals.bulk_modulus import bulk_modulus
from niobe.loop.goals.properties import DENSITY, HHI_PRODUCTION, HHI_RESERVE, PRICE, VOLUME
from niobe.loop.goals.tables import property_in
from niobe.surrogates.models import make_surrogate
from niobe.surrogates.protocols import FloatArray
from tests.loop.factory import element, nbo

ROCKSALT = Structure.from_spacegroup(225, Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])


def test_density_and_volume_by_hand() -> None:
    """Four NaCl (22.98977 + 35.453 g/mol) in 5.64³ Å³: 2.1638 g/cm³."""
    assert VOLUME.value(ROCKSALT) == pytest.approx(5.64**3 / 8)
    assert DENSITY.value(ROCKSALT) == pytest.approx(4 * 58.44277 / 6.02214076e23 / (5.64e-8) ** 3, rel=1e-4)


@given(st.floats(0.9, 1.1), st.integers(1, 3))
def test_density_and_volume_do_not_hang_on_the_cell(scale: float, times: int) -> None:
    cell = ROCKSALT.get_primitive_structure()
    cell.scale_lattice(cell.volume * scale)
    larger = cell * (times, 1, 1)
    assert VOLUME.value(larger) == pytest.approx(scale * VOLUME.value(ROCKSALT))
    assert DENSITY.value(larger) == pytest.approx(DENSITY.value(ROCKSALT) / scale)


def test_price_and_concentration_are_means_by_mass() -> None:
    """Mg and Si as pymatgen's tables have them, 24.305 and 28.0855 g/mol."""
    magnesium, silicon = Composition("Mg"), Composition("Si")
    for each in (PRICE, HHI_PRODUCTION, HHI_RESERVE):
        both = (2 * 24.305 * each.value(magnesium) + 28.0855 * each.value(silicon)) / (2 * 24.305 + 28.0855)
        assert each.value(Composition("Mg2Si")) == pytest.approx(both, rel=1e-4)
    assert PRICE.value(Composition("Au")) > 1000 * PRICE.value(Composition("Fe"))


def test_an_element_without_data_is_named() -> None:
    with pytest.raises(ValueError, match="no price of Pm"):
        PRICE.value(Composition("PmO2"))
    with pytest.raises(ValueError, match="no index of Tc"):
        HHI_RESERVE.value(Composition("TcO2"))


@given(st.floats(20, 400), st.floats(0.98, 1.4))
def test_bulk_modulus_of_a_known_equation_of_state(modulus: float, rest: float) -> None:
    """Enthalpies of Birch's third-order equation under the pressure that leaves the structure at its volume,
    however far that is from ``rest``: the modulus at that volume comes out, as far as fits agree."""
    from ase.eos import birchmurnaghan
    from ase.units import GPa

    here, step = ROCKSALT.volume, 0.2

    def energy(volume: float) -> float:
        return float(birchmurnaghan(volume, -3.0, modulus * GPa, 4.0, rest * ROCKSALT.volume))

    pressure = (energy(here - step) - energy(here + step)) / (2 * step)
    curvature = (energy(here + step) - 2 * energy(here) + energy(here - step)) / step**2

    def enthalpies(cells: Sequence[Structure]) -> FloatArray:
        return np.array([energy(cell.volume) + pressure * cell.volume for cell in cells])

    assert bulk_modulus(ROCKSALT, enthalpies) == pytest.approx(here * curvature / GPa, rel=1e-2)


@pytest.mark.parametrize(
    ("energies", "says"),
    [
        (lambda cells: np.array([cell.volume for cell in cells]), r"no minimum near.* lowest at 0\.94 of it"),
        (lambda cells: np.array([(c.volume - 220) ** 2 for c in cells]), r"no minimum near.* at 1\.06 of it"),
        (lambda cells: np.zeros(len(cells)), "no minimum near"),
        (lambda cells: -np.array([(c.volume - 180) ** 2 for c in cells]), "no minimum near"),
        (lambda cells: np.array([0.1, 0.0, 0.1, 0.0, 0.1, 0.05, 0.1]), "off an equation of state"),
    ],
)
def test_what_has_no_bulk_modulus_says_why(energies: object, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        bulk_modulus(ROCKSALT, energies)  # type: ignore[arg-type]


def test_a_table_by_formula(tmp_path: Path) -> None:
    file = tmp_path / "gaps.csv"
    file.write_text("formula,gap,note\nNaCl,8.5,exp\nCl2Mg,,none\nMg2O2,7.8,\n")
    gap = property_in(file, "gap", "eV")
    assert (gap.unit, gap.needs) == ("eV", "composition")
    assert (gap.value(Composition("Na4Cl4")), gap.value(Composition("MgO"))) == (8.5, 7.8)
    with pytest.raises(ValueError, match=r"no row for MgCl2 in gaps.csv"):
        gap.value(Composition("MgCl2"))
    before = gap.source
    file.write_text("formula,gap\nNaCl,8.6\n")
    changed = property_in(file, "gap", "eV")
    assert changed.source != before and changed.value(Composition("NaCl")) == 8.6


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("formula,gap\nTiO2,3.0\nTi2O4,3.2\n", "2: TiO2 has 3 and 3.2; a table by formula has one value"),
        ("formula,gap\nTiO2,high\n", "could not convert string to float: 'high'"),
        ("formula,gap\nTiO2,nan\n", "TiO2: nan is no finite number"),
        ("formula,band\nTiO2,3.0\n", "no row has a formula and a value of gap"),
        ("", "no row has a formula and a value of gap"),
        ("formula,gap\nQq2,3.0\n", "1: 'Qq2' is no formula"),
    ],
)
def test_a_table_that_is_none_is_one_line(content: str, says: str, tmp_path: Path) -> None:
    file = tmp_path / "gaps.csv"
    file.write_text(content)
    with pytest.raises(ConfigError) as refused:
        property_in(file, "gap", "eV")
    message = str(refused.value)
    assert message.startswith("goals: gap: ") and says in message and "\n" not in message


def test_a_fitted_surrogate_answers_where_it_knows(tmp_path: Path) -> None:
    structures = [element("Nb", a) for a in np.linspace(3.2, 3.4, 12)]
    surrogate = make_surrogate("gbt", members=2, epochs=5)
    surrogate.fit(structures, {"formation_energy_per_atom": np.linspace(1.0, 2.0, 12)}, seed=1)
    surrogate.save(tmp_path)
    (tmp_path / "fit.json").write_text(json.dumps({"target": "gap"}))
    gap = property_in(tmp_path, "gap", "eV")
    assert gap.source == property_in(tmp_path, "gap", "eV").source
    expected = surrogate.predict([structures[3]])["formation_energy_per_atom"].mean[0]
    assert gap.needs == "structure" and gap.value(structures[3]) == pytest.approx(expected)
    with pytest.raises(ValueError, match=r"outside of what .* was fitted to"):
        gap.value(nbo())
    surrogate.fit(structures, {"formation_energy_per_atom": np.linspace(2.0, 3.0, 12)}, seed=1)
    surrogate.save(tmp_path)
    fitted_again = property_in(tmp_path, "gap", "eV")  # in the same folder, to other values
    assert fitted_again.source != gap.source
    assert fitted_again.value(structures[3]) > gap.value(structures[3]) + 0.5
    with pytest.raises(ConfigError, match="was fitted to 'gap'; call the goal so"):
        property_in(tmp_path, "band_gap", "eV")
    (tmp_path / "surrogate.json").unlink()
    with pytest.raises(ConfigError, match="no surrogate of `niobe models fit`"):
        property_in(tmp_path, "gap", "eV")
