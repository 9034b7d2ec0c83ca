"""Out of the embedded database and into it: dumps, migration, and the commands that do it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import bson
import pytest
from bson import Int64, ObjectId
from typer.testing import CliRunner

from niobe.config.errors import ConfigError
from niobe.launchers.cli import app
from niobe.launchers.embedded import ensure_server, server_status, stop_server
from niobe.launchers.embedded.folder import DatabaseFolder
from niobe.launchers.embedded.transfer import dump, load, migrate
from tests.launchers.embedded.tools import EMBEDDED_ONLY, connect

RUN = CliRunner()
DOCUMENTS: list[dict[str, Any]] = [
    {"_id": i, "n": Int64(i), "t": datetime(2024, 1, 1), "x": float("nan"), "b": b"\0" * i, "o": ObjectId()}
    for i in range(1200)
]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with two databases, indexes and an awkward name."""
    folder = tmp_path_factory.mktemp("source")
    uri = ensure_server(folder)
    with connect(uri) as client:
        client["one"]["many"].insert_many(DOCUMENTS)
        client["one"]["many"].create_index([("n", 1), ("t", -1)], unique=True)
        client["two"]["blobs.chunks"].insert_one({"_id": "a/b", "data": b"x" * 100_000})
        client["two"].create_collection("empty")
    yield uri
    stop_server(folder)


@pytest.fixture
def target(mongo_uri: str) -> Iterator[str]:
    """A server without these databases: the real MongoDB where one is named."""
    names = ("one", "two")
    with connect(mongo_uri) as client:
        for name in names:
            client.drop_database(name)
        yield mongo_uri
        for name in names:
            client.drop_database(name)


def assert_arrived(uri: str) -> None:
    with connect(uri) as client:
        assert [bson.encode(d) for d in client["one"]["many"].find(sort=[("_id", 1)])] == [
            bson.encode(d) for d in DOCUMENTS
        ]
        assert client["one"]["many"].index_information()["n_1_t_-1"]["unique"]
        assert client["two"]["blobs.chunks"].count_documents({}) == 1


def test_a_migration_brings_everything_and_says_so(source: str, target: str) -> None:
    moved = migrate(source, target)
    assert {name: content.documents for name, content in moved.items()} == {
        "one.many": 1200,
        "two.blobs.chunks": 1,
        "two.empty": 0,
    }
    assert_arrived(target)


def test_a_migration_goes_on_where_it_broke_off(source: str, target: str) -> None:
    with connect(target) as client:
        client["one"]["many"].insert_many(DOCUMENTS[:700])
    migrate(source, target)
    assert_arrived(target)


@pytest.mark.parametrize("there", [{"_id": 5, "n": "other"}, {"_id": "extra", "n": 7}], ids=str)
def test_a_migration_overwrites_nothing_and_notices(source: str, target: str, there: dict[str, Any]) -> None:
    with connect(target) as client:
        client["one"]["many"].insert_one(there)
        with pytest.raises(ConfigError, match=r"one\.many"):
            migrate(source, target)
        assert client["one"]["many"].find_one({"_id": there["_id"]}) == there


@pytest.mark.parametrize("uri", ["http://user:hush@127.0.0.1", "mongodb://user:hush@127.0.0.1:1/"])
def test_a_server_that_is_not_there_is_one_line_without_the_password(
    source: str, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("niobe.launchers.embedded.transfer._TIMEOUT_MS", 200)
    with pytest.raises(ConfigError) as caught:
        migrate(source, uri)
    assert "hush" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_a_dump_comes_back_the_same(source: str, target: str, tmp_path: Path) -> None:
    counts = dump(source, tmp_path / "d")
    assert counts == {"one.many": 1200, "two.blobs.chunks": 1, "two.empty": 0}
    assert (tmp_path / "d" / "one" / "many.bson").exists()
    assert load(target, tmp_path / "d") == counts
    assert_arrived(target)
    with pytest.raises(ConfigError, match="holds documents already"):
        load(target, tmp_path / "d")
    with pytest.raises(ConfigError, match="exists already"):
        dump(source, tmp_path / "d")


def test_a_damaged_dump_is_refused_whole(source: str, target: str, tmp_path: Path) -> None:
    dump(source, tmp_path / "d")
    file = tmp_path / "d" / "two" / "blobs.chunks.bson"
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(ConfigError, match=r"blobs\.chunks\.bson"):
        load(target, tmp_path / "d")
    with connect(target) as client:
        assert client["one"]["many"].count_documents({}) == 0
    with pytest.raises(ConfigError, match="no dump there"):
        load(target, tmp_path)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("NIOBE_HOME", str(tmp_path / "home"))
    yield tmp_path / "home" / "db"
    stop_server(tmp_path / "home" / "db")


def niobe(*arguments: str, given: str | None = None) -> str:
    result = RUN.invoke(app, ["db", *arguments], input=given)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


@EMBEDDED_ONLY
def test_the_life_of_a_database_on_the_command_line(home: Path, tmp_path: Path, target: str) -> None:
    assert "no server runs" in niobe("stop")
    assert json.loads(niobe("status", "--json"))[0]["process"] is None
    assert "started" in niobe("start")
    assert "runs already" in niobe("start")
    with pytest.raises(ConfigError, match="without TCP"):
        niobe("start", "--tcp", "0")
    state = json.loads(niobe("status", "--json"))[0]
    info = server_status(home)
    assert info is not None
    assert state["process"] == info.pid
    with connect(state["uri"]) as client:
        client["one"]["many"].insert_many({"_id": i, "s": "x" * 2000} for i in range(400))
        client["one"]["many"].delete_many({"_id": {"$gte": 100}})
    assert "100 documents of 1 collections" in niobe("dump", str(tmp_path / "out"))
    niobe("stop")
    large = DatabaseFolder(home).file.stat().st_size
    niobe("compact")
    assert DatabaseFolder(home).file.stat().st_size < large / 2
    assert '"documents": 100' in niobe("migrate", "-", "--json", given=f"{target}\n")
    niobe("stop")
    with connect(ensure_server(home)) as client:
        client["one"].drop_collection("many")
    snapshots = json.loads(niobe("status", "--json"))[0]["snapshots"]
    assert f"restored the snapshot {snapshots[-1]}" in niobe("restore")
    assert "100 documents" in niobe("dump", str(tmp_path / "again"))
    with connect(ensure_server(home)) as client:
        client["one"].drop_collection("many")
    assert "100 documents of 1 collections restored" in niobe("restore", str(tmp_path / "out"))


@EMBEDDED_ONLY
def test_without_a_snapshot_there_is_nothing_to_restore(home: Path) -> None:
    with pytest.raises(ConfigError, match="no intact snapshot"):
        niobe("restore")
    with pytest.raises(ConfigError, match="no snapshot 'yesterday'; known: none"):
        niobe("restore", "--snapshot", "yesterday")
