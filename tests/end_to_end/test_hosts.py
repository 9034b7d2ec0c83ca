"""Two hosts: two homes on one database over TCP, and clocks five minutes apart."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from niobe.launchers.embedded import ensure_server, stop_server
from niobe.loop.store.database import Database
from tests.end_to_end.test_campaign import NIOBE, campaign_file, content, environment, niobe
from tests.end_to_end.test_fireworks import LONGER


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[tuple[dict[str, str], dict[str, str]]]:
    """The environments of two hosts; the database is the embedded one's, over TCP."""
    folder = tmp_path / "database"
    ensure_server(folder, port=0)
    uri = (folder / "tcp.uri").read_text(encoding="utf-8").strip()
    environments = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        environments.append(environment(tmp_path / name) | {"NIOBE_MONGO_URI": uri})
    yield environments[0], environments[1]
    stop_server(folder)


def outcome(uri: str) -> list[Any]:
    database = Database.connect(uri, "niobe")
    try:
        return [content(record) for record in database.records.find("cu-au")]
    finally:
        database.close()


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("ahead", [300, -300])
def test_two_hosts_find_what_one_does(
    tmp_path: Path, hosts: tuple[dict[str, str], dict[str, str]], ahead: int
) -> None:
    alone = tmp_path / "alone"
    alone.mkdir()
    niobe(alone, "launch", campaign_file(alone, **LONGER), timeout=600)
    wanted = outcome(ensure_server(alone / "home" / "db"))
    stop_server(alone / "home" / "db")
    one, two = hosts
    file = campaign_file(tmp_path / "one", **LONGER)
    launch = [*NIOBE, "launch", file, "--launcher", "fireworks"]
    subprocess.run(launch, cwd=tmp_path / "one", env=one, check=True, timeout=120)
    off = [sys.executable, "-m", "tests.end_to_end.fast_clock", "rockets", "1"]
    clock = two | {"SECONDS_AHEAD": str(ahead)}
    flying = [
        subprocess.Popen(off, cwd=tmp_path / "two", env=clock),
        subprocess.Popen([*NIOBE, "rockets", "1"], cwd=tmp_path / "one", env=one),
    ]
    assert [process.wait(timeout=600) for process in flying] == [0, 0]
    assert outcome(one["NIOBE_MONGO_URI"]) == wanted
    database = Database.connect(one["NIOBE_MONGO_URI"], "niobe")
    try:
        launches = list(database.mongo["launches"].find({}, {"launch_dir": 1, "state": 1, "fw_id": 1}))
        assert {found["state"] for found in launches} == {"COMPLETED"}
        assert len({found["fw_id"] for found in launches}) == len(launches)
        where = {str(tmp_path / "one") in found["launch_dir"] for found in launches}
        assert where == {True, False}
    finally:
        database.close()
    for name in ("one", "two"):
        assert (tmp_path / name / "home").stat().st_mode & 0o777 == 0o700


def test_a_launch_from_a_second_home_is_refused_while_the_first_runs(
    tmp_path: Path, hosts: tuple[dict[str, str], dict[str, str]]
) -> None:
    file = campaign_file(tmp_path / "one", **LONGER)
    campaign_file(tmp_path / "two", **LONGER)
    one, two = hosts
    first = subprocess.Popen([*NIOBE, "launch", file], cwd=tmp_path / "one", env=one)
    database = Database.connect(one["NIOBE_MONGO_URI"], "niobe")
    try:
        deadline = time.monotonic() + 120
        while database.mongo["holders"].find_one({}) is None:
            assert first.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        for launcher in ("local", "fireworks"):
            command = [*NIOBE, "launch", file, "--launcher", launcher]
            second = subprocess.run(
                command, cwd=tmp_path / "two", env=two, capture_output=True, text=True, check=False
            )
            assert second.returncode == 2
            assert f"campaign 'cu-au' is run by process {first.pid} on" in second.stderr
            assert "Traceback" not in second.stderr
    finally:
        first.kill()
        first.wait()
        database.close()
