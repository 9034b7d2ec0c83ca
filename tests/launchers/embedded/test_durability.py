"""Kills, a full disk, damaged files: nothing acknowledged is lost in silence."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo.errors import OperationFailure, PyMongoError

from niobe.config.errors import ConfigError
from niobe.launchers.embedded import ensure_server, held, stop_server
from niobe.launchers.embedded.commands.engine import Engine
from niobe.launchers.embedded.commands.errors import DamagedError, StorageError
from niobe.launchers.embedded.folder import DatabaseFolder, ServerInfo
from niobe.launchers.embedded.storage.file import DatabaseFile
from niobe.launchers.embedded.storage.snapshots import (
    SnapshotKeeper,
    forget_old_snapshots,
    restore_snapshot,
    snapshots_of,
    take_snapshot,
)
from tests.launchers.embedded.tools import EMBEDDED_ONLY, connect, pid_of

pytestmark = EMBEDDED_ONLY
WRITERS = 3


class Writer(threading.Thread):
    """Inserts pairs until its server dies, and remembers what was acknowledged."""

    def __init__(self, uri: str, name: int, numbers: Iterator[int]) -> None:
        super().__init__()
        self.uri, self.writer, self.numbers = uri, name, numbers
        self.acknowledged: list[str] = []

    def run(self) -> None:
        with connect(self.uri, serverSelectionTimeoutMS=300) as client:
            while True:
                number = next(self.numbers)
                pair = [f"{self.writer}-{number}-{half}" for half in "ab"]
                try:
                    client["x"]["y"].insert_many([{"_id": key, "pad": "x" * 300} for key in pair])
                except PyMongoError:
                    return
                self.acknowledged += pair


def kill_under_writers(folder: Path, kills: int) -> tuple[set[str], set[str]]:
    """Ids acknowledged before any of the kills, and ids found after the last."""
    acknowledged: set[str] = set()
    counters = [itertools.count() for _ in range(WRITERS)]
    chance = random.Random(3)
    for _ in range(kills):
        uri = ensure_server(folder)
        writers = [Writer(uri, name, numbers) for name, numbers in enumerate(counters)]
        for writer in writers:
            writer.start()
        threading.Event().wait(chance.uniform(0.1, 0.5))
        os.kill(pid_of(folder), signal.SIGKILL)
        for writer in writers:
            writer.join()
            acknowledged |= set(writer.acknowledged)
    with connect(ensure_server(folder)) as client:
        return acknowledged, {d["_id"] for d in client["x"]["y"].find({}, {"_id": 1})}


def assert_nothing_lost(acknowledged: set[str], found: set[str]) -> None:
    assert acknowledged
    assert acknowledged - found == set()
    pairs = {key[:-1] for key in found}
    assert found == {pair + half for pair in pairs for half in "ab"}, "an insert_many was half applied"


def test_kill_9_loses_no_acknowledged_write(folder: Path) -> None:
    assert_nothing_lost(*kill_under_writers(folder, 3))


@pytest.mark.slow
def test_30_kills_lose_no_acknowledged_write(folder: Path) -> None:
    acknowledged, found = kill_under_writers(folder, 30)
    print(f"{len(acknowledged)} acknowledged, {len(acknowledged - found)} lost")
    assert_nothing_lost(acknowledged, found)


def test_a_second_server_refuses_and_names_the_first(folder: Path) -> None:
    ensure_server(folder)
    command = [sys.executable, "-m", "niobe.launchers.embedded.server", str(folder)]
    second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert second.returncode == 3
    assert str(pid_of(folder)) in second.stderr
    assert ensure_server(folder).startswith("mongodb://")


@pytest.mark.parametrize("version", [0, 99])
def test_a_file_of_another_layout_is_refused(folder: Path, version: int) -> None:
    folder.mkdir()
    with sqlite3.connect(folder / "niobe.sqlite") as connection:
        connection.execute(f"PRAGMA user_version = {version}")
        connection.execute("CREATE TABLE collections (id INTEGER PRIMARY KEY)")
    connection.close()
    with pytest.raises(ConfigError, match=rf"layout \({version},"):
        ensure_server(folder)


DOCUMENTS = [{"_id": i, "i": i, "s": f"{i} " * 150} for i in range(300)]
INDEX = {"key": {"i": 1}, "name": "i_1"}


@pytest.fixture
def stopped(folder: Path) -> DatabaseFolder:
    """A database of 300 documents that nobody serves, and a snapshot of it."""
    place = DatabaseFolder(folder)
    place.make()
    with contextlib.closing(Engine(DatabaseFile(place.file))) as engine:
        assert engine.run({"createIndexes": "y", "$db": "x", "indexes": [INDEX]})["ok"]
        assert engine.run({"insert": "y", "$db": "x", "documents": DOCUMENTS})["n"] == 300
    take_snapshot(place)
    return place


def everything(place: DatabaseFolder) -> dict[str, Any]:
    """The answers to a find of everything and to a count that decodes everything, or the first error."""
    with contextlib.closing(Engine(DatabaseFile(place.file))) as engine:
        found = engine.run({"find": "y", "$db": "x", "batchSize": 1000})
        counted = engine.run({"count": "y", "$db": "x", "query": {"i": {"$gte": 0}}})
    return found if not found["ok"] else {"n": counted["n"], "documents": found["cursor"]["firstBatch"]}


def test_flipped_bytes_are_a_clear_error_and_a_snapshot_brings_them_back(stopped: DatabaseFolder) -> None:
    content = bytearray(stopped.file.read_bytes())
    content[100:6000] = os.urandom(5900)
    stopped.file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"damaged.*niobe db restore"):
        ensure_server(stopped.path)
    with held(stopped.path):
        _, aside = restore_snapshot(stopped, snapshots_of(stopped))
    with connect(ensure_server(stopped.path)) as client:
        assert list(client["x"]["y"].find()) == DOCUMENTS
    assert aside is not None
    assert (aside / stopped.file.name).read_bytes() == content


@pytest.mark.parametrize("seed", range(16))
def test_no_flipped_byte_is_served_in_silence(stopped: DatabaseFolder, seed: int) -> None:
    """Wherever the byte is: an error, or all documents as they were (it was in unused space)."""
    chance = random.Random(seed)
    content = bytearray(stopped.file.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    stopped.file.write_bytes(content)
    try:
        found = everything(stopped)
    except StorageError as error:
        found = {"errmsg": str(error)}
    if "errmsg" in found:
        assert "niobe db restore" in found["errmsg"]
    else:
        assert found["n"] == 300
        assert [dict(document) for document in found["documents"]] == DOCUMENTS


def test_a_lost_file_is_not_taken_for_an_empty_database(stopped: DatabaseFolder) -> None:
    stopped.file.unlink()
    with pytest.raises(ConfigError, match=r"missing or empty.*niobe db restore"):
        ensure_server(stopped.path)
    with held(stopped.path):
        restore_snapshot(stopped, snapshots_of(stopped))
    assert everything(stopped)["n"] == 300


def test_a_damaged_snapshot_is_passed_over_and_a_damaged_file_makes_none(stopped: DatabaseFolder) -> None:
    second = take_snapshot(stopped)
    second.write_bytes(b"\0" * 5000)
    with held(stopped.path):
        restored, _ = restore_snapshot(stopped, snapshots_of(stopped))
    assert restored != second
    content = bytearray(stopped.file.read_bytes())
    content[-3000:] = os.urandom(3000)
    stopped.file.write_bytes(content)
    before = snapshots_of(stopped)
    with pytest.raises(DamagedError):
        take_snapshot(stopped)
    assert snapshots_of(stopped) == before


def test_the_last_snapshots_are_kept_private_and_few(stopped: DatabaseFolder) -> None:
    for _ in range(5):
        take_snapshot(stopped)
    last = snapshots_of(stopped)[-3:]
    forget_old_snapshots(stopped)
    assert snapshots_of(stopped) == last
    files = [file for file in stopped.path.rglob("*") if file.is_file()]
    assert {file.stat().st_mode & 0o077 for file in files} == {0}


def test_a_snapshot_can_be_taken_while_others_write(folder: Path) -> None:
    place = DatabaseFolder(folder)
    with connect(ensure_server(folder)) as client:
        for i in range(6):
            client["x"]["y"].insert_one({"_id": i, "s": "x" * 3000})
            snapshot = take_snapshot(place)
            with sqlite3.connect(snapshot) as copy:
                assert copy.execute("SELECT COUNT(*) FROM documents").fetchone() == (i + 1,)
            copy.close()


def test_a_long_command_does_not_make_the_server_look_dead(stopped: DatabaseFolder) -> None:
    """A client's monitor gives up a server, and what runs on it, where hello is not answered."""
    with contextlib.closing(Engine(DatabaseFile(stopped.file))) as engine, engine.writing():
        thread = threading.Thread(target=engine.run, args=({"hello": 1, "$db": "admin"},))
        thread.start()
        thread.join(10)
        assert not thread.is_alive()


