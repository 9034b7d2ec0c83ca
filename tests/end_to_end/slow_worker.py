"""Rockets whose oracle takes 25 s over one candidate, the first with two elements; NIOBE_HOME/slow names it.

``python -m tests.end_to_end.slow_worker rockets N`` is `niobe rockets N`.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from niobe.config.settings import Settings
from tests.end_to_end.changed_rockets import main

SECONDS = 25.0


def take_time() -> None:
    """From here on this process lets one candidate wait."""
    from niobe.flows.steps import validate as validating

    ask = validating.validate_structure

    def asking(spec: Any, oracle: Any, structure: Any, folder: Path, references: Any = None) -> Any:
        if len(structure.composition) > 1 and _first(folder.name):
            time.sleep(SECONDS)
        return ask(spec, oracle, structure, folder, references)

    validating.validate_structure = asking


def _first(record: str) -> bool:
    try:
        with (Settings().home / "slow").open("x", encoding="utf-8") as file:
            file.write(record)
    except FileExistsError:
        return False
    return True


if __name__ == "__main__":
    main("tests.end_to_end.slow_worker", take_time)
