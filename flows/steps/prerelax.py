"""The prior step: the campaign's cheap potential relaxes candidates a little, before the oracle is asked."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from niobe.config.errors import ConfigError
from niobe.config.spec import CampaignSpec, Prior
from niobe.config.spec import Oracle as OracleSpec
from niobe.flows.oracles.calculation import check_physics
from niobe.flows.steps.validate import work_folder
from niobe.loop.crystals.similarity import SeenStructures
from niobe.loop.documents.records import PriorAnswer, Status, StructureRecord
from niobe.loop.documents.rounds import RoundRecord
from niobe.loop.documents.structures import candidate_structure, relaxed_structure, symmetrised
from niobe.loop.generators.soft_mode_families import higher_kin
from niobe.loop.stability.prerelaxed import above_joint_hull, glanced_at, prior_references
from niobe.loop.store.database import Database

if TYPE_CHECKING:
    from pymatgen.core import Structure

    from niobe.flows.oracles.force_field import ForceFieldOracle

_WALL_SECONDS = 60.0
_FAR = {"alpha": 15.0, "maxstep": 0.4}  # of BFGS: candidates start far from rest, docs/decisions/0086


def prior_slot(database: Database, spec: CampaignSpec, number: int, slot: int, slots: int) -> None:
    """Ask the prior about every ``slots``-th seed or screened candidate of the round, unless stored.

    A candidate that it cannot answer for, or whose sites it lets collapse, becomes invalid; a seed stays,
    without a prior. With ``prior.keep`` below 1 a candidate gets a first look only.
    """
    brief = number > 0 and _prior(spec).keep < 1
    potential = prior_oracle(spec, steps=_prior(spec).first_steps if brief else None)
    for record in database.records(spec.id, round=number)[slot::slots]:
        waiting = number == 0 or record.status is Status.SCREENED
        if waiting and record.prior is None and not record.reason:
            database.update_record(record.id, **_ask(spec, potential, record, brief=brief))


def choose_promising(database: Database, spec: CampaignSpec, round_record: RoundRecord) -> None:
    """Choose what is relaxed beyond a first look: nearest to the joint hull, of all rounds, no two alike.

    A candidate like one that was chosen, here or before, or like a result becomes a duplicate. As many are
    chosen as the share says of what the round looked at, less those that it chose before it bred.
    """
    number, records = round_record.number, database.records(spec.id)
    looked = sum(record.round == number and record.prior is not None for record in records)
    earlier = round_record.promising
    left = math.ceil(_prior(spec).keep * looked) - len(earlier)
    by_id = {record.id: record for record in records}
    seen = SeenStructures(_further(records))
    for name in earlier:
        seen.add(name, candidate_structure(by_id[name]))
    chosen: list[str] = []
    for record in _most_promising_first(spec, records):
        if len(chosen) >= left:
            break
        if record.id in earlier:
            continue
        structure = candidate_structure(record)
        twin = seen.find(structure, but=higher_kin(record, by_id))
        if twin is None:
            seen.add(record.id, structure)
            chosen.append(record.id)
        elif not record.pinned:
            reason = "duplicate after the first look"
            database.update_screened(record.id, status=Status.DUPLICATE, reason=reason, duplicate_of=twin)
    database.update_round(spec.id, number, promising=[*earlier, *chosen])


def relax_slot(database: Database, spec: CampaignSpec, number: int, slot: int, slots: int) -> None:
    """Relax every ``slots``-th candidate that the round found promising beyond its first look."""
    potential = prior_oracle(spec)
    for identifier in database.round(spec.id, number).promising[slot::slots]:
        record = database.record(identifier)
        if record.status is Status.SCREENED and glanced_at(record):
            database.update_record(identifier, **_ask(spec, potential, record, brief=False))


def _prior(spec: CampaignSpec) -> Prior:
    if spec.prior is None:
        raise ValueError(f"campaign {spec.id!r} names no prior")
    return spec.prior


def prior_oracle(spec: CampaignSpec, *, steps: int | None = None) -> ForceFieldOracle:
    """The prior's potential as an oracle of few steps. Raises ValueError where the campaign has no prior."""
    from niobe.flows.oracles.force_field import ForceFieldOracle

    prior = _prior(spec)
    most = max(prior.steps if steps is None else steps, 1)
    return ForceFieldOracle(OracleSpec(name=prior.potential, fmax=prior.fmax, max_steps=most), _FAR)


def _further(records: Sequence[StructureRecord]) -> Iterator[tuple[str, Structure]]:
    """What was relaxed beyond a first look, by the prior and by the oracle, and is no duplicate itself."""
    for record in records:
        if record.prior and not record.prior.brief and record.status is not Status.DUPLICATE:
            yield record.id, candidate_structure(record)
        if record.validation:
            yield record.id, relaxed_structure(record)


def _most_promising_first(spec: CampaignSpec, records: Sequence[StructureRecord]) -> list[StructureRecord]:
    """Candidates that had a first look only, lowest above the joint hull first.

    What collapsed or failed later has no part in that hull.
    """
    sound = [record for record in records if record.status not in {Status.INVALID, Status.FAILED}]
    known = [record for record in sound if record.prior or record.verdict]
    references = prior_references([record for record in records if record.round == 0])
    above = above_joint_hull(known, references, spec.elements)
    in_order = [known[row] for row in np.argsort(above, kind="stable") if np.isfinite(above[row])]
    return [record for record in in_order if record.status is Status.SCREENED and glanced_at(record)]


def _ask(
    spec: CampaignSpec, potential: ForceFieldOracle, record: StructureRecord, *, brief: bool
) -> dict[str, object]:
    try:
        with work_folder(spec, record, "prior") as folder, potential.within(_WALL_SECONDS):
            answer = potential.relax_briefly(candidate_structure(record), folder)
            check_physics(answer)
    except (OSError, ImportError, ConfigError):
        raise  # the machine's fault, not the candidate's: the job says so
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
