"""Workers whose oracle sleeps: ``python -m tests.benchmarks.stand_in FOLDER SUPERVISOR``.

NIOBE_STAND_IN_SECONDS says how long a relaxation takes. Energies follow from the composition, above the
elements by more than the phonon window.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from niobe.flows.oracles.base import Answer

if TYPE_CHECKING:
    from pymatgen.core import Structure


class StandInOracle:
    """Answers with the structure as it is, after ``seconds``."""

    fingerprint = "stand-in"
    corrected = False

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def relax(self, structure: Structure, folder: Path) -> Answer:
        time.sleep(self._seconds)
        return self._answer(structure)

    def static(self, structures: Sequence[Structure], folder: Path) -> list[Answer]:
        return [self._answer(structure) for structure in structures]

    def within(self, seconds: float) -> AbstractContextManager[None]:
        return nullcontext()

    def _answer(self, structure: Structure) -> Answer:
        fractions = sorted(structure.composition.fractional_composition.as_dict().values())
        per_atom = -3.0 if len(fractions) == 1 else -2.5 + 0.1 * fractions[0]
        return Answer(structure, per_atom * len(structure), np.zeros((len(structure), 3)), steps=1)


if __name__ == "__main__":
    from niobe.flows.steps import validate as validating
    from niobe.launchers.fireworks.worker import run

    seconds = float(os.environ["NIOBE_STAND_IN_SECONDS"])
    validating.make_oracle = lambda spec, pressure=0.0: StandInOracle(seconds)
    run(sys.argv)
