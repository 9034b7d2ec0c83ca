"""The acquire step: choose the batch to validate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from niobe.config.spec import CampaignSpec
from niobe.flows.goals.ranking import aims_of, chance_in_range
from niobe.flows.steps.batches import chosen_before, make_batch
from niobe.flows.steps.checkpoints import kept_features
from niobe.flows.steps.competing import competitors_of_claims
from niobe.flows.steps.known import known_elsewhere, validated_and_known
from niobe.flows.steps.train import round_surrogate
from niobe.loop.acquisition import (
    NOVELTY_AWARE,
    Batch,
    GaussianProcess,
    Outlook,
    Pool,
    choose_batch,
    expected_seconds,
    misses,
    near_hull,
    novelty,
    outlook,
    target_probability,
)
from niobe.loop.acquisition.objectives import Objectives
from niobe.loop.campaign.closing import is_reference
from niobe.loop.campaign.confirming import height_corrections
from niobe.loop.campaign.policy import (
    limited_seconds,
    seconds_left,
    spent,
    validations_left,
    why_not_ask,
)
from niobe.loop.documents.dynamics import STABLE_AT_0_K
from niobe.loop.documents.records import Choice, PredictedValue, Status, StructureRecord
from niobe.loop.documents.rounds import CampaignRecord, RoundRecord, batch_digest
from niobe.loop.documents.structures import candidate_structure
from niobe.loop.stability.hull import atomic_fractions
from niobe.loop.stability.prerelaxed import waiting
from niobe.loop.store.database import Database
from niobe.surrogates.protocols import FloatArray, Prediction

_RANKED = ("acquired", "control")


def acquire(database: Database, spec: CampaignSpec, round_record: RoundRecord) -> None:
    """Choose the round's batch: pinned candidates first, then acquisition with its control share.

    Killed midway and run again it chooses anew, from what it had chosen already too; what was pinned or
    vetoed meanwhile stands. Where the campaign's policy ends it here, only what was pinned, or competes with
    a find, is asked.

    database: the campaign database. spec: the campaign. round_record: the round.
    """
    number = round_record.number
    choices, notes, expected = _choose(database, spec, number)
    said = {
        "expected_finds": expected.finds if expected else None,
        "nothing_left": expected.nothing_left if expected else None,
    }
    reason = why_not_ask(spec, round_record.model_copy(update=said))
    if reason:
        choices = {name: choice for name, choice in choices.items() if choice.selection not in _RANKED}
    digest = batch_digest(list(choices))
    make_batch(database, spec, number, choices, (), batch_digest=digest, **said)
    database.rounds.add_notes(spec.id, number, [*notes, *([reason] if reason else [])])


def _choose(
    database: Database, spec: CampaignSpec, number: int
) -> tuple[dict[str, Choice], list[str], Outlook | None]:
    """Choices by id in the order of the batch, notes, and what those that were ranked may bring."""
    campaign = database.campaigns.find_one(spec.id)
    before = [r for r in chosen_before(database, spec, number) if r.pinned or not r.competing]
    pool = [*database.records.pool(spec.id, light=not spec.goals), *before]
    pool.sort(key=lambda record: (record.round, record.index))
    if campaign is None or not pool:
        return {}, ["no candidate was left after screening"], None
    size = min(
        spec.acquisition.batch, validations_left(spec, campaign, spent(database, spec, exclude=number))
    )
    pinned = [record for record in pool if record.pinned][:size]
    choices = {
        r.id: Choice(function="pinned", selection="pinned", rank=rank) for rank, r in enumerate(pinned)
    }
    for record in competitors_of_claims(database, spec, number, size - len(choices)):
        choices[record.id] = Choice(function="competition", selection="competing", rank=len(choices))
    rest = [record for record in pool if record.id not in choices]
    if not rest or len(choices) >= size:
        return choices, [], None
    return _ranked(database, spec, campaign, number, rest, size, choices)


def _ranked(
    database: Database,
    spec: CampaignSpec,
    campaign: CampaignRecord,
    number: int,
    rest: Sequence[StructureRecord],
    size: int,
    choices: dict[str, Choice],
) -> tuple[dict[str, Choice], list[str], Outlook | None]:
    """The choices and, after those, what acquisition chooses of the rest, up to a size."""
    left = size - len(choices)
    unripe = waiting(rest, left)
    rest = [r.model_copy(update={"prediction": {}}) if r.id in unripe else r for r in rest]
    found = _light_validated(database, spec)
    function, wanted, notes = aims_of(spec, rest, found, database.rounds.find(spec.id))
    chosen, expected = _choose_from(database, spec, campaign, number, rest, found, left, function, wanted)
    picked = {
        pick.id: Choice(function=function, selection=pick.selection, rank=rank, score=pick.score)
        for rank, pick in enumerate(chosen.picks, len(choices))
    }
    excluded = chosen.excluded - len(unripe)
    notes += [f"{excluded} candidates without a prediction"] if excluded else []
    alone = sum(map(_by_prerelaxation_alone, rest))
    notes += [f"{alone} candidates by pre-relaxation alone, beyond the surrogate's domain"] if alone else []
    notes += ["cold start: no prediction to rank by"] if chosen.cold_start else []
    return choices | picked, [*notes, *_corrected(rest, found)], expected


def _choose_from(
    database: Database,
    spec: CampaignSpec,
    campaign: CampaignRecord,
    number: int,
    rest: Sequence[StructureRecord],
    found: Sequence[StructureRecord],
    count: int,
    function: str,
    objectives: Objectives | None,
) -> tuple[Batch, Outlook | None]:
    model = round_surrogate(database, spec, number)
    features = kept_features(database, spec, number, model, rest)
    known = None
    if function in NOVELTY_AWARE or spec.acquisition.posterior == "gp":
        results = validated_and_known(database, spec)
        known = model.features([candidate_structure(record) for record in results])
    acquired = database.records.find(spec.id, status=Status.ACQUIRED.value)
    in_flight = [record for record in acquired if record.acquired_round != number]
    missed = _misses(spec, number, rest, found)
    batch = choose_batch(
        function,
        replace(_pool(spec, rest, features, known, found, missed), objectives=objectives),
        batch=count,
        control_share=spec.acquisition.control_share,
        seed=spec.derived_seed(number, "acquire"),
        observed=_observed(spec, found),
        pending=model.features([candidate_structure(record) for record in in_flight]) if in_flight else None,
        posterior=_gaussian_process(spec, number, features, known, found),
        seconds_left=seconds_left(spec, campaign, limited_seconds(database, spec)),
    )
    return batch, outlook(missed, spec.hull_tolerance, [pick.index for pick in batch.picks])


def _by_prerelaxation_alone(record: StructureRecord) -> bool:
    value = record.prediction.get("formation_energy_per_atom")
    return value is not None and value.mean is not None and not value.in_domain


def _corrected(records: Sequence[StructureRecord], found: Sequence[StructureRecord]) -> list[str]:
    added = height_corrections(records, found)
    if added is None:
        return []
    return [f"DFT moves heights above products by {np.median(added):+.3f} eV/atom (median of candidates)"]


def _pool(
    spec: CampaignSpec,
    records: Sequence[StructureRecord],
    features: FloatArray,
    known: FloatArray | None,
    found: Sequence[StructureRecord],
    missed: FloatArray,
) -> Pool:
    fitted = expected_seconds(
        [record.n_atoms for record in found],
        [record.spacegroup for record in found],
        [sum(record.validation.seconds.values()) for record in found if record.validation],
    )
    return Pool(
        ids=tuple(record.id for record in records),
        features=features,
        e_above_hull=_as_by_dft(_stored("e_above_hull", records), records, found),
        p_stable=_stored("p_stable", records) if _predicted("p_stable", records) else None,
        p_failure=_stored("p_failure", records) if _predicted("p_failure", records) else None,
        novelty=None if known is None else novelty(features, known),
        seconds=fitted([record.n_atoms for record in records], [record.spacegroup for record in records]),
        p_target=target_probability(missed, spec.hull_tolerance),
        in_range=chance_in_range(spec, records),
    )


def _misses(
    spec: CampaignSpec, number: int, records: Sequence[StructureRecord], found: Sequence[StructureRecord]
) -> FloatArray:
    """By how much candidates miss the hull that all of them and what was found make together, (draws, n)."""
    judged = [record for record in found if record.verdict]
    compositions = [atomic_fractions(record) for record in (*judged, *records)]
    predicted = _as_by_dft(_stored("formation_energy_per_atom", records), records, found)
    return misses(
        near_hull(compositions, spec.elements, spec.hull_tolerance),
        np.array([record.verdict.formation_energy_per_atom for record in judged if record.verdict]),
        predicted.mean,
        predicted.std,
        kinds=np.unique([record.formula for record in records], return_inverse=True)[1],
        seed=spec.derived_seed(number, "acquire/p_target"),
    )


def _as_by_dft(
    predicted: Prediction, records: Sequence[StructureRecord], found: Sequence[StructureRecord]
) -> Prediction:
    """Predicted energies, higher by what DFT adds to heights at their compositions; they stay relative to the
    hull of the campaign's oracle."""
    added = height_corrections(records, found)
    return predicted if added is None else replace(predicted, mean=predicted.mean + added)


