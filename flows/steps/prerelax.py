"""The pre-relaxation step: the campaign's cheap potential relaxes candidates a little, before the oracle is
asked."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from niobe.config.errors import ConfigError
from niobe.config.spec import CampaignSpec, Prerelaxation
from niobe.config.spec import Oracle as OracleSpec
from niobe.flows.oracles.base import Answer, Oracle, correction_of
from niobe.flows.oracles.batched.asking import parts
from niobe.flows.oracles.calculation import check_physics
from niobe.flows.oracles.registry import make_oracle
from niobe.flows.steps.known import records_and_known
from niobe.flows.steps.validate import work_folder
from niobe.loop.campaign.seeds import DISPLACED
from niobe.loop.crystals.similarity import SeenStructures
from niobe.loop.documents.records import Prerelaxed, Status, StructureRecord
from niobe.loop.documents.rounds import RoundRecord
from niobe.loop.documents.structures import candidate_structure, relaxed_structure, symmetrised
from niobe.loop.generators.soft_mode_families import higher_relatives
from niobe.loop.stability.prerelaxed import above_joint_hull, briefly_prerelaxed, prerelaxed_references
from niobe.loop.store.database import Database
from niobe.loop.store.shared import UNANSWERED

if TYPE_CHECKING:
    from pymatgen.core import Structure

    from niobe.flows.oracles.force_field import ForceFieldOracle

_WALL_SECONDS = 60.0
_FAR = {
    "alpha": 15.0,
    "maxstep": 0.4,
}  # of BFGS; see docs/experiments/0086


def prerelax_slot(database: Database, spec: CampaignSpec, number: int, slot: int, slots: int) -> None:
    """Ask the pre-relaxation potential about every ``slots``-th seed or screened candidate of the round,
    unless stored.

    A candidate that it cannot answer for, or whose sites it lets collapse, becomes invalid; a seed stays,
    without pre-relaxation. What the oracle had relaxed before it was displaced is not asked about. With
    ``prerelax.keep`` below 1 a candidate gets a short pre-relaxation only. An oracle that is a potential is
    asked about crystals of the elements as they stand then.

    database: the campaign database. spec: the campaign. number: of the round. slot: which part of the work,
    from 0.
    """
    brief = number > 0 and _prerelaxation(spec).keep < 1
    potential = prerelax_oracle(spec, steps=_prerelaxation(spec).first_steps if brief else None)
    waiting = database.records.find(spec.id, round=number, prerelaxed=None)
    own = [record for record in waiting if _waits(record) and record.index % slots == slot]
    for record, update in _asked(database, spec, potential, own, _waits, brief=brief):
        asked = {"prerelaxed": None, "status": record.status}
        database.records.update_if(record.id, asked, **update)
    if number == 0:
        _ask_the_oracle(database, spec, slot, slots)


def _waits(record: StructureRecord) -> bool:
    """Whether the pre-relaxation potential is still to be asked about a seed or candidate."""
    if record.prerelaxed is not None:
        return False
    waiting = record.lineage.generator != DISPLACED if record.round == 0 else record.status is Status.SCREENED
    return waiting and not record.reason.startswith(UNANSWERED)


def _ask_the_oracle(database: Database, spec: CampaignSpec, slot: int, slots: int) -> None:
    """Ask the campaign's own potential about every ``slots``-th crystal of an element as it was pre-relaxed:
    cheap potentials are off by more than what molecular crystals differ by (docs/decisions/0160). An oracle
    that does not say that it is no DFT is not asked: it may take hours."""
    oracle = make_oracle(spec.oracle, spec.conditions.pressure)
    if getattr(oracle, "is_dft", True):
        return
    for record in database.records.find(spec.id, round=0, nelements=1, prerelaxed__potential={"$gt": ""}):
        answer = record.prerelaxed
        if answer is None or answer.oracle == oracle.fingerprint or record.index % slots != slot:
            continue
        energy = _energy_as_it_stands(spec, oracle, record)
        update = {"oracle": oracle.fingerprint, "by_oracle": energy}
        asked = {"prerelaxed__oracle": answer.oracle}
        database.records.update_if(record.id, asked, prerelaxed=answer.model_copy(update=update))


def _energy_as_it_stands(spec: CampaignSpec, oracle: Oracle, record: StructureRecord) -> float | None:
    """eV/atom on the campaign's scale; None where the oracle has no answer."""
    try:
        with work_folder(spec, record, "static") as folder, oracle.within(_WALL_SECONDS):
            (answer,) = oracle.static([candidate_structure(record)], folder)
            check_physics(answer)
            return answer.enthalpy_per_atom + correction_of(oracle, answer)
    except (OSError, ImportError, ConfigError):
        raise  # the machine's fault, not the crystal's: the job says so
    except Exception:  # noqa: BLE001 - whatever was raised, it is not ranked by this potential
        return None


def choose_promising(database: Database, spec: CampaignSpec, round_record: RoundRecord) -> None:
    """Choose what is relaxed beyond a short pre-relaxation: nearest to the joint hull, of all rounds, no two
    alike.

    A candidate like one that was chosen, here or before, or like a result becomes a duplicate. As many are
    chosen as the share says of what the round looked at, less those that it chose before it drew offspring.

    database: the campaign database. spec: the campaign. round_record: the round.
    """
    number, records = round_record.number, records_and_known(database, spec)
    looked = sum(record.round == number and record.prerelaxed is not None for record in records)
    earlier = round_record.promising
    left = math.ceil(_prerelaxation(spec).keep * looked) - len(earlier)
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
        duplicate = seen.find(structure, exclude=higher_relatives(record, by_id))
        if duplicate is None:
            seen.add(record.id, structure)
            chosen.append(record.id)
        elif not record.pinned:
            reason = "duplicate after the short pre-relaxation"
            database.candidates.update_screened(
                record.id, status=Status.DUPLICATE, reason=reason, duplicate_of=duplicate
            )
    database.rounds.update_open(spec.id, number, promising=[*earlier, *chosen])


