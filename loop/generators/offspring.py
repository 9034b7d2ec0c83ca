"""Offspring of the lowest crystals that a campaign knows: variation and selection beside the GAN.

Four ways. Heredity takes a slab of one parent and the rest of another (Deaven and Ho, Phys. Rev. Lett. 75,
288, 1995; for crystals Glass, Oganov and Hansen, Comput. Phys. Commun. 175, 713, 2006). Slip moves a slab of
one parent within its plane, as between polytypes and in stacking faults. Permutation exchanges sites of two
elements, strain deforms the cell (both as in Glass, Oganov and Hansen).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from niobe.loop.crystals.sublattices import hermite_normal_forms
from niobe.loop.crystals.validity import why_invalid
from niobe.surrogates.protocols import Sample, SampleBatch, SampleRequest

if TYPE_CHECKING:
    from pymatgen.core import Structure

_DRAWS_PER_SAMPLE = 60
_SLIPS = (0.0, 1 / 4, 1 / 3, 1 / 2, 2 / 3, 3 / 4)
_FROM_FIRST = (0.3, 0.7)
_SHAKE = 0.05
_STRAIN = 0.12
WAYS: Mapping[str, float] = {"heredity": 0.35, "slip": 0.35, "permutation": 0.15, "strain": 0.15}
"""Shares of the ways, before a campaign has learned which of them it is served by."""


@dataclass(frozen=True)
class Parent:
    """A relaxed crystal."""

    id: str
    structure: Structure


class Offspring:
    """Children of ``parents``, which come best first: the better, the more children. Implements Generator.

    Parents have no more atoms than will be asked for; one may be joined with itself.
    Of n parents the i-th is drawn with probability √((i+1)/n) − √(i/n). Children are shaken by 0.05 Å a
    coordinate, so that none rests on a saddle point. shares: of each way, adding up to 1.
    """

    name = "offspring"

    def __init__(self, parents: Sequence[Parent], shares: Mapping[str, float] = WAYS) -> None:
        self._parents, self._shares = parents, shares

    def sample(self, request: SampleRequest, n: int, *, seed: int) -> SampleBatch:
        """At most n children inside the request; other draws are counted by what was wrong with them.

        seed: of everything drawn at random.
        """
        samples: list[Sample] = []
        rejected: Counter[str] = Counter()
        for draw in range(n * _DRAWS_PER_SAMPLE if self._parents else 0):
            if len(samples) == n:
                break
            child = self._child(request, np.random.default_rng([seed, draw]))
            reason = why_invalid(child.structure, request) if child else "nothing changed"
            if child is None or reason:
                rejected[reason] += 1
            else:
                samples.append(child)
        return SampleBatch(tuple(samples), dict(rejected))

    def _child(self, request: SampleRequest, rng: np.random.Generator) -> Sample | None:
        one, other = self._draw(rng), self._draw(rng)
        way = str(rng.choice(list(self._shares), p=list(self._shares.values())))
        first = in_larger_cell(one.structure, request.max_atoms, rng)
        origin = {"parent": one.id, "way": way}
        if way == "heredity":
            child = heredity(first, in_larger_cell(other.structure, request.max_atoms, rng), rng)
            origin["other_parent"] = other.id
        else:
            child = _ALONE[way](first, rng)
        return None if child is None else Sample(_shaken(child, rng), origin)

    def _draw(self, rng: np.random.Generator) -> Parent:
        return self._parents[int(len(self._parents) * rng.random() ** 2)]


def in_larger_cell(structure: Structure, max_atoms: int, rng: np.random.Generator) -> Structure:
    """The crystal in a Niggli cell of one of its sublattices, of any index with room in ``max_atoms``.

    structure: the crystal. rng: source of random numbers.
    """
    index = int(rng.integers(1, max_atoms // len(structure) + 1))
    sublattices = hermite_normal_forms(index)
    cell = structure.copy()
    cell.make_supercell(sublattices[int(rng.integers(len(sublattices)))], to_unit_cell=True)
    return cell.get_reduced_structure("niggli")


def slip(structure: Structure, rng: np.random.Generator) -> Structure | None:
    """The structure with a slab, between two planes drawn at random, moved by a simple fraction of its plane.

    None where the slab is empty, or everything, or moved by nothing.
    """
    axis = int(rng.integers(3))
    low, high = np.sort(rng.random(2))
    move = rng.choice(_SLIPS, size=3)
    move[axis] = 0.0
    places = structure.frac_coords % 1.0
    slab = (places[:, axis] > low) & (places[:, axis] < high)
    if slab.all() or not slab.any() or not move.any():
        return None
    return type(structure)(structure.lattice, structure.species, places + slab[:, None] * move)


def heredity(one: Structure, other: Structure, rng: np.random.Generator) -> Structure | None:
    """A slab of one crystal and the rest of the other, from places and along an axis drawn at random.

    The shape of the cell, and the volume per atom, lie between the parents', by the thickness of the slab.
    None where one of the two gives no site.

    rng: source of random numbers.
    """
    from pymatgen.core import Lattice, Structure

    axis, turned = int(rng.integers(3)), rng.permutation(3)
    share = float(rng.uniform(*_FROM_FIRST))
    places = (one.frac_coords + rng.random(3)) % 1.0
    others = (other.frac_coords[:, turned] + rng.random(3)) % 1.0
    kept, taken = places[:, axis] < share, others[:, axis] >= share
    if not kept.any() or not taken.any():
        return None
    lengths = share * np.array(one.lattice.abc) + (1 - share) * np.array(other.lattice.abc)[turned]
    angles = share * np.array(one.lattice.angles) + (1 - share) * np.array(other.lattice.angles)[turned]
    species = [s for s, k in zip(one.species, kept, strict=True) if k]
    species += [s for s, t in zip(other.species, taken, strict=True) if t]
    child = Structure(
        Lattice.from_parameters(*lengths, *angles), species, np.vstack([places[kept], others[taken]])
    )
    per_atom = share * one.volume / len(one) + (1 - share) * other.volume / len(other)
    child.scale_lattice(per_atom * len(child))
    return child


def permutation(structure: Structure, rng: np.random.Generator) -> Structure | None:
    """The structure with sites of two elements exchanged, one to half of those of the rarer one.

    None where there is only one element.

    rng: source of random numbers.
    """
    symbols = np.array([site.specie.symbol for site in structure])
    elements = np.unique(symbols)
    if len(elements) < 2:
        return None
    sites = [np.flatnonzero(symbols == element) for element in rng.permutation(elements)[:2]]
    count = int(rng.integers(1, max(min(map(len, sites)) // 2, 1) + 1))
    one, other = (rng.permutation(places)[:count] for places in sites)
    symbols[one], symbols[other] = symbols[other], symbols[one]
    return type(structure)(structure.lattice, symbols.tolist(), structure.frac_coords)


def strain(structure: Structure, rng: np.random.Generator) -> Structure:
    """The structure in a cell strained by 12 % a component (standard deviation), at the same volume.

    rng: source of random numbers.
    """
    from pymatgen.core import Lattice

    drawn = rng.normal(0.0, _STRAIN, (3, 3))
    stretched = structure.lattice.matrix @ (np.eye(3) + (drawn + drawn.T) / 2)
    child = type(structure)(Lattice(stretched), structure.species, structure.frac_coords)
    child.scale_lattice(structure.volume)
    return child


_ALONE: Mapping[str, Callable[[Structure, np.random.Generator], Structure | None]] = {
    "slip": slip,
    "permutation": permutation,
    "strain": strain,
}
"""What makes a child of one parent."""


def way_shares(drawn: Mapping[str, int], survived: Mapping[str, int]) -> dict[str, float]:
    """Shares of the ways: half as given, half by how often a child of theirs is a parent now.

    Rates begin at 1 of 2, so that a way that was hardly tried is not judged.

    drawn, survived: children by way, all and those that are parents.
    """
    rates = {way: (survived.get(way, 0) + 1) / (drawn.get(way, 0) + 2) for way in WAYS}
    total = sum(rates.values())
    return {way: (given + rates[way] / total) / 2 for way, given in WAYS.items()}


def _shaken(structure: Structure, rng: np.random.Generator) -> Structure:
    places = structure.cart_coords + rng.normal(0.0, _SHAKE, (len(structure), 3))
    return type(structure)(structure.lattice, structure.species, places, coords_are_cartesian=True)
