"""``python -m tests.benchmarks.phonons.cells``: supercells before and after, and what a verdict costs."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from pymatgen.core import Lattice, Structure

from niobe.config.spec import Phonons
from niobe.loop.documents.structures import symmetrised
from niobe.loop.stability.supercells import (
    ZONE_BOUNDARY,
    NoSupercellError,
    holds_point,
    image_distance,
    supercell_matrix,
)
from tests.benchmarks.phonons.crystals import by_edges, phonondb
from tests.benchmarks.publish import publish

SETTINGS = Phonons()


def main() -> None:
    started = time.monotonic()
    cells = [symmetrised(crystal.structure) for crystal in phonondb(100)]
    found = [(cell, _chosen(cell)) for cell in cells]
    both = [(cell, matrix) for cell, matrix in found if matrix is not None]
    rows = [
        _row("before, by edges, of all", [(cell, by_edges(cell, SETTINGS.min_length)) for cell in cells]),
        _row("before, of those with a cell now", [(c, by_edges(c, SETTINGS.min_length)) for c, _ in both]),
        _row("now", both),
    ]
    publish(
        "phonons-cells",
        page="potentials",
        title="Supercells of phonon verdicts",
        command="python -m tests.benchmarks.phonons.cells",
        rows=rows,
        seconds=time.monotonic() - started,
        headline="of 100 PhononDB crystals {2[crystals]} have a supercell, on average of {2[atoms]} atoms",
        notes=[
            "100 drawn of dev_phonon_labels.parquet; images at least 7.5 Å apart, at most 256 atoms now",
            "holds: Γ and the seven halves of reciprocal vectors are exact in the supercell",
        ],
    )


def _chosen(cell: Structure) -> Any:
    try:
        return supercell_matrix(cell, SETTINGS.min_length, SETTINGS.max_supercell_atoms)
    except NoSupercellError:
        return None


def _row(name: str, cells: list[tuple[Structure, Any]]) -> dict[str, Any]:
    atoms = [len(cell) * round(abs(np.linalg.det(matrix))) for cell, matrix in cells]
    images = [image_distance(Lattice(matrix @ cell.lattice.matrix)) for cell, matrix in cells]
    held = [all(holds_point(matrix, q) for q in ZONE_BOUNDARY) for _, matrix in cells]
    return {
        "supercells": name,
        "crystals": len(cells),
        "atoms": round(float(np.mean(atoms)), 1),
        "nearest image, Å": float(min(images)),
        "images under 7.5 Å": sum(image < SETTINGS.min_length - 1e-6 for image in images),
        "holds the zone boundary": sum(held),
    }


if __name__ == "__main__":
    main()
