"""A database that a newer Niobe has written to is refused by every command, in one line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from niobe.config.spec import SCHEMA_VERSION
from niobe.launchers.cli.commands import run
from niobe.loop.store.database import Database
from tests.launchers.cli.test_no_shape import filled

__all__ = ["filled"]
COMMANDS = [
    *("status", "rounds", "best", "hull", "watch", "rediscoveries", "report", "sources", "serve", "retry"),
    *("stop", "tend", "rockets", "thermo x", "show x", "pin x --note n", "veto x --note n", "forget t"),
    *("budget --rounds 9", "export csv out.csv", "db upgrade", "launch t.yaml"),
    *("status --json", "best -c t"),
]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_newer_database_is_refused(
    filled: Database,
    command: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    newer = SCHEMA_VERSION + 1
    filled.mongo["campaigns"].update_one({}, {"$set": {"schema_version": newer}})
    before = {name: list(filled.mongo[name].find({})) for name in filled.mongo.list_collection_names()}
    monkeypatch.chdir(tmp_path)
    Path("t.yaml").write_text("id: t\nelements: [Nb, O]\n")
    monkeypatch.setattr(sys, "argv", ["niobe", *command.split()])
    with pytest.raises(SystemExit) as ended:
        run()
    said = capsys.readouterr().err
    assert ended.value.code == 2 and said.count("\n") == 1, said
    assert f"'t': schema version {newer} is newer than this Niobe's {SCHEMA_VERSION}; update Niobe" in said
    after = {name: list(filled.mongo[name].find({})) for name in filled.mongo.list_collection_names()}
    assert after == before


def test_doctor_says_so(
    filled: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    filled.mongo["campaigns"].update_one({}, {"$set": {"schema_version": SCHEMA_VERSION + 1}})
    monkeypatch.setattr(sys, "argv", ["niobe", "doctor"])
    with pytest.raises(SystemExit) as ended:
        run()
    said = capsys.readouterr()
    assert ended.value.code == 1 and "update Niobe" in " ".join((said.out + said.err).split())
