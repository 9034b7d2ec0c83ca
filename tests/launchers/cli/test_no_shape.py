"""A stored document that is none of its model is named in one line, by commands and pages alike."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from niobe.launchers.cli.commands import run
from niobe.loop.store.database import Database
from tests.launchers.pages.serving import fill, served

BROKEN: list[tuple[str, str, Any]] = [  # collection, field, what stands there
    ("campaigns", "state", "[/x]"),
    ("campaigns", "spec", {"id": "\x1b[2J"}),
    ("campaigns", "spec.acquisition.function", {"@module": "this", "@class": "x"}),
    ("campaigns", "spec.elements", []),
    ("structures", "status", 5),
    ("structures", "verdict", "x" * 100_000),
    ("structures", "lineage", None),
    ("rounds", "state", "one"),
    ("rounds", "metrics", {"generated": "[/x]"}),
    ("rounds", "steps", {"\x1b]0;owned\x07": "x"}),
    ("hulls", "entries", 3),
    ("phonons", "frequencies", "x"),
]
COMMANDS = [["status"], ["rounds"], ["best"], ["hull"], ["rediscoveries"], ["doctor"], ["status", "--json"]]


@pytest.fixture
def filled(mongo_uri: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    database = Database.connect(mongo_uri, f"no_shape_{uuid.uuid4().hex[:12]}")
    fill(database)
    monkeypatch.setenv("NIOBE_MONGO_URI", mongo_uri)
    monkeypatch.setenv("NIOBE_DATABASE", database.mongo.name)
    yield database
    database.mongo.client.drop_database(database.mongo.name)
    database.close()


@pytest.mark.parametrize(("collection", "field", "value"), BROKEN, ids=lambda part: str(part)[:20])
def test_it_is_said_in_a_line(
    filled: Database,
    mongo_uri: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    collection: str,
    field: str,
    value: Any,
) -> None:
    filled.mongo[collection].update_many({}, {"$set": {field: value}})
    said = 0
    for command in COMMANDS:
        monkeypatch.setattr(sys, "argv", ["niobe", *command])
        with pytest.raises(SystemExit) as ended:
            run()
        printed = capsys.readouterr()
        assert ended.value.code in {None, 0, 1, 2}
        assert "Traceback" not in printed.err and printed.err.count("\n") <= 1 and "\x1b" not in printed.err
        said += "niobe doctor" in printed.err
    assert said or field in {"frequencies", "status"}  # which none of these asks for
    with served(filled, mongo_uri) as address, httpx.Client(base_url=address, timeout=60) as client:
        for path in ("/", "/campaigns/t", "/campaigns/t/rounds", "/campaigns/t/table"):
            answer = client.get(path)
            assert answer.status_code in {200, 404, 409}, (path, answer.status_code)


@pytest.mark.parametrize(
    "arguments", [["show", "\udcff"], ["pin", "\udcff", "--note", "x"], ["best", "-c", "\udcff"]]
)
def test_an_argument_that_is_no_text_is_a_mistake(
    filled: Database,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["niobe", *arguments])
    with pytest.raises(SystemExit) as ended:
        run()
    assert ended.value.code == 2 and capsys.readouterr().err.count("\n") == 1
