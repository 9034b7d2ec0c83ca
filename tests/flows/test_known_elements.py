"""A campaign is refused where its oracle has no parameters for an element, and only there."""

from __future__ import annotations

import pytest
from ase import Atoms
from ase.calculators.emt import parameters
from ase.data import atomic_numbers
from pydantic import ValidationError

from config.spec import ELEMENTS, CampaignSpec
from flows.oracles.potentials import potential


def accepted(oracle: str) -> set[str]:
    taken = set()
    for symbol in ELEMENTS:
        try:
            CampaignSpec.model_validate({"id": "a", "elements": [symbol], "oracle": {"name": oracle}})
            taken.add(symbol)
        except ValidationError as error:
            assert f"{oracle} does not know {symbol}" in str(error)
    return taken


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
