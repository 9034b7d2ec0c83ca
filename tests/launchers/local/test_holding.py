"""One process runs a campaign, whatever its host and home; who is dead is said by the database's clock."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Self

import pytest
from pymongo.errors import AutoReconnect
from typer.testing import CliRunner

from niobe.campaign import Campaign
from niobe.config.errors import ConfigError
from niobe.config.spec import CampaignSpec
from niobe.flows import running
from niobe.launchers.cli import app
from niobe.launchers.local import holding
from niobe.launchers.local.holding import only_one
from niobe.launchers.local.launcher import run_campaign
from niobe.loop.store import clock
from niobe.loop.store.collections import holders
from niobe.loop.store.database import Database


def silent(database: Database, seconds: float) -> None:
    """As if the heart of the holder had not beaten for so long."""
    (held,) = database.mongo["holders"].find({})
    change = {"$set": {"beat": held["beat"] - timedelta(seconds=seconds)}}
    database.mongo["holders"].update_one({"_id": held["_id"]}, change)


def move(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("NIOBE_HOME", str(home))


def test_a_second_home_on_one_database_is_refused_while_the_first_lives(
    database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    move(monkeypatch, tmp_path / "one")
    with only_one(database, "c") as first:
        move(monkeypatch, tmp_path / "two")
        says = f"'c' is run by process .* on .* .home {tmp_path / 'one'}.; `niobe watch -c c` follows it"
        with pytest.raises(ConfigError, match=says), only_one(database, "c"):
            pass
        with only_one(database, "another"):
            pass
        silent(database, 29)
        with pytest.raises(ConfigError, match="is run by process"), only_one(database, "c"):
            pass
        silent(database, 31)
        with only_one(database, "c") as second:
            second.check()
            with pytest.raises(ConfigError, match="taken over by another process while this one was silent"):
                first.check()
        assert database.mongo["holders"].count_documents({}) == 0
    with only_one(database, "c"):
        pass


def test_clocks_of_hosts_play_no_part(
    database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The second home's clock is five minutes ahead, or behind: the first lives all the same."""
    now = time.time

    class Off(datetime):
        minutes = 0

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return super().now(tz) + timedelta(minutes=cls.minutes)

    for module in (holders, clock):
        monkeypatch.setattr(module, "datetime", Off, raising=False)
    move(monkeypatch, tmp_path / "one")
    with only_one(database, "c"):
        move(monkeypatch, tmp_path / "two")
        for off in (300, -300):
            Off.minutes = off // 60
            monkeypatch.setattr(time, "time", lambda off=off: now() + off)
            with pytest.raises(ConfigError, match="is run by process"), only_one(database, "c"):
                pass


def test_a_launch_killed_here_is_taken_over_at_once_here_only(
    database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    code = (
        "import os\n"
        "from niobe.launchers.local.holding import only_one\n"
        "from niobe.loop.store.database import open_database\n"
        "with open_database() as database, only_one(database, 'c'):\n"
        "    os._exit(9)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    home = tmp_path / "home"
    move(monkeypatch, tmp_path / "two")
    with pytest.raises(ConfigError, match=f"home {home}"), only_one(database, "c"):
        pass
    move(monkeypatch, home)
    with only_one(database, "c") as hold:
        hold.check()


def test_a_launcher_that_was_taken_over_stops_before_it_writes(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holding, "BEAT_SECONDS", 0.05)
    spec = CampaignSpec.model_validate({"id": "c", "elements": ["Cu", "Au"], "oracle": {"name": "emt"}})
    database.campaigns.create(spec)
    ticks: list[int] = []

    def tick() -> None:
        ticks.append(1)
        database.mongo["holders"].update_one({"_id": "c"}, {"$set": {"token": "another"}})

    with pytest.raises(ConfigError, match="'c' was taken over by another process"):
        run_campaign(database, spec, tick)
    assert len(ticks) <= 3
    assert database.rounds.get("c", 0).notes == []
    (held,) = database.mongo["holders"].find({})
    assert held["token"] == "another"


def test_submissions_of_one_campaign_wait_for_each_other(database: Database) -> None:
    failed: list[BaseException] = []

    def ask() -> None:
        try:
            with only_one(database, "c", wait=30.0):
                time.sleep(0.05)
        except ConfigError as error:
            failed.append(error)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == [] and database.mongo["holders"].count_documents({}) == 0


@pytest.mark.parametrize("how", ["local", "fireworks", "python"])
def test_a_launch_that_is_refused_has_changed_nothing(database: Database, tmp_path: Path, how: str) -> None:
    """It holds the campaign before it ingests, stores, or takes more seeds into an open round."""
    file = tmp_path / "c.yaml"
    file.write_text(
        f"id: c\nelements: [Cu, Au]\noracle: {{name: emt}}\n"
        f"launcher: {'local' if how == 'python' else how}\n",
        encoding="utf-8",
    )
    with only_one(database, "c"), pytest.raises(ConfigError, match="already running"):
        if how == "python":
            Campaign(file).run(progress=False)
        else:
            CliRunner().invoke(app, ["launch", str(file)], catch_exceptions=False)
    assert database.campaigns.find() == [] and database.entries.find() == []


@pytest.mark.parametrize("hangs", [False, True])
def test_a_launcher_that_the_database_does_not_answer_counts_itself_lost(
    database: Database, monkeypatch: pytest.MonkeyPatch, hangs: bool
) -> None:
    """Another may hold the campaign once this one was silent for so long, until a beat finds none does."""
    monkeypatch.setattr(holding, "BEAT_SECONDS", 0.01)
    monkeypatch.setattr(holding, "DEAD_SECONDS", 0.2)
    answers = threading.Event()
    beat = holders.Holders.beat

    def unanswered(self: holders.Holders, holder: holders.Holder) -> bool:
        if not hangs and not answers.is_set():
            raise AutoReconnect
        answers.wait(10)
        return beat(self, holder)

    monkeypatch.setattr(holders.Holders, "beat", unanswered)
    with only_one(database, "c") as hold:
        hold.check_beat()
        time.sleep(0.25)
        with pytest.raises(ConfigError, match="'c' may be run by another process by now"):
            hold.check_beat()
        answers.set()
        hold.check()


def test_a_home_is_its_owner_s_alone(
    database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whoever makes it: a launch, a step of a worker on another host."""
    campaign = {"id": "c", "elements": ["Cu"], "oracle": {"name": "emt"}}
    for name in ("launch", "step"):
        home = tmp_path / name / "home"
        move(monkeypatch, home)
        if name == "launch":
            with only_one(database, "c"):
                pass
        else:
            database.campaigns.create(CampaignSpec.model_validate(campaign))
            running.run_once("nothing", campaign, 0, lambda *_: None)
        assert home.stat().st_mode & 0o777 == 0o700
