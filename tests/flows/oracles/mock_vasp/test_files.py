"""The files mock-vasp leaves are read by everybody's parsers, without a warning, and say what was asked."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pymatgen.core import Structure
from pymatgen.io.vasp import Oszicar, Outcar, Poscar, Vasprun

from niobe.flows.oracles.mock_vasp import VERSION
from tests.flows.oracles.mock_vasp.machine import RELAX, cuau, direct, mock_vasp, prepare, run_here

# a made-up POTCAR is not among those that pymatgen knows, as it should be
pytestmark = pytest.mark.filterwarnings("ignore::pymatgen.io.vasp.inputs.UnknownPotcarWarning")


@pytest.fixture(scope="module")
def relaxed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished relaxation with Lennard-Jones."""
    folder = prepare(tmp_path_factory.mktemp("relaxed"), cuau(), RELAX)
    answer = mock_vasp(folder)
    assert answer.returncode == 0, answer.stderr
    return folder


def test_vasprun_says_what_the_potential_says(relaxed: Path) -> None:
    run = Vasprun(relaxed / "vasprun.xml")
    assert run.converged
    assert run.final_structure.composition.formula == "Cu1 Au1"
    for step in (run.ionic_steps[0], run.ionic_steps[-1]):
        energy, forces, stress = direct(step["structure"], "lj")
        assert step["e_0_energy"] == pytest.approx(energy, abs=1e-6)
        assert np.allclose(step["forces"], forces, atol=1e-5)
        assert np.allclose(step["stress"], -1602.1766208 * stress, atol=1e-2)  # kB, positive in compression
    assert np.abs(run.ionic_steps[-1]["forces"]).max() < 0.02
    assert run.ionic_steps[-1]["e_0_energy"] < run.ionic_steps[0]["e_0_energy"]
    assert run.eigenvalue_band_properties[0] == pytest.approx(1.0)
    assert run.get_band_structure(efermi="smart").get_band_gap()["energy"] == pytest.approx(1.0)
    assert run.complete_dos.efermi == 0.0


def test_outcar_oszicar_and_contcar_agree_with_vasprun(relaxed: Path) -> None:
    run = Vasprun(relaxed / "vasprun.xml")
    outcar, oszicar = Outcar(relaxed / "OUTCAR"), Oszicar(relaxed / "OSZICAR")
    assert outcar.final_energy == pytest.approx(run.final_energy, abs=1e-6)
    assert oszicar.final_energy == pytest.approx(run.final_energy, rel=1e-6)
    assert len(oszicar.ionic_steps) == len(run.ionic_steps)
    assert [moment["tot"] for moment in outcar.magnetization] == [0.6, 0.6]
    assert "reached required accuracy" in (relaxed / "OUTCAR").read_text(encoding="utf-8")
    final = Poscar.from_file(relaxed / "CONTCAR").structure
    assert np.allclose(final.lattice.matrix, run.final_structure.lattice.matrix, atol=1e-6)


def test_ase_and_phonopy_read_it(relaxed: Path, tmp_path: Path) -> None:
    import ase.io

    images = ase.io.read(relaxed / "vasprun.xml", index=":", format="vasp-xml")
    energy, forces, stress = direct(cuau(), "lj")
    assert images[0].get_potential_energy() == pytest.approx(energy, abs=1e-6)
    assert np.allclose(images[0].get_forces(), forces, atol=1e-6)
    assert np.allclose(images[0].get_stress(voigt=False), stress, atol=1e-5)
    assert len(ase.io.read(relaxed / "XDATCAR", index=":", format="vasp-xdatcar")) == len(images)


def phonopy_init(folder: Path, *arguments: str) -> str:
    """``phonopy-init``, which phonopy before version 4 calls ``phonopy``."""
    folder_of_scripts = str(Path(sys.executable).parent)
    program = shutil.which("phonopy-init", path=folder_of_scripts) or f"{folder_of_scripts}/phonopy"
    answer = subprocess.run([program, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "arning" not in answer.stderr
    return answer.stdout


def test_phonopy_init_collects_the_forces(tmp_path: Path) -> None:
    cuau().to(str(tmp_path / "POSCAR"), fmt="poscar")
    phonopy_init(tmp_path, "-d", "--dim", "2", "2", "1", "-c", "POSCAR")
    files = []
    for number, poscar in enumerate(sorted(tmp_path.glob("POSCAR-*"))):
        supercell = Structure.from_str(poscar.read_text(encoding="utf-8"), fmt="poscar")
        folder = prepare(tmp_path / str(number), supercell, {"NSW": 0}, "1 1 1")
        run_here(folder)
        files.append(str(folder / "vasprun.xml"))
    assert len(files) > 1
    phonopy_init(tmp_path, "-f", *files)
    assert (tmp_path / "FORCE_SETS").is_file()


# emmet's symmetry search still goes through spglib's old error handling
@pytest.mark.filterwarnings("ignore:Set OLD_ERROR_HANDLING:DeprecationWarning")
def test_emmet_makes_a_task_document(relaxed: Path, tmp_path: Path) -> None:
    from emmet.core.tasks import TaskDoc

    folder = Path(shutil.copytree(relaxed, tmp_path / "copy"))
    document = TaskDoc.from_directory(folder)
    assert document.state == "successful"
    assert str(document.task_type) == "Structure Optimization"
    assert str(document.run_type) == "GGA"
    assert document.vasp_version.startswith(VERSION)


def test_every_file_says_that_it_is_a_mock(relaxed: Path) -> None:
    for name in ("vasprun.xml", "OUTCAR", "CONTCAR", "XDATCAR", "POTCAR"):
        assert "mock" in (relaxed / name).read_text(encoding="utf-8").lower(), name
    assert Vasprun(relaxed / "vasprun.xml").potcar_symbols[0].endswith("MOCK-NO-PSEUDOPOTENTIAL")
    assert (relaxed / "CHGCAR").stat().st_size == 0
    assert (relaxed / "WAVECAR").stat().st_size == 0
