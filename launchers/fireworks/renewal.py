"""Fireworks that an older Niobe stored name modules and keys as they were then; here they get today's names.

Nothing is imported because a document names it: only names that Niobe itself once had are looked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_JOBS = "niobe.flows.jobs"
_FORMER_JOBS = "flows.steps"
_RENAMED_JOBS = {"prior": "prerelax", "breed": "draw_offspring"}
_RENAMED_KINDS = {"prior": "prerelax"}
_TASKS = {
    "{{launchers.fireworks.tasks.AdvanceTask}}": "{{niobe.launchers.fireworks.tasks.AdvanceTask}}",
}
_FORMER = {
    "state": {"$ne": "COMPLETED"},
    "$or": [
        {"spec._tasks._fw_name": {"$in": list(_TASKS)}},
        {"spec._tasks.job.function.@module": _FORMER_JOBS},
    ],
}


def has_former(launchpad: Any) -> bool:
    """Whether fireworks of an older Niobe still wait."""
    return launchpad.fireworks.find_one(_FORMER, {"_id": 1}) is not None


def renew(launchpad: Any, specs: Mapping[str, dict[str, Any]]) -> int:
    """Give waiting fireworks of an older Niobe today's names; how many. Those that cannot be read stay as
    they are: the sweep removes them.

    specs: the campaigns' specs of now, by id; a job carries its campaign's.
    """
    count = 0
    for found in list(launchpad.fireworks.find(_FORMER, {"fw_id": 1, "spec": 1})):
        try:
            changed = _changed(found["spec"], specs)
        except (KeyError, IndexError, TypeError, AttributeError):
            continue
        count += launchpad.fireworks.update_one({"fw_id": found["fw_id"]}, {"$set": changed}).matched_count
    return count


def _changed(spec: dict[str, Any], specs: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    return {
        "spec._tasks": [_renewed(task, specs.get(spec["campaign"])) for task in spec["_tasks"]],
        "spec.kind": _RENAMED_KINDS.get(spec["kind"], spec["kind"]),
    }


def _renewed(task: dict[str, Any], spec: dict[str, Any] | None) -> dict[str, Any]:
    task = task | {"_fw_name": _TASKS.get(task["_fw_name"], task["_fw_name"])}
    job = task.get("job")
    if job is None or job["function"]["@module"] != _FORMER_JOBS:
        return task
    name = job["function"]["@callable"]
    function = job["function"] | {"@module": _JOBS, "@callable": _RENAMED_JOBS.get(name, name)}
    arguments = [job["function_args"][0] if spec is None else spec, *job["function_args"][1:]]
    return task | {"job": job | {"function": function, "function_args": arguments}}
