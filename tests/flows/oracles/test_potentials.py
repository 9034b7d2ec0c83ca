"""A campaign is refused where its oracle has no parameters for an element, and only there."""

from __future__ import annotations

import pytest
from ase import Atoms
from ase.calculators.emt import parameters
from ase.data import atomic_numbers

from niobe.config.elements import ELEMENTS
from niobe.config.feasibility import why_not
from niobe.config.spec import CampaignSpec
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
