"""What is read in part or streamed says the same as what is read whole."""

from __future__ import annotations

import json
from pathlib import Path

from niobe.launchers.cli.shared import chosen_records, report_of
from niobe.launchers.output.best import best_records
from niobe.launchers.output.exports import export
from niobe.loop.documents.records import ON_HULL
from niobe.loop.documents.rounds import HullEntry, HullRecord
from niobe.loop.documents.tiers import tier
from niobe.loop.store.database import Database
from tests.launchers.pages.serving import fill


def test_best_report_and_exports(database: Database, tmp_path: Path) -> None:
    fill(database)
    best = best_records(database, "t", stable=False, most=10)
    assert [record.id for record in best_records(database, "t", stable=False, most=2)] == [
        record.id for record in best[:2]
    ]
    assert [tier(record) for record in best] == sorted(map(tier, best), reverse=True)
    assert all(record.dynamically_stable for record in best_records(database, "t", stable=True, most=10))
    assert best[0].formula in report_of(database, "t", tmp_path / "report.html").read_text(encoding="utf-8")
    records = chosen_records(database, "t", every=True)
    assert len(records) == len(list(records)) == 4
    whole = json.dumps([record.model_dump(mode="json") for record in records], indent=1)
    assert export(records, "json", tmp_path / "all.json").read_text(encoding="utf-8") == whole
    assert export([], "json", tmp_path / "none.json").read_text(encoding="utf-8") == "[]"
    assert export([], "csv", tmp_path / "none.csv").read_text(encoding="utf-8").strip() == "id"


def test_a_hull_of_many_phases_keeps_its_vertices_and_counts_all() -> None:
    entries = [
        HullEntry(
            record_id=f"{row}",
            campaign="t",
            generator="random" if row % 3 else "prototype",
            formula="NbO",
            n_atoms=2,
            composition={"Nb": 0.5, "O": 0.5},
            energy_per_atom=-9.0,
            formation_energy_per_atom=-1.0,
            e_above_hull=0.0 if row < 4 else row / 10,
        )
        for row in range(12)
    ]
    hull = HullRecord(campaign="t", round=1, oracle="test", entries=entries)
    small = hull.lowest(2)
    assert [entry.record_id for entry in small.entries] == ["0", "1", "2", "3"]
    assert all(entry.e_above_hull <= ON_HULL for entry in small.entries)
    assert small.built_from() == hull.built_from() == {"random": 8, "prototype": 4}
    assert small.vertices() == hull.vertices()
    assert hull.lowest(12) is hull
