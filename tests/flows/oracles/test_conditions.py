"""Under a pressure phases are relaxed to it and compete by enthalpy; energies at two pressures never meet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from pymatgen.core import Lattice, Structure

from niobe.config.errors import ConfigError
from niobe.config.loading import campaign_of
from niobe.config.spec import CampaignSpec
from niobe.flows.oracles.base import Answer, residual
from niobe.flows.oracles.calculation import check_depth, phonons, validate_structure
from niobe.flows.oracles.checks import check_inputs
from niobe.flows.oracles.force_field import ForceFieldOracle
from niobe.flows.oracles.potentials import UnphysicalAnswerError
from niobe.flows.oracles.refinement import refine, tight
from niobe.flows.oracles.registry import make_oracle
from niobe.flows.steps.claims.confirm import _oracle
from niobe.flows.steps.prerelax import prerelax_oracle
from niobe.loop.documents.records import Validation
from niobe.loop.documents.structures import relaxed_structure
from tests.loop.factory import nbo

quiet = pytest.mark.filterwarnings("ignore")  # of atomate2, about its own arguments
EV_PER_A3_IN_GPA = 160.2177  # CODATA


def spec_at(**conditions: float) -> CampaignSpec:
    content: dict[str, Any] = {"id": "deep", "elements": ["Cu"], "oracle": {"name": "emt"}}
    return CampaignSpec.model_validate(content | {"conditions": conditions})


def copper(a: float = 3.6) -> Structure:
    cell = Structure.from_spacegroup(225, Lattice.cubic(a), ["Cu"], [[0.0, 0.0, 0.0]])
    return cell.get_primitive_structure()


def by_hand(gpa: float) -> tuple[float, float]:
    """Volume (Å³/atom) and enthalpy (eV/atom) of copper where E(V) + pV is lowest, on a fine grid by ASE."""
    cells = [bulk("Cu", "fcc", a=a) for a in np.linspace(3.3, 3.7, 81)]
    for cell in cells:
        cell.calc = EMT()
    volumes = np.array([cell.get_volume() for cell in cells])
    energies = np.array([cell.get_potential_energy() for cell in cells])
    enthalpies = energies + gpa / EV_PER_A3_IN_GPA * volumes
    place = int(enthalpies.argmin())
    near = slice(place - 2, place + 3)
    curve = np.polynomial.Polynomial.fit(volumes[near], enthalpies[near], 2)
    (lowest,) = curve.deriv().roots().real
    return float(lowest), float(curve(lowest))


@quiet
@pytest.mark.parametrize("gpa", [2.0, 20.0])
def test_copper_under_pressure_is_as_dense_and_as_high_as_by_hand(gpa: float, tmp_path: Path) -> None:
    spec = spec_at(pressure=gpa)
    found = validate_structure(spec, make_oracle(spec.oracle, gpa), copper(), tmp_path)
    assert isinstance(found, Validation)
    volume, enthalpy = by_hand(gpa)
    assert found.volume_per_atom == pytest.approx(volume, rel=2e-3)
    assert found.energy_per_atom == pytest.approx(enthalpy, abs=1e-3)
    assert found.pressure == gpa
    assert found.max_stress is not None and found.max_stress < 0.5
    find = refine(spec, make_oracle(tight(spec), gpa), found, tmp_path)
    assert isinstance(find, Validation) and find.max_stress is not None
    assert find.max_stress < 0.1
    assert find.energy_per_atom == pytest.approx(enthalpy, abs=1e-3)


@quiet
def test_phonons_are_of_the_crystal_under_pressure(tmp_path: Path) -> None:
    """They are harder, as it is denser."""
    lowest = {}
    for gpa in (0.0, 10.0):
        spec = spec_at(pressure=gpa)
        judge = make_oracle(spec.phonon_oracle, gpa)
        outcome = phonons(spec, judge, copper(), tmp_path)
        assert isinstance(outcome, tuple)
        lowest[gpa] = max(map(max, outcome[0].bands["frequencies"]))
    assert lowest[10.0] > 1.1 * lowest[0.0]


def test_fingerprints_know_the_pressure_and_those_of_before_stay() -> None:
    plain = ForceFieldOracle(spec_at().oracle).fingerprint
    assert make_oracle(spec_at(temperature=300).oracle).fingerprint == plain
    prints = {make_oracle(spec_at().oracle, gpa).fingerprint for gpa in (0.0, 5.0, 5.000001, 50.0)}
    assert len(prints) == 4 and plain in prints
    assert "GPa" not in plain


def test_every_oracle_of_a_campaign_is_under_its_pressure() -> None:
    content = {"id": "deep", "elements": ["Cl", "Na"], "conditions": {"pressure": 7.5}}
    spec = CampaignSpec.model_validate(content)
    assert spec.confirm.oracles
    seconds = [_oracle(spec, name).fingerprint for name in spec.confirm.oracles]
    asked = [prerelax_oracle(spec).fingerprint, *seconds]
    assert all("enthalpies at 7.5 GPa" in fingerprint for fingerprint in asked)


def test_enthalpy_and_stress_are_against_the_pressure() -> None:
    """10 GPa on 160.21766 Å³ is 10 eV; a cell compressed to just that has no stress left."""
    cell = nbo(160.21766 ** (1 / 3))
    at_ease = Answer(cell, -48.0, np.zeros((6, 3)), 1, stress=10 * np.eye(3), pressure=10.0)
    assert at_ease.enthalpy_per_atom == pytest.approx((-48 + 10) / 6)
    assert (at_ease.max_stress, residual(at_ease, 0.03)) == (0.0, "")
    pulled = Answer(cell, -48.0, np.zeros((6, 3)), 1, stress=-10 * np.eye(3), pressure=10.0)
    assert "stress of 20 GPa" in residual(pulled, 0.03)


def test_a_dense_compound_is_not_too_deep_under_pressure() -> None:
    references = {"Nb": 0.0, "O": 0.0}
    check_depth(nbo(), -6.0, references, 100.0)
    with pytest.raises(UnphysicalAnswerError, match="no solid"):
        check_depth(nbo(), -6.0, references)


@pytest.mark.parametrize("name", ["vasp", "gpaw"])
@pytest.mark.parametrize("second", [False, True])
def test_what_relaxes_at_0_gpa_only_is_refused_when_it_is_checked(name: str, second: bool) -> None:
    oracles = {"confirm": {"oracles": [name]}} if second else {"oracle": {"name": name}}
    content = {"id": "deep", "elements": ["Cl", "Na"], "conditions": {"pressure": 5}, "sources": []}
    spec = campaign_of(content | oracles, "deep.yaml", Path())
    with pytest.raises(ConfigError, match=rf"conditions.pressure: 5 GPa, and oracle {name} relaxes at 0 GPa"):
        check_inputs(spec)


@pytest.mark.parametrize(
    ("conditions", "said"),
    [
        ({"pressure": -1}, "conditions.pressure: .*greater than or equal to 0"),
        ({"pressure": 101}, "conditions.pressure: .*less than or equal to 100"),
        ({"temperature": -3}, "conditions.temperature: .*greater than or equal to 0"),
        ({"temperature": 1e9}, "conditions.temperature: .*less than or equal to 3000"),
        ({"pressure": float("nan")}, "conditions.pressure: .*finite"),
        ({"temperature": "hot"}, "conditions.temperature: .*number"),
        ({"preasure": 3}, "conditions.preasure: unknown key; did you mean 'pressure'"),
        (5, "conditions: needs keys with values"),
    ],
)
def test_bad_conditions_are_one_line(conditions: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        campaign_of({"id": "a", "elements": ["Cu"], "conditions": conditions}, "a.yaml", Path())


def test_a_temperature_needs_phonons() -> None:
    content = {"id": "a", "elements": ["Cu"], "phonons": {"enabled": False}}
    with pytest.raises(ValidationError, match=r"conditions\.temperature: free energies need phonons"):
        CampaignSpec.model_validate(content | {"conditions": {"temperature": 300}})


@given(st.floats(0, 3000), st.floats(0, 100))
def test_conditions_are_part_of_what_a_campaign_is(temperature: float, pressure: float) -> None:
    """At 0 K and 0 GPa it is the campaign that it was before there were conditions."""
    spec = spec_at(temperature=temperature, pressure=pressure)
    assert CampaignSpec.model_validate(spec.model_dump(mode="json")) == spec
    ambient = not temperature and not pressure
    assert (spec.digest() == spec_at().digest()) is ambient
    assert ("conditions" in spec.model_dump()) is not ambient
    assert bool(spec.conditions.words) is not ambient


def test_records_of_before_are_of_no_pressure() -> None:
    from tests.loop.factory import validated

    old = validated(nbo(), -9.5).model_dump(mode="json")
    del old["validation"]["pressure"]
    again = type(validated(nbo(), -9.5)).model_validate(old)
    assert again.validation is not None and again.validation.pressure == 0.0
    assert len(relaxed_structure(again)) == 6
