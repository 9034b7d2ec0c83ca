"""Serves the pages on a socket until it is told to stop."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from niobe.launchers.pages.access import Access

if TYPE_CHECKING:
    from uvicorn import Server

    from niobe.loop.store.database import Database

_GRACE_SECONDS = 2
_MOST_CONNECTIONS = 200


def run_pages(database: Database, access: Access, uri: str, host: str, port: int) -> None:
    """Serve until Ctrl-C. Raises OSError where the address cannot be had."""
    with listen(host, port) as bound:
        pages_server(database, access, uri).run(sockets=[bound])


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


def pages_server(database: Database, access: Access, uri: str) -> Server:
    """uvicorn over the application, quiet but for what goes wrong."""
    from uvicorn import Config, Server

    from niobe.launchers.pages.app import create_app

    config = Config(
        create_app(database, access, uri),
        log_level="warning",
        access_log=False,
        server_header=False,
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    return Server(config)
