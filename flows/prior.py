"""The prior step: the campaign's cheap potential relaxes candidates a little, before the oracle is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from config.spec import CampaignSpec
from config.spec import Oracle as OracleSpec
from flows.validating import work_folder
from loop.database import Database
from loop.records import PriorAnswer, Status, StructureRecord
from loop.structures import generated_structure, symmetrised

if TYPE_CHECKING:
    from flows.oracles.force_field import ForceFieldOracle

_WALL_SECONDS = 60.0


def prior_slot(database: Database, spec: CampaignSpec, number: int, slot: int, slots: int) -> None:
    """Ask the prior about every ``slots``-th seed or screened candidate of the round, unless stored.

    A candidate that it cannot answer for becomes invalid; a seed stays, without a prior.
    """
    potential = prior_oracle(spec)
    drawn = database.records(spec.id, round=number)
    for record in drawn[slot::slots]:
        waiting = number == 0 or record.status is Status.SCREENED
        if waiting and record.prior is None and not record.reason:
            database.update_record(record.id, **_ask(spec, potential, record))


def prior_oracle(spec: CampaignSpec) -> ForceFieldOracle:
    """The prior's potential as an oracle of few steps. Raises ValueError where the campaign has no prior."""
    from flows.oracles.force_field import ForceFieldOracle

    if spec.prior is None:
        raise ValueError(f"campaign {spec.id!r} names no prior")
    few = OracleSpec(name=spec.prior.potential, fmax=spec.prior.fmax, max_steps=max(spec.prior.steps, 1))
    return ForceFieldOracle(few)


def _ask(spec: CampaignSpec, potential: ForceFieldOracle, record: StructureRecord) -> dict[str, object]:
    try:
        with work_folder(spec, record) as folder, potential.within(_WALL_SECONDS):
            answer = potential.relax_briefly(generated_structure(record), folder)
    except Exception as error:  # noqa: BLE001 - whatever was raised, the candidate is set aside and says why
        reason = f"prior: {type(error).__name__}"
        return {"reason": reason} if record.round == 0 else {"reason": reason, "status": Status.INVALID}
    prior = PriorAnswer(
        potential=potential.fingerprint,
        structure=symmetrised(answer.structure).as_dict(),
        energy_per_atom=answer.energy_per_atom,
        steps=answer.steps,
    )
    return {"prior": prior}
