"""What is forgotten goes with all that hangs on it, what others use stays; a kill anywhere is made good."""

from __future__ import annotations

import contextlib
import itertools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fireworks import FWorker
from pymongo.collection import Collection
from typer.testing import CliRunner

from niobe.config import home
from niobe.config.errors import ConfigError
from niobe.config.spec import CampaignSpec, Source
from niobe.flows.steps.checkpoints import fetched_checkpoint, keep_checkpoint
from niobe.launchers.cli import app
from niobe.launchers.fireworks.launch import launch_campaign
from niobe.launchers.fireworks.pad import open_launchpad
from niobe.launchers.local.holding import only_one
from niobe.launchers.output.bundles import write_bundle
from niobe.launchers.output.restoring import read_bundle
from niobe.launchers.rounds import begin_campaign
from niobe.launchers.upkeep import forgetting
from niobe.launchers.upkeep.forgetting import forget, plan
from niobe.loop.campaign.closing import close_round
from niobe.loop.crystals.similarity import content_hash
from niobe.loop.documents.answers import SecondAnswer
from niobe.loop.documents.entries import Found, Origin, new_entry
from niobe.loop.documents.records import Failure, Status, StructureRecord, record_id
from niobe.loop.documents.rounds import PhononRecord
from niobe.loop.documents.structures import relaxed_structure
from niobe.loop.sources.ingest import ingest, regroup
from niobe.loop.sources.reading import ReadOptions
from niobe.loop.store.database import Database
from niobe.loop.store.forgetting import unfinished
from tests.loop.factory import element, nbo, rocksalt, rutile, validated

OPEN = Source(name="open", kind="oqmd")
FIREWORKS = CampaignSpec.model_validate(
    {"id": "old", "elements": ["Cu", "Au"], "oracle": {"name": "emt"}, "launcher": "fireworks"}
)


def of(campaign: str, record: StructureRecord) -> StructureRecord:
    identifier = record_id(campaign, record.round, record.fingerprint)
    return record.model_copy(update={"campaign": campaign, "id": identifier})


def fill(database: Database, campaign: str, records: list[StructureRecord], **spec: Any) -> None:
    """A campaign of one closed round with phonons, a failure, an answer of another oracle, and folders."""
    asked = CampaignSpec(id=campaign, elements=("Nb", "O"), sources=(OPEN,), **spec)
    database.campaigns.create(asked)
    database.rounds.open(campaign, 0)
    known = [of(campaign, record) for record in records]
    failure = Failure(step="relax", cause="died", exception="x", message="x")
    failed = of(campaign, FAILED).model_copy(
        update={"status": Status.FAILED, "failure": failure, "validation": None}
    )
    database.records.insert([*known, failed])
    hull, _ = close_round(asked, 0, known)
    database.hulls.store(hull.model_copy(update={"campaign": campaign}))
    for record in known:
        database.phonons.store(phonons(record))
    for name in KEPT:
        database.mongo[name].insert_one({"_id": f"all of {campaign}", "campaign": campaign})
    for folder in (home.work(campaign), home.failures(campaign) / failed.id):
        folder.mkdir(parents=True)
        (folder / "file").write_bytes(b"x" * 1000)
    keep_checkpoint(database, campaign, 1, "gan", lambda place: (place / "gan.json").write_bytes(b"x" * 1000))


def phonons(record: StructureRecord) -> PhononRecord:
    empty: dict[str, Any] = {
        key: [] for key in ("distances", "frequencies", "ticks", "dos_frequencies", "dos")
    }
    cell = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    return PhononRecord(record_id=record.id, campaign=record.campaign, supercell_matrix=cell, **empty)


def answer(campaign: str, record: StructureRecord) -> SecondAnswer:
    content = content_hash(relaxed_structure(record))
    return SecondAnswer(
        id=f"{campaign}-{record.id}", campaign=campaign, content=content, validation=record.validation
    )


KEPT = ("shapes", "results", "features")
ELEMENTS = [validated(element("Nb"), -10.0), validated(element("O", 3.0), -4.9, index=1)]
OTHERS = [of("new", validated(nbo(), -9.5, index=2))]


FAILED = validated(rutile(), 0.0, index=9)
ENTRIES = [
    new_entry(Origin(name, "there", "none", "2026-01-01"), found)
    for name in ("open", "mine")
    for found in (Found("1", rocksalt()), Found("2", nbo()))
]


