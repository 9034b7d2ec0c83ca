"""How worker processes start: forked from one that has imported the libraries, which takes seconds."""

from __future__ import annotations

import os
import sys
from multiprocessing import forkserver, get_context
from multiprocessing.context import BaseContext

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
_PRELOAD = ["niobe.launchers.local.preload", "niobe.launchers.local.logged"]
_READ_WHEN_USED, _SET_BY_TORCH = "NIOBE_", ("KMP_", "TORCHINDUCTOR_")


class _Server:
    """The process that workers are forked from, one for each process that starts workers."""

    def __init__(self) -> None:
        self.environment: dict[str, str] | None = None

    def start(self, environment: dict[str, str]) -> None:
        """Start it with one thread for numerical libraries: threads do not survive a fork."""
        get_context("forkserver").set_forkserver_preload(_PRELOAD)
        before = {name: os.environ.get(name) for name in ONE_THREAD}
        os.environ.update(ONE_THREAD)
        try:
            forkserver.ensure_running()
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value
        self.environment = _seen_by_libraries(environment)


_server = _Server()


def worker_context(environment: dict[str, str]) -> BaseContext:
    """The start method of workers. environment: the variables that workers are to see.

    Libraries read variables as they are imported, so workers of another environment than the first are
    spawned, and import for themselves; what torch sets as it is imported makes no other. So they do off
    Linux, where system libraries do not outlive a fork. Niobe's own variables are read when they are used.
    """
    if sys.platform != "linux":
        return get_context("spawn")
    if _server.environment is None:
        _server.start(environment)
    is_same = _server.environment == _seen_by_libraries(environment)
    return get_context("forkserver" if is_same else "spawn")


def _seen_by_libraries(environment: dict[str, str]) -> dict[str, str]:
    left_out = (_READ_WHEN_USED, *_SET_BY_TORCH)
    return {name: value for name, value in environment.items() if not name.startswith(left_out)}
