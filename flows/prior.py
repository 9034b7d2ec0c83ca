"""The prior step: the campaign's cheap potential relaxes candidates a little, before the oracle is asked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from config.spec import CampaignSpec, Prior
from config.spec import Oracle as OracleSpec
from flows.validating import work_folder
from flows.validation import check_physics
from loop.database import Database
from loop.hull import formation_hull
from loop.prior import prior_formation_energies, prior_references
from loop.records import PriorAnswer, Status, StructureRecord
from loop.structures import candidate_structure, rattled, symmetrised

if TYPE_CHECKING:
    from pymatgen.core import Structure

    from flows.oracles.force_field import ForceFieldOracle

_WALL_SECONDS = 60.0


def prior_slot(database: Database, spec: CampaignSpec, number: int, slot: int, slots: int) -> None:
    """Ask the prior about every ``slots``-th seed or screened candidate of the round, unless stored.

    A candidate that it cannot answer for, or whose sites it lets collapse, becomes invalid; a seed stays,
    without a prior. With ``prior.keep`` below 1 only the slot's most promising candidates are relaxed beyond
    a first look.
    """
    potential, brief = prior_oracle(spec), number > 0 and _prior(spec).keep < 1
    first = prior_oracle(spec, steps=_prior(spec).first_steps) if brief else potential
    for record in database.records(spec.id, round=number)[slot::slots]:
        waiting = number == 0 or record.status is Status.SCREENED
        if waiting and record.prior is None and not record.reason:
            database.update_record(record.id, **_ask(spec, first, record, brief=brief))
    if brief:
        looked = database.records(spec.id, round=number)[slot::slots]
        for record in _promising(database, spec, looked):
            database.update_record(record.id, **_ask(spec, potential, record, brief=False))


def _prior(spec: CampaignSpec) -> Prior:
    if spec.prior is None:
        raise ValueError(f"campaign {spec.id!r} names no prior")
    return spec.prior


def prior_oracle(spec: CampaignSpec, *, steps: int | None = None) -> ForceFieldOracle:
    """The prior's potential as an oracle of few steps. Raises ValueError where the campaign has no prior."""
    from flows.oracles.force_field import ForceFieldOracle

    prior = _prior(spec)
    most = max(prior.steps if steps is None else steps, 1)
    return ForceFieldOracle(OracleSpec(name=prior.potential, fmax=prior.fmax, max_steps=most))


def _promising(
    database: Database, spec: CampaignSpec, records: Sequence[StructureRecord]
) -> list[StructureRecord]:
    """The share of candidates lowest above the newest hull, those left out that had more than a first look.

    More steps only lower an energy, and what they let collapse keeps its first look and its place: after an
    interruption the same ones are chosen.
    """
    looked = [record for record in records if record.prior]
    if not looked:
        return []
    references = prior_references(database.records(spec.id, round=0))
    level = formation_hull(database.hulls(spec.id)[-1], [record.formula for record in looked])
    above = prior_formation_energies(looked, references) - np.array(level)
    kept = np.argsort(above, kind="stable")[: math.ceil(_prior(spec).keep * len(looked))]
    best = [looked[row] for row in kept]
    return [r for r in best if r.prior and r.prior.brief and r.status is Status.SCREENED]


def _start(spec: CampaignSpec, record: StructureRecord) -> Structure:
    """Where a look starts: the last one's end, or what was generated, rattled unless it is a seed."""
    structure, distance = candidate_structure(record), _prior(spec).rattle
    if record.prior is not None or record.round == 0 or not distance:
        return structure
    return rattled(structure, distance, spec.derived_seed(record.round, f"prior/{record.id}"))


def _ask(
    spec: CampaignSpec, potential: ForceFieldOracle, record: StructureRecord, *, brief: bool
) -> dict[str, object]:
    try:
        with work_folder(spec, record) as folder, potential.within(_WALL_SECONDS):
            answer = potential.relax_briefly(_start(spec, record), folder)
            check_physics(answer)
    except Exception as error:  # noqa: BLE001 - whatever was raised, the candidate is set aside and says why
        reason = f"prior: {type(error).__name__}"
        return {"reason": reason} if record.round == 0 else {"reason": reason, "status": Status.INVALID}
    prior = PriorAnswer(
        potential=potential.fingerprint,
        structure=symmetrised(answer.structure).as_dict(),
        energy_per_atom=answer.energy_per_atom,
        steps=answer.steps + (record.prior.steps if record.prior else 0),
        brief=brief,
    )
    return {"prior": prior}
