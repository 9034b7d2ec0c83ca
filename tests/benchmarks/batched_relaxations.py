"""``python -m tests.benchmarks.batched_relaxations``: relaxations a minute, many at once by torch-sim.

Beside one core of a processor that relaxes one after the other as a campaign does. torch-sim is installed by
``pip install 'niobe-crystals[batched]'``.
"""

from __future__ import annotations

import argparse
import itertools
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray
from pymatgen.core import Structure

from niobe.config.spec import Oracle as OracleSpec
from niobe.flows.oracles.base import Answer, most_stress
from niobe.flows.oracles.batched import asking as batched
from niobe.flows.oracles.batched.asking import Outcome
from niobe.flows.oracles.force_field import ForceFieldOracle
from niobe.flows.oracles.potentials import where
from tests.benchmarks.publish import publish
from tests.benchmarks.relaxations import known_phases

NAME, POTENTIAL = "tests.benchmarks.batched_relaxations", "7net-0"
ATOMS, SHAKEN = 12, 0.1  # Å
FMAX, STEPS = 0.05, 500  # eV/Å
CELLS = {"cpu": 16, "cuda": 1024}
ALONE = 16
ENERGY, FORCE, STRESS = 1e-4, 1e-3, 0.01
"""eV/atom, eV/Å and GPa by which an answer in a batch may differ from one alone: single precision."""
_SAME_END = 2e-3  # eV/atom


def main() -> None:
    """Compare answers, relax both ways and publish."""
    parser = argparse.ArgumentParser(prog=f"python -m {NAME}")
    parser.add_argument("--device", default="auto", choices=("auto", "cuda", "cpu"))
    parser.add_argument("--cells", type=int, help="relaxed in a batch; else 16 on a CPU, 1024 on a GPU")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    device, started = where(asked.device), time.monotonic()
    cells = crystals(asked.cells or CELLS[device])
    apart = differences(device, cells[:ALONE])
    batch, alone = relaxed_together(device, cells), relaxed_alone(cells[:ALONE])
    report(device, cells, apart, batch, alone, time.monotonic() - started)


def crystals(most: int) -> list[Structure]:
    """Known compounds of 12 atoms, their sites shaken by 0.1 Å, again and again until there are so many.

    most: how many.
    """
    known = [phase for _, phase in known_phases(ATOMS) if len(phase) == ATOMS]
    chosen = itertools.islice(itertools.cycle(known[:: max(1, len(known) // most)]), most)
    return [phase.copy().perturb(SHAKEN, seed=seed) for seed, phase in enumerate(chosen)]


def relaxed_together(device: str, structures: Sequence[Structure]) -> tuple[list[Outcome], float]:
    """In batches, as a campaign relaxes on a GPU, a batch of one before: answers and seconds.

    device: ``cpu`` or ``cuda``.
    """
    batched.static(POTENTIAL, device, structures[:1])
    started = time.monotonic()
    found = batched.relaxed(POTENTIAL, device, structures, batched.Goal(FMAX, STEPS, 60.0, most_stress(FMAX)))
    return found, time.monotonic() - started


def relaxed_alone(structures: Sequence[Structure]) -> tuple[list[Outcome], float]:
    """One after the other, as a campaign relaxes on one core of a processor: answers and seconds."""
    oracle = ForceFieldOracle(OracleSpec(name=POTENTIAL, device="cpu", fmax=FMAX, max_steps=STEPS))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with TemporaryDirectory() as folder:
        oracle.static(structures[:1], Path(folder))
        started = time.monotonic()
        answers = [_relaxed(oracle, structure, Path(folder)) for structure in structures]
    torch.set_num_threads(threads)
    return answers, time.monotonic() - started


def _relaxed(oracle: ForceFieldOracle, structure: Structure, folder: Path) -> Outcome:
    try:
        return oracle.relax(structure, folder)
    except RuntimeError as error:
        return error


def differences(device: str, structures: Sequence[Structure]) -> dict[str, float]:
    """The largest between what a batch answers and what Niobe's potential answers alone on a processor.

    device: of the batch. structures: as they stand.
    """
    oracle = ForceFieldOracle(OracleSpec(name=POTENTIAL, device="cpu"))
    batch = [found for found in batched.static(POTENTIAL, device, structures) if isinstance(found, Answer)]
    with TemporaryDirectory() as folder:
        alone = oracle.static(structures, Path(folder))
    pairs = list(zip(batch, alone, strict=True))
    return {
        "energy, eV/atom": max(abs(one.energy_per_atom - other.energy_per_atom) for one, other in pairs),
        "force, eV/Å": max(float(np.abs(one.forces - other.forces).max()) for one, other in pairs),
        "stress, GPa": max(float(np.abs(_stress(one) - _stress(other)).max()) for one, other in pairs),
    }


def _stress(answer: Answer) -> NDArray[np.float64]:
    return np.zeros((3, 3)) if answer.stress is None else answer.stress


def agree(apart: dict[str, float]) -> bool:
    """Whether ``differences`` are within single precision."""
    return all(found <= most for found, most in zip(apart.values(), (ENERGY, FORCE, STRESS), strict=True))


def report(
    device: str,
    cells: Sequence[Structure],
    apart: dict[str, float],
    batch: tuple[list[Outcome], float],
    alone: tuple[list[Outcome], float],
    seconds: float,
) -> None:
    """Publish relaxations a minute both ways."""
    (answers, took), (together, spent) = alone, batch
    one, many = 60 * len(answers) / took, 60 * len(cells) / spent
    there = torch.cuda.get_device_name() if device == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    ends = [
        abs(mine.energy_per_atom - other.energy_per_atom)
        for mine, other in zip(together, answers, strict=False)
        if isinstance(mine, Answer) and isinstance(other, Answer)
    ]
    rows = [
        {"how": "Niobe, one after the other", "where": "one CPU core", "relaxations": len(answers)}
        | {"seconds": round(took, 1), "relaxations a minute": round(one, 1), "÷ one core": 1.0},
        {"how": "torch-sim, in a batch", "where": there, "relaxations": len(cells)}
        | {"seconds": round(spent, 1), "relaxations a minute": round(many, 1)}
        | {"÷ one core": round(many / one, 2)},
    ]
    publish(
        f"batched-relaxations-{device}",
        page="potentials",
        title=f"Relaxations in a batch by torch-sim, {device.upper()}",
        headline=f"{many:.0f} relaxations of {ATOMS} atoms a minute, {many / one:.2g} times one CPU core",
        command=f"python -m {NAME} --device {device}",
        rows=rows,
        seconds=seconds,
        order=40,
        notes=[
            f"{POTENTIAL}; known compounds of {ATOMS} atoms of ../shared/data/dev_mp_structures.parquet, "
            f"sites shaken by {SHAKEN} Å; sites and cell relaxed to {FMAX} eV/Å within {STEPS} steps, by "
            "FIRE in the batch and by BFGS that begins with springs one after the other",
            "largest differences of answers before relaxing, batch and alone: "
            + ", ".join(f"{what} {found:.1e}" for what, found in apart.items())
            + f"; allowed {ENERGY:g}, {FORCE:g}, {STRESS:g}: {'met' if agree(apart) else 'not met'}",
            f"{sum(end <= _SAME_END for end in ends)} of {len(ends)} end within {1e3 * _SAME_END:g} meV/atom "
            "of each other both ways",
        ],
    )


if __name__ == "__main__":
    main()
