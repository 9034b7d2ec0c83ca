"""``python -m tests.benchmarks.abstained``: energies by pre-relaxation alone, beside the oracle's answers.

Of the runs that `python -m tests.benchmarks.systems` left; nothing is run.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from niobe.loop.benchmark.generative import Run
from tests.benchmarks.publish import publish
from tests.benchmarks.systems import KEPT

WITHIN = 1.645
"""Standard deviations of a 90 % interval."""


def main() -> None:
    """Read, compare and publish."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.abstained")
    parser.add_argument("--folder", type=Path, default=KEPT)
    started, folder = time.monotonic(), parser.parse_args().folder
    files = sorted(folder.glob("*/kept-out/runs/niobe-*/run.json"))
    if not files:
        raise SystemExit(f"{folder}: no run of Niobe; `python -m tests.benchmarks.systems` makes some")
    told = [(file.parts[-5], *found) for file in files for found in compared(file)]
    rows = [_row(system, [found for found in told if found[0] == system]) for system in systems(told)]
    rows.append(_row("all", told))
    publish(
        "abstained",
        page="discovery",
        title="Energies by pre-relaxation alone, where the surrogate abstains",
        command="python -m tests.benchmarks.abstained",
        rows=rows,
        seconds=time.monotonic() - started,
        order=5,
        headline=f"90 % intervals hold {rows[-1]['held']} of {rows[-1]['calls']} answers",
        notes=[
            "calls of 7net-0, in the runs of Niobe of the table of systems, whose energy the surrogate "
            "abstained from: CHGNet's with the mean correction at like compositions, told beforehand",
            "held: within 1.645 standard deviations; errors are of formation energies; round 1 knew no "
            "compound, so that 0.1 eV/atom stood there",
        ],
    )


def systems(told: list[tuple[str, int, float, float]]) -> list[str]:
    """Their names, each once."""
    return list(dict.fromkeys(system for system, *_ in told))


def compared(file: Path) -> Iterator[tuple[int, float, float]]:
    """Round, error and standard deviation (eV/atom) of each call whose energy was by pre-relaxation alone."""
    for call in Run.model_validate_json(file.read_text(encoding="utf-8")).calls:
        said = call.prediction.get("formation_energy_per_atom")
        if said and not said.in_domain and said.mean is not None and said.std is not None and call.verdict:
            yield call.acquired_round or 0, said.mean - call.verdict.formation_energy_per_atom, said.std


def _row(system: str, told: list[tuple[str, int, float, float]]) -> dict[str, Any]:
    rounds, errors, stds = (np.array([found[i] for found in told]) for i in (1, 2, 3))
    held, later = np.abs(errors) <= WITHIN * stds, rounds > 1
    return {
        "system": system,
        "calls": len(told),
        "held": int(held.sum()),
        "of them in round 1": int((~later).sum()),
        "held in round 1": int(held[~later].sum()),
        "mean absolute error, eV/atom": round(float(np.abs(errors).mean()), 4),
        "median standard deviation, eV/atom": round(float(np.median(stds)), 4),
    }


if __name__ == "__main__":
    main()
