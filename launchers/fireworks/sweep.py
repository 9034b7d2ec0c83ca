"""The sweep: finds what killed workers and lost connections left behind, and lets campaigns go on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from niobe.config.errors import GoneError
from niobe.launchers.fireworks.advance import advance
from niobe.launchers.fireworks.healing.held import (
    give_up_defused,
    reignite_defused,
    store_given_up,
    waiting_behind,
)
from niobe.launchers.fireworks.healing.lost import find_lost, release_locks, release_reservations
from niobe.launchers.fireworks.healing.shapes import Launch, readable
from niobe.launchers.fireworks.healing.torn import remove_torn, remove_torn_of
from niobe.launchers.fireworks.pad import prepare
from niobe.launchers.fireworks.submission import open_claims
from niobe.launchers.fireworks.workflows import GIVEN_UP
from niobe.loop.store.mapping import at

if TYPE_CHECKING:
    from niobe.loop.documents.rounds import CampaignRecord
    from niobe.loop.store.database import Database

_MAX_ERRORS = 2
_MAX_DEATHS = 20
_IDS = {"fw_id": 1, "launch_id": 1}
_OPEN = ["READY", "WAITING", "RESERVED", "RUNNING", "FIZZLED"]


def sweep(launchpad: Any, database: Database) -> dict[str, int]:
    """Heal every running campaign and submit what is due; counts of what was done, by kind.

    Safe beside running workers and beside other sweeps; a campaign that is forgotten meanwhile is left.
    """
    done: Counter[str] = Counter()
    prepare(launchpad)
    for campaign in running(database):
        with suppress(GoneError):
            _heal(launchpad, database, campaign.id, done)
    return {kind: count for kind, count in done.items() if count}


def _heal(launchpad: Any, database: Database, campaign: str, done: Counter[str]) -> None:
    done["torn jobs removed"] += remove_torn(launchpad, campaign)
    done["locks released"] += release_locks(launchpad, campaign)
    done["lost runs"] += find_lost(launchpad, campaign)
    done["reservations released"] += release_reservations(launchpad, campaign)
    done["workflows mended"] += _mend(launchpad, campaign)
    for firework in _fizzled(launchpad, campaign):
        done[_rerun_or_give_up(launchpad, database, firework)] += 1
    done["defused jobs given up"] += give_up_defused(launchpad, database, campaign)
    done["submitted"] += len(advance(launchpad, database, campaign))


def running(database: Database) -> list[CampaignRecord]:
    """Campaigns that rockets are to run; what a local launcher runs is its own."""
    from niobe.loop.documents.rounds import CampaignState

    launched = [campaign for campaign in database.campaigns.find() if campaign.state is CampaignState.RUNNING]
    return [campaign for campaign in launched if campaign.spec.get("launcher") == "fireworks"]


def unfinished(launchpad: Any, campaigns: Iterable[str]) -> int:
    """How many fireworks of the campaigns may still run: not those that wait behind one given up or held."""
    named = {"spec.campaign": {"$in": list(campaigns)}}
    queries: tuple[dict[str, Any], ...] = (
        {"state": {"$in": ["READY", "RESERVED", "RUNNING"]}, **named},
        {"state": "WAITING", **named, "fw_id": {"$nin": waiting_behind(launchpad, named)}},
        {"state": {"$in": ["FIZZLED", "DEFUSED"]}, **named, GIVEN_UP: {"$exists": False}},
    )
    count = launchpad.fireworks.count_documents
    # A firework may go from one state to the next between two questions: that none is left is asked at once.
    return sum(map(count, queries)) + open_claims(launchpad) or int(count({"$or": list(queries)}))


def hand_back(launchpad: Any, folder: str) -> int:
    """Make what a dead worker was running in ``folder`` ready for others; how many jobs that were.

    launchpad: FireWorks' LaunchPad. folder: of this host; another may have one of the same path.
    """
    ran = {**launched_in([folder]), "state": "RUNNING"}
    remove_torn_of(launchpad, launchpad.launches.distinct("fw_id", ran))
    lost = readable(Launch, launchpad.launches.find(ran))
    for launch in lost:
        _release_lock_of(launchpad, launch["fw_id"])
        launchpad.mark_fizzled(launch["launch_id"])
        _rerun(launchpad, launch["fw_id"])
    reserved = {"state": "RESERVED", "fw_id": {"$in": [launch["fw_id"] for launch in lost]}}
    launchpad.fireworks.update_many(reserved, {"$set": {"state": "READY"}})
    return len(lost)


def rerun_given_up(launchpad: Any, campaign: str) -> int:
    """Try again what was given up, once its cause is gone, and what was defused; how many jobs that are."""
    found = list(launchpad.fireworks.find({"state": "FIZZLED", "spec.campaign": campaign}, _IDS))
    for firework in found:
        launchpad.fireworks.update_one({"fw_id": firework["fw_id"]}, {"$unset": {GIVEN_UP: ""}})
        launchpad.rerun_fw(firework["fw_id"])
    return len(found) + reignite_defused(launchpad, campaign)


def launched_in(folders: Iterable[str]) -> dict[str, Any]:
    """The query that finds what workers of this host launched in folders."""
    from fireworks.utilities.fw_utilities import get_my_host

    return {"host": get_my_host(), "launch_dir": {"$in": list(folders)}}


def _release_lock_of(launchpad: Any, fw_id: int) -> None:
    """The lock that a dead worker may have left on the workflow of its job."""
    launchpad.workflows.update_one({"nodes": fw_id}, {"$unset": {"locked": True}})


def _mend(launchpad: Any, campaign: str) -> int:
    """Workflows left half written: what fireworks say differs from what their workflow says of them."""
    query = {"state": {"$in": _OPEN}, "metadata.campaign": campaign, "locked": {"$exists": False}}
    mended = 0
    for workflow in list(launchpad.workflows.find(query)):
        fireworks = launchpad.fireworks.find({"fw_id": {"$in": workflow["nodes"]}}, {"fw_id": 1, "state": 1})
        states = {firework["fw_id"]: firework["state"] for firework in fireworks}
        if _is_torn(workflow, states):
            for fw_id in _parents_first(workflow):
                launchpad._refresh_wf(fw_id)
            mended += 1
    return mended


def _is_torn(workflow: dict[str, Any], states: dict[int, str]) -> bool:
    """Whether a settled firework is not known as such, or a child waits although its parents completed."""
    known = {int(fw_id): state for fw_id, state in workflow["fw_states"].items()}
    settled = {fw_id: state for fw_id, state in states.items() if state in ("COMPLETED", "FIZZLED")}
    if any(known.get(fw_id) != state for fw_id, state in settled.items()):
        return True
    return any(
        states.get(int(child)) == "WAITING" and all(states.get(p) == "COMPLETED" for p in parents)
        for child, parents in workflow["parent_links"].items()
    )


def _parents_first(workflow: dict[str, Any]) -> list[int]:
    from graphlib import TopologicalSorter

    parents = {fw_id: workflow["parent_links"].get(str(fw_id), []) for fw_id in workflow["nodes"]}
    return list(TopologicalSorter(parents).static_order())


def _fizzled(launchpad: Any, campaign: str) -> list[dict[str, Any]]:
    query = {"state": "FIZZLED", "spec.campaign": campaign, GIVEN_UP: {"$exists": False}}
    return list(launchpad.fireworks.find(query))


def _rerun_or_give_up(launchpad: Any, database: Database, firework: dict[str, Any]) -> str:
    errors, deaths = _tries(launchpad, firework["fw_id"])
    if len(errors) < _MAX_ERRORS and deaths < _MAX_DEATHS:
        _rerun(launchpad, firework["fw_id"])
        return "jobs run again"
    _give_up(launchpad, database, firework, errors[-1] if errors else f"its worker died {deaths} times")
    return "jobs given up"


def _tries(launchpad: Any, fw_id: int) -> tuple[list[str], int]:
    """Errors a job raised itself, and how often its worker or its database connection was lost."""
    stored = [
        (at(launch, "action.stored_data._exception._stacktrace") or "")
        for launch in launchpad.launches.find({"fw_id": fw_id, "action": {"$ne": None}})
    ]
    errors = [trace.strip().splitlines()[-1] for trace in stored if trace and not _is_connection(trace)]
    return errors, launchpad.launches.count_documents({"fw_id": fw_id}) - len(errors)


def _is_connection(trace: str) -> bool:
    """Whether it was the way to the database that failed, or a worker told to end, or one that came late."""
    last = trace.strip().splitlines()[-1]
    lost = ("SystemExit", "niobe.loop.store.claims.SupersededError")
    return "pymongo.errors." in trace or "no database answers" in last or last.startswith(lost)


def _rerun(launchpad: Any, fw_id: int) -> None:
    """Run a fizzled firework again; one that another sweep has set to run already is left alone."""
    if launchpad.fireworks.find_one({"fw_id": fw_id, "state": "FIZZLED"}, {"_id": 1}) is not None:
        launchpad.rerun_fw(fw_id)


def _give_up(launchpad: Any, database: Database, firework: dict[str, Any], error: str) -> None:
    """The job's outcome becomes a failure record, or a note on its round; who can do without it goes on."""
    store_given_up(database, firework, "lost", error)
    launchpad.fireworks.update_one({"fw_id": firework["fw_id"]}, {"$set": {GIVEN_UP: True}})
    workflow = launchpad.workflows.find_one({"nodes": firework["fw_id"]}, {"links": 1})
    for child in workflow["links"].get(str(firework["fw_id"]), []):
        query = {"fw_id": child, "spec.goes_on_without": True}
        if launchpad.fireworks.update_one(
            query, {"$set": {"spec._allow_fizzled_parents": True}}
        ).matched_count:
            launchpad._refresh_wf(child)
