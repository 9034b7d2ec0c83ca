"""Which prototype of AFLOW's library a crystal has."""

import math
import re

import numpy as np
import pytest
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure

from niobe.loop.crystals.prototypes import encyclopedia, library, prototype_of
from niobe.loop.crystals.similarity import spacegroup_name
from niobe.loop.crystals.symmetry import dataset, hermann_mauguin, symmetric_cells
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
    moved.perturb(0.02, seed=1)
    found = list(symmetric_cells(moved))
    assert next(cell.number for cell in found) == 221
    assert [cell.symprec for cell in found] == sorted((cell.symprec for cell in found), reverse=True)
    assert found[-1].number < 221


def test_the_encyclopedia_holds_what_its_labels_say() -> None:
    """Space group, proportions and number of atoms, and no two atoms on top of each other."""
    wrong = []
    for label, prototype in encyclopedia().items():
        formula, pearson, group = label.split("_")[:3]
        structure = prototype.structure
        amounts = sorted(int(n or 1) for n in re.findall(r"[A-Z](\d*)", formula))
        counts = [int(count) for count in structure.composition.get_el_amt_dict().values()]
        told = sorted(count // math.gcd(*counts) for count in counts)
        cells = {"P": 1, "C": 2, "S": 2, "A": 2, "I": 2, "F": 4, "R": 1}[pearson[1]]
        apart = structure.distance_matrix[~np.eye(len(structure), dtype=bool)].min()
        sound = told == amounts and len(structure) * cells == int(pearson[2:]) and apart > 0.6
        data = dataset(structure, 1e-3)
        if not sound or data is None or data.number != int(group):
            wrong.append(label)
    assert wrong == []
    assert len(encyclopedia()) > 800
    assert not encyclopedia().keys() & library().keys()


def test_thorium_chromium_silicide_is_as_in_the_literature() -> None:
    """a 4.043, c 10.577 Å, z(Si) 0.374 (Ban and Sikirica, Acta Cryst. 18, 594, 1965)."""
    expected = Structure.from_spacegroup(
        "I4/mmm",
        Lattice.tetragonal(4.043, 10.577),
        ["Th", "Cr", "Si"],
        [[0, 0, 0], [0, 0.5, 0.25], [0, 0, 0.374]],
    )
    found = encyclopedia()["A2B2C_tI10_139_d_e_a-003"].structure
    assert StructureMatcher(ltol=0.01, stol=0.01, angle_tol=0.5, scale=False).fit(found, expected)
