"""The predict step: what the round's surrogate says of every candidate that may be acquired."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np

from niobe.config.spec import CampaignSpec
from niobe.flows.goals.candidates import predicted, set_aside_out_of_range
from niobe.flows.steps.checkpoints import keep_features, newest_number
from niobe.flows.steps.generate import mark_duplicates
from niobe.flows.steps.known import validated_and_known, with_crystals
from niobe.flows.steps.train import round_surrogate
from niobe.loop.documents.records import PredictedValue, Status, StructureRecord
from niobe.loop.documents.rounds import RoundRecord
from niobe.loop.documents.structures import candidate_structure
from niobe.loop.stability.hull import formation_hull
from niobe.loop.stability.prerelaxed import (
    mean_corrections,
    prerelaxed_formation_energies,
    prerelaxed_references,
    spread_of_corrections,
    understatement,
)
from niobe.loop.store.database import Database
from niobe.surrogates.protocols import Prediction, Surrogate

if TYPE_CHECKING:
    from pymatgen.core import Structure


def predict(database: Database, spec: CampaignSpec, round_record: RoundRecord) -> None:
    """Set aside candidates that turned out to be known, predict every other that may be acquired.

    database: the campaign database. spec: the campaign. round_record: the round.
    """
    set_aside(database, spec, round_record)
    predict_pool(database, spec, round_record.number)


def set_aside(database: Database, spec: CampaignSpec, round_record: RoundRecord) -> None:
    """Set aside candidates that turned out to be known, or out of the range of a goal.

    database: the campaign database. spec: the campaign. round_record: the round.
    """
    mark_duplicates(database, spec, round_record.number)
    if spec.goals:
        set_aside_out_of_range(database, spec)


def predict_compositions(database: Database, spec: CampaignSpec, number: int, slot: int, slots: int) -> None:
    """Predict candidates of a share of the compositions that wait: each is predicted by itself.

    A composition is of one share whatever others wait, as a veto may end the last that waits of one.

    database: the campaign database. spec: the campaign. number: of the round. slot: from 0. slots: how many
    share the round.
    """
    waiting = database.search.formulas(spec.id, status=Status.SCREENED.value)
    own = [formula for formula in waiting if crc32(formula.encode()) % slots == slot]
    predict_pool(database, spec, number, formula_reduced={"$in": own})


def predict_pool(database: Database, spec: CampaignSpec, number: int, **which: Any) -> None:
    """Store predictions of the round's surrogate for candidates that may be acquired, and keep what
    acquisition measures their distance in.

    database: the campaign database. spec: the campaign. number: of the round. which: fields of those asked
    about; all without.
    """
    pool = database.records.pool(spec.id, light=not _hangs_on_results(spec), **which)
    if not pool:
        return
    model = round_surrogate(database, spec, number)
    known = _as_before(database, spec, number, pool)
    rest = with_crystals(database, spec, [record for record in pool if record.id not in known])
    structures = [candidate_structure(record) for record in rest]
    predictions = _predict(database, spec, model, rest, structures) if rest else {}
    if rest:
        keep_features(database, spec, number, model, rest, structures)
    if spec.goals:
        predictions |= predicted(spec, rest, validated_and_known(database, spec), model.features, number)
    said = known | {
        record.id: {name: _value(prediction, row) for name, prediction in predictions.items()}
        for row, record in enumerate(rest)
    }
    changes = {
        record.id: {"prediction": values, "prediction_round": number}
        for record, values in zip(pool, _above_hull(database, spec, pool, said), strict=True)
        if record.id not in known or values != record.prediction
    }
    database.records.update_predictions(number, changes)


def _as_before(
    database: Database, spec: CampaignSpec, number: int, pool: Sequence[StructureRecord]
) -> dict[str, dict[str, PredictedValue]]:
    """What the very checkpoint said of candidates in an earlier round, by id; nothing where that hangs on the
    results by now too."""
    if _hangs_on_results(spec):
        return {}
    since = newest_number(database, spec.id, number, "surrogate")
    asked = [r for r in pool if r.prediction and r.prediction_round is not None]
    return {r.id: dict(r.prediction) for r in asked if since <= (r.prediction_round or 0) < number}


def _hangs_on_results(spec: CampaignSpec) -> bool:
    """Whether predictions hang on results that came since: on those of goals, or with pre-relaxation."""
    return bool(spec.goals) or spec.prerelax is not None


def _predict(
    database: Database,
    spec: CampaignSpec,
    model: Surrogate,
    pool: Sequence[StructureRecord],
    structures: Sequence[Structure],
) -> dict[str, Prediction]:
    predictions = model.predict(structures)
    return predictions if spec.prerelax is None else _on_prerelaxed(database, spec, pool, predictions)


def _above_hull(
    database: Database,
    spec: CampaignSpec,
    pool: Sequence[StructureRecord],
    said: Mapping[str, Mapping[str, PredictedValue]],
) -> list[dict[str, PredictedValue]]:
    """What is predicted of each candidate, how far above the newest hull included."""
    hull = database.hulls.last(spec.id)
    others = [{n: v for n, v in said[r.id].items() if n != "e_above_hull"} for r in pool]
    if hull is None or not any("formation_energy_per_atom" in values for values in others):
        return others
    at_hull = formation_hull(hull, [record.formula for record in pool])
    for values, level in zip(others, at_hull, strict=True):
        formation = values["formation_energy_per_atom"]
        mean = None if formation.mean is None else formation.mean - level
        values["e_above_hull"] = formation.model_copy(update={"mean": mean})
    return others


def _on_prerelaxed(
    database: Database,
    spec: CampaignSpec,
    pool: Sequence[StructureRecord],
    predictions: dict[str, Prediction],
) -> dict[str, Prediction]:
    """Predicted corrections, added to the kernel-weighted mean ones, become formation energies.

    Where the surrogate abstains the mean ones stand alone, as uncertain as they are of compounds that have no
    part in them (docs/decisions/0166); elsewhere the surrogate is hardly surer than that while its labels
    say too little of its errors (0167). What the pre-relaxation potential gave no answer for has none.
    """
    name = "formation_energy_per_atom"
    correction = predictions.get(name)
    if correction is None:
        return predictions
    references = prerelaxed_references(database.records.find(spec.id, round=0, nelements=1))
    found = validated_and_known(database, spec)
    answered = [record for record in found if spec.surrogate.retrain or record.round == 0]
    alone = prerelaxed_formation_energies(pool, references) + mean_corrections(pool, answered, references)
    unsure = spread_of_corrections(answered, references)
    widened = np.minimum(correction.std * understatement(answered, references), unsure)
    mean = np.where(correction.in_domain, alone + correction.mean, alone)
    std = np.where(correction.in_domain, np.maximum(correction.std, widened), unsure)
    return predictions | {name: Prediction(mean, std, correction.in_domain)}


def _value(prediction: Prediction, row: int) -> PredictedValue:
    mean, std, in_domain = prediction.mean[row], prediction.std[row], bool(prediction.in_domain[row])
    if not np.isfinite(mean + std):
        return PredictedValue(mean=None, std=None, in_domain=False)
    return PredictedValue(mean=float(mean), std=float(std), in_domain=in_domain)
