"""The command that opens the database as web pages."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from niobe.config.errors import ConfigError
from niobe.launchers.terminal import say

app = typer.Typer()
_EVERY_ADDRESS = ("0.0.0.0", "::")


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on; others than loopback need the token.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535)] = 8765,
    steer: Annotated[bool, typer.Option("--steer", help="Let pages pin, veto and stop, with the token.")] = (
        False
    ),
) -> None:
    """Open the database as web pages and as an OPTIMADE server, live while campaigns run."""
    from niobe.config.home import make_home, page_token
    from niobe.launchers.pages.server.access import LOOPBACK, Access
    from niobe.launchers.pages.server.serving import run_pages
    from niobe.launchers.services import campaign_database, ensure_database

    with campaign_database() as database:
        guarded = host not in LOOPBACK
        make_home()
        token = _new_token(page_token()) if guarded or steer else None
        hosts = None if host in _EVERY_ADDRESS else (*LOOPBACK, host)
        access = Access(hosts=hosts, token=token, steering=steer, guarded=guarded)
        say(f"pages: http://{host}:{port}/   OPTIMADE: http://{host}:{port}/optimade/v1   Ctrl-C ends it")
        if token is not None:
            say(f"token: in {page_token()}, to be given at http://{host}:{port}/login")
        try:
            database.search.complete()
            run_pages(database, access, ensure_database(), host, port)
        except OSError as error:
            raise ConfigError(f"serve: {host}:{port}: {error.strerror or error}") from None


def _new_token(file: Path) -> str:
    """A token for this run, in a file that only its owner can read."""
    import os
    import secrets

    token = secrets.token_urlsafe(32)
    scratch = file.with_name(f".{file.name}")
    scratch.unlink(missing_ok=True)
    with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as output:
        output.write(token + "\n")
    scratch.replace(file)
    return token
