"""What killed workers left behind: runs that ping no more, reservations, locks.

Workers write the time of their own clock, which may be minutes off. So no time that a host wrote is compared
with another's: what has not changed for long enough by the database's clock is lost.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from niobe.launchers.fireworks.healing.shapes import Launch, ids_in, is_id, readable
from niobe.loop.store.clock import unchanged_for

_LOCK_SECONDS = 3.0
_RESERVED_SECONDS = 15.0


def find_lost(launchpad: Any, campaign: str) -> int:
    """Launches that stopped pinging become fizzled; finished ones whose firework says otherwise are read, and
    a firework whose launch is gone waits again.

    How many those were.

    launchpad: FireWorks' LaunchPad. campaign: its id.
    """
    jobs, launches = _open_jobs(launchpad, campaign)
    lost = _silent(launchpad, campaign, launches)
    for launch in sorted(lost):
        launchpad.mark_fizzled(launch)
    open_ones = {key for key, one in launches.items() if one["state"] in {"RUNNING", "RESERVED"}}
    torn = [job for job in jobs if job["state"] == "RUNNING" and not open_ones.intersection(job["launches"])]
    for job in torn:
        launchpad._refresh_wf(job["fw_id"])
    return len(lost) + len(torn)


def at_work(launchpad: Any, campaign: str, states: Sequence[str] = ("RUNNING", "RESERVED")) -> list[int]:
    """Ids of a campaign's jobs that a worker runs, or that wait in a queue.

    One whose worker was killed counts until two looks, of whatever process, have found it silent for the
    lost-run time.

    launchpad: FireWorks' LaunchPad. campaign: its id. states: of the jobs.
    """
    jobs, launches = _open_jobs(launchpad, campaign)
    silent = _silent(launchpad, campaign, launches)
    alive = {
        key for key, one in launches.items() if one["state"] in {"RUNNING", "RESERVED"} and key not in silent
    }
    return sorted(
        job["fw_id"] for job in jobs if job["state"] in states and alive.intersection(job["launches"])
    )


def _open_jobs(launchpad: Any, campaign: str) -> tuple[list[dict[str, Any]], dict[int, dict[str, Any]]]:
    """Jobs that workers have, or had when they died, and those launches of these that can be read, by id."""
    query = {"state": {"$in": ["RUNNING", "RESERVED"]}, "spec.campaign": campaign}
    found = launchpad.fireworks.find(query, {"fw_id": 1, "state": 1, "launches": 1})
    jobs = [job | {"launches": ids_in(job.get("launches"))} for job in found if is_id(job.get("fw_id"))]
    ids = [launch for job in jobs for launch in job["launches"]]
    launches = readable(Launch, launchpad.launches.find({"launch_id": {"$in": ids}}))
    return jobs, {one["launch_id"]: one for one in launches}


def _silent(launchpad: Any, campaign: str, launches: Mapping[int, dict[str, Any]]) -> set[int]:
    """Those that run, and whose sign of life has not changed for the lost-run time."""
    from fireworks import fw_config

    pings = {str(key): _ping(one) for key, one in launches.items() if one["state"] == "RUNNING"}
    still = unchanged_for(launchpad.db["sightings"], _pings(campaign), _named("launch", pings))
    return {int(key) for key in pings if still[f"launch {key}"] >= fw_config.RUN_EXPIRATION_SECS}


def _ping(launch: dict[str, Any]) -> str:
    """The last sign of life of a launch, as its worker wrote it."""
    last = launch["state_history"][-1]
    return str(last.get("updated_on") or last["created_on"])


def forget_sightings(launchpad: Any, campaign: str) -> None:
    """Remove what was seen of a campaign's workers.

    launchpad: FireWorks' LaunchPad. campaign: its id.
    """
    groups = [_pings(campaign), _reservations(campaign)]
    launchpad.db["sightings"].delete_many({"group": {"$in": groups}})


def sighted_campaigns(launchpad: Any) -> set[str]:
    """Ids of the campaigns of whose workers something is kept that was seen.

    launchpad: FireWorks' LaunchPad.
    """
    return {group.rpartition(" ")[0] for group in launchpad.db["sightings"].distinct("group")}


def _pings(campaign: str) -> str:
    return f"{campaign} pings"


def _reservations(campaign: str) -> str:
    return f"{campaign} reservations"


def _named(kind: str, values: dict[str, str]) -> dict[str, str]:
    return {f"{kind} {key}": value for key, value in values.items()}


def release_reservations(launchpad: Any, campaign: str) -> int:
    """Make ready what was checked out by a worker that died before it wrote down its launch; how many.

    launchpad: FireWorks' LaunchPad. campaign: its id.
    """
    query = {"state": "RESERVED", "spec.campaign": campaign}
    found = {one["fw_id"]: one for one in launchpad.fireworks.find(query, {"fw_id": 1, "updated_on": 1})}
    queued = launchpad.launches.distinct("fw_id", {"fw_id": {"$in": list(found)}, "state": "RESERVED"})
    alone = {str(key): str(one["updated_on"]) for key, one in found.items() if key not in queued}
    still = unchanged_for(launchpad.db["sightings"], _reservations(campaign), _named("firework", alone))
    released = 0
    for key in alone:
        if still[f"firework {key}"] >= _RESERVED_SECONDS:
            one = found[int(key)]
            same = {"fw_id": int(key), "state": "RESERVED", "updated_on": one["updated_on"]}
            released += launchpad.fireworks.update_one(same, {"$set": {"state": "READY"}}).modified_count
    return released


def release_locks(launchpad: Any, campaign: str) -> int:
    """Unlock workflows whose lock outlived any update: the same lock seen twice, seconds apart; how many.

    launchpad: FireWorks' LaunchPad. campaign: its id.
    """
    query = {"locked": True, "metadata.campaign": campaign}
    before = _locked(launchpad, query)
    if not before:
        return 0
    time.sleep(_LOCK_SECONDS)
    stale = [key for key, updated in _locked(launchpad, query).items() if before.get(key) == updated]
    launchpad.workflows.update_many({"_id": {"$in": stale}}, {"$unset": {"locked": True}})
    return len(stale)


def _locked(launchpad: Any, query: dict[str, Any]) -> dict[Any, Any]:
    return {found["_id"]: found["updated_on"] for found in launchpad.workflows.find(query, {"updated_on": 1})}
