"""An element whose every reference failed: the campaign goes on under its id."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ase.build import bulk
from ase.io import write

from niobe.config.errors import ConfigError
from niobe.config.loading import load_campaign
from niobe.config.spec import CampaignSpec
from niobe.flows.steps.batches import ask_again
from niobe.flows.steps.competing import compete, compete_further
from niobe.flows.steps.seed import seed_campaign
from niobe.flows.steps.validate import choose_phonons, close_round, validate_slot
from niobe.launchers.rounds import begin_campaign
from niobe.loop.documents.records import Failure, Status
from niobe.loop.documents.rounds import RoundState
from niobe.loop.store.database import Database

pytestmark = pytest.mark.filterwarnings("ignore")  # of monty, ASE and spglib under jobflow's run_locally
A = {"Cu": 3.61, "Au": 4.08}
"""Å, of the conventional fcc cells."""
LOST = Failure(step="relax", cause="died", exception="E", message="out of memory")


def near_the_reference(folder: Path, symbol: str) -> Path:
    """A file of the element's fcc crystal, a little wider than the reference that failed."""
    folder.mkdir(exist_ok=True)
    write(folder / f"{symbol}.cif", bulk(symbol, "fcc", a=1.02 * A[symbol], cubic=True))
    return folder / f"{symbol}.cif"


def campaign(folder: Path, **changes: Any) -> CampaignSpec:
    content: dict[str, Any] = {
        "id": "stuck",
        "elements": ["Cu", "Au"],
        "oracle": {"name": "emt"},
        "prerelax": None,
    }
    content |= {"phonons": {"enabled": False}, "seeds": {"prototypes": False}}
    (folder / "c.yaml").write_text(yaml.safe_dump(content | changes), encoding="utf-8")
    return load_campaign(folder / "c.yaml")


def seed(database: Database, spec: CampaignSpec) -> None:
    for step, work in (("seed", seed_campaign), ("compete", compete)):
        if step not in database.rounds.open(spec.id, 0).steps:
            work(database, spec, database.rounds.get(spec.id, 0))
            database.rounds.update(spec.id, 0, **{f"steps__{step}": 1.0})


def close(database: Database, spec: CampaignSpec) -> None:
    """The rest of round 0. Raises ValueError where it cannot close."""
    validate_slot(database, spec, 0, 0, 1)
    choose_phonons(database, spec, database.rounds.get(spec.id, 0))
    database.rounds.update(spec.id, 0, steps__choose_phonons=1.0)
    close_round(database, spec, database.rounds.get(spec.id, 0))


def stuck(database: Database, folder: Path, **changes: Any) -> CampaignSpec:
    """A campaign all of whose gold failed."""
    spec = begin_campaign(database, campaign(folder, **changes))
    seed(database, spec)
    for record in database.records.find(spec.id, round=0, formula="Au"):
        database.records.finish_validation(record.id, status=Status.FAILED, failure=LOST)
    with pytest.raises(ValueError, match=r"no validated elemental reference for Au; .*`niobe retry`"):
        close(database, spec)
    return spec


@pytest.mark.parametrize("kind", ["a file", "a folder", "before the others", "a folder that grew"])
def test_the_same_id_takes_seeds_that_the_file_names_since(
    database: Database, tmp_path: Path, kind: str
) -> None:
    """What is like the reference that failed too."""
    first = near_the_reference(tmp_path / "first", "Cu")
    named = [str(first.parent if kind == "a folder that grew" else first)]
    stuck(database, tmp_path, seeds={"prototypes": False, "files": named})
    second = near_the_reference(first.parent if "grew" in kind else tmp_path / "second", "Au")
    if kind != "a folder that grew":
        added = str(second.parent if kind == "a folder" else second)
        named.insert(0 if kind == "before the others" else 1, added)
    grown = campaign(tmp_path, seeds={"prototypes": False, "files": named})
    spec = begin_campaign(database, grown)
    batch = database.rounds.get("stuck", 0).batch
    assert spec.seeds.files == grown.seeds.files
    close(database, spec)
    (gold,) = [record for record in database.records.find("stuck", formula="Au") if record.validation]
    assert (gold.lineage.generator, gold.id) == ("file", batch[-1])
    begin_campaign(database, grown)
    assert database.rounds.get("stuck", 0).batch == batch, "asked once"


