"""Figures of benchmarks: measured, stored in ``figures/``, rendered into ``docs/benchmarks``; never typed in.

``python -m tests.benchmarks.publish`` renders the pages again from what is stored.
"""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "figures"
DOCS = Path(__file__).parents[2] / "docs"
README = DOCS.parent / "README.md"
PAGES = {
    "campaign": "The worked example",
    "discovery": "Discovery from nothing, part by part",
    "acquisition": "Acquisition and replay",
    "generators": "Generators",
    "surrogates": "Surrogates",
    "potentials": "Potentials and the cost of a validation",
    "database": "The embedded database and the pages",
    "fireworks": "FireWorks",
    "scale": "As a campaign grows",
    "sources": "Open databases and files",
    "security": "Hostile input, kills and damage",
    "dft": "GPAW: DFT without a licence",
    "vasp": "VASP's path",
    "code": "The code itself",
}
"""Title of each page, in the order of the summary."""


def publish(
    name: str,
    *,
    page: str,
    title: str,
    command: str,
    rows: Sequence[Mapping[str, Any]],
    seconds: float,
    headline: str = "",
    seeds: Sequence[int] = (),
    notes: Sequence[str] = (),
    order: int = 50,
) -> None:
    """Store a table of figures under ``name`` and render the pages.

    page: a key of ``PAGES``. command: what anyone runs to measure it again. rows: mappings with the same
    keys, which become columns. seconds: what the measurement took. headline: the line of the summary, with
    figures by row and column such as ``{0[minutes]}``; without one it is the first row's ``what``, ``figure``
    and ``bar``. order: where on its page the table stands.
    """
    content = {
        "page": page,
        "title": title,
        **({"headline": headline} if headline else {}),
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
    write()


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


def write() -> None:
    """Write ``docs/benchmarks`` from every stored table."""
    folder = DOCS / "benchmarks"
    folder.mkdir(exist_ok=True)
    for name, text in rendered().items():
        (folder / name).write_text(text, encoding="utf-8")
    README.write_text(with_figures(README.read_text(encoding="utf-8")), encoding="utf-8")


def rendered() -> dict[str, str]:
    """The pages by file name: one of each subject, and ``README.md``, the summary."""
    found = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(FOLDER.glob("*.json"))]
    tables = sorted(found, key=lambda content: (content["order"], content["title"]))
    of_page = {page: [content for content in tables if content["page"] == page] for page in PAGES}
    pages = {
        f"{page}.md": "\n\n".join([f"# {PAGES[page]}", _LEAD, *map(_section, of_page[page])]) + "\n"
        for page in PAGES
    }
    return pages | {"README.md": _summary(of_page)}


def with_figures(text: str) -> str:
    """A text, with the table of figures ``NAME`` between ``<!-- figures: NAME -->`` and ``<!-- end -->``."""

    def table(mark: re.Match[str]) -> str:
        content = json.loads((FOLDER / f"{mark[2]}.json").read_text(encoding="utf-8"))
        return f"{mark[1]}\n{_table(_cells(content))}\n{mark[3]}"

    return re.sub(r"(<!-- figures: ([\w-]+) -->).*?(<!-- end -->)", table, text, flags=re.DOTALL)


_LEAD = """Every figure here was measured by the command above its table and written by it; `make figures`
renders this page again from `tests/benchmarks/figures`. The load says what else the machine was doing (2.0:
both cores of two busy)."""
_SUMMARY = """One line of each table. What was measured how, on what machine and with what seeds stands on the
page of its subject, with the command that measures it again. `make figures` renders this page again."""


def _summary(of_page: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    parts = ["# Benchmarks", _SUMMARY]
    for page, tables in of_page.items():
        rows = [{"measured": content["title"], "figure": _headline(content)} for content in tables]
        parts += [f"## [{PAGES[page]}]({page}.md)", _table(rows)]
    return "\n\n".join(parts) + "\n"


def _headline(content: Mapping[str, Any]) -> str:
    rows = _cells(content)
    if "headline" in content:
        return str(content["headline"]).format(*rows)
    first = rows[0]
    return f"{first['what']}: {first['figure']}" + _bar(first["bar"])


def _bar(bar: str) -> str:
    return "" if bar in {"–", ""} else f" (bar: {bar})"


def _section(content: Mapping[str, Any]) -> str:
    seeds = f" Seeds {', '.join(map(str, content['seeds']))}." if content["seeds"] else ""
    about = f"{content['date']}, {content['seconds']:g} s. {content['machine']}.{seeds}"
    notes = "\n".join(f"- {note}" for note in content["notes"])
    table = _table(_cells(content))
    parts = [f"## {content['title']}", f"`{content['command']}`", about, table, notes]
    return "\n\n".join(part for part in parts if part)


def _cells(content: Mapping[str, Any]) -> list[dict[str, str]]:
    return [{column: _cell(value) for column, value in row.items()} for row in content["rows"]]


def _table(rows: Sequence[Mapping[str, str]]) -> str:
    if not rows:
        return ""
    columns = list(rows[0])
    lines = [columns, ["---"] * len(columns), *[[row.get(c, "–") for c in columns] for row in rows]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    shown = f"{value:.4g}" if isinstance(value, float) else str(value)
    return shown.replace("|", "\\|")


if __name__ == "__main__":
    write()
