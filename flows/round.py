"""One round as one workflow: the Maker only wires steps together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from jobflow import Flow, Job, Maker, OnMissing

from niobe.config.spec import CampaignSpec
from niobe.flows import jobs as steps

SEED_SLOTS = 8
PRERELAX_SLOTS = 8
OFFSPRING_BATCHES = 4
Kind = Literal["learning", "prerelax", "oracle"]
_KINDS: dict[str, Kind] = {
    "prerelax": "prerelax",
    "relax_promising": "prerelax",
    "validate": "oracle",
    "phonons": "oracle",
}


@dataclass
class RoundMaker(Maker):
    """Round 0 seeds the database; every later round trains, generates, screens, acquires, validates, closes.

    Names and metadata of the jobs carry campaign, round and candidate slot.
    """

    name: str = "round"

    def make(self, spec: CampaignSpec, number: int) -> Flow:
        """The workflow of round ``number`` (0: seeds)."""
        *before, batch = preparation(spec, number)
        slots, also = (spec.acquisition.batch, []) if number else (SEED_SLOTS, before)
        jobs = [*before, batch, *_validation_jobs(spec, number, slots, batch, also)]
        return labelled_flow(jobs, spec, number)


def labelled_flow(jobs: list[Job], spec: CampaignSpec, number: int, **metadata: str) -> Flow:
    """Jobs of one round as a Flow; names and metadata say campaign and round, and what else is given."""
    for job in jobs:
        job.name = f"{spec.id} r{number} {job.name}"
        job.update_metadata({"campaign": spec.id, "round": number, "kind": _kind(job), **metadata})
    return Flow(jobs, name=jobs[0].name if len(jobs) == 1 else f"{spec.id} r{number}")


def _kind(job: Job) -> Kind:
    """What machine a job wants: one that learns, one for the cheap potential, one for the oracle."""
    return _KINDS.get(job.function.__name__, "learning")


def preparation(spec: CampaignSpec, number: int) -> list[Job]:
    """The jobs up to the round's batch, whose job comes last (round 0: the seeds, then their pre-
    relaxations)."""
    if number > 0:
        return _discovery(spec, number)
    start = steps.seed(spec.model_dump(mode="json"))
    return [*_prerelax_jobs(spec, 0, start), start]


def _discovery(spec: CampaignSpec, number: int) -> list[Job]:
    campaign = spec.model_dump(mode="json")
    surrogate = steps.train_surrogate(campaign, number)
    gan = steps.train_gan(campaign, number)
    needed = [gan, surrogate] if spec.generation.phonon_critic else [gan]
    generated = steps.generate(campaign, number, after=[job.output for job in needed])
    screened = steps.screen(campaign, number, after=generated.output)
    prerelaxed = _prerelax_jobs(spec, number, screened)
    for offspring_batch in range(1, OFFSPRING_BATCHES + 1) if spec.draws_offspring else ():
        drawn = steps.draw_offspring(
            campaign, number, offspring_batch, OFFSPRING_BATCHES, after=[job.output for job in prerelaxed]
        )
        drawn.name = f"{drawn.name} {offspring_batch}"
        _go_on_without([drawn])
        prerelaxed = [*prerelaxed, drawn, *_prerelax_jobs(spec, number, drawn, offspring_batch)]
    before = [surrogate, screened, *prerelaxed]
    predicted = steps.predict(campaign, number, after=[job.output for job in before])
    acquired = steps.acquire(campaign, number, after=predicted.output)
    _go_on_without([predicted])
    return [surrogate, gan, generated, screened, *prerelaxed, predicted, acquired]


def _validation_jobs(
    spec: CampaignSpec, number: int, slots: int, batch: Job, also: Sequence[Job]
) -> list[Job]:
    """Relax the whole batch, then phonons near the hull it makes, then close (after ``also`` too)."""
    campaign = spec.model_dump(mode="json")
    relaxed = [steps.validate(campaign, number, slot, slots, after=batch.output) for slot in range(slots)]
    chosen = steps.choose_phonons(campaign, number, after=[job.output for job in relaxed])
    phonons = [steps.phonons(campaign, number, slot, slots, after=chosen.output) for slot in range(slots)]
    end = steps.close(campaign, number, after=[job.output for job in [*phonons, *also]])
    _number_slots(relaxed, "candidate")
    _number_slots(phonons, "phonons")
    _go_on_without([chosen, end])
    return [*relaxed, chosen, *phonons, end]


def _prerelax_jobs(spec: CampaignSpec, number: int, after: Job, offspring_batch: int = 0) -> list[Job]:
    """The jobs that ask the campaign's cheap potential, once or twice; none without one.

    offspring_batch: which offspring batch they ask about, 0 for all else.
    """
    if spec.prerelax is None:
        return []
    campaign = spec.model_dump(mode="json")
    of = f"offspring batch {offspring_batch}" if offspring_batch else ""
    looks = [
        steps.prerelax(campaign, number, slot, PRERELAX_SLOTS, after=after.output)
        for slot in range(PRERELAX_SLOTS)
    ]
    _number_slots(looks, f"pre-relaxation {of}".strip())
    if number == 0 or spec.prerelax.keep == 1:
        return looks
    chosen = steps.choose_promising(campaign, number, offspring_batch, after=[job.output for job in looks])
    further = [
        steps.relax_promising(campaign, number, slot, PRERELAX_SLOTS, after=chosen.output)
        for slot in range(PRERELAX_SLOTS)
    ]
    chosen.name = f"{chosen.name} {of}".strip()
    _number_slots(further, f"further pre-relaxation {of}".strip())
    _go_on_without([chosen])
    return [*looks, chosen, *further]


def _number_slots(jobs: list[Job], what: str) -> None:
    for slot, job in enumerate(jobs):
        job.name = f"{what} {slot}"


def _go_on_without(jobs: list[Job]) -> None:
    """One dead calculation stops nothing: these run although a parent has no output."""
    for job in jobs:
        job.config.on_missing_references = OnMissing.NONE
