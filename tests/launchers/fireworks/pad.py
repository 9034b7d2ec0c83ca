"""A LaunchPad in a real server, and what rockets do to it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from fireworks import FWAction, FWorker

from niobe.config.spec import CampaignSpec
from niobe.flows.steps.competing import compete
from niobe.flows.steps.seed import seed_campaign
from niobe.launchers.fireworks.advance import advance
from niobe.launchers.fireworks.launch import launch_campaign
from niobe.launchers.fireworks.pad import open_launchpad
from niobe.loop.store.database import Database

SPEC = CampaignSpec.model_validate(
    {
        "id": "cu-au",
        "elements": ["Cu", "Au"],
        "seeds": {"max_prototypes": 2},
        "oracle": {"name": "emt"},
        "launcher": "fireworks",
    }
)


@pytest.fixture
def launchpad(database: Database) -> Iterator[Any]:
    launchpad = open_launchpad()
    yield launchpad
    launchpad.connection.close()


def seeded(launchpad: Any, database: Database, spec: CampaignSpec = SPEC) -> list[str]:
    """Round 0 as it stands when its seeds are stored and their workflows submitted; the batch."""
    launch_campaign(launchpad, database, spec)
    complete(launchpad, "cu-au r0 seed")
    seed_campaign(database, spec, database.rounds.open(spec.id, 0))
    database.rounds.update(spec.id, 0, steps__seed=0.1)
    complete(launchpad, "cu-au r0 compete")
    compete(database, spec, database.rounds.get(spec.id, 0))
    database.rounds.update(spec.id, 0, steps__compete=0.1)
    advance(launchpad, database, spec.id)
    return database.rounds.get(spec.id, 0).batch


def checkout(launchpad: Any, folder: str = "/nowhere") -> tuple[Any, int]:
    return launchpad.checkout_fw(FWorker(), folder)


def pass_by(launchpad: Any, seconds: float) -> None:
    """As if what was seen by now had been seen so long ago, by the database's clock."""
    for seen in list(launchpad.db["sightings"].find({})):
        since = seen["since"] - timedelta(seconds=seconds)
        launchpad.db["sightings"].update_one({"_id": seen["_id"]}, {"$set": {"since": since}})


def complete(launchpad: Any, name: str) -> None:
    """Mark a job as done, as a rocket does."""
    fw_id = launchpad.fireworks.find_one({"name": name})["fw_id"]
    _, launch = launchpad.checkout_fw(FWorker(), "/nowhere", fw_id=fw_id)
    launchpad.complete_launch(launch, FWAction(), "COMPLETED")


def states(launchpad: Any) -> dict[str, str]:
    return {found["name"]: found["state"] for found in launchpad.fireworks.find({})}


def fizzle(launchpad: Any, launch: int, trace: str) -> None:
    action = FWAction(stored_data={"_exception": {"_stacktrace": trace, "_details": None}}, exit=True)
    launchpad.complete_launch(launch, action, "FIZZLED")


def fw_of(launchpad: Any, name: str) -> int:
    return int(launchpad.fireworks.find_one({"name": name})["fw_id"])
