"""The indexes of ``docs/decisions`` and ``docs/experiments``, made from the head of each record.

``python -m tests.project.records`` writes them again.
"""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
HEAD = re.compile(r"# (\d+)\. (.+)\n\nStatus: (.+)\. (\d{4}-\d\d-\d\d)\n\n")
LEADS = {
    "decisions": """# Decisions

Why things are as they are. A record is not rewritten when it no longer holds: its status says so, and which
record came after it. Numbers that are missing here are in [experiments](../experiments/README.md), notes that
share the numbering. `python -m tests.project.records` writes this page again from the heads of the
records.""",
    "experiments": """# Experiments

Laboratory notes: what was tried, on how much data, and what was concluded then. Figures in them were right
for the code of their day; those of today are in [the benchmarks](../benchmarks/README.md). A note that a
later one contradicts says so in its status. They share their numbering with the
[decisions](../decisions/README.md).""",
}


def index(folder: str) -> str:
    """The index page of a folder of ``docs``. Raises ValueError where a record has no proper head."""
    rows = ["| number | record | status | date |", "|---|---|---|---|"]
    for file in records(folder):
        found = HEAD.match(file.read_text(encoding="utf-8"))
        if found is None or int(found[1]) != int(file.name[:4]):
            raise ValueError(f"{file}: begins with '# NUMBER. TITLE' and 'Status: WHAT. DATE'")
        number, title, status, date = found.groups()
        rows.append(f"| {number} | [{title}]({file.name}) | {status} | {date} |")
    return LEADS[folder] + "\n\n" + "\n".join(rows) + "\n"


def records(folder: str) -> list[Path]:
    """The records of a folder of ``docs``, by number."""
    return sorted((DOCS / folder).glob("[0-9]*.md"))


if __name__ == "__main__":
    for name in LEADS:
        (DOCS / name / "README.md").write_text(index(name), encoding="utf-8")
