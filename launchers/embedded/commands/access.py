"""Reading and writing the database for one command: readers beside one writer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from niobe.launchers.embedded.commands.cursors import Cursors
from niobe.launchers.embedded.commands.errors import CommandError
from niobe.launchers.embedded.query.pace import limited
from niobe.launchers.embedded.storage.collection import Collection
from niobe.launchers.embedded.storage.documents import View
from niobe.launchers.embedded.storage.file import DatabaseFile

Document = dict[str, Any]
_TURN_SECONDS = 0.2
_PAUSE_SECONDS = 0.0005  # so that whoever waits gets the lock, not the same thread again


class Access:
    """The file, the open cursors, and whose turn it is to write."""

    def __init__(self, file: DatabaseFile) -> None:
        self.file = file
        self.cursors = Cursors()
        self._writing = threading.Lock()
        self._is_closed = False

    def close(self) -> None:
        """Close the file once the running write is done."""
        with self._writing:
            self._is_closed = True
            self.file.close()

    @contextmanager
    def reading(self, command: Document, view: View | None = None) -> Iterator[View]:
        """The database as it is now, in the time that the command allows. view: a cursor's, to go on with."""
        self._require_open()
        with limited(command.get("maxTimeMS")), self.file.reading() as connection:
            view = view or View(connection)
            view.connection = connection
            yield view

    @contextmanager
    def writing(self) -> Iterator[View]:
        """The database to write to: all that is written inside is kept, or nothing."""
        with self._writing:
            self._require_open()
            with self.file.transaction():
                yield View(self.file.connection, self.file.ledger)

    def in_turns(self, command: Document, step: Callable[[Collection], bool]) -> None:
        """Take steps until one says that it was the last: in one transaction or, where that takes long, in
        several with others in between.
        """
        is_done = False
        while not is_done:
            with self.writing() as view:
                target, ends = named(view, command), time.monotonic() + _TURN_SECONDS
                while not is_done and time.monotonic() < ends:
                    is_done = step(target)
            time.sleep(0 if is_done else _PAUSE_SECONDS)

    def compact(self) -> None:
        """Give back the room of deleted documents."""
        with self._writing:
            self._require_open()
            self.file.compact()

    def _require_open(self) -> None:
        if self._is_closed:
            raise CommandError(11600, "the database is stopping")


def named(view: View, command: Document) -> Collection:
    """The collection that a command names."""
    name = command[next(iter(command))]
    if not isinstance(name, str) or not name or name.startswith("$") or "\0" in name:
        raise CommandError(73, f"Invalid collection name: {name!r}")
    return Collection(view, command["$db"], name)
