"""``python -m tests.benchmarks.phonons.cost``: a phonon verdict beside phonopy alone with the same cells."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from pymatgen.core import Structure

from niobe.config.spec import CampaignSpec
from niobe.flows.oracles.calculation import phonons
from niobe.flows.oracles.potentials import potential
from niobe.flows.oracles.registry import make_oracle
from niobe.loop.documents.records import Failure
from tests.benchmarks.phonons.textbook import TEXTBOOK
from tests.benchmarks.publish import publish

CRYSTALS = ("Si diamond", "MgO rocksalt", "Ti hcp", "SrTiO3 cubic", "ZnO wurtzite", "SiO2 α-quartz")
NAME = "7net-0"


def main() -> None:
    started = time.monotonic()
    by_name = {entry.name: entry.structure() for entry in TEXTBOOK}
    with TemporaryDirectory() as work:
        _row("warm up", by_name["Si diamond"], Path(work))
        rows = [_row(name, by_name[name], Path(work)) for name in CRYSTALS]
    ratio = sum(row["verdict, s"] for row in rows) / sum(row["phonopy alone, s"] for row in rows)
    rows.append({"crystal": "all", "atoms × displacements": "", **_sums(rows), "ratio": ratio})
    publish(
        "phonons-cost",
        page="potentials",
        title="What a phonon verdict costs beside phonopy alone",
        command="python -m tests.benchmarks.phonons.cost",
        rows=rows,
        seconds=time.monotonic() - started,
        headline=f"a phonon verdict takes {ratio:.2f} times phonopy alone with the same cells",
        notes=[
            f"processor seconds with {NAME}; the verdict relaxes first, which phonopy alone does not; "
            "both have forces, force constants, bands and density of states; the verdict keeps them",
        ],
    )


def _sums(rows: list[dict[str, Any]]) -> dict[str, float]:
    return {key: sum(row[key] for row in rows) for key in ("verdict, s", "phonopy alone, s")}


def _row(name: str, structure: Structure, work: Path) -> dict[str, Any]:
    elements = tuple(sorted({site.specie.symbol for site in structure}))
    spec = CampaignSpec(id="cost", elements=elements, prerelax=None)
    judge = make_oracle(spec.phonon_oracle)
    relaxed = judge.relax(structure, work).structure
    begun = time.process_time()
    found = phonons(spec, judge, relaxed, work)
    verdict = time.process_time() - begun
    if isinstance(found, Failure):
        raise RuntimeError(f"{name}: {found.message}")
    shown = found[0].bands
    begun = time.process_time()
    shape = alone(Structure.from_dict(shown["structure"]), np.array(shown["supercell_matrix"]))
    bare = time.process_time() - begun
    return {
        "crystal": name,
        "atoms × displacements": shape,
        "verdict, s": verdict,
        "phonopy alone, s": bare,
        "ratio": verdict / bare,
    }


def alone(primitive: Structure, matrix: Any) -> str:
    """Forces, force constants, bands and density of states by phonopy and ASE; the size of it."""
    from ase import Atoms
    from phonopy import Phonopy
    from pymatgen.io.phonopy import get_phonopy_structure

    phonon = Phonopy(
        get_phonopy_structure(primitive), supercell_matrix=matrix.T, primitive_matrix=np.eye(3), log_level=0
    )
    phonon.generate_displacements(distance=0.03)
    forces = []
    for cell in phonon.supercells_with_displacements or []:
        atoms = Atoms(cell.symbols, scaled_positions=cell.scaled_positions, cell=cell.cell, pbc=True)
        atoms.calc = potential(NAME)
        forces.append(atoms.get_forces())
    phonon.forces = np.array(forces)
    phonon.produce_force_constants()
    phonon.symmetrize_force_constants()
    phonon.auto_band_structure(npoints=21)
    phonon.run_mesh(20.0)
    phonon.run_total_dos()
    return f"{len(forces[0])} × {len(forces)}"


if __name__ == "__main__":
    main()
