"""Flipped bytes, a log that is cut or gone: what was acknowledged is there, or its loss is said."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bson
import pytest

from niobe.launchers.embedded import ensure_server, stop_server
from niobe.launchers.embedded.commands.engine import Engine
from niobe.launchers.embedded.commands.errors import StorageError
from niobe.launchers.embedded.folder import DatabaseFolder
from niobe.launchers.embedded.storage.file import DatabaseFile
from niobe.launchers.embedded.storage.ledger import Ledger
from niobe.launchers.services import ensure_database
from tests.launchers.embedded.tools import EMBEDDED_ONLY, connect

pytestmark = EMBEDDED_ONLY
DOCUMENTS = [{"_id": i, "i": i, "s": f"{i} " * 150} for i in range(300)]
INDEX = {"key": {"i": 1}, "name": "i_1"}
FLIPS = 50
NAMES = ("niobe.sqlite", "niobe.sqlite-wal", "acknowledged")


def opened(place: DatabaseFolder) -> list[dict[str, Any]] | str:
    """All documents, and that the index finds each that is there; or what is said instead."""
    try:
        with contextlib.closing(Engine(DatabaseFile(place.file))) as engine:
            answer = engine.run({"find": "y", "$db": "x", "batchSize": 1000})
            found = [dict(bson.decode(document.raw)) for document in answer["cursor"]["firstBatch"]]
            for document in found[::7]:
                assert engine.run({"count": "y", "$db": "x", "query": {"i": document["i"]}})["n"] == 1
            return found
    except StorageError as error:
        return str(error)


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What lies in a folder whose server was killed: documents in the file, and others in the log alone."""
    place = DatabaseFolder(tmp_path_factory.mktemp("damage") / "db")
    place.make()
    left = place.path.with_name("killed")
    left.mkdir()
    with contextlib.closing(Engine(DatabaseFile(place.file))) as engine:
        assert engine.run({"createIndexes": "y", "$db": "x", "indexes": [INDEX]})["ok"]
        assert engine.run({"insert": "y", "$db": "x", "documents": DOCUMENTS[:200]})["n"] == 200
        engine.file.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        for document in DOCUMENTS[200:]:
            assert engine.run({"insert": "y", "$db": "x", "documents": [document]})["n"] == 1
        for name in NAMES:
            shutil.copy(place.path / name, left)
    return left


def damaged(killed: Path, scratch: Path, name: str, positions: int, size: int = 1) -> Iterator[str]:
    """How each of so many damaged copies ends: said, harmless (all is there), or lost in silence.

    name: of the file. size: 1 flips a bit; more are bytes of noise in a row.
    """
    content = (killed / name).read_bytes()
    chance = random.Random(f"{name}{size}")
    place = DatabaseFolder(scratch)
    for _ in range(positions):
        shutil.copytree(killed, place.path)
        changed, at = bytearray(content), chance.randrange(len(content))
        if size == 1:
            changed[at] ^= 1 << chance.randrange(8)
        else:
            changed[at : at + size] = chance.randbytes(len(changed[at : at + size]))
        (place.path / name).write_bytes(changed)
        found = opened(place)
        yield "said" if isinstance(found, str) else "harmless" if found == DOCUMENTS else "lost"
        shutil.rmtree(place.path)


@pytest.mark.parametrize("size", [1, 64])
@pytest.mark.parametrize("name", NAMES)
def test_damage_anywhere_loses_nothing_in_silence(killed: Path, tmp_path: Path, name: str, size: int) -> None:
    assert "lost" not in set(damaged(killed, tmp_path / "db", name, FLIPS, size))


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.9, 0.999])
def test_a_log_that_is_gone_or_cut_is_said(killed: Path, tmp_path: Path, kept: float) -> None:
    place = DatabaseFolder(tmp_path / "db")
    shutil.copytree(killed, place.path)
    log = Path(f"{place.file}-wal")
    if kept:
        os.truncate(log, int(kept * log.stat().st_size))
    else:
        log.unlink()
    said = opened(place)
    assert "acknowledged writes" in said and "niobe db restore" in said
    (place.path / "acknowledged").unlink()
    left = opened(place)
    assert isinstance(left, list) and left == DOCUMENTS[: len(left)] and len(left) >= 200


def test_a_file_of_the_first_layout_is_brought_up_to_date(killed: Path, tmp_path: Path) -> None:
    place = DatabaseFolder(tmp_path / "db")
    shutil.copytree(killed, place.path)
    with contextlib.closing(sqlite3.connect(place.file)) as connection, connection:
        connection.executescript(
            "PRAGMA user_version = 1; DROP TABLE ledger; DROP INDEX by_collection; "
            "UPDATE fields SET value = CAST('n' || seq AS BLOB); "
            "UPDATE documents SET key = CAST('n' || seq AS BLOB)"
        )
    (place.path / "acknowledged").unlink()
    assert opened(place) == DOCUMENTS
    assert opened(place) == DOCUMENTS


def test_a_file_of_the_second_layout_gets_marks_of_its_arrays(tmp_path: Path) -> None:
    place = DatabaseFolder(tmp_path / "db")
    hint: dict[str, Any] = {"sort": [("a", 1)], "hint": [("a", 1)]}
    with connect(ensure_server(place.path)) as client:
        client["d"]["c"].create_index("a")
        client["d"]["c"].insert_many([{"_id": 0, "a": [1, 2, 3]}, {"_id": 1, "a": 2}])
    stop_server(place.path)
    with contextlib.closing(sqlite3.connect(place.file, isolation_level=None)) as connection:
        marks = "FROM fields WHERE field = 'a' || CHAR(0)"
        ledger = Ledger(connection)
        ledger.load()
        ledger.remove(connection.execute(f"SELECT collection, field, value, seq {marks}").fetchall())
        assert connection.execute(f"DELETE {marks}").rowcount == 1
        ledger.save()
        connection.execute("PRAGMA user_version = 2")
    try:
        with connect(ensure_server(place.path)) as client:
            assert [d["_id"] for d in client["d"]["c"].find({"a": {"$gte": 1}}, **hint)] == [0, 1]
    finally:
        stop_server(place.path)


def test_a_new_home_is_its_owners_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "somewhere" / "home"
    monkeypatch.setattr(os, "environ", os.environ.copy())
    for name in ("NIOBE_MONGO_URI", "NIOBE_EMBEDDED_URI"):
        os.environ.pop(name, None)
    os.environ["NIOBE_HOME"] = str(home)
    try:
        ensure_database()
        assert [path.stat().st_mode & 0o777 for path in (home, home / "db")] == [0o700, 0o700]
    finally:
        stop_server(home / "db")
