"""Stress counts in a relaxation as forces do; a find is relaxed tightly and is as symmetric as its energy
says."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from niobe.config.loading import with_changes
from niobe.config.spec import CampaignSpec
from niobe.flows.oracles.base import Answer, most_stress, residual
from niobe.flows.oracles.calculation import validate_structure
from niobe.flows.oracles.force_field import ForceFieldOracle
from niobe.flows.oracles.refinement import refine, tight
from niobe.flows.oracles.registry import make_oracle
from niobe.loop.documents.records import Failure, Validation
from niobe.loop.documents.structures import relaxed_structure
from tests.benchmarks.symmetry import shaken
from tests.loop.factory import nbo, validated

SPEC = CampaignSpec.model_validate({"id": "tight", "elements": ["Au", "Cu"], "oracle": {"name": "emt"}})
SEVENNET = CampaignSpec(id="tight", elements=("Nb", "O"))
ALLOY = Structure(Lattice.tetragonal(2.75, 3.62), ["Au", "Cu"], [[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]])
quiet = pytest.mark.filterwarnings("ignore")  # of atomate2, about its own arguments


def salt(a: float) -> Structure:
    return Structure.from_spacegroup(225, Lattice.cubic(a), ["Na", "Cl"], [[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]])


@quiet
def test_strained_salt_is_not_validated_because_its_forces_vanish(tmp_path: Path) -> None:
    """By symmetry there are none on its atoms, however strained it is."""
    hurried = with_changes(SEVENNET, {"elements": ["Cl", "Na"], "oracle.max_steps": 1})
    strained = salt(5.2).get_primitive_structure()
    failure = validate_structure(hurried, make_oracle(hurried.oracle), strained, tmp_path)
    assert isinstance(failure, Failure)
    assert failure.cause == "not_converged"
    assert "stress of" in failure.message and "GPa; at most 0.5" in failure.message


@quiet
@pytest.mark.parametrize("strain", [0.04, -0.04, [0.04, -0.04, 0.02]])
def test_what_is_validated_has_no_stress_and_a_find_less(strain: float | list[float], tmp_path: Path) -> None:
    strained = ALLOY.copy()
    strained.apply_strain(strain)
    loose = validate_structure(SPEC, make_oracle(SPEC.oracle), strained, tmp_path)
    assert isinstance(loose, Validation)
    found = refine(SPEC, make_oracle(tight(SPEC)), loose, tmp_path)
    assert isinstance(found, Validation)
    assert loose.max_stress is not None and found.max_stress is not None
    assert loose.max_stress <= 0.5 and found.max_stress <= 0.1
    assert found.max_force <= 0.005
    assert found.refined is not None and found.refined.converged
    assert (found.spacegroup, found.refined.prototype) == (123, "AB_tP2_123_a_d")


@quiet
def test_what_cannot_be_relaxed_as_a_find_says_why(tmp_path: Path) -> None:
    strained = ALLOY.copy()
    strained.apply_strain(0.03)
    record = validated(strained, 0.0)
    hurried = with_changes(SPEC, {"oracle.max_steps": 2})
    assert record.validation is not None
    failure = refine(hurried, make_oracle(tight(hurried)), record.validation, tmp_path)
    assert isinstance(failure, Failure)
    assert (failure.step, failure.cause) == ("refine", "not_converged")
    assert "GPa; at most 0.1" in failure.message


@quiet
@pytest.mark.parametrize(
    ("structure", "group", "label"),
    [(nbo(), 221, "AB_cP6_221_c_d"), (salt(5.6).get_primitive_structure(), 225, "AB_cF8_225_a_b")],
)
def test_a_shaken_crystal_gets_its_group_and_prototype_back(
    structure: Structure, group: int, label: str, tmp_path: Path
) -> None:
    """Sites moved by 0.03 Å and the cell strained by up to 2 %; by 7net-0."""
    moved = shaken(structure, seed=1)
    loose = validate_structure(SEVENNET, make_oracle(SEVENNET.oracle), moved, tmp_path)
    assert isinstance(loose, Validation)
    found = refine(SEVENNET, make_oracle(tight(SEVENNET)), loose, tmp_path)
    assert isinstance(found, Validation) and found.refined is not None
    assert (found.spacegroup, found.refined.prototype) == (group, label)
    assert found.refined.symprec is not None


@dataclass(frozen=True)
class Distorted:
    """Answers without forces, ``cost`` eV/atom higher for a cell of rock salt than for any other."""

    cost: float
    fingerprint: str = "distorted"
    corrected: bool = False

    def relax(self, structure: Structure, folder: Path) -> Answer:
        return self.static([structure], folder)[0]

    def static(self, structures: Sequence[Structure], folder: Path) -> list[Answer]:
        return [
            Answer(s, len(s) * self.cost * (len(s) == 2), np.zeros((len(s), 3)), 1, stress=np.zeros((3, 3)))
            for s in structures
        ]

    def within(self, seconds: float) -> AbstractContextManager[None]:
        return nullcontext()


@pytest.mark.parametrize(("cost", "is_salt"), [(0.0005, True), (0.002, False)])
def test_symmetry_is_kept_where_its_energy_agrees(cost: float, is_salt: bool, tmp_path: Path) -> None:
    """A conventional cell of salt, sites moved by 0.03 Å: at a loose tolerance rock salt of two sites."""
    moves = np.random.default_rng(3).normal(size=(8, 3))
    moved = salt(5.6)
    for site, move in enumerate(0.03 * moves / np.linalg.norm(moves, axis=1, keepdims=True)):
        moved.translate_sites(site, move, frac_coords=False)
    validation = validated(moved, 0.0).validation
    assert validation is not None
    found = refine(SPEC, Distorted(cost), validation, tmp_path)
    assert isinstance(found, Validation) and found.refined is not None
    assert (found.spacegroup == 225) is is_salt
    assert found.refined.symprec is not None
    assert found.refined.symmetry_cost == pytest.approx(cost if is_salt else 0.0)


def test_an_oracle_that_knows_no_stress_is_believed() -> None:
    answer = Answer(nbo(), 0.0, np.zeros((6, 3)), 1)
    assert (answer.max_stress, residual(answer, 0.03)) == (None, "")
    assert (most_stress(0.03), most_stress(0.005)) == (0.5, 0.1)


@quiet
def test_static_answers_have_the_stress_in_gigapascal(tmp_path: Path) -> None:
    """Against the slope of energy over volume, by EMT."""
    oracle = ForceFieldOracle(SPEC.oracle)
    cells = [ALLOY.copy() for _ in range(3)]
    for cell, factor in zip(cells, (1.0, 0.999, 1.001), strict=True):
        cell.scale_lattice(ALLOY.volume * factor)
    middle, less, more = oracle.static(cells, tmp_path)
    pressure = -(more.energy - less.energy) / (0.002 * ALLOY.volume) * 160.2177
    assert middle.stress is not None
    assert abs(np.trace(middle.stress) / 3) == pytest.approx(abs(pressure), rel=1e-2)


def test_records_of_before_read_as_they_were() -> None:
    record = validated(nbo(), -9.5)
    assert record.validation is not None
    old = record.model_dump(mode="json")
    del old["validation"]["refined"], old["validation"]["max_stress"]
    again = type(record).model_validate(old)
    assert again.validation is not None
    assert (again.validation.refined, again.validation.max_stress) == (None, None)
    assert len(relaxed_structure(again)) == 6
