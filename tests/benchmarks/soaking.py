"""What a soak keeps up, polls and shoots at: workers, their supervisor, the database server, the pages."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import psutil

from niobe.launchers.embedded import ensure_server, server_status
from niobe.loop.store.database import Database
from tests.end_to_end.test_campaign import CAMPAIGN, NIOBE, campaign_file, content, environment
from tests.end_to_end.test_fireworks import workers

KINDS = ("worker", "server", "pages", "launcher")
WORKERS, SAMPLE_SECONDS, POLL_SECONDS, PATIENCE_SECONDS = 4, 5.0, 1.0, 60.0
BUDGET: dict[str, Any] = {
    "budget": {"rounds": 3, "validations": 12},
    "seeds": {"max_prototypes": 2},
    "oracle": CAMPAIGN["oracle"] | {"wall_time": 3600},  # a machine that is busy is no failure of a crystal
}
PATHS = (
    *("/", "/workers", "/campaigns/soak-1", "/campaigns/soak-1/rounds", "/campaigns/soak-1/hull"),
    *("/campaigns/soak-1/table", "/campaigns/soak-1/table.json", "/optimade/v1/structures?page_limit=5"),
)


class Life:
    """Answers of the pages, memory of the processes, and what should never be seen."""

    def __init__(self) -> None:
        self.polls: Counter[int] = Counter()
        self.troubles: list[str] = []
        self._memory: dict[str, list[float]] = defaultdict(list)
        self._sampled = 0.0

    def poll(self, address: str) -> None:
        """Ask for one page: 200, 503 in words, 0 where nobody listens or goes on; else a trouble."""
        try:
            with urllib.request.urlopen(address, timeout=PATIENCE_SECONDS) as answer:
                code, text = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            code, text = error.code, error.read()
        except (http.client.HTTPException, OSError) as error:
            slow = isinstance(error, TimeoutError) or "timed out" in str(error)
            code, text = (-1 if slow else 0), b""
        self.polls[code] += 1
        if code not in {200, 404, 503, 0} or b"Traceback" in text:
            self.troubles.append(f"{address.partition('/')[2]}: {code}")

    def sample(self, processes: dict[str, list[int]]) -> None:
        """Note the memory of each kind's largest process, MB, now and then."""
        if time.monotonic() - self._sampled < SAMPLE_SECONDS:
            return
        self._sampled = time.monotonic()
        for kind, ids in processes.items():
            sizes = [0.0]
            for one in ids:
                with contextlib.suppress(psutil.Error):
                    sizes.append(psutil.Process(one).memory_full_info().uss / 1e6)
            if max(sizes):
                self._memory[kind].append(max(sizes))

    def thirds(self) -> dict[str, tuple[float, float]]:
        """Most memory in the second and the last third, MB, by kind; in the first, processes warm up.

        The most, as a worker that was killed begins again small and grows with what its jobs import.
        """
        found = {}
        for kind, sizes in self._memory.items():
            third = max(len(sizes) // 3, 1)
            found[kind] = max(sizes[third : 2 * third] or sizes), max(sizes[-third:])
        return found


class Held:
    """The processes of a soak, started again wherever they ended; inside ``with``."""

    def __init__(self, place: Path, *, rockets: bool = True) -> None:
        """place: of the home. rockets: whether FireWorks workers run the campaigns."""
        place.mkdir(parents=True)
        self.life, self.shots = Life(), Counter[str]()
        self._place, self._log = place, (place / "said.log").open("w", encoding="utf-8")
        self._port, self._over = free_port(), threading.Event()
        self._commands: dict[str, list[str]] = {"pages": [*NIOBE, "serve", "--port", str(self._port)]}
        if rockets:
            audited = [sys.executable, "-m", "tests.end_to_end.audited_worker"]
            self._commands["launcher"] = [*audited, "rockets", str(WORKERS), "--forever"]
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._poller = threading.Thread(target=self._poll, daemon=True)

    def __enter__(self) -> Held:
        self._poller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._poller.join()
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            process.wait(60)
        self._log.close()

    def keep_up(self) -> None:
        """Start what is not there, and look at the memory of what is."""
        for kind, command in self._commands.items():
            process = self._processes.get(kind)
            if process is None or process.poll() is not None:
                if process is not None and process.returncode != -signal.SIGKILL:
                    self.life.troubles.append(f"{kind} ended by itself ({process.returncode})")
                self._processes[kind] = started(command, self._place, self._log)
        self.life.sample({kind: self._of(kind) for kind in KINDS})

    def shoot(self, kind: str, chance: random.Random) -> None:
        """Kill one process of a kind where there is one."""
        if targets := self._of(kind):
            with contextlib.suppress(ProcessLookupError):
                os.kill(chance.choice(targets), signal.SIGKILL)
                self.shots[kind] += 1

    def has_ended(self, number: int) -> bool:
        """Whether a campaign has; False where the database does not answer just now."""
        from pymongo.errors import PyMongoError

        from niobe.config.errors import ConfigError

        try:
            campaign = asked(self._place, lambda database: database.campaigns.find_one(f"soak-{number}"))
        except (PyMongoError, ConfigError):
            return False
        return campaign is not None and campaign.state != "running"

    def _of(self, kind: str) -> list[int]:
        if kind == "server":
            status = server_status(self._place / "home" / "db")
            return [status.pid] if status else []
        process = self._processes.get("launcher" if kind == "worker" else kind)
        if process is None or process.poll() is not None:
            return []
        return workers(process.pid) if kind == "worker" else [process.pid]

    def _poll(self) -> None:
        for path in itertools.cycle(PATHS):
            if self._over.wait(POLL_SECONDS):
                return
            self.life.poll(f"http://127.0.0.1:{self._port}{path}")


def launch(place: Path, number: int, launcher: str, meanwhile: Callable[[], None] | None = None) -> int:
    """Launch the campaign of a number; the number. The server may be shot meanwhile: again then.

    meanwhile: called until the command has ended.
    """
    changes = BUDGET | {"id": f"soak-{number}", "seed": number, "launcher": launcher}
    file = campaign_file(place, **changes)
    for _ in range(5):
        with (place / "launch.log").open("a", encoding="utf-8") as log:
            process = started([*NIOBE, "launch", file], place, log)
            while process.poll() is None:
                if meanwhile:
                    meanwhile()
                time.sleep(0.2)
        if process.returncode == 0:
            return number
    raise RuntimeError(f"campaign {number} cannot be launched; see {place / 'launch.log'}")


def outcome(place: Path, campaigns: int) -> list[Any]:
    """Records and batches of rounds of each campaign, but for what hangs on time."""

    def read(database: Database) -> list[Any]:
        found = []
        for number in range(1, campaigns + 1):
            records = [_as_values(content(record)) for record in database.records.find(f"soak-{number}")]
            rounds = database.rounds.find(f"soak-{number}")
            found.append((records, [(one.number, one.state, one.batch) for one in rounds]))
        return found

    return asked(place, read)


def _as_values(found: Any) -> Any:
    """A record whose validation is numbers rather than their text: -0.0 is 0.0."""
    validation = found["validation"]
    return found | {"validation": validation and json.loads(validation)}


def asked(place: Path, ask: Callable[[Database], Any]) -> Any:
    """What a home's database answers. place: of the home."""
    database = Database.connect(ensure_server(place / "home" / "db"), "niobe")
    try:
        return ask(database)
    finally:
        database.close()


def started(command: list[str], place: Path, log: IO[str]) -> subprocess.Popen[bytes]:
    """A command that was begun in a folder, with the home there. log: for what it says."""
    own = {"OMP_NUM_THREADS": "1", "NIOBE_WORKERS": "2"}
    return subprocess.Popen(
        command, cwd=place, env=environment(place) | own, stdout=log, stderr=subprocess.STDOUT
    )


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
