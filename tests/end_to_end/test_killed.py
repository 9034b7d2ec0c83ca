"""Campaigns whose launcher is killed and started again, compared with one that never was."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from niobe.launchers.embedded import stop_server
from tests.end_to_end.here import niobe_here
from tests.end_to_end.test_campaign import (
    BREEDING,
    LARGER,
    NIOBE,
    campaign_file,
    content,
    environment,
    records,
)

pytestmark = pytest.mark.filterwarnings("ignore:Set OLD_ERROR_HANDLING:DeprecationWarning")
GOALS = [
    {"property": "density", "range": [None, 16.5], "minimize": True},
    {"property": "bulk_modulus", "maximize": True},
]


def kill_and_resume(place: Path, kills: int, rng: random.Random, most_seconds: float) -> None:
    """Launch, kill the launcher at a random instant, and launch again until it ends."""
    for _ in range(kills):
        process = subprocess.Popen(
            [*NIOBE, "launch", "c.yaml"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=place,
            env=environment(place),
        )
        time.sleep(rng.uniform(1.0, most_seconds))
        process.send_signal(signal.SIGKILL)
        process.wait()
    niobe_here(place, "launch", "c.yaml")


def assert_resume_is_exact(tmp_path: Path, kills: int, most_seconds: float, changes: dict[str, Any]) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
        campaign_file(folder, **LARGER | BREEDING | changes, goals=GOALS)
    niobe_here(whole, "launch", "c.yaml", workers=1)
    wanted = [content(record) for record in records(whole)]
    assert sum("bulk_modulus" in record.get("properties", {}) for record in wanted) >= 5
    assert "qlognehvi" in {record["choice"]["function"] for record in wanted if record["choice"]}
    stop_server(whole / "home" / "db")
    kill_and_resume(killed, kills, random.Random(kills), most_seconds)
    assert [content(record) for record in records(killed)] == wanted
    stop_server(killed / "home" / "db")


@pytest.mark.timeout(900)
def test_killed_and_resumed_is_as_if_never_killed(tmp_path: Path) -> None:
    """Without the 288 prototypes of Cu-Au, which the pre-relaxation potential would be asked about."""
    assert_resume_is_exact(tmp_path, 3, 10.0, {"seeds": {"max_prototypes": 0}})


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_killed_twenty_times(tmp_path: Path) -> None:
    assert_resume_is_exact(tmp_path, 20, 14.0, {})
