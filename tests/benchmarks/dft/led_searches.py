"""``python -m tests.benchmarks.dft.led_searches``: steps of a relaxation that a potential's curvature leads.

CHGNet stands in for DFT, whose steps are as many and a thousand times dearer.
"""

from __future__ import annotations

import time
import warnings
from functools import partial
from typing import Any

import numpy as np
from pymatgen.core import Structure

from niobe.flows.oracles.cells import CellFilter, springs
from niobe.flows.oracles.gpaw.curvature import POTENTIAL, curvature
from tests.benchmarks.dft.answers import within_minutes
from tests.benchmarks.publish import publish
from tests.benchmarks.relaxations import is_kept, kept, known_phases, relaxed
from tests.flows.oracles.test_curvature import FMAX, STEPS, searched

NAME = "tests.benchmarks.dft.led_searches"
ATOMS, CRYSTALS = 8, 8
STRAIN = (0.02, -0.01, 0.015)
WAYS = ("ASE's guess", "springs", f"{POTENTIAL}'s curvature")
_STARTS = {"as 7net-0 left it": (0.0, 0.0, 0.0), "strained by 1 to 2 %": STRAIN}


def main() -> None:
    """Relax each crystal from each start both ways, compare and publish."""
    started = time.monotonic()
    warnings.simplefilter("ignore")
    phases = [(row["material_id"], structure) for row, structure in known_phases(ATOMS)]
    phases = [phase for phase in phases if len(phase[1].composition) > 1]
    rows = []
    found: dict[str, list[dict[str, Any]]] = {start: [] for start in _STARTS}
    chosen = phases[:: max(1, len(phases) // CRYSTALS)][:CRYSTALS]
    for key, structure in within_minutes(NAME, chosen, lambda phase: all(_asked(phase[0]))):
        answer = relaxed(POTENTIAL, f"{key} as known", structure)
        if answer["structure"] is None:
            continue
        for start, strain in _STARTS.items():
            begin = Structure.from_dict(answer["structure"])
            begin.apply_strain(list(strain))
            found[start].append(kept("led-searches", f"{key} {start}", partial(_steps, begin)))
            print(key, structure.composition.reduced_formula, start, found[start][-1], flush=True)
    for start, answers in found.items():
        steps = {way: np.array([answer[way] for answer in answers]) for way in WAYS}
        apart = np.array([answer["apart"] for answer in answers])
        rows.append(
            {
                "start": start,
                "crystals": len(answers),
                **{f"steps, {way}": int(all_.sum()) for way, all_ in steps.items()},
                **{f"most, {way}": int(all_.max()) for way, all_ in steps.items()},
                f"by {POTENTIAL} ends > 1 meV/atom higher": int((apart > 1e-3).sum()),
                "lower": int((apart < -1e-3).sum()),
            }
        )
    report(rows, time.monotonic() - started)


def _asked(key: str) -> list[bool]:
    return [is_kept("led-searches", f"{key} {start}") for start in _STARTS]


def _steps(begin: Structure) -> dict[str, Any]:
    guesses = (None, springs(CellFilter(begin.to_ase_atoms(msonable=False))), curvature(begin))
    ends = [searched(begin, guess) for guess in guesses]
    first, *_, last = (atoms.get_potential_energy() / len(begin) for atoms, _ in ends)
    return {way: steps for way, (_, steps) in zip(WAYS, ends, strict=True)} | {
        "apart": round(float(last - first), 5)
    }


def report(rows: list[dict[str, Any]], seconds: float) -> None:
    """Publish the table."""
    publish(
        "gpaw-led-searches",
        page="dft",
        title="Steps of a relaxation that a potential's curvature leads",
        command=f"python -m {NAME}",
        headline="; ".join(
            f"{r['start']}: " + ", ".join(f"{r[f'steps, {way}']} by {way}" for way in WAYS) for r in rows
        ),
        rows=rows,
        seconds=seconds,
        order=40,
        notes=[
            f"compounds of at most {ATOMS} atoms of ../shared/data/dev_mp_structures.parquet, evenly drawn; "
            f"BFGS on sites and cell to {FMAX} eV/Å within {STEPS} steps",
            "CHGNet stands in for DFT. The search begins with 70 eV/Å² along every coordinate (ASE's guess), "
            f"with springs between atoms, or, as GPAW's does, with the second derivatives of {POTENTIAL}",
            "the seconds are of the last call; what was answered in calls before was kept",
        ],
    )


if __name__ == "__main__":
    main()
