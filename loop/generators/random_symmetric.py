"""Random symmetric structures by pyxtal: a control that knows symmetry and nothing else.

Source: Fredericks et al., PyXtal, Comput. Phys. Commun. 261, 107810 (2021).
"""

from __future__ import annotations

import functools
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from niobe.surrogates.compositions import Compositions
from niobe.surrogates.protocols import Sample, SampleBatch, SampleRequest

if TYPE_CHECKING:
    from pymatgen.core import Structure

_DRAWS_PER_SAMPLE = 60
_HIGHEST_GROUP = 230


class RandomSymmetric:
    """Space group, composition, Wyckoff sites and free coordinates drawn at random."""

    name = "random"

    def sample(self, request: SampleRequest, n: int, *, seed: int) -> SampleBatch:
        """At most n structures; what pyxtal could not build or fell outside the request is counted.

        seed: of everything drawn at random.
        """
        samples: list[Sample] = []
        rejected: Counter[str] = Counter()
        for draw in range(n * _DRAWS_PER_SAMPLE):
            if len(samples) == n:
                break
            rng = np.random.default_rng([seed, draw])
            group = int(rng.integers(2, _HIGHEST_GROUP + 1))
            counts = _composition(request, rng)
            if not counts or not request.allows(counts):
                rejected["composition"] += 1
                continue
            structure = _build(counts, group, rng)
            if structure is None:
                rejected["incompatible"] += 1
            elif not request.min_atoms <= len(structure) <= request.max_atoms:
                rejected["size"] += 1
            else:
                samples.append(Sample(structure, {"space_group": group, "draw": draw}))
        return SampleBatch(tuple(samples), dict(rejected))


def _composition(request: SampleRequest, rng: np.random.Generator) -> dict[str, int]:
    """Atoms of each element in the primitive cell; inside the fractions asked for where there are any."""
    elements = request.elements if request.all_elements else _some(request, rng)
    if request.fractions:
        inside = Compositions.inside(request, elements)
        if not len(inside.totals):
            return {}
        return dict(zip(elements, inside.counts(rng).tolist(), strict=True))
    total = int(rng.integers(max(request.min_atoms, len(elements)), request.max_atoms + 1))
    cuts = np.sort(rng.choice(np.arange(1, total), size=len(elements) - 1, replace=False))
    return dict(zip(elements, np.diff([0, *cuts, total]).tolist(), strict=True))


def _some(request: SampleRequest, rng: np.random.Generator) -> list[str]:
    """One or more of the elements, no more than there may be atoms."""
    count = int(rng.integers(1, min(len(request.elements), request.max_atoms) + 1))
    return [request.elements[i] for i in sorted(rng.choice(len(request.elements), count, replace=False))]


def _build(counts: dict[str, int], group: int, rng: np.random.Generator) -> Structure | None:
    from pyxtal.msg import Comp_CompatibilityError, VolumeError

    conventional = [count * _centring(group) for count in counts.values()]
    possible, _ = _space_group(group).check_compatible(conventional)
    if not possible:
        return None
    crystal = _crystal_class()()
    try:
        crystal.from_random(
            3,
            _space_group(group),
            list(counts),
            conventional,
            factor=float(rng.uniform(0.9, 1.2)),
            random_state=rng,
            max_count=3,
        )
    except (Comp_CompatibilityError, VolumeError, RuntimeError, ValueError):
        return None
    return crystal.to_pymatgen().get_primitive_structure() if crystal.valid else None


@functools.cache
def _crystal_class() -> Any:
    """pyxtal, whose distance checks share one table of radii: it makes a new one each time, half its work."""
    from pyxtal import operations, pyxtal
    from pyxtal.tolerance import Tol_matrix

    operations.Tol_matrix = functools.cache(Tol_matrix)
    return pyxtal


def _centring(group: int) -> int:
    """Lattice points in the conventional cell."""
    return {"P": 1, "A": 2, "B": 2, "C": 2, "I": 2, "R": 3, "F": 4}[_space_group(group).symbol[0]]


@functools.cache
def _space_group(number: int) -> Any:
    from pyxtal.symmetry import Group

    return Group(number)
