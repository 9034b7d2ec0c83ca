"""Time and memory that a test allows."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def bounded(megabytes: int = 300, seconds: float = 10) -> Iterator[None]:
    """What is done within takes no more of the processor's time, and makes the process no larger."""
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    yield
    assert time.process_time() - began < seconds
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < megabytes * 2**10
