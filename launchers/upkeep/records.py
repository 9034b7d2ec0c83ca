"""Checks of what the database holds: documents that no longer parse, and what belongs to nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from niobe.launchers.upkeep import forgetting
from niobe.launchers.upkeep.finding import REPAIR, Finding
from niobe.loop.store import checking
from niobe.loop.store import forgetting as stored

if TYPE_CHECKING:
    from niobe.loop.store.database import Database

_SHOWN = 5


def check_documents(database: Database) -> Iterator[Finding]:
    """Every document of Niobe's own collections, against its model.

    database: the campaign database.
    """
    broken: dict[str, list[str]] = {}
    for collection, identifier, problem in checking.broken(database):
        broken.setdefault(collection, []).append(f"{identifier} ({problem})")
    for collection, found in broken.items():
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        advice = "a newer Niobe reads what is newer; else `niobe db restore`, or remove them by hand"
        yield Finding(collection, f"cannot be read: {'; '.join(found[:_SHOWN])}{more}", advice)
    counted = ", ".join(f"{count} {name}" for name, count in checking.counts(database).items() if count)
    if not broken:
        yield Finding("documents", f"{counted or 'none yet'}: all can be read")


def check_owners(database: Database) -> Iterator[Finding]:
    """What belongs to no campaign, record or entry, and what was begun to be forgotten.

    database: the campaign database.
    """
    begun = stored.unfinished(database)
    for what in begun:
        kind, _, name = what.partition(" ")
        yield Finding(
            what,
            "was forgotten in part",
            f"`niobe forget {name} --kind {kind}` ends it; {REPAIR}",
            _ending(database, kind, name),
        )
    for name, counts in checking.without_campaign(database).items():
        if f"campaign {name}" not in begun:
            yield _of_no_campaign(database, name, counts)
    for about, (count, mend) in checking.orphans(database).items():
        if count:
            yield Finding(about, f"{count} belong to nothing that is there", REPAIR, mend)
    if formulas := checking.wrongly_grouped(database):
        yield Finding(
            "entries",
            f"groups of {len(formulas)} formulas are open or name what is gone",
            f"the next `niobe ingest` groups them; {REPAIR}",
            partial(_regroup, database, formulas),
        )


def _of_no_campaign(database: Database, name: str, counts: dict[str, int]) -> Finding:
    said = ", ".join(f"{count} {what}" for what, count in counts.items())
    going = forgetting.plan(database, name, "campaign").goes
    if any(going.values()):
        return Finding(f"campaign {name}", f"is not there, and {said} of it are", f"`niobe forget {name}`")
    return Finding(f"campaign {name}", f"was forgotten; other campaigns use {said} of it")


def _ending(database: Database, kind: str, name: str) -> partial[int]:
    known = next((one for one in forgetting.KINDS if one == kind), None)
    return partial(_forget, database, name, known)


def _forget(database: Database, name: str, kind: forgetting.Kind | None) -> int:
    return forgetting.forget(database, forgetting.plan(database, name, kind))


def _regroup(database: Database, formulas: Iterable[str]) -> None:
    from niobe.loop.sources.ingest import regroup

    regroup(database, formulas)
