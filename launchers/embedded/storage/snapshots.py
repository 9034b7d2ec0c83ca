"""Snapshots of the database file: taken by the server while it works, each checked before it counts."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from niobe.launchers.embedded.commands.errors import DamagedError, StorageError
from niobe.launchers.embedded.folder import DatabaseFolder
from niobe.launchers.embedded.storage.file import check_documents, check_structure, storage_errors
from niobe.launchers.embedded.storage.ledger import acknowledged_path

_KEPT = 3
_STAMP = "%Y-%m-%dT%H-%M-%S.%fZ"


def snapshots_of(folder: DatabaseFolder) -> list[Path]:
    """Snapshots, oldest first; their names say when they were taken."""
    return sorted(folder.snapshots.glob("*.sqlite"))


def require_file(folder: DatabaseFolder) -> None:
    """Raise DamagedError where the file is gone or empty though there are snapshots of it."""
    is_there = folder.file.is_file() and folder.file.stat().st_size > 0
    if not is_there and snapshots_of(folder):
        raise DamagedError(f"{folder.file} (missing or empty)")


def take_snapshot(folder: DatabaseFolder) -> Path:
    """Copy the file as it is at this instant, while others write, and check every byte of the copy.

    Raises StorageError; nothing is left then.
    """
    folder.snapshots.mkdir(mode=0o700, exist_ok=True)
    scratch = folder.snapshots / ".unfinished"
    scratch.unlink(missing_ok=True)
    scratch.touch(mode=0o600)
    try:
        with storage_errors(str(folder.file)):
            _copy(folder.file, scratch)
        target = folder.snapshots / f"{datetime.now(UTC).strftime(_STAMP)}.sqlite"
        scratch.replace(target)
    finally:
        scratch.unlink(missing_ok=True)
    return target


def forget_old_snapshots(folder: DatabaseFolder) -> None:
    """Remove all but the last few."""
    for old in snapshots_of(folder)[:-_KEPT]:
        old.unlink(missing_ok=True)


def _copy(file: Path, to: Path) -> None:
    source = sqlite3.connect(file)
    copy = sqlite3.connect(to)
    try:
        source.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")
        check_structure(copy, file)
        check_documents(copy, file)
    finally:
        copy.close()
        source.close()
    with to.open("rb") as written:
        os.fsync(written.fileno())


def restore_snapshot(folder: DatabaseFolder, among: Sequence[Path]) -> tuple[Path, Path | None]:
    """Put the last intact one of some snapshots in the file's place; returns it and where the old files are.

    The caller holds the folder's lock. A kill in between leaves no file, which no server takes for an
    empty database. Raises StorageError where no snapshot is intact.
    """
    snapshot = _last_intact(among)
    scratch = folder.path / ".restored"
    shutil.copyfile(snapshot, scratch)
    scratch.chmod(0o600)
    with scratch.open("rb") as written:
        os.fsync(written.fileno())
    aside = _set_aside(folder)
    scratch.replace(folder.file)
    return snapshot, aside


def _last_intact(snapshots: Sequence[Path]) -> Path:
    for snapshot in reversed(snapshots):
        connection = sqlite3.connect(f"file:{snapshot}?mode=ro", uri=True)
        try:
            check_structure(connection, snapshot)
            check_documents(connection, snapshot)
        except StorageError as error:
            print(f"passed over: {error}", file=sys.stderr)
            continue
        finally:
            connection.close()
        return snapshot
    raise StorageError("there is no intact snapshot")


def _set_aside(folder: DatabaseFolder) -> Path | None:
    files = [Path(f"{folder.file}{end}") for end in ("", "-wal", "-shm")]
    found = [file for file in (*files, acknowledged_path(folder.file)) if file.exists()]
    if not found:
        return None
    aside = folder.path / f"replaced-{datetime.now(UTC).strftime(_STAMP)}"
    aside.mkdir(mode=0o700)
    for file in found:
        file.rename(aside / file.name)
    return aside


class SnapshotKeeper:
    """Takes a snapshot when the server starts, stops, and every ``seconds``, where anything changed.

    Old ones go when the server starts, not when it stops: what a restore stops it for must not.
    """

    def __init__(self, folder: DatabaseFolder, seconds: float) -> None:
        self._folder, self._seconds = folder, seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def start(self) -> None:
        """Take snapshots in the background."""
        self._thread.start()

    def stop(self) -> None:
        """Take the last one and end."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._keep()

    def _work(self) -> None:
        self._keep()
        forget_old_snapshots(self._folder)
        while not self._stop.wait(self._seconds):
            self._keep()
            forget_old_snapshots(self._folder)

    def _keep(self) -> None:
        try:
            if _has_changed(self._folder):
                take_snapshot(self._folder)
        except (StorageError, OSError) as error:
            print(f"no snapshot taken: {error}", file=sys.stderr, flush=True)


def _has_changed(folder: DatabaseFolder) -> bool:
    """Raises StorageError where the file is gone, with its folder or without."""
    taken = snapshots_of(folder)
    files = [folder.file, Path(f"{folder.file}-wal")]
    changed = max((file.stat().st_mtime for file in files if file.exists()), default=None)
    if changed is None:
        raise StorageError(f"{folder.file} is gone")
    return not taken or taken[-1].stat().st_mtime < changed
