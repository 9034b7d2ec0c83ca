"""Documents in SQLite, a row each, with equality indexes: memory and restart do not grow with them."""

from __future__ import annotations

import math
import sqlite3
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import bson
from bson import ObjectId
from mongomock_ng.helpers import hashdict
from mongomock_ng.store import CollectionStore, DatabaseStore, ServerStore

from launchers.embedded.wire import CODEC

Document = dict[str, Any]
_CACHED_DOCUMENTS = 4_000
_MAX_CACHED_BYTES = 20_000
_SCHEMA = """
CREATE TABLE IF NOT EXISTS collections (
    id INTEGER PRIMARY KEY, database TEXT, name TEXT, meta BLOB, UNIQUE (database, name));
CREATE TABLE IF NOT EXISTS documents (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, collection INTEGER, key BLOB, body BLOB);
CREATE UNIQUE INDEX IF NOT EXISTS by_key ON documents (collection, key);
CREATE TABLE IF NOT EXISTS fields (
    collection INTEGER, field TEXT, value BLOB, seq INTEGER,
    PRIMARY KEY (collection, field, value, seq)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS fields_of ON fields (seq);
"""


class StorageError(RuntimeError):
    """The database file cannot be read or written; nothing of the command was kept."""


def open_file(file: Path) -> sqlite3.Connection:
    """The SQLite file, durable before a commit returns. Raises StorageError where it is damaged."""
    connection = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.executescript(_SCHEMA)
        state = connection.execute("PRAGMA quick_check").fetchone()[0]
    except sqlite3.DatabaseError as error:
        connection.close()
        raise StorageError(f"{file}: damaged ({error}); `niobe db restore` brings back a snapshot") from error
    if state != "ok":
        connection.close()
        raise StorageError(f"{file}: damaged ({state}); `niobe db restore` brings back a snapshot")
    return connection


