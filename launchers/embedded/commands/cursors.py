"""Open cursors: results made as they are asked for, in batches a reply can hold."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from typing import Any

import bson
from bson import Int64
from bson.raw_bson import RawBSONDocument

from niobe.launchers.embedded.commands.errors import CommandError

Document = dict[str, Any]
_BATCH_BYTES = 12_000_000
_MOST_OPEN = 1_000
_IDLE_SECONDS = 600.0


class _OpenCursor:
    def __init__(self, namespace: str, documents: Iterator[Document]) -> None:
        self.namespace = namespace
        self._documents = documents
        self._ahead: RawBSONDocument | None = None
        self.used = time.monotonic()
        self._advance()

    def _advance(self) -> None:
        document = next(self._documents, None)
        self._ahead = None if document is None else RawBSONDocument(bson.encode(document))

    @property
    def is_done(self) -> bool:
        return self._ahead is None

    def batch(self, count: int | None) -> list[RawBSONDocument]:
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
    """The cursors clients left open. Those not asked for in ten minutes are forgotten, as MongoDB does."""

    def __init__(self) -> None:
        self._open: dict[int, _OpenCursor] = {}

    def first(self, namespace: str, documents: Iterator[Document], count: int, *, only: bool) -> Document:
        """The answer to find and aggregate. only: what does not fit in the first batch is not wanted."""
        cursor = _OpenCursor(namespace, documents)
        batch = cursor.batch(count)
        identifier = 0 if cursor.is_done or only else self._keep(cursor)
        return {"cursor": {"firstBatch": batch, "id": Int64(identifier), "ns": namespace}}

    def _keep(self, cursor: _OpenCursor) -> int:
        oldest = time.monotonic() - _IDLE_SECONDS
        self._open = {key: kept for key, kept in self._open.items() if kept.used > oldest}
        if len(self._open) >= _MOST_OPEN:
            self._open.pop(next(iter(self._open)))
        identifier = secrets.randbits(62) + 1  # so that none of an earlier server is found here
        self._open[identifier] = cursor
        return identifier

    def more(self, identifier: int, count: int | None) -> Document:
        """The answer to getMore. Raises CommandError where the cursor is not open."""
        cursor = self._open.get(identifier)
        if cursor is None:
            raise CommandError(43, f"cursor id {identifier} not found")
        batch = cursor.batch(count)
        if cursor.is_done:
            del self._open[identifier]
            identifier = 0
        return {"cursor": {"nextBatch": batch, "id": Int64(identifier), "ns": cursor.namespace}}

    def close(self, identifiers: list[int]) -> Document:
        """The answer to killCursors."""
        killed = [i for i in identifiers if self._open.pop(i, None) is not None]
        return {"cursorsKilled": killed, "cursorsNotFound": [i for i in identifiers if i not in killed]}
