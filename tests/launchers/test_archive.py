"""A home that cannot be written, as an archive's: reading commands work."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from niobe.config.spec import CampaignSpec
from niobe.launchers.embedded import ensure_server, stop_server
from niobe.loop.store.database import Database
from tests.loop.factory import SPEC, nbo, validated

MAIN = [sys.executable, "-c", "from niobe.launchers.cli import main; main()"]
# Root writes where it may not; without this capability it is held to permissions like anybody.
AS_ANYBODY = ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override"]


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Path]:
    home = tmp_path / "home"
    home.mkdir()
    database = Database.connect(ensure_server(home / "db"), "niobe")
    database.campaigns.create(CampaignSpec.model_validate(SPEC.model_dump()))
    database.rounds.open("t", 0)
    database.records.insert([validated(nbo(), -9.0)])
    database.close()
    stop_server(home / "db")
    folders = [home, *(path for path in home.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o500)
    yield home
    for folder in folders:
        folder.chmod(0o700)


@pytest.mark.parametrize(
    "command", [["status"], ["rounds"], ["best"], ["export", "json", "out.json", "--all"]]
)
def test_a_read_only_home_is_looked_at(archive: Path, tmp_path: Path, command: list[str]) -> None:
    if os.geteuid() == 0 and not shutil.which("setpriv"):
        pytest.skip("root writes everywhere, and setpriv is not there")
    before = sorted(path.name for path in archive.rglob("*"))
    held = AS_ANYBODY if os.geteuid() == 0 else []
    answer = subprocess.run(
        [*held, *MAIN, *command],
        cwd=tmp_path,
        env=os.environ | {"NIOBE_HOME": str(archive)},
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stderr
    assert "cannot be written: a copy of its database is read" in answer.stderr
    assert sorted(path.name for path in archive.rglob("*")) == before
    if command[0] == "export":
        assert "NbO" in (tmp_path / "out.json").read_text()
