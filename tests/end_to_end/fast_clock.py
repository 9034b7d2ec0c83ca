"""Rockets of a host whose clock is ahead, or behind; sweeps and workers see it so.

``python -m tests.end_to_end.fast_clock rockets N`` is `niobe rockets N` there, SECONDS_AHEAD or five minutes.
"""

from __future__ import annotations

import datetime as clock
import os
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.end_to_end.changed_rockets import main

AHEAD = float(os.environ.get("SECONDS_AHEAD", "300"))


def put_ahead() -> None:
    """From here on this process reads a clock that is off; what elapses is as it was.

    Libraries in C and models of documents are imported before: they look at what a datetime is.
    """
    import niobe.launchers.fireworks.rockets
    import niobe.launchers.local.preload  # noqa: F401

    now = time.time

    class Kind(type):
        def __instancecheck__(cls, instance: object) -> bool:
            return isinstance(instance, datetime)

    class Ahead(datetime, metaclass=Kind):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(tz) + timedelta(seconds=AHEAD)

        @classmethod
        def utcnow(cls) -> Any:
            return datetime.now(UTC).replace(tzinfo=None) + timedelta(seconds=AHEAD)

    clock.datetime = Ahead  # type: ignore[misc]
    time.time = lambda: now() + AHEAD


if __name__ == "__main__":
    put_ahead()
    main("tests.end_to_end.fast_clock", lambda: None)
