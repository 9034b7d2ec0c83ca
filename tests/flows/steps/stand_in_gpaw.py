"""Answers in GPAW's place by EMT, as its program is asked: ``stand_in_gpaw.py worker.py --version`` or
``stand_in_gpaw.py worker.py FOLDER``.

It takes its time before its first step, after it, and once it has answered, so that it can be met there; it
ends when its input does.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

_PAUSE = 0.2
"""Seconds."""


def main(folder: Path) -> None:
    """Do what ``task.json`` there says."""
    threading.Thread(target=_end_with_input, daemon=True).start()
    task = json.loads((folder / "task.json").read_text(encoding="utf-8"))
    time.sleep(_PAUSE)
    answer = _relaxed(task, folder) if task["relax"] else {"answers": [_told(_atoms(c)) for c in _all(task)]}
    _write(folder / "answer.json", answer)
    time.sleep(_PAUSE)


def _end_with_input() -> None:
    while os.read(0, 1):
        pass
    os._exit(1)


def _relaxed(task: dict[str, Any], folder: Path) -> dict[str, Any]:
    from ase.filters import FrechetCellFilter
    from ase.optimize import BFGS

    atoms = _atoms(*_all(task))
    search = BFGS(FrechetCellFilter(atoms), logfile=None)
    search.run(fmax=task["fmax"], steps=1)
    _write(folder / "step.json", _place(atoms))
    time.sleep(_PAUSE)
    search.run(fmax=task["fmax"], steps=task["steps"])
    return {"answers": [_told(atoms)], "steps": search.nsteps, "stress": atoms.get_stress().tolist()}


def _all(task: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = task["structures"]
    return found


def _atoms(content: dict[str, Any]) -> Any:
    from ase import Atoms
    from ase.calculators.emt import EMT

    atoms = Atoms(content["symbols"], positions=content["positions"], cell=content["cell"], pbc=True)
    atoms.calc = EMT()
    return atoms


def _told(atoms: Any) -> dict[str, Any]:
    return {
        "energy": atoms.get_potential_energy(),
        "forces": atoms.get_forces().tolist(),
        **_place(atoms),
    }


def _place(atoms: Any) -> dict[str, Any]:
    return {"cell": atoms.cell.tolist(), "positions": atoms.positions.tolist()}


def _write(file: Path, content: dict[str, Any]) -> None:
    part = file.with_suffix(".part")
    part.write_text(json.dumps(content), encoding="utf-8")
    part.replace(file)


if __name__ == "__main__":
    if sys.argv[2] == "--version":
        print(json.dumps({"gpaw": "stand-in", "data": "EMT", "elements": ["Cu", "Au"]}))
    else:
        main(Path(sys.argv[2]))
