"""The predict step with pre-relaxation: what is said of a candidate that the surrogate abstains from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from pymatgen.core import Structure

from niobe.config.spec import Acquisition, CampaignSpec
from niobe.flows.steps.acquisition import predict as predicting
from niobe.flows.steps.acquisition.acquire import acquire
from niobe.flows.steps.acquisition.predict import predict_pool
from niobe.loop.campaign.closing import close_round as judge
from niobe.loop.campaign.seeds import new_record
from niobe.loop.documents.records import Lineage, PredictedValue, Prerelaxed, Status, StructureRecord
from niobe.loop.store.database import Database
from niobe.surrogates.protocols import FloatArray, Prediction
from tests.loop.factory import element, nbo, rocksalt, rutile, validated

SPEC = CampaignSpec(id="t", elements=("Nb", "O"), acquisition=Acquisition(batch=1, control_share=0.0))


class Abstaining:
    """Knows the first of what it is asked about, as 0.02 ± 0.02 eV/atom above the mean correction."""

    name = "abstaining"

    def predict(self, structures: Sequence[Structure]) -> dict[str, Prediction]:
        known = np.arange(len(structures)) < 1
        mean, std = np.where(known, 0.02, np.nan), np.where(known, 0.02, np.nan)
        return {"formation_energy_per_atom": Prediction(mean, std, known)}

    def features(self, structures: Sequence[Structure]) -> FloatArray:
        return np.zeros((len(structures), 1))


def answered(record: StructureRecord, energy: float) -> StructureRecord:
    """A record with an energy by the pre-relaxation potential, eV/atom."""
    found = Prerelaxed(potential="test", structure=record.structure, energy_per_atom=energy, steps=3)
    return record.model_copy(update={"prerelaxed": found})


@pytest.fixture
def pool(database: Database, monkeypatch: pytest.MonkeyPatch) -> list[StructureRecord]:
    """Three candidates at −1.9 eV/atom of formation by the pre-relaxation potential, one without an answer
    of it; NbO and NbO2 as results, .1 and .3 eV/atom lower by the oracle."""
    database.campaigns.create(SPEC)
    results = [
        answered(validated(element("Nb"), -10.0), -10.0),
        answered(validated(element("O", 3.0), -5.0, index=1), -5.0),
        answered(validated(nbo(), -9.5, index=2), -9.4),
        answered(validated(rutile(), -2.3 - 20 / 3, index=3), -2.0 - 20 / 3),
    ]
    hull, verdicts = judge(SPEC, 0, results)
    database.hulls.store(hull)
    database.records.insert([one.model_copy(update={"verdict": verdicts[one.id]}) for one in results])
    drawn = [
        new_record(SPEC, 1, index, crystal, Lineage(generator="random"))
        for index, crystal in enumerate((nbo(4.4), rocksalt(), nbo(4.9), nbo(5.3)))
    ]
    drawn = [record.model_copy(update={"status": Status.SCREENED}) for record in drawn]
    database.records.insert([*(answered(record, -9.4) for record in drawn[:3]), drawn[3]])
    database.rounds.open("t", 1)
    monkeypatch.setattr(predicting, "round_surrogate", lambda *_: Abstaining())
    predict_pool(database, SPEC, 1)
    return sorted(database.records.pool("t"), key=lambda record: record.index)


def said(record: StructureRecord) -> PredictedValue:
    return record.prediction["formation_energy_per_atom"]


def test_where_it_abstains_the_mean_correction_stands_alone(pool: list[StructureRecord]) -> None:
    """NbO's −.1, drawn by a few thousandths to NbO2's −.3; of two results each misses the other by .2, and
    leaves .1 `far` of that to be learned, so that what learned it is as many times less sure than it says."""
    far = np.exp(-(2 / 36) / (2 * 0.15**2))
    mean = -1.9 + (1.001 * -0.1 + (far + 1e-3) * -0.3) / (1.002 + far)
    values = [said(record) for record in pool]
    assert [value.in_domain for value in values] == [True, False, False, False]
    assert [value.mean for value in values[:3]] == pytest.approx([mean + 0.02, mean, mean])
    assert [value.std for value in values[:3]] == pytest.approx([0.02 * 0.2 / (0.1 * far), 0.2, 0.2])
    assert values[3] == PredictedValue(mean=None, std=None, in_domain=False)


def test_what_it_abstains_from_can_be_chosen_and_is_counted(
    database: Database, pool: list[StructureRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    from niobe.flows.steps.acquisition import acquire as acquiring

    lower = said(pool[2]).model_copy(update={"mean": -2.5, "std": 0.1})
    database.records.update(pool[2].id, prediction=pool[2].prediction | {"formation_energy_per_atom": lower})
    monkeypatch.setattr(acquiring, "round_surrogate", lambda *_: Abstaining())
    monkeypatch.setattr(acquiring, "kept_features", lambda *given: np.zeros((len(given[-1]), 1)))
    acquire(database, SPEC, database.rounds.get("t", 1))
    chosen = database.records.find("t", status=Status.ACQUIRED.value)
    assert [record.id for record in chosen] == [pool[2].id]
    notes = database.rounds.get("t", 1).notes
    assert "1 candidates without a prediction" in notes
    assert any(note.startswith("2 candidates by pre-relaxation alone") for note in notes)
