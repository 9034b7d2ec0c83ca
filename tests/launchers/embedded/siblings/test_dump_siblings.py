"""Siblings of dumps and of damaged database files: refused in a line with nothing written, or right."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import bson
import pytest
from bson import Int64

from niobe.config.errors import ConfigError
from niobe.launchers.embedded.folder import DatabaseFolder
from niobe.launchers.embedded.transfer import load
from tests.launchers.embedded.test_damage import DOCUMENTS, killed, opened
from tests.launchers.embedded.tools import EMBEDDED_ONLY, connect
from tests.loop.bounded import bounded

__all__ = ["killed"]
pytestmark = EMBEDDED_ONLY
DATABASE = "dump_siblings"
MANY = [{"_id": i, "n": Int64(i), "s": f"{i} " * 20} for i in range(200)]
INDEX = {"v": 2, "key": {"n": 1}, "name": "n_1"}
Harm = Callable[[Path], Any]


@pytest.fixture
def dumped(tmp_path: Path) -> Path:
    """A dump of two collections."""
    folder = tmp_path / "dump" / DATABASE
    folder.mkdir(parents=True)
    for name, documents in (("many", MANY), ("few", MANY[:3])):
        (folder / f"{name}.bson").write_bytes(b"".join(map(bson.encode, documents)))
        (folder / f"{name}.metadata.json").write_text(
            json.dumps({"indexes": [INDEX], "collectionName": name})
        )
    return folder


@pytest.fixture
def empty(mongo_uri: str) -> Iterator[str]:
    with connect(mongo_uri) as client:
        client.drop_database(DATABASE)
        yield mongo_uri
        client.drop_database(DATABASE)


def content(change: Callable[[bytes], bytes]) -> Harm:
    return lambda folder: (folder / "many.bson").write_bytes(change((folder / "many.bson").read_bytes()))


def metadata(text: str) -> Harm:
    return lambda folder: (folder / "many.metadata.json").write_text(text)


def indexes(*given: Any) -> Harm:
    return metadata(json.dumps({"indexes": list(given)}))


def instead(name: str, make: Harm) -> Harm:
    def harm(folder: Path) -> None:
        (folder / name).unlink()
        make(folder / name)

    return harm


def cut(size: int) -> Harm:
    return content(lambda found: found[:-size])


def both(*harms: Harm) -> Harm:
    """One after the other."""

    def harm(folder: Path) -> None:
        for one in harms:
            one(folder)

    return harm


def sized(size: int) -> Harm:
    """The length that a document in the midst says."""
    first = len(bson.encode(MANY[0]))
    return content(lambda found: found[:first] + size.to_bytes(4, "little", signed=True) + found[first + 4 :])


def followed_by(document: bytes) -> Harm:
    return content(lambda found: found + document)


HARMS: dict[str, tuple[Harm, str]] = {
    **{f"cut by {size} bytes": (cut(size), "intact") for size in (1, 4, 77, 1000)},
    **{f"a length of {size}": (sized(size), "intact") for size in (-(2**31), -1, 0, 4, 5, 2**25, 2**31 - 1)},
    "a byte more": (followed_by(b"\0"), "intact"),
    "zeros": (followed_by(b"\0" * 4096), "intact"),
    "a text": (content(lambda _: b"hello, this is no BSON at all"), "intact"),
    "gzip": (content(lambda _: b"\x1f\x8b\x08\0" + b"\0" * 50), "intact"),
    "a text in it that is none": (content(lambda f: f.replace(b"7 7 7", b"\xff\xfe\xfd\xfc\xfb")), "intact"),
    "60 gigabytes": (lambda d: os.truncate(d / "many.bson", 60 * 2**30), "intact"),
    "an id twice": (followed_by(bson.encode(MANY[5])), "_id twice"),
    "an id twice, other content": (followed_by(bson.encode({"_id": 5, "n": 0})), "_id twice"),
    "an id that is a list": (followed_by(bson.encode({"_id": [1]})), "database server"),
    "a pipe": (instead("many.bson", os.mkfifo), "a pipe, where a file"),
    "a folder": (instead("many.bson", Path.mkdir), "a folder, where a file"),
    "a link to zeros": (instead("many.bson", lambda f: f.symlink_to("/dev/zero")), "a device, where a file"),
    "a link to itself": (instead("many.bson", lambda f: f.symlink_to(f)), "leads nowhere"),
    "a link to nothing": (instead("many.bson", lambda f: f.symlink_to("nowhere")), "link to nothing"),
    "metadata: gone": (lambda d: (d / "many.metadata.json").unlink(), "intact"),
    "metadata: a pipe": (instead("many.metadata.json", os.mkfifo), "a pipe, where a file"),
    "metadata: zeros without end": (
        instead("many.metadata.json", lambda f: f.symlink_to("/dev/zero")), "a device, where a file"),
    "metadata: 60 gigabytes": (lambda d: os.truncate(d / "many.metadata.json", 60 * 2**30), "intact"),
    "metadata: nothing": (metadata(""), "intact"),
    "metadata: cut": (metadata('{"indexes": ['), "intact"),
    "metadata: a list": (metadata("[]"), "intact"),
    "metadata: a number": (metadata("5"), "intact"),
    "metadata: deep": (metadata("[" * 100_000), "intact"),
    "metadata: no indexes": (metadata("{}"), "intact"),
    "metadata: indexes are a number": (metadata('{"indexes": 5}'), "intact"),
    "metadata: indexes are words": (metadata('{"indexes": ["n"]}'), "intact"),
    "metadata: no text": (lambda d: (d / "many.metadata.json").write_bytes(b"\xff\xfe"), "intact"),
    "an index without keys": (indexes({"name": "x"}), "intact"),
    "an index without a name": (indexes({"key": {"n": 1}}), "intact"),
    "an index of text": (indexes({"key": {"s": "text"}, "name": "x"}), "database server|intact"),
    "an index with an end": (indexes(INDEX | {"expireAfterSeconds": 1}), "database server"),
    "an index of another order": (indexes({"key": {"n": 7}, "name": "x"}), "database server|intact"),
    "an index that does not hold": (
        both(indexes({"key": {"s": 1}, "name": "s", "unique": True}),
             followed_by(bson.encode({"_id": "x", "s": MANY[3]["s"]}))), "database server"),
    "a collection of no name": (lambda d: (d / "many.bson").rename(d / ".bson"), "intact|database server"),
    "a collection named $": (
        lambda d: [(d / f"many{end}").rename(d / f"$many{end}") for end in (".bson", ".metadata.json")],
        "database server"),
    "a database of a bad name": (lambda d: d.rename(d.with_name("a%20b%2e")), "database server"),
}  # fmt: skip


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", HARMS)
def test_a_dump_that_is_none_is_refused_whole(dumped: Path, empty: str, name: str) -> None:
    harm, said = HARMS[name]
    harm(dumped)
    with bounded(200), pytest.raises(ConfigError) as refused:
        load(empty, dumped.parent)
    line = str(refused.value)
    assert any(part in line for part in said.split("|")), line
    assert "\n" not in line and len(line) < 600
    with connect(empty) as client:
        assert {name: client[DATABASE][name].count_documents({}) for name in ("many", "few")} == {
            "many": 0,
            "few": 0,
        }


RIGHT: dict[str, Harm] = {
    "as it is": lambda d: None,
    "a link to the files": both(
        lambda d: (d / "many.bson").rename(d.parent.parent / "elsewhere"),
        lambda d: (d / "many.bson").symlink_to(d.parent.parent / "elsewhere"),
    ),
    "another's files beside": lambda d: [(d / one).write_text("x") for one in ("README", "x.bson.gz")],
    "a database without collections": lambda d: (d.parent / "another").mkdir(),
    "more in the metadata": metadata(json.dumps({"indexes": [INDEX], "uuid": "0", "x": [{"a": 1}]})),
    "the index of ids": indexes(INDEX, {"v": 2, "key": {"_id": 1}, "name": "_id_"}),
    "no index": indexes(),
}


@pytest.mark.parametrize("name", RIGHT)
def test_what_does_not_matter_changes_nothing(dumped: Path, empty: str, name: str) -> None:
    RIGHT[name](dumped)
    assert load(empty, dumped.parent) == {f"{DATABASE}.few": 3, f"{DATABASE}.many": 200}
    with connect(empty) as client:
        assert list(client[DATABASE]["many"].find(sort=[("_id", 1)])) == MANY


def other_file(statement: str) -> Harm:
    def harm(folder: Path) -> None:
        (folder / "niobe.sqlite").unlink()
        with closing(sqlite3.connect(folder / "niobe.sqlite")) as connection, connection:
            connection.executescript(statement)

    return harm


def patched(name: str, at: int, bytes_: bytes) -> Harm:
    def harm(folder: Path) -> None:
        found = bytearray((folder / name).read_bytes())
        found[at : at + len(bytes_)] = bytes_
        (folder / name).write_bytes(found)

    return harm


def ended(name: str, size: int) -> Harm:
    """A file of another length: cut where that is less than none, or followed by zeros."""
    return lambda folder: os.truncate(folder / name, max(0, (folder / name).stat().st_size + size))


DAMAGED: dict[str, Harm] = {
    **{f"header, byte {at}": patched("niobe.sqlite", at, b"\xff\xff") for at in (0, 16, 18, 28, 40, 56, 60)},
    **{f"a page of zeros, {at}": patched("niobe.sqlite", 4096 * at, b"\0" * 4096) for at in (1, 3, 9)},
    **{f"shorter by {size}": ended("niobe.sqlite", -size) for size in (1, 4096, 50_000, 10**9)},
    **{f"log shorter by {size}": ended("niobe.sqlite-wal", -size) for size in (1, 24, 4120, 10**9)},
    "the file is gone": lambda d: (d / "niobe.sqlite").unlink(),
    "the file is a text": lambda d: (d / "niobe.sqlite").write_text("hello " * 1000),
    "another database": other_file("CREATE TABLE x (y); INSERT INTO x VALUES (1)"),
    "another of the same layout": other_file("PRAGMA user_version = 3; CREATE TABLE documents (x)"),
    "the log is another's": patched("niobe.sqlite-wal", 16, b"\1\2\3\4\5\6\7\x08"),
    "the log is a text": lambda d: (d / "niobe.sqlite-wal").write_text("hello " * 1000),
    "the log is gone, and of what was acknowledged half": both(
        lambda d: (d / "niobe.sqlite-wal").unlink(), ended("acknowledged", -6)),
    "acknowledged is a text": lambda d: (d / "acknowledged").write_text("hello world!"),
    "acknowledged is longer": ended("acknowledged", 12),
    "an old journal lies there": lambda d: (d / "niobe.sqlite-journal").write_bytes(b"\xd9\xd5\5\xf9" * 99),
    "an index of the log lies there": lambda d: (d / "niobe.sqlite-shm").write_bytes(b"\xff" * 32_768),
}  # fmt: skip
HARMLESS = {"an old journal lies there", "an index of the log lies there"}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_file_is_said_or_whole(killed: Path, tmp_path: Path, name: str) -> None:
    place = DatabaseFolder(tmp_path / "db")
    shutil.copytree(killed, place.path)
    DAMAGED[name](place.path)
    with bounded(200):
        found = opened(place)
    if isinstance(found, str):
        assert "\n" not in found and len(found) < 500 and name not in HARMLESS
        assert "niobe db restore" in found or "layout" in found, found
    else:
        assert found == DOCUMENTS


def test_deep_metadata_is_refused_whatever_the_recursion_limit(dumped: Path, empty: str) -> None:
    """Some libraries raise it, and then brackets end the process that reads them."""
    metadata("[" * 100_000)(dumped)
    code = (
        "import pathlib, sys; sys.setrecursionlimit(10**6)\n"
        "from niobe.launchers.embedded.transfer import load\n"
        "load(sys.argv[1], pathlib.Path(sys.argv[2]))"
    )
    command = [sys.executable, "-c", code, empty, str(dumped.parent)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "not an intact dump (TooDeepError" in done.stderr, done.stderr
