"""What counts as stable, unique and novel, on energies set by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from pymatgen.core import Structure

from niobe.loop.crystals.similarity import SeenStructures
from niobe.loop.generators import PrototypeSubstitution
from tests.benchmarks.generators.judging import judge
from tests.benchmarks.generators.settings import draw_from
from tests.benchmarks.generators.store import Run, write
from tests.loop.factory import element, nbo, rocksalt, rutile

ONE, TWO = Run("Nb-O", "one", 1), Run("Nb-O", "two", 1)


def store(file: Path, structure: Structure, energy: float) -> None:
    write(file, {"structure": structure.as_dict(), "energy_per_atom": energy, "spacegroup": 1, "wall": 1.0})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Nb at −10 and O at −5 eV/atom; NbO 1.5 below them, rock salt 0.05 above NbO, rutile far above."""
    references = tmp_path / "Nb-O" / "references"
    store(references / "Nb.json", element("Nb"), -10.0)
    store(references / "O.json", element("O"), -5.0)
    answers = [(nbo(), -9.0), (rocksalt(), -8.95), (rocksalt(4.5), -8.95), (rutile(), -7.0)]
    for index, (structure, energy) in enumerate(answers):
        store(ONE.folder(tmp_path) / f"relaxed-{index:04d}.json", structure, energy)
    write(ONE.folder(tmp_path) / "relaxed-0004.json", {"failed": "unphysical", "wall": 1.0})
    store(TWO.folder(tmp_path) / "relaxed-0000.json", rocksalt(), -8.95)
    return tmp_path


def test_duplicates_and_what_lies_high_do_not_count_and_failures_are_calls(root: Path) -> None:
    found = judge(root, [ONE, TWO])
    assert (found[ONE].calls, found[ONE].failed, found[ONE].stable, len(found[ONE].sun)) == (5, 1, 3, 2)
    assert len(found[TWO].sun) == 1
    assert found[ONE].found == ["NbO (1) 0.000", "NbO (1) 0.050"]


def test_a_round_finds_nothing_new_in_what_an_earlier_one_found(root: Path) -> None:
    found = judge(root, [ONE, TWO], rounds=True)
    assert (len(found[ONE].sun), len(found[TWO].sun)) == (2, 0)


def test_what_is_known_is_screened_out_and_counted() -> None:
    free, _ = draw_from(PrototypeSubstitution(), "Nb-O", 5, 1)
    known = SeenStructures((str(number), sample.structure) for number, sample in enumerate(free))
    kept, lost = draw_from(PrototypeSubstitution(), "Nb-O", 5, 1, known)
    assert len(kept) == 5
    assert lost["screened: known"] >= 5
    assert not any(known.find(sample.structure) for sample in kept)


def test_what_lies_deeper_than_any_solid_is_a_failure_and_on_no_hull(root: Path) -> None:
    """Rock salt at −16 eV/atom, 8.5 below its elements."""
    store(TWO.folder(root) / "relaxed-0001.json", rocksalt(), -16.0)
    found = judge(root, [ONE, TWO])
    assert (found[TWO].calls, found[TWO].failed, len(found[TWO].sun)) == (2, 1, 1)
    assert (found[ONE].failed, len(found[ONE].sun)) == (1, 2)
