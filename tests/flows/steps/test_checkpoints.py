"""Checkpoints reach workers of hosts that have a home of their own, through the database."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from niobe.config.home import checkpoint
from niobe.flows import running
from niobe.flows.steps.acquisition.acquire import acquire
from niobe.flows.steps.acquisition.predict import predict_pool
from niobe.flows.steps.checkpoints import fetched_checkpoint, keep_checkpoint
from niobe.flows.steps.train import train_surrogate
from niobe.loop.documents.records import StructureRecord
from niobe.loop.documents.rounds import RoundState
from niobe.loop.store.claims import SupersededError
from niobe.loop.store.collections.checkpoints import digests_of
from niobe.loop.store.database import Database
from tests.flows.steps.acquisition.test_acquire import SPEC, pool
from tests.flows.steps.test_trained_before import as_of_an_older_niobe

__all__ = ["pool"]


def save(text: str, *names: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        for name in names or ("weights.json", "part/more.json"):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")

    return write


def contents(database: Database) -> int:
    return int(database.mongo["checkpoint_files.files"].count_documents({}))


def test_another_home_has_the_same_files_and_follows_a_newer_checkpoint(
    database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    keep_checkpoint(database, "c", 1, "gan", save("one"), ["a"])
    first = checkpoint("c", 1, "gan")
    monkeypatch.setenv("NIOBE_HOME", str(tmp_path / "other"))
    second = fetched_checkpoint(database, "c", 1, "gan")
    assert second != first
    assert digests_of(second) == digests_of(first)
    assert set(digests_of(second)) == {"weights.json", "part/more.json", "origin.json"}
    keep_checkpoint(database, "c", 1, "gan", save("two", "weights.json"), ["a"])
    monkeypatch.setenv("NIOBE_HOME", str(tmp_path / "home"))
    assert digests_of(fetched_checkpoint(database, "c", 1, "gan")) == digests_of(second)
    assert (first / "weights.json").read_text(encoding="utf-8") == "two"
    assert contents(database) == 2


def test_what_an_older_niobe_wrote_lies_in_the_home_alone(database: Database) -> None:
    folder = checkpoint("c", 1, "gan")
    assert not fetched_checkpoint(database, "c", 1, "gan").exists()
    folder.mkdir(parents=True)
    (folder / "weights.json").write_text("old", encoding="utf-8")
    assert fetched_checkpoint(database, "c", 1, "gan") == folder
    assert (folder / "weights.json").read_text(encoding="utf-8") == "old"


def test_each_checkpoint_has_contents_of_its_own_that_go_with_it(database: Database) -> None:
    """Of equal contents none is another's: what one removes, another never loses."""
    for campaign in ("c", "d"):
        keep_checkpoint(database, campaign, 1, "gan", save("same"), ["a"])
    assert contents(database) == 6
    keep_checkpoint(database, "c", 1, "gan", save("same"), ["a"])
    assert contents(database) == 6
    keep_checkpoint(database, "c", 1, "gan", save("newer", "weights.json"))
    assert contents(database) == 4
    database.checkpoints.forget("c")
    assert (contents(database), database.checkpoints.names("c")) == (3, [])
    assert database.checkpoints.without_contents() == []
    database.checkpoints.forget("d")
    assert contents(database) == database.mongo["checkpoint_files.chunks"].count_documents({}) == 0


def test_a_content_that_an_older_niobe_shared_stays_while_another_names_it(database: Database) -> None:
    keep_checkpoint(database, "c", 1, "gan", save("same", "weights.json"))
    shared = database.mongo["checkpoints"].find_one({}) or {}
    database.mongo["checkpoint_files.files"].update_one({}, {"$unset": {"metadata.campaign": ""}})
    database.mongo["checkpoints"].insert_one(
        {"campaign": "d", "number": 1, "model": "gan"} | {"files": shared["files"]}
    )
    database.checkpoints.forget("c")
    assert contents(database) == 1 and database.checkpoints.without_contents() == []
    database.checkpoints.forget("d")
    assert contents(database) == 0


