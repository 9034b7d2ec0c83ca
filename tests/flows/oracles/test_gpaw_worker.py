"""What GPAW's program asks of GPAW: no run twice, and bands for electrons to leave their own for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pymatgen.core import Structure

from niobe.flows.oracles.gpaw import worker
from niobe.flows.oracles.gpaw.oracle import GpawOracle
from niobe.flows.oracles.gpaw.protocols import PROTOCOLS
from tests.flows.oracles.test_gpaw import SPEC, aluminium, needs_gpaw

ELECTRONS = 10
"""Of barium's dataset: as many as fill its five bands."""


@pytest.mark.parametrize(
    ("protocol", "grown", "again"),
    [("balanced", 1.001, False), ("balanced", 0.9, True), ("fast", 1.001, True)],
)
def test_the_energy_of_a_last_step_that_was_a_static_run_is_asked_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, protocol: str, grown: float, again: bool
) -> None:
    """Where neither mesh nor cutoff differ; a cell that shrank has another mesh."""
    asked: list[Any] = []

    def relax(task: Any, atoms: Any, folder: Path) -> dict[str, Any]:
        atoms.set_cell(atoms.cell * grown, scale_atoms=True)
        atoms.calc = Answers()
        return {"steps": 1, "forces": [[0.0] * 3], "stress": [0.0] * 6}

    def lowest(task: Any, content: Any, folder: Path) -> dict[str, Any]:
        asked.append(content)
        return {
            "which": 0,
            "energy": -2.0,
            "forces": [[9.0] * 3],
            **worker._place(worker._atoms(content, None)),
        }

    monkeypatch.setattr(worker, "_relax", relax)
    monkeypatch.setattr(worker, "_lowest", lowest)
    content = GpawOracle(SPEC.oracle)._content(aluminium())
    task = {"structures": [content], "protocol": PROTOCOLS[protocol].settings()}
    found = worker._relaxed(task, tmp_path)
    (answer,) = found["answers"]
    assert bool(asked) is again
    assert answer["energy"] == (-2.0 if again else -1.0)
    assert answer["forces"] == [[0.0] * 3]
    assert np.allclose(answer["cell"], np.array(content["cell"]) * grown)


class Answers:
    """A calculator that has converged."""

    def get_potential_energy(self, atoms: Any) -> float:
        return -1.0


@needs_gpaw
def test_an_alkaline_earth_metal_has_bands_to_conduct_in(tmp_path: Path) -> None:
    """GPAW's own number for barium leaves none empty, and its energy 0.18 eV too high."""
    cell = np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]]) * 5.02 / 2
    GpawOracle(SPEC.oracle).static([Structure(cell, ["Ba"], np.zeros((1, 3)))], tmp_path)
    said = (tmp_path / "static" / "gpaw.txt").read_bytes().decode(errors="replace")
    (bands,) = map(int, re.findall(r"^Bands: +(\d+)$", said, re.MULTILINE))
    assert bands == ELECTRONS // 2 + 4 + 1
