"""Two thousand changed documents and files of each kind that comes from outside."""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from niobe.loop.store.database import Database
from tests.benchmarks.publish import publish
from tests.launchers.output.test_changed_bundles import _try_mutations
from tests.launchers.output.test_foreign_bundles import Lines, places
from tests.loop.readers.test_hostile_files import KINDS, original, read_changed
from tests.loop.sources.test_hostile_servers import _try_entry

__all__ = ["places"]
SEED, EACH = 3, 2000
MOST_SECONDS, MOST_GIB = 10.0, 1.0
_TRAPS = {"this", "antigravity"}
_PROCESSES = ("os.system", "os.exec", "os.posix_spawn", "subprocess.Popen")
READER = "niobe.loop.readers.parquet"
"""The program that reads parquet files, one process each."""
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Watch:
    """What reading data never needs: imports that data names, files written elsewhere, programs."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.reached: list[str] = []
        self._on = False
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._on:
            return
        if event == "import" and arguments[0] in _TRAPS:
            self.reached.append(f"import {arguments[0]}")
        elif (event in _PROCESSES and READER not in str(arguments)) or (
            event == "socket.connect" and isinstance(arguments[1], tuple)
        ):
            self.reached.append(f"{event} {arguments[1:2]}")
        elif event == "open" and arguments[2] & _WRITING and not self._allowed(str(arguments[0])):
            self.reached.append(f"open {arguments[0]}")

    @staticmethod
    def _allowed(path: str) -> bool:
        own = "/.hypothesis/" in path or path.isdigit()  # of the test tool, and pipes
        return own or path.startswith((tempfile.gettempdir(), "/dev/null"))

    @contextmanager
    def case(self, kind: str) -> Iterator[None]:
        """One document or file of a kind."""
        began, self._on = _processor_seconds(), True
        try:
            yield
        finally:
            self._on = False
            self.seconds[kind] = max(self.seconds.get(kind, 0.0), _processor_seconds() - began)


def _processor_seconds() -> float:
    """Of this process and of those that it has waited for: what else the machine does is no matter."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def _by_hypothesis(watch: Watch, kind: str, attempt: Any) -> None:
    @settings(max_examples=EACH, suppress_health_check=list(HealthCheck), database=None)
    @given(data=st.data())
    def run(data: st.DataObject) -> None:
        with watch.case(kind):
            attempt(data)

    run()


@pytest.mark.benchmark
@pytest.mark.timeout(7200)
@pytest.mark.filterwarnings("ignore")
def test_two_thousand_of_each(places: tuple[Path, Lines, Database], tmp_path: Path) -> None:
    started, watch = time.monotonic(), Watch()
    for kind in sorted(KINDS, key="parquet".__eq__):
        content, rng = original(kind, tmp_path), np.random.default_rng(SEED)
        for number in range(EACH):
            with watch.case(kind):
                read_changed(kind, number, content, tmp_path, rng)
    _by_hypothesis(watch, "answer of an OPTIMADE server or the Materials Project", _try_entry)
    _by_hypothesis(watch, "bundle", lambda data: _try_mutations(places, data))
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    gib = max(resource.getrusage(one).ru_maxrss for one in who) / 2**20
    rows = [
        {
            "what": f"{kind}: {EACH:,} changed",
            "bar": f"no traceback, ≤ {MOST_SECONDS:.0f} s of processor each",
            "figure": f"no traceback, slowest {slowest:.2f} s",
        }
        for kind, slowest in watch.seconds.items()
    ]
    for what, bar, figure in (
        (
            "memory of the process, and of its reader of parquet",
            f"≤ {MOST_GIB:.0f} GiB",
            f"{gib:.2f} GiB",
        ),
        (
            "imports that data names, programs, connections, files written elsewhere",
            "none",
            "; ".join(sorted(set(watch.reached))) or "none",
        ),
    ):
        rows.append({"what": what, "bar": bar, "figure": figure})
    publish(
        "hostile",
        page="security",
        title="Changed files and documents of every kind from outside",
        command="python -m pytest -m benchmark -s tests/benchmarks/test_hostile.py",
        rows=rows,
        seconds=time.monotonic() - started,
        seeds=[SEED],
        notes=["Watched by an audit hook. Changed: bytes, words, lines, values, keys; names of modules too."],
        order=10,
    )
    assert not watch.reached and gib <= MOST_GIB
    assert max(watch.seconds.values()) <= MOST_SECONDS
