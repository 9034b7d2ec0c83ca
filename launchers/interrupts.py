"""Ctrl-C from the first line of a command on: one line and code 130, never a traceback."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

CODE = 130
_SOON = 0.05  # s


class Interrupted(KeyboardInterrupt):
    """An interrupt that Python does not mistake for one nobody caught.

    It notes a KeyboardInterrupt, but no subclass of it, that leaves code compiled from a string, as
    dataclasses and named tuples are, and then ends the process by SIGINT, whatever exit code was asked for.
    """


def end_at_once() -> None:
    """Ctrl-C ends the process: nothing has begun that could be left half done."""
    signal.signal(signal.SIGINT, _end)


def interrupt() -> None:
    """Ctrl-C raises Interrupted, so that what has begun is closed."""
    signal.signal(signal.SIGINT, _raise)
    sys.unraisablehook = _raise_again


@contextmanager
def held_back() -> Iterator[None]:
    """A Ctrl-C that comes meanwhile counts once this is over, when nothing is left half begun."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if came:
            signal.raise_signal(signal.SIGINT)


def pass_over() -> None:
    """Ctrl-C does nothing: the command has said its last word, and only connections are being closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _end(*_: object) -> None:
    _say()
    os._exit(CODE)


def _raise(*_: object) -> None:
    _say()
    raise Interrupted


def _raise_again(lost: sys.UnraisableHookArgs) -> None:
    """Python drops what is raised in a destructor, or as a weak reference ends: the interrupt comes again."""
    if isinstance(lost.exc_value, Interrupted):
        threading.Timer(_SOON, os.kill, (os.getpid(), signal.SIGINT)).start()
    else:
        sys.__unraisablehook__(lost)


def _say() -> None:
    """On stderr, past Python's buffers, which the interrupted code may hold."""
    os.write(2, b"\nniobe: interrupted; the same command goes on where it was\n")
