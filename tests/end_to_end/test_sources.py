"""A campaign that starts from an open database, leaves as a bundle and comes to life elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from pymatgen.core import Lattice, Structure

from niobe.launchers.embedded import stop_server
from tests.end_to_end.test_campaign import campaign_file, niobe, records


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    for home in (tmp_path / "home", tmp_path / "there" / "home"):
        stop_server(home / "db")


def alloys() -> list[Structure]:
    cubic = Lattice.cubic(3.9)
    corners: list[list[float]] = [[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]
    return [
        Structure(cubic, species, corners) for species in (["Cu", "Cu", "Au", "Au"], ["Au", "Cu", "Cu", "Cu"])
    ]


def open_database(place: Path) -> Path:
    """A table whose energies are far below what EMT answers, as another code's would be."""
    rows = [
        {
            "material_id": f"x-{number}",
            "lattice": s.lattice.matrix.ravel().tolist(),
            "numbers": list(s.atomic_numbers),
            "frac_coords": s.frac_coords.ravel().tolist(),
            "e_form": -50.0,
            "e_hull": 0.0,
        }
        for number, s in enumerate(alloys())
    ]
    pd.DataFrame(rows).to_parquet(place / "open.parquet")
    return place / "open.parquet"


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_sources_seed_a_campaign_and_a_bundle_restores_it(place: Path) -> None:
    source = {"name": "open", "kind": "files", "at": str(open_database(place)), "licence": "CC BY 4.0"}
    small = {
        "budget": {"rounds": 1, "validations": 2},
        "seeds": {"prototypes": False},
        "generation": {"candidates": 6, "mix": [{"name": "random"}]},
        "acquisition": {"batch": 2, "control_share": 0},
    }
    file = campaign_file(place, sources=[source], **small)
    assert "campaign cu-au ended" in niobe(place, "launch", file).stdout
    found = records(place)
    seeds = [record for record in found if record.lineage.generator == "source"]
    assert sorted(str(record.lineage.origin["label"]) for record in seeds) == ["open:x-0", "open:x-1"]
    assert all(record.validation for record in seeds)
    verdicts = [record.verdict for record in found if record.verdict]
    assert min(verdict.formation_energy_per_atom for verdict in verdicts) > -1.0
    niobe(place, "export", "bundle", "bundle")
    there = place / "there"
    there.mkdir()
    niobe(there, "import", str(place / "bundle"))
    assert records(there) == found
    for command in ("status", "rounds"):
        here, other = (json.loads(niobe(home, command, "--json").stdout) for home in (place, there))
        assert here == other
    assert json.loads(niobe(there, "sources", "--json").stdout) == [{"source": "open", "entries": 2}]
    assert niobe(there, "launch", str(place / "c.yaml")).stdout.count("campaign cu-au ended") == 1
    assert records(there) == found