def index_key(value: Any) -> bytes | None:
    """Equal for values MongoDB calls equal; None for a value that only a scan can find."""
    if isinstance(value, bool | int | float):
        number = float(value) if abs(value) < 1e300 else math.inf
        return None if math.isnan(number) else b"n" + repr(number + 0.0).encode()
    if isinstance(value, str):
        return b"s" + value.encode("utf-8", "surrogatepass")
    if isinstance(value, ObjectId):
        return b"o" + value.binary
    if isinstance(value, datetime):
        return b"d" + value.replace(microsecond=value.microsecond // 1000 * 1000).isoformat().encode()
    return None


def _document_key(key: Any) -> bytes:
    return index_key(key) or b"b" + bson.encode({"_id": key})


def values_at(document: Any, path: list[str]) -> Iterator[Any]:
    """Every value a dotted path reaches, through arrays as MongoDB does."""
    if isinstance(document, list):
        for item in document:
            yield from values_at(item, path)
        if path:
            return
    if not path:
        yield document
    elif isinstance(document, dict) and path[0] in document:
        yield from values_at(document[path[0]], path[1:])


class StoredCollection(CollectionStore):
    """mongomock-ng's collection store, its documents in SQLite inside the running command's transaction."""

    def __init__(self, connection: sqlite3.Connection, database: str, name: str) -> None:
        super().__init__(name)
        self._connection, self._database = connection, database
        self._cache: OrderedDict[bytes, Document] = OrderedDict()
        row = connection.execute(
            "SELECT id, meta FROM collections WHERE database = ? AND name = ?", (database, name)
        ).fetchone()
        self._id: int | None = row[0] if row else None
        self._meta = row[1] if row else b""
        if row:
            self._load_meta(bson.decode(row[1], codec_options=CODEC))

    def _load_meta(self, meta: Document) -> None:
        self._is_force_created = True
        self.options = meta["options"]
        for index_name, index in meta["indexes"].items():
            index = index | {"key": [tuple(pair) for pair in index["key"]]}
            super().create_index(index_name, index)

    @property
    def identity(self) -> int:
        """The collection's row, made when first written to."""
        if self._id is None:
            self._meta = self._encode_meta()
            cursor = self._connection.execute(
                "INSERT INTO collections (database, name, meta) VALUES (?, ?, ?)",
                (self._database, self.name, self._meta),
            )
            self._id = cursor.lastrowid
        return self._id or 0

    def _encode_meta(self) -> bytes:
        indexes = {
            name: index | {"key": [list(p) for p in index["key"]]} for name, index in self.indexes.items()
        }
        return bson.encode({"options": self.options, "indexes": indexes})

    def save_meta(self) -> None:
        """Store indexes and options where the running command changed them; index what is there already."""
        if not self.is_created or (self._id is not None and self._encode_meta() == self._meta):
            return
        before = self._indexed_in(self._meta) if self._id is not None else set()
        identity, self._meta = self.identity, self._encode_meta()
        self._connection.execute("UPDATE collections SET meta = ? WHERE id = ?", (self._meta, identity))
        for field in before - self.indexed:
            self._connection.execute(
                "DELETE FROM fields WHERE collection = ? AND field = ?", (identity, field)
            )
        self._index_existing(self.indexed - before)

    def _index_existing(self, fields: set[str]) -> None:
        if not fields:
            return
        found = self._connection.execute(
            "SELECT seq, body FROM documents WHERE collection = ?", (self.identity,)
        ).fetchall()
        for seq, body in found:
            self._index(seq, bson.decode(body, codec_options=CODEC), fields)

    @staticmethod
    def _indexed_in(meta: bytes) -> set[str]:
        if not meta:
            return set()
        return {pair[0] for index in bson.decode(meta)["indexes"].values() for pair in index["key"]}

    @property
    def indexed(self) -> set[str]:
        """Fields with an equality index."""
        return {pair[0] for index in self.indexes.values() for pair in index["key"]}

    @property
    def is_created(self) -> bool:
        return self._id is not None or bool(self.indexes) or self._is_force_created

    @property
    def is_empty(self) -> bool:
        return len(self) == 0

    def drop(self) -> None:
        if self._id is not None:
            for table in ("fields", "documents"):
                self._connection.execute(f"DELETE FROM {table} WHERE collection = ?", (self._id,))
            self._connection.execute("DELETE FROM collections WHERE id = ?", (self._id,))
        self._id, self._meta = None, b""
        self._cache.clear()
        super().drop()
        self.options = {}

    def __contains__(self, key: Any) -> bool:
        return self._row(_document_key(key)) is not None

    def __getitem__(self, key: Any) -> Document:
        row = self._row(_document_key(key))
        if row is None:
            raise KeyError(key)
        return self._decode(_document_key(key), row[1])

    def _row(self, key: bytes) -> Any:
        return self._connection.execute(
            "SELECT seq, body FROM documents WHERE collection = ? AND key = ?", (self._id or -1, key)
        ).fetchone()

    def __setitem__(self, key: Any, document: Document) -> None:
        stored, body = _document_key(key), bson.encode(document)
        row = self._row(stored)
        if row is None:
            cursor = self._connection.execute(
                "INSERT INTO documents (collection, key, body) VALUES (?, ?, ?)",
                (self.identity, stored, body),
            )
            seq = cursor.lastrowid or 0
        else:
            seq = row[0]
            self._connection.execute("UPDATE documents SET body = ? WHERE seq = ?", (body, seq))
            self._connection.execute("DELETE FROM fields WHERE seq = ?", (seq,))
        self._cache.pop(stored, None)
        self._index(seq, document, self.indexed)

    def _index(self, seq: int, document: Document, fields: set[str]) -> None:
        rows = {
            (self.identity, field, key, seq)
            for field in fields
            for value in values_at(document, field.split("."))
            if (key := index_key(value)) is not None
        }
        self._connection.executemany("INSERT OR IGNORE INTO fields VALUES (?, ?, ?, ?)", rows)

    def __delitem__(self, key: Any) -> None:
        stored = _document_key(key)
        row = self._row(stored)
        if row is None:
            raise KeyError(key)
        self._connection.execute("DELETE FROM documents WHERE seq = ?", (row[0],))
        self._connection.execute("DELETE FROM fields WHERE seq = ?", (row[0],))
        self._cache.pop(stored, None)

    def __len__(self) -> int:
        self._remove_expired_documents()
        row = self._connection.execute(
            "SELECT COUNT(*) FROM documents WHERE collection = ?", (self._id or -1,)
        )
        return int(row.fetchone()[0])

    @property
    def documents(self) -> Iterator[Document]:
        """All documents in insertion order, decoded one at a time."""
        self._remove_expired_documents()
        return self._scan()

    def _scan(self) -> Iterator[Document]:
        rows = self._connection.execute(
            "SELECT key, body FROM documents WHERE collection = ? ORDER BY seq", (self._id or -1,)
        )
        for key, body in rows:
            yield self._decode(key, body)

    def with_values(self, field: str, keys: Iterable[bytes]) -> list[Document]:
        """Documents whose ``field`` may equal one of the values, in insertion order."""
        wanted = list(dict.fromkeys(keys))
        marks = ",".join("?" * len(wanted))
        rows = self._connection.execute(
            f"SELECT DISTINCT d.seq, d.key, d.body FROM fields f JOIN documents d ON d.seq = f.seq "
            f"WHERE f.collection = ? AND f.field = ? AND f.value IN ({marks}) ORDER BY d.seq",
            (self._id or -1, field, *wanted),
        ).fetchall()
        return [self._decode(key, body) for _, key, body in rows]

    def _decode(self, key: bytes, body: bytes) -> Document:
        if key in self._cache:
            self._cache.move_to_end(key)
            return self._cache[key]
        document = bson.decode(body, codec_options=CODEC)
        if len(body) <= _MAX_CACHED_BYTES:
            self._cache[key] = document
            if len(self._cache) > _CACHED_DOCUMENTS:
                self._cache.popitem(last=False)
        return document

    def forget(self) -> None:
        """Drop what is cached: a refused change may have touched it."""
        self._cache.clear()

    def _expire_documents(self, index: Document) -> None:
        self._documents = OrderedDict((_plain_key(d["_id"]), d) for d in self._scan())
        super()._expire_documents(index)
        self._documents = OrderedDict()


def _plain_key(value: Any) -> Any:
    return hashdict(value) if isinstance(value, dict) else value


class StoredDatabase(DatabaseStore):
    """Collections of one database, opened when first named."""

    def __init__(self, connection: sqlite3.Connection, name: str) -> None:
        super().__init__()
        self._connection, self._name = connection, name
        for (collection,) in connection.execute("SELECT name FROM collections WHERE database = ?", (name,)):
            self[collection]

    def __getitem__(self, name: str) -> StoredCollection:
        if name not in self._collections:
            self._collections[name] = StoredCollection(self._connection, self._name, name)
        return self._collections[name]

    def opened(self) -> list[StoredCollection]:
        """Collections that were named so far."""
        return list(self._collections.values())


class StoredServer(ServerStore):
    """All databases of one SQLite file."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__()
        self._connection = connection
        for (name,) in connection.execute("SELECT DISTINCT database FROM collections"):
            self[name]

    def __getitem__(self, name: str) -> StoredDatabase:
        if name not in self._databases:
            self._databases[name] = StoredDatabase(self._connection, name)
        return self._databases[name]

    def save_meta(self) -> None:
        """Store what the running command changed of indexes and options."""
        for collection in self._opened():
            collection.save_meta()

    def forget(self) -> None:
        """Read everything anew, after a command was rolled back."""
        self._databases.clear()
        for (name,) in self._connection.execute("SELECT DISTINCT database FROM collections"):
            self[name]

    def _opened(self) -> list[StoredCollection]:
        return [collection for database in list(self._databases.values()) for collection in database.opened()]
