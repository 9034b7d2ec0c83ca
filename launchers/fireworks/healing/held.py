"""Jobs that a person held back with FireWorks' own commands, defused or paused, and what waits for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from niobe.launchers.fireworks.workflows import GIVEN_UP, names_of
from niobe.launchers.rounds import note

if TYPE_CHECKING:
    from niobe.loop.documents.records import Failure
    from niobe.loop.store.database import Database

Document = dict[str, Any]
_NO_CANDIDATE = {"spec.candidate": {"$exists": False}}
_WAYS: dict[str, tuple[Document, str]] = {
    "paused": ({"state": "PAUSED"}, "`lpad resume_fws -i {ids}` lets them go on"),
    "defused": ({"state": "DEFUSED"} | _NO_CANDIDATE, "`niobe launch FILE` runs them after all"),
    "given up": ({"state": "FIZZLED", GIVEN_UP: True} | _NO_CANDIDATE, "`niobe launch FILE` runs them again"),
    "failed": ({"state": "FIZZLED", GIVEN_UP: {"$exists": False}}, "`niobe tend` runs them again"),
}
"""What keeps a campaign from going on: the query that finds it, and the command that lets it. A candidate
whose job was defused or given up has failed by that, and keeps nothing."""


@dataclass(frozen=True)
class Held:
    """Jobs that are held. how: in a word. names: of the jobs. way: the command that lets them go on."""

    how: str
    names: list[str]
    way: str

    def __str__(self) -> str:
        more = f" and {len(self.names) - 3} more" if len(self.names) > 3 else ""
        return f"{', '.join(self.names[:3])}{more} {self.how}"


def give_up_defused(launchpad: Any, database: Database, campaign: str) -> int:
    """A defused validation, or phonons, becomes a failure record, any other job a note; how many those were.

    launchpad: FireWorks' LaunchPad. database: the campaign database. campaign: its id.
    """
    query = {"state": "DEFUSED", "spec.campaign": campaign, GIVEN_UP: {"$exists": False}}
    found = list(launchpad.fireworks.find(query))
    for firework in found:
        store_given_up(database, firework, "defused", "its job was defused with lpad")
        launchpad.fireworks.update_one({"fw_id": firework["fw_id"]}, {"$set": {GIVEN_UP: True}})
    return len(found)


def store_given_up(database: Database, firework: Document, cause: str, message: str) -> None:
    """A job's outcome becomes a failure record, or a note on its round.

    database: the campaign database. firework: as it is stored. cause: of a failure. message: in words.
    """
    from niobe.flows.steps.validate import give_up_on
    from niobe.launchers.fireworks.advance import spec_of

    campaign, number, step, candidate = names_of(firework)
    spec = spec_of(database, campaign)
    if candidate:
        give_up_on(database, spec, candidate, step, _failure(step, cause, message))
    else:
        note(database, spec, number, {firework["name"]: message})


def _failure(step: str, cause: str, message: str) -> Failure:
    from niobe.loop.documents.records import Failure

    return Failure(
        step="relax" if step == "validate" else step,
        cause=cause,
        exception=message.split(":")[0][:80],
        message=message[:500],
    )


def waiting_behind(launchpad: Any, named: Document) -> list[int]:
    """Fireworks of workflows in which one is held back or was given up.

    launchpad: FireWorks' LaunchPad. named: the query that finds fireworks of campaigns.
    """
    held = {**named, "$or": [{"state": {"$in": ["PAUSED", "DEFUSED"]}}, {"state": "FIZZLED", GIVEN_UP: True}]}
    stuck = launchpad.fireworks.distinct("fw_id", held)
    return list(launchpad.workflows.distinct("nodes", {"nodes": {"$in": stuck}}))


def reignite_defused(launchpad: Any, campaign: str) -> int:
    """Let defused jobs run, but for those of a candidate, which has failed by that; how many.

    launchpad: FireWorks' LaunchPad. campaign: its id.
    """
    query = {"state": "DEFUSED", "spec.campaign": campaign, "spec.candidate": {"$exists": False}}
    found = list(launchpad.fireworks.find(query, {"fw_id": 1}))
    for firework in found:
        launchpad.fireworks.update_one({"fw_id": firework["fw_id"]}, {"$unset": {GIVEN_UP: ""}})
        launchpad.reignite_fw(firework["fw_id"])
    return len(found)


def held(launchpad: Any, campaign: str) -> Iterator[Held]:
    """What keeps a campaign from going on, by how it is held.

    launchpad: FireWorks' LaunchPad. campaign: its id.
    """
    for how, (query, way) in _WAYS.items():
        named = {"spec.campaign": campaign} | query
        found = list(launchpad.fireworks.find(named, {"fw_id": 1, "name": 1}))
        if found:
            ids = " ".join(str(one.get("fw_id")) for one in found)
            yield Held(how, [str(one.get("name")) for one in found], way.format(ids=ids))


def what_is_held(launchpad: Any, campaigns: Iterable[str]) -> str:
    """What keeps campaigns from going on, and the command that lets each go on; "" where no job does.

    launchpad: FireWorks' LaunchPad. campaigns: their ids.
    """
    return "; ".join(f"{jobs}: {jobs.way}" for name in campaigns for jobs in held(launchpad, name))
