"""What FireWorks and Niobe read of workflows, fireworks and launches, as models: a document that is none of
its model ends workers and commands in an error, or lets them wait for ever.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from graphlib import CycleError, TopologicalSorter
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Json, ValidationError, model_validator

Document = dict[str, Any]
State = Literal[
    "ARCHIVED", "FIZZLED", "DEFUSED", "PAUSED", "WAITING", "READY", "RESERVED", "RUNNING", "COMPLETED"
]
MOST = 2**53
"""Ids are less."""


def _time(text: str) -> str:
    datetime.fromisoformat(text)
    return text


def _job_of_niobe(name: str) -> str:
    from niobe.flows import jobs

    if not hasattr(getattr(jobs, name, None), "original"):
        raise ValueError("no job of Niobe")
    return name


def _campaign_first(arguments: list[Any]) -> list[Any]:
    if not isinstance(arguments[0], dict):
        raise ValueError("the first is no campaign")
    return arguments


Id = Annotated[int, Field(ge=1, lt=MOST)]
Key = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,15}$")]
Time = datetime | Annotated[str, AfterValidator(_time)]
NoList = Annotated[list[Any], Field(max_length=0)]
"""Of what no job of Niobe's has."""


class _Shape(BaseModel):
    model_config = ConfigDict(strict=True)


class _Metadata(_Shape):
    campaign: str
    round: int
    submission: str

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if not self.submission.startswith(f"{self.campaign} r{self.round} "):
            raise ValueError("submission is of another round")
        return self


class Workflow(_Shape):
    """A workflow of a campaign. links, parent_links: children and parents by a firework's id."""

    nodes: Annotated[list[Id], Field(min_length=1)]
    links: dict[Key, list[Id]]
    parent_links: dict[Key, list[Id]]
    fw_states: dict[Key, State]
    state: State
    name: str
    metadata: _Metadata
    created_on: Time
    updated_on: Time
    locked: Literal[True] = True

    @model_validator(mode="after")
    def _fits(self) -> Self:
        """Every firework has links and a state, and waits for none that waits for it."""
        nodes = set(self.nodes)
        forward = {(int(parent), child) for parent, children in self.links.items() for child in children}
        backward = {
            (parent, int(child)) for child, parents in self.parent_links.items() for parent in parents
        }
        if not set(map(int, self.links)) == set(map(int, self.fw_states)) == nodes:
            raise ValueError("nodes, links and fw_states differ")
        if forward != backward or not {child for _, child in forward} <= nodes:
            raise ValueError("links and parent_links differ")
        try:
            TopologicalSorter({int(child): found for child, found in self.parent_links.items()}).prepare()
        except CycleError:
            raise ValueError("links go round in a circle") from None
        return self


class _Function(_Shape):
    module: Literal["niobe.flows.jobs"] = Field(alias="@module")
    name: Annotated[str, AfterValidator(_job_of_niobe)] = Field(alias="@callable")


class _Config(_Shape):
    module: Literal["jobflow.core.job"] = Field(alias="@module")
    kind: Literal["JobConfig"] = Field(alias="@class")
    resolve_references: bool
    on_missing_references: Literal["error", "none", "pass"]
    manager_config: Document
    expose_store: bool
    pass_manager_config: bool
    response_manager_config: Document


class _Job(_Shape):
    module: Literal["jobflow.core.job"] = Field(alias="@module")
    kind: Literal["Job"] = Field(alias="@class")
    function: _Function
    function_args: Annotated[list[Any], Field(min_length=1), AfterValidator(_campaign_first)]
    function_kwargs: Document
    config: _Config
    config_updates: list[Document]
    metadata: Document
    metadata_updates: list[Document]
    name_updates: list[Document]
    output_schema: None
    uuid: str
    index: Annotated[int, Field(ge=1)]
    name: str
    hosts: list[str]


class _JobTask(_Shape):
    task: Literal["{{jobflow.managers.fireworks.JobFiretask}}"] = Field(alias="_fw_name")
    job: _Job
    store: None


