"""Whole campaigns under FireWorks, through the command line: workers, servers and supervisors are shot at."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from niobe.config.home import owner_of_rocket_folder
from niobe.launchers.embedded import ensure_server, server_status, stop_server
from niobe.loop.store.database import Database
from tests.end_to_end.audited_worker import asked_after_stored
from tests.end_to_end.here import niobe_here
from tests.end_to_end.test_campaign import (
    BREEDING,
    NIOBE,
    campaign_file,
    content,
    environment,
    niobe,
    records,
)

pytestmark = pytest.mark.filterwarnings("ignore:Set OLD_ERROR_HANDLING:DeprecationWarning")
SMALL: dict[str, Any] = {
    "budget": {"rounds": 1, "validations": 3},
    "seeds": {"max_prototypes": 1},
    "generation": {"candidates": 10, "mix": [{"name": "random"}, {"name": "prototype"}]},
    "acquisition": {"batch": 3, "control_share": 0.34},
    "limits": {"max_atoms": 4},
}
WITH_ALL_JOBS: dict[str, Any] = SMALL | BREEDING | {"seeds": {"max_prototypes": 0}}
"""Without the 288 prototypes of Cu-Au, which the pre-relaxation potential would be asked about."""
LONGER: dict[str, Any] = {
    "limits": {"max_atoms": 6},
    "budget": {"rounds": 3, "validations": 18},
    "seeds": {"max_prototypes": 3},
    "generation": {"candidates": 16, "mix": [{"name": "random"}, {"name": "prototype"}]},
    "acquisition": {"batch": 6},
}


class Local:
    """What the local launcher finds for a campaign, run once for all tests."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._found: dict[str, list[Any]] = {}

    def contents(self, changes: dict[str, Any]) -> list[Any]:
        key = str(sorted(changes))
        if key not in self._found:
            place = self._folder / str(len(self._found))
            place.mkdir()
            niobe_here(place, "launch", campaign_file(place, **changes), workers=1)
            self._found[key] = [content(record) for record in records(place)]
            stop_server(place / "home" / "db")
        return self._found[key]


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Local:
    return Local(tmp_path_factory.mktemp("local"))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    stop_server(tmp_path / "home" / "db")


def rockets(place: Path, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.end_to_end.audited_worker", "rockets", str(count)]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, cwd=place, env=environment(place), text=True, stdout=pipe, stderr=subprocess.STDOUT
    )


