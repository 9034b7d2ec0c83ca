"""A campaign is refused where its oracle has no parameters for an element, and only there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.emt import parameters
from ase.data import atomic_numbers
from pymatgen.core import Lattice, Structure

from niobe.config.elements import ELEMENTS
from niobe.config.feasibility import why_not
from niobe.config.spec import CampaignSpec
from niobe.config.spec import Oracle as OracleSpec
from niobe.flows.oracles.force_field import ForceFieldOracle
from niobe.flows.oracles.potentials import potential


def accepted(oracle: str) -> set[str]:
    content = {"id": "a", "limits": {"min_atoms": 1}, "oracle": {"name": oracle}}
    specs = {symbol: CampaignSpec.model_validate(content | {"elements": [symbol]}) for symbol in ELEMENTS}
    reasons = {symbol: why_not(spec) for symbol, spec in specs.items()}
    assert all(not why or f"{oracle} does not know {symbol}" in why for symbol, why in reasons.items())
    return {symbol for symbol, why in reasons.items() if not why}


@pytest.mark.parametrize("oracle", ["7net-0", "7net-l3i5"])
def test_7net_by_the_map_of_its_types(oracle: str) -> None:
    numbers = set(potential(oracle).type_map)
    assert accepted(oracle) == {symbol for symbol in ELEMENTS if atomic_numbers[symbol] in numbers}


def test_emt_by_its_parameters() -> None:
    assert accepted("emt") == set(parameters) & set(ELEMENTS)


def test_chgnet_answers_for_every_element() -> None:
    assert accepted("chgnet") == accepted("lj") == accepted("vasp") == set(ELEMENTS)
    for symbol in ELEMENTS:
        atoms = Atoms(f"{symbol}2", scaled_positions=[(0, 0, 0), (0.5, 0.5, 0.5)], cell=[3.6] * 3, pbc=True)
        atoms.calc = potential("chgnet")
        assert abs(atoms.get_potential_energy()) < 100


@pytest.mark.parametrize("name", ["lj", "emt"])
def test_an_answer_does_not_hang_on_what_was_asked_before(name: str, tmp_path: Path) -> None:
    """ASE takes crystals within 1e-15 Å of each other for one, and its last answer for both."""
    oracle = ForceFieldOracle(OracleSpec(name=name))
    sites = np.array([[0, 0.5, 0.5], [0.5, 0, 0.51], [0.5, 0.5, 0], [0, 0, 0]])

    def energy(edge: float) -> float:
        crystal = Structure(Lattice.cubic(edge), ["Au", "Au", "Au", "Cu"], sites)
        return oracle.static([crystal], tmp_path)[0].energy

    for edge in np.linspace(3.7, 4.2, 40):
        energy(4.6)
        alone = energy(edge)
        energy(4.6)
        energy(float(np.nextafter(edge, 9.0)))
        assert energy(edge) == alone
