"""Rockets one of whose workers stops (SIGSTOP) as it has chosen a batch; NIOBE_HOME/stopped has its pid.

``python -m tests.end_to_end.stopped_worker rockets N`` is `niobe rockets N`.
"""

from __future__ import annotations

import os
import signal
from typing import Any

from niobe.config.settings import Settings
from tests.end_to_end.changed_rockets import main


def stop_once() -> None:
    """From here on the first worker of all that has chosen a batch stops until someone wakes it."""
    from niobe.flows.steps.acquisition import acquire as acquiring

    choose = acquiring._choose

    def choosing(database: Any, spec: Any, number: int) -> Any:
        chosen = choose(database, spec, number)
        if _first():
            os.kill(os.getpid(), signal.SIGSTOP)
        return chosen

    acquiring._choose = choosing


def _first() -> bool:
    try:
        with (Settings().home / "stopped").open("x", encoding="utf-8") as file:
            file.write(str(os.getpid()))
    except FileExistsError:
        return False
    return True


if __name__ == "__main__":
    main("tests.end_to_end.stopped_worker", stop_once)
