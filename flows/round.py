"""One round as one workflow: the Maker only wires steps together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from jobflow import Flow, Job, Maker, OnMissing

from niobe.config.spec import CampaignSpec
from niobe.flows import jobs as steps

SEED_SLOTS = 8
PRIOR_SLOTS = 8
LITTERS = 4
Kind = Literal["learning", "prior", "oracle"]
_KINDS: dict[str, Kind] = {
    "prior": "prior",
    "relax_promising": "prior",
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
    """The jobs up to the round's batch, whose job comes last (round 0: the seeds, then their priors)."""
    if number > 0:
        return _discovery(spec, number)
    start = steps.seed(spec.model_dump(mode="json"))
    return [*_prior_jobs(spec, 0, start), start]


def _discovery(spec: CampaignSpec, number: int) -> list[Job]:
    campaign = spec.model_dump(mode="json")
    surrogate = steps.train_surrogate(campaign, number)
    gan = steps.train_gan(campaign, number)
    needed = [gan, surrogate] if spec.generation.phonon_critic else [gan]
    generated = steps.generate(campaign, number, after=[job.output for job in needed])
    screened = steps.screen(campaign, number, after=generated.output)
    priors = _prior_jobs(spec, number, screened)
    for litter in range(1, LITTERS + 1) if spec.breeds else ():
        bred = steps.breed(campaign, number, litter, LITTERS, after=[job.output for job in priors])
        bred.name = f"{bred.name} {litter}"
        _go_on_without([bred])
        priors = [*priors, bred, *_prior_jobs(spec, number, bred, litter)]
    before = [surrogate, screened, *priors]
    predicted = steps.predict(campaign, number, after=[job.output for job in before])
    acquired = steps.acquire(campaign, number, after=predicted.output)
    _go_on_without([predicted])
    return [surrogate, gan, generated, screened, *priors, predicted, acquired]


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


def _prior_jobs(spec: CampaignSpec, number: int, after: Job, litter: int = 0) -> list[Job]:
    """The jobs that ask the campaign's cheap potential, once or twice; none without one.

    litter: which litter of offspring they ask about, 0 for all else.
    """
    if spec.prior is None:
        return []
    campaign, of = spec.model_dump(mode="json"), f"litter {litter}" if litter else ""
    looks = [
        steps.prior(campaign, number, slot, PRIOR_SLOTS, after=after.output) for slot in range(PRIOR_SLOTS)
    ]
    _number_slots(looks, f"prior {of}".strip())
    if number == 0 or spec.prior.keep == 1:
        return looks
    chosen = steps.choose_promising(campaign, number, litter, after=[job.output for job in looks])
    further = [
        steps.relax_promising(campaign, number, slot, PRIOR_SLOTS, after=chosen.output)
        for slot in range(PRIOR_SLOTS)
    ]
    chosen.name = f"{chosen.name} {of}".strip()
    _number_slots(further, f"prior again {of}".strip())
    _go_on_without([chosen])
    return [*looks, chosen, *further]


def _number_slots(jobs: list[Job], what: str) -> None:
    for slot, job in enumerate(jobs):
        job.name = f"{what} {slot}"


def _go_on_without(jobs: list[Job]) -> None:
    """One dead calculation stops nothing: these run although a parent has no output."""
    for job in jobs:
        job.config.on_missing_references = OnMissing.NONE
