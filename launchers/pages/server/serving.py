"""Serves the pages on a socket until it is told to stop."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from niobe.config.errors import ConfigError
from niobe.launchers.pages.server.access import Access
from niobe.launchers.terminal import say

if TYPE_CHECKING:
    from uvicorn import Server

    from niobe.loop.store.database import Database

_GRACE_SECONDS = 2
_LOOK_SECONDS = 2.0


def run_pages(database: Database, access: Access, uri: str, host: str, port: int) -> None:
    """Serve until Ctrl-C; a database server of Niobe's own that dies meanwhile is started again.

    access: who may read and steer. uri: of the database server. host: to listen on. port: to listen on.
    Raises OSError where the address cannot be had.
    """
    with listen(host, port) as bound, _database_kept_alive():
        server = pages_server(database, access, uri)
        get_ready()
        server.run(sockets=[bound])


@contextmanager
def _database_kept_alive() -> Iterator[None]:
    """Looks every two seconds; pymongo's clients wait longer than that for a server that went away."""
    from niobe.launchers.services import ensure_database

    over = threading.Event()

    def look() -> None:
        while not over.wait(_LOOK_SECONDS):
            try:
                ensure_database()
            except (ConfigError, OSError) as error:
                say(f"niobe: {error}; trying again", error=True)

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    bound.listen(128)
    return bound


def get_ready() -> None:
    """Do what the first pages would wait for.

    Python's collector of cycles is told to pass over all that is there by now: it would look through it again
    and again while pages make objects.
    """
    import gc

    import numpy.random  # noqa: F401 - numpy itself imports it when it is first used

    from niobe.config.plugins import GENERATORS, ORACLES, SURROGATES, registered
    from niobe.launchers.pages.rendering import compile_templates

    compile_templates()
    for group in (GENERATORS, ORACLES, SURROGATES):
        registered(group)
    gc.collect()
    gc.freeze()


def pages_server(database: Database, access: Access, uri: str) -> Server:
    """uvicorn over the application, quiet but for what goes wrong.

    database: the campaign database. access: who may read and steer. uri: of the database server.
    """
    from uvicorn import Config, Server

    from niobe.launchers.pages.app import create_app
    from niobe.launchers.pages.server.connections import ImpatientProtocol

    app = create_app(database, access, uri)
    config = Config(
        app,
        http=ImpatientProtocol,
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    return Server(config)
