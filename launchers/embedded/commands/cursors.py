"""Open cursors: results made as they are asked for, in batches a reply can hold."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import bson
from bson import Int64
from bson.raw_bson import RawBSONDocument

from niobe.launchers.embedded.commands.errors import CommandError
from niobe.launchers.embedded.storage.documents import Documents, View
from niobe.launchers.embedded.wire import MAX_DOCUMENT_BYTES

Document = dict[str, Any]
_BATCH_BYTES = 12_000_000
_MOST_OPEN, _MOST_HELD_BYTES = 1_000, 64_000_000
_IDLE_SECONDS = 600.0


@dataclass
class Cursor:
    """Documents still to come from a collection, and the view that they are read through."""

    source: Documents
    documents: Iterator[Document]
    used: float = field(default_factory=time.monotonic)
    _ahead: RawBSONDocument | None = None

    def __post_init__(self) -> None:
        """Look at the first."""
        self._advance()

    @property
    def view(self) -> View:
        """To be lent a connection for each batch."""
        return self.source.view

    def _advance(self) -> None:
        document = next(self.documents, None)
        body = None if document is None else bson.encode(document)
        if body is not None and len(body) > MAX_DOCUMENT_BYTES:
            raise CommandError(
                10334, f"a result of {len(body)} bytes; at most {MAX_DOCUMENT_BYTES} are allowed"
            )
        self._ahead = None if body is None else RawBSONDocument(body)

    @property
    def held_bytes(self) -> int:
        """Of the document that comes next."""
        return 0 if self._ahead is None else len(self._ahead.raw)

    @property
    def is_done(self) -> bool:
        """Whether nothing is left."""
        return self._ahead is None

    def batch(self, count: int | None) -> list[RawBSONDocument]:
        """The next documents, as many as asked for and a reply can hold."""
        if not self.source.is_still_there():
            raise CommandError(175, f"collection dropped: {self.source.full_name}")
        self.used = time.monotonic()
        taken: list[RawBSONDocument] = []
        size = 0
        while self._ahead is not None and (count is None or len(taken) < count):
            size += len(self._ahead.raw)
            if size > _BATCH_BYTES and taken:
                break
            taken.append(self._ahead)
            self._advance()
        return taken


class Cursors:
    """The cursors clients left open. Those not asked for in ten minutes are forgotten, as MongoDB does, and
    the oldest where there are too many, or they hold too much."""

    def __init__(self) -> None:
        self._open: dict[int, Cursor] = {}
        self._lock = threading.Lock()

    def keep(self, cursor: Cursor, identifier: int = 0) -> int:
        """Keep a cursor that is not done; its number is one that no cursor had, of this server or another."""
        with self._lock:
            oldest = time.monotonic() - _IDLE_SECONDS
            self._open = {key: kept for key, kept in self._open.items() if kept.used > oldest}
            held = cursor.held_bytes + sum(kept.held_bytes for kept in self._open.values())
            while self._open and (len(self._open) >= _MOST_OPEN or held > _MOST_HELD_BYTES):
                held -= self._open.pop(next(iter(self._open))).held_bytes
            identifier = identifier or secrets.randbits(62) + 1
            self._open[identifier] = cursor
        return identifier

    def take(self, identifier: int, collection: str) -> Cursor:
        """A cursor of a collection, for one client at a time. Raises CommandError where it is not open, or of
        another collection.

        collection: with its database.
        """
        with self._lock:
            cursor = self._open.get(identifier)
            if cursor is not None and cursor.source.full_name != collection:
                raise CommandError(13, f"cursor id {identifier} is of another collection")
            self._open.pop(identifier, None)
        if cursor is None:
            raise CommandError(43, f"cursor id {identifier} not found")
        return cursor

    def close(self, identifiers: list[int]) -> Document:
        """The answer to killCursors."""
        with self._lock:
            killed = [i for i in identifiers if self._open.pop(i, None) is not None]
        return {
            "cursorsKilled": [Int64(i) for i in killed],
            "cursorsNotFound": [Int64(i) for i in identifiers if i not in killed],
        }
