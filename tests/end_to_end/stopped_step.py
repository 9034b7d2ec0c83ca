"""A worker that runs one job of a round and stops itself (SIGSTOP) before a command of its is sent."""

from __future__ import annotations

import os
import signal
from multiprocessing.connection import Connection
from typing import Any, Literal

from pymongo import monitoring

Moment = Literal["write", "question"]
"""``write``: as it writes, all questions answered. ``question``: as it asks whether its claim is held."""
Named = tuple[str, tuple[Any, ...], dict[str, Any]]
_WRITES = frozenset({"insert", "update", "delete", "findAndModify"})


class Watcher(monitoring.CommandListener):
    """Counts the commands of a kind that this process sends."""

    def __init__(self, moment: Moment) -> None:
        """moment: which commands."""
        self._moment = moment
        self.count = 0

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        """Called before a command is sent."""
        if self._is_one(event):
            self.count += 1
            self.reached()

    def reached(self) -> None:
        """One more is about to be sent."""

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Of no interest."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Of no interest."""

    def _is_one(self, event: monitoring.CommandStartedEvent) -> bool:
        if self._moment == "write":
            return event.command_name in _WRITES
        asked = event.command.get("filter", {})
        return event.command_name == "find" and any(key.startswith("claims.") for key in asked)


class _Stop(Watcher):
    """Stops this process before one of them."""

    def __init__(self, moment: Moment, at: int, said: Connection) -> None:
        super().__init__(moment)
        self._at, self._said = at, said

    def reached(self) -> None:
        """Says so, and stops until someone wakes it."""
        if self.count == self._at:
            self._said.send(None)
            os.kill(os.getpid(), signal.SIGSTOP)


def work(said: Connection, environment: dict[str, str], job: Named, moment: Moment, at: int) -> None:
    """Run a job. Says None before it stops, and the error it ended with, "" without one.

    environment: variables it is to see. job: its name in ``flows.jobs`` and its arguments. moment, at: the
    command of which kind it stops before, from 1.
    """
    os.environ.update(environment)
    monitoring.register(_Stop(moment, at, said))
    from niobe.flows import jobs

    name, arguments, named = job
    try:
        getattr(jobs, name).original(*arguments, **named)
    except Exception as error:  # noqa: BLE001 - told to the test
        said.send(f"{type(error).__name__}: {error}")
    else:
        said.send("")
