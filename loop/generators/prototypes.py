"""AFLOW prototypes (as pymatgen ships them) decorated with a system's elements."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from niobe.loop.crystals.prototypes import library
from niobe.surrogates.protocols import Sample, SampleBatch, SampleRequest
from niobe.surrogates.representations.elements import atomic_volume

if TYPE_CHECKING:
    from pymatgen.core import Structure


@functools.cache
def _primitive(label: str) -> Structure:
    return library()[label].structure.get_primitive_structure()


def decorated_prototypes(elements: Sequence[str], max_atoms: int) -> list[tuple[str, Structure]]:
    """Prototypes of as many elements as given, in every assignment, scaled to the atoms' own volumes.

    Labels are ``AFLOW label`` and the elements in the prototype's order, in the order of pymatgen's library.
    """
    found = []
    for label, stored in library().items():
        kinds = sorted({site.specie.symbol for site in stored.structure})
        if len(kinds) != len(elements) or len(_primitive(label)) > max_atoms:
            continue
        for assigned in itertools.permutations(elements):
            decorated = _decorate(_primitive(label), dict(zip(kinds, assigned, strict=True)))
            found.append((f"{label} {'-'.join(assigned)}", decorated))
    return found


def known_in(label: str) -> str:
    """The symbol of the element that a unary prototype is stored with: the one it was found in."""
    return str(library()[label].structure[0].specie.symbol)


def _decorate(structure: Structure, assigned: dict[str, str]) -> Structure:
    decorated = structure.copy()
    species: dict[Any, Any] = dict(assigned)
    decorated.replace_species(species)
    decorated.scale_lattice(sum(atomic_volume(site.specie.symbol) for site in decorated))
    return decorated


class PrototypeSubstitution:
    """Draws decorated prototypes, strained by a few per cent. A control for the GAN."""

    name = "prototype"

    def sample(self, request: SampleRequest, n: int, *, seed: int) -> SampleBatch:
        """At most n decorated prototypes, no more than fit the request.

        seed: of everything drawn at random.
        """
        candidates = [
            (label, structure)
            for label, structure in decorated_prototypes(request.elements, request.max_atoms)
            if len(structure) >= request.min_atoms and request.allows(structure.composition.get_el_amt_dict())
        ]
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(candidates))
        samples = []
        for index in order[:n]:
            label, structure = candidates[index]
            strained = structure.copy()
            strained.scale_lattice(structure.volume * float(rng.uniform(0.9, 1.15)))
            samples.append(Sample(strained, {"prototype": label}))
        return SampleBatch(tuple(samples), {"no other fits": n - len(samples)} if len(samples) < n else {})