@pytest.mark.parametrize(
    "changes",
    [
        {"seeds": {"prototypes": False, "files": []}},
        {"seeds": {"prototypes": True}},
        {"hull_tolerance": 0.2},
    ],
)
def test_nothing_else_may_change(database: Database, tmp_path: Path, changes: dict[str, Any]) -> None:
    cu, au = (str(near_the_reference(tmp_path / "seeds", symbol)) for symbol in ("Cu", "Au"))
    stuck(database, tmp_path, seeds={"prototypes": False, "files": [cu]})
    more = {"seeds": {"prototypes": False, "files": [cu, au]}}
    with pytest.raises(ConfigError, match="exists with another spec"):
        begin_campaign(database, campaign(tmp_path, **(more | changes)))


def test_once_round_0_has_closed_seeds_stay_as_they_are(database: Database, tmp_path: Path) -> None:
    spec = begin_campaign(database, campaign(tmp_path))
    seed(database, spec)
    database.rounds.update("stuck", 0, state=RoundState.CLOSED)
    more = [str(near_the_reference(tmp_path / "seeds", "Au"))]
    with pytest.raises(ConfigError, match="exists with another spec"):
        begin_campaign(database, campaign(tmp_path, seeds={"prototypes": False, "files": more}))
    with pytest.raises(ConfigError, match="no round is open"):
        ask_again(database, spec)


def test_competing_phases_are_chosen_further_once_more(database: Database, tmp_path: Path) -> None:
    """By what was asked again too: an element that had no answer gets its crystal off its symmetry."""
    spec = stuck(database, tmp_path)

    def further() -> set[str]:
        compete_further(database, spec, database.rounds.get("stuck", 0))
        database.rounds.update("stuck", 0, steps__compete_further=1.0)
        validate_slot(database, spec, 0, 0, 1)
        batch = database.rounds.get("stuck", 0).batch
        records = [record for record in map(database.records.get, batch) if record.validation]
        return {record.chemsys for record in records if record.lineage.generator == "displaced"}

    assert further() == {"Cu"}
    ask_again(database, spec)
    assert "compete_further" not in database.rounds.get("stuck", 0).steps
    validate_slot(database, spec, 0, 0, 1)
    assert further() == {"Cu", "Au"}


def test_what_failed_is_asked_once_more(database: Database, tmp_path: Path) -> None:
    spec = stuck(database, tmp_path)
    with pytest.raises(ConfigError, match="elsewhere did not fail in round 0 of stuck; failed: "):
        ask_again(database, spec, ["elsewhere"])
    gold = database.records.find("stuck", formula="Au")
    assert [record.id for record in ask_again(database, spec, [gold[0].id])] == [gold[0].id]
    assert (
        f"asked again: Au {gold[0].id}, failed: died: out of memory" in database.rounds.get("stuck", 0).notes
    )
    left = [record.id for record in gold[1:]]
    assert [record.id for record in ask_again(database, spec)] == left
    assert database.rounds.get("stuck", 0).asked_again == [gold[0].id, *left]
    with pytest.raises(ConfigError, match="nothing failed in round 0 of stuck"):
        ask_again(database, spec)
    close(database, spec)
    found = database.records.get(gold[0].id)
    assert (found.status, found.failure) == (Status.VALIDATED, None)


def test_a_reference_that_failed_elsewhere_can_be_asked_here(database: Database, tmp_path: Path) -> None:
    stuck(database, tmp_path)
    fork = begin_campaign(database, campaign(tmp_path, id="fork"))
    seed(database, fork)
    with pytest.raises(ValueError, match="no validated elemental reference for Au"):
        close(database, fork)
    skipped = database.records.find("fork", formula="Au")
    assert {record.status for record in skipped} == {Status.DUPLICATE}
    assert {r.id for r in ask_again(database, fork)} == {r.id for r in skipped}
    close(database, fork)
    assert Status.VALIDATED in {record.status for record in database.records.find("fork", formula="Au")}
