"""How long a job took, of the clock and of a processor."""

from __future__ import annotations

import os
import time
from typing import Any


class Watch:
    """When a job began, in which process, and what it took: the output of each job holds it."""

    def __init__(self) -> None:
        self._began, self._started, self._busy = time.time(), time.monotonic(), time.process_time()

    def read(self) -> dict[str, Any]:
        """``began``: s since the epoch; ``seconds``: of the clock; ``processor``: of all its threads."""
        return {
            "process": os.getpid(),
            "began": round(self._began, 3),
            "seconds": round(time.monotonic() - self._started, 3),
            "processor": round(time.process_time() - self._busy, 3),
        }
