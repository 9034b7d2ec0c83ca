"""Known crystals of other elements with the system's ions in the places of theirs: the likeliest first.

How likely one ion takes another's place: Hautier et al., Inorg. Chem. 50, 656 (2011), as pymatgen has it.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from niobe.loop.crystals.similarity import SeenStructures
from niobe.loop.crystals.validity import why_invalid
from niobe.loop.generators.offspring import Parent
from niobe.loop.generators.prototypes import decorate, likeliest, named
from niobe.surrogates.protocols import Sample, SampleBatch, SampleRequest

if TYPE_CHECKING:
    from pymatgen.core import Species

MOST_PARENTS = 1000
"""Substitutions of a chemical system that are ranked, nearest on Pettifor's scale."""
_LONGEST_GUESSED = 24  # atoms of a formula whose charges are guessed; the search grows with every atom


@dataclass(frozen=True)
class _Substitute:
    """A parent by its place, what takes each element's place, and ln P of that, where its ions are known."""

    parent: int
    assigned: Mapping[str, str]
    log_probability: float | None = None


class Substitution:
    """Draws ``parents`` with the elements asked for in the places of their own. Implements Generator.

    They rank by the probability of their ions where the charges of both compounds balance, and after those by
    places on Pettifor's scale; the r-th is drawn with weight 1/r, each at most once and none like what is
    known. Cells are scaled to the atoms' own volumes.
    """

    name = "substitution"

    def __init__(self, parents: Sequence[Parent]) -> None:
        self._parents = parents
        self._amounts = [parent.structure.composition.get_el_amt_dict() for parent in parents]

    def sample(self, request: SampleRequest, n: int, *, seed: int) -> SampleBatch:
        """At most n crystals inside the request; what else came up is counted by what was wrong with it.

        seed: of everything drawn at random.
        """
        samples: list[Sample] = []
        rejected: Counter[str] = Counter()
        seen = SeenStructures(("", structure) for structure in request.known)
        for chosen in self._drawn(request, np.random.default_rng(seed)):
            if len(samples) == n:
                break
            sample = self._sample(chosen)
            reason = why_invalid(sample.structure, request)
            reason = reason or ("known" if seen.find(sample.structure) is not None else "")
            if reason:
                rejected[reason] += 1
            else:
                seen.add("", sample.structure)
                samples.append(sample)
        if len(samples) < n:
            rejected["no other fits"] = n - len(samples)
        return SampleBatch(tuple(samples), dict(rejected))

    def _sample(self, chosen: _Substitute) -> Sample:
        parent = self._parents[chosen.parent]
        origin: dict[str, str | float] = {"substituted": named(parent.id, chosen.assigned)}
        if chosen.log_probability is not None:
            origin["log_probability"] = round(chosen.log_probability, 3)
        return Sample(decorate(parent.structure, chosen.assigned), origin)

    def _drawn(self, request: SampleRequest, rng: np.random.Generator) -> list[_Substitute]:
        """All that fits, in an order drawn by weight (exponential keys, as in the phonon critic)."""
        found = self._ranked(request)
        keys = rng.exponential(size=len(found)) * np.arange(1, len(found) + 1)
        return [found[i] for i in np.argsort(keys, kind="stable")]

    def _ranked(self, request: SampleRequest) -> list[_Substitute]:
        """What balances its charges, the likeliest first, then all else, the most alike first."""
        ions: list[_Substitute] = []
        others: list[_Substitute] = []
        for found in self._fitting(request):
            probability = _log_probability(self._amounts[found.parent], found.assigned)
            if probability is None:
                others.append(found)
            else:
                ions.append(replace(found, log_probability=probability))
        return sorted(ions, key=lambda found: -(found.log_probability or 0.0)) + others

    def _fitting(self, request: SampleRequest) -> Iterator[_Substitute]:
        """Substitutions whose size and composition are asked for, of each chemical system in turn."""
        fits = {
            str(i): amounts
            for i, amounts in enumerate(self._amounts)
            if request.min_atoms <= sum(amounts.values()) <= request.max_atoms
        }
        for elements in _systems(request):
            others = {key: amounts for key, amounts in fits.items() if set(amounts) != set(elements)}
            for key, assigned in likeliest(others, elements, MOST_PARENTS):
                if request.allows({new: others[key][old] for old, new in assigned.items()}):
                    yield _Substitute(int(key), assigned)


def _systems(request: SampleRequest) -> list[tuple[str, ...]]:
    least = len(request.elements) if request.all_elements else 1
    sizes = range(least, len(request.elements) + 1)
    return [chosen for size in sizes for chosen in itertools.combinations(request.elements, size)]


def _log_probability(amounts: Mapping[str, float], assigned: Mapping[str, str]) -> float | None:
    """ln P of the new ions in the places of the old ones, or None where a charge or an ion is not known."""
    old = _charges(_formula(amounts))
    new = _charges(_formula({assigned[symbol]: amount for symbol, amount in amounts.items()}))
    if not old or not new:
        return None
    model = _model()
    pairs = [(_ion(assigned[symbol], new), _ion(symbol, old)) for symbol in amounts]
    if any(ion not in model.species for pair in pairs for ion in pair):
        return None
    return sum(math.log(model.cond_prob(now, before)) for now, before in pairs)


def _formula(amounts: Mapping[str, float]) -> str:
    from pymatgen.core import Composition

    return Composition(amounts).reduced_formula


@functools.cache
def _charges(formula: str) -> dict[str, float]:
    """The likeliest balanced charge of each element, mean over its atoms; empty where none is known."""
    from pymatgen.core import Composition

    composition = Composition(formula)
    if composition.num_atoms > _LONGEST_GUESSED:
        return {}
    guesses = composition.oxi_state_guesses()
    return dict(guesses[0]) if guesses else {}


def _ion(symbol: str, charges: Mapping[str, float]) -> Species:
    from pymatgen.core import Species

    return Species(symbol, round(charges[symbol]))


@functools.cache
def _model() -> Any:
    from pymatgen.analysis.structure_prediction.substitution_probability import SubstitutionProbability

    return SubstitutionProbability()
