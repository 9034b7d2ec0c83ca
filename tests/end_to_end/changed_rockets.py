"""`niobe rockets` whose workers are changed first, for tests that need to see or delay what they do."""

from __future__ import annotations

import sys
from collections.abc import Callable


def main(module: str, change: Callable[[], None]) -> None:
    """``python -m MODULE rockets N`` starts N workers that call ``change`` and then work as usual."""
    if sys.argv[1] == "rockets":
        from launchers.cli import main as niobe
        from launchers.fireworks.rockets import Rockets

        Rockets.module = module
        niobe()
    else:
        from launchers.fireworks.worker import run

        change()
        run(sys.argv)
