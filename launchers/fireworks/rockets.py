"""The rockets of one machine: worker processes, kept alive, with what they do on one screen."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from niobe.config.errors import ConfigError
from niobe.config.home import make_home, rocket_folder, worker_log
from niobe.launchers.fireworks.files import use_settings
from niobe.launchers.fireworks.healing.held import what_is_held
from niobe.launchers.fireworks.healing.shapes import Launch, readable
from niobe.launchers.fireworks.healing.strays import require_none
from niobe.launchers.fireworks.pad import open_launchpad
from niobe.launchers.fireworks.sweep import hand_back, launched_in, running, sweep, unfinished
from niobe.launchers.interrupts import Interrupted
from niobe.launchers.services import campaign_database, ensure_database
from niobe.launchers.terminal import say

_GRACE_SECONDS = 4.0
_SWEEP_SECONDS = 3.0
_TICK_SECONDS = 0.2
_MAX_CRASHES, _CRASH_SECONDS = 10, 60.0
Show = Callable[["Rockets", Any], None]


class Rockets:
    """``count`` worker processes, each in a folder of its own; one that dies is replaced."""

    module = "niobe.launchers.fireworks.worker"

    def __init__(self, count: int) -> None:
        self._folders = [rocket_folder(slot + 1) for slot in range(count)]
        self._processes: dict[Path, subprocess.Popen[bytes]] = {}
        self._crashes: deque[float] = deque(maxlen=_MAX_CRASHES)
        self.deaths = 0

    @property
    def folders(self) -> list[Path]:
        """Where the workers launch, one each."""
        return self._folders

    def keep_alive(self, launchpad: Any) -> None:
        """Start workers that are not there, after handing back what the dead ones were running."""
        for folder in self._folders:
            process = self._processes.get(folder)
            if process is not None and process.poll() is None:
                continue
            if process is not None:
                self.deaths += 1
                self._require_sane(process.returncode)
                hand_back(launchpad, str(folder))
            self._processes[folder] = self._start(folder)

    def _require_sane(self, code: int) -> None:
        """Raises ConfigError where workers end with errors one after the other; killed ones do not count."""
        if code > 0:
            self._crashes.append(time.monotonic())
        if len(self._crashes) == _MAX_CRASHES and self._crashes[-1] - self._crashes[0] < _CRASH_SECONDS:
            raise ConfigError(f"rockets: workers end with errors as soon as they start; see {worker_log()}")

    def stop(self, launchpad: Any) -> int:
        """End the workers within seconds; jobs that did not finish are handed back. Returns how many."""
        for process in self._processes.values():
            process.terminate()
        deadline = time.monotonic() + _GRACE_SECONDS
        for process in self._processes.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(deadline - time.monotonic(), 0.0))
            process.kill()
            process.wait()
        return sum(hand_back(launchpad, str(folder)) for folder in self._folders)

    def _start(self, folder: Path) -> subprocess.Popen[bytes]:
        folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-P", "-m", self.module, str(folder), str(os.getpid())]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)


def fly_rockets(count: int, show: Show, *, forever: bool = False) -> tuple[str, bool]:
    """Run ``count`` workers until no campaign has work; how it ended, and whether all campaigns ended well.

    Starts the embedded server again where it died. SIGTERM and Ctrl-C raise KeyboardInterrupt, after the
    running jobs have finished or were handed back.

    show: called with what the rockets do. forever: wait for further campaigns.
    """
    make_home()
    use_settings()
    rockets = Rockets(count)
    with Interrupts() as interrupts:
        launchpad = open_launchpad()
        try:
            return _watch(rockets, launchpad, show, interrupts, forever=forever)
        finally:
            ensure_database()
            rockets.stop(launchpad)
            launchpad.connection.close()


def _watch(
    rockets: Rockets, launchpad: Any, show: Show, interrupts: Interrupts, *, forever: bool
) -> tuple[str, bool]:
    swept = 0.0
    with campaign_database() as database:
        while True:
            interrupts.check()
            ensure_database()
            with _retrying():
                rockets.keep_alive(launchpad)
                show(rockets, launchpad)
                due = time.monotonic() - swept > _SWEEP_SECONDS
                if due:
                    sweep(launchpad, database)
                    require_none(launchpad)
                    swept = time.monotonic()
                left = [campaign.id for campaign in running(database)]
                if not forever and not (left and (not due or unfinished(launchpad, left))):
                    return _ending(launchpad, left)
            time.sleep(_TICK_SECONDS)


def _ending(launchpad: Any, left: list[str]) -> tuple[str, bool]:
    if left:
        why = what_is_held(launchpad, left) or "see `niobe rounds`"
        return f"nothing left to run, but not finished: {', '.join(left)} ({why})", False
    return "every campaign has ended", True


@contextmanager
def _retrying() -> Iterator[None]:
    """A database that went away is started again by the next turn of the loop."""
    from pymongo.errors import PyMongoError

    try:
        yield
    except (PyMongoError, RuntimeError) as error:
        # FireWorks hides a lost connection in a RuntimeError that quotes its trace.
        if not isinstance(error, PyMongoError) and "pymongo.errors." not in str(error):
            raise
        say(f"niobe: database lost ({type(error).__name__}); trying again", error=True)


class Interrupts:
    """SIGTERM and Ctrl-C raise KeyboardInterrupt, and ``check`` again where a destructor swallowed it."""

    def __init__(self) -> None:
        self._asked = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interrupts:
        for number in (signal.SIGTERM, signal.SIGINT):
            self._before[number] = signal.signal(number, self._interrupt)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _interrupt(self, *_: object) -> None:
        self._asked = True
        raise Interrupted

    def check(self) -> None:
        """Raises KeyboardInterrupt where one was asked for."""
        if self._asked:
            raise Interrupted


def running_jobs(launchpad: Any, rockets: Rockets) -> dict[str, str]:
    """What each worker runs, by its number; a dash where it waits."""
    folders = [str(folder) for folder in rockets.folders]
    query = {**launched_in(folders), "state": "RUNNING"}
    launches = readable(Launch, launchpad.launches.find(query))
    found = {launch["launch_dir"]: launch["fw_id"] for launch in launches}
    query = {"fw_id": {"$in": list(found.values())}}
    fireworks = launchpad.fireworks.find(query, {"fw_id": 1, "name": 1})
    names = {firework["fw_id"]: str(firework.get("name")) for firework in fireworks}
    return {str(slot + 1): names.get(found.get(folder), "–") for slot, folder in enumerate(folders)}
