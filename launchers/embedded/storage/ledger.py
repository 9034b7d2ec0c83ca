"""What tells lost or changed rows: how many commits there were, and a sum over the rows of all tables.

Both lie in the database file, written with each commit. How many commits were acknowledged also lies in a
small file beside it: where the database knows of fewer, its log has lost some.
"""

from __future__ import annotations

import os
import sqlite3
import struct
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from niobe.launchers.embedded.commands.errors import DamagedError, StorageError

_SEAL_BYTES = 4
_MODULUS = 2**64
_ROWS = (
    "SELECT id, database, name FROM collections",
    "SELECT seq, collection, key FROM documents",
    "SELECT collection, field, value, seq FROM fields",
)
Row = tuple[Any, ...]


def seal(body: bytes) -> bytes:
    """``body`` behind its CRC-32: SQLite itself would not notice a flipped bit."""
    return zlib.crc32(body).to_bytes(_SEAL_BYTES, "big") + body


def unseal(sealed: bytes, what: str = "a document of the embedded database") -> bytes:
    """What was sealed. Raises DamagedError where its bytes have changed."""
    body = sealed[_SEAL_BYTES:]
    if zlib.crc32(body).to_bytes(_SEAL_BYTES, "big") != sealed[:_SEAL_BYTES]:
        raise DamagedError(what)
    return body


def _hash(row: Row) -> int:
    code = 0
    for part in row:
        code = zlib.crc32(b"%d/" % part if isinstance(part, int) else _bytes(part) + b"/", code)
    return code


def _bytes(part: str | bytes) -> bytes:
    return part.encode() if isinstance(part, str) else part


class Ledger:
    """The state of one open file."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.commits = self._sum = 0

    def load(self) -> None:
        """Read what the last commit left, as after a rollback."""
        row = self._connection.execute("SELECT state FROM ledger").fetchone()
        self.commits, self._sum = struct.unpack(">QQ", unseal(row[0], "the ledger")) if row else (0, 0)

    def start_anew(self) -> None:
        """Count no row as written yet, and as many commits as before."""
        self._sum = 0

    def save(self) -> None:
        """Count a commit; to be called inside its transaction."""
        self.commits += 1
        state = seal(struct.pack(">QQ", self.commits, self._sum))
        self._connection.execute("INSERT OR REPLACE INTO ledger (id, state) VALUES (1, ?)", (state,))

    def add(self, rows: Iterable[Row]) -> None:
        """Rows that were written."""
        self._sum = (self._sum + sum(map(_hash, rows))) % _MODULUS

    def remove(self, rows: Iterable[Row]) -> None:
        """Rows that were deleted."""
        self._sum = (self._sum - sum(map(_hash, rows))) % _MODULUS

    def check(self, path: Path) -> None:
        """Raise DamagedError unless the rows are those that were written, and their bodies too."""
        found = 0
        for query in _ROWS:
            found += sum(map(_hash, self._connection.execute(query)))
        if found % _MODULUS != self._sum:
            raise DamagedError(f"{path} (rows are not what was written)")
        bodies = "SELECT body FROM documents UNION ALL SELECT meta FROM collections"
        for (body,) in self._connection.execute(bodies):
            unseal(body)


class Acknowledged:
    """The file that says how many commits were acknowledged."""

    def __init__(self, database: Path) -> None:
        self.path = acknowledged_path(database)
        self._database = database
        self._file = -1

    def check(self, commits: int) -> None:
        """Raise StorageError where the database has fewer commits than were acknowledged."""
        if not self.path.exists():
            return
        (known,) = struct.unpack(">Q", unseal(self.path.read_bytes(), str(self.path)).rjust(8, b"\0")[:8])
        if commits < known:
            raise StorageError(
                f"{self._database}: its log is damaged or gone, and with it the last {known - commits} "
                "acknowledged writes; `niobe db restore` brings back the last snapshot; without the file "
                f"{self.path.name} in that folder the database starts with what is left"
            )

    def write(self, commits: int) -> None:
        """Say that so many are on disk; the log was flushed before."""
        if self._file < 0:
            self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o600)
        os.pwrite(self._file, seal(struct.pack(">Q", commits)), 0)

    def close(self) -> None:
        """Close the file."""
        if self._file >= 0:
            os.close(self._file)


def acknowledged_path(database: Path) -> Path:
    """Where it lies."""
    return database.with_name("acknowledged")
