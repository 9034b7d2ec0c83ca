"""Other ways to fly a campaign: FireWorks' own commands, workers by category, rounds that do not wait."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from niobe.launchers.embedded import ensure_server, stop_server
from niobe.launchers.fireworks.files import write_own_settings
from niobe.loop.documents.records import Status
from niobe.loop.store.database import Database
from tests.end_to_end.test_campaign import campaign_file, environment, niobe, records
from tests.end_to_end.test_fireworks import SMALL

BIN = Path(sys.executable).parent


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    stop_server(tmp_path / "home" / "db")


def shell(place: Path, script: str, seconds: float = 240) -> str:
    """What a user's shell says, niobe's and FireWorks' commands on its path."""
    niobe_command = (
        f"niobe() {{ {sys.executable} -c 'from niobe.launchers.cli import main; main()' \"$@\"; }}\n"
    )
    return subprocess.run(
        ["bash", "-e", "-c", niobe_command + script],
        cwd=place,
        env=environment(place) | {"PATH": f"{BIN}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
        timeout=seconds,
    ).stdout


def ended(place: Path) -> list[int]:
    """Numbers of the rounds of a campaign that has ended, all closed."""
    database = Database.connect(ensure_server(place / "home" / "db"), "niobe")
    try:
        campaign = database.campaigns.find_one("cu-au")
        assert campaign is not None
        assert campaign.state == "finished"
        rounds = database.rounds.find("cu-au")
        assert {record.state for record in rounds} == {"closed"}
        return [record.number for record in rounds]
    finally:
        database.close()


def test_rlaunch_flies_a_campaign_and_lpad_finds_its_workflows(place: Path) -> None:
    file = campaign_file(place, **SMALL)
    said = shell(
        place,
        f"niobe launch {file} --launcher fireworks\nniobe init\nsource niobe.env\n"
        "rlaunch multi 2 --nlaunches 0 --sleep 1\nrlaunch rapidfire\n"
        """lpad get_wflows -q '{"metadata.campaign": "cu-au", "metadata.round": 1}' -d less""",
    )
    assert ended(place) == [0, 1]
    assert "cu-au r1 validate" in said


@pytest.mark.slow
def test_categories_send_jobs_to_their_workers(place: Path) -> None:
    file = campaign_file(place, **SMALL)
    shell(
        place,
        f"niobe launch {file} --launcher fireworks\nniobe init\nsource niobe.env\nunset FW_CONFIG_FILE\n"
        "mkdir gpu cpu\n(cd gpu && niobe init)\n(cd cpu && niobe init)\n"
        "sed -i 's/^name:.*/name: gpu/; s/^category:.*/category: learning/' gpu/my_fworker.yaml\n"
        "sed -i 's/^name:.*/name: cpu/; s/^category:.*/category: [force-field, vasp]/' cpu/my_fworker.yaml\n"
        "(cd gpu && niobe rockets 1) & (cd cpu && niobe rockets 1)\nwait",
    )
    assert ended(place) == [0, 1]
    database = Database.connect(ensure_server(place / "home" / "db"), "niobe")
    try:
        flown: dict[str, set[str]] = {}
        for launch in database.mongo["launches"].find({"state": "COMPLETED"}):
            firework = database.mongo["fireworks"].find_one({"fw_id": launch["fw_id"]})
            assert firework is not None
            flown.setdefault(launch["fworker"]["name"], set()).add(firework["spec"]["_category"])
    finally:
        database.close()
    assert flown == {"gpu": {"learning"}, "cpu": {"force-field"}}


@pytest.mark.slow
def test_an_asynchronous_campaign_goes_on_while_one_validation_is_slow(place: Path) -> None:
    changes: dict[str, Any] = SMALL | {
        "asynchronous": True,
        "quorum": 0.5,
        "seeds": {"max_prototypes": 0},
        "budget": {"rounds": 3, "validations": 9},
        "launcher": "fireworks",
    }
    niobe(place, "launch", campaign_file(place, **changes))
    command = [sys.executable, "-m", "tests.end_to_end.slow_worker", "rockets", "2"]
    subprocess.run(command, cwd=place, env=environment(place), check=True, timeout=280)
    assert ended(place) == [0, 1, 2, 3]
    slow = (place / "home" / "slow").read_text(encoding="utf-8").partition("-")[0]
    found = {record.id: record for record in records(place)}
    batches = batches_of(place)
    assert slow in batches[1]
    assert not [number for number in (2, 3) if slow in batches[number]]
    assert sum(map(len, batches[1:])) == len(set().union(*batches[1:])) == 9
    assert {found[identifier].status for identifier in set().union(*batches)} <= {
        Status.VALIDATED,
        Status.FAILED,
    }
    assert all(record.verdict for record in found.values() if record.validation)
    assert acquired_before_finished(place, slow)


def batches_of(place: Path) -> list[list[str]]:
    database = Database.connect(ensure_server(place / "home" / "db"), "niobe")
    try:
        return [record.batch for record in database.rounds.find("cu-au")]
    finally:
        database.close()


def acquired_before_finished(place: Path, slow: str) -> bool:
    """Whether round 2 chose its batch while the slow validation of round 1 was still running."""
    database = Database.connect(ensure_server(place / "home" / "db"), "niobe")
    try:
        ends = {
            firework["name"]: max(
                state["created_on"]
                for launch in database.mongo["launches"].find({"fw_id": firework["fw_id"]})
                for state in launch["state_history"]
                if state["state"] == "COMPLETED"
            )
            for firework in database.mongo["fireworks"].find({"state": "COMPLETED"})
        }
    finally:
        database.close()
    return bool(ends["cu-au r2 acquire"] < ends[f"cu-au r1 validate {slow}"])


SHORT = {"PING_TIME_SECS: 10": "PING_TIME_SECS: 1", "RUN_EXPIRATION_SECS: 60": "RUN_EXPIRATION_SECS: 4"}


def until(true: Callable[[], Any], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.slow
def test_a_worker_that_is_woken_after_its_round_closed_writes_nothing(place: Path) -> None:
    """Stopped past its lost-run time as it had chosen a batch: another worker chose, the round went on."""
    niobe(place, "launch", campaign_file(place, **SMALL), "--launcher", "fireworks")
    settings = place / "FW_config.yaml"
    write_own_settings(settings, place)
    text = settings.read_text(encoding="utf-8")
    for old, new in SHORT.items():
        text = text.replace(old, new)
    settings.write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "tests.end_to_end.stopped_worker", "rockets", "2", "--forever"]
    process = subprocess.Popen(command, cwd=place, env=environment(place))
    database = Database.connect(ensure_server(place / "home" / "db"), "niobe")
    mongo = database.mongo
    late = {"action.stored_data._exception._stacktrace": {"$regex": "SupersededError"}}
    try:
        until(lambda: mongo["campaigns"].find_one({"state": "finished"}))
        before = [list(mongo[name].find({}, sort=[("_id", 1)])) for name in ("structures", "rounds", "hulls")]
        assert mongo["launches"].find_one(late) is None
        os.kill(int((place / "home" / "stopped").read_text(encoding="utf-8")), signal.SIGCONT)
        until(lambda: mongo["launches"].find_one(late))
        after = [list(mongo[name].find({}, sort=[("_id", 1)])) for name in ("structures", "rounds", "hulls")]
    finally:
        process.terminate()
        process.wait(timeout=60)
        database.close()
    assert after == before
    assert ended(place) == [0, 1]
