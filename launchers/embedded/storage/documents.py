"""mongomock-ng's store with documents as rows of SQLite: memory and restart do not grow with them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import bson
from mongomock_ng.store import CollectionStore, DatabaseStore, ServerStore

from niobe.launchers.embedded.commands.errors import CommandError
from niobe.launchers.embedded.storage.indexing import Condition, Entry, document_key, entries_of
from niobe.launchers.embedded.storage.ledger import Ledger, seal, unseal
from niobe.launchers.embedded.storage.ordering import Index
from niobe.launchers.embedded.wire import CODEC, MAX_DOCUMENT_BYTES

Document = dict[str, Any]
_FIRST_PAGE, _PAGE = 4, 256
_NOWHERE = -1
_COUNTED = 256


def _encode(document: Document) -> bytes:
    body = bson.encode(document)
    if len(body) > MAX_DOCUMENT_BYTES:
        raise CommandError(10334, f"document of {len(body)} bytes; at most {MAX_DOCUMENT_BYTES} are allowed")
    return seal(body)


def _decode(sealed: bytes) -> Document:
    return bson.decode(unseal(sealed), codec_options=CODEC)


class StoredCollection(CollectionStore):
    """One collection. Documents are decoded anew each time, so that a caller may change what it was given."""

    def __init__(self, connection: sqlite3.Connection, ledger: Ledger, database: str, name: str) -> None:
        super().__init__(name)
        self._connection, self._ledger, self._database = connection, ledger, database
        row = connection.execute(
            "SELECT id, meta FROM collections WHERE database = ? AND name = ?", (database, name)
        ).fetchone()
        self._id = _NOWHERE if row is None else row[0]
        self._meta: Document | None = None
        if row is not None:
            self._load_meta(_decode(row[1]))

    def _load_meta(self, meta: Document) -> None:
        self._is_force_created = True
        self.indexes = {
            name: index | {"key": [(field, order) for field, order in index["key"]]}
            for name, index in meta["indexes"].items()
        }
        self._meta = self._describe()

    def _describe(self) -> Document:
        return {
            "indexes": {
                name: index | {"key": [list(pair) for pair in index["key"]]}
                for name, index in self.indexes.items()
            }
        }

    @property
    def identity(self) -> int:
        """The collection's row, made when first written to."""
        if self._id == _NOWHERE:
            self._meta = self._describe()
            cursor = self._connection.execute(
                "INSERT INTO collections (database, name, meta) VALUES (?, ?, ?)",
                (self._database, self.name, seal(bson.encode(self._meta))),
            )
            self._id = cursor.lastrowid or _NOWHERE
            self._ledger.add([(self._id, self._database, self.name)])
        return self._id

    def save_meta(self) -> None:
        """Store the indexes where the running command changed them; index what is there already."""
        if not self.is_created or self._meta == self._describe():
            return
        before = _fields_of(self._meta["indexes"]) if self._meta and self._id != _NOWHERE else set()
        identity, self._meta = self.identity, self._describe()
        self._connection.execute(
            "UPDATE collections SET meta = ? WHERE id = ?", (seal(bson.encode(self._meta)), identity)
        )
        for field in before - self.indexed:
            self._delete_entries("collection = ? AND field = ?", (identity, field))
        self._index_existing(self.indexed - before)

    def _index_existing(self, fields: set[str]) -> None:
        if fields:
            for seq, sealed in self._rows():
                self._index(seq, _decode(sealed), fields)

    @property
    def indexed(self) -> set[str]:
        """Fields with an equality index."""
        return _fields_of(self.indexes)

    @property
    def is_created(self) -> bool:
        return self._id != _NOWHERE or bool(self.indexes) or self._is_force_created

    @property
    def is_empty(self) -> bool:
        return not self._connection.execute(
            "SELECT EXISTS (SELECT 1 FROM documents WHERE collection = ?)", (self._id,)
        ).fetchone()[0]

    def drop(self) -> None:
        self._delete_entries("collection = ?", (self._id,))
        self._delete_documents("collection = ?", (self._id,))
        if self._id != _NOWHERE:
            self._connection.execute("DELETE FROM collections WHERE id = ?", (self._id,))
            self._ledger.remove([(self._id, self._database, self.name)])
        self._id, self._meta = _NOWHERE, None
        super().drop()

    def __contains__(self, key: Any) -> bool:
        return self._row(document_key(key)) is not None

    def __getitem__(self, key: Any) -> Document:
        row = self._row(document_key(key))
        if row is None:
            raise KeyError(key)
        return _decode(row[1])

    def _row(self, key: bytes) -> Any:
        return self._connection.execute(
            "SELECT seq, body FROM documents WHERE collection = ? AND key = ?", (self._id, key)
        ).fetchone()

    def __setitem__(self, key: Any, document: Document) -> None:
        row = self._row(document_key(key))
        if row is None:
            self.insert(document)
        else:
            self.replace(_decode(row[1]), document)

    def insert(self, document: Document) -> bool:
        """Store a new document; False where its ``_id`` is there already."""
        cursor = self._connection.execute(
            "INSERT OR IGNORE INTO documents (collection, key, body) VALUES (?, ?, ?)",
            (self.identity, key := document_key(document["_id"]), _encode(document)),
        )
        if cursor.rowcount:
            self._ledger.add([(cursor.lastrowid, self.identity, key)])
            self._index(cursor.lastrowid or 0, document, self.indexed)
        return bool(cursor.rowcount)

    def replace(self, before: Document, after: Document) -> None:
        """Store ``after`` in the place of ``before``, which has the same ``_id``."""
        (seq,) = self._connection.execute(
            "UPDATE documents SET body = ? WHERE collection = ? AND key = ? RETURNING seq",
            (_encode(after), self._id, document_key(before["_id"])),
        ).fetchone()
        changed = {field for field in self.indexed if before.get(_top(field)) != after.get(_top(field))}
        gone = entries_of(self._id, seq, before, changed)
        self._connection.executemany(
            "DELETE FROM fields WHERE collection = ? AND field = ? AND value = ? AND seq = ?", gone
        )
        self._ledger.remove(gone)
        self._index(seq, after, changed)

    def _index(self, seq: int, document: Document, fields: set[str]) -> None:
        entries: set[Entry] = entries_of(self.identity, seq, document, fields)
        self._connection.executemany("INSERT INTO fields VALUES (?, ?, ?, ?)", entries)
        self._ledger.add(entries)

    def _delete_entries(self, where: str, values: Sequence[Any]) -> None:
        sql = f"DELETE FROM fields WHERE {where} RETURNING collection, field, value, seq"
        self._ledger.remove(self._connection.execute(sql, values).fetchall())

    def _delete_documents(self, where: str, values: Sequence[Any]) -> None:
        sql = f"DELETE FROM documents WHERE {where} RETURNING seq, collection, key"
        self._ledger.remove(self._connection.execute(sql, values).fetchall())

    def __delitem__(self, key: Any) -> None:
        row = self._row(document_key(key))
        if row is None:
            raise KeyError(key)
        self._delete_documents("seq = ?", (row[0],))
        self._delete_entries("seq = ?", (row[0],))

    def __len__(self) -> int:
        return self.count([])

    def count(self, exact: Sequence[Condition]) -> int:
        """How many documents meet exact conditions on indexed fields, from the indexes alone."""
        where, values = self._where(exact)
        found = self._connection.execute(f"SELECT COUNT(*) FROM documents WHERE {where}", values)
        return int(found.fetchone()[0])

    @property
    def documents(self) -> Iterator[Document]:
        """All documents in insertion order, decoded one at a time."""
        return self.meeting([])

    def meeting(self, conditions: Sequence[Condition]) -> Iterator[Document]:
        """Documents that meet conditions on indexed fields or ``_id``, in insertion order."""
        if not conditions:
            return (_decode(sealed) for _, sealed in self._rows())
        where, values = self._where(conditions)
        found = self._connection.execute(f"SELECT seq FROM documents WHERE {where} ORDER BY seq", values)
        return self._with_seqs([seq for (seq,) in found])

    def _where(self, conditions: Sequence[Condition]) -> tuple[str, list[Any]]:
        """SQL for all conditions: the narrowest gives the rows, the others are looked up for each of them."""
        if not conditions:
            return "collection = ?", [self._id]
        narrowest, *others = sorted(conditions, key=self._breadth)
        parts, values = [], []
        for condition in (narrowest, *others):
            marks = ",".join("?" * len(condition.keys))
            if condition.field == "_id":
                parts.append(f"collection = ? AND key IN ({marks})")
                values += [self._id, *condition.keys]
            else:
                entries = f"SELECT seq FROM fields WHERE collection = ? AND field = ? AND value IN ({marks})"
                is_first = condition is narrowest
                parts.append(
                    f"seq IN ({entries})" if is_first else f"EXISTS ({entries} AND seq = documents.seq)"
                )
                values += [self._id, condition.field, *condition.keys]
        return " AND ".join(parts), values

    def _breadth(self, condition: Condition) -> int:
        """How many rows a condition leaves, counted up to a bound."""
        if condition.field == "_id":
            return len(condition.keys)
        marks = ",".join("?" * len(condition.keys))
        return int(
            self._connection.execute(
                "SELECT COUNT(*) FROM (SELECT 1 FROM fields "
                f"WHERE collection = ? AND field = ? AND value IN ({marks}) LIMIT {_COUNTED})",
                (self._id, condition.field, *condition.keys),
            ).fetchone()[0]
        )

    def _with_seqs(self, seqs: list[int]) -> Iterator[Document]:
        """Documents that are still there, in pages that grow: often the first is all that is asked for.

        Other commands may run between pages.
        """
        remaining, size = iter(seqs), _FIRST_PAGE
        while page := list(islice(remaining, size)):
            size = min(4 * size, _PAGE)
            marks = ",".join("?" * len(page))
            found = self._connection.execute(
                f"SELECT body FROM documents WHERE seq IN ({marks}) ORDER BY seq", page
            ).fetchall()
            for (sealed,) in found:
                yield _decode(sealed)

    def in_order(self, seqs: Sequence[int]) -> list[Document]:
        """Documents by sequence number, in the order given."""
        marks = ",".join("?" * len(seqs))
        found = dict(
            self._connection.execute(f"SELECT seq, body FROM documents WHERE seq IN ({marks})", list(seqs))
        )
        return [_decode(found[seq]) for seq in seqs]

    @property
    def index(self) -> Index:
        """The equality index, for queries that it answers alone."""
        return Index(self._connection, self._id, self.indexed)

    def _rows(self) -> Iterator[tuple[int, bytes]]:
        last = 0
        while page := self._connection.execute(
            "SELECT seq, body FROM documents INDEXED BY by_collection "
            "WHERE collection = ? AND seq > ? ORDER BY seq LIMIT ?",
            (self._id, last, _PAGE),
        ).fetchall():
            yield from page
            last = page[-1][0]


