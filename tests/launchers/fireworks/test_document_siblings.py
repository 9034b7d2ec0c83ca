"""Documents of FireWorks with fields of a wrong type, at every state a job has: what still waits goes on."""

from __future__ import annotations

import random
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from niobe.config.errors import ConfigError
from niobe.launchers.fireworks.healing.held import what_is_held
from niobe.launchers.fireworks.healing.shapes import Firework, Launch, Workflow, fault
from niobe.launchers.fireworks.healing.strays import require_none
from niobe.launchers.fireworks.healing.torn import torn
from niobe.launchers.fireworks.launch import launch_campaign
from niobe.launchers.fireworks.pad import open_launchpad
from niobe.launchers.fireworks.rockets import Rockets, running_jobs
from niobe.launchers.fireworks.sweep import hand_back, sweep, unfinished
from niobe.launchers.upkeep import workflows
from niobe.launchers.upkeep.finding import Finding
from niobe.launchers.upkeep.rockets import check_workflows
from niobe.loop.documents.records import Failure, Status
from niobe.loop.store.database import Database
from tests.launchers.fireworks.pad import SPEC, checkout, complete, fizzle, fw_of, pass_by, seeded
from tests.loop.bounded import bounded

MISSING = object()
VALUES: dict[str, Any] = {
    "missing": MISSING,
    "nothing": None,
    "true": True,
    "below none": -1,
    "a huge number": 2**62,
    "a huge fraction": 1e300,
    "no number": float("nan"),
    "a word": "x",
    "no letter": "",
    "an escape": "\x1b[2J\n[/x]",
    "an empty list": [],
    "a list of nothing": [None],
    "lists in a list": [[[]], [{}]],
    "an empty document": {},
    "a document": {"a": {"b": 1}, "7": 8},
    "a name of code": {"@module": "os", "@class": "system", "@callable": "system"},
    "a task of others": {"_fw_name": "ScriptTask", "script": "true"},
    "a time": datetime(2026, 1, 1, tzinfo=UTC),
    "bytes": b"\xff",
}
FIELDS: dict[str, list[str]] = {
    "workflows": [
        *("nodes", "nodes.0", "links", "parent_links", "fw_states", "state", "name", "metadata", "locked"),
        *("metadata.campaign", "metadata.round", "metadata.submission", "created_on", "updated_on"),
    ],
    "fireworks": [
        *(
            "fw_id",
            "name",
            "state",
            "created_on",
            "updated_on",
            "launches",
            "launches.0",
            "archived_launches",
        ),
        *("spec", "spec.campaign", "spec.round", "spec.kind", "spec.step", "spec.candidate", "spec._tasks"),
        *("spec._tasks.0", "spec._tasks.0._fw_name", "spec._tasks.0.job", "spec._tasks.0.job.function"),
        *("spec._tasks.0.job.function.@module", "spec._tasks.0.job.function_args", "spec._tasks.0.job.uuid"),
        *("spec._tasks.0.job.config", "spec._tasks.0.store", "spec._trackers", "spec._launch_dir"),
        *("spec._dupefinder", "spec._background_tasks", "spec._recovery"),
    ],
    "launches": [
        *("launch_id", "fw_id", "state", "host", "launch_dir", "fworker", "fworker.query", "trackers"),
        *("action", "action.additions", "action.detours", "action.mod_spec", "action.stored_data"),
        *("action.stored_data._exception", "action.stored_data._exception._stacktrace", "action.exit"),
        *("state_history", "state_history.0", "state_history.0.created_on", "state_history.0.updated_on"),
    ],
    "fw_id_assigner": ["next_fw_id", "next_launch_id"],
}
ALL = [(where, field, value) for where, fields in FIELDS.items() for field in fields for value in VALUES]
FEW = [one for number, one in enumerate(random.Random(3).sample(ALL, len(ALL))) if number % 20 == 0]
SHAPES: dict[str, Any] = {"workflows": Workflow, "fireworks": Firework, "launches": Launch}
OVER = {"$nin": ["COMPLETED", "ARCHIVED"]}
LOST = Failure(step="relax", cause="died", exception="E", message="m")


@dataclass
class Stage:
    """A campaign with a job in every state, as it was, and ids of jobs by their state."""

    launchpad: Any
    database: Database
    before: dict[str, list[dict[str, Any]]]
    jobs: dict[str, int]

    def restore(self) -> None:
        for name in self.database.mongo.list_collection_names():
            self.database.mongo[name].delete_many({})
        for name, documents in self.before.items():
            if documents:
                self.database.mongo[name].insert_many(documents)

    def waiting(self) -> Counter[str]:
        """Candidates for which a job waits or runs."""
        alive = {"state": {"$in": ["READY", "RUNNING", "RESERVED", "WAITING"]}, "spec.campaign": SPEC.id}
        return Counter(one["spec"]["candidate"] for one in self.launchpad.fireworks.find(alive))


@pytest.fixture(scope="module")
def stage(mongo_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    name = f"siblings_{uuid.uuid4().hex[:12]}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NIOBE_MONGO_URI", mongo_uri)
        patch.setenv("NIOBE_DATABASE", name)
        patch.setenv("NIOBE_HOME", str(tmp_path_factory.mktemp("home")))
        database, launchpad = Database.connect(mongo_uri, name), open_launchpad()
        *others, fails, runs, _ = seeded(launchpad, database)
        names = {"C": others[0], "F": fails, "R": runs}
        for one in others:
            database.records.finish_validation(one, status=Status.FAILED, failure=LOST)
            complete(launchpad, f"cu-au r0 validate {one}")
        jobs = {state: fw_of(launchpad, f"cu-au r0 validate {one}") for state, one in names.items()}
        for state in "FR":
            launchpad.fireworks.update_one({"fw_id": jobs[state]}, {"$set": {"spec._priority": ord(state)}})
        taken = [checkout(launchpad) for _ in "RF"]
        assert [job.fw_id for job, _ in taken] == [jobs["R"], jobs["F"]]
        fizzle(launchpad, taken[1][1], "Traceback\nValueError: once")
        kept = {found: list(database.mongo[found].find()) for found in database.mongo.list_collection_names()}
        yield Stage(launchpad, database, kept, jobs)
        database.mongo.client.drop_database(name)
        launchpad.connection.close()
        database.close()


