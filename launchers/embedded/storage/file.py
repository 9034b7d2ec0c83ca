"""The SQLite file: durable commits that share their fsync, sealed documents, checks when it is opened."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from niobe.launchers.embedded.commands.errors import DamagedError, DiskFullError, StorageError
from niobe.launchers.embedded.storage.ledger import Acknowledged, Ledger
from niobe.launchers.embedded.storage.upgrade import rebuild

_SCHEMA_VERSION = 3
_CHECKPOINT_PAGES = 4_000
_SCHEMA = f"""
PRAGMA user_version = {_SCHEMA_VERSION};
CREATE TABLE collections (
    id INTEGER PRIMARY KEY, database TEXT, name TEXT, meta BLOB, UNIQUE (database, name));
CREATE TABLE documents (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, collection INTEGER, key BLOB, body BLOB);
CREATE UNIQUE INDEX by_key ON documents (collection, key);
CREATE TABLE fields (
    collection INTEGER, field TEXT, value BLOB, seq INTEGER,
    PRIMARY KEY (collection, field, value, seq)) WITHOUT ROWID;
CREATE INDEX fields_of ON fields (seq);
CREATE INDEX by_collection ON documents (collection);
CREATE TABLE ledger (id INTEGER PRIMARY KEY, state BLOB);
"""
_EARLIER = {1, 2}  # without a ledger; without marks of arrays
_LATER = (  # not in files of the first layout
    "CREATE INDEX IF NOT EXISTS by_collection ON documents (collection)",
    "CREATE TABLE IF NOT EXISTS ledger (id INTEGER PRIMARY KEY, state BLOB)",
)


@contextmanager
def storage_errors(what: str) -> Iterator[None]:
    """SQLite's errors as StorageError, DiskFullError or DamagedError."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}:
            raise DamagedError(f"{what} ({error})") from error
        if code in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}:
            raise DiskFullError(f"{what}: write not stored, nothing of it kept ({error})") from error
        raise StorageError(f"{what}: {error}") from error


class DatabaseFile:
    """One connection that writes, used by one command at a time, and others that read beside it.

    SQLite would fsync inside each commit. Here commits go to the log unsynced, ``settle`` makes them durable,
    and whoever waits for the disk waits for everyone's commits up to then: writers share an fsync and readers
    never wait for one.
    """

    def __init__(self, path: Path) -> None:
        """Open or create the file. Raises StorageError where it is damaged or of another version."""
        self.path = path
        path.touch(mode=0o600)
        self.connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self.ledger = Ledger(self.connection)
        self._acknowledged = Acknowledged(path)
        try:
            with storage_errors(str(path)):
                self._prepare()
        except BaseException:
            self.connection.close()
            raise
        self._log = os.open(f"{path}-wal", os.O_RDWR | os.O_CREAT, 0o600)
        self._readers: list[sqlite3.Connection] = []
        self._settling = threading.Lock()
        self._committed = self._settled = self.ledger.commits
        self._failure = ""

    def _prepare(self) -> None:
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute("PRAGMA synchronous = NORMAL")
        self.connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        version = self.connection.execute("PRAGMA user_version").fetchone()[0]
        tables = self.connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]
        if version == 0 and not tables:
            self.connection.executescript(f"BEGIN; {_SCHEMA} COMMIT;")
        elif version not in {*_EARLIER, _SCHEMA_VERSION}:
            raise StorageError(
                f"{self.path}: written by a Niobe with another layout ({version}, here {_SCHEMA_VERSION}); "
                "dump it with that one and restore the dump here"
            )
        check_structure(self.connection, self.path)
        if missing := sorted(self._missing_tables(version)):
            raise DamagedError(f"{self.path} (no table {missing[0]})")
        if version in _EARLIER:
            self._upgrade(version)
        self.ledger.load()
        self.ledger.check(self.path)
        self._acknowledged.check(self.ledger.commits)

    def _missing_tables(self, version: int) -> set[str]:
        found = self.connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        there = {"ledger"} if version == 1 else set()
        return {"collections", "documents", "fields", "ledger"} - there.union(name for (name,) in found)

    def _upgrade(self, version: int) -> None:
        self.connection.execute("BEGIN IMMEDIATE")
        for statement in _LATER:
            self.connection.execute(statement)
        self.ledger.load()
        if version > 1:
            self.ledger.check(self.path)
        self.ledger.start_anew()
        rebuild(self.connection, self.ledger)
        self.ledger.save()
        self.connection.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
        self.connection.execute("COMMIT")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is written inside is kept, or nothing. Raises StorageError where the disk refuses."""
        if self._failure:
            raise StorageError(self._failure)
        with storage_errors(str(self.path)):
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.ledger.save()
                self.connection.execute("COMMIT")
            except BaseException:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                self.ledger.load()
                raise
        self._committed = self.ledger.commits

    def settle(self) -> None:
        """Return once everything committed so far is on disk. After a failed fsync all writing stops."""
        mine = self._committed
        with self._settling:
            if self._settled >= mine:
                return
            upto = self._committed
            try:
                os.fsync(self._log)
                self._acknowledged.write(upto)
            except OSError as error:
                self._failure = f"{self.path}: the disk refused a write ({error}); restart the database"
                raise StorageError(self._failure) from error
            self._settled = upto

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection that sees the database as it is at this instant, whatever is written meanwhile."""
        with storage_errors(str(self.path)):
            try:
                connection = self._readers.pop()
            except IndexError:
                connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
                connection.execute("PRAGMA query_only = 1")
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.execute("ROLLBACK")
                self._readers.append(connection)

    def compact(self) -> None:
        """Give back the room that deleted documents took."""
        with storage_errors(str(self.path)):
            self.connection.execute("VACUUM")
            self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close the file; SQLite folds the log into it."""
        for reader in self._readers:
            reader.close()
        self.connection.close()
        os.close(self._log)
        self._acknowledged.close()


def check_structure(connection: sqlite3.Connection, path: Path) -> None:
    """Raise DamagedError unless pages, rows and indexes agree with each other."""
    with storage_errors(str(path)):
        state = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if state != "ok":
        raise DamagedError(f"{path} ({' '.join(str(state).split())})")


def check_documents(connection: sqlite3.Connection, path: Path) -> None:
    """Raise DamagedError unless each row and document is what was written."""
    with storage_errors(str(path)):
        if connection.execute("PRAGMA user_version").fetchone()[0] > 1:
            ledger = Ledger(connection)
            ledger.load()
            ledger.check(path)