def workers(supervisor: int) -> list[int]:
    """Process ids of the workers of a `niobe rockets`."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"tests.end_to_end.audited_worker" in command and str(supervisor).encode() in command:
            found.append(int(folder.name))
    return found


def mongo(place: Path) -> Database:
    return Database.connect(ensure_server(place / "home" / "db"), "niobe")


def assert_as_local(place: Path, wanted: list[Any]) -> None:
    """The same records and verdicts, rounds without gaps, and no outcome stored after another one."""
    assert [content(record) for record in records(place)] == wanted
    database = mongo(place)
    try:
        rounds = database.rounds.find("cu-au")
        assert [record.number for record in rounds] == list(range(len(rounds)))
        assert {record.state for record in rounds} == {"closed"}
        keys = [claim["_id"] for claim in database.mongo["submissions"].find({})]
        workflows = Counter(found["name"] for found in database.mongo["workflows"].find({}, {"name": 1}))
        assert set(workflows.values()) == {1}
        assert len([key for key in keys if key.endswith("prepare")]) == len(rounds)
        assert not asked_after_stored(place / "home" / "audit.log")
    finally:
        database.close()


@pytest.mark.timeout(900)
def test_four_workers_of_two_rockets_find_what_the_local_launcher_finds(place: Path, local: Local) -> None:
    """With every kind of job there is: a pre-relaxation potential that looks twice, before and after
    offspring are drawn. `niobe rockets` is started twice in one home."""
    niobe(place, "launch", campaign_file(place, **WITH_ALL_JOBS), "--launcher", "fireworks")
    for process in [rockets(place, 2), rockets(place, 2)]:
        said, _ = process.communicate(timeout=800)
        assert process.returncode == 0, said
        assert "every campaign has ended" in said
    assert_as_local(place, local.contents(WITH_ALL_JOBS))
    database = mongo(place)
    try:
        launches = list(database.mongo["launches"].find({}, {"fw_id": 1, "state": 1, "launch_dir": 1}))
    finally:
        database.close()
    assert {launch["state"] for launch in launches} == {"COMPLETED"}
    assert max(Counter(launch["fw_id"] for launch in launches).values()) == 1
    supervisors = {owner_of_rocket_folder(Path(launch["launch_dir"])) for launch in launches}
    assert len(supervisors) == 2


def shoot(place: Path, process: subprocess.Popen[str], shots: list[str], pause: float, seed: int) -> int:
    """Kill workers and the database server at random instants, ``pause`` seconds apart at most.

    How many shots were fired before the campaign ended.
    """
    rng, done = random.Random(seed), 0
    rng.shuffle(shots)
    for shot in shots:
        time.sleep(rng.uniform(0.2, pause))
        while process.poll() is None:
            status = server_status(place / "home" / "db")
            servers = [status.pid] if status else []
            targets = workers(process.pid) if shot == "worker" else servers
            if targets:
                os.kill(rng.choice(targets), signal.SIGKILL)
                done += 1
                break
            time.sleep(0.05)
    return done


def assert_survives(
    place: Path, wanted: list[Any], changes: dict[str, Any], shots: list[str], pause: float
) -> None:
    niobe(place, "launch", campaign_file(place, **changes), "--launcher", "fireworks")
    process = rockets(place, 3)
    done = shoot(place, process, shots, pause, seed=len(shots))
    said, _ = process.communicate(timeout=3000)
    assert process.returncode == 0, said
    assert_as_local(place, wanted)
    assert done == len(shots)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_workers_and_the_server_are_killed(place: Path, local: Local) -> None:
    assert_survives(place, local.contents(SMALL), SMALL, ["worker"] * 3 + ["server"], pause=4.0)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_fifty_workers_are_killed(place: Path, local: Local) -> None:
    assert_survives(place, local.contents(LONGER), LONGER, ["worker"] * 50, pause=2.5)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_server_is_killed_ten_times(place: Path, local: Local) -> None:
    assert_survives(place, local.contents(LONGER), LONGER, ["server"] * 10, pause=6.0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_hands_back_within_ten_seconds(place: Path, number: signal.Signals) -> None:
    niobe(place, "launch", campaign_file(place, **SMALL), "--launcher", "fireworks")
    process = rockets(place, 2)
    wait_until_running(place)
    started = time.monotonic()
    process.send_signal(number)
    said, _ = process.communicate(timeout=60)
    assert time.monotonic() - started < 10.0
    assert process.returncode == 130, said
    assert not workers(process.pid)
    database = mongo(place)
    try:
        states = Counter(firework["state"] for firework in database.mongo["fireworks"].find({}, {"state": 1}))
        assert not {"RUNNING", "RESERVED", "FIZZLED"} & set(states)
        assert states["READY"] >= 1
    finally:
        database.close()


def wait_until_running(place: Path) -> None:
    database = mongo(place)
    try:
        deadline = time.monotonic() + 120
        while database.mongo["launches"].find_one({"state": "RUNNING"}) is None:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        database.close()


def test_two_launches_at_once_make_one_campaign(place: Path) -> None:
    file = campaign_file(place, **SMALL)
    command = [*NIOBE, "launch", file, "--launcher", "fireworks"]
    both = [subprocess.Popen(command, cwd=place, env=environment(place)) for _ in range(2)]
    assert [process.wait(timeout=120) for process in both] == [0, 0]
    database = mongo(place)
    try:
        assert [campaign.id for campaign in database.campaigns.find()] == ["cu-au"]
        names = [found["name"] for found in database.mongo["workflows"].find({}, {"name": 1})]
        assert names == ["cu-au r0"]
    finally:
        database.close()
