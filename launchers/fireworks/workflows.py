"""From jobflow Flows to FireWorks workflows: names, metadata, categories, and the task that goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from niobe.config.spec import CampaignSpec

if TYPE_CHECKING:
    from fireworks import Workflow
    from jobflow import Flow

GIVEN_UP = "spec.given_up"
ADVANCE_TASK = "{{niobe.launchers.fireworks.tasks.AdvanceTask}}"
CATEGORIES = ("learning", "force-field", "vasp", "dft")


def workflow_of(flow: Flow, spec: CampaignSpec, number: int, key: str) -> Workflow:
    """A workflow whose last jobs submit what is due next.

    A child waits for a fizzled parent until the sweep gives that parent up (``goes_on_without``).

    flow: jobs. spec: the campaign. number: of the round. key: by which it happens once.
    """
    from jobflow.managers.fireworks import flow_to_workflow

    names = {"campaign": spec.id, "round": number, "submission": key}
    candidate = next((job.metadata["candidate"] for job in flow.jobs if "candidate" in job.metadata), None)
    metadata = names | ({"candidate": candidate} if candidate else {})
    workflow = flow_to_workflow(flow, name=flow.name, metadata=metadata)
    leaves = set(workflow.leaf_fw_ids)
    for firework in workflow.fws:
        firework.spec["goes_on_without"] = firework.spec.pop("_allow_fizzled_parents", False)
        firework.spec["_category"] = category(firework.spec["kind"], spec.oracle.name)
        if firework.fw_id in leaves:
            firework.tasks = [*firework.tasks, _going_on(spec)]
    return workflow


def _going_on(spec: CampaignSpec) -> Any:
    """The task that submits what is due next, by the name under which FireWorks stores it."""
    from fireworks.utilities.fw_serializers import load_object

    return load_object({"_fw_name": ADVANCE_TASK, "campaign": spec.id})


def category(kind: str, oracle: str) -> str:
    """Which workers may run a job, by what it does and by the campaign's oracle."""
    if kind == "oracle" and "vasp" in oracle:
        return "vasp"
    if kind == "dft" or (kind == "oracle" and oracle == "gpaw"):
        return "dft"
    return "learning" if kind == "learning" else "force-field"


def names_of(firework: dict[str, Any]) -> tuple[str, int, str, str | None]:
    """Campaign, round, step and candidate of a stored firework."""
    spec = firework["spec"]
    return spec["campaign"], spec["round"], spec.get("step", ""), spec.get("candidate")
