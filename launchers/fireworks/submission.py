"""Submission that happens once: a key is claimed in the database, workflows are added, the key is done."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from niobe.config.spec import CampaignSpec

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
    workflows.
    """
    from niobe.launchers.fireworks.workflows import workflow_of

    if not _claim(launchpad, key):
        return False
    workflows = [workflow_of(flow, spec, number, key) for flow in flows()]
    there = _whole(launchpad, key)
    missing = [workflow for workflow in workflows if workflow.name not in there]
    if missing:
        launchpad.bulk_add_wfs(missing)
    _claims(launchpad).update_one({"_id": key}, {"$set": {"state": "submitted"}})
    return True


def open_claims(launchpad: Any) -> int:
    """Submissions under way, or left by a process that died."""
    return int(_claims(launchpad).count_documents({"state": "claimed"}))


def _claims(launchpad: Any) -> Any:
    return launchpad.db["submissions"]


def _claim(launchpad: Any, key: str) -> bool:
    """Claim a key that nobody has claimed, or whose claim was left by a process that died."""
    from pymongo.errors import DuplicateKeyError

    now = time.time()
    found = _claims(launchpad).find_one({"_id": key})
    if found is None:
        try:
            _claims(launchpad).insert_one({"_id": key, "state": "claimed", "until": now + _LEASE_SECONDS})
        except DuplicateKeyError:
            return False
        return True
    left = {"_id": key, "state": "claimed", "until": found["until"]}
    if found["state"] == "submitted" or found["until"] > now:
        return False
    renewed = _claims(launchpad).update_one(left, {"$set": {"until": now + _LEASE_SECONDS}})
    return bool(renewed.modified_count)


def _whole(launchpad: Any, key: str) -> set[str]:
    """Names of the key's workflows that are there with all their fireworks; the others are removed."""
    whole = set()
    for found in list(launchpad.workflows.find({"metadata.submission": key}, {"name": 1, "nodes": 1})):
        fireworks = {"fw_id": {"$in": found["nodes"]}}
        if launchpad.fireworks.count_documents(fireworks) == len(found["nodes"]):
            whole.add(found["name"])
        else:
            launchpad.workflows.delete_one({"_id": found["_id"]})
            launchpad.fireworks.delete_many(fireworks)
    return whole
