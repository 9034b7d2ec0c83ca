"""Figures of benchmarks: measured, written as JSON, and rendered into ``docs/benchmarks.md``; never typed in.

``python -m tests.benchmarks.figures`` renders the page again from what is stored.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[2] / "docs"
FOLDER = DOCS / "benchmarks"


def publish(
    name: str,
    *,
    title: str,
    command: str,
    rows: Sequence[Mapping[str, Any]],
    seconds: float,
    seeds: Sequence[int] = (),
    notes: Sequence[str] = (),
    order: int = 50,
) -> None:
    """Store a table of figures under ``name`` and render the page.

    rows: mappings with the same keys, which become columns. command: what anyone runs to measure it again.
    order: where on the page the table stands.
    """
    content = {
        "title": title,
        "command": command,
        "order": order,
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": machine(),
        "seconds": round(seconds, 1),
        "seeds": list(seeds),
        "notes": list(notes),
        "rows": [dict(row) for row in rows],
    }
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    render()


def machine() -> str:
    """Processor, cores, Python and torch of this machine, and its load over the last minute."""
    info = Path("/proc/cpuinfo")
    names = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    model = next((line.split(": ", 1)[1] for line in names if line.startswith("model name")), "")
    load = os.getloadavg()[0]
    return (
        f"{model or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"torch {version('torch')}, load {load:.1f} at the end"
    )


def render() -> None:
    """Write ``docs/benchmarks.md`` from every stored table."""
    found = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(FOLDER.glob("*.json"))]
    parts = ["# Benchmarks", _LEAD]
    parts += [_section(content) for content in sorted(found, key=lambda c: (c["order"], c["title"]))]
    (DOCS / "benchmarks.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")


_LEAD = """Every figure here was measured by the command above its table and written by it; `make figures`
renders this page again from `docs/benchmarks/*.json`. The load says what else the machine was doing (2.0:
both cores busy)."""


def _section(content: Mapping[str, Any]) -> str:
    seeds = f" Seeds {', '.join(map(str, content['seeds']))}." if content["seeds"] else ""
    about = f"{content['date']}, {content['seconds']:g} s. {content['machine']}.{seeds}"
    notes = "\n".join(f"- {note}" for note in content["notes"])
    parts = [f"## {content['title']}", f"`{content['command']}`", about, _table(content["rows"]), notes]
    return "\n\n".join(part for part in parts if part)


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return ""
    columns = list(rows[0])
    lines = [columns, ["---"] * len(columns), *[[_cell(row.get(c)) for c in columns] for row in rows]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    shown = f"{value:.4g}" if isinstance(value, float) else str(value)
    return shown.replace("|", "\\|")


if __name__ == "__main__":
    render()