@pytest.fixture
def two(database: Database) -> Database:
    """Campaigns "old" and "new" of one system; "new" has the same oracle, and no elements of its own."""
    fill(database, "old", ELEMENTS)
    alone = of("old", validated(rocksalt(), -7.0, index=2, oracle="another"))
    database.records.insert([alone])
    database.phonons.store(phonons(alone))
    fill(database, "new", [*ELEMENTS, *OTHERS])
    old = [of("old", record) for record in ELEMENTS]
    database.mongo["structures"].delete_many({"campaign": "new", "nelements": 1})
    database.answers.store(answer("old", old[0]))
    database.answers.store(answer("old", alone))
    for name in ("open", "mine"):
        database.entries.store([entry for entry in ENTRIES if entry.source == name])
        folder = home.source_pages() / name
        folder.mkdir(parents=True)
        (folder / "page").write_text("{}")
    regroup(database, database.entries.formulas())
    database.fingerprints.store("1-1", {"open:1": "c"}, {"open:1": [0.0]})  # type: ignore[dict-item]
    return database


def of_campaign(database: Database, campaign: str) -> dict[str, int]:
    names = ("structures", "phonons", "hulls", "rounds", "answers", "checkpoints")
    counts = {name: database.mongo[name].count_documents({"campaign": campaign}) for name in names}
    counts["campaigns"] = database.mongo["campaigns"].count_documents({"_id": campaign})
    return {name: count for name, count in counts.items() if count}


def contents(database: Database, campaign: str) -> list[Any]:
    names = ("structures", "phonons", "hulls", "rounds", "answers")
    return [list(database.mongo[name].find({"campaign": campaign}, sort=[("_id", 1)])) for name in names]


def test_a_campaign_goes_and_what_another_uses_stays(two: Database) -> None:
    before = contents(two, "new")
    planned = plan(two, "old")
    assert planned.goes["structures"] == 2 and planned.stays["structures"] == 2
    assert set(planned.megabytes) == {"checkpoints", "work folders", "files of failures"}
    forget(two, planned)
    assert of_campaign(two, "old") == {"structures": 2, "phonons": 2, "answers": 1}
    assert {r.formula for r in two.records.find("old")} == {"Nb", "O2"}
    assert contents(two, "new") == before and unfinished(two) == []
    assert [one["_id"] for name in KEPT for one in two.mongo[name].find({})] == ["all of new"] * len(KEPT)
    assert planned.goes["checkpoints"] == 1 and content_of_checkpoints(two) == 1
    shutil.rmtree(home.checkpoints("new"))
    assert (fetched_checkpoint(two, "new", 1, "gan") / "gan.json").stat().st_size == 1000
    assert [path.name for path in home.home().rglob("*") if "old" in path.parts or path.name == "old"] == []
    with pytest.raises(ConfigError, match=r"forgotten or imported in part.*--shared"):
        begin_campaign(two, CampaignSpec(id="old", elements=("Nb", "O")))
    forget(two, plan(two, "old", shared=True))
    assert of_campaign(two, "old") == {} and contents(two, "new") == before


def test_a_source_and_an_entry_go_and_groups_are_made_again(two: Database) -> None:
    assert {entry.group for entry in two.entries.find()} == {"mine:1", "mine:2"}
    forget(two, plan(two, "mine:1"))
    groups = {entry.id: entry.group for entry in two.entries.find()}
    assert groups == {"mine:2": "mine:2", "open:1": "open:1", "open:2": "mine:2"}
    forget(two, plan(two, "open"))
    assert [entry.id for entry in two.entries.find()] == ["mine:2"]
    assert two.mongo["fingerprints"].count_documents({}) == 0
    assert not (home.source_pages() / "open").exists() and (home.source_pages() / "mine").exists()


NAMES = [
    "",
    ".",
    "..",
    "../..",
    "/",
    "a/b",
    "nothing",
    "open:9",
    "*",
    "old\n",
    "{}",
    "[/x]",
    "$where",
    "x" * 999,
]


def test_what_is_not_there_is_one_line(two: Database) -> None:
    for name in NAMES:
        with pytest.raises(ConfigError, match=r"^forget: no campaign, source or entry"):
            plan(two, name)
    assert home.home().is_dir() and two.campaigns.find_one("old")


def test_what_is_two_things_is_asked_for(two: Database) -> None:
    fill(two, "open", ELEMENTS)
    with pytest.raises(ConfigError, match="is a campaign and a source; say which by --kind"):
        plan(two, "open")
    assert plan(two, "open", "source").goes == {"entries": 2}


