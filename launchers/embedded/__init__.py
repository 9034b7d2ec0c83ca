"""The embedded database: a server that speaks MongoDB's protocol, started when no real MongoDB is named."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

from config.errors import ConfigError

_START_SECONDS = 30.0
_STOP_SECONDS = 15.0
_LOST_THE_RACE = 3


def ensure_server(folder: Path) -> str:
    """The MongoDB URI of the server on ``folder``, started as a process of its own where none runs.

    Raises ConfigError where the server does not start, with the reason it gave.
    """
    from launchers.embedded.server import is_listening, socket_path

    folder = folder.resolve()
    path = socket_path(folder)
    if not is_listening(path):
        _start(folder, path)
    return f"mongodb://{quote(str(path), safe='')}/?directConnection=true"


def _start(folder: Path, path: Path) -> None:
    """Start a server, or wait for the one that another process is starting; one that is dying is outlived."""
    from launchers.embedded.server import is_listening

    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    deadline = time.monotonic() + _START_SECONDS
    while not is_listening(path):
        code, said = _run_server(folder)
        if code not in (0, _LOST_THE_RACE) or time.monotonic() > deadline:
            raise ConfigError(f"embedded database: {said or 'did not start'}")
        time.sleep(0.05)


def _run_server(folder: Path) -> tuple[int, str]:
    """Exit code of the command that leaves a server behind, and the last line it logged."""
    log = folder / "server.log"
    command = [sys.executable, "-m", "launchers.embedded.server", str(folder)]
    with log.open("ab") as output:
        start = output.tell()
        code = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            timeout=_START_SECONDS,
            check=False,
        ).returncode
    said = log.read_bytes()[start:].decode(errors="replace").strip().splitlines()
    return code, said[-1] if said else ""


def server_status(folder: Path) -> dict[str, Any] | None:
    """pid and socket of the server on ``folder``, or None where none listens."""
    from launchers.embedded.server import is_listening, read_info, socket_path

    folder = folder.resolve()
    return read_info(folder) if is_listening(socket_path(folder)) else None


def stop_server(folder: Path) -> bool:
    """Stop the server on ``folder`` and wait until its files are closed; False where none runs."""
    from launchers.embedded.server import is_locked

    found = server_status(folder)
    if not found:
        return False
    os.kill(found["pid"], signal.SIGTERM)
    deadline = time.monotonic() + _STOP_SECONDS
    while is_locked(folder) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not is_locked(folder)
