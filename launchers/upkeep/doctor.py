"""`niobe doctor`: looks at home, server, database, FireWorks and folders, in that order, one line each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from niobe.config import home
from niobe.config.errors import ConfigError
from niobe.config.settings import Settings
from niobe.launchers.upkeep.finding import Finding
from niobe.loop.store.database import Database


def examine() -> Iterator[Finding]:
    """Every finding, what is fine included. What cannot be looked at is a finding that says why.

    The database is open as long as its findings are asked for: mend each before the next.
    """
    from niobe.launchers.upkeep import places

    misplaced = list(places.check_places())
    yield from misplaced
    if misplaced:  # what would open them is not looked at
        return
    for check in (places.check_home, places.check_server, places.check_file):
        yield from _said(check.__name__, check)
    if not home.database_folder().is_dir() and not Settings().real_mongo:
        return
    yield from _with_database()


def _with_database() -> Iterator[Finding]:
    from pymongo.errors import PyMongoError

    from niobe.launchers.services import campaign_database

    try:
        with campaign_database() as database:
            for check in _checks():
                yield from _said(check.__name__, partial(check, database))
    except (ConfigError, PyMongoError, OSError) as error:
        advice = "see what it says; `niobe db restore` brings back a snapshot of the embedded one"
        yield Finding("database", f"cannot be opened: {' '.join(str(error).split())[:300]}", advice)


def _checks() -> tuple[Callable[[Database], Iterator[Finding]], ...]:
    from niobe.launchers.upkeep import records, rockets

    return (
        records.check_documents,
        records.check_owners,
        rockets.check_workflows,
        rockets.check_folders,
    )


def _said(name: str, check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """A check's findings; one that a broken document, the disk or the database ends says so, and the others
    go on.
    """
    from pymongo.errors import PyMongoError

    try:
        yield from check()
    except (ConfigError, OSError, ValueError, KeyError, TypeError, PyMongoError) as error:
        about = name.removeprefix("check_")
        said = f"not looked at to the end: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
        yield Finding(about, said, "mend what cannot be read first, or ask again")
