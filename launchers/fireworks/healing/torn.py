"""A launchpad of which a part is gone: a collection dropped, a document deleted, by hand or cut short."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from niobe.launchers.fireworks.submission import is_submitting

_WAITING = ["READY", "WAITING", "RESERVED", "RUNNING", "FIZZLED", "PAUSED", "DEFUSED"]


def remove_torn(launchpad: Any, campaign: str) -> int:
    """Remove workflows of a campaign that lack a firework, and fireworks whose workflow is gone; how many
    documents those were.

    FireWorks ends in an error at each of them, and what still waits is submitted anew once they are gone.

    launchpad: FireWorks' LaunchPad. campaign: its id.
    """
    workflows, jobs = torn(launchpad, campaign)
    launchpad.workflows.delete_many({"_id": {"$in": workflows}})
    _remove(launchpad, jobs)
    return len(workflows) + len(jobs)


def torn(launchpad: Any, campaign: str) -> tuple[list[Any], list[int]]:
    """Workflows (``_id``) that lack a firework, with their fireworks and those of no workflow (``fw_id``);
    what is being submitted just now is not among them.

    launchpad: FireWorks' LaunchPad. campaign: its id.
    """
    named = {"metadata.campaign": campaign, "state": {"$in": _WAITING}}
    workflows = list(launchpad.workflows.find(named, {"nodes": 1}))
    if is_submitting(launchpad, campaign):  # asked after the workflows, before the fireworks are read
        return [], []
    nodes = {node for workflow in workflows for node in workflow["nodes"]}
    there = set(_ids(launchpad, {"fw_id": {"$in": sorted(nodes)}}))
    halves = [workflow for workflow in workflows if not there.issuperset(workflow["nodes"])]
    left = {node for workflow in halves for node in workflow["nodes"]} & there
    jobs = _ids(launchpad, {"spec.campaign": campaign, "state": {"$in": _WAITING}})
    return [workflow["_id"] for workflow in halves], sorted(left | _orphans(launchpad, jobs))


def remove_torn_of(launchpad: Any, jobs: Sequence[int]) -> None:
    """The same of the campaigns of some fireworks, and those of them whose workflow is gone.

    launchpad: FireWorks' LaunchPad. jobs: their ids.
    """
    either = (
        (launchpad.fireworks, "spec.campaign", {"fw_id": {"$in": list(jobs)}}),
        (launchpad.workflows, "metadata.campaign", {"nodes": {"$in": list(jobs)}}),
    )
    named = {name for collection, field, query in either for name in collection.distinct(field, query)}
    for campaign in named:
        remove_torn(launchpad, campaign)
    _remove(launchpad, sorted(_orphans(launchpad, jobs)))


def _orphans(launchpad: Any, jobs: Sequence[int]) -> set[int]:
    """Those of some fireworks that no workflow has; each workflow is written before its fireworks."""
    found = launchpad.workflows.find({"nodes": {"$in": list(jobs)}}, {"nodes": 1})
    return set(jobs) - {node for workflow in found for node in workflow["nodes"]}


def _remove(launchpad: Any, jobs: Sequence[int]) -> None:
    if jobs:
        launchpad.launches.delete_many({"fw_id": {"$in": list(jobs)}})
        launchpad.fireworks.delete_many({"fw_id": {"$in": list(jobs)}})


def _ids(launchpad: Any, query: dict[str, Any]) -> list[int]:
    return [found["fw_id"] for found in launchpad.fireworks.find(query, {"fw_id": 1})]
