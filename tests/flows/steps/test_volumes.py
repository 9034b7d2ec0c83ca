"""A crystal at several volumes: one supercell for all of them, and one crystal."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pymatgen.core import Lattice, Structure

from niobe.config.spec import CampaignSpec, Oracle
from niobe.flows.oracles.force_field import ForceFieldOracle
from niobe.flows.steps.claims.volumes import _Crystal, is_same_cell, strained
from niobe.loop.stability import force_constants
from niobe.loop.stability.force_constants import Forces
from niobe.loop.stability.quasi_harmonic import OtherCrystalError, grid
from niobe.loop.stability.supercells import supercell_matrix

pytestmark = pytest.mark.filterwarnings("ignore")  # of monty, ASE and spglib under jobflow's run_locally
COPPER = Structure(Lattice.cubic(3.6), ["Cu"] * 4, [[0.0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
SPEC = CampaignSpec.model_validate(
    {
        "id": "t",
        "elements": ["Cu"],
        "oracle": {"name": "emt"},
        "phonons": {"min_length": 5.0, "confirm_length": 5.06},
    }
)


def test_energies_are_on_the_scale_that_their_fingerprint_names(tmp_path: Path) -> None:
    """MP2020 takes 0.687 eV of each oxide ion (MP2020Compatibility.yaml), at every volume the same."""
    oracle = ForceFieldOracle(Oracle(name="7net-0"))
    sites = [[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]]
    cells = [Structure(np.array([[0, a, a], [a, 0, a], [a, a, 0]]), ["Mg", "O"], sites) for a in (2.1, 2.2)]
    crystal = _Crystal(SPEC, oracle, cells[0], tmp_path, [300.0])
    found = [crystal._correction(answer) for answer in oracle.static(cells, tmp_path)]
    assert found == pytest.approx([-0.687 / 2] * 2)


def test_free_energies_of_all_volumes_are_of_one_supercell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At 0.97 of the volume 2 × 2 × 2 primitive cells are 5.04 Å wide, at its own 5.09 Å."""
    cells = [COPPER.get_primitive_structure() for _ in range(2)]
    cells[0].scale_lattice(0.97 * cells[0].volume)
    small, wide = (abs(np.linalg.det(supercell_matrix(cell, 5.06, 256))) for cell in cells)
    assert small > wide  # each by itself would have its own
    used = []
    displaced = force_constants.displaced

    def seen(primitive: Structure, matrix: NDArray[np.int64], distance: float, forces: Forces) -> object:
        used.append(matrix.tolist())
        return displaced(primitive, matrix, distance, forces)

    monkeypatch.setattr(force_constants, "displaced", seen)
    points = strained(SPEC, COPPER, tmp_path, grid(300.0))
    assert len(points) >= 7 and len(used) == len(points)
    assert all(matrix == used[0] for matrix in used)
    free = np.array([point.harmonic.free_energy[-1] for point in points])
    assert (np.diff(free) < 0).all() and np.ptp(np.diff(free, 2)) < 2e-3  # softer when larger, no jump


def test_another_crystal_at_a_volume_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    relax = ForceFieldOracle.relax_at_volume

    def sheared(oracle: ForceFieldOracle, structure: Structure, folder: Path) -> object:
        lattice = structure.lattice.matrix @ np.diag([1.25, 0.8, 1.0])
        other = Structure(lattice, structure.species, structure.frac_coords)
        return replace(relax(oracle, structure, folder), structure=other)

    assert is_same_cell(COPPER, COPPER * (1, 1, 1)) and not is_same_cell(COPPER, COPPER * (2, 1, 1))
    monkeypatch.setattr(ForceFieldOracle, "relax_at_volume", sheared)
    with pytest.raises(OtherCrystalError, match=r"at 0\.97 of its volume it relaxes into another crystal"):
        strained(SPEC, COPPER, tmp_path, grid(300.0))
