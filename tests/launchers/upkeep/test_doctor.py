"""The doctor finds what is wrong, says what to do, and mends only what can lose nothing."""

from __future__ import annotations

import json
import os
import re
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from bson import ObjectId
from fireworks import FWorker
from gridfs import GridFSBucket
from pymongo.errors import AutoReconnect
from typer.testing import CliRunner

from niobe.config import home
from niobe.launchers.cli import app
from niobe.launchers.embedded import ensure_server, stop_server
from niobe.launchers.embedded.folder import DatabaseFolder, ServerInfo, runtime_folder
from niobe.launchers.fireworks.launch import launch_campaign
from niobe.launchers.fireworks.pad import open_launchpad
from niobe.launchers.upkeep import records
from niobe.launchers.upkeep.doctor import examine
from niobe.launchers.upkeep.finding import Finding
from niobe.launchers.upkeep.folders import megabytes
from niobe.loop.store.collections.checkpoints import BUCKET
from niobe.loop.store.database import Database
from tests.launchers.embedded.tools import connect
from tests.launchers.pages.serving import fill
from tests.launchers.upkeep.test_forget import FIREWORKS

OLD = "2026-01-01T00:00:00"
LONG_AGO = time.time() - 3 * 86_400


def wrong() -> list[Finding]:
    """What is not fine; the room on the disk is the machine's own affair."""
    return [found for found in examine() if not found.fine and found.about != "disk"]


def mended() -> list[Finding]:
    """What is left once everything that can be mended was."""
    for found in examine():
        if found.mend is not None:
            found.mend()
    return wrong()


@pytest.fixture(scope="module")
def stocked(mongo_uri: str) -> Iterator[tuple[Database, dict[str, list[Any]]]]:
    """A database in which all is well, and all of its documents."""
    database = Database.connect(mongo_uri, "doctor")
    fill(database)
    names = database.mongo.list_collection_names()
    yield database, {name: list(database.mongo[name].find()) for name in names}
    database.mongo.client.drop_database("doctor")
    database.close()


