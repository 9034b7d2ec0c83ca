"""Small files that would unpack to gigabytes, or take minutes: one line in bounded time and memory."""

from __future__ import annotations

import itertools
import json
import re
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ase import Atoms
from ase.db import connect

from niobe.config.errors import ConfigError
from niobe.loop.readers.labelled import labelled_structures
from niobe.loop.readers.structure_files import iterate_structures
from tests.loop.factory import nbo, rocksalt

Write = Callable[[Path], Any]
CELL = "data_x\n" + "".join(f"_cell_length_{x} 4.2\n" for x in "abc")
CELL += "".join(f"_cell_angle_{x} 90\n" for x in ("alpha", "beta", "gamma"))
SITES = "loop_\n_atom_site_type_symbol\n_atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_z\n"


def text(content: str) -> Write:
    return lambda file: file.write_text(content)


def table(**columns: Any) -> Write:
    return lambda file: pq.write_table(pa.table(columns), file, compression="zstd")


def repeated(text: str, count: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), pa.array([text]))


def in_one_row(values: pa.Array) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array([0, len(values)], pa.int32()), values)


def packed(**columns: Any) -> Write:
    """A structure's columns and others beside them."""
    s = nbo()
    own = {"lattice": [s.lattice.matrix.tolist()], "numbers": [list(s.atomic_numbers)]}
    return table(**own, frac_coords=[s.frac_coords.tolist()], **columns)


def ase_database(file: Path) -> None:
    with connect(str(file), type="db") as database:
        database.write(Atoms("H6000", positions=np.zeros((6000, 3)), cell=[9, 9, 9], pbc=True))


def ase_database_of_long_texts(file: Path) -> None:
    with connect(str(file), type="db") as database:
        for _ in range(3):
            database.write(Atoms("H", cell=[9, 9, 9], pbc=True), data={"x": "x" * 17 * 2**20})


def views(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        endless = "WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id FROM n) SELECT id FROM n"
        connection.execute(f"CREATE VIEW systems AS {endless}")


def frames(count: int) -> str:
    head = f'{count}\nLattice="9 0 0 0 9 0 0 0 9" Properties=species:S:1:pos:R:3\n'
    return head + "Nb 0 0 0\n" * count


ENTRY = {"id": "a", "attributes": {"species_at_sites": ["Nb"] * 50_000}}
BYTES, TEXTS = np.int8, in_one_row(repeated("x" * 10**6, 10**4))
NO_ROW, NO_ROOM = "first 1000 rows hold no structure", "a row takes more than"
OPERATIONS = "loop_\n_space_group_symop_operation_xyz\n" + "x,y,z\n" * 10**5
POSCAR = "x\n1\n9 0 0\n0 9 0\n0 0 9\nNb\n1000000\ndirect\n" + "0 0 0\n" * 10**5
HOSTILE: list[tuple[str, Write, str]] = [
    ("t.parquet", table(cif=repeated("x" * 3_000_000, 1000)), "a text of 3000000 letters"),
    ("t.parquet", table(cif=repeated("x" * 40_000_000, 100)), NO_ROOM),
    ("t.parquet", packed(more=TEXTS), NO_ROOM),
    ("t.parquet", packed(more=pa.StructArray.from_arrays([TEXTS], ["a"])), NO_ROOM),
    ("t.parquet", packed(more=in_one_row(pa.array(np.zeros(40_000_000, BYTES)))), r"more\S* takes more"),
    ("t.parquet", packed(more=in_one_row(pa.array(np.zeros(10**6, BYTES)))), NO_ROOM),
    ("t.parquet", table(a=pa.nulls(10_000_001, pa.int8())), "10000001 rows"),
    ("t.parquet", table(a=pa.nulls(1_000_000, pa.int8())), NO_ROW),
    ("t.parquet", table(lattice=[np.eye(3).ravel() * 9], numbers=[[41] * 6000]), "6000 sites"),
    ("t.jsonl", text("{}\n" * 500_000), NO_ROW),
    ("t.csv", text("a,b\n" + "1,2\n" * 500_000), NO_ROW),
    ("t.json", text("[" + "{}," * 500_000 + "{}]"), NO_ROW),
    ("t.json", text("[" + "[]," * 11_000_000 + "0]"), "more than 10000000 values"),
    ("t.json", text(json.dumps(ENTRY)), "50000 sites"),
    ("t.cif", text(CELL + "loop_\n_a\n" + "1 " * 11_000_000), "more than 10000000 values"),
    ("t.cif", text(CELL + OPERATIONS + SITES + "Nb 0 0 0\n"), "100000 rows"),
    ("t.cif", text(CELL + SITES + "Nb 0 0 0\n" * 10**5), "more than 5000 sites"),
    ("t.xyz", text(frames(10**5)), "100000 sites"),
    ("t.xyz", text(f"{'9' * 5000}\n\n"), "is no number of atoms"),
    ("POSCAR", text(POSCAR), "1000000 sites"),
    ("t.db", ase_database, "6000 sites"),
    ("t.db", ase_database_of_long_texts, "too big"),
    ("t.db", views, "no ASE database"),
]


@pytest.mark.parametrize(("name", "write", "said"), HOSTILE, ids=itertools.count())
def test_it_is_one_line_in_bounded_time_and_memory(
    name: str, write: Write, said: str, tmp_path: Path
) -> None:
    write(tmp_path / name)
    usage = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)  # what is forked begins as large as who forks
    before = max(resource.getrusage(whose).ru_maxrss for whose in usage)
    began = time.process_time()
    found = list(iterate_structures(tmp_path / name))
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss <= max(before, 700 * 2**10)
    assert time.process_time() - began < 10
    assert all(row.structure is None and "\n" not in row.problem and len(row.problem) < 400 for row in found)
    assert re.search(said, found[-1].problem), found[-1].problem


