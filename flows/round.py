"""One round as one workflow: the Maker only wires steps together."""

from __future__ import annotations

from dataclasses import dataclass

from jobflow import Flow, Job, Maker, OnMissing

from config.spec import CampaignSpec
from flows import steps

SEED_SLOTS = 8


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
    relaxed = [
        steps.validate(campaign, 0, slot, SEED_SLOTS, after=start.output) for slot in range(SEED_SLOTS)
    ]
    outputs = [job.output for job in relaxed]
    phonons = [steps.seed_phonons(campaign, slot, SEED_SLOTS, after=outputs) for slot in range(SEED_SLOTS)]
    end = steps.close(campaign, 0, after=[job.output for job in phonons])
    _number_slots(relaxed, "seeds")
    _number_slots(phonons, "seed phonons")
    _go_on_without([*phonons, end])
    return [start, *relaxed, *phonons, end]


def _discovery_round(spec: CampaignSpec, number: int) -> list[Job]:
    campaign = spec.model_dump(mode="json")
    surrogate = steps.train_surrogate(campaign, number)
    gan = steps.train_gan(campaign, number)
    generated = steps.generate(campaign, number, after=gan.output)
    screened = steps.screen(campaign, number, after=[surrogate.output, generated.output])
    acquired = steps.acquire(campaign, number, after=screened.output)
    slots = spec.acquisition.batch
    validated = [
        steps.validate(campaign, number, slot, slots, after=acquired.output) for slot in range(slots)
    ]
    end = steps.close(campaign, number, after=[job.output for job in validated])
    _number_slots(validated, "candidate")
    _go_on_without([end])
    return [surrogate, gan, generated, screened, acquired, *validated, end]


def _number_slots(jobs: list[Job], what: str) -> None:
    for slot, job in enumerate(jobs):
        job.name = f"{what} {slot}"


def _go_on_without(jobs: list[Job]) -> None:
    """One dead calculation stops nothing: these run although a parent has no output."""
    for job in jobs:
        job.config.on_missing_references = OnMissing.NONE
