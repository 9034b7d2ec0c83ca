"""The steps of one round, each a jobflow job: idempotent, with all state in the database.

A job's arguments are the campaign spec and numbers only; no address or secret is stored with it.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from jobflow import job

from niobe.config.spec import CampaignSpec
from niobe.flows.running import Document, run_once, run_record, run_slot
from niobe.loop.store.database import Database


@job
def seed(campaign: Document, number: int = 0, after: Any = None) -> Document:
    """Round 0: store the seeds, which are validated, and the competing phases to choose from.

    campaign: its spec, as JSON. number: of the round. after: outputs to wait for.
    """
    from niobe.flows.steps.seed import seed_campaign

    return run_once("seed", campaign, number, seed_campaign)


@job
def compete(campaign: Document, number: int = 0, after: Any = None) -> Document:
    """Round 0: choose the competing phases to validate.

    campaign: its spec, as JSON. number: of the round. after: outputs to wait for.
    """
    from niobe.flows.steps.competing import compete as step

    return run_once("compete", campaign, number, step)


@job
def compete_further(campaign: Document, number: int = 0, after: Any = None) -> Document:
    """Round 0: choose further competing phases by what the oracle answered.

    campaign: its spec, as JSON. number: of the round. after: outputs to wait for.
    """
    from niobe.flows.steps.competing import compete_further as step

    return run_once("compete_further", campaign, number, step)


@job
def train_surrogate(campaign: Document, number: int, after: Any = None) -> Document:
    """Train the surrogate on every validated and failed record.

    campaign: its spec, as JSON. number: of the round. after: outputs to wait for.
    """
    from niobe.flows.steps.train import train_surrogate as step

    return run_once("train_surrogate", campaign, number, step)


@job
def train_gan(campaign: Document, number: int, after: Any = None) -> Document:
    """Train the GAN on the corpus, if any, and fine-tune it on the campaign's own records.

    number: of the round. after: outputs to wait for.
    """
    from niobe.flows.steps.train import train_gan as step

    return run_once("train_gan", campaign, number, step)


@job
def generate(campaign: Document, number: int, part: int = 1, after: Any = None) -> Document:
    """Draw candidates from the campaign's generators, those of a large round in parts.

    campaign: its spec, as JSON. number: of the round. part: from 1. after: outputs to wait for.
    """
    from niobe.flows.steps import generate as steps

    if part == 1:
        return run_once("generate", campaign, number, steps.generate)
    return run_once(f"generate_{part}", campaign, number, partial(steps.generate_part, part=part))


@job
def screen(campaign: Document, number: int, after: Any = None) -> Document:
    """Set aside invalid and duplicate candidates.

    campaign: its spec, as JSON. number: of the round. after: outputs to wait for.
    """
    from niobe.flows.steps.generate import screen as step

    return run_once("screen", campaign, number, step)


@job
def screen_compositions(
    campaign: Document, number: int, slot: int, slots: int, after: Any = None
) -> Document:
    """Set aside invalid and duplicate candidates of the round's compositions ``slot``, ``slot + slots``, …

    campaign: its spec, as JSON. number: of the round. after: outputs to wait for.
    """
    from niobe.flows.steps.generate import screen_compositions as step

    return run_slot("screen", campaign, number, slot, slots, step)


@job
def prerelax(campaign: Document, number: int, slot: int, slots: int, after: Any = None) -> Document:
    """Relax the candidates ``slot``, ``slot + slots``, … of the round a little with the cheap potential.

    campaign: its spec, as JSON. number: of the round. after: outputs to wait for.
    """
    from niobe.flows.steps.prerelax import prerelax_slot as step

    return run_slot("prerelax", campaign, number, slot, slots, step)


@job
def choose_promising(
    campaign: Document, number: int, offspring_batch: int = 0, after: Any = None
) -> Document:
    """Choose what the cheap potential relaxes beyond a short pre-relaxation; once more for each
    ``offspring_batch``.

    campaign: its spec, as JSON. number: of the round. after: outputs to wait for.
    """
    from niobe.flows.steps.prerelax import choose_promising as step

    name = f"choose_promising_{offspring_batch}" if offspring_batch else "choose_promising"
    return run_once(name, campaign, number, step)


@job
def relax_promising(campaign: Document, number: int, slot: int, slots: int, after: Any = None) -> Document:
    """Relax the candidates ``slot``, ``slot + slots``, … of those chosen further with the cheap potential.

    campaign: its spec, as JSON. number: of the round. after: outputs to wait for.
    """
    from niobe.flows.steps.prerelax import relax_slot as step

    return run_slot("relax_promising", campaign, number, slot, slots, step)


@job
def draw_offspring(
    campaign: Document, number: int, offspring_batch: int, offspring_batches: int, after: Any = None
) -> Document:
    """Draw and screen one of ``offspring_batches`` batches of offspring of what the cheap potential
    relaxed.

    campaign: its spec, as JSON. number: of the round. offspring_batch: which of the batches, from 1. after:
    outputs to wait for.
    """
    from niobe.flows.steps.generate import draw_offspring as step

    return run_once(
        f"offspring_{offspring_batch}",
        campaign,
        number,
        partial(step, offspring_batch=offspring_batch, offspring_batches=offspring_batches),
    )


@job
def predict(campaign: Document, number: int, after: Any = None) -> Document:
    """Predict every candidate that may be acquired.

    campaign: its spec, as JSON. number: of the round. after: outputs to wait for.
    """
    from niobe.flows.steps.acquisition.predict import predict as step

    return run_once("predict", campaign, number, step)


@job
def set_aside(campaign: Document, number: int, after: Any = None) -> Document:
    """Set aside candidates of a large round that turned out to be known, before all others are predicted.

    campaign: its spec, as JSON. number: of the round. after: outputs to wait for.
    """
    from niobe.flows.steps.acquisition.predict import set_aside as step

    return run_once("set_aside", campaign, number, step)


@job
def predict_compositions(
    campaign: Document, number: int, slot: int, slots: int, after: Any = None
) -> Document:
    """Predict candidates that may be acquired, of a share of the compositions.

    campaign: its spec, as JSON. number: of the round. after: outputs to wait for.
    """
    from niobe.flows.steps.acquisition.predict import predict_compositions as step

    return run_slot("predict", campaign, number, slot, slots, step)


@job
def acquire(campaign: Document, number: int, after: Any = None) -> Document:
    """Choose the batch to validate.

    campaign: its spec, as JSON. number: of the round. after: outputs to wait for.
    """
    from niobe.flows.steps.acquisition.acquire import acquire as step

    return run_once("acquire", campaign, number, step)


@job
def validate(
    campaign: Document, number: int, slot: int, slots: int, record: str = "", after: Any = None
) -> Document:
    """Validate the candidates ``slot``, ``slot + slots``, … of the round's batch.

    campaign: its spec, as JSON. number: of the round. record: id of the only one to validate, "" for those of
    the slot. after: outputs to wait for.
    """
    from niobe.flows.steps.validate import validate_records, validate_slot

    if record:

        def only(database: Database, spec: CampaignSpec, _: int) -> None:
            validate_records(database, spec, [record])

        return run_record("validate", campaign, number, record, only)
    return run_slot("validate", campaign, number, slot, slots, validate_slot)


@job
def choose_phonons(campaign: Document, number: int, after: Any = None) -> Document:
    """Choose what lies near enough to the hull of all that is validated for phonons.

    campaign: its spec, as JSON. number: of the round. after: outputs to wait for.
    """
    from niobe.flows.steps.validate import choose_phonons as step

    return run_once("choose_phonons", campaign, number, step)


@job
def phonons(
    campaign: Document, number: int, slot: int, slots: int, record: str = "", after: Any = None
) -> Document:
    """Phonons for the structures ``slot``, ``slot + slots``, … of those chosen.

    campaign: its spec, as JSON. number: of the round. record: id of the only one of those chosen, "" for
    those of the slot. after: outputs to wait for.
    """
    from niobe.flows.steps.validate import phonon_slot, settle

    if record:

        def only(database: Database, spec: CampaignSpec, number: int) -> None:
            settle(database, spec, [record], database.rounds.get(spec.id, number).candidate_finds)

        return run_record("phonons", campaign, number, record, only)
    return run_slot("phonons", campaign, number, slot, slots, phonon_slot)


@job
def choose_finds(campaign: Document, number: int, after: Any = None) -> Document:
    """Choose the finds that the round challenges.

    campaign: its spec, as JSON. number: of the round. after: outputs to wait for.
    """
    from niobe.flows.steps.claims.finds import choose_finds as step

    return run_once("choose_finds", campaign, number, step)


@job
def challenge(campaign: Document, number: int, slot: int, slots: int, after: Any = None) -> Document:
    """Challenge the finds ``slot``, ``slot + slots``, … of those chosen.

    campaign: its spec, as JSON. number: of the round. after: outputs to wait for.
    """
    from niobe.flows.steps.claims.challenge import challenge_slot as step

    return run_slot("challenge", campaign, number, slot, slots, step)


@job
def confirm(campaign: Document, number: int, slot: int, slots: int, after: Any = None) -> Document:
    """Have the other oracles relax the structures ``slot``, ``slot + slots``, … of the finds and what those
    rest on.

    campaign: its spec, as JSON. number: of the round. after: outputs to wait for.
    """
    from niobe.flows.steps.claims.confirm import confirm_slot as step

    return run_slot("confirm", campaign, number, slot, slots, step)


@job
def weigh_opinions(campaign: Document, number: int, after: Any = None) -> Document:
    """Store what the other oracles think of the finds.

    campaign: its spec, as JSON. number: of the round. after: outputs to wait for.
    """
    from niobe.flows.steps.claims.confirm import weigh_opinions as step

    return run_once("weigh_opinions", campaign, number, step)


@job
def compute_goals(campaign: Document, number: int, after: Any = None) -> Document:
    """Compute the properties of goals that need no oracle, choose what the oracle is asked about.

    campaign: its spec, as JSON. number: of the round. after: outputs to wait for.
    """
    from niobe.flows.goals.measuring import compute_goals as step

    return run_once("compute_goals", campaign, number, step)


@job
def ask_goals(campaign: Document, number: int, slot: int, slots: int, after: Any = None) -> Document:
    """Ask the oracle for properties of the structures ``slot``, ``slot + slots``, … of those chosen.

    campaign: its spec, as JSON. number: of the round. after: outputs to wait for.
    """
    from niobe.flows.goals.measuring import ask_goals as step

    return run_slot("ask_goals", campaign, number, slot, slots, step)


@job
def force_constants(campaign: Document, number: int, slot: int, slots: int, after: Any = None) -> Document:
    """Force constants of the phases ``slot``, ``slot + slots``, … that finds compete with at a temperature.

    campaign: its spec, as JSON. number: of the round. after: outputs to wait for.
    """
    from niobe.flows.steps.claims.thermal import force_constants_slot as step

    return run_slot("force_constants", campaign, number, slot, slots, step)


@job
def close(campaign: Document, number: int, after: Any = None) -> Document:
    """Close the round at its quorum: hull, discoveries, metrics.

    campaign: its spec, as JSON. number: of the round. after: outputs to wait for.
    """
    from niobe.flows.steps.validate import close_round

    return run_once("close", campaign, number, close_round)
