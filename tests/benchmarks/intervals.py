"""``python -m tests.benchmarks.intervals``: what campaigns said of calls beforehand, beside the answers.

Of the runs that `python -m tests.benchmarks.systems` left; nothing is run.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from niobe.loop.benchmark.generative import Run
from tests.benchmarks.publish import publish
from tests.benchmarks.systems import KEPT

WITHIN = 1.645
"""Standard deviations of a 90 % interval."""
_BY = {False: "pre-relaxation alone, as the surrogate abstained", True: "the surrogate"}


@dataclass(frozen=True)
class Told:
    """Of one call: its system and round, whether the surrogate answered, error and standard deviation of the
    formation energy that was told (eV/atom)."""

    system: str
    round: int
    by_surrogate: bool
    error: float
    std: float


def main() -> None:
    """Read, compare and publish."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.intervals")
    parser.add_argument("--folder", type=Path, default=KEPT)
    started, folder = time.monotonic(), parser.parse_args().folder
    files = sorted(folder.glob("*/kept-out/runs/niobe-*/run.json"))
    if not files:
        raise SystemExit(f"{folder}: no run of Niobe; `python -m tests.benchmarks.systems` makes some")
    told = [found for file in files for found in compared(file)]
    systems = list(dict.fromkeys(one.system for one in told))
    rows = [_row("all", told), *_parts(told)]
    rows += [_row(system, [one for one in told if one.system == system]) for system in systems]
    publish(
        "intervals",
        page="discovery",
        title="What is told of formation energies before the oracle answers, with pre-relaxation",
        command="python -m tests.benchmarks.intervals",
        rows=rows,
        seconds=time.monotonic() - started,
        order=6,
        headline=f"90 % intervals hold {rows[0]['held']} of {rows[0]['calls']} answers (bar: 80 to 95 %)",
        notes=[
            f"calls of 7net-0 in the runs of Niobe of the table of systems, {len(systems)} systems: CHGNet's "
            "energy, with the mean correction at like compositions and what the surrogate adds",
            "held: within 1.645 standard deviations; round 1 knew no compound: 0.1 eV/atom stood there",
        ],
    )


def compared(file: Path) -> Iterator[Told]:
    """What was told of each call of a run, and by how much it was off."""
    system = file.parts[-5]
    for call in Run.model_validate_json(file.read_text(encoding="utf-8")).calls:
        said = call.prediction.get("formation_energy_per_atom")
        if said and said.mean is not None and said.std is not None and call.verdict:
            error = said.mean - call.verdict.formation_energy_per_atom
            yield Told(system, call.acquired_round or 0, said.in_domain, error, said.std)


def _parts(told: Sequence[Told]) -> list[dict[str, Any]]:
    """By who told it, and whether results of compounds were known by then."""
    rows = []
    for by_surrogate, name in _BY.items():
        own = [one for one in told if one.by_surrogate is by_surrogate]
        first = [one for one in own if one.round == 1]
        later = [one for one in own if one.round > 1]
        parts = ((f"by {name}, round 1", first), (f"by {name}, later", later))
        rows += [_row(what, part) for what, part in parts if part]
    return rows


def _row(what: str, told: Sequence[Told]) -> dict[str, Any]:
    errors, stds = (np.array([getattr(one, name) for one in told]) for name in ("error", "std"))
    held = int((np.abs(errors) <= WITHIN * stds).sum())
    return {
        "what": what,
        "calls": len(told),
        "held": held,
        "share, %": round(100 * held / len(told)),
        "mean absolute error, eV/atom": round(float(np.abs(errors).mean()), 4),
        "median standard deviation, eV/atom": round(float(np.median(stds)), 4),
    }


if __name__ == "__main__":
    main()
