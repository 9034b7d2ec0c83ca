"""Cells without what is only roundoff."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.core import Lattice, Structure

from niobe.loop.crystals.similarity import spacegroup_number
from niobe.loop.crystals.symmetry import point_group_order, symmetric_cell, without_roundoff

NOISE = st.integers(0, 2**31)


@given(NOISE)
def test_what_differs_by_roundoff_only_is_the_same_to_the_bit(seed: int) -> None:
    """A hexagonal cell, whose edges no decimal fraction holds, with a site on the origin."""
    lattice = Lattice.hexagonal(3.16, 12.3)
    sites = np.array([[0.0, 0.0, 0.0], [1 / 3, 2 / 3, 0.25], [2 / 3, 1 / 3, 0.121]])
    rng = np.random.default_rng(seed)
    moved = Lattice(lattice.matrix + rng.uniform(-1e-13, 1e-13, (3, 3)))
    shaken = sites + rng.uniform(-1e-13, 1e-13, (3, 3))
    clean = without_roundoff(Structure(moved, ["Mo", "S", "S"], shaken))
    assert clean == without_roundoff(Structure(lattice, ["Mo", "S", "S"], sites))
    assert clean.frac_coords.tolist()[0] == [0.0, 0.0, 0.0]
    assert np.abs(clean.lattice.matrix - lattice.matrix).max() < 1e-8
    assert not np.signbit(clean.lattice.matrix[clean.lattice.matrix == 0]).any()


def test_moments_stay() -> None:
    structure = Structure(Lattice.cubic(3.0), ["Ni"], [[1 - 1e-17, 0, 0]], site_properties={"magmom": [1.5]})
    assert without_roundoff(structure).site_properties == {"magmom": [1.5]}


@given(st.integers(0, 10**8 - 2), st.integers(1, 48), st.integers(0, 47), NOISE)
def test_no_mean_over_symmetry_operations_is_a_tie(units: int, operations: int, k: int, seed: int) -> None:
    """Halves of the eighth digit among them, as between two sites whose coordinates have eight digits."""
    value = (units + (k % operations) / operations) * 1e-8
    noise = np.random.default_rng(seed).uniform(-1e-15, 1e-15, 2)
    one, other = (
        without_roundoff(Structure(Lattice.cubic(4.0), ["Cu"], [[value + shift, 0.0, 0.0]]))
        for shift in noise
    )
    assert one == other
    assert abs(one.frac_coords[0, 0] - value) < 1e-8


def test_a_supercell_is_made_primitive_in_silence(caplog: pytest.LogCaptureFixture) -> None:
    stretched = Structure.from_spacegroup(225, Lattice.cubic(3.6), ["Cu"], [[0] * 3])
    stretched.make_supercell([[1, 0, 0], [0, 1, 0], [0, 0, 2]])
    assert len(symmetric_cell(stretched)) == 1
    assert spacegroup_number(stretched) == 225
    assert not caplog.records


def test_a_point_group_has_a_space_groups_operations_without_its_centring() -> None:
    """Cubic groups by International Tables A; the others' operations by pymatgen."""
    from pymatgen.symmetry.groups import SpaceGroup

    cubic = {195: 12, 201: 24, 207: 24, 215: 24, 221: 48, 227: 48, 230: 48}
    assert {number: point_group_order(number) for number in cubic} == cubic
    points = {"P": 1, "A": 2, "C": 2, "I": 2, "F": 4, "R": 3}
    for number in (1, 2, 8, 12, 22, 42, 71, 82, 119, 139, 146, 155, 166, 174, 194):
        group = SpaceGroup.from_int_number(number)
        assert point_group_order(number) * points[group.symbol[0]] == group.order
