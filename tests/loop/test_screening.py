"""What is not worth an oracle call."""

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from config.spec import Limits
from loop.screening import why_invalid
from tests.loop.factory import element, nbo

ELEMENTS = ("Nb", "O")


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
    assert why_invalid(structure, ELEMENTS, Limits()) == reason


def test_an_element_may_be_left_out_where_the_campaign_allows() -> None:
    assert why_invalid(element("Nb"), ELEMENTS, Limits(all_elements=False)) == ""


def test_a_site_too_near_its_own_image_is_seen() -> None:
    thin = Structure(Lattice.orthorhombic(1.4, 6, 6), ["Nb", "O"], np.array([[0, 0, 0], [0, 0.5, 0.5]]))
    assert why_invalid(thin, ELEMENTS, Limits()) == "distance"
