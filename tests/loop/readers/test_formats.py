"""POSCAR, tables, JSON, ASE databases and extended XYZ as people have them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import ase.io
import numpy as np
import pandas as pd
import pytest
from ase import Atoms
from ase.db import connect
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.core import Lattice, Structure
from pymatgen.io.cif import CifWriter
from pymatgen.io.vasp import Poscar

from niobe.config.spec import Source
from niobe.loop.readers.structure_files import iterate_structures
from niobe.loop.sources import files
from niobe.loop.sources.ingest import ingest
from niobe.loop.sources.reading import ReadOptions
from niobe.loop.store.database import Database
from tests.loop.factory import nbo, rutile
from tests.loop.readers.test_fuzz import SPGLIB
from tests.loop.readers.written import SITES, equal, folder_of_runs, only, poscar, rows, wanted, write

pytestmark = pytest.mark.filterwarnings(SPGLIB)
VELOCITIES = "\n".join("  0.1 0.2 0.3" for _ in SITES)
LATTICE_VELOCITIES = "Lattice velocities and vectors\n 1\n" + "  0.0 0.0 0.0\n" * 6


@pytest.mark.parametrize(
    "text",
    [
        poscar(end=LATTICE_VELOCITIES),
        poscar(end=f"\n{VELOCITIES}\n"),
        poscar(end=f"Cartesian\n{VELOCITIES}\n\n 1\n 1.0E+00\n"),
        poscar(end=LATTICE_VELOCITIES + VELOCITIES),
        poscar(kind="Direct(3) [A1B2]"),
        poscar(kind="direct configuration=     1"),
        poscar(kind="D"),
        poscar(kind="Selective dynamics\nDirect", flags=" T T F"),
        poscar(kind="selective\nDirect", flags="  .TRUE. .FALSE. T"),
        poscar(comment=""),
        poscar(comment="   "),
        poscar(names="Nb2+ O2-\n"),
        poscar(names="Nb_pv O_s\n"),
        poscar(names="Nb_pv/1a2b O/3c4d5e\n"),
        poscar(scale="1.0 ! scaling"),
        poscar(scale="0.1D+01"),
        poscar(scale="1.0 1.0 1.0"),
        poscar(scale="-120.0"),
        poscar().replace("0 0 0", "0 0 0 Nb2+").replace(".5 .5 .5", ".5 .5 .5 O2-"),
        poscar(names="").replace("0 0 0\n", "0 0 0 Nb\n", 1).replace(".5\n", ".5 O\n"),
        poscar().replace("\n", "\r\n"),
        "\ufeff" + poscar(),
        poscar(comment="Übersicht"),
    ],
)
def test_poscar_files_of_every_habit(tmp_path: Path, text: str) -> None:
    file = tmp_path / "CONTCAR"
    file.write_text(text, newline="")
    assert equal(only(file), wanted())


@pytest.mark.parametrize("scale", ["2.0", "-240", "1.1 1.2 1.3"])
@pytest.mark.parametrize("kind", ["Direct", "Cartesian", "K", "cart"])
def test_scales_and_cartesian_sites_as_ase_reads_them(tmp_path: Path, scale: str, kind: str) -> None:
    file = tmp_path / "POSCAR"
    text = poscar(scale=scale, kind=kind)
    file.write_text(
        text if kind == "Direct" else text.replace(".5 .5 .5", "2 2 2").replace(".5 0 .5", "2 0 0")
    )
    atoms = ase.io.read(file, format="vasp")
    found = only(file)
    assert found.lattice.matrix == pytest.approx(np.array(atoms.cell))
    assert found.cart_coords == pytest.approx(atoms.positions)


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        (poscar(names=""), 6, "VASP 4 file names no elements"),
        (poscar(names="Nb Qq\n"), 6, "'Qq' is no element"),
        (poscar(kind="Reciprocal"), 8, "neither Direct nor Cartesian"),
        (poscar(scale="0"), 2, "is no scale"),
        (poscar(scale="1 -1 1"), 2, "is no scale"),
        (poscar(scale="1 1"), 2, "is no scale"),
        (poscar().replace("0 0 0", "0 0 0 O"), 9, "'O' where Nb is counted"),
        (poscar(end="0 0 .25"), 12, "more sites"),
        (poscar(end="Direct configuration=     2"), 12, "several configurations"),
        (poscar(kind="Selective\nDirect"), 10, "three flags"),
    ],
)
def test_poscar_files_that_are_none(tmp_path: Path, text: str, line: int, reason: str) -> None:
    file = tmp_path / "POSCAR"
    file.write_text(text)
    (row,) = rows(file)
    assert f"{file}:{line}: " in row.problem and reason in row.problem


def test_what_pymatgen_writes_of_charged_crystals_is_read(tmp_path: Path) -> None:
    charged = nbo().copy().get_sorted_structure()
    charged.add_oxidation_state_by_element({"Nb": 2, "O": -2})
    Poscar(charged, velocities=np.ones((len(charged), 3)).tolist()).write_file(str(tmp_path / "x.vasp"))
    assert equal(only(tmp_path / "x.vasp"), nbo().get_sorted_structure())


def labels(file: Path) -> dict[str, list[tuple[str, float]]]:
    found: dict[str, list[tuple[str, float]]] = {}
    for item in files.read(file, "s"):
        assert not isinstance(item, str), item
        found[item.source_id] = [(label.quantity, label.value) for label in item.labels]
    return found


@pytest.mark.parametrize(
    ("pairs", "wanted"),
    [
        ({"e_above_hull": 0.02, "band_gap": 1.5}, [("e_above_hull", 0.02), ("band_gap", 1.5)]),
        ({"energy_above_hull": 0.02}, [("e_above_hull", 0.02)]),
        ({"formation_energy_per_atom": -1.5}, [("formation_energy_per_atom", -1.5)]),
        ({"e_form": -1.5, "bandgap": 0.0}, [("formation_energy_per_atom", -1.5), ("band_gap", 0.0)]),
    ],
)
def test_key_value_pairs_of_an_ase_database_are_labels(
    tmp_path: Path, pairs: dict[str, float], wanted: list[tuple[str, float]]
) -> None:
    write(tmp_path / "x.db", nbo())
    with connect(str(tmp_path / "y.db")) as database:
        for row in connect(str(tmp_path / "x.db")).select():
            database.write(row.toatoms(), material_id="mp-7", oracle="PBE", **pairs)
    assert sorted(labels(tmp_path / "y.db")["mp-7"]) == sorted(wanted)


def poscar_in_wrong_unit(kind: str, site: str) -> str:
    return poscar(kind=kind).replace(".5 .5 .5", site)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("POSCAR", poscar_in_wrong_unit("Cartesian", "0.15 0.15 0.15")),
        ("POSCAR", poscar_in_wrong_unit("Direct", "2.1 2.1 2.1")),
        (
            "x.xyz",
            '2\nLattice="4.2 0 0 0 4.2 0 0 0 4.2" Properties=species:S:1:pos:R:3\nNb 0 0 0\nO .2 .2 0\n',
        ),
    ],
)
def test_sites_nearer_than_in_any_crystal_are_refused(tmp_path: Path, name: str, text: str) -> None:
    """Coordinates in another unit than the file says: fractional as Å, Å as fractional."""
    (tmp_path / name).write_text(text)
    (row,) = iterate_structures(tmp_path / name)
    assert row.structure is None and "nearer than in any crystal" in (row.problem or "")


@pytest.mark.parametrize("identifier", ["12345", "00123", "1e5", "mp-1", "123456789012345678"])
def test_ids_stay_as_they_are_written(tmp_path: Path, identifier: str) -> None:
    row = {"id": identifier, "structure": json.dumps(nbo().as_dict()), "e_form": "-1.5"}
    pd.DataFrame([row]).to_csv(tmp_path / "x.csv", index=False)
    assert labels(tmp_path / "x.csv") == {identifier: [("formation_energy_per_atom", -1.5)]}


def test_ids_of_a_column_with_gaps_are_whole(tmp_path: Path) -> None:
    table = [{"id": number, "structure": json.dumps(nbo().as_dict())} for number in (12345, None)]
    pd.DataFrame(table).to_parquet(tmp_path / "x.parquet")
    assert list(labels(tmp_path / "x.parquet")) == ["12345", "x.parquet:2"]


def materials_project() -> list[dict[str, object]]:
    return [
        {"material_id": f"mp-{n}", "structure": structure.as_dict(), "energy_above_hull": 0.1 * n}
        for n, structure in enumerate((nbo(), rutile()))
    ]


@pytest.mark.parametrize("wrap", [lambda docs: docs, lambda docs: {"data": docs, "meta": {}}])
def test_documents_with_a_structure(tmp_path: Path, wrap: Callable[[object], object]) -> None:
    (tmp_path / "x.json").write_text(json.dumps(wrap(materials_project())))
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, materials_project())))
    pd.DataFrame(materials_project()).to_json(tmp_path / "y.json", orient="records")
    text = [row | {"structure": json.dumps(row["structure"])} for row in materials_project()]
    pd.DataFrame(text).to_csv(tmp_path / "x.csv")
    pd.DataFrame(text).to_parquet(tmp_path / "x.parquet")
    for name in ("x.json", "x.jsonl", "y.json", "x.csv", "x.parquet"):
        found = labels(tmp_path / name)
        assert found == {f"mp-{n}": [("e_above_hull", 0.1 * n)] for n in (0, 1)}
        structures = [row.structure for row in rows(tmp_path / name)]
        assert all(
            one and equal(one, other) for one, other in zip(structures, (nbo(), rutile()), strict=True)
        )


@pytest.mark.parametrize(
    "content", ['"text"', "[1]", "{}", '{"structure": 3}', "{", "null", '[{"lattice": 1}]']
)
def test_json_that_holds_no_structure_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "x.json").write_text(content)
    (row,) = rows(tmp_path / "x.json")
    assert row.structure is None and row.problem


def table(file: Path, column: str, coords: object, species: list[str]) -> None:
    row = {"lattice": json.dumps(rutile().lattice.matrix.tolist()), "species": json.dumps(species)}
    pd.DataFrame([row | {column: json.dumps(np.asarray(coords).tolist())}]).to_csv(file)


@pytest.mark.parametrize(
    ("column", "cartesian"),
    [
        *((name, False) for name in ("frac_coords", "fractional_coords", "scaled_positions", "coords")),
        *((name, True) for name in ("cart_coords", "cartesian_coords", "positions", "coords")),
    ],
)
def test_coordinates_have_a_unit(tmp_path: Path, column: str, cartesian: bool) -> None:
    coords = rutile().cart_coords if cartesian else rutile().frac_coords
    table(tmp_path / "x.csv", column, coords, [s.symbol for s in rutile().species])
    assert equal(only(tmp_path / "x.csv"), rutile())


def test_coordinates_whose_unit_may_be_either_are_asked_for(tmp_path: Path) -> None:
    table(tmp_path / "x.csv", "coords", [[0, 0, 0], [2.4, 2.4, 1.5]], ["H", "H"])
    (row,) = rows(tmp_path / "x.csv")
    assert row.structure is None
    assert "name the column frac_coords or cart_coords (Å)" in row.problem


@given(
    st.lists(st.tuples(*[st.floats(0.05, 0.95)] * 3), min_size=2, max_size=5),
    st.floats(3.5, 9),
    st.sampled_from(["Nb", "O", "Cs", "H"]),
)
def test_no_table_is_another_crystal(
    tmp_path_factory: pytest.TempPathFactory,
    points: list[tuple[float, float, float]],
    edge: float,
    symbol: str,
) -> None:
    """Whatever real crystal ``coords`` holds, in either unit, it is read as that one or refused."""
    crystal = Structure(Lattice.cubic(edge), [symbol] * len(points), points)
    if crystal.distance_matrix[~np.eye(len(points), dtype=bool)].min() < 3.0:
        return
    file = tmp_path_factory.mktemp("t") / "x.csv"
    for coords in (crystal.frac_coords, crystal.cart_coords):
        row = {"lattice": json.dumps(crystal.lattice.matrix.tolist()), "coords": json.dumps(coords.tolist())}
        pd.DataFrame([row | {"species": json.dumps([symbol] * len(points))}]).to_csv(file)
        (found,) = rows(file)
        assert found.structure is None or equal(found.structure, crystal)


FRAME = '2\nLattice="4 0 0 0 4 0 0 0 4" Properties=species:S:1:pos:R:3 id={n} {more}\nNb 0 0 0\nO 2 2 2\n'


@pytest.mark.parametrize("pbc", ['pbc="F F F"', 'pbc="T T F"', "pbc=[F, F, F]"])
def test_what_is_not_periodic_is_refused_by_name(tmp_path: Path, pbc: str) -> None:
    (tmp_path / "x.extxyz").write_text(FRAME.format(n=1, more=pbc))
    (row,) = rows(tmp_path / "x.extxyz")
    assert row.structure is None and "is not periodic in three directions" in row.problem


def test_a_molecule_in_an_ase_database_is_no_crystal(tmp_path: Path) -> None:
    ase.io.write(tmp_path / "x.db", Atoms("H2", positions=[[0, 0, 0], [0, 0, 0.74]], cell=[9, 9, 9]))
    assert "pbc F F F" in rows(tmp_path / "x.db")[0].problem


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("O 2 2 2", "O 2 x 2", "frame 2"),
        ("O 2 2 2\n", "", "2 atoms are announced and 1 lines follow"),
        ("2\nLattice", "two\nLattice", "'two' is no number of atoms"),
        ("2\nLattice", "3\nLattice", "3 atoms are announced and 2 lines follow"),
        ('"4 0 0 0 4 0 0 0 4"', '"4 0 0"', "frame 2"),
        ("O 2 2 2", "Qq 2 2 2", "frame 2"),
        ("O 2 2 2", "O 2 2", "frame 2"),
    ],
)
def test_a_broken_frame_is_named_and_the_others_are_read(
    tmp_path: Path, old: str, new: str, reason: str
) -> None:
    frames = [FRAME.format(n=n, more="") for n in (1, 2, 3)]
    frames[1] = frames[1].replace(old, new)
    (tmp_path / "x.xyz").write_text("".join(frames))
    found = rows(tmp_path / "x.xyz")
    assert [row.structure is None for row in found] == [False, True, False]
    assert [row.label.rsplit(":", 1)[1] for row in found] == ["1", "2", "3"]
    assert reason in found[1].problem and "frame 2" in found[1].problem
    assert found[2].fields["id"] == "3"


def test_xyz_without_a_lattice_is_no_crystal(tmp_path: Path) -> None:
    (tmp_path / "x.xyz").write_text("2\nwater\nO 0 0 0\nH 0 0 1\n2\nagain\nO 0 0 0\nH 0 0 1\n")
    assert [row.structure for row in rows(tmp_path / "x.xyz")] == [None, None]


@pytest.mark.parametrize("kind", ["icsd", "files"])
def test_upper_case_endings_are_read_and_nothing_is_no_success(
    database: Database, tmp_path: Path, kind: Literal["icsd", "files"]
) -> None:
    folder = folder_of_runs(tmp_path / "runs")
    text = str(CifWriter(nbo(), symprec=0.01))
    (folder / "Y.Cif").write_text(text)
    (folder / "run-1" / "Z.CIF.gz").write_bytes(gzip.compress(text.encode()))
    done = ingest(database, Source(name="i", kind=kind, at=str(folder)), (), ReadOptions(tmp_path / "home"))
    assert (done.new, done.broken) == (3 if kind == "icsd" else 5, [])
    (tmp_path / "empty").mkdir()
    source = Source(name="e", kind=kind, at=str(tmp_path / "empty"))
    done = ingest(database, source, (), ReadOptions(tmp_path / "home"))
    assert done.new == 0 and "holds no" in done.broken[0]
