"""AFLOW prototypes decorated with a system's elements."""

from __future__ import annotations

import functools
import heapq
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from niobe.loop.crystals.prototypes import Prototype, encyclopedia, library
from niobe.loop.generators.offspring import Parent
from niobe.surrogates.protocols import Sample, SampleBatch, SampleRequest
from niobe.surrogates.representations.elements import atomic_volume

if TYPE_CHECKING:
    from pymatgen.core import Structure

_LAST_ON_SCALE = 103  # lawrencium; heavier elements have no place on Pettifor's scale


@functools.cache
def _primitive(label: str) -> Structure:
    return library()[label].structure.get_primitive_structure()


def decorated_prototypes(elements: Sequence[str], max_atoms: int) -> list[tuple[str, Structure]]:
    """Prototypes of as many elements as given, in every assignment, scaled to the atoms' own volumes.

    Labels are ``AFLOW label`` and the elements in the prototype's order, in the order of pymatgen's library,
    which alone is taken.
    """
    return [
        (named(label, assigned), decorate(_primitive(label), assigned))
        for label, assigned in _assignments(library(), elements)
        if len(_primitive(label)) <= max_atoms
    ]


def likely_prototypes(elements: Sequence[str], max_atoms: int, most: int) -> list[tuple[str, Structure]]:
    """The likeliest decorations of the encyclopedia's further prototypes, as ``decorated_prototypes`` does.

    Likely is an assignment whose elements stand near those that the prototype is known of on Pettifor's
    chemical scale (Solid State Commun. 51, 31, 1984), averaged over the atoms.

    elements: of the system. max_atoms: of the primitive cell. most: how many at most.
    """
    stored = {
        label: prototype.structure
        for label, prototype in encyclopedia().items()
        if len(prototype.structure) <= max_atoms
    }
    amounts = {label: structure.composition.get_el_amt_dict() for label, structure in stored.items()}
    return [
        (named(label, assigned), decorate(stored[label], assigned))
        for label, assigned in likeliest(amounts, elements, most)
    ]


def known_prototypes(max_atoms: int) -> list[Parent]:
    """Every prototype of at most so many atoms, as a primitive cell of the elements it is stored with."""
    cells = {label: _primitive(label) for label in library()}
    cells |= {label: prototype.structure for label, prototype in encyclopedia().items()}
    return [Parent(label, cell) for label, cell in cells.items() if len(cell) <= max_atoms]


def likeliest(
    amounts: Mapping[str, Mapping[str, float]], elements: Sequence[str], most: int
) -> list[tuple[str, dict[str, str]]]:
    """Keys, and what takes each element's place, of the crystals whose elements are most like those given.

    Unlikeness: places on Pettifor's scale between an atom's element and what takes its place, mean of all.

    amounts: of each element in each crystal. elements: what takes their places, as many as a crystal must
    have. most: how many at most.
    """
    found = []
    for key, crystal in amounts.items():
        if len(crystal) == len(elements):
            for order in itertools.permutations(elements):
                pairs = zip(sorted(crystal), order, strict=True)
                apart = sum(crystal[a] * abs(_place(a) - _place(b)) for a, b in pairs) / sum(crystal.values())
                found.append((apart, key, order))
    nearest = heapq.nsmallest(most, found)
    return [(key, dict(zip(sorted(amounts[key]), order, strict=True))) for _, key, order in nearest]


def named_prototypes(label: str, elements: Sequence[str]) -> list[tuple[str, Structure]]:
    """Decorations by one or more of the elements of a prototype that is named, of any size.

    label: AFLOW's, alone for every decoration, or with the elements in the prototype's order.
    """
    name = label.split(" ")[0]
    stored = library().get(name) or encyclopedia().get(name)
    if stored is None:
        return []
    count = len(stored.structure.composition)
    primitive = _primitive(name) if name in library() else stored.structure
    found = [
        (named(name, assigned), decorate(primitive, assigned))
        for subset in itertools.combinations(elements, count)
        for _, assigned in _assignments({name: stored}, subset)
    ]
    return [pair for pair in found if label in (name, pair[0])]


def _assignments(
    prototypes: Mapping[str, Prototype], elements: Sequence[str]
) -> Iterator[tuple[str, dict[str, str]]]:
    """Label, and the element that takes each stored one's place, for prototypes of as many elements."""
    for label, stored in prototypes.items():
        kinds = sorted({site.specie.symbol for site in stored.structure})
        if len(kinds) == len(elements):
            for assigned in itertools.permutations(elements):
                yield label, dict(zip(kinds, assigned, strict=True))


@functools.cache
def _place(symbol: str) -> float:
    from pymatgen.core import Element

    element = Element(symbol)
    return float(element.mendeleev_no) if element.Z <= _LAST_ON_SCALE else _LAST_ON_SCALE


def named(label: str, assigned: Mapping[str, str]) -> str:
    """The label of a decoration: the prototype's, and the elements in its order."""
    return f"{label} {'-'.join(assigned.values())}"


def prototype_labels(most_elements: int) -> list[str]:
    """Labels of all prototypes of at most so many elements."""
    stored = library() | encyclopedia()
    return [label for label, one in stored.items() if len(one.structure.composition) <= most_elements]


def known_in(label: str) -> str:
    """The symbol of the element that a unary prototype is stored with: the one it was found in."""
    return str(library()[label].structure[0].specie.symbol)


def decorate(structure: Structure, assigned: Mapping[str, str]) -> Structure:
    """The structure with other elements, scaled to the atoms' own volumes. assigned: new symbol by old."""
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
