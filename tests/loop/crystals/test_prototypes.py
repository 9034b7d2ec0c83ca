"""Which prototype of AFLOW's library a crystal has."""

import pytest
from pymatgen.core import Lattice, Structure

from niobe.loop.crystals.prototypes import library, prototype_of
from niobe.loop.crystals.similarity import spacegroup_name
from niobe.loop.crystals.symmetry import hermann_mauguin, symmetric_cells
from tests.loop.factory import nbo, rocksalt, rutile


@pytest.mark.parametrize(
    ("structure", "expected"),
    [
        (nbo(), ("AB_cP6_221_c_d", "")),
        (rocksalt(), ("AB_cF8_225_a_b", "Halite, Rock Salt")),
        (rutile(), ("A2B_tP6_136_f_a", "Rutile")),
        (Structure(Lattice.orthorhombic(3, 4, 5), ["Nb", "O"], [[0.0, 0.0, 0.0], [0.3, 0.3, 0.2]]), ("", "")),
    ],
)
def test_known_crystals_are_named(structure: Structure, expected: tuple[str, str]) -> None:
    assert prototype_of(structure) == expected
    assert prototype_of(structure * [1, 2, 1]) == expected


def test_prototypes_are_their_own() -> None:
    """But for two that as stored have the symmetry of others."""
    alias = {"AB3_tI16_140_b_ah", "A2B_oC12_38_de_ab"}
    small = [p for p in library().values() if len(p.structure) <= 6 and p.label not in alias]
    assert len(small) > 50
    assert [p.label for p in small if prototype_of(p.structure)[0] != p.label] == []


def test_groups_have_symbol_and_number() -> None:
    assert spacegroup_name(221) == "Pm-3m (221)"
    assert [hermann_mauguin(n) for n in (14, 194, 225)] == ["P 21/c", "P 63/m m c", "F m -3 m"]


def test_looser_tolerances_find_more_symmetry_and_move_no_more_than_they_allow() -> None:
    moved = nbo()
    moved.perturb(0.02)
    found = list(symmetric_cells(moved))
    assert next(cell.number for cell in found) == 221
    assert [cell.symprec for cell in found] == sorted((cell.symprec for cell in found), reverse=True)
    assert found[-1].number < 221
