"""What is asked for an element holds the crystal that it is known in, and molecules are molecules."""

from __future__ import annotations

import numpy as np
import pytest

from niobe.config.spec import ELEMENTS, CampaignSpec
from niobe.loop.campaign.seeds import seed_records
from niobe.loop.generators.elements import (
    BONDS,
    elemental_candidates,
    elemental_references,
    molecular_crystals,
)
from niobe.surrogates.representations.elements import solid_volume

KNOWN = {
    "B": "A_hR12_166_2h",
    "C": "A_hP4_194_bc",
    "Si": "A_cF8_227_a",
    "Sn": "A_tI4_141_a",
    "P": "A_oC8_64_f",
    "As": "A_hR2_166_c",
    "S": "A_oF128_70_4h",
    "Se": "A_hP3_152_a",
    "Po": "A_cP1_221_a",
    "I": "A_oC8_64_f",
    "Ga": "A_oC8_64_f",
    "In": "A_tI2_139_a",
    "Mn": "A_cI58_217_ac2g",
    "La": "A_hP4_194_ac",
    "Sm": "A_hR3_166_ac",
    "U": "A_oC4_63_c",
    "Nb": "A_cI2_229_a",
    "Cu": "A_cF4_225_a",
    "Ti": "A_hP2_194_c",
}
"""Ground states, as AFLOW labels them (Mehl et al., Comput. Mater. Sci. 136, S1, 2017)."""


@pytest.mark.parametrize(("element", "label"), KNOWN.items())
def test_the_known_ground_state_is_asked_for(element: str, label: str) -> None:
    assert label in [found.split()[0] for found, _ in elemental_references([element])]


def test_references_are_candidates_and_every_element_has_some() -> None:
    for element in ELEMENTS:
        candidates = dict(elemental_candidates(element))
        asked = elemental_references([element])
        assert 4 <= len(asked) < len(candidates)
        for label, structure in asked:
            assert structure == candidates[label]
            assert structure.volume / len(structure) == pytest.approx(solid_volume(element))
            assert {site.specie.symbol for site in structure} == {element}


@pytest.mark.parametrize("element", BONDS)
def test_molecules_keep_their_bond_and_their_distance(element: str) -> None:
    for name, structure in molecular_crystals(element):
        sites, _, _, distances = structure.get_neighbor_list(BONDS[element] * 1.02)
        assert sorted(sites) == list(range(len(structure))), name
        assert np.allclose(distances, BONDS[element], rtol=0.01), name
        others = structure.get_neighbor_list(BONDS[element] * 1.15)[3]
        assert len(others) == len(structure), name


def test_of_a_packing_and_a_prototype_alike_the_packing_is_a_seed() -> None:
    """Matching scales cells, so that a prototype of one bond length stands for molecules of another."""
    spec = CampaignSpec(id="t", elements=("F",))
    labels = {str(record.lineage.origin["label"]) for record in seed_records(spec)[0]}
    assert {f"{name} F2" for name, _ in molecular_crystals("F")} <= labels