def _observed(spec: CampaignSpec, found: Sequence[StructureRecord]) -> FloatArray:
    """What was found, as acquisition sees it: −e_above_hull (eV/atom), dynamically stable, novelty 0."""
    rows = [
        (-record.verdict.e_above_hull_now, STABLE_AT_0_K.get(record.validation.phonon.outcome, 0.5), 0.0)
        for record in found
        if record.validation and record.verdict and not is_reference(spec, record)
    ]
    return np.array(rows, dtype=float).reshape(-1, 3)


def _gaussian_process(
    spec: CampaignSpec,
    number: int,
    features: FloatArray,
    known: FloatArray | None,
    found: Sequence[StructureRecord],
) -> GaussianProcess | None:
    """The posterior of −e_above_hull by a Gaussian process where the campaign asks for it."""
    if spec.acquisition.posterior == "ensemble" or known is None:
        return None
    values = np.array([-record.verdict.e_above_hull_now if record.verdict else np.nan for record in found])
    judged = np.isfinite(values)
    seed = spec.derived_seed(number, "acquire/gp")
    return GaussianProcess.fit(known[judged], values[judged], features, seed=seed)


def _predicted(target: str, records: Sequence[StructureRecord]) -> bool:
    return any(target in record.prediction for record in records)


def _stored(target: str, records: Sequence[StructureRecord]) -> Prediction:
    values = [
        record.prediction.get(target) or PredictedValue(mean=None, std=None, in_domain=False)
        for record in records
    ]
    return Prediction(
        mean=np.array([np.nan if value.mean is None else value.mean for value in values]),
        std=np.array([np.nan if value.std is None else value.std for value in values]),
        in_domain=np.array([value.mean is not None for value in values]),
    )


def _light_validated(database: Database, spec: CampaignSpec) -> list[StructureRecord]:
    """The same without the campaign's own crystals."""
    own = database.results.validated(spec.id)
    return [*own, *known_elsewhere(database, spec)]
