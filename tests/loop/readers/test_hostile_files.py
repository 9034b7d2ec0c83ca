"""Changed files of every kind that is read: a structure or one line, nothing imported, nothing written.

Right or wrong is asked by ``test_fuzz`` of what another reader understands too; here nothing may end in a
traceback, take long, or reach outside.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ase.db import connect
from pymatgen.core import Structure
from pymatgen.io.ase import AseAtomsAdaptor

from niobe.loop.readers.structure_files import iterate_structures
from tests.loop.factory import element, nbo, rocksalt, rutile, validated
from tests.loop.readers.test_fuzz import mutated, seeds_of_files

CRYSTALS = (nbo(), rutile(), rocksalt(), element("Nb"))
NAMED: tuple[Any, ...] = (
    {"@module": "this", "@class": "x"},
    {"$where": "x"},
    {"__ase_objtype__": "x"},
    "../..",
    "[/x]",
    1e999,
    [[]],
)
BINARY = ("parquet", "db")
KINDS = ("cif", "poscar", "csv", "parquet", "json", "jsonl", "records", "extxyz", "db")


def original(kind: str, folder: Path) -> bytes:
    """A file of some crystals, as other programs or Niobe write it."""
    texts: dict[str, Callable[[], str]] = {
        "cif": lambda: seeds_of_files()[0][1],
        "poscar": lambda: seeds_of_files()[5][1],
        "csv": lambda: seeds_of_files()[-1][1],
        "json": lambda: json.dumps([{"id": n, "structure": s.as_dict()} for n, s in enumerate(CRYSTALS)]),
        "jsonl": lambda: "\n".join(json.dumps(s.as_dict()) for s in CRYSTALS),
        "records": lambda: "\n".join(json.dumps(r) for r in records()),
    }
    if kind in texts:
        return texts[kind]().encode()
    file = folder / f"original.{kind}"
    _WRITERS[kind](file)
    return file.read_bytes()


def records() -> list[dict[str, Any]]:
    return [validated(structure, -9.0).model_dump(mode="json") for structure in CRYSTALS]


def _parquet(file: Path) -> None:
    columns = {
        "id": [f"a{n}" for n in range(len(CRYSTALS))],
        "lattice": [s.lattice.matrix.tolist() for s in CRYSTALS],
        "species": [[str(site.specie) for site in s] for s in CRYSTALS],
        "frac_coords": [s.frac_coords.tolist() for s in CRYSTALS],
    }
    pq.write_table(pa.table(columns), file, compression="snappy")


def _extxyz(file: Path) -> None:
    ase.io.write(str(file), [AseAtomsAdaptor.get_atoms(s) for s in CRYSTALS], format="extxyz")


def _database(file: Path) -> None:
    file.unlink(missing_ok=True)
    with connect(str(file), type="db") as database:
        for structure in CRYSTALS:
            database.write(AseAtomsAdaptor.get_atoms(structure), e_above_hull=0.1)


_WRITERS: dict[str, Callable[[Path], None]] = {"parquet": _parquet, "extxyz": _extxyz, "db": _database}


def changed(kind: str, content: bytes, rng: np.random.Generator) -> bytes:
    """One to three accidents or attacks: bytes of what is binary; words, lines and values of text."""
    if kind in BINARY:
        return _changed_bytes(bytearray(content), rng)
    text = content.decode()
    if kind in {"json", "jsonl", "records"} and rng.integers(2):
        lines = text.splitlines()
        place = int(rng.integers(len(lines)))
        lines[place] = json.dumps(_changed_value(json.loads(lines[place]), rng))
        return "\n".join(lines).encode()
    return mutated(text, rng).encode()


def _changed_bytes(content: bytearray, rng: np.random.Generator) -> bytes:
    for _ in range(rng.integers(1, 4)):
        place, length = int(rng.integers(len(content))), int(rng.integers(1, 9))
        accident = rng.integers(4)
        if accident == 0:
            content[place] ^= 1 << int(rng.integers(8))
        elif accident == 1:
            content[place : place + length] = rng.bytes(length)
        elif accident == 2:
            content[place : place + length] = b"\xff" * length
        else:
            del content[place : place + length]
    return bytes(content)


def _changed_value(document: Any, rng: np.random.Generator) -> Any:
    part = document
    while True:
        keys = list(part) if isinstance(part, dict) else list(range(len(part)))
        if not keys:
            return document
        key = keys[rng.integers(len(keys))]
        if isinstance(part[key], dict | list) and rng.integers(4):
            part = part[key]
            continue
        part[key] = NAMED[rng.integers(len(NAMED))]
        return document


def read_changed(
    kind: str, number: int, content: bytes, folder: Path, rng: np.random.Generator
) -> Counter[str]:
    """Write a changed file, read it; how many structures and how many problems, each in one line."""
    ending = {"poscar": "vasp", "records": "jsonl"}.get(kind, kind)
    file = folder / f"{number}.{ending}"
    file.write_bytes(changed(kind, content, rng))
    outcomes: Counter[str] = Counter()
    for row in iterate_structures(file):
        assert isinstance(row.structure, Structure) or (row.problem and "\n" not in row.problem), row
        outcomes["structures" if row.structure is not None else "problems"] += 1
    file.unlink()
    return outcomes


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in {"cif", "poscar", "csv"}])
def test_changed_files_of_a_kind(kind: str, tmp_path: Path) -> None:
    content, rng = original(kind, tmp_path), np.random.default_rng(1)
    count = 15 if kind == "parquet" else 60  # a process each
    outcomes = sum((read_changed(kind, n, content, tmp_path, rng) for n in range(count)), Counter[str]())
    assert outcomes["problems"] > 5 and outcomes.total() > count
    assert "this" not in sys.modules
