"""Average minimum distances: by hand, and the same for every cell of a crystal."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import Lattice, Structure

from niobe.loop.novelty.fingerprints import difference, fingerprint
from tests.benchmarks.novelty.cases import disguised
from tests.loop.factory import nbo, rocksalt, rutile


def test_of_a_simple_cubic_crystal_they_are_those_of_its_shells() -> None:
    """6 neighbours at 1, 12 at √2, 8 at √3, 6 at 2, 24 at √5: in units of the edge of the cell."""
    found = fingerprint(Structure(Lattice.cubic(3.3), ["Po"], [[0, 0, 0]]))
    shells = np.sqrt([1] * 6 + [2] * 12 + [3] * 8 + [4] * 6 + [5] * 24 + [6] * 4)
    np.testing.assert_allclose(found, shells)


def test_of_rocksalt_each_pair_of_elements_has_its_own() -> None:
    """Nb to Nb √2/2 of the edge, 12 times; Nb to O a half, 6 times; 8 atoms a cell."""
    found = fingerprint(rocksalt(1.0)) / 2  # 8 ** (1 / 3) atoms along the edge
    assert len(found) == 4 * 30
    np.testing.assert_allclose(found[:12], np.sqrt(0.5))
    np.testing.assert_allclose(found[30:36], 0.5)


@pytest.mark.parametrize("make", [nbo, rocksalt, rutile])
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=10)
def test_cell_origin_and_orientation_change_nothing_and_a_strain_little(make, seed: int) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(seed)
    structure = make()
    other = disguised(structure, rng)
    unstrained = disguised(structure, np.random.default_rng(seed), strain=0.0)
    for by_element in (True, False):
        own = fingerprint(structure, by_element=by_element)
        assert difference(own, fingerprint(unstrained, by_element=by_element)) < 1e-9
        assert difference(own, fingerprint(other, by_element=by_element)) < 0.045


def test_other_structures_of_a_composition_are_far() -> None:
    assert difference(fingerprint(nbo()), fingerprint(rocksalt())) > 0.1
