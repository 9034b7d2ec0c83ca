"""The acquire step on a real database: killed midway and run again it leaves one batch, its own."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from functools import partial
from shutil import copytree

import numpy as np
import pytest
from pymatgen.core import Structure

from niobe.config.home import checkpoint
from niobe.config.search.budget import Budget, Policy
from niobe.config.spec import Acquisition, CampaignSpec
from niobe.flows.steps.acquisition import acquire as acquiring
from niobe.flows.steps.acquisition import predict as predicting
from niobe.flows.steps.acquisition.acquire import acquire
from niobe.flows.steps.acquisition.predict import predict_compositions, predict_pool
from niobe.flows.steps.checkpoints import keep_checkpoint, kept_features
from niobe.flows.steps.train import round_surrogate
from niobe.flows.steps.validate import QuorumError, close_round
from niobe.loop.campaign.closing import close_round as judge
from niobe.loop.campaign.policy import spent
from niobe.loop.campaign.seeds import new_record
from niobe.loop.documents.claims import Opinion
from niobe.loop.documents.records import Lineage, Status, StructureRecord
from niobe.loop.documents.structures import candidate_structure
from niobe.loop.generators.prototypes import decorated_prototypes
from niobe.loop.store.database import Database
from niobe.surrogates.models import make_surrogate
from niobe.surrogates.models.boosting import BoostedTrees
from niobe.surrogates.protocols import FloatArray, Prediction
from niobe.surrogates.representations.descriptor import descriptor
from tests.loop.factory import element, nbo, rutile, validated

SPEC = CampaignSpec(
    id="t",
    elements=("Nb", "O"),
    prerelax=None,
    budget=Budget(rounds=1, validations=4),
    acquisition=Acquisition(batch=4, control_share=0.25),
)


@pytest.fixture
def pool(database: Database) -> list[StructureRecord]:
    """Twelve screened candidates of round 1 with predictions."""
    database.campaigns.create(SPEC)
    structures = [structure for _, structure in decorated_prototypes(("Nb", "O"), 8)][:12]
    surrogate = make_surrogate("gbt", members=2, epochs=5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        labels = {"formation_energy_per_atom": np.linspace(-1.0, 1.0, 12)}
        surrogate.fit(structures, labels, seed=1)
    folder = checkpoint(SPEC.id, 1, "surrogate")
    folder.mkdir(parents=True)
    surrogate.save(folder)
    known = [element("Nb"), element("O", 3.0), nbo(), rutile()]
    seeds = [validated(structure, -9.0, index=index) for index, structure in enumerate(known)]
    hull, verdicts = judge(SPEC, 0, seeds)
    database.hulls.store(hull)
    database.records.insert([seed.model_copy(update={"verdict": verdicts[seed.id]}) for seed in seeds])
    lineage = Lineage(generator="random")
    drawn = [new_record(SPEC, 1, index, structure, lineage) for index, structure in enumerate(structures)]
    database.records.insert([record.model_copy(update={"status": Status.SCREENED}) for record in drawn])
    database.rounds.open("t", 1)
    predict_pool(database, SPEC, 1)
    return database.records.pool("t")


def test_the_same_surrogate_predicts_no_candidate_twice(
    database: Database, pool: list[StructureRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a later round, above a hull that has moved, as if all had been predicted anew."""
    hull = database.hulls.last("t")
    assert hull is not None
    lower = [entry.model_copy(update={"formation_energy_per_atom": -2.0}) for entry in hull.entries[2:]]
    moved = {"entries": [*hull.entries[:2], *lower], "round": 1}
    database.hulls.store(hull.model_copy(update=moved))
    keep_checkpoint(
        database, "t", 1, "surrogate", partial(copytree, checkpoint("t", 1, "surrogate"), dirs_exist_ok=True)
    )
    late = new_record(SPEC, 2, 0, nbo(4.5), Lineage(generator="random"))
    database.records.insert([late.model_copy(update={"status": Status.SCREENED})])
    model, asked = round_surrogate(database, SPEC, 2), list[int]()
    predict = model.predict

    def counted(some: list[Structure]) -> dict[str, Prediction]:
        asked.append(len(some))
        return predict(some)

    monkeypatch.setattr(model, "predict", counted)
    monkeypatch.setattr(predicting, "round_surrogate", lambda *_: model)
    predict_pool(database, SPEC, 2)
    said = database.records.pool("t")
    for record in said:
        database.records.update(record.id, prediction_round=None, prediction={})
    predict_pool(database, SPEC, 2)
    assert asked == [1, 13]
    assert [r.prediction for r in database.records.pool("t")] == [record.prediction for record in said]
    before = {record.id: record.prediction for record in pool}
    changed = [record for record in said if record.prediction != before.get(record.id)]
    assert {record.prediction_round for record in changed} == {2}
    assert [r.prediction["e_above_hull"] for r in said[:12]] != [r.prediction["e_above_hull"] for r in pool]


