"""The VASP oracle through unmodified atomate2, custodian and emmet, with mock-vasp for VASP."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pymatgen.core import SETTINGS, Lattice, Structure
from pymatgen.io.vasp.inputs import Incar

from niobe.config.errors import ConfigError
from niobe.config.spec import CampaignSpec, Oracle
from niobe.flows.oracles.base import NotConvergedError, correction_of
from niobe.flows.oracles.calculation import phonons, validate_structure
from niobe.flows.oracles.force_field import ForceFieldOracle
from niobe.flows.oracles.registry import check_machine, make_oracle
from niobe.flows.oracles.vasp import VaspOracle, require_finished, run_parameters
from niobe.loop.crystals.symmetry import antiferromagnetic
from niobe.loop.documents.records import Validation
from niobe.loop.documents.structures import symmetrised
from niobe.loop.stability.corrections import mp2020_correction, scheme
from tests.flows.oracles.mock_vasp.fixtures import UseMock
from tests.flows.oracles.mock_vasp.machine import RELAX, cuau, prepare, run_here

pytestmark = [
    # a made-up POTCAR is not among those that pymatgen knows, as it should be
    pytest.mark.filterwarnings("ignore::pymatgen.io.vasp.inputs.UnknownPotcarWarning"),
    # and Materials Project relaxes metals with the tetrahedron method
    pytest.mark.filterwarnings("ignore::pymatgen.io.vasp.sets.BadInputSetWarning"),
    # emmet's and pymatgen's symmetry search still go through spglib's old error handling
    pytest.mark.filterwarnings("ignore:Set OLD_ERROR_HANDLING:DeprecationWarning"),
    # what is not converged is said by both, to be mended
    pytest.mark.filterwarnings("ignore::pymatgen.io.vasp.outputs.UnconvergedVASPWarning"),
    # atomate2's force-field Makers, of their own arguments
    pytest.mark.filterwarnings("ignore:`task_document_kwargs`:DeprecationWarning"),
    # jobflow's local manager
    pytest.mark.filterwarnings("ignore:cd is deprecated:FutureWarning"),
]
SPEC = CampaignSpec(
    id="v",
    elements=("Au", "Cu"),
    oracle=Oracle(name="vasp", wall_time=120, retries=0),
    phonons={"min_length": 4.0},  # type: ignore[arg-type]
)

MIDDLE = np.array([[0, 0, 0], [0.5, 0.5, 0.5]])


def swapped() -> Structure:
    """CuAu with the sites in the order in which no input set writes them, one moved."""
    return Structure(Lattice.tetragonal(2.9, 3.6), ["Au", "Cu"], np.array([[0, 0, 0], [0.5, 0.5, 0.52]]))


def test_it_equals_the_force_field_oracle_of_the_same_potential(use_mock: UseMock, tmp_path: Path) -> None:
    use_mock("lj")
    outcomes = []
    for oracle in (make_oracle(SPEC.oracle), ForceFieldOracle(Oracle(name="lj"))):
        found = validate_structure(SPEC, oracle, swapped(), tmp_path)
        assert isinstance(found, Validation), found
        vibrations = phonons(SPEC, oracle, Structure.from_dict(found.structure), tmp_path)
        assert isinstance(vibrations, tuple), vibrations
        outcomes.append((found, vibrations[0].verdict))
    (ours, our_verdict), (theirs, their_verdict) = outcomes
    assert ours.energy_per_atom == pytest.approx(theirs.energy_per_atom, abs=1e-3)
    assert ours.spacegroup == theirs.spacegroup == 123
    assert our_verdict.outcome is their_verdict.outcome
    assert our_verdict.lowest_frequency == pytest.approx(their_verdict.lowest_frequency, abs=0.1)
    assert ours.oracle.startswith("mock-vasp 6.0.0-mock lj-")


def test_the_mock_of_a_raw_potential_is_corrected_by_what_its_run_says(
    use_mock: UseMock, tmp_path: Path
) -> None:
    use_mock("7net-0")
    oracle, force_field = VaspOracle(Oracle(name="vasp")), ForceFieldOracle(Oracle(name="7net-0"))
    structure = Structure(np.array([[0, 2.2, 2.2], [2.2, 0, 2.2], [2.2, 2.2, 0]]), ["Mn", "O"], MIDDLE)
    (answer,) = oracle.static([structure], tmp_path / "mock")
    (expected,) = force_field.static([structure], tmp_path / "field")
    assert answer.parameters is not None and answer.parameters["run_type"] == "GGA+U"
    # MP2020Compatibility.yaml: -1.668 eV for each Mn with U, -0.687 for each oxide ion
    assert correction_of(oracle, answer) == pytest.approx((-1.668 - 0.687) / 2)
    assert correction_of(oracle, answer) == pytest.approx(correction_of(force_field, expected))
    assert answer.energy == pytest.approx(expected.energy, abs=1e-4)
    assert oracle.fingerprint.startswith("mock-vasp") and oracle.fingerprint.endswith(scheme())


def test_answers_keep_the_order_of_sites(use_mock: UseMock, tmp_path: Path) -> None:
    use_mock("lj")
    (answer,) = VaspOracle(SPEC.oracle).static([swapped()], tmp_path)
    (expected,) = ForceFieldOracle(Oracle(name="lj")).static([swapped()], tmp_path)
    assert [site.specie.symbol for site in answer.structure] == ["Au", "Cu"]
    assert np.allclose(answer.forces, expected.forces, atol=1e-6)
    assert answer.energy == pytest.approx(expected.energy, abs=1e-6)


def test_nothing_is_known_of_vasp_before_it_answers() -> None:
    with pytest.raises(RuntimeError, match="not answered yet"):
        _ = VaspOracle(SPEC.oracle).fingerprint


def document(folder: Path, structure: Structure, incar: dict[str, Any], **potcars: str) -> Any:
    """The task document emmet makes of one run."""
    from emmet.core.tasks import TaskDoc

    run_here(prepare(folder, structure, incar, potcars=potcars))
    return TaskDoc.from_directory(folder)


def test_a_soft_stop_is_successful_to_emmet_and_not_converged_to_us(tmp_path: Path) -> None:
    finished = document(tmp_path / "a", cuau(), RELAX)
    require_finished(finished, Oracle(name="vasp", fmax=0.03))
    with pytest.raises(NotConvergedError, match="largest force"):
        require_finished(finished, Oracle(name="vasp", fmax=1e-9))
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "STOPCAR").write_text("LSTOP = .TRUE.", encoding="utf-8")
    stopped = document(tmp_path / "b", finished.output.structure, RELAX | {"EDIFFG": -1e-9})
    assert stopped.state == "successful"
    with pytest.raises(NotConvergedError, match="does not say"):
        require_finished(stopped, Oracle(name="vasp", fmax=1.0))


def test_real_energies_get_mp2020_corrections(tmp_path: Path) -> None:
    oxide = Structure.from_spacegroup(225, Lattice.cubic(4.2), ["Mg", "O"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    answer = document(tmp_path / "MgO", oxide, {"NSW": 0, "LASPH": True}, Mg="Mg_pv")
    # MP2020Compatibility.yaml: -0.687 eV for each oxide ion
    assert mp2020_correction(answer.output.structure, run_parameters(answer)) == pytest.approx(-0.687 * 4)


def test_a_machine_that_cannot_run_vasp_is_told_what_is_missing(
    use_mock: UseMock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use_mock("lj")
    check_machine(SPEC)
    with pytest.raises(ConfigError, match="no POTCAR for Po"):
        check_machine(SPEC.model_copy(update={"elements": ("Po",)}))
    monkeypatch.setitem(SETTINGS, "PMG_VASP_PSP_DIR", str(tmp_path))
    with pytest.raises(ConfigError, match="no POTCAR of Au"):
        check_machine(SPEC)
    monkeypatch.setitem(SETTINGS, "PMG_VASP_PSP_DIR", None)
    with pytest.raises(ConfigError, match="PMG_VASP_PSP_DIR=''"):
        check_machine(SPEC)
    monkeypatch.setenv("ATOMATE2_VASP_GAMMA_CMD", "/nowhere/vasp_gam")
    with pytest.raises(ConfigError, match="ATOMATE2_VASP_GAMMA_CMD='/nowhere/vasp_gam': no such program"):
        check_machine(SPEC)


def incar(folder: Path) -> Incar:
    """Of the only run below a folder."""
    (file,) = folder.rglob("INCAR.gz")
    return Incar.from_str(gzip.decompress(file.read_bytes()).decode())


def test_forces_of_displaced_cells_are_smeared_and_energies_by_tetrahedra(
    use_mock: UseMock, tmp_path: Path
) -> None:
    use_mock("lj")
    oracle = VaspOracle(SPEC.oracle)
    oracle.static([swapped()], tmp_path / "energy")
    oracle.displaced([swapped()], tmp_path / "forces")
    assert incar(tmp_path / "energy")["ISMEAR"] == -5
    assert {"ISMEAR": 0, "SIGMA": 0.05, "EDIFF": 1e-7}.items() <= incar(tmp_path / "forces").items()


def test_an_antiferromagnet_stays_one_after_its_relaxation(use_mock: UseMock, tmp_path: Path) -> None:
    use_mock("lj")
    oracle, nickel = VaspOracle(SPEC.oracle), Structure(Lattice.tetragonal(2.9, 3.6), ["Ni", "Ni"], MIDDLE)
    nickel.add_site_property("magmom", [5.0, -5.0])
    relaxed = oracle.relax(nickel, tmp_path / "relax").structure
    kept = symmetrised(relaxed)
    assert antiferromagnetic(kept) and kept == relaxed
    oracle.static([kept], tmp_path / "static")
    assert incar(tmp_path / "static")["MAGMOM"] == [5.0, -5.0]
    nickel.add_site_property("magmom", [5.0, 4.0])
    assert not antiferromagnetic(nickel) and len(symmetrised(nickel)) == 1


def test_what_the_user_changes_in_every_incar_is_in_the_fingerprint(
    use_mock: UseMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_mock("lj")
    plain, changed = VaspOracle(SPEC.oracle), VaspOracle(SPEC.oracle)
    plain._version = changed._version = "6.4.3"
    before = plain.fingerprint
    assert before == f"VASP 6.4.3 MP PBE/PBE+U, {scheme()}"
    monkeypatch.setenv("ATOMATE2_VASP_INCAR_UPDATES", '{"ENCUT": 600, "ALGO": "All"}')
    assert changed.fingerprint == f"VASP 6.4.3 MP PBE/PBE+U with ALGO=All ENCUT=600, {scheme()}"


def test_r2scan_by_its_name(use_mock: UseMock, tmp_path: Path) -> None:
    """Relaxed by PBEsol first, then by r2SCAN, as Materials Project does; MP2020 has no part in it."""
    use_mock("lj")
    spec = Oracle(name="vasp", functional="r2SCAN", retries=0)
    check_machine(SPEC.model_copy(update={"oracle": spec}))
    oracle = VaspOracle(spec)
    answer = oracle.relax(swapped(), tmp_path / "relax")
    written = [gzip.decompress(file.read_bytes()).decode() for file in (tmp_path / "relax").rglob("INCAR.gz")]
    functionals = {(found.get("GGA"), found.get("METAGGA")) for found in map(Incar.from_str, written)}
    assert functionals == {("Ps", None), (None, "R2scan")}
    assert correction_of(oracle, answer) == 0.0
    assert oracle.fingerprint.startswith("mock-vasp 6.0.0-mock lj-")
    assert oracle.fingerprint.endswith(" MP r2SCAN, uncorrected")
    oracle.static([answer.structure], tmp_path / "static")
    assert incar(tmp_path / "static")["METAGGA"] == "R2scan"
    oracle._version = "6.4.3"
    assert oracle.fingerprint == "VASP 6.4.3 MP r2SCAN, uncorrected"
    with pytest.raises(ValueError, match="functional: belongs to name: vasp, not to emt"):
        Oracle(name="emt", functional="r2SCAN")


def test_vasp_is_given_a_day_unless_told_otherwise() -> None:
    assert Oracle(name="vasp").wall_time == 86400
    assert Oracle(name="vasp", wall_time=60).wall_time == 60
    assert Oracle(name="emt").wall_time == 120
