"""Whether a crystal that is shaken and strained gets its space group back as a find does.

``python -m tests.benchmarks.symmetry`` relaxes structures of Materials Project by 7net-0 as they are, and
again with every site moved by 0.03 Å and the cell strained by 2 %, as a campaign relaxes a find; what is
relaxed stays in ``.niobe/benchmarks``, so that it can be interrupted and goes on.
"""

from __future__ import annotations

import functools
import shutil
import time
from collections.abc import Callable, Sequence

import numpy as np
from pymatgen.core import Structure

from niobe.flows.oracles.calculation import validate_structure
from niobe.flows.oracles.refinement import refine, tight
from niobe.flows.oracles.registry import make_oracle
from niobe.loop.documents.records import Failure
from tests.benchmarks.relaxations import KEPT, Answer, kept, known_phases, spec_of

STRUCTURES, MOST_ATOMS, SEED = 200, 12, 28
SHAKEN, STRAINED = 0.03, 0.02  # Å; relative
COMMAND = "python -m tests.benchmarks.symmetry"


def shaken(structure: Structure, seed: int) -> Structure:
    """Every site moved by 0.03 Å in a random direction, every edge and angle of the cell strained by up to
    2 %.

    seed: of the directions and the strain.
    """
    rng = np.random.default_rng(seed)
    strain = rng.uniform(-STRAINED, STRAINED, (3, 3))
    moves = rng.normal(size=(len(structure), 3))
    moves *= SHAKEN / np.linalg.norm(moves, axis=1, keepdims=True)
    lattice = structure.lattice.matrix @ (np.eye(3) + (strain + strain.T) / 2)
    cartesian = structure.frac_coords @ lattice + moves
    return Structure(lattice, structure.species, cartesian, coords_are_cartesian=True)


def sample(count: int = STRUCTURES) -> list[tuple[str, Structure]]:
    """Structures of at most 12 atoms, drawn once for all."""
    found = [(row["material_id"], structure) for row, structure in known_phases(MOST_ATOMS)]
    order = np.random.default_rng(SEED).permutation(len(found))
    return [found[row] for row in order[:count]]


def as_a_find(structure: Structure) -> Answer:
    """Validated and refined by 7net-0: groups, tolerance, energy (eV/atom), stresses (GPa) and seconds."""
    spec, work = spec_of("7net-0"), KEPT / "symmetry-work"
    started = time.monotonic()
    loose = validate_structure(spec, make_oracle(spec.oracle), structure, work)
    between = time.monotonic()
    found = loose if isinstance(loose, Failure) else refine(spec, make_oracle(tight(spec)), loose, work)
    shutil.rmtree(work, ignore_errors=True)
    if isinstance(loose, Failure) or isinstance(found, Failure):
        failure = loose if isinstance(loose, Failure) else found
        return {"failure": f"{failure.cause}: {failure.message}"} if isinstance(failure, Failure) else {}
    return {
        "before": loose.spacegroup,
        "group": found.spacegroup,
        "refined": found.refined.model_dump() if found.refined else None,
        "energy": found.energy_per_atom,
        "stress": loose.max_stress,
        "stress_of_find": found.max_stress,
        "structure": found.structure,
        "seconds": [between - started, time.monotonic() - between],
    }


def pairs(structures: Sequence[tuple[str, Structure]]) -> list[tuple[str, Answer, Answer]]:
    """Id, what came of a structure as it is, and of the shaken one."""
    found = []
    for seed, (name, structure) in enumerate(structures):
        asked: dict[str, Callable[[], Structure]] = {
            "plain": functools.partial(structure.copy),
            "shaken": functools.partial(shaken, structure, seed),
        }
        plain, moved = (
            kept("symmetry", f"{name} {way}", lambda make=make: as_a_find(make()))  # type: ignore[misc]
            for way, make in asked.items()
        )
        found.append((name, plain, moved))
    return found


if __name__ == "__main__":
    pairs(sample())
