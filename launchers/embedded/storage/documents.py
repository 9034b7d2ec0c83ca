"""Collections as rows of SQLite: memory and restart do not grow with them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import bson
from bson import DBRef

from niobe.launchers.embedded.commands.errors import CommandError, not_supported
from niobe.launchers.embedded.query.keys import key_of
from niobe.launchers.embedded.storage.indexing import Condition, Entry, arrays_in, entries_of
from niobe.launchers.embedded.storage.ledger import Ledger, seal, unseal
from niobe.launchers.embedded.storage.ordering import Index
from niobe.launchers.embedded.wire import CODEC, MAX_DOCUMENT_BYTES

Document = dict[str, Any]
Row = tuple[int, Document]
_FIRST_PAGE, _PAGE = 4, 256
_PAGE_BYTES = 250_000
"""What a page holds at most, and a document: each open cursor keeps one."""
_NOWHERE = -1
_COUNTED = 256
_FEW_BYTES = 20_000_000
_MOST_DEPTH = 180  # MongoDB's bound
_HOLDERS = {dict, list}


def _check_parts(holder: Any, depth: int = 0) -> None:
    """Raise CommandError for what is nested too deep, and for what BSON's decoder would change."""
    if depth > _MOST_DEPTH:
        raise CommandError(15, f"a document is nested deeper than {_MOST_DEPTH} levels")
    for part in holder.values() if type(holder) is dict else holder:
        if type(part) in _HOLDERS:
            _check_parts(part, depth + 1)
        elif type(part) is DBRef:
            raise not_supported("an object that begins with $ref")


def _encode(document: Document) -> bytes:
    _check_parts(document)
    body = bson.encode(document)
    if len(body) > MAX_DOCUMENT_BYTES:
        raise CommandError(10334, f"document of {len(body)} bytes; at most {MAX_DOCUMENT_BYTES} are allowed")
    return seal(body)


def _decode(sealed: bytes) -> Document:
    return bson.decode(unseal(sealed), codec_options=CODEC)


class View:
    """The database file as one command sees it. A cursor keeps its view; the next command lends it another
    connection.

    ledger: of the connection that writes; None where nothing may be written.
    """

    def __init__(self, connection: sqlite3.Connection, ledger: Ledger | None = None) -> None:
        self.connection, self.ledger = connection, ledger

    def databases(self) -> list[str]:
        """Names of the databases that hold something."""
        found = self.connection.execute("SELECT DISTINCT database FROM collections ORDER BY database")
        return [name for (name,) in found]

    def names(self, database: str) -> list[str]:
        """Names of the collections of a database."""
        found = self.connection.execute(
            "SELECT name FROM collections WHERE database = ? ORDER BY name", (database,)
        )
        return [name for (name,) in found]


