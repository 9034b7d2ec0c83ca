"""MongoDB's commands on mongomock-ng: one transaction a command, on disk before it is answered."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mongomock_ng import MongoClient

from niobe.launchers.embedded.commands.cursors import Cursors
from niobe.launchers.embedded.commands.errors import CommandError, as_answer
from niobe.launchers.embedded.commands.refusals import refuse_operators, refuse_options
from niobe.launchers.embedded.query.pace import limited
from niobe.launchers.embedded.query.patterns import linear
from niobe.launchers.embedded.storage.collection import IndexedCollection
from niobe.launchers.embedded.storage.documents import StoredServer
from niobe.launchers.embedded.storage.file import DatabaseFile, storage_errors

Document = dict[str, Any]
Handler = Callable[["Engine", Document], Document]
_WRITING_STAGES = {"$out", "$merge"}


@dataclass(frozen=True)
class Commands:
    """Commands by name. at_once: of the handshake; clients give up a server that leaves them waiting."""

    at_once: Mapping[str, Handler]
    reads: Mapping[str, Handler]
    writes: Mapping[str, Handler]

    def named(self, given: str) -> tuple[str, Handler]:
        """A command's own name and what answers it. Raises CommandError for one that there is not."""
        every = {**self.at_once, **self.reads, **self.writes}
        name = next((name for name in every if name.lower() == given.lower()), None)
        if name is None:
            raise CommandError(59, f"no such command: '{given}'")
        return name, every[name]


class Engine:
    """Runs commands one at a time."""

    def __init__(self, file: DatabaseFile, commands: Commands) -> None:
        self.file = file
        self._commands = commands
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
        name, handler = self._commands.named(next(iter(command)))
        refuse_options(command)
        if name != "insert":
            refuse_operators(command)
            command = linear(command)
        if name in self._commands.at_once:
            return handler(self, command)
        is_write = self._is_write(name, command)
        with self.lock:
            if self._is_closed:
                raise CommandError(11600, "the database is stopping")
            with limited(command.get("maxTimeMS"), None if is_write else self.lock):
                answer = self._write(handler, command) if is_write else self._read(handler, command)
        if is_write:
            self.file.settle()
        return answer

    def _read(self, handler: Handler, command: Document) -> Document:
        with storage_errors(str(self.file.path)):
            return handler(self, command)

    def _write(self, handler: Handler, command: Document) -> Document:
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

    def _is_write(self, name: str, command: Document) -> bool:
        if name == "aggregate":
            return any(_WRITING_STAGES & set(stage) for stage in command["pipeline"])
        return name in self._commands.writes
