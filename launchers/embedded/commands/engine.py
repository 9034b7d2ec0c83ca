"""MongoDB's commands on mongomock-ng: one transaction a command, on disk before it is answered."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from mongomock_ng import MongoClient

from niobe.launchers.embedded.commands import catalog, reads, writes
from niobe.launchers.embedded.commands.cursors import Cursors
from niobe.launchers.embedded.commands.errors import CommandError, as_answer
from niobe.launchers.embedded.commands.refusals import refuse_operators, refuse_options
from niobe.launchers.embedded.query.pace import limited
from niobe.launchers.embedded.query.patterns import linear
from niobe.launchers.embedded.storage.collection import IndexedCollection
from niobe.launchers.embedded.storage.documents import StoredServer
from niobe.launchers.embedded.storage.file import DatabaseFile, storage_errors
from niobe.launchers.embedded.wire import MAX_DOCUMENT_BYTES, MAX_MESSAGE_BYTES

Document = dict[str, Any]
_WRITING_STAGES = {"$out", "$merge"}


class Engine:
    """Runs commands one at a time."""

    def __init__(self, file: DatabaseFile) -> None:
        self.file = file
        self.lock = threading.Lock()
        with storage_errors(str(file.path)):
            self.store = StoredServer(file.connection, file.ledger)
        self.cursors = Cursors()
        self._is_closed = False
        self._forget()

    def close(self) -> None:
        """Close the file once the running command is done."""
        with self.lock:
            self._is_closed = True
            self.file.close()

    def run(self, command: Document) -> Document:
        """Answer one command; every failure is an answer with ok: 0."""
        try:
            return {**self._run(command), "ok": 1.0}
        except Exception as error:  # noqa: BLE001 - a client's command must never end the server
            return as_answer(error)

    def _run(self, command: Document) -> Document:
        given = next(iter(command))
        name = _CASE_FREE.get(given.lower(), given)
        handler = _HANDLERS.get(name)
        if handler is None:
            raise CommandError(59, f"no such command: '{given}'")
        refuse_options(command)
        if name != "insert":
            refuse_operators(command)
            command = linear(command)
        if name in _HANDSHAKE:
            return handler(self, command)
        is_write = _is_write(name, command)
        with self.lock:
            if self._is_closed:
                raise CommandError(11600, "the database is stopping")
            with limited(command.get("maxTimeMS"), None if is_write else self.lock):
                answer = self._write(handler, command) if is_write else self._read(handler, command)
        if is_write:
            self.file.settle()
        return answer

    def _read(self, handler: _Handler, command: Document) -> Document:
        with storage_errors(str(self.file.path)):
            return handler(self, command)

    def _write(self, handler: _Handler, command: Document) -> Document:
        try:
            with self.file.transaction():
                answer = handler(self, command)
                self.store.save_meta()
        except BaseException:
            self.store.forget()
            self._forget()
            raise
        return answer

    def _forget(self) -> None:
        """Open collections anew: what they knew was rolled back."""
        self._client: MongoClient[Document] = MongoClient(_store=self.store)
        self._collections: dict[tuple[str, str], IndexedCollection] = {}

    def collection(self, command: Document) -> IndexedCollection:
        """The collection a command names."""
        name = command[next(iter(command))]
        if not isinstance(name, str) or not name or name.startswith("$") or "\0" in name:
            raise CommandError(73, f"Invalid collection name: {name!r}")
        key = (command["$db"], name)
        if key not in self._collections:
            database = self._client[command["$db"]]
            self._collections[key] = IndexedCollection(
                database, name=name, _db_store=self.store[command["$db"]]
            )
            database._collection_accesses[name] = self._collections[key]
        return self._collections[key]


def hello(engine: Engine, command: Document) -> Document:
    """The handshake: what this server can do (no sessions, so no transactions)."""
    return {
        "helloOk": True,
        "ismaster": True,
        "isWritablePrimary": True,
        "maxBsonObjectSize": MAX_DOCUMENT_BYTES,
        "maxMessageSizeBytes": MAX_MESSAGE_BYTES,
        "maxWriteBatchSize": 100_000,
        "localTime": datetime.now(UTC),
        "minWireVersion": 0,
        "maxWireVersion": 21,
        "readOnly": False,
    }


def build_info(engine: Engine, command: Document) -> Document:
    """Says plainly what this is."""
    return {"version": "7.0.0", "versionArray": [7, 0, 0, 0], "modules": ["niobe-embedded"], "bits": 64}


def compact(engine: Engine, command: Document) -> Document:
    """Give back the room of deleted documents, of all collections; other commands wait meanwhile."""
    engine.file.compact()
    return {}


def nothing(engine: Engine, command: Document) -> Document:
    """Commands that need no answer but ok."""
    return {}


_Handler = Callable[[Engine, Document], Document]
_WRITES = writes.WRITES | catalog.WRITES
_HANDSHAKE: dict[str, _Handler] = {  # answered at once: clients give up a server that leaves them waiting
    "hello": hello,
    "isMaster": hello,
    "buildInfo": build_info,
    "ping": nothing,
    "endSessions": nothing,
}
_HANDLERS: dict[str, _Handler] = {
    **_HANDSHAKE,
    **reads.READS,
    **catalog.READS,
    **_WRITES,
    "compact": compact,
}
_CASE_FREE = {name.lower(): name for name in _HANDLERS}


def _is_write(name: str, command: Document) -> bool:
    if name == "aggregate":
        return any(_WRITING_STAGES & set(stage) for stage in command["pipeline"])
    return name in _WRITES