def _fields_of(indexes: Document) -> set[str]:
    return {field for index in indexes.values() for field, _ in index["key"]}


def _top(field: str) -> str:
    return field.split(".")[0]


class StoredDatabase(DatabaseStore):
    """Collections of one database, opened when first named."""

    def __init__(self, connection: sqlite3.Connection, ledger: Ledger, name: str) -> None:
        super().__init__()
        self._connection, self._ledger, self._name = connection, ledger, name
        for (collection,) in connection.execute("SELECT name FROM collections WHERE database = ?", (name,)):
            self[collection]

    def __getitem__(self, name: str) -> StoredCollection:
        if name not in self._collections:
            self._collections[name] = StoredCollection(self._connection, self._ledger, self._name, name)
        return self._collections[name]

    def opened(self) -> list[StoredCollection]:
        """Collections that were named so far."""
        return list(self._collections.values())


class StoredServer(ServerStore):
    """All databases of one SQLite file."""

    def __init__(self, connection: sqlite3.Connection, ledger: Ledger) -> None:
        super().__init__()
        self._connection, self._ledger = connection, ledger
        self.forget()

    def __getitem__(self, name: str) -> StoredDatabase:
        if name not in self._databases:
            self._databases[name] = StoredDatabase(self._connection, self._ledger, name)
        return self._databases[name]

    def save_meta(self) -> None:
        """Store what the running command changed of indexes."""
        for database in list(self._databases.values()):
            for collection in database.opened():
                collection.save_meta()

    def forget(self) -> None:
        """Read everything anew, after a command was rolled back."""
        self._databases.clear()
        for (name,) in self._connection.execute("SELECT DISTINCT database FROM collections"):
            self[name]
