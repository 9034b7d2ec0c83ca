"""Words of a record, which a bundle may bring, change no file that it is written to."""

from __future__ import annotations

import csv
from pathlib import Path

import ase.io
import pytest

from niobe.launchers.output.exports import export
from niobe.launchers.output.summary import as_cell
from niobe.loop.documents.records import Lineage, StructureRecord
from niobe.loop.documents.structures import relaxed_structure
from niobe.loop.readers.structure_files import iterate_structures
from tests.loop.factory import nbo, rocksalt, validated

POSCAR = "x\n1.0\n9 0 0\n0 9 0\n0 0 9\nNb\n1\nDirect\n0 0 0\n"
CIF = "x'\n_cell_length_a 9.0\n_cell_length_b 9.0\n_cell_length_c 9.0\n"
WORDS = [
    *("line\nline", "\r\x1b[A", "\u2028", "\x85", "\x0c", "tab\t", "", " ", "a b", '"', "'", "\\", "#", "é"),
    *(POSCAR, CIF, '\nLattice="9 0 0 0 9 0 0 0 9" x=', "2\n\nNb 0 0 0\nNb 1 1 1\n", "data_x\n", "\nloop_\n"),
    *("\n;\n_cell_length_a 9\n;\n", "]", "[[/x]]", "{}", "=1+1", "\x00".replace("\x00", "\x01"), ",", "a=b"),
]


def records(word: str) -> list[StructureRecord]:
    """Two of them, with the word wherever a row has one."""
    made = []
    for structure in (nbo(), rocksalt()):
        record = validated(structure, -9.0)
        assert record.validation is not None
        validation = record.validation.model_copy(update={"oracle": word})
        lineage = Lineage(generator=word, origin={word: word})
        made.append(record.model_copy(update={"lineage": lineage, "validation": validation, "note": word}))
    return made


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("format", ["cif", "poscar", "csv", "extxyz", "json", "asedb", "optimade"])
@pytest.mark.parametrize("word", WORDS, ids=repr)
def test_a_file_holds_the_crystals_whatever_the_words(word: str, format: str, tmp_path: Path) -> None:
    endings = {"asedb": ".db", "optimade": ".jsonl", "cif": "", "poscar": ""}
    file = export(records(word), format, tmp_path / f"out{endings.get(format, f'.{format}')}")
    files = sorted(file.iterdir()) if file.is_dir() else [file]
    found = [row for one in files for row in iterate_structures(one)]
    wanted = [relaxed_structure(record) for record in records(word)]
    assert sorted(
        (row.structure.composition.reduced_formula, round(row.structure.volume / len(row.structure), 2))
        for row in found
        if row.structure is not None
    ) == sorted((s.composition.reduced_formula, round(s.volume / len(s), 2)) for s in wanted)
    if format == "extxyz":
        assert [len(atoms) for atoms in ase.io.read(file, ":")] == [len(structure) for structure in wanted]


@pytest.mark.parametrize("word", ["=cmd|'/C calc'!A0", "+1+1", "@SUM(1)", "-2+3", "\t=1", "\r\n=1"])
def test_no_cell_of_a_table_is_a_formula(word: str, tmp_path: Path) -> None:
    file = export(records(word), "csv", tmp_path / "out.csv")
    with file.open(encoding="utf-8", newline="") as lines:
        cells = [cell for row in csv.DictReader(lines) for cell in row.values()]
    assert as_cell(word)[0] == "'" and cells.count(as_cell(word)) == 4
    for cell in cells:
        if cell[:1] in set("=+@-"):
            float(cell)
