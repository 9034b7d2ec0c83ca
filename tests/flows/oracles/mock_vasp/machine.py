"""A machine of its own for mock-vasp: a working folder, made-up POTCARs, and the commands that find them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from niobe.flows.oracles.mock_vasp.main import run
from niobe.flows.oracles.mock_vasp.potcars import potcar

ROOT = Path(__file__).parents[4]
COMMAND = f"{sys.executable} -c 'from niobe.flows.oracles.mock_vasp.main import main; main()'"
RELAX = {"ISPIN": 2, "MAGMOM": "2*0.6", "IBRION": 2, "ISIF": 3, "NSW": 60, "EDIFFG": -0.02, "NELM": 60}


def cuau() -> Structure:
    """L1₀ CuAu, strained and with one site moved."""
    return Structure(Lattice.tetragonal(2.9, 3.6), ["Cu", "Au"], np.array([[0, 0, 0], [0.5, 0.5, 0.53]]))


def prepare(
    folder: Path,
    structure: Structure,
    incar: Mapping[str, Any],
    kpoints: str = "3 3 3",
    potcars: Mapping[str, str] | None = None,
) -> Path:
    """A working folder as an input set would leave it. potcars: names other than the element's."""
    folder.mkdir(parents=True, exist_ok=True)
    structure.to(str(folder / "POSCAR"), fmt="poscar")
    lines = "".join(f"{tag} = {value}\n" for tag, value in incar.items())
    (folder / "INCAR").write_text(lines, encoding="utf-8")
    (folder / "KPOINTS").write_text(f"mesh\n0\nGamma\n{kpoints}\n", encoding="utf-8")
    species = list(dict.fromkeys(site.specie.symbol for site in structure))
    text = "".join(potcar((potcars or {}).get(symbol, symbol)) for symbol in species)
    (folder / "POTCAR").write_text(text, encoding="utf-8")
    return folder


def environment(potential: str, **more: str) -> dict[str, str]:
    return os.environ | {"MOCK_VASP_POTENTIAL": potential, "PYTHONPATH": str(ROOT)} | more


def mock_vasp(folder: Path, potential: str = "lj", **more: str) -> subprocess.CompletedProcess[str]:
    """Run the program in ``folder``."""
    return subprocess.run(
        COMMAND,
        shell=True,
        cwd=folder,
        env=environment(potential, **more),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def run_here(folder: Path, potential: str = "lj") -> None:
    """Run the program's own function in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOCK_VASP_POTENTIAL", potential)
        run(folder)


def direct(structure: Structure, name: str) -> tuple[float, Any, Any]:
    """Energy (eV), forces (eV/Å) and stress (eV/Å³, (3, 3)) of the potential itself."""
    from pymatgen.io.ase import AseAtomsAdaptor

    from niobe.flows.oracles.potentials import potential

    atoms = AseAtomsAdaptor.get_atoms(structure, msonable=False)
    atoms.calc = potential(name)
    return atoms.get_potential_energy(), np.array(atoms.get_forces()), atoms.get_stress(voigt=False)