def test_a_file_that_is_too_large_for_memory_is_named(tmp_path: Path) -> None:
    for name in ("t.cif", "t.csv", "t.json", "t.jsonl", "t.xyz", "POSCAR"):
        with (tmp_path / name).open("wb") as file:
            file.truncate(300 * 2**20)
        (row,) = iterate_structures(tmp_path / name)
        assert "314572800 bytes; allowed: 268435456" in row.problem, (name, row.problem)


def test_a_database_is_only_read(tmp_path: Path) -> None:
    """ASE makes its tables in a file of another program."""
    file = tmp_path / "t.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE notes (text)")
    for said in ("no ASE database", ""):
        before = file.read_bytes()
        file.chmod(0o400)
        (row,) = iterate_structures(file)
        assert said in row.problem and (row.structure is not None) == (said == "")
        assert file.read_bytes() == before and [path.name for path in tmp_path.iterdir()] == ["t.db"]
        file.unlink()
        with connect(str(file), type="db") as database:
            database.write(Atoms("Cu", cell=[3, 3, 3], pbc=True), source="there")
    assert row.fields["source"] == "there"


def test_rows_of_maps_that_have_room_one_by_one_are_read(tmp_path: Path) -> None:
    texts = [f"{number}{'x' * 500_000}" for number in range(100)]
    packed()(tmp_path / "one.parquet")
    one = pq.read_table(tmp_path / "one.parquet")
    maps = pa.array([[("a", text)] for text in texts], pa.map_(pa.string(), pa.string()))
    pq.write_table(pa.concat_tables([one] * 100).append_column("more", maps), tmp_path / "t.parquet")
    rows = list(iterate_structures(tmp_path / "t.parquet"))
    assert [row.fields["more"] for row in rows] == [[["a", text]] for text in texts]


def test_a_table_that_takes_for_ever_to_unpack_is_ended() -> None:
    begin = "from niobe.loop.readers import parquet\nparquet._SECONDS = 1\nparquet._allow_seconds()\n"
    code = f"{begin}while True: pass"
    done = subprocess.run([sys.executable, "-c", code], check=False, timeout=60)
    assert done.returncode == -signal.SIGXCPU


def test_tables_come_back_as_they_were_written(tmp_path: Path) -> None:
    s = rocksalt()
    columns: dict[str, Any] = {
        "material_id": ["a", None, "c"],
        "e_form": [0.1, None, 0.3],
        "lattice": [s.lattice.matrix.tolist()] * 3,
        "species": [[site.specie.symbol for site in s]] * 3,
        "frac_coords": [s.frac_coords.tolist()] * 3,
        "name": pa.array(["x", "x", None]).dictionary_encode(),
        "when": pa.array([0, 1, None], pa.timestamp("s")),
        "tags": pa.array([[("a", "b")], [], None], pa.map_(pa.string(), pa.string())),
    }
    pq.write_table(pa.table(columns), tmp_path / "t.parquet", row_group_size=2)
    rows = list(iterate_structures(tmp_path / "t.parquet"))
    assert [row.structure == s for row in rows] == [True] * 3
    assert [row.fields["material_id"] for row in rows] == ["a", None, "c"]
    assert [row.fields["name"] for row in rows] == ["x", "x", None]
    own = {key: columns[key][:2] for key in ("lattice", "species", "frac_coords")}
    pq.write_table(pa.table(own | {"y": [1, 2]}), tmp_path / "w.parquet")
    structures, labels = labelled_structures(tmp_path / "w.parquet", "y")
    assert len(structures) == 2 and list(labels) == [1.0, 2.0]
    with pytest.raises(ConfigError, match="'name' is no column of numbers; there are: e_form"):
        labelled_structures(tmp_path / "t.parquet", "name")
