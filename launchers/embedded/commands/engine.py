"""MongoDB's commands on SQLite: on disk before a write is answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from niobe.launchers.embedded.commands import catalog, handshake, reads, writes
from niobe.launchers.embedded.commands.access import Access
from niobe.launchers.embedded.commands.errors import CommandError, as_answer
from niobe.launchers.embedded.commands.options import refuse_options

Document = dict[str, Any]


class Engine(Access):
    """Runs commands: any number that read, one at a time that writes."""

    def run(self, command: Document) -> Document:
        """Answer one command; every failure is an answer with ok: 0."""
        try:
            return {**self._run(command), "ok": 1.0}
        except Exception as error:  # noqa: BLE001 - a client's command must never end the server
            return as_answer(error)

    def _run(self, command: Document) -> Document:
        given = next(iter(command))
        name = _CASE_FREE.get(given.lower(), given)
        if name in handshake.COMMANDS:
            return handshake.COMMANDS[name](command)
        handler = _HANDLERS.get(name)
        if handler is None:
            raise CommandError(59, f"no such command: '{given}'")
        refuse_options(name, command)
        answer = handler(self, command)
        if name in _WRITES:
            self.file.settle()
        return answer


_WRITES: dict[str, Callable[[Access, Document], Document]] = {**writes.COMMANDS, **catalog.WRITES}
_HANDLERS = {**reads.COMMANDS, **catalog.READS, **_WRITES}
_CASE_FREE = {name.lower(): name for name in (*_HANDLERS, *handshake.COMMANDS)}
