"""The embedded database: a server that speaks MongoDB's protocol, started when no real MongoDB is named."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from niobe.config.errors import ConfigError

if TYPE_CHECKING:
    from niobe.launchers.embedded.folder import DatabaseFolder, ServerInfo

_START_SECONDS = 120.0
_STOP_SECONDS = 60.0
_ANSWER_SECONDS = 15.0
_LOST_THE_RACE = 3
_KILLED = {-signal.SIGKILL, 256 - signal.SIGKILL}
_STARTS = 5


def ensure_server(folder: Path, *, port: int | None = None, idle_minutes: float = 0.0) -> str:
    """The MongoDB URI of the server on ``folder``, started as a process of its own where none runs.

    port, idle_minutes: as ``serve`` in the server module has them; a server that runs already keeps its own.
    Raises ConfigError where the server does not start, with the reason it gave.
    """
    from niobe.launchers.embedded.folder import DatabaseFolder
    from niobe.launchers.embedded.wire import is_listening

    place = DatabaseFolder(folder)
    place.make()
    options = [] if port is None else ["--port", str(port)]
    options += ["--idle-minutes", str(idle_minutes)] if idle_minutes else []
    deadline = time.monotonic() + _START_SECONDS
    killed, unanswered = 0, math.inf
    while not is_listening(place.socket):
        code, said = _run_server(place, options)
        killed += code in _KILLED
        there = code == _LOST_THE_RACE and _is_there(place)
        unanswered = min(unanswered, time.monotonic()) if there else math.inf
        if time.monotonic() - unanswered > _ANSWER_SECONDS:
            raise ConfigError(f"embedded database: {said}, which does not answer; `niobe db stop` ends it")
        again = code in {0, _LOST_THE_RACE} or (code in _KILLED and killed < _STARTS)
        if not again or time.monotonic() > deadline:
            free = shutil.disk_usage(place.path).free / 1e6
            silent = f"did not start (exit code {code}, {free:.1f} MB free on its disk); see {place.log}"
            raise ConfigError(f"embedded database: {said or silent}")
        if code:  # another starts it, a dying one still holds the folder, or it was killed on its way up
            time.sleep(0.05)
    return place.uri


def _is_there(folder: DatabaseFolder) -> bool:
    """Whether the server that last listened is alive, rather than another on its way up."""
    info = folder.info()
    if info is None:
        return False
    try:
        os.kill(info.pid, 0)
    except OSError:
        return False
    return True


def _run_server(folder: DatabaseFolder, options: list[str]) -> tuple[int, str]:
    """Exit code of the command that leaves a server behind, and the last line it logged."""
    command = [sys.executable, "-P", "-m", "niobe.launchers.embedded.server", str(folder.path), *options]
    folder.log.touch(mode=0o600)
    with folder.log.open("ab") as output:
        start = output.tell()
        code = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False
        ).returncode
    said = folder.log.read_bytes()[start:].decode(errors="replace").strip().splitlines()
    return code, said[-1] if said else ""


def server_status(folder: Path) -> ServerInfo | None:
    """The server on ``folder``, or None where none listens."""
    from niobe.launchers.embedded.folder import DatabaseFolder
    from niobe.launchers.embedded.wire import is_listening

    place = DatabaseFolder(folder)
    return place.info() if is_listening(place.socket) else None


def connections(folder: Path) -> int:
    """How many connections the server on ``folder`` has, but the one that asks; 0 where none listens."""
    from niobe.launchers.embedded.folder import DatabaseFolder
    from niobe.launchers.embedded.wire import ask

    answer = ask(DatabaseFolder(folder).socket, {"serverStatus": 1}) or {}
    return max(0, answer.get("connections", {}).get("current", 1) - 1)


def stop_server(folder: Path) -> bool:
    """Stop the server on ``folder`` and wait until its files are closed; False where none runs."""
    from niobe.launchers.embedded.folder import DatabaseFolder

    place = DatabaseFolder(folder)
    found = server_status(folder) or (place.info() if place.is_locked() else None)
    if not found:
        return False
    os.kill(found.pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_SECONDS
    while place.is_locked() and time.monotonic() < deadline:
        time.sleep(0.05)
    return not place.is_locked()


@contextlib.contextmanager
def held(folder: Path) -> Iterator[DatabaseFolder]:
    """The folder, its server stopped and kept from starting. Raises ConfigError where another holds it."""
    from niobe.launchers.embedded.folder import DatabaseFolder

    stop_server(folder)
    place = DatabaseFolder(folder)
    lock = place.lock()
    if lock is None:
        raise ConfigError(f"{place.path}: another process holds the database")
    with contextlib.closing(lock):
        yield place
