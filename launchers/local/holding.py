"""Only one process runs a campaign: on a machine by a lock, on a database by a document whose heart beats."""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from niobe.config.errors import ConfigError
from niobe.config.home import campaign_lock, home, make_home
from niobe.loop.store.collections.holders import BEAT_SECONDS, DEAD_SECONDS, Holder

if TYPE_CHECKING:
    from niobe.loop.store.database import Database

_AGAIN_SECONDS = 0.1
_TAKEN = f"was taken over by another process while this one was silent for over {DEAD_SECONDS:g} s"
_SILENT = f"may be run by another process by now: the database did not answer for {DEAD_SECONDS:g} s"


class Hold:
    """A campaign that this process holds; its heart beats until ``end``."""

    def __init__(self, database: Database, holder: Holder, taken_at: float) -> None:
        """taken_at: when it was taken, in s of ``time.monotonic``."""
        self._holders, self._holder = database.holders, holder
        self._over = threading.Event()
        self._taken, self._beaten = False, taken_at
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raises ConfigError where another process has taken it, or may have: this one was silent."""
        self._beat_once()
        self.check_beat()

    def check_beat(self) -> None:
        """The same without asking the database: by what the last beat has found, and when."""
        silent = time.monotonic() - self._beaten >= DEAD_SECONDS
        if self._taken or silent:
            name, why = self._holder.campaign, _TAKEN if self._taken else _SILENT
            raise ConfigError(f"campaign {name!r} {why}; `niobe watch -c {name}` follows it")

    def end(self) -> None:
        """Hold it no more."""
        self._over.set()
        self._thread.join()
        self._holders.release(self._holder)

    def _beat(self) -> None:
        from pymongo.errors import PyMongoError

        while not self._over.wait(BEAT_SECONDS) and not self._taken:
            with suppress(PyMongoError):  # whoever runs the campaign meets it too, and says so
                self._beat_once()

    def _beat_once(self) -> None:
        asked = time.monotonic()
        if self._holders.beat(self._holder):
            self._beaten = asked
        else:
            self._taken = True


@contextmanager
def only_one(database: Database, campaign: str, *, wait: float = 0.0) -> Iterator[Hold]:
    """Hold a campaign against all other processes of this machine and of this database.

    database: the campaign database. campaign: its id. wait: for whoever holds it, s. Raises ConfigError where
    another process still runs it then.
    """
    from filelock import FileLock, Timeout

    make_home()
    lock, until = FileLock(campaign_lock(campaign)), time.monotonic() + wait
    try:
        lock.acquire(timeout=wait)
    except Timeout:
        running = f"campaign {campaign!r} is already running on this machine"
        raise ConfigError(f"{running}; `niobe watch -c {campaign}` follows it") from None
    try:
        holder, asked = _holder(campaign), time.monotonic()
        while (other := database.holders.take(holder)) is not None:
            if time.monotonic() >= until:
                raise ConfigError(_refusal(other))
            time.sleep(_AGAIN_SECONDS)
            asked = time.monotonic()
        hold = Hold(database, holder, asked)
        try:
            yield hold
        finally:
            hold.end()
    finally:
        lock.release()


def _holder(campaign: str) -> Holder:
    """This process. Of one home on one host the lock lets only one hold the campaign."""
    host, folder = os.uname().nodename, home().stat()
    boot = Path("/proc/sys/kernel/random/boot_id")
    system = boot.read_text().strip() if boot.exists() else str(uuid.getnode())
    return Holder(
        campaign=campaign,
        token=uuid.uuid4().hex,
        place=f"{host}:{system}:{folder.st_dev}:{folder.st_ino}",
        host=host,
        pid=os.getpid(),
        home=str(home()),
    )


def _refusal(other: Holder) -> str:
    return (
        f"campaign {other.campaign!r} is run by process {other.pid} on {other.host} (home {other.home}); "
        f"`niobe watch -c {other.campaign}` follows it; if that process is gone, launch again in "
        f"{DEAD_SECONDS:g} s"
    )