class _AdvanceTask(_Shape):
    task: Literal["{{niobe.launchers.fireworks.tasks.AdvanceTask}}"] = Field(alias="_fw_name")
    campaign: str


class _Tracker(_Shape):
    filename: str
    nlines: Annotated[int, Field(ge=1, le=1000)]
    content: str = ""
    allow_zipped: bool = False


class _Spec(_Shape):
    """What Niobe writes there, and what FireWorks lets a user add."""

    campaign: str
    round: int
    kind: str
    step: str = ""
    candidate: str | None = None
    tasks: Annotated[list[_JobTask | _AdvanceTask], Field(min_length=1)] = Field(alias="_tasks")
    category: str | list[str] = Field(alias="_category")
    trackers: list[_Tracker] = Field([], alias="_trackers")
    launch_dir: str = Field("", alias="_launch_dir")
    recovery: Document | None = Field(None, alias="_recovery")
    files_in: dict[str, str] = Field({}, alias="_files_in")
    files_out: dict[str, str] = Field({}, alias="_files_out")
    files_before: dict[str, str] = Field({}, alias="_files_prev")
    infos: list[Document] = Field([], alias="_job_info")
    background: NoList = Field([], alias="_background_tasks")
    duplicates: NoList = Field([], alias="_dupefinder")

    @model_validator(mode="after")
    def _works(self) -> Self:
        if not isinstance(self.tasks[0], _JobTask):
            raise ValueError("the first of _tasks is no job")
        return self


class Firework(_Shape):
    """A firework of a campaign."""

    fw_id: Id
    name: str
    state: State
    spec: _Spec
    launches: list[Id]
    archived_launches: list[Id]
    created_on: Time
    updated_on: Time


class _Exception(_Shape):
    stacktrace: str = Field(alias="_stacktrace")


class _Stored(_Shape):
    exception: _Exception | None = Field(None, alias="_exception")


class _Action(_Shape):
    stored_data: _Stored
    exit: bool
    update_spec: Document
    mod_spec: list[Document]
    additions: NoList
    detours: NoList
    append_wfs: NoList = []
    defuse_children: bool
    defuse_workflow: bool = False
    propagate: bool = False


class _Elsewhere(_Shape):
    """An action that is too large for its document."""

    gridfs_id: Annotated[str, Field(pattern=r"^[0-9a-f]{24}$")]


class _Worker(_Shape):
    name: str
    category: str | list[str]
    query: Json[Document]
    env: Document | None = None


class _Moment(_Shape):
    state: State
    created_on: Time
    updated_on: Time | None = None
    checkpoint: Document | None = None


class Launch(_Shape):
    """A run of a firework, or its place in a queue."""

    launch_id: Id
    fw_id: Id
    state: State
    launch_dir: str
    host: str | None
    ip: str | None
    fworker: _Worker | None
    trackers: list[_Tracker] | None = None
    action: _Action | _Elsewhere | None = None
    state_history: Annotated[list[_Moment], Field(min_length=1)]


def fault(shape: type[BaseModel], document: Document) -> str:
    """Why a document cannot be read, as ``field: why``; "" where it can.

    shape: Workflow, Firework or Launch. document: as it is stored.
    """
    try:
        shape.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"] if not str(part).startswith(("_Job", "_Adv")))
        return f"{where[:80] or 'its parts'}: {first['msg'][:120]}"
    return ""


def is_id(value: object) -> bool:
    """Whether it may be the id of a firework or a launch."""
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value < MOST


def ids_in(value: object) -> list[int]:
    """The ids in a field that should be a list of them.

    value: of any shape.
    """
    return [one for one in value if is_id(one)] if isinstance(value, list) else []


def readable(shape: type[BaseModel], documents: Iterable[Document]) -> list[Document]:
    """Those of some documents that can be read.

    shape: Workflow, Firework or Launch. documents: as they are stored.
    """
    return [document for document in documents if not fault(shape, document)]
