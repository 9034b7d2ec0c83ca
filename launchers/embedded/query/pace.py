"""How long a command may take, and that others get their turn while it does."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

from niobe.launchers.embedded.commands.errors import CommandError

_MOST_SECONDS = 60.0  # of work for one command; MongoDB itself knows no bound
_TURN_SECONDS = 0.01  # a reader lets others in as often


class _Running(threading.local):
    """The command that this thread runs. lock: what it shares with others and hands on in between."""

    deadline = 0.0
    lock: threading.Lock | None = None
    turn_ends = 0.0


_running = _Running()


@contextlib.contextmanager
def limited(milliseconds: float | None, lock: threading.Lock | None = None) -> Iterator[None]:
    """Bound what runs inside by ``maxTimeMS``, where given, and by a minute.

    lock: held by the caller, and given to others for a moment now and then.
    """
    now = time.monotonic()
    _running.deadline = now + min(milliseconds / 1000 if milliseconds else _MOST_SECONDS, _MOST_SECONDS)
    _running.lock, _running.turn_ends = lock, now + _TURN_SECONDS
    try:
        yield
    finally:
        _running.lock = None


def tick() -> None:
    """To be called for each document that is looked at. Raises CommandError once the time is over."""
    now = time.monotonic()
    if now > _running.deadline:
        raise CommandError(50, "operation exceeded time limit")
    if _running.lock is not None and now > _running.turn_ends:
        with apart():
            time.sleep(0.0005)  # so that whoever waits gets the lock, not this thread again


@contextlib.contextmanager
def apart() -> Iterator[None]:
    """Work that needs no lock: others run meanwhile."""
    lock = _running.lock
    if lock is None:
        yield
        return
    lock.release()
    try:
        yield
    finally:
        lock.acquire()
        _running.turn_ends = time.monotonic() + _TURN_SECONDS
