"""What FireWorks and jobflow keep of campaigns: how much there is, and its removal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from niobe.launchers.fireworks.healing.shapes import is_id

if TYPE_CHECKING:
    from niobe.loop.store.database import Database


@contextmanager
def launchpad_of(database: Database) -> Iterator[Any | None]:
    """The LaunchPad, open, or None where FireWorks was never used: nothing is made by looking.

    database: the campaign database.
    """
    from niobe.launchers.fireworks.files import use_settings
    from niobe.launchers.fireworks.pad import open_launchpad

    used = "fireworks" in database.mongo.list_collection_names()
    if used:
        use_settings()
    from fireworks.fw_config import LAUNCHPAD_LOC

    if not used and not LAUNCHPAD_LOC:
        yield None
        return
    launchpad = open_launchpad()
    try:
        yield launchpad
    finally:
        launchpad.connection.close()


def campaigns_of(launchpad: Any) -> set[str]:
    """Ids of the campaigns that have workflows; those of other programs name none.

    launchpad: FireWorks' LaunchPad.
    """
    return {name for name in launchpad.workflows.distinct("metadata.campaign") if isinstance(name, str)}


def counts(launchpad: Any, campaign: str) -> dict[str, int]:
    """How many workflows, fireworks and launches a campaign has.

    launchpad: FireWorks' LaunchPad. campaign: its id.
    """
    jobs = _jobs(launchpad, campaign)
    return {
        "workflows": launchpad.workflows.count_documents({"metadata.campaign": campaign}),
        "fireworks": launchpad.fireworks.count_documents({"fw_id": {"$in": jobs}}),
        "launches": launchpad.launches.count_documents({"fw_id": {"$in": jobs}}),
    }


@contextmanager
def held_back(launchpad: Any, campaign: str) -> Iterator[None]:
    """No worker takes a campaign's job meanwhile; where it ends in an error, they are ready again.

    launchpad: FireWorks' LaunchPad. campaign: its id.
    """
    named = {"spec.campaign": campaign, "state": "READY"}
    ready = launchpad.fireworks.distinct("fw_id", named)
    launchpad.fireworks.update_many(named | {"fw_id": {"$in": ready}}, {"$set": {"state": "PAUSED"}})
    try:
        yield
    except BaseException:
        paused = {"fw_id": {"$in": ready}, "state": "PAUSED"}
        launchpad.fireworks.update_many(paused, {"$set": {"state": "READY"}})
        raise


def remove(launchpad: Any, campaign: str) -> None:
    """Remove all of a campaign; its workflows, by which the rest is found, last.

    launchpad: FireWorks' LaunchPad. campaign: its id.
    """
    from niobe.launchers.fireworks.healing.lost import forget_sightings

    jobs = {"fw_id": {"$in": _jobs(launchpad, campaign)}}
    launchpad.launches.delete_many(jobs)
    launchpad.fireworks.delete_many({"$or": [jobs, {"spec.campaign": campaign}]})
    # Keys are "CAMPAIGN rN STAGE": all texts from "CAMPAIGN " to before "CAMPAIGN!".
    launchpad.db["submissions"].delete_many({"_id": {"$gte": f"{campaign} ", "$lt": f"{campaign}!"}})
    forget_sightings(launchpad, campaign)
    launchpad.workflows.delete_many({"metadata.campaign": campaign})


def _jobs(launchpad: Any, campaign: str) -> list[int]:
    jobs = launchpad.workflows.distinct("nodes", {"metadata.campaign": campaign})
    own = launchpad.fireworks.distinct("fw_id", {"spec.campaign": campaign})
    return sorted({job for job in (*jobs, *own) if is_id(job)})
