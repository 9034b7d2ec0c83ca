"""Commands for the embedded database of ``NIOBE_HOME``: its server, its files, the way out of it.

Where NIOBE_MONGO_URI names another server they refuse, ``migrate`` and ``upgrade`` excepted.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from niobe.config.errors import ConfigError
from niobe.launchers.cli.shared import AsJson, print_rows
from niobe.launchers.terminal import say

app = typer.Typer(help="The embedded database: server, snapshots, dumps, and migration to a real MongoDB.")
_MEGABYTE = 1_000_000


@app.command()
def start(
    tcp: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Listen on 127.0.0.1 too (0: any port).")
    ] = None,
    idle_minutes: Annotated[float, typer.Option(min=0, help="Stop after so long without a client.")] = 0.0,
) -> None:
    """Start the server, or find the one that runs."""
    from niobe.launchers.embedded import ensure_server, server_status

    folder = _folder_in_use()
    running = server_status(folder)
    if running and tcp is not None and not running.tcp:
        raise ConfigError(f"process {running.pid} serves {folder} without TCP; `niobe db stop` it first")
    ensure_server(folder, port=tcp, idle_minutes=idle_minutes)
    found = server_status(folder)
    if found is None:
        raise ConfigError(f"embedded database: ended at once; see {folder / 'server.log'}")
    say(f"{'runs already' if running else 'started'}: process {found.pid}, {folder}")
    if found.tcp:
        say(f"TCP: {found.tcp}; the URI with its password is in {folder / 'tcp.uri'}")


@app.command()
def stop() -> None:
    """Stop the server; what it acknowledged is on disk."""
    from niobe.launchers.embedded import stop_server
    from niobe.launchers.embedded.folder import DatabaseFolder

    folder = _folder_in_use()
    if not DatabaseFolder(folder).is_locked():
        say("no server runs")
        return
    if running := _running(folder):
        say(f"{running}; it ends with an error, and goes on when launched again", error=True)
    if not stop_server(folder):
        raise ConfigError(f"embedded database: has not ended yet; see {folder / 'server.log'}")
    say("stopped")


@app.command()
def status(as_json: AsJson = False) -> None:
    """Who serves the database, where, how large it is and which snapshots there are."""
    from niobe.launchers.embedded import connections, server_status
    from niobe.launchers.embedded.folder import DatabaseFolder
    from niobe.launchers.embedded.storage.snapshots import snapshots_of

    folder = DatabaseFolder(_folder_in_use())
    found, snapshots = server_status(folder.path), snapshots_of(folder)
    row: dict[str, Any] = {
        "process": found.pid if found else None,
        "started": found.started if found else None,
        "uri": folder.uri,
        "tcp": found.tcp or None if found else None,
        "version": found.version or "older" if found else None,
        "connections": connections(folder.path),
        "megabytes": round(folder.file.stat().st_size / _MEGABYTE, 1) if folder.file.exists() else 0.0,
        "snapshots": [snapshot.stem for snapshot in snapshots],
    }
    print_rows([row], as_json, title=str(folder.path))


@app.command()
def compact() -> None:
    """Give back the room that deleted documents took; clients wait meanwhile."""
    from pymongo import MongoClient

    from niobe.launchers.embedded import ensure_server
    from niobe.launchers.embedded.folder import DatabaseFolder

    folder = _folder_in_use()
    uri, file = ensure_server(folder), DatabaseFolder(folder).file
    before = file.stat().st_size
    with MongoClient[dict[str, Any]](uri) as client:
        client.admin.command("compact", "niobe")
    say(f"{before / _MEGABYTE:.1f} MB before, {file.stat().st_size / _MEGABYTE:.1f} MB now")


@app.command()
def dump(to: Annotated[Path, typer.Argument(help="A new folder, laid out as mongodump does.")]) -> None:
    """Write every document to files that MongoDB's own tools read too."""
    from niobe.launchers.embedded import ensure_server
    from niobe.launchers.embedded.transfer import dump as write

    counts = write(ensure_server(_folder_in_use()), to)
    say(f"{sum(counts.values())} documents of {len(counts)} collections in {to}")


