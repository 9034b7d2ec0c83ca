"""Another package's oracle, generator and surrogate: named in a campaign file once it is installed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pymatgen.core import Composition

from niobe.launchers.embedded import stop_server

PACKAGE = Path(__file__).parents[1] / "third_party" / "acme_niobe.py"
NIOBE = [sys.executable, "-P", "-c", "from niobe.launchers.cli import main; main()"]
ENTRY_POINTS = """\
[niobe.oracles]
acme-packing = acme_niobe:Packing
acme-doubtful = acme_niobe:Doubtful

[niobe.generators]
acme-random = acme_niobe:generator

[niobe.surrogates]
acme-mean = acme_niobe:Mean

[niobe.properties]
acme-gold = acme_niobe:GOLD
"""
CAMPAIGN = """\
id: acme
elements: [Cu, Au]
oracle: {name: acme-packing}
prerelax: null
surrogate: {model: acme-mean}
generation: {candidates: 12, mix: [{name: acme-random}]}
acquisition: {batch: 3}
limits: {max_atoms: 4}
budget: {rounds: 1, validations: 3}
phonons: {enabled: false}
confirm: {oracles: [acme-doubtful, emt], share: 1.0}
goals:
  - {property: acme-gold, range: [0, 0.9]}
  - {property: "acme_niobe:electrons", unit: 1/Å³, range: [0, 100]}
  - {property: bulk_modulus, range: [0, null]}
"""

BY_PATH = """\
id: morse
elements: [Cu, Au]
oracle:
  name: ase
  calculator: acme_niobe:Morse
  kwargs: {weights: morse.json}
  elements: [Cu, Au]
  reach: 6.0
generation: {candidates: 8, mix: [{name: random}]}
acquisition: {batch: 2}
limits: {max_atoms: 4}
seeds: {prototypes: false}
budget: {rounds: 1, validations: 4}
phonons: {enabled: false}
"""


def niobe(place: Path, *words: str, site: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"NIOBE_HOME": str(place / "home"), "NIOBE_WORKERS": "2"}
    environment |= {"PYTHONPATH": str(site)} if site else {}
    return subprocess.run(
        [*NIOBE, *words], cwd=place, env=environment, capture_output=True, text=True, timeout=280
    )


def installed(site: Path) -> Path:
    """The package as pip leaves it: a module, and its metadata beside it."""
    metadata = site / "acme_niobe-1.0.dist-info"
    metadata.mkdir(parents=True)
    shutil.copy(PACKAGE, site)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-niobe\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS)
    return site


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "acme.yaml").write_text(CAMPAIGN)
    return tmp_path


def test_a_campaign_runs_with_what_another_package_registers(place: Path) -> None:
    site = installed(place / "site")
    try:
        launched = niobe(place, "launch", "acme.yaml", site=site)
        assert launched.returncode == 0, launched.stderr
        found = json.loads(niobe(place, "best", "-n", "50", "--json", site=site).stdout)
        assert "acme-random" in {row["from"] for row in found}
        assert "acme packing 1" in niobe(place, "show", found[0]["id"], site=site).stdout
        measured(place, site, found)
        asked = with_opinions(place, site)
        said = [opinion for record in asked for opinion in record["opinions"]]
        assert {opinion["oracle"] for opinion in said} == {"acme-doubtful", "emt"}
        assert not any(opinion["agrees"] for opinion in said if opinion["oracle"] == "acme-doubtful")
        assert "disagrees" in niobe(place, "show", asked[0]["id"], site=site).stdout
    finally:
        stop_server(place / "home" / "db")


def measured(place: Path, site: Path, found: list[dict[str, Any]]) -> None:
    """Its properties have columns; a potential whose energy has no minimum says so."""
    for row in found:
        gold = row["formula"].count("Au") and Composition(row["formula"]).get_atomic_fraction("Au")
        assert row["acme-gold (1)"] == pytest.approx(gold)
        assert 0 < row["electrons (1/Å³)"] < 100
    shown = niobe(place, "show", found[0]["id"], site=site).stdout
    assert "goal: bulk_modulus" in shown and "no minimum" in " ".join(shown.split()).lower()


def with_opinions(place: Path, site: Path) -> list[dict[str, Any]]:
    """The finds that other oracles were asked about, as a file of the campaign has them."""
    assert niobe(place, "export", "json", "finds.json", site=site).returncode == 0
    found: list[dict[str, Any]] = json.loads((place / "finds.json").read_text())
    return [record for record in found if record["opinions"]]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_calculator_by_path_judges_a_campaign_that_goes_on(place: Path) -> None:
    """No entry point: a module that can be imported, and weights beside the campaign file."""
    site = installed(place / "site")
    (place / "morse.yaml").write_text(BY_PATH)
    (place / "morse.json").write_text('{"depth": 0.3, "width": 1.5, "length": 2.6}')
    try:
        shown = json.loads(niobe(place, "check", "morse.yaml", "--json", site=site).stdout)[0]
        assert (shown["oracle"], shown["missing here"]) == ("acme_niobe:Morse", "")
        assert not (place / "home" / "calculators.jsonl").exists()
        for rounds in (1, 2):
            launched = niobe(place, "launch", "morse.yaml", site=site)
            assert launched.returncode == 0, launched.stderr
            done = json.loads(niobe(place, "rounds", "--json").stdout)
            assert [row["round"] for row in done] == list(range(rounds + 1))
            niobe(place, "budget", "--rounds", "1")
        assert niobe(place, "export", "json", "all.json", "--all").returncode == 0
        said = {found["validation"]["oracle"] for found in json.loads((place / "all.json").read_text())}
        assert len(said) == 1 and said.pop().startswith("force-field ase acme_niobe:Morse ")
        (place / "morse.json").write_text('{"depth": 0.2, "width": 1.5, "length": 2.6}')
        refused = niobe(place, "launch", "morse.yaml", site=site)
        assert refused.returncode == 2
        assert "oracle: campaign 'morse' was begun with force-field ase acme_niobe:Morse" in refused.stderr
    finally:
        stop_server(place / "home" / "db")


def test_what_is_not_installed_is_one_line(place: Path) -> None:
    refused = niobe(place, "check", "acme.yaml")
    assert refused.returncode == 2
    (line,) = refused.stderr.strip().splitlines()
    assert "generation.mix.0.name: unknown; allowed: gan" in line and "acme-random" in line
