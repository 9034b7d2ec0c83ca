"""What the tests of the embedded database share."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Any

import pymongo
import pytest

from niobe.launchers.embedded import server_status
from niobe.launchers.embedded.folder import DatabaseFolder
from niobe.launchers.embedded.server import LOST_THE_RACE, serve
from niobe.launchers.embedded.wire import is_listening

EMBEDDED_ONLY = pytest.mark.skipif(
    "NIOBE_TEST_MONGO_URI" in os.environ, reason="about the embedded server itself, not MongoDB"
)


def connect(uri: str, **options: Any) -> pymongo.MongoClient[dict[str, Any]]:
    return pymongo.MongoClient(uri, **options)


def start_quickly(folder: Path) -> str:
    """The URI of a server on ``folder``, forked from a process that has imported what it needs."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["niobe.launchers.embedded.server"])
    place = DatabaseFolder(folder)
    place.make()
    process = context.Process(target=serve, args=(place, None, 0.0), daemon=True)
    process.start()
    while not is_listening(place.socket):
        assert process.exitcode in {None, LOST_THE_RACE}, process.exitcode
        time.sleep(0.005)
    return place.uri


def kill(folder: Path) -> None:
    """kill -9 of the server on ``folder``, where there is one."""
    if (status := server_status(folder)) is not None:
        os.kill(status.pid, signal.SIGKILL)
        while DatabaseFolder(folder).is_locked():
            time.sleep(0.005)


def pid_of(folder: Path) -> int:
    info = server_status(folder)
    assert info is not None
    return info.pid