@pytest.fixture
def healthy(
    stocked: tuple[Database, dict[str, list[Any]]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Database:
    """The same, and a home, on a server that the settings name."""
    database, documents = stocked
    monkeypatch.setenv("NIOBE_MONGO_URI", os.environ.get("NIOBE_TEST_MONGO_URI") or uri_of(database))
    monkeypatch.setenv("NIOBE_DATABASE", "doctor")
    monkeypatch.setenv("NIOBE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    home.home().mkdir(mode=0o700)
    for name in database.mongo.list_collection_names():
        database.mongo[name].delete_many({})
    for name, stored in documents.items():
        if stored:
            database.mongo[name].insert_many(stored)
    return database


def uri_of(database: Database) -> str:
    address = database.mongo.client.address
    assert address is not None
    return f"mongodb://{quote(address[0], safe='')}/?directConnection=true"


Harm = Callable[[Database], Any]


def structure(**fields: Any) -> Harm:
    return lambda database: database.mongo["structures"].update_one({"round": 1}, {"$set": fields})


CALCULATION = f"{'0' * 16}-validate-77"


def folder(*parts: str, age: bool = True) -> Harm:
    def make(database: Database) -> None:
        place = home.home().joinpath(*parts)
        inside = place / CALCULATION if parts[0] == "work" and len(parts) == 2 else place
        inside.mkdir(parents=True)
        (inside / "file").write_bytes(b"x" * 2_000_000)
        for path in (inside / "file", inside, place) if age else ():
            os.utime(path, (LONG_AGO, LONG_AGO))

    return make


def blob(database: Database) -> None:
    lost = ObjectId.from_datetime(datetime(2026, 1, 1, tzinfo=UTC))
    database.mongo["data.chunks"].insert_one({"files_id": lost, "n": 0, "data": b"x"})


def unnamed_content(database: Database) -> None:
    name = GridFSBucket(database.mongo, BUCKET).upload_from_stream("weights", b"x")
    database.mongo[f"{BUCKET}.files"].update_one(
        {"_id": name}, {"$set": {"uploadDate": datetime(2026, 1, 1)}}
    )


def checkpoint_without_content(database: Database) -> None:
    files = [{"path": "weights", "sha256": "", "file": ObjectId()}]
    checkpoint = {"campaign": "t", "number": 1, "model": "gan", "files": files}
    database.mongo["checkpoints"].insert_one(checkpoint)


def of_phonons(database: Database) -> object:
    return (database.mongo["phonons"].find_one() or {})["_id"]


def dead_socket(database: Database) -> None:
    runtime_folder().mkdir(mode=0o700, parents=True)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(runtime_folder() / "0123.sock"))


HARMS: dict[str, tuple[Harm, str, bool]] = {
    "others may enter the home": (lambda database: home.home().chmod(0o755), "others may enter", True),
    "a dead socket": (dead_socket, "nobody listens", True),
    "a word for a number": (structure(n_atoms="many"), "structures: cannot be read.*n_atoms", False),
    "an unknown field": (structure(strange=1), "structures: cannot be read.*strange", False),
    "a newer schema": (structure(schema_version=99), "schema version 99", False),
    "a spec that is none": (
        lambda database: database.mongo["campaigns"].insert_one(
            {"_id": "u", "spec": {"id": "u"}, "spec_digest": "", "schema_version": 5}
        ),
        "campaigns: cannot be read: u .elements",
        False,
    ),
    "a round of no campaign": (
        lambda database: database.rounds.open("gone", 0),
        "campaign gone: is not there, and 1 rounds.*niobe forget gone",
        False,
    ),
    "cut short in forgetting": (
        lambda database: database.mongo["forgetting"].insert_one({"_id": "campaign t"}),
        "campaign t: was forgotten in part",
        True,
    ),
    "phonons of no structure": (
        lambda database: database.mongo["structures"].delete_one({"_id": of_phonons(database)}),
        "phonons: 1 belong to nothing",
        True,
    ),
    "a fingerprint of no entry": (
        lambda database: database.mongo["fingerprints"].insert_one({"_id": "a:1"}),
        "fingerprints: 1 belong to nothing",
        True,
    ),
    "parts of a blob": (blob, r"data\.chunks: 1 belong to nothing", True),
    "a content that no checkpoint names": (
        unnamed_content,
        "contents of checkpoints: 1 belong to nothing",
        True,
    ),
    "a checkpoint without its content": (
        checkpoint_without_content,
        "checkpoints: cannot be read.*content of weights is gone",
        False,
    ),
    "a checkpoint of no campaign": (
        lambda database: database.mongo["checkpoints"].insert_one(
            {"campaign": "gone", "number": 1, "model": "gan", "files": []}
        ),
        "campaign gone: is not there, and 1 checkpoints.*niobe forget gone",
        False,
    ),
    "an old work folder of no campaign": (folder("work", "gone"), r"work.gone: 2\.0 MB", True),
    "checkpoints of no campaign": (
        folder("checkpoints", "gone"),
        "2.0 MB, of no campaign.*forget gone",
        False,
    ),
    "a folder of an older Niobe's worker": (folder("rockets", f"{2**22 + 1}-1"), "worker's folder", True),
    "a dead worker's folder": (
        folder("rockets", f"{os.uname().nodename}-{2**22 + 1}-1"),
        "worker's folder",
        True,
    ),
}


@pytest.mark.parametrize("harm", HARMS)
def test_what_is_wrong_is_found_and_mended_where_nothing_can_be_lost(healthy: Database, harm: str) -> None:
    do, said, mends = HARMS[harm]
    do(healthy)
    found = wrong()
    line = "\n".join(f"{one.about}: {one.says} -> {one.advice}" for one in found)
    assert len(found) == 1 and re.search(said, line), line
    assert (found[0].mend is not None) == mends
    assert len(mended()) == (0 if mends else 1)


def test_folders_of_others_are_no_work_of_ours(healthy: Database, tmp_path: Path) -> None:
    """The home, or what a link in it leads to, may be a folder with other things."""
    folder("work", "thesis", "chapter")(healthy)
    folder("work", "Photos")(healthy)
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "0").mkdir(parents=True)
    (home.home() / "work" / "linked").symlink_to(elsewhere)
    for path in (home.home() / "work" / "thesis", elsewhere):
        os.utime(path, (LONG_AGO, LONG_AGO))
    assert wrong() == []


def test_what_a_worker_removes_meanwhile_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "file").write_bytes(b"x" * 1_000_000)
    (tmp_path / "gone").write_bytes(b"x")
    walked = os.walk

    def walking(*arguments: Any) -> Iterator[Any]:
        for place in list(walked(*arguments)):
            (tmp_path / "gone").unlink(missing_ok=True)
            yield place

    monkeypatch.setattr(os, "walk", walking)
    assert megabytes(tmp_path) == 1.0


