"""How finds are pushed off where they lie, and what is said of what that finds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from ase.calculators.emt import EMT
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pymatgen.core import Lattice, Structure

from niobe.loop.campaign.challenging import (
    Rival,
    doubled_along_the_softest,
    drawn_at,
    lower_in_the_pool,
    outcome,
    rival_of,
)
from niobe.loop.crystals.displaced import displaced
from niobe.loop.crystals.similarity import spacegroup_number
from niobe.loop.documents.claims import Attack
from niobe.loop.documents.records import Prerelaxed, Status, StructureRecord, Verdict
from niobe.loop.stability.force_constants import displaced as displaced_cells
from niobe.loop.stability.force_constants import packed
from tests.loop.factory import nbo, rocksalt, rutile, validated

FIND = validated(nbo(), -9.0, round_number=1)
LOWER = validated(rocksalt(), -9.05, round_number=1, index=1)
PRODUCT = validated(rutile(), -8.5, index=2)
KNOWN = {record.id: record for record in (FIND, LOWER, PRODUCT)}


def answer(record: StructureRecord, energy: float) -> Prerelaxed:
    return Prerelaxed(potential="cheap", structure=record.structure, energy_per_atom=energy, steps=3)


def verdict(height: float) -> Verdict:
    return Verdict(
        formation_energy_per_atom=-1.0, e_above_hull_found=0.0, e_above_hull_now=height, hull_round=1
    )


def judged(attack: Attack, height: float, before: float = 0.05) -> tuple[bool, str, list[str]]:
    find = FIND.model_copy(update={"verdict": verdict(before)})
    rival = rival_of(attack, FIND.id, answer(LOWER, -9.1), 0.1, rocksalt())
    return outcome(find, verdict(height), [(rival, LOWER)], KNOWN, 0.1)


@settings(max_examples=15)
@given(st.integers(0, 2**32 - 1), st.floats(0.05, 0.3))
def test_nothing_of_the_symmetry_is_left_and_no_atom_is_far_off(seed: int, distance: float) -> None:
    structure = rutile()
    moved = displaced(structure, distance, seed=seed)
    assert spacegroup_number(moved, symprec=1e-3) == 1
    assert moved.composition == structure.composition
    expected = moved.lattice.get_cartesian_coords(structure.frac_coords)
    assert np.linalg.norm(moved.cart_coords - expected, axis=1) == pytest.approx(distance)
    assert moved.volume == pytest.approx(structure.volume, rel=0.05)


@pytest.mark.parametrize("structure", [nbo(), rutile()])
def test_what_is_drawn_has_the_composition_and_fits_the_cell(structure: Structure) -> None:
    found = drawn_at(structure, 3, most_atoms=6, seed=1)
    assert found
    for crystal in found:
        assert crystal.composition.reduced_formula == structure.composition.reduced_formula
        assert len(crystal) <= 6


def test_a_find_that_is_left_downhill_falls_whatever_its_hull_says() -> None:
    survived, reason, by = judged("saddle", 0.05)
    assert (survived, by) == (False, [LOWER.id])
    assert reason == "no minimum: displaced off its symmetry it relaxes to 0.050 eV/atom lower"
    assert judged("larger_cell", 0.0)[1].startswith("no minimum: displaced in a cell twice as large")


def test_a_lower_polymorph_takes_a_claim_only_beyond_the_tolerance() -> None:
    assert judged("polymorphs", 0.05) == (True, "", [])
    assert judged("polymorphs", 0.05, before=0.0)[:2] == (
        True,
        "no longer on the hull: 0.050 eV/atom above it",
    )
    survived, reason, by = judged("polymorphs", 0.12)
    assert (survived, by) == (False, [LOWER.id])
    assert reason.startswith("0.120 eV/atom above the hull")


def test_what_the_oracle_does_not_hold_to_be_lower_changes_nothing() -> None:
    find = FIND.model_copy(update={"verdict": verdict(0.05)})
    higher = validated(rocksalt(), -8.9, round_number=1, index=1)
    rival = Rival("saddle", FIND.id, rutile(), 0.1)
    assert outcome(find, verdict(0.05), [(rival, higher)], KNOWN, 0.1) == (True, "", [])


def test_the_pool_gives_what_waits_at_the_composition_and_is_lower() -> None:
    waiting = {"status": Status.SCREENED, "validation": None}
    lower = LOWER.model_copy(update=waiting | {"prerelaxed": answer(LOWER, -9.2)})
    higher = lower.model_copy(update={"id": "b", "prerelaxed": answer(LOWER, -8.0)})
    brief = lower.model_copy(
        update={"id": "c", "prerelaxed": answer(LOWER, -9.3).model_copy(update={"brief": True})}
    )
    elsewhere = PRODUCT.model_copy(update=waiting | {"prerelaxed": answer(PRODUCT, -99.0)})
    own = answer(FIND, -9.0)
    (rival,) = lower_in_the_pool("polymorphs", FIND, own, [lower, higher, brief, elsewhere], "challenge")
    assert rival.record == lower.id
    assert rival.below == pytest.approx(0.2)


def test_a_cell_twice_as_large_is_displaced_along_a_mode_that_it_holds() -> None:
    """Copper by EMT: two atoms, moved against each other, as half a reciprocal vector has it."""
    copper = Structure.from_spacegroup(
        225, Lattice.cubic(3.61), ["Cu"], [[0, 0, 0]]
    ).get_primitive_structure()
    phonon = displaced_cells(copper, 2 * np.eye(3, dtype=int), 0.03, emt_forces)
    doubled = doubled_along_the_softest(copper, packed(phonon), 0.2)
    assert len(doubled) == 2
    assert doubled.volume == pytest.approx(2 * copper.volume)
    still = copper.copy()
    still.make_supercell(np.linalg.solve(copper.lattice.matrix.T, doubled.lattice.matrix.T).T.round())
    apart = doubled.get_distance(0, 1)
    assert apart != pytest.approx(still.get_distance(0, 1), abs=0.05)


def emt_forces(cells: Sequence[Structure]) -> list[NDArray[np.float64]]:
    found = []
    for cell in cells:
        atoms = cell.to_ase_atoms()
        atoms.calc = EMT()
        found.append(atoms.get_forces())
    return found