@pytest.mark.parametrize("path", ["../escaped.json", "/tmp/escaped.json"])
def test_no_file_is_written_outside_of_a_checkpoint(database: Database, path: str) -> None:
    keep_checkpoint(database, "c", 1, "gan", save("one", "weights.json"))
    database.mongo["checkpoints"].update_one({}, {"$set": {"files.0.path": path}})
    with pytest.raises(ValueError, match="is outside of it"):
        fetched_checkpoint(database, "c", 1, "gan")


def test_a_content_that_was_changed_is_refused(database: Database) -> None:
    keep_checkpoint(database, "c", 1, "gan", save("one", "weights.json"))
    database.mongo["checkpoint_files.chunks"].update_one({}, {"$set": {"data": b"two"}})
    (checkpoint("c", 1, "gan") / "weights.json").unlink()
    with pytest.raises(ValueError, match=r"weights\.json was changed"):
        fetched_checkpoint(database, "c", 1, "gan")


def test_a_training_that_another_worker_was_given_leaves_its_checkpoint(database: Database) -> None:
    def stale(claimed: Database, *_: object) -> None:
        running.run_once("train_gan", SPEC.model_dump(mode="json"), 1, later)
        keep_checkpoint(claimed, "t", 1, "gan", save("stale"))

    def later(claimed: Database, *_: object) -> None:
        keep_checkpoint(claimed, "t", 1, "gan", save("later"))

    database.campaigns.create(SPEC)
    database.rounds.open("t", 0)
    with pytest.raises(SupersededError):
        running.run_once("train_gan", SPEC.model_dump(mode="json"), 1, stale)
    assert (checkpoint("t", 1, "gan") / "weights.json").read_text(encoding="utf-8") == "later"
    assert digests_of(checkpoint("t", 1, "gan")) == database.checkpoints.digests("t", 1, "gan")
    assert contents(database) == 2


def test_what_the_gan_learned_beside_round_0_is_kept_though_the_round_has_closed(database: Database) -> None:
    def slow(claimed: Database, *_: object) -> None:
        database.rounds.update("t", 0, state=RoundState.CLOSED)
        keep_checkpoint(claimed, "t", 0, "gan", save("learned"))

    database.campaigns.create(SPEC)
    running.run_once("train_gan", SPEC.model_dump(mode="json"), 0, slow)
    assert database.checkpoints.digests("t", 0, "gan") == digests_of(checkpoint("t", 0, "gan"))
    assert "train_gan" in database.rounds.get("t", 0).steps


def test_a_worker_with_a_home_of_its_own_predicts_and_chooses_the_same(
    database: Database, pool: list[StructureRecord], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = {record.id: record.prediction for record in pool}
    folder = checkpoint(SPEC.id, 1, "surrogate")
    database.checkpoints.store(SPEC.id, 1, "surrogate", folder)
    monkeypatch.setenv("NIOBE_HOME", str(tmp_path / "other"))
    predict_pool(database, SPEC, 1)
    assert {record.id: record.prediction for record in database.records.pool("t")} == before
    acquire(database, SPEC, database.rounds.get("t", 1))
    assert len(database.rounds.get("t", 1).batch) == SPEC.acquisition.batch


@pytest.mark.parametrize("retrain", [True, False])
def test_a_campaign_goes_on_over_a_surrogate_of_an_older_niobe(
    database: Database, pool: list[StructureRecord], retrain: bool
) -> None:
    """Its round, or the one that passes the surrogate on, trains it anew and says so."""
    chosen = SPEC.surrogate.model_copy(update={"retrain": retrain, "members": 2, "epochs": 2})
    spec, number = SPEC.model_copy(update={"surrogate": chosen}), 1 if retrain else 2
    as_of_an_older_niobe(checkpoint(SPEC.id, 1, "surrogate"))
    if not retrain:
        train_surrogate(database, spec, database.rounds.open(SPEC.id, 2))
    predict_pool(database, spec, number)
    assert {record.prediction_round for record in database.records.pool(SPEC.id)} == {number}
    acquire(database, spec, database.rounds.get(SPEC.id, number))
    closed = database.rounds.get(SPEC.id, number)
    assert len(closed.batch) == SPEC.acquisition.batch
    assert any(note.startswith("surrogate trained anew") for note in closed.notes)
