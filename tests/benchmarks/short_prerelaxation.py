"""``python -m tests.benchmarks.short_prerelaxation``: how far a brief relaxation of a candidate gets, by its
stepping.

Candidates are the GAN's and random ones, of the benchmark system; CHGNet relaxes each with ASE's BFGS from
several first guesses of the springs, and what it has reached after some evaluations is compared with the
lowest that any of them reached in the end.
"""

from __future__ import annotations

import time
import warnings

import numpy as np
from ase import Atoms
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS
from pymatgen.core import Structure
from scipy.stats import spearmanr

from niobe.config.loading import load_campaign
from niobe.flows.oracles.potentials import UnphysicalAnswerError, potential
from niobe.flows.steps.generate import sample_request
from niobe.loop.generators import RandomSymmetric
from niobe.surrogates.gan import CrystalGAN
from niobe.surrogates.protocols import FloatArray
from tests.benchmarks.generative import KEPT, SYSTEMS, campaign_of, ensure_gan
from tests.benchmarks.publish import publish

_SEED, _EACH, _LONGEST = 1, {"gan": 48, "random": 16}, 40
_STEPPINGS = {
    "ASE's own": (70.0, 0.2),
    "softer": (30.0, 0.3),
    "as the pre-relaxation potential's": (15.0, 0.4),
    "softest": (8.0, 0.4),
}
_AFTER = (6, 12, 24)


def main() -> None:
    """Relax, compare and publish."""
    warnings.simplefilter("ignore")
    started, system = time.monotonic(), next(iter(SYSTEMS))
    ensure_gan(system)
    structures = _candidates(system)
    courses = {
        name: np.array([_course(structure, alpha, step) for structure in structures])
        for name, (alpha, step) in _STEPPINGS.items()
    }
    sound = np.all([np.isfinite(course).all(axis=1) for course in courses.values()], axis=0)
    reached = {name: course[sound] for name, course in courses.items()}
    structures = [structure for structure, kept in zip(structures, sound, strict=True) if kept]
    lowest = np.min([course[:, -1] for course in reached.values()], axis=0)
    oxygen = np.array([s.composition.get_atomic_fraction(system.split("-")[1]) for s in structures])
    level = np.polyval(np.polyfit(oxygen, lowest, 2), oxygen)
    rows = [
        {"BFGS": name, "alpha, eV/Å²": alpha, "longest step, Å": step}
        | _figures(reached[name], lowest, level, after)
        for name, (alpha, step) in _STEPPINGS.items()
        for after in _AFTER
    ]
    publish(
        "short-prerelaxation",
        page="discovery",
        headline=(
            "after {7[evaluations]} evaluations as the loop steps, {7[above]} eV/atom above the "
            "minimum; as ASE steps, {1[above]}"
        ),
        title=f"A brief look of CHGNet at {system} candidates: what it has reached and how it ranks them",
        command="python -m tests.benchmarks.short_prerelaxation",
        rows=rows,
        seconds=time.monotonic() - started,
        seeds=[_SEED],
        notes=[
            f"{_EACH['gan']} candidates of the GAN and {_EACH['random']} random ones; above: median over the "
            f"lowest energy that any of the four reached within {_LONGEST} evaluations, eV/atom",
            f"{len(sound) - sound.sum()} that left physics in any of the four are left out",
            "rank: Spearman's of energies above a parabola in composition, reached against lowest; found: "
            "share of the lowest fifth among the best two fifths",
        ],
        order=42,
    )


def _candidates(system: str) -> list[Structure]:
    request = sample_request(load_campaign(campaign_of(system)))
    gan = CrystalGAN.load(KEPT / system / "gan")
    drawn = [
        *gan.sample(request, _EACH["gan"], seed=_SEED).samples,
        *RandomSymmetric().sample(request, _EACH["random"], seed=_SEED).samples,
    ]
    return [sample.structure for sample in drawn]


def _course(structure: Structure, alpha: float, maxstep: float) -> FloatArray:
    """The lowest energy, eV/atom, after each evaluation; the last one on once relaxed. NaN where it fails."""
    atoms: Atoms = structure.to_ase_atoms(calculator=potential("chgnet"))
    energies: list[float] = []
    search = BFGS(FrechetCellFilter(atoms), logfile=None, alpha=alpha, maxstep=maxstep)
    try:
        for _ in search.irun(fmax=0.1, steps=_LONGEST - 1):
            energies.append(atoms.get_potential_energy() / len(atoms))
    except UnphysicalAnswerError:
        return np.full(_LONGEST, np.nan)
    padded = np.pad(energies[:_LONGEST], (0, _LONGEST - len(energies[:_LONGEST])), mode="edge")
    return np.asarray(np.minimum.accumulate(padded))


def _figures(course: FloatArray, lowest: FloatArray, level: FloatArray, after: int) -> dict[str, float | int]:
    reached = course[:, after - 1]
    fifth = len(lowest) // 5
    best = set(np.argsort(lowest - level)[:fifth])
    return {
        "evaluations": after,
        "above": float(np.median(reached - lowest)),
        "rank": float(spearmanr(reached - level, lowest - level)[0]),
        "found": len(best & set(np.argsort(reached - level)[: 2 * fifth])) / fifth,
    }


if __name__ == "__main__":
    main()
