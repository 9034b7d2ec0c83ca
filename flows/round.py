"""One round as one workflow: the Maker only wires steps together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jobflow import Flow, Job, Maker, OnMissing

from config.spec import CampaignSpec
from flows import steps

SEED_SLOTS = 8
PRIOR_SLOTS = 8


@dataclass
class RoundMaker(Maker):
    """Round 0 seeds the database; every later round trains, generates, screens, acquires, validates, closes.

    Names and metadata of the jobs carry campaign, round and candidate slot.
    """

    name: str = "round"

    def make(self, spec: CampaignSpec, number: int) -> Flow:
        """The workflow of round ``number`` (0: seeds)."""
        jobs = _seed_round(spec) if number == 0 else _discovery_round(spec, number)
        for job in jobs:
            job.name = f"{spec.id} r{number} {job.name}"
            job.update_metadata({"campaign": spec.id, "round": number})
        return Flow(jobs, name=f"{spec.id} r{number}")


def _seed_round(spec: CampaignSpec) -> list[Job]:
    campaign = spec.model_dump(mode="json")
    start = steps.seed(campaign)
    priors = _prior_jobs(spec, 0, start)
    return [start, *priors, *_validation_jobs(spec, 0, SEED_SLOTS, start, also=priors)]


def _discovery_round(spec: CampaignSpec, number: int) -> list[Job]:
    campaign = spec.model_dump(mode="json")
    surrogate = steps.train_surrogate(campaign, number)
    gan = steps.train_gan(campaign, number)
    needed = [gan, surrogate] if spec.generation.phonon_critic else [gan]
    generated = steps.generate(campaign, number, after=[job.output for job in needed])
    screened = steps.screen(campaign, number, after=generated.output)
    priors = _prior_jobs(spec, number, screened)
    before = [surrogate, screened, *priors]
    predicted = steps.predict(campaign, number, after=[job.output for job in before])
    acquired = steps.acquire(campaign, number, after=predicted.output)
    _go_on_without([predicted])
    validated = _validation_jobs(spec, number, spec.acquisition.batch, acquired)
    return [surrogate, gan, generated, screened, *priors, predicted, acquired, *validated]


def _validation_jobs(
    spec: CampaignSpec, number: int, slots: int, batch: Job, also: Sequence[Job] = ()
) -> list[Job]:
    """Relax the whole batch, then phonons near the hull it makes, then close (after ``also`` too)."""
    campaign = spec.model_dump(mode="json")
    relaxed = [steps.validate(campaign, number, slot, slots, after=batch.output) for slot in range(slots)]
    outputs = [job.output for job in relaxed]
    phonons = [steps.phonons(campaign, number, slot, slots, after=outputs) for slot in range(slots)]
    end = steps.close(campaign, number, after=[job.output for job in [*phonons, *also]])
    _number_slots(relaxed, "candidate")
    _number_slots(phonons, "phonons")
    _go_on_without([*phonons, end])
    return [*relaxed, *phonons, end]


def _prior_jobs(spec: CampaignSpec, number: int, after: Job) -> list[Job]:
    """The jobs that ask the campaign's cheap potential; none without one."""
    if spec.prior is None:
        return []
    campaign = spec.model_dump(mode="json")
    jobs = [
        steps.prior(campaign, number, slot, PRIOR_SLOTS, after=after.output) for slot in range(PRIOR_SLOTS)
    ]
    _number_slots(jobs, "prior")
    return jobs


def _number_slots(jobs: list[Job], what: str) -> None:
    for slot, job in enumerate(jobs):
        job.name = f"{what} {slot}"


def _go_on_without(jobs: list[Job]) -> None:
    """One dead calculation stops nothing: these run although a parent has no output."""
    for job in jobs:
        job.config.on_missing_references = OnMissing.NONE
