"""How a job runs its step: claimed, so that no two workers write it, and marked done in the round."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from niobe.config.home import make_home
from niobe.config.spec import CampaignSpec
from niobe.flows.watch import Watch
from niobe.loop.documents.rounds import RoundRecord, step_and_batch
from niobe.loop.store.claims import Claim
from niobe.loop.store.database import Database, open_database

Document = dict[str, Any]
Step = Callable[[Database, CampaignSpec, RoundRecord], None]
Part = Callable[[Database, CampaignSpec, int], None]
SlotStep = Callable[[Database, CampaignSpec, int, int, int], None]

_LATE = frozenset({"validate", "phonons", "train_gan"})
"""What may end after its round: slots of an asynchronous campaign, and what the GAN learns beside round 0."""
_CHOOSE = frozenset(
    {"seed", "compete", "compete_further", "choose_promising", "set_aside", "predict", "acquire"}
)
"""What chooses candidates or sets them aside, one after the other."""


def run_once(name: str, campaign: Document, number: int, step: Step) -> Document:
    """Run a step unless the round says it is done, or has closed; store its seconds when it is.

    name: of the step. campaign: its spec, as JSON. number: of the round. step: what is run.
    Raises SupersededError where another worker was given the step meanwhile.
    """
    spec, watch = CampaignSpec.model_validate(campaign), Watch()
    make_home()
    with open_database() as database:
        database.open_round(spec.id, number)
        chooses = step_and_batch(name)[0] in _CHOOSE
        claimed = database.claimed(Claim(spec.id, number, name, may_be_late=name in _LATE, chooses=chooses))
        if claimed is not None:
            started = time.monotonic()
            step(claimed, spec, database.rounds.get(spec.id, number))
            claimed.rounds.finish(**{f"steps__{name}": round(time.monotonic() - started, 3)})
    return {"campaign": spec.id, "round": number, "step": name, "took": watch.read()}


def run_slot(name: str, campaign: Document, number: int, slot: int, slots: int, step: SlotStep) -> Document:
    """Run one of ``slots`` parts of a step, which itself passes over what is stored already.

    name: of the step. campaign: its spec, as JSON. number: of the round. slot: from 0. step: what is run.
    Raises SupersededError where another worker was given the slot meanwhile.
    """

    def own(database: Database, spec: CampaignSpec, number: int) -> None:
        step(database, spec, number, slot, slots)

    watch = Watch()
    _run_part(f"{name} {slot} of {slots}", campaign, number, own, late=name in _LATE)
    return {"campaign": campaign["id"], "round": number, "slot": slot, "took": watch.read()}


def run_record(name: str, campaign: Document, number: int, record: str, step: Part) -> Document:
    """Run the part of a step that is a record's, wherever in the round's list that stands by now.

    name: of the step. campaign: its spec, as JSON. number: of the round. record: its id. step: what is run.
    Raises SupersededError where another worker was given the record meanwhile.
    """
    watch = Watch()
    _run_part(f"{name} {record}", campaign, number, step, late=name in _LATE)
    return {"campaign": campaign["id"], "round": number, "record": record, "took": watch.read()}


def _run_part(part: str, campaign: Document, number: int, step: Part, *, late: bool) -> None:
    spec = CampaignSpec.model_validate(campaign)
    make_home()
    with open_database() as database:
        database.open_round(spec.id, number)
        claimed = database.claimed(Claim(spec.id, number, part, may_be_late=late))
        if claimed is not None:
            step(claimed, spec, number)
            claimed.rounds.finish()
