"""A rocket worker: ``python -m niobe.launchers.fireworks.worker FOLDER SUPERVISOR`` flies rockets there."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from niobe.launchers.fireworks.pad import open_launchpad
from niobe.launchers.local.executor import job_store, start_worker
from niobe.launchers.services import ensure_database
from niobe.launchers.terminal import say

_IDLE_LEAST, _IDLE_MOST = 0.03, 0.3
"""Seconds between two looks for work: a fifth of how long there was none. Most steps that a worker waits for
are over in less than a second."""
_LOST_SECONDS = 1.0
_UNREADABLE = (ValueError, LookupError, TypeError, AttributeError)
"""What FireWorks raises at a document of another shape; at a lost connection also RuntimeError."""


class Stop:
    """Set by SIGTERM: no further rocket is launched."""

    def __init__(self) -> None:
        self.asked = False
        signal.signal(signal.SIGTERM, self._ask)

    def _ask(self, *_: object) -> None:
        self.asked = True


def fly(folder: Path, stop: Stop) -> None:
    """Launch one rocket after the other in ``folder`` until told to stop."""
    from fireworks.core.fworker import FWorker
    from fireworks.core.rocket_launcher import launch_rocket

    folder.mkdir(parents=True, exist_ok=True)
    _use_campaign_store()
    launchpad, fworker, busy = open_launchpad(), FWorker.auto_load(), time.monotonic()
    while not stop.asked:
        os.chdir(folder)
        if _launch(launch_rocket, launchpad, fworker, folder):
            busy = time.monotonic()
        else:
            time.sleep(min(max((time.monotonic() - busy) / 5, _IDLE_LEAST), _IDLE_MOST))


def _launch(launch_rocket: Any, launchpad: Any, fworker: Any, folder: Path) -> bool:
    """Whether a rocket flew; what a lost connection, or a document that cannot be read, left of it is handed
    back."""
    from pymongo.errors import PyMongoError

    from niobe.launchers.fireworks.sweep import hand_back

    try:
        return launchpad.run_exists(fworker) and bool(launch_rocket(launchpad, fworker, strm_lvl="WARNING"))
    except (PyMongoError, RuntimeError, *_UNREADABLE) as error:
        say(f"rocket lost: {type(error).__name__}: {error}", error=True)
        time.sleep(_LOST_SECONDS)
        ensure_database()
        hand_back(launchpad, str(folder))
        return False


def _use_campaign_store() -> None:
    """jobflow's store in the campaign database, unless the user's own configuration names one."""
    import jobflow

    named = {"JOBFLOW_CONFIG_FILE", "JOBFLOW_JOB_STORE"} & {name.upper() for name in os.environ}
    if not named and not Path("~/.jobflow.yaml").expanduser().exists():
        jobflow.SETTINGS.JOB_STORE = job_store()


def run(arguments: list[str]) -> None:
    """The worker process of ``FOLDER SUPERVISOR``, which ends with its supervisor."""
    start_worker(int(arguments[2]))
    fly(Path(arguments[1]), Stop())
    sys.stdout.flush()
    os._exit(0)  # taking down all that was imported takes a second, and nothing is left to store


if __name__ == "__main__":
    run(sys.argv)
