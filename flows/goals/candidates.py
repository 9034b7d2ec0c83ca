"""What candidates have of the properties that a campaign has goals in, before the oracle is asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from niobe.config.goals.spec import Goal
from niobe.config.spec import CampaignSpec
from niobe.flows.goals.resolving import properties_of
from niobe.loop.acquisition import GaussianProcess
from niobe.loop.documents.properties import OUT_OF_RANGE
from niobe.loop.documents.records import Status, StructureRecord
from niobe.loop.documents.structures import candidate_structure
from niobe.loop.goals.properties import Property
from niobe.loop.store.database import Database
from niobe.surrogates.protocols import FloatArray, Prediction

if TYPE_CHECKING:
    from pymatgen.core import Structure

Features = Callable[[Sequence["Structure"]], FloatArray]
LEAST_VALUES = 5
"""Results with a value of a property, below which nothing is predicted of it."""
_CLEARLY = 2.0
_VARIED = 1e-9


def why_out_by_composition(spec: CampaignSpec) -> Callable[[StructureRecord], str]:
    """A function that says of a candidate which goal its composition cannot meet, or "".

    spec: the campaign. Competing phases are needed whatever they have.
    """
    found = {name: asked for name, asked in properties_of(spec).items() if asked.needs == "composition"}
    wanted = [goal for goal in spec.goals if goal.name in found and goal.range]

    def why(record: StructureRecord) -> str:
        composition = None if record.competing or not wanted else candidate_structure(record).composition
        for goal in wanted if composition else ():
            value = _computed(found[goal.name], composition)
            if reason := _why_out(goal, found[goal.name], value, 0.0):
                return reason
        return ""

    return why


def set_aside_out_of_range(database: Database, spec: CampaignSpec) -> None:
    """Set aside candidates whose structure lies clearly out of a goal's range: by more than twice what
    relaxation by the oracle has changed the property of results by so far.

    What a person has pinned stays, and while fewer than five results tell, all do.

    database: the campaign database. spec: the campaign.
    """
    properties = _of_structure(spec)
    wanted = [goal for goal in spec.goals if goal.name in properties and goal.range]
    if not wanted:
        return
    validated = database.records.find(spec.id, status=Status.VALIDATED.value)
    changes = {goal.name: _change(properties[goal.name], goal, validated) for goal in wanted}
    for record in database.records.pool(spec.id):
        structure = candidate_structure(record)
        for goal in wanted if not record.pinned else ():
            asked, change = properties[goal.name], changes[goal.name]
            if reason := _why_out(goal, asked, _computed(asked, structure), change):
                database.candidates.update_screened(record.id, status=Status.INVALID, reason=reason)
                break


def predicted(
    spec: CampaignSpec,
    pool: Sequence[StructureRecord],
    known: Sequence[StructureRecord],
    features: Features,
    number: int,
) -> dict[str, Prediction]:
    """Each goal's property of candidates, by name; without those of which too few results have a value.

    By composition exact; by structure the candidate's own, give or take what relaxation has changed it by;
    by the oracle a Gaussian process on the surrogate's features.

    spec: the campaign. pool: n candidates. known: results. features: of structures, shape (n, d). number: of
    the round.
    """
    properties = properties_of(spec)
    found = {}
    for goal in spec.goals:
        asked = properties[goal.name]
        if asked.needs == "oracle":
            seed = spec.derived_seed(number, f"goals/{goal.name}")
            prediction = _by_process(goal, pool, known, features, seed)
        else:
            prediction = _by_itself(goal, asked, pool, known)
        if prediction is not None:
            found[goal.name] = prediction
    return found


def _of_structure(spec: CampaignSpec) -> dict[str, Property]:
    return {name: asked for name, asked in properties_of(spec).items() if asked.needs == "structure"}


def _computed(asked: Property, given: object) -> float:
    """The value, NaN where there is none: what cannot be computed is not out of any range."""
    try:
        return float(asked.value(given))
    except Exception:  # noqa: BLE001 - a foreign function may raise anything; the result's value says why
        return float("nan")


def _why_out(goal: Goal, asked: Property, value: float, change: float) -> str:
    low, high = goal.limits
    outside = max(low - value, value - high)
    if not outside > _CLEARLY * change:
        return ""
    return f"{OUT_OF_RANGE}{goal.name} {value:.4g} {asked.unit}; wanted: {goal.wanted}"


def _change(asked: Property, goal: Goal, known: Sequence[StructureRecord]) -> float:
    """Root mean square of what relaxation by the oracle changes the property by; infinite where few tell."""
    changes = [
        _computed(asked, candidate_structure(record)) - value
        for record in known
        if (value := record.value_of(goal.name)) is not None
    ]
    told = np.array([change for change in changes if np.isfinite(change)])
    return float(np.sqrt(np.mean(told**2))) if len(told) >= LEAST_VALUES else float("inf")


def _by_itself(
    goal: Goal, asked: Property, pool: Sequence[StructureRecord], known: Sequence[StructureRecord]
) -> Prediction | None:
    is_exact = asked.needs == "composition"
    change = 0.0 if is_exact else _change(asked, goal, known)
    if not np.isfinite(change):
        return None
    structures = [candidate_structure(record) for record in pool]
    given = [structure.composition if is_exact else structure for structure in structures]
    mean = np.array([_computed(asked, each) for each in given])
    return Prediction(mean, np.full(len(mean), change), np.isfinite(mean))


def _by_process(
    goal: Goal,
    pool: Sequence[StructureRecord],
    known: Sequence[StructureRecord],
    features: Features,
    seed: int,
) -> Prediction | None:
    told = {record.id: value for record in known if (value := record.value_of(goal.name)) is not None}
    if len(told) < LEAST_VALUES:
        return None
    learned = features([candidate_structure(record) for record in known if record.id in told])
    asked = features([candidate_structure(record) for record in pool])
    both = np.vstack([learned, asked])
    low, width = both.min(axis=0), np.ptp(both, axis=0)
    varied = width > _VARIED
    rows = (both[:, varied] - low[varied]) / width[varied]  # in the unit cube, which BoTorch's priors expect
    count = len(learned)
    process = GaussianProcess.fit(rows[:count], np.array(list(told.values())), rows[count:], seed=seed)
    return Prediction(process.mean, process.std, np.ones(len(pool), dtype=bool))
