"""Space groups by symbol and number, prototypes, and the cell of an export."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pymatgen.core import Structure
from pymatgen.io.vasp import Poscar

from niobe.launchers.output.exports import Cell, export
from niobe.launchers.output.open_formats import optimade_entry
from niobe.launchers.output.summary import summary
from niobe.launchers.output.tables import lineage_rows, record_row
from niobe.loop.documents.records import Refinement, StructureRecord
from tests.loop.factory import rocksalt, validated
from tests.loop.readers.test_fuzz import SPGLIB

pytestmark = pytest.mark.filterwarnings(SPGLIB)


def find() -> StructureRecord:
    """Rock salt in its primitive cell, found within 0.03 Å."""
    record = validated(rocksalt().get_primitive_structure(), -9.5, round_number=1)
    assert record.validation is not None
    refined = Refinement(converged=True, symprec=0.03, prototype="AB_cF8_225_a_b", mineral="Halite")
    return record.model_copy(update={"validation": record.validation.model_copy(update={"refined": refined})})


def test_tables_have_symbol_and_number() -> None:
    record = find()
    assert record_row(record)["group"] == "Fm-3m (225)"
    rows = {row["step"]: row for row in lineage_rows(lambda _: record, record)}
    assert rows["symmetry"]["what"] == "Fm-3m (225)"
    assert rows["symmetry"]["detail"] == "within 0.03 Å; AB_cF8_225_a_b Halite"


def test_exports_have_symbol_number_tolerance_and_prototype() -> None:
    shown = summary(find())
    assert [shown[key] for key in ("spacegroup", "spacegroup_symbol", "symprec", "prototype", "mineral")] == [
        *(225, "Fm-3m", 0.03, "AB_cF8_225_a_b", "Halite")
    ]
    attributes = optimade_entry(find())["attributes"]
    assert attributes["space_group_it_number"] == 225
    assert attributes["space_group_symbol_hermann_mauguin"] == "F m -3 m"
    assert attributes["_niobe_prototype"] == "AB_cF8_225_a_b"


@pytest.mark.parametrize(("cell", "sites"), [("relaxed", 2), ("primitive", 2), ("conventional", 8)])
@pytest.mark.parametrize("kind", ["cif", "poscar", "extxyz", "optimade"])
def test_an_export_is_in_the_cell_that_is_asked_for(
    kind: str, cell: Cell, sites: int, tmp_path: Path
) -> None:
    written = export([find()], kind, tmp_path / "out", cell=cell)
    if kind == "poscar":
        assert len(Poscar.from_file(next(written.iterdir())).structure) == sites
    elif kind == "extxyz":
        assert written.read_text(encoding="utf-8").startswith(f"{sites}\n")
    elif kind == "optimade":
        entry = json.loads(written.read_text(encoding="utf-8").splitlines()[1])
        assert entry["attributes"]["nsites"] == sites
    else:
        assert len(Structure.from_file(next(written.iterdir()))) == (2 if cell == "primitive" else 8)


@pytest.mark.parametrize("kind", ["json", "phonopy"])
def test_what_holds_stored_records_has_no_other_cell(kind: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="in the cell that it is"):
        export([find()], kind, tmp_path / "out", cell="primitive")
