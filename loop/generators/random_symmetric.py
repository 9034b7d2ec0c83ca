"""Random symmetric structures: a control that knows symmetry and how near atoms may be, and nothing else.

Space group first, then Wyckoff sites that hold the composition, as in PyXtal (Fredericks et al., Comput.
Phys. Commun. 261, 107810 (2021)); coordinates and cells are drawn several at once (docs/decisions/0165).
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from niobe.loop.crystals.symmetry import symmetric_cell
from niobe.surrogates.compositions import Compositions
from niobe.surrogates.protocols import FloatArray, Sample, SampleBatch, SampleRequest

if TYPE_CHECKING:
    from pymatgen.core import Structure

    from niobe.surrogates.gan.representation import Crystal

_DRAWS_PER_SAMPLE, _GROUPS = 4, 40
_HIGHEST_GROUP = 230
_ASSIGNMENTS, _GEOMETRIES = 4, 8
_CLOSEST, _CROWDED = 0.75, 0.65  # of the sum of the atomic radii
_LOG_VOLUME = (-0.15, 0.25)  # over the atoms' own volumes; of half of Materials Project's, -0.12 to 0.10
_SPREAD = np.array([0.55, 0.55, 0.3, 0.3, 0.3])
"""Standard deviations of log b/a, log c/a and three cosines, about those of Materials Project's cells."""


class RandomSymmetric:
    """Space group, composition, Wyckoff sites, free coordinates and cell drawn at random."""

    name = "random"

    def sample(self, request: SampleRequest, n: int, *, seed: int) -> SampleBatch:
        """At most n structures; what fits no Wyckoff sites, is crowded in all geometries that were drawn for
        its sites, or has a primitive cell smaller than asked for, is counted.

        request: what every sample lies inside. seed: of everything drawn at random.
        """
        samples: list[Sample] = []
        rejected: Counter[str] = Counter()
        for draw in range(n * _DRAWS_PER_SAMPLE):
            if len(samples) == n:
                break
            rng = np.random.default_rng([seed, draw])
            counts = _composition(request, rng)
            if not counts or not request.allows(counts):
                rejected["composition"] += 1
                continue
            found = _crystal(counts, rng, rejected)
            if found is None:
                continue
            group, structure = found
            if len(structure) < request.min_atoms:
                rejected["size"] += 1
            else:
                samples.append(Sample(structure, {"space_group": group, "draw": draw}))
        return SampleBatch(tuple(samples), dict(rejected))


def _crystal(
    counts: Mapping[str, int], rng: np.random.Generator, rejected: Counter[str]
) -> tuple[int, Structure] | None:
    """A crystal of these atoms and the space group that it was drawn in. Groups are drawn until one fits, so
    that large cells, which few fit, come as often as small ones."""
    for _ in range(_GROUPS):
        group = int(rng.integers(2, _HIGHEST_GROUP + 1))
        sites = _sites(counts, group, rng)
        crystal = roomiest(group, sites, rng) if sites else None
        if crystal is not None:
            return group, symmetric_cell(crystal.structure())
        rejected["crowded" if sites else "incompatible"] += 1
    return None


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


def _sites(counts: Mapping[str, int], group: int, rng: np.random.Generator) -> list[tuple[str, str]]:
    """Wyckoff letters and the elements on them that make up the counts; empty where a few tries find none."""
    for _ in range(_ASSIGNMENTS):
        found: list[tuple[str, str]] = []
        for symbol, count in counts.items():
            letters = _letters(count, group, {letter for letter, _ in found}, rng)
            if not letters:
                break
            found += [(letter, symbol) for letter in letters]
        else:
            return found
    return []


def _letters(count: int, group: int, taken: set[str], rng: np.random.Generator) -> list[str]:
    """Letters of as many sites as ``count``, each equally likely among those that fit; empty where the last
    sites fit none. A letter without a free coordinate is taken once."""
    sizes, fixed = _sites_of(group)
    closed = fixed & taken
    found: list[str] = []
    while count:
        fitting = [letter for letter, size in sizes.items() if size <= count and letter not in closed]
        if not fitting:
            return []
        letter = fitting[int(rng.integers(len(fitting)))]
        found.append(letter)
        count -= sizes[letter]
        closed |= fixed & {letter}
    return found


@functools.cache
def _sites_of(group: int) -> tuple[dict[str, int], frozenset[str]]:
    """Sites in the primitive cell of each Wyckoff letter, and the letters without a free coordinate."""
    from niobe.surrogates.gan.wyckoff import positions

    found = positions(group)
    sizes = {letter: len(position.translations) for letter, position in found.items()}
    return sizes, frozenset(letter for letter, position in found.items() if position.is_fixed)


def roomiest(group: int, sites: Sequence[tuple[str, str]], rng: np.random.Generator) -> Crystal | None:
    """Of several random geometries the one with the widest closest contact, its cell widened a little where
    that is too close; None where a little is not enough.

    group: the space group's number. sites: Wyckoff letters and the elements on them.
    """
    from niobe.surrogates.gan.closeness import closest_contacts
    from niobe.surrogates.gan.wyckoff import decode

    letters, symbols = zip(*sites, strict=True)
    found = decode(group, letters, symbols, rng.random((_GEOMETRIES, len(sites), 3)), _lattices(rng))
    if not found:
        return None
    contacts = closest_contacts(found)
    best = int(contacts.argmax())
    widened = max(1.0, _CLOSEST / max(contacts[best], _CROWDED))
    crystal = replace(found[best], lattice=found[best].lattice * widened)
    return crystal if contacts[best] >= _CROWDED else None


def _lattices(rng: np.random.Generator) -> FloatArray:
    """Cells as ``decode`` takes them. Shape (_GEOMETRIES, 6)."""
    volumes = rng.uniform(*_LOG_VOLUME, size=(_GEOMETRIES, 1))
    return np.concatenate([volumes, rng.normal(size=(_GEOMETRIES, 5)) * _SPREAD], axis=1)
