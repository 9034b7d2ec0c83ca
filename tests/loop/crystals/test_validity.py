"""What is not worth an oracle call."""

from dataclasses import replace

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from niobe.loop.crystals.validity import why_invalid
from niobe.surrogates.protocols import SampleRequest
from tests.loop.factory import element, nbo, rutile

REQUEST = SampleRequest(elements=("Nb", "O"), max_atoms=12)


@pytest.mark.parametrize(
    ("structure", "reason"),
    [
        (nbo(), ""),
        (element("Nb"), "composition"),
        (nbo() * (3, 1, 1), "size"),
        (nbo(20.0), "volume"),
        (nbo(2.0), "volume"),
        (Structure(Lattice.cubic(4), ["Nb", "O"], np.array([[0, 0, 0], [0.1, 0, 0]])), "distance"),
        (Structure(Lattice.tetragonal(2.9, 30), ["Nb", "O"], np.array([[0, 0, 0], [0, 0, 0.5]])), "volume"),
        (Structure(Lattice.tetragonal(2.2, 25), ["Nb", "O"], np.array([[0, 0, 0], [0, 0, 0.5]])), "aspect"),
    ],
)
def test_reasons(structure: Structure, reason: str) -> None:
    assert why_invalid(structure, REQUEST) == reason


def test_an_element_may_be_left_out_where_the_campaign_allows() -> None:
    assert why_invalid(element("Nb"), replace(REQUEST, all_elements=False)) == ""


def test_a_site_too_near_its_own_image_is_seen() -> None:
    thin = Structure(Lattice.orthorhombic(1.4, 6, 6), ["Nb", "O"], np.array([[0, 0, 0], [0, 0.5, 0.5]]))
    assert why_invalid(thin, REQUEST) == "distance"


def test_fractions_bound_the_composition() -> None:
    request = replace(REQUEST, fractions={"O": (0.6, 0.7)})
    assert why_invalid(nbo(), request) == "composition"
    assert why_invalid(rutile(), request) == ""
