"""How many siblings of each kind of hostile input the tests hold: ``python -m tests.benchmarks.siblings``."""

from __future__ import annotations

import re
import subprocess
import sys
import time

from tests.benchmarks.publish import publish

_EMBEDDED = "tests/launchers/embedded/siblings"
KINDS = {
    "bundles: folders, archives, documents": "tests/launchers/output/test_bundle_siblings.py",
    "archives, crystals, campaign files": "tests/loop/readers/test_file_siblings.py",
    "answers of open databases": "tests/loop/sources/test_hostile_servers.py",
    "words in data, through every command": "tests/launchers/cli/test_words_everywhere.py",
    "documents of FireWorks": "tests/launchers/fireworks/test_document_siblings.py",
    "messages to the embedded database, its clients, kills": f"{_EMBEDDED}/test_server_siblings.py",
    "dumps, damaged database files": f"{_EMBEDDED}/test_dump_siblings.py",
    "homes": "tests/config/test_home_siblings.py",
}
"""Where each kind is tried."""


def outcomes(file: str) -> dict[str, int]:
    """How many tests of a file passed, and how many did not."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "not slow", file]
    last = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()[-1]
    counts = {name: int(count) for count, name in re.findall(r"(\d+) (passed|failed|error)", last)}
    return {"passed": counts.pop("passed", 0), "others": sum(counts.values())}


def main() -> None:
    """Run the tests of each kind and publish how many passed."""
    started, rows = time.monotonic(), []
    for kind, file in KINDS.items():
        found = outcomes(file)
        rows.append(
            {
                "what": kind,
                "tests": file,
                "bar": "refused in one line, in bounded time and memory, or right",
                "figure": f"{found['passed']} of {sum(found.values())} held",
            }
        )
    publish(
        "siblings",
        page="security",
        title="Siblings of each kind of attack",
        command="python -m tests.benchmarks.siblings",
        rows=rows,
        seconds=time.monotonic() - started,
        notes=[
            "A test tries one sibling; those of words try eighteen kinds of words at once, in all commands."
        ],
        order=11,
    )


if __name__ == "__main__":
    main()
