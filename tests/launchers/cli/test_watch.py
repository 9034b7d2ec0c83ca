"""A campaign followed from another shell: only its database is read."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from niobe.loop.documents.rounds import CampaignState
from niobe.loop.store.database import Database
from tests.launchers.cli.test_mistakes import Niobe, niobe
from tests.launchers.pages.serving import fill

__all__ = ["niobe"]


def test_what_was_found_is_shown_and_a_round_that_closes_until_the_campaign_ends(
    database: Database, niobe: Niobe
) -> None:
    fill(database)

    def go_on() -> None:
        time.sleep(1.5)
        database.rounds.update("t", 2, state="closed", closed_at="2026-11-28T10:00:00+00:00")
        time.sleep(2.5)
        database.campaigns.update("t", state=CampaignState.FINISHED, reason="all rounds done")

    other = threading.Thread(target=go_on)
    other.start()
    said = niobe.said("watch")
    other.join()
    lines = said.splitlines()
    assert sum("discovery NbO Pm-3m (221)" in line for line in lines) == 1
    assert sum(line.startswith("hull of round 1") for line in lines) == 2
    first = next(i for i, line in enumerate(lines) if line.startswith("round 1:"))
    last = next(i for i, line in enumerate(lines) if "round 2:" in line)
    assert first < last and lines[last].startswith("2026-11-28 ")
    assert said.strip().endswith("campaign t finished: all rounds done")


def test_one_that_has_ended_is_shown_at_once(database: Database, niobe: Niobe) -> None:
    fill(database)
    database.campaigns.update("t", state=CampaignState.STOPPED, reason="stopped by the user")
    before = [database.rounds.find("t"), database.campaigns.find_one("t"), database.records.find("t")]
    assert "campaign t stopped: stopped by the user" in niobe.said("watch", "-c", "t")
    assert [database.rounds.find("t"), database.campaigns.find_one("t"), database.records.find("t")] == before


def test_what_is_not_there_is_named(database: Database, niobe: Niobe) -> None:
    assert "`niobe new` writes a campaign file" in niobe.mistake("watch")
    fill(database)
    assert "'other' is not in the database; known: t" in niobe.mistake("watch", "-c", "other")


def test_ctrl_c_ends_it_with_130_and_the_campaign_goes_on(database: Database, tmp_path: Path) -> None:
    fill(database)
    program = "from niobe.launchers.cli import main; main()"
    root = str(Path(__file__).parents[3])
    with subprocess.Popen(
        [sys.executable, "-c", program, "watch"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": root},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as watching:
        assert watching.stdout is not None
        for line in watching.stdout:
            if line.startswith("hull of round 1"):
                break
        watching.send_signal(signal.SIGINT)
        _, err = watching.communicate(timeout=60)
    assert (watching.returncode, "Traceback" in err) == (130, False)
    found = database.campaigns.find_one("t")
    assert found is not None and found.state is CampaignState.RUNNING