def test_what_may_be_in_use_is_left(healthy: Database) -> None:
    folder("work", "gone", age=False)(healthy)
    folder("work", "t")(healthy)  # a campaign that was interrupted goes on from there
    folder("rockets", f"{os.uname().nodename}-{os.getpid()}-1")(healthy)
    folder("rockets", f"another-host-{2**22 + 1}-1")(healthy)  # its worker may be in a long calculation there
    folder("rockets", f"{os.getpid()}-1")(healthy)  # as an older Niobe named them
    folder("rockets", f"{2**22 + 1}-2")(healthy)  # an older Niobe's on another host
    runs = {"state": "RUNNING", "launch_dir": str(home.rocket_folders() / f"{2**22 + 1}-2")}
    healthy.mongo["launches"].insert_one(runs)
    assert wrong() == []


def test_jobs_in_trouble_are_counted(healthy: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    launchpad = open_launchpad()
    try:
        launch_campaign(launchpad, healthy, FIREWORKS)
        assert wrong() == []
        _, launch = launchpad.checkout_fw(FWorker(), "/nowhere")
        assert wrong() == []
        found = launchpad.launches.find_one({"launch_id": launch})
        states = [state | {"created_on": OLD, "updated_on": OLD} for state in found["state_history"]]
        launchpad.launches.update_one({"launch_id": launch}, {"$set": {"state_history": states}})
        assert wrong() == [], "its worker's clock may be behind"
        monkeypatch.setattr("fireworks.fw_config.RUN_EXPIRATION_SECS", 0.0)
        assert [one.says for one in wrong()] == ["1 whose worker is gone"]
        launchpad.fireworks.update_many({}, {"$set": {"state": "FIZZLED"}})
        (fizzled,) = wrong()
        assert "2 failed: " in fizzled.says and "niobe tend" in fizzled.advice
        launchpad.fireworks.update_many({}, {"$set": {"spec.given_up": True}})
        assert "given up" in wrong()[0].says and "niobe launch FILE" in wrong()[0].advice
        launchpad.fireworks.update_many({}, {"$set": {"spec.candidate": "a"}})
        assert wrong() == [], "they have failed by that"
        launchpad.fireworks.update_many({}, {"$unset": {"spec.candidate": ""}, "$set": {"state": "PAUSED"}})
        assert "lpad resume_fws -i" in wrong()[0].advice
        healthy.campaigns.update(FIREWORKS.id, state="finished")
        assert wrong() == [], "it has ended"
        healthy.campaigns.update(FIREWORKS.id, state="running")
        launchpad.fireworks.delete_many({})
        assert {"has no jobs there" in one.says for one in wrong()} == {False, True}, "and a part is gone"
        healthy.mongo["campaigns"].delete_one({"_id": FIREWORKS.id})
        assert {one.about for one in wrong()} == {
            f"{of} {FIREWORKS.id}" for of in ("campaign", "workflows of")
        }
    finally:
        launchpad.connection.close()


def test_what_was_seen_of_a_campaign_that_is_gone_is_removed(healthy: Database) -> None:
    open_launchpad().connection.close()
    gone = {"_id": "launch 1", "group": "gone pings", "value": OLD, "since": datetime(2026, 1, 1, tzinfo=UTC)}
    healthy.mongo["sightings"].insert_many([gone, gone | {"_id": "firework 2", "group": "t reservations"}])
    assert [one.about for one in wrong()] == ["sightings of gone"]
    assert mended() == []
    assert [one["group"] for one in healthy.mongo["sightings"].find()] == ["t reservations"]


def test_a_database_that_does_not_answer_one_check_ends_no_other(
    healthy: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(_: Database) -> Iterator[Finding]:
        raise AutoReconnect("connection closed")

    monkeypatch.setattr(records, "check_owners", lost)
    (found,) = wrong()
    assert "not looked at to the end: AutoReconnect" in found.says
    assert "FireWorks" in {one.about for one in examine()}


def test_the_command_prints_a_line_each_and_says_by_its_exit_code(healthy: Database) -> None:
    runner = CliRunner()
    fine = runner.invoke(app, ["doctor"])
    assert fine.exit_code == 0, fine.output
    home.home().chmod(0o755)
    found = runner.invoke(app, ["doctor"])
    assert found.exit_code == 1 and "chmod 700" in found.output
    rows = json.loads(runner.invoke(app, ["doctor", "--json"]).stdout)
    assert {"about", "says", "fine", "do", "mended"} == set(rows[0]) and sum(
        not row["fine"] for row in rows
    ) == 1
    done = runner.invoke(app, ["doctor", "--repair"])
    assert done.exit_code == 0 and "mended" in done.output
    assert home.home().stat().st_mode & 0o777 == 0o700


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DatabaseFolder]:
    """A home with a database of its own that was served and stopped."""
    for variable in ("NIOBE_MONGO_URI", "NIOBE_EMBEDDED_URI", "NIOBE_DATABASE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("NIOBE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    folder = DatabaseFolder(tmp_path / "home" / "db")
    write(folder)
    yield folder
    stop_server(folder.path)


def write(folder: DatabaseFolder) -> None:
    """A document, by a server of its own."""
    with connect(ensure_server(folder.path)) as client:
        client["niobe"]["x"].insert_one({"text": "x" * 5000})
    stop_server(folder.path)


def test_a_damaged_file_is_said_although_no_database_can_be_started(alone: DatabaseFolder) -> None:
    content = bytearray(alone.file.read_bytes())
    content[100:140] = b"x" * 40
    alone.file.write_bytes(content)
    found = {one.about: one for one in wrong()}
    assert "niobe db restore" in found["database file"].advice
    assert "cannot be opened" in found["database"].says


def test_a_lost_log_and_a_lost_file_are_said(alone: DatabaseFolder) -> None:
    before = alone.file.read_bytes()
    write(alone)
    alone.file.write_bytes(before)
    assert "acknowledged" in {one.about: one.says for one in wrong()}["database file"]
    alone.file.unlink()
    assert "missing or empty" in {one.about: one.says for one in wrong()}["database file"]


def test_what_a_killed_server_left_is_cleared_and_another_version_is_said(alone: DatabaseFolder) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(alone.socket))
    alone.write_info(ServerInfo(2**22 + 1, str(alone.socket), OLD))
    first = next(one for one in examine() if one.about == "server")
    assert "left its socket" in first.says and first.mend is not None
    first.mend()
    assert not alone.socket.exists() and alone.info() is None
    ensure_server(alone.path)
    info = alone.info()
    assert info is not None and wrong() == []
    alone.write_info(ServerInfo(info.pid, info.socket, info.started))
    assert "another version (older)" in next(one.says for one in examine() if one.about == "server")


def test_a_folder_for_temporary_files_that_is_not_there_is_said(
    healthy: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", "/nowhere/at/all")
    monkeypatch.setattr(tempfile, "tempdir", None)
    assert [one.about for one in wrong()] == ["TMPDIR"]


def test_a_home_that_is_not_there_is_no_trouble_and_is_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NIOBE_MONGO_URI", raising=False)
    monkeypatch.setenv("NIOBE_HOME", str(tmp_path / "none"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert wrong() == [] and not (tmp_path / "none").exists()