@app.command()
def restore(
    dumped: Annotated[Path | None, typer.Argument(help="A dump; left out: the last snapshot.")] = None,
    snapshot: Annotated[str, typer.Option(help="Another snapshot than the last; `status` names them.")] = "",
) -> None:
    """Go back to a snapshot (the file there is kept aside), or read a dump into an empty database."""
    if dumped is None:
        _restore_snapshot(snapshot)
        return
    from niobe.launchers.embedded import ensure_server
    from niobe.launchers.embedded.transfer import load

    counts = load(ensure_server(_folder_in_use()), dumped)
    say(f"{sum(counts.values())} documents of {len(counts)} collections restored")


def _restore_snapshot(name: str) -> None:
    from niobe.launchers.embedded import held
    from niobe.launchers.embedded.commands.errors import StorageError
    from niobe.launchers.embedded.folder import DatabaseFolder
    from niobe.launchers.embedded.storage.snapshots import restore_snapshot, snapshots_of

    place = _folder_in_use()
    if running := _running(place):
        raise ConfigError(f"{running}; stop it first, a snapshot would take its records from under it")
    known = snapshots_of(DatabaseFolder(place))  # before the server takes another as it stops
    wanted = [snapshot for snapshot in known if name in ("", snapshot.stem)]
    if name and not wanted:
        names = ", ".join(snapshot.stem for snapshot in known) or "none"
        raise ConfigError(f"no snapshot {name!r}; known: {names}")
    try:
        with held(place) as folder:
            restored, aside = restore_snapshot(folder, wanted)
    except (StorageError, OSError) as error:
        raise ConfigError(f"embedded database: {error}") from error
    say(f"restored the snapshot {restored.stem}; what was written after it is not in it")
    if aside:
        say(f"the files it replaced are in {aside}")


@app.command()
def migrate(
    uri: Annotated[str, typer.Argument(help="URI of a MongoDB; - reads it from standard input.")],
    as_json: AsJson = False,
) -> None:
    """Copy everything to a real MongoDB and check counts and digests; nothing there is overwritten."""
    from niobe.launchers.embedded import ensure_server
    from niobe.launchers.embedded.transfer import migrate as copy

    target = sys.stdin.readline().strip() if uri == "-" else uri
    moved = copy(ensure_server(_folder()), target)
    rows = [{"collection": n, "documents": c.documents, "digest": c.digest[:16]} for n, c in moved.items()]
    print_rows(rows, as_json, title="The same here and there")


def _running(folder: Path) -> str:
    """Which campaigns run on an embedded database that is in use; empty where none does."""
    from pymongo import MongoClient
    from pymongo.errors import PyMongoError

    from niobe.config.settings import Settings
    from niobe.launchers.embedded import connections
    from niobe.launchers.embedded.folder import DatabaseFolder
    from niobe.loop.documents.rounds import CampaignState

    others = connections(folder)
    if not others:
        return ""
    try:
        with MongoClient[dict[str, Any]](DatabaseFolder(folder).uri) as client:
            campaigns = client[Settings().database]["campaigns"]
            names = campaigns.distinct("_id", {"state": CampaignState.RUNNING.value})
    except PyMongoError:
        return ""
    return f"campaign {', '.join(names)} runs ({others} connections are open)" if names else ""


def _folder() -> Path:
    from niobe.config.home import database_folder

    return database_folder()


def _folder_in_use() -> Path:
    """The embedded database's folder.

    Raises ConfigError where NIOBE_MONGO_URI names another server, or the home is no folder.
    """
    from niobe.config.home import unlike
    from niobe.config.settings import Settings
    from niobe.launchers.embedded.folder import DatabaseFolder

    settings, folder = Settings(), DatabaseFolder(_folder())
    if problem := unlike(settings.home.expanduser(), "folder"):
        raise ConfigError(f"{problem}; move it away")
    own = {folder.uri, folder.tcp_uri.read_text().strip() if folder.tcp_uri.is_file() else ""}
    if settings.real_mongo and settings.mongo_uri not in own:
        raise ConfigError(
            f"NIOBE_MONGO_URI: names another server; this command is about the embedded one, {folder.path}"
        )
    return folder.path
