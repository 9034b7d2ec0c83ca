"""From the plan of a round to jobflow Flows: whole, or in parts for a launcher that spreads it out.

What one graph wires, a distributed launcher decides from the database: the candidates are known by then, and
no workflow grows with the batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from jobflow import Flow, Job, Maker, OnMissing

from niobe.config.spec import CampaignSpec
from niobe.flows import jobs
from niobe.flows.stages import Stage, conclusion, plan, preparation


@dataclass
class RoundMaker(Maker):
    """All jobs of a round as one workflow; their names and metadata carry campaign, round and slot."""

    name: str = "round"

    def make(self, spec: CampaignSpec, number: int) -> Flow:
        """The workflow of round ``number`` (0: seeds)."""
        return flow_of(spec, number, plan(spec, number))


def prepare(spec: CampaignSpec, number: int) -> Flow:
    """All jobs up to the choice of the batch (round 0: seeds and their pre-relaxation)."""
    return flow_of(spec, number, preparation(plan(spec, number)))


def conclude(spec: CampaignSpec, number: int) -> Flow:
    """All jobs after the phonons of the batch: challenge, other oracles, close.

    spec: the campaign. number: of the round.
    """
    return flow_of(spec, number, conclusion(plan(spec, number)))


def single(spec: CampaignSpec, number: int, name: str) -> Flow:
    """A stage that is one job, alone: what it needs has ended. name: the stage's.

    spec: the campaign. number: of the round.
    """
    return flow_of(spec, number, [replace(_stage(spec, number, name), needs=())])


def one_each(spec: CampaignSpec, number: int, name: str, candidates: Sequence[str]) -> list[Flow]:
    """A stage of several slots, as one workflow for each of ``candidates`` (record ids).

    Each names its record: a list that is changed meanwhile gives it no other.

    spec: the campaign. number: of the round. name: its name.
    """
    stage = replace(_stage(spec, number, name), needs=(), slots=len(candidates))
    flows = []
    for candidate, job in zip(candidates, _jobs(spec, number, stage, [], candidates), strict=True):
        job.name = f"{name} {candidate}"
        flows.append(_labelled([(stage, job)], spec, number, candidate=candidate, step=stage.job))
    return flows


def flow_of(spec: CampaignSpec, number: int, stages: Iterable[Stage]) -> Flow:
    """Stages wired by what they need, in that order.

    spec: the campaign. number: of the round. stages: in the order they are wired.
    """
    made: dict[str, list[Job]] = {}
    labelled: list[tuple[Stage, Job]] = []
    for stage in stages:
        after = [job.output for name in stage.needs for job in made[name]]
        made[stage.name] = _jobs(spec, number, stage, after)
        labelled += [(stage, job) for job in made[stage.name]]
    return _labelled(labelled, spec, number)


def _stage(spec: CampaignSpec, number: int, name: str) -> Stage:
    return next(stage for stage in plan(spec, number) if stage.name == name)


def _jobs(
    spec: CampaignSpec, number: int, stage: Stage, after: Sequence[object], records: Sequence[str] = ()
) -> list[Job]:
    """records: ids, one a slot, where each slot is for one record."""
    campaign, make = spec.model_dump(mode="json"), getattr(jobs, stage.job)
    if stage.slots is None:
        made = [make(campaign, number, *stage.arguments, after=after)]
    else:
        own = [{"record": record} for record in records] or [{}] * stage.slots
        made = [
            make(campaign, number, slot, stage.slots, after=after, **only) for slot, only in enumerate(own)
        ]
    for slot, job in enumerate(made):
        job.name = stage.name if stage.slots is None else f"{stage.name} {slot}"
        if stage.lenient:  # one dead calculation stops nothing
            job.config.on_missing_references = OnMissing.NONE
    return made


def _labelled(found: Sequence[tuple[Stage, Job]], spec: CampaignSpec, number: int, **metadata: str) -> Flow:
    for stage, job in found:
        job.name = f"{spec.id} r{number} {job.name}"
        job.update_metadata({"campaign": spec.id, "round": number, "kind": stage.kind, **metadata})
    every = [job for _, job in found]
    return Flow(every, name=every[0].name if len(every) == 1 else f"{spec.id} r{number}")