def harm(stage: Stage, where: str, field: str, value: str) -> None:
    """Put a value where another was, in the document of a job that runs, failed or is over, or of its
    workflow."""
    state = "F" if field.startswith("action") or len(value) % 3 else "R"
    job = stage.jobs["C" if where != "fireworks" and len(field) % 5 == 0 else state]
    query = {} if where == "fw_id_assigner" else {"nodes" if where == "workflows" else "fw_id": job}
    given = VALUES[value]
    change = {"$unset": {field: ""}} if given is MISSING else {"$set": {field: given}}
    stage.database.mongo[where].update_one(query, change)


def live_again(stage: Stage) -> None:
    """All that looks at FireWorks' documents, in the order of a supervisor, a launch, a doctor."""
    launchpad, database = stage.launchpad, stage.database
    running_jobs(launchpad, Rockets(1))
    what_is_held(launchpad, [SPEC.id])
    workflows.counts(launchpad, SPEC.id)
    assert all("\n" not in line and len(line) < 400 for line in torn(launchpad, SPEC.id).faults)
    assert not any("not looked at" in found.says for found in check_workflows(database))
    hand_back(launchpad, "/nowhere")
    sweep(launchpad, database)
    pass_by(launchpad, 60)
    sweep(launchpad, database)
    require_none(launchpad)
    assert launch_campaign(launchpad, database, SPEC).startswith("submitted")


def check(stage: Stage, where: str, field: str, value: str) -> None:
    stage.restore()
    harm(stage, where, field, value)
    wanted = {one.id for one in stage.database.records.find(SPEC.id, status=Status.ACQUIRED.value)}
    with bounded(100, 5):
        live_again(stage)
    assert stage.waiting() == dict.fromkeys(wanted, 1)
    assert unfinished(stage.launchpad, [SPEC.id]) == len(wanted)
    open_ones = {"fw_id": {"$in": stage.launchpad.fireworks.distinct("fw_id", {"state": OVER})}}
    for name, shape in SHAPES.items():
        query = open_ones if name == "launches" else {"state": OVER}
        assert {fault(shape, found) for found in stage.database.mongo[name].find(query)} == {""}
    ready = stage.launchpad.fireworks.distinct("name", {"state": "READY"})
    assert sorted(checkout(stage.launchpad)[0].name for _ in ready) == sorted(ready)


@pytest.mark.parametrize(("where", "field", "value"), FEW)
def test_what_waits_goes_on(stage: Stage, where: str, field: str, value: str) -> None:
    check(stage, where, field, value)


@pytest.mark.slow
@pytest.mark.parametrize(("where", "field"), [(one, field) for one in FIELDS for field in FIELDS[one]])
def test_what_waits_goes_on_whatever_stands_there(stage: Stage, where: str, field: str) -> None:
    for value in VALUES:
        print(value)
        check(stage, where, field, value)


def mended(stage: Stage) -> Iterator[Finding]:
    """What a doctor mends."""
    for found in check_workflows(stage.database):
        if found.mend:
            found.mend()
            yield found


@pytest.mark.parametrize("spec", [MISSING, None, 5, "x", [], [5], [{"_tasks": []}], 1e300])
@pytest.mark.parametrize("number", [MISSING, None, "x", 7_000])
def test_what_waits_and_names_no_campaign_is_said_and_moved_away(
    stage: Stage, capsys: pytest.CaptureFixture[str], spec: Any, number: Any
) -> None:
    """Workers would take it for ever. Another program's fireworks are left alone."""
    stage.restore()
    fields = {"state": "READY", "name": "x", "spec": spec, "fw_id": number}
    stray = {field: value for field, value in fields.items() if value is not MISSING}
    other = {"fw_id": 8_000, "state": "READY", "spec": {"_tasks": [{"_fw_name": "ScriptTask"}]}}
    stage.launchpad.fireworks.insert_many([stray, other])
    with pytest.raises(ConfigError, match="niobe doctor --repair") as refused:
        require_none(stage.launchpad)
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 300
    found = list(mended(stage))
    require_none(stage.launchpad)
    (moved,) = stage.database.mongo["unreadable"].find()
    assert "names no campaign" in "".join(one.says for one in found) and moved["document"] == stray
    assert stage.launchpad.fireworks.count_documents({"fw_id": 8_000}) == 1


def test_a_doctor_names_what_cannot_be_read_and_mends_it(stage: Stage) -> None:
    stage.restore()
    stage.launchpad.fireworks.update_one({"fw_id": stage.jobs["R"]}, {"$set": {"spec._tasks": 5}})
    named, counted = mended(stage)
    assert f"cannot read firework {stage.jobs['R']}: spec._tasks: Input should be a valid list" in named.says
    assert "a part is gone or" in counted.says and "`niobe doctor --repair`" in counted.advice
    assert list(mended(stage)) == []
    assert sweep(stage.launchpad, stage.database)["submitted"] == 1