def test_no_room_is_a_clear_error_and_keeps_what_was_there(tmp_path: Path) -> None:
    file = DatabaseFile(tmp_path / "small.sqlite")
    file.connection.execute("PRAGMA max_page_count = 60")
    engine = Engine(file)
    stored = 0
    for i in itertools.count():
        answer = engine.run({"insert": "y", "$db": "x", "documents": [{"_id": i, "s": "x" * 20_000}]})
        if not answer["ok"]:
            break
        stored += answer["n"]
    assert answer["code"] == 14031
    assert "not stored" in answer["errmsg"]
    assert stored > 3
    assert engine.run({"count": "y", "$db": "x"})["n"] == stored
    assert engine.run({"delete": "y", "$db": "x", "deletes": [{"q": {"_id": 0}, "limit": 1}]})["n"] == 1
    assert engine.run({"insert": "y", "$db": "x", "documents": [{"_id": "small"}]})["ok"]
    engine.close()


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    mount, umount = shutil.which("mount"), shutil.which("umount")
    disk = tmp_path / "disk"
    disk.mkdir()
    command = [mount or "mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(disk)]
    if not mount or not umount or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system needs root")
    yield disk
    stop_server(disk / "db")
    subprocess.run([umount, "-l", str(disk)], check=True)


def test_a_full_disk_is_a_clear_error_and_loses_nothing(tiny_disk: Path) -> None:
    folder = tiny_disk / "db"
    with connect(ensure_server(folder)) as client:
        stored = 0
        with pytest.raises(OperationFailure, match="not stored") as caught:
            for stored in itertools.count():
                client["x"]["y"].insert_one({"_id": stored, "s": os.urandom(50_000)})
        assert caught.value.code == 14031
        assert client["x"]["y"].count_documents({}) == stored
    os.kill(pid_of(folder), signal.SIGKILL)
    with pytest.raises(ConfigError, match=r"0\.0 MB free"):
        ensure_server(folder)
    subprocess.run(["mount", "-o", "remount,size=20m", str(tiny_disk)], check=True)
    with connect(ensure_server(folder)) as client:
        assert [d["_id"] for d in client["x"]["y"].find({}, {"_id": 1})] == list(range(stored))


def test_a_server_on_its_way_up_is_waited_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = DatabaseFolder(folder)
    place.make()
    place.write_info(ServerInfo(2**22 + 1, str(place.socket), "2026-01-01T00:00:00+00:00"))  # was killed
    monkeypatch.setattr("niobe.launchers.embedded._ANSWER_SECONDS", 0.0)
    with contextlib.closing(place.lock()) as starting:
        threading.Timer(1.0, starting.close).start()
        with connect(ensure_server(folder)) as client:
            assert client["x"]["y"].count_documents({}) == 0


@pytest.mark.parametrize("gone", ["file", "folder"])
def test_the_last_snapshot_of_what_is_gone_is_a_line(
    stopped: DatabaseFolder, gone: str, capsys: pytest.CaptureFixture[str]
) -> None:
    keeper = SnapshotKeeper(stopped, 60)
    if gone == "file":
        stopped.file.unlink()
    else:
        stopped.path.rename(stopped.path.with_name("moved"))
    keeper.stop()
    assert capsys.readouterr().err == f"no snapshot taken: {stopped.file} is gone\n"