def _taught_anew(database: Database, members: int) -> None:
    """The round's checkpoint in the database too, told from others by how many members it names."""
    folder = checkpoint("t", 1, "surrogate")
    (folder / "origin.json").write_text(json.dumps({"members": members}), encoding="utf-8")
    keep_checkpoint(database, "t", 1, "surrogate", partial(copytree, folder, dirs_exist_ok=True))


def test_features_are_computed_once_a_candidate_and_checkpoint(
    database: Database, pool: list[StructureRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    _taught_anew(database, 1)
    model, asked = round_surrogate(database, SPEC, 1), list[int]()
    features = model.features
    whole = features([candidate_structure(record) for record in pool])

    def counted(some: list[Structure]) -> FloatArray:
        asked.append(len(some))
        return features(some)

    monkeypatch.setattr(model, "features", counted)
    light = database.records.pool("t", light=True)
    assert [r.id for r in light] == [r.id for r in pool] and not any(r.structure for r in light)
    for _ in range(2):
        assert np.array_equal(kept_features(database, SPEC, 1, model, light), whole)
    late = new_record(SPEC, 2, 0, nbo(4.5), Lineage(generator="random"))
    assert np.array_equal(kept_features(database, SPEC, 2, model, [*light[1:], late])[:-1], whole[1:])
    assert asked == [12, 1]
    kept = {one["_id"] for one in database.mongo["features"].find({})}
    assert kept == {late.id, *(record.id for record in light[1:])}
    _taught_anew(database, 2)
    assert np.array_equal(kept_features(database, SPEC, 2, model, light), whole)
    database.mongo["features"].drop()
    assert np.array_equal(kept_features(database, SPEC, 2, model, light), whole)
    assert asked == [12, 1, 12, 12]


def test_predictions_of_compositions_apart_are_those_of_all_at_once(
    database: Database, pool: list[StructureRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what they keep is all that acquisition asks for, of the very rows."""
    _taught_anew(database, 1)
    model = round_surrogate(database, SPEC, 1)
    whole = model.features([candidate_structure(record) for record in pool])
    for record in pool:
        database.records.update(record.id, prediction_round=None, prediction={})
    gone = next(r for r in pool if [other.formula for other in pool].count(r.formula) == 1)
    for slot in (1, 0, 2):
        predict_compositions(database, SPEC, 1, slot, 3)
        database.records.update(gone.id, status=Status.DUPLICATE)  # the last of its composition, meanwhile
    database.records.update(gone.id, status=Status.SCREENED)
    predict_pool(database, SPEC, 1, _id=gone.id)
    said = database.records.pool("t")
    assert len({record.formula for record in said}) > 3
    assert [(r.prediction, r.prediction_round) for r in said] == [(r.prediction, 1) for r in pool]
    monkeypatch.setattr(model, "features", None)
    assert np.array_equal(kept_features(database, SPEC, 1, model, pool), whole)


def test_rows_of_a_structure_are_computed_once_for_predictions_and_features(
    database: Database, pool: list[StructureRecord]
) -> None:
    asked = list[int]()

    def counted(some: Sequence[Structure]) -> FloatArray:
        asked.append(len(some))
        return descriptor(some)

    model = BoostedTrees.load(checkpoint("t", 1, "surrogate"), rows=counted)
    structures = [candidate_structure(record) for record in pool]
    model.predict(structures)
    first = model.features(structures)
    assert asked == [12]
    assert np.array_equal(model.features(structures[:3]), first[:3])
    assert np.array_equal(model.features(structures), first)
    assert asked == [12, 3, 12]


def test_the_same_is_chosen_by_features_that_are_kept(
    database: Database, pool: list[StructureRecord]
) -> None:
    plain = acquiring._choose(database, SPEC, 1)
    assert database.mongo["features"].count_documents({}) == 0
    _taught_anew(database, 1)
    assert [acquiring._choose(database, SPEC, 1) for _ in range(2)] == [plain, plain]
    assert database.mongo["features"].count_documents({}) == len(pool)


def acquired(database: Database) -> list[str]:
    return sorted(record.id for record in database.records.find("t", acquired_round=1))


def test_run_again_it_chooses_the_same_and_no_more(database: Database, pool: list[StructureRecord]) -> None:
    acquire(database, SPEC, database.rounds.get("t", 1))
    whole = database.rounds.get("t", 1)
    choices = {identifier: database.records.get(identifier).choice for identifier in whole.batch}
    assert len(whole.batch) == 4 == spent(database, SPEC)
    for identifier in whole.batch[2:]:
        database.records.update(identifier, status=Status.SCREENED, acquired_round=None, choice=None)
    acquire(database, SPEC, database.rounds.get("t", 1))
    assert database.rounds.get("t", 1).batch == whole.batch
    assert acquired(database) == sorted(whole.batch)
    assert {identifier: database.records.get(identifier).choice for identifier in whole.batch} == choices


def test_what_was_pinned_or_vetoed_meanwhile_stands(database: Database, pool: list[StructureRecord]) -> None:
    acquire(database, SPEC, database.rounds.get("t", 1))
    first = database.rounds.get("t", 1).batch
    pinned = next(record.id for record in pool if record.id not in first)
    database.records.update(pinned, pinned=True)
    database.records.update(first[0], status=Status.VETOED, acquired_round=None)
    acquire(database, SPEC, database.rounds.get("t", 1))
    batch = database.rounds.get("t", 1).batch
    assert batch[0] == pinned
    assert first[0] not in batch
    assert acquired(database) == sorted(batch)
    assert len(batch) == 4


def test_what_dft_adds_to_finds_is_in_the_ranking(database: Database, pool: list[StructureRecord]) -> None:
    """Six finds that DFT puts 2 eV/atom higher: no candidate is likely to lie near the hull any more."""
    acquire(database, SPEC, database.rounds.get("t", 1))
    before = [database.records.get(name).choice for name in database.rounds.get("t", 1).batch]
    said = Opinion(oracle="d", fingerprint="d", e_above_hull=2.0, above_products=2.0, is_dft=True)
    for n in range(6):
        find = validated(nbo(4.1 - 0.05 * n), -9.0, index=10 + n)
        _, verdicts = judge(SPEC, 1, [*database.records.find("t", round=0), find])
        verdict = verdicts[find.id].model_copy(update={"above_products": 0.0})
        database.records.insert([find.model_copy(update={"verdict": verdict, "opinions": [said]})])
    acquire(database, SPEC, database.rounds.get("t", 1))
    closed = database.rounds.get("t", 1)
    after = [database.records.get(name).choice for name in closed.batch]
    assert "DFT moves heights above products by +2.000 eV/atom (median of candidates)" in closed.notes
    best = [max(c.score for c in choices if c and c.score is not None) for choices in (before, after)]
    assert best[1] < best[0]
    assert {r.id: r.prediction for r in database.records.pool("t")}.items() <= {
        r.id: r.prediction for r in pool
    }.items()


def test_where_too_little_is_expected_only_what_was_pinned_is_asked(
    database: Database, pool: list[StructureRecord]
) -> None:
    acquire(database, SPEC, database.rounds.get("t", 1))
    expected = database.rounds.get("t", 1).expected_finds
    assert expected is not None and 0 <= expected <= 4
    spec = SPEC.model_copy(update={"policy": Policy(expected_finds=expected + 0.1)})
    acquire(database, spec, database.rounds.get("t", 1))  # As after a kill, with what it had chosen before.
    ended = database.rounds.get("t", 1)
    assert (ended.batch, acquired(database)) == ([], [])
    assert [note for note in ended.notes if "policy.expected_finds" in note]
    database.records.update(pool[0].id, pinned=True)
    acquire(database, spec, database.rounds.get("t", 1))
    assert database.rounds.get("t", 1).batch == [pool[0].id] == acquired(database)


def test_a_round_without_candidates_does_not_close(database: Database) -> None:
    database.campaigns.create(SPEC)
    database.rounds.open("t", 1)
    database.rounds.update("t", 1, steps={"acquire": 0.1})
    with pytest.raises(QuorumError, match="no candidates were drawn: an earlier step of the round failed"):
        close_round(database, SPEC, database.rounds.get("t", 1))
