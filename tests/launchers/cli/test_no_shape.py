"""A stored document that is none of its model is named in one line, by commands and pages alike."""

from __future__ import annotations

import sys
import time
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from niobe.launchers.cli.commands import run
from niobe.loop.store.database import Database
from tests.launchers.pages.serving import fill, served

pytestmark = [
    pytest.mark.filterwarnings("ignore::optimade.warnings.OptimadeWarning"),
    pytest.mark.filterwarnings("ignore:Accessing the 'model_fields' attribute"),
]
BROKEN: list[tuple[str, str, Any]] = [  # collection, field, what stands there
    ("campaigns", "state", "[/x]"),
    ("campaigns", "spec", {"id": "\x1b[2J"}),
    ("campaigns", "spec.acquisition.function", {"@module": "this", "@class": "x"}),
    ("campaigns", "spec.elements", []),
    ("campaigns", "spec.elements", 1e300),
    ("campaigns", "spec.launcher", {}),
    ("campaigns", "schema_version", {}),
    ("structures", "status", 5),
    ("structures", "verdict", "x" * 100_000),
    ("structures", "lineage", None),
    ("rounds", "state", "one"),
    ("rounds", "metrics", {"generated": "[/x]"}),
    ("rounds", "steps", {"\x1b]0;owned\x07": "x"}),
    ("hulls", "entries", 3),
    ("phonons", "frequencies", "x"),
    ("structures", "validation", ["x"]),
    ("structures", "prerelaxed", "[/x]"),
    ("structures", "validation.structure", 5),
    ("structures", "validation.structure.lattice.matrix.2.1", {"$gt": 1}),
    ("structures", "structure.sites.0.species", [None]),
    ("structures", "facets", None),
    ("structures", "modified", [1]),
    ("structures", "validation.spacegroup", 2**40),
    ("hulls", "round", "one"),
    ("phonons", "modes.0.q", [None, 0, 0]),
    ("phonons", "modes.0.q", [1 / 64, 1 / 63, 1 / 61]),  # a cell of 245,952 primitive ones
    ("phonons", "modes.0.real", [1.0] * 6000),
    ("fireworks", "spec", -1),
    ("launches", "state_history", [5]),
    ("launches", "action.stored_data._exception", 7),
    ("workflows", "links", {"1": 5, "x": [1]}),
    ("workflows", "metadata", {"campaign": ["x"]}),
]
UNASKED = {"frequencies", "status", "facets", "modified"}
"""Fields that no command asks for, or that are looked for by other values."""
FIREWORKS: dict[str, dict[str, Any]] = {
    "fireworks": {"fw_id": 1, "name": "a", "state": "FIZZLED", "spec": {}},
    "launches": {"fw_id": 1, "launch_id": 1, "action": {"stored_data": {"_exception": {}}}},
    "workflows": {"nodes": [1], "links": {"1": [2]}, "metadata": {"campaign": "t"}},
}
PAGES = [
    *("/", "/campaigns/t", "/campaigns/t/rounds", "/campaigns/t/hull", "/campaigns/t/table"),
    *("/campaigns/t/table.csv", "/workers?fw=1", "/optimade/v1/structures"),
]
COMMANDS = [["status"], ["rounds"], ["best"], ["hull"], ["rediscoveries"], ["doctor"], ["status", "--json"]]


@pytest.fixture
def filled(mongo_uri: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    database = Database.connect(mongo_uri, f"no_shape_{uuid.uuid4().hex[:12]}")
    fill(database)
    for collection, document in FIREWORKS.items():
        database.mongo[collection].insert_one(dict(document))
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
    first = field.partition(".")[0]
    put = filled.mongo[collection].update_one if field == "round" else filled.mongo[collection].update_many
    put({first: {"$ne": None}}, {"$set": {field: value}})
    said = 0
    for command in COMMANDS:
        monkeypatch.setattr(sys, "argv", ["niobe", *command])
        with pytest.raises(SystemExit) as ended:
            run()
        printed = capsys.readouterr()
        assert ended.value.code in {None, 0, 1, 2}
        assert "Traceback" not in printed.err and printed.err.count("\n") <= 1 and "\x1b" not in printed.err
        said += "niobe doctor" in printed.err or collection in printed.out
    assert said or field in UNASKED or collection in FIREWORKS
    began = time.monotonic()
    with served(filled, mongo_uri) as address, httpx.Client(base_url=address, timeout=60) as client:
        for path in PAGES + [f"/structures/{one}" for one in filled.mongo["structures"].distinct("_id")]:
            answer = client.get(path)
            assert answer.status_code in {200, 400, 404, 409}, (path, answer.status_code)
            assert answer.status_code == 200 or collection not in FIREWORKS
    assert time.monotonic() - began < 30


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
