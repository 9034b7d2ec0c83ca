"""Open databases in a campaign: what is recomputed first, what surrogates learn, and what no hull reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pymatgen.core import Structure

from niobe.config.errors import ConfigError
from niobe.config.loading import load_campaign
from niobe.config.spec import CampaignSpec, Limits, Recompute, Seeds, Source
from niobe.flows.steps.seed import seed_campaign, source_entries
from niobe.flows.steps.train import training_set, with_foreign_labels
from niobe.loop.campaign.closing import close_round
from niobe.loop.documents.entries import Found, Origin, SourceEntry, label, new_entry
from niobe.loop.sources.ingest import ingest
from niobe.loop.sources.reading import ReadOptions
from niobe.loop.sources.recompute_order import to_recompute
from niobe.loop.sources.shifted_labels import shifted_labels
from niobe.loop.store.database import Database
from tests.loop.factory import element, nbo, rocksalt, rutile, validated

SPEC = CampaignSpec(
    id="t",
    elements=("Nb", "O"),
    limits=Limits(max_atoms=8),
    seeds=Seeds(prototypes=False),
    sources=(Source(name="open", kind="files", at="x"),),
    recompute=Recompute(budget=3, window=0.1),
)


def entry(
    name: str, structure: Structure, above: float | None, group: str = "", energy: float = -1.0
) -> SourceEntry:
    labels = label("e_above_hull", above, "there PBE") + label(
        "formation_energy_per_atom", energy, "there PBE"
    )
    made = new_entry(Origin("open", "u", "CC0", "2026-01-01"), Found(name, structure, labels))
    return made.model_copy(update={"group": group or made.id})


def test_near_hull_first_one_a_group_within_window_and_budget() -> None:
    entries = [
        entry("far", rutile(), 0.3),
        entry("near", nbo(), 0.05),
        entry("big", nbo() * (3, 1, 1), 0.0),
        entry("nearest", rocksalt(), 0.01),
        entry("duplicate", rocksalt() * (1, 1, 2), 0.0, group="open:nearest"),
        entry("unknown", element("Nb"), None),
        entry("unknown2", element("Nb", 3.9), None),
    ]
    assert [found.source_id for found in to_recompute(SPEC, entries)] == ["nearest", "near", "unknown"]
    assert to_recompute(SPEC.model_copy(update={"recompute": Recompute(budget=0)}), entries) == []


def table(path: Path, rows: list[tuple[str, Structure, float, float]]) -> Path:
    pd.DataFrame(
        {
            "material_id": [name for name, _, _, _ in rows],
            "lattice": [s.lattice.matrix.ravel().tolist() for _, s, _, _ in rows],
            "numbers": [list(s.atomic_numbers) for _, s, _, _ in rows],
            "frac_coords": [s.frac_coords.ravel().tolist() for _, s, _, _ in rows],
            "e_hull": [above for _, _, above, _ in rows],
            "e_form": [energy for _, _, _, energy in rows],
        }
    ).to_parquet(path)
    return path


def test_seeds_come_from_sources_and_foreign_energies_from_no_hull(
    database: Database, tmp_path: Path
) -> None:
    titanium = Structure(element("Nb").lattice, ["Ti", "Ti"], element("Nb").frac_coords)
    rows = [("a", nbo(), 0.02, -99.0), ("b", rutile(), 0.0, -99.0), ("c", titanium, 0.0, 0.0)]
    path = table(tmp_path / "t.parquet", rows)
    source = Source(name="open", kind="files", at=str(path), licence="CC0")
    done = ingest(database, source, SPEC.elements, ReadOptions(tmp_path))
    assert (done.new, done.notes) == (2, ["1 entries hold other elements"])
    database.campaigns.create(SPEC)
    seed_campaign(database, SPEC, database.rounds.open("t", 0))
    seeds = [record for record in database.records.find("t") if record.lineage.generator == "source"]
    assert [record.formula for record in seeds] == ["NbO2", "NbO"]
    assert seeds[0].lineage.origin == {"label": "open:b"}
    assert "2 structures of the sources are recomputed" in database.rounds.get("t", 0).notes
    answers = [validated(element("Nb"), -10.0), validated(element("O", 3.0), -5.0), validated(nbo(), -9.0)]
    hull, _ = close_round(SPEC, 0, answers)
    assert min(found.formation_energy_per_atom for found in hull.entries) > -2
    assert [found.source_id for found in source_entries(database, SPEC)] == ["a", "b"]


def answered(name: str, structure: Structure, formation: float) -> object:
    record = validated(structure, -9.0)
    _, verdicts = close_round(
        SPEC, 0, [validated(element("Nb"), -10.0), validated(element("O"), -5.0), record]
    )
    verdict = verdicts[record.id].model_copy(update={"formation_energy_per_atom": formation})
    lineage = record.lineage.model_copy(update={"generator": "source", "origin": {"label": f"open:{name}"}})
    return record.model_copy(update={"lineage": lineage, "verdict": verdict})


def test_foreign_labels_are_shifted_by_what_both_answered_and_are_no_other_target() -> None:
    names = [f"n{i}" for i in range(6)]
    cells = [nbo(4.0 + 0.02 * i) for i in range(6)]
    entries = [
        entry(name, cell, 0.0, energy=-1.0 - 0.1 * i)
        for i, (name, cell) in enumerate(zip(names, cells, strict=True))
    ]
    entries.append(entry("only there", rutile(), 0.0, energy=-2.0))
    records = [
        answered(name, cell, -0.7 - 0.1 * i) for i, (name, cell) in enumerate(zip(names, cells, strict=True))
    ]
    ((found, energy),) = shifted_labels(records, entries)  # type: ignore[arg-type]
    assert found.source_id == "only there"
    assert energy == pytest.approx(-1.7)
    assert shifted_labels(records[:4], entries) == []  # type: ignore[arg-type]
    structures, targets = with_foreign_labels(*training_set(records, None), [(found, energy)])  # type: ignore[arg-type]
    assert len(structures) == 13
    assert targets["formation_energy_per_atom"][-1] == pytest.approx(-1.7)
    assert all(np.isnan(targets[name][-1]) for name in targets if name != "formation_energy_per_atom")


def test_sources_in_the_campaign_file(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    text = "id: t\nelements: [Nb, O]\nsources:\n  - {name: mine, kind: files, at: data}\n"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"sources: mine: .*data: no such file or folder"):
        load_campaign(file)
    (tmp_path / "data").mkdir()
    assert load_campaign(file).sources[0].at == str(tmp_path / "data")
    file.write_text(text.replace("at: data", "at: data, key: x"))
    with pytest.raises(ConfigError, match=r"sources\.0\.key: unknown key"):
        load_campaign(file)
    file.write_text(text + "  - {name: mine, kind: oqmd}\n")
    with pytest.raises(ConfigError, match="names a source twice"):
        load_campaign(file)
    file.write_text(text.replace("kind: files, at: data", "kind: optimade"))
    with pytest.raises(ConfigError, match="needs at"):
        load_campaign(file)
