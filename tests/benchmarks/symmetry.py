"""Whether a crystal that is shaken and strained gets its space group back as a find does.

``python -m tests.benchmarks.symmetry`` relaxes structures of Materials Project by 7net-0 as they are, and
again with every site moved by 0.03 Å and the cell strained by 2 %, as a campaign relaxes a find; what is
relaxed stays in ``.niobe/benchmarks``, so that it can be interrupted and goes on.
"""

from __future__ import annotations

import functools
import shutil
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from pymatgen.core import Structure

from niobe.flows.oracles.calculation import SYMMETRY_COST, validate_structure
from niobe.flows.oracles.refinement import refine, tight
from niobe.flows.oracles.registry import make_oracle
from niobe.loop.crystals.similarity import spacegroup_name
from niobe.loop.documents.records import Failure
from tests.benchmarks.publish import publish
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


Pair = tuple[str, Answer, Answer]


def pairs(structures: Sequence[tuple[str, Structure]]) -> list[Pair]:
    """Id, what came of a structure as it is, and of the shaken one."""
    found = []
    for seed, (name, structure) in enumerate(structures):
        plain = kept("symmetry", f"{name} plain", functools.partial(as_a_find, structure))
        moved = shaken(structure, seed)
        found.append((name, plain, kept("symmetry", f"{name} shaken", functools.partial(as_a_find, moved))))
    return found


def rows(found: Sequence[Pair]) -> list[dict[str, Any]]:
    """The figures against their bars."""
    done = [pair for pair in found if "failure" not in pair[1] | pair[2]]
    one = [pair for pair in done if abs(pair[1]["energy"] - pair[2]["energy"]) <= SYMMETRY_COST]
    left = [answer for pair in done for answer in pair[1:]]
    return [
        _row(
            "group as relaxed from the unshaken, of those that relax into one crystal", one, "group", "≥ 97 %"
        ),
        _row("the same before they are relaxed as finds, at 0.01 Å", one, "before", "–"),
        _row("group as relaxed from the unshaken, of all", done, "group", "–"),
        _figure("not converged as finds", f"{len(found) - len(done)} of {len(found)} pairs", "–"),
        _figure("largest stress of what is validated, GPa", max(a["stress"] for a in left), "≤ 0.5"),
        _figure("largest stress of finds, GPa", max(a["stress_of_find"] for a in left), "≤ 0.1"),
        _figure("time of a find's refinement over its validation", _cost(left), "–"),
        _figure(
            "finds whose prototype is named", _share([bool(_refined(a)["prototype"]) for a in left]), "–"
        ),
    ]


def _row(what: str, found: Sequence[Pair], key: str, bar: str) -> dict[str, Any]:
    return _figure(what, _share([plain["group"] == moved[key] for _, plain, moved in found]), bar)


def _share(hits: Sequence[bool]) -> str:
    return f"{sum(hits) / len(hits):.1%} ({sum(hits)} of {len(hits)})"


def _figure(what: str, figure: str | float, bar: str) -> dict[str, Any]:
    return {"what": what, "figure": figure, "bar": bar}


def _cost(answers: Sequence[Answer]) -> float:
    loose, tightly = np.array([answer["seconds"] for answer in answers]).sum(axis=0)
    return float(tightly / loose)


def _refined(answer: Answer) -> dict[str, Any]:
    return dict(answer["refined"])


def notes(found: Sequence[Pair]) -> list[str]:
    """What the figures mean, and which crystals of one energy got another group."""
    done = [pair for pair in found if "failure" not in pair[1] | pair[2]]
    apart = [plain["energy"] - moved["energy"] for _, plain, moved in done]
    others = [
        f"{name} ({spacegroup_name(plain['group'])}, shaken {spacegroup_name(moved['group'])})"
        for (name, plain, moved), gap in zip(done, apart, strict=True)
        if abs(gap) <= SYMMETRY_COST and plain["group"] != moved["group"]
    ]
    return [
        "Structures of Materials Project with at most 12 atoms, drawn at random; 7net-0.",
        f"{sum(gap > SYMMETRY_COST for gap in apart)} of {len(done)} relax, once shaken, into a crystal that "
        "lies more than 1 meV/atom lower: by this potential their own symmetry is unstable, and their group "
        "is another one rightly.",
        f"Of one energy and another group: {', '.join(others) or 'none'}.",
    ]


def main() -> None:
    """Measure what is not kept yet, and publish."""
    found = pairs(sample())
    publish(
        "symmetry",
        page="potentials",
        title="Space groups of crystals that were shaken and strained",
        command=COMMAND,
        rows=rows(found),
        seconds=sum(sum(answer.get("seconds", [])) for _, *both in found for answer in both),
        seeds=[SEED],
        notes=notes(found),
        order=35,
    )


if __name__ == "__main__":
    main()
