"""A launchpad of which a part is gone or cannot be read: a document deleted, cut short or changed by hand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from pydantic import BaseModel

from niobe.launchers.fireworks.healing.shapes import (
    Document,
    Firework,
    Launch,
    Workflow,
    fault,
    ids_in,
    is_id,
)
from niobe.launchers.fireworks.submission import is_submitting
from niobe.launchers.terminal import shown

_OVER = ["COMPLETED", "ARCHIVED"]


@dataclass(frozen=True)
class Torn:
    """What of a campaign has to go, by ``_id``. faults: of documents that cannot be read, a line each."""

    workflows: list[Any] = field(default_factory=list)
    fireworks: list[Any] = field(default_factory=list)
    launches: list[Any] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.workflows) + len(self.fireworks) + len(self.launches)


def remove_torn(launchpad: Any, campaign: str) -> int:
    """Remove workflows of a campaign that lack a firework or of which something cannot be read, fireworks
    whose workflow is gone, and launches that cannot be read; how many documents those were.

    FireWorks ends in an error at each of them, and what still waits is submitted anew once they are gone.

    launchpad: FireWorks' LaunchPad. campaign: its id.
    """
    found = torn(launchpad, campaign)
    launchpad.workflows.delete_many({"_id": {"$in": found.workflows}})
    launchpad.launches.delete_many({"_id": {"$in": found.launches}})
    jobs = {"_id": {"$in": found.fireworks}}
    launchpad.launches.delete_many({"fw_id": {"$in": launchpad.fireworks.distinct("fw_id", jobs)}})
    launchpad.fireworks.delete_many(jobs)
    return len(found)


def torn(launchpad: Any, campaign: str) -> Torn:
    """What of a campaign lacks another part or cannot be read; what is being submitted just now is not
    among it.

    launchpad: FireWorks' LaunchPad. campaign: its id.
    """
    workflows = _by_key(launchpad.workflows.find({"metadata.campaign": campaign, "state": {"$nin": _OVER}}))
    if is_submitting(launchpad, campaign):  # asked after the workflows, before the fireworks are read
        return Torn()
    jobs = _by_key(launchpad.fireworks.find({"spec.campaign": campaign, "state": {"$nin": _OVER}}))
    known = [one["fw_id"] for one in jobs.values() if is_id(one.get("fw_id"))]
    workflows |= _by_key(launchpad.workflows.find({"nodes": {"$in": known}}))
    nodes = {node for one in workflows.values() for node in ids_in(one.get("nodes"))}
    jobs |= _by_key(launchpad.fireworks.find({"fw_id": {"$in": sorted(nodes.difference(known))}}))
    return _sorted_out(workflows, jobs, _launches_of(launchpad, jobs.values()))


def _by_key(documents: Iterable[Document]) -> dict[str, Document]:
    return {str(one["_id"]): one for one in documents}


def _launches_of(launchpad: Any, jobs: Iterable[Document]) -> dict[str, Document]:
    """Launches that name the jobs, or that these name."""
    fields = ("launches", "archived_launches")
    named = {launch for job in jobs for field in fields for launch in ids_in(job.get(field))}
    ids = {job["fw_id"] for job in jobs if is_id(job.get("fw_id"))}
    found = launchpad.launches.find({"launch_id": {"$in": sorted(named)}})
    return _by_key(found) | _by_key(launchpad.launches.find({"fw_id": {"$in": sorted(ids)}}))


def _sorted_out(
    workflows: dict[str, Document], jobs: dict[str, Document], launches: dict[str, Document]
) -> Torn:
    unread = _faults(Workflow, "workflow of fireworks", "nodes", workflows)
    unread |= _faults(Firework, "firework", "fw_id", jobs)
    unread |= _faults(Launch, "launch", "launch_id", launches)
    there = {job["fw_id"] for key, job in jobs.items() if key not in unread}
    readable = {key: one for key, one in workflows.items() if key not in unread}
    whole = {key for key, one in readable.items() if there.issuperset(one["nodes"])}
    kept = {node for key in whole for node in workflows[key]["nodes"]}
    return Torn(
        workflows=[one["_id"] for key, one in workflows.items() if key not in whole],
        fireworks=[job["_id"] for key, job in jobs.items() if key in unread or job["fw_id"] not in kept],
        launches=[one["_id"] for key, one in launches.items() if key in unread],
        faults=list(unread.values()),
    )


def _faults(shape: type[BaseModel], what: str, name: str, documents: dict[str, Document]) -> dict[str, str]:
    """A line for each that cannot be read, by its key."""
    faults = {key: fault(shape, document) for key, document in documents.items()}
    named = {key: f"{what} {str(documents[key].get(name))[:40]}" for key in documents}
    return {key: shown(f"{named[key]}: {why}") for key, why in faults.items() if why}


def remove_torn_of(launchpad: Any, jobs: Sequence[int]) -> None:
    """The same of the campaigns of some fireworks, and those of them whose workflow is gone.

    launchpad: FireWorks' LaunchPad. jobs: their ids.
    """
    either = (
        (launchpad.fireworks, "spec.campaign", {"fw_id": {"$in": list(jobs)}}),
        (launchpad.workflows, "metadata.campaign", {"nodes": {"$in": list(jobs)}}),
    )
    named = chain.from_iterable(collection.distinct(key, query) for collection, key, query in either)
    for campaign in {name for name in named if isinstance(name, str)}:
        remove_torn(launchpad, campaign)
    in_workflows = launchpad.workflows.distinct("nodes", {"nodes": {"$in": list(jobs)}})
    alone = {"fw_id": {"$in": [job for job in jobs if job not in in_workflows]}}
    launchpad.launches.delete_many(alone)
    launchpad.fireworks.delete_many(alone)
