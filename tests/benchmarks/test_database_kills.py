"""kill -9 of the embedded server in every kind of write, flipped bytes, and the wait beside a busy client.

All of it in one command; `tests/launchers/embedded` asks the same less often.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pymongo.errors import OperationFailure

from tests.benchmarks.publish import publish
from tests.launchers.embedded.killed_commands import COMMANDS, kill_in_commands
from tests.launchers.embedded.kills import WRITES, Writer, kill_in_writes
from tests.launchers.embedded.test_damage import NAMES, damaged, killed
from tests.launchers.embedded.test_fairness import COSTLY, MOST_SECONDS, slowest_wait, stocked
from tests.launchers.embedded.tools import connect

__all__ = ["killed", "stocked"]
pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(7200)]
KILLS, POSITIONS, SEED, AT_ONCE = 50, 200, 7, 3
COMMAND = "python -m pytest -m benchmark tests/benchmarks/test_database_kills.py"


def test_kills_in_every_kind_of_write(tmp_path: Path) -> None:
    started, chance = time.monotonic(), random.Random(SEED)
    names = list(WRITES)
    done: dict[str, Writer] = {}
    for first in range(0, len(names), AT_ONCE):
        done |= kill_in_writes(tmp_path / str(first), names[first : first + AT_ONCE], KILLS, chance)
    rows: list[dict[str, Any]] = [
        {"write": name, "kills": KILLS, "acknowledged": str(one.acknowledged), "lost": one.lost}
        for name, one in done.items()
    ]
    publish(
        "database-kills",
        page="security",
        title="kill -9 of the embedded server in every kind of write",
        command=COMMAND,
        headline=f"{len(rows)} kinds of write, {KILLS} kills each: "
        f"{sum(int(row['lost']) for row in rows)} acknowledged writes lost or half applied (bar: 0)",
        rows=rows,
        seconds=time.monotonic() - started,
        seeds=[SEED],
        notes=[
            f"{AT_ONCE} kinds at once, each by a client of its own, until the server is killed. "
            "Lost: kills after which the collection was not what the acknowledged writes make of it, "
            "with or without the one not answered (of a batch that is several commands, a part of it).",
        ],
        order=20,
    )
    assert not any(row["lost"] for row in rows)


def test_kills_in_commands(tmp_path: Path) -> None:
    started, chance = time.monotonic(), random.Random(SEED)
    rows: list[dict[str, Any]] = []
    for name in COMMANDS:
        ends = kill_in_commands(tmp_path / name.replace(" ", "-"), name, KILLS, chance)
        rows.append(
            {
                "command": name,
                "kills": KILLS,
                "cut short": ends["cut"],
                "over by then, or not disturbed": ends["over"],
                "not as undisturbed": ends["lost"],
            }
        )
    publish(
        "database-kills-commands",
        page="security",
        title="kill -9 of the embedded server in the midst of a command",
        command=COMMAND,
        headline=f"{len(rows)} commands, {KILLS} kills each, the same again after: "
        f"{sum(row['not as undisturbed'] for row in rows)} ended otherwise than undisturbed (bar: 0)",
        rows=rows,
        seconds=time.monotonic() - started,
        seeds=[SEED],
        notes=[
            "Compared: all documents (but who holds the campaign just now), checkpoints as files, files "
            "of the dump, and the second server.",
            "Before, on 2026-11-28, 1 of 50 kills in forget ended otherwise than undisturbed (28 of them had "
            "cut it short); that comparison took in who holds the campaign just now, and which document "
            "differed was not kept.",
        ],
        order=21,
    )
    assert not any(row["not as undisturbed"] for row in rows)


def test_flipped_bytes_at_two_hundred_positions(killed: Path, tmp_path: Path) -> None:
    started = time.monotonic()
    rows: list[dict[str, Any]] = []
    for name in NAMES:
        for size in (1, 64):
            ends = Counter(damaged(killed, tmp_path / "db", name, POSITIONS, size))
            rows.append(
                {
                    "damage": f"{name}: {'a flipped bit' if size == 1 else f'{size} bytes of noise'}",
                    "positions": POSITIONS,
                    "said, with what to do": ends["said"],
                    "harmless, all there": ends["harmless"],
                    "lost in silence": ends["lost"],
                }
            )
    publish(
        "database-damage",
        page="security",
        title="Flipped bytes in the database file, its log and the list of what was acknowledged",
        command=COMMAND,
        headline=f"{POSITIONS * len(rows):,} damaged files: "
        f"{sum(int(row['lost in silence']) for row in rows)} lost anything in silence (bar: 0)",
        rows=rows,
        seconds=time.monotonic() - started,
        notes=["A server of 300 documents, killed with 100 of them in the log alone."],
        order=22,
    )
    assert not any(row["lost in silence"] for row in rows)


def test_the_wait_beside_the_costliest_queries(stocked: str) -> None:
    started = time.monotonic()
    rows: list[dict[str, Any]] = []
    for name, query in COSTLY:
        began = time.monotonic()
        with connect(stocked) as client, slowest_wait(stocked) as waits:
            said = "answered"
            try:
                query(client["d"]["c"])
            except OperationFailure as error:
                said = "refused" if error.code == 238 else f"ended, code {error.code}"
            took = time.monotonic() - began
        rows.append(
            {"first client sends": name, "is": f"{said}, {took:.2f} s", "second waits at most, s": max(waits)}
        )
    slowest = max(float(row["second waits at most, s"]) for row in rows)
    publish(
        "database-waits",
        page="security",
        title="How long a second client waits beside the costliest queries",
        command=COMMAND,
        headline=f"slowest wait of a second client beside {len(rows)} costly queries: {slowest:.2f} s "
        f"(bar: ≤ {MOST_SECONDS:g} s)",
        rows=rows,
        seconds=time.monotonic() - started,
        notes=[
            "2,000 documents of 2 kB. The second client updates a document and reads one, again and again."
        ],
        order=23,
    )
