"""What pages and commands take over a large campaign: first byte, size, seconds, memory."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import httpx

from niobe.launchers.pages.server.serving import get_ready
from niobe.loop.store.database import Database
from tests.launchers.pages.serving import served

_TWICE = 2
_CLI = (
    "import atexit, sys; atexit.register(lambda: sys.stderr.write(open('/proc/self/status').read())); "
    "from niobe.launchers.cli import main; main()"
)
"""Says its own largest memory in the end: that of ``wait4`` counts what the process was forked from."""
_PAGES = ("", "/rounds", "/hull", "/table", "/table?sort=round&order=down", "/table?discovery=true")
_COMMANDS = (
    ("status",),
    ("best",),
    ("best", "--stable"),
    ("hull",),
    ("export", "csv", "all.csv", "--all"),
    ("export", "json", "all.json", "--all"),
    ("report", "report.html"),
)


def pages(database: Database, uri: str, campaign: str) -> Iterator[dict[str, Any]]:
    """A row a page, asked for twice: the waits for the first byte, that of the second last, and its size.

    database: the campaign database. uri: of its server. campaign: its id.
    """
    get_ready()
    with served(database, uri) as address, httpx.Client(base_url=address, timeout=300) as client:
        for path in ("/", *(f"/campaigns/{campaign}{page}" for page in _PAGES)):
            waits = []
            for _ in range(_TWICE):
                started = time.perf_counter()
                with client.stream("GET", path) as answer:
                    waits.append(time.perf_counter() - started)
                    size = len(answer.read())
            yield {
                "what": f"page {path}",
                "bar": "first byte ≤ 300 ms, ≤ 2 MB",
                "seconds": round(waits[-1], 3),
                "when first drawn": round(waits[0], 3),
                "MB": round(size / 1e6, 2),
            }


def commands(home: Path, campaign: str) -> Iterator[dict[str, Any]]:
    """A row a command: seconds and processor seconds of the process, and its largest memory.

    home: of the campaign. campaign: its id.
    """
    environment = os.environ | {"NIOBE_HOME": str(home.resolve())}
    with tempfile.TemporaryDirectory() as folder:
        for command in _COMMANDS:
            started = time.perf_counter()
            asked = [sys.executable, "-c", _CLI, *command, "-c", campaign]
            if command == ("status",):
                asked = asked[:-2]
            with (Path(folder) / "said").open("w+", encoding="utf-8") as said:
                process = subprocess.Popen(
                    asked, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=said
                )
                _, status, usage = os.wait4(process.pid, 0)
                process.returncode = status
                memory = _highest(said)
            yield {
                "what": f"niobe {' '.join(command)}",
                "bar": "≤ 10 s" if command[0] == "report" else "≤ 300 MB",
                "seconds": round(time.perf_counter() - started, 1),
                "processor s": round(usage.ru_utime + usage.ru_stime, 1),
                "memory, MB": memory,
                "ended": "well" if status == 0 else f"with {status}",
            }


def _highest(said: TextIO) -> int | None:
    """The largest memory a process had, MB; None where it did not say."""
    said.seek(0)
    lines = [line.split() for line in said if line.startswith("VmHWM:")]
    return round(int(lines[0][1]) / 1024) if lines else None
