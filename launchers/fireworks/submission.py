"""Submission that happens once: a key is claimed in the database, workflows are added, the key is done.

Where the workflows of a key are gone, as after `lpad reset`, what still waits is added anew.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from niobe.config.spec import CampaignSpec
from niobe.launchers.fireworks.healing.shapes import Workflow, fault, ids_in
from niobe.loop.store.clock import server_time

if TYPE_CHECKING:
    from jobflow import Flow

_LEASE_SECONDS = 60.0


def submit_once(
    launchpad: Any, spec: CampaignSpec, number: int, key: str, flows: Callable[[], list[Flow]]
) -> bool:
    """Submit the workflows of a key unless that was done; True where this call did it.

    A process that dies in between leaves its claim; who comes a minute later finds it, removes what is half
    written and adds what is missing.

    launchpad: FireWorks' LaunchPad. spec: the campaign. number: of the round. flows: called for the
    workflows, but for those of which nothing waits any more.
    """
    from niobe.launchers.fireworks.pad import prepare
    from niobe.launchers.fireworks.workflows import workflow_of

    found = _claims(launchpad).find_one({"_id": key})
    claim = _claim(launchpad, key, found)
    if not claim:
        return False
    workflows = [workflow_of(flow, spec, number, key) for flow in flows()]
    there = _whole(launchpad, key)
    missing = [workflow for workflow in workflows if workflow.name not in there]
    mine = {"_id": key, "state": "claimed", "until": claim}
    if _claims(launchpad).find_one(mine, {"_id": 1}) is None:
        return False  # it took so long that another process has claimed it
    if missing:
        prepare(launchpad)
        launchpad.bulk_add_wfs(missing)
    done = {"state": "submitted", "workflows": len(there) + len(missing)}
    _claims(launchpad).update_one(mine, {"$set": done})
    return bool(missing) or found is None or found["state"] == "claimed"


def open_claims(launchpad: Any) -> int:
    """Submissions under way, or left by a process that died."""
    return int(_claims(launchpad).count_documents({"state": "claimed"}))


def is_submitting(launchpad: Any, campaign: str) -> bool:
    """Whether workflows of a campaign may be half written just now, by a process that lives.

    launchpad: FireWorks' LaunchPad. campaign: its id.
    """
    now = server_time(launchpad.db).timestamp()
    # Keys are "CAMPAIGN rN STAGE": all texts from "CAMPAIGN " to before "CAMPAIGN!".
    key = {"$gte": f"{campaign} ", "$lt": f"{campaign}!"}
    named = {"_id": key, "state": "claimed", "until": {"$gt": now}}
    return _claims(launchpad).find_one(named, {"_id": 1}) is not None


def _claims(launchpad: Any) -> Any:
    return launchpad.db["submissions"]


def _claim(launchpad: Any, key: str, found: dict[str, Any] | None) -> float:
    """Claim a key that nobody has claimed, whose claim a process left that died, or whose workflows are gone.

    Until when (s, of the database's clock); 0 where another process has it, or all was done.
    """
    from pymongo.errors import DuplicateKeyError

    if found is not None and found["state"] == "submitted" and not _gone(launchpad, found):
        return 0.0
    now = server_time(launchpad.db).timestamp()
    until = now + _LEASE_SECONDS
    if found is None:
        try:
            _claims(launchpad).insert_one({"_id": key, "state": "claimed", "until": until})
        except DuplicateKeyError:
            return 0.0
        return until
    if found["state"] == "claimed" and found["until"] > now:
        return 0.0
    same = {"_id": key, "state": found["state"], "until": found["until"]}
    renewed = _claims(launchpad).update_one(same, {"$set": {"state": "claimed", "until": until}})
    return until if renewed.modified_count else 0.0


def _gone(launchpad: Any, claim: dict[str, Any]) -> bool:
    """Whether workflows that were submitted are there no more; of an older Niobe's keys, all of them."""
    there = launchpad.workflows.count_documents(_workflows(claim["_id"]))
    return bool(there < claim.get("workflows", 1))


def _workflows(key: str) -> dict[str, Any]:
    """The query that finds the workflows of a key; what was archived runs no more."""
    return {"metadata.submission": key, "state": {"$ne": "ARCHIVED"}}


def _whole(launchpad: Any, key: str) -> set[str]:
    """Names of the key's workflows that are there with all their fireworks; the others are removed."""
    whole = set()
    for found in list(launchpad.workflows.find(_workflows(key))):
        nodes = ids_in(found.get("nodes"))
        fireworks = {"fw_id": {"$in": nodes}}
        if not fault(Workflow, found) and launchpad.fireworks.count_documents(fireworks) == len(nodes):
            whole.add(found["name"])
        else:
            launchpad.workflows.delete_one({"_id": found["_id"]})
            launchpad.fireworks.delete_many(fireworks)
    return whole