def relax_slot(database: Database, spec: CampaignSpec, number: int, slot: int, slots: int) -> None:
    """Relax every ``slots``-th candidate that the round found promising beyond its short pre-relaxation.

    database: the campaign database. spec: the campaign. number: of the round. slot: which part of the work,
    from 0.
    """
    potential = prerelax_oracle(spec)
    promising = map(database.records.get, database.rounds.get(spec.id, number).promising[slot::slots])
    for record, update in _asked(database, spec, potential, list(promising), _waits_further, brief=False):
        asked = {"prerelaxed__brief": True, "status": record.status}
        database.records.update_if(record.id, asked, **update)


def _waits_further(record: StructureRecord) -> bool:
    return record.status is Status.SCREENED and briefly_prerelaxed(record)


def _prerelaxation(spec: CampaignSpec) -> Prerelaxation:
    if spec.prerelax is None:
        raise ValueError(f"campaign {spec.id!r} names no pre-relaxation")
    return spec.prerelax


def prerelax_oracle(spec: CampaignSpec, *, steps: int | None = None) -> ForceFieldOracle:
    """The pre-relaxation potential as an oracle of few steps. Raises ValueError where the campaign has no
    pre-relaxation."""
    from niobe.flows.oracles.force_field import ForceFieldOracle

    prerelax = _prerelaxation(spec)
    most = max(prerelax.steps if steps is None else steps, 1)
    asked = OracleSpec(
        name=prerelax.potential,
        corrections=spec.oracle.corrections,
        device=spec.oracle.device,
        fmax=prerelax.fmax,
        max_steps=most,
    )
    return ForceFieldOracle(asked, _FAR, spec.conditions.pressure)


def _further(records: Sequence[StructureRecord]) -> Iterator[tuple[str, Structure]]:
    """What was relaxed beyond a short pre-relaxation, by the pre-relaxation potential and by the oracle, and
    is no duplicate itself."""
    for record in records:
        if record.unasked:
            continue
        if record.prerelaxed and not record.prerelaxed.brief and record.status is not Status.DUPLICATE:
            yield record.id, candidate_structure(record)
        if record.validation:
            yield record.id, relaxed_structure(record)


def _most_promising_first(spec: CampaignSpec, records: Sequence[StructureRecord]) -> list[StructureRecord]:
    """Candidates that had a short pre-relaxation only, lowest above the joint hull first.

    What collapsed or failed later has no part in that hull.
    """
    sound = [record for record in records if record.status not in {Status.INVALID, Status.FAILED}]
    known = [record for record in sound if record.prerelaxed or record.verdict]
    references = prerelaxed_references([record for record in records if record.round == 0])
    above = above_joint_hull(known, references, spec.elements)
    in_order = [known[row] for row in np.argsort(above, kind="stable") if np.isfinite(above[row])]
    return [record for record in in_order if record.status is Status.SCREENED and briefly_prerelaxed(record)]


def _asked(
    database: Database,
    spec: CampaignSpec,
    potential: ForceFieldOracle,
    records: Sequence[StructureRecord],
    waits: Callable[[StructureRecord], bool],
    *,
    brief: bool,
) -> Iterator[tuple[StructureRecord, dict[str, object]]]:
    """What changes in each record that waits when its turn comes, one after the other as they are answered;
    on a GPU many at once. What has no answer so is asked about alone."""
    for some in parts(records, potential.at_once, lambda record: record.n_atoms):
        own = [record for record in (database.records.get(one.id) for one in some) if waits(record)]
        together: list[Answer | Exception | None] = [None] * len(own)
        if len(own) > 1:
            starts = [candidate_structure(record) for record in own]
            together = [*potential.relax_briefly_together(starts, _WALL_SECONDS)]
        for record, outcome in zip(own, together, strict=True):
            answer = outcome if isinstance(outcome, Answer) else _alone(spec, potential, record)
            yield record, _update(potential, record, answer, brief=brief)


def _alone(spec: CampaignSpec, potential: ForceFieldOracle, record: StructureRecord) -> Answer | Exception:
    try:
        with work_folder(spec, record, "prerelax") as folder, potential.within(_WALL_SECONDS):
            return potential.relax_briefly(candidate_structure(record), folder)
    except (OSError, ImportError, ConfigError):
        raise  # the machine's fault, not the candidate's: the job says so
    except Exception as error:  # noqa: BLE001 - whatever was raised, the candidate is set aside and says why
        return error


def _update(
    potential: ForceFieldOracle, record: StructureRecord, outcome: Answer | Exception, *, brief: bool
) -> dict[str, object]:
    try:
        if isinstance(outcome, Exception):
            raise outcome
        check_physics(outcome)
        correction = correction_of(potential, outcome)
    except (OSError, ImportError, ConfigError):
        raise  # as above
    except Exception as error:  # noqa: BLE001 - as above
        reason = f"{UNANSWERED} {type(error).__name__}"
        return {"reason": reason} if record.round == 0 else {"reason": reason, "status": Status.INVALID}
    prerelaxed = Prerelaxed(
        potential=potential.fingerprint,
        structure=symmetrised(outcome.structure).as_dict(),
        energy_per_atom=outcome.enthalpy_per_atom + correction,
        correction=correction,
        steps=outcome.steps + (record.prerelaxed.steps if record.prerelaxed else 0),
        brief=brief,
    )
    return {"prerelaxed": prerelaxed}
