"""Bundles as a stranger's folder may have them: refused in a line, in bounded time and memory, or right."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from niobe.config.errors import ConfigError
from niobe.config.settings import Settings
from niobe.launchers.output.bundles import SUMS
from niobe.launchers.output.restoring import read_bundle
from niobe.loop.sources.niobe import read
from niobe.loop.store.database import Database
from tests.launchers.output.test_bundles import contents
from tests.launchers.output.test_foreign_bundles import Lines, places, sum_again, write_lines
from tests.loop.bounded import bounded

__all__ = ["places"]

Harm = Callable[[Path], Any]
DATA, LATER = "data/structures.jsonl", "data/phonons.jsonl"


MANY_KEYS = "{" + ",".join(f'"{n:x}": 1' for n in range(1_100_000)) + "}"


def utf_16(content: bytes) -> bytes:
    return content.decode().encode("utf-16")


def before_note(text: str) -> Harm:
    """The text before the note of the first structure."""
    return bytes_of(DATA, lambda content: content.replace(b'"note":', text.encode() + b' "note":', 1))


def instead(name: str, make: Harm) -> Harm:
    """Something else where a file of the bundle was."""

    def harm(bundle: Path) -> None:
        (bundle / name).unlink()
        make(bundle / name)

    return harm


def hard_link(file: Path) -> None:
    (file.parents[2] / "elsewhere").write_text("{}")
    os.link(file.parents[2] / "elsewhere", file)


def bound(file: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        here = os.open(file.parent, os.O_RDONLY)
        server.bind(f"/proc/self/fd/{here}/{file.name}")
        os.close(here)


def beside(name: str, content: str = "{}") -> Harm:
    def harm(bundle: Path) -> None:
        (bundle / name).parent.mkdir(parents=True, exist_ok=True)
        (bundle / name).write_text(content)
        sum_again(bundle)

    return harm


def bytes_of(name: str, change: Callable[[bytes], bytes]) -> Harm:
    def harm(bundle: Path) -> None:
        file = bundle / name
        file.write_bytes(change(file.read_bytes()))
        if name != SUMS:
            sum_again(bundle)

    return harm


def replaced(name: str, other: str = "") -> Harm:
    """One file's content for another's, or none; sums that fit."""

    def harm(bundle: Path) -> None:
        content = (bundle / other).read_bytes() if other else b""
        (bundle / name).write_bytes(content) if other else (bundle / name).unlink()
        sum_again(bundle)

    return harm


def many_folders(bundle: Path) -> None:
    for number in range(20_001):
        (bundle / str(number)).mkdir()


def sparse(name: str, size: int) -> Harm:
    def harm(bundle: Path) -> None:
        with (bundle / name).open("ab") as file:
            file.truncate(size)
        sum_again(bundle)

    return harm


def manifest(**changes: Any) -> Harm:
    def harm(bundle: Path) -> None:
        file = bundle / "bundle.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | changes))
        sum_again(bundle)

    return harm


FOLDER: dict[str, tuple[Harm, str]] = {
    "a link to a file of the bundle": (
        instead(DATA, lambda f: f.symlink_to(f.parent / "entries.jsonl")), "is a link"),
    "a link to zeros without end": (instead(DATA, lambda f: f.symlink_to("/dev/zero")), "is a link"),
    "a link to itself": (instead(DATA, lambda f: f.symlink_to(f)), "is a link"),
    "a link to nowhere": (lambda b: (b / "x").symlink_to("/nowhere"), "is a link"),
    "a link to a folder": (lambda b: (b / "checkpoints/t/round-9").symlink_to("/etc"), "is a link"),
    "sums are a link": (instead(SUMS, lambda f: f.symlink_to("/dev/zero")), "no bundle|is a link"),
    "sums are a fifo": (instead(SUMS, os.mkfifo), "no bundle"),
    "sums are a folder": (instead(SUMS, Path.mkdir), "no bundle"),
    "sums are missing": (lambda b: (b / SUMS).unlink(), "no bundle"),
    "a fifo": (instead(DATA, os.mkfifo), "is no file of a bundle"),
    "a fifo for a checkpoint": (lambda b: os.mkfifo(b / "checkpoints/t/round-1/x.json"), "no file of"),
    "a socket": (instead(DATA, bound), "is no file of a bundle"),
    "a folder in a file's place": (instead(DATA, Path.mkdir), "missing, added or changed"),
    "a folder as manifest": (instead("bundle.json", Path.mkdir), "bundle.json: missing"),
    "a hard link": (instead(DATA, hard_link), "missing, added or changed"),
    "a name with a newline": (beside("data/x\ny.jsonl"), "is no file of a bundle"),
    "a name with an escape": (beside("data/\x1b[2J.jsonl"), "is no file of a bundle"),
    "a name that is no UTF-8": (
        lambda b: Path(os.fsdecode(bytes(b / "data") + b"/\xff.jsonl")).touch(), "is no file of a bundle"),
    "a drive letter": (beside("C:\\data"), "is no file of a bundle"),
    "a backslash": (beside("data\\structures.jsonl"), "is no file of a bundle"),
    "250 letters": (beside(f"data/{'x' * 250}"), "is no file of a bundle"),
    "40 folders deep": (beside("/".join(["checkpoints/t/round-1", *"a" * 40, "x.json"])), "is no file of"),
    "case alone": (beside("data/Structures.jsonl"), "is no file of a bundle"),
    "case alone, a folder": (beside("Checkpoints/t/round-1/a/b.json"), "is no file of a bundle"),
    "another file of sums": (beside("data/SHA256SUMS"), "is no file of a bundle"),
    "an archive": (beside("data/structures.jsonl.zip"), "is no file of a bundle"),
    "20,001 folders": (many_folders, "more than 20000 files"),
    "sums: a line twice": (bytes_of(SUMS, lambda c: c + c.splitlines(True)[0]), "twice"),
    "sums: first wrong, then right": (
        bytes_of(SUMS, lambda c: b"0" * 64 + c.splitlines(True)[0][64:] + c), "twice"),
    "sums: of another file": (
        bytes_of(SUMS, lambda c: c + b"0" * 64 + b"  ../../etc/passwd\n"), "missing, added or changed"),
    "sums: absolute": (bytes_of(SUMS, lambda c: c + b"0" * 64 + b"  /etc/passwd\n"), "missing, added or"),
    "sums: of no letter": (bytes_of(SUMS, lambda _: b""), "missing, added or changed"),
    "sums: no text": (bytes_of(SUMS, lambda _: b"\xff\x00\n" * 9), "twice"),
    "sums: UTF-16": (bytes_of(SUMS, utf_16), "twice"),
    "sums: one digit less": (bytes_of(SUMS, lambda c: c[1:]), "missing, added or changed"),
    "sums: 3 million lines": (bytes_of(SUMS, lambda c: c + b"a  b\n" * 3_000_000), "more than 4194304"),
    "manifest: 700 megabytes": (sparse("bundle.json", 700 * 2**20), "more than 100000 bytes"),
    "schema: 60 gigabytes": (lambda b: os.truncate(b / "schema/structures.json", 60 * 2**30), "larger than"),
    "data: a line of 300 megabytes": (sparse(DATA, 300 * 2**20), "more than 16777216 bytes"),
    "manifest: BOM": (bytes_of("bundle.json", lambda c: b"\xef\xbb\xbf" + c), "bundle.json: .*JSON"),
    "manifest: UTF-16": (bytes_of("bundle.json", utf_16), "bundle.json: .*JSON"),
    "manifest: deep": (bytes_of("bundle.json", lambda _: b"[" * 90_000), "bundle.json: .*JSON"),
    "manifest: a list": (bytes_of("bundle.json", lambda c: b"[" + c + b"]"), "bundle.json: "),
    "manifest: a key twice": (bytes_of("bundle.json", lambda c: b'{"bundle": 2,' + c[1:]), "twice"),
    "manifest: of another campaign": (manifest(campaign="other"), "of another|belongs to another|disagree"),
    "manifest: campaign is a path": (manifest(campaign="../t"), "bundle.json: campaign"),
    "manifest: campaign ends in a line": (manifest(campaign="t\n"), "bundle.json: campaign"),
    "manifest: newer bundle": (manifest(bundle=2), "bundle.json: bundle"),
    "manifest: newer schema": (manifest(schema_version=10**6), "this Niobe reads"),
    "manifest: schema no number": (manifest(schema_version=True), "bundle.json: schema_version"),
    "manifest: unknown key": (manifest(more=1), "bundle.json: more"),
    "manifest: other counts": (manifest(documents={"structures": 10**9, "campaigns": 1}), "documents.str"),
    "manifest: counts below none": (manifest(documents={"structures": -1, "campaigns": 1}), "documents"),
    "manifest: counts of other collections": (
        manifest(documents={"structures": 4, "campaigns": 1, "fireworks": 1}), "documents|not as many"),
    "data: BOM": (bytes_of(DATA, lambda c: b"\xef\xbb\xbf" + c), "1: no extended JSON"),
    "data: UTF-16": (bytes_of(DATA, utf_16), "1: no extended JSON"),
    "data: NUL": (bytes_of(DATA, lambda c: c + b"\0\n"), "no extended JSON"),
    "data: an empty line": (bytes_of(DATA, lambda c: b"\n" + c), "1: no extended JSON"),
    "data: half a line": (bytes_of(DATA, lambda c: c[:-40]), "no extended JSON"),
    "data: two documents on a line": (bytes_of(DATA, lambda c: c.replace(b"\n", b" ", 1)), "no extended"),
    "data: carriage returns alone": (bytes_of(DATA, lambda c: c.replace(b"\n", b"\r")), "no extended JSON"),
    "data: NaN": (before_note('"x": NaN,'), "not finite|no extended JSON"),
    "data: Infinity": (before_note('"x": -Infinity,'), "not finite|no extended"),
    "data: a million digits": (before_note(f'"x": {"9" * 10**6},'), "no extended"),
    "data: a number beyond all": (before_note('"x": 1e999,'), "not finite|no ext"),
    "data: a key twice": (before_note('"note": "a",'), "twice"),
    "data: _id twice": (before_note('"_id": "a",'), "twice"),
    "data: a key twice, inside": (before_note('"y": {"a": 1, "b": [], "a": 2},'), "twice"),
    "data: half a letter": (before_note(r'"x": "\ud800",'), "no extended JSON"),
    "data: 5 million lists": (before_note(f'"x": [{"[]," * 5_000_000}0],'), "values"),
    "data: 5 million objects": (
        before_note(f'"x": [{"{}," * 5_000_000}0],'), "values"),
    "data: a million keys": (before_note(f'"x": {MANY_KEYS},'), "values"),
    "data: another collection's": (replaced(LATER, "data/entries.jsonl"), "phonons"),
    "data: two campaigns, counted as one": (
        bytes_of("data/campaigns.jsonl", lambda content: content * 2), "one campaign"),
    "data: no campaign, counted as one": (bytes_of("data/campaigns.jsonl", lambda _: b""), "one campaign"),
    "data: a collection missing": (replaced(LATER), "not as many documents"),
}  # fmt: skip


def empty(database: Database) -> None:
    for name in database.mongo.list_collection_names():
        database.mongo[name].delete_many({})
    shutil.rmtree(Settings().home / "checkpoints", ignore_errors=True)


@pytest.mark.parametrize("name", FOLDER)
def test_a_stranger_s_folder_is_refused(
    places: tuple[Path, Lines, Database], name: str, tmp_path: Path
) -> None:
    bundle, _, other = places
    harm, said = FOLDER[name]
    mine = shutil.copytree(bundle, tmp_path / "bundle")
    sum_again(mine)
    harm(mine)
    try:
        with bounded(600), pytest.raises(ConfigError, match=said) as refused:
            read_bundle(other, mine)
        assert not any(contents(other).values()) and not (Settings().home / "checkpoints").exists()
        assert "\n" not in str(refused.value) and len(str(refused.value)) < 1000
    finally:
        empty(other)


@pytest.mark.parametrize(
    "name", ["/dev/null", "/dev/zero", "/dev/stdin", "/proc/self/mem", "nowhere", "x\0", "."]
)
def test_what_is_no_folder_is_no_bundle(
    places: tuple[Path, Lines, Database], name: str, tmp_path: Path
) -> None:
    with bounded(600), pytest.raises(ConfigError, match="no bundle"):
        read_bundle(places[2], tmp_path / name)


@pytest.mark.parametrize("name", [name for name in FOLDER if name.startswith(("a ", "data"))])
def test_as_a_source_it_is_read_line_by_line_or_refused(
    places: tuple[Path, Lines, Database], name: str, tmp_path: Path
) -> None:
    """Sums and manifest are not asked there: only what its structures say."""
    bundle, _, _ = places
    mine = shutil.copytree(bundle, tmp_path / "bundle")
    sum_again(mine)
    FOLDER[name][0](mine)
    with bounded(600):
        try:
            found = list(read(mine))
        except ConfigError as refused:
            assert "no bundle" in str(refused)
            return
    lines = [one for one in found if isinstance(one, str)]
    assert all("\n" not in one and len(one) < 1000 for one in lines)
    assert len(found) <= 5 and (lines or len(found) == 4)


KILLED = """
import os, signal, sys
from pathlib import Path
from niobe.launchers.output.restoring import read_bundle
from niobe.launchers.services import campaign_database
from niobe.loop.store.collections.documents import Documents
restore = Documents.restore
def until(self, collection, documents):
    restore(self, collection, documents)
    if collection == sys.argv[2]:
        os.kill(os.getpid(), signal.SIGKILL)
Documents.restore = until
with campaign_database() as database:
    read_bundle(database, Path(sys.argv[1]))
"""


@pytest.mark.parametrize("last", ["entries", "structures", "rounds"])
def test_an_import_that_is_killed_is_ended_by_the_same_again(
    places: tuple[Path, Lines, Database], database: Database, last: str, tmp_path: Path
) -> None:
    bundle, lines, _ = places
    mine = shutil.copytree(bundle, tmp_path / "bundle")
    write_lines(mine, lines)
    killed = subprocess.run([sys.executable, "-c", KILLED, mine, last])
    assert killed.returncode == -signal.SIGKILL and database.campaigns.find() == []
    began = time.monotonic()
    assert read_bundle(database, mine)["campaigns"] == 1
    assert time.monotonic() - began < 10
    assert {name: len(found) for name, found in contents(database).items()} == {
        name: len(found) for name, found in lines.items()
    }
    assert set(read_bundle(database, mine).values()) == {0}