class Documents:
    """The documents and indexes of one collection. Each document is decoded anew each time."""

    def __init__(self, view: View, database: str, name: str) -> None:
        self.view, self.database, self.name = view, database, name
        row = view.connection.execute(
            "SELECT id, meta FROM collections WHERE database = ? AND name = ?", (database, name)
        ).fetchone()
        self._id: int = row[0] if row else _NOWHERE
        self.indexes: dict[str, Document] = _decode(row[1])["indexes"] if row else {}

    @property
    def full_name(self) -> str:
        """Database and collection."""
        return f"{self.database}.{self.name}"

    @property
    def _connection(self) -> sqlite3.Connection:
        return self.view.connection

    @property
    def _ledger(self) -> Ledger:
        if self.view.ledger is None:
            raise CommandError(20, f"{self.full_name}: this command must not write")
        return self.view.ledger

    @property
    def is_created(self) -> bool:
        """Whether the collection is there, empty or not."""
        return self._id != _NOWHERE

    def is_still_there(self) -> bool:
        """Whether it has not been dropped meanwhile."""
        found = self._connection.execute("SELECT 1 FROM collections WHERE id = ?", (self._id,)).fetchone()
        return not self.is_created or found is not None

    def create(self) -> int:
        """The number of the collection, made when first written to."""
        if not self.is_created:
            cursor = self._connection.execute(
                "INSERT INTO collections (database, name, meta) VALUES (?, ?, ?)",
                (self.database, self.name, seal(bson.encode({"indexes": {}}))),
            )
            self._id = cursor.lastrowid or _NOWHERE
            self._ledger.add([(self._id, self.database, self.name)])
        return self._id

    def drop(self) -> None:
        """Remove the collection and all in it."""
        self._delete_entries("collection = ?", (self._id,))
        self._delete_documents("collection = ?", (self._id,))
        self._connection.execute("DELETE FROM collections WHERE id = ?", (self._id,))
        self._ledger.remove([(self._id, self.database, self.name)])
        self._id, self.indexes = _NOWHERE, {}

    def change_indexes(self, indexes: dict[str, Document]) -> None:
        """Keep other indexes than before, over what is there already too."""
        self.create()
        before, self.indexes = self.indexed, indexes
        self._connection.execute(
            "UPDATE collections SET meta = ? WHERE id = ?",
            (seal(bson.encode({"indexes": indexes})), self._id),
        )
        for field in before - self.indexed:
            self._delete_entries("collection = ? AND field IN (?, ?)", (self._id, field, arrays_in(field)))
        if self.indexed - before:
            for seq, document in self.meeting([]):
                self._add_entries(entries_of(self._id, seq, document, self.indexed - before))

    @property
    def indexed(self) -> set[str]:
        """Fields with an equality index."""
        return {field for index in self.indexes.values() for field, _ in index["key"]}

    @property
    def index(self) -> Index:
        """The equality index, for queries that it answers alone."""
        return Index(self._connection, self._id, self.indexed)

    def read(self, seq: int) -> Document | None:
        """The document of a number, or None where it is gone."""
        row = self._connection.execute(
            "SELECT body FROM documents WHERE seq = ? AND collection = ?", (seq, self._id)
        ).fetchone()
        return _decode(row[0]) if row else None

    def insert(self, document: Document) -> bool:
        """Store a new document; False where its ``_id`` is there already."""
        identity, key = self.create(), key_of(document["_id"])
        cursor = self._connection.execute(
            "INSERT OR IGNORE INTO documents (collection, key, body) VALUES (?, ?, ?)",
            (identity, key, _encode(document)),
        )
        if cursor.rowcount:
            self._ledger.add([(cursor.lastrowid, identity, key)])
            self._add_entries(entries_of(self._id, cursor.lastrowid or 0, document, self.indexed))
        return bool(cursor.rowcount)

    def replace(self, seq: int, before: Document, after: Document) -> None:
        """Store ``after`` in the place of ``before``, which has the same ``_id``.

        seq: number of the document.
        """
        self._connection.execute("UPDATE documents SET body = ? WHERE seq = ?", (_encode(after), seq))
        known, wanted = (entries_of(self._id, seq, one, self.indexed) for one in (before, after))
        self._connection.executemany(
            "DELETE FROM fields WHERE collection = ? AND field = ? AND value = ? AND seq = ?", known - wanted
        )
        self._ledger.remove(known - wanted)
        self._add_entries(wanted - known)

    def delete(self, seq: int) -> None:
        """Remove a document."""
        self._delete_documents("seq = ?", (seq,))
        self._delete_entries("seq = ?", (seq,))

    def _add_entries(self, entries: set[Entry]) -> None:
        self._connection.executemany("INSERT INTO fields VALUES (?, ?, ?, ?)", entries)
        self._ledger.add(entries)

    def _delete_entries(self, where: str, values: Sequence[Any]) -> None:
        sql = f"DELETE FROM fields WHERE {where} RETURNING collection, field, value, seq"
        self._ledger.remove(self._connection.execute(sql, values).fetchall())

    def _delete_documents(self, where: str, values: Sequence[Any]) -> None:
        sql = f"DELETE FROM documents WHERE {where} RETURNING seq, collection, key"
        self._ledger.remove(self._connection.execute(sql, values).fetchall())

    def count(self, exact: Sequence[Condition]) -> int:
        """How many documents meet exact conditions on indexed fields, from the indexes alone."""
        where, values = self._where(exact)
        found = self._connection.execute(f"SELECT COUNT(*) FROM documents WHERE {where}", values)
        return int(found.fetchone()[0])

    def are_few(self, conditions: Sequence[Condition]) -> bool:
        """Whether so few and small documents meet conditions that looking at them takes no time."""
        where, values = self._where(conditions)
        sql = f"SELECT LENGTH(body) AS size FROM documents WHERE {where} LIMIT {_COUNTED}"
        found = self._connection.execute(f"SELECT COUNT(*), TOTAL(size) FROM ({sql})", values).fetchone()
        return bool(found[0] < _COUNTED and found[1] < _FEW_BYTES)

    def meeting(self, conditions: Sequence[Condition]) -> Iterator[Row]:
        """Documents that meet conditions on indexed fields or ``_id``, in insertion order, by number."""
        if not conditions:
            return self._all()
        where, values = self._where(conditions)
        found = self._connection.execute(f"SELECT seq FROM documents WHERE {where} ORDER BY seq", values)
        return self.numbered([seq for (seq,) in found])

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

    def numbered(self, seqs: Sequence[int]) -> Iterator[Row]:
        """Documents by number, in the order given, without those that are gone by then.

        They are read in pages that grow: often the first is all that is asked for.
        """
        remaining, size = iter(seqs), _FIRST_PAGE
        while page := list(islice(remaining, size)):
            size = min(4 * size, _PAGE)
            for part in _parts(self._connection, page):
                found = dict(_columns(self._connection, "seq, body", part))
                for seq in part:
                    if seq in found:
                        yield seq, _decode(found[seq])

    def _all(self) -> Iterator[Row]:
        last = 0
        while page := _page_after(self._connection, self._id, last):
            for seq, sealed in page:
                yield seq, _decode(sealed)
            last = page[-1][0]


def _parts(connection: sqlite3.Connection, page: list[int]) -> Iterator[list[int]]:
    """A page in parts, each of which holds no more bytes than a page may."""
    if len(page) <= _FIRST_PAGE:
        yield page
        return
    sizes, held = dict(_columns(connection, "seq, LENGTH(body)", page)), 0
    part: list[int] = []
    for seq in page:
        part.append(seq)
        held += sizes.get(seq, 0)
        if held > _PAGE_BYTES:
            yield part
            part, held = [], 0
    yield part


def _columns(connection: sqlite3.Connection, names: str, seqs: list[int]) -> sqlite3.Cursor:
    marks = ",".join("?" * len(seqs))
    return connection.execute(f"SELECT {names} FROM documents WHERE seq IN ({marks})", seqs)


def _page_after(connection: sqlite3.Connection, identity: int, last: int) -> list[tuple[int, bytes]]:
    """Documents of a collection whose numbers come after one: as many as a page may hold."""
    found = connection.execute(
        "SELECT seq, body FROM documents INDEXED BY by_collection "
        "WHERE collection = ? AND seq > ? ORDER BY seq LIMIT ?",
        (identity, last, _PAGE),
    )
    page: list[tuple[int, bytes]] = []
    held = 0
    for seq, sealed in found:
        page.append((seq, sealed))
        held += len(sealed)
        if held > _PAGE_BYTES:
            break
    found.close()
    return page
