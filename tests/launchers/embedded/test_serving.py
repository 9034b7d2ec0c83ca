"""Who serves a folder: found from any environment, named with its version, said before it is stopped."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from niobe.launchers import embedded
from niobe.launchers.embedded import connections, ensure_server, server_status, stop_server
from niobe.launchers.embedded.folder import DatabaseFolder
from niobe.launchers.embedded.version import server_version
from tests.launchers.embedded.tools import EMBEDDED_ONLY, connect

pytestmark = EMBEDDED_ONLY


def niobe(home: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A command of its own, in an environment without another database."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("NIOBE_")}
    command = [sys.executable, "-P", "-c", "from niobe.launchers.cli import main; main()", *words]
    environment = kept | {"NIOBE_HOME": str(home)} | variables
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def long_home(tmp_path: Path) -> Path:
    """A home whose database's socket does not fit into its own folder."""
    return tmp_path / ("h" * 100)


def test_a_server_is_found_from_an_environment_with_another_folder_for_sockets(
    long_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    uri = ensure_server(long_home)
    try:
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "other"))
        started = time.monotonic()
        assert server_status(long_home) is not None
        assert ensure_server(long_home) == uri == DatabaseFolder(long_home).uri
        assert time.monotonic() - started < 5.0
    finally:
        assert stop_server(long_home)
    assert not DatabaseFolder(long_home).is_locked()


def test_a_copy_of_a_home_has_a_database_of_its_own(
    long_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though it says, in the file that was copied, where the other's server listens."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    copied = tmp_path / ("c" * 100)
    try:
        with connect(ensure_server(long_home)) as client:
            client["niobe"]["x"].insert_one({"_id": 1})
        ignored = shutil.ignore_patterns("*.sock")
        shutil.copytree(long_home, copied, ignore=ignored)
        assert server_status(copied) is None and not stop_server(copied)
        with connect(ensure_server(copied)) as client:
            client["niobe"]["x"].insert_one({"_id": 2})
            assert client["niobe"]["x"].count_documents({}) == 2
        with connect(ensure_server(long_home)) as client:
            assert client["niobe"]["x"].count_documents({}) == 1
    finally:
        for place in (copied, long_home):
            stop_server(place)


def test_a_server_whose_socket_is_gone_can_still_be_stopped(folder: Path) -> None:
    ensure_server(folder)
    DatabaseFolder(folder).socket.unlink()
    assert server_status(folder) is None
    assert stop_server(folder)
    assert not DatabaseFolder(folder).is_locked()


def test_a_server_says_which_code_it_is_and_who_is_connected(folder: Path) -> None:
    uri = ensure_server(folder)
    info = server_status(folder)
    assert info is not None and info.version == server_version()
    deadline = time.monotonic() + 60  # who says nothing is let go in 30 s
    while connections(folder) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert connections(folder) == 0
    with connect(uri) as client:
        client["x"]["y"].find_one()
        assert connections(folder) >= 1


def test_an_older_server_is_recognised(tmp_path: Path) -> None:
    folder = DatabaseFolder(tmp_path / "home" / "db")
    ensure_server(folder.path)
    try:
        written = folder.path / "server.json"
        info = json.loads(written.read_text())
        written.write_text(json.dumps({k: v for k, v in info.items() if k != "version"}))
        said = niobe(tmp_path / "home", "status")
        assert f"process {info['pid']} serves" in said.stderr and "older" in said.stderr
    finally:
        stop_server(folder.path)


def test_stop_and_restore_say_that_a_campaign_runs(tmp_path: Path) -> None:
    home = tmp_path / "home"
    uri = ensure_server(home / "db")
    try:
        with connect(uri) as client:
            client["niobe"]["campaigns"].insert_one({"_id": "nb-o", "state": "running"})
            refused = niobe(home, "db", "restore")
            assert refused.returncode == 2 and "campaign nb-o runs" in refused.stderr
            stopped = niobe(home, "db", "stop")
            assert stopped.returncode == 0 and "campaign nb-o runs" in stopped.stderr
        assert "no server runs" in niobe(home, "db", "stop").stdout
    finally:
        stop_server(home / "db")


def test_a_server_that_came_up_while_another_was_started_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine so busy that starting one takes longer than a server is given to answer."""
    folder, run = tmp_path / "db", embedded._run_server

    def late(place: DatabaseFolder, options: list[str]) -> tuple[int, str]:
        run(place, options)
        time.sleep(0.2)
        return run(place, options)

    monkeypatch.setattr(embedded, "_run_server", late)
    monkeypatch.setattr(embedded, "_ANSWER_SECONDS", 0.1)
    try:
        assert ensure_server(folder) == DatabaseFolder(folder).uri
    finally:
        stop_server(folder)
