"""What FireWorks is doing: states, rockets, lost runs, one firework with its neighbours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query
from fastapi.responses import HTMLResponse

from niobe.launchers.pages.routes.shared import Allowed, Db, page
from niobe.loop.store.database import Database
from niobe.loop.store.mapping import at

router = APIRouter()
_STATES = ("RUNNING", "RESERVED", "READY", "WAITING", "COMPLETED", "FIZZLED", "DEFUSED", "PAUSED", "ARCHIVED")
_MOST = 100
_LOST_AFTER = 600.0
Document = dict[str, Any]


@router.get("/workers", response_class=HTMLResponse)
def workers(
    database: Db, access: Allowed, fw: Annotated[int | None, Query(ge=-(2**31), le=2**31)] = None
) -> HTMLResponse:
    """FireWorks' own collections in this database, where there are some.

    access: who may read and steer. fw: id of a firework.
    """
    mongo = database.mongo
    there = "fireworks" in mongo.list_collection_names()
    if not there:
        return page("workers.html", access, name="workers", not_there=True)
    states = Counter({state: mongo["fireworks"].count_documents({"state": state}) for state in _STATES})
    launches = mongo["launches"].find({}, sort=[("launch_id", -1)], limit=_MOST)
    fireworks = mongo["fireworks"].find({}, {"spec._tasks": 0}, sort=[("fw_id", -1)], limit=_MOST)
    return page(
        "workers.html",
        access,
        name="workers",
        not_there=False,
        states=[(count, state.lower()) for state, count in states.items() if count],
        rockets=[_rocket(launch) for launch in launches],
        fireworks=[_firework(document) for document in fireworks],
        lost_after=_LOST_AFTER,
        chosen=None if fw is None else _chosen(database, fw),
    )


def _rocket(launch: Document) -> Document:
    history = launch.get("state_history")
    seen = _time(at(history[-1], "updated_on")) if isinstance(history, list) and history else None
    silent = (datetime.now(UTC) - seen).total_seconds() if seen else 0.0
    state = str(launch.get("state", ""))
    return {
        "launch": launch.get("launch_id"),
        "fw_id": launch.get("fw_id"),
        "state": state,
        "lost": state in {"RUNNING", "RESERVED"} and silent > _LOST_AFTER,
        "worker": at(launch, "fworker.name") or "",
        "host": launch.get("host", ""),
        "started": _shown(_time(launch.get("time_start"))),
        "seen": _shown(seen),
    }


def _firework(document: Document) -> Document:
    return {
        "fw_id": document.get("fw_id"),
        "name": document.get("name", ""),
        "state": str(document.get("state", "")),
        "category": at(document, "spec._category") or "",
        "updated": _shown(_time(document.get("updated_on"))),
    }


def _chosen(database: Database, fw_id: int) -> Document:
    """One firework with its neighbours, its workflow's metadata and why it failed."""
    document = database.mongo["fireworks"].find_one({"fw_id": fw_id})
    if document is None:
        raise HTTPException(404, f"there is no firework {fw_id}")
    workflow = database.mongo["workflows"].find_one({"nodes": fw_id}) or {}
    launch = database.mongo["launches"].find_one({"fw_id": fw_id}, sort=[("launch_id", -1)])
    links, metadata = at(workflow, "links"), at(workflow, "metadata")
    family = {parent: children for parent, children in _items(links) if isinstance(children, list)}
    return _firework(document) | {
        "children": family.get(str(fw_id), []),
        "parents": [parent for parent, children in family.items() if fw_id in children],
        "metadata": {key: str(value) for key, value in _items(metadata)},
        "error": str(at(launch, "action.stored_data._exception._stacktrace") or "")[-2000:],
    }


def _items(value: Any) -> Iterable[tuple[str, Any]]:
    return value.items() if isinstance(value, dict) else ()


def _time(value: Any) -> datetime | None:
    """FireWorks stores times as ISO text or as dates, both UTC."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) else None


def _shown(time: datetime | None) -> str:
    return "–" if time is None else time.astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")
