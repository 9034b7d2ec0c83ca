"""What mock-vasp reads, and what it refuses as VASP would."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.core import Lattice, Structure
from pymatgen.io.vasp import Incar, Poscar

from niobe.flows.oracles.mock_vasp.incar import RefusedError, read_incar
from niobe.flows.oracles.mock_vasp.inputs import Inputs, read_inputs
from tests.flows.oracles.mock_vasp.machine import RELAX, cuau, mock_vasp, prepare


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("INCAR", "ENCUT = much", "error reading item 'ENCUT'"),
        ("INCAR", "EDIFF = NaN", "error reading item 'EDIFF'"),
        ("INCAR", "NSW = 1.5", "error reading item 'NSW'"),
        ("INCAR", "ISPIN = 3", "ISPIN = 3; allowed: 1, 2"),
        ("INCAR", "LWAVE = maybe", "error reading item 'LWAVE'"),
        ("INCAR", "MAGMOM = 2*x", "error reading item 'MAGMOM'"),
        ("INCAR", "ISPIN = 2; MAGMOM = 1", "MAGMOM has 1 values for 2 atoms"),
        ("INCAR", "just words", "'just words' is not TAG = VALUE"),
        ("KPOINTS", "mesh\n0\nGamma\n3 0 3\n", "divisions '3 0 3' are not positive"),
        ("KPOINTS", "mesh\n0\nCubic\n3 3 3\n", "style 'Cubic'"),
        ("KPOINTS", "mesh\n2\nReciprocal\n0 0 0 1\n", "not 2 lines"),
        ("KPOINTS", "mesh\n", "cannot be read"),
        ("POTCAR", "", "is empty"),
        ("POTCAR", "TITEL = PAW_PBE Cu\n", "a block lacks VRHFIN"),
    ],
)
def test_malformed_files_are_refused(tmp_path: Path, file: str, text: str, says: str) -> None:
    (prepare(tmp_path, cuau(), RELAX) / file).write_text(text, encoding="utf-8")
    with pytest.raises(RefusedError, match=says) as refused:
        read_inputs(tmp_path)
    assert str(refused.value).startswith(f"{file}: ")


@pytest.mark.parametrize("missing", ["INCAR", "POSCAR", "POTCAR"])
def test_a_missing_file_is_refused(tmp_path: Path, missing: str) -> None:
    (prepare(tmp_path, cuau(), RELAX) / missing).unlink()
    with pytest.raises(RefusedError, match=f"{missing}: no such file"):
        read_inputs(tmp_path)


@pytest.mark.parametrize(
    ("line", "text", "says"),
    [
        (2, "NaN 0 0", "finite"),
        (8, "0 inf 0", "finite"),
        (8, "0 zero 0", "does not begin with 3 numbers"),
        (6, "1 2", "2 positions for 3 atoms"),
        (6, "1 x", "'x' is not a number of atoms"),
        (2, "0 0 0", "span no volume"),
        (5, "Cu", "lines 6 and 7"),
        (5, "Au Cu", "holds Cu Au; the POSCAR wants Au Cu"),
    ],
)
def test_a_malformed_poscar_is_refused(tmp_path: Path, line: int, text: str, says: str) -> None:
    file = prepare(tmp_path, cuau(), RELAX) / "POSCAR"
    lines = file.read_text(encoding="utf-8").splitlines()
    lines[line] = text
    file.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(RefusedError, match=says):
        read_inputs(tmp_path)


def test_a_refusal_is_one_line_and_touches_nothing(tmp_path: Path) -> None:
    prepare(tmp_path, cuau(), RELAX | {"ISPIN": 5})
    before = sorted(tmp_path.iterdir())
    answer = mock_vasp(tmp_path)
    assert answer.returncode == 1
    assert answer.stderr == "mock-vasp: INCAR: ISPIN = 5; allowed: 1, 2\n"
    assert sorted(tmp_path.iterdir()) == before


def test_molecular_dynamics_and_unknown_potentials_are_refused(tmp_path: Path) -> None:
    prepare(tmp_path, cuau(), {"NSW": 5, "IBRION": 0})
    assert "IBRION = 0; mock-vasp does" in mock_vasp(tmp_path).stderr
    assert "'tea' is not a potential" in mock_vasp(tmp_path, "tea").stderr
    assert "nothing answers" in mock_vasp(tmp_path, f"socket:{tmp_path}/none").stderr


def test_incar_agrees_with_pymatgen() -> None:
    text = (
        "ENCUT = 520 ! eV\nLREAL = Auto; NSW = 3\nMAGMOM = 2*0.6 1\nLDAUL = -1 2\nLWAVE = .FALSE.\n# none\n"
    )
    ours, theirs = read_incar(text), Incar.from_str("\n".join(text.replace(";", "\n").splitlines()))
    assert ours == {
        "ENCUT": 520.0,
        "LREAL": "Auto",
        "NSW": 3,
        "MAGMOM": [0.6, 0.6, 1],
        "LDAUL": [-1, 2],
        "LWAVE": False,
    }
    assert all(theirs[name] == ours[name] for name in ("ENCUT", "NSW", "MAGMOM", "LDAUL", "LWAVE"))


@given(
    st.lists(st.sampled_from(["Cu", "Au", "O"]), min_size=1, max_size=5),
    st.lists(st.floats(-2, 2), min_size=15, max_size=15),
    st.floats(2.5, 9),
)
def test_poscars_are_read_as_pymatgen_reads_them(symbols: list[str], numbers: list[float], a: float) -> None:
    from niobe.flows.oracles.mock_vasp.inputs import read_poscar

    positions = np.array(numbers).reshape(5, 3)[: len(symbols)]
    structure = Structure(Lattice.from_parameters(a, a + 1, a + 2, 80, 95, 100), symbols, positions)
    cell, movable = read_poscar(Poscar(structure).get_str(significant_figures=16))
    assert cell.symbols == tuple(symbols)
    assert np.allclose(cell.positions, positions, atol=1e-12)
    assert np.allclose(cell.lattice, structure.lattice.matrix, atol=1e-12)
    assert movable.all()


def test_cartesian_and_selective_poscars() -> None:
    from niobe.flows.oracles.mock_vasp.inputs import read_poscar

    text = "c\n-64\n2 0 0\n0 2 0\n0 0 2\nCu\n1\nSelective\nCartesian\n1 2 4 T F T\n"
    cell, movable = read_poscar(text)
    assert np.allclose(cell.lattice, 4 * np.eye(3))
    assert np.allclose(cell.positions, [[0.25, 0.5, 1.0]])
    assert movable.tolist() == [[True, False, True]]


def inputs_with(tmp_path: Path, structure: Structure, kpoints: str, **incar: object) -> Inputs:
    prepare(tmp_path, structure, incar, kpoints)
    return read_inputs(tmp_path)


def test_meshes_are_reduced_by_symmetry_and_weights_sum_to_one(tmp_path: Path) -> None:
    cubic = Structure.from_spacegroup(221, Lattice.cubic(3.0), ["Cu"], [[0, 0, 0]])
    symmetric = inputs_with(tmp_path, cubic, "4 4 4").kpoints
    without = inputs_with(tmp_path, cubic, "4 4 4", ISYM=0).kpoints
    assert len(symmetric.points) == 10  # irreducible points of Γ-centred 4×4×4 in a simple cubic crystal
    assert len(without.points) == 36  # time reversal only
    assert symmetric.weights.sum() == pytest.approx(1)
    assert without.weights.sum() == pytest.approx(1)


def test_kspacing_is_the_distance_of_points_at_most(tmp_path: Path) -> None:
    structure = cuau()
    (prepare(tmp_path, structure, {"KSPACING": 0.3}) / "KPOINTS").unlink()
    lengths = structure.lattice.reciprocal_lattice.abc
    assert read_inputs(tmp_path).kpoints.mesh == tuple(int(np.ceil(length / 0.3)) for length in lengths)


def test_line_mode(tmp_path: Path) -> None:
    prepare(tmp_path, cuau(), {})
    text = "path\n3\nLine\nreciprocal\n0 0 0 G\n0.5 0 0 X\n\n0.5 0 0 X\n0.5 0.5 0 M\n"
    (tmp_path / "KPOINTS").write_text(text, encoding="utf-8")
    points = read_inputs(tmp_path).kpoints.points
    assert points[:, 0].tolist() == [0, 0.25, 0.5, 0.5, 0.5, 0.5]
    assert points[:, 1].tolist() == [0, 0, 0, 0, 0.25, 0.5]
