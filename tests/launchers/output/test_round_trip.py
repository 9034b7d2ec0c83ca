"""What ``niobe export`` writes, ``niobe ingest`` reads: the same structures, ids and labels."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymatgen.core import Lattice, Structure

from niobe.launchers.output.exports import export
from niobe.loop.crystals.similarity import matcher
from niobe.loop.documents.entries import Found
from niobe.loop.documents.records import StructureRecord, Verdict
from niobe.loop.documents.structures import relaxed_structure
from niobe.loop.sources import files
from tests.loop.factory import nbo, validated
from tests.loop.readers.test_conventions import apart
from tests.loop.readers.test_fuzz import SPGLIB
from tests.loop.shared_crystals import shuffled_structures

pytestmark = pytest.mark.filterwarnings(SPGLIB)
NAMES = {
    "cif": "cifs",
    "poscar": "poscars",
    "json": "x.json",
    "csv": "x.csv",
    "extxyz": "x.extxyz",
    "asedb": "x.db",
    "optimade": "x.jsonl",
    "matbench": "x.parquet",
}


def record(structure: Structure, number: int, energy: float, **more: object) -> StructureRecord:
    known = validated(structure, energy, index=number, oracle="7net-0 (MP2020)")
    verdict = Verdict(
        formation_energy_per_atom=energy / 3,
        e_above_hull_found=0.0,
        e_above_hull_now=abs(energy) / 7,
        hull_round=0,
    )
    return known.model_copy(update={"verdict": verdict, **more})


def read_back(records: Sequence[StructureRecord], kind: str, folder: Path) -> dict[str, Found]:
    found: dict[str, Found] = {}
    for item in files.read(export(records, kind, folder / NAMES[kind]), "s"):
        assert not isinstance(item, str), item
        found[item.source_id] = item
    return found


def check(records: Sequence[StructureRecord], kind: str, folder: Path) -> None:
    found = read_back(records, kind, folder)
    assert set(found) == {record.id for record in records}
    for record in records:
        verdict, validation = record.verdict, record.validation
        assert verdict is not None and validation is not None
        wanted = {
            "energy_per_atom": validation.energy_per_atom,
            "formation_energy_per_atom": verdict.formation_energy_per_atom,
            "e_above_hull": verdict.e_above_hull_now,
        }
        item = found[record.id]
        assert {label.quantity: label.value for label in item.labels} == wanted
        assert all(label.fingerprint.endswith(validation.oracle) for label in item.labels)
        if kind == "cif":
            assert matcher().fit(item.structure, relaxed_structure(record))
        else:
            assert apart(item.structure, relaxed_structure(record)) < 1e-4


@functools.cache
def crystals(count: int, seed: int) -> list[Structure]:
    return list(itertools.islice(shuffled_structures(np.random.default_rng(seed)), count))


@pytest.mark.parametrize("kind", NAMES)
def test_forty_structures_come_back(tmp_path: Path, kind: str) -> None:
    check([record(s, n, -0.1 * n - 1 / 3) for n, s in enumerate(crystals(40, 1))], kind, tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", NAMES)
def test_five_hundred_structures_come_back(tmp_path: Path, kind: str) -> None:
    check([record(s, n, -0.01 * n - 1 / 3) for n, s in enumerate(crystals(500, 2))], kind, tmp_path)


@pytest.mark.parametrize("kind", NAMES)
def test_formulas_and_ids_that_look_like_numbers(tmp_path: Path, kind: str) -> None:
    """Sodium nitride is NaN and indium fluoride InF; an id may be all digits, or read as 1e300."""
    pairs = [(("Na", "N"), "0012345678901234"), (("In", "F"), "12345678901234e5"), (("Nb", "O"), "00e0")]
    sites: list[list[float]] = [[0, 0, 0], [0.5, 0.5, 0.5]]
    records = [
        record(Structure.from_spacegroup(225, Lattice.cubic(5.0), species, sites), n, -1.0, id=identifier)
        for n, (species, identifier) in enumerate(pairs)
    ]
    check(records, kind, tmp_path)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.text("0123456789abcdef", min_size=16, max_size=16), st.floats(-20, -0.01)),
        min_size=1,
        max_size=3,
        unique_by=lambda pair: pair[0],
    ),
    st.floats(3.5, 5.5),
)
@pytest.mark.parametrize("kind", [kind for kind in NAMES if kind not in {"cif", "optimade"}])
def test_any_id_and_energy_comes_back(
    tmp_path_factory: pytest.TempPathFactory, kind: str, known: list[tuple[str, float]], edge: float
) -> None:
    records = [record(nbo(edge), n, energy, id=identifier) for n, (identifier, energy) in enumerate(known)]
    check(records, kind, tmp_path_factory.mktemp("x"))
