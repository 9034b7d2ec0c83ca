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
        said = opinions(place, site)
        assert {opinion["oracle"] for opinion in said} == {"acme-doubtful", "emt"}
        assert not any(opinion["agrees"] for opinion in said if opinion["oracle"] == "acme-doubtful")
        assert "disagrees" in niobe(place, "show", found[0]["id"], site=site).stdout
    finally:
        stop_server(place / "home" / "db")


def opinions(place: Path, site: Path) -> list[dict[str, Any]]:
    """Of all finds, as a file of the campaign has them."""
    assert niobe(place, "export", "json", "finds.json", site=site).returncode == 0
    found = json.loads((place / "finds.json").read_text())
    return [opinion for record in found for opinion in record["opinions"]]


def test_what_is_not_installed_is_one_line(place: Path) -> None:
    refused = niobe(place, "check", "acme.yaml")
    assert refused.returncode == 2
    (line,) = refused.stderr.strip().splitlines()
    assert "generation.mix.0.name: unknown; allowed: gan" in line and "acme-random" in line
