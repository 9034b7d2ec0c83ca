"""``python -m tests.benchmarks.phonons.cost``: a phonon verdict beside phonopy alone with the same cells."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from pymatgen.core import Structure

from niobe.config.spec import CampaignSpec
from niobe.flows.oracles.base import Oracle
from niobe.flows.oracles.calculation import phonons
from niobe.flows.oracles.potentials import potential
from niobe.flows.oracles.registry import make_oracle
from niobe.loop.documents.records import Failure
from niobe.loop.stability.anharmonic.wells import softest_well
from niobe.loop.stability.force_constants import loaded
from niobe.loop.stability.phonons import Dynamics
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
    summed = _sums(rows)
    ratio = (summed["verdict, s"] - summed["of it the well, s"]) / summed["phonopy alone, s"]
    apart = max(row["force constants apart"] for row in rows)
    known = {"crystal": "all", "atoms × displacements": "", "ratio": ratio, "force constants apart": apart}
    rows.append({key: (known | summed)[key] for key in rows[0]})
    publish(
        "phonons-cost",
        page="potentials",
        title="What a phonon verdict costs beside phonopy alone",
        command="python -m tests.benchmarks.phonons.cost",
        rows=rows,
        seconds=time.monotonic() - started,
        headline=f"a phonon verdict takes {ratio:.2f} times phonopy alone with the same cells; "
        f"kept force constants lie {apart:.0e} of the largest from phonopy's",
        notes=[
            f"processor seconds with {NAME}; the verdict relaxes first, which phonopy alone does not; "
            "both have forces, those of the relaxed cell subtracted, force constants, bands and density of "
            "states; the verdict keeps them",
            "ratio: without the scan along a soft mode, in cells that phonopy alone does not ask for",
            "force constants apart: largest difference of what the verdict keeps, read again, from "
            "phonopy's, as a share of the largest",
        ],
    )


def _sums(rows: list[dict[str, Any]]) -> dict[str, float]:
    return {
        key: sum(row[key] for row in rows) for key in ("verdict, s", "of it the well, s", "phonopy alone, s")
    }


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
    shown, well = found[0].bands, _seconds_of_well(found[0], judge, work)
    begun = time.process_time()
    shape, own = alone(Structure.from_dict(shown["structure"]), np.array(shown["supercell_matrix"]))
    bare = time.process_time() - begun
    apart = np.abs(loaded(shown["phonopy"]).force_constants - own).max() / np.abs(own).max()
    return {
        "crystal": name,
        "atoms × displacements": shape,
        "verdict, s": verdict,
        "of it the well, s": well,
        "phonopy alone, s": bare,
        "ratio": (verdict - well) / bare,
        "force constants apart": float(apart),
    }


def _seconds_of_well(found: Dynamics, judge: Oracle, work: Path) -> float:
    """What the scan along a soft mode takes, which phonopy alone does not do: once more."""
    begun = time.process_time()
    if found.modes and found.primitive:
        softest_well(found.primitive, found.modes, lambda cells: _energies(judge, cells, work))
    return time.process_time() - begun


def _energies(judge: Oracle, cells: Sequence[Structure], work: Path) -> list[float]:
    return [answer.energy_per_atom for answer in judge.static(cells, work)]


def alone(primitive: Structure, matrix: Any) -> tuple[str, Any]:
    """Forces, force constants, bands and density of states by phonopy and ASE; the size of it, and the force
    constants (eV/Å²)."""
    from ase import Atoms
    from phonopy import Phonopy
    from pymatgen.io.phonopy import get_phonopy_structure

    phonon = Phonopy(
        get_phonopy_structure(primitive), supercell_matrix=matrix.T, primitive_matrix=np.eye(3), log_level=0
    )
    phonon.generate_displacements(distance=0.03)
    forces = []
    for cell in [phonon.unitcell, *(phonon.supercells_with_displacements or [])]:
        atoms = Atoms(cell.symbols, scaled_positions=cell.scaled_positions, cell=cell.cell, pbc=True)
        atoms.calc = potential(NAME)
        forces.append(atoms.get_forces())
    residual = np.repeat(forces.pop(0), round(np.linalg.det(matrix)), axis=0)
    phonon.forces = np.array(forces) - residual
    phonon.produce_force_constants(calculate_full_force_constants=False)
    phonon.symmetrize_force_constants()
    phonon.auto_band_structure(npoints=21)
    phonon.run_mesh(20.0)
    phonon.run_total_dos()
    return f"{len(forces[0])} × {len(forces)}", np.array(phonon.force_constants)


if __name__ == "__main__":
    main()
