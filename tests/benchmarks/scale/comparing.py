"""What comparing crystals of one composition and size costs: the structure matcher asked of every pair whose
edges and volumes are alike, and of those alone that ``fits`` leaves to it."""

from __future__ import annotations

import time
from collections import defaultdict
from itertools import combinations
from typing import Any

from niobe.flows.steps.requests import sample_request
from niobe.loop.crystals.cells import ANGLE_TOL, LTOL, fits
from niobe.loop.crystals.similarity import Reduced, Shape, alike, matcher
from niobe.loop.generators.random_symmetric import RandomSymmetric
from tests.benchmarks.publish import publish
from tests.benchmarks.scale.campaign import spec_of

_SLACK = 1e-6


def pairs(drawn: int) -> None:
    """Compare random symmetric crystals of Cu-Au up to 8 atoms both ways, and publish.

    drawn: crystals.
    """
    begun = time.monotonic()
    asked = _asked(drawn)
    alike(*asked[0])  # compiled, or read from disk, once a process
    before, plainly = _timed(_by_matcher, asked)
    after, by_both = _timed(alike, asked)
    left = sum(fits(one.numbers, other.numbers) is None for one, other in asked)
    differ = sum(a != b for a, b in zip(plainly, by_both, strict=True))
    rows: list[dict[str, Any]] = [
        {
            "pairs": len(asked),
            "alike": sum(plainly),
            "left to the matcher": left,
            "answered otherwise": differ,
            "processor s by the matcher": round(before, 2),
            "processor s by both": round(after, 2),
            "ratio": round(before / after, 1),
        }
    ]
    publish(
        "scale-pairs",
        page="scale",
        title="Comparing crystals of one composition and size",
        command=f"python -m tests.benchmarks.scale pairs --drawn {drawn}",
        rows=rows,
        seconds=time.monotonic() - begun,
        order=20,
        headline=f"pairs compared {rows[0]['ratio']} times as fast, {differ} answered otherwise",
        notes=[
            f"{drawn} random symmetric crystals of Cu-Au up to 8 atoms; pairs as alike in volume and edges "
            "as a match has to be. By the matcher: a mapping of the lattices is looked for first, as before."
        ],
    )


def _asked(drawn: int) -> list[tuple[Reduced, Reduced]]:
    spec = spec_of("pairs", 1, atoms=8)
    groups: dict[tuple[str, int], list[Shape]] = defaultdict(list)
    for sample in RandomSymmetric().sample(sample_request(spec), drawn, seed=1).samples:
        shape = Shape("", sample.structure)
        groups[shape.formula, shape.sites].append(shape)
    found = [pair for group in groups.values() for pair in combinations(group, 2)]
    return [(one.reduced, other.reduced) for one, other in found if one.could_match(other)]


def _timed(compare: Any, asked: list[tuple[Reduced, Reduced]]) -> tuple[float, list[bool]]:
    started = time.process_time()
    found = [compare(one, other) for one, other in asked]
    return time.process_time() - started, found


def _by_matcher(one: Reduced, other: Reduced) -> bool:
    from pymatgen.core import Lattice

    a, b = (Lattice(cell.numbers.lattice) for cell in (one, other))
    tolerances = {"ltol": LTOL + _SLACK, "atol": ANGLE_TOL + _SLACK}
    mapping = a.find_mapping(b, **tolerances, skip_rotation_matrix=True)
    return mapping is not None and bool(matcher().fit(one.cell, other.cell, skip_structure_reduction=True))
