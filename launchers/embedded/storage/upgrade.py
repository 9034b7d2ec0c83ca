"""A file of an earlier layout, its keys and indexes made anew."""

from __future__ import annotations

import sqlite3

import bson

from niobe.launchers.embedded.query.keys import key_of
from niobe.launchers.embedded.storage.indexing import entries_of
from niobe.launchers.embedded.storage.ledger import Ledger, unseal
from niobe.launchers.embedded.wire import CODEC


def rebuild(connection: sqlite3.Connection, ledger: Ledger) -> None:
    """Write the keys, the index entries and the sum over all rows as this version has them."""
    connection.execute("DELETE FROM fields")
    for identity, database, name, meta in connection.execute(
        "SELECT id, database, name, meta FROM collections"
    ).fetchall():
        ledger.add([(identity, database, name)])
        indexes = bson.decode(unseal(meta), CODEC)["indexes"].values()
        fields = {field for index in indexes for field, _ in index["key"]}
        _rebuild_collection(connection, ledger, identity, fields)


def _rebuild_collection(
    connection: sqlite3.Connection, ledger: Ledger, identity: int, fields: set[str]
) -> None:
    seqs = connection.execute("SELECT seq FROM documents WHERE collection = ?", (identity,)).fetchall()
    for (seq,) in seqs:
        (body,) = connection.execute("SELECT body FROM documents WHERE seq = ?", (seq,)).fetchone()
        document = bson.decode(unseal(body), CODEC)
        key = key_of(document["_id"])
        connection.execute("UPDATE documents SET key = ? WHERE seq = ?", (key, seq))
        entries = entries_of(identity, seq, document, fields)
        connection.executemany("INSERT INTO fields VALUES (?, ?, ?, ?)", entries)
        ledger.add([(seq, identity, key)])
        ledger.add(entries)