def test_nothing_goes_while_a_campaign_that_needs_it_runs(two: Database) -> None:
    counts = {what: two.mongo[what].count_documents({}) for what in ("structures", "entries", "campaigns")}
    for name in ("old", "open", "open:1"):
        with only_one(two, "old"), pytest.raises(ConfigError, match="already running"):
            forget(two, plan(two, name))
    assert counts == {what: two.mongo[what].count_documents({}) for what in counts}


class Killed(BaseException):
    pass


def dying(monkeypatch: pytest.MonkeyPatch, after: int) -> Callable[[], bool]:
    """The process dies instead of its write of that number; whether it did."""
    writes = itertools.count()
    died = []

    def counted(write: Any) -> Any:
        def once(*arguments: Any, **named: Any) -> Any:
            if next(writes) >= after:
                died.append(True)
                raise Killed
            return write(*arguments, **named)

        return once

    for method in ("delete_one", "delete_many", "update_one", "update_many", "bulk_write"):
        monkeypatch.setattr(Collection, method, counted(getattr(Collection, method)))
    for module, function in ((shutil, "rmtree"), (Path, "unlink")):
        monkeypatch.setattr(module, function, counted(getattr(module, function)))
    return lambda: bool(died)


@pytest.mark.parametrize("name", ["old", "mine", "mine:1"])
def test_a_kill_before_any_of_its_writes_is_made_good_by_the_same_again(
    two: Database, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    whole = everything(two)
    copy = shutil.copytree(home.home(), tmp_path / "copy")
    ended: list[Any] = []
    for after in itertools.count():
        with monkeypatch.context() as patch:
            died = dying(patch, after)
            with contextlib.suppress(Killed):
                forget(two, plan(two, name))
            killed = died()
        if killed:
            if after and name == "old":
                assert two.campaigns.find_one("old") is None or after < 3
            forget(two, plan(two, name))
        ended.append((everything(two), sorted(map(str, home.home().rglob("*")))))
        if not killed:
            break
        for collection, documents in whole.items():
            two.mongo[collection].delete_many({})
            if documents:
                two.mongo[collection].insert_many(documents)
        shutil.rmtree(home.home())
        shutil.copytree(copy, home.home())
    assert after > 4 and all(one == ended[-1] for one in ended)


COLLECTIONS = (
    *("structures", "phonons", "hulls", "rounds", "answers", "campaigns"),
    *("entries", "fingerprints", "forgetting", *KEPT),
    *("checkpoints", "checkpoint_files.files", "checkpoint_files.chunks"),
)


def content_of_checkpoints(database: Database) -> int:
    return int(database.mongo["checkpoint_files.files"].count_documents({}))


def everything(database: Database) -> dict[str, list[Any]]:
    return {name: list(database.mongo[name].find({}, sort=[("_id", 1)])) for name in COLLECTIONS}


@pytest.mark.parametrize(("name", "kind"), [("old", "campaign"), ("open", "source"), ("open:1", "entry")])
def test_nothing_new_takes_the_name_of_what_was_forgotten_in_part(
    two: Database, name: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What ended it later would remove the new one too."""
    bundle = write_bundle(two, "old", tmp_path / "bundle")
    with monkeypatch.context() as patch:
        dying(patch, 4)
        with contextlib.suppress(Killed):
            forget(two, plan(two, name))
    assert unfinished(two) == [f"{kind} {name}"]
    source = Source(name="open", kind="files", at=str(tmp_path))
    spec = CampaignSpec(id="old" if kind == "campaign" else "young", elements=("Nb", "O"), sources=(source,))
    says = f"{kind} '{name}' is being forgotten, or was .*`niobe forget {name} --kind {kind}` ends that"
    tries: list[Callable[[], object]] = [lambda: begin_campaign(two, spec)]
    if kind == "campaign":
        tries += [lambda: read_bundle(two, bundle)]
    else:
        tries += [lambda: ingest(two, source, (), ReadOptions(tmp_path))]
        tries += [lambda: read_bundle(two, bundle, "young")]
    for attempt in tries:
        with pytest.raises(ConfigError, match=says):
            attempt()
    forget(two, plan(two, name, kind))  # type: ignore[arg-type]
    assert unfinished(two) == [] and two.campaigns.find_one("young") is None


def test_a_refused_forget_changes_nothing_and_is_not_gone_on_with(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker takes a job between the question and the removal."""
    launchpad = open_launchpad()
    launch_campaign(launchpad, database, FIREWORKS)
    require = forgetting._require_no_worker
    calls = itertools.count()

    def late(pad: Any, campaign: str) -> None:
        if next(calls) == 1:
            raise ConfigError("workers have 1 of its jobs")
        require(pad, campaign)

    before = {one["fw_id"]: one["state"] for one in launchpad.fireworks.find()}
    monkeypatch.setattr(forgetting, "_require_no_worker", late)
    with pytest.raises(ConfigError, match="workers have 1"):
        forget(database, plan(database, "old"))
    assert {one["fw_id"]: one["state"] for one in launchpad.fireworks.find()} == before
    assert unfinished(database) == [] and database.campaigns.find_one("old")
    launchpad.connection.close()


def test_folders_that_another_campaign_names_by_path_stay(two: Database) -> None:
    place = home.checkpoint("old", 1, "gan")
    spec = two.campaigns.get("new").spec
    spec["seeds"]["files"] = [str(home.failures("old") / "x.cif")]
    spec["surrogate"]["checkpoint"] = str(place)
    two.campaigns.update("new", spec=spec)
    planned = plan(two, "old")
    stay = {str(home.checkpoints("old")), str(home.failures("old"))}
    assert set(planned.megabytes) == {"work folders"} and set(planned.named) == stay
    forget(two, planned)
    assert (place / "gan.json").is_file() and not home.work("old").exists() and home.failures("old").is_dir()
    forget(two, plan(two, "old", shared=True))
    assert not home.checkpoints("old").exists() and not home.failures("old").exists()


def test_a_structure_that_another_campaign_names_stays(two: Database) -> None:
    """A failure that was not asked about again, and a parent."""
    failed = two.records.find("old", status="failed")[0]
    parent = next(
        record for record in two.records.find("old") if record.chemsys == "Nb-O" and record.verdict is None
    )
    mine = two.records.find("new", status="validated")[0]
    two.records.update(mine.id, duplicate_of=failed.id, **{"lineage.parents": [parent.id]})
    forget(two, plan(two, "old"))
    assert {failed.id, parent.id} <= {record.id for record in two.records.find("old")}
    assert (home.failures("old") / failed.id / "file").is_file()


def test_workflows_go_and_a_worker_s_job_refuses(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    launchpad = open_launchpad()
    for spec in (FIREWORKS, FIREWORKS.model_copy(update={"id": "old-2"})):
        launch_campaign(launchpad, database, spec)
    job, launch = launchpad.checkout_fw(FWorker(), "/nowhere")
    running = job.spec["campaign"]
    with pytest.raises(ConfigError, match="workers have 1 of its jobs"):
        forget(database, plan(database, running))
    assert database.campaigns.find_one(running)
    dead = {"created_on": "2026-01-01T00:00:00", "updated_on": "2026-01-01T00:00:00"}
    found = launchpad.launches.find_one({"launch_id": launch})
    found["state_history"] = [one | dead for one in found["state_history"]]
    launchpad.launches.replace_one({"launch_id": launch}, found)
    with pytest.raises(ConfigError, match=r"workers have 1 of its jobs.*silent for"):
        forget(database, plan(database, running))  # the clock of its worker's host may be behind
    monkeypatch.setattr("fireworks.fw_config.RUN_EXPIRATION_SECS", 0.0)
    sightings = launchpad.db["sightings"]
    sightings.insert_many([{"group": f"{name} pings"} for name in ("old", "old-2")])
    forget(database, plan(database, running))
    other = ({"old", "old-2"} - {running}).pop()
    assert database.mongo["launches"].count_documents({}) == 0
    assert {one["metadata"]["campaign"] for one in launchpad.workflows.find()} == {other}
    assert {one["spec"]["campaign"] for one in launchpad.fireworks.find()} == {other}
    assert [one["group"] for one in sightings.find()] == [f"{other} pings"]
    assert [one["_id"] for one in launchpad.db["submissions"].find()] == [f"{other} r0 prepare"]
    launchpad.connection.close()


def test_the_command_says_what_goes_asks_and_takes_no_silence_for_a_yes(two: Database) -> None:
    runner = CliRunner()
    shown = runner.invoke(app, ["forget", "old"], input="n\n")
    assert shown.exit_code == 0 and "nothing was changed" in shown.output and two.campaigns.find_one("old")
    assert "structures" in shown.output and "what stays, other campaigns use" in shown.output
    silent = runner.invoke(app, ["forget", "old"], input="")
    assert isinstance(silent.exception, ConfigError) and two.campaigns.find_one("old")
    assert runner.invoke(app, ["forget", "old", "--yes"]).exit_code == 0
    assert two.campaigns.find_one("old") is None
    kept = two.records.find("old")[0].id
    for command in (["show", kept], ["status"], ["rounds"], ["best"], ["hull"]):
        assert runner.invoke(app, command).exit_code == 0, command
