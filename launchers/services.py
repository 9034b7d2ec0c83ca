"""What a command needs before it can work: where the database is, and that it runs."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from niobe.config.errors import ConfigError
from niobe.config.home import require_places, resolved
from niobe.config.settings import Settings
from niobe.launchers.terminal import say

if TYPE_CHECKING:
    from niobe.loop.store.database import Database

_ATTEMPTS = 3


def ensure_database() -> str:
    """The database URI of this machine's settings; starts the embedded server where none is named.

    An embedded server that died since is started again.

    Sets ``NIOBE_MONGO_URI``, ``NIOBE_EMBEDDED_URI`` and ``NIOBE_HOME`` (absolute) for what this one starts.
    Raises ConfigError where something else lies in place of a file or a folder of the home.
    """
    settings = Settings()
    require_places()
    home = resolved(settings.home.expanduser())
    os.environ["NIOBE_HOME"] = str(home)
    if settings.mongo_uri and settings.mongo_uri != settings.embedded_uri:
        return settings.mongo_uri
    from niobe.launchers.embedded import ensure_server, server_status
    from niobe.launchers.embedded.version import server_version

    folder = home / "db" if not home.exists() or os.access(home, os.W_OK) else _copy_of(home / "db")
    running = server_status(folder)
    uri = ensure_server(folder)
    if not running:
        say(f"started the embedded database in {folder}", error=True)
    elif running.version != server_version():
        say(
            f"process {running.pid} serves the embedded database with another version of Niobe "
            f"({running.version or 'older'}, here {server_version()}); `niobe db stop` ends it",
            error=True,
        )
    os.environ["NIOBE_MONGO_URI"] = os.environ["NIOBE_EMBEDDED_URI"] = uri
    return uri


@functools.cache
def _copy_of(folder: Path) -> Path:
    """A copy of a database that lies where nothing can be written; it goes with the process.

    Raises ConfigError where there is no database to copy.
    """
    from niobe.launchers.embedded import stop_server
    from niobe.launchers.embedded.folder import DatabaseFolder

    file = DatabaseFolder(folder).file
    if not file.is_file():
        raise ConfigError(f"{folder.parent}: cannot be written, and holds no database to read")
    scratch = Path(tempfile.mkdtemp(prefix="niobe-"))
    atexit.register(shutil.rmtree, scratch, ignore_errors=True)
    atexit.register(stop_server, scratch)
    for part in folder.glob(f"{file.name}*"):
        shutil.copyfile(part, scratch / part.name)
    say(f"{folder.parent} cannot be written: a copy of its database is read", error=True)
    return scratch


@contextmanager
def campaign_database() -> Iterator[Database]:
    """The campaign database, its server started when needed, its documents of the present schema."""
    database = _connect()
    try:
        _bring_up_to_date(database)
        yield database
    finally:
        database.close()


def _bring_up_to_date(database: Database) -> None:
    if not database.documents.has_older_campaign():
        return
    from niobe.loop.store.upgrade import upgrade

    done = upgrade(database)
    count = sum(done.written.values())
    say(f"brought {count} documents of an older Niobe to the present schema", error=True)
    for line in done.broken:
        say(f"left as it was: {line}", error=True)


def _connect() -> Database:
    """Connect; an embedded server that dies between its start and the first answer is started again."""
    from niobe.loop.store.database import Database

    for _ in range(_ATTEMPTS - 1):
        uri = ensure_database()
        try:
            return Database.connect(uri, Settings().database)
        except ConfigError:
            if uri != Settings().embedded_uri:
                raise
    return Database.connect(ensure_database(), Settings().database)
