"""A round as several small workflows, for a launcher that spreads candidates over many machines.

The jobs are those of RoundMaker; what RoundMaker wires within one graph, the launcher decides from the
database: the candidates are known by then, and no workflow grows with the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from jobflow import Flow, Job

from niobe.config.spec import CampaignSpec
from niobe.flows import jobs as steps
from niobe.flows.round import labelled_flow, preparation


def prepare(spec: CampaignSpec, number: int) -> Flow:
    """All jobs up to the choice of the batch (round 0: seeds and their pre-relaxations)."""
    return labelled_flow(preparation(spec, number), spec, number)


def validations(spec: CampaignSpec, number: int, batch: Sequence[str]) -> list[Flow]:
    """One workflow for each candidate of the batch."""
    return _one_each(steps.validate, spec, number, "validate", batch)


def phonon_choice(spec: CampaignSpec, number: int) -> Flow:
    """Which of what is validated gets phonons."""
    return labelled_flow([steps.choose_phonons(spec.model_dump(mode="json"), number)], spec, number)


def phonons(spec: CampaignSpec, number: int, chosen: Sequence[str]) -> list[Flow]:
    """One workflow for each structure that gets phonons."""
    return _one_each(steps.phonons, spec, number, "phonons", chosen)


def closing(spec: CampaignSpec, number: int) -> Flow:
    """The job that closes the round."""
    return labelled_flow([steps.close(spec.model_dump(mode="json"), number)], spec, number)


def _one_each(
    make: Callable[..., Job], spec: CampaignSpec, number: int, step: str, candidates: Sequence[str]
) -> list[Flow]:
    campaign, flows = spec.model_dump(mode="json"), []
    for slot, candidate in enumerate(candidates):
        job = make(campaign, number, slot, len(candidates))
        job.name = f"{step} {candidate}"
        flows.append(labelled_flow([job], spec, number, candidate=candidate, step=step))
    return flows
