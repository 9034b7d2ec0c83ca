"""Checks of the home, of the sockets and the server in it, and of the database file."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from niobe.config import home
from niobe.config.settings import Settings
from niobe.config.spec import SCHEMA_VERSION
from niobe.config.version import code_version
from niobe.launchers.embedded.folder import DatabaseFolder, runtime_folder
from niobe.launchers.upkeep.finding import REPAIR, Finding

_OTHERS = 0o077
_LEAST_MB = 500.0


def check_places() -> Iterator[Finding]:
    """What is no file or folder although Niobe has one there: a pipe, a device, a loop of links."""
    problems = [*home.misplaced()] or [*DatabaseFolder(home.database_folder()).misplaced()]
    for problem in problems:
        yield Finding("home", problem, "move it away; nothing else was looked at")


def check_home() -> Iterator[Finding]:
    """The versions; whose the home is, who may read it, how much room there is; the folder for sockets."""
    yield Finding(
        "version", f"niobe {code_version()}, schema {SCHEMA_VERSION}, Python {platform.python_version()}"
    )
    folder = home.home()
    if not folder.is_dir():
        yield Finding("home", f"{folder}: is not there; the first command that needs it makes it")
        return
    yield _privacy("home", folder)
    if not os.access(folder, os.W_OK):
        yield Finding("home", f"{folder}: cannot be written", "name another by NIOBE_HOME, or make it yours")
    free = shutil.disk_usage(folder).free / 1e6
    room = "make room: a write that finds none is refused" if free < _LEAST_MB else ""
    yield Finding("disk", f"{free:.0f} MB free", room)
    yield _check_scratch()


def _privacy(about: str, folder: Path) -> Finding:
    state = folder.stat()
    if state.st_uid != os.getuid():
        return Finding(about, f"{folder}: belongs to another user", "use a folder of your own (NIOBE_HOME)")
    if not state.st_mode & _OTHERS:
        return Finding(about, f"{folder}: its owner's alone")
    mode = f"{folder}: others may enter it (mode {state.st_mode & 0o777:o})"
    return Finding(about, mode, f"chmod 700 {folder}; {REPAIR}", lambda: folder.chmod(0o700))


def _check_scratch() -> Finding:
    """TMPDIR, where sockets go whose path would be too long, and what is unpacked."""
    try:
        used, named = tempfile.gettempdir(), os.environ.get("TMPDIR", "")
    except FileNotFoundError as error:
        return Finding("TMPDIR", str(error), "set TMPDIR to a folder that can be written")
    if named and Path(used) != Path(named).absolute():
        return Finding(
            "TMPDIR", f"{named}: cannot be used; {used} is", "set TMPDIR to a folder that is there"
        )
    return Finding("TMPDIR", f"{used}")


def check_server() -> Iterator[Finding]:
    """Who serves the embedded database, by which code, and sockets that nobody listens at."""
    place = DatabaseFolder(home.database_folder())
    for other in sorted(runtime_folder().glob("*.sock")) if runtime_folder().is_dir() else ():
        if other != place.socket and _is_dead(other):
            yield Finding("socket", f"{other}: nobody listens", f"remove it; {REPAIR}", other.unlink)
    if not place.path.is_dir():
        yield Finding("server", "no database here yet")
        return
    where = "in the home" if place.socket.parent == place.path else f"{place.socket}, as its path is long"
    yield Finding("socket", where) if place.path == place.socket.parent else _private_socket(place, where)
    yield _check_process(place)


def _private_socket(place: DatabaseFolder, where: str) -> Finding:
    folder = place.socket.parent
    found = _privacy("socket", folder) if folder.is_dir() else None
    return found if found and not found.fine else Finding("socket", where)


def _check_process(place: DatabaseFolder) -> Finding:
    from niobe.launchers.embedded.version import server_version
    from niobe.launchers.embedded.wire import is_listening

    info, listens = place.info(), is_listening(place.socket)
    named = f"process {info.pid}" if info else "a process"
    if listens and (info is None or info.version != server_version()):
        other = f"{named} serves with another version ({(info and info.version) or 'older'})"
        return Finding("server", other, "`niobe db stop` when nothing runs; the next command starts this one")
    if listens:
        return Finding("server", f"{named} serves {place.path}")
    if place.is_locked():
        return Finding("server", f"{named} holds {place.path} and does not answer", "`niobe db stop`")
    if _is_dead(place.socket) or info:
        left = "a server that was killed left its socket or its name"
        return Finding("server", left, f"nothing needs them; {REPAIR}", lambda: _clear(place))
    return Finding("server", "none runs; the next command starts one")


def _clear(place: DatabaseFolder) -> None:
    place.socket.unlink(missing_ok=True)
    place.forget_info()


def _is_dead(path: Path) -> bool:
    """Whether a socket is there that nobody listens at, however busy others are."""
    if not path.is_socket():
        return False
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
    return False


def check_file() -> Iterator[Finding]:
    """Every page, row and document of the embedded database's file and log; its snapshots."""
    from niobe.launchers.embedded.commands.errors import StorageError
    from niobe.launchers.embedded.storage.snapshots import require_file, snapshots_of

    place = DatabaseFolder(home.database_folder())
    if Settings().real_mongo or not place.path.is_dir():
        return
    try:
        require_file(place)
        if not place.file.is_file():
            return
        _check_bytes(place)
    except (StorageError, OSError) as error:
        yield Finding("database file", str(error), "`niobe db restore`; see what it says")
        return
    size, kept = place.file.stat().st_size / 1e6, len(snapshots_of(place))
    yield Finding("database file", f"{size:.1f} MB, every byte as it was written; {kept} snapshots")


def _check_bytes(place: DatabaseFolder) -> None:
    """Raises StorageError. Only read, beside a server that may run: its log counts how far it was then."""
    from niobe.launchers.embedded.storage.file import check_documents, check_structure, storage_errors
    from niobe.launchers.embedded.storage.ledger import Acknowledged, Ledger

    alone = not place.is_locked()
    with (
        storage_errors(str(place.file)),
        closing(sqlite3.connect(f"file:{place.file}?mode=ro", uri=True, isolation_level=None)) as connection,
    ):
        connection.execute("BEGIN")
        check_structure(connection, place.file)
        check_documents(connection, place.file)
        if alone:
            ledger = Ledger(connection)
            ledger.load()
            Acknowledged(place.file).check(ledger.commits)
