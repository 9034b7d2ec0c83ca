"""Rockets whose oracle takes 25 s over one candidate, the first with two elements; NIOBE_HOME/slow names it.

``python -m tests.end_to_end.slow_worker rockets N`` is `niobe rockets N`.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from config.settings import Settings

SECONDS = 25.0


def take_time() -> None:
    """From here on this process lets one candidate wait."""
    from flows import validating

    ask = validating.validate_structure

    def asking(spec: Any, oracle: Any, structure: Any, folder: Path) -> Any:
        if len(structure.composition) > 1 and _first(folder.name):
            time.sleep(SECONDS)
        return ask(spec, oracle, structure, folder)

    validating.validate_structure = asking


def _first(record: str) -> bool:
    try:
        with (Settings().home / "slow").open("x", encoding="utf-8") as file:
            file.write(record)
    except FileExistsError:
        return False
    return True


if __name__ == "__main__":
    if sys.argv[1] == "rockets":
        from launchers.cli import main
        from launchers.fireworks.rockets import Rockets

        Rockets.module = "tests.end_to_end.slow_worker"
        main()
    else:
        from launchers.fireworks.worker import run

        take_time()
        run(sys.argv)
