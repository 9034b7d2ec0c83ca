"""What a person may ask of a candidate between rounds, from the command line or a page."""

from __future__ import annotations

from typing import Literal

from niobe.config.errors import ConfigError
from niobe.loop.documents.records import Status
from niobe.loop.store.database import Database

Action = Literal["pin", "veto"]


def steer(database: Database, record: str, action: Action, note: str) -> None:
    """Pin a screened candidate (validated next round) or veto it (never validated).

    record: the structure record. action: pin or veto. note: in words.
    Raises ConfigError where it is not in the database or no screened candidate any more.
    """
    wanted = {"pinned": True} if action == "pin" else {"status": Status.VETOED}
    if not database.candidates.update_screened(record, note=note, **wanted):
        found = database.records.get(record)
        raise ConfigError(f"structure {record!r} is {found.status.value}; allowed: screened candidates")
