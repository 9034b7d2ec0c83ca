"""`niobe rockets` whose workers are changed first, for tests that need to see or delay what they do."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path


def main(module: str, change: Callable[[], None]) -> None:
    """``python -m MODULE rockets N`` starts N workers that call ``change`` and then work as usual."""
    if sys.argv[1] == "rockets":
        from niobe.launchers.cli import main as niobe
        from niobe.launchers.fireworks.rockets import Rockets

        # Workers do not look into the folder they start in, so they are told where the tests are.
        os.environ["PYTHONPATH"] = str(Path(__file__).parents[2])
        Rockets.module = module
        niobe()
    else:
        from niobe.launchers.fireworks.worker import run

        change()
        run(sys.argv)
