"""How long a command may take, and that quick commands do not wait for slow ones."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Iterator

from niobe.launchers.embedded.commands.errors import CommandError

_MOST_SECONDS = 60.0  # of work for one command; MongoDB itself knows no bound
_QUICK_SECONDS = 0.05  # of work, not of waiting: a quick command that others kept waiting is quick still
_SLOW_AT_ONCE = 2
_slow = threading.BoundedSemaphore(_SLOW_AT_ONCE)


class _Running(threading.local):
    """The command that this thread runs."""

    deadline = math.inf
    slow_from = math.inf  # by the thread's own processor time
    may_be_slow_from = math.inf  # by the clock, which costs less to ask


_running = _Running()


@contextlib.contextmanager
def limited(milliseconds: float | None = None, *, is_write: bool = False) -> Iterator[None]:
    """Bound what runs inside by ``maxTimeMS``, where given, and by a minute.

    Reads that take longer than an instant go on two at a time, so that any number of them leaves others
    their share of the interpreter. A write holds what others wait for, and is never made to wait.
    """
    now = time.monotonic()
    _running.deadline = now + min(milliseconds / 1000 if milliseconds else _MOST_SECONDS, _MOST_SECONDS)
    if not is_write:
        _running.slow_from = time.thread_time() + _QUICK_SECONDS
        _running.may_be_slow_from = now + _QUICK_SECONDS
    was_quick = _running.slow_from
    try:
        yield
    finally:
        if _running.slow_from != was_quick:
            _slow.release()
        _running.deadline = _running.slow_from = _running.may_be_slow_from = math.inf


def tick() -> None:
    """To be called for each step of work. Raises CommandError once the time is over."""
    now = time.monotonic()
    if now > _running.may_be_slow_from and time.thread_time() > _running.slow_from:
        _go_on_as_slow(now)
    if now > _running.deadline:
        raise CommandError(50, "operation exceeded time limit")


def _go_on_as_slow(now: float) -> None:
    if _slow.acquire(timeout=max(0.0, _running.deadline - now)):
        _running.slow_from = _running.may_be_slow_from = math.inf
